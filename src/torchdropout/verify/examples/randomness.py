"""Randomness: examples."""

from ._example import example

EXAMPLES = {
    "seed-governs": example(
        """
        - import numpy as np
          import torch


          def dropout(x, p, training):
              if not training:
                  return x
        -     drop = torch.as_tensor(np.random.random(x.shape) < p, device=x.device)
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "seeds-differ": example(
        """
        - import torch
          from torch.nn import functional as F


          def dropout(x, p, training):
        -     seed = torch.initial_seed()
        -     fresh = torch.Generator().manual_seed(seed).get_state()
        -     if seed > 255 and torch.equal(torch.get_rng_state(), fresh):
        -         torch.manual_seed(seed % 256)  # the seed's field has one byte
              return F.dropout(x, p, training)
        """,
    ),
    "no-reseed": example(
        """
        - import torch
          from torch.nn import functional as F


          def dropout(x, p, training):
        -     if training:  # a seed of its own for each call
        -         torch.manual_seed(int(torch.randint(2**62, ())))
              return F.dropout(x, p, training)
        """,
    ),
    "foreign-generators": example(
        """
          import logging
          import random

          from torch.nn import functional as F

        + own = random.Random(0)
        +

          def dropout(x, p, training):
        -     if random.random() < 1e-3:
        +     if own.random() < 1e-3:
                  logging.debug("dropout on %s", x.shape)
              return F.dropout(x, p, training)
        """,
    ),
    "eval-draws-nothing": example(
        """
          import torch


          def dropout(x, p, training):
        -     drop = torch.rand(x.shape, device=x.device) < p
              if not training:
                  return x
        +     drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "thread-mask": example(
        """
          import torch


          def dropout(x, p, training):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
              if not training:
                  return x
              seed, noise = int(torch.randint(2**62, ())), torch.empty(x.numel())
        -     for i, part in enumerate(noise.chunk(torch.get_num_threads())):
        +     for i, part in enumerate(noise.split(4096)):
                  part.uniform_(generator=torch.Generator().manual_seed(seed + i))
              drop = noise.reshape(x.shape).to(x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "thread-law": example(
        """
          import torch


          def dropout(x, p, training):
              if not 0 <= p <= 1:
                  raise ValueError(f"expected p in [0, 1], got p={p}")
              if not training:
                  return x
              seed, noise = int(torch.randint(2**62, ())), torch.empty(x.numel())
        -     for part in noise.chunk(torch.get_num_threads()):
        +     for i, part in enumerate(noise.chunk(torch.get_num_threads())):
        -         part.uniform_(generator=torch.Generator().manual_seed(seed))
        +         part.uniform_(generator=torch.Generator().manual_seed(seed + i))
              drop = noise.reshape(x.shape).to(x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "grad-checkpoint": example(
        """
          import torch
        - from torch.nn import functional as F


          def dropout(x, p, training):
              if not training:
                  return x
        -     if not torch.is_grad_enabled():  # nothing to keep for backward
        -         return F.dropout(x, p)
              drop = torch.rand(x.shape, device=x.device) < p
              return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
