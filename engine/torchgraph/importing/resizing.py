"""Resize as ONNX defines it: every mode, axis by axis.

PyTorch's own `interpolate` has two of the seven coordinate transformations, one of the four ways to
round, and one cubic curve. In all other cases it gives another picture.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchgraph.importing.sizes import as_list

_ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}

PLACES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
)
"""The coordinate transformations implemented here: all but tf_crop_and_resize."""


def resize(
    x: Tensor,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    axes: Any = None,
) -> Tensor:
    """Resize, opset 11 and later.

    Args:
        x: the tensor to resize, of any rank.
        roi: not used by the coordinate transformations implemented here.
        scales: one for each of the axes.
        sizes: the new sizes, instead of scales.
        mode: "nearest", "linear" or "cubic".
        coordinate_transformation_mode: where the middle of a new pixel is in the old picture.
        nearest_mode: how that position is rounded.
        cubic_coeff_a: the shape of the cubic curve.
        exclude_outside: whether pixels outside of the picture get no weight.
        axes: the axes to resize, all by default.
    """
    axes = range(x.ndim) if axes is None else [axis % x.ndim for axis in as_list(axes)]
    # Older files have an empty list for an argument that is not given.
    scales = as_list(scales) if scales is not None else []
    sizes = as_list(sizes) if sizes is not None else []
    for number, axis in enumerate(axes):
        old = x.shape[axis]
        if scales:
            scale = scales[number]
            new = old if scale == 1 else torch.sym_int(old * scale)
        else:
            new, scale = sizes[number], sizes[number] / old
        if isinstance(scale, float | int) and scale == 1:
            continue
        place = _places(new, old, scale, coordinate_transformation_mode)
        if mode == "nearest":
            index = _ROUNDED[nearest_mode](place).clamp(0, old - 1).long()
            x = x.index_select(axis, index)
        else:
            x = _mixed(x, axis, place, mode, cubic_coeff_a, bool(exclude_outside))
    return x


def resize_10(x: Tensor, scales: Any, *, mode: str = "nearest") -> Tensor:
    """Resize-10 and Upsample: positions without a half pixel, rounded down."""
    return resize(
        x,
        scales=scales,
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _places(new: int, old: int, scale: float, how: str) -> Tensor:
    """Return the position of the middle of each new pixel, counted in old pixels."""
    i = torch.arange(new, dtype=torch.float64)
    if how == "asymmetric":
        return i / scale
    if how == "align_corners":
        return i * (old - 1) / (new - 1) if new > 1 else i
    if how == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if how == "pytorch_half_pixel" and new == 1:
        return i
    if how == "half_pixel_symmetric":
        centre = old / 2
        return centre * (1 - new / (scale * old)) + (i + 0.5) / scale - 0.5
    return (i + 0.5) / scale - 0.5


def _mixed(x: Tensor, axis: int, place: Tensor, mode: str, a: float, exclude: bool) -> Tensor:
    """Return the weighted sum of two neighbours (linear) or four (cubic) along one axis."""
    old, low = x.shape[axis], torch.floor(place)
    t = place - low
    if mode == "linear":
        around, weights = [0, 1], [1 - t, t]
    else:
        around, weights = [-1, 0, 1, 2], [_cubic(t + 1, a), _cubic(t, a)]
        weights += [_cubic(1 - t, a), _cubic(2 - t, a)]
    if exclude:
        weights = [
            weight * ((low + step >= 0) & (low + step < old))
            for step, weight in zip(around, weights, strict=True)
        ]
        total = torch.stack(weights).sum(0)
        weights = [weight / total for weight in weights]
    shape = [1] * x.ndim
    shape[axis] = -1
    result = torch.zeros((), dtype=x.dtype)
    for step, weight in zip(around, weights, strict=True):
        index = (low + step).clamp(0, old - 1).long()
        result = result + x.index_select(axis, index) * weight.to(x.dtype).reshape(shape)
    return result


def _cubic(t: Tensor, a: float) -> Tensor:
    """Return the weight of a pixel at the distance t, for 0 ≤ t ≤ 2."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return torch.where(t <= 1, near, far)
