"""Every check by its code, in the order of a run: the most informative checks come first.

The codes of a group share their first four characters; TD1 to TD4 belong to the audit. Codes are
never reused or changed, so within a group they are in the order in which they were added.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from ..reporting.findings import Rule
from ..reporting.selection import Choice
from .checks import (
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
from .examples import EXAMPLES

# fmt: off
CHECKS = MappingProxyType({
    "TD501": mode.output_shape,
    "TD502": mode.eval_identity,
    "TD503": mode.train_stochastic,
    "TD504": mode.mode_switch,
    "TD505": mode.grad_mode,
    "TD630": structure.states_mixed,
    "TD631": structure.shared_mask,
    "TD632": structure.block_shape,
    "TD633": structure.scale_common,
    "TD634": structure.fixed_count,
    "TD635": structure.subset_uniform,
    "TD636": structure.fused_composition,
    "TD637": structure.noise_law,
    "TD638": structure.alpha_moments,
    "TD639": structure.probabilities_dropped,
    "TD511": scale.kept_scale,
    "TD512": scale.scale_constant,
    "TD521": rate.drop_rate,
    "TD522": rate.position_rate,
    "TD531": independence.few_masks,
    "TD532": independence.mask_repeats,
    "TD533": independence.lag_independence,
    "TD534": independence.axis_independence,
    "TD535": independence.call_independence,
    "TD536": independence.joint_counts,
    "TD537": independence.count_spread,
    "TD538": independence.linear_rank,
    "TD541": gradient.grad_mask,
    "TD542": gradient.grad_scale,
    "TD543": gradient.grad_at_zero,
    "TD544": gradient.grad_finite,
    "TD545": gradient.grad_own_call,
    "TD546": gradient.grad_second_order,
    "TD551": edges.p_zero_identity,
    "TD552": edges.p_one_zeros,
    "TD553": edges.edge_gradients,
    "TD554": edges.empty_input,
    "TD555": edges.tiny_input,
    "TD561": dtype.dtype_kept,
    "TD562": dtype.dtype_scale,
    "TD563": dtype.dtype_rate,
    "TD564": dtype.dtype_independence,
    "TD565": dtype.dtype_gradient,
    "TD571": randomness.seed_governs,
    "TD572": randomness.seeds_differ,
    "TD573": randomness.no_reseed,
    "TD574": randomness.foreign_generators,
    "TD575": randomness.eval_draws_nothing,
    "TD576": randomness.thread_mask,
    "TD577": randomness.thread_law,
    "TD578": randomness.grad_checkpoint,
    "TD581": values.input_unmodified,
    "TD582": values.value_mask,
    "TD583": values.value_rate,
    "TD584": values.nonfinite_kept,
    "TD585": values.nonfinite_dropped,
    "TD586": values.inplace_claim,
    "TD591": layout.layout_values,
    "TD592": layout.layout_rate,
    "TD593": layout.expanded_independent,
    "TD594": layout.layout_mask,
    "TD595": layout.device_followed,
    "TD611": world.state_restored,
    "TD612": world.state_own,
    "TD640": conditions.noise_pairs,
    "TD641": conditions.values_everywhere,
    "TD642": conditions.gradient_everywhere,
    "TD643": conditions.eval_everywhere,
    "TD644": conditions.draws_everywhere,
    "TD645": conditions.large_call,
    "TD646": conditions.module_state,
    "TD647": conditions.attention_everywhere,
    "TD648": conditions.embedding_repeats,
    "TD649": conditions.arguments_unmodified,
    "TD601": construction.wrong_p_refused,
    "TD602": construction.wrong_p_named,
    "TD621": compiled.compiled_law,
})
# fmt: on

_LACKING = [check.name for check in CHECKS.values() if check.name not in EXAMPLES]
if _LACKING:
    raise LookupError(f"Expected an example in verify/examples/ of {', '.join(_LACKING)}, got none")

RULES = MappingProxyType(
    {
        code: Rule(
            code,
            check.name,
            check.group,
            check.severity,
            check.summary,
            check.explain,
            EXAMPLES[check.name].broken,
            EXAMPLES[check.name].fixed,
        )
        for code, check in CHECKS.items()
    }
)

# The false-alarm rate of a run is shared equally by these.
STATISTICAL = sum(check.statistical for check in CHECKS.values())

CHOICE = Choice(RULES, "check", "torchdropout checks")


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
    """Select the checks to run.

    An entry is a code (`TD521`), the beginning of one (`TD52`), a name (`drop-rate`), a group
    (`rate`), or several of these, separated by commas; case does not matter.

    Args:
        select: The checks to run; all of them when empty.
        ignore: The checks to leave out; it takes precedence over `select`.

    Returns:
        The names of the checks.

    Raises:
        ArgumentTypeError: One of them is not a sequence of strings.
        ArgumentValueError: An entry names no check, or no check is left.

    Example:
        >>> sorted(chosen(["rate", "TD511"], ignore=["position-rate"]))
        ['drop-rate', 'kept-scale']
    """
    return CHOICE.chosen(select, ignore)
