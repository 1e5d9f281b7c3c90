"""What the verifier finds in other people's dropouts: a table of `docs/found.md`.

A case names a target, what a run at level `quick` finds in it, and what that means. `record.py`
writes the page; `test_found.py` holds each case to its findings.
"""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLES = "examples/found"

# A compiled dropout takes seconds for each shape and p.
COMPILED = "output-shape,train-stochastic,kept-scale,drop-rate,dtype-rate,dtype-scale"

# What the cases were tried with, by distribution.
VERSIONS = {
    "PyGCL": "0.1.2",
    "braindecode": "1.8.1",
    "deepchem": "2.8.0",
    "equinox": "0.13.8",
    "espnet": "202511",
    "fastai": "2.8.12",
    "flax": "0.12.8",
    "keras": "3.15.1",
    "kornia": "0.9.0",
    "monai": "1.6.1",
    "neuralforecast": "3.3.0",
    "pytorch-nlp": "0.5.0",
    "pytorch-widedeep": "1.7.0",
    "segmentation-models-pytorch": "0.6.0",
    "timm": "1.0.31",
    "torch": "2.13.0",
    "torch-geometric": "2.8.1",
    "torchvision": "0.28.0",
    "transformers": "5.24.0",
    "tsai": "1.0.1",
    "vit-pytorch": "1.26.11",
    "x-transformers": "2.31.10",
}


@dataclass(frozen=True)
class Case:
    """A target and what is found in it.

    Attributes:
        title: What it is.
        package: Distribution, with a version in `VERSIONS`.
        target: As on the command line; empty, where only the snippet is to be seen.
        errors: Names of all checks that end in an error.
        means: What it means, in the words of the page.
        upstream: Threads of the authors that are known to us.
        options: Options of the command line, besides the level.
        modules: Modules that must be installed.
        snippet: Code that shows the same without the verifier; prints `shows`.
        shows: What the snippet prints, with those versions.
        backend: The backend of Keras, where it runs on Keras.
    """

    title: str
    package: str
    target: str
    errors: frozenset[str]
    means: str
    upstream: str = ""
    options: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    snippet: str = ""
    shows: str = ""
    backend: str = ""

    @property
    def spec(self) -> str | None:
        """The kind, where the command line tells it."""
        return self.options[self.options.index("--spec") + 1] if "--spec" in self.options else None

    @property
    def select(self) -> tuple[str, ...]:
        """The checks that are run; all, if empty."""
        if "--select" not in self.options:
            return ()
        return tuple(self.options[self.options.index("--select") + 1].split(","))


FOUND = (
    Case(
        "torch: compiled dropout in bfloat16",
        "torch",
        f"{EXAMPLES}/torch_targets.py:compiled",
        frozenset({"dtype-rate"}),
        "It compares `rand_like(x)` with p in the dtype of x: bfloat16 holds 0.99 as 0.98828 "
        "and 0.999 as 1, and these are the rates. Eager is right.",
        options=("--select", COMPILED),
        snippet="""\
import torch
torch.manual_seed(0)
x = torch.ones(1 << 22, dtype=torch.bfloat16)
for p in (0.99, 0.999):
    y = torch.compile(torch.nn.functional.dropout)(x, p)
    print(p, f"drops {(y == 0).double().mean():.4f}, mean {y.double().mean():.2f}")
""",
        shows="0.99 drops 0.9883, mean 1.17\n0.999 drops 1.0000, mean 0.00\n",
    ),
    Case(
        "torch: Monte Carlo dropout in a transformer layer",
        "torch",
        f"{EXAMPLES}/torch_targets.py:MonteCarloEncoder",
        frozenset({"grad-mode"}),
        "The layer is in eval and its dropouts are in training. Under `no_grad` the layer takes "
        "its fast path, which skips them: all samples are equal, without a warning.",
        "pytorch#88806, pytorch#88831",
        options=("--select", "output-shape,train-stochastic,grad-mode"),
        snippet="""\
import torch
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.5, batch_first=True).eval()
for module in layer.modules():
    if isinstance(module, torch.nn.Dropout):
        module.train()
x = torch.randn(1, 8, 32)
with torch.no_grad():
    print("no_grad", torch.stack([layer(x) for _ in range(16)]).std(0).mean().item())
print("grad", round(torch.stack([layer(x) for _ in range(16)]).std(0).mean().item(), 2) > 0.1)
""",
        shows="no_grad 0.0\ngrad True\n",
    ),
    Case(
        "torch: a wrong p in nn.MultiheadAttention",
        "torch",
        "",
        frozenset(),
        "`nn.MultiheadAttention(8, 1, dropout=1.5)` and `nn.Dropout(nan)` are built without an "
        "error.",
        snippet="""\
import torch
torch.nn.MultiheadAttention(8, 1, dropout=1.5)
torch.nn.Dropout(float("nan"))
print("built")
""",
        shows="built\n",
    ),
    Case(
        "torch: AlphaDropout(inplace=True)",
        "torch",
        "torch.nn:AlphaDropout",
        frozenset({"inplace-claim"}),
        "The module accepts `inplace`, shows it in its repr and does not pass it on: x is "
        "unchanged. `F.alpha_dropout(inplace=True)` does write into x.",
        snippet="""\
import torch
for kind in (torch.nn.AlphaDropout, torch.nn.FeatureAlphaDropout, torch.nn.Dropout):
    x = torch.ones(2, 64)
    y = kind(0.5, inplace=True)(x)
    print(kind.__name__, y is x)
print(torch.nn.functional.alpha_dropout(x, 0.5, True, inplace=True) is x)
""",
        shows="AlphaDropout False\nFeatureAlphaDropout False\nDropout True\nTrue\n",
    ),
    Case(
        "torch: FeatureAlphaDropout(inplace=True)",
        "torch",
        "torch.nn:FeatureAlphaDropout",
        frozenset({"inplace-claim"}),
        "As `nn.AlphaDropout`.",
    ),
    Case(
        "The notebook's JustDropoutModelImpl",
        "torch",
        "examples/notebook_models.py:JustDropoutModelImpl",
        frozenset({"p-one-zeros", "edge-gradients", "dtype-kept"}),
        "Dropout as it is often taught. At p=1 the scale is infinite and 0 * inf is NaN; the "
        "float32 mask promotes half precision; the mask is made on the CPU wherever x is, which "
        "level `standard` finds; no p is refused.",
    ),
    Case(
        "transformers: DropPath, in 43 copies",
        "transformers",
        "transformers.models.swin.modeling_swin:SwinDropPath",
        frozenset({"p-one-zeros", "edge-gradients", "dtype-scale", "dtype-rate"}),
        "It computes `floor(rand + keep_prob)` in the dtype of x: in bfloat16, at small p, one "
        "sample in 256 is multiplied by 2 and none is dropped; p=0.999 drops all. At p=1, "
        "`x.div(0) * 0` is NaN. Swin, BEiT, ConvNeXt, DINOv2, SegFormer and 38 more models "
        "contain the same code.",
        options=("--spec", "drop-path"),
        modules=("transformers",),
        snippet="""\
import torch
from transformers.models.swin.modeling_swin import SwinDropPath
torch.manual_seed(0)
x = torch.ones(1 << 20, 1, dtype=torch.bfloat16)
values, counts = SwinDropPath(0.001).train()(x).unique(return_counts=True)
print(dict(zip(values.tolist(), (counts / len(x)).tolist())))
print(SwinDropPath(1.0).train()(x).isnan().all())
""",
        shows="{1.0: 0.9961700439453125, 2.0: 0.0038299560546875}\ntensor(True)\n",
    ),
    Case(
        "transformers: StableDropout of SEW-D",
        "transformers",
        "transformers.models.sew_d.modeling_sew_d:StableDropout",
        frozenset({"p-one-zeros", "edge-gradients"}),
        "`1.0 / (1 - dropout)` raises ZeroDivisionError at p=1, and any p is accepted when it "
        "is built.",
        modules=("transformers",),
    ),
    Case(
        "Keras: AlphaDropout(1.0)",
        "keras",
        f"{EXAMPLES}/keras_targets.py:alpha",
        frozenset({"p-one-zeros", "edge-gradients"}),
        "The constructor accepts rate=1, the call raises ZeroDivisionError: "
        "`((1 - rate) * ...) ** -0.5`.",
        options=("--spec", "alpha"),
        modules=("keras",),
        backend="torch",
    ),
    Case(
        "Keras: GaussianDropout(1.0)",
        "keras",
        "",
        frozenset(),
        "As `AlphaDropout`, with `sqrt(rate / (1 - rate))`. The verifier does not check "
        "Gaussian dropout at p=1.",
        "keras#351",
        modules=("keras",),
        snippet="""\
import keras, torch
layer = keras.layers.GaussianDropout(1.0)
try:
    layer(torch.ones(3), training=True)
except ZeroDivisionError as error:
    print(type(error).__name__)
""",
        shows="ZeroDivisionError\n",
        backend="torch",
    ),
    Case(
        "Keras: layers with their own seeds, on torch",
        "keras",
        f"{EXAMPLES}/keras_targets.py:Heads",
        frozenset({"mask-repeats", "seed-governs"}),
        "A layer's generator holds a seed and a counter, and the torch backend seeds torch with "
        "their sum: layers with the seeds 1 and 2 share masks, one step apart. `seed-governs` "
        "is by design: a layer with a seed does not follow `torch.manual_seed`.",
        "keras-core#434, keras-core#650",
        modules=("keras",),
        snippet="""\
import keras, torch
x = torch.ones(4096)
one, two = (keras.layers.Dropout(0.5, seed=seed) for seed in (1, 2))
one(x, training=True)
print(torch.equal(one(x, training=True), two(x, training=True)))
""",
        shows="True\n",
        backend="torch",
    ),
    Case(
        "Equinox: the gradient of Dropout(1.0)",
        "equinox",
        f"{EXAMPLES}/jax_targets.py:equinox_dropout",
        frozenset({"edge-gradients"}),
        "The output at p=1 is right, its gradient is NaN: `where(mask, x / q, 0)` "
        "differentiates the branch with q = 0, too.",
        modules=("jax", "equinox", "flax"),
        snippet="""\
import equinox, jax
drop = equinox.nn.Dropout(1.0)
x, key = jax.numpy.ones(3), jax.random.key(0)
print(drop(x, key=key), jax.grad(lambda x: drop(x, key=key).sum())(x))
""",
        shows="[0. 0. 0.] [nan nan nan]\n",
    ),
    Case(
        "fastai: RNNDropout(1.0)",
        "fastai",
        "fastai.text.models.awdlstm:RNNDropout",
        frozenset({"p-one-zeros", "edge-gradients"}),
        "The mask is divided by 1 - p = 0: NaN.",
        modules=("fastai.text.models.awdlstm",),
    ),
    Case(
        "fastai: EmbeddingDropout and the last word",
        "fastai",
        f"{EXAMPLES}/fastai_targets.py:Embedding",
        frozenset({"eval-identity", "grad-mask", "p-one-zeros", "edge-gradients", "empty-input"}),
        "For an embedding without `padding_idx` it passes -1, which torch reads as the last "
        "row: the last word of the vocabulary gets no gradient, in training and in eval. At p=1 "
        "everything is NaN.",
        modules=("fastai.text.models.awdlstm",),
        snippet="""\
import torch
from fastai.text.models.awdlstm import EmbeddingDropout
dropout = EmbeddingDropout(torch.nn.Embedding(5, 1), 0.5).eval()
dropout(torch.arange(5)).sum().backward()
print(dropout.emb.weight.grad.flatten())
""",
        shows="tensor([1., 1., 1., 1., 0.])\n",
    ),
    Case(
        "fastai: EmbeddingDropout writes into its weight",
        "fastai",
        f"{EXAMPLES}/fastai_targets.py:ScaledEmbedding",
        frozenset({"eval-identity", "input-unmodified"}),
        "`scale=` is applied in place, to the weight itself in eval or at p=0: the embedding "
        "grows with each call.",
        options=("--select", "output-shape,eval-identity,input-unmodified"),
        modules=("fastai.text.models.awdlstm",),
        snippet="""\
import torch
from fastai.text.models.awdlstm import EmbeddingDropout
dropout = EmbeddingDropout(torch.nn.Embedding.from_pretrained(torch.ones(2, 1)), 0.5).eval()
print([dropout(torch.tensor([0]), scale=2).item() for _ in range(3)])
""",
        shows="[2.0, 4.0, 8.0]\n",
    ),
    Case(
        "timm: DropBlock2d",
        "timm",
        "timm.layers:DropBlock2d",
        frozenset({"drop-rate"}),
        "Block centres are drawn on the whole plane, but their density is computed for the part "
        "where a block fits: on 16 x 16 with blocks of 7, 0.184 of the elements are dropped at "
        "0.1. timm calls the argument the probability of dropping a block; the paper, and "
        "torchvision, mean the fraction of elements.",
        modules=("timm",),
        snippet="""\
import torch
from timm.layers import DropBlock2d
torch.manual_seed(0)
x = torch.ones(1 << 17, 1, 16, 16)
print(f"{(DropBlock2d(0.1, 7).train()(x) == 0).double().mean():.3f}")
""",
        shows="0.184\n",
    ),
    Case(
        "torchvision: DropBlock2d",
        "torchvision",
        "torchvision.ops:DropBlock2d",
        frozenset({"drop-rate"}),
        "p is documented as the probability of an element to be dropped. It follows the paper, "
        "whose density ignores that blocks overlap: 0.093 at 0.1, 0.210 at 0.25.",
        modules=("torchvision",),
        snippet="""\
import torch
from torchvision.ops import DropBlock2d
torch.manual_seed(0)
x = torch.ones(1 << 17, 1, 16, 16)
for p in (0.1, 0.25):
    print(p, f"{(DropBlock2d(p, 7).train()(x) == 0).double().mean():.3f}")
""",
        shows="0.1 0.093\n0.25 0.210\n",
    ),
    Case(
        "timm: PatchDropout keeps one patch too few",
        "timm",
        f"{EXAMPLES}/timm_targets.py:patch_of_ten",
        frozenset({"drop-rate"}),
        "`int(L * (1. - prob))` truncates: 1 patch of 10 is kept at 0.8 in place of 2, and 19 "
        "of 200 at 0.9. x-transformers' `dropout_seq` truncates likewise. Rates that are "
        "multiples of 1/8 are right.",
        options=("--spec", "tokens:group=10", "--select", "output-shape,drop-rate"),
        modules=("timm",),
        snippet="""\
import torch
from timm.layers import PatchDropout
print(PatchDropout(0.8, num_prefix_tokens=0).train()(torch.ones(1, 10, 1)).shape[1], "of 10")
print(PatchDropout(0.9, num_prefix_tokens=0).train()(torch.ones(1, 200, 1)).shape[1], "of 200")
""",
        shows="1 of 10\n19 of 200\n",
    ),
    Case(
        "x-transformers: layer_dropout",
        "x-transformers",
        f"{EXAMPLES}/x_transformers_targets.py:Layers",
        frozenset({"foreign-generators"}),
        "Whether a layer runs is drawn from Python's `random`: `torch.manual_seed` does not "
        "govern it, data loading that uses `random` changes it, and a checkpointed recomputation, "
        "which restores torch's generator only, may skip another layer.",
        options=("--select", "output-shape,foreign-generators"),
        modules=("x_transformers",),
    ),
    Case(
        "tsai: FullEmbeddingDropout drops in eval",
        "tsai",
        f"{EXAMPLES}/tsai_targets.py:FullEmbeddingDropout",
        frozenset({"eval-identity", "shared-mask", "p-one-zeros", "edge-gradients"}),
        "Its `forward` does not look at the mode: a TabTransformer with `drop_whole_embed=True` "
        "predicts with dropped embeddings. At p=1 the mask is 0 / 0.",
        options=("--spec", "columns:axes=3"),
        snippet="""\
import sys
sys.path.insert(0, "examples/found")
import torch
from tsai_targets import FullEmbeddingDropout
torch.manual_seed(0)
print(FullEmbeddingDropout(0.5).eval()(torch.ones(1, 8, 1)).flatten())
""",
        shows="tensor([0., 0., 2., 0., 0., 0., 2., 2.])\n",
    ),
    Case(
        "pytorch-widedeep: FullEmbeddingDropout(1.0)",
        "pytorch-widedeep",
        f"{EXAMPLES}/widedeep_targets.py:FullEmbeddingDropout",
        frozenset({"p-one-zeros", "edge-gradients"}),
        "p=1 is accepted, and its mask is 0 / 0.",
        options=("--spec", "columns:axes=3"),
        snippet="""\
import sys
sys.path.insert(0, "examples/found")
import torch
from widedeep_targets import FullEmbeddingDropout
print(FullEmbeddingDropout(1.0)(torch.ones(1, 2, 1)).flatten())
""",
        shows="tensor([nan, nan])\n",
    ),
    Case(
        "torchnlp: LockedDropout(1.0)",
        "pytorch-nlp",
        "torchnlp.nn:LockedDropout",
        frozenset({"p-one-zeros", "edge-gradients"}),
        "At p=1 the mask is 0 / 0.",
        modules=("torchnlp",),
        snippet="""\
import torch
from torchnlp.nn import LockedDropout
print(LockedDropout(1.0)(torch.ones(2, 1, 2)).flatten())
""",
        shows="tensor([nan, nan, nan, nan])\n",
    ),
    Case(
        "segmentation-models-pytorch: drop_connect",
        "segmentation-models-pytorch",
        "segmentation_models_pytorch.encoders._efficientnet:drop_connect",
        frozenset({"p-one-zeros", "edge-gradients", "dtype-scale", "dtype-rate"}),
        "It computes `floor(keep_prob + rand)` in the dtype of x, as in the copies of "
        "transformers: in bfloat16 a small p drops nothing and doubles one sample in 256. At "
        "p=1, `inputs / 0 * 0` is NaN.",
        modules=("segmentation_models_pytorch",),
        snippet="""\
import torch
from segmentation_models_pytorch.encoders._efficientnet import drop_connect
torch.manual_seed(0)
x = torch.ones(1 << 20, 1, 1, 1, dtype=torch.bfloat16)
print(drop_connect(x, 0.001, True).unique(), drop_connect(x, 1.0, True).isnan().all())
""",
        shows="tensor([1., 2.], dtype=torch.bfloat16) tensor(True)\n",
    ),
    Case(
        "MONAI: drop_connect",
        "monai",
        "monai.networks.nets.efficientnet:drop_connect",
        frozenset({"p-one-zeros", "edge-gradients", "dtype-scale", "dtype-rate"}),
        "As segmentation-models-pytorch, for any number of axes.",
        modules=("monai",),
        snippet="""\
import torch
from monai.networks.nets.efficientnet import drop_connect
torch.manual_seed(0)
x = torch.ones(1 << 20, 1, 1, dtype=torch.bfloat16)
print(drop_connect(x, 0.001, True).unique(), drop_connect(x, 1.0, True).isnan().all())
""",
        shows="tensor([1., 2.], dtype=torch.bfloat16) tensor(True)\n",
    ),
    Case(
        "tsai: DropPath",
        "tsai",
        f"{EXAMPLES}/tsai_targets.py:DropPath",
        frozenset({"p-one-zeros", "edge-gradients", "dtype-scale", "dtype-rate"}),
        "As the copies in transformers.",
        options=("--spec", "drop-path"),
    ),
    Case(
        "braindecode: the channel dropout of BrainModule",
        "braindecode",
        f"{EXAMPLES}/braindecode_targets.py:ChannelDropout",
        frozenset({"kept-scale", "p-one-zeros", "edge-gradients"}),
        "`dropout_prob` is documented as the probability of dropping each channel. A call drops "
        "`max(1, int(channels * dropout_prob))` of them, the same ones in all samples of the "
        "batch: 1 of 22 at 0.01 and at 0.09. At 1 it divides by zero.",
        options=("--spec", "dropout1d"),
        snippet="""\
import sys
sys.path.insert(0, "examples/found")
import torch
from braindecode_targets import ChannelDropout
torch.manual_seed(0)
for p in (0.01, 0.09, 0.5):
    zero = ChannelDropout(p)(torch.ones(4, 22, 3)) == 0
    print(p, zero.double().mean().item(), bool((zero == zero[:1]).all()))
""",
        shows="0.01 0.045454545454545456 True\n0.09 0.045454545454545456 True\n0.5 0.5 True\n",
    ),
)

RIGHT = (
    Case("torch", "torch", "torch.nn:Dropout", frozenset(), "plain"),
    Case("torch", "torch", "torch.nn:Dropout1d", frozenset(), "channels"),
    Case("torch", "torch", "torch.nn:Dropout2d", frozenset(), "channels"),
    Case(
        "torchvision",
        "torchvision",
        "torchvision.ops:StochasticDepth",
        frozenset(),
        "one draw per sample",
        modules=("torchvision",),
    ),
    Case(
        "timm",
        "timm",
        "timm.layers:DropPath",
        frozenset(),
        "one draw per sample",
        modules=("timm",),
    ),
    Case(
        "timm",
        "timm",
        f"{EXAMPLES}/timm_targets.py:patch",
        frozenset(),
        "`PatchDropout`, of 8 patches",
        options=("--spec", "tokens"),
        modules=("timm",),
    ),
    Case(
        "x-transformers",
        "x-transformers",
        f"{EXAMPLES}/x_transformers_targets.py:Tokens",
        frozenset(),
        "`dropout_seq`, of 8 tokens",
        options=("--spec", "tokens"),
        modules=("x_transformers",),
    ),
    Case(
        "transformers",
        "transformers",
        f"{EXAMPLES}/transformers_targets.py:esmfold",
        frozenset(),
        "ESMFold's, one mask for all rows",
        options=("--spec", "locked"),
        modules=("transformers",),
    ),
    Case(
        "Flax",
        "flax",
        f"{EXAMPLES}/jax_targets.py:linen_dropout",
        frozenset(),
        "`linen.Dropout`",
        modules=("flax", "equinox"),
    ),
    Case(
        "Keras on torch",
        "keras",
        f"{EXAMPLES}/keras_targets.py:dropout",
        frozenset(),
        "`Dropout`",
        modules=("keras",),
        backend="torch",
    ),
    Case(
        "Keras on JAX",
        "keras",
        f"{EXAMPLES}/keras_targets.py:dropout",
        frozenset(),
        "`Dropout`",
        modules=("keras", "jax"),
        backend="jax",
    ),
    Case(
        "MONAI",
        "monai",
        "monai.networks.layers:DropPath",
        frozenset(),
        "one draw per sample",
        modules=("monai",),
    ),
    Case(
        "kornia",
        "kornia",
        "kornia.models.common:DropPath",
        frozenset(),
        "one draw per sample",
        modules=("kornia",),
    ),
    Case(
        "kornia",
        "kornia",
        "kornia.feature.dedode.transformer.layers.drop_path:DropPath",
        frozenset(),
        "one draw per sample",
        modules=("kornia",),
    ),
    Case(
        "braindecode",
        "braindecode",
        f"{EXAMPLES}/braindecode_targets.py:drop_path",
        frozenset(),
        "one draw per sample",
        options=("--spec", "drop-path"),
    ),
    Case(
        "torchnlp",
        "pytorch-nlp",
        f"{EXAMPLES}/torchnlp_targets.py:linear",
        frozenset(),
        "`WeightDropLinear`, of its weight",
        modules=("torchnlp",),
    ),
    Case(
        "PyTorch Geometric",
        "torch-geometric",
        "torch_geometric.utils:mask_feature",
        frozenset(),
        "columns, unscaled",
        modules=("torch_geometric",),
    ),
    Case(
        "Keras on torch",
        "keras",
        f"{EXAMPLES}/keras_targets.py:gaussian",
        frozenset(),
        "`GaussianDropout`",
        options=("--spec", "gaussian"),
        modules=("keras",),
        backend="torch",
    ),
)
