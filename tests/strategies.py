"""What hypothesis draws: keys with all their bits, p with its edges, tensors in every layout."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from oracle import DTYPES, layouts_of
from torchdropout import Key, MaskLayout

keys = st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 2**60 - 1))
probabilities = st.one_of(
    st.floats(0.0, 1.0, exclude_min=True),
    st.sampled_from([2.0**-32, 2.0**-16, 0.001, 0.1, 0.5, 0.9, 0.999, 1 - 2.0**-16, 1.0]),
)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def tensors(draw, dtypes=DTYPES, min_dims=0, max_dims=4, max_side=6):
    """Normal values in a drawn dtype, shape and memory layout."""
    shape = draw(st.lists(st.integers(0, max_side), min_size=min_dims, max_size=max_dims))
    generator = torch.Generator().manual_seed(draw(seeds))
    dtype = draw(st.sampled_from(dtypes))
    wide = torch.complex128 if dtype.is_complex else torch.float64
    layouts = layouts_of(torch.randn(shape, dtype=wide, generator=generator).to(dtype))
    return layouts[draw(st.sampled_from(sorted(layouts)))]


@st.composite
def layouts(draw, shape):
    """Any map whose indices fit 64 bits: bases around every carry, strides of all kinds."""
    around = draw(st.sampled_from([0, 2**32, 2**33, 2**35, 2**63, 2**64 - 2**13]))
    base = max(0, around + draw(st.integers(-20, 20)))
    if draw(st.booleans()):
        shared = draw(st.sets(st.integers(0, max(len(shape) - 1, 0)), max_size=len(shape)))
        return MaskLayout(base, MaskLayout.of(shape, tuple(shared)).strides)
    return MaskLayout(base, tuple(draw(st.integers(0, 300)) for _ in shape))
