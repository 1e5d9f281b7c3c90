"""Flax' and Equinox' dropouts as targets of the verifier."""

import equinox
from flax import linen, nnx

from torchdropout.verify.adapters import from_flax, from_jax

linen_dropout = from_flax(linen.Dropout)
nnx_dropout = from_flax(nnx.Dropout)


@from_jax
def equinox_dropout(x, p, inference, key):
    """`equinox.nn.Dropout`."""
    return equinox.nn.Dropout(p)(x, key=key, inference=inference)
