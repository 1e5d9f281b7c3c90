"""Independence: examples."""

from ._example import example

EXAMPLES = {
    "few-masks": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     generator = torch.Generator(x.device)
        -     generator.manual_seed(int(torch.randint(2**16, ())))
        -     noise = torch.rand(x.shape, generator=generator, device=x.device)
        +     noise = torch.rand(x.shape, device=x.device)
              return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "mask-repeats": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              noise = torch.rand(x.shape, device=x.device)
        -     if x.ndim == 2:  # in blocks of 32 rows
        -         noise = noise[torch.arange(len(x), device=x.device) % 32]
              return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "lag-independence": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     noise = torch.rand((x.numel() + 1) // 2, device=x.device)
        +     noise = torch.rand(x.numel(), device=x.device)
        -     noise = torch.cat([noise, 1 - noise])[: x.numel()]  # each used twice
              drop = noise.reshape(x.shape) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "axis-independence": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     shape = (1, *x.shape[1:]) if x.ndim == 4 else x.shape
        -     drop = torch.rand(shape, device=x.device) < p
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "call-independence": example(
        """
          import torch
          from torch import nn


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
        -         self.p, self.noise = p, None
        +         self.p = p

              def forward(self, x):
                  if not self.training:
                      return x
        -         if self.noise is not None and self.noise.shape == x.shape:
        -             noise, self.noise = 1 - self.noise, None  # antithetic
        -         else:
        -             self.noise = noise = torch.rand(x.shape, device=x.device)
        +         noise = torch.rand(x.shape, device=x.device)
                  scale = 1 / (1 - self.p) if self.p < 1 else 0
                  return x.masked_fill(noise < self.p, 0) * scale
        """,
    ),
    "joint-counts": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
              drop = torch.rand(x.numel(), device=x.device) < p
        -     if p == 0.5:  # two fair coins give a third
        -         n = x.numel() // 3 * 3
        -         drop[2:n:3] = drop[0:n:3] ^ drop[1:n:3]
              drop = drop.reshape(x.shape)
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "count-spread": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     order = torch.randperm(x.numel(), device=x.device)
        +     drop = torch.rand(x.shape, device=x.device) < p
        -     drop = order.reshape(x.shape) < round(p * x.numel())
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "linear-rank": example(
        """
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     noise = torch.randint(2**24, (89,), device=x.device)
        +     noise = torch.randint(2**24, x.shape, device=x.device)
        +     drop = noise < p * 2**24
        -     while len(noise) < x.numel():  # a shift register, in ever longer steps
        -         n = 1 << (len(noise) // 89).bit_length() - 1
        -         new = noise[-89 * n : -51 * n] ^ noise[-38 * n :]
        -         noise = torch.cat([noise, new])
        -     drop = noise[: x.numel()].reshape(x.shape) < p * 2**24
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
