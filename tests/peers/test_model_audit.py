"""The model audit on models of timm and transformers with random weights.

What it finds there, by hand, is in `docs/audit/models.csv`.
"""

import csv
from pathlib import Path

import pytest
import torch

import scripts
from torchdropout.audit_model import sites

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "audit" / "models.csv"


@pytest.fixture(scope="module")
def models():
    """The models of the benchmark, by name."""
    with scripts.benchmark("audit_models") as module:
        return dict(module.all_models())


def audited(models, name):
    pytest.importorskip(name.partition("/")[0], exc_type=ImportError)
    torch.manual_seed(0)
    model, args, kwargs = models[name]()
    return sites(model, *args, **kwargs)


def names(found):
    return sorted({finding.name for finding in found.findings})


RIGHT = {
    "timm/vit_tiny_patch16_224": {"DropPath"},
    "timm/convnext_atto": {"DropPath", "Dropout"},
    "timm/resnet26d+drop_block": {"DropBlock2d", "DropPath", "F.dropout"},
    "timm/vit_tiny+patch_drop": {"PatchDropout", "DropPath"},
    "transformers/bert": {"Dropout", "scaled_dot_product_attention"},
    "transformers/bert+eager": {"Dropout", "F.dropout"},
    "transformers/gpt2": {"Dropout", "scaled_dot_product_attention"},
    "transformers/swin": {"SwinDropPath", "Dropout"},
    "transformers/t5": {"Dropout", "scaled_dot_product_attention"},
    "transformers/wav2vec2": {"Dropout", "scaled_dot_product_attention"},
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_models(models, name):
    found = audited(models, name)
    assert {site.kind for site in found if site.acts} >= RIGHT[name]
    assert names(found) == []
    assert not any(site.eval for site in found)
    assert all(site.train for site in found if site.acts)


FOUND = {
    "timm/efficientnet_b0": ["never-called"],
    "transformers/falcon": ["config-p-without-site", "never-called"],
    "transformers/mpt": ["config-p-without-site"],
    "transformers/nystromformer": ["never-called"],
    "transformers/xlnet": ["never-called"],
}


@pytest.mark.parametrize("name", FOUND)
def test_found(models, name):
    assert names(audited(models, name)) == FOUND[name]


@pytest.mark.parametrize(("training", "rule"), [(True, "alive-in-eval"), (False, "dead-in-train")])
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("timm/convnext_atto", "stages.1.blocks.1.drop_path"),
        ("transformers/bert", "encoder.layer.1.output.dropout"),
        ("transformers/swin", "encoder.layers.1.blocks.0.drop_path"),
    ],
)
def test_a_broken_dropout_in_a_right_model(models, name, broken, training, rule):
    pytest.importorskip(name.partition("/")[0], exc_type=ImportError)
    torch.manual_seed(0)
    model, args, kwargs = models[name]()
    module = model.get_submodule(broken)
    module.training, module.train = training, lambda mode=True: module
    found = sites(model, *args, **kwargs)
    assert [(finding.name, finding.figures["site"]) for finding in found.findings] == [
        (rule, broken)
    ]


def test_each_finding_in_the_table_has_a_verdict():
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["model"] for row in rows}) >= 60
    for row in rows:
        assert row["rule"] != "failed", row
        assert (row["verdict"] in ("true", "false")) == bool(row["rule"]), row
        assert bool(row["why"]) == bool(row["rule"]), row


# What `docs/audit-model.md` says of transformers: training is the same whatever p is configured.
SMALL = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "pad_token_id": 0,
}  # fmt: skip
MPT = {"d_model": 32, "n_heads": 4, "n_layers": 2}
UNREAD = [
    ("falcon", "attention_dropout", {}),
    ("mpt", "resid_pdrop", MPT),
    ("mpt", "emb_pdrop", MPT),
    ("nystromformer", "attention_probs_dropout_prob", {"intermediate_size": 64}),
]


def trained(kind, **more):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SMALL, **more)
    model = transformers.AutoModel.from_config(config).train()
    torch.manual_seed(0)
    return model(torch.arange(1, 17).reshape(1, 16)).last_hidden_state


@pytest.mark.parametrize(("kind", "key", "rest"), UNREAD)
def test_a_probability_that_is_not_read(kind, key, rest):
    assert torch.equal(trained(kind, **rest, **{key: 0.0}), trained(kind, **rest, **{key: 1.0}))


def test_one_that_is_read():
    """The guard of the test above."""
    key, rest = "attention_probs_dropout_prob", {"intermediate_size": 64}
    none, every = trained("bert", **rest, **{key: 0.0}), trained("bert", **rest, **{key: 1.0})
    assert not torch.equal(none, every)
