"""Dropout as functions: torch's names, positional order and defaults, and keyword-only extras."""

from .alpha_dropout import alpha_dropout as alpha_dropout
from .alpha_dropout import feature_alpha_dropout as feature_alpha_dropout
from .attention import scaled_dot_product_attention as scaled_dot_product_attention
from .concrete_dropout import concrete_dropout as concrete_dropout
from .drop_block import drop_block1d as drop_block1d
from .drop_block import drop_block2d as drop_block2d
from .drop_block import drop_block3d as drop_block3d
from .drop_connect import drop_connect as drop_connect
from .drop_path import drop_path as drop_path
from .dropout import dropout as dropout
from .dropout_add import dropout_add as dropout_add
from .embedding_dropout import embedding_dropout as embedding_dropout
from .feature_dropout import dropout1d as dropout1d
from .feature_dropout import dropout2d as dropout2d
from .feature_dropout import dropout3d as dropout3d
from .gaussian_dropout import gaussian_dropout as gaussian_dropout
from .gaussian_noise import gaussian_noise as gaussian_noise
from .keep_mask import keep_mask as keep_mask
from .locked_dropout import locked_dropout as locked_dropout
from .multi_sample import multi_sample_dropout as multi_sample_dropout
from .r_drop import r_drop as r_drop
from .uniform_dropout import uniform_dropout as uniform_dropout
from .variational_dropout import variational_conv2d as variational_conv2d
from .variational_dropout import variational_dropout as variational_dropout
from .variational_dropout import variational_linear as variational_linear
from .zoneout import zoneout as zoneout
