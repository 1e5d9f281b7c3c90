from flax import linen as nn


class MLP(nn.Module):
    rate: float

    def __call__(self, x, train):
        return nn.Dropout(rate=self.rate, deterministic=not train)(x)
