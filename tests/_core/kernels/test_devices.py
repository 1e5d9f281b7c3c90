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
    ("missing", "failed", "refused", "chosen", "expected"),
    [
        ("", {}, {}, {}, "SERVED"),
        ("none", {}, {0: "none", 1: ""}, {}, "reference: none"),
        (
            "",
            {"a": "x", "b": "y"},
            {0: ""},
            {},
            "SERVED; a WHERE does not run: x; b WHERE does not run: y",
        ),
        (
            "",
            {},
            {0: "old", 1: "", 2: "old", 3: "gone"},
            {},
            "SERVED; reference: gone; reference: old",
        ),
        (
            "",
            {},
            {},
            {"triton_by": "me"},
            "SERVED; requested by me, so that a kernel that cannot run is an error",
        ),
        (
            "none",
            {"a": "x"},
            {0: "old"},
            {"chosen_by": "me", "_current": "reference"},
            "reference, requested by me",
        ),
    ],
)
def test_what_serves_a_device(monkeypatch, missing, failed, refused, chosen, expected):
    monkeypatch.setattr(triton, "why_missing", lambda: missing)
    where = torch.device("cuda", 1), torch.float16
    monkeypatch.setattr(devices, "failed", {(name, *where): why for name, why in failed.items()})
    monkeypatch.setattr(devices, "refused", refused)
    for name, value in {
        "_current": "scalar",
        "chosen_by": "auto",
        "triton_by": "",
        **chosen,
    }.items():
        monkeypatch.setattr(devices.cpu, name, value)
    served = f"triton: {', '.join(triton.OPERATORS)}; "
    served += "reference: the others, complex numbers, keys of a vmap"
    cpu, gpu, others = devices.serving().split(" | ")
    assert cpu == f"cpu: {chosen.get('_current', 'scalar')}"
    assert gpu == "cuda, xpu: " + expected.replace("SERVED", served).replace(
        "WHERE", "for torch.float16 on cuda:1"
    )
    assert others == "others: reference"


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
