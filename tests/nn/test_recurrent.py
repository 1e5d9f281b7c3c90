"""nn.LSTM and nn.GRU: torch's layers where nothing is dropped, the published ones where it is."""

import itertools
import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import torchdropout as td
from draws import kept
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError
from torchdropout.functional._recurrent import unpacked_weights
from torchdropout.nn import recurrent
from variants import seeded

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not:UserWarning")

KEY = Key(11, 3)
STEPS, BATCH, FEATURES, HIDDEN = 5, 4, 3, 6
CLASSES = {"LSTM": (td.nn.LSTM, torch.nn.LSTM), "GRU": (td.nn.GRU, torch.nn.GRU)}
TWO, BOTH = {"num_layers": 2}, {"bidirectional": True}
SHAPES = [{}, {**TWO, **BOTH, "batch_first": True}, {"num_layers": 3, "bias": False}]
UPDATE = {"recurrent_dropout": 0.4, "recurrent_mode": "update"}
INPUTS = {"input_dropout": 0.2, "dropout": 0.3}
RATES = [
    {"input_dropout": 0.4},
    {"dropout": 0.4, **TWO},
    {"dropout": 0.4, "locked": True, **TWO, **BOTH},
    {"recurrent_dropout": 0.4},
    {**UPDATE, **TWO, **BOTH},
    {"zoneout_hidden": 0.4},
    {"recurrent_dropout": 0.4, "zoneout_hidden": 0.2, **INPUTS, **TWO, **BOTH, "bias": False},
]
OF_LSTM = [
    {"zoneout_cell": 0.4, "zoneout_hidden": 0.1, "dropout": 0.2, **TWO},
    {"recurrent_dropout": 0.4, "zoneout_cell": 0.2, "proj_size": 2, **BOTH},
    {**UPDATE, "dropout": 0.3, "proj_size": 2, "num_layers": 3},
]
CASES = [*itertools.product(CLASSES, RATES), *(("LSTM", rates) for rates in OF_LSTM)]


def layer(kind="LSTM", **kwargs):
    torch.manual_seed(0)
    module = CLASSES[kind][0](FEATURES, HIDDEN, **kwargs)
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(2.0)  # so that gates are not all near a half
    return module


def plain(module):
    """The layer of torch, with the same weights."""
    kwargs = {"proj_size": module.proj_size} if module.mode == "LSTM" else {}
    names = "num_layers", "bias", "batch_first", "bidirectional"
    kwargs |= {name: getattr(module, name) for name in names}
    other = CLASSES[module.mode][1](FEATURES, HIDDEN, **kwargs, dtype=module.weight_ih_l0.dtype)
    other.load_state_dict(module.state_dict())
    return other


def sequence(batch_first=False, **kwargs):
    x = torch.randn(STEPS, BATCH, FEATURES, generator=torch.Generator().manual_seed(1), **kwargs)
    return x.transpose(0, 1) if batch_first else x


def flat(result):
    y, hx = result
    y = y.data if isinstance(y, PackedSequence) else y
    return (y, *hx) if isinstance(hx, tuple) else (y, hx)


def same(a, b):
    return all(map(torch.equal, flat(a), flat(b)))


def close(a, b, **kwargs):
    for x, y in zip(flat(a), flat(b), strict=True):
        torch.testing.assert_close(x, y, **kwargs)


class Definition:
    """Every step as published, one at a time, with keep masks of indices counted out by hand."""

    def __init__(self, module, key, steps, batch):
        self.m, self.key, self.steps, self.batch = module, key, steps, batch
        self.lstm = module.mode == "LSTM"
        self.out = module.proj_size or HIDDEN
        update = module.recurrent_mode == "update"
        order = [("input", False, FEATURES)]
        directions = 2 if module.bidirectional else 1
        for index in range(module.num_layers):
            if index:
                order.append((f"between{index}", not module.locked, self.out * directions))
            for direction in range(directions):
                name = f"{index}.{direction}"
                width = HIDDEN if update else self.out
                order.append((f"recurrent{name}", update, width))
                order.append((f"h{name}", True, self.out))
                if self.lstm:
                    order.append((f"c{name}", True, HIDDEN))
        self.first, self.per_step, self.width, end = {}, {}, {}, 0
        for name, per_step, width in order:
            self.first[name], self.per_step[name], self.width[name] = end, per_step, width
            end += width
        self.of_a_step = end

    def keep(self, name, p, step):
        step = step if self.per_step[name] else 0
        base = self.first[name] + step * self.of_a_step
        layout = MaskLayout(base, (2**40, 1))
        return F.keep_mask((self.batch, self.width[name]), p, key=self.key, layout=layout)

    def drop(self, x, name, p, step):
        return torch.where(self.keep(name, p, step), x / (1 - p), 0.0) if p else x

    def zoned(self, new, old, name, p, step):
        if not self.m.training:
            return p * old + (1 - p) * new
        return torch.where(self.keep(name, p, step), new, old) if p else new

    def step(self, x, states, name, suffix, t):
        m = self.m
        w_ih, w_hh = (getattr(m, f"weight_{part}_l{suffix}") for part in ("ih", "hh"))
        b_ih, b_hh = (getattr(m, f"bias_{part}_l{suffix}", 0.0) for part in ("ih", "hh"))
        p = m.recurrent_dropout if m.training else 0.0
        by_state = m.recurrent_mode == "state"
        h = self.drop(states[0], f"recurrent{name}", p, t) if by_state else states[0]
        a, b = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if self.lstm:
            i, f, g, o = (a + b).split(HIDDEN, -1)
            g = g.tanh()
            g = g if by_state else self.drop(g, f"recurrent{name}", p, t)
            c = f.sigmoid() * states[1] + i.sigmoid() * g
            h = o.sigmoid() * c.tanh()
            if m.proj_size:
                h = h @ getattr(m, f"weight_hr_l{suffix}").T
            return (
                self.zoned(h, states[0], f"h{name}", m.zoneout_hidden, t),
                self.zoned(c, states[1], f"c{name}", m.zoneout_cell, t),
            )
        (a_r, a_z, a_n), (b_r, b_z, b_n) = a.split(HIDDEN, -1), b.split(HIDDEN, -1)
        z = (a_z + b_z).sigmoid()
        n = (a_n + (a_r + b_r).sigmoid() * b_n).tanh()
        n = n if by_state else self.drop(n, f"recurrent{name}", p, t)
        h = (1 - z) * n + z * states[0]
        return (self.zoned(h, states[0], f"h{name}", m.zoneout_hidden, t),)

    def __call__(self, x):
        m, after = self.m, []
        rates = (m.input_dropout, m.dropout) if m.training else (0.0, 0.0)
        for index in range(m.num_layers):
            name, p = (f"between{index}", rates[1]) if index else ("input", rates[0])
            x = torch.stack([self.drop(x[t], name, p, t) for t in range(self.steps)])
            outputs = []
            for direction in range(2 if m.bidirectional else 1):
                widths = (self.out, HIDDEN) if self.lstm else (self.out,)
                states, hs = tuple(x.new_zeros(self.batch, w) for w in widths), {}
                order = range(self.steps)
                for t in reversed(order) if direction else order:
                    suffix = f"{index}_reverse" if direction else f"{index}"
                    states = self.step(x[t], states, f"{index}.{direction}", suffix, t)
                    hs[t] = states[0]
                outputs.append(torch.stack([hs[t] for t in order]))
                after.append(states)
            x = torch.cat(outputs, -1)
        after = tuple(torch.stack(parts) for parts in zip(*after, strict=True))
        return x, after if self.lstm else after[0]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestAsTorch:
    def test_with_rates_of_zero_and_in_eval_it_is_torchs_bit_for_bit(self, kind, shape):
        module, x = layer(kind, **shape), sequence(shape.get("batch_first", False))
        expected = plain(module)(x)
        before = torch.get_rng_state()
        assert same(module(x), expected)
        module.input_dropout = module.recurrent_dropout = module.dropout = 0.5
        assert same(module.eval()(x), expected)
        assert same(module(x, key=KEY), expected)
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_steps_are_torchs_where_next_to_nothing_is_dropped(self, kind, shape):
        """At p = 2^-34 our code computes all steps and drops nothing, in each way and form."""
        x = sequence(shape.get("batch_first", False))
        for rate in ("zoneout_hidden", "recurrent_dropout", "input_dropout"):
            module = layer(kind, **shape, **{rate: 2.0**-34})
            expected = plain(module)
            close(module(x), expected(x), rtol=1e-5, atol=1e-6)
            rows = module.num_layers * (2 if module.bidirectional else 1)
            state = torch.randn(rows, BATCH, HIDDEN)
            hx = (state, state.flip(0)) if kind == "LSTM" else state
            close(module(x, hx), expected(x, hx), rtol=1e-5, atol=1e-6)
            one = x[0] if module.batch_first else x[:, 0]
            hx = (state[:, 0], state.flip(0)[:, 0]) if kind == "LSTM" else state[:, 0]
            close(module(one), expected(one), rtol=1e-5, atol=1e-6)
            close(module(one, hx), expected(one, hx), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "rates"), CASES, ids=str)
class TestDefinition:
    def test_in_training(self, kind, rates):
        module, x = layer(kind, **rates).double(), sequence(dtype=torch.float64)
        expected = Definition(module, KEY, STEPS, BATCH)(x)
        close(module(x, key=KEY), expected, rtol=1e-10, atol=1e-12)
        parameters = list(module.parameters())
        gradients = [
            torch.autograd.grad(sum(part.square().sum() for part in flat(result)), parameters)
            for result in (module(x, key=KEY), expected)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-11)

    def test_in_eval(self, kind, rates):
        module, x = layer(kind, **rates).double().eval(), sequence(dtype=torch.float64)
        before = torch.get_rng_state()
        close(module(x), Definition(module, KEY, STEPS, BATCH)(x), rtol=1e-10, atol=1e-12)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_sample_has_its_masks_in_any_split_of_the_batch(self, kind, rates):
        module, x = layer(kind, **rates), sequence()
        y, hx = module(x, key=KEY)
        for part in (slice(0, 1), slice(1, 4)):
            got = module(x[:, part], key=KEY, batch_start=part.start)
            states = tuple(s[:, part] for s in hx) if kind == "LSTM" else hx[:, part]
            close(got, (y[:, part], states), rtol=1e-5, atol=1e-6)

    def test_packed_is_padded(self, kind, rates):
        """Each sample of a packed sequence gives what it gives alone, cut to its length."""
        module, x, lengths = layer(kind, **rates), sequence(), [2, STEPS, 1, 4]
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        got, states = module(packed, key=KEY)
        template = plain(module)(packed)[0]
        assert torch.equal(got.batch_sizes, template.batch_sizes)
        assert torch.equal(got.sorted_indices, template.sorted_indices)
        y, found = pad_packed_sequence(got)
        assert found.tolist() == lengths
        for n, length in enumerate(lengths):
            alone, last = module(x[:length, n : n + 1], key=KEY, batch_start=n)
            torch.testing.assert_close(y[:length, n : n + 1], alone, rtol=1e-5, atol=1e-6)
            for whole, one in zip(flat((y, states))[1:], flat((y, last))[1:], strict=True):
                torch.testing.assert_close(whole[:, n : n + 1], one, rtol=1e-5, atol=1e-6)
        if not module.bidirectional:
            padded, _ = module(x, key=KEY)
            for n, length in enumerate(lengths):
                torch.testing.assert_close(y[:length, n], padded[:length, n], rtol=1e-5, atol=1e-6)
                assert not y[length:, n].any()


@pytest.mark.parametrize("on_cuda", [True, False])
def test_one_warning_of_cudnn_is_silenced(on_cuda):
    texts = ["RNN module weights are not part of single contiguous chunk of memory.", "another"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with unpacked_weights(on_cuda):
            for text in texts:
                warnings.warn(text, stacklevel=1)
    assert [str(one.message) for one in caught] == (texts[1:] if on_cuda else texts)


class TestAtOne:
    @pytest.mark.parametrize("kind", CLASSES)
    def test_of_the_state_it_is_a_layer_without_recurrent_weights(self, kind):
        module = layer(kind, recurrent_dropout=1.0)
        other = plain(module)
        with torch.no_grad():
            other.weight_hh_l0.zero_()
        close(module(sequence()), other(sequence()), rtol=1e-5, atol=1e-6)
        module(sequence())[0].sum().backward()
        assert torch.equal(module.weight_hh_l0.grad, torch.zeros_like(module.weight_hh_l0))

    @pytest.mark.parametrize("training", [True, False])
    def test_zoneout_keeps_the_first_state(self, training):
        module = layer(zoneout_hidden=1.0, zoneout_cell=1.0).train(training)
        hx = (torch.randn(1, BATCH, HIDDEN), torch.randn(1, BATCH, HIDDEN))
        y, (h, c) = module(sequence(), hx)
        assert torch.equal(y, hx[0].expand_as(y))
        assert torch.equal(h, hx[0])
        assert torch.equal(c, hx[1])


class TestDerivatives:
    @pytest.mark.integration
    @pytest.mark.parametrize(
        ("kind", "rates"),
        [
            ("LSTM", {"recurrent_dropout": 0.4, "zoneout_cell": 0.3, "input_dropout": 0.3}),
            ("GRU", {"recurrent_dropout": 0.4, "recurrent_mode": "update", "zoneout_hidden": 0.2}),
        ],
    )
    def test_of_both_orders(self, kind, rates):
        module = layer(kind, **rates).double()
        x = sequence(dtype=torch.float64)[:3, :2].requires_grad_()

        def run(x):
            return flat(module(x, key=KEY))

        assert torch.autograd.gradcheck(run, x)
        assert torch.autograd.gradgradcheck(run, x)

    @pytest.mark.parametrize("rate", ["recurrent_dropout", "zoneout_hidden", "input_dropout"])
    def test_no_mask_is_kept_for_the_backward(self, rate):
        """Apart from float32 values and torch's uint8 workspace, only keys of 16 bytes are kept."""
        with kept() as tensors:
            layer(**{rate: 0.4})(sequence())
        assert torch.float32 in {t.dtype for t in tensors}
        others = [t for t in tensors if t.dtype not in (torch.float32, torch.uint8)]
        assert all(t.nbytes == 16 for t in others)


WITHIN = {"recurrent_dropout": 0.4, "zoneout_hidden": 0.2, "zoneout_cell": 0.1}


class TestTransforms:
    def test_an_ensemble_by_vmap(self):
        modules, x = [layer(**WITHIN) for _ in range(3)], sequence()
        with torch.no_grad():
            modules[1].weight_hh_l0.add_(0.1)
        state, _ = torch.func.stack_module_state(modules)

        def run(state):
            return torch.func.functional_call(modules[0], state, (x,))[0]

        y = seeded(torch.func.vmap(run, randomness="same"), state)
        for member, module in zip(y, modules, strict=True):
            torch.testing.assert_close(member, seeded(module, x)[0], rtol=1e-5, atol=1e-6)
        y = seeded(torch.func.vmap(run, randomness="different"), state)
        assert not torch.allclose(y[0], y[2])
        with pytest.raises(RuntimeError, match="randomness"):
            torch.func.vmap(run)(state)

    def test_under_autocast(self):
        module, x = layer(**WITHIN, input_dropout=0.2), sequence()
        expected = module(x, key=KEY)
        with torch.autocast("cpu", torch.bfloat16):
            try:
                plain(module)(x)
            except RuntimeError as error:  # AMD without AVX-512, torch 2.13
                pytest.skip(f"torch's own LSTM does not run in bfloat16 here: {error}")
            y, hx = module(x, key=KEY)
            assert {t.dtype for t in (y, *hx)} == {t.dtype for t in flat(plain(module)(x))}
            wide = layer(**WITHIN).double()
            assert wide(x.double())[0].dtype == plain(wide)(x.double())[0].dtype
        y.float().sum().backward()
        torch.testing.assert_close(y.float(), expected[0], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_a_dtensor_is_refused_by_its_name(training, monkeypatch):
    """Each of them, here taken for one by its identity: tests/test_distributed.py has true ones."""
    module = layer(recurrent_dropout=0.4).train(training)
    x, hx = sequence(), (torch.zeros(1, 4, 6), torch.zeros(1, 4, 6))
    given = {"input": x, "hx": hx[0], "weight_ih_l0": module.weight_ih_l0}
    for name, tensor in [*given.items(), ("hx", hx[1])]:
        monkeypatch.setattr(recurrent, "is_spread", lambda one, tensor=tensor: one is tensor)
        with pytest.raises(ArgumentTypeError, match=f"Expected `{name}` to be not a DTensor"):
            module(x, hx)
    gru = td.nn.GRU(FEATURES, HIDDEN)
    monkeypatch.setattr(recurrent, "is_spread", lambda one: one is hx[0])
    with pytest.raises(ArgumentTypeError, match="Expected `hx` to be not a DTensor"):
        gru(x, hx[0])
