"""Dtype: examples."""

from ._example import example

EXAMPLES = {
    "dtype-kept": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     keep = (torch.rand(x.shape, device=x.device) >= p).float()
        +     keep = (torch.rand(x.shape, device=x.device) >= p).to(x.dtype)
              return x * keep * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "dtype-scale": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
        -     keep = 1 - torch.tensor(p, dtype=x.dtype, device=x.device)
        +     keep = 1 - p
              return x.masked_fill(drop, 0) / (keep if keep > 0 else 1)
        """,
    ),
    "dtype-rate": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     drop = torch.rand_like(x) < p
        +     drop = torch.rand_like(x, dtype=torch.float32) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "dtype-independence": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              u = torch.rand(x.shape, device=x.device)
        -     if x.dtype.itemsize == 2:  # two to a word
        -         u = u.flatten()[::2].repeat_interleave(2)[: x.numel()].reshape(x.shape)
              return x.masked_fill(u < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "dtype-gradient": example(
        """
          import torch


          class Dropout(torch.autograd.Function):
              @staticmethod
              def forward(ctx, x, p):
                  drop = torch.rand(x.shape, device=x.device) < p
                  ctx.scale = 1 / (1 - p) if p < 1 else 0
                  y = x.masked_fill(drop, 0) * ctx.scale
        -         ctx.save_for_backward(y if x.dtype.itemsize == 2 else drop)
        +         ctx.save_for_backward(drop)
                  return y

              @staticmethod
              def backward(ctx, grad):
                  (drop,) = ctx.saved_tensors
                  return grad.masked_fill(drop > 0, 0) * ctx.scale, None


          def dropout(x, p, training):
              return Dropout.apply(x, p) if training else x
        """,
    ),
}
