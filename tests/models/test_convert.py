"""Converting models: nothing but the dropouts changes, all or nothing, and back."""

import copy
import math
import pickle

import pytest
import torch
import torchvision
from torch import nn

import torchdropout as td
from family import of_package
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.convert import convert

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


def same_modules(model, objects):
    return all(a is b for a, b in zip(model.modules(), objects, strict=True))


def of_timm(name, **attributes):
    attributes = {"prob": 0.5, "num_prefix_tokens": 2, "ordered": True, **attributes}
    return of_package(name, "timm.layers.patch_dropout", **attributes)


TOKENS = {"p": 0.5, "num_prefix_tokens": 2, "ordered": True}
BEIT = "transformers.models.beit.x"
# Torch's six, which ignores `inplace` in those of alpha.
SIX = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]
REPLACED = [
    *(
        (getattr(nn, name)(0.3, inplace=True), name, {"p": 0.3, "inplace": "Alpha" not in name})
        for name in SIX
    ),
    *(
        (torchvision.ops.StochasticDepth(0.25, mode), "StochasticDepth", {"p": 0.25, "mode": mode})
        for mode in ("row", "batch")
    ),
    (
        of_package("RNNDropout", "fastai.text.models.awdlstm", p=0.4),
        *("LockedDropout", {"p": 0.4, "time_dim": 1}),
    ),
    (of_timm("PatchDropout"), "TokenDropout", {**TOKENS, "return_indices": False}),
    (of_timm("PatchDropoutWithIndices"), "TokenDropout", {**TOKENS, "return_indices": True}),
    # As timm had it before there were two.
    (
        of_timm("PatchDropout", return_indices=True),
        *("TokenDropout", {**TOKENS, "return_indices": True}),
    ),
    (of_package("BeitDropPath", BEIT, drop_prob=0.25), "DropPath", {"p": 0.25}),
    (of_package("BeitDropPath", BEIT, p=0.25), None, {}),
    (of_package("BeitDropPathLayer", BEIT, drop_prob=0.25), None, {}),
    (of_package("BeitDropPath", "mine", drop_prob=0.25), None, {}),
    (
        of_package("DropPath", "timm.layers.drop", drop_prob=0.25, scale_by_keep=False),
        *("DropPath", {"p": 0.25, "scale_by_keep": False}),
    ),
    # As it was once.
    (
        of_package("DropPath", "timm.layers.drop", drop_prob=0.25),
        *("DropPath", {"p": 0.25, "scale_by_keep": True}),
    ),
]


@pytest.mark.parametrize(("old", "kind", "attributes"), REPLACED)
def test_each_becomes_ours_and_is_put_back(old, kind, attributes):
    model, before = nn.Sequential(old).eval(), set(vars(old))
    conversion = convert(model)
    new = model[0]
    if kind is None:
        assert new is old
        assert not conversion.changes
        return
    assert type(new) is getattr(td.nn, kind)
    assert {name: getattr(new, name) for name in attributes} == attributes
    assert not new.training
    new.p = 0.125
    conversion.undo()
    assert model[0] is old
    assert set(vars(old)) == before
    assert 0.125 in vars(old).values()


def test_a_rate_that_is_a_bool_is_the_number_that_torch_takes_it_for():
    model = nn.Sequential(
        nn.Dropout(False),  # torchdropout: ignore[dropout-as-flag]
        nn.Dropout(True),  # torchdropout: ignore[dropout-as-flag]
        nn.MultiheadAttention(8, 2, dropout=False),
    )
    conversion = convert(model)
    assert [type(m.p) for m in model[:2]] == [float, float]
    assert (model[0].p, model[1].p, model[2].dropout) == (0.0, 1.0, 0.0)
    conversion.undo()
    assert type(model[0]) is nn.Dropout
    assert torch.equal(model[0](torch.ones(4)), torch.ones(4))


def test_fastais_embedding_dropout_stays_around_its_embedding():
    embedding = nn.Embedding(10, 4)
    home = "fastai.text.models.awdlstm"
    old = of_package("EmbeddingDropout", home, emb=embedding, embed_p=0.4)
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
    old.more = nn.Parameter(torch.ones(1))  # besides those that are taken over
    assert "parameters, buffers or modules" in str(convert(model))
    assert model["dropped"] is old


@pytest.mark.integration
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
    assert same_modules(model, objects)
    assert all(m.training for m in objects)


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


def test_conversions_undone_in_any_order():
    model = small()
    first, second = model[1], model[3]
    conversion = convert(model)
    others = convert(model, {td.nn.Dropout: lambda m: td.nn.AlphaDropout(m.p)})
    between = model[1]
    conversion.undo()
    assert model[1] is between
    assert str(conversion).startswith("Sequential: 0 dropouts put back")
    assert str(conversion).endswith("since another module is in its place now:\n  1\n  3")
    others.undo()
    model[1].p = 0.07
    conversion.undo()
    assert (model[1], model[3]) == (first, second)
    assert first.p == 0.07
    assert "2 dropouts put back" in str(conversion)
    assert "not put back" not in str(conversion)
    first.p = 0.9
    conversion.undo()
    assert first.p == 0.9


def test_what_is_back_keeps_its_rate_where_another_place_of_it_is_put_back_later():
    shared = nn.Dropout(0.4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    conversion = convert(model)
    ours, model[2] = model[2], nn.Identity()
    conversion.undo()
    assert model[0] is shared
    shared.p = 0.9
    model[2] = ours
    conversion.undo()
    assert model[2] is shared
    assert shared.p == 0.9


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


class Attention(nn.MultiheadAttention):
    """A subclass, which may compute something else."""


class Recurrent(nn.LSTM):
    """The same of a recurrent layer."""


class _Part(nn.Module):
    """A module with a rate, and perhaps with parts."""

    def __init__(self, *parts, **attributes):
        super().__init__()
        for i, part in enumerate(parts):
            self.add_module(str(i), part)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return x, self.drop_rate, self.drop_a, self.b_drop, self.rate


class DropSome(_Part):
    """Named as a dropout."""


class Unnamed(nn.modules.dropout._DropoutNd):
    """A dropout by what it is derived from."""


class Reading(nn.Module):
    """It reads the p of a module, as timm's attention does."""

    def __init__(self, p=0.5, **attributes):
        super().__init__()
        self.drop, self.other, self.p = nn.Dropout(p), nn.Dropout(0.5), 3
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        # torchdropout: ignore[functional-always-on]
        return nn.functional.dropout(x, self.drop.p), self.p, self.other, self.drop_rate


class Mine(nn.Dropout):
    """A subclass, which may compute something else."""


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Mine(0.4), "no rule for this class"),
        (Attention(4, 2, dropout=0.1), "attention drops"),
        (Recurrent(4, 4, 2, dropout=0.1), "drops between layers"),
        (nn.RNN(4, 4, 2, dropout=0.1), "drops between layers"),
        (nn.RNN(4, 4), None),
        (nn.MultiheadAttention(4, 2), None),
        (nn.LSTM(4, 4), None),
        (nn.GRU(4, 4, 2), None),
        (_Part(drop_rate=1.0), "holds drop_rate=1.0, perhaps"),
        (_Part(drop_a=0.5, b_drop=0.25), "holds drop_a=0.5, b_drop=0.25, perhaps"),
        (_Part(drop_rate=0.0), None),
        (_Part(drop_rate=-0.5), None),
        (_Part(drop_rate=1.5), None),
        (_Part(drop_rate=1), None),
        (_Part(rate=0.5), None),
        (DropSome(), "no rule for this class"),
        (DropSome(nn.Linear(2, 2)), None),
        (DropSome(nn.Linear(2, 2), drop_rate=0.5), "holds drop_rate=0.5"),
        (Unnamed(0.5), "no rule for this class"),
        (Reading(), "reads drop.p, perhaps for scaled_dot_product_attention"),
        (Reading(0.0), None),
        (Reading(fused_attn=True), "reads drop.p"),
        (Reading(fused_attn=False), None),
        (Reading(0.0, drop_rate=0.5), "holds drop_rate=0.5"),
        (Reading(fused_attn=False, drop_rate=0.5), "holds drop_rate=0.5"),
    ],
)
def test_what_may_drop_is_listed(module, says):
    left = [one for one in convert(nn.Sequential(module)).left if one.name == "0"]
    assert [one.why.startswith(says) for one in left] == [True] * (says is not None)


LAYERS = {
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True),
    "MultiheadAttention of other widths": lambda: nn.MultiheadAttention(
        *(8, 2), dropout=0.3, batch_first=True, add_bias_kv=True, kdim=6, vdim=5, bias=False
    ),
    "LSTM": lambda: nn.LSTM(8, 6, 3, dropout=0.3, batch_first=True),
    "LSTM both ways, projected": lambda: nn.LSTM(
        8, 6, 2, dropout=0.3, bidirectional=True, proj_size=3, bias=False
    ),
    "GRU": lambda: nn.GRU(8, 6, 2, dropout=0.3),
}


def called(layer, seed=0):
    """All that a layer returns for an input of its widths."""
    numbers = torch.Generator().manual_seed(seed)
    widths = [8]
    if isinstance(layer, nn.MultiheadAttention):
        widths = [8, layer.kdim, layer.vdim]
    torch.manual_seed(seed)
    output = layer(*(torch.randn(4, 5, width, generator=numbers) for width in widths))
    first, rest = output
    return [first, *(rest if isinstance(rest, tuple) else [rest])]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", LAYERS)
class TestLayersThatDropByAFunction:
    """Attention and recurrent layers: of our class, with the very parameters they have."""

    def test_is_ours_with_the_same_parameters(self, name):
        old = LAYERS[name]()
        old.note = "mine"
        model = nn.Sequential(old).eval()
        state = model.state_dict(keep_vars=True)
        expected = called(old)
        conversion = convert(model)
        new = model[0]
        assert type(new) is getattr(td.nn, type(old).__name__)
        assert (new.dropout, new.training, new.note) == (0.3, False, "mine")
        after = model.state_dict(keep_vars=True)
        assert list(after) == list(state)
        assert all(after[key] is state[key] for key in state)
        assert all(map(torch.equal, called(new), expected))
        # It is as if it had been built so.
        if isinstance(old, nn.MultiheadAttention):
            made = td.nn.MultiheadAttention(8, 2, 0.3, add_bias_kv=old.bias_k is not None)
        else:
            made = type(new)(8, 6, 2, dropout=0.3)
        assert vars(new).keys() == {*vars(made), "note"}
        assert not conversion.left

    def test_drops_as_ours_does(self, name):
        model = nn.Sequential(LAYERS[name]())
        expected_of = copy.deepcopy(model)
        convert(model)
        new = model[0]
        first = called(new, 1)
        assert all(map(torch.equal, called(new, 1), first))
        assert not torch.equal(called(expected_of[0], 1)[0], first[0])
        new.dropout = 0.0
        without = called(new, 1)
        assert torch.equal(without[0], called(expected_of.eval()[0], 1)[0])
        assert not torch.equal(without[0], first[0])

    def test_is_put_back(self, name):
        old = LAYERS[name]()
        model = nn.ModuleList([old, nn.Sequential(old)])
        attributes = set(vars(old))
        calls = []
        handle = old.register_forward_hook(lambda *_: calls.append("before"))
        conversion = convert(model)
        new = model[0]
        assert new is model[1][0]
        assert conversion.changes[0].names == ("0", "1.0")
        new.register_forward_hook(lambda *_: calls.append("after"))
        new.eval()
        new.dropout = 0.7
        model.double()
        trained = {k: torch.randn_like(v) for k, v in new.state_dict().items()}
        new.load_state_dict(trained, assign=True)
        parameters = dict(new.named_parameters())
        numbers = called(new.float())
        assert calls == ["before", "after"]
        conversion.undo()
        assert model[0] is old
        assert model[1][0] is old
        assert set(vars(old)) == attributes
        assert type(old).__module__.startswith("torch.nn.")
        assert (old.dropout, old.training) == (0.7, False)
        assert dict(old.named_parameters()).keys() == parameters.keys()
        assert all(a is b for a, b in zip(old.parameters(), new.parameters(), strict=True))
        handle.remove()
        assert all(map(torch.equal, called(old), numbers))
        assert calls == ["before", "after", "after"]
        old.train()
        called(old)

    def test_is_copied_pickled_and_converted_once(self, name):
        model = nn.Sequential(LAYERS[name]())
        convert(model)
        expected = called(model[0], 3)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert type(other[0]) is type(model[0])
            assert all(map(torch.equal, called(other[0], 3), expected))
        again = convert(model)
        assert not again.changes
        assert not again.left
        assert again.already == 1

    @pytest.mark.parametrize("bad", [1.5, math.nan, -0.1])
    def test_a_rate_that_is_none_is_refused(self, name, bad):
        model = nn.Sequential(nn.Dropout(0.1), LAYERS[name]())
        objects = list(model.modules())
        model[1].dropout = bad
        with pytest.raises(ArgumentValueError, match="In 1: Expected `dropout` to be in"):
            convert(model)
        assert same_modules(model, objects)
        model[1].forward = lambda x: x
        assert convert(model).left[0].why == "its forward was replaced on the object"

    def test_the_model_itself(self, name):
        layer = LAYERS[name]()
        layer.older = layer.note = 1
        conversion = convert(layer)
        new = conversion.model
        assert type(new) is getattr(td.nn, type(layer).__name__)
        del new.older
        new.note = 2
        assert conversion.undo() is layer
        assert (layer.note, hasattr(layer, "older")) == (2, False)  # it is as ours was


def test_a_dropout_inside_of_a_layer():
    """Old and new layer share what they hold, so it does not matter which is replaced first."""
    model = nn.Sequential(nn.MultiheadAttention(8, 2, dropout=0.1))
    model[0].further = inner = nn.Dropout(0.2)
    conversion = convert(model)
    assert type(model[0]) is td.nn.MultiheadAttention
    assert type(model[0].further) is td.nn.Dropout
    conversion.undo()
    assert type(model[0]) is nn.MultiheadAttention
    assert model[0].further is inner


class TestTransformerEncoder:
    """torch's encoder, whose fast path in eval goes round our attention as round its own."""

    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, 0.2, batch_first=True)
        return nn.TransformerEncoder(layer, 2)

    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
    @pytest.mark.parametrize("padded", [False, True])
    @pytest.mark.parametrize("tracked", [False, True])
    def test_the_same_output_in_eval(self, model, padded, tracked, monkeypatch):
        x = torch.randn(3, 6, 16)
        padding = (torch.arange(6) >= torch.tensor([[6], [4], [2]])) if padded else None
        model.eval()
        paths = []
        fast = torch._transformer_encoder_layer_fwd
        watched = lambda *args: paths.append(len(args)) or fast(*args)  # noqa: E731
        monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", watched)
        with torch.set_grad_enabled(tracked):
            expected = model(x, src_key_padding_mask=padding)
            taken = list(paths)
            convert(model)
            got = model(x, src_key_padding_mask=padding)
        assert torch.equal(got, expected)
        assert len(taken) == (0 if tracked else 2)
        assert paths == taken * 2

    def test_trains_and_is_put_back(self, model):
        objects, keys = list(model.modules()), list(model.state_dict())
        conversion = convert(model)
        assert len(conversion.changes) == 8
        assert not conversion.left
        assert [type(layer.self_attn) for layer in model.layers] == [td.nn.MultiheadAttention] * 2
        x = torch.randn(3, 6, 16)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        losses = []
        for _ in range(20):
            loss = (model(x) - x.flip(1)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]
        assert list(model.state_dict()) == keys
        conversion.undo()
        assert same_modules(model, objects)

    @pytest.mark.integration
    def test_a_schedule_compiles_it_once(self, model):
        convert(model)
        scheduler = td.schedule.DropoutScheduler(model, td.schedule.Linear(4))
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        x, compiled = torch.randn(3, 6, 16), torch.compile(model, backend="aot_eager")
        seen = []
        for _ in range(6):
            torch.manual_seed(1)
            expected = model(x)
            torch.manual_seed(1)
            torch.testing.assert_close(compiled(x), expected)
            seen.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
            scheduler.step()
        torch._dynamo.reset()
        assert seen == [1, 2, 2, 2, 2, 2]


def test_timms_patch_dropout_keeps_some_tokens():
    for kind, indices in (("PatchDropout", False), ("PatchDropoutWithIndices", True)):
        y = convert(of_timm(kind)).model(torch.ones(3, 12, 4))
        assert isinstance(y, tuple) is indices
        assert (y[0] if indices else y).shape == (3, 7, 4)


def test_what_cannot_be_replaced_is_left_and_named():
    model = small()
    model[1].forward = lambda x: x
    model[3].note = nn.Linear(1, 1)
    model.beside = [model[1]]
    conversion = convert(model)
    assert not conversion.changes
    assert [left.name for left in conversion.left] == ["1", "3"]

    model = small()
    model.beside, model.table, model.pair = [model[1]], {"drop": model[3]}, (0, model[1])
    model.others = [nn.Dropout(0.1)]  # not a part of the model: it stays what it is
    conversion = convert(model)
    assert [left.why.split()[1] for left in conversion.left] == ["beside", "table", "pair"]


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_compiled_or_scripted_model_is_refused():
    own = small()
    own.compile()
    for part, words in (
        (torch.compile(small()), r"compiling it, got 1 \(OptimizedModule\)"),
        (own, r"compiling it, got 1 \(Sequential\)"),
        (torch.jit.script(small()), "scripting it, got 1"),
    ):
        model = nn.Sequential(nn.Dropout(0.1), part)
        with pytest.raises(ArgumentValueError, match=f"before {words}"):
            convert(model)
        assert type(model[0]) is nn.Dropout


@pytest.mark.filterwarnings("ignore:FSDP is switching to use `NO_SHARD`")
def test_an_fsdp_model_is_refused(tmp_path):
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    store = f"file://{tmp_path / 'store'}"
    init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        model = small()
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(ArgumentValueError, match=r"before wrapping it, got \(the model\)"):
            convert(model)
        # FSDP1 without `use_orig_params` holds the parameters by the modules that they were in.
        model = small()
        objects = list(model.modules())
        FullyShardedDataParallel(
            model, device_id=torch.device("cpu"), use_orig_params=False, auto_wrap_policy=None
        )
        with pytest.raises(ArgumentValueError, match=r"which is wrapped by FSDP"):
            convert(model)
        assert same_modules(model, objects)
    finally:
        destroy_process_group()


def test_nothing_is_half_converted():
    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2), nn.Dropout(0.3))
    model[2].p = math.nan
    objects = list(model.modules())
    with pytest.raises(ArgumentValueError, match="In 2: Expected `p` to be in"):
        convert(model)
    assert same_modules(model, objects)
    with pytest.raises(ZeroDivisionError):
        convert(model, {nn.Dropout: lambda m: 1 / 0})
    assert same_modules(model, objects)


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


@pytest.mark.integration
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
    assert torch.equal(run(torch.compile(model, backend="eager", fullgraph=True)), expected)
    torch._dynamo.reset()


# --- Parts of a conversion ------------------------------------------------------------------------


def test_a_dry_run_is_undone_without_effect():
    model = small()
    conversion = convert(model, dry_run=True)
    first, new = model[1], conversion.changes[0].new
    first.p, new.p = 0.9, 0.1
    assert conversion.undo() is model
    assert model[1] is first
    assert first.p == 0.9
    assert conversion.state == "dry run"


def test_the_text_of_what_was_left_and_undone():
    model = nn.Sequential(nn.Dropout(0.1), nn.RNN(4, 4, 2, dropout=0.5))
    conversion = convert(model)
    assert str(conversion).splitlines() == [
        "Sequential: 1 dropout converted",
        "  0: torch.nn.modules.dropout.Dropout -> Dropout(p=0.1, inplace=False)",
        "not converted: 1",
        "  1: torch.nn.modules.rnn.RNN: drops between layers, in torch's own recurrence "
        "(dropout=0.5)",
    ]
    again = convert(model)
    assert str(again).startswith("Sequential: nothing to convert; 1 already from torchdropout\n")
    conversion.undo()
    assert str(conversion).splitlines()[0] == (
        "Sequential: 1 dropout put back; parameters, buffers, modes, rates and hooks are as they "
        "were when it was undone"
    )
    single = convert(nn.Dropout(0.1))
    assert str(single).splitlines() == [
        "Dropout: 1 dropout converted; the object itself is unchanged: use `conversion.model` in "
        "place of it",
        "  (the model): torch.nn.modules.dropout.Dropout -> Dropout(p=0.1, inplace=False)",
    ]
    shared = nn.Dropout(0.5)
    text = str(convert(nn.Sequential(shared, nn.ReLU(), shared)))
    assert text.splitlines()[1].startswith("  0 = 2: torch.nn.modules.dropout.Dropout -> ")
    assert str(convert(nn.Dropout(0.1), dry_run=True)).splitlines()[0] == (
        "Dropout: 1 dropout would be converted"
    )
    both = str(convert(nn.Sequential(td.nn.Dropout(0.1), nn.Dropout(0.2))))
    assert both.startswith("Sequential: 1 dropout converted; 1 already from torchdropout\n")
