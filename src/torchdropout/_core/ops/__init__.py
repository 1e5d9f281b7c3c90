"""The torch operators: schema, fake kernel, gradient, forward derivative, vmap rule.

`masked_affine` computes the Bernoulli variants, `drop_blocks` DropBlock, `choose` and
`counted_affine` the variants of a fixed count, `noise_affine` those with continuous noise, and on
a GPU `dropout_add` a residual sum; `draw_keys` is the only place where a call consumes randomness.
Everything torch does to a program (autograd, torch.func, torch.compile, export, checkpointing)
meets dropout only here and in `direct.py`, the direct path for calls that only autograd observes.
"""

from ..kernels import cpu
from ._drop_blocks import drop_blocks as drop_blocks
from ._drop_blocks import drop_blocks_of as drop_blocks_of
from ._drop_blocks import seed_sizes as seed_sizes
from ._dropout_add import dropout_add as dropout_add
from ._dropout_add import dropout_add_backward as dropout_add_backward
from ._keys import captures as captures
from ._keys import draw_key as draw_key
from ._masked_affine import masked_affine as masked_affine
from ._masked_affine import masked_affine_of as masked_affine_of
from ._masked_affine import masked_by_rates as masked_by_rates
from ._masked_affine import masked_linear_of as masked_linear_of
from ._noise_affine import noise_affine as noise_affine
from ._noise_affine import noise_affine_of as noise_affine_of
from ._order import choose as choose
from ._order import choose_share as choose_share
from ._order import counted_affine as counted_affine
from ._order import counted_affine_of as counted_affine_of

# Now that the operators are defined, the extension can register its kernels for the CPU.
cpu.start()
