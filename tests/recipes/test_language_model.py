"""The recipe of the language model: what it trains on and with, and a small run of it."""

import math

import pytest
import torch
from scipy import stats

import torchdropout as td


def test_the_interval_is_students(recipe):
    for count in (2, 5, 10):
        values = torch.randn(count).double().tolist()
        mean, half = recipe.interval(values)
        low, high = stats.t.interval(0.95, count - 1, mean, stats.sem(values))
        assert math.isclose(mean - half, low, rel_tol=1e-3)
        assert math.isclose(mean + half, high, rel_tol=1e-3)


def test_the_text_is_split_by_paragraphs_that_are_there_once(recipe, monkeypatch):
    pages = [f"page {i}\n\nshared a b c" for i in range(200)]
    monkeypatch.setattr(recipe, "topics", dict(enumerate(pages)))
    train, valid, words = recipe.corpus(None)
    # 201 paragraphs of 3 tokens, "page i <end>", but one of 5: 40 of them for validation.
    assert len(train) + len(valid) == 200 * 3 + 5
    assert len(valid) == 40 * 3
    assert words == 3  # unknown, page, <end>
    assert int(train.max()) == int(valid.max()) == 2


def test_pieces_go_on_where_the_one_before_ended(recipe):
    words = torch.arange(1000)
    batches = recipe.pieces(words)
    x = torch.cat([x for x, _ in batches])
    y = torch.cat([y for _, y in batches])
    assert torch.equal(y, x + 1)
    assert torch.equal(x[1:], x[:-1] + 1)
    assert x.shape[1] == recipe.BATCH


def test_the_model_without_dropout_is_plain_and_with_it_in_eval_too(recipe):
    words = torch.randint(30, (7, 4))
    torch.manual_seed(0)
    plain = recipe.LanguageModel(30, 8, recipe.VARIANTS["no dropout"])
    dropped = recipe.LanguageModel(30, 8, recipe.VARIANTS["AWD-LSTM"])
    dropped.load_state_dict(plain.state_dict())
    expected, _ = plain(words)
    assert torch.equal(dropped.eval()(words)[0], expected)
    assert not torch.equal(dropped.train()(words)[0], expected)
    assert dropped.decoder.weight is dropped.embedding.emb.weight
    kinds = (td.nn.EmbeddingDropout, td.nn.WeightDrop, td.nn.LSTM, td.nn.LockedDropout)
    assert all(any(isinstance(m, kind) for m in dropped.modules()) for kind in kinds)


@pytest.mark.integration
def test_a_small_run(recipe, run, tmp_path):
    printed, rows = run("--variants", *recipe.VARIANTS)
    assert len(rows) == 2 * len(recipe.VARIANTS)
    words = recipe.corpus(4000)[2]
    for name in recipe.VARIANTS:
        assert f"{name:10}  validation" in printed
        first, last = (float(r["validation"]) for r in rows if r["variant"] == name)
        assert last < first < math.log(words) + 0.1
    picture = (tmp_path / "language_model.svg").read_text()
    assert "Without dropout the loss is" in picture or "<path" in picture
