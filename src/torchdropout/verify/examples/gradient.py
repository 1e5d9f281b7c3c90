"""Gradient: examples."""

from ._example import example

EXAMPLES = {
    "grad-mask": example(
        """
          from torch.nn import functional as F
          from torch.utils.checkpoint import checkpoint


          def dropout(x, p, training):
        -     options = {"use_reentrant": False, "preserve_rng_state": False}
        +     options = {"use_reentrant": False}
              return checkpoint(F.dropout, x, p, training, **options)
        """,
    ),
    "grad-scale": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              y = x.masked_fill(drop, 0)
        -     y.data *= 1 / (1 - p) if p < 1 else 0
        +     y *= 1 / (1 - p) if p < 1 else 0
              return y
        """,
    ),
    "grad-at-zero": example(
        """
        + import torch
          from torch.nn import functional as F


          def dropout(x, p, training):
              if not training:
                  return x
        -     keep = F.dropout(x.detach(), p) != 0
        +     keep = F.dropout(torch.ones_like(x), p) != 0
              return x * keep * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "grad-finite": example(
        """
          from torch.nn import functional as F


          def dropout(x, p, training):
              if not training:
                  return x
        -     size = x.detach().square().mean().sqrt()
        -     return F.dropout(x / size, p) * size
        +     return F.dropout(x, p)
        """,
    ),
    "grad-own-call": example(
        """
          import torch
          from torch import nn


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
        -         self.p, self.keep = p, torch.empty(0)
        +         self.p = p

              def forward(self, x):
                  if not self.training:
                      return x
        +         keep = torch.empty_like(x).bernoulli_(1 - self.p)
        -         if self.keep.shape != x.shape or self.keep.dtype != x.dtype:
        -             self.keep = torch.empty_like(x)
        -         self.keep.data.bernoulli_(1 - self.p)  # one buffer for all calls
        -         return x * self.keep * (1 / (1 - self.p) if self.p < 1 else 0)
        +         return x * keep * (1 / (1 - self.p) if self.p < 1 else 0)
        """,
    ),
    "grad-second-order": example(
        """
          import torch


          class Product(torch.autograd.Function):
              @staticmethod
              def forward(ctx, x, mask):
                  ctx.save_for_backward(mask)
                  return x * mask

              @staticmethod
              def backward(ctx, grad):
                  (mask,) = ctx.saved_tensors
        -         with torch.no_grad():
        -             return grad * mask, None
        +         return grad * mask, None


          def dropout(x, p, training):
              if not training:
                  return x
              keep = (torch.rand(x.shape, device=x.device) >= p).to(x.dtype)
              return Product.apply(x, keep * (1 / (1 - p) if p < 1 else 0))
        """,
    ),
}
