"""Which arguments carry x, p and the mode: as stated, by name, or by position."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, cast

from ..._tools.loading import target_error
from ...errors import TargetError
from ..subject import Spec
from ._hints import Hints
from ._reading import Reading
from ._words import HOW_TO_STATE, NOTHING_TO_STATE, listed

# An argument earlier in the list takes precedence over a later one.
P_NAMES = (
    "p", "drop_prob", "dropout_prob", "dropout_p", "drop_p", "p_drop", "p_dropout", "drop_rate",
    "dropout_rate", "drop_probability", "dropout_probability", "drop_ratio", "dropout_ratio",
    "p_dropout_rate", "prob_drop", "prob_dropout", "pdrop", "rate_drop", "dropout_value",
    "dropout_fraction", "drop_fraction", "drop_path", "drop_path_rate", "drop_path_prob",
    "stochastic_depth_prob", "stochastic_depth_rate", "rate", "dropout", "drop", "prob",
    "probability", "ratio",
)  # fmt: skip


# The part whose dropout has the rate, then a word for a rate: `attn_dropout`,
# `hidden_dropout_prob`, `weight_p`, `resid_pdrop`. They are tried after the names above, and
# one of them is p only if it is the only one.
PART_NAMES = tuple(
    f"{part}_{rate}"
    for part in (
        "attn", "attention", "attention_probs", "self_attn", "cross_attn", "weight", "weights",
        "hidden", "hidden_state", "embed", "embd", "emb", "embedding", "embeddings", "input",
        "inp", "in", "output", "out", "resid", "residual", "recurrent", "rnn", "lstm", "gru",
        "state", "ffn", "ff", "fc", "mlp", "head", "final", "last", "classifier", "proj",
        "projection", "activation", "act", "relu", "feature", "features", "feat", "node", "edge",
        "token", "tokens", "patch", "word", "pos", "position", "positional", "path", "layer",
        "block", "encoder", "decoder", "conv", "linear", "channel", "spatial", "locked",
        "variational", "base", "global", "local",
    )
    for rate in (
        "dropout", "dropout_prob", "dropout_p", "dropout_rate", "dropout_probability",
        "dropout_ratio", "drop", "drop_prob", "drop_p", "drop_rate", "drop_ratio", "pdrop", "p",
    )
)  # fmt: skip


KEEP_NAMES = (
    "keep_prob", "keep_p", "p_keep", "keep_rate", "keep_probability", "keep_ratio", "survival_prob",
    "survival_rate", "survival_probability", "retain_prob", "retain_rate", "retain_probability",
)  # fmt: skip


TRAINING_NAMES = ("training", "train", "is_training", "is_train", "train_mode", "training_mode")


# True for these means "do not drop": Flax says `deterministic`, Equinox `inference`.
EVAL_NAMES = ("deterministic", "inference", "eval_mode", "is_eval", "inference_mode")


POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Slot:
    """An argument with a role; if `flipped`, it takes 1 - p, or the opposite of training."""

    name: str
    flipped: bool = False
    guessed: bool = False


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()


def pick(names: Iterable[str], known: Iterable[str]) -> str | None:
    """The name of the first known name that exists; `dropProb` and `drop_prob_` are `drop_prob`."""
    given = {_squeezed(name): name for name in names}
    return next((given[_squeezed(k)] for k in known if _squeezed(k) in given), None)


def of_parts(names: Iterable[str]) -> list[str]:
    """The names that say to which dropout the rate belongs."""
    return [name for name in names if _squeezed(name) in _PARTS]


def one_of_parts(name: str, names: Iterable[str]) -> str | None:
    """The only name that says to which dropout the rate belongs; several are an error."""
    found = of_parts(names)
    if len(found) > 1:
        raise target_error(
            name, "to have one drop probability", f"several: {listed(found)}", HOW_TO_STATE
        )
    return found[0] if found else None


_PARTS = frozenset(map(_squeezed, PART_NAMES))


def p_slot(name: str, reading: Reading, hints: Hints) -> Slot | None:
    """The argument that carries p, as stated or by its name."""
    if hints.p is not None or hints.keep is not None:
        flag = "--p-name" if hints.p is not None else "--keep-prob"
        slot = Slot(cast(str, hints.p or hints.keep), flipped=hints.p is None)
        _check_hint(name, reading, slot.name, flag)
        return slot
    names = reading.signature.parameters.keys()
    drop = pick(names, hints.spec.parameters + P_NAMES)
    keep = pick(names, KEEP_NAMES)
    if drop is not None:
        return Slot(drop)
    if keep is not None:
        return Slot(keep, flipped=True)
    # A parameter without a value is preferred: a default or a partial sets the others.
    free = reading.free
    required = [n for n, v in free.items() if v.default is Parameter.empty]
    choices = (group for group in (required, free, names) if of_parts(group))
    part = one_of_parts(name, next(choices, ()))
    return Slot(part) if part is not None else None


def training_slot(name: str, reading: Reading, hints: Hints) -> Slot | None:
    """The argument that says whether to drop, as stated or by its name."""
    if hints.training is not None:
        _check_hint(name, reading, hints.training, "--training-name")
        return Slot(hints.training, flipped=pick([hints.training], EVAL_NAMES) is not None)
    names = reading.signature.parameters.keys()
    live, still = pick(names, TRAINING_NAMES), pick(names, EVAL_NAMES)
    if live is not None:
        return Slot(live)
    return Slot(still, flipped=True) if still is not None else None


def _check_hint(name: str, reading: Reading, argument: str, flag: str) -> None:
    if argument in reading.signature.parameters or reading.takes_any_keyword or reading.assumed:
        return
    names = list(reading.signature.parameters)
    near = difflib.get_close_matches(argument, names, n=2)
    raise target_error(
        name,
        f"to take the argument {argument!r} that {flag} names",
        f"the arguments ({', '.join(names)})",
        f"close to it: {', '.join(near)}" if near else "",
    )


def first_rate(reading: Reading, taken: Iterable[str]) -> Slot | None:
    """The first remaining argument that could be a probability: not a flag, text or a tensor."""
    for name, parameter in reading.free.items():
        if name not in taken and parameter.kind in POSITIONAL:
            return Slot(name, guessed=True) if _may_be_rate(parameter) else None
    return None


def _may_be_rate(parameter: Parameter) -> bool:
    annotation, default = parameter.annotation, parameter.default
    if annotation is not Parameter.empty and annotation not in (float, Any, "float", "Any"):
        return False
    is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
    return default is Parameter.empty or is_number


def first_input(reading: Reading, roles: Iterable[Slot | None]) -> str | None:
    """The argument that takes x: the first that has no other role."""
    taken = {slot.name for slot in roles if slot is not None}
    return next((n for n, p in reading.free.items() if n not in taken), None)


def require_input(name: str, reading: Reading, argument: str | None) -> None:
    takes_args = any(
        p.kind is Parameter.VAR_POSITIONAL for p in reading.signature.parameters.values()
    )
    if argument is None and not takes_args:
        raise target_error(
            name,
            "to take a tensor as its first argument",
            f"the arguments ({', '.join(reading.signature.parameters)})",
        )


def input_names(name: str, reading: Reading, spec: Spec) -> dict[str, str]:
    """The target's names for the further inputs of its kind; a bias may be missing."""
    found = {role: pick(reading.free, names) for role, names in spec.inputs.items()}
    lacking = [role for role, argument in found.items() if argument is None and role != "bias"]
    if lacking:
        raise target_error(
            name,
            f"to take {listed(lacking)}, as {spec.name} does",
            f"the arguments ({', '.join(reading.signature.parameters)})",
        )
    return {role: argument for role, argument in found.items() if argument is not None}


def constants(reading: Reading, spec: Spec) -> dict[str, Any]:
    """The arguments that the kind requires, those that the target accepts."""
    return {name: value for name, value in spec.arguments.items() if name in reading.free}


def no_p(
    name: str, article: str, reading: Reading, taken: Iterable[str | None] = ()
) -> TargetError:
    """The error of a target without a p; `taken` are the arguments that have another role."""
    arguments = ", ".join(reading.signature.parameters)
    others = [parameter for n, parameter in reading.free.items() if n not in set(taken)]
    could_be = reading.takes_any_keyword or any(map(_may_be_rate, others))
    return target_error(
        name,
        "to take the drop probability",
        f"a {article} with the arguments ({arguments}), none of them named like one "
        f"({', '.join(P_NAMES[:4])}, ..., {KEEP_NAMES[0]}, ...)",
        HOW_TO_STATE if could_be else f"none of its arguments {NOTHING_TO_STATE}",
    )


def drop_or_keep(slot: Slot, p: Any) -> Any:
    """The value of the argument for p. A wrong p is passed unchanged, for the target to reject."""
    is_number = isinstance(p, (int, float)) and not isinstance(p, bool)
    return 1 - p if slot.flipped and is_number else p


def guesses(reading: Reading, slot: Slot) -> str:
    """Notes for the report on how p was found."""
    if reading.assumed:
        return "; no readable signature, so p is passed by position"
    if slot.guessed:
        return f"; `{slot.name}` is taken as p, since it is the first argument that can be"
    return f"; `{slot.name}` is read as a keep probability" if slot.flipped else ""
