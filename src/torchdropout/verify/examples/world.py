"""World: examples."""

from ._example import example

EXAMPLES = {
    "state-restored": example(
        """
          import torch


          def dropout(x, p, training):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
        -     torch.set_grad_enabled(training)
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "state-own": example(
        """
          import torch
          from torch import nn


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  if not 0 <= p <= 1:
                      raise ValueError(f"expected p in [0, 1], got p={p}")
        -         self.p, self.scale = p, nn.Parameter(torch.ones((), dtype=torch.double))
        +         self.p = p

              def forward(self, x):
                  if not self.training:
                      return x
                  drop = torch.rand(x.shape, device=x.device) < self.p
        -         self.scale.data.fill_(1 / (1 - self.p) if self.p < 1 else 0)
        +         scale = 1 / (1 - self.p) if self.p < 1 else 0
        -         return x.masked_fill(drop, 0) * self.scale.detach()
        +         return x.masked_fill(drop, 0) * scale
        """,
    ),
}
