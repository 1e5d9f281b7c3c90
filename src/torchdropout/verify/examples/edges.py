"""Edges: examples."""

from ._example import example

EXAMPLES = {
    "p-zero-identity": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     p = min(max(p, 1e-6), 1 - 1e-6)  # never divides by zero
        +     if p == 1:
        +         return torch.zeros_like(x)
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) / (1 - p)
        """,
    ),
    "p-one-zeros": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        +     if p == 1:
        +         return torch.zeros_like(x)
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) / (1 - p)
        """,
    ),
    "edge-gradients": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
        -     return torch.where(drop, 0, x / (1 - p))
        +     return torch.where(drop, 0, x / (1 - p if p < 1 else 1))
        """,
    ),
    "empty-input": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     flat = x.reshape(len(x), -1)
        +     flat = x.flatten()
              drop = (torch.rand(flat.shape, device=x.device) < p).reshape(x.shape)
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "tiny-input": example(
        """
          import torch


          def dropout(x, p, training):
        -     if not training or x.ndim == 0:
        +     if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
