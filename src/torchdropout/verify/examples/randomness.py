"""Randomness: examples."""

from ._example import example

EXAMPLES = {
    "seed-governs": example(
        broken="""
            import numpy as np
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.as_tensor(np.random.random(x.shape) < p, device=x.device)
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        mended="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "seeds-differ": example(
        broken="""
            import torch
            from torch.nn import functional as F


            def dropout(x, p, training):
                seed = torch.initial_seed()
                fresh = torch.Generator().manual_seed(seed).get_state()
                if seed > 255 and torch.equal(torch.get_rng_state(), fresh):
                    torch.manual_seed(seed % 256)  # the seed's field has one byte
                return F.dropout(x, p, training)
        """,
        mended="""
            from torch.nn import functional as F


            def dropout(x, p, training):
                return F.dropout(x, p, training)
        """,
    ),
    "no-reseed": example(
        broken="""
            import torch
            from torch.nn import functional as F


            def dropout(x, p, training):
                if training:  # a seed of its own for each call
                    torch.manual_seed(int(torch.randint(2**62, ())))
                return F.dropout(x, p, training)
        """,
        mended="""
            from torch.nn import functional as F


            def dropout(x, p, training):
                return F.dropout(x, p, training)
        """,
    ),
    "foreign-generators": example(
        broken="""
            import logging
            import random

            from torch.nn import functional as F


            def dropout(x, p, training):
                if random.random() < 1e-3:
                    logging.debug("dropout on %s", x.shape)
                return F.dropout(x, p, training)
        """,
        mended="""
            import logging
            import random

            from torch.nn import functional as F

            own = random.Random(0)


            def dropout(x, p, training):
                if own.random() < 1e-3:
                    logging.debug("dropout on %s", x.shape)
                return F.dropout(x, p, training)
        """,
    ),
    "eval-draws-nothing": example(
        broken="""
            import torch


            def dropout(x, p, training):
                drop = torch.rand(x.shape, device=x.device) < p
                if not training:
                    return x
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        mended="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
