"""The draws of each place in every condition, and of calls on millions of elements."""

import math

import pytest
import torch

from torchdropout.verify import stats
from verify.broken._common import draw, select
from verify.checks._alone import SHARE, Gradient, fault, halves, made, put

# --- Each place -----------------------------------------------------------------------------------


def shared(x, p):
    return select(x, draw(x[..., :1], p), p) if x.ndim else x


@pytest.mark.parametrize(
    ("target", "spec", "said"),
    [
        (made(lambda x, p: x * math.nan), None, " values are NaN"),
        (made(), "dropout2d", "a draw is kept in part along the axes marked * of"),
        (made(lambda x, p: select(x, draw(x, p) & (x.numel() < 1000), p)), None, " dropped"),
        (made(shared), None, " places apart, which differ: "),
    ],
)
def test_places_that_are_wrong_in_some_condition(target, spec, said):
    assert said in fault("draws-everywhere", target, spec=spec).message


# --- A large call ---------------------------------------------------------------------------------

N = (1 << 20) + 13
WIDTH = stats.bits_to_tell(0.5, N**2 / 2, SHARE / 2)  # that no two stretches share by chance


def large(rule):
    return made(lambda x, p: rule(x, p) if x.numel() == N else select(x, draw(x, p), p))


CALL = f"a call on {N} elements"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x, p: put(halves(x, p), **{f"_{N - 1}": 9.0}), f"{CALL}: p=0.5: 1 of"),
        (lambda x, p: select(x, torch.cat([draw(x[:-64], p), torch.zeros(64).bool()]), p),
         f"{CALL}, the last 64 elements, dropped: none of 64, expected 0.5"),
        (lambda x, p: select(x, draw(x, p) | (draw(x, p) & (torch.arange(N) > N // 8 * 7)), p),
         f"{CALL}, part 8 of 8, dropped: "),
        (lambda x, p: select(x, draw(x[: N // 2 + 1], p).repeat(2)[:N], p),
         f"{CALL}: the {WIDTH} mask bits from element "),
    ],
)  # fmt: skip
def test_a_large_call_that_is_wrong_somewhere(rule, said):
    found = fault("large-call", large(rule))
    assert found.message.startswith(said)
    if "mask bits" in said:
        assert found.message.endswith(f" on repeat {N // 2 + 1} elements later")
        assert found.figures["second"] - found.figures["first"] == N // 2 + 1


@pytest.mark.parametrize("at", [0, N - 1])
def test_the_gradient_of_a_large_call_that_is_wrong_somewhere(at):
    def rule(x, p):
        mask = draw(x, p)
        return Gradient.apply(
            x, select(x, mask, p), lambda g: put(select(g, mask, p), **{f"_{at}": 9.0})
        )

    found = fault("large-call", large(rule))
    assert found.message.startswith("1 of ")
    assert "values of the gradient are wrong, such as 9, expected" in found.message


def test_a_gradient_that_raises_names_the_call():
    def drop(x, p):
        y = select(x, draw(x, p), p)
        return Gradient.apply(x, y, lambda g: g[:1]) if x.ndim == 2 else y

    assert fault("large-call", made(drop)).message.startswith(
        "the gradient of a call on shape (65601, 1) raised RuntimeError"
    )
