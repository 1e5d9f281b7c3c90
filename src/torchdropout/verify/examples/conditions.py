"""Conditions: examples."""

from ._example import example

EXAMPLES = {
    "values-everywhere": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                y = x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
                if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
                    done = x.shape[1] // 8 * 8  # eight channels at a time, and no more
                    if 0 < done < x.shape[1]:
                        y = torch.cat([y[:, :done], x[:, done:]], dim=1)
                return y
        """,
        fixed="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "gradient-everywhere": example(
        broken="""
            import torch


            class Dropout(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, p):
                    mask = (torch.rand(x.shape) >= p).to(x.dtype) * (1 / (1 - p) if p < 1 else 0)
                    ctx.save_for_backward(mask)
                    return torch.where(mask > 0, x * mask, 0)

                @staticmethod
                def backward(ctx, grad):
                    (mask,) = ctx.saved_tensors
                    if grad.ndim > 1 and 0 not in grad.stride():  # read as contiguous memory
                        memory = grad.as_strided((grad.numel(),), (1,))
                        grad = memory.view(grad.shape)
                    return torch.where(mask > 0, grad * mask, 0), None


            def dropout(x, p, training):
                return Dropout.apply(x, p) if training else x
        """,
        fixed="""
            import torch


            class Dropout(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, p):
                    mask = (torch.rand(x.shape) >= p).to(x.dtype) * (1 / (1 - p) if p < 1 else 0)
                    ctx.save_for_backward(mask)
                    return torch.where(mask > 0, x * mask, 0)

                @staticmethod
                def backward(ctx, grad):
                    (mask,) = ctx.saved_tensors
                    return torch.where(mask > 0, grad * mask, 0), None


            def dropout(x, p, training):
                return Dropout.apply(x, p) if training else x
        """,
    ),
    "eval-everywhere": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x * 1.0 + 0.0  # -0.0 becomes 0.0
                drop = torch.rand(x.shape, device=x.device) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        fixed="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                drop = torch.rand(x.shape, device=x.device) < p
                return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "draws-everywhere": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                noise = torch.rand(x.shape, device=x.device)
                if x.ndim > 1 and x.shape[-1] % 2:  # rows that are not a multiple of the vector
                    noise[1::2] = noise[: x.shape[0] // 2 * 2 : 2]
                return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        fixed="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                noise = torch.rand(x.shape, device=x.device)
                return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "large-call": example(
        broken="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                noise = torch.rand(x.shape, device=x.device)
                if x.numel() > 1_000_000:  # the second block of random numbers is the first
                    half = x.numel() // 2
                    noise.view(-1)[half : 2 * half] = noise.view(-1)[:half].clone()
                return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
        fixed="""
            import torch


            def dropout(x, p, training):
                if not training:
                    return x
                noise = torch.rand(x.shape, device=x.device)
                return x.masked_fill(noise < p, 0) * (1 / (1 - p) if p < 1 else 0)
        """,
    ),
    "module-state": example(
        broken="""
            import torch


            class Dropout(torch.nn.Module):
                def __init__(self, p=0.5):
                    super().__init__()
                    self.p = p
                    self.scale = 1 / (1 - p) if p < 1 else 0.0  # that of the first p

                def forward(self, x):
                    if not self.training:
                        return x
                    drop = torch.rand(x.shape, device=x.device) < self.p
                    return x.masked_fill(drop, 0) * self.scale
        """,
        fixed="""
            import torch


            class Dropout(torch.nn.Module):
                def __init__(self, p=0.5):
                    super().__init__()
                    self.p = p

                def forward(self, x):
                    if not self.training:
                        return x
                    drop = torch.rand(x.shape, device=x.device) < self.p
                    return x.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0.0)
        """,
    ),
    "attention-everywhere": example(
        spec="attention",
        broken="""
            import torch


            def attention(query, key, value, dropout_p):
                scores = query @ key.mT / query.shape[-1] ** 0.5
                weights = scores.softmax(-1)
                tile = 16
                noise = torch.rand(*weights.shape[:-1], tile)
                # The offset of a tile is missing: each has the mask of the first.
                noise = noise.repeat(*[1] * (weights.ndim - 1), -(-weights.shape[-1] // tile))
                drop = noise[..., : weights.shape[-1]] < dropout_p
                scale = 1 / (1 - dropout_p) if dropout_p < 1 else 0
                return (weights.masked_fill(drop, 0) * scale) @ value
        """,
        fixed="""
            import torch


            def attention(query, key, value, dropout_p):
                scores = query @ key.mT / query.shape[-1] ** 0.5
                weights = scores.softmax(-1)
                drop = torch.rand(weights.shape) < dropout_p
                scale = 1 / (1 - dropout_p) if dropout_p < 1 else 0
                return (weights.masked_fill(drop, 0) * scale) @ value
        """,
    ),
    "embedding-repeats": example(
        spec="weights",
        broken="""
            import torch


            class DroppedEmbedding(torch.nn.Module):
                def __init__(self, p=0.5):
                    super().__init__()
                    self.p, self.embedding = p, torch.nn.Embedding(64, 16)

                def forward(self, indices):
                    y = self.embedding(indices)
                    if not self.training:
                        return y
                    drop = torch.rand(*indices.shape, 1) < self.p  # words, and not word types
                    return y.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0)
        """,
        fixed="""
            import torch
            from torch.nn import functional as F


            class DroppedEmbedding(torch.nn.Module):
                def __init__(self, p=0.5):
                    super().__init__()
                    self.p, self.embedding = p, torch.nn.Embedding(64, 16)

                def forward(self, indices):
                    weight = self.embedding.weight
                    if self.training:
                        drop = torch.rand(len(weight), 1) < self.p
                        scale = 1 / (1 - self.p) if self.p < 1 else 0
                        weight = weight.masked_fill(drop, 0) * scale
                    return F.embedding(indices, weight)
        """,
    ),
    "arguments-unmodified": example(
        spec="dropout-add",
        broken="""
            import torch
            from torch.nn import functional as F


            def dropout_add(x, residual, bias, p, training):
                y = residual.detach() if not residual.requires_grad else residual
                dropped = x + bias
                if training:
                    drop = torch.rand(x.shape, device=x.device) < p
                    scale = 1 / (1 - p) if p < 1 else 0
                    dropped = dropped.masked_fill(drop, 0) * scale
                return y.add_(dropped)  # saves an allocation, and destroys the residual
        """,
        fixed="""
            import torch


            def dropout_add(x, residual, bias, p, training):
                dropped = x + bias
                if training:
                    drop = torch.rand(x.shape, device=x.device) < p
                    scale = 1 / (1 - p) if p < 1 else 0
                    dropped = dropped.masked_fill(drop, 0) * scale
                return residual + dropped
        """,
    ),
    "noise-pairs": example(
        spec="gaussian",
        broken="""
            import math

            import torch


            def gaussian_dropout(x, p, training):
                if not training or p == 0:
                    return x
                n = x.numel()
                radius = (-2 * torch.rand((n + 1) // 2).clamp_min(1e-30).log()).sqrt()
                radius = radius.repeat_interleave(2)[:n]  # two numbers of one radius,
                angle = 2 * math.pi * torch.rand(n)  # and each of its own angle
                noise = (radius * angle.cos()).view(x.shape)
                if p == 1:
                    return torch.zeros_like(x)
                return x * (1 + math.sqrt(p / (1 - p)) * noise)
        """,
        fixed="""
            import math

            import torch


            def gaussian_dropout(x, p, training):
                if not training or p == 0:
                    return x
                n = x.numel()
                radius = (-2 * torch.rand(n).clamp_min(1e-30).log()).sqrt()
                angle = 2 * math.pi * torch.rand(n)
                noise = (radius * angle.cos()).view(x.shape)
                if p == 1:
                    return torch.zeros_like(x)
                return x * (1 + math.sqrt(p / (1 - p)) * noise)
        """,
    ),
}
