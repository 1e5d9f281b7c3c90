"""nn.DropoutAdd: a dropout module like torch's, and its use in transformer blocks."""

import pytest
import torch

import torchdropout as td
from torchdropout import backends

BACKENDS = tuple(dict.fromkeys(("reference", backends.available()[-1])))


@pytest.fixture(params=BACKENDS)
def backend(request):
    with backends.use(request.param):
        yield request.param


class Block(torch.nn.Module):
    """A pre-norm transformer block; `fused` adds a branch, its bias and the residual in one."""

    def __init__(self, fused, width=16, p=0.2):
        super().__init__()
        self.fused = fused
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attention = torch.nn.MultiheadAttention(width, 2, batch_first=True)
        self.up = torch.nn.Linear(width, 2 * width)
        self.down = torch.nn.Linear(2 * width, width, bias=False)
        self.bias = torch.nn.Parameter(torch.zeros(width))
        self.drop1 = td.nn.DropoutAdd(p) if fused else td.nn.Dropout(p)
        self.drop2 = td.nn.DropoutAdd(p) if fused else td.nn.Dropout(p)

    def forward(self, x):
        normal = self.norm1(x)
        branch, _ = self.attention(normal, normal, normal, need_weights=False)
        x = self.drop1(branch, x) if self.fused else x + self.drop1(branch)
        branch = self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))
        if self.fused:
            return self.drop2(branch, x, self.bias)
        return x + self.drop2(branch + self.bias)


def trained(fused, steps=4, seed=0):
    """Losses, and parameters at the end."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(Block(fused), Block(fused), torch.nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, target = torch.randn(4, 6, 16), torch.randint(3, (4, 6))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), target.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), [p.detach() for p in model.parameters()], torch.rand(1)


class TestTransformer:
    def test_training_is_that_of_the_composition(self, backend):
        """The first loss to the bit; then the bias' gradient, summed in another order, differs by a
        rounding, and what follows from it."""
        losses, parameters, drawn = trained(True)
        expected = trained(False)
        assert torch.equal(losses[0], expected[0][0])
        torch.testing.assert_close(losses, expected[0], rtol=1e-5, atol=1e-6)
        for got, other in zip(parameters, expected[1], strict=True):
            torch.testing.assert_close(got, other, rtol=1e-5, atol=1e-6)
        assert torch.equal(drawn, expected[2])

    def test_eval_is_the_composition(self, backend):
        torch.manual_seed(0)
        fused, composed = Block(True).eval(), Block(False).eval()
        composed.load_state_dict(fused.state_dict())
        x = torch.randn(2, 5, 16)
        assert torch.equal(fused(x), composed(x))
        assert torch.equal(fused(x), fused(x))
