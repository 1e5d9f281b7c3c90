"""Dtype: examples."""

from ._example import example

EXAMPLES = {
    "dtype-kept": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                keep = (torch.rand(x.shape, device=x.device) >= p).float()
                return x * keep * (1 / (1 - p) if p < 1 else 0)
        """,
        mended="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                keep = (torch.rand(x.shape, device=x.device) >= p).to(x.dtype)
                return x * keep * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "dtype-scale": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                keep = 1 - torch.tensor(p, dtype=x.dtype, device=x.device)
                return x.masked_fill(drop, 0) / (keep if keep > 0 else 1)
        """,
        mended="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                keep = 1 - p
                return x.masked_fill(drop, 0) / (keep if keep > 0 else 1)
        """,
    ),
    "dtype-rate": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand_like(x) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        mended="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand_like(x, dtype=torch.float32) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
}
