"""Drop probabilities that change while a model is trained, and over its depth."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from .._core import _torch
from .._core._validate import check_number, check_p, got, is_integer, wrong_type, wrong_value
from ..errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError

Schedule = Callable[[int], float]

# Layers that drop without a dropout module, at the rate `dropout`.
_LAYERS = (torch.nn.MultiheadAttention, torch.nn.RNNBase)
# Further rates of our recurrent layers; the module's own attributes show which it has.
_FURTHER = ("input_dropout", "recurrent_dropout", "zoneout_hidden", "zoneout_cell")
_PATHS = ("DropPath", "StochasticDepth")
_OURS = "torchdropout.nn."


def _check_steps(name: str, value: Any) -> None:
    if not is_integer(value):
        wrong_type(name, "an integer of 1 or more", value)
    if value < 1:
        wrong_value(name, "an integer of 1 or more", value)


def _check_factor(name: str, value: Any) -> None:
    number = check_number(name, "a number in [0, 1], a share of each module's own p", value)
    if not 0.0 <= number <= 1.0:
        wrong_value(name, "in [0, 1], a share of each module's own p", value)


class _Product(ABC):
    """Base of all schedules, which can be multiplied."""

    @abstractmethod
    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""

    def __mul__(self, other: Schedule) -> Chain:
        return Chain((self, other))

    def __rmul__(self, other: Schedule) -> Chain:
        return Chain((other, self))


@dataclass(frozen=True)
class Chain(_Product):
    """The product of schedules; `a * b` makes one.

    Args:
        schedules: At least one; each is a function of the epoch.

    Raises:
        ArgumentTypeError: A schedule cannot be called.
        ArgumentValueError: There are none.

    Example:
        >>> schedule = Curriculum(0.5) * Early(3)
        >>> [round(schedule(epoch), 3) for epoch in range(4)]
        [0.0, 0.393, 0.632, 0.0]
    """

    schedules: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        if not self.schedules:
            wrong_value("schedules", "at least one schedule", self.schedules)
        for schedule in self.schedules:
            _check_schedule(schedule)

    def __call__(self, epoch: int) -> float:
        """The product of the factors at an epoch."""
        return math.prod(schedule(epoch) for schedule in self.schedules)


@dataclass(frozen=True)
class Linear(_Product):
    """Go from one share of p to another in equal steps, and stay constant from then on.

    `start + (end - start) * min(epoch, steps) / steps`

    Args:
        steps: Epochs until `end` is reached.
        start: Share of a module's own p at epoch 0, in [0, 1].
        end: That share at epoch `steps` and later.

    Raises:
        ArgumentTypeError: `steps` is not an integer, or a share is not a number.
        ArgumentValueError: `steps` is less than 1, or a share is outside [0, 1].

    Example:
        >>> [Linear(4)(epoch) for epoch in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    steps: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)
        _check_factor("start", self.start)
        _check_factor("end", self.end)

    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""
        done = min(epoch, self.steps) / self.steps
        return self.start * (1.0 - done) + self.end * done


@dataclass(frozen=True)
class Cosine(_Product):
    """Go from one share of p to another along half a cosine, and stay constant from then on.

    `end + (start - end) * (1 + cos(pi * min(epoch, steps) / steps)) / 2`

    Args:
        steps: Epochs until `end` is reached.
        start: Share of a module's own p at epoch 0, in [0, 1].
        end: That share at epoch `steps` and later.

    Raises:
        ArgumentTypeError: `steps` is not an integer, or a share is not a number.
        ArgumentValueError: `steps` is less than 1, or a share is outside [0, 1].

    Example:
        >>> [round(Cosine(4)(epoch), 3) for epoch in range(6)]
        [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]

    Reference:
        The form of I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm
        restarts", ICLR 2017, without restarts.
    """

    steps: int
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)
        _check_factor("start", self.start)
        _check_factor("end", self.end)

    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""
        left = (1.0 + math.cos(math.pi * min(epoch, self.steps) / self.steps)) / 2.0
        return self.start * left + self.end * (1.0 - left)


@dataclass(frozen=True)
class Curriculum(_Product):
    """Dropout that starts at 0 and approaches p: training examples get harder.

    `1 - exp(-gamma * epoch)`. With theta = 1 - p kept in the end, this corresponds to the paper's
    keep probability `(1 - theta) * exp(-gamma * t) + theta`.

    Args:
        gamma: Above 0. The paper uses 10 over the number of gradient steps.

    Raises:
        ArgumentTypeError: `gamma` is not a number.
        ArgumentValueError: `gamma` is not above 0 and finite.

    Example:
        >>> [round(Curriculum(0.5)(epoch), 3) for epoch in (0, 1, 2, 20)]
        [0.0, 0.393, 0.632, 1.0]

    Reference:
        P. Morerio et al., "Curriculum dropout", ICCV 2017.
    """

    gamma: float

    def __post_init__(self) -> None:
        gamma = check_number("gamma", "a finite number above 0", self.gamma)
        if not 0.0 < gamma < math.inf:
            wrong_value("gamma", "a finite number above 0", self.gamma)

    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""
        return -math.expm1(-self.gamma * epoch)


@dataclass(frozen=True)
class Early(_Product):
    """Dropout in the first epochs only, against underfitting.

    In the first `steps` epochs the factor is 1 ("constant"), or falls from 1 to 0 ("linear"):
    `1 - epoch / (steps - 1)`. After them it is 0.

    Args:
        steps: Epochs with dropout.
        shape: `"constant"` or `"linear"`.

    Raises:
        ArgumentTypeError: `steps` is not an integer.
        ArgumentValueError: `steps` is less than 1, or `shape` is an unknown word.

    Example:
        >>> [Early(3)(epoch) for epoch in range(5)]
        [1.0, 1.0, 1.0, 0.0, 0.0]
        >>> [Early(3, "linear")(epoch) for epoch in range(5)]
        [1.0, 0.5, 0.0, 0.0, 0.0]

    Reference:
        Z. Liu et al., "Dropout reduces underfitting", ICML 2023.
    """

    steps: int
    shape: Literal["constant", "linear"] = "constant"

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)
        if self.shape not in ("constant", "linear"):
            wrong_value("shape", "'constant' or 'linear'", self.shape)

    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""
        if epoch >= self.steps:
            return 0.0
        return 1.0 if self.shape == "constant" else 1.0 - epoch / max(self.steps - 1, 1)


@dataclass(frozen=True)
class Late(_Product):
    """No dropout in the first epochs, all of it afterwards, against overfitting.

    Args:
        steps: Epochs without dropout.

    Raises:
        ArgumentTypeError: `steps` is not an integer.
        ArgumentValueError: `steps` is less than 1.

    Example:
        >>> [Late(3)(epoch) for epoch in range(5)]
        [0.0, 0.0, 0.0, 1.0, 1.0]

    Reference:
        Z. Liu et al., "Dropout reduces underfitting", ICML 2023.
    """

    steps: int

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)

    def __call__(self, epoch: int) -> float:
        """The factor at an epoch."""
        return 0.0 if epoch < self.steps else 1.0


@dataclass
class _Rate:
    """A drop probability: the module and the attribute that hold it."""

    name: str
    module: torch.nn.Module
    attribute: str
    base: float = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.base = check_p(self.get())
        except TorchDropoutError as error:
            where = f"{self.name.removesuffix(f'.{self.attribute}')}.{self.attribute}"
            raise type(error)(f"In {where}: {error}") from None

    def get(self) -> float:
        return getattr(self.module, self.attribute)  # type: ignore[no-any-return]

    def set(self, p: float) -> None:
        try:
            setattr(self.module, self.attribute, p)
        except TorchDropoutError as error:
            raise type(error)(f"In {self.name}: {error}") from None


class DropoutScheduler(torch.optim.lr_scheduler.LRScheduler):
    """Set the drop probability of every dropout in a model, epoch by epoch.

    `p = schedule(epoch) * base_p`, where `base_p` is the p of a module when the scheduler is made:
    rates that differ between modules stay in proportion. Use it like the schedulers of
    `torch.optim.lr_scheduler`, whose base class it shares: making it sets epoch 0, `step()` goes to
    the next; an epoch is the time between two steps. Chain schedules with `*`. A learning rate
    is never changed.

    It sets torch's dropouts and this library's; modules whose class name ends in DropPath or
    StochasticDepth, and timm's patch dropout; the `dropout` of `nn.MultiheadAttention` and of
    `nn.LSTM`, `nn.GRU` and `nn.RNN`, and every further rate of this library's LSTM and GRU. A p
    that is a parameter, as in concrete dropout, is learned and left alone, like an amount that is
    not a probability, such as `GaussianNoise.sigma`.

    Args:
        model: A model, to schedule all its dropouts, or the modules to schedule.
        schedule: A function from the number of the epoch to a factor.
        optimizer: The optimiser that trains the model, for a trainer that requires each scheduler
            to belong to one, as Lightning does.

    Attributes:
        last_epoch: The current epoch.
        base_ps: p of each module at factor 1.
        optimizer: As given; without one, reading it raises `AttributeError`.

    Raises:
        ArgumentTypeError: `model` is neither a module nor an iterable of modules, `schedule`
            cannot be called or does not return a number, or `optimizer` is not an optimiser.
        ArgumentValueError: There is no dropout, or a p would be outside [0, 1]; nothing is changed.

    Example:
        >>> import torch, torchdropout as td
        >>> from torchdropout.models.schedule import DropoutScheduler, Linear
        >>> model = torch.nn.Sequential(td.nn.Dropout(0.5), torch.nn.Linear(3, 3))
        >>> scheduler = DropoutScheduler(model, Linear(2))
        >>> for epoch in range(3):
        ...     print(epoch, model[0].p)  # train here
        ...     scheduler.step()
        0 0.0
        1 0.25
        2 0.5
    """

    def __init__(
        self,
        model: torch.nn.Module | Iterable[torch.nn.Module],
        schedule: Schedule,
        *,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        # torch's own `__init__` is not called: it would take over the optimizer's learning rates.
        _check_schedule(schedule)
        if optimizer is not None and not isinstance(optimizer, torch.optim.Optimizer):
            wrong_type("optimizer", "a torch.optim.Optimizer or None", optimizer)
        self._optimizer = optimizer
        self._rates = _rates(model)
        self.schedule = schedule
        self._last_p: list[float]
        self._go_to(0)

    @property
    def base_ps(self) -> list[float]:
        """The p of each module at factor 1."""
        return [rate.base for rate in self._rates]

    @property
    def optimizer(self) -> torch.optim.Optimizer:  # type: ignore[override]
        """The optimiser that was given."""
        if self._optimizer is None:
            raise AttributeError(
                "This DropoutScheduler has no optimizer. A trainer that reads it needs "
                "DropoutScheduler(model, schedule, optimizer=...)."
            )
        return self._optimizer

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """The learning rates of the optimiser, which `step` does not change."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch.

        Raises:
            ArgumentTypeError: The schedule does not return a number.
            ArgumentValueError: A p would be outside [0, 1]; p and epoch stay as before.
        """
        self._go_to(self.last_epoch + 1)

    def get_last_p(self) -> list[float]:
        """The p of each module as the last step set it, in the order of `model.modules()`."""
        return list(self._last_p)

    def state_dict(self) -> dict[str, Any]:
        """The state for `load_state_dict`: the epoch, and each module's own p by name.

        It does not contain the schedule, since functions cannot be saved: pass the same one when
        making the scheduler again.
        """
        return {
            "last_epoch": self.last_epoch,
            "base_ps": {rate.name: rate.base for rate in self._rates},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the epoch of a state and set p, which a model's `state_dict` does not contain.

        Args:
            state_dict: A return value of `state_dict`.

        Raises:
            ArgumentTypeError: It is not such a dict.
            ArgumentValueError: It belongs to a model with other dropouts, or a p in it or from
                the schedule is outside [0, 1]; nothing is changed.
        """
        if not isinstance(state_dict, dict) or state_dict.keys() != self.state_dict().keys():
            wrong_type("state_dict", "a return value of `state_dict`", state_dict)
        epoch, base_ps = state_dict["last_epoch"], state_dict["base_ps"]
        if not is_integer(epoch):
            wrong_type("last_epoch", "an integer of 0 or more", epoch)
        if epoch < 0:
            wrong_value("last_epoch", "an integer of 0 or more", epoch)
        if not isinstance(base_ps, dict):
            wrong_type("base_ps", "a dict of drop probabilities by name", base_ps)
        names = [rate.name for rate in self._rates]
        if list(base_ps) != names:
            odd = sorted(set(names) ^ set(base_ps)) or "the same in another order"
            raise ArgumentValueError(
                f"Expected a state of the same {len(names)} dropouts, got {len(base_ps)}; not in "
                f"both: {odd}."
            )
        ps = [check_p(p, f"base_ps[{name!r}]") for name, p in base_ps.items()]
        self._go_to(epoch, ps)

    def _go_to(self, epoch: int, base_ps: Sequence[float] | None = None) -> None:
        """Go to an epoch; compute and check everything before anything is set."""
        base_ps = self.base_ps if base_ps is None else base_ps
        factor = self.schedule(epoch)
        if isinstance(factor, bool) or not isinstance(factor, numbers.Real):
            raise ArgumentTypeError(
                f"Expected `schedule` to give a number, {got(f'schedule({epoch})', factor)}."
            )
        ps = [float(factor) * base for base in base_ps]
        for rate, base, p in zip(self._rates, base_ps, ps, strict=True):
            if not 0.0 <= p <= 1.0:
                raise ArgumentValueError(
                    f"Expected `schedule` to keep p in [0, 1], got schedule({epoch}) = {factor!r}, "
                    f"which makes p = {p!r} of {base!r} in {rate.name}."
                )
        before = [rate.get() for rate in self._rates]
        try:
            for rate, p in zip(self._rates, ps, strict=True):
                rate.set(p)
        except BaseException:  # a module may refuse a valid p, as Gaussian dropout refuses 1
            for rate, p in zip(self._rates, before, strict=True):
                rate.set(p)
            raise
        for rate, base in zip(self._rates, base_ps, strict=True):
            rate.base = base
        self.last_epoch = epoch
        self._last_p = ps


def linear_drop_path(
    blocks: Sequence[torch.nn.Module] | torch.nn.ModuleList | torch.nn.Sequential,
    p_max: float,
    *,
    rule: Literal["timm", "efficientnet", "paper"] = "timm",
) -> list[float]:
    """Set the rate of every DropPath by the depth of its block: the linear decay rule.

    With `L` blocks, block `i`, counted from 0, gets `p_max * i / (L - 1)` by the rule of timm's
    transformers and of ConvNeXt, `p_max * i / L` by that of EfficientNet, and
    `p_max * (i + 1) / L` by the paper's. All paths inside a block get its rate.

    Args:
        blocks: The residual blocks of a model, in order.
        p_max: In [0, 1]; by the rules of timm and the paper the rate of the last block.
        rule: Which of these rules.

    Returns:
        The rate of each block.

    Raises:
        ArgumentTypeError: `blocks` holds something other than modules, or `p_max` is not a number.
        ArgumentValueError: `p_max` is outside [0, 1], `rule` is an unknown word, or a block that
            should drop has no DropPath; nothing is changed.

    Example:
        >>> import torch, torchdropout as td
        >>> blocks = torch.nn.Sequential(*(td.nn.DropPath(0.5) for _ in range(3)))
        >>> linear_drop_path(blocks, 0.5)
        [0.0, 0.25, 0.5]
        >>> blocks[1].p
        0.25

    Reference:
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """
    found = list(_modules(blocks))
    if not found:
        wrong_value("blocks", "at least one block", blocks)
    ps = linear_rates(len(found), p_max, rule=rule)
    paths = [list(_paths_in(block)) for block in found]
    for index, (block, p) in enumerate(zip(found, ps, strict=True)):
        if p > 0.0 and not paths[index]:
            raise ArgumentValueError(
                f"Expected a DropPath in each block that should drop, got none in block {index} "
                f"({type(block).__name__}), which should drop with p={p!r}."
            )
    for inside, p in zip(paths, ps, strict=True):
        for module, rate in inside:
            setattr(module, rate, p)
    return ps


def linear_rates(
    depth: int, p_max: float, *, rule: Literal["timm", "efficientnet", "paper"] = "timm"
) -> list[float]:
    """The rates that `linear_drop_path` sets, for building a model.

    Args:
        depth: Number of blocks.
        p_max: As for `linear_drop_path`.
        rule: As for `linear_drop_path`.

    Returns:
        A rate for each block.

    Raises:
        ArgumentTypeError: `depth` is not an integer, or `p_max` is not a number.
        ArgumentValueError: `depth` is less than 1, `p_max` is outside [0, 1], or `rule` is unknown.

    Example:
        >>> linear_rates(2, 0.5, rule="paper")
        [0.25, 0.5]
        >>> linear_rates(2, 0.5, rule="efficientnet")
        [0.0, 0.25]

    Reference:
        G. Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """
    _check_steps("depth", depth)
    p_max = check_p(p_max, "p_max")
    known = {"timm": (0, max(depth - 1, 1)), "efficientnet": (0, depth), "paper": (1, depth)}
    if not isinstance(rule, str):
        wrong_type("rule", "'timm', 'efficientnet' or 'paper'", rule)
    if rule not in known:
        wrong_value("rule", "'timm', 'efficientnet' or 'paper'", rule)
    first, whole = known[rule]
    return [p_max * (first + i) / whole for i in range(depth)]


def _check_schedule(schedule: Any) -> None:
    if not callable(schedule):
        wrong_type("schedule", "a function from the step or epoch to a factor", schedule)


def _modules(given: Any) -> Iterable[torch.nn.Module]:
    if isinstance(given, (str, torch.Tensor)) or not isinstance(given, Iterable):
        wrong_type("modules", "modules", given)
    found = list(given)
    for module in found:
        if not isinstance(module, torch.nn.Module):
            wrong_type("modules", "modules only", module)
    return found


def _rates(given: Any) -> list[_Rate]:
    if isinstance(given, torch.nn.Module):
        found = [(name or "the model", module) for name, module in given.named_modules()]
        rates = [rate for name, module in found for rate in _rates_of(name, module)]
    else:
        rates = []
        for index, module in enumerate(dict.fromkeys(_modules(given))):
            own = _rates_of(str(index), module)
            if not own:
                wrong_value("modules", "dropouts with a rate that is a number", module)
            rates += own
    if not rates:
        raise ArgumentValueError("Expected a dropout in `model`, got none.")
    return rates


def _rates_of(name: str, module: torch.nn.Module) -> list[_Rate]:
    """All rates of a module; those after the first are named with their attribute."""
    attribute = _rate_of(module)
    rates = [] if attribute is None else [_Rate(name, module, attribute)]
    if isinstance(module, torch.nn.RNNBase):
        held = [a for a in _FURTHER if isinstance(vars(module).get(a), numbers.Real)]
        rates += [_Rate(f"{name}.{a}", module, a) for a in held]
    return rates


def _paths_in(block: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str]]:
    """The DropPaths in a block, each with the attribute that holds its rate."""
    for module in block.modules():
        rate = _rate_of(module) if type(module).__name__.endswith(_PATHS) else None
        if rate is not None:
            yield module, rate


def _rate_of(module: torch.nn.Module) -> str | None:
    """The attribute with a module's drop probability; None if it has none of its own."""
    own = type(module)
    if isinstance(module, _LAYERS):
        candidates: tuple[str, ...] = ("dropout",)
    elif isinstance(module, _torch.DropoutBase) or own.__module__.startswith(_OURS):
        candidates = ("p",)
    elif own.__name__.endswith(_PATHS):
        candidates = ("p", "drop_prob")
    elif own.__module__.startswith("timm.") and own.__name__.startswith("PatchDropout"):
        candidates = ("prob",)
    else:
        return None
    # Only the instance's own attributes count, not a parameter, which is learned, nor a property.
    return next((a for a in candidates if isinstance(vars(module).get(a), numbers.Real)), None)
