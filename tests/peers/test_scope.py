"""Scopes of models of timm and transformers with random weights: parts draw what the whole does."""

import copy
import functools

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

import torchdropout as td
from torchdropout.errors import SiteError
from torchdropout.models.scope._watch import NORMS

IDS = torch.randint(3, 50, (8, 7), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SCOPE = {"seed": 3, "step": 5}


def timm(name, **options):
    made = pytest.importorskip("timm").create_model
    return made(name, num_classes=5, drop_rate=0.2, **options), {"x": IMAGES}


def vit_tiny(**options):
    rates = dict.fromkeys(("attn_drop_rate", "proj_drop_rate", "pos_drop_rate"), 0.2)
    sizes = {"img_size": 32, "depth": 3, "drop_path_rate": 0.3}
    return timm("vit_tiny_patch16_224", **rates, **sizes, **options)


def transformer(kind, config, *more, **options):
    transformers = pytest.importorskip("transformers")
    made = getattr(transformers, config)(vocab_size=50, **options)
    padding = (torch.arange(7) < torch.arange(8)[:, None] % 3 + 4).long()
    given = {"input_ids": IDS, "attention_mask": padding, **dict.fromkeys(more, IDS)}
    return getattr(transformers, kind)(made), given


def bert(attention):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 32}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "attn_implementation": attention}
    return transformer("BertForTokenClassification", "BertConfig", **sizes, **layers)


def gpt2(attention):
    sizes = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "attn_implementation": attention}
    return transformer("GPT2LMHeadModel", "GPT2Config", **sizes, **ids)


def t5():
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0}
    kind = "T5ForConditionalGeneration"
    return transformer(kind, "T5Config", "decoder_input_ids", **sizes, **ids)


def bart(**options):
    layers = {"encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16}
    rates = {"attention_dropout": 0.1, "activation_dropout": 0.1}
    return transformer("BartModel", "BartConfig", **layers, **heads, **sizes, **rates, **options)


def swin():
    sizes = {"img_size": 32, "window_size": 4, "patch_size": 2, "embed_dim": 16}
    layers = {"depths": (2, 2), "num_heads": (2, 4)}
    rates = {"attn_drop_rate": 0.2, "drop_path_rate": 0.3}
    return timm("swin_tiny_patch4_window7_224", **sizes, **layers, **rates)


# How many draws the whole batch has in the first step: where layers are dropped, not of all sites.
MODELS = {
    "timm/vit_tiny": (vit_tiny, 18),
    "timm/vit_tiny, patches dropped": (lambda: vit_tiny(patch_drop_rate=0.25), 19),
    "timm/swin": (swin, 11),
    "timm/efficientnet_b0": (lambda: timm("efficientnet_b0", drop_path_rate=0.3), 10),
    "timm/densenet121": (lambda: timm("densenet121"), 1),
    "transformers/bert": (lambda: bert("sdpa"), 8),
    "transformers/bert+eager": (lambda: bert("eager"), 8),
    "transformers/gpt2": (lambda: gpt2("sdpa"), 7),
    "transformers/gpt2+eager": (lambda: gpt2("eager"), 7),
    "transformers/t5": (t5, 24),
    "transformers/bart": (bart, 22),
    "transformers/bart, layers dropped": (
        lambda: bart(encoder_layerdrop=0.5, decoder_layerdrop=0.5),
        16,
    ),
}


@functools.cache
def made(name):
    """A model in training, and its arguments; batch norm would mix the samples."""
    torch.manual_seed(0)
    model, given = MODELS[name][0]()
    model.train()
    for module in model.modules():
        if isinstance(module, NORMS):
            module.eval()
    return model, given


class Masks(td.keyed):
    """A scope that also keeps what is drawn at each site, for inputs that show it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.masks = {}

    def answer(self, site, draw):
        shown = [torch.ones_like(t) if isinstance(t, torch.Tensor) else t for t in draw.tensors]
        if draw.kind == "scaled_dot_product_attention":  # the weights, of which none is zero
            q, k, v, _ = draw.tensors
            unit = torch.eye(v.shape[-2], dtype=v.dtype).expand(*v.shape[:-1], v.shape[-2])
            shown = [0 * q, 0 * k, unit, None]
        mask = super().answer(site, draw._replace(tensors=shown, finish=None))
        if draw.kind == "scaled_dot_product_attention":
            mask = mask != 0
        axis = self._sites[site].place.batch
        self.masks.setdefault(site, []).append((mask, axis))
        return super().answer(site, draw)


def output(model, batch):
    """The first tensor of the result."""
    y = model(**batch)
    return y if isinstance(y, torch.Tensor) else y[0]


def taken(batch, start, end):
    return {name: value[start:end] for name, value in batch.items()}


@pytest.mark.parametrize("name", MODELS)
def test_parts_draw_what_the_whole_does(name):
    """Halves in scopes of their own, and micro-batches in one."""
    model, batch = made(name)
    state = torch.get_rng_state()
    with torch.no_grad():
        with Masks(model, **SCOPE) as whole:
            expected = output(model, batch)
        halves, masks = [], {}
        for start in (0, 4):
            with Masks(model, batch=(start, 8), **SCOPE) as half:
                halves.append(output(model, taken(batch, start, start + 4)))
            for site, drawn in half.masks.items():
                masks.setdefault(site, []).extend(drawn)
        with Masks(model, batch=(0, 8), **SCOPE) as together:
            micro = [output(model, taken(batch, *at)) for at in ((0, 3), (3, 4), (4, 8))]
    assert len(whole.masks) == MODELS[name][1]
    assert torch.equal(torch.get_rng_state(), state)  # no draw is missed
    for found in (masks, together.masks):
        assert found.keys() == whole.masks.keys()
        for site, parts in found.items():
            [(mask, axis)] = whole.masks[site]
            if axis is None:  # a layer is skipped for all samples
                assert all(torch.equal(part, mask) for part, _ in parts)
            else:
                assert torch.equal(torch.cat([part for part, _ in parts], axis.dim), mask)
    for parts in (halves, micro):
        torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-4, atol=1e-5)


CHECKPOINTED = [
    "timm/vit_tiny",
    "timm/efficientnet_b0",
    "transformers/bert",
    "transformers/gpt2+eager",
    "transformers/t5",
    "transformers/bart, layers dropped",
]


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpointing_in_their_way(name):
    """The gradients are those of a model that keeps its activations, after the scope too."""
    model, batch = made(name)
    model = copy.deepcopy(model)

    def gradients():
        model.zero_grad()
        with td.keyed(model, **SCOPE):
            loss = output(model, batch).square().sum()
        torch.manual_seed(99)
        calls = []
        handle = register_module_forward_pre_hook(lambda *_: calls.append(1))
        loss.backward()
        handle.remove()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None], len(calls)

    expected, calls = gradients()
    assert calls == 0
    if name.startswith("timm"):
        model.set_grad_checkpointing()
    else:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    found, calls = gradients()
    assert calls > 0  # again in the backward
    torch.testing.assert_close(found, expected)


# --- Models in which the rest of a batch changes a sample -----------------------------------------


@pytest.mark.parametrize("options", [{}, {"batchwise": True}, {"fast": False}])
def test_a_drop_block_that_is_scaled_by_the_batch(options):
    """Its masks are a sample's own, and its scale is the share that the batch keeps."""
    layers = pytest.importorskip("timm.layers")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), layers.DropBlock2d(0.3, 3, **options))
    assert "after the module '1' (DropBlock2d)" in td.find_sites(model, IMAGES).mixing
    with td.keyed(model, batch=(0, 8), **SCOPE), pytest.raises(SiteError, match="DropBlock2d"):
        model(IMAGES[:4])
    with (
        td.keyed(model, batch=(0, 8), independent=False, **SCOPE),
        pytest.warns(RuntimeWarning, match="With independent=False"),
    ):
        model(IMAGES[:4])


def test_experts():
    """The experts draw for the tokens that are routed to them."""
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_experts": 4}
    layers = dict.fromkeys(("num_layers", "num_decoder_layers", "num_sparse_encoder_layers"), 2)
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0}
    kind = "SwitchTransformersModel"
    more = {"num_sparse_decoder_layers": 1, **sizes, **layers, **ids}
    torch.manual_seed(0)
    model, batch = transformer(kind, "SwitchTransformersConfig", "decoder_input_ids", **more)
    model.train()
    with (
        td.keyed(model, batch=(0, 8), **SCOPE),
        pytest.raises(SiteError, match=r"experts.expert_\d.dropout #0 .*independent=False"),
    ):
        output(model, taken(batch, 0, 4))

    def parts():
        with torch.no_grad(), td.keyed(model, batch=(0, 8), independent=False, **SCOPE):
            return [output(model, taken(batch, *at)) for at in ((0, 4), (4, 8))]

    with pytest.warns(RuntimeWarning, match="With independent=False") as warned:
        found = parts()
    assert len(warned) == 1
    assert all(map(torch.equal, parts(), found))


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_has_the_same_result_in_another_batch(name):
    """What a trial shows of these models."""
    model, batch = made(name)
    sites = td.find_sites(model, **batch)
    assert not sites.mixing
    assert sites.shown.startswith("One input in another batch") or "dropped" in name


def test_another_padding_without_a_length():
    model, batch = bert("eager")
    with td.keyed(model, **SCOPE):
        output(model, batch)
    longer = {name: torch.nn.functional.pad(value, (0, 2)) for name, value in batch.items()}
    with (
        td.keyed(model, **SCOPE),
        pytest.warns(RuntimeWarning, match=r"of 7 and of 9 positions: .* sequence=\(0, L\)"),
    ):
        output(model, longer)
