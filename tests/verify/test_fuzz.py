"""Callables made at random: whatever they do, a run ends whole and leaves the process as it was.

The same seed makes the same ones.
"""

import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torchdropout.errors import TargetError
from torchdropout.verify import Level, check_subject
from torchdropout.verify.runner import codes_of
from torchdropout.verify.subject import PLAIN
from torchdropout.verify.targets import resolve

# As little as the checks can do with: what is fuzzed is the runner, not the statistics.
TINY = Level("tiny", 0.2, 0.2, 0.2, 1e2, 1 << 10, 1 << 10, 1 << 12)


class Odd(torch.Tensor):
    """A subclass whose comparisons fail."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.__ne__, torch.Tensor.ne, torch.isnan):
            raise ArithmeticError("not comparable")
        return super().__torch_function__(function, types, args, kwargs or {})


class Hostile:
    """Not a tensor, and it fails whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


class Bare(BaseException):
    pass


def dropped(x, p):
    return F.dropout(x, min(max(float(p), 0.0), 1.0))


DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)

# What is returned, from x and p.
RETURNS = {
    "dropout": dropped,
    "unscaled": lambda x, p: x * (torch.rand(x.shape) >= p),
    "x": lambda x, p: x,
    "zeros": lambda x, p: torch.zeros_like(x),
    "none": lambda x, p: None,
    "number": lambda x, p: 0.5,
    "text": lambda x, p: "y",
    "array": lambda x, p: x.detach().cpu().numpy(),
    "tuple": lambda x, p: (dropped(x, p), None),
    "list": lambda x, p: [dropped(x, p)],
    "dict": lambda x, p: {"y": dropped(x, p)},
    "generator": lambda x, p: (v for v in [x]),
    "hostile": lambda x, p: Hostile(),
    "odd": lambda x, p: dropped(x, p).as_subclass(Odd),
    "parameter": lambda x, p: torch.nn.Parameter(dropped(x, p).detach()),
    "class": lambda x, p: torch.Tensor,
    "meta": lambda x, p: x.to("meta"),
    "sparse": lambda x, p: x.detach().to_sparse(),
    "nan": lambda x, p: x * float("nan"),
    "inf": lambda x, p: x / 0,
    "scalar": lambda x, p: x.sum(),
    "flat": lambda x, p: dropped(x, p).reshape(-1),
    "transposed": lambda x, p: dropped(x, p).transpose(0, -1) if x.ndim else x,
    "short": lambda x, p: dropped(x, p)[: max(0, len(x) - 1)] if x.ndim else x,
    "long": lambda x, p: torch.cat([x, x]) if x.ndim else x,
    "expanded": lambda x, p: dropped(x[..., :1], p).expand(x.shape) if x.numel() else x,
    "detached": lambda x, p: dropped(x.detach(), p),
    "in place": lambda x, p: x.mul_(0.5),
    "resized": lambda x, p: x.detach().resize_(3),
    "sometimes": lambda x, p: dropped(x, p) if random.random() < 0.5 else None,
    "other dtype": lambda x, p: dropped(x, p).to(random.choice(DTYPES)),
    "other shape": lambda x, p: torch.rand(random.choices(range(4), k=random.randrange(4))),
}
RAISES = (
    ValueError("no"), RuntimeError(""), MemoryError(), RecursionError(), StopIteration(),
    GeneratorExit(), SystemExit(1), AssertionError("x" * 5000), Unprintable(), Bare("no"),
    TargetError("mine"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
)  # fmt: skip


def spoil(registry):
    registry[len(registry) + 10_000] = lambda *_: None


HELD = []


def enter(context):
    """Enters a context for good: one that nobody holds would end itself."""
    context.__enter__()
    HELD.append(context)


EFFECTS = {
    "nothing": lambda: None,
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "grad": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(2),
    "seed": lambda: torch.manual_seed(0),
    "NumPy seed": lambda: np.random.seed(0),
    "Python seed": lambda: random.seed(0),
    "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "warning": lambda: warnings.warn("odd", stacklevel=1),
    "filters": lambda: warnings.simplefilter("error"),
    "environment": lambda: os.environ.update(TORCHDROPOUT_FUZZ="1"),
    "folder": lambda: os.chdir("/"),
    "stdout": lambda: setattr(sys, "stdout", None),
    "recursion limit": lambda: sys.setrecursionlimit(5000),
    "hooks": lambda: spoil(torch.nn.modules.module._global_forward_hooks),
    "inference": lambda: enter(torch.inference_mode()),
    "autocast": lambda: enter(torch.autocast("cpu", torch.bfloat16)),
}


def made(seed):
    """A callable: an odd signature around odd deeds; its parts, for when it breaks something."""
    draw = random.Random(seed)
    returns = draw.choice(list(RETURNS))
    in_eval = draw.choice(["x", "x", "x", *RETURNS])
    effects = draw.choices(list(EFFECTS), k=draw.randrange(3))
    error = draw.choice(RAISES) if draw.random() < 0.25 else None
    chance = draw.choice([1.0, 0.5, 0.05])
    own = random.Random(seed + 1)

    def deed(x, p, training):
        for effect in effects:
            EFFECTS[effect]()
        if error is not None and own.random() < chance:
            raise error
        return RETURNS[returns if training else in_eval](x, p)

    class Module(torch.nn.Module):
        def __init__(self, p=0.5):
            super().__init__()
            self.p = p

        def forward(self, x):
            return deed(x, self.p, self.training)

    class Strange(Module):
        """Changes itself, and refuses what it is not asked to."""

        def __init__(self, p=0.5, *more, **others):
            super().__init__(p)
            if not 0 <= p <= 1:
                raise draw.choice(RAISES)

        def forward(self, x):
            self.p = (self.p + 0.3) % 1
            self.register_buffer("last", x.detach())
            return super().forward(x)

    def keep(x, keep_prob, is_training=True):
        return deed(x, 1 - keep_prob, is_training)

    def inverted(x, rate, *, deterministic):
        return deed(x, rate, not deterministic)

    def training_only(input, p):
        return deed(input, p, True)

    def variadic(x, *args, p=0.5, training=True, **kwargs):
        return deed(x, p, training)

    def plain(x, p, training):
        return deed(x, p, training)

    def factory(p):
        return lambda x: deed(x, p, True)

    shapes = [plain, plain, Module, Module(0.3), Strange, keep, inverted, training_only, variadic,
              factory, torch.nn.Sequential(Module(0.2)), Module(0.0), Module(1.0), Module("p"),
              Module(float("nan"))]  # fmt: skip
    target = draw.choice(shapes)
    return target, f"{target!r}: {returns}, eval {in_eval}, {effects}, {error!r:.60} at {chance}"


def world():
    return (
        torch.random.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate(),
        torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"), torch.are_deterministic_algorithms_enabled(),
        warnings.filters[:], dict(os.environ), Path.cwd(), sys.stdout, sys.getrecursionlimit(),
        dict(torch.nn.modules.module._global_forward_hooks),
    )  # fmt: skip


def verify_made(seeds):
    """Verifies the callables of the seeds; how many were verified, and how many of these passed."""
    verified = passed = 0
    expected = list(codes_of(None, PLAIN))
    for seed in seeds:
        target, made_of = made(seed)
        before = world()
        try:
            subject = resolve(target)
        except TargetError:  # one that cannot be called: told, and nothing is run
            subject = None
        if subject is not None:
            report = check_subject(subject, level=TINY, seed=seed)
            assert not report.interrupted, made_of
            assert [check.rule.code for check in report.checks] == expected, made_of
            verified += 1
            passed += report.passed
        assert world() == before, made_of
    return verified, passed


@pytest.mark.integration
@pytest.mark.parametrize(
    ("count", "right"), [(60, 0), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
def test_callables_made_at_random(count, right, capfd):
    verified, passed = verify_made(range(count))
    assert verified > count // 2
    assert right <= passed < verified // 2
