"""Where an exported program drops."""

import copy
import types

import pytest
import torch
import torch.nn.functional as F

import torchdropout as td
from torchdropout.audit_model import sites
from torchdropout.cli import run
from torchdropout.models.export import to_eval

X = torch.ones(4, 5, 8)
# torch's, of its own LSTM
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.ours = torch.nn.Sequential(td.nn.Dropout(0.1), td.nn.Dropout(0.0))
        self.torchs = torch.nn.Dropout(0.2)
        self.rnn = torch.nn.LSTM(8, 8, 2, dropout=0.3)
        self.noise = td.nn.GaussianNoise(0.5)

    def forward(self, x):
        x, _ = self.rnn(self.torchs(self.ours(x)))
        x = F.scaled_dot_product_attention(x, x, x, dropout_p=0.4 * self.training)
        return self.noise(x)


SITES = [
    ("ours.0", "torchdropout.masked_affine", 0.1),
    ("torchs", "aten.dropout", 0.2),
    ("rnn", "aten.lstm", 0.3),
    ("", "aten.scaled_dot_product_attention", 0.4),
    ("noise", "torchdropout.noise_affine", None),
]


@pytest.fixture(scope="module")
def program():
    return torch.export.export(Net().train(), (X,))


def described(found):
    return [(site.name, site.kind, site.asked) for site in found]


def names(found):
    return {(finding.name, finding.severity) for finding in found.findings}


@pytest.mark.parametrize("form", ["program", "module", "graph"])
def test_it_drops_in_eval(program, form):
    if form == "module":
        program = program.module()
    elif form == "graph":  # it has an `eval` that is torch's own, without effect
        module = program.module()
        program = torch.fx.GraphModule(module, module.graph)
    found = sites(program)
    assert described(found) == SITES
    assert all((s.train, s.eval, s.no_grad) == (True, True, True) for s in found)
    assert [(f.code, f.severity) for f in found.findings] == [("TD308", "error")] * 5
    assert found.notes == ("exported: read, not run",)
    assert not found.passed


def test_a_line_is_that_of_the_model(program):
    site = sites(program).sites[3]
    assert site.line.startswith("tests/audit_model/test_program.py:")
    assert str(sites(program).findings[3].message) == (
        f"the model's own aten.scaled_dot_product_attention ({site.line}) drops in eval with "
        "p=0.4: it was exported in training"
    )


def test_in_eval_it_does_not():
    assert not sites(torch.export.export(Net().eval(), (X,))).sites


def test_moved_to_eval_it_does_not(program):
    module = program.module()
    assert sites(module).sites
    assert not sites(to_eval(module)).sites


def test_a_mask_that_no_dropout_draws_is_advice():
    from torchvision.ops import StochasticDepth

    found = sites(torch.export.export(StochasticDepth(0.5, "row").train(), (X,)))
    assert described(found) == [("", "unknown random op", None)]
    assert names(found) == {("exported-in-training", "advice")}


def test_sampling_is_not_a_mask():
    class Sampled(torch.nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    assert not sites(torch.export.export(Sampled(), (X,))).sites


def test_a_graph_traced_in_training():
    class Traced(torch.nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5, self.training)

    found = sites(torch.fx.symbolic_trace(Traced().train()), X)
    assert names(found) == {("alive-in-eval", "error")}


def switched(program):
    """A module of which `eval()` switches torch's dropouts only, as after torchao's function."""

    def switch(self, mode=True):
        for node in self.graph.find_nodes(
            op="call_function", target=torch.ops.aten.dropout.default
        ):
            node.update_arg(2, mode)
        self.recompile()

    module = program.module()
    module.train = types.MethodType(switch, module)
    module.eval = types.MethodType(lambda self: self.train(False), module)
    return module


def test_a_graph_whose_eval_switches_torchs_only(program):
    module = switched(program)
    before = str(module.graph)
    assert [site.name for site in sites(module)] == ["ours.0", "rnn", "", "noise"]
    assert str(module.graph) == before


@pytest.mark.parametrize("mode", [True, False])
def test_a_program_in_a_model(mode):
    inner = torch.nn.Sequential(td.nn.Dropout(0.1), torch.nn.Dropout(0.2))
    module = switched(torch.export.export(inner.train(), (X,)))
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), module).train(mode)
    before = str(module.graph)
    found = sites(model, X)
    assert [f.figures["site"] for f in found.errors] == ["1.0"]
    assert names(found) >= {("exported-in-training", "error")}
    assert str(module.graph) == before


def test_a_file(program, tmp_path, capsys):
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    assert run(["audit-model", str(path)]) == 1
    assert "TD308 exported-in-training  ours.0 torchdropout.masked_affine" in capsys.readouterr()[0]
    torch.export.save(to_eval(copy.deepcopy(program)), path)
    assert run(["audit-model", str(path)]) == 0


@pytest.mark.parametrize("text", [None, "not a program"])
def test_a_file_that_is_not_one(text, tmp_path, capsys):
    path = tmp_path / "net.pt2"
    if text is not None:
        path.write_text(text)
    assert run(["audit-model", str(path)]) == 2
    assert "to be a file that torch.export.save wrote, got" in capsys.readouterr()[1]


def test_errors_come_before_the_advice_of_a_program_in_the_model():
    from torchvision.ops import StochasticDepth

    class Alive(torch.nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5)

    program = switched(torch.export.export(StochasticDepth(0.5, "row").train(), (X,)))
    found = [(f.name, f.severity) for f in sites(torch.nn.Sequential(program, Alive()), X).findings]
    assert found[0] == ("alive-in-eval", "error")
    assert ("exported-in-training", "advice") in found[1:]


def test_a_program_that_refuses_eval_is_read_as_it_is(program):
    module = switched(program)
    module.eval = types.MethodType(lambda self: _refuse(), module)
    assert described(sites(module)) == SITES


def _refuse():
    raise NotImplementedError
