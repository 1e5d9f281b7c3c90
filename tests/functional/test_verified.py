"""The verifier at its standard level finds nothing; `tests/verify` has it coarser."""

import functools

import pytest
import torch

from torchdropout import functional as F
from torchdropout import nn
from torchdropout._core._validate import check_p
from torchdropout.verify import check_dropout


def n_of_four(x, p, training, **given):
    return F.n_m_dropout(x, round(4 * (1 - check_p(p))), 4, training, **given)


def blocks_by_count(x, p, training):
    return F.drop_block2d(x, p, training=training, scale="count")


def rows_of_a_table(x, p, training):
    return F.embedding_dropout(torch.arange(len(x)), x, p, training)


def dropped_weights(p):
    return nn.WeightDrop(torch.nn.Linear(32, 32), p, "weight")


def dropped_rows(p):
    return nn.EmbeddingDropout(torch.nn.Embedding(256, 4), p)


TARGETS = {
    "attention": (F.scaled_dot_product_attention, None),
    "drop_block2d": (F.drop_block2d, "drop-block"),
    "drop_block2d, by count": (blocks_by_count, "drop-block"),
    "drop_path": (F.drop_path, None),
    "locked_dropout": (F.locked_dropout, None),
    "n of 4": (n_of_four, "n-of-m"),
    "n of 4, unscaled": (functools.partial(n_of_four, scale_by_keep=False), "n-of-m"),
    "columns of a row": (functools.partial(F.column_dropout, mode="row"), "n-of-m"),
    "token_dropout": (F.token_dropout, "tokens"),
    "TokenDropout": (nn.TokenDropout, "tokens"),
    "rows of a table": (rows_of_a_table, "embedding"),
    "EmbeddingDropout": (dropped_rows, "weights"),
    "WeightDrop": (dropped_weights, "weights"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_the_verifier_finds_nothing(name):
    target, spec = TARGETS[name]
    given = {} if spec is None else {"spec": spec}
    report = check_dropout(target, level="standard", **given)
    assert not report.findings, report.findings
