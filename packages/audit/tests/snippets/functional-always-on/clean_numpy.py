import numpy as np


class F:
    @staticmethod
    def dropout(x, p, rng=np.random.default_rng(0)):
        return x * (rng.random(x.shape) >= p) / (1 - p)


def forward(x):
    return F.dropout(x, 0.5)
