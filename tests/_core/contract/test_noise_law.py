"""`benchmarks/noise_law.py accuracy` accepts our numbers, and notices those that are off."""

import math

import pytest

import scripts
from torchdropout._core.contract import noise


@pytest.fixture(scope="module")
def noise_law():
    with scripts.benchmark("noise_law") as module:
        yield module


def test_some_words_are_right(noise_law, capsys):
    assert noise_law.main(["accuracy", "--stride", "65537"]) == 0
    said, complaints = capsys.readouterr()
    assert [line.split(":")[0].strip() for line in said.splitlines()] == [
        *("uniform", "normal", "logistic")
    ]
    assert complaints == ""


@pytest.mark.slow
def test_many_words_are_right(noise_law):
    """Four million words of each distribution, and the edges."""
    assert noise_law.main(["accuracy", "--stride", "513"]) == 0


def test_all_words_are_those_of_the_lower_half(noise_law, monkeypatch):
    monkeypatch.setattr(noise, "MIDDLE", 2**12)
    monkeypatch.setattr(noise_law, "PIECE", 1000)
    assert [w for words in noise_law.pieces(1) for w in words.tolist()] == list(range(2**12))


# Small changes: the errors are 1.3e-6 to 4.4e-6, or NaN.
BROKEN = {
    "central": ("_A", lambda a: (a[0] + 4e-6, *a[1:])),
    "tail": ("_C", lambda c: (c[0] + 1e-5, *c[1:])),
    "split": ("_CENTRAL", lambda end: end + 0x1000000),
    "logarithm": ("_LN2_LOW", lambda low: low * 1.05),
    "nan": ("_D", lambda d: (math.nan, *d[1:])),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_number_that_is_off_is_noticed(noise_law, monkeypatch, capsys, what):
    name, change = BROKEN[what]
    monkeypatch.setattr(noise, name, change(getattr(noise, name)))
    assert noise_law.main(["accuracy", "--stride", "65537"]) == 1
    assert "section 7 of docs/contract.md allows 1.1e-06" in capsys.readouterr().err
