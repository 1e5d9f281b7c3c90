"""What the checks of dtypes say of what is wrong in one of them."""

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import BY_NAME, Gradient, context, fault, halves, made, put

OTHERS = {
    torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float64: "float64",
}  # fmt: skip
MODES = {"training": "", "evaluation": ", in eval"}


@pytest.mark.parametrize("mode", MODES)
def test_a_dtype_that_is_changed(mode):
    for dtype, name in {**OTHERS, torch.float32: "float32"}.items():
        other = torch.float64 if dtype == torch.float32 else torch.float32
        target = made(**{mode: lambda x, p, d=dtype, o=other: x.to(o) if x.dtype == d else x})
        got = "float64" if dtype == torch.float32 else "float32"
        found = fault("dtype-kept", target)
        assert found.message == f"{name} in, {got} out{MODES[mode]}"
        assert found.figures == {"given": name, "got": got, "training": mode == "training"}

    def follows(x, p):
        return x.double() if torch.get_default_dtype() == torch.float64 else x

    assert fault("dtype-kept", made(**{mode: follows})).message == (
        f"float32 in, float64 out{MODES[mode]}, with default dtype float64"
    )
    assert torch.get_default_dtype() == torch.float32


def sharing(dtype, lag):
    """A dropout whose second element of each pair at a lag has the draw of the first."""

    def drop(x, p):
        mask = draw(x, p)
        if x.dtype == dtype:
            pairs = mask.view(-1, 2, lag or len(x) // 2)
            pairs[:, 1] = pairs[:, 0]
        return select(x, mask, p)

    return made(drop)


def with_gradient(dtype, change):
    def drop(x, p):
        def backward(g):
            return change(halves(g, p)) if g.dtype == dtype else halves(g, p)

        return Gradient.apply(x, halves(x, p), backward)

    return made(drop)


def where(dtype, at, wrong, right):
    return made(lambda x, p: (wrong if (x.dtype, p) == (dtype, at) else right)(x, p))


@pytest.mark.parametrize("dtype", OTHERS)
def test_a_fault_in_one_dtype(dtype):
    def nine(x, p):
        return put(halves(x, p), _1=9.0)

    def right(x, p):
        return select(x, draw(x, p), p)

    often = where(dtype, 0.1, lambda x, p: select(x, draw(x, 0.2), p), right)
    for name, target, said in [
        ("dtype-scale", where(dtype, 0.001, nine, halves), "p=0.001: 1 of 16384 values are"),
        ("dtype-scale", where(dtype, 0.999, nine, halves), "p=0.999: 1 of 16384 values are"),
        ("dtype-rate", often, "p=0.1: 0."),
        ("dtype-independence", sharing(dtype, 64), "lag 64: 0 of 2176 pairs differ"),
        ("dtype-independence", sharing(dtype, 1), "lag 1: 0 of 2176 pairs differ"),
        ("dtype-independence", sharing(dtype, None), "two halves: 0 of 2176 pairs differ"),
        ("dtype-gradient", with_gradient(dtype, lambda g: put(g, _1=0.0, _3=0.0)),
         "p=0.5: the gradient has a different mask from y at 2 of 16384 places"),
        ("dtype-gradient", with_gradient(dtype, lambda g: put(g, _1=9.0)),
         "gradient: p=0.5: 1 of 16384 values"),
    ]:  # fmt: skip
        message = fault(name, target).message
        assert OTHERS[dtype] in message.partition(":")[0]
        assert said in message


def test_a_p_whose_rate_is_wrong_in_float32_is_left_out():
    ctx = context(torch.nn.Dropout)
    ctx.known.bad_rates |= {0.1, 0.99}
    seen = BY_NAME["dtype-rate"].run(ctx)
    assert seen.figures["tests"] == 6
    ctx.known.bad_rates |= {0.001, 0.999}
    with pytest.raises(Exception, match="no p has a scale that fits the dtypes and the right"):
        BY_NAME["dtype-rate"].run(ctx)
