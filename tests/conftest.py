"""Settings for every test."""

import gc

import torch
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Deterministic: the same examples in every run and on every machine. No deadline: the oracle is
# slow on purpose and the machine's load varies.
settings.register_profile(
    "torchdropout",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("torchdropout")


# Autograd counts the devices at the first backward of a process, and starts a thread for each. In a
# torch for CUDA without a GPU a FakeTensorMode pretends that there are eight: if one came first, no
# backward could run in a process that a test forks.
torch.zeros((), requires_grad=True).square().backward()


def pytest_collection_finish():
    """Collecting garbage need not look at what collecting the tests has made: a million objects."""
    gc.collect()
    gc.freeze()
