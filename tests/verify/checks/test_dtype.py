"""What the checks of dtypes say of what is wrong in one of them."""

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import (
    Gradient,
    context,
    fault,
    halves,
    made,
    put,
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
