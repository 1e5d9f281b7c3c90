"""nn.WeightDrop: one mask a call on the weights in use; the parameters themselves stay."""

import copy
import functools
import gc
import sys
import threading
import warnings
import weakref

import pytest
import torch
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from draws import identical, kept
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError
from variants import seeded


def drawn():
    return seeded(Key.draw)


def first(y):
    return y[0] if isinstance(y, tuple) else y


LAYERS = {
    "linear": (lambda: torch.nn.Linear(5, 6), "weight", lambda: torch.randn(3, 5)),
    "bias": (lambda: torch.nn.Linear(5, 6), "bias", lambda: torch.randn(3, 5)),
    "conv": (lambda: torch.nn.Conv2d(2, 3, 3), "weight", lambda: torch.randn(2, 2, 6, 7)),
    "transposed": (lambda: torch.nn.ConvTranspose1d(2, 3, 3), "weight", lambda: torch.randn(2, 6)),
    "embedding": (lambda: torch.nn.Embedding(9, 4), "weight", lambda: torch.arange(9)),
    "lstm": (lambda: torch.nn.LSTM(5, 6), "weight_hh_l0", lambda: torch.randn(4, 3, 5)),
    "lstm-2": (
        lambda: torch.nn.LSTM(5, 6, 2, bidirectional=True, proj_size=3),
        ("weight_hh_l0", "weight_hh_l1_reverse", "weight_hr_l1"),
        lambda: torch.randn(4, 3, 5),
    ),
    "gru": (lambda: torch.nn.GRU(5, 6), "weight_hh_l0", lambda: torch.randn(4, 3, 5)),
    "rnn": (lambda: torch.nn.RNN(5, 6), "weight_ih_l0", lambda: torch.randn(4, 3, 5)),
    "cell": (lambda: torch.nn.LSTMCell(5, 6), "weight_ih", lambda: torch.randn(3, 5)),
}


def built(kind, p=0.4, **kwargs):
    torch.manual_seed(0)
    make, names, x = LAYERS[kind]
    plain = make()
    return td.nn.WeightDrop(copy.deepcopy(plain), p, names, **kwargs), plain, x()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
class TestLayers:
    def test_in_training_it_is_the_layer_with_dropped_weights(self, kind):
        """Output and gradients of the layer by `functional_call`, its weights dropped by hand."""
        module, plain, x = built(kind)
        dropped, base = {}, 0
        leaves = {name: value.detach().requires_grad_() for name, value in plain.named_parameters()}
        for name in module.names:
            value = leaves[name]
            layout = MaskLayout(base, MaskLayout.of(value.shape).strides)
            dropped[name] = F.drop_connect(value, 0.4, key=drawn(), layout=layout)
            base += value.numel()
        expected = first(torch.func.functional_call(plain, {**leaves, **dropped}, (x,)))
        y = first(seeded(module, x))
        assert torch.equal(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
        found = {
            name.replace("parametrizations.", "").replace(".original", ""): value.grad
            for name, value in module.module.named_parameters()
        }
        for name, leaf in leaves.items():
            torch.testing.assert_close(found[name], leaf.grad)
        for name in module.names:
            assert found[name].abs().sum() > 0
            assert (found[name] == 0).any()

    def test_in_eval_it_is_the_layer(self, kind):
        module, plain, x = built(kind)
        seeded(module, x)
        before = torch.get_rng_state()
        assert torch.equal(first(module.eval()(x)), first(plain(x)))
        module.train()
        module.p = 0.0
        assert torch.equal(first(module(x)), first(plain(x)))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_state_goes_both_ways_and_remove_gives_the_layer_back(self, kind):
        module, plain, x = built(kind)
        parameters = set(map(id, module.parameters()))
        expected = {f"module.{name}" for name in plain.state_dict()}
        for name in module.names:
            expected.remove(f"module.{name}")
            expected.add(f"module.parametrizations.{name}.original")
        assert set(module.state_dict()) == expected
        other, *_ = built(kind)
        torch.nn.init.zeros_(next(other.parameters()))
        other.load_state_dict(module.state_dict())
        assert torch.equal(first(seeded(other, x)), first(seeded(module, x)))
        layer = module.remove()
        assert type(layer) is type(plain)
        assert set(layer.state_dict()) == set(plain.state_dict())
        assert set(map(id, layer.parameters())) == parameters
        assert torch.equal(first(layer(x)), first(plain(x)))
        assert module.names == ()
        assert torch.equal(first(module(x)), first(plain(x)))


class Reader(torch.nn.Module):
    """Reads its weight a given number of times, in every way."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(40, 3))
        self.reads = []

    def forward(self, x):
        with torch.no_grad():
            self.reads = [self.weight]
        self.reads += [self.weight, self.weight]
        with torch.no_grad():
            self.reads.append(self.weight)
        self.reads.append(self.weight)
        return x @ self.reads[-1].T


def test_all_reads_within_a_call_see_one_mask_and_the_next_call_another():
    module = td.nn.WeightDrop(Reader(), 0.5, "weight")
    reader = module.module
    module(torch.ones(1, 3)).sum().backward()
    one = reader.reads
    assert all(torch.equal(read, one[0]) for read in one)
    assert set(one[0].unique().tolist()) == {0.0, 2.0}
    assert torch.equal(reader.parametrizations.weight.original.grad, one[0].detach())
    module(torch.ones(1, 3))
    assert not torch.equal(reader.reads[0], one[0])


def test_outside_of_a_call_a_weight_reads_as_its_parameter():
    module = td.nn.WeightDrop(Reader(), 0.5, "weight")
    original = module.module.parametrizations.weight.original
    assert module.module.weight is original
    module(torch.ones(1, 3))
    assert module.module.weight is original
    with torch.no_grad():
        torch.nn.init.constant_(module.module.weight, 3.0)
    assert (original == 3.0).all()
    module.module.weight = torch.full((40, 3), 2.0)
    assert module.module.weight is original
    assert (original == 2.0).all()


def test_nothing_is_held_after_a_call_nor_after_one_that_failed():
    module, _, x = built("lstm")
    raw = list(module.module._flat_weights)
    seen = []
    handle = module.module.register_forward_hook(
        lambda layer, *_: seen.append(weakref.ref(layer.weight_hh_l0))
    )
    y, _ = module(x)
    handle.remove()
    assert seen[0]() is not raw[1]
    with pytest.raises(RuntimeError, match=r"input\.size"):
        module(torch.randn(4, 3, 7))
    assert all(a is b for a, b in zip(module.module._flat_weights, raw, strict=True))
    drop = module.module.parametrizations.weight_hh_l0[0]
    assert (drop.mask, drop.value) == (None, None)
    del y, _
    gc.collect()
    assert seen[0]() is None


def test_the_dropped_weights_are_not_packed_for_cudnn(monkeypatch):
    """As on a GPU: nothing writes into the weights, no warning is shown, and all is undone."""
    module, _, x = built("lstm")
    lstm, calls = module.module, []
    expected = seeded(module, x)[0]
    monkeypatch.setattr("torchdropout.nn.weight_drop._packs", lambda layer: True)
    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", lambda self: calls.append(self))
    words = "RNN module weights are not part of single contiguous chunk of memory."
    warn = functools.partial(warnings.warn, words, stacklevel=1)
    handle = lstm.register_forward_pre_hook(lambda *_: warn())
    assert torch.equal(seeded(module, x)[0], expected)
    handle.remove()
    assert calls == []
    assert "flatten_parameters" not in vars(lstm)
    lstm.flatten_parameters()
    assert calls == [lstm]


class Tied(torch.nn.Module):
    def __init__(self, tied=True):
        super().__init__()
        self.encoder = torch.nn.Embedding(9, 4)
        self.decoder = torch.nn.Linear(4, 9, bias=False)
        if tied:
            self.decoder.weight = self.encoder.weight
        self.seen = ()

    def forward(self, words):
        self.seen = (self.encoder.weight, self.decoder.weight)
        return self.decoder(self.encoder(words))


class TestTied:
    names = ("encoder.weight", "decoder.weight")

    def test_stay_tied_and_have_one_mask(self):
        model = Tied()
        parameter = model.encoder.weight
        module = td.nn.WeightDrop(model, 0.5, self.names)
        assert list(module.parameters()) == [parameter]
        module(torch.arange(9)).sum().backward()
        encoder, decoder = model.seen
        assert torch.equal(encoder, decoder)
        assert (encoder == 0).any()
        leaf = encoder.detach().requires_grad_()
        (leaf @ leaf.T).sum().backward()
        torch.testing.assert_close(parameter.grad, torch.where(encoder == 0, 0.0, leaf.grad * 2))
        model.seen = ()
        other = copy.deepcopy(module)
        assert len(list(other.parameters())) == 1
        seeded(other, torch.arange(9))
        assert torch.equal(*other.module.seen)

    def test_one_alone_is_dropped_alone(self):
        model = Tied()
        module = td.nn.WeightDrop(model, 0.5, self.names[:1])
        module(torch.arange(9))
        encoder, decoder = model.seen
        assert (encoder == 0).any()
        assert decoder is model.encoder.parametrizations.weight.original


def test_over_another_parametrization():
    """What the other parametrization computes is dropped; either can be removed."""
    linear, x = parametrizations.weight_norm(torch.nn.Linear(5, 6)), torch.randn(3, 5)
    weight = linear.weight.detach()
    module = td.nn.WeightDrop(linear, 0.4, "weight")
    y = seeded(module, x)
    dropped = F.drop_connect(weight, 0.4, key=drawn())
    torch.testing.assert_close(y, torch.nn.functional.linear(x, dropped, linear.bias))
    y.sum().backward()
    assert linear.parametrizations.weight.original0.grad.abs().sum() > 0
    module.remove()
    assert len(linear.parametrizations.weight) == 1
    assert torch.equal(linear.weight, weight)


@pytest.mark.parametrize("style", ["plain", "fastai", "awd", "both"])
def test_other_peoples_checkpoints(style):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(5, 6)
    state = {f"0.module.{name}": value for name, value in lstm.state_dict().items()}
    if style != "plain":
        raw = state.pop("0.module.weight_hh_l0")
        state["0.module.weight_hh_l0_raw" if style == "awd" else "0.weight_hh_l0_raw"] = raw
    if style == "both":
        state["0.module.weight_hh_l0"] = torch.zeros(24, 6)
    torch.manual_seed(1)
    model = torch.nn.Sequential(td.nn.WeightDrop(torch.nn.LSTM(5, 6), 0.5))
    model.load_state_dict(state)
    x = torch.randn(4, 3, 5)
    assert torch.equal(model.eval()(x)[0], lstm(x)[0])


class TestCheckpointing:
    x = torch.randn(3, 5, requires_grad=True)

    def gradients(self, module, run):
        module.zero_grad()
        seeded(run, self.x).square().sum().backward()
        return [value.grad.clone() for value in module.parameters()]

    @pytest.mark.parametrize("use_reentrant", [False, True])
    def test_of_the_whole_call(self, use_reentrant):
        module, *_ = built("linear")
        again = self.gradients(module, lambda x: checkpoint(module, x, use_reentrant=use_reentrant))
        assert all(map(torch.equal, again, self.gradients(module, module)))

    def test_of_a_part_of_the_module_is_refused(self):
        class Inside(torch.nn.Linear):
            def forward(self, x):
                return checkpoint(super().forward, x, use_reentrant=False)

        module = td.nn.WeightDrop(Inside(5, 6), 0.5, "weight")
        y = module(self.x)
        with pytest.raises(RuntimeError, match="Checkpoint the call of the WeightDrop as a whole"):
            y.sum().backward()
        module.eval()(self.x).sum().backward()


def test_vmap_shares_a_mask_or_has_one_for_each():
    module = td.nn.WeightDrop(torch.nn.Linear(3, 40, bias=False), 0.5, "weight")
    x = torch.randn(3).expand(7, 3)
    for randomness, count in (("same", 1), ("different", 7)):
        y = torch.func.vmap(module, randomness=randomness)(x)
        assert len((y == 0).unique(dim=0)) == len(y.unique(dim=0)) == count


def test_what_is_kept_for_the_backward():
    """The dropped weight, which the product needs, and the key: no mask."""
    module, _, x = built("linear")
    with kept() as tensors:
        module(x.requires_grad_())
    assert sorted(t.nbytes for t in tensors) == [16, x.nbytes, 5 * 6 * 4]


def test_a_weight_that_is_dropped_already_is_refused():
    lstm = torch.nn.LSTM(2, 3)
    td.nn.WeightDrop(lstm, 0.5)
    with pytest.raises(ArgumentValueError, match="drops yet, not 'weight_hh_l0', got names="):
        td.nn.WeightDrop(lstm, 0.5, ("weight_ih_l0", "weight_hh_l0"))
    assert not parametrize.is_parametrized(lstm, "weight_ih_l0")
    with pytest.raises(ArgumentValueError, match=r"which are .*weight_hh_l0, got names='weight'"):
        td.nn.WeightDrop(lstm, 0.5, "weight")


def test_a_failure_half_way_takes_off_what_was_put_on(monkeypatch):
    module = torch.nn.Linear(2, 3)
    register = parametrize.register_parametrization

    def fails(owner, name, part):
        if name == "bias":
            raise RuntimeError("no")
        return register(owner, name, part)

    monkeypatch.setattr(parametrize, "register_parametrization", fails)
    with pytest.raises(RuntimeError, match="no"):
        td.nn.WeightDrop(module, 0.5, ("weight", "bias"))
    assert type(module) is torch.nn.Linear
    assert set(module.state_dict()) == {"weight", "bias"}


def test_threads_share_a_module():
    """Each call has its own mask, and afterwards the weights are as they were."""
    module = td.nn.WeightDrop(torch.nn.Linear(32, 32, bias=False), 0.5, "weight")
    weight = module.module.weight.detach().clone()
    eye, start, wrong = torch.eye(32), threading.Barrier(5), []

    def train():
        start.wait()
        for _ in range(200):
            y = module(eye)
            kept = (y != 0).double().mean().item()
            # 6.4 standard deviations: 10^-7 for all calls, whose order no seed fixes.
            if not 0.4 < kept < 0.6 or not torch.equal(y, torch.where(y == 0, y, weight.T * 2)):
                wrong.append(kept)

    def read():
        start.wait()
        for _ in range(2000):
            if not torch.equal(module.module.weight, weight):
                wrong.append("read")

    threads = [threading.Thread(target=work) for work in (train, train, train, read)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        start.wait()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert torch.equal(module.eval()(eye), weight.T)


@pytest.mark.parametrize(("kind", "name"), [("Linear", "weight"), ("LSTM", "weight_hh_l0")])
def test_within_torchs_cache_of_parametrizations(kind, name):
    module, x = td.nn.WeightDrop(getattr(torch.nn, kind)(8, 8), 0.5, name), torch.randn(3, 2, 8)

    def calls():
        torch.manual_seed(0)
        results = [module(x), module(x), module.eval()(x)]
        module.train()
        return map(first, results)

    expected = [*calls()]
    with torch.nn.utils.parametrize.cached():
        getattr(module.module, name)
        identical(calls(), expected)
        plain = module.module.parametrizations[name].original
        assert torch.equal(getattr(module.module, name), plain)
