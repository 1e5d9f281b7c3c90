"""The passes: pass t of input i has one mask, however the passes are computed."""

import pytest
import torch

import torchdropout as td
from family import IDENTITIES
from keyed_parts import Calls
from stochastic import (
    Attention,
    Functional,
    Gated,
    InTraining,
    Last,
    Noise,
    Weights,
    encoder,
    seeded,
)
from torchdropout import mc, nn
from torchdropout.errors import SiteError
from torchdropout.functional import _attention, attention
from torchdropout.models.mc._passes import Passes

X = torch.randn(6, 5, 8, generator=torch.Generator().manual_seed(0))
KEY = td.Key(3)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Seen(torch.nn.Module):
    """Where the draws of a model are zero, or all that its function modules return."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(torch.ones_like(x))


def drops(*modules):
    """Dropouts of ones, side by side: a zero is a dropped element."""
    return Seen(torch.nn.Sequential(*modules)).eval()


# Models whose output shows each mask, with no matrix product, whose rounding depends on its size.
MASKS = {
    "dropout": lambda: drops(torch.nn.Dropout(0.5)),
    "two": lambda: drops(torch.nn.Dropout(0.3), torch.nn.Dropout(0.6)),
    "channels": lambda: drops(torch.nn.Dropout1d(0.5)),
    "gated": lambda: drops(Gated()),
    "noise": lambda: drops(Noise()),
    "inplace": lambda: drops(torch.nn.Identity(), torch.nn.Dropout(0.5, inplace=True)),
    "shared": lambda: drops(
        InTraining(lambda x: td.functional.dropout(x, 0.5, broadcast_dims=(1,)))
    ),
    "own": lambda: drops(nn.Dropout(0.5)),
    "alpha": lambda: drops(torch.nn.AlphaDropout(0.5)),
    **{
        name: (lambda make=IDENTITIES[name]: drops(make()))
        for name in ("GaussianNoise", "DropPath", "DropBlock1d", "VariationalDropout")
    },
}


def loop(model, x, passes=4, index=0, first=0, **options):
    """The outputs of the passes one by one, `(T, B, ...)`."""
    with torch.no_grad(), mc.active(model, seed=KEY, index=index, first=first, **options):
        return torch.stack([model(x) for _ in range(passes)])


def at_once(model, x, passes=4, index=0, first=0, **options):
    """The outputs of passes in one forward, each of all inputs."""
    plan = mc.plan(model, x)
    batch = x if options.get("expand") else x.repeat(passes, *[1] * (x.ndim - 1))
    with (
        torch.no_grad(),
        Passes(model, plan, KEY, first=first, count=passes, index=index, **options),
    ):
        return model(batch).unflatten(0, (passes, len(x)))


@pytest.mark.parametrize("name", MASKS)
def test_one_mask_for_each_pass_and_input(name):
    """That of a step of training."""
    model = MASKS[name]()
    whole = loop(model, X)
    assert len({tuple(y.flatten().tolist()) for y in whole}) == 4  # no pass has that of another
    assert torch.equal(loop(model, X[5:], index=5), whole[:, 5:])
    assert torch.equal(loop(model, X[2:5], passes=2, index=2, first=2), whole[2:, 2:5])
    model.train()
    for t in range(4):
        with torch.no_grad(), td.keyed(model, seed=KEY, step=t, batch=(2, 10)):
            y = model(X[2:])
        assert torch.equal(y, whole[t, 2:])


@pytest.mark.parametrize("name", ["dropout", "noise", "shared", "GaussianNoise"])
def test_the_device_does_not_matter(name):
    """A GPU's masks are those of the reference, which runs here; on meta there are shapes."""
    model, before = MASKS[name](), td.backends.current()
    plan, found = mc.plan(model, X), {}
    try:
        for backend in ("reference", before):
            td.backends.use(backend)
            found[backend] = loop(model, X)
    finally:
        td.backends.use(before)
    assert torch.equal(found["reference"], found[before])
    meta = model.to("meta")  # the plan compares numbers, and is that of the CPU
    with torch.no_grad(), Passes(meta, plan, KEY, index=0):
        y = meta(X.to("meta"))
    assert (y.shape, y.device.type) == (X.shape, "meta")


# Those whose draws do not lie in the dimensions of their input, or are made before it is repeated.
ALONE = {"VariationalDropout"}
NOT_FIRST = {*ALONE, "gated", "noise"}


@pytest.mark.parametrize("name", sorted(MASKS.keys() - ALONE))
def test_the_same_when_several_passes_share_a_forward(name):
    model = MASKS[name]()
    whole = loop(model, X)
    assert torch.equal(at_once(model, X), whole)
    assert torch.equal(at_once(model, X[1:4], 2, index=1, first=1), whole[1:3, 1:4])


@pytest.mark.parametrize("name", sorted(MASKS.keys() - NOT_FIRST))
def test_the_same_when_the_first_draw_makes_the_passes(name):
    model = MASKS[name]()
    assert torch.equal(at_once(model, X, expand=True), loop(model, X))


@pytest.mark.parametrize("name", sorted(NOT_FIRST))
def test_what_cannot_be_shared_or_made_says_so(name):
    model = MASKS[name]()
    message = r"`strategy` to be 'auto' or 'loop' for this model, as \S+ #0 \(\w+\) (has no|writes)"
    with pytest.raises(SiteError, match=message):
        at_once(model, X, expand=True)
    if name in ALONE:
        with pytest.raises(SiteError, match=message):
            at_once(model, X, passes=2)


@pytest.mark.parametrize(
    "make", [encoder, Attention, lambda: Weights(True), lambda: Last(torch.nn.LSTM), Functional]
)
def test_models_with_products_up_to_rounding(make):
    model = seeded(make)
    whole = loop(model, X)
    torch.testing.assert_close(at_once(model, X), whole, **CLOSE)
    torch.testing.assert_close(loop(model, X[3:], index=3), whole[:, 3:], **CLOSE)
    if make is Functional:  # elsewhere what is added or multiplied has fewer rows
        torch.testing.assert_close(at_once(model, X, expand=True), whole, **CLOSE)


class Square(torch.nn.Module):
    """Attention of which the output is the mask: equal scores, and values that show the key."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(x[:, None, :, :1].expand(-1, 2, -1, -1))
        v = torch.eye(5).expand(*x.shape[:2], -1, -1)
        p = 0.4 if self.training else 0.0
        attention = torch.nn.functional.scaled_dot_product_attention
        return attention(0 * x, 0 * x, v, dropout_p=p).transpose(1, 2)


@pytest.mark.parametrize("expand", [False, True])
def test_attention_of_passes_has_the_masks_of_each(expand, monkeypatch):
    """It is not a transform of a composition, which has the square of all passes at once."""
    model = Square().eval()
    whole = loop(model, X)
    monkeypatch.setattr(torch, "vmap", None)
    assert torch.equal(at_once(model, X, expand=expand), whole)
    y = at_once(model, X[1:4], 2, index=1, first=1, expand=expand)
    assert torch.equal(y, whole[1:3, 1:4])
    assert 0 < (whole == 0).double().mean() < 1


def test_attention_of_passes_makes_no_square_of_all(monkeypatch):
    monkeypatch.setattr(_attention, "_MOST_IN_BLOCK", 1 << 12)
    model, passes, length = seeded(Attention), 4, 64
    x = torch.ones(4, length, 8)
    square = passes * len(x) * 2 * length**2 * x.element_size()
    plan, given = mc.plan(model, x), x.repeat(passes, 1, 1)
    profiler = torch.profiler.profile(profile_memory=True)
    with torch.no_grad(), Passes(model, plan, KEY, count=passes, index=0), profiler as seen:
        model(given)
    allocated = [event.self_cpu_memory_usage for event in seen.events()]
    assert given.nbytes <= max(allocated) < square / 4


@pytest.mark.parametrize("in_blocks", [True, False])
def test_gradients_through_the_attention_of_passes(in_blocks, monkeypatch):
    """A first dropout makes the tensors of each pass differ."""
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), seeded(Attention)).eval()
    plan = mc.plan(model, X)
    if not in_blocks:
        monkeypatch.setattr(attention, "blocks_possible", lambda *_: False)

    def gradient(count):
        x = X.clone().requires_grad_()
        total = 0.0
        with Passes(model, plan, KEY, count=count, index=0, expand=count > 1):
            for _ in range(4 // count):
                total = total + model(x).square().sum()
        return torch.autograd.grad(total, (x, *model.parameters()))

    for got, expected in zip(gradient(4), gradient(1), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_masks_that_all_inputs_share():
    model = drops(torch.nn.Dropout(0.5), Gated())
    whole = loop(model, X, masks="shared")
    assert torch.equal(whole, whole[:, :1].expand(whole.shape))
    assert torch.equal(loop(model, X[:2], masks="shared", index=4), whole[:, :2])
    assert torch.equal(at_once(model, X, alike=True), whole)
    assert not torch.equal(whole[0], whole[1])
    folded = torch.nn.Sequential(torch.nn.Flatten(0, 1), torch.nn.Dropout(0.5)).eval()
    with pytest.raises(SiteError, match="a dimension of inputs alone for masks='shared', got 1 #0"):
        loop(folded, X, masks="shared")


def test_a_draw_that_was_not_planned():
    model = Calls(
        lambda a, b, x: b(a(x)) if on else a(x), *map(torch.nn.Dropout, (0.5, 0.5))
    ).eval()
    on = False
    with mc.active(model):
        model(X)
        on = True
        with pytest.raises(SiteError, match=r"when it was planned, got inner.1 #0 \(dropout\)"):
            model(X)
