"""`benchmarks/gpu.py` on a CPU, in small sizes: what it would measure on a GPU can be measured."""

import pytest

from scripts import BENCHMARKS

FLASH = """
import torch.nn.functional as F
def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False):
    if q.element_size() != 2:
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, None, dropout_p, causal, scale=softmax_scale)
    return y.transpose(1, 2)
"""
ENGINE = """
from flash_attn import flash_attn_func
from torch import nn
class DotProductAttention(nn.Module):
    def __init__(self, num_attention_heads, kv_channels, *, attention_dropout, qkv_format,
                 attn_mask_type):
        super().__init__()
        assert (qkv_format, attn_mask_type) == ("bshd", "causal")
        self.shape, self.p = (num_attention_heads, kv_channels), attention_dropout
    def forward(self, query_layer, key_layer, value_layer):
        assert query_layer.shape[2:] == self.shape and query_layer.is_contiguous()
        y = flash_attn_func(query_layer, key_layer, value_layer, self.p, causal=True)
        return y.flatten(-2)
class TransformerLayer(nn.TransformerEncoderLayer):
    def __init__(self, hidden_size, ffn_hidden_size, num_attention_heads, *, hidden_dropout,
                 attention_dropout, self_attn_mask_type, attn_input_format):
        assert (self_attn_mask_type, attn_input_format) == ("no_mask", "bshd")
        super().__init__(hidden_size, num_attention_heads, ffn_hidden_size, hidden_dropout,
                         batch_first=True)
"""


SMOKE = """
import sys, warnings
warnings.simplefilter("error")
sys.path[:0] = {paths}
import gpu
{before}
gpu.main(["--device", "cpu", "--smoke"])
"""


def smoke(processes, *paths, before=""):
    status, text = processes.run(SMOKE.format(paths=[*map(str, paths)], before=before))
    assert status == 0, text
    return text


@pytest.mark.integration
def test_every_row_is_measured(processes, tmp_path):
    """With stand-ins for what else may be installed, with the arguments of these."""
    for name, text in (
        ("flash_attn/__init__.py", FLASH),
        ("transformer_engine/__init__.py", ""),
        ("transformer_engine/pytorch.py", ENGINE),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    text = smoke(processes, tmp_path, BENCHMARKS)
    assert "recompile" not in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in rows} == {9}
    for _, _, what, who, us, share, ratio, _, kept in rows:
        assert who == "who" or us.startswith("does not run: RuntimeError") or float(us) > 0
        if us.startswith("does"):
            continue
        if "p = 0.1" in who:
            assert float(ratio) > 0
        assert (what == "with backward") == (kept[:1].isdigit())
        assert "compiled" not in who or "p = " in who or float(share) >= 0
    of = [[row[3] for row in rows if row[2] == what] for what in ("forward", "with backward")]
    # Three tasks in two sizes and two dtypes; three shapes; two dtypes. At p = 0 and at another,
    # eager and compiled, there are four of each.
    assert len(of[0]) == 3 * 4 * 5 + 3 * 4 * 4 + 2 * 4 * 4
    assert len(of[1]) == 3 * 4 * 4 + 3 * 4 * 4 + 2 * 4 * 4
    assert {row[1] for row in rows if row[2] == "with backward"} >= {"1 x 1", "2 x 1024"}
    for who in ("torch", "torchdropout", "flash-attention", "TransformerEngine"):
        # Attention has three shapes and the step two dtypes; flash-attention has no step.
        times = 3 if who.startswith("flash") else 5
        assert of[1].count(f"{who}, compiled, p = 0.1") == times
    failed = {tuple(row[:2]) for row in rows if row[4].startswith("does")}
    assert failed == {("float32", "24 x 64")}  # of these, half types alone


@pytest.mark.integration
def test_what_is_not_installed_is_said(processes):
    nothing = "gpu.elementwise = gpu.attention = gpu.step = lambda bench: None"
    text = smoke(processes, BENCHMARKS, before=nothing)
    assert "flash-attention: not installed" in text
    assert "TransformerEngine: not installed" in text
