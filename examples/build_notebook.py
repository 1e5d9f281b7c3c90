"""Writes `dropout.ipynb`: the cells below, executed, with their outputs.

    python examples/build_notebook.py

The notebook is what people read and CI executes; this file is where it is edited and reviewed.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import v4

HERE = Path(__file__).parent
NOTEBOOK = HERE / "dropout.ipynb"

# A cell each: text, or code.
CELLS = (
    (
        "markdown",
        """
# Dropout, claimed and proven

During training, dropout sets each element of its input to zero with probability $p$ and divides
the others by $1 - p$. At inference it does nothing.

1. `torch.nn.Dropout` acts **in training only**, and scales what it keeps.
2. A five-line version that looks the same, what a verifier finds in it, and how it is mended.

Every claim here is an assertion: the notebook runs from the first cell to the last, or it is
wrong.
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
from scipy.stats import binom

import torchdropout as td
from torchdropout.verify import check_dropout

_ = torch.manual_seed(0)
""",
    ),
    (
        "markdown",
        """
## 1. `torch.nn.Dropout` is applied during training, not during inference

Notebooks about dropout get this heading the wrong way round more often than one would think. It
is easily tested.
""",
    ),
    (
        "code",
        """
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
""",
    ),
    (
        "code",
        """
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
        "markdown",
        r"""
### Why the scale: it keeps the expectation

$E[y] = (1 - p) \cdot \frac{x}{1 - p} + p \cdot 0 = x$. The next layer sees in training, on
average, what it will see at inference, so nothing has to be changed at inference. That is why
this form is called *inverted* dropout.

"On average" can be tested without a tolerance chosen by feel. Of $n$ ones, the number kept is
binomial, so its quantiles say how far the mean of $y$ may lie from 1. With the interval below, a
right dropout fails, at whichever of the $p$, once in a million runs; a rate that is off by 0.005
at $p = 0.5$ gets by less often than once in a hundred thousand.
""",
    ),
    (
        "code",
        """
n, false_alarm_rate = 1_000_000, 1e-6
rates = np.linspace(0.05, 0.95, 19)


def interval(p, scale):
    \"\"\"Where the mean of y = scale * mask lies, but for `false_alarm_rate` shared by all p.\"\"\"
    low, high = binom.interval(1 - false_alarm_rate / len(rates), n, 1 - p)
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
The verifier asks more of it than one look at one $p$ can: the rate at six $p$, the scale to the
last bit, independence between elements, rows and calls, the gradient, the edges $p = 0$ and $p =
1$, dtypes, memory layouts, generators. Here is what does not hold; `torchdropout verify
notebook_models.py:JustDropoutModelImpl` prints all of it.
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
precision silently goes on in single precision, or fails in its next matrix product.
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
well: one step of an optimiser, and so are the weights. A schedule or a search over $p$ gets
there.
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
negative. `nonfinite-dropped` is advice too, as torch has it as well: a dropped infinity is
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
### What no run on a CPU shows: `rand > p` at p = 0, and where the mask is drawn

`torch.rand` gives multiples of $2^{-24}$ in $[0, 1)$, so one number in about 17 million is
exactly 0. `0 > 0` is false, so **p = 0 can drop**: a bug that shows once in 17 million elements
and never in a test. `rand < p` drops nothing at $p = 0$ and everything at $p = 1$.
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
product of the two is an error. The meta device, which every machine has, shows it.
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
## The shortest version that is right

Compare the right way round, on the device of x; select instead of multiplying; no division by
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
## `torchdropout.nn.Dropout`

It takes the place of `torch.nn.Dropout` and passes every check, too. Its masks are a function of
a key, of $p$ and of each element's index, and of nothing else: not of the dtype, the memory
layout or the device. So a mask can be had again when it is wanted.
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
)


def build() -> nbformat.NotebookNode:
    """The notebook without outputs; cells are numbered, so that it is the same every time."""
    cells = []
    for i, (kind, text) in enumerate(CELLS):
        make = v4.new_markdown_cell if kind == "markdown" else v4.new_code_cell
        cells.append(make(text.strip("\n"), id=f"cell-{i:02}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Runs all cells in a folder; an error in one is raised here."""
    # All that a cell prints in one output, however the lines arrive, and no times: no idle diffs.
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
