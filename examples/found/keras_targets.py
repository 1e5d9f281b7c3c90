"""Keras 3 layers as targets of the verifier, on the backend that `KERAS_BACKEND` names."""

import keras
import torch

from torchdropout.verify.adapters import from_keras

dropout = from_keras(keras.layers.Dropout)
gaussian = from_keras(keras.layers.GaussianDropout)
alpha = from_keras(keras.layers.AlphaDropout)


def _channels_first(layer):
    """Keras has the channels last: the verifier's input has them second."""

    def make(p):
        inner = layer(p)
        return keras.Sequential([keras.layers.Permute((2, 1)), inner, keras.layers.Permute((2, 1))])

    return make


spatial = from_keras(_channels_first(keras.layers.SpatialDropout1D))


class Heads(torch.nn.Module):
    """Two layers of one model with the seeds 1 and 2, as users give layers seeds of their own."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        # torchdropout: ignore[module-not-registered] - a call tells them the mode
        self.layers = [keras.layers.Dropout(p, seed=seed, autocast=False) for seed in (1, 2)]

    def forward(self, x):
        flat = x.reshape(-1)
        parts = flat.split([flat.numel() // 2, flat.numel() - flat.numel() // 2])
        pairs = zip(self.layers, parts, strict=True)
        done = [layer(part, training=self.training) for layer, part in pairs]
        return torch.cat(done).reshape(x.shape)
