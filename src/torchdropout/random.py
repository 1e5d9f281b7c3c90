"""`Key`, the source of a call's randomness."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ._core import _torch
from ._core._validate import check_generator, check_unsigned, wrong_type
from ._core.contract.keep import DOMAIN_FOLD, STREAM_BITS, words, words_tensor
from ._core.contract.seed import as_int64, draw_seeds


@dataclass(frozen=True, order=True)
class Key:
    """Identifies a stream of keep bits: the same key, p and mask index always give the same bit.

    A compiled function that takes a key as an argument is not compiled again for another key. Make
    keys of integers, and fold integers in, outside compiled code.

    Seed and stream may be integers in tensors without dimensions, whose lowest 64 and 60
    bits count. Under a transform or a compiler they stay tensors: under `torch.func.vmap`
    each sample then has a mask of its own.

    Attributes:
        seed: In [0, 2**64).
        stream: In [0, 2**60); streams of one seed are independent.

    Raises:
        ArgumentTypeError: Seed or stream is not an integer, or a tensor of another kind.
        ArgumentValueError: Seed or stream is out of range.

    Example:
        >>> Key(7)
        Key(seed=7, stream=0)
        >>> Key(7) == Key(7, 0), Key(7) < Key(7, 1)
        (True, True)
        >>> import torch, torchdropout as td
        >>> mask = lambda n: td.keep_mask((4,), 0.5, key=td.Key(7).fold_in(n))
        >>> torch.equal(torch.vmap(mask)(torch.arange(3))[2], mask(2))
        True
    """

    seed: int
    stream: int = 0
    # Under torch.compile a tensor attribute is an input of the graph. Integers would be constants
    # of it, with a recompilation for every key and an overflow beyond 2**63.
    _tensor: torch.Tensor = field(init=False, repr=False, compare=False)

    if TYPE_CHECKING:

        def __init__(self, seed: int | torch.Tensor, stream: int | torch.Tensor = 0) -> None: ...

    def __post_init__(self) -> None:
        if isinstance(self.seed, torch.Tensor) or isinstance(self.stream, torch.Tensor):
            seed = _bits_of("seed", self.seed, 64)
            stream = _bits_of("stream", self.stream, STREAM_BITS) & (2**STREAM_BITS - 1)
            if _is_watched():
                object.__setattr__(self, "seed", seed)
                object.__setattr__(self, "stream", stream)
                object.__setattr__(self, "_tensor", torch.stack((seed, stream)))
                return
            object.__setattr__(self, "seed", int(seed) % 2**64)
            object.__setattr__(self, "stream", int(stream))
        object.__setattr__(self, "seed", check_unsigned("seed", self.seed, 64))
        object.__setattr__(self, "stream", check_unsigned("stream", self.stream, STREAM_BITS))
        object.__setattr__(self, "_tensor", self._as_tensor())

    def __reduce__(self) -> tuple[Any, ...]:
        return Key, (self.seed, self.stream)

    def __fx_create_arg__(self, tracer: torch.fx.Tracer) -> torch.fx.Node:
        # Otherwise `torch.fx` gives the constructor every field, even the one that it makes itself.
        return tracer.create_node("call_function", Key, (self.seed, self.stream), {})

    def fold_in(self, n: int | torch.Tensor) -> Key:
        """Derive an independent key for each n, such as one for each layer, step or rank.

        One Philox call in domain 15 with counter `(n, stream)` under this key's seed; its first two
        words are the new seed, the other two, without the top four bits, the new stream.

        Args:
            n: In [0, 2**64), or an integer in a tensor without dimensions, by its 64 bits.

        Raises:
            ArgumentTypeError: n is not an integer.
            ArgumentValueError: n is out of range.

        Example:
            >>> Key(7).fold_in(1) == Key(7).fold_in(1), Key(7).fold_in(1) == Key(7).fold_in(2)
            (True, False)

        Reference:
            The name and the use are those of `jax.random.fold_in`.
        """
        if isinstance(n, torch.Tensor) or isinstance(self.seed, torch.Tensor):
            n = _bits_of("n", n, 64)
            if isinstance(self.seed, torch.Tensor) or _is_watched():
                found = words_tensor(self.tensor(), DOMAIN_FOLD, n)
                return Key(found[1] << 32 | found[0], found[3] << 32 | found[2])
            n = int(n) % 2**64
        n = check_unsigned("n", n, 64)
        w0, w1, w2, w3 = words(self.seed, self.stream, DOMAIN_FOLD, n)
        return Key(w1 << 32 | w0, (w3 << 32 | w2) % 2**STREAM_BITS)

    @classmethod
    def draw(cls, generator: torch.Generator | None = None) -> Key:
        """Draw a key with a seed from a generator, as a dropout call does, and stream 0.

        Args:
            generator: By default torch's CPU generator.

        Raises:
            ArgumentTypeError: `generator` is not a `torch.Generator`.

        Example:
            >>> _ = torch.manual_seed(0)
            >>> first = Key.draw()
            >>> _ = torch.manual_seed(0)
            >>> Key.draw() == first
            True
        """
        if generator is not None:
            check_generator(generator, torch.device("cpu"))
        return cls(int(draw_seeds((), generator)) % 2**64)

    def tensor(self) -> torch.Tensor:
        """Seed and stream in the form that operators expect: two int64 on the CPU."""
        # A compiler must not see the seed read: it would be a constant of the graph.
        if torch.compiler.is_compiling() or isinstance(self.seed, torch.Tensor):
            return self._tensor
        # Outside torch.compile a new tensor belongs to the active mode, such as that of fakes.
        return self._as_tensor()

    def _as_tensor(self) -> torch.Tensor:
        bits = [as_int64(self.seed), self.stream]
        return torch.tensor(bits, dtype=torch.int64, device=torch.device("cpu"))


def move(key: Key, by: torch.Tensor) -> None:
    """Make the draws of a compiled graph with a key begin at another mask index.

    Only for a key that was made within the graph: an operator adds the third number of its tensor
    to the base, which would be a constant of the graph.

    Args:
        key: The key, which is changed.
        by: int64 without dimensions.
    """
    object.__setattr__(key, "_tensor", torch.cat((key._tensor, by.reshape(1))))


def _is_watched() -> bool:
    """Whether an integer in a tensor must stay there: a transform or a compiler may see it."""
    return torch.compiler.is_compiling() or _torch.may_be_watched()


def _bits_of(name: str, number: Any, bits: int) -> torch.Tensor:
    """An integer, or the one in a tensor, as an int64 of its lowest 64 bits, on the CPU."""
    if not isinstance(number, torch.Tensor):
        number = as_int64(check_unsigned(name, number, bits))
        return torch.tensor(number, dtype=torch.int64, device=torch.device("cpu"))
    fraction = number.is_floating_point() or number.is_complex() or number.dtype == torch.bool
    if number.ndim > 0 or fraction:
        wrong_type(name, "an integer, or a tensor that holds one", number)
    return number.to(device="cpu", dtype=torch.int64)
