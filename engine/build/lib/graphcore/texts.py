"""Texts in arrays, in the one form that TensorFlow has for them: object arrays of bytes.

NumPy has three more (`<U3`, `S3`, object arrays of str), and onnxruntime gives the last one.
"""

import numpy as np


def is_text(value: object) -> bool:
    """Whether an array or a plain value is text or bytes; of objects, the first one counts."""
    if isinstance(value, str | bytes):
        return True
    array = np.asarray(value)
    objects = array.ravel()[:1] if array.dtype == object else ()
    return array.dtype.kind in "US" or (
        array.dtype == object and all(isinstance(each, str | bytes | bytearray) for each in objects)
    )


def as_bytes(value: object) -> np.ndarray:
    """Return texts or bytes of any shape, a plain one too, as an object array of bytes.

    Raises:
        TypeError: an element is neither.
    """
    # Without the dtype NumPy would cut zero bytes off the end of a plain bytes.
    array = np.asarray(value, object)
    found = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        found[place] = _bytes(array[place])
    return found


def as_unicode(value: object) -> np.ndarray:
    """Return texts of any shape as NumPy's own type for them, which files hold without a pickle.

    Raises:
        ValueError: an element is no text in UTF-8, or ends in a zero, which NumPy would cut off.
    """
    found = as_bytes(value)
    texts = [each.decode() for each in found.ravel()]
    if any(text.endswith("\0") for text in texts):
        raise ValueError("a text ends in a zero")
    return np.array(texts, np.str_).reshape(found.shape)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise TypeError(f"text or bytes were expected, but there is a {type(value).__name__}")
