"""Settings for every test."""

import contextlib
import gc
import sys

import pytest
import torch
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Deterministic: the same examples in every run and on every machine. No deadline: the oracle is
# slow on purpose and the machine's load varies.
settings.register_profile(
    "torchdropout", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("torchdropout")


# Autograd counts the devices at the first backward of a process, and starts a thread for each. In a
# torch for CUDA without a GPU a FakeTensorMode pretends that there are eight: if one came first, no
# backward could run in a process that a test forks.
torch.zeros((), requires_grad=True).square().backward()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collecting garbage need not look at what collecting the tests makes: a million objects."""
    gc.disable()
    try:
        result = yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    # To log it, torch's compiler measures the guards of each graph, after it has emptied the
    # processor's caches: a tenth of the time that a small graph takes.
    guards = sys.modules.get("torch._dynamo.guards")
    if hasattr(guards, "profile_guard_manager"):
        guards.profile_guard_manager = lambda *_: 0.0
    return result


@pytest.fixture(scope="session")
def processes():
    """Run code in forks of one process, which has imported torch and nothing of ours."""
    from processes import Processes  # which imports ours

    with contextlib.closing(Processes()) as running:
        yield running
