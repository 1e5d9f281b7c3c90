"""Classes of transformers with padded batches and a declared length: a sample has its own draws.

Alone, in a batch, padded further, in two micro-batches, with attention of both kinds.
"""

import pytest
import torch

import torchdropout as td
from torchdropout import mc

transformers = pytest.importorskip("transformers")

LENGTHS = [7, 4, 9, 5, 3, 8]
L = 16
SIZES = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 2, "max_position_embeddings": 40, "pad_token_id": 0}
RATES = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
PLAIN = {"vocab_size": 50, "max_position_embeddings": 40, "pad_token_id": 0}
SMALL = {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}
GPT = {"n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50}
GPT |= {"bos_token_id": 1, "eos_token_id": 2}
BART = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "max_position_embeddings": 40}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 50}
BART |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "attention_dropout": 0.1, "pad_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 50}
T5 |= {"decoder_start_token_id": 0, "pad_token_id": 0}
ATTENTION = {"attention_dropout": 0.1}
TWO = ("sdpa", "eager")

# Class, configuration and its arguments, the kinds of attention, whether it has a decoder.
MODELS = {
    "bert": ("BertModel", "BertConfig", SIZES, TWO),
    "roberta": ("RobertaModel", "RobertaConfig", SIZES, TWO),
    "electra": ("ElectraModel", "ElectraConfig", {**SIZES, "embedding_size": 16}, TWO),
    "albert": ("AlbertModel", "AlbertConfig", {**SIZES, **RATES, "embedding_size": 16}, TWO),
    "distilbert": ("DistilBertModel", "DistilBertConfig", {**PLAIN, **SMALL}, TWO),
    "camembert": ("CamembertModel", "CamembertConfig", SIZES, TWO),
    "xlm-roberta": ("XLMRobertaModel", "XLMRobertaConfig", SIZES, TWO),
    "mpnet": ("MPNetModel", "MPNetConfig", SIZES, ("eager",)),
    "deberta": ("DebertaV2Model", "DebertaV2Config", {**SIZES, "type_vocab_size": 0}, ("eager",)),
    "roformer": ("RoFormerModel", "RoFormerConfig", SIZES, ("eager",)),
    "layoutlm": ("LayoutLMModel", "LayoutLMConfig", SIZES, ("eager",)),
    "gpt2": ("GPT2Model", "GPT2Config", GPT, TWO),
    "llama": ("LlamaModel", "LlamaConfig", {**SIZES, **ATTENTION}, TWO),
    "opt": (
        "OPTModel",
        "OPTConfig",
        {"ffn_dim": 32, "word_embed_proj_dim": 16, **ATTENTION, **SIZES},
        TWO,
    ),
    "bart": ("BartModel", "BartConfig", BART, TWO),
    "t5": ("T5Model", "T5Config", T5, ("eager",)),
}
DECODERS = ("bart", "t5")
CASES = [(name, kind) for name, (*_, kinds) in MODELS.items() for kind in kinds]


def made(name, kind):
    torch.manual_seed(0)
    model, config, sizes, _ = MODELS[name]
    config = getattr(transformers, config)(**sizes, attn_implementation=kind)
    return getattr(transformers, model)(config).double().train()


def batch(which, width, name):
    """Some of the samples, padded to a width."""
    ids = torch.randint(3, 50, (len(LENGTHS), L), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor(LENGTHS)[which]
    mask = torch.arange(width) < lengths[:, None]
    given = {"input_ids": ids[which, :width] * mask, "attention_mask": mask.long()}
    if name in DECODERS:  # targets of other lengths, one shorter
        own = torch.arange(width - 1) < lengths[:, None] - 1
        given |= {"decoder_input_ids": ids[which, : width - 1] * own}
        given |= {"decoder_attention_mask": own.long()}
    return given


def outputs(model, which, width, name, **scope):
    """The result of each sample, without its padding."""
    with torch.no_grad(), td.keyed(model, seed=3, step=5, sequence=(0, L), **scope):
        y = model(**batch(which, width, name))[0]
    cut = 1 if name in DECODERS else 0
    return {n: y[row, : LENGTHS[n] - cut] for row, n in enumerate(which)}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_sample_has_its_own_draws(name, kind):
    model, every = made(name, kind), [*range(len(LENGTHS))]
    whole = outputs(model, every, 9, name)
    with torch.no_grad():
        plain = model.eval()(**batch(every, 9, name))[0]
        model.train()
    assert not torch.allclose(whole[2], plain[2, : len(whole[2])])  # it drops
    for n in every:
        alone = outputs(model, [n], LENGTHS[n], name, batch=(n, 6))
        torch.testing.assert_close(alone[n], whole[n], rtol=1e-6, atol=1e-6)
    for width in (9, 13, L):  # further than needed
        for found in (
            outputs(model, every, width, name),
            outputs(model, [4, 1, 2, 0], width, name, samples=[4, 1, 2, 0]),
        ):
            for n, y in found.items():
                torch.testing.assert_close(y, whole[n], rtol=1e-6, atol=1e-6)
    for part in ([0, 1], [2, 3, 4, 5]):
        width = max(LENGTHS[n] for n in part)
        found = outputs(model, part, width, name, batch=(part[0], 6))
        for n, y in found.items():
            torch.testing.assert_close(y, whole[n], rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_passes_of_monte_carlo_dropout(name, kind):
    """Alone, padded further, in another order, over a loader, and in a loop of one's own."""
    model = made(name, kind).eval()
    first = "last_hidden_state"
    options = {"task": "regression", "output": first, "keep_samples": True}
    predictor = mc.MCDropout(model, 3, sequence=(0, L), **options)

    def passes(which, width, **given):
        found = predictor(**batch(which, width, name), **given).samples
        return [found[:, n, : LENGTHS[i] - 1] for n, i in enumerate(which)]

    every = [*range(len(LENGTHS))]
    whole = passes(every, 9)
    assert not torch.equal(whole[0][0], whole[0][1])
    order = [4, 1, 0, 5, 3, 2]
    moved = passes(order, 10, index=order)
    for n in every:
        torch.testing.assert_close(moved[order.index(n)], whole[n])
        alone = passes([n], max(LENGTHS[n], 4), index=n)
        torch.testing.assert_close(alone[0], whole[n])
    micro = [(batch([0, 1, 3, 4], 7, name), [0, 1, 3, 4]), (batch([2, 5], 12, name), [2, 5])]
    for given, which in micro:
        found = predictor(**given, index=which).samples
        for n, i in enumerate(which):
            torch.testing.assert_close(found[:, n, : LENGTHS[i] - 1], whole[i])
    with torch.no_grad(), mc.active(model, sequence=(0, L)):
        samples = torch.stack([model(**batch(every, L, name))[first] for _ in range(3)])
    for n in every:
        torch.testing.assert_close(samples[:, n, : LENGTHS[n] - 1], whole[n])
