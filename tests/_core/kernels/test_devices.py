"""Which kernels serve which device, and what is said about it, on a machine that has no GPU."""

from types import SimpleNamespace

import pytest
import torch

from torchdropout._core.kernels import devices, triton


def test_the_kernels_are_registered():
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    for operator in set(triton.OPERATORS) - {"attention", "attention_backward"}:
        name = {"masked_by_rates": "masked_affine.rates"}.get(operator, operator)
        for key in ("CUDA", "XPU", "CompositeExplicitAutograd"):
            assert has(f"torchdropout::{name}", key)


@pytest.mark.parametrize(
    ("kind", "hip", "capability", "expected"),
    [
        ("cuda", None, (6, 9), "cuda has compute capability 6.9, and Triton needs 7.0"),
        ("cuda", None, (7, 0), ""),
        ("cuda", None, (10, 0), ""),
        ("cuda", "6.2", (6, 9), ""),
        ("xpu", None, (6, 9), ""),
    ],
)
def test_which_cards_are_too_old(monkeypatch, kind, hip, capability, expected):
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices._too_old(torch.device(kind)) == expected


@pytest.mark.parametrize("chosen", [False, True])
def test_which_tensors_triton_serves(monkeypatch, chosen):
    name = triton.NAME if chosen else "scalar"
    monkeypatch.setattr(devices.cpu, "current", lambda: name)
    for kind, served in (("cuda", True), ("xpu", True), ("cpu", chosen), ("meta", False)):
        x = SimpleNamespace(device=torch.device(kind))
        assert devices.serve(x) is served
