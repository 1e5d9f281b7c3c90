"""The kinds by name, and the kinds of known classes and functions."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Mapping
from types import MappingProxyType

from ...errors import ArgumentTypeError, ArgumentValueError
from ..subject import MADE, PLAIN, Spec, because
from . import blocks, composed, counted, weights
from .effect import Added, Alpha, Gaussian, Relaxed, Scaled, Uniform
from .elementwise import Elementwise

_NOISE = {
    **because(
        "its noise is continuous: see noise-law",
        *("kept-scale", "scale-constant", "grad-mask", "dtype-scale", "dtype-rate"),
        *("nonfinite-kept", "nonfinite-dropped", "grad-at-zero", "grad-finite"),
        *("dtype-independence", "dtype-gradient"),
    ),
}
_NO_ONE = ("p-one-zeros", "edge-gradients")
_GAUSSIAN = {
    **_NOISE,
    **because("the variance p / (1 - p) has no value at p=1", *_NO_ONE),
}
_CALLS = {
    **because(
        "a call makes one draw",
        *("scale-constant", "layout-values", "layout-rate", "layout-mask"),
        *("expanded-independent", "value-mask", "thread-law", "thread-mask"),
        *("axis-independence", "count-spread"),
    ),
    **because(MADE, "input-unmodified", "inplace-claim"),
}
_EIGHTHS = (0.125, 0.25, 0.5, 0.75, 0.875)

SPECS: Mapping[str, Spec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            PLAIN,
            Elementwise("dropout1d", cost=4, pattern="n c *"),
            Elementwise("dropout2d", cost=12, pattern="n c * *"),
            Elementwise("dropout3d", cost=24, pattern="n c * * *"),
            Elementwise(
                "drop-path",
                cost=12,
                pattern="n * *",
                arguments={"mode": "row"},
            ),
            Elementwise(
                "drop-path-batch",
                cost=1 << 10,
                pattern="* *",
                arguments={"mode": "batch"},
                exempt=_CALLS,
            ),
            Elementwise("locked", cost=4, pattern="n * c"),
            Elementwise("embedding", cost=4, pattern="n *"),
            Elementwise("alpha", cost=4, effect=Alpha(), largest=1.5),
            Elementwise("feature-alpha", cost=16, pattern="n c * *", effect=Alpha(), largest=1.5),
            Elementwise("gaussian", cost=4, effect=Gaussian(), exempt=_GAUSSIAN),
            Elementwise(
                "feature-gaussian",
                cost=16,
                pattern="n c * *",
                effect=Gaussian(),
                exempt=_GAUSSIAN,
            ),
            Elementwise(
                "variational",
                (0.1, 0.5, 0.9),
                cost=4,
                effect=Gaussian(),
                exempt={
                    **_NOISE,
                    **because("a learned p is inside (0, 1)", "p-zero-identity", *_NO_ONE),
                },
            ),
            Elementwise(
                "uniform",
                (0.1, 0.5, 0.9),
                cost=4,
                effect=Uniform(),
                exempt={**_NOISE, **because("beta is below 1", *_NO_ONE)},
                parameters=("beta",),
            ),
            Elementwise(
                "gaussian-noise",
                (0.1, 0.5, 0.9),
                cost=4,
                effect=Added(),
                exempt={
                    **_NOISE,
                    **because("at sigma=1 there is noise, as at any other sigma", *_NO_ONE),
                    **because("any sigma from 0 is valid", "wrong-p-refused"),
                    **because("a large x rounds the noise away", "value-mask", "value-rate"),
                },
                parameters=("sigma", "stddev", "std"),
            ),
            Elementwise(
                "concrete",
                (0.05, 0.1, 0.5, 0.9),
                cost=4,
                effect=Relaxed(),
                exempt={
                    **_NOISE,
                    **because("a learned p is inside (0, 1)", "p-zero-identity", *_NO_ONE),
                },
            ),
            counted.Counted(
                "tokens",
                _EIGHTHS,
                cost=32,
                exempt=counted.EXEMPT,
                arguments={"num_prefix_tokens": 0},
            ),
            counted.Counted(
                "n-of-m",
                (0.25, 0.5, 0.75),
                cost=8,
                exempt=counted.EXEMPT,
                group=4,
                removes=False,
                effect=Scaled(unscaled=True),
            ),
            composed.Fused(
                "dropout-add",
                cost=2,
                inputs={
                    "residual": ("residual", "res", "residuals", "shortcut", "skip"),
                    "bias": ("bias", "b"),
                },
            ),
            composed.Attention(
                "attention",
                cost=64,
                inputs={"key": ("key", "k", "keys"), "value": ("value", "v", "values")},
                exempt=composed.EXEMPT_ATTENTION,
                finite=True,
            ),
            composed.Between(
                "zoneout",
                cost=2,
                inputs={"old": ("old", "previous", "prev", "old_state", "prev_state", "state")},
                exempt=composed.EXEMPT_BETWEEN,
            ),
            weights.Weights("weights", cost=64, exempt=weights.EXEMPT, finite=True),
            *(
                blocks.Blocks(
                    name,
                    (0.05, 0.1, 0.25),
                    cost=2 * size**dims,
                    multiple=size**dims,
                    exempt=blocks.EXEMPT,
                    needs=blocks.NEEDS,
                    arguments={"block_size": block},
                    dims=dims,
                    size=size,
                    block=block,
                )
                for name, dims, size, block in (
                    ("drop-block1d", 1, 16, 7),
                    ("drop-block", 2, 16, 7),
                    ("drop-block3d", 3, 8, 3),
                )
            ),
        )
    }
)

# Names of classes and functions; none of their packages needs to be installed.
_KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dropout1d": ("Dropout1d", "dropout1d"),
        "dropout2d": ("Dropout2d", "dropout2d", "feature_dropout"),
        "dropout3d": ("Dropout3d", "dropout3d"),
        "alpha": ("AlphaDropout", "alpha_dropout"),
        "feature-alpha": ("FeatureAlphaDropout", "feature_alpha_dropout"),
        "drop-path": ("DropPath", "drop_path", "StochasticDepth", "stochastic_depth"),
        "drop-block1d": ("DropBlock1d", "drop_block1d"),
        "drop-block": ("DropBlock2d", "drop_block2d", "DropBlock2D"),
        "drop-block3d": ("DropBlock3d", "drop_block3d"),
        "tokens": ("PatchDropout", "TokenDropout", "patch_dropout", "token_dropout"),
        "dropout-add": ("DropoutAdd", "dropout_add"),
        "attention": ("scaled_dot_product_attention",),
        "gaussian": ("GaussianDropout", "gaussian_dropout"),
        "feature-gaussian": ("FeatureGaussianDropout", "feature_gaussian_dropout"),
        "gaussian-noise": ("GaussianNoise", "gaussian_noise"),
        "uniform": ("UniformDropout", "uniform_dropout"),
        "concrete": ("ConcreteDropout", "concrete_dropout"),
        "locked": ("LockedDropout", "RNNDropout", "locked_dropout"),
        "weights": ("DropConnect", "EmbeddingDropout", "WeightDrop", "WeightDropout"),
        "variational": ("VariationalDropout",),
        "zoneout": ("Zoneout", "zoneout"),
    }
)
_FAMILIES = re.compile(r"^(torch|torchvision|timm|torchdropout|fastai)(\.|$)")


def parse(spec: str | Spec) -> Spec:
    """Parse the name of a kind, with options after a colon: `plain:bits=8`, `tokens:group=16`.

    Raises:
        ArgumentTypeError: It is neither a name nor a `Spec`.
        ArgumentValueError: There is no such kind, or it has no such option.

    Example:
        >>> parse("plain:quantised=256").title
        'plain, p held to 8 bits'
    """
    if isinstance(spec, Spec):
        return spec
    if not isinstance(spec, str):
        raise ArgumentTypeError(
            f"Expected `spec` to be the name of a kind, got spec={spec!r} ({type(spec).__name__})"
        )
    name, _, options = spec.partition(":")
    if name not in SPECS:
        near = difflib.get_close_matches(name, SPECS, n=3)
        hint = f"close to it: {', '.join(near)}" if near else f"there are: {', '.join(SPECS)}"
        raise ArgumentValueError(
            f"Expected `spec` to be the name of a kind, got spec={spec!r} (str); {hint}"
        )
    found = SPECS[name]
    for part in filter(None, options.split(",")):
        found = _with_option(found, spec, part)
    return found


def _with_option(spec: Spec, whole: str, part: str) -> Spec:
    """Change one number of a kind."""
    key, equals, text = part.partition("=")
    numbers = [
        field.name
        for field in dataclasses.fields(spec)
        if isinstance(getattr(spec, field.name), int)
        and field.name not in ("cost", "multiple", "part", "dims")
    ]
    value = int(text) if text.isdigit() else 0
    if key == "quantised" and value > 1 and value & (value - 1) == 0:
        key, value = "bits", value.bit_length() - 1
    if not equals or key not in numbers or value < 1:
        raise ArgumentValueError(
            f"Expected `spec` to set one of {', '.join((*numbers, 'quantised'))} to a whole "
            f"number (quantised: a power of two), got spec={whole!r} (str)"
        )
    changed: dict[str, object] = {key: value}
    if key == "bits":
        if spec is PLAIN:
            return Elementwise("plain", bits=value, effect=Scaled(bits=value))
        if not isinstance(spec, Elementwise) or not isinstance(spec.effect, Scaled):
            raise ArgumentValueError(
                f"Expected `bits` of a kind that scales by 1 / (1 - p), got spec={whole!r} (str)"
            )
        changed["effect"] = dataclasses.replace(spec.effect, bits=value)
    if key == "block":
        changed["arguments"] = {**spec.arguments, "block_size": value}
    if key == "size":
        places = int(value ** getattr(spec, "dims", 1))
        changed["multiple"], changed["cost"] = places, 2 * places
    return dataclasses.replace(spec, **changed)  # type: ignore[arg-type]


def infer(thing: object) -> Spec:
    """Infer the kind of a class, instance or function from its name.

    Those of torch, torchvision, timm, fastai and this library are known. A class that derives from
    one of them has its kind. Anything else is plain.

    Example:
        >>> import torch
        >>> infer(torch.nn.Dropout2d(0.1)).name
        'dropout2d'
    """
    inner = thing.func if isinstance(thing, functools.partial) else thing
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    for cls in kind.__mro__ if isinstance(kind, type) else (kind,):
        module = getattr(cls, "__module__", None) or "torch"
        if not _FAMILIES.match(module):
            continue
        for name, members in _KNOWN.items():
            if getattr(cls, "__name__", "") in members:
                return _mode(SPECS[name], thing)
    return PLAIN


def _mode(spec: Spec, thing: object) -> Spec:
    """The kind, which is another one for `StochasticDepth` with the mode "batch"."""
    held = getattr(thing, "__dict__", {})
    bound = thing.keywords if isinstance(thing, functools.partial) else held
    is_batch = spec.name == "drop-path" and bound.get("mode") == "batch"
    return SPECS["drop-path-batch"] if is_batch else spec
