"""Construction: a wrong p is refused, with an error that helps."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..context import Context, Fault, Seen, Skip, check, describe

WRONG: tuple[Any, ...] = (math.nan, math.inf, -1.0, -0.1, 1.5, "0.1", None)


def _refusal(ctx: Context, p: Any, call: bool) -> Exception | None:
    """Return what the target raises for this p when it is built and, if `call`, called."""
    try:
        built = ctx.subject.build(p)
        if call:
            built.call(torch.ones(8), True)
    except Exception as error:
        return error
    return None


def _helps(message: str, p: Any) -> bool:
    """Whether a message says what is wrong: with the word "probability", the value or its type."""
    text = message.lower()
    hints = ["probability", str(p).lower()]
    if not isinstance(p, float):
        hints.append(type(p).__name__.lower())
    return any(hint in text for hint in hints)


def _need_free_p(ctx: Context) -> None:
    if ctx.subject.fixed_p is not None:
        raise Skip("the target's p is fixed: no other can be tried")


@check(severity="advice", needs=["output-shape"])
def wrong_p_refused(ctx: Context) -> Seen:
    """A p that is not a probability raises an error; a class raises it on construction.

    Measured: NaN, inf, -1, -0.1, 1.5, "0.1" and None.

    A wrong p that is accepted drops everything, nothing or at some other rate, and is noticed
    hours later as a bad loss. `nn.Dropout(nan)` is built without an error and fails in the first
    forward.

    To fix: `if not 0 <= p <= 1: raise ValueError(...)`, which also refuses NaN.
    """
    _need_free_p(ctx)
    call = ctx.subject.kind == "function"
    accepted = [p for p in WRONG if _refusal(ctx, p, call) is None]
    if accepted:
        late = [p for p in accepted if not call and _refusal(ctx, p, call=True) is not None]
        raise Fault(
            f"accepted: p={', '.join(repr(p) for p in accepted)}"
            + (f"; refused only at the call: {', '.join(repr(p) for p in late)}" if late else ""),
            accepted=[repr(p) for p in accepted],
            late=[repr(p) for p in late],
        )
    return Seen(", ".join(repr(p) for p in WRONG) + " refused")


@check(severity="advice", needs=["output-shape"])
def wrong_p_named(ctx: Context) -> Seen:
    """The error for a wrong p says what was given.

    Measured: whether the error message contains the value, its type or the word "probability",
    for each wrong p that is refused.

    "'<' not supported between instances of 'str' and 'int'" does not say which of a model's forty
    arguments was wrong.

    To fix: "Expected `p` in [0, 1], got p='0.1' (str)".
    """
    _need_free_p(ctx)
    for p in WRONG:
        error = _refusal(ctx, p, call=True)
        if error is not None and not _helps(str(error), p):
            raise Fault(f"p={p!r} raised {describe(error)}", given=repr(p), error=describe(error))
    return Seen("the errors say what was given")
