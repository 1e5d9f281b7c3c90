import jax
from flax import nnx


class Net(nnx.Module):
    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        return jax.nn.relu(self.dropout(x))
