"""The device of the tests in `gpu/`: the GPU that torch finds, or `TEST_DEVICE`."""

from __future__ import annotations

import os

import pytest
import torch

from torchdropout._core.kernels import triton


def found() -> str:
    """The kind of GPU that is there and has kernels: `cuda`, which HIP is called too, or `xpu`."""
    device = torch.accelerator.current_accelerator(check_available=True)
    return device.type if device is not None and device.type in triton.DEVICES else ""


THERE = found()
DEVICE = os.environ.get("TEST_DEVICE") or THERE or "cuda"
GPU = torch.get_device_module(DEVICE)  # memory, streams and devices

needs_gpu = pytest.mark.skipif(DEVICE not in ("cpu", THERE), reason="needs a GPU")
needs_gpu_itself = pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
needs_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="needs CUDA or HIP")
