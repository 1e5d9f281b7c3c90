"""Dropout as modules: drop-ins for those of `torch.nn`, under the same names."""

from .alpha_dropout import AlphaDropout as AlphaDropout
from .alpha_dropout import FeatureAlphaDropout as FeatureAlphaDropout
from .drop_block import DropBlock1d as DropBlock1d
from .drop_block import DropBlock2d as DropBlock2d
from .drop_block import DropBlock3d as DropBlock3d
from .drop_path import DropPath as DropPath
from .drop_path import StochasticDepth as StochasticDepth
from .dropout import Dropout as Dropout
from .dropout_add import DropoutAdd as DropoutAdd
from .embedding_dropout import EmbeddingDropout as EmbeddingDropout
from .feature_dropout import Dropout1d as Dropout1d
from .feature_dropout import Dropout2d as Dropout2d
from .feature_dropout import Dropout3d as Dropout3d
from .gaussian_dropout import GaussianDropout as GaussianDropout
from .gaussian_noise import GaussianNoise as GaussianNoise
from .layer_drop import LayerDrop as LayerDrop
from .locked_dropout import LockedDropout as LockedDropout
from .uniform_dropout import UniformDropout as UniformDropout
