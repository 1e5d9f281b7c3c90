"""What a check is given: the target, a level, a share of the false-alarm rate, and ways to look."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..reporting.findings import Figure, Severity
from . import stats
from .compiling import patient
from .stats import Bits, Family
from .subject import Built, Spec, Subject
from .world import saved_generators as saved_generators
from .world import seed_all as seed_all
from .world import seed_torch as seed_torch


@dataclass(frozen=True)
class Level:
    """How small a fault is looked for; sample sizes follow from this (`stats.size_for`).

    Attributes:
        name: What people type.
        rate: Rate errors, in standard deviations of one bit: the error seen is
            `rate * sqrt(p * (1 - p))`.
        rough_rate: The same, where many situations share the time (dtypes, values).
        correlation: Correlation of two mask bits.
        pool: How many distinct masks may be taken for infinitely many.
        run: How many mask bits are searched for a repeated run.
        zeros: How many elements are looked at for a single wrong one.
        most: Elements that one measurement may take; what it sees is computed after this limit.
        compiled: Whether the target is traced by the compiler, too, which takes seconds.
    """

    name: str
    rate: float
    rough_rate: float
    correlation: float
    pool: float
    run: int
    zeros: int
    most: int
    compiled: bool = False


LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level("quick", 0.004, 0.012, 0.008, 1e6, 1 << 20, 1 << 18, 1 << 23),
        Level("standard", 0.002, 0.006, 0.004, 1e7, 1 << 22, 1 << 23, 1 << 27, True),
        Level("thorough", 0.0006, 0.003, 0.001, 3e8, 1 << 24, 1 << 27, 1 << 30, True),
    )
}

MAIN_P = 0.5

# Elements a call, where the shape does not matter: small enough for the cache, large against the
# cost of a call.
CHUNK = 1 << 20

# Masks of up to so many elements, a byte each, are kept for the checks that look at them again.
CACHED = 1 << 28

# Checks that are exact but for a coincidence, such as two equal masks, take so large a mask that
# its chance is below this part of the false-alarm rate; `Context.share` leaves room for them.
COINCIDENCE = 1e-4
RESERVED = 0.01


class Fault(Exception):  # noqa: N818
    """The rule does not hold: ends the check with a finding, so it is no error of this program."""

    def __init__(self, message: str, **figures: Figure) -> None:
        super().__init__(message)
        self.message = message
        self.figures = figures


class Skip(Exception):  # noqa: N818
    """The question does not apply to the target: ends the check with this reason."""


@dataclass(frozen=True)
class Seen:
    """What a check saw where the rule holds."""

    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    sees: str = ""


@dataclass(frozen=True)
class Check:
    """A rule, but for its code, and the function that decides it.

    Attributes:
        name: Kebab-case, from the name of the function.
        group: The name of its file.
        severity: See `Rule`.
        summary: First line of the function's docstring.
        explain: The rest of it.
        run: Returns what was seen, or raises `Fault` or `Skip`.
        needs: Checks without which this one says nothing: if one failed, this is skipped.
        statistical: Whether it takes a share of the false-alarm rate.
        kind: The kind of `Spec` it is asked of; of others it is left out.
    """

    name: str
    group: str
    severity: Severity
    summary: str
    explain: str
    run: Callable[[Context], Seen]
    needs: tuple[str, ...]
    statistical: bool
    kind: type[Spec] = Spec

    def applies(self, spec: Spec) -> bool:
        """Whether it is asked of targets of this kind."""
        return isinstance(spec, self.kind)


def check(
    *,
    severity: Severity = "error",
    needs: Sequence[str] = (),
    statistical: bool = False,
    kind: type[Spec] = Spec,
) -> Callable[[Callable[[Context], Seen]], Check]:
    """Makes a check of a function: its name and docstring become the rule's name and text."""

    def make(run: Callable[[Context], Seen]) -> Check:
        name = run.__name__.replace("_", "-")
        summary, _, explain = (inspect.getdoc(run) or name).partition("\n\n")
        group = run.__module__.rpartition(".")[2]

        def unless_exempt(ctx: Context) -> Seen:
            reason = ctx.spec.exempt.get(name)
            if reason is not None:
                raise Skip(f"{ctx.spec.name}: {reason}")
            with patient():
                return run(ctx)

        text = (name, group, severity, summary, explain)
        return Check(*text, unless_exempt, tuple(needs), statistical, kind)

    return make


class Context:
    """One run's view of one target.

    Attributes:
        subject: The target.
        level: How closely to look.
        seed: Seed of the run.
        false_alarm_rate: Of the run.
        share: False-alarm rate of one statistical check.
        threads: The number of threads the caller has set.
        bad_rates: The p at which `drop-rate` found a wrong rate.
    """

    def __init__(
        self, subject: Subject, level: Level, seed: int, false_alarm_rate: float, statistical: int
    ) -> None:
        self.subject = subject
        self.level = level
        self.seed = seed
        self.false_alarm_rate = false_alarm_rate
        self.share = false_alarm_rate * (1 - RESERVED) / statistical
        self.threads = torch.get_num_threads()
        self.bad_rates: set[float] = set()
        self._kept: dict[tuple[float, int, tuple[int, ...]], Bits] = {}

    # Which p

    @property
    def grid(self) -> tuple[float, ...]:
        """The p to judge at: the one an instance has, else a grid. Skips where all is decided."""
        fixed = self.subject.fixed_p
        if fixed is None:
            return self.spec.grid
        if not 0 < fixed < 1:
            raise Skip(f"the instance has p={fixed:g}: nothing is random")
        return (fixed,)

    @property
    def main_p(self) -> float:
        """The p for questions not about p: 0.5, where masks say most, or the instance's."""
        return MAIN_P if MAIN_P in self.grid else self.grid[0]

    @property
    def sound_p(self) -> float:
        """`main_p`, if `drop-rate` found nothing there: tests on counts would only echo it."""
        p = self.main_p
        if p in self.bad_rates:
            raise Skip(f"not judged: the rate at p={p:g} is wrong, see drop-rate")
        if len(set(self.spec.rates(p))) > 1:
            raise Skip(f"p={p:g} is not held exactly, and what follows from it not known exactly")
        return p

    @property
    def spec(self) -> Spec:
        """What the target claims to be."""
        return self.subject.spec

    def null_rate(self, p: float) -> tuple[float, float]:
        """The rate at p that the target claims, and how far from it that may be."""
        low, high = self.spec.rates(p)
        return (low + high) / 2, (high - low) / 2 + stats.SLACK

    def draws(self, wanted: int) -> int:
        """As many draws as wanted, or as few as a costly kind allows."""
        return max(256, min(wanted, (1 << 22) // self.spec.cost))

    @property
    def chunk(self) -> int:
        """Draws of a large call."""
        return max(1 << 12, min(self.level.most, CHUNK >> (self.spec.cost - 1).bit_length()))

    @property
    def most(self) -> int:
        """Draws that one measurement may take."""
        return max(1 << 10, self.level.most // self.spec.cost)

    # How much

    @property
    def coincidence(self) -> float:
        """The chance that a check which is exact but for a coincidence may leave to it."""
        return self.false_alarm_rate * COINCIDENCE

    def telling_size(self, p: float, pairs: float = 1.0) -> int:
        """Elements at which none of `pairs` pairs of independent masks are equal by chance.

        So many that also no single mask is all kept or all dropped.
        """
        size = max(256, stats.bits_to_tell(p, pairs, self.coincidence))
        if size > self.most:
            raise Skip(f"p={p:g} is too near 0 or 1 for masks to be told apart in this time")
        return size

    def family(self, size: int) -> Family:
        """The tests of the running check."""
        return Family(self.share, size)

    def size(self, p: float, change: float, alpha: float, multiple: int = 1) -> int:
        """Events needed to see `change` of a rate `p`, within the level's limit."""
        wanted = min(stats.size_for(p, change, alpha), self.most)
        multiple = math.lcm(multiple, self.spec.multiple)
        return math.ceil(wanted / multiple) * multiple

    # Calling the target

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """The target at p; what it raises becomes a finding."""
        with self.blame(f"building it at p={p!r}"):
            return self.subject.build(p, inplace=inplace)

    def need_eval(self) -> None:
        """Skips what asks about eval where the target has none."""
        if not self.subject.has_eval:
            raise Skip("the target has no eval mode: it is judged in training only")

    def need_gradient(self) -> None:
        """Skips what asks about gradients where the target is known to have none."""
        if not self.subject.has_gradient:
            raise Skip("the target has no gradient")

    @property
    def modes(self) -> tuple[bool, ...]:
        """The values of `training` the target knows."""
        return (True, False) if self.subject.has_eval else (True,)

    def call(self, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
        """The target's output, once it is known to be a tensor of x's shape and device."""
        with self.blame(f"a call at p={built.p:g} {'in training' if training else 'in eval'}"):
            # The target runs with the caller's threads, the judge with one: its operations are
            # small, and waiting for a second thread can cost more than they do.
            torch.set_num_threads(self.threads)
            dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
            try:
                y = built.call(x, training)
            finally:
                # What a target changes is found by `state-restored`, and troubles no other check.
                torch.set_num_threads(1)
                torch.set_default_dtype(dtype)
                torch.set_grad_enabled(grad)
        if not isinstance(y, torch.Tensor):
            raise Fault(f"expected a tensor, got {type(y).__name__}", type=type(y).__name__)
        if y.shape != x.shape:
            raise Fault(f"expected shape {tuple(x.shape)}, got {tuple(y.shape)}")
        if y.device != x.device:
            raise Fault(f"expected device {x.device}, got {y.device}")
        return y

    def kept(self, built: Built, x: torch.Tensor) -> torch.Tensor:
        """The mask of one call in training: True where the output is not zero. x has no zeros."""
        y = self.call(built, x)
        kept = y.detach() != 0
        # NaN compares unequal to 0 and would be taken for kept.
        if torch.isnan(y.detach().sum()) and bool((nan := torch.isnan(y.detach())).any()):
            raise Fault(
                f"p={built.p:g}: {int(nan.sum())} of {nan.numel()} values are NaN", p=built.p
            )
        return kept

    def masks(self, p: float, calls: int, shape: tuple[int, ...]) -> Bits:
        """The kept bits of calls in a row on ones, stacked; kept for other checks."""
        key = (p, calls, shape)
        if key not in self._kept:
            with self.seeded(f"masks {key}"):
                built = self.build(p)
                out = np.empty((calls, *shape), dtype=np.bool_)
                for call in range(calls):
                    out[call] = self.kept(built, torch.ones(shape)).numpy()
            if out.size <= CACHED:
                self._kept[key] = out
            return out
        return self._kept[key]

    def count_dropped(self, built: Built, n: int, dtype: torch.dtype = torch.float32) -> int:
        """How many of n ones are dropped, in large calls."""
        kept = 0
        for start in range(0, n, self.chunk):
            # New ones every time: the target may write into its input, which `values` reports.
            ones = torch.ones(min(self.chunk, n - start), dtype=dtype)
            kept += int(torch.count_nonzero(self.kept(built, ones)))
        return n - kept

    @contextlib.contextmanager
    def using_threads(self, threads: int) -> Iterator[None]:
        """Inside, the target runs with so many threads."""
        before, self.threads = self.threads, threads
        try:
            yield
        finally:
            self.threads = before

    # Randomness

    @contextlib.contextmanager
    def seeded(self, *purpose: object) -> Iterator[None]:
        """Inside, the global generators start from the run's seed and the purpose; then as before.

        So that what a check sees depends on neither the checks before it nor those left out.
        """
        with saved_generators():
            seed_all(self.derive(*purpose))
            yield

    def derive(self, *purpose: object) -> int:
        """A 63-bit seed for a purpose."""
        text = repr((self.seed, *purpose)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1

    def generator(self, *purpose: object) -> torch.Generator:
        """A generator for inputs, apart from the one the target draws from."""
        return torch.Generator().manual_seed(self.derive("input", *purpose))

    def normal(self, *shape: int) -> torch.Tensor:
        """Values of both signs, no zeros, magnitudes from 1/2 to 2: none is lost in float16."""
        generator = self.generator(shape)
        octaves = math.log2(2 * self.spec.largest)
        size = 2.0 ** (octaves * torch.rand(shape, generator=generator, dtype=torch.float32) - 1)
        sign = torch.randint(0, 2, shape, generator=generator).to(torch.float32) * 2 - 1
        return size * sign

    @contextlib.contextmanager
    def blame(self, doing: str) -> Iterator[None]:
        """Makes a finding of whatever the target raises, SystemExit included; Ctrl-C passes."""
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit, Fault, Skip):
            raise
        except BaseException as error:
            raise Fault(f"{doing} raised {describe(error)}", exception=describe(error)) from error


def describe(error: BaseException, width: int = 160) -> str:
    """The type and first line of an exception, also of one that cannot be printed."""
    try:
        text = str(error).strip().partition("\n")[0]
    except Exception:
        text = ""
    text = text if len(text) <= width else text[: width - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def outcome(
    family: Family, message: Callable[[stats.Test], str], sees: str, **figures: Figure
) -> Seen:
    """The verdict of a family: `Fault` if a test rejects, else what the most extreme one saw.

    The p-value reported is that of the family: the smallest, times the number of tests.
    """
    worst = family.worst
    rejected = list(family.rejected())
    p_value = min(1.0, worst.p_value * len(family.tests))
    figures = {
        "p_value": p_value,
        "tests": len(family.tests),
        "alpha": family.alpha,
        **worst_first(rejected or [worst]),
        **figures,
    }
    if rejected:
        more = f"; {len(rejected)} of {len(family.tests)} tests reject" if len(rejected) > 1 else ""
        raise Fault(
            f"{message(worst)}, expected {worst.expected:.6g}   p-value {p_value:.2g}{more}",
            **figures,
        )
    return Seen(f"{message(worst)}   p-value {p_value:.2g}", figures, sees)


def worst_first(tests: Sequence[stats.Test], most: int = 8) -> dict[str, Figure]:
    """The tests for a report, the most extreme first, not more than a reader takes in."""
    ordered = sorted(tests, key=lambda test: test.p_value)
    return {"worst": [test.to_dict() for test in ordered[:most]]}
