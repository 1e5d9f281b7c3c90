"""Structure: examples."""

from ._example import example

EXAMPLES = {
    "shared-mask": example(
        """
          from torch.nn import functional as F


          def dropout2d(x, p, training):
        -     return F.dropout(x, p, training)
        +     return F.dropout2d(x, p, training)
        """,
        spec="dropout2d",
    ),
    "block-shape": example(
        """
          import torch
          from torch.nn import functional as F


          def drop_block(x, p, training, block_size=7):
              if not training:
                  return x
        -     side = min(block_size, x.shape[-1] // 4)  # not too much of a small plane
        +     side = block_size
              density = 1 - (1 - p) ** (1 / side**2)
              rows, columns = (size + side - 1 for size in x.shape[2:])
              noise = torch.rand(*x.shape[:2], rows, columns, device=x.device)
              drop = F.max_pool2d((noise < density).float(), side, stride=1) > 0
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        spec="drop-block",
    ),
    "scale-common": example(
        """
          import torch
          from torch.nn import functional as F


          def drop_block(x, p, training, block_size=7):
              if not training:
                  return x
              density = 1 - (1 - p) ** (1 / block_size**2)
              rows, columns = (size + block_size - 1 for size in x.shape[2:])
              noise = torch.rand(*x.shape[:2], rows, columns, device=x.device)
              drop = F.max_pool2d((noise < density).float(), block_size, stride=1) > 0
        -     return x.masked_fill(drop, 0)
        +     return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        spec="drop-block",
    ),
    "fixed-count": example(
        """
          import torch


          def two_of_four(x, p, training):
              if not training:
                  return x
        -     drop = torch.rand(x.shape, device=x.device) < p
        +     noise = torch.rand(x.numel() // 4, 4, device=x.device)
        +     drop = noise.argsort(1).argsort(1) < round(4 * p)
        -     return x.masked_fill(drop, 0)
        +     return x.masked_fill(drop.reshape(x.shape), 0)
        """,
        spec="n-of-m",
    ),
    "subset-uniform": example(
        """
          import torch


          def two_of_four(x, p, training):
              if not training:
                  return x
        -     first = torch.randint(4, (x.numel() // 4, 1), device=x.device)
        +     noise = torch.rand(x.numel() // 4, 4, device=x.device)
        -     order = (first + torch.arange(4, device=x.device)) % 4
        +     order = noise.argsort(1).argsort(1)
              drop = order < round(4 * p)
              return x.masked_fill(drop.reshape(x.shape), 0)
        """,
        spec="n-of-m",
    ),
    "fused-composition": example(
        """
          import torch


          def dropout_add(x, residual, bias=0, p=0.5, training=True):
              if not training:
                  return residual + x + bias
              drop = torch.rand(x.shape, device=x.device) < p
              scale = 1 / (1 - p) if p < 1 else 0
        -     return residual + x.masked_fill(drop, 0) * scale + bias
        +     return residual + (x + bias).masked_fill(drop, 0) * scale
        """,
        spec="dropout-add",
    ),
    "noise-law": example(
        """
          import torch


          def gaussian_dropout(x, p, training):
              if not training:
                  return x
        -     return x * (1 + p / (1 - p) * torch.randn_like(x))
        +     return x * (1 + (p / (1 - p)) ** 0.5 * torch.randn_like(x))
        """,
        spec="gaussian",
    ),
    "states-mixed": example(
        """
          import torch


          def zoneout(new, old, p, training):
              if not training:
        -         return new
        +         return p * old + (1 - p) * new
              drop = torch.rand(new.shape, device=new.device) < p
              return torch.where(drop, old, new)
        """,
        spec="zoneout",
    ),
    "alpha-moments": example(
        """
          import torch


          def alpha_dropout(x, p, training):
              if not training:
                  return x
              if p == 1:
                  return torch.zeros_like(x)
              alpha = -1.7580993408473766
              a = ((1 - p) * (1 + p * alpha**2)) ** -0.5
              drop = torch.rand(x.shape, device=x.device) < p
        -     return x.masked_fill(drop, alpha) * a
        +     return x.masked_fill(drop, alpha) * a - a * p * alpha
        """,
        spec="alpha",
    ),
    "probabilities-dropped": example(
        """
          import torch.nn.functional as F


          def attention(query, key, value, p, training):
              weights = (query @ key.transpose(-1, -2)).softmax(-1)
        -     return F.dropout(weights @ value, p, training)
        +     return F.dropout(weights, p, training) @ value
        """,
        spec="attention",
    ),
}
