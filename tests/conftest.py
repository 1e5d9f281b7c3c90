"""Settings for every test."""

import gc

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


def pytest_collection_finish():
    """Collecting garbage need not look at what collecting the tests has made: a million objects."""
    gc.collect()
    gc.freeze()
