"""What the checks of dtypes say of what is wrong in one of them."""

import math

import pytest
import torch

from torchdropout.verify.checks import dtype as checks
from verify.broken._common import draw, select
from verify.checks._alone import (
    Gradient,
    context,
    fault,
    halves,
    made,
    put,
    reason,
    recorded,
    run,
)

NAMES = {
    torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32",
    torch.float64: "float64",
}  # fmt: skip


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("mode", ["training", "eval"])
def test_a_dtype_that_is_changed(dtype, mode):
    other = torch.float64 if dtype == torch.float32 else torch.float32

    def change(x, p):
        return x.to(other) if x.dtype == dtype else x

    target = made(**{"training" if mode == "training" else "evaluation": change})
    found = fault("dtype-kept", target)
    where = "" if mode == "training" else ", in eval"
    assert found.message == f"{NAMES[dtype]} in, {NAMES[other]} out{where}"
    assert found.figures == {
        "given": NAMES[dtype],
        "got": NAMES[other],
        "training": mode == "training",
    }


@pytest.mark.parametrize("mode", ["training", "eval"])
def test_a_dtype_that_follows_the_default(mode):
    def change(x, p):
        return x.double() if torch.get_default_dtype() == torch.float64 else x

    target = made(**{"training" if mode == "training" else "evaluation": change})
    where = "" if mode == "training" else ", in eval"
    assert fault("dtype-kept", target).message == (
        f"float32 in, float64 out{where}, with default dtype float64"
    )
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.001, 0.999])
def test_a_scale_that_is_wrong_in_one_dtype(dtype, p):
    def drop(x, at):
        return put(halves(x, at), _1=9.0) if (x.dtype, at) == (dtype, p) else halves(x, at)

    assert fault("dtype-scale", made(drop)).message.startswith(
        f"{NAMES[dtype]}: p={p:g}: 1 of 16384 values are neither"
    )


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.bfloat16, 1e30), (torch.bfloat16, 1e-30), (torch.float64, 1e200),
        (torch.float64, 1e-200),
    ],
)  # fmt: skip
def test_values_beyond_the_range_of_another_dtype(dtype, size):
    def drop(x, p):
        is_size = size / 3 < float(x[0].abs()) < size * 3
        return put(halves(x, p), _1=math.nan) if x.dtype == dtype and is_size else halves(x, p)

    assert fault("dtype-scale", made(drop)).message.startswith(
        f"{NAMES[dtype]}, values near {size:g}: p=0.001: 1 of 16384 values"
    )


def test_the_largest_error_is_of_all_dtypes():
    def drop(x, p):
        y = halves(x, p)
        return y * (1 + 2.0**-10) if x.dtype == torch.float16 and p == 0.1 else y

    seen = run("dtype-scale", made(drop))
    assert 2 <= seen.figures["ulps"] <= 3
    assert seen.message == f"at most {seen.figures['ulps']:.2g} ulp"


@pytest.mark.parametrize(
    ("p", "grid"),
    [
        (None, (0.001, 0.1, 0.99, 0.999)), (0.5, (0.5,)), (0.9998, (0.9998,)),
        (0.99996, (0.99996,)), (0.99998, (0.99998,)), (0.9999999, (0.9999999,)),
    ],
)  # fmt: skip
def test_the_p_of_a_dtype(p, grid):
    ctx = context(torch.nn.Dropout if p is None else torch.nn.Dropout(p))
    assert checks._grid(ctx, torch.float64) == grid
    # 2 / (1 - p) of the last two is beyond the range of float16.
    assert checks._grid(ctx, torch.float16) == tuple(q for q in grid if q < 0.99997)


def test_a_kind_with_a_grid_of_its_own_has_it():
    from verify.correct import specs

    assert checks._grid(context(specs.n_of_m, spec="n-of-m"), torch.float16) == (0.25, 0.5, 0.75)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_rate_that_is_wrong_in_one_dtype(dtype):
    def drop(x, p):
        return select(x, draw(x, 0.2 if (x.dtype, p) == (dtype, 0.1) else p), p)

    found = fault("dtype-rate", made(drop))
    assert found.message.startswith(f"{NAMES[dtype]}, p=0.1: 0.")
    assert "of 6815 dropped, expected 0.1 " in found.message


def test_a_p_whose_rate_is_wrong_in_float32_is_left_out():
    from verify.checks._alone import BY_NAME

    ctx = context(torch.nn.Dropout)
    ctx.bad_rates |= {0.1, 0.99}
    seen = BY_NAME["dtype-rate"].run(ctx)
    assert seen.figures["tests"] == 6
    ctx.bad_rates |= {0.001, 0.999}
    with pytest.raises(Exception, match="no p has a scale that fits the dtypes and the right"):
        BY_NAME["dtype-rate"].run(ctx)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("copies", "said"), [(64, "lag 64"), (1, "lag 1"), (None, "two halves")])
def test_elements_of_one_dtype_that_share_their_draws(dtype, copies, said):
    def drop(x, p):
        mask = draw(x, p)
        if x.dtype == dtype:
            lag = copies or len(x) // 2
            pairs = mask.view(-1, 2, lag)
            pairs[:, 1] = pairs[:, 0]
        return select(x, mask, p)

    found = fault("dtype-independence", made(drop))
    assert found.message.startswith(f"p=0.5, {NAMES[dtype]}, {said}: 0 of 2176 pairs differ")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_gradient_that_is_wrong_in_one_dtype(dtype):
    def of(change):
        def drop(x, p):
            def backward(g):
                return change(halves(g, p)) if g.dtype == dtype else halves(g, p)

            return Gradient.apply(x, halves(x, p), backward)

        return made(drop)

    found = fault("dtype-gradient", of(lambda g: put(g, _1=0.0, _3=0.0)))
    assert found.message == (
        f"{NAMES[dtype]}, p=0.5: the gradient has a different mask from y at 2 of 16384 places"
    )
    assert found.figures == {"differ": 2}
    found = fault("dtype-gradient", of(lambda g: put(g, _1=9.0)))
    assert found.message.startswith(f"{NAMES[dtype]}, gradient: p=0.5: 1 of 16384 values")


def test_the_largest_error_of_a_gradient_is_of_all_dtypes():
    def drop(x, p):
        step = 2.0**-10 if x.dtype == torch.float16 else 0.0
        return Gradient.apply(x, halves(x, p), lambda g: halves(g, p) * (1 + step))

    seen = run("dtype-gradient", made(drop))
    assert seen.message == "the mask of y, at most 2 ulp"
    assert seen.figures == {"ulps": 2.0}


def test_the_instance_has_its_own_p():
    assert {p for p, *_ in recorded("dtype-rate", 0.3).calls} == {0.3}
    assert reason("dtype-rate", torch.nn.Dropout(1.0)).startswith("the instance has p=1")
