"""The verifier's verdict on what is ours, forced to each backend."""

import pytest
import torch

from torchdropout import backends
from torchdropout import functional as F
from torchdropout import nn as td
from torchdropout.verify import check_dropout


def _active(x, p, training):
    return training and p != 0  # a wrong p is for the function to refuse


def into_out(x, p, training):
    """`out=` takes no gradient: with one, the call without it."""
    if torch.is_grad_enabled() and x.requires_grad:
        return F.dropout(x, p, training)
    return F.dropout(x, p, training, out=torch.empty_like(x)) if _active(x, p, training) else x


def in_place(x, p, training):
    return F.dropout(x.clone(), p, training, True) if _active(x, p, training) else x


def added_to_zero(x, p, training):
    """-0.0 + 0.0 is +0.0, and 0 + x is x for every other x."""
    return F.dropout_add(x, torch.zeros_like(x), p, training) if _active(x, p, training) else x


def channels_of_one(x, p, training):
    """Each element a channel: what dropout1d shares is then a single element."""
    y = F.dropout1d(x.reshape(1, -1, 1), p, training).reshape(x.shape)
    return y if _active(x, p, training) else x


def paths_of_one(x, p, training):
    y = F.dropout(x.reshape(-1, 1, 1), p, training, broadcast_dims=(1, 2)).reshape(x.shape)
    return y if _active(x, p, training) else x


FORMS = [td.Dropout, F.dropout, into_out, in_place, added_to_zero, channels_of_one, paths_of_one]


@pytest.mark.parametrize("backend", backends.available())
def test_dropout_quick(backend):
    with backends.use(backend):
        report = check_dropout(td.Dropout, level="quick")
    assert not report.findings


KINDS = [
    td.Dropout1d,
    td.Dropout2d,
    td.Dropout3d,
    td.AlphaDropout,
    td.FeatureAlphaDropout,
    td.DropoutAdd,
    F.dropout2d,
    F.alpha_dropout,
    F.dropout_add,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_known_and_right(kind, judge):
    report = judge(kind)
    assert report.spec != "plain"
    assert not report.findings, report.findings


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_standard(form, backend):
    with backends.use(backend):
        report = check_dropout(form, level="standard")
    assert not report.findings, report.findings
