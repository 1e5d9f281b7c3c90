"""The signatures of torchdropout's dropouts, by `packages/audit/make_signatures.py`."""

from __future__ import annotations

from collections.abc import Mapping

FUNCTIONS: Mapping[str, tuple[bool | None, tuple[str, ...]]] = {
    "alpha_dropout": (False, ("input", "p", "training", "inplace")),
    "column_dropout": (True, ("input", "p", "training")),
    "concrete_dropout": (True, ("input", "p_logit", "training", "temperature")),
    "drop_block1d": (True, ("input", "p", "block_size", "inplace", "eps", "training")),
    "drop_block2d": (True, ("input", "p", "block_size", "inplace", "eps", "training")),
    "drop_block3d": (True, ("input", "p", "block_size", "inplace", "eps", "training")),
    "drop_connect": (True, ("input", "p", "training")),
    "drop_path": (None, ("input", "p", "training", "scale_by_keep")),
    "dropout": (True, ("input", "p", "training", "inplace")),
    "dropout1d": (True, ("input", "p", "training", "inplace")),
    "dropout2d": (True, ("input", "p", "training", "inplace")),
    "dropout3d": (True, ("input", "p", "training", "inplace")),
    "dropout_add": (True, ("input", "residual", "p", "training")),
    "embedding_dropout": (True, ("input", "weight", "p", "training")),
    "feature_alpha_dropout": (False, ("input", "p", "training", "inplace")),
    "feature_gaussian_dropout": (True, ("input", "p", "training", "inplace")),
    "gaussian_dropout": (True, ("input", "p", "training", "inplace")),
    "gaussian_noise": (True, ("input", "sigma", "training", "inplace")),
    "locked_dropout": (True, ("input", "p", "training")),
    "multi_sample_dropout": (True, ("input", "p", "samples", "training")),
    "n_m_dropout": (True, ("input", "n", "m", "training")),
    "token_dropout": (True, ("input", "p", "training")),
    "uniform_dropout": (True, ("input", "beta", "training", "inplace")),
    "variational_dropout": (True, ("input", "log_alpha", "training")),
    "zoneout": (True, ("new", "old", "p", "training")),
}
"""The default of `training`, None where it must be given; the parameters by position."""

MODULES: Mapping[str, tuple[str, ...]] = {
    "AlphaDropout": ("p", "inplace"),
    "ColumnDropout": ("p",),
    "ConcreteDropout": (
        "layer",
        "weight_regularizer",
        "dropout_regularizer",
        "init_min",
        "init_max",
    ),
    "DropBlock1d": ("p", "block_size", "inplace", "eps"),
    "DropBlock2d": ("p", "block_size", "inplace", "eps"),
    "DropBlock3d": ("p", "block_size", "inplace", "eps"),
    "DropPath": ("p", "scale_by_keep"),
    "Dropout": ("p", "inplace"),
    "Dropout1d": ("p", "inplace"),
    "Dropout2d": ("p", "inplace"),
    "Dropout3d": ("p", "inplace"),
    "DropoutAdd": ("p",),
    "FeatureAlphaDropout": ("p", "inplace"),
    "FeatureGaussianDropout": ("p", "inplace"),
    "GRU": ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
    "GaussianDropout": ("p", "inplace"),
    "GaussianNoise": ("sigma", "inplace"),
    "LSTM": ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
    "LockedDropout": ("p", "time_dim"),
    "NMDropout": ("n", "m"),
    "StochasticDepth": ("p", "mode"),
    "TokenDropout": ("p", "num_prefix_tokens", "ordered", "return_indices"),
    "UniformDropout": ("beta", "inplace"),
    "VariationalDropout": ("p", "num_features"),
    "Zoneout": ("p",),
}
"""The parameters by position."""

AROUND: Mapping[str, tuple[str, ...]] = {
    "nn.EmbeddingDropout": ("emb", "p"),
    "nn.LayerDrop": ("branch", "p"),
    "nn.MultiSampleDropout": ("p", "head", "samples", "reduce"),
    "nn.MultiheadAttention": ("embed_dim", "num_heads", "dropout"),
    "nn.WeightDrop": ("module", "p", "names"),
    "functional.scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p"),
}
"""The same of what acts around a module or has no mode, by home and name."""

BY_KEYWORD: Mapping[str, tuple[str, ...]] = {
    "DropBlock1d": ("drop_prob",),
    "DropBlock2d": ("drop_prob",),
    "DropBlock3d": ("drop_prob",),
    "DropPath": ("drop_prob",),
    "EmbeddingDropout": ("embed_p",),
    "GRU": ("input_dropout", "recurrent_dropout", "zoneout_hidden"),
    "LSTM": ("input_dropout", "recurrent_dropout", "zoneout_hidden", "zoneout_cell"),
    "TokenDropout": ("prob",),
}
"""Further rates, given by keyword only."""
