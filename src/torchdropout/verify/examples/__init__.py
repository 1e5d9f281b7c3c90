"""A broken dropout and its fix for each check, which `explain`, the docs and the tests read.

Programs are kept as text, one file per group of checks, so that importing them runs none of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from . import (
    compiled,
    conditions,
    construction,
    dtype,
    edges,
    gradient,
    independence,
    layout,
    mode,
    randomness,
    rate,
    scale,
    structure,
    values,
    world,
)
from ._example import Example as Example

_GROUPS = (
    mode,
    scale,
    rate,
    independence,
    gradient,
    edges,
    dtype,
    randomness,
    values,
    layout,
    conditions,
    construction,
    world,
    compiled,
    structure,
)

EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {name: example for group in _GROUPS for name, example in group.EXAMPLES.items()}
)
