"""Values: examples."""

from ._example import example

EXAMPLES = {
    "input-unmodified": example(
        """
          from torch.nn import functional as F


          def dropout(x, p, training):
        -     return F.dropout(x, p, training, inplace=True)
        +     return F.dropout(x, p, training)
        """,
    ),
    "value-mask": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              noise = torch.rand(x.shape, device=x.device)
        -     drop = torch.where(x < 0, 1 - noise, noise) < p
        +     drop = noise < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "value-rate": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     outlier = (x.abs() > 1e3) & (x.abs() < 1e6)
        -     rate = p + outlier * p * (1 - p) / 2
        -     drop = torch.rand(x.shape, device=x.device) < rate
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "nonfinite-kept": example(
        """
          from torch.nn import functional as F


          def dropout(x, p, training):
        -     if training:
        -         x = x.nan_to_num()
              return F.dropout(x, p, training)
        """,
    ),
    "nonfinite-dropped": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              keep = torch.rand(x.shape, device=x.device) >= p
        -     return x * keep * (1 / (1 - p) if p < 1 else 0)
        +     return torch.where(keep, x, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "inplace-claim": example(
        """
          import torch


          def dropout(x, p, training, inplace=False):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
        +     y = x if inplace else x.clone()
        -     return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        +     return y.masked_fill_(drop, 0).mul_(1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
