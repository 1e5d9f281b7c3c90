"""Programs exported in training: what torchao and ONNX make of them."""

import numpy as np
import pytest
import torch

import torchdropout as td
from family import First
from torchdropout import nn
from torchdropout.audit_model import sites
from torchdropout.models.export import read, to_eval

X = torch.ones(40, 50, 60)
P = 0.3

# --- torchao --------------------------------------------------------------------------------------

# torchao's and torch's own
QUIET = pytest.mark.filterwarnings("ignore")


@QUIET
def test_torchao_leaves_ours_and_to_eval_does_not():
    pt2e = pytest.importorskip("torchao.quantization.pt2e")
    model = torch.nn.Sequential(
        torch.nn.BatchNorm1d(50), nn.Dropout(P), torch.nn.Dropout(P), torch.nn.AlphaDropout(P)
    )

    def moved():
        module = torch.export.export(model.train(), (X,)).module()
        pt2e.move_exported_model_to_eval(module)
        return module

    assert [one.module for one in read(moved())] == ["1", "3"]
    assert [f.name for f in sites(moved()).findings] == ["exported-in-training"] * 2
    torch.testing.assert_close(to_eval(moved())(X), model.eval()(X))
    # Afterwards torchao's switch has nothing to do.
    program = to_eval(torch.export.export(model.train(), (X,)).module())
    pt2e.move_exported_model_to_eval(program)
    torch.testing.assert_close(program(X), model.eval()(X))


@QUIET
@pytest.mark.parametrize("mode", [True, False])
def test_a_module_that_torchao_lets_switch_is_audited_and_unchanged(mode):
    pt2e = pytest.importorskip("torchao.quantization.pt2e")
    model = torch.nn.Sequential(nn.Dropout(P), torch.nn.Dropout(P))
    module = torch.export.export(model.train(), (X,)).module()
    pt2e.allow_exported_model_train_eval(module)
    whole = torch.nn.Sequential(module, torch.nn.Linear(60, 2)).train(mode)
    before = str(module.graph)
    assert [f.figures["site"] for f in sites(module).errors] == ["0"]
    assert [f.figures["site"] for f in sites(whole, X).errors] == ["0.0"]
    assert str(module.graph) == before


# --- ONNX -----------------------------------------------------------------------------------------


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(60, 2, dropout=P, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


@pytest.fixture(scope="module")
def runtime():
    pytest.importorskip("onnxscript")
    return pytest.importorskip("onnxruntime")


def exported(model, **how):
    table = td.onnx.translation_table()
    return torch.onnx.export(
        model, (X,), dynamo=True, verbose=False, custom_translation_table=table, **how
    )


def session(runtime, program):
    """A function that runs it; the runtime's optimiser would remove a `Dropout` in the middle."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = runtime.InferenceSession(program.model_proto.SerializeToString(), options)
    name = made.get_inputs()[0].name
    return lambda x=X: made.run(None, {name: x.numpy()})[0]


# The draws of each in X, for the standard error of their mean.
MADE = {
    "Dropout": (lambda: nn.Dropout(P), X.numel()),
    "Dropout1d": (lambda: nn.Dropout1d(P), 40 * 50),
    "AlphaDropout": (lambda: nn.AlphaDropout(P), X.numel()),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(P), 40 * 50),
    "DropPath": (lambda: nn.DropPath(P), 40),
    "LockedDropout": (lambda: nn.LockedDropout(P), 50 * 60),
    "GaussianDropout": (lambda: nn.GaussianDropout(P), X.numel()),
    "GaussianNoise": (lambda: nn.GaussianNoise(P), X.numel()),
    "UniformDropout": (lambda: nn.UniformDropout(P), X.numel()),
}


@QUIET
@pytest.mark.parametrize("name", MADE)
def test_onnx_in_training(runtime, name):
    """The distribution is that of the module; the shape of the draws too."""
    make, draws = MADE[name]
    model = make().train()
    run = session(runtime, exported(model))
    y, torchs = run(), model(X).numpy()
    assert not np.array_equal(y, run())
    assert abs(y.mean() - torchs.mean()) < 8 * torchs.std() / draws**0.5
    assert abs(y.std() - torchs.std()) < 8 * torchs.std() / draws**0.5
    for dim in range(3):  # equal along a dimension that shares its draws, and along no other
        is_shared = [
            np.array_equal(z, np.broadcast_to(z.take([0], dim), z.shape)) for z in (y, torchs)
        ]
        assert is_shared[0] == is_shared[1]
    if name in ("Dropout", "Dropout1d", "DropPath", "LockedDropout"):
        np.testing.assert_allclose(np.unique(y), np.unique(torchs), rtol=1e-6)


@QUIET
def test_a_dropout_of_elements_is_the_node_that_torchs_is(runtime):
    for kind in (nn.Dropout, torch.nn.Dropout):
        (node,) = exported(kind(P).train()).model.graph
        _, ratio, training = (value.const_value for value in node.inputs)
        assert node.op_type == "Dropout"
        assert np.isclose(ratio.numpy(), P)
        assert bool(training.numpy())


@QUIET
def test_onnx_of_layers(runtime):
    torch.manual_seed(0)
    models = {
        "attention": Attention(),
        "weights": nn.WeightDrop(torch.nn.Linear(60, 4), P, "weight"),
        "between": First(nn.LSTM(60, 8, 2, dropout=P)),
        "samples": nn.MultiSampleDropout(P, torch.nn.Linear(60, 3), samples=3),
    }
    for model in models.values():
        run = session(runtime, exported(model.train()))
        assert not np.array_equal(run(), run())
        evaluation = session(runtime, exported(model.eval()))
        np.testing.assert_allclose(evaluation(), model(X).detach().numpy(), atol=1e-4)


@QUIET
def test_onnx_at_p_1(runtime):
    assert not session(runtime, exported(nn.Dropout(1.0).train()))(X * np.inf).any()


@QUIET
def test_onnx_of_inf_is_dropped_by_a_select(runtime):
    y = session(runtime, exported(nn.Dropout1d(P).train()))(torch.full_like(X, torch.inf))
    assert set(np.unique(y)) == {0.0, np.inf}


@QUIET
def test_onnx_of_a_batch_that_varies(runtime):
    model = torch.nn.Sequential(nn.Dropout(P), nn.Dropout1d(P)).train()
    shapes = ({0: torch.export.Dim("batch")},)
    run = session(runtime, exported(model, dynamic_shapes=shapes))
    y = run(torch.ones(7, 50, 60))
    assert y.shape == (7, 50, 60)
    assert abs((y == 0).mean() - (1 - (1 - P) ** 2)) < 0.1


class Keyed(torch.nn.Module):
    def forward(self, x):
        return td.functional.dropout(x, P, self.training, key=td.Key(3))


REFUSED = {
    "key": (Keyed, "given key"),
    "recurrent": (lambda: First(nn.LSTM(60, 8, recurrent_dropout=P)), "share a key"),
    "blocks": (lambda: nn.DropBlock1d(P, 3), "torchdropout.drop_blocks has no translation"),
    "n of m": (lambda: nn.NMDropout(2, 3), "torchdropout.counted_affine has no translation"),
    "tokens": (lambda: nn.TokenDropout(P), "torchdropout.choose has no translation"),
    "concrete": (lambda: nn.ConcreteDropout(torch.nn.Linear(60, 3)), "Logistic noise"),
}


@QUIET
@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_cannot_say_is_refused(runtime, name):
    make, said = REFUSED[name]
    with pytest.raises(torch.onnx.OnnxExporterError, match=said):
        exported(make().train())
    exported(make().eval())
