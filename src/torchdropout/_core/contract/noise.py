"""Compute continuous noise from (key, distribution, index): section 7 of the contract.

Every operation below is an IEEE 754 operation in float32, rounded by itself: sums, products,
quotients and square roots, which are the same on every machine. No library's logarithm is called,
since no two agree in the last bit. The functions on Python numbers are the definition.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch

from .._validate import check_unsigned
from .keep import STREAM_BITS, words

DOMAIN_ORDER = 4  # the 32-bit numbers that choose a fixed count of places

PER_BLOCK = 4  # numbers per Philox call, from a 32-bit word each
MIDDLE = 2**31  # of the words: half of them are below it


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

    Example:
        >>> hex(word(0, 0, Law.UNIFORM, 0))
        '0x587be05d'
    """
    seed = check_unsigned("seed", seed, 64)
    stream = check_unsigned("stream", stream, STREAM_BITS)
    domain = check_unsigned("domain", domain, 4)
    index = check_unsigned("index", index, 64)
    block, place = divmod(index, PER_BLOCK)
    return words(seed, stream, domain, block)[place]


def noise(seed: int, stream: int, law: Law, index: int) -> float:
    """The number of an index under a standard distribution.

    `w` is the index's word, and `u = (2w + 1) / 2**33` a uniform number on (0, 1). The result is
    `2u - 1` of the first 24 bits of w, the inverse of the normal distribution function at u, or
    `log(u / (1 - u))`. It is a number of float32.

    Example:
        >>> noise(0, 0, Law.NORMAL, 0)
        2.0171899795532227
    """
    w = word(seed, stream, law, index)
    if law == Law.UNIFORM:
        return float(_uniform(w - MIDDLE))
    offset = _offset(w - MIDDLE)
    if law == Law.NORMAL:
        magnitude = _central(offset) if offset < _CENTRAL else _tail(offset)
    else:
        magnitude = _log_odds(offset)
    return math.copysign(float(magnitude), w - MIDDLE)


def noise_of_words(w: torch.Tensor, law: Law) -> torch.Tensor:
    """`noise` on tensors: from int64 words to float32 numbers."""
    return noise_of_centred((w - MIDDLE).to(torch.int32), law)


def noise_of_centred(centred: torch.Tensor, law: Law) -> torch.Tensor:
    """`noise_of_words` of int32 numbers, the words less `MIDDLE`."""
    number: torch.Tensor
    if law == Law.UNIFORM:
        number = _uniform(centred)
        return number
    offset = _offset(centred)
    if law == Law.NORMAL:
        magnitude = _tail(offset)  # first, since it needs most memory
        magnitude = torch.where(offset < _CENTRAL, _central(offset), magnitude)
    else:
        magnitude = _log_odds(offset)
    number = magnitude.copysign(_single(centred))
    return number


# --- float32 on Python numbers --------------------------------------------------------------------


def _rounded(value: float) -> float:
    """The nearest number of float32."""
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


class _Single:
    """A number of float32 with the operations of IEEE 754.

    Each is computed in float64 and rounded: as 53 digits are at least two more than twice 24, the
    result is that of rounding once (S. A. Figueroa, "When is double rounding innocuous?", 1995).
    """

    def __init__(self, value: float) -> None:
        self._value = _rounded(value)

    def __float__(self) -> float:
        return self._value

    def __add__(self, other: Any) -> _Single:
        return _Single(self._value + float(other))

    def __sub__(self, other: Any) -> _Single:
        return _Single(self._value - float(other))

    def __rsub__(self, other: float) -> _Single:
        return _Single(other - self._value)

    def __mul__(self, other: Any) -> _Single:
        return _Single(self._value * float(other))

    def __truediv__(self, other: Any) -> _Single:
        return _Single(self._value / float(other))


# --- the arithmetic, on `_Single` and on tensors of float32 alike ---------------------------------


def _single(n: Any) -> Any:
    """An integer, rounded to float32."""
    return n.to(torch.float32) if isinstance(n, torch.Tensor) else _Single(n)


def _uniform(centred: Any) -> Any:
    """An odd integer of 24 bits over 2**24: the first 24 bits of a word, exact."""
    odd = 2 * (centred >> 8) + 1
    return (odd.to(torch.float32) if isinstance(odd, torch.Tensor) else odd) * 2.0**-24


def _offset(centred: Any) -> Any:
    """How far a word is from the middle, the same for both sides: 0 to 2**31 - 1."""
    return centred ^ (centred >> 31)


def _distance(offset: Any) -> Any:
    """`|2u - 1|`."""
    return (_single(offset) + 0.5) * 2.0**-31


def _rarer(offset: Any) -> Any:
    """`min(u, 1 - u)`."""
    return (_single(offset ^ (MIDDLE - 1)) + 0.5) * 2.0**-32


def _horner(coefficients: Sequence[float], x: Any) -> Any:
    """`c[0] + x (c[1] + x (c[2] + ...))`."""
    *rest, last = coefficients
    value = x * last
    for coefficient in reversed(rest[1:]):
        value += coefficient  # in place, of tensors
        value *= x
    value += rest[0]
    return value


def _singles(*values: float) -> tuple[float, ...]:
    return tuple(map(_rounded, values))


# Minimax approximations, by `benchmarks/noise_law.py fit`: of the quantile over |2u - 1| in the
# central region; and beyond, of the difference between `w = sqrt(-2 log(min(u, 1 - u)))` and the
# quantile, as in Abramowitz and Stegun, "Handbook of mathematical functions", 26.2.23.
_CENTRAL = 0x74800000  # offsets below it are in the central region: |2u - 1| < 0.91
_SQUARE = 0.828125
_A = _singles(1.8631256, 10.475709, 11.887786, 1.474207)
_B = _singles(1.0, 6.728465, 10.625334, 3.0327263)
_C = _singles(2.658096, 1.9847062, 0.12814666)
_D = _singles(1.0, 2.0938668, 0.64554167, 0.022134762)


def _central(offset: Any) -> Any:
    x = _distance(offset)
    r = _SQUARE - x * x
    x *= _horner(_A, r)
    x /= _horner(_B, r)
    return x


def _tail(offset: Any) -> Any:
    w = _root(_log(_rarer(offset)) * -2.0)
    return w - _horner(_C, w) / _horner(_D, w)


def _log_odds(offset: Any) -> Any:
    v = _rarer(offset)
    return _log((1.0 - v) / v)


def _root(x: Any) -> Any:
    """The square root, correctly rounded."""
    if not isinstance(x, torch.Tensor):
        return _Single(math.sqrt(float(x)))
    if x.device.type == "mps":  # it has no float64
        return x.sqrt()
    # torch's square root of a CPU tensor comes from a vector library, which may be off by a unit in
    # the last place; in float64 such an error is far below the half unit of float32 that matters.
    return x.to(torch.float64).sqrt_().to(torch.float32)


# ln 2 is in two parts, so that the product of an exponent and the first is exact.
_LN2_HIGH = 0.693145751953125
_LN2_LOW = _rounded(1.4286068e-06)
_LOG = _singles(2.0, 0.6666682, 0.39973605, 0.29961267)
_ROOT_HALF = 0x3F3504F3  # the bits of sqrt(1/2)


def _log(x: Any) -> Any:
    """The natural logarithm of a positive number that is not subnormal; a tensor is overwritten."""
    k, s = _split(x)
    s -= 1.0
    s /= s + 2.0
    value = _horner(_LOG, s * s)
    value *= s
    value += k * _LN2_LOW
    value += k * _LN2_HIGH
    return value


def _split(x: Any) -> tuple[Any, Any]:
    """`x = m * 2**k`, with m from sqrt(1/2) to sqrt(2); m takes the memory of x, if a tensor."""
    if isinstance(x, torch.Tensor):
        bits = x.view(torch.int32)
        exponent = bits - _ROOT_HALF
        exponent >>= 23
        k = _single(exponent)
        exponent <<= 23
        bits -= exponent
        return k, x
    m, k = math.frexp(float(x))
    if m < _rounded(math.sqrt(0.5)):
        m, k = 2 * m, k - 1
    return _Single(k), _Single(m)
