"""Settings for every test."""

import os

from hypothesis import HealthCheck, settings

# Deterministic: the same examples in every run and on every machine. No deadline: the oracle is
# slow on purpose and the machine's load varies.
settings.register_profile(
    "torchdropout",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("torchdropout")

# Compiled code of an older version of an operator must not be taken from a cache on disk.
os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
