"""How the compiler is held while a target that it has compiled is judged."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .. import _torch


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Inside, a function may be compiled anew for every target, p and shape.

    Beyond its limit of 8 the compiler runs a function as it is, which would be judged for the
    compiled one. And a graph may be gone through twice, as the checks of gradients do. Where
    nothing has loaded the compiler, which takes seconds, there is nothing to hold.
    """
    if "torch._dynamo" not in sys.modules:
        yield
        return
    dynamo, functorch = _torch.compiler_settings(), _torch.gradient_settings()
    many = 1 << 20
    with (
        dynamo.patch(recompile_limit=many, accumulated_recompile_limit=many),
        functorch.patch(donated_buffer=False),
    ):
        yield
