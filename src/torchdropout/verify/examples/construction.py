"""Construction: examples."""

from ._example import example

EXAMPLES = {
    "wrong-p-refused": example(
        """
          import torch
          from torch import nn


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
        +         if not 0 <= p <= 1:
        +             raise ValueError(f"expected p in [0, 1], got p={p}")
                  self.p = p

              def forward(self, x):
                  if not self.training:
                      return x
                  drop = torch.rand(x.shape, device=x.device) < self.p
                  return x.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0)
        """,
    ),
    "wrong-p-named": example(
        """
          import torch


          def dropout(x, p, training):
        -     assert 0 <= p <= 1
        +     if not 0 <= p <= 1:
        +         raise ValueError(f"expected p in [0, 1], got p={p}")
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
