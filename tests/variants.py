"""Every function and module that drops, once: how it is called and what it computes.

An entry of `FUNCTIONS` or `MODULES` is all that the suites of `tests/functional` and `tests/nn`
ask about a variant, and `tests/digest.py` too. Only public names are imported here, so that an
entry is valid for any state of the library; `definitions.py` has the formulas.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from torchdropout import Key, MaskLayout, nn
from torchdropout import functional as F

REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
COMPLEX = (torch.complex128, torch.complex64, torch.complex32)
KEY = Key(2**63 + 5, 2**40 + 1)


@dataclass(frozen=True)
class Function:
    """A function with the options of one variant.

    Args:
        function: What the library offers.
        shapes: The sizes of its tensors, the first of which is dropped.
        definition: The name of a formula in `definitions.py`, and what it is of.
        options: Arguments that are always given.
        p: The name of the argument that says how much; None where a tensor says it.
        amount: Its usual value.
        shared: Dimensions that share draws.
        drawn: The sizes of what is drawn, from those of the tensors, where these differ.
        rest: What the call gives in eval, from the tensors, where it is not the first itself.
        one: What it gives at p = 1, from the tensors; None where p = 1 is refused or keeps some.
        linear: Whether its derivative is the map itself.
        exact: Whether it has the bits of the definition; if not, products or an exponential round.
        keeps: Whether more than the key is kept for the backward.
        complex_ok: Whether it accepts complex numbers.
        nested_ok: Whether it accepts nested tensors.
        adapt: Calls the function with the tensors above.
        samples: The dimension of the samples in the result.
    """

    function: Callable[..., Any]
    shapes: Sequence[tuple[int, ...]]
    definition: Sequence[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    p: str | None = "p"
    amount: float = 0.4
    shared: tuple[int, ...] = ()
    drawn: Callable[..., Sequence[int]] | None = None
    rest: Callable[..., torch.Tensor] | None = None
    one: Callable[..., torch.Tensor] | None = lambda x, *_: 0 * x
    linear: bool = True
    exact: bool = True
    keeps: bool = False
    complex_ok: bool = False
    nested_ok: bool = False
    adapt: Callable[..., Any] | None = None
    samples: int = 0

    def __call__(self, *tensors: torch.Tensor, key: Any = None, p: Any = None, **given: Any) -> Any:
        """Call it in training, unless something else is given."""
        options: dict[str, Any] = {**self.options, "training": True}
        if self.p is not None:
            options[self.p] = self.amount if p is None else p
        if key is not None:
            options[self.key_name] = key
        return (self.adapt or self.function)(*tensors, **options | given)

    @property
    def key_name(self) -> str:
        return "dropout_key" if self.takes("dropout_key") else "key"

    def takes(self, argument: str) -> bool:
        return argument in inspect.signature(self.function).parameters

    def tensors(self, dtype: torch.dtype = torch.float32, grad: bool = False) -> list[torch.Tensor]:
        """Normal values, the same in every call."""
        generator = torch.Generator().manual_seed(1)
        wide = torch.complex128 if dtype.is_complex else torch.float64
        found = [torch.randn(shape, dtype=wide, generator=generator) for shape in self.shapes]
        return [x.to(dtype).requires_grad_(grad) for x in found]

    def layout(self, dims: Sequence[int] = ()) -> MaskLayout:
        """The layout of a call without one."""
        shape = self.shapes[0] if self.drawn is None else self.drawn(*self.shapes)
        return MaskLayout.of(tuple(shape), (*self.shared, *dims))

    def defined(
        self,
        tensors: Sequence[torch.Tensor],
        layout: MaskLayout | None = None,
        p: float | None = None,
    ) -> Any:
        """What the contract says that a call with `KEY` gives."""
        name, *rest = self.definition
        formula = getattr(importlib.import_module("definitions"), name)
        amount = None if self.p is None else self.amount if p is None else p
        return formula(*rest)(tensors, amount, KEY, layout or self.layout())

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        return REAL + COMPLEX if self.complex_ok else REAL


WORDS = torch.tensor([[3, 0, 3, 5], [1, 4, 2, 2]])


def _looked_up(weight: torch.Tensor, **given: Any) -> torch.Tensor:
    return F.embedding_dropout(WORDS, weight, **given)


def _added(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor, **given: Any) -> Any:
    return F.dropout_add(x, residual, bias=bias, **given)


def _scores(q: Sequence[int], k: Sequence[int], v: Sequence[int]) -> Sequence[int]:
    return (*q[:-1], k[-2])


def _attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def _pruned(weight: torch.Tensor, log_sigma2: torch.Tensor) -> torch.Tensor:
    noisy = log_sigma2.exp() > torch.tensor(3.0).exp() * weight.square()
    return weight.masked_fill(noisy, 0.0)


def _blocks(
    function: Callable[..., Any], shape: tuple[int, ...], dims: int, block: int, **given: Any
) -> Function:
    """A function of blocks in the last dimensions; what is given are fields of `Function`."""
    definition = [given.pop("formula", "blocks"), dims, block]
    options = {"block_size": block, **given.pop("options", {})}

    def seeds(x: Sequence[int]) -> Sequence[int]:
        return (*x[:-dims], *(n + block - 1 for n in x[-dims:]))

    return Function(function, [shape], definition, options, amount=0.3, drawn=seeds, **given)


_mask = functools.partial(Function, definition=["dropped"], complex_ok=True)
_shift = functools.partial(Function, definition=["alpha"], linear=False)
_noise = functools.partial(Function, one=None)
_counted = functools.partial(Function, F.n_m_dropout, p=None, one=None)
_tokens = functools.partial(
    Function, F.token_dropout, [(4, 9, 3)], one=None, linear=False, keeps=True, complex_ok=True
)
_learned = functools.partial(Function, p=None, one=None, linear=False, exact=False, keeps=True)
_plane, _volume = (2, 3, 6, 5), (3, 4, 3, 2, 3)
FUNCTIONS: dict[str, Function] = {
    "dropout": _mask(F.dropout, [(4, 3, 5)], nested_ok=True),
    "dropout1d": _mask(F.dropout1d, [(4, 3, 5)], shared=(2,)),
    "dropout2d": _mask(F.dropout2d, [_plane], shared=(2, 3)),
    "dropout3d": _mask(F.dropout3d, [_volume], shared=(2, 3, 4)),
    "alpha_dropout": _shift(F.alpha_dropout, [(4, 3, 5)], nested_ok=True),
    "feature_alpha_dropout": _shift(F.feature_alpha_dropout, [_plane], shared=(2, 3)),
    "drop_path": _mask(F.drop_path, [(6, 3, 4)], shared=(1, 2)),
    "drop_path, a batch": _mask(
        F.drop_path, [(6, 3, 4)], options={"mode": "batch"}, shared=(0, 1, 2)
    ),
    "drop_path, unscaled": _mask(
        F.drop_path,
        [(6, 3, 4)],
        definition=["selected"],
        options={"scale_by_keep": False},
        shared=(1, 2),
    ),
    "drop_connect": _mask(F.drop_connect, [(6, 5)]),
    "locked_dropout": _mask(F.locked_dropout, [(4, 5, 3)], shared=(1,)),
    "locked_dropout, time first": _mask(
        F.locked_dropout, [(5, 4, 3)], options={"time_dim": -3}, shared=(0,)
    ),
    "drop_block1d": _blocks(F.drop_block1d, (4, 3, 12), 1, 3),
    "drop_block2d": _blocks(F.drop_block2d, _plane, 2, 3),
    "drop_block2d, all channels": _blocks(
        F.drop_block2d, _plane, 2, 2, options={"per_channel": False}, shared=(1,)
    ),
    "drop_block2d, by count": _blocks(
        F.drop_block2d,
        _plane,
        2,
        2,
        formula="blocks_by_count",
        options={"scale": "count", "eps": 0.0},
        exact=False,
    ),
    "drop_block3d": _blocks(F.drop_block3d, _volume, 3, 2),
    "gaussian_dropout": _noise(F.gaussian_dropout, [(4, 3, 5)], ["gaussian"]),
    "feature_gaussian_dropout": _noise(
        F.feature_gaussian_dropout, [_plane], ["gaussian"], shared=(2, 3)
    ),
    "gaussian_noise": _noise(
        F.gaussian_noise, [(4, 3, 5)], ["gaussian_noise"], p="sigma", linear=False
    ),
    "uniform_dropout": _noise(F.uniform_dropout, [(4, 3, 5)], ["uniform"], p="beta"),
    "n_m_dropout": _counted([(3, 2, 8)], ["counted", -1, 4, 3], {"n": 3}),
    "n_m_dropout, the first": _counted(
        [(6, 5)], ["counted", 0, 3, 1, False], {"n": 1, "m": 3, "dim": 0, "scale_by_keep": False}
    ),
    "column_dropout": Function(F.column_dropout, [(4, 3, 7)], ["counted", -1], shared=(0, 1)),
    "column_dropout, of a row": Function(
        F.column_dropout,
        [(4, 7, 3)],
        ["counted", 1, None, None, False],
        {"mode": "row", "dim": 1, "scale_by_keep": False},
        shared=(2,),
    ),
    "token_dropout": _tokens(
        ["tokens", 1], {"num_prefix_tokens": 1}, drawn=lambda x: (x[0], x[1] - 1)
    ),
    "token_dropout, ordered": _tokens(
        ["tokens", 0, True], {"ordered": True}, drawn=lambda x: x[:2]
    ),
    "zoneout": Function(
        F.zoneout,
        [(6, 5)] * 2,
        ["zoneout"],
        rest=lambda new, old: 0.4 * old + 0.6 * new,
        one=lambda new, old: old,
        linear=False,
        complex_ok=True,
    ),
    "dropout_add": Function(
        F.dropout_add,
        [(6, 5), (6, 5), (5,)],
        ["added"],
        rest=lambda x, residual, bias: residual + (x + bias),
        one=lambda x, residual, bias: residual,
        linear=False,
        adapt=_added,
    ),
    "multi_sample_dropout": Function(
        F.multi_sample_dropout,
        [(4, 5)],
        ["samples", 3],
        {"samples": 3},
        drawn=lambda x: (3, *x),
        rest=lambda x: x.expand(3, *x.shape),
        one=lambda x: 0 * x.expand(3, *x.shape),
        linear=False,
        complex_ok=True,
        samples=1,
    ),
    "embedding_dropout": Function(
        F.embedding_dropout,
        [(6, 3)],
        ["looked_up"],
        shared=(1,),
        rest=lambda weight: weight[WORDS],
        one=lambda weight: 0 * weight[WORDS],
        linear=False,
        keeps=True,
        complex_ok=True,
        adapt=_looked_up,
    ),
    "scaled_dot_product_attention": Function(
        F.scaled_dot_product_attention,
        [(2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 2)],
        ["attended"],
        p="dropout_p",
        drawn=_scores,
        one=lambda q, k, v: 0 * _attended(q, k, v),
        linear=False,
        exact=False,
        keeps=True,
        adapt=lambda *qkv, training, **given: F.scaled_dot_product_attention(
            *qkv, **given if training else given | {"dropout_p": 0.0}
        ),
        rest=_attended,
    ),
    "concrete_dropout": _learned(F.concrete_dropout, [(4, 5), (5,)], ["concrete"]),
    "variational_dropout": _learned(F.variational_dropout, [(4, 5), (5,)], ["variational"]),
    "variational_linear": _learned(
        F.variational_linear,
        [(4, 5), (3, 5), (3, 5), (3,)],
        ["variational_layer", "linear"],
        drawn=lambda x, weight, *_: (*x[:-1], weight[0]),
        rest=lambda x, w, s, b: torch.nn.functional.linear(x, _pruned(w, s), b),
    ),
    "variational_conv2d": _learned(
        F.variational_conv2d,
        [(3, 2, 5, 4), (3, 2, 2, 3), (3, 2, 2, 3), (3,)],
        ["variational_layer", "conv2d"],
        drawn=lambda x, weight, *_: (x[0], weight[0], x[2] - 1, x[3] - 2),
        rest=lambda x, w, s, b: torch.nn.functional.conv2d(x, _pruned(w, s), b),
    ),
}
# Public functions without an entry: one draws nothing, the other gives a mask of a shape alone.
OTHERS = {"r_drop", "keep_mask"}


@dataclass(frozen=True)
class Module:
    """A module.

    Args:
        make: Makes it, given how much is dropped.
        text: What `repr` says of it, between the brackets, or the first line of it.
        of: The name of the function that it is; None if it has a layer of its own.
        inputs: The tensors of a call, of a module that is not a function's.
        p: The name of the attribute that says how much; None where it cannot be set.
        state: The names in its state_dict.
        pickles: Whether it can be pickled: torch pickles no parametrization.
    """

    make: Callable[..., torch.nn.Module]
    text: str
    of: str | None = None
    inputs: Callable[[], Sequence[torch.Tensor]] | None = None
    p: str | None = "p"
    state: tuple[str, ...] = ()
    pickles: bool = True

    def tensors(self) -> Sequence[torch.Tensor]:
        if self.inputs is not None:
            return self.inputs()
        assert self.of is not None
        return [WORDS] if self.of == "embedding_dropout" else FUNCTIONS[self.of].tensors()

    def built(self, p: float = 0.4) -> torch.nn.Module:
        """The module in training, with the same weights in every call."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make(p)


def _rows() -> list[torch.Tensor]:
    return [torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(1))]


def _linear() -> torch.nn.Module:
    return torch.nn.Linear(6, 6)


_plain = "p=0.4, inplace=False"
_of_block = "p=0.4, block_size={}, inplace=False"
_layer = functools.partial(Module, inputs=_rows)
_gates = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
MODULES: dict[str, Module] = {
    "Dropout": Module(nn.Dropout, _plain, "dropout"),
    "Dropout1d": Module(nn.Dropout1d, _plain, "dropout1d"),
    "Dropout2d": Module(nn.Dropout2d, _plain, "dropout2d"),
    "Dropout3d": Module(nn.Dropout3d, _plain, "dropout3d"),
    "AlphaDropout": Module(nn.AlphaDropout, _plain, "alpha_dropout"),
    "FeatureAlphaDropout": Module(nn.FeatureAlphaDropout, _plain, "feature_alpha_dropout"),
    "GaussianDropout": Module(nn.GaussianDropout, _plain, "gaussian_dropout"),
    "FeatureGaussianDropout": Module(nn.FeatureGaussianDropout, _plain, "feature_gaussian_dropout"),
    "GaussianNoise": Module(
        nn.GaussianNoise, "sigma=0.4, inplace=False", "gaussian_noise", p="sigma"
    ),
    "UniformDropout": Module(
        nn.UniformDropout, "beta=0.4, inplace=False", "uniform_dropout", p="beta"
    ),
    "DropPath": Module(nn.DropPath, "p=0.4, scale_by_keep=True", "drop_path"),
    "DropPath, unscaled": Module(
        lambda p: nn.DropPath(p, False), "p=0.4, scale_by_keep=False", "drop_path, unscaled"
    ),
    "StochasticDepth": Module(
        lambda p: nn.StochasticDepth(p, "row"), "p=0.4, mode=row", "drop_path"
    ),
    "StochasticDepth, a batch": Module(
        lambda p: nn.StochasticDepth(p, "batch"), "p=0.4, mode=batch", "drop_path, a batch"
    ),
    "LockedDropout": Module(nn.LockedDropout, "p=0.4, time_dim=1", "locked_dropout"),
    "LockedDropout, time first": Module(
        lambda p: nn.LockedDropout(p, -3), "p=0.4, time_dim=-3", "locked_dropout, time first"
    ),
    "DropBlock1d": Module(lambda p: nn.DropBlock1d(p, 3), _of_block.format(3), "drop_block1d"),
    "DropBlock2d": Module(lambda p: nn.DropBlock2d(p, 3), _of_block.format(3), "drop_block2d"),
    "DropBlock2d, all channels": Module(
        lambda p: nn.DropBlock2d(p, 2, per_channel=False),
        _of_block.format(2) + ", per_channel=False",
        "drop_block2d, all channels",
    ),
    "DropBlock2d, by count": Module(
        lambda p: nn.DropBlock2d(p, 2, eps=0.0, scale="count"),
        _of_block.format(2) + ", scale='count'",
        "drop_block2d, by count",
    ),
    "DropBlock3d": Module(lambda p: nn.DropBlock3d(p, 2), _of_block.format(2), "drop_block3d"),
    "NMDropout": Module(lambda p: nn.NMDropout(3, 4), "n=3, m=4", "n_m_dropout", p=None),
    "NMDropout, the first": Module(
        lambda p: nn.NMDropout(1, 3, dim=0, scale_by_keep=False),
        "n=1, m=3, dim=0, scale_by_keep=False",
        "n_m_dropout, the first",
        p=None,
    ),
    "ColumnDropout": Module(nn.ColumnDropout, "p=0.4, mode=batch", "column_dropout"),
    "ColumnDropout, of a row": Module(
        lambda p: nn.ColumnDropout(p, dim=1, mode="row", scale_by_keep=False),
        "p=0.4, mode=row, dim=1, scale_by_keep=False",
        "column_dropout, of a row",
    ),
    "TokenDropout": Module(nn.TokenDropout, "p=0.4, num_prefix_tokens=1", "token_dropout"),
    "TokenDropout, ordered": Module(
        lambda p: nn.TokenDropout(p, 0, True),
        "p=0.4, num_prefix_tokens=0, ordered=True",
        "token_dropout, ordered",
    ),
    "Zoneout": Module(nn.Zoneout, "p=0.4", "zoneout"),
    "DropoutAdd": Module(nn.DropoutAdd, "p=0.4", "dropout_add"),
    "EmbeddingDropout": Module(
        lambda p: nn.EmbeddingDropout(torch.nn.Embedding(6, 3), p),
        "p=0.4",
        inputs=lambda: [WORDS],
        state=("emb.weight",),
    ),
    "MultiSampleDropout": _layer(
        lambda p: nn.MultiSampleDropout(p, _linear(), 3),
        "p=0.4, samples=3, reduce='mean', batched=False",
        state=("head.weight", "head.bias"),
    ),
    "MultiheadAttention": Module(
        lambda p: nn.MultiheadAttention(6, 2, p),
        "embed_dim=6, num_heads=2, dropout=0.4, batch_first=False",
        inputs=lambda: _rows() * 3,
        p="dropout",
        state=("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"),
    ),
    "LSTM": _layer(
        lambda p: nn.LSTM(6, 3, recurrent_dropout=p, zoneout_cell=0.2),
        "6, 3, recurrent_dropout=0.4, zoneout_cell=0.2",
        p="recurrent_dropout",
        state=_gates,
    ),
    "GRU": _layer(
        lambda p: nn.GRU(6, 3, input_dropout=p),
        "6, 3, input_dropout=0.4",
        p="input_dropout",
        state=_gates,
    ),
    "LayerDrop": _layer(
        lambda p: nn.LayerDrop(_linear(), p),
        "p=0.4, scale_by_keep=False, residual=True",
        state=("branch.weight", "branch.bias"),
    ),
    "WeightDrop": _layer(
        lambda p: nn.WeightDrop(_linear(), p, "weight"),
        "p=0.4, names=('weight',)",
        state=("module.bias", "module.parametrizations.weight.original"),
        pickles=False,
    ),
    "ConcreteDropout": _layer(
        lambda p: nn.ConcreteDropout(_linear(), init_min=p, init_max=p),
        "p=0.4, weight_regularizer=1e-06, dropout_regularizer=1e-05, input_dim=6",
        p=None,
        state=("p_logit", "layer.weight", "layer.bias"),
    ),
    "VariationalDropout": _layer(nn.VariationalDropout, "p=0.4", p=None, state=("log_alpha",)),
    "VariationalLinear": _layer(
        lambda p: nn.VariationalLinear(6, 3, init_log_sigma2=-2.0),
        "in_features=6, out_features=3, bias=True, threshold=3",
        p=None,
        state=("weight", "bias", "log_sigma2"),
    ),
    "VariationalConv2d": Module(
        lambda p: nn.VariationalConv2d(5, 3, 2, init_log_sigma2=-2.0),
        "5, 3, kernel_size=(2, 2), stride=(1, 1), threshold=3",
        inputs=lambda: [_rows()[0][None]],
        p=None,
        state=("weight", "bias", "log_sigma2"),
    ),
}


def first(result: Any) -> torch.Tensor:
    """The output, of a module that returns more."""
    found = result[0] if isinstance(result, tuple) else result
    assert isinstance(found, torch.Tensor)
    return found


def keyed(module: torch.nn.Module, tensors: Sequence[torch.Tensor], key: Any = KEY) -> torch.Tensor:
    """The output of a module that is given a key."""
    named = inspect.signature(type(module).forward).parameters
    # `key` of attention is a tensor.
    is_key = "key" in named and not isinstance(module, torch.nn.MultiheadAttention)
    return first(module(*tensors, **{"key" if is_key else "dropout_key": key}))


def seeded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call whose draws are the same in every run."""
    torch.manual_seed(3)
    return function(*args, **kwargs)
