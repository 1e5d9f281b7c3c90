"""Dropout of whole tokens: a fixed count of each sequence is kept, the others are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._core._validate import check_bool, is_integer, plain, wrong_type, wrong_value
from .._core.contract.layout import MaskLayout
from ..errors import ArgumentTypeError
from ..random import Key
from ._call import check_call
from ._fixed_count import choice_map, choose
from ._key import drawn
from ._override import overridable
from ._rate import Probability, check_probability, drops
from ._shards import by_parts


@overridable
def token_dropout(
    input: torch.Tensor,
    p: Probability = 0.5,
    training: bool = True,
    *,
    num_prefix_tokens: int = 0,
    ordered: bool = False,
    return_indices: bool = False,
    key: Key | None = None,
    generator: torch.Generator | None = None,
    broadcast_dims: Sequence[int] = (),
    layout: MaskLayout | None = None,
) -> Any:
    r"""Remove a fixed count of tokens from each sequence; identity in eval.

    Of the L tokens after the prefix, `max(1, round(L * (1 - p)))` are kept, halves rounded to the
    even number: the same count in each sample, with each choice equally likely. They are
    not scaled, and the others are removed instead of zeroed: the output is shorter. Also known as
    patch dropout. If p is so small that all are kept, they still come in random order.

    Args:
        input: Floating-point or complex tensor.
        p: Drop probability in [0, 1]. At 1 one token is kept.
        training: False returns `input` itself.
        num_prefix_tokens: How many tokens at the start are kept and not counted, such as class
            tokens.
        ordered: True keeps the tokens in the order of the sequence, False returns them in random
            order.
        return_indices: True returns the places of the kept tokens too.
        key: Names the choice; nothing is drawn.
        generator: Draws the key from this generator instead of torch's default one.
        broadcast_dims: `(0,)` keeps the same tokens of all samples.
        layout: Mask indices of the `(N, L)` tokens after the prefix, for example of a micro-batch.

    Returns:
        The output, or with return_indices a tuple: the output, and an int64 tensor of the places
        of the kept tokens, counted after the prefix (None where nothing was drawn).

    Shape:
        `(N, num_prefix_tokens + L, ...)`; the output `(N, num_prefix_tokens + kept, ...)`, the
        indices `(N, kept)`.

    Raises:
        ArgumentTypeError: As in `dropout`; num_prefix_tokens is not an integer, or the input is
            nested.
        ArgumentValueError: As in `dropout`; the input has fewer than two dimensions or fewer tokens
            than num_prefix_tokens; in training, it has none after the prefix.

    Example:
        >>> import torch, torchdropout as td
        >>> x = torch.arange(12.0).view(2, 6, 1)
        >>> y = td.functional.token_dropout(x, 0.5, ordered=True, key=td.Key(0))
        >>> y.squeeze(-1)
        tensor([[1., 3., 4.],
                [6., 8., 9.]])

    Reference:
        Y. Liu et al., "PatchDropout: Economizing vision transformers using patch dropout", WACV
        2023; arguments and the unscaled output as in timm's `PatchDropout`.
    """
    p = check_probability(p)
    x = check_call(input, training, key, generator)
    check_prefix(num_prefix_tokens)
    check_bool("ordered", ordered)
    check_bool("return_indices", return_indices)
    if x.ndim < 2:
        wrong_value("input", "of 2 dimensions or more, (samples, tokens, ...)", x)
    prefix, size = num_prefix_tokens, x.shape[1] - num_prefix_tokens
    if size < 0:
        wrong_value(
            "num_prefix_tokens",
            f"at most {x.shape[1]}, the tokens of an input of shape {tuple(x.shape)}",
            num_prefix_tokens,
        )
    base, strides = choice_map((x.shape[0], size), (), 1, broadcast_dims, layout)
    if training and size == 0:
        # This is an error whatever p is: a p that grows from 0 must not fail at its second step.
        wrong_value("input", f"of one or more tokens after a prefix of {prefix}, to keep one", x)
    if not (training and drops(p)):
        return (x, None) if return_indices else x
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        raise ArgumentTypeError(
            "Expected `input` to be a tensor that torch.jit.trace does not record, as the numbers "
            "of samples and of tokens would be constants: record the model in eval, or with "
            f"torch.export, got a tensor of {x.dtype} ({type(x).__name__})."
        )

    def part(x: torch.Tensor, base: int, strides: Sequence[int]) -> Any:
        with drawn(key, generator) as of_call:
            places = choose(x, of_call, p, size, base, strides[:2], ordered)
            first = torch.arange(prefix, device=x.device).expand(x.shape[0], prefix)
            at = torch.cat((first, places + prefix), dim=1)
            y = x[torch.arange(x.shape[0], device=x.device).unsqueeze(1), at]
            return (y, places) if return_indices else y

    # The other dimensions of x do not affect the choice.
    strides = [*strides, *[0] * (x.ndim - 2)]
    return by_parts(part, {"input": x}, base, strides, whole=(1,))


def check_prefix(num_prefix_tokens: Any) -> int:
    """Check how many tokens are always kept."""
    if not is_integer(num_prefix_tokens):
        wrong_type("num_prefix_tokens", "an integer of 0 or more", num_prefix_tokens)
    if num_prefix_tokens < 0:
        wrong_value("num_prefix_tokens", "0 or more", num_prefix_tokens)
    return plain(num_prefix_tokens)
