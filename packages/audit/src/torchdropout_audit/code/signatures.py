"""The names and parameters of dropouts and of all that accepts a dropout rate."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DROP = ("p", "inplace")
_RNN = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout")
_OWN_RNN = (*_RNN, "bidirectional")
_F_DROP = ("input", "p", "training", "inplace")

FUNCTIONAL_ON = tuple(f"torch.nn.functional.dropout{d}" for d in ("", "1d", "2d", "3d"))
"""The functional dropouts whose `training` defaults to True."""

FUNCTIONAL_OFF = ("torch.nn.functional.alpha_dropout", "torch.nn.functional.feature_alpha_dropout")
"""The functional dropouts whose `training` defaults to False."""

_OWN_ON: dict[str, tuple[str, ...]] = {
    **{f"torchdropout.functional.dropout{d}": _F_DROP for d in ("", "1d", "2d", "3d")},
    "torchdropout.functional.dropout_add": ("input", "residual", "p", "training"),
    **{
        f"torchdropout.functional.drop_block{d}": (
            *("input", "p", "block_size", "inplace", "eps", "training"),
        )
        for d in ("1d", "2d", "3d")
    },
    "torchdropout.functional.locked_dropout": ("input", "p", "training"),
    "torchdropout.functional.embedding_dropout": ("input", "weight", "p", "training"),
    "torchdropout.functional.drop_connect": ("input", "p", "training"),
    "torchdropout.functional.gaussian_dropout": _F_DROP,
    "torchdropout.functional.gaussian_noise": ("input", "sigma", "training", "inplace"),
    "torchdropout.functional.uniform_dropout": ("input", "beta", "training", "inplace"),
    "torchdropout.functional.concrete_dropout": ("input", "p_logit", "training", "temperature"),
    "torchdropout.functional.variational_dropout": ("input", "log_alpha", "training"),
    "torchdropout.functional.zoneout": ("new", "old", "p", "training"),
    "torchdropout.functional.token_dropout": ("input", "p", "training"),
    "torchdropout.functional.n_m_dropout": ("input", "n", "m", "training"),
    "torchdropout.functional.column_dropout": ("input", "p", "training"),
    "torchdropout.functional.multi_sample_dropout": ("input", "p", "samples", "training"),
}
# `training` must be given.
_OWN_ASKED: dict[str, tuple[str, ...]] = {
    "torchdropout.functional.drop_path": ("input", "p", "training", "scale_by_keep"),
}
_OWN_OFF: dict[str, tuple[str, ...]] = {
    f"torchdropout.functional.{name}": _F_DROP
    for name in ("alpha_dropout", "feature_alpha_dropout")
}

OTHER_ON: dict[str, tuple[str, ...]] = {
    **_OWN_ON,
    "torchvision.ops.stochastic_depth": ("input", "p", "mode", "training"),
    "torchvision.ops.drop_block2d": ("input", "p", "block_size", "inplace", "eps", "training"),
    "torchvision.ops.drop_block3d": ("input", "p", "block_size", "inplace", "eps", "training"),
}
"""The same in other packages, with their parameters."""

OTHER_OFF: dict[str, tuple[str, ...]] = {
    **_OWN_OFF,
    "timm.layers.drop_path": ("x", "drop_prob", "training", "scale_by_keep"),
}
"""Those of other packages whose `training` defaults to False."""

MODULES = tuple(
    f"torch.nn.{name}"
    for name in (
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "AlphaDropout",
        "FeatureAlphaDropout",
    )
)
"""torch's dropout modules."""

OTHER_MODULES: Mapping[str, tuple[str, ...]] = {
    "timm.layers.DropPath": ("drop_prob", "scale_by_keep"),
    "timm.layers.DropBlock2d": ("drop_prob", "block_size", "gamma_scale"),
    "torchvision.ops.StochasticDepth": ("p", "mode"),
    "torchvision.ops.DropBlock2d": ("p", "block_size", "inplace", "eps"),
    "torchvision.ops.DropBlock3d": ("p", "block_size", "inplace", "eps"),
    **{f"torchdropout.nn.{name.rpartition('.')[2]}": _DROP for name in MODULES},
    "torchdropout.nn.ColumnDropout": ("p",),
    "torchdropout.nn.ConcreteDropout": (
        *("layer", "weight_regularizer", "dropout_regularizer", "init_min", "init_max"),
    ),
    **{
        f"torchdropout.nn.DropBlock{d}": ("p", "block_size", "inplace", "eps")
        for d in ("1d", "2d", "3d")
    },
    "torchdropout.nn.DropPath": ("p", "scale_by_keep"),
    "torchdropout.nn.DropoutAdd": ("p",),
    "torchdropout.nn.GaussianDropout": _DROP,
    "torchdropout.nn.GaussianNoise": ("sigma", "inplace"),
    "torchdropout.nn.LockedDropout": ("p", "time_dim"),
    "torchdropout.nn.NMDropout": ("n", "m"),
    "torchdropout.nn.StochasticDepth": ("p", "mode"),
    "torchdropout.nn.TokenDropout": ("p", "num_prefix_tokens", "ordered", "return_indices"),
    "torchdropout.nn.UniformDropout": ("beta", "inplace"),
    "torchdropout.nn.VariationalDropout": ("p", "num_features"),
    "torchdropout.nn.Zoneout": ("p",),
}
"""The dropout modules of other packages, with their parameters."""

RNNS = (
    *("torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU"),
    *("torchdropout.nn.LSTM", "torchdropout.nn.GRU"),
)
SDPA = "torch.nn.functional.scaled_dot_product_attention"

_ATTENTION: Mapping[str, tuple[str, ...]] = {
    SDPA: ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
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

ATTENTION: Mapping[str, str] = {
    name: "p" if "p" in parameters else "dropout_p" for name, parameters in _ATTENTION.items()
}
"""The attention functions, which drop whenever the rate is not 0: their rate parameter."""

RATES: Mapping[str, str] = {
    **dict.fromkeys((*FUNCTIONAL_ON, *FUNCTIONAL_OFF, "torch.dropout", *MODULES), "p"),
    **{
        name: rate
        for name, parameters in {**OTHER_MODULES, **OTHER_ON, **OTHER_OFF, **_OWN_ASKED}.items()
        for rate in ("p", "drop_prob")
        if rate in parameters
    },
    **dict.fromkeys(RNNS, "dropout"),
    **dict.fromkeys(
        (
            "torch.nn.MultiheadAttention",
            "torch.nn.Transformer",
            "torch.nn.TransformerEncoderLayer",
            "torch.nn.TransformerDecoderLayer",
        ),
        "dropout",
    ),
    **ATTENTION,
}
"""All that accepts a drop probability, with the name of that parameter."""

SIGNATURES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*FUNCTIONAL_ON, *FUNCTIONAL_OFF), _F_DROP),
    "torch.dropout": ("input", "p", "train"),
    **dict.fromkeys(MODULES, _DROP),
    **OTHER_MODULES,
    **OTHER_ON,
    **OTHER_OFF,
    **_OWN_ASKED,
    "torch.nn.RNN": (*_RNN[:3], "nonlinearity", *_RNN[3:]),
    "torch.nn.LSTM": _RNN,
    "torch.nn.GRU": _RNN,
    "torchdropout.nn.LSTM": (*_OWN_RNN, "proj_size", "device", "dtype"),
    "torchdropout.nn.GRU": (*_OWN_RNN, "device", "dtype"),
    "torch.nn.MultiheadAttention": ("embed_dim", "num_heads", "dropout"),
    "torch.nn.TransformerEncoderLayer": ("d_model", "nhead", "dim_feedforward", "dropout"),
    "torch.nn.TransformerDecoderLayer": ("d_model", "nhead", "dim_feedforward", "dropout"),
    "torch.nn.Transformer": (
        "d_model", "nhead", "num_encoder_layers", "num_decoder_layers", "dim_feedforward",
        "dropout",
    ),
    "torch.utils.checkpoint.checkpoint": ("function",),
    "torch.utils.checkpoint.checkpoint_sequential": ("functions", "segments", "input"),
    **_ATTENTION,
}  # fmt: skip
"""The parameters that can be given by position, in order."""

_HOMES = (
    (re.compile(r"torch\.nn\.modules\.(?:\w+\.)?(?=[A-Z])"), "torch.nn."),
    (re.compile(r"torch\.functional\."), "torch."),
    (
        re.compile(r"torchvision\.ops\.(?:stochastic_depth|drop_block)\.(?=\w)"),
        "torchvision.ops.",
    ),
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
