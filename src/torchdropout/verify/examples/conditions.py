"""Conditions: examples."""

from ._example import example

EXAMPLES = {
    "values-everywhere": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.shape, device=x.device) < p
              y = x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        -     before = -x.storage_offset() % 4  # the next aligned address
        -     y = y.contiguous()
        -     y.view(-1)[:before] = x.reshape(-1)[:before]
              return y
        """,
    ),
    "gradient-everywhere": example(
        """
          import torch


          class Dropout(torch.autograd.Function):
              @staticmethod
              def forward(ctx, x, p):
                  scale = 1 / (1 - p) if p < 1 else 0
                  mask = (torch.rand(x.shape) >= p).to(x.dtype) * scale
                  ctx.save_for_backward(mask)
                  return torch.where(mask > 0, x * mask, 0)

              @staticmethod
              def backward(ctx, grad):
                  (mask,) = ctx.saved_tensors
        -         if grad.storage_offset():  # a slice, read as contiguous
        -             like = torch.empty(grad.shape)
        -             grad = grad.as_strided(grad.shape, like.stride())
                  return torch.where(mask > 0, grad * mask, 0), None


          def dropout(x, p, training):
              return Dropout.apply(x, p) if training else x
        """,
    ),
    "eval-everywhere": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
        -         return x * 1.0 + 0.0  # -0.0 becomes 0.0
        +         return x
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "draws-everywhere": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              noise = torch.rand(x.shape, device=x.device)
        -     if x.ndim > 1 and x.shape[-1] % 2:  # not a multiple of 2
        -         noise[1::2] = noise[: x.shape[0] // 2 * 2 : 2]
              return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "large-call": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              noise = torch.rand(x.shape, device=x.device)
        -     if x.numel() > 1 << 20:  # the second block is the first again
        -         half = x.numel() // 2
        -         noise.view(-1)[half : 2 * half] = noise.view(-1)[:half].clone()
              return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "module-state": example(
        """
          import torch


          class Dropout(torch.nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  self.p = p
        -         self.scale = 1 / (1 - p) if p < 1 else 0.0  # that of the first p

              def forward(self, x):
                  if not self.training:
                      return x
                  drop = torch.rand(x.shape, device=x.device) < self.p
        -         scale = self.scale
        +         scale = 1 / (1 - self.p) if self.p < 1 else 0.0
                  return x.masked_fill(drop, 0) * scale
        """,
    ),
    "attention-everywhere": example(
        """
          import torch


          def attention(query, key, value, dropout_p):
              scores = query @ key.mT / query.shape[-1] ** 0.5
              weights = scores.softmax(-1)
        -     tile = 16
        -     noise = torch.rand(*weights.shape[:-1], tile)
        +     noise = torch.rand(weights.shape)
        -     # The offset of a tile is missing: each has the mask of the first.
        -     place = torch.arange(weights.shape[-1]) % tile
        -     drop = noise[..., place] < dropout_p
        +     drop = noise < dropout_p
              scale = 1 / (1 - dropout_p) if dropout_p < 1 else 0
              return (weights.masked_fill(drop, 0) * scale) @ value
        """,
        spec="attention",
    ),
    "embedding-repeats": example(
        """
          import torch


          class DroppedEmbedding(torch.nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  self.p = p
                  self.embedding = torch.nn.Embedding(4096, 16)

              def forward(self, indices):
                  y = self.embedding(indices)
                  if not self.training:
                      return y
        -         noise = torch.rand(indices.shape)  # for words
        +         noise = torch.rand(4096)[indices]  # for word types
                  drop = (noise < self.p).unsqueeze(-1)
                  scale = 1 / (1 - self.p) if self.p < 1 else 0
                  return y.masked_fill(drop, 0) * scale
        """,
        spec="weights",
    ),
    "arguments-unmodified": example(
        """
          import torch


          def dropout_add(x, residual, bias, p, training):
              y = x + bias
              if training:
                  drop = torch.rand(x.shape, device=x.device) < p
                  y = y.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        -     if torch.is_grad_enabled() and y.requires_grad:
        -         return residual + y
        +     return residual + y
        -     return residual.add_(y)  # saves an allocation
        """,
        spec="dropout-add",
    ),
    "noise-pairs": example(
        """
          import math

          import torch


          def gaussian_dropout(x, p, training):
              if not training or p == 0:
                  return x
              n = x.numel()
        -     radius = (-2 * torch.rand((n + 1) // 2).clamp_min(1e-30).log()).sqrt()
        +     radius = (-2 * torch.rand(n).clamp_min(1e-30).log()).sqrt()
        +     angle = 2 * math.pi * torch.rand(n)
        -     radius = radius.repeat_interleave(2)[:n]  # two numbers of one radius,
        -     angle = 2 * math.pi * torch.rand(n)  # and each of its own angle
              noise = (radius * angle.cos()).view(x.shape)
              if p == 1:
                  return torch.zeros_like(x)
              return x * (1 + math.sqrt(p / (1 - p)) * noise)
        """,
        spec="gaussian",
    ),
}
