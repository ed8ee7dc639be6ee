"""Texts in arrays, always in the form that TensorFlow uses: object arrays of bytes.

NumPy has three other forms (`<U3`, `S3`, object arrays of str). onnxruntime returns the last one.
"""

import numpy as np


def is_text(value: object) -> bool:
    """Whether an array or a plain value is text or bytes.

    The first item of an object array decides.
    """
    if isinstance(value, str | bytes):
        return True
    array = np.asarray(value)
    objects = array.ravel()[:1] if array.dtype == object else ()
    return array.dtype.kind in "US" or (
        array.dtype == object and all(isinstance(each, str | bytes | bytearray) for each in objects)
    )


def as_bytes(value: object) -> np.ndarray:
    """Return texts or bytes of any shape, or a plain one, as an object array of bytes.

    Raises:
        TypeError: an element is neither text nor bytes.
    """
    # Without this dtype NumPy would remove zero bytes from the end.
    array = np.asarray(value, object)
    found = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        found[place] = _bytes(array[place])
    return found


def as_unicode(value: object) -> np.ndarray:
    """Return texts of any shape in NumPy's own text dtype, which can be saved without pickle.

    Raises:
        ValueError: an element is not UTF-8 text, or ends in a zero byte, which NumPy would remove.
    """
    found = as_bytes(value)
    texts = [each.decode() for each in found.ravel()]
    if any(text.endswith("\0") for text in texts):
        raise ValueError("a text ends in a zero byte")
    return np.array(texts, np.str_).reshape(found.shape)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise TypeError(f"text or bytes were expected, but this is a {type(value).__name__}")
