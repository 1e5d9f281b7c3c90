"""The context of a check: the target, a level, a share of the false-alarm rate, and helpers."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..reporting.findings import Figure, Severity
from . import stats
from .compiling import patient
from .rounding import tolerance
from .stats import Bits, Family
from .subject import Built, Spec, Subject
from .world import saved_generators as saved_generators
from .world import seed_all as seed_all
from .world import seed_torch as seed_torch


@dataclass(frozen=True)
class Level:
    """How small a fault to look for; it determines the sample sizes (`stats.size_for`).

    Attributes:
        name: What people type.
        rate: Rate error, in standard deviations of one bit: the error that is found is
            `rate * sqrt(p * (1 - p))`.
        rough_rate: The same, if many cases share the time (dtypes, values).
        correlation: Correlation of two mask bits.
        pool: Number of distinct masks that counts as infinitely many.
        run: Number of mask bits that are searched for a repeated run.
        zeros: Number of elements that are searched for a single wrong one.
        most: Limit on the elements of one measurement; the reported power takes it into account.
        compiled: Whether the target is also traced by the compiler, which takes seconds.
        strength: The number of factors whose levels all occur together: see `conditions`.
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
    strength: int = 2

    @property
    def is_quick(self) -> bool:
        """Whether a run must end in seconds, and leaves out mere repetitions."""
        return self.most <= 1 << 23


LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level("quick", 0.004, 0.012, 0.008, 1e6, 1 << 20, 1 << 18, 1 << 23),
        Level("standard", 0.002, 0.006, 0.004, 1e7, 1 << 22, 1 << 23, 1 << 27, True),
        Level("thorough", 0.0006, 0.003, 0.001, 3e8, 1 << 24, 1 << 27, 1 << 30, True, 3),
    )
}

MAIN_P = 0.5

# Elements per call, where the shape does not matter: few enough for the cache, many enough that
# the overhead of a call is small.
CHUNK = 1 << 20

# Masks of up to this many elements, one byte each, are kept for checks that use them again.
_MOST_CACHED = 1 << 28

# Checks that are exact except for a coincidence, such as two equal masks, use masks so large that
# its probability is below this fraction of the false-alarm rate; `Context.share` reserves it.
COINCIDENCE = 1e-4
RESERVED = 0.01


@dataclass
class Known:
    """What checks find out about a target that later ones go by.

    Attributes:
        bad_rates: The p at which `drop-rate` found a wrong rate.
        scales: For each p what a kept x is multiplied by, if `kept-scale` found it to be wrong.
    """

    bad_rates: set[float] = field(default_factory=set)
    scales: dict[float, float] = field(default_factory=dict)

    def learn(self, bad_rates: Iterable[float], scales: Iterable[tuple[float, float]]) -> None:
        """Add what another run of the same target has `told`."""
        self.bad_rates.update(bad_rates)
        self.scales.update(scales)

    @property
    def told(self) -> tuple[list[float], list[tuple[float, float]]]:
        """All of it, as lists."""
        return [*self.bad_rates], [*self.scales.items()]


class Fault(Exception):  # noqa: N818
    """The rule does not hold: ends the check with a finding. Not an error of this program."""

    def __init__(self, message: str, **figures: Figure) -> None:
        super().__init__(message)
        self.message = message
        self.figures = figures


class Skip(Exception):  # noqa: N818
    """The check does not apply to the target: ends it with this reason."""


@dataclass(frozen=True)
class Seen:
    """What a check measured where the rule holds."""

    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    sees: str = ""


@dataclass(frozen=True)
class Check:
    """A rule without its code, and the function that decides it.

    Attributes:
        name: Kebab-case, from the name of the function.
        group: The name of its file, or of its folder.
        severity: See `Rule`.
        summary: First line of the function's docstring.
        explain: The rest of it.
        run: Returns what was measured, or raises `Fault` or `Skip`.
        needs: Checks that this one depends on: if one of them failed, this one is skipped.
        statistical: Whether it uses a share of the false-alarm rate.
        kind: The kind of `Spec` it applies to; it is left out for others.
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
        """Whether it applies to targets of this kind."""
        return isinstance(spec, self.kind)


def check(
    *,
    severity: Severity = "error",
    needs: Sequence[str] = (),
    statistical: bool = False,
    kind: type[Spec] = Spec,
) -> Callable[[Callable[[Context], Seen]], Check]:
    """Turn a function into a check: its name and docstring become the rule's name and text."""

    def make(run: Callable[[Context], Seen]) -> Check:
        name = run.__name__.replace("_", "-")
        summary, _, explain = (inspect.getdoc(run) or name).partition("\n\n")
        group = run.__module__.removeprefix(f"{__package__}.checks.").partition(".")[0]

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
    """A target in one run, as the checks see it.

    Attributes:
        subject: The target.
        level: How small a fault to look for.
        seed: Seed of the run.
        false_alarm_rate: False-alarm rate of the run.
        share: False-alarm rate of one statistical check.
        threads: The number of threads the caller has set.
        known: What earlier checks have found.
        is_rescaled: Whether the running check gets outputs with the right scale in place of
            the one that `kept-scale` found.
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
        self.known = Known()
        self.is_rescaled = False
        self._kept: dict[tuple[float, int, tuple[int, ...]], Bits] = {}
        self._normal: dict[tuple[int, ...], torch.Tensor] = {}

    # --- Which p ---------------------------------------------------------------------------------

    @property
    def grid(self) -> tuple[float, ...]:
        """The p to check at: an instance's own, else a grid. Skips where nothing is random."""
        fixed = self.subject.fixed_p
        if fixed is None:
            return self.spec.grid
        if not 0 < fixed < 1:
            raise Skip(f"the instance has p={fixed:g}: nothing is random")
        return (fixed,)

    @property
    def main_p(self) -> float:
        """The p for checks that are not about p: 0.5, the most informative, or the instance's."""
        return MAIN_P if MAIN_P in self.grid else self.grid[0]

    @property
    def sound_p(self) -> float:
        """`main_p`, unless `drop-rate` failed there: tests on counts would repeat its finding."""
        p = self.main_p
        if p in self.known.bad_rates:
            raise Skip(f"not checked: the rate at p={p:g} is wrong, see drop-rate")
        if len(set(self.spec.rates(p))) > 1:
            raise Skip(f"p={p:g} is not held exactly: the exact distribution is not known")
        return p

    @property
    def spec(self) -> Spec:
        """What the target claims to be."""
        return self.subject.spec

    def null_rate(self, p: float) -> tuple[float, float]:
        """The rate at p that the target claims, and the tolerance around it."""
        low, high = self.spec.rates(p)
        return (low + high) / 2, (high - low) / 2 + stats.SLACK

    def draws(self, requested: int) -> int:
        """The requested number of draws, or as many as a costly kind allows."""
        return max(256, min(requested, (1 << 22) // self.spec.cost))

    @property
    def chunk(self) -> int:
        """The draws of a large call."""
        return max(1 << 12, min(self.level.most, CHUNK >> (self.spec.cost - 1).bit_length()))

    @property
    def most(self) -> int:
        """The most draws that one measurement may use."""
        return max(1 << 10, self.level.most // self.spec.cost)

    # --- How much --------------------------------------------------------------------------------

    @property
    def coincidence(self) -> float:
        """The probability of a coincidence that a check which is otherwise exact may leave."""
        return self.false_alarm_rate * COINCIDENCE

    def telling_size(self, p: float, pairs: float = 1.0) -> int:
        """The size at which no pair among `pairs` of independent masks is equal by chance.

        Also enough that no single mask is all kept or all dropped.
        """
        size = max(256, stats.bits_to_tell(p, pairs, self.coincidence))
        if size > self.most:
            raise Skip(f"p={p:g} is too near 0 or 1 for masks to be told apart in this time")
        return size

    def family(self, size: int) -> Family:
        """A family of `size` tests for the running check."""
        return Family(self.share, size)

    def size(self, p: float, change: float, alpha: float, multiple: int = 1) -> int:
        """The events needed to find a `change` of a rate `p`, within the level's limit."""
        needed = min(stats.size_for(p, change, alpha), self.most)
        multiple = math.lcm(multiple, self.spec.multiple)
        return math.ceil(needed / multiple) * multiple

    # --- Calling the target ----------------------------------------------------------------------

    def build(self, p: Any, *, inplace: bool = False) -> Built:
        """Build the target at p; what it raises becomes a finding."""
        with self.blame(f"building it at p={p!r}"):
            return self.subject.build(p, inplace=inplace)

    def need_eval(self) -> None:
        """Skip a check of eval where the target has no eval mode."""
        if not self.subject.has_eval:
            raise Skip("the target has no eval mode: it is checked in training only")

    def need_gradient(self) -> None:
        """Skip a check of gradients where the target is known to have none."""
        if not self.subject.has_gradient:
            raise Skip("the target has no gradient")

    @property
    def modes(self) -> tuple[bool, ...]:
        """The values of `training` that the target supports."""
        return (True, False) if self.subject.has_eval else (True,)

    def call(self, built: Built, x: torch.Tensor, training: bool = True) -> torch.Tensor:
        """Call the target; the output must be a tensor with the shape and device of x."""
        with self.blame(f"a call at p={built.p:g} {'in training' if training else 'in eval'}"):
            # The target runs with the caller's threads, the verifier with one: its operations are
            # small, and waiting for a second thread can cost more than they do.
            if self.threads != 1:
                torch.set_num_threads(self.threads)
            dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
            try:
                y = built.call(x, training)
            finally:
                # `state-restored` reports what a target changes; it must not affect other checks.
                # Setting a value again would take longer than a small call.
                if torch.get_num_threads() != 1:
                    torch.set_num_threads(1)
                if torch.get_default_dtype() != dtype:
                    torch.set_default_dtype(dtype)
                if torch.is_grad_enabled() != grad:
                    torch.set_grad_enabled(grad)
        if not isinstance(y, torch.Tensor):
            raise Fault(f"expected a tensor, got {type(y).__name__}", type=type(y).__name__)
        if y.shape != x.shape:
            raise Fault(f"expected shape {tuple(x.shape)}, got {tuple(y.shape)}")
        if y.device != x.device:
            raise Fault(f"expected device {x.device}, got {y.device}")
        return self._rescaled(y, built.p) if self.is_rescaled and training else y

    def _rescaled(self, y: torch.Tensor, p: float) -> torch.Tensor:
        if not 0 < p < 1:
            return y
        scale = self.known.scales.get(p)
        if scale is None:
            self.is_rescaled = False
            scale = self.one_scale(p)
            self.is_rescaled = True
            if scale is None:
                raise Skip(f"not checked: kept-scale failed, and there is no one scale at p={p:g}")
            self.known.scales[p] = scale
        # In float64, so that the product is rounded once.
        return (y.double() / ((1 - p) * scale)).to(y.dtype)

    def one_scale(self, p: float) -> float | None:
        """What every kept x is multiplied by; None where no factor fits all values of two calls.

        The second call is in float64, from which the factor has all its digits.
        """
        found: list[float] = []
        with self.seeded("scale", p), contextlib.suppress(Fault):
            built = self.build(p)
            for dtype in (torch.float32, torch.float64):
                x = self.normal(self.draws(1 << 16)).to(dtype)
                given, value = x.double(), self.call(built, x.clone()).detach().double()
                kept = value != 0
                if not bool(kept.any()):
                    return None
                found.append(float((value / given)[kept].median()))
                expected = given * found[-1]
                is_near = (value - expected).abs() <= 2 * tolerance(expected, p, dtype)
                if not bool(is_near[kept].all()):
                    return None
        is_same = len(found) == 2 and math.isclose(*found, rel_tol=1e-6)
        return found[-1] if is_same else None

    def kept(self, built: Built, x: torch.Tensor) -> torch.Tensor:
        """The mask of one call in training: True where the output is not zero. x has no zeros."""
        y = self.call(built, x)
        kept = y.detach() != 0
        # NaN compares unequal to 0 and would count as kept.
        if torch.isnan(y.detach().sum()) and bool((nan := torch.isnan(y.detach())).any()):
            raise Fault(
                f"p={built.p:g}: {int(nan.sum())} of {nan.numel()} values are NaN", p=built.p
            )
        return kept

    def masks(self, p: float, calls: int, shape: tuple[int, ...]) -> Bits:
        """The masks of successive calls on ones, stacked; cached for other checks."""
        key = (p, calls, shape)
        if key not in self._kept:
            with self.seeded(f"masks {key}"):
                built = self.build(p)
                out = np.empty((calls, *shape), dtype=np.bool_)
                for call in range(calls):
                    out[call] = self.kept(built, torch.ones(shape)).numpy()
            if out.size <= _MOST_CACHED:
                self._kept[key] = out
            return out
        return self._kept[key]

    def count_dropped(self, built: Built, n: int, dtype: torch.dtype = torch.float32) -> int:
        """Count how many of n ones are dropped, in large calls."""
        kept = 0
        for start in range(0, n, self.chunk):
            # New ones each time: the target may write into its input (see `input-unmodified`).
            ones = torch.ones(min(self.chunk, n - start), dtype=dtype)
            kept += int(torch.count_nonzero(self.kept(built, ones)))
        return n - kept

    @contextlib.contextmanager
    def using_threads(self, threads: int) -> Iterator[None]:
        """Run the target with this many threads."""
        before, self.threads = self.threads, threads
        try:
            yield
        finally:
            self.threads = before

    # --- Randomness ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def seeded(self, *purpose: object) -> Iterator[None]:
        """Seed the global generators by the run's seed and the purpose; restore them on exit.

        So the result of a check does not depend on which other checks run.
        """
        with saved_generators():
            seed_all(self.derive(*purpose))
            yield

    def derive(self, *purpose: object) -> int:
        """Derive a 63-bit seed for a purpose."""
        text = repr((self.seed, *purpose)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1

    def generator(self, *purpose: object) -> torch.Generator:
        """A generator for inputs, separate from the one the target draws from."""
        return torch.Generator().manual_seed(self.derive("input", *purpose))

    def normal(self, *shape: int) -> torch.Tensor:
        """Values of both signs, no zeros, magnitudes from 1/2 to 2: none is lost in float16."""
        if shape in self._normal:
            return self._normal[shape].clone()  # the target may write into its input
        generator = self.generator(shape)
        octaves = math.log2(2 * self.spec.largest)
        size = 2.0 ** (octaves * torch.rand(shape, generator=generator, dtype=torch.float32) - 1)
        sign = torch.randint(0, 2, shape, generator=generator).to(torch.float32) * 2 - 1
        values = size * sign
        if values.numel() <= 1 << 16:
            self._normal[shape] = values.clone()
        return values

    @contextlib.contextmanager
    def blame(self, doing: str) -> Iterator[None]:
        """Turn whatever the target raises, including SystemExit, into a finding; Ctrl-C passes."""
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit, Fault, Skip):
            raise
        except BaseException as error:
            raise Fault(f"{doing} raised {describe(error)}", exception=describe(error)) from error


def describe(error: BaseException, width: int = 160) -> str:
    """The type and first line of an exception, even of one that cannot be printed.

    TorchScript prints a traceback: there the last line says what is wrong.
    """
    try:
        lines = str(error).strip().splitlines() or [""]
        text = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
    except Exception:
        text = ""
    text = text if len(text) <= width else text[: width - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def outcome(
    family: Family, message: Callable[[stats.Test], str], sees: str, **figures: Figure
) -> Seen:
    """Decide a family of tests: raise `Fault` if one rejects, else report the most extreme one.

    The reported p-value is that of the family: the smallest, times the number of tests.
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
    """The most extreme tests for a report, the worst first."""
    ordered = sorted(tests, key=lambda test: test.p_value)
    return {"worst": [test.to_dict() for test in ordered[:most]]}
