"""The names and parameters of dropouts and of all that accepts a dropout rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import own

_OWN_RNNS = ("LSTM", "GRU")

FUNCTIONAL_ON = tuple(f"torch.nn.functional.dropout{d}" for d in ("", "1d", "2d", "3d"))
"""The functional dropouts whose `training` defaults to True."""

FUNCTIONAL_OFF = ("torch.nn.functional.alpha_dropout", "torch.nn.functional.feature_alpha_dropout")
"""The functional dropouts whose `training` defaults to False."""


def _own(training: bool | None) -> dict[str, tuple[str, ...]]:
    """The functions of torchdropout with a default of `training`, None where it must be given."""
    known = own.FUNCTIONS.items()
    return {
        f"torchdropout.functional.{n}": by_place
        for n, (is_on, by_place) in known
        if is_on is training
    }


OTHER_ON: dict[str, tuple[str, ...]] = {
    **_own(True),
    "torchvision.ops.stochastic_depth": ("input", "p", "mode", "training"),
    "torchvision.ops.drop_block2d": ("input", "p", "block_size", "inplace", "eps", "training"),
    "torchvision.ops.drop_block3d": ("input", "p", "block_size", "inplace", "eps", "training"),
}
"""The same in other packages, with their parameters."""

MULTI_HEAD = "torch.nn.functional.multi_head_attention_forward"
"""It has `training=True` by default, too; its result is not what a dropout gives."""

OTHER_OFF: dict[str, tuple[str, ...]] = {
    **_own(False),
    "timm.layers.drop_path": ("x", "drop_prob", "training", "scale_by_keep"),
}
"""Those of other packages whose `training` defaults to False."""

MODULES = (
    *(f"torch.nn.Dropout{d}" for d in ("", "1d", "2d", "3d")),
    *("torch.nn.AlphaDropout", "torch.nn.FeatureAlphaDropout"),
)
"""torch's dropout modules."""

OTHER_MODULES: Mapping[str, tuple[str, ...]] = {
    "timm.layers.DropPath": ("drop_prob", "scale_by_keep"),
    "timm.layers.DropBlock2d": ("drop_prob", "block_size", "gamma_scale"),
    "torchvision.ops.StochasticDepth": ("p", "mode"),
    "torchvision.ops.DropBlock2d": ("p", "block_size", "inplace", "eps"),
    "torchvision.ops.DropBlock3d": ("p", "block_size", "inplace", "eps"),
    **{
        f"torchdropout.nn.{n}": by_place
        for n, by_place in own.MODULES.items()
        if n not in _OWN_RNNS
    },
}
"""The dropout modules of other packages, with their parameters."""

RNNS = (
    *("torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU"),
    *(f"torchdropout.nn.{name}" for name in _OWN_RNNS),
)
SDPA = "torch.nn.functional.scaled_dot_product_attention"


@dataclass(frozen=True)
class Signature:
    """The parameters of a function or a class of torch.

    Attributes:
        places: Those that can be given by position.
        needed: How many of them have no default.
        names: Those that can be given by name only.
    """

    places: tuple[str, ...]
    needed: int
    names: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """All parameters."""
        return self.names | set(self.places)


def _signature(places: str, needed: int = 0, names: str = "") -> Signature:
    return Signature(tuple(places.split()), needed, frozenset(names.split()))


_LAYER = _signature(
    "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias "
    "device dtype",
    2,
)
_LAYERS, _BIAS = "input_size hidden_size num_layers", "bias batch_first dropout"
_FURTHER = "bidirectional proj_size device dtype"
_CELL = _signature("input_size hidden_size bias device dtype", 2)

TORCH: Mapping[str, Signature] = {
    **dict.fromkeys((*FUNCTIONAL_ON, *FUNCTIONAL_OFF), _signature("input p training inplace", 1)),
    **dict.fromkeys(
        (
            f"torch.{name}dropout{end}"
            for name in ("", "alpha_", "feature_", "feature_alpha_")
            for end in ("", "_")
        ),
        _signature("input p train", 3),
    ),
    **dict.fromkeys(MODULES, _signature("p inplace")),
    SDPA: _signature("query key value attn_mask dropout_p is_causal", 3, "scale enable_gqa"),
    "torch.nn.MultiheadAttention": _signature(
        "embed_dim num_heads dropout bias add_bias_kv add_zero_attn kdim vdim batch_first device "
        "dtype",
        2,
    ),
    "torch.nn.TransformerEncoderLayer": _LAYER,
    "torch.nn.TransformerDecoderLayer": _LAYER,
    "torch.nn.RNN": _signature(f"{_LAYERS} nonlinearity {_BIAS}", names=_FURTHER),
    "torch.nn.LSTM": _signature(f"{_LAYERS} {_BIAS}", names=_FURTHER),
    "torch.nn.GRU": _signature(f"{_LAYERS} {_BIAS}", names=_FURTHER),
    "torch.nn.LSTMCell": _CELL,
    "torch.nn.GRUCell": _CELL,
    "torch.nn.RNNCell": _signature("input_size hidden_size bias nonlinearity device dtype", 2),
    MULTI_HEAD: _signature(
        "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v "
        "add_zero_attn dropout_p out_proj_weight out_proj_bias training key_padding_mask "
        "need_weights attn_mask use_separate_proj_weight q_proj_weight k_proj_weight v_proj_weight "
        "static_k static_v average_attn_weights is_causal",
        13,
    ),
}
"""What torch's dropouts, RNNs, attention and Transformer layers accept."""

_AROUND = {f"torchdropout.{name}": by_place for name, by_place in own.AROUND.items()}
_OWN_SDPA = "torchdropout.functional.scaled_dot_product_attention"

_ATTENTION: Mapping[str, tuple[str, ...]] = {
    _OWN_SDPA: _AROUND[_OWN_SDPA],
    SDPA: TORCH[SDPA].places,
    "flash_attn.flash_attn_func": ("q", "k", "v", "dropout_p"),
    "flash_attn.flash_attn_qkvpacked_func": ("qkv", "dropout_p"),
    "flash_attn.flash_attn_kvpacked_func": ("q", "kv", "dropout_p"),
    "flash_attn.flash_attn_varlen_func": (
        "q", "k", "v", "cu_seqlens_q", "cu_seqlens_k", "max_seqlen_q", "max_seqlen_k", "dropout_p",
    ),
    "flash_attn.flash_attn_varlen_qkvpacked_func": ("qkv", "cu_seqlens", "max_seqlen", "dropout_p"),
    "flash_attn.flash_attn_varlen_kvpacked_func": (
        "q", "kv", "cu_seqlens_q", "cu_seqlens_k", "max_seqlen_q", "max_seqlen_k", "dropout_p",
    ),
    "xformers.ops.memory_efficient_attention": ("query", "key", "value", "attn_bias", "p", "scale"),
}  # fmt: skip

_BLOCKS = (
    *("torch.nn.MultiheadAttention", "torchdropout.nn.MultiheadAttention", "torch.nn.Transformer"),
    *("torch.nn.TransformerEncoderLayer", "torch.nn.TransformerDecoderLayer"),
)

ATTENTION: Mapping[str, str] = {
    name: "p" if "p" in parameters else "dropout_p" for name, parameters in _ATTENTION.items()
}
"""The attention functions, which drop whenever the rate is not 0: their rate parameter."""

RATES: Mapping[str, str] = {
    **dict.fromkeys((*FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout", *MODULES), "p"),
    **{
        name: rate
        for known in (OTHER_MODULES, OTHER_ON, OTHER_OFF, _own(None), _AROUND)
        for name, parameters in known.items()
        for rate in ("p", "drop_prob")
        if rate in parameters
    },
    **dict.fromkeys((*RNNS, *_BLOCKS), "dropout"),
    **ATTENTION,
    MULTI_HEAD: "dropout_p",
}
"""All that accepts a drop probability, with the name of that parameter."""

FURTHER_RATES: Mapping[str, tuple[str, ...]] = {
    f"torchdropout.nn.{name}": rates for name, rates in own.BY_KEYWORD.items()
}
"""Other parameters that are drop probabilities, given by keyword."""

SIGNATURES: Mapping[str, tuple[str, ...]] = {
    **{name: known.places for name, known in TORCH.items()},
    **OTHER_MODULES,
    **OTHER_ON,
    **OTHER_OFF,
    **_own(None),
    **{f"torchdropout.nn.{name}": own.MODULES[name] for name in _OWN_RNNS},
    "torch.nn.Transformer": (
        "d_model", "nhead", "num_encoder_layers", "num_decoder_layers", "dim_feedforward",
        "dropout",
    ),
    "torch.utils.checkpoint.checkpoint": ("function",),
    "torch.utils.checkpoint.checkpoint_sequential": ("functions", "segments", "input"),
    **_AROUND,
    **_ATTENTION,
}  # fmt: skip
"""The parameters that can be given by position, in order."""

_HOMES = (
    (re.compile(r"torch\.nn\.modules\.(?:\w+\.)?(?=[A-Z])"), "torch.nn."),
    (re.compile(r"torch\.functional\."), "torch."),
    (re.compile(r"torchvision\.ops\.(?:stochastic_depth|drop_block)\."), "torchvision.ops."),
    (re.compile(r"timm\.(?:models\.layers|layers)\.(?:drop\.)?(?=\w)"), "timm.layers."),
    (re.compile(r"flash_attn\.flash_attn_interface\."), "flash_attn."),
    (re.compile(r"torchdropout\.nn\.\w+\.(?=[A-Z])"), "torchdropout.nn."),
    (re.compile(r"torchdropout\.functional\.\w+\.(?=[a-z])"), "torchdropout.functional."),
)


def canonical(name: str) -> str:
    """Returns one name for what can be imported from several places.

    Example:
        >>> canonical("torch.nn.modules.dropout.Dropout")
        'torch.nn.Dropout'
    """
    for home, short in _HOMES:
        found = home.match(name)
        if found:
            return short + name[found.end() :]
    return name


def is_public(name: str) -> bool:
    """Whether `from module import *` brings a name that this module knows."""
    return name in SIGNATURES or name in _STARRED


_STARRED = frozenset(("torch.nn", "torch.nn.functional", "torch.nn.Module", "torch.nn.Sequential"))
ROOTS = frozenset(name.partition(".")[0] for name in SIGNATURES)
"""The packages of all that is known."""
