"""Pad that cuts: more than the size, by what is fed, on chosen axes, of odd sizes, in all modes."""

import numpy as np
import pytest

from tests.convert.agreement import agree
from tests.convert.models import parse, seeded


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("dims", ["N, 5, 6", "N, H, W"])
@pytest.mark.parametrize("pads", [(-7, 9), (9, -7), (-6, 1), (-6, 0), (2, -1), (-2, -3), (-8, 2)])
def test_one_end_that_cuts_more_than_there_is_takes_from_the_other(pads, dims, target):
    model = parse(
        f"g (float[{dims}] x) => (float[N, P, Q] y) {{ y = Pad(x, p, v, a) }}",
        opset=18,
        p=np.array(pads),
        v=np.float32(7),
        a=np.array([-1]),
    )
    agree(
        model,
        *({"x": seeded(batch, 5, 6, seed=batch)} for batch in (1, 3)),
        target=target,
        tolerance=1e-6,
    )


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_amounts_that_are_fed_cut_and_add(mode, target):
    model = parse(
        "g (float[N, H, W] x, int64[4] p) => (float[N, P, Q] y) "
        f'{{ y = Pad<mode = "{mode}">(x, p, , a) }}',
        opset=19,
        a=np.array([-1, 1]),
    )
    amounts = [(-1, 2, 2, -2), (2, 0, -2, 1), (-3, -1, -1, -2)]
    amounts += [(-9, 2, 9, 1)] if mode == "constant" else []
    agree(
        model,
        *({"x": seeded(2, 7, 5), "p": np.array(each)} for each in amounts),
        target=target,
        tolerance=1e-6,
    )
