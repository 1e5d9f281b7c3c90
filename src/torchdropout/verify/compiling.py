"""Settings of the compiler while a compiled target is checked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .. import _torch


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Allow a function to be recompiled for every target, p and shape.

    Beyond its limit of 8 the compiler runs a function uncompiled, and the checks would test that
    instead of the compiled one. A graph may also be traversed twice, as the checks of gradients
    do. Where nothing has loaded the compiler, which takes seconds, nothing needs to be set.
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
