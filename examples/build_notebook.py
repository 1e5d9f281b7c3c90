"""Writes `dropout.ipynb`: the cells below, executed, with their outputs.

    python examples/build_notebook.py

People read the notebook and the tests execute it; it is edited and reviewed in this file.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import v4

HERE = Path(__file__).parent
NOTEBOOK = HERE / "dropout.ipynb"

# A cell each: text, or code; `# alt: ` begins the text that describes its picture.
CELLS = (
    (
        "markdown",
        """
# Dropout, claimed and proven

During training, dropout sets each element of its input to zero with probability $p$ and divides
the others by $1 - p$. At inference it does nothing.

1. `torch.nn.Dropout` acts **in training only**, and scales what it keeps.
2. A five-line version that looks the same, what a verifier finds in it, and how to fix it.
3. Where to put dropout in a network, and with what $p$: a small experiment on real data.

Every claim here is an assertion: the notebook runs from the first cell to the last, or it is
wrong. To run it in a clone of the repository:

    pip install ".[notebook]" ./packages/audit
    jupyter lab examples/dropout.ipynb
""",
    ),
    (
        "code",
        """
import inspect

import matplotlib.pyplot as plt
import numpy as np
import torch
from notebook_models import JustDropoutModel, JustDropoutModelImpl, SimpleDropout
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

import torchdropout as td
from torchdropout.verify import check_dropout

_ = torch.manual_seed(0)
""",
    ),
    (
        "markdown",
        """
## 1. `torch.nn.Dropout` is applied during training, not during inference

Notebooks about dropout often have this heading the wrong way round. It is easily tested, on a model
that is `torch.nn.Dropout` and nothing else.
""",
    ),
    (
        "code",
        """
print(inspect.getsource(JustDropoutModel))
model = JustDropoutModel(0.5)
x = torch.randn(2, 4)
print("x", x, "in training", model.train()(x), "in eval", model.eval()(x), sep="\\n")
""",
    ),
    (
        "markdown",
        """
**In eval** the output is the input, bit for bit, at every $p$. **In training** each value is
either zero or $x / (1 - p)$, and the next call drops others.

**`-0.0000`** in the output is a zero as well. Floating-point numbers have a sign bit, also at zero,
and torch drops by multiplying by 0: a negative number times 0 is $-0.0$. It equals 0 in every
comparison and in every sum; only its sign bit and its reciprocal, $-\\infty$, tell it apart.
""",
    ),
    (
        "code",
        """
minus_zero = torch.tensor(-1.0) * 0
assert minus_zero == 0
assert torch.signbit(minus_zero)
assert 1 / minus_zero == -torch.inf

x = torch.randn(1000, 1000)
for p in (0.1, 0.5, 0.9):
    model = JustDropoutModel(p)
    assert torch.equal(model.eval()(x), x)

    model.train()
    first, second = model(x), model(x)
    kept = first != 0
    torch.testing.assert_close(first[kept], x[kept] / (1 - p))
    assert not torch.equal(kept, second != 0)
    print(f"p={p}: {1 - kept.double().mean():.4f} dropped, kept values are x / (1 - p)")
""",
    ),
    (
        "code",
        """
# alt: Masks at three p, and one of whole channels: dark where an element is dropped.
figure, axes = plt.subplots(1, 4, figsize=(6.4, 1.9), dpi=80, layout="constrained")
x = torch.ones(16, 16)
for place, p in zip(axes, (0.2, 0.5, 0.8), strict=False):
    place.imshow(JustDropoutModel(p).train()(x) == 0, cmap="Blues", interpolation="nearest")
    place.set_title(f"p = {p}", fontsize=10)
channels = nn.Dropout2d(0.5)(torch.ones(1, 16, 4, 4))  # 16 channels, each in a square of 4 x 4
channels = channels.view(4, 4, 4, 4).transpose(1, 2).reshape(16, 16)
axes[3].imshow(channels == 0, cmap="Blues", interpolation="nearest")
axes[3].set_title("Dropout2d, p = 0.5", fontsize=10)
for place in axes:
    place.set(xticks=[], yticks=[])
plt.show()
""",
    ),
    (
        "markdown",
        r"""
### Why the scale: it keeps the expectation

$E[y] = (1 - p) \cdot \frac{x}{1 - p} + p \cdot 0 = x$. The next layer sees in training, on
average, what it will see at inference, so nothing has to be changed at inference. That is why
this form is called *inverted* dropout.

"On average" can be tested without a tolerance chosen by feel. Of $n$ ones, the number kept is
binomial, so its quantiles say how far the mean of $y$ may lie from 1. With the interval below, a
correct dropout fails, at any of the $p$, once in a million runs; a rate that is off by 0.005
at $p = 0.5$ passes less often than once in a hundred thousand.
""",
    ),
    (
        "code",
        """
n, false_alarm_rate = 1_000_000, 1e-6
rates = np.linspace(0.05, 0.95, 19)


def interval(p, scale):
    \"\"\"Holds the mean of y = scale * mask, except with `false_alarm_rate` over all p.\"\"\"
    low, high = stats.binom.interval(1 - false_alarm_rate / len(rates), n, 1 - p)
    return low * scale / n, high * scale / n


means = []
for p in rates:
    y = JustDropoutModel(p).train()(torch.ones(n, dtype=torch.float64))
    means.append(y.mean().item())
    low, high = interval(p, 1 / (1 - p))
    assert low <= means[-1] <= high, (p, low, means[-1], high)
print(f"{len(rates)} rates, {n} elements each: all means of y lie in their intervals")
""",
    ),
    (
        "code",
        """
# alt: The mean of y over p: that of nn.Dropout stays at x, without the scale it falls to 0.
low, high = zip(*(interval(p, 1 / (1 - p)) for p in rates), strict=True)
unscaled = [mean * (1 - p) for mean, p in zip(means, rates, strict=True)]

figure, axes = plt.subplots(figsize=(6.4, 3.4), dpi=80, layout="constrained")
axes.fill_between(rates, low, high, color="C0", alpha=0.25, lw=0, label="interval, 1e-6 in all")
axes.plot(rates, np.ones_like(rates), color="C0", lw=1, label="expected, scaled: x")
axes.plot(rates, means, "o", color="C0", ms=4, label="nn.Dropout")
axes.plot(rates, 1 - rates, color="C1", lw=1, ls="--", label="expected, unscaled: (1 - p) x")
axes.plot(rates, unscaled, "s", color="C1", ms=4, label="the same masks, unscaled")
axes.set(xlabel="drop probability p", ylabel="E[y] / x", xlim=(0, 1), ylim=(0, 1.1))
axes.set_title("Dividing by 1 - p keeps E[y] = x at every p", loc="left", fontsize=11)
axes.legend(fontsize=8, loc="lower left", frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()
""",
    ),
    (
        "markdown",
        r"""
### What the next layer sees: a sum of what was kept

A unit of the next layer adds up what it gets. Of $n$ ones, $k$ are kept, binomial with $1 - p$, and
the sum is $k / (1 - p)$: its mean is $n$ at every $p$, and its variance is $n p / (1 - p)$. That
variance is the noise that dropout trains with.
""",
    ),
    (
        "code",
        """
# alt: The sum of 64 outputs is distributed as the binomial formula says, at three p.
n, trials = 64, 40_000
figure, axes = plt.subplots(figsize=(6.4, 3.0), dpi=80, layout="constrained")
for i, p in enumerate((0.1, 0.5, 0.8)):
    sums = JustDropoutModel(p).train()(torch.ones(trials, n, dtype=torch.float64)).sum(1)
    kept = (sums * (1 - p)).round().long()
    share = np.bincount(kept, minlength=n + 1) / trials
    formula = stats.binom.pmf(np.arange(n + 1), n, 1 - p)
    # The largest difference of the two distributions: above this once in a million runs for each.
    largest = np.abs(np.cumsum(share) - np.cumsum(formula)).max()
    assert largest < np.sqrt(np.log(2 / 1e-6) / (2 * trials)), (p, largest)
    seen = formula > 1e-4
    place = np.arange(n + 1)[seen] / (1 - p)
    axes.plot(place, formula[seen] * (1 - p), color=f"C{i}", lw=1)
    axes.plot(place, share[seen] * (1 - p), "o", color=f"C{i}", ms=3, label=f"p = {p}")
axes.axvline(n, color="0.6", lw=1, ls="--")
axes.set(xlabel=f"sum of {n} outputs", ylabel="density", ylim=(0, None))
axes.set_title("Points: nn.Dropout. Lines: the formula", loc="left", fontsize=11)
axes.legend(fontsize=8, frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()
""",
    ),
    (
        "markdown",
        """
## 2. Dropout in five lines, and what is wrong with them

The obvious implementation does all of the above.
""",
    ),
    (
        "code",
        """
print(inspect.getsource(JustDropoutModelImpl.dropout))
model = JustDropoutModelImpl(0.5)
x = torch.randn(2, 4)
print("x", x, "in training", model.train()(x), "in eval", model.eval()(x), sep="\\n")
""",
    ),
    (
        "markdown",
        """
The verifier checks more than one look at one $p$ can: the rate at six $p$, the scale to the
last bit, independence between elements, rows and calls, the gradient, the edges $p = 0$ and $p =
1$, dtypes, memory layouts, generators. The next cell prints what fails. In a terminal,
`torchdropout verify -v notebook_models.py:JustDropoutModelImpl` prints every check.
""",
    ),
    (
        "code",
        """
def findings(target):
    report = check_dropout(target, level="quick")
    for finding in report.findings:
        print(f"{finding.severity:<6}  {finding.name:<18}  {finding.message}")
    if not report.findings:
        print("nothing found")
    return report


report = findings(JustDropoutModelImpl)
errors = {finding.name for finding in report.findings if finding.severity == "error"}
assert not report.passed
assert errors == {"dtype-kept", "p-one-zeros", "edge-gradients"}
""",
    ),
    (
        "markdown",
        """
### `dtype-kept`: float16 in, float32 out

`.float()` makes the mask float32, and the product has the wider dtype of the two. A model in half
precision silently continues in single precision, or fails in its next matrix product.
""",
    ),
    (
        "code",
        """
half = torch.ones(4, dtype=torch.float16)
print("teaching version:", JustDropoutModelImpl(0.5)(half).dtype)
print("torch:           ", JustDropoutModel(0.5)(half).dtype)
assert JustDropoutModelImpl(0.5)(half).dtype == torch.float32
assert JustDropoutModel(0.5)(half).dtype == torch.float16
""",
    ),
    (
        "markdown",
        """
### `p-one-zeros` and `edge-gradients`: p = 1 gives NaN

Everything is dropped, and what is dropped is still divided by $1 - p = 0$. The gradient is NaN as
well: after one step of an optimiser, so are the weights. A schedule of $p$ or a search over it can
reach 1.
""",
    ),
    (
        "code",
        """
x = torch.ones(4, requires_grad=True)
y = JustDropoutModelImpl(1.0)(x)
y.sum().backward()
print("y", y.detach(), "gradient", x.grad)
assert y.isnan().all()
assert x.grad.isnan().all()
assert torch.equal(JustDropoutModel(1.0)(torch.ones(4)), torch.zeros(4))
""",
    ),
    (
        "markdown",
        """
### Advice: p is not checked

`1.5` is accepted. No random number is above it, so everything is dropped, and the scale is
negative. `nonfinite-dropped` is only advice because torch does the same: a dropped infinity is
multiplied by zero, which makes it NaN.
""",
    ),
    (
        "code",
        """
print("p=1.5:           ", JustDropoutModelImpl(1.5)(torch.ones(4)))
y = JustDropoutModelImpl(0.5)(torch.full((1000,), torch.inf))
print(f"infinity, dropped: {int(y.isnan().sum())} of 1000 are NaN")
assert y.isnan().any()
""",
    ),
    (
        "markdown",
        """
### What the quick level misses: `rand > p` at p = 0, and a mask on the wrong device

`torch.rand` gives multiples of $2^{-24}$ in $[0, 1)$, so one number in about 17 million is
exactly 0. `0 > 0` is false, so **p = 0 can drop**: a bug that appears once in 17 million elements
and hardly ever in a test. The cell below draws until it meets such a zero. `rand < p` drops nothing
at $p = 0$ and everything at $p = 1$.
""",
    ),
    (
        "code",
        """
drawn, zeros = 0, 0
generator = torch.Generator().manual_seed(0)
while zeros == 0:
    zeros = int((torch.rand(1 << 22, generator=generator) == 0).sum())
    drawn += 1 << 22
print(f"{zeros} exact zero in {drawn / 1e6:.0f} million numbers; expected {drawn / 2**24:.1f}")
assert drawn <= 24 << 24  # more than this without a zero: once in 10^10 runs
""",
    ),
    (
        "markdown",
        """
And `torch.rand(x.shape)` draws the mask **on the CPU, whatever the device of x**. On a GPU, the
product of the two is an error. No GPU is needed to see it: a tensor on torch's meta device has a
shape and a device and no values. (`torchdropout verify` finds it as `device-followed`, at its
standard level.)
""",
    ),
    (
        "code",
        """
x = torch.ones(4, device="meta")
try:
    JustDropoutModelImpl(0.5)(x)
except RuntimeError as error:
    print(f"teaching version: {error}")
else:
    raise AssertionError("the mask was drawn on the right device")
assert SimpleDropout(0.5)(x).device == x.device
""",
    ),
    (
        "markdown",
        """
### The shortest version that is right

Compare the right way round, on the device of x; select instead of multiplying; do not divide by
zero; check p where it is given.
""",
    ),
    (
        "code",
        """
print(inspect.getsource(SimpleDropout))
report = findings(SimpleDropout)
assert report.passed
assert not report.findings
""",
    ),
    (
        "markdown",
        """
### `torchdropout.nn.Dropout`

It is used in place of `torch.nn.Dropout` and passes every check, too. Its masks are a function of
a key, of $p$ and of each element's index, and of nothing else: not of the dtype, the memory
layout or the device. So any mask can be computed again from its key.
""",
    ),
    (
        "code",
        """
report = findings(td.nn.Dropout)
assert report.passed
assert not report.findings

key = td.Key(seed=2024)
x = torch.randn(3, 5)
y = td.functional.dropout(x, 0.5, True, key=key)
kept = td.keep_mask(x.shape, 0.5, key=key)
assert torch.equal(y, torch.where(kept, 2 * x, 0))
assert torch.equal(td.functional.dropout(x.T.contiguous().T, 0.5, True, key=key), y)
assert torch.equal(td.functional.dropout(x.double(), 0.5, True, key=key) != 0, kept)
print("key", key, "kept", kept, sep="\\n")
""",
    ),
    (
        "markdown",
        """
## 3. Where do I put dropout, and with what p?

Dropout helps a network that fits its training set better than held-out data, and costs capacity in
any other. So the first run is one without it, and the answer is measured.

Here is a network with two hidden layers that is too large for its data: 200 of scikit-learn's
handwritten digits to train on, the other 1597 to test on. Two places are tried: **hidden**, after
each activation, and **input**, on the pixels. Five seeds each choose the split, the initial weights
and the batches. Nothing was tuned.
""",
    ),
    (
        "code",
        """
torch.set_num_threads(1)
digits = load_digits()
images, classes = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)


class Network(nn.Module):
    def __init__(self, p_input, p_hidden):
        super().__init__()
        self.layers = nn.Sequential(
            td.nn.Dropout(p_input),
            nn.Linear(64, 128),
            nn.ReLU(),
            td.nn.Dropout(p_hidden),
            nn.Linear(128, 128),
            nn.ReLU(),
            td.nn.Dropout(p_hidden),
            nn.Linear(128, 10),  # no dropout after the last layer: its outputs are the logits
        )

    def forward(self, x):
        return self.layers(x)


def losses(seed, p_input, p_hidden, steps=400, size=200):
    \"\"\"The loss on the training set and on the test set in eval, every 20 steps.\"\"\"
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    known, held_out = order[:size], order[size:]
    torch.manual_seed(seed)
    model = Network(p_input, p_hidden)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = torch.Generator().manual_seed(seed)

    def now():
        model.eval()  # without this line dropout acts while it is tested
        with torch.no_grad():
            each = [
                nn.functional.cross_entropy(model(images[rows]), classes[rows]).item()
                for rows in (known, held_out)
            ]
        model.train()
        return each

    curve = [now()]
    for step in range(1, steps + 1):
        batch = known[torch.randint(size, (64,), generator=batches)]
        loss = nn.functional.cross_entropy(model(images[batch]), classes[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 0:
            curve.append(now())
    return curve


settings = {("none", 0.0): (0.0, 0.0)}
settings |= {("hidden", p): (0.0, p) for p in (0.2, 0.5, 0.8)}
settings |= {("input", p): (p, 0.0) for p in (0.2, 0.5)}
seeds = range(5)
curves = {name: np.array([losses(seed, *p) for seed in seeds]) for name, p in settings.items()}
found = {name: runs[:, -1] for name, runs in curves.items()}

print("where   p    training loss   test loss   less than without (95 % interval)")
for (where, p), runs in found.items():
    train, test = runs.mean(0)
    less = found["none", 0.0][:, 1] - runs[:, 1]  # seed by seed
    half = stats.t.ppf(0.975, len(less) - 1) * stats.sem(less)
    gain = "" if where == "none" else f"{less.mean():+.3f} ± {half:.3f}"
    print(f"{where:<6}  {p}  {train:13.3f}  {test:10.3f}   {gain}")
""",
    ),
    (
        "code",
        """
test = {name: runs[:, 1].mean() for name, runs in found.items()}
assert test["hidden", 0.2] < test["none", 0.0]  # it helps
assert test["hidden", 0.8] > test["none", 0.0]  # too much of it harms
assert test["input", 0.5] > test["none", 0.0]  # so does the wrong place
""",
    ),
    (
        "code",
        """
# alt: Loss over steps: without dropout the test loss stops falling, with it it goes on.
figure, axes = plt.subplots(figsize=(6.4, 3.4), dpi=80, layout="constrained")
for i, name in enumerate([("none", 0.0), ("hidden", 0.5)]):
    train, test = curves[name].mean(0).T
    steps = np.arange(len(test)) * 20
    label = "without dropout" if name[0] == "none" else f"{name[0]}, p = {name[1]}"
    axes.plot(steps, test, color=f"C{i}", label=f"test, {label}")
    axes.plot(steps, train, color=f"C{i}", ls="--", label=f"training, {label}")
axes.set(xlabel="step", ylabel="loss in eval, mean of five seeds", yscale="log")
axes.set_title("Dropout slows the fit, and narrows the gap", loc="left", fontsize=11)
axes.legend(fontsize=8, frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

gap = {name: runs.mean(0)[1] - runs.mean(0)[0] for name, runs in found.items()}
assert gap["hidden", 0.5] < gap["none", 0.0]
""",
    ),
    (
        "markdown",
        """
**What came out.** After the hidden activations $p = 0.2$ lowers the test loss. With $p = 0.5$ the
gain is as large on average and less certain; $p = 0.8$ leaves too little of a layer of 128 units to
fit even the training set, and harms. On the pixels $p = 0.2$ changes nothing that five seeds would
show, and $p = 0.5$ harms. These are 200 small digits and one width; your data decide for you.

**A first answer for your network**, with the source of each in
[Which dropout when](../docs/which.md):

- *Whether:* train without it first. If the loss on held-out data is not clearly above the loss on
  the training set, dropout has nothing to gain. Large models that see each example once use none.
- *Wide linear layers:* after the activation, $p = 0.5$ to begin with; on the input at most $0.2$.
- *Transformers on little data:* on the output of each residual branch and on attention
  probabilities, $p = 0.1$.
- *CNNs:* whole channels (`td.nn.Dropout2d`), $p = 0.1$ to $0.2$; for residual branches
  `td.nn.DropPath`.
- *RNNs:* one mask for all time steps (`td.nn.LockedDropout`), $p = 0.3$ to $0.5$.
- *Where not:* on the logits, and directly before batch norm. `torchdropout audit` finds both
  ([TD142](../docs/rules.md#td142-dropout-on-logits),
  [TD141](../docs/rules.md#td141-dropout-before-batchnorm)).

Then search $p$ around that value, with several seeds for each, as above.
""",
    ),
)


def build() -> nbformat.NotebookNode:
    """The notebook without outputs; cells are numbered, so that it is the same every time."""
    cells = []
    for i, (kind, text) in enumerate(CELLS):
        make = v4.new_markdown_cell if kind == "markdown" else v4.new_code_cell
        cell = make(text.strip("\n"), id=f"cell-{i:02}")
        first, _, rest = cell.source.partition("\n")
        if first.startswith("# alt: "):
            cell.source, cell.metadata["alt"] = rest, first.removeprefix("# alt: ")
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder; raise the error of a cell."""
    # One output for all that a cell prints, however its lines arrive, and no times: the stored
    # notebook changes only with its cells.
    client = NotebookClient(
        notebook,
        timeout=300,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    # The version of the Python that ran it is not worth a diff.
    notebook.metadata.pop("language_info", None)
    return notebook


if __name__ == "__main__":
    nbformat.write(execute(build(), HERE), NOTEBOOK)
