"""Layout: examples."""

from ._example import example

EXAMPLES = {
    "layout-values": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     flat = x.view(-1)
        +     flat = x.reshape(-1)
              drop = torch.rand(flat.shape, device=x.device) < p
              y = flat.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
              return y.view(x.shape)
        """,
    ),
    "layout-rate": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              noise = torch.rand(x.shape, device=x.device)
        -     if not x.is_contiguous() and p < 1:
        -         noise[1::2] = 1  # the loop takes the wrong stride
              return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "expanded-independent": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     size = x.untyped_storage().nbytes() // x.element_size()
        -     noise = torch.rand(size, device=x.device)  # one for each place in memory
        +     noise = torch.rand(x.shape, device=x.device)  # one for each element
        -     drop = noise.as_strided(x.shape, x.stride(), x.storage_offset()) < p
        -     return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        +     return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "layout-mask": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     drop = torch.rand_like(x, dtype=torch.float32) < p
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "device-followed": example(
        """
          import torch


          def dropout(x, p, training):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
              if not training:
                  return x
        -     drop = torch.rand(x.shape) < p
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
