"""Compiled: examples."""

from ._example import example

EXAMPLES = {
    "compiled-law": example(
        """
          import torch


          def dropout(x, p, training):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
        -     if not training or torch.compiler.is_compiling():
        +     if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
