"""What the audit of sources finds in other people's packages: a table of `docs/found.md`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file of a package and what is found in it.

    Attributes:
        title: What it is.
        package: Distribution, with a version in `VERSIONS`, that the tests need.
        paths: Files, from the folder where the package is installed.
        found: Names of all rules that find something there.
        means: What it means, in the words of the page.
        snippet: Code that shows it on the real package; prints `shows`.
        shows: What the snippet prints, with those versions.
        module: That the snippet needs.
    """

    title: str
    package: str
    paths: tuple[str, ...]
    found: frozenset[str]
    means: str
    snippet: str
    shows: str
    module: str


SOURCES = (
    Source(
        "timm: TNT cannot be trained with attention dropout",
        "timm",
        ("timm/models/tnt.py",),
        frozenset({"inplace-dropout-after-activation"}),
        "Softmax keeps its output for backward, and `nn.Dropout(inplace=True)` writes over it. "
        "With a rate above 0 the first backward pass raises.",
        """\
import torch, timm

model = timm.create_model("tnt_s_patch16_224", attn_drop_rate=0.1).train()
try:
    model(torch.randn(1, 3, 224, 224)).sum().backward()
except RuntimeError as error:
    print(str(error).partition(":")[0])
""",
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation\n",
        "timm",
    ),
    Source(
        "MONAI: flash attention drops in eval",
        "monai",
        ("monai/networks/blocks/crossattention.py", "monai/networks/blocks/selfattention.py"),
        frozenset({"attention-dropout-ungated"}),
        "With `use_flash_attention=True` the rate is passed to `scaled_dot_product_attention` in "
        "every mode.",
        """\
import torch
from monai.networks.blocks import CrossAttentionBlock, SABlock

torch.manual_seed(0)
x = torch.randn(1, 16, 32)
for block in (SABlock, CrossAttentionBlock):
    for flash in (False, True):
        model = block(32, 4, dropout_rate=0.5, use_flash_attention=flash).eval()
        print(block.__name__, flash, torch.equal(model(x), model(x)))
""",
        "SABlock False True\nSABlock True False\n"
        "CrossAttentionBlock False True\nCrossAttentionBlock True False\n",
        "monai",
    ),
    Source(
        "vit-pytorch: ViViT's flash attention drops in eval",
        "vit-pytorch",
        ("vit_pytorch/vivit.py",),
        frozenset({"attention-dropout-ungated"}),
        "As MONAI; `use_flash_attn=True` is the default.",
        """\
import torch
from vit_pytorch.vivit import Attention

torch.manual_seed(0)
x = torch.randn(1, 16, 32)
for flash in (False, True):
    model = Attention(32, dropout=0.5, use_flash_attn=flash).eval()
    print(flash, torch.equal(model(x), model(x)))
""",
        "False True\nTrue False\n",
        "vit_pytorch",
    ),
    Source(
        "neuralforecast: PatchTST's attention drops in eval",
        "neuralforecast",
        ("neuralforecast/models/patchtst.py",),
        frozenset({"attention-dropout-ungated"}),
        "The rate of an `nn.Dropout` is read, `dropout_p=self.attn_dropout.p`, and its mode is "
        "not.",
        """\
import sys

sys.path.insert(0, "examples/found")
import torch
from alone import alone

attention = alone(
    "neuralforecast", "neuralforecast/models/patchtst.py", "_ScaledDotProductAttention"
)
torch.manual_seed(0)
model, q = attention(32, 4, attn_dropout=0.5).eval(), torch.randn(1, 4, 6, 8)
print(torch.equal(model(q, q.mT, q)[0], model(q, q.mT, q)[0]))
""",
        "False\n",
        "torch",
    ),
    Source(
        "ESPnet: the CTC loss and an encoder drop in eval",
        "espnet",
        ("espnet2/asr/ctc.py", "espnet/nets/pytorch_backend/rnn/encoders.py"),
        frozenset({"functional-always-on"}),
        "`forward` calls `F.dropout(x, p=...)` without `training`: the loss that validation "
        "reports is a random one, and `RNNP` encodes with dropout in decoding. FunASR's copies do "
        "so, too. (espnet#3539, espnet#1784)",
        """\
import numpy, torch
from espnet2.asr.ctc import CTC
from espnet.nets.pytorch_backend.rnn.encoders import RNNP

torch.manual_seed(0)
x, n = torch.randn(1, 20, 16), torch.tensor([20])
ctc = CTC(8, 16, dropout_rate=0.5).eval()
rnn = RNNP(16, 2, 16, 16, numpy.ones(3, int), 0.5).eval()
targets = torch.tensor([[1, 2, 3]]), torch.tensor([3])
print(torch.equal(ctc(x, n, *targets), ctc(x, n, *targets)))
print(torch.equal(rnn(x, n)[0], rnn(x, n)[0]))
""",
        "False\nFalse\n",
        "espnet2",
    ),
    Source(
        "DeepChem: DTNN builds its dropouts in forward",
        "deepchem",
        ("deepchem/models/torch_models/dtnn.py",),
        frozenset({"module-built-in-forward"}),
        "`nn.Dropout(self.dropout)(x)` makes a new module in each call, which is in training mode.",
        """\
import torch
from deepchem.models.torch_models.dtnn import DTNN

torch.manual_seed(0)
atoms = 4
pairs = torch.cartesian_prod(torch.arange(atoms), torch.arange(atoms)).T
inputs = [torch.tensor([6, 1, 1, 8]), torch.randn(16, 100), torch.zeros(atoms).long(), *pairs]
model = DTNN(8, dropout=0.5).eval()
print(torch.equal(model(inputs), model(inputs)))
""",
        "False\n",
        "deepchem.models.torch_models.dtnn",
    ),
    Source(
        "PyTorch Geometric: GLEM has no eval",
        "torch-geometric",
        ("torch_geometric/llm/models/glem.py",),
        frozenset({"train-overridden"}),
        "`train` is a training step with its own arguments. `Module.eval` calls `train(False)`, "
        "and so does `train()` of a model that holds it.",
        """\
import torch
from torch_geometric.llm.models import GLEM

model = GLEM.__new__(GLEM)  # its constructor loads a language model
torch.nn.Module.__init__(model)
try:
    model.eval()
except TypeError as error:
    print(error)
""",
        "GLEM.train() missing 4 required positional arguments: 'train_loader', 'optimizer', "
        "'pseudo_labels', and 'epoch'\n",
        "torch_geometric",
    ),
    Source(
        "transformers: BLT drops its embeddings twice",
        "transformers",
        ("transformers/models/blt/modeling_blt.py",),
        frozenset({"double-dropout"}),
        "The local encoder applies `F.dropout` to the same states twice: at 0.5 three quarters are "
        "dropped. Kosmos-2.5's text decoder does so, too.",
        """\
import torch
from transformers.models.blt.modeling_blt import BltLocalEncoder, BltLocalEncoderConfig

torch.manual_seed(0)
config = BltLocalEncoderConfig(hidden_size=64, num_hidden_layers=1, dropout=0.5)
config._attn_implementation = "eager"
model = BltLocalEncoder(config).train()


def hook(module, args):
    print(f"{(args[0] == 0).double().mean():.2f}")


model.layers[0].register_forward_pre_hook(hook)
words = torch.zeros(1, 512).long()
model(words, patch_embeds=torch.zeros(1, 1, 64), num_patches=1, patch_ids=words)
""",
        "0.75\n",
        "transformers",
    ),
    Source(
        "transformers: Nyströmformer's attention dropout is never called",
        "transformers",
        ("transformers/models/nystromformer/modeling_nystromformer.py",),
        frozenset({"dropout-never-used"}),
        "`attention_probs_dropout_prob` makes an `nn.Dropout` that nothing applies, and MRA and "
        "YOSO do the same. Falcon's and MPT's rates without effect are found by [running "
        "them](audit-model.md).",
        """\
import torch
from transformers.models.nystromformer import NystromformerConfig, NystromformerModel

small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.9}
model = NystromformerModel(NystromformerConfig(**small, **off)).train()
words = torch.zeros(1, 64).long()
print(torch.equal(model(words)[0], model(words)[0]))
""",
        "True\n",
        "transformers",
    ),
    Source(
        "PyGCL: dropout_feature keeps what it should drop",
        "PyGCL",
        ("GCL/augmentors/functional.py",),
        frozenset({"functional-always-on", "keep-probability-as-p"}),
        "`F.dropout(x, p=1. - drop_prob)`: at 0.1, 90 % are dropped. That it drops in every mode "
        "is intended: it augments data.",
        """\
import sys

sys.path.insert(0, "examples/found")
import torch
from alone import alone

torch.manual_seed(0)
drop = alone("PyGCL", "GCL/augmentors/functional.py", "dropout_feature")
print(f"{(drop(torch.ones(1 << 20), 0.1) == 0).double().mean():.2f}")
""",
        "0.90\n",
        "torch",
    ),
)
