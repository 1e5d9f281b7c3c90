"""Audit models of timm, torchvision and transformers with random weights: docs/audit/models.csv.

    python benchmarks/audit_models.py [PART OF A NAME ...]

One row for each model and rule with findings, or one row for a model without findings. The
last two columns, `verdict` (true, false) and `why`, are written by hand and are kept. The arguments
select the models to audit again; the rows of the others stay.
"""

from __future__ import annotations

import csv
import gc
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from torchdropout.audit_model import AuditedSites, sites

TABLE = Path(__file__).parents[1] / "docs" / "audit" / "models.csv"
COLUMNS = ("model", "sites", "calls", "kinds", "seconds", "rule", "severity", "count", "example",
           "verdict", "why")  # fmt: skip
Build = Callable[[], tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]]


def images(size: int, batch: int = 2) -> tuple[torch.Tensor, ...]:
    return (torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0)),)


# --- timm ---------------------------------------------------------------------------------------

_TIMM = {
    "resnet18": 64, "resnet50d": 64, "resnest14d": 64, "densenet121": 64, "vgg11": 64, "dla34": 64,
    "efficientnet_b0": 64, "mobilenetv3_small_100": 64, "regnetx_002": 64, "ghostnet_100": 64,
    "convnext_atto": 64, "convnextv2_atto": 64, "edgenext_xx_small": 64, "poolformer_s12": 64,
    "inception_v3": 96, "repvit_m0_9": 64, "fastvit_t8": 64, "xception41": 96, "nfnet_l0": 64,
    "vit_tiny_patch16_224": 224, "deit_tiny_distilled_patch16_224": 224,
    "beit_base_patch16_224": 224,
    "eva02_tiny_patch14_224": 224, "cait_xxs24_224": 224, "xcit_nano_12_p16_224": 224,
    "mixer_s32_224": 224, "gmlp_ti16_224": 224, "swin_tiny_patch4_window7_224": 224,
    "swinv2_cr_tiny_ns_224": 224, "pit_ti_224": 224, "levit_128s": 224, "twins_svt_small": 224,
    "tiny_vit_5m_224": 224, "visformer_tiny": 224, "crossvit_tiny_240": 240, "mvitv2_tiny": 224,
    "davit_tiny": 224, "focalnet_tiny_srf": 224, "gcvit_xxtiny": 224, "hiera_tiny_224": 224,
    "coatnet_nano_rw_224": 224, "maxvit_rmlp_pico_rw_256": 256, "volo_d1_224": 224,
}  # fmt: skip


def of_timm(name: str, size: int, **more: Any) -> Build:
    def build() -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
        import timm

        # timm does not pass arguments that are None; not every model accepts every argument.
        for left_out in ((), ("drop_path_rate",), ("drop_rate", "drop_path_rate")):
            rates = {"drop_rate": 0.1, "drop_path_rate": 0.2, **more}
            given = {key: rate for key, rate in rates.items() if key not in left_out}
            try:
                model = timm.create_model(name, pretrained=False, num_classes=10, **given)
            except TypeError:
                continue
            return model, images(size), {}
        raise TypeError(f"{name} accepts no rates")

    return build


# --- torchvision ----------------------------------------------------------------------------------

_TORCHVISION = {
    "alexnet": 64, "vgg11": 64, "googlenet": 64, "inception_v3": 299, "densenet121": 64,
    "mobilenet_v2": 64, "mobilenet_v3_small": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64,
    "convnext_tiny": 64, "vit_b_32": 224, "swin_t": 224, "swin_v2_t": 256, "maxvit_t": 224,
    "squeezenet1_0": 64, "mnasnet0_5": 64, "shufflenet_v2_x0_5": 64, "resnet18": 64,
}  # fmt: skip
_SEGMENTATION = ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large")


def of_torchvision(name: str, size: int, **more: Any) -> Build:
    def build() -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
        from torchvision import models

        return models.get_model(name, weights=None, **more), images(size), {}

    return build


def swin3d() -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    from torchvision import models

    return models.get_model("swin3d_t", weights=None), (torch.randn(1, 3, 8, 64, 64),), {}


# --- transformers ---------------------------------------------------------------------------------

_SIZES = {
    "vocab_size": 99, "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32,
    "embedding_size": 32,
    "word_embed_proj_dim": 32, "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2,
    "num_decoder_layers": 2, "encoder_layers": 2, "decoder_layers": 2, "num_attention_heads": 4,
    "num_heads": 4, "n_head": 4, "n_heads": 4, "num_key_value_heads": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "intermediate_size": 64, "hidden_dim": 64, "d_ff": 64, "d_kv": 8,
    "d_inner": 64, "ffn_dim": 64, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "head_dim": 8,
    "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1,
}  # fmt: skip
_TEXT = (
    "bert", "roberta", "distilbert", "albert", "electra", "mpnet", "camembert", "deberta",
    "deberta-v2", "xlnet", "squeezebert", "mobilebert", "nystromformer", "roformer", "layoutlm",
    "gpt2", "openai-gpt", "gpt_neox", "gptj", "codegen", "opt", "bloom", "falcon", "xglm",
    "llama", "mistral", "qwen2", "gemma", "phi", "stablelm", "olmo", "biogpt", "mpt",
    "modernbert", "rembert", "ibert", "ernie", "megatron-bert", "convbert", "fnet", "big_bird",
    "longformer", "roc_bert", "esm", "xlm", "flaubert", "ctrl", "persimmon", "starcoder2",
    "mixtral", "phi3", "granite", "cohere", "nemotron", "glm", "gpt_bigcode", "luke", "splinter",
    "xlm-roberta", "bert-generation", "data2vec-text", "cpmant", "canine", "gemma2", "qwen3",
    "olmo2", "bitnet",
)  # fmt: skip
_BOTH = (
    "t5", "bart", "pegasus", "marian", "mbart", "m2m_100", "blenderbot", "mt5", "prophetnet",
    "led", "bigbird_pegasus", "plbart", "mvp", "umt5", "longt5", "switch_transformers", "fsmt",
    "nllb-moe", "blenderbot-small", "pegasus_x",
)  # fmt: skip
_VISION = (
    "vit", "deit", "beit", "convnext", "dinov2", "vit_mae", "segformer", "pvt", "swinv2", "cvt",
    "levit", "mobilevit", "mobilevitv2", "regnet", "resnet", "poolformer", "focalnet",
    "donut-swin", "ijepa", "convnextv2", "data2vec-vision", "vit_msn", "bit", "efficientnet",
    "glpn", "dinov2_with_registers", "mobilenet_v2", "siglip_vision_model", "swiftformer",
)  # fmt: skip
_AUDIO = (
    "wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat", "sew", "sew-d",
    "wav2vec2-conformer",
)  # fmt: skip
_HEADS = {
    "BertForSequenceClassification": "bert", "BertForTokenClassification": "bert",
    "GPT2ForSequenceClassification": "gpt2", "DistilBertForSequenceClassification": "distilbert",
    "T5ForConditionalGeneration": "t5", "BartForConditionalGeneration": "bart",
    "LlamaForCausalLM": "llama", "XLNetForSequenceClassification": "xlnet",
}  # fmt: skip


_AS_IT_IS = tuple(_SIZES)  # of a config that counts its stages
_UNSIZED = {
    "xlnet": ("max_position_embeddings",), "falcon": ("head_dim",),
    "prophetnet": ("num_hidden_layers",), "focalnet": ("hidden_size",),
    "pvt": ("num_attention_heads",), "cvt": ("num_heads",),
    "levit": ("num_attention_heads", "hidden_sizes"),
    "convnext": _AS_IT_IS, "convnextv2": _AS_IT_IS, "efficientnet": _AS_IT_IS,
    "swinv2": _AS_IT_IS, "donut-swin": _AS_IT_IS, "segformer": _AS_IT_IS, "glpn": _AS_IT_IS,
}  # fmt: skip


def configured(kind: str, **more: Any) -> Any:
    from transformers import AutoConfig

    default = AutoConfig.for_model(kind)
    left_out = _UNSIZED.get(kind, ())
    given = {k: size for k, size in _SIZES.items() if hasattr(default, k) and k not in left_out}
    return AutoConfig.for_model(kind, **{**given, **more})


def of_transformers(kind: str, head: str = "AutoModel", **more: Any) -> Build:
    def build() -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
        import transformers

        implementation = more.pop("attn", None)
        config = configured(kind, **_SPECIAL.get(kind, {}), **more)
        if implementation is not None:
            config._attn_implementation = implementation
        cls = getattr(transformers, head)
        model = cls.from_config(config) if head == "AutoModel" else cls(config)
        ids = torch.randint(3, 90, (2, 16), generator=torch.Generator().manual_seed(0))
        if kind in _VISION:
            return (
                model,
                (),
                {
                    "pixel_values": images(config.image_size)[0]
                    if hasattr(config, "image_size")
                    else images(64)[0]
                },
            )
        if kind in _AUDIO:
            return model, (), {"input_values": torch.randn(2, 4000)}
        if kind in ("speech_to_text", "whisper"):
            features = torch.randn(2, 80, 60) if kind == "whisper" else torch.randn(2, 60, 80)
            return model, (), {"input_features": features, "decoder_input_ids": ids}
        if kind == "clip":
            return model, (), {"input_ids": ids, "pixel_values": images(32)[0]}
        given = {"input_ids": ids}
        if kind in _BOTH:
            given["decoder_input_ids"] = ids
        return model, (), given

    return build


_CLIP_PART = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "attention_dropout": 0.1}  # fmt: skip
_SPECIAL: dict[str, dict[str, Any]] = {
    "llama": {"attention_dropout": 0.1}, "mistral": {"attention_dropout": 0.1},
    "qwen2": {"attention_dropout": 0.1}, "gemma": {"attention_dropout": 0.1, "head_dim": 8},
    "phi": {"attention_dropout": 0.1, "resid_pdrop": 0.1, "embd_pdrop": 0.1},
    "stablelm": {"attention_dropout": 0.1, "hidden_dropout": 0.1},
    "olmo": {"attention_dropout": 0.1}, "falcon": {"attention_dropout": 0.1, "hidden_dropout": 0.2},
    "bloom": {"attention_dropout": 0.1, "hidden_dropout": 0.2},
    "gpt_neox": {"attention_dropout": 0.1, "hidden_dropout": 0.2},
    "gptj": {"rotary_dim": 4, "attn_pdrop": 0.1, "resid_pdrop": 0.2, "embd_pdrop": 0.3},
    "codegen": {"rotary_dim": 4, "attn_pdrop": 0.1, "resid_pdrop": 0.2, "embd_pdrop": 0.3},
    "modernbert": {"attention_dropout": 0.1, "mlp_dropout": 0.2, "embedding_dropout": 0.3},
    "vit": {"image_size": 32, "patch_size": 8, "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.2},
    "deit": {"image_size": 32, "patch_size": 8, "hidden_dropout_prob": 0.1},
    "beit": {"image_size": 32, "patch_size": 8, "drop_path_rate": 0.1, "hidden_dropout_prob": 0.2},
    "dinov2": {"image_size": 28, "patch_size": 14, "drop_path_rate": 0.1},
    "vit_mae": {"image_size": 32, "patch_size": 8, "hidden_dropout_prob": 0.1},
    "convnext": {"drop_path_rate": 0.1}, "efficientnet": {"image_size": 64},
    "wav2vec2": {"conv_dim": [32] * 7, "layerdrop": 0.0}, "hubert": {"conv_dim": [32] * 7},
    "wavlm": {"conv_dim": [32] * 7}, "data2vec-audio": {"conv_dim": [32] * 7},
    "mobilebert": {"intra_bottleneck_size": 32},
    "clip": {"text_config": {**_CLIP_PART, "vocab_size": 99},
             "vision_config": {**_CLIP_PART, "image_size": 32, "patch_size": 8}},
    "whisper": {"max_source_positions": 30, "dropout": 0.1, "attention_dropout": 0.1},
    "bart": {"attention_dropout": 0.2, "activation_dropout": 0.3},
    "squeezebert": {"embedding_size": 32},
    "mpt": {"emb_pdrop": 0.1, "resid_pdrop": 0.2},
}  # fmt: skip


def swin() -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(
        image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4,
        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, drop_path_rate=0.3,
    )  # fmt: skip
    return SwinModel(config), (), {"pixel_values": images(32)[0]}


def all_models() -> Iterator[tuple[str, Build]]:
    for name, size in _TIMM.items():
        yield f"timm/{name}", of_timm(name, size)
    yield "timm/resnet26d+drop_block", of_timm("resnet26d", 64, drop_block_rate=0.1)
    yield "timm/vit_tiny+patch_drop", of_timm("vit_tiny_patch16_224", 224, patch_drop_rate=0.25)
    for name, size in _TORCHVISION.items():
        # inception_v3's and googlenet's auxiliary heads hold dropouts of their own.
        yield f"torchvision/{name}", of_torchvision(name, size)
    for name in _SEGMENTATION:
        yield f"torchvision/{name}", of_torchvision(name, 64, weights_backbone=None)
    yield "torchvision/swin3d_t", swin3d
    for kind in (*_TEXT, *_BOTH, *_VISION, *_AUDIO, "clip", "whisper", "speech_to_text"):
        yield f"transformers/{kind}", of_transformers(kind)
    yield "transformers/swin", swin
    for head, kind in _HEADS.items():
        yield f"transformers/{head}", of_transformers(kind, head)
    for kind in ("bert", "gpt2", "llama", "bart"):
        yield f"transformers/{kind}+eager", of_transformers(kind, attn="eager")


def rows(name: str, build: Build) -> Iterator[dict[str, Any]]:
    try:
        torch.manual_seed(0)
        model, args, kwargs = build()
    except Exception as error:
        print(f"{name}: not built: {type(error).__name__}: {error}", file=sys.stderr)
        return
    try:
        seen = sites(model, *args, **kwargs)
    except Exception as error:
        yield {"model": name, "rule": "failed", "example": f"{type(error).__name__}: {error}"[:300]}
        return
    about = {
        "model": name,
        "sites": len(seen),
        "calls": sum(site.calls for site in seen),
        "kinds": summed(seen),
        "seconds": f"{seen.seconds:.1f}",
    }
    counts = Counter((f.name, f.severity) for f in seen.findings)
    for (rule, severity), count in counts.items():
        example = next(f.message for f in seen.findings if (f.name, f.severity) == (rule, severity))
        yield {**about, "rule": rule, "severity": severity, "count": count, "example": example}
    if not counts:
        yield about


def summed(seen: AuditedSites) -> str:
    counts = Counter(f"{site.kind}{'' if site.acts else ' p=0'}" for site in seen)
    return "; ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def main(wanted: list[str]) -> None:
    warnings.simplefilter("ignore")
    old: dict[str, list[dict[str, str]]] = {}
    if TABLE.exists():
        with TABLE.open(newline="") as file:
            for row in csv.DictReader(file):
                old.setdefault(row["model"], []).append(row)
    labels = {(r["model"], r["rule"], r["severity"]): r for rs in old.values() for r in rs}
    table: list[dict[str, Any]] = []
    for name, build in all_models():
        if wanted and not any(part in name for part in wanted):
            table += old.get(name, [])
            continue
        for row in rows(name, build):
            label = labels.get((name, row.get("rule", ""), row.get("severity", "")), {})
            row |= {key: label.get(key, "") for key in ("verdict", "why")}
            print(name, row.get("sites"), row.get("seconds"), row.get("rule", ""),
                  row.get("count", ""), row.get("example", "")[:150], flush=True)  # fmt: skip
            table.append(row)
        gc.collect()
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main(sys.argv[1:])
