"""Monte-Carlo dropout on models of torchvision, timm and transformers with random weights."""

import pytest
import torch

from stochastic import seeded, state_of
from torchdropout import mc
from torchdropout.errors import SiteError

IDS = torch.arange(21).reshape(3, 7) % 40 + 3
IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SMALL = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2}


def vision(name, **options):
    models = pytest.importorskip("torchvision.models")
    return getattr(models, name)(num_classes=5, **options), {"x": IMAGES}


def vit_tiny():
    timm = pytest.importorskip("timm")
    rates = ("drop_rate", "attn_drop_rate", "proj_drop_rate", "pos_drop_rate", "drop_path_rate")
    options = dict.fromkeys(rates, 0.1)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=5, **options)
    return model, {"x": IMAGES[:, :, :32, :32].contiguous()}


def timm_densenet():
    """That of timm has dropout in its dense layers and in its head."""
    timm = pytest.importorskip("timm")
    densenet = timm.models.densenet
    rates = {"drop_rate": 0.2, "proj_drop_rate": 0.2}
    model = densenet.DenseNet(growth_rate=4, block_config=(2, 2), num_classes=5, **rates)
    return model, {"x": IMAGES}


def transformer(kind, config, *more, **options):
    transformers = pytest.importorskip("transformers")
    made = getattr(transformers, config)(**options)
    return getattr(transformers, kind)(made), {"input_ids": IDS, **dict.fromkeys(more, IDS)}


def bert(attention):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 32}
    options = {**SMALL, **sizes, "attn_implementation": attention}
    return transformer("BertForSequenceClassification", "BertConfig", **options)


def bart(**options):
    layers = {"encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16, "vocab_size": 50}
    rates = {"attention_dropout": 0.1, "activation_dropout": 0.1}
    return transformer("BartModel", "BartConfig", **layers, **heads, **sizes, **rates, **options)


def gpt2():
    sizes = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50}
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    return transformer("GPT2LMHeadModel", "GPT2Config", **sizes, **ids)


def t5():
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ids = {"vocab_size": 50, "decoder_start_token_id": 0, "pad_token_id": 0}
    kind = "T5ForConditionalGeneration"
    return transformer(kind, "T5Config", "decoder_input_ids", **sizes, **ids)


MODELS = {
    "torchvision/efficientnet_b0": (lambda: vision("efficientnet_b0"), 10, None),
    "torchvision/vgg11": (lambda: vision("vgg11"), 2, None),
    "torchvision/densenet": (
        lambda: vision("DenseNet", growth_rate=4, block_config=(2, 2), drop_rate=0.2),
        *(4, None),
    ),
    "timm/vit_tiny": (vit_tiny, 72, None),
    "timm/densenet": (timm_densenet, 5, None),
    "transformers/bert": (lambda: bert("sdpa"), 8, "logits"),
    "transformers/bert+eager": (lambda: bert("eager"), 8, "logits"),
    "transformers/bart": (bart, 22, "last_hidden_state"),
    "transformers/gpt2": (gpt2, 7, "logits"),
    "transformers/t5": (t5, 24, "logits"),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_site_is_reached_and_nothing_else_changes(name):
    make, count, output = MODELS[name]
    batch = {}

    def model():
        made, given = make()
        batch.update(given)
        return made

    model = seeded(model)
    before = state_of(model)
    made = mc.MCDropout(model, 3, task="regression", output=output, keep_samples=True)
    plan = made.plan(**batch)
    assert len(plan.sites) == count
    assert all(site.selected for site in plan.sites)
    assert not plan.unreached
    assert plan.proof.startswith("With the mean of each draw the output is eval's")
    whole = made(**batch)
    assert not torch.equal(whole.samples[0], whole.samples[1])
    single = made(index=1, **{key: value[1:2] for key, value in batch.items()})
    torch.testing.assert_close(single.samples, whole.samples[:, 1:2], rtol=1e-3, atol=1e-4)
    assert state_of(model) == before


def test_a_skipped_layer_is_reached_and_not_proven():
    made, batch = bart(encoder_layerdrop=0.5)
    plan = mc.plan(made.eval(), **batch)
    assert [site.kind for site in plan.sites].count("rand") == 2
    assert "is unknown: its draw has no mean" in plan.proof


def test_patches_that_are_dropped_are_reached_and_not_proven():
    """They are those of the lowest random numbers, about whose order the mean says nothing."""
    timm = pytest.importorskip("timm")
    options = {"img_size": 32, "depth": 2, "num_classes": 5, "patch_drop_rate": 0.25}
    model = seeded(timm.create_model, "vit_tiny_patch16_224", patch_size=8, **options)
    plan = mc.plan(model, IMAGES[:, :, :32, :32])
    assert [(site.path, site.kind, site.selected) for site in plan.sites] == [
        ("patch_drop", "randn", True)
    ]
    assert not plan.problem
    assert plan.proof.startswith("The effect of patch_drop #0 is unknown: a condition or an order")


def test_auxiliary_classifiers_stay_off():
    model, batch = vision("googlenet", init_weights=False)
    plan = mc.plan(model.eval(), **batch)
    assert [(site.path, site.selected) for site in plan.sites if site.selected] == [
        ("dropout", True)
    ]
    assert not plan.problem


# --- Padded batches ------------------------------------------------------------------------------

SIZES = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
GROUPS = ("q", "k", "v", "post_attention", "intermediate", "output")
LANGUAGE = {
    "Bert": {},
    "Roberta": {},
    "Albert": {"embedding_size": 16, "hidden_dropout_prob": 0.1},
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "Electra": {"embedding_size": 16},
    "MPNet": {},
    "BigBird": {"attention_type": "original_full", "sep_token_id": 2},
    "SqueezeBert": {"embedding_size": 16, **{f"{name}_groups": 2 for name in GROUPS}},
}
EAGER = ("MPNet", "BigBird", "SqueezeBert")  # they have no other attention


def classifier(name, attention="sdpa"):
    transformers = pytest.importorskip("transformers")
    how = {"attn_implementation": "eager" if name in EAGER else attention}
    config = getattr(transformers, f"{name}Config")(**SIZES, **LANGUAGE[name], **how)
    return seeded(getattr(transformers, f"{name}ForSequenceClassification"), config)


def padded(lengths, width):
    """The same tokens, whatever the width."""
    ids = torch.arange(len(lengths) * 16).reshape(-1, 16)[:, :width] % 40 + 3
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": torch.where(mask > 0, ids, 1), "attention_mask": mask}


@pytest.mark.parametrize("name", LANGUAGE)
def test_padding_after_a_batch_without(name):
    """The first batch has a mask of ones, which the model ignores."""
    made, loop = (
        mc.MCDropout(classifier(name), 5, strategy=strategy, keep_samples=True)
        for strategy in ("auto", "loop")
    )
    for lengths in ((7, 7, 7), (7, 3, 5), (7, 7, 7)):
        batch = padded(lengths, 7)
        torch.testing.assert_close(made(**batch).samples, loop(**batch).samples)


# --- What is refused -----------------------------------------------------------------------------


def test_drop_block_scales_by_what_its_batch_keeps():
    layers = pytest.importorskip("timm.layers")
    drop = layers.DropBlock2d(0.3, block_size=3)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), drop).eval()
    words = r"another one after the module '1' \(DropBlock2d\).*independent=False"
    with pytest.raises(SiteError, match=words):
        mc.MCDropout(model, 3, task="regression")(IMAGES[..., :12, :12])


def test_features_of_timm_are_in_no_pass():
    timm = pytest.importorskip("timm")
    options = {"img_size": 32, "depth": 2, "num_classes": 5, "drop_path_rate": 0.3}
    model = seeded(timm.create_model, "vit_tiny_patch16_224", **options)
    with mc.active(model), pytest.raises(SiteError, match="its method forward_features"):
        model.forward_features(IMAGES[..., :32, :32])


def test_features_of_clip_are_in_no_pass():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "attention_dropout": 0.3}
    ids = {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    image = {"image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(
        text_config={**sizes, **ids}, vision_config={**sizes, **image}, projection_dim=8
    )
    model = seeded(transformers.CLIPModel, config)
    with mc.active(model), pytest.raises(SiteError, match="its method get_image_features"):
        model.get_image_features(pixel_values=IMAGES[..., :32, :32])


@pytest.mark.filterwarnings("ignore:Forwards of 1 and of 3 positions:RuntimeWarning")
def test_each_token_of_a_decoder_is_a_pass():
    model = seeded(lambda: gpt2()[0])
    ids = {"max_new_tokens": 3, "do_sample": True, "pad_token_id": 2}
    with torch.no_grad(), mc.active(model):
        y = model.generate(IDS[:, :3], attention_mask=torch.ones(3, 3).long(), **ids)
    assert y.shape == (3, 6)
