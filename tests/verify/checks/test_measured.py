"""What each check measures is what its text says: how it calls its target, and what it tests."""

import itertools
import math
import re
from collections import Counter

import pytest

from torchdropout.verify import stats
from torchdropout.verify.registry import STATISTICAL
from torchdropout.verify.subject import GRID
from verify._zoo import SMALL
from verify.checks import _alone

TRAINING, EVAL, BOTH = (True,), (False,), (True, False)
CHUNK = SMALL.most  # a large call has a million elements, or as many as the level allows
TELLING = 256  # elements at which two masks of p=1/2 are not equal by chance, and no fewer
SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts


def calls(*shapes, p=(0.5,), dtypes=("float32",), modes=TRAINING, under=(), times=1):
    """So many calls at each p, on each shape, in each dtype and mode."""
    kinds = itertools.product(p, shapes, dtypes, modes)
    return Counter({(*kind, *under): times for kind in kinds})


HALVES = ("float16", "bfloat16")
GRADIENT = ("a gradient",)

CALLS = {
    "output-shape": calls((64, 48), (2, 3, 8, 5), modes=BOTH),
    "eval-identity": calls((4096,), (7,), p=GRID, modes=EVAL)
    + calls((CHUNK,), modes=EVAL)
    + calls((512,), modes=EVAL, under=GRADIENT),
    "train-stochastic": calls((TELLING,), times=8) + calls((32, 32), p=(0.1,)),
    # After each change to training two calls are compared.
    "mode-switch": calls((TELLING,), times=6) + calls((TELLING,), modes=EVAL, times=3),
    "grad-mode": sum(
        (
            calls((TELLING,), under=(guard,), times=4)
            + calls((TELLING,), modes=EVAL, under=(guard,))
            for guard in ("no_grad", "inference_mode")
        ),
        Counter(),
    ),
    "kept-scale": calls((1 << 16,), p=GRID) + calls((256,), p=GRID, under=GRADIENT),
    "scale-constant": calls((1,), (2,), (3,), (7,), (64,), (1025,), (3, 5, 4), times=20)
    + calls((CHUNK,)),
    "grad-mask": calls((1 << 14,), p=GRID, under=GRADIENT),
    "grad-scale": calls((1 << 14,), p=GRID, under=GRADIENT)
    + calls((24, 20), under=GRADIENT, times=3),
    # Eight values of both signs, 64 times.
    "grad-finite": calls((1024,), under=GRADIENT),
    "grad-own-call": calls((TELLING,), under=GRADIENT, times=4),
    "grad-second-order": calls((4096,), under=GRADIENT),
    "p-zero-identity": calls((SMALL.zeros,), p=(0.0,)),
    "p-one-zeros": calls((4096,), p=(1.0,)),
    "edge-gradients": calls((4096,), p=(0.0, 1.0), under=GRADIENT),
    "empty-input": calls((0,), (3, 0, 2), (0, 5), modes=BOTH),
    "dtype-kept": calls((256,), dtypes=(*HALVES, "float32", "float64"), modes=BOTH)
    + calls((256,), modes=BOTH, under=("float64 by default",)),
    # In bfloat16 and float64 also on very large and very small values.
    "dtype-scale": calls((1 << 14,), p=(0.001, 0.1, 0.99, 0.999), dtypes=("float16",))
    + calls((1 << 14,), p=(0.001, 0.1, 0.99, 0.999), dtypes=("bfloat16", "float64"), times=3),
    "dtype-gradient": calls((1 << 14,), dtypes=(*HALVES, "float64"), under=GRADIENT),
    "seed-governs": calls((TELLING,), times=9),
    "seeds-differ": calls((TELLING,), times=256),
    "no-reseed": calls((512,), modes=BOTH, times=2),
    "foreign-generators": calls((512,), modes=BOTH),
    "eval-draws-nothing": calls((512,), modes=EVAL),
    "thread-mask": calls((1 << 18,))
    + calls((1 << 18,), under=("2 threads",))
    + calls((1 << 18,), under=("3 threads",)),
    "thread-law": calls((12 * (CHUNK // 12),), under=("2 threads",), times=4)
    + calls((12 * (CHUNK // 12),), under=("3 threads",), times=4)
    + calls((12 * (CHUNK // 12),), under=("4 threads",), times=4),
    "grad-checkpoint": calls((TELLING,), under=GRADIENT, times=3)
    + calls((TELLING,), under=("no_grad",)),
    "input-unmodified": calls((1024,), modes=BOTH),
    "value-mask": calls((TELLING,), times=7),
    "nonfinite-kept": calls((TELLING,), times=3),
    "nonfinite-dropped": calls((TELLING,), times=3),
    "layout-values": calls((6, 5, 16, 12), times=6),
    "layout-mask": calls((6, 5, 16, 12), times=6),
    "state-restored": calls((64, 48), modes=BOTH),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_check_calls_its_target_as_its_text_says(name):
    found = _alone.recorded(name)
    assert found.calls == CALLS[name]
    assert found.seen.message


# At a p near 1 two masks tell each other apart only if they are large, the more the more there are.
AT_99 = {
    "train-stochastic": 8 * 7 / 2,
    "mode-switch": 32 * 31 / 2,
    "grad-mode": 32 * 31 / 2,
    "grad-own-call": 1,
    "seed-governs": 1,
    "seeds-differ": 256 * 255 / 2,
    "grad-checkpoint": 1,
    "value-mask": 1,
    "nonfinite-kept": 1,
}


@pytest.mark.parametrize("name", AT_99)
def test_masks_are_large_enough_to_be_told_apart(name):
    sizes = {shape for _, shape, *_ in _alone.recorded(name, 0.99).calls if len(shape) == 1}
    assert sizes == {(stats.bits_to_tell(0.99, AT_99[name], 1e-6 * 1e-4),)}


def size(p, change, tests, multiple=1):
    """The events that find a change of a rate with a share of the false-alarm rate."""
    return math.ceil(stats.size_for(p, change, SHARE / tests) / multiple) * multiple


def deviation(p):
    return math.sqrt(p * (1 - p))


def differ(p):
    return 2 * p * (1 - p)


def pairs(p, tests, times, multiple=1):
    """The pairs of bits that show some times the level's correlation."""
    return size(differ(p), differ(p) * times * SMALL.correlation, tests, multiple)


ONE, PAIR = 2.0**-24, 2.0**-23  # of a rate, and of 2 p (1 - p), which moves by twice as much
AXES = {"samples": 8, "channels": 24, "rows": 20, "columns": 28}
OTHERS = {"3-D": (16, 60, 112), "5-D": (4, 6, 10, 16, 28)}


def apart(n, lag):
    """Disjoint pairs at a distance within a row of n."""
    return n // (2 * lag) * lag


def of_rate(p, grid):
    each = {q: size(q, SMALL.rate * deviation(q), len(grid)) for q in grid}
    return [(f"p={q:.3g}", n, q, ONE) for q, n in each.items()]


def of_positions(p, grid):
    modulo = [1 << k for k in range(8, 0, -1)]
    return [
        *((f"place {i} of 131", 367, p, ONE) for i in range(131)),
        *((f"places {i} modulo {m}", CHUNK // m, p, ONE) for m in modulo for i in range(m)),
        *((f"part {i} of 64", CHUNK // 64, p, ONE) for i in range(1, 65)),
    ]


def of_lags(p, grid):
    lags = [1, 2, 3, 4, 5, 7, *(1 << k for k in range(3, 18))]  # up to half of a call
    return [
        ("places # and # of 131", 367, differ(p), PAIR),
        *((f"lag {lag}", apart(CHUNK, lag), differ(p), PAIR) for lag in lags),
    ]


def of_axes(p, grid):
    calls = 3 if p == 0.9 else 1
    total = calls * math.prod(AXES.values())
    other = math.prod(OTHERS["3-D"])
    return [
        *(
            (f"{name} {lag} apart", total // n * apart(n, lag), differ(p), PAIR)
            for name, n in AXES.items()
            for lag in sorted({1, 2, 3, 4, n // 4, n // 2})
        ),
        *(
            (f"{name}, axis {axis}, {lag} apart", other // n * apart(n, lag), differ(p), PAIR)
            for name, shape in OTHERS.items()
            for axis, n in enumerate(shape)
            for lag in (1, n // 2)
        ),
    ]


def of_calls(p, grid):
    return [
        (f"{lag} calls apart", 4096 * apart(64, lag), differ(p), PAIR)
        for lag in (1, 2, 3, 4, 8, 16)
    ]


def of_patterns(p, grid):
    return [
        (
            f"pattern {pattern:08b} with stride {stride}",
            CHUNK // 8,
            p ** (8 - pattern.bit_count()) * (1 - p) ** pattern.bit_count(),
            8 * ONE if p != 0.5 else 0,
        )
        for stride in (1, 4, 32, CHUNK // 8)
        for pattern in range(256)
    ]


def of_zeros(p, grid):
    return [(f"p={p:g}, x = 0", size(p, SMALL.rough_rate * deviation(p), 1), p, ONE)]


def of_tiny(p, grid):
    n = size(p, 20 * SMALL.rough_rate * deviation(p), 3)
    return [(f"shape {shape}", n, p, ONE) for shape in ((), (1,), (1, 1, 1))]


def of_dtypes(p, grid):
    chosen = (0.001, 0.1, 0.99, 0.999) if len(grid) > 1 else grid
    return [
        (f"{dtype}, p={q:g}", size(q, SMALL.rough_rate * deviation(q), 3 * len(chosen)), q, ONE)
        for dtype in (*HALVES, "float64")
        for q in chosen
    ]


def of_dtype_pairs(p, grid):
    n = pairs(p, 24, 3, 64)
    return [
        (f"{dtype}, {what}", n, differ(p), PAIR)
        for dtype in (*HALVES, "float64")
        for what in (*(f"lag {lag}" for lag in (1, 2, 4, 8, 16, 32, 64)), "two halves")
    ]


def of_threads(p, grid):
    n = 4 * 12 * (CHUNK // 12)
    found = []
    for threads in (2, 3, 4):
        found.append((f"{threads} threads, dropped", n, p, ONE))
        found += [
            (f"{threads} threads, bits a part of 2 apart differ", n // 2, differ(p), PAIR),
            (f"{threads} threads, bits a part of 3 apart differ", n // 3, differ(p), PAIR),
            (f"{threads} threads, bits a part of 4 apart differ", n // 2, differ(p), PAIR),
        ]
    return found


def of_values(p, grid):
    n = size(p, SMALL.rough_rate * deviation(p), 7)
    kinds = ("negative", "positive", "tiny", "small and negative", "large")
    return [(kind, n, p, ONE) for kind in (*kinds, "large and negative", "huge")]


def of_layouts(p, grid):
    kinds = ("transposed", "channels_last", "heads of an attention", "every second element")
    n = size(p, SMALL.rough_rate * deviation(p), 5, 24 * 20 * 28)
    return [(kind, n, p, ONE) for kind in (*kinds, "first axis last")]


def of_expanded(p, grid):
    n = pairs(p, 2, 2, 512)
    return [(f"expanded along the {name} axis", n, differ(p), PAIR) for name in ("first", "last")]


TESTS = {
    "drop-rate": of_rate,
    "position-rate": of_positions,
    "lag-independence": of_lags,
    "axis-independence": of_axes,
    "call-independence": of_calls,
    "joint-counts": of_patterns,
    "grad-at-zero": of_zeros,
    "tiny-input": of_tiny,
    "dtype-rate": of_dtypes,
    "dtype-independence": of_dtype_pairs,
    "thread-law": of_threads,
    "value-rate": of_values,
    "layout-rate": of_layouts,
    "expanded-independent": of_expanded,
}


def rate_seen(name, p, label=""):
    """The smallest change of a rate that the tests of a check find, which this label begins."""
    found = _alone.recorded(name, p)
    ((_, tests),) = found.shares
    n, rate = next((n, rate) for said, n, rate, _ in found.tests if said.startswith(label))
    return stats.smallest_seen(n, rate, SHARE / tests)


def correlation_seen(name, p):
    found = _alone.recorded(name, p)
    tests = min(size for _, size in found.shares)
    # Not the short calls, whose correlation is no figure, and of 4-D inputs where there are others.
    n = min(n for label, n, *_ in found.tests if not re.match("places|3-D|5-D", label))
    share = SHARE / 2 if name == "lag-independence" else SHARE
    return stats.smallest_seen(n, differ(p or 0.5), share / tests) / differ(p or 0.5)


def of_few_rates(name, p):
    rates = (0.001, 0.1, 0.99, 0.999) if p is None else (p,)
    return ", ".join(f"{rate_seen(name, p, f'float16, p={q:g}'):.2g} at p={q:g}" for q in rates)


SEES = {
    "drop-rate": lambda n, p: (
        "a rate error of "
        + ", ".join(
            f"{rate_seen(n, p, f'p={q:.3g}'):.2g} at p={q:.3g}"
            for q in (GRID if p is None else [p])
        )
    ),
    "position-rate": lambda n, p: (
        f"a rate error of {rate_seen(n, p, 'place '):.2g} in one place "
        f"of 131, {rate_seen(n, p, 'places 0 modulo 256'):.2g} in one class modulo 256, "
        f"{rate_seen(n, p, 'places 0 modulo 8'):.2g} in one class modulo 8, "
        f"{rate_seen(n, p, 'part'):.2g} in one 64th"
    ),
    "few-masks": lambda n, p: f"a pool of {stats.pool_seen(367, 2):.2g} masks",
    "lag-independence": lambda n, p: (
        f"a correlation of {correlation_seen(n, p):.2g} at any of 21 lags"
    ),
    "axis-independence": lambda n, p: (
        f"a correlation of {correlation_seen(n, p):.2g} along any axis"
    ),
    "call-independence": lambda n, p: (
        f"a correlation of {correlation_seen(n, p):.2g} between calls"
    ),
    "joint-counts": lambda n, p: (
        "a pattern that occurs "
        f"{100 * rate_seen(n, p, 'pattern 00000000') / max(0.5, p or 0.5) ** 8:.2g} % too often"
    ),
    "grad-at-zero": lambda n, p: f"a rate error of {rate_seen(n, p):.2g}",
    "p-zero-identity": lambda n, p: f"a drop rate of {math.log(100) / SMALL.zeros:.2g}",
    "tiny-input": lambda n, p: f"a rate error of {rate_seen(n, p):.2g}",
    "dtype-rate": lambda n, p: f"a rate error of {of_few_rates(n, p)}",
    "dtype-independence": lambda n, p: f"a correlation of {correlation_seen(n, p):.2g}",
    "thread-law": lambda n, p: (
        "a correlation of "
        f"{rate_seen(n, p, '2 threads, bits a part of 2') / differ(p or 0.5):.2g} "
        "between the parts of threads"
    ),
    "value-rate": lambda n, p: f"a rate error of {rate_seen(n, p):.2g} in one kind of value",
    "layout-rate": lambda n, p: f"a rate error of {rate_seen(n, p):.2g}",
    "expanded-independent": lambda n, p: f"a correlation of {correlation_seen(n, p):.2g}",
}


@pytest.mark.parametrize(
    ("name", "p"), [("few-masks", None), ("few-masks", 0.9), ("p-zero-identity", None)]
)
def test_a_check_says_what_it_would_see(name, p):
    assert _alone.recorded(name, p).seen.sees == SEES[name](name, p)


@pytest.mark.parametrize("p", [None, 0.9])
@pytest.mark.parametrize("name", TESTS)
def test_a_check_tests_as_many_events_against_the_right_rate(name, p):
    """It shares its false-alarm rate among them, and says what they would see."""
    found = _alone.recorded(name, p)
    wanted = TESTS[name](p or 0.5, GRID if p is None else (p,))
    said = [re.sub(r"places \d+ and \d+", "places # and #", label) for label, *_ in found.tests]
    assert said == [label for label, *_ in wanted]
    for (_, *one), (_, *other) in zip(found.tests, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=0)
    alphas, sizes = zip(*sorted(found.shares), strict=True)
    if name == "lag-independence":  # one half is for all pairs of places of short calls
        assert sizes == (21, 131 * 130 // 2)
        assert alphas == pytest.approx([SHARE / 2] * 2)
    else:
        assert sizes == (len(wanted),)
        assert alphas == pytest.approx([SHARE])
    assert found.seen.sees == SEES[name](name, p)
