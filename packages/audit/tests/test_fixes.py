"""Real fixes of dropout: what the audit says of the code before each, as docs/audit lists it.

The list says where the code before the fix is; where only a thread shows it, a reduction is here.
"""

import csv
from pathlib import Path

import pytest

from torchdropout_audit.registry import FINDERS
from torchdropout_audit.source import audit_text

FIXES = Path(__file__).parents[3] / "docs" / "audit" / "fixes.csv"
with FIXES.open(newline="", encoding="utf-8") as file:
    ROWS = {(row["repository"], row["fix"]): row for row in csv.DictReader(file)}

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
REDUCED = {
    ("facebookresearch/vjepa2", "#160"): """
class Attention(nn.Module):
    def __init__(self, dim, proj_drop=0.0):
        super().__init__()
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj_drop_prob = proj_drop

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.proj_drop_prob)
""",
    ("delip/PyTorchNLPBook", "#28"): """
class Classifier(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x_in):
        return F.dropout(self.fc(x_in), p=0.5)
""",
    ("Coderx7/SimpleNet", "#2"): """
class SimpleNet(nn.Module):
    def forward(self, x):
        out = self.features(x)
        out = F.max_pool2d(out, kernel_size=out.size()[2:])
        out = F.dropout2d(out, 0.1, training=True)
        return self.classifier(out.view(out.size(0), -1))
""",
    ("ewrfcas/face_attribute_classification_pytorch", "#1"): """
class Classifier(nn.Module):
    def forward(self, x):
        x = torch.flatten(self.backbone(x), 1)
        x = nn.Dropout(0.5)(x)
        return self.fc(x)
""",
    ("WangFeng18/Swin-Transformer", "#7"): """
def drop_path(x, drop_prob, training=True):
    if drop_prob == 0.0 or not training:
        return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    mask = (1 - drop_prob + torch.rand(shape, device=x.device)).floor_()
    return x.div(1 - drop_prob) * mask


class Block(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return x + drop_path(self.msa(x), self.rate)
""",
    ("deepspeedai/Megatron-DeepSpeed", "#295"): """
class FlashSelfAttention(nn.Module):
    def __init__(self, attention_dropout=0.0):
        super().__init__()
        self.dropout_p = attention_dropout

    def forward(self, q, k, v):
        if not self.training:
            self.dropout_p = 0
        return flash_attn_unpadded_func(q, k, v, self.dropout_p)
""",
    ("NX-AI/tirex", "#19"): """
class ResidualBlock(nn.Module):
    def __init__(self, in_dim, h_dim, out_dim, dropout=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hidden_layer = nn.Linear(in_dim, h_dim)
        self.output_layer = nn.Linear(h_dim, out_dim)
        self.residual_layer = nn.Linear(in_dim, out_dim)

    def forward(self, x):
        return self.output_layer(F.relu(self.hidden_layer(x))) + self.residual_layer(x)
""",
    ("pyro-ppl/pyro", "#1415"): """
class DMM(nn.Module):
    def __init__(self, input_dim=88, rnn_dim=600, num_layers=1, rnn_dropout_rate=0.1):
        super().__init__()
        self.rnn = nn.RNN(
            input_size=input_dim, hidden_size=rnn_dim, nonlinearity="relu",
            batch_first=True, num_layers=num_layers, dropout=rnn_dropout_rate,
        )
""",
    ("THUDM/Chinese-Transformer-XL", "#8"): """
class GPT2ParallelTransformer(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.embedding_dropout = nn.Dropout(rate)

    def forward(self, hidden_states):
        hidden_states = self.embedding_dropout(hidden_states)
        hidden_states = self.embedding_dropout(hidden_states)
        return self.layers(hidden_states)
""",
    ("piergiaj/pytorch-i3d", "#58"): """
class InceptionI3d(nn.Module):
    def __init__(self, num_classes=400, dropout_keep_prob=0.5):
        super().__init__()
        self.dropout = nn.Dropout(dropout_keep_prob)
""",
    ("shubhamagarwal92/mmd", "#14"): """
def evaluate(model, batches):
    model.eval()
    return sum(model(batch).item() for batch in batches)


def train(model, optimizer, batches, held_out):
    model.train()
    for step, batch in enumerate(batches):
        loss = model(batch)
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            evaluate(model, held_out)
""",
    ("SeanNaren/deepspeech.pytorch", "#22"): """
def test(model, loader):
    for inputs, targets in loader:
        print(model(inputs).argmax(1) == targets)
""",
    ("pliang279/MultiBench", "#26"): """
def validate(model, loader):
    model.eval()
    with torch.no_grad():
        model.train()
        return [model(batch) for batch in loader]
""",
    ("huggingface/transformers", "#40667"): """
class SamAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attend = config.attention

    def forward(self, q, k, v):
        return self.attend(q, k, v, dropout=0.0 if not self.training else self.dropout_p)
""",
}


@pytest.mark.parametrize("fix", REDUCED, ids=lambda fix: "".join(fix))
def test_reductions(fix):
    found = {(f.name, f.severity) for f in audit_text(HEAD + REDUCED[fix].strip(), "src/model.py")}
    row = ROWS[fix]
    assert found == ({(row["rule"], row["found"])} if row["found"] else set())


def test_the_list_is_well_formed():
    assert len(ROWS) >= 40
    for fix, row in ROWS.items():
        assert None not in row.values()
        assert row["source"] in ("history", "current", "package", "thread")
        assert (row["source"] == "thread") == (fix in REDUCED), fix
        assert row["found"] in ("error", "advice", "")
        assert row["rule"] in {"", *FINDERS}
        assert row["rule"] or not row["found"]
        assert bool(row["why"]) is not bool(row["found"])
