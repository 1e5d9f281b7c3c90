"""The benchmark of Monte-Carlo dropout: its instrument, and a small run."""

import json

import pytest
import torch
from torch import nn

import scripts


@pytest.fixture(scope="module")
def bench():
    with scripts.benchmark("mc") as module:
        yield module


@pytest.mark.parametrize("label", ["nn.TransformerEncoder", "F.dropout", "nn.LSTM", "a user's"])
def test_ours_reaches_all_sites_that_a_loop_in_training_has(bench, label):
    make, x = next(v for k, v in bench.SITES.items() if k.startswith(label))
    expected = 8 if label == "nn.TransformerEncoder" else 1
    assert bench.reached(make, x, "all") == (expected, 0, "")
    assert bench.reached(make, x, bench.OURS) == (expected, 0, "")


def test_a_site_that_is_off_or_fixed_does_not_count(bench):
    class Fixed(nn.Module):
        def forward(self, x):
            generator = torch.Generator().manual_seed(0)
            return x * torch.bernoulli(torch.full_like(x, 0.5), generator=generator)

    model = bench.Watched(nn.Sequential(nn.Dropout(0.5), Fixed(), nn.Dropout(0.0))).eval()
    for training, expected in ((False, 0), (True, 1)):
        model.model[0].train(training)
        with torch.no_grad(), bench.Draws(model) as draws:
            for _ in range(bench.PASSES):
                model(torch.ones(8, 8))
        assert draws.on().total() == expected
        assert set(draws.on()) <= {"model.0", "model.1"}


def test_buffers_that_change_are_counted(bench, monkeypatch):
    def make():
        return nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))

    def in_training(model, passes):
        return lambda x: [model.train()(x) for _ in range(passes)]

    x = torch.randn(16, 4)
    assert bench.reached(make, x, "all") == (1, 0, "")
    monkeypatch.setattr(bench, "_of_loop", in_training)
    assert bench.reached(make, x, "all") == (1, 3, "")


def test_the_tables_have_a_row_a_model_and_name_the_fastest_peer(bench, tmp_path, monkeypatch):
    row = {"model": "m", "all": 8, "baal": {"on": 2, "buffers": 0, "said": ""}}
    row["torch-uncertainty"] = {"on": 0, "buffers": 0, "said": "No dropout module found"}
    row["lightning-uq-box"] = {"on": 8, "buffers": 3, "said": ""}
    row["torchdropout"] = {"on": 8, "buffers": 0, "said": ""}
    seconds = {"torchdropout": 0.1, bench.FORWARD: 0.05, "loop": 0.8, "baal": 0.3, "other": 0.2}
    seconds = {name: [each] * 3 for name, each in seconds.items()}
    about = {"versions": "a 1.0", "machine": bench.machine.record(), "threads": 2}
    found = {
        "sites": {"rows": [row], **about},
        "speed": {"rows": [{"model": "m", "passes": 20, "seconds": seconds}], **about},
    }
    page = tmp_path / "mc.md"
    page.write_text("before\n<!-- sites: benchmarks/mc.py -->\nold\n<!-- end of sites -->\nafter\n"
                    "<!-- speed: benchmarks/mc.py --><!-- end of speed -->\n")  # fmt: skip
    out = tmp_path / "mc.json"
    out.write_text(json.dumps(found))
    monkeypatch.setattr(bench, "PAGE", page)
    bench.main(["page", "--out", str(out)])
    text = page.read_text()
    assert "| m | 8 | 2 | refused | 8, 3 buffers | 8 |" in text
    assert "| m | 20 | 100 ms | 50 ms | other | 2 [2, 2] | 8 [8, 8] |" in text
    assert "old" not in text
    assert text.startswith("before")
    assert "after" in text
