"""Whole models of timm, torchvision and transformers, converted and put back."""

import copy
import subprocess
import sys

import pytest
import torch
import torch._dynamo.utils

import torchdropout as td
from torchdropout.models.convert import convert
from torchdropout.models.schedule import DropoutScheduler, Linear

TIMM = {
    "vit_tiny_patch16_224": 32,
    "deit_tiny_patch16_224": 32,
    "beit_base_patch16_224": 32,
    "eva02_tiny_patch14_224": 28,
    "swin_tiny_patch4_window7_224": 224,
    "convnext_atto": 32,
    "convnextv2_atto": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "efficientnet_b0": 32,
    "densenet121": 32,
    "inception_next_atto": 64,
    "regnety_002": 32,
    "mixer_s32_224": 224,
    "cait_xxs24_224": 224,
    "poolformer_s12": 64,
    "pvt_v2_b0": 64,
    "xcit_nano_12_p16_224": 64,
    "repvit_m0_9": 64,
}
TORCHVISION = {
    "alexnet": 64,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "efficientnet_b0": 32,
    "convnext_tiny": 32,
    "swin_t": 64,
    "swin_v2_t": 64,
    "squeezenet1_0": 64,
    "vit_b_16": 224,
    "maxvit_t": 224,
    "googlenet": 64,
    "mnasnet0_5": 32,
}
TEXT = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL = {**TEXT, "intermediate_size": 24, "max_position_embeddings": 40}
GROUPED = {**SMALL, "num_key_value_heads": 1, "attention_dropout": 0.1}
IMAGE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
STAGES = {"depths": [1, 1, 1, 1], "drop_path_rate": 0.2}
TRANSFORMERS = {
    "Bert": SMALL,
    "Roberta": SMALL,
    "Electra": {**SMALL, "embedding_size": 16},
    "Albert": {**SMALL, "embedding_size": 16, "hidden_dropout_prob": 0.1},
    "DistilBert": {"vocab_size": 60, "dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2},
    "GPT2": {"vocab_size": 60, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40},
    "T5": {
        "vocab_size": 60,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 2,
        "num_heads": 2,
    },
    "DebertaV2": SMALL,
    "Beit": {**IMAGE, "drop_path_rate": 0.2},
    "Dinov2": {**IMAGE, "drop_path_rate": 0.2},
    "ViT": {**IMAGE, "hidden_dropout_prob": 0.1},
    "ConvNext": {"hidden_sizes": [8, 8, 8, 8], **STAGES},
    "Swin": {
        "image_size": 32,
        "patch_size": 2,
        "window_size": 2,
        "embed_dim": 8,
        "num_heads": [1, 1, 1, 1],
        **STAGES,
    },
    "Segformer": {
        "hidden_sizes": [8, 8, 8, 8],
        "num_attention_heads": [1, 1, 1, 1],
        **STAGES,
    },
    "PoolFormer": {"hidden_sizes": [8, 8, 8, 8], **STAGES},
}
# They drop in attention only, at a number.
NUMBERS = {
    "Llama": GROUPED,
    "Mistral": GROUPED,
    "Qwen2": GROUPED,
    "CLIPVision": {**IMAGE, "attention_dropout": 0.1},
}
# By an attention that is not known, or by torch.nn.functional in their own code.
FUNCTIONAL = {
    "OPT": {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "ffn_dim": 24,
        "word_embed_proj_dim": 16,
        "max_position_embeddings": 40,
    },
    "Longformer": {**SMALL, "attention_window": 4},
}
ELSEWHERE = [
    *((name, "eager") for name in ("Bert", "Roberta", "DistilBert", "GPT2", "T5")),
    *((name, None) for name in FUNCTIONAL),
]


def build_timm(name):
    timm = pytest.importorskip("timm")
    size = TIMM[name]
    options = {"drop_rate": 0.1, "num_classes": 5}
    if not any(word in name for word in ("mixer", "repvit", "densenet")):
        options["drop_path_rate"] = 0.2
    if any(word in name for word in ("vit_tiny", "deit", "beit", "eva")):
        options["img_size"] = size
    return timm.create_model(name, **options), (torch.randn(2, 3, size, size),)


def build_torchvision(name):
    torchvision = pytest.importorskip("torchvision")
    options = {"num_classes": 5}
    if name == "googlenet":
        options.update(init_weights=False, aux_logits=False)
    if name == "vit_b_16":
        options.update(dropout=0.1)
    size = TORCHVISION[name]
    return getattr(torchvision.models, name)(**options), (torch.randn(2, 3, size, size),)


def build_transformers(name):
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{name}Config")(
        **{**TRANSFORMERS, **NUMBERS, **FUNCTIONAL}[name]
    )
    model = getattr(transformers, f"{name}Model")(config)
    if model.main_input_name == "pixel_values":
        return model, (torch.randn(2, 3, 32, 32),)
    ids = torch.randint(3, 60, (2, 7))
    if name == "T5":
        return model, (ids, None, ids)
    return model, (ids,)


CASES = [
    *((build_timm, name) for name in TIMM),
    *((build_torchvision, name) for name in TORCHVISION),
    *((build_transformers, name) for name in TRANSFORMERS),
]


def tensor_of(output):
    return output if isinstance(output, torch.Tensor) else output[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "name"), CASES, ids=[f"{build.__name__[6:]}-{name}" for build, name in CASES]
)
def test_round_trip(build, name):
    torch.manual_seed(0)
    model, x = build(name)
    keys, objects = list(model.state_dict()), list(model.modules())
    with torch.no_grad():
        expected = tensor_of(model.eval()(*x))
    conversion = convert(model)
    assert conversion.changes
    assert list(model.state_dict()) == keys
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd) or (
            type(module).__name__.endswith(("DropPath", "StochasticDepth"))
        ):
            assert type(module).__module__.startswith("torchdropout.nn."), type(module)
    with torch.no_grad():
        assert torch.equal(tensor_of(model(*x)), expected)

    def trained():
        torch.manual_seed(1)
        model.train().zero_grad()
        y = tensor_of(model(*x))
        y.float().square().mean().backward()
        return y.detach()

    first = trained()
    assert torch.equal(trained(), first)
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(bool(g.isfinite().all()) for g in grads)
    rates = DropoutScheduler(model, Linear(1)).get_last_p()
    assert rates == [0.0] * len(rates)

    conversion.undo()
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))


class Draws(torch.utils._python_dispatch.TorchDispatchMode):
    """The operators of torch that draw, attention with p = 0 left out."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        if (
            function.namespace == "aten"
            and torch.Tag.nondeterministic_seeded in function.tags
            and "scaled_dot_product" not in str(function)  # on a CPU it draws by bernoulli_
        ):
            self.seen.add(str(function))
        return function(*args, **(kwargs or {}))


def draws_of(model, x, seed=1):
    torch.manual_seed(seed)
    with Draws() as draws:
        y = tensor_of(model.train()(*x))
    return y.detach(), draws.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*TRANSFORMERS, *NUMBERS])
def test_transformers_in_training_draw_nothing_by_torch(name):
    torch.manual_seed(0)
    model, x = build_transformers(name)
    before, seen = draws_of(model, x)
    assert seen
    conversion = convert(model)
    assert not conversion.left
    assert draws_of(model, x)[1] == set()
    conversion.undo()
    assert torch.equal(draws_of(model, x)[0], before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "attention"), ELSEWHERE)
def test_what_transformers_draws_by_torch_is_listed(name, attention):
    torch.manual_seed(0)
    model, x = build_transformers(name)
    if attention is not None:
        model.set_attn_implementation(attention)
    conversion = convert(model)
    assert draws_of(model, x)[1] == {"aten.bernoulli_.float"}
    words = f"by its '{attention}' function" if attention else "perhaps for a functional call"
    assert any(words in left.why for left in conversion.left)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["Bert", "GPT2", "Llama"])
def test_the_attention_of_transformers(name, tmp_path):
    """Its copies, files and compiled code; another model of the same configuration."""
    torch.manual_seed(0)
    model, x = build_transformers(name)
    other = type(model)(model.config)
    torchs = draws_of(other, x)[0]
    conversion = convert(model)
    attentions = [change for change in conversion.changes if change.new is change.old]
    assert len(attentions) == 2
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(draws_of(other, x)[0], torchs)

    torch.manual_seed(1)
    want = tensor_of(model.train()(*x))
    torch.manual_seed(1)
    assert torch.equal(tensor_of(copy.deepcopy(model)(*x)), want)
    torch._dynamo.reset()
    torch.manual_seed(1)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(tensor_of(compiled(*x)), want)
    torch._dynamo.reset()

    # A process that converts nothing.
    torch.save([model, x, want], tmp_path / "model.pt")
    code = (
        "import sys, torch\n"
        "model, x, want = torch.load(sys.argv[1], weights_only=False)\n"
        "torch.manual_seed(1)\n"
        "y = model(*x)[0]\n"
        "assert torch.equal(y, want)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "model.pt")]
    subprocess.run(command, check=True)
    # Weights and configuration, as transformers saves them, know nothing of ours.
    model.save_pretrained(tmp_path / "saved")
    assert "torchdropout" not in (tmp_path / "saved" / "config.json").read_text()
    back = type(model).from_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(tensor_of(back.eval()(*x)), tensor_of(model.eval()(*x)))


@pytest.mark.filterwarnings("ignore")
def test_a_schedule_sets_the_attention_of_transformers():
    model, x = build_transformers("Bert")
    convert(model)
    DropoutScheduler(model, Linear(1))  # p = 0 at the start
    with torch.no_grad():
        assert torch.equal(draws_of(model, x, 1)[0], draws_of(model, x, 2)[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "kept"), [("vit_tiny_patch16_224", 9), ("eva02_tiny_patch14_224", 9)]
)
def test_timms_patch_dropout(name, kept):
    """Half of 16 patches and the class token are kept; the EVA also gets their places."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    patch = 8
    options = {"img_size": 4 * patch, "patch_size": patch, "depth": 2, "drop_path_rate": 0.1}
    model = timm.create_model(name, num_classes=5, patch_drop_rate=0.5, **options).eval()
    x, old = torch.randn(4, 3, 32, 32), model.patch_drop
    keys = list(model.state_dict())
    with torch.no_grad():
        expected = model(x)
    conversion = convert(model)
    assert type(model.patch_drop) is td.nn.TokenDropout
    assert model.patch_drop.return_indices is ("Indices" in type(old).__name__)
    assert list(model.state_dict()) == keys
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    lengths = []
    hook = model.blocks[0].register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape))
    model.train()(x).square().mean().backward()
    assert lengths[0][1] == kept
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    DropoutScheduler(model, Linear(1))
    model(x)
    assert lengths[1][1] == 17
    hook.remove()
    conversion.undo()
    assert model.patch_drop is old
    assert old.prob == 0.0


def test_torchvisions_attention():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    options = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2}
    sizes = {"hidden_dim": 16, "mlp_dim": 24, "num_classes": 5}
    model = torchvision.models.VisionTransformer(**options, **sizes, attention_dropout=0.3)
    x, objects = torch.randn(2, 3, 32, 32), list(model.modules())
    with torch.no_grad():
        expected = model.eval()(x)
        conversion = convert(model)
        assert (
            not conversion.left
        )  # the model keeps the number it was built with, and reads it nowhere
        assert torch.equal(model(x), expected)
    kinds = [type(m) for m in model.modules() if isinstance(m, torch.nn.MultiheadAttention)]
    assert kinds == [td.nn.MultiheadAttention] * 2
    model.train()(x).square().mean().backward()
    conversion.undo()
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))


@pytest.mark.filterwarnings("ignore")
def test_fastais_language_model():
    """AWD-LSTM, whose decoder is tied to the embedding that is dropped."""
    awd = pytest.importorskip("fastai.text.models.awdlstm")
    core = pytest.importorskip("fastai.text.models.core")
    config = {**awd.awd_lstm_lm_config, "emb_sz": 8, "n_hid": 12, "n_layers": 2}
    model = core.get_language_model(awd.AWD_LSTM, 30, config=config)
    words = torch.randint(30, (3, 5), generator=torch.Generator().manual_seed(0))

    def logits():
        model.reset()
        return model(words)[0]

    keys, objects = list(model.state_dict()), list(model.modules())
    with torch.no_grad():
        expected = model.eval() and logits()
    conversion = convert(model)
    counts = {}
    for change in conversion.changes:
        counts[type(change.new)] = counts.get(type(change.new), 0) + 1
    assert counts == {td.nn.EmbeddingDropout: 1, td.nn.LockedDropout: 4}
    assert list(model.state_dict()) == keys
    assert model[0].encoder_dp.emb is model[0].encoder
    assert model[1].decoder.weight is model[0].encoder.weight
    with torch.no_grad():
        assert torch.equal(logits(), expected)
    model.train()
    logits().square().mean().backward()
    assert bool(model[0].encoder.weight.grad.isfinite().all())
    conversion.undo()
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))


def test_drop_path_with_its_residual_drops_whole_samples():
    """`residual + drop_path(...)`: a sample is its residual or gets the branch, scaled."""
    timm = pytest.importorskip("timm")
    block = timm.create_model("vit_tiny_patch16_224", drop_path_rate=0.5).blocks[-1]
    conversion = convert(block)
    assert {type(change.new) for change in conversion.changes} >= {td.nn.DropPath}
    block.mlp = torch.nn.Identity()
    block.norm2 = torch.nn.Identity()
    block.drop_path1.p = 1.0
    x = torch.ones(64, 4, 192)
    y = block.train()(x)
    assert set(y.flatten(1).unique(dim=1).flatten().tolist()) == {1.0, 3.0}


def test_a_functional_dropout_is_listed():
    """timm's MobileNetV3 calls F.dropout before its classifier."""
    timm = pytest.importorskip("timm")
    conversion = convert(timm.create_model("mobilenetv3_small_050", drop_rate=0.1))
    assert not conversion.changes
    assert "holds drop_rate=0.1, perhaps for a functional call" in str(conversion)


def test_a_fused_attention_is_listed():
    timm = pytest.importorskip("timm")
    block = timm.create_model("vit_tiny_patch16_224", attn_drop_rate=0.1).blocks[0]
    block.attn.fused_attn = True
    (left,) = convert(block).left
    assert left.name == "attn"
    assert left.why == "reads attn_drop.p, perhaps for scaled_dot_product_attention"


def test_a_path_of_another_package_is_left_and_named():
    class FooDropPath(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop_prob = 0.1

    conversion = convert(torch.nn.Sequential(FooDropPath()))
    assert not conversion.changes
    assert "no rule for this class" in str(conversion)


def test_a_vision_transformer_of_timm_on_a_schedule_is_one_graph_for_all_p():
    """Token dropout, DropPath and dropout, whole: a graph at p = 0, and one from then on."""
    timm = pytest.importorskip("timm")
    torch._dynamo.reset()
    torch.manual_seed(0)
    rates = {"patch_drop_rate": 0.5, "drop_path_rate": 0.1, "proj_drop_rate": 0.1}
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, depth=2, num_classes=10, pos_drop_rate=0.1, **rates
    )
    convert(model)
    scheduler = DropoutScheduler(model, Linear(11))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x, seen = torch.randn(4, 3, 64, 64), []
    for step in range(12):
        results = []
        for function in (compiled, model):
            torch.manual_seed(step)
            results.append(function(x))
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
        results[0].sum().backward()
        seen.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        scheduler.step()
    start = seen[0] - 1
    assert [count - start for count in seen] == [1, *[2] * 11]
    torch._dynamo.reset()
