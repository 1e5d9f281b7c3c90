"""The functions that draw, and how each gets a key: torch's, random numbers, our own family."""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch.nn import functional as torch_F
from torch.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pad_packed_sequence,
)

from ... import functional as F
from ... import nn as own_nn
from ..._core import _torch
from ...functional._recurrent import PER_SAMPLE_BITS, unpacked_weights
from ...functional.attention import attention_of_passes
from ._watch import Draw, Watcher

Handler = Callable[..., Any]
HANDLERS: dict[Any, Handler] = {}


def _of(*functions: Any) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for function in functions:
            HANDLERS[function] = handler
        return handler

    return register


def _same(x: Any, *_: Any) -> Any:
    return x


# --- Dropout functions of torch ------------------------------------------------------------------


def _dropped(watcher: Watcher, func: Any, args: Any, kwargs: Any) -> Any:
    """A call `(input, p, training, inplace)` as a call of our function of the same name."""
    ours, default = _DROPOUTS[func]
    x, p, training, inplace = _bound(default, args, kwargs)
    if not (training or watcher.active().forced) or (type(p) in (int, float) and p == 0):
        watcher.next_site()
        return func(*args, **kwargs)

    def compute(
        x: torch.Tensor, key: Any, layout: Any, rate: Any = p, fresh: bool = False
    ) -> torch.Tensor:
        return ours(x, rate, True, inplace and not fresh, key=key, layout=layout)

    how: dict[str, Any] = {"aligned": True, "rated": True, "inplace": inplace, "by_rows": True}
    how["inner"] = 0 if ours is F.dropout or ours is F.alpha_dropout else None
    plain = ours is F.dropout and not inplace
    return watcher.draw(Draw(ours.__name__, p, (x,), compute, _same, **how, plain=plain))


def _bound(default: tuple[Any, ...], args: Sequence[Any], kwargs: Any) -> tuple[Any, ...]:
    """Input, p, training and inplace of a call, with defaults for the last three."""
    given = [*args, *(None, *default)[len(args) :]]
    for name, value in kwargs.items():
        given[_PLACES[name]] = value
    return tuple(given)


_PLACES = {"input": 0, "p": 1, "training": 2, "train": 2, "inplace": 3}
# Our function, and the defaults of p, training and inplace.
_DROPOUTS: dict[Any, tuple[Callable[..., torch.Tensor], tuple[Any, ...]]] = {
    torch_F.dropout: (F.dropout, (0.5, True, False)),
    torch_F.dropout1d: (F.dropout1d, (0.5, True, False)),
    torch_F.dropout2d: (F.dropout2d, (0.5, True, False)),
    torch_F.dropout3d: (F.dropout3d, (0.5, True, False)),
    torch_F.alpha_dropout: (F.alpha_dropout, (0.5, False, False)),
    torch_F.feature_alpha_dropout: (F.feature_alpha_dropout, (0.5, False, False)),
    # These require p and train.
    torch.dropout: (F.dropout, (None, None, False)),
    torch.dropout_: (F.dropout, (None, None, True)),
    torch.alpha_dropout: (F.alpha_dropout, (None, None, False)),
    torch.alpha_dropout_: (F.alpha_dropout, (None, None, True)),
    torch.feature_alpha_dropout: (F.feature_alpha_dropout, (None, None, False)),
    torch.feature_alpha_dropout_: (F.feature_alpha_dropout, (None, None, True)),
}


@_of(*_DROPOUTS)
def _dropout(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
    return _dropped(watcher, func, args, kwargs)


@_of(torch_F.scaled_dot_product_attention)
def _attention(
    watcher: Watcher,
    func: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Any:
    if dropout_p == 0.0:
        watcher.next_site()
        return func(query, key, value, attn_mask, dropout_p, is_causal, **options)

    def compute(
        q: Any, k: Any, v: Any, mask: Any, key: Any, layout: Any, rate: Any = dropout_p
    ) -> torch.Tensor:
        ours = F.scaled_dot_product_attention
        return ours(q, k, v, mask, rate, is_causal, **options, dropout_key=key, layout=layout)

    def passes(
        q: Any, k: Any, v: Any, mask: Any, keys: Any, layout: Any, rate: Any = dropout_p
    ) -> torch.Tensor | None:
        return attention_of_passes(q, k, v, mask, rate, is_causal, keys, layout, **options)

    def mean(q: Any, k: Any, v: Any, mask: Any) -> torch.Tensor:
        return torch_F.scaled_dot_product_attention(q, k, v, mask, 0.0, is_causal, **options)

    tensors = (query, key, value, attn_mask)
    how: dict[str, Any] = {"aligned": True, "rated": True, "by_rows": True}
    how |= {"passes": passes, "inner": 2}
    return watcher.draw(
        Draw("scaled_dot_product_attention", dropout_p, tensors, compute, mean, **how)
    )


def new_watcher() -> Watcher:
    """A watcher that knows all handlers."""
    watcher = Watcher(HANDLERS, injected)
    watcher.multi_head = _with_parts(
        cast("types.FunctionType", torch_F.multi_head_attention_forward), watcher
    )
    return watcher


def _with_parts(function: Any, watcher: Watcher) -> types.FunctionType:
    """A function of torch that calls our dropout and attention, and no mode.

    It is a copy with other globals: nothing of torch changes.
    """

    def dropout(x: torch.Tensor, p: float, training: bool = True) -> Any:
        return _dropped(watcher, torch_F.dropout, (x, p, training), {})

    def attention(q: Any, k: Any, v: Any, mask: Any, dropout_p: float, is_causal: bool) -> Any:
        func = torch_F.scaled_dot_product_attention
        return _attention(watcher, func, q, k, v, mask, dropout_p, is_causal)

    scope = dict(function.__globals__)
    scope["has_torch_function"] = lambda *_: False
    scope["dropout"] = dropout
    scope["scaled_dot_product_attention"] = attention
    del scope["__name__"]  # else the compiler would look for these in torch's module
    copy = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@_of(torch_F.multi_head_attention_forward)
def _multi_head(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
    if watcher.active().forced:
        kwargs = {**kwargs, "training": True}
    return watcher.multi_head(*args, **kwargs)


# --- Checkpointed regions ------------------------------------------------------------------------


@_of(_torch.set_grad_enabled)
def _grad_mode(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Gradients are turned off when a reentrant region begins, and on when a graph runs.

    This shows a region that begins with a compiled function, which no hook precedes.
    """
    found = func(*args, **kwargs)
    watcher.note_checkpoint()
    return found


# --- Recurrent layers ----------------------------------------------------------------------------


@_of(torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
def _recurrent(watcher: Watcher, func: Any, *args: Any) -> Any:
    """The layers one by one, with our dropout between them."""
    packed = not isinstance(args[3], bool)
    x, second, third, *rest = args
    if packed:
        sizes, hx, (weights, biases, layers, p, training, both) = second, third, rest
        batch_first: tuple[Any, ...] = ()
    else:
        sizes, hx, weights = None, second, third
        biases, layers, p, training, both, first = rest
        batch_first = (first,)
    if layers == 1 or p == 0 or not (training or watcher.active().forced):
        watcher.next_site()
        return func(*args)
    states = hx if isinstance(hx, tuple) else (hx,)
    directions, each = 2 if both else 1, len(weights) // layers
    last: list[list[torch.Tensor]] = []
    with unpacked_weights(x.is_cuda):
        for layer in range(layers):
            shape = x.shape
            if layer > 0 and sizes is None:
                x = _dropped(watcher, torch_F.dropout, (x, p, True), {})
            elif layer > 0:
                x = _dropped_packed(watcher, x, sizes, p)
            if x.shape != shape:  # torch would read beyond the states without noticing
                raise RuntimeError(
                    f"Expected a draw between recurrent layers of shape {tuple(shape)}, got "
                    f"{tuple(x.shape)}: the states have one row for each input."
                )
            of_layer = tuple(s[layer * directions : (layer + 1) * directions] for s in states)
            inner = of_layer if isinstance(hx, tuple) else of_layer[0]
            own = weights[layer * each : (layer + 1) * each]
            options = (biases, 1, 0.0, training, both, *batch_first)
            given = (x, inner, own) if sizes is None else (x, sizes, inner, own)
            x, *found = func(*given, *options)
            last.append(found)
    return (x, *(torch.cat(states) for states in zip(*last, strict=True)))


def _dropped_packed(watcher: Watcher, x: torch.Tensor, sizes: torch.Tensor, p: float) -> Any:
    """Dropout of the rows of a packed sequence, where each step has one row per sample.

    A sample has the same draws whatever its place in the sorted order and the length of the others.
    """
    order = watcher.order

    def compute(x: torch.Tensor, key: Any, layout: Any, rate: Any = p) -> torch.Tensor:
        back = None if order is None else invert_permutation(order)
        packed = PackedSequence(x, sizes, order, back)
        padded, lengths = pad_packed_sequence(packed)
        apart = layout.apart(1 << PER_SAMPLE_BITS)
        y = F.dropout(padded, rate, True, key=key, layout=apart)
        lengths = lengths if order is None else lengths[order.cpu()]
        y = y if order is None else y.index_select(1, order)
        return pack_padded_sequence(y, lengths).data

    return watcher.draw(Draw("dropout", p, (x,), compute, _same, rated=True))


def _note_order(watcher: Watcher, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
    """Note how a packed sequence was sorted, which torch's layer does not pass on."""
    given = args[0] if args else kwargs.get("input")
    watcher.order = given.sorted_indices if isinstance(given, PackedSequence) else None


# --- Random numbers ------------------------------------------------------------------------------


def _keep(
    watcher: Watcher, x: torch.Tensor, keep: Any, finish: Callable[[torch.Tensor], Any] | None
) -> Any:
    """Ones with probability `keep` and zeros, of the shape of x."""
    each = isinstance(keep, torch.Tensor) and keep.ndim > 0

    def compute(
        x: torch.Tensor, keep: Any = keep, *, key: Any, layout: Any, rate: Any = None
    ) -> torch.Tensor:
        ones = torch.ones_like(x, dtype=torch.bfloat16)  # a DTensor if x is one
        p = 1.0 - keep if rate is None else rate
        return (F.dropout(ones, p, True, key=key, layout=layout) != 0).to(x.dtype)

    def mean(x: torch.Tensor, keep: Any = keep) -> torch.Tensor:
        return torch.as_tensor(keep, dtype=x.dtype, device=x.device).expand(x.shape)

    how: dict[str, Any] = {"aligned": True, "by_rows": True, "inner": None if each else 0}
    tensors = (x, keep) if each else (x,)
    return watcher.draw(Draw("bernoulli", 1.0 - keep, tensors, compute, mean, **how, finish=finish))


@_of(torch.Tensor.bernoulli_)
def _bernoulli_(
    watcher: Watcher, func: Any, x: torch.Tensor, p: Any = 0.5, *, generator: Any = None
) -> Any:
    if generator is not None:
        return func(x, p, generator=generator)
    return _keep(watcher, x, p, x.copy_)


@_of(torch.bernoulli, torch.Tensor.bernoulli)
def _bernoulli(watcher: Watcher, func: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get("generator") is not None:
        return func(x, *args, **kwargs)
    keep = args[0] if args else kwargs.get("p", x)
    out = kwargs.get("out")
    return _keep(watcher, x, keep, None if out is None else out.copy_)


def _numbers(
    watcher: Watcher, kind: str, x: torch.Tensor, finish: Callable[[torch.Tensor], Any]
) -> Any:
    """Standard uniform or normal numbers of the shape of x."""

    def compute(x: torch.Tensor, key: Any, layout: Any) -> torch.Tensor:
        if kind == "randn":
            zeros = torch.zeros_like(x, dtype=torch.float32)  # in which all noise is computed
            return F.gaussian_noise(zeros, 1.0, key=key, layout=layout).to(x.dtype)
        ones = torch.ones_like(x, dtype=torch.float64)
        # 1 + e / 2 is u + 1 / 2 with 25 bits of u, and 24 of them make a float32 in [0, 1).
        u = F.uniform_dropout(ones, 0.5, key=key, layout=layout) - 0.5
        steps = 2.0 ** min(24, _digits(x.dtype))
        return (torch.floor(u * steps) / steps).to(x.dtype)

    # A threshold may follow, about which the mean says nothing.
    mean = torch.zeros_like if kind == "randn" else None
    how: dict[str, Any] = {"aligned": True, "by_rows": True, "inner": 0}
    return watcher.draw(Draw(kind, None, (x,), compute, mean, **how, finish=finish))


def _digits(dtype: torch.dtype) -> int:
    """Binary digits of a number's significand."""
    return 1 - int(math.log2(torch.finfo(dtype).eps))


def _fresh(kind: str, like: bool) -> Handler:
    empty = torch.empty_like if like else torch.empty

    def handle(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        out = kwargs.get("out")
        x = empty(*args, **{k: v for k, v in kwargs.items() if k != "generator"})
        if not x.is_floating_point():
            return _unreached(kind)(watcher, func, *args, **kwargs)

        def fill(found: torch.Tensor) -> torch.Tensor:
            if out is not None:
                return x.copy_(found)
            return found.requires_grad_() if kwargs.get("requires_grad") else found

        return _numbers(watcher, kind, x, fill)

    return handle


for _kind in ("rand", "randn"):
    HANDLERS[getattr(torch, _kind)] = _fresh(_kind, False)
    HANDLERS[getattr(torch, f"{_kind}_like")] = _fresh(_kind, True)


@_of(torch.Tensor.uniform_)
def _uniform_(
    watcher: Watcher, func: Any, x: Any, a: float = 0.0, b: float = 1.0, **kw: Any
) -> Any:
    low, high = kw.get("from", a), kw.get("to", b)
    if kw.get("generator") is not None:
        return func(x, low, high, generator=kw["generator"])
    return _numbers(watcher, "rand", x, lambda u: x.copy_(u * (high - low) + low))


@_of(torch.Tensor.normal_)
def _normal_(
    watcher: Watcher,
    func: Any,
    x: Any,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Any = None,
) -> Any:
    if generator is not None:
        return func(x, mean, std, generator=generator)
    return _numbers(watcher, "randn", x, lambda e: x.copy_(e * std + mean))


@_of(torch.nn.init.uniform_, torch.nn.init.normal_)
def _filled(
    watcher: Watcher, func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any
) -> torch.Tensor:
    fill = torch.Tensor.uniform_ if func is torch.nn.init.uniform_ else torch.Tensor.normal_
    with torch.no_grad():
        found: torch.Tensor = HANDLERS[fill](watcher, fill, tensor, *args, **kwargs)
        return found


def _unreached(name: str) -> Handler:
    def handle(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("generator"), kwargs.get("_random_samples")
        if all(numbers is None for numbers in given):
            watcher.active().unreached(watcher.next_site(), name)
        return func(*args, **kwargs)

    return handle


for _owner, _names in (
    (torch, "randint randint_like randperm multinomial poisson normal binomial native_dropout"),
    (torch, "feature_dropout feature_dropout_ rrelu rrelu_"),
    (torch.Tensor, "random_ exponential_ geometric_ cauchy_ log_normal_ multinomial"),
    (torch_F, "gumbel_softmax fractional_max_pool2d fractional_max_pool3d"),
    (torch_F, "fractional_max_pool2d_with_indices fractional_max_pool3d_with_indices"),
    (torch.nn.init, "kaiming_uniform_"),
):
    for _name in _names.split():
        if hasattr(_owner, _name):
            HANDLERS[getattr(_owner, _name)] = _unreached(_name)
for _function in _torch.HIDDEN_DRAWS:
    HANDLERS[_function] = _unreached(_function.__name__.strip("_"))


@_of(torch_F.rrelu)
def _rrelu(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get("training", args[3] if len(args) > 3 else False):
        watcher.active().unreached(watcher.next_site(), "rrelu")
    return func(*args, **kwargs)


def _unseen(handler: Handler) -> Handler:
    """A handler for functions about which torch's compiler does not call a mode."""

    def handle(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
        watcher.active().unseen(func.__name__)
        return handler(watcher, func, *args, **kwargs)

    return handle


for _function in (
    *(torch.dropout_, torch.alpha_dropout_, torch.feature_alpha_dropout_),
    *(torch.rand_like, torch.randn_like, torch.nn.init.uniform_, torch.nn.init.normal_),
    *(() if _torch.asks_about_factories else (torch.rand, torch.randn)),
):
    HANDLERS[_function] = _unseen(HANDLERS[_function])


# --- Our own family ------------------------------------------------------------------------------


class _Parameters(NamedTuple):
    """Names and defaults of a function, in a form that a compiler can follow."""

    names: tuple[str, ...]
    defaults: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> _Parameters:
        found = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in found if p.default is not p.empty}
        return cls(tuple(p.name for p in found), defaults)

    def bind(self, args: Sequence[Any], kwargs: Any) -> dict[str, Any]:
        """All arguments of a call by name."""
        return {**self.defaults, **dict(zip(self.names, args, strict=False)), **kwargs}


# Functions that draw for each element, whatever the dimensions.
_ELEMENTWISE = (
    F.dropout,
    F.alpha_dropout,
    F.gaussian_dropout,
    F.gaussian_noise,
    F.uniform_dropout,
)


def _own(ours: Callable[..., Any]) -> Handler:
    parameters = _Parameters.of(ours)
    first, gated = parameters.names[0], "training" in parameters.names
    # Functions that can write into a tensor like the input draw in the dimensions of the input.
    elementwise = "out" in parameters.names
    of_elements = ours in _ELEMENTWISE

    def handle(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
        given = parameters.bind(args, kwargs)
        if any(given[name] is not None for name in ("key", "generator", "layout")):
            return ours(**given)
        if gated and watcher.active().forced:
            given["training"] = True
        rate = given.get("p")
        none = type(rate) in (int, float) and rate == 0
        if none or (gated and given.get("training") is False):
            watcher.next_site()
            return ours(**given)

        def compute(x: Any, key: Any, layout: Any, rate: Any = rate, fresh: bool = False) -> Any:
            call = {**given, first: x, "key": key, "layout": layout}
            if "p" in call:
                call["p"] = rate
            if fresh:
                call["inplace"] = False
            return ours(**call)

        def mean(x: Any) -> Any:
            return ours(**{**given, first: x, "training": False})

        aligned = elementwise and given.get("out") is None
        plain = aligned and ours is F.dropout
        if plain:
            plain = not (given["inplace"] or given["broadcast_dims"])
        how: dict[str, Any] = {"aligned": aligned, "rated": "p" in given}
        how["inplace"] = bool(given.get("inplace"))
        others = (value for name, value in given.items() if name != first)
        how["by_rows"] = aligned and not any(isinstance(v, torch.Tensor) and v.ndim for v in others)
        if of_elements and not (given["broadcast_dims"] or isinstance(rate, torch.Tensor)):
            how["inner"] = 0
        tensors, found = (given[first],), mean if gated else None
        return watcher.draw(Draw(ours.__name__, rate, tensors, compute, found, **how, plain=plain))

    return handle


for _name, _function in vars(F).items():
    if not _name.startswith("_") and isinstance(_function, types.FunctionType):
        _parameters = inspect.signature(_function).parameters
        if "layout" in _parameters and _name not in ("scaled_dot_product_attention", "keep_mask"):
            HANDLERS[_function] = _own(_function)


@_of(F.keep_mask)
def _mask(watcher: Watcher, func: Any, shape: Any, p: Any, **kwargs: Any) -> Any:
    if any(kwargs[name] is not None for name in ("key", "generator", "layout")):
        return func(shape, p, **kwargs)

    def compute(key: Any, layout: Any) -> torch.Tensor:
        return F.keep_mask(shape, p, **{**kwargs, "key": key, "layout": layout})

    return watcher.draw(Draw("keep_mask", p, (), compute, None))


@_of(F.scaled_dot_product_attention)
def _own_attention(watcher: Watcher, func: Any, *args: Any, **kwargs: Any) -> Any:
    if any(kwargs.get(n) is not None for n in ("dropout_key", "generator", "layout")):
        return func(*args, **kwargs)
    return _attention(watcher, func, *args, **kwargs)


def injected(module: torch.nn.Module) -> Callable[..., Any] | None:
    """The hook that gives a key to a module of ours that draws by itself."""
    if isinstance(module, own_nn.MultiheadAttention):
        return functools.partial(_inject, "dropout_key", "layout")
    if isinstance(module, (own_nn.LayerDrop, own_nn.WeightDrop)):
        return functools.partial(_inject, "dropout_key", None)
    if isinstance(module, (own_nn.LSTM, own_nn.GRU)):
        return functools.partial(_inject, "key", "batch_start")
    if isinstance(module, own_nn.EmbeddingDropout):
        return functools.partial(_inject, "key", None)
    if isinstance(module, torch.nn.RNNBase):
        return _note_order
    return None


def _inject(
    name: str,
    place: str | None,
    watcher: Watcher,
    module: torch.nn.Module,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    if not module.training or any(kwargs.get(n) is not None for n in (name, "generator")):
        return None
    given = dict(kwargs)

    def compute(key: Any, layout: Any) -> None:
        given[name] = key
        if place == "layout":
            given[place] = layout
        elif place is not None:
            given[place] = layout.first_sample(key, 1 << PER_SAMPLE_BITS)

    watcher.draw(Draw(type(module).__name__, getattr(module, "p", None), (), compute, None))
    return args, given
