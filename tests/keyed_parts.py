"""What a model draws for a whole batch, and for its parts."""

import torch

import torchdropout as td

SCOPE = {"seed": 2**64 - 3, "step": 7}


class Calls(torch.nn.Module):
    """A module of a function, and of modules that it calls."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.inner = torch.nn.ModuleList(modules)

    def forward(self, *args, **kwargs):
        return self.function(*self.inner, *args, **kwargs)


def taken(leaf, dim, start, end):
    return leaf.narrow(dim, start, end - start)


def assert_parts(model, *args, dim=0, cuts=(0, 3, 4, 8), exact=True, **scope):
    """Parts of the batch, in scopes of their own or in one, draw what the whole does.

    Torch's generator is not touched, another step draws something else, and a repeat the same.
    """
    state = torch.get_rng_state()
    options = {**SCOPE, **scope, **({"batch_dim": dim} if dim else {})}
    total = args[0].shape[dim]
    bounds = list(zip(cuts, cuts[1:], strict=False))
    pieces = [tuple(taken(a, dim, s, e) for a in args) for s, e in bounds]
    with td.keyed(model, **options):
        whole = model(*args)
    apart = []
    for (start, _), piece in zip(bounds, pieces, strict=True):
        with td.keyed(model, batch=(start, total), **options):
            apart.append(model(*piece))
    with td.keyed(model, batch=(0, total), **options):
        together = [model(*piece) for piece in pieces]
    for parts in (apart, together):
        found = torch.cat(parts, dim)
        if exact:
            assert torch.equal(found, whole)
        else:  # a product of other rows rounds in another order
            torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)
    with td.keyed(model, **{**options, "step": options["step"] + 1}):
        assert not torch.equal(model(*args), whole)
    with td.keyed(model, **options):
        assert torch.equal(model(*args), whole)
    assert torch.equal(torch.get_rng_state(), state)
    return whole
