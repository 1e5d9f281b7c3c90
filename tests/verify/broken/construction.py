"""Broken construction: a wrong p is taken, or refused without help."""

from torch import nn

from verify.broken._common import draw, select


def takes_any_p(x, p, training):
    """wrong-p-refused: A wrong p is bent to a right one."""
    p = min(max(float(p or 0), 0.0), 1.0)
    return select(x, draw(x, p), p) if training else x


def takes_nan(x, p, training):
    """wrong-p-refused: Two comparisons that NaN passes (torch's `nn.Dropout(nan)`)."""
    if isinstance(p, (str, type(None))):
        raise TypeError(f"p is not a probability: {p!r} ({type(p).__name__})")
    if p < 0 or p > 1:
        raise ValueError(f"p is not a probability: {p}")
    return select(x, draw(x, p), p) if training else x


class RefusesAtTheCall(nn.Module):
    """wrong-p-refused: A wrong p is found hours later."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not isinstance(self.p, float) or not 0 <= self.p <= 1:
            raise ValueError(f"p is not a probability: {self.p!r}")
        return select(x, draw(x, self.p), self.p) if self.training else x
