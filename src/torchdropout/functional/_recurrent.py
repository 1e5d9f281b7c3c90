"""The mechanism of the recurrent layers: masks of a whole call from one key, and the steps."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence

from .._core.contract.seed import as_int64
from ..random import Key
from ._bernoulli import inverted
from ._call import by_operator, compute
from ._rate import Probability, RatePair, drops
from .zoneout import expectation, select

Mode = Literal["state", "update"]
States = tuple[torch.Tensor, ...]
Drop = Callable[[torch.Tensor], torch.Tensor]


class Rates(NamedTuple):
    """The probabilities of a recurrent layer; unused ones are 0.

    Attributes:
        input: For the features of the input, one draw for all steps.
        between: For the output of each layer but the last.
        locked: True where `between` makes one draw for all steps.
        recurrent: For the recurrent state or its update.
        mode: Which of the two.
        zoneout: For each state, in the order of the states.
    """

    input: RatePair
    between: RatePair
    locked: bool
    recurrent: RatePair
    mode: Mode
    zoneout: tuple[RatePair, ...]


class MaskSite(NamedTuple):
    """A place in the network where a mask is used, and which mask indices of a step belong to it.

    Attributes:
        offset: The first of them.
        per_step: True where each step has its own draw, False where all have that of the first.
    """

    offset: int
    per_step: bool


class MaskSites(NamedTuple):
    """All the places of a call where masks are used.

    Attributes:
        input: Before the first layer.
        between: Before each further layer.
        recurrent: In each layer and direction.
        zoneout: In each layer and direction, one for each state.
        per_step: How many mask indices a step of a sample has in all.
    """

    input: MaskSite
    between: list[MaskSite]
    recurrent: list[MaskSite]
    zoneout: list[list[MaskSite]]
    per_step: int


# Mask indices from one sample to the next: far more than its steps have, so that no index depends
# on the number of steps of its own sequence or of another in the batch.
PER_SAMPLE_BITS = 40


def sites_of(
    rates: Rates,
    features: int,
    widths: Sequence[int],
    update: int,
    shape: Sequence[int],
) -> MaskSites:
    """Lay out the mask indices, row-major over samples, steps, places by layer, and features.

    A place has its indices in each step, whatever its rate is and whether or not the steps share
    those of the first: neither moves the masks of another place.

    Args:
        rates: Which places share a draw.
        features: Number of features of the input.
        widths: Width of each state; that of the output first.
        update: Width of the update of the state.
        shape: Number of layers, and of directions.
    """
    layers, directions = shape
    end = 0

    def place(width: int, per_step: bool) -> MaskSite:
        nonlocal end
        site = MaskSite(end, per_step)
        end += width
        return site

    by_update = rates.mode == "update"
    first = place(features, False)
    between, recurrent, zoneout = [], [], []
    for layer in range(layers):
        if layer > 0:
            between.append(place(widths[0] * directions, not rates.locked))
        for _ in range(directions):
            recurrent.append(place(update if by_update else widths[0], by_update))
            zoneout.append([place(width, True) for width in widths])
    return MaskSites(first, between, recurrent, zoneout, end)


class Draws:
    """The masks of one call: one key, and an index for each sample, place, step and feature."""

    def __init__(self, key: Key | torch.Tensor, per_step: int, batch_start: int) -> None:
        self.key = key
        self.per_step = per_step
        self.start = batch_start << PER_SAMPLE_BITS

    def of_sequence(self, x: torch.Tensor, p: RatePair, site: MaskSite) -> torch.Tensor:
        """Dropout of a sequence `(T, N, F)`."""
        strides = [self.per_step if site.per_step else 0, 1 << PER_SAMPLE_BITS, 1]
        return self._drop(x, p, self._base(site, 0), strides)

    def of_step(self, x: torch.Tensor, p: RatePair, site: MaskSite, step: int) -> torch.Tensor:
        """Dropout of the values of a step, `(N, F)`."""
        return self._drop(x, p, self._base(site, step), [1 << PER_SAMPLE_BITS, 1])

    def zoneout(
        self, new: torch.Tensor, old: torch.Tensor, p: Probability, site: MaskSite, step: int
    ) -> torch.Tensor:
        """Zoneout of a state `(N, F)` in a step."""
        return select(new, old, self.key, p, self._base(site, step), [1 << PER_SAMPLE_BITS, 1])

    def _base(self, site: MaskSite, step: int) -> int:
        steps = step * self.per_step if site.per_step else 0
        return as_int64(self.start + steps + site.offset)

    def _drop(
        self, x: torch.Tensor, place: RatePair, base: int, strides: list[int]
    ) -> torch.Tensor:
        p = place.here()
        if not drops(p):
            return x
        if isinstance(self.key, Key):
            return compute(x, inverted(p), base, strides, self.key)
        return by_operator(x, inverted(p), base, strides, self.key)


class Masks(NamedTuple):
    """What a layer drops in the steps of one direction; in eval there are no draws."""

    draws: Draws | None
    rates: Rates
    recurrent: MaskSite
    zoneout: list[MaskSite]

    def of_state(self, step: int) -> Drop:
        """What happens to the recurrent state before it is multiplied by the weights."""
        return self._drop(step) if self.rates.mode == "state" else _identity

    def of_update(self, step: int) -> Drop:
        """What happens to the update of the state."""
        return self._drop(step) if self.rates.mode == "update" else _identity

    def _drop(self, step: int) -> Drop:
        draws, p = self.draws, self.rates.recurrent
        if draws is None or not drops(p.here()):
            return _identity
        return lambda x: draws.of_step(x, p, self.recurrent, step)

    def zoned(self, new: States, old: States, step: int) -> States:
        """The states after a step."""
        after = []
        for n, o, place, site in zip(new, old, self.rates.zoneout, self.zoneout, strict=True):
            p = place.here()
            if not drops(p):
                after.append(n)
            elif self.draws is not None:
                after.append(self.draws.zoneout(n, o, p, site, step))
            else:
                after.append(expectation(n, o, p))
        return tuple(after)


def _identity(x: torch.Tensor) -> torch.Tensor:
    return x


Cell = Callable[[torch.Tensor, States, Sequence[torch.Tensor], Drop, Drop], States]


def lstm_cell(
    projected: torch.Tensor,
    states: States,
    weights: Sequence[torch.Tensor],
    of_state: Drop,
    of_update: Drop,
) -> States:
    """A step of an LSTM, after the input was multiplied by its weights.

    Args:
        projected: `W_ih x + b_ih`.
        states: h and c.
        weights: W_hh, b_hh or None, W_hr or None.
        of_state: Applied to h before it is multiplied.
        of_update: Applied to the candidate g before it is added to c.
    """
    h, c = states
    w_hh, b_hh, w_hr = weights
    gates = projected + linear(of_state(h), w_hh, b_hh)
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * of_update(g.tanh())
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else linear(h, w_hr)), c


def gru_cell(
    projected: torch.Tensor,
    states: States,
    weights: Sequence[torch.Tensor],
    of_state: Drop,
    of_update: Drop,
) -> States:
    """A step of a GRU; as `lstm_cell`, with only the state h, whose candidate is n."""
    (h,) = states
    w_hh, b_hh, _ = weights
    x_r, x_z, x_n = projected.chunk(3, -1)
    h_r, h_z, h_n = linear(of_state(h), w_hh, b_hh).chunk(3, -1)
    z = (x_z + h_z).sigmoid()
    n = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return ((1.0 - z) * of_update(n) + z * h,)


def run(
    cell: Cell,
    x: torch.Tensor,
    states: States,
    weights: Sequence[torch.Tensor],
    masks: Masks,
    there: Sequence[torch.Tensor] | None,
    *,
    reverse: bool,
) -> tuple[torch.Tensor, States]:
    """The steps of a layer in one direction.

    Args:
        cell: The function of a step.
        x: The input, `(T, N, F)`.
        states: The states before the first step.
        weights: W_ih, b_ih or None, then those of the cell.
        masks: What is dropped.
        there: For each step, `(N, 1)`, False where a sequence has ended; None if none has.
        reverse: True runs from the last step to the first.
    """
    w_ih, b_ih, *own = weights
    # Unbound rather than indexed: the gradient of an index has the size of all steps.
    projected = linear(x, w_ih, b_ih).unbind(0)
    steps = range(len(projected))
    outputs: list[torch.Tensor] = []
    for step in reversed(steps) if reverse else steps:
        of_state, of_update = masks.of_state(step), masks.of_update(step)
        new = cell(projected[step], states, own, of_state, of_update)
        new = masks.zoned(new, states, step)
        if there is not None:
            old = states
            new = tuple(torch.where(there[step], n, o) for n, o in zip(new, old, strict=True))
        states = new
        outputs.append(states[0])
    return torch.stack(outputs[::-1] if reverse else outputs), states


def pack_like(x: torch.Tensor, packed: PackedSequence) -> PackedSequence:
    """Pack a padded sequence `(T, N, F)` as another one is packed."""
    batch_sizes = packed.batch_sizes
    if packed.sorted_indices is not None:
        x = x.index_select(1, packed.sorted_indices)
    there = torch.arange(x.shape[1]) < batch_sizes[:, None]
    data = x[there.to(x.device)]
    return PackedSequence(data, batch_sizes, packed.sorted_indices, packed.unsorted_indices)


@contextlib.contextmanager
def unpacked_weights(on_cuda: bool) -> Iterator[None]:
    """Silence the warning of cuDNN that it copies weights which are not one chunk of memory."""
    if not on_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*single contiguous chunk of memory")
        yield
