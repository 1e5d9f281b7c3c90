"""Compute continuous noise from (key, distribution, index): section 7 of the contract.

Every operation below is an IEEE 754 operation in float64, rounded by itself: sums, products,
quotients and square roots, which are the same on every machine. No library's logarithm is called,
since no two agree in the last bit. The functions on Python numbers are the definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch

from .._validate import check_unsigned
from .keep import STREAM_BITS, words, words_tensor
from .philox import WordTensors

DOMAIN_ORDER = 4  # the 32-bit numbers that choose a fixed count of places

PER_BLOCK = 4  # numbers per Philox call, from a 32-bit word each


class Law(IntEnum):
    """The standard distributions; the value of each is its domain of Philox counters."""

    UNIFORM = 1  # on (-1, 1)
    NORMAL = 2  # mean 0 and variance 1
    LOGISTIC = 3  # log(u / (1 - u)) of a uniform u


def word(seed: int, stream: int, domain: int, index: int) -> int:
    """The 32-bit number of an index in a domain: word `index % 4` of Philox call `index // 4`.

    Args:
        seed: In [0, 2**64).
        stream: In [0, 2**60).
        domain: In [0, 16).
        index: In [0, 2**64).

    Raises:
        ArgumentTypeError: An argument is not an integer.
        ArgumentValueError: An argument is out of range.

    Example:
        >>> hex(word(0, 0, Law.UNIFORM, 0))
        '0x587be05d'
    """
    check_unsigned("seed", seed, 64)
    check_unsigned("stream", stream, STREAM_BITS)
    check_unsigned("domain", domain, 4)
    check_unsigned("index", index, 64)
    block, place = divmod(index, PER_BLOCK)
    return words(seed, stream, domain, block)[place]


def noise(seed: int, stream: int, law: Law, index: int) -> float:
    """The number of an index under a standard distribution.

    `w` is the index's word, and `u = (2w + 1) / 2**33` a uniform number on (0, 1). The result is
    `2u - 1`, the inverse of the normal distribution function at u, or `log(u / (1 - u))`.

    Example:
        >>> noise(0, 0, Law.NORMAL, 0)
        2.017189901691312
    """
    w = word(seed, stream, law, index)
    value: float
    if law == Law.UNIFORM:
        value = _centred(w)
    elif law == Law.NORMAL:
        q = _centred(w) / 2
        value = _central(q) if abs(q) <= _SPLIT else math.copysign(_tail(_rarer(w)), q)
    else:
        value = math.copysign(_log_odds(_rarer(w)), _centred(w))
    return value


def words_at(keys: torch.Tensor, domain: int, index: torch.Tensor) -> torch.Tensor:
    """`word` on tensors: the words of any indices under each key.

    Args:
        keys: `(k, 2)` int64: seed and stream, each as its 64 bits.
        domain: 4 bits.
        index: `(n,)` int64 on the keys' device; its 64 bits are read as unsigned.

    Returns:
        `(k, n)` int64, in [0, 2**32).
    """
    four = _four(words_tensor(keys[:, None], domain, index >> 2 & (2**62 - 1)))
    place = (index & (PER_BLOCK - 1)).expand(keys.shape[0], -1)
    return four.gather(-1, place.unsqueeze(-1)).squeeze(-1)


def words_range(keys: torch.Tensor, domain: int, base: int, n: int) -> torch.Tensor:
    """The words of the indices `base` to `base + n - 1`: each Philox call serves four."""
    first, skip = divmod(base % 2**64, PER_BLOCK)
    blocks = torch.arange((skip + n + PER_BLOCK - 1) // PER_BLOCK, device=keys.device) + first
    blocks &= 2**62 - 1  # indices are modulo 2**64
    return _four(words_tensor(keys[:, None], domain, blocks)).flatten(1)[:, skip : skip + n]


def _four(four: WordTensors) -> torch.Tensor:
    return torch.stack(four, dim=-1)


def noise_of_words(w: torch.Tensor, law: Law) -> torch.Tensor:
    """`noise` on tensors: from int64 words to float64 numbers."""
    value: torch.Tensor
    if law == Law.UNIFORM:
        value = _centred(w)
    elif law == Law.NORMAL:
        q = _centred(w) / 2
        tail = _tail(_rarer(w)).copysign(q)
        value = torch.where(q.abs() <= _SPLIT, _central(q), tail)
    else:
        value = _log_odds(_rarer(w)).copysign(_centred(w))
    return value


# --- the arithmetic, on Python numbers and on tensors alike ---------------------------------------


def _centred(w: Any) -> Any:
    """`2u - 1`: an odd number of 33 bits over 2**32, exact."""
    return _float(2 * w + (1 - 2**32)) * 2.0**-32


def _float(n: Any) -> Any:
    # An integer tensor times a Python number would have the default dtype.
    return n.to(torch.float64) if isinstance(n, torch.Tensor) else float(n)


def _rarer(w: Any) -> Any:
    """`min(u, 1 - u) * 2**33`: an odd number below 2**32, exact."""
    if isinstance(w, torch.Tensor):
        return _float(torch.minimum(2 * w + 1, 2**33 - (2 * w + 1)))
    return _float(min(2 * w + 1, 2**33 - (2 * w + 1)))


def _horner(coefficients: Sequence[float], x: Any) -> Any:
    """`c[0] + x (c[1] + x (c[2] + ...))`."""
    *rest, value = coefficients
    for coefficient in reversed(rest):
        value = value * x + coefficient
    return value


# M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
# Statistics 37 (1988), PPND16: relative accuracy of 1e-16. Its third region begins at u = 1.4e-11,
# which 33 bits do not reach.
_SPLIT = 0.425
_A = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_B = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_C = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_D = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)


def _central(q: Any) -> Any:
    r = 0.180625 - q * q
    return q * _horner(_A, r) / _horner(_B, r)


def _tail(n: Any) -> Any:
    """The positive quantile; `n = min(u, 1 - u) * 2**33`."""
    r = _root(33 * _LN2 - _log(n)) - 1.6
    return _horner(_C, r) / _horner(_D, r)


def _log_odds(n: Any) -> Any:
    """The positive logarithm of odds; `n = min(u, 1 - u) * 2**33`."""
    return _log((2.0**33 - n) / n)


def _root(x: Any) -> Any:
    """The square root, correctly rounded."""
    if not isinstance(x, torch.Tensor):
        return math.sqrt(x)
    # torch's square root of a CPU tensor comes from a vector library, and is at times off by a unit
    # in the last place. Its square in twice the precision (T. J. Dekker, 1971) shows by how much.
    root = x.sqrt()
    split = root * (2.0**27 + 1)
    high = split - (split - root)
    low = root - high
    square = root * root
    error = ((high * high - square) + 2 * high * low) + low * low
    return root + ((x - square) - error) * (0.5 / root)


# The logarithm of FreeBSD's msun (e_log.c, after Sun's fdlibm), off by less than one unit in the
# last place. ln 2 is in two parts, so that the product of an exponent and the first is exact.
_LN2 = 6.93147180559945286227e-01
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LOG = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)


def _log(x: Any) -> Any:
    """The natural logarithm of a number from 1 to 2**33."""
    k, m = _split(x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    r = z * _horner(_LOG, z)
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + r) + k * _LN2_LOW)) - f)


def _split(x: Any) -> tuple[Any, Any]:
    """`x = m * 2**k`, with m from sqrt(1/2) to sqrt(2)."""
    if isinstance(x, torch.Tensor):
        bits = x.view(torch.int64)
        exponent = (bits - _ROOT_HALF) >> 52
        return _float(exponent), (bits - (exponent << 52)).view(torch.float64)
    m, k = math.frexp(x)
    if m < math.sqrt(0.5):
        m, k = 2 * m, k - 1
    return float(k), m
