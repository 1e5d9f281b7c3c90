"""Words in names, and which names suggest training."""

from __future__ import annotations

import re
from functools import lru_cache

_TRAINING = frozenset(
    (
        *("train", "training", "trains", "eval", "evaluate", "evaluating", "evaluation"),
        *("infer", "inference", "test", "testing", "deterministic", "determinism", "mode"),
        *("phase", "stage", "predict", "predicting", "prediction", "mc", "stochastic"),
        *("validate", "validation", "valid", "val", "generate", "generating", "sampling", "grad"),
    )
)
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@lru_cache(maxsize=65536)
def words(name: str) -> tuple[str, ...]:
    """Splits a name into words, in lower case.

    Example:
        >>> words("isTraining_now")
        ('is', 'training', 'now')
    """
    return tuple(word.lower() for word in _WORD.findall(name))


@lru_cache(maxsize=65536)
def speaks_of_training(name: str) -> bool:
    """Whether a name may distinguish training from evaluation.

    In doubt True: what counts as a test of training is not reported.

    Example:
        >>> [speaks_of_training(n) for n in ("is_train", "self_training", "pretrained", "istrain")]
        [True, True, False, True]
    """
    said = words(name)
    return any(
        word in _TRAINING or (word.endswith(("train", "training")) and not word.startswith("pre"))
        for word in said
    ) and not (said[0] == "pre" and len(said) > 1 and said[1].startswith("train"))


def trains(name: str) -> bool:
    """Whether a function, by its name, runs only in training: `training_step`, `forward_train`.

    Example:
        >>> [trains(n) for n in ("training_step", "train_and_evaluate", "forward")]
        [True, False, False]
    """
    said = words(name)
    return any(word in ("train", "training") for word in said) and not any(
        word in _TRAINING - {"train", "training"} for word in said
    )


_PRETRAINED = re.compile(r"(?!TF|Flax)\w*PreTrainedModel|PreTrainedBertModel")


def is_pretrained(name: str) -> bool:
    """Whether a class is a base of transformers' models for torch, by its name.

    Example:
        >>> [is_pretrained(n) for n in ("BertPreTrainedModel", "TFPreTrainedModel", "BertModel")]
        [True, False, False]
    """
    return _PRETRAINED.fullmatch(name) is not None
