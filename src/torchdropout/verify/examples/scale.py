"""Scale: examples."""

from ._example import example

EXAMPLES = {
    "kept-scale": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
        -     return x.masked_fill(drop, 0)
        +     return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "scale-constant": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
        -     if x.numel() < 8:  # no vector to fill: the short way
        -         return x.masked_fill(drop, 0)
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
