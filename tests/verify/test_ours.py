"""The verifier's verdict on what is ours, forced to each backend."""

import re

import pytest
import torch

from torchdropout import backends
from torchdropout import functional as F
from torchdropout import nn as td
from torchdropout.verify import check_dropout, check_subject
from torchdropout.verify.specs import infer
from torchdropout.verify.targets import resolve
from verify import _ours
from verify._ours import _active
from verify._zoo import SMALL, quick_share


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


def _slow_on_others(name):
    """tests/_core/kernels compares the bits of the others with those of this one."""
    slow = len(backends.available()) > 1 and name != backends.current()
    return pytest.param(name, marks=pytest.mark.slow) if slow else name


@pytest.mark.integration
@pytest.mark.parametrize("backend", [_slow_on_others(n) for n in backends.available()])
def test_dropout_quick(backend):
    with backends.use(backend):
        report = check_dropout(td.Dropout, level="quick")
    assert not report.findings


def test_every_public_name_is_verified_or_has_a_reason_why_not():
    verified = {name.partition(",")[0] for name in _ours.CASES}
    assert verified | _ours.NOT_VERIFIED.keys() == _ours.public()
    assert not verified & _ours.NOT_VERIFIED.keys()


def test_its_kind_is_known_by_its_name():
    inferred = {name for name, case in _ours.CASES.items() if case.spec is None}
    plain = {name for name in inferred if infer(_ours.CASES[name].target).name == "plain"}
    assert plain == _ours.PLAIN & inferred


def _verified(name, level, only=None):
    case = _ours.CASES[name]
    return check_subject(resolve(case.target, spec=case.spec), level=level, only=only)


def _function_of(name):
    """Return the function of a module: `functional.drop_block2d` for `nn.DropBlock2d`."""
    words = re.sub("(?<=[a-zA-Z])(?=[A-Z])", "_", name.removeprefix("nn.")).lower()
    return f"functional.{words}"


# With the slow tests: modules whose function is verified here, those of a draw a call, which
# take ten seconds and more, and the channels of 1-D and 3-D inputs, which are made as those of 2-D.
LATER = {
    *(n for n in _ours.CASES if n.startswith("nn.") and _function_of(n) in _ours.CASES),
    *("functional.drop_path, batch", "nn.StochasticDepth, batch", "nn.LayerDrop"),
    *("functional.dropout1d", "functional.dropout3d"),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", [name for name in _ours.CASES if name not in LATER])
def test_every_variant_is_right(name):
    """By the checks that do not take long, and in a large call; the slow test has all."""
    report = _verified(name, SMALL, quick_share(name, plain=False) | {"large-call"})
    assert not report.findings, report.findings


@pytest.mark.slow
@pytest.mark.parametrize("name", _ours.CASES)
def test_every_variant_is_right_at_standard(name):
    report = _verified(name, "standard")
    assert not report.findings, report.findings


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_standard(form, backend):
    with backends.use(backend):
        report = check_dropout(form, level="standard")
    assert not report.findings, report.findings
