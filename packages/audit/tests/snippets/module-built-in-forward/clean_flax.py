import flax.linen as nn


class Net(nn.Module):
    rate: float = 0.1

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Dense(64)(x)
        return nn.Dropout(self.rate, deterministic=not train)(x)
