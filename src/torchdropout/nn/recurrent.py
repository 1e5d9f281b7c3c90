"""LSTM and GRU with dropout of the input, between layers and of the state, and with zoneout."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .._core._validate import (
    check_bool,
    check_count,
    check_dense,
    check_device,
    check_input,
    check_p,
    check_unsigned,
    check_word,
    wrong_type,
    wrong_value,
)
from ..functional._autocast import autocast_dtype
from ..functional._bernoulli import inverted, unscaled
from ..functional._key import attempt, check_source
from ..functional._rate import Rate, RatePair, drops
from ..functional._recurrent import (
    PER_SAMPLE_BITS,
    Cell,
    Draws,
    Masks,
    MaskSites,
    Mode,
    Rates,
    States,
    gru_cell,
    lstm_cell,
    pack_like,
    run,
    sites_of,
    unpacked_weights,
)
from ..functional._shards import is_spread
from ..functional.zoneout import draw
from ..random import Key
from ._module import WholeModule

_RATES = ("input_dropout", "dropout", "recurrent_dropout", "zoneout_hidden")
_OF_A_CELL = "zoneout_cell"


class _Recurrent(WholeModule, torch.nn.RNNBase):
    """The base of LSTM and GRU: their rates, and the pass through the layers."""

    _rate_names: tuple[str, ...] = _RATES
    # For each rate that was set, the tensor that a compiled graph reads: see `functional._rate`.
    _traced: Mapping[str, Rate | None] = MappingProxyType({})

    input_dropout: float
    recurrent_dropout: float
    recurrent_mode: Mode
    locked: bool
    zoneout_hidden: float
    _cell: Cell

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._rate_names:
            value = check_p(value, name)
        elif name == _OF_A_CELL:
            raise AttributeError(f"{type(self).__name__} has no `{name}`, as it has no cell state.")
        super().__setattr__(name, value)
        if name in self._rate_names:
            self._keep_in_step(name)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_traced"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name in self._rate_names:
            if name in state:
                self._keep_in_step(name)

    def _keep_in_step(self, name: str) -> None:
        p = getattr(self, name)
        # Zoneout scales nothing.
        keyed_map = unscaled(p) if name.startswith("zoneout") else inverted(p)
        vars(self)["_traced"] = {**self._traced, name: Rate.of(p, keyed_map.constants)}

    def _place(self, name: str) -> RatePair:
        return RatePair.of(self, name, self._traced.get(name))

    def _rates(self) -> Rates:
        return Rates(
            self._place("input_dropout"),
            self._place("dropout") if self.num_layers > 1 else RatePair(0.0),
            check_bool("locked", self.locked),
            self._place("recurrent_dropout"),
            check_mode(self.recurrent_mode),
            tuple(self._place(name) for name in self._rate_names if name.startswith("zoneout")),
        )

    def _widths(self) -> list[int]:
        """The width of each state."""
        return [self.proj_size or self.hidden_size]

    def extra_repr(self) -> str:
        """The text of torch, and the arguments that differ from the defaults."""
        needed = {"proj_size", "locked", "recurrent_mode", *self._rate_names}
        if not needed <= vars(self).keys():
            return ""  # the compiler shows a module that is still being built
        text = super().extra_repr()
        for name in self._rate_names:
            if name != "dropout" and getattr(self, name):
                text += f", {name}={getattr(self, name)}"
        if self.recurrent_dropout and self.recurrent_mode != "state":
            text += f", recurrent_mode={self.recurrent_mode!r}"
        return text + (", locked=True" if self.locked else "")

    def forward(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        key: Key | None = None,
        generator: torch.Generator | None = None,
        batch_start: int = 0,
    ) -> tuple[Any, Any]:
        """Run the layer like torch's, with its dropout.

        Args:
            input: `(T, N, F)`, or `(N, T, F)` with batch_first, or `(T, F)`; or a packed sequence.
            hx: The states before the first step; by default zeros.
            key: Names all masks of the call; nothing is drawn.
            generator: Draws the key from this generator instead of torch's default one.
            batch_start: For a micro-batch, the number of its first sample within the batch, below
                2^24: each sample then has the masks that it has in the whole batch.

        Returns:
            The output of the last layer, and the states after the last step.
        """
        rates = self._rates()
        data = input.data if isinstance(input, PackedSequence) else input
        check_dense("input", check_input(data))
        self._check_not_spread(data, hx)
        check_source(key, generator, data)
        check_unsigned("batch_start", batch_start, 64 - PER_SAMPLE_BITS)
        dropped = (rates.input, rates.between, rates.recurrent) if self.training else ()
        if not any(drops(place.here()) for place in (*dropped, *rates.zoneout)):
            return super().forward(input, hx)  # type: ignore[no-any-return]
        return self._dropped(input, hx, rates, (key, generator, batch_start))

    def _check_not_spread(self, x: torch.Tensor, hx: Any) -> None:
        """Check that no tensor is a DTensor, for which torch has no recurrent layers.

        Raises:
            ArgumentTypeError: One is a DTensor.
        """
        states = hx if isinstance(hx, (tuple, list)) else (hx,)
        for name, tensor in (("input", x), *(("hx", state) for state in states)):
            if is_spread(tensor):
                expected = (
                    "not a DTensor, which torch's recurrent layers do not accept: shard it along "
                    f"the batch, and pass {name}.to_local() and, as batch_start, the number of its "
                    "first sample"
                )
                wrong_type(name, expected, tensor)
        # Not read as an attribute, which a parametrization would compute.
        name, weight = next(self.named_parameters(), ("", None))
        if is_spread(weight):
            expected = "not a DTensor, which torch's recurrent layers do not accept: replicate it"
            wrong_type(name, expected, weight)

    def _dropped(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any,
        rates: Rates,
        source: tuple[Key | None, torch.Generator | None, int],
    ) -> tuple[Any, Any]:
        packed = input if isinstance(input, PackedSequence) else None
        batch_dim = 0 if self.batch_first else 1
        alone = packed is None and cast("torch.Tensor", input).ndim == 2
        there = None
        if packed is None:
            x = cast("torch.Tensor", input)
            if x.ndim not in (2, 3):
                wrong_value("input", "of 2 dimensions, (T, F), or of 3, with a batch", x)
            x = x.unsqueeze(batch_dim) if alone else x
            states = self._states(hx, x, None, alone)
            x = x.transpose(0, 1) if self.batch_first else x
        else:
            states = self._states(hx, packed.data, packed.batch_sizes, False)
            x, lengths = pad_packed_sequence(packed)
            ended = torch.arange(len(x))[:, None, None] >= lengths[:, None]
            if ended.any():
                there = (~ended).to(x.device).unbind(0)
        if len(x) == 0:
            wrong_value("input", "of one or more steps", input)
        # The steps replace torch's own layer, and get the dtype that autocast would give it.
        dtype = autocast_dtype(x)
        if dtype is not None:
            x, states = x.to(dtype), tuple(state.to(dtype) for state in states)
        else:
            self._check_types(x, states)
        key, generator, batch_start = source
        widths, shape = self._widths(), (self.num_layers, 2 if self.bidirectional else 1)
        sites = sites_of(rates, self.input_size, widths, self.hidden_size, shape)

        def layers() -> tuple[torch.Tensor, States]:
            draws = None
            if self.training:
                draws = Draws(draw(x, key, generator), sites.per_step, batch_start)
            return self._layers(x, states, rates, sites, draws, packed, there)

        y, after = attempt(key, generator, layers)
        if packed is not None:
            return pack_like(y, packed), _as_hx(after)
        y = y.transpose(0, 1) if self.batch_first else y
        if alone:
            y, after = y.squeeze(batch_dim), tuple(state.squeeze(1) for state in after)
        return y, _as_hx(after)

    def _states(
        self, hx: Any, x: torch.Tensor, batch_sizes: torch.Tensor | None, alone: bool
    ) -> States:
        """The states before the first step, with the sizes that torch requires."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = x.shape[0] if self.batch_first else x.shape[1]
        widths = self._widths()
        if hx is None:
            rows = self.num_layers * (2 if self.bidirectional else 1)
            states = tuple(x.new_zeros(rows, batch, width) for width in widths)
        else:
            states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
            if len(states) != len(widths) or not all(isinstance(s, torch.Tensor) for s in states):
                wrong_type("hx", "a tensor" if len(widths) == 1 else "two tensors, (h, c)", hx)
            for state in states:
                if state.ndim != (2 if alone else 3):
                    wrong_value(
                        "hx", f"of {2 if alone else 3} dimensions, as the input has them", state
                    )
            states = tuple(s.unsqueeze(1) for s in states) if alone else states
        self.check_forward_args(x, _as_hx(states), batch_sizes)
        return states

    def _check_types(self, x: torch.Tensor, states: States) -> None:
        """Check what torch would refuse only in the first step, after a key has been drawn."""
        weight = cast("torch.Tensor", self.weight_ih_l0)
        for name, t in (("input", x), *(("hx", state) for state in states)):
            if t.dtype != weight.dtype:
                wrong_type(name, f"of the dtype of the weights, {weight.dtype}", t)
            check_device(name, t, weight.device, "on the device of the weights")

    def _layers(
        self,
        x: torch.Tensor,
        states: States,
        rates: Rates,
        sites: MaskSites,
        draws: Draws | None,
        packed: PackedSequence | None,
        there: Any,
    ) -> tuple[torch.Tensor, States]:
        directions = 2 if self.bidirectional else 1
        # torch's own steps, a layer at a time, unless something is dropped within the steps.
        whole = not any(drops(place.here()) for place in (rates.recurrent, *rates.zoneout))
        weights = self.all_weights
        after: list[States] = []
        for layer in range(self.num_layers):
            if draws is not None:
                p, site = rates.between, sites.input
                if layer == 0:
                    p = rates.input
                else:
                    site = sites.between[layer - 1]
                x = draws.of_sequence(x, p, site)
            rows = slice(layer * directions, (layer + 1) * directions)
            before = tuple(state[rows] for state in states)
            if whole:
                x, last = self._whole(x, before, [w for own in weights[rows] for w in own], packed)
                after.append(last)
                continue
            outputs = []
            for row in range(rows.start, rows.stop):
                masks = Masks(draws, rates, sites.recurrent[row], sites.zoneout[row])
                y, last = run(
                    type(self)._cell,
                    x,
                    tuple(state[row] for state in states),
                    self._in_order(weights[row]),
                    masks,
                    there,
                    reverse=row > rows.start,
                )
                outputs.append(y)
                after.append(tuple(state.unsqueeze(0) for state in last))
            x = torch.cat(outputs, -1) if directions == 2 else outputs[0]
        return x, tuple(torch.cat(parts) for parts in zip(*after, strict=True))

    def _in_order(self, weights: list[Any]) -> list[Any]:
        """W_ih, b_ih, W_hh, b_hh, W_hr; None for those that do not exist."""
        w_ih, w_hh, *rest = weights
        b_ih, b_hh, *last = rest if self.bias else (None, None, *rest)
        return [w_ih, b_ih, w_hh, b_hh, last[0] if last else None]

    def _whole(
        self,
        x: torch.Tensor,
        states: States,
        weights: list[torch.Tensor],
        packed: PackedSequence | None,
    ) -> tuple[torch.Tensor, States]:
        """Run a layer by torch's own function."""
        function = getattr(torch, self.mode.lower())
        rest = (weights, self.bias, 1, 0.0, self.training, self.bidirectional)
        with unpacked_weights(x.is_cuda):
            if packed is None:
                y, *last = function(x, _as_hx(states), *rest, False)
                return y, tuple(last)
            part = pack_like(x, packed)
            if packed.sorted_indices is not None:
                states = tuple(s.index_select(1, packed.sorted_indices) for s in states)
            y, *last = function(part.data, part.batch_sizes, _as_hx(states), *rest)
        if packed.unsorted_indices is not None:
            last = [state.index_select(1, packed.unsorted_indices) for state in last]
        x, _ = pad_packed_sequence(part._replace(data=y))
        return x, tuple(last)


def _as_hx(states: States) -> Any:
    return states if len(states) > 1 else states[0]


def check_mode(mode: Any) -> Mode:
    """Check what recurrent dropout drops: the state, or its update."""
    return check_word("recurrent_mode", mode, "state", "update")  # type: ignore[no-any-return]


def _checked(mode: Any, locked: Any, **rates: Any) -> dict[str, Any]:
    """The attributes that torch's layers lack, checked before these draw their weights."""
    own = {"recurrent_mode": check_mode(mode), "locked": check_bool("locked", locked)}
    return own | {name: check_p(p, name) for name, p in rates.items()}


class LSTM(_Recurrent, torch.nn.LSTM):
    r"""`torch.nn.LSTM`, with dropout within its steps, of its input and between its layers.

        i, f, g, o = W_ih d_x(x_t) + b_ih + W_hh d_h(h_{t-1}) + b_hh   (sigmoid; g: tanh)
        c_t = f c_{t-1} + i d_g(g)
        h_t = o tanh(c_t)

    where each d is dropout, `v / (1 - p)` where kept, else 0: `d_x` by `input_dropout`, and either
    `d_h` or `d_g` by `recurrent_dropout`. Then zoneout keeps units of h and of c at their old
    values; h_t is computed from the c_t before zoneout, as published. In eval nothing is dropped,
    and zoneout takes the expectation.

    The arguments, the parameters and their keys in the `state_dict` are those of `torch.nn.LSTM`,
    whose own kernels run wherever nothing is dropped within the steps. One call draws one key. Mask
    indices are row-major over (sample, step, place, feature), 2^40 from one sample to the next. So
    with a key, a sample has the same masks in a micro-batch, given its `batch_start`, as in the
    batch, packed or padded, whatever the lengths of the others.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        num_layers: How many layers.
        bias: False for no biases.
        batch_first: True for `(N, T, F)`.
        dropout: Drop probability of the output of each layer but the last, as in torch: a draw for
            each element. With `locked` one for all steps.
        bidirectional: True for a second direction.
        proj_size: Features that h is projected to; 0 for no projection.
        device: As in torch.
        dtype: As in torch.
        input_dropout: Drop probability of the features of the input, one draw for all steps (Gal).
        recurrent_dropout: Drop probability of the recurrent state, or of its update.
        recurrent_mode: `"state"` drops h_{t-1} where it meets the weights, one draw for all steps
            (Gal; Keras). `"update"` drops the candidate g, one draw per step, so no dropped unit
            forgets what c holds (Semeniuta).
        locked: True for one draw of `dropout` for all steps.
        zoneout_hidden: Probability that a unit of h keeps its old value (Krueger).
        zoneout_cell: Probability that a unit of c does.

    Shape:
        As in `torch.nn.LSTM`, packed sequences included.

    Raises:
        ArgumentTypeError: A rate is not a number, locked not a bool, or recurrent_mode not a
            string; at the call, hx is not two tensors.
        ArgumentValueError: A rate is NaN or outside [0, 1], or recurrent_mode an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> lstm = td.nn.LSTM(4, 8, 2, dropout=0.2, locked=True, recurrent_dropout=0.3)
        >>> lstm
        LSTM(4, 8, num_layers=2, dropout=0.2, recurrent_dropout=0.3, locked=True)
        >>> y, (h, c) = lstm(torch.randn(5, 3, 4))
        >>> plain = torch.nn.LSTM(4, 8, 2)
        >>> plain.load_state_dict(lstm.state_dict())
        <All keys matched successfully>

    Reference:
        Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
        neural networks", NIPS 2016; S. Semeniuta et al., "Recurrent dropout without memory loss",
        COLING 2016; D. Krueger et al., "Zoneout", ICLR 2017.
    """

    _cell = staticmethod(lstm_cell)
    _rate_names = (*_RATES, _OF_A_CELL)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        recurrent_mode: Mode = "state",
        locked: bool = False,
        zoneout_hidden: float = 0.0,
        zoneout_cell: float = 0.0,
    ) -> None:
        checked = _checked(
            recurrent_mode,
            locked,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            zoneout_hidden=zoneout_hidden,
            zoneout_cell=zoneout_cell,
        )
        super().__init__(
            input_size,
            hidden_size,
            check_count("num_layers", num_layers),
            bias,
            batch_first,
            check_p(dropout, "dropout"),
            bidirectional,
            check_count("proj_size", proj_size, 0),
            device,
            dtype,
        )
        for name, value in checked.items():
            setattr(self, name, value)

    def _widths(self) -> list[int]:
        return [self.proj_size or self.hidden_size, self.hidden_size]


class GRU(_Recurrent, torch.nn.GRU):
    r"""`torch.nn.GRU`, with dropout within its steps, of its input and between its layers.

        r, z = sigmoid(W_i d_x(x_t) + b_i + W_h d_h(h_{t-1}) + b_h)
        n = tanh(W_in d_x(x_t) + b_in + r (W_hn d_h(h_{t-1}) + b_hn))
        h_t = (1 - z) d_n(n) + z h_{t-1}

    where each d is dropout, `v / (1 - p)` where kept, else 0: `d_x` by `input_dropout`, and either
    `d_h` or `d_n` by `recurrent_dropout`. Then zoneout keeps units of h at their old values. In
    eval nothing is dropped, and zoneout takes the expectation. All else is as in `LSTM`.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        num_layers: How many layers.
        bias: False for no biases.
        batch_first: True for `(N, T, F)`.
        dropout: Drop probability of the output of each layer but the last, as in torch: a draw for
            each element. With `locked` one for all steps.
        bidirectional: True for a second direction.
        device: As in torch.
        dtype: As in torch.
        input_dropout: Drop probability of the features of the input, one draw for all steps (Gal).
        recurrent_dropout: Drop probability of the recurrent state, or of its update.
        recurrent_mode: `"state"` drops h_{t-1} where it meets the weights, one draw for all steps
            (Gal; Keras). `"update"` drops the candidate n, one draw per step (Semeniuta).
        locked: True for one draw of `dropout` for all steps.
        zoneout_hidden: Probability that a unit of h keeps its old value (Krueger).

    Shape:
        As in `torch.nn.GRU`, packed sequences included.

    Raises:
        ArgumentTypeError: A rate is not a number, locked not a bool, or recurrent_mode not a
            string; at the call, hx is not a tensor.
        ArgumentValueError: A rate is NaN or outside [0, 1], or recurrent_mode an unknown word.

    Example:
        >>> import torch, torchdropout as td
        >>> gru = td.nn.GRU(4, 8, recurrent_dropout=0.3, recurrent_mode="update")
        >>> gru
        GRU(4, 8, recurrent_dropout=0.3, recurrent_mode='update')
        >>> y, h = gru(torch.randn(5, 3, 4))

    Reference:
        As `LSTM`.
    """

    _cell = staticmethod(gru_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        recurrent_mode: Mode = "state",
        locked: bool = False,
        zoneout_hidden: float = 0.0,
    ) -> None:
        checked = _checked(
            recurrent_mode,
            locked,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            zoneout_hidden=zoneout_hidden,
        )
        super().__init__(
            input_size,
            hidden_size,
            check_count("num_layers", num_layers),
            bias,
            batch_first,
            check_p(dropout, "dropout"),
            bidirectional,
            device=device,
            dtype=dtype,
        )
        for name, value in checked.items():
            setattr(self, name, value)
