"""Models that draw in many ways, with their sites, for the tests of Monte-Carlo dropout."""

import torch
from torch.nn import functional as F

import torchdropout as td


class Functional(torch.nn.Module):
    """Functional dropout whose `training=False` is a literal."""

    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(8, 8)

    def forward(self, x):
        return F.dropout(F.dropout(self.lin(x), 0.3, False), p=0.2, training=self.training)


class Gated(torch.nn.Module):
    """`if self.training:` with `bernoulli_`, as DropPath of many a package."""

    def forward(self, x):
        if self.training:
            keep = x.new_empty((x.shape[0], *[1] * (x.ndim - 1))).bernoulli_(0.7)
            x = x * keep / 0.7
        return x


class InTraining(torch.nn.Module):
    """A function that is called in training alone."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x) if self.training else x


class Threshold(torch.nn.Module):
    """A mask by `torch.rand(...) > p`."""

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape) > 0.5) * 2


class Noise(torch.nn.Module):
    """Normal noise in training."""

    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


class Attention(torch.nn.Module):
    """scaled_dot_product_attention with dropout in training."""

    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        p = 0.4 if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p).transpose(1, 2).flatten(2)


class Weights(torch.nn.Module):
    """nn.MultiheadAttention."""

    def __init__(self, need, first=True):
        super().__init__()
        self.mha = torch.nn.MultiheadAttention(8, 2, dropout=0.25, batch_first=first)
        self.need = need

    def forward(self, x):
        return self.mha(x, x, x, need_weights=self.need)[0]


class Last(torch.nn.Module):
    """A recurrent layer's outputs."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(8, 8, num_layers=2, dropout=0.5, batch_first=True, **options)

    def forward(self, x):
        return self.rnn(x)[0]


class Packed(torch.nn.Module):
    """A recurrent layer on packed sequences."""

    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.LSTM(8, 8, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x, lengths):
        utils = torch.nn.utils.rnn
        packed = utils.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return utils.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]


def encoder(**options):
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, **options)
    return torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=True)


def mlp(*drops, width=16):
    layers = [torch.nn.Linear(8, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, *(drops or [td.nn.Dropout(0.5)]), torch.nn.Linear(width, 3))


def limit(model, most, error=torch.OutOfMemoryError, text="out of memory"):
    """Have a model run out of memory with more rows."""

    def limited(module, args):
        if len(args[0]) > most:
            raise error(text)

    return model.register_forward_pre_hook(limited)


def seeded(make, *args, **kwargs):
    """A model in eval, of weights that are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*args, **kwargs).eval()


def state_of(model):
    """All that turning dropout on could leave behind, to compare."""
    modules = dict(model.named_modules(remove_duplicate=False))
    hooks = [name for name in vars(torch.nn.Module()) if "hook" in name]
    return (
        {name: module.training for name, module in modules.items()},
        {(name, h): [*getattr(m, h)] for name, m in modules.items() for h in hooks if vars(m)[h]},
        {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        torch.get_rng_state().tolist(),
        [*torch.overrides._get_current_function_mode_stack()],
    )
