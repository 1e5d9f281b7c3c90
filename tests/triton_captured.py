"""Draws as in a CUDA graph, in Triton's interpreter: run by `kernels/test_triton.py`.

A process of its own, as `triton_cases.py` is. The capture is simulated: what asks for one sees
one, also for CPU tensors, and kernels read each key where it lies. It prints the
names of the functions whose results or gradients are not those of the same draw without a capture,
and of those that refuse to draw.
"""

from __future__ import annotations

import json
from unittest import mock

import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout._core import ops
from torchdropout._core.kernels import reference
from torchdropout._core.kernels.triton import walk
from torchdropout._core.ops import _keys
from torchdropout.errors import ArgumentValueError

LIKE = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(2))
SIGMA = torch.full((8, 8), -3.0)

FUNCTIONS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout in place": lambda x: F.dropout(x * 2, 0.3, inplace=True),
    "dropout of bfloat16": lambda x: F.dropout(x.bfloat16(), 0.3).float(),
    "dropout1d": lambda x: F.dropout1d(x, 0.3),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.3, True),
    "drop_path": lambda x: F.drop_path(x, 0.3, True),
    "two": lambda x: F.dropout(F.dropout(x, 0.3).sin(), 0.3),
    "dropout_add": lambda x: F.dropout_add(x, LIKE, 0.3, bias=LIKE[0, 0]),
    "gaussian_dropout": lambda x: F.gaussian_dropout(x, 0.3),
    "gaussian_noise": lambda x: F.gaussian_noise(x, 0.3),
    "uniform_dropout": lambda x: F.uniform_dropout(x, 0.3),
    "drop_block1d": lambda x: F.drop_block1d(x, 0.3, 3),
    "n_m_dropout": F.n_m_dropout,
    "column_dropout": lambda x: F.column_dropout(x, 0.3),
    "zoneout": lambda x: F.zoneout(x, LIKE, 0.3),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x, None, 0.3),
    "token_dropout": lambda x: F.token_dropout(x, 0.3),
    "variational_linear": lambda x: F.variational_linear(x, LIKE[0, :1].expand(8, 8), SIGMA),
    "a generator": lambda x: F.dropout(x, 0.3, generator=torch.Generator()),
    "a key by hand": lambda x: F.dropout(x, 0.3, key=td.Key.draw()),
}


def step(function):
    """Result, gradient, and what the generator gives next."""
    torch.manual_seed(5)
    x = LIKE.clone().requires_grad_()
    y = function(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    return y.detach(), gradient, torch.rand(1)


def captured():
    """The capture of a graph."""
    return (
        mock.patch.object(torch.cuda, "is_initialized", return_value=True),
        mock.patch.object(torch.cuda, "is_current_stream_capturing", return_value=True),
        mock.patch.object(_keys, "captures", lambda device: device is not None),
        mock.patch.object(ops, "captures", return_value=True),
        mock.patch.object(walk, "lies_on_device", return_value=True),
        # A key that lies on a device must not be waited for.
        mock.patch.object(torch.Tensor, "tolist", None),
        mock.patch.object(reference, "keep_bits", None),
    )


def main():
    differ, refused = [], []
    for name, function in FUNCTIONS.items():
        known = step(function)
        patches = captured()
        for patch in patches:
            patch.start()
        try:
            found = step(function)
        except ArgumentValueError as error:
            refused.append(name if "captured in a CUDA graph" in str(error) else repr(error))
            continue
        finally:
            for patch in patches:
                patch.stop()
        if not all(map(torch.equal, found, known)):
            differ.append(name)
    print(json.dumps({"functions": len(FUNCTIONS), "differ": differ, "refused": refused}))


if __name__ == "__main__":
    main()
