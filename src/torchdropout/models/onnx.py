"""ONNX in training mode: the translations of this package's operators."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .._core.contract.keep import scale as inverted_scale
from .._core.contract.noise import Law
from ..errors import ArgumentValueError

_EVAL = "export the model in eval: torch.onnx.export(model.eval(), ...)"
_REFUSED = ("drop_blocks", "counted_affine", "choose")


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table with which `torch.onnx.export` exports in training mode; requires `onnxscript`.

    A dropout of single elements becomes the node `Dropout` with `training_mode`, as torch's does;
    one that scales differently, or whose elements share their draws, uses the mask of such a
    node; noise becomes `RandomNormalLike` or `RandomUniformLike`. The masks are then those of the
    runtime, with the same distribution, and not those of the contract. In eval no operator of this
    package is exported, and no table is needed.

    Returns:
        A new table, for one call: `torch.onnx.export(..., custom_translation_table=table)`.

    Raises:
        ModuleNotFoundError: `onnxscript` is not installed.
        ArgumentValueError: In the export, which reports it within its own error: a mask has a given
            key, or one drawn key gives several masks, as in a recurrent layer; or the operator is
            that of DropBlock, of a fixed count, or of `ConcreteDropout`.

    Example:
        >>> import torch, torchdropout as td
        >>> table = td.onnx.translation_table()  # doctest: +SKIP
        >>> model = td.nn.Dropout(0.5).train()
        >>> program = torch.onnx.export(
        ...     model, (torch.ones(3),), dynamo=True, custom_translation_table=table
        ... )  # doctest: +SKIP

    Reference:
        ONNX, operator `Dropout`: https://onnx.ai/onnx/operators/onnx__Dropout.html
    """
    operators = torch.ops.torchdropout
    translations = _Translations()
    names = ("draw_keys", "masked_affine", "noise_affine")
    known = {getattr(operators, name).default: getattr(translations, name) for name in names}
    refused = {getattr(operators, name).default: _refusing(name) for name in _REFUSED}
    return {operator: _function(made) for operator, made in {**known, **refused}.items()}


class _Translations:
    """The functions of one export, which note the keys that were used."""

    def __init__(self) -> None:
        self._op: Any = importlib.import_module("onnxscript").opset18
        self._drawn: list[Any] = []

    def draw_keys(self, like: Any, size: Sequence[int]) -> Any:
        """A placeholder for the draw, which the runtime makes itself: nothing uses the result."""
        key = self._op.Identity(like)
        self._drawn.append(key)
        return key

    def masked_affine(
        self,
        x: Any,
        key: Any,
        p: float,
        scale: float,
        shift: float,
        drop_value: float,
        base: Any,
        strides: Sequence[Any],
    ) -> Any:
        """`keep ? x * scale + shift : drop_value`."""
        self._use(key)
        op = self._op
        plain = (scale, shift, drop_value) == (inverted_scale(p), 0.0, 0.0)
        # An optimiser folds a node of a weight into a constant, but not one with two outputs.
        if p < 1.0 and plain and not _shares(strides) and not _is_weight(x):
            y, _ = op.Dropout(x, op.Constant(value_float=p), _true(op))
            return y
        dropped = self._like(drop_value, x)
        if p == 1.0:
            return op.Expand(dropped, op.Shape(x))
        _, keep = op.Dropout(self._ones(x, strides), op.Constant(value_float=p), _true(op))
        kept = op.Mul(x, self._like(scale, x))
        if shift != 0.0:
            kept = op.Add(kept, self._like(shift, x))
        return op.Where(keep, kept, dropped)

    def noise_affine(
        self,
        x: Any,
        key: Any,
        law: int,
        factor: float,
        addend: float,
        base: Any,
        strides: Sequence[Any],
    ) -> Any:
        """`x * (1 + factor * e) + addend * e`."""
        self._use(key)
        op = self._op
        ones = self._ones(x, strides)
        if law == Law.NORMAL:
            e = op.RandomNormalLike(ones, dtype=1)
        elif law == Law.UNIFORM:
            e = op.RandomUniformLike(ones, dtype=1, low=-1.0, high=1.0)
        else:
            raise ArgumentValueError(f"Logistic noise has no translation to ONNX: {_EVAL}.")
        e = op.CastLike(e, x)
        y = x
        if factor != 0.0:
            y = op.Mul(y, op.Add(self._like(1.0, x), op.Mul(self._like(factor, x), e)))
        if addend != 0.0:
            y = op.Add(y, op.Mul(self._like(addend, x), e))
        return y

    def _like(self, number: float, x: Any) -> Any:
        return self._op.CastLike(self._op.Constant(value_float=number), x)

    def _ones(self, x: Any, strides: Sequence[Any]) -> Any:
        """Ones of the shape of the draws: of size 1 where elements share their draw."""
        op = self._op
        shape = op.Shape(x)
        if _shares(strides):
            own = op.Constant(value_ints=[int(not _is_zero(stride)) for stride in strides])
            shape = op.Where(op.Cast(own, to=9), shape, op.Constant(value_ints=[1] * len(strides)))
        return op.Expand(op.Constant(value_float=1.0), shape)

    def _use(self, key: Any) -> None:
        """Note that a key is used, for which the runtime draws a mask of its own."""
        places = [i for i, one in enumerate(self._drawn) if one is key]
        if not places:
            raise ArgumentValueError(
                "A mask has a translation to ONNX if its key is drawn in the call and used once, "
                "got one with a given key, or of several that share a key, as in a recurrent "
                f"layer: {_EVAL}."
            )
        del self._drawn[places[0]]


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ArgumentValueError(f"torchdropout.{name} has no translation to ONNX: {_EVAL}.")

    return refuse


def _function(made: Callable[..., Any]) -> Callable[..., Any]:
    """A function, because torch sets attributes on it, which a method does not allow."""
    return lambda *args: made(*args)


def _is_weight(x: Any) -> bool:
    """Whether a value depends on weights and constants alone."""
    waiting, known = [x], {id(x)}
    while waiting:
        value = waiting.pop()
        node = value.producer()
        # torch.export gives such names to non-inputs; torch.onnx has only the names at this time.
        if node is None and not str(value.name).startswith(("p_", "b_", "c_")):
            return False
        before = [] if node is None else [one for one in node.inputs if one is not None]
        waiting += [one for one in before if id(one) not in known]
        known |= set(map(id, before))
    return True


def _true(op: Any) -> Any:
    return op.Cast(op.Constant(value_int=1), to=9)


def _shares(strides: Sequence[Any]) -> bool:
    return any(map(_is_zero, strides))


def _is_zero(stride: Any) -> bool:
    return isinstance(stride, int) and stride == 0
