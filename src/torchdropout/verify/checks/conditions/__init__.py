"""Conditions: claims that hold at every p, shape, layout, dtype, mode and history."""

from .claims import eval_everywhere as eval_everywhere
from .claims import gradient_everywhere as gradient_everywhere
from .claims import values_everywhere as values_everywhere
from .draws import draws_everywhere as draws_everywhere
from .draws import large_call as large_call
from .kinds import arguments_unmodified as arguments_unmodified
from .kinds import attention_everywhere as attention_everywhere
from .kinds import embedding_repeats as embedding_repeats
from .kinds import noise_pairs as noise_pairs
from .modules import module_state as module_state
