"""Converting models: nothing but the dropouts changes, all or nothing, and back."""

import copy
import math
import pickle

import pytest
import torch
import torchvision
from torch import nn

import torchdropout as td
from torchdropout.convert import convert
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

TORCH = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]

# Small inputs, as far as the models take them.
VISION = {
    "alexnet": (2, 3, 64, 64),
    "squeezenet1_1": (2, 3, 64, 64),
    "mobilenet_v2": (2, 3, 32, 32),
    "mobilenet_v3_small": (2, 3, 32, 32),
    "efficientnet_b0": (2, 3, 32, 32),
    "convnext_tiny": (2, 3, 32, 32),
    "swin_t": (2, 3, 64, 64),
}


def small():
    return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.Linear(8, 8), nn.Dropout(0.3, True))


class Mlp(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(4, 4), nn.Dropout(p), nn.Linear(4, 4)

    def forward(self, x):
        return self.last(self.drop(self.first(x)))


@pytest.mark.parametrize("name", TORCH)
def test_each_of_torchs_dropouts_becomes_ours(name):
    model = nn.Sequential(getattr(nn, name)(0.3, inplace=True))
    model[0].eval()
    convert(model)
    assert type(model[0]) is getattr(td.nn, name)
    assert model[0].p == 0.3
    assert model[0].inplace is ("Alpha" not in name)  # which torch ignores there
    assert model[0].training is False


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_torchvisions_stochastic_depth(mode):
    model = nn.Sequential(torchvision.ops.StochasticDepth(0.25, mode))
    convert(model)
    assert type(model[0]) is td.nn.StochasticDepth
    assert (model[0].p, model[0].mode) == (0.25, mode)
    y = model(torch.ones(64, 3, 2))
    assert bool((y == y[:, :1, :1]).all())
    assert (y[:, 0, 0].unique().numel() == 1) is (mode == "batch")


def of_fastai(name, attributes):
    """A class that `convert` takes for fastai's, which the tests of peers have; and a module."""
    kind = type(name, (nn.Module,), {"__module__": "fastai.text.models.awdlstm"})
    module = kind()
    for attribute, value in attributes.items():
        setattr(module, attribute, value)
    return module


def test_fastais_rnn_dropout():
    model = nn.Sequential(of_fastai("RNNDropout", {"p": 0.4}))
    convert(model)
    assert type(model[0]) is td.nn.LockedDropout
    assert (model[0].p, model[0].time_dim) == (0.4, 1)


def test_fastais_embedding_dropout_stays_around_its_embedding():
    embedding = nn.Embedding(10, 4)
    old = of_fastai("EmbeddingDropout", {"emb": embedding, "embed_p": 0.4})
    model = nn.ModuleDict({"encoder": embedding, "dropped": old}).eval()
    keys = list(model.state_dict())
    conversion = convert(model)
    new = model["dropped"]
    assert type(new) is td.nn.EmbeddingDropout
    assert (new.p, new.embed_p, new.training) == (0.4, 0.4, False)
    assert new.emb is embedding is model["encoder"]
    assert list(model.state_dict()) == keys
    new.embed_p = 0.2
    assert new.p == 0.2
    conversion.undo()
    assert model["dropped"] is old
    assert (old.embed_p, old.emb) == (0.2, embedding)


def test_parameters_beside_those_taken_over_keep_a_module_as_it_is():
    old = of_fastai("EmbeddingDropout", {"emb": nn.Embedding(10, 4), "embed_p": 0.4})
    old.more = nn.Parameter(torch.ones(1))
    model = nn.Sequential(old)
    assert "parameters, buffers or modules" in str(convert(model))
    assert model[0] is old


@pytest.mark.parametrize("name", VISION)
def test_torchvision_models(name):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(num_classes=5)
    x = torch.randn(VISION[name])
    keys = list(model.state_dict())
    with torch.no_grad():
        expected = model.eval()(x)
    objects = list(model.modules())
    conversion = convert(model)
    assert conversion.changes
    kinds = (nn.modules.dropout._DropoutNd, torchvision.ops.StochasticDepth)
    found = [m for m in model.modules() if isinstance(m, kinds)]
    assert len(found) == len(conversion.changes)
    assert all(type(m).__module__.startswith("torchdropout.nn.") for m in found)
    assert list(model.state_dict()) == keys
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    model.train()(x).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    conversion.undo()
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))
    assert all(m.training for m in objects)


def test_it_says_what_it_did():
    model = small()
    assert str(convert(model, dry_run=True)).startswith("Sequential: 2 dropouts would be converted")
    assert type(model[1]) is nn.Dropout
    conversion = convert(model)
    assert str(conversion) == (
        "Sequential: 2 dropouts converted\n"
        "  1: torch.nn.modules.dropout.Dropout -> Dropout(p=0.2, inplace=False)\n"
        "  3: torch.nn.modules.dropout.Dropout -> Dropout(p=0.3, inplace=True)"
    )
    assert "2 dropouts put back" in (conversion.undo() and str(conversion))


def test_twice_is_a_no_op_that_says_so():
    model = small()
    convert(model)
    objects = list(model.modules())
    again = convert(model)
    assert str(again) == "Sequential: nothing to convert; 2 already of torchdropout"
    again.undo()
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))


def test_a_model_that_is_a_dropout():
    model = nn.Dropout(0.4)
    conversion = convert(model)
    assert type(conversion.model) is td.nn.Dropout
    assert conversion.undo() is model
    assert conversion.model is model


def test_a_shared_module_stays_one_and_comes_back_everywhere():
    inner = Mlp()
    model = nn.ModuleDict({"a": inner, "b": inner, "c": inner.drop})
    shared = inner.drop
    conversion = convert(model)
    (change,) = conversion.changes
    assert change.names == ("a.drop", "b.drop", "c")
    assert model["c"] is inner.drop is change.new
    conversion.undo()
    assert model["c"] is inner.drop is shared
    assert "not put back" not in str(conversion)


def test_hooks_and_attributes_go_along_and_come_back():
    model, calls = small(), []
    handle = model[1].register_forward_hook(lambda module, *_: calls.append(type(module)))
    pre = model[1].register_forward_pre_hook(
        lambda module, args, kwargs: calls.append("pre"), with_kwargs=True
    )
    model[1].layer_index = 7
    conversion = convert(model)
    assert model[1].layer_index == 7
    model(torch.ones(2, 8))
    assert calls == ["pre", td.nn.Dropout]
    handle.remove()
    later = model[1].register_full_backward_hook(lambda *_: calls.append("backward"))
    model(torch.ones(2, 8)).sum().backward()
    assert calls == ["pre", td.nn.Dropout, "pre", "backward"]
    conversion.undo()
    model(torch.ones(2, 8)).sum().backward()
    assert calls[4:] == ["pre", "backward"]
    pre.remove()
    later.remove()
    model(torch.ones(2, 8)).sum().backward()
    assert len(calls) == 6


def test_undo_after_training_went_on_keeps_what_was_learned():
    model = small()
    first, second = model[1], model[3]
    conversion = convert(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 8)).square().mean().backward()
    optimizer.step()
    model[1].p = 0.05
    model[3].eval()
    weights = copy.deepcopy(model.state_dict())
    conversion.undo()
    assert model[1] is first
    assert first.p == 0.05
    assert first.training
    assert model[3] is second
    assert not second.training
    assert all(torch.equal(a, weights[k]) for k, a in model.state_dict().items())
    conversion.undo()
    assert model[1] is first


def test_undo_leaves_what_has_been_put_there_since():
    model = small()
    conversion = convert(model)
    model[1] = nn.Identity()
    conversion.undo()
    assert isinstance(model[1], nn.Identity)
    assert type(model[3]) is nn.Dropout
    assert str(conversion).endswith("not put back, as something else stands there now:\n  1")


def test_rules_come_first():
    class Mine(nn.Dropout):
        pass

    def halved(module):
        return td.nn.Dropout(module.p / 2)

    model = nn.Sequential(Mine(0.4), nn.Dropout(0.2))
    conversion = convert(model, {Mine: halved, nn.Dropout: None})
    assert type(model[0]) is td.nn.Dropout
    assert model[0].p == 0.2
    assert type(model[1]) is nn.Dropout
    assert [left.why for left in conversion.left] == ["left, as the rules say"]
    conversion.undo()
    assert type(model[0]) is Mine
    assert model[0].p == 0.4


def test_a_subclass_is_left_and_named():
    class Mine(nn.Dropout):
        def forward(self, input):
            return input + 1

    conversion = convert(nn.Sequential(Mine(0.4)))
    assert not conversion.changes
    assert "no rule for this class" in str(conversion)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.MultiheadAttention(4, 2, dropout=0.1), "attention drops"),
        (nn.LSTM(4, 4, 2, dropout=0.1), "between layers"),
        (nn.MultiheadAttention(4, 2), None),
        (nn.LSTM(4, 4), None),
    ],
)
def test_functional_dropout_in_known_layers_is_listed(module, says):
    conversion = convert(nn.Sequential(module))
    assert [left.name for left in conversion.left] == ["0"] * (says is not None)
    assert says is None or says in str(conversion)


def test_a_rate_for_a_functional_call_is_listed():
    model = torchvision.models.densenet121(drop_rate=0.2)
    left = convert(model).left
    assert len(left) == 58
    assert "drop_rate=0.2" in left[0].why


def test_a_transformer_encoder_layer():
    model = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True)
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        expected = model.eval()(x)
        conversion = convert(model)
        assert torch.equal(model(x), expected)
    assert len(conversion.changes) == 3
    assert [left.name for left in conversion.left] == ["self_attn"]


def test_what_cannot_be_replaced_is_left_and_named():
    model = small()
    model[1].forward = lambda x: x
    model[3].note = nn.Linear(1, 1)
    model.beside = [model[1]]
    conversion = convert(model)
    assert not conversion.changes
    assert [left.name for left in conversion.left] == ["1", "3"]

    model = small()
    model.beside, model.table = [model[1]], {"drop": model[3]}
    conversion = convert(model)
    assert [left.why.split()[1] for left in conversion.left] == ["beside", "table"]


def test_a_compiled_model_is_refused():
    model = nn.Sequential(torch.compile(small()))
    with pytest.raises(ArgumentValueError, match=r"before compiling it, got 0 \(OptimizedModule\)"):
        convert(model)
    model = nn.Sequential(small())
    model[0].compile()
    with pytest.raises(ArgumentValueError, match=r"before compiling it, got 0 \(Sequential\)"):
        convert(model)


def test_a_scripted_model_is_refused():
    with pytest.warns(DeprecationWarning, match="script"):
        model = nn.Sequential(nn.Dropout(0.1), torch.jit.script(small()))
    with pytest.raises(ArgumentValueError, match="before scripting it, got 1"):
        convert(model)
    assert type(model[0]) is nn.Dropout


def test_an_fsdp_model_is_refused(tmp_path):
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    store = f"file://{tmp_path / 'store'}"
    init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        model = small()
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(ArgumentValueError, match=r"before wrapping it, got \(the model\)"):
            convert(model)
    finally:
        destroy_process_group()


def test_nothing_is_half_converted():
    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2), nn.Dropout(0.3))
    model[2].p = math.nan
    objects = list(model.modules())
    with pytest.raises(ArgumentValueError, match="In 2: Expected `p` to be in"):
        convert(model)
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))

    def broken(module):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        convert(model, {nn.Dropout: broken})
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([nn.Dropout], "`rules` to be a dict"),
        ({"Dropout": td.nn.Dropout}, "keys are module classes"),
        ({nn.Dropout: 0.1}, "values are functions or None"),
        ({nn.Dropout: lambda m: 0.1}, "return a module"),
        ({nn.Dropout: lambda m: nn.Linear(1, 1)}, "without parameters"),
    ],
)
def test_bad_rules(rules, says):
    model = small()
    with pytest.raises(ArgumentTypeError, match=says):
        convert(model, rules)
    assert type(model[1]) is nn.Dropout


def test_bad_arguments():
    with pytest.raises(ArgumentTypeError, match=r"`model` to be a torch.nn.Module"):
        convert(nn.Dropout)
    with pytest.raises(ArgumentTypeError, match="`dry_run` to be a bool"):
        convert(small(), dry_run="yes")
    with pytest.raises(ArgumentValueError, match="another module"):
        convert(small(), {nn.Dropout: lambda m: m})


def test_a_converted_model_is_copied_pickled_compiled_and_seeded():
    model, x = small(), torch.randn(3, 8)
    convert(model)

    def run(module):
        torch.manual_seed(1)
        return module(x)

    expected = run(model)
    assert torch.equal(run(copy.deepcopy(model)), expected)
    assert torch.equal(run(pickle.loads(pickle.dumps(model))), expected)
    torch._dynamo.reset()
    assert torch.equal(run(torch.compile(model, backend="aot_eager", fullgraph=True)), expected)
    torch._dynamo.reset()
