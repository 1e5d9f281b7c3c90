"""Rate: examples."""

from ._example import example

EXAMPLES = {
    "drop-rate": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     byte = torch.randint(256, x.shape, device=x.device)
        +     drop = torch.rand(x.shape, device=x.device) < p
        -     drop = byte < round(256 * p)
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "position-rate": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     noise = torch.ones(x.numel(), device=x.device)
        +     noise = torch.rand(x.numel(), device=x.device)
        -     whole = x.numel() // 8 * 8  # as many as vectors of eight hold
        -     noise[:whole] = torch.rand(whole, device=x.device)
              drop = noise.reshape(x.shape) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
