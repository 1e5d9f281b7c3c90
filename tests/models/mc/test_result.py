"""A result: its attributes, quantiles, concatenation and text."""

import importlib
import math
import pickle

import pytest
import torch

from torchdropout.errors import TorchDropoutError
from torchdropout.models.mc import ClassificationStatistics, RegressionStatistics, Result

BOTH = ("mean", "variance", "std", "samples")
CLASSES = (
    "prediction",
    "predictive_entropy",
    "expected_entropy",
    "mutual_information",
    "variation_ratio",
)
VALUES = ("epistemic_variance", "aleatoric_variance", "log_density")


def classes(passes=6, size=4, index=None, seed=0, **settings):
    logits = torch.randn(passes, size, 3, generator=torch.Generator().manual_seed(seed))
    return ClassificationStatistics(**settings).update(logits).result(index)


def values(passes=6, size=4, index=None, seed=0, **settings):
    g = torch.Generator().manual_seed(seed)
    y, target = torch.randn(passes, size, generator=g), torch.randn(size, generator=g)
    return RegressionStatistics(precision=4.0, target=target, **settings).update(y).result(index)


def test_the_attributes_of_each_task_and_no_others():
    a, b = classes(keep_samples=True), values(keep_samples=True)
    for name in BOTH:
        assert hasattr(a, name)
        assert hasattr(b, name)
    for name in CLASSES:
        assert hasattr(a, name)
        with pytest.raises(AttributeError, match=f"`{name}` belongs to task='classification'") as e:
            getattr(b, name)
        assert isinstance(e.value, TorchDropoutError)
        assert "has mean, variance, std, epistemic_variance" in str(e.value)
    for name in VALUES:
        assert hasattr(b, name)
        with pytest.raises(AttributeError, match=f"`{name}` belongs to task='regression'"):
            getattr(a, name)


def test_what_was_not_computed_says_how():
    r = RegressionStatistics().update(torch.ones(2, 3)).result()
    for name, how in [
        ("samples", "keep_samples=True"),
        ("aleatoric_variance", "precision="),
        ("log_density", "target="),
    ]:
        with pytest.raises(AttributeError, match=f"has no `{name}`.*{how}"):
            getattr(r, name)
    with pytest.raises(AttributeError, match=r"no quantiles.*keep_samples=True"):
        r.quantiles([0.5])


def tensors(r):
    return [r.mean, r.index, r.samples, r.mutual_information, r.running_means[0][1]]


def test_what_goes_along_in_a_file_and_to_another_device():
    r = classes(keep_samples=True, record_means=True)
    again = pickle.loads(pickle.dumps(r))
    assert repr(again) == repr(r)
    assert all(map(torch.equal, tensors(again), tensors(r)))
    assert {x.device.type for x in tensors(r.to("meta"))} == {"meta"}


class TestQuantiles:
    @pytest.mark.parametrize("passes", [1, 2, 7, 100])
    def test_as_torch(self, passes):
        r = values(passes, keep_samples=True)
        q = [0.0, 0.05, 0.5, 0.95, 1.0]
        expected = torch.quantile(r.samples, torch.tensor(q), 0)
        assert torch.equal(r.quantiles(q), expected)
        assert torch.equal(r.quantiles(0.5), expected[2])
        assert r.quantiles(0).shape == r.mean.shape

    def test_more_elements_than_torch_accepts(self, monkeypatch):
        module = importlib.import_module("torchdropout.models.mc._result")
        r = classes(10, keep_samples=True)
        expected = r.quantiles([0.1, 0.7])
        sizes = []
        quantile = torch.quantile
        monkeypatch.setattr(module, "_QUANTILE_LIMIT", 25)
        monkeypatch.setattr(
            torch, "quantile", lambda x, *rest: sizes.append(x.numel()) or quantile(x, *rest)
        )
        assert torch.equal(r.quantiles([0.1, 0.7]), expected)
        assert sizes == [20] * 6
        monkeypatch.setattr(module, "_QUANTILE_LIMIT", 5)  # at least one output at a time
        assert torch.equal(r.quantiles([0.1, 0.7]), expected)
        assert sizes[6:] == [10] * 12

    @pytest.mark.integration
    def test_torch_takes_as_many_as_the_limit(self):
        """And no more, up to 2.13; 2.15 does."""
        limit = importlib.import_module("torchdropout.models.mc._result")._QUANTILE_LIMIT
        assert torch.quantile(torch.zeros(1).expand(limit), 0.5) == 0
        if tuple(map(int, torch.__version__.split(".")[:2])) <= (2, 13):
            with pytest.raises(RuntimeError, match="too large"):
                torch.quantile(torch.zeros(1).expand(limit + 1), 0.5)

    def test_of_no_inputs(self):
        r = RegressionStatistics(keep_samples=True).update(torch.ones(3, 0, 2)).result()
        assert r.quantiles([0.3, 0.4]).shape == (2, 0, 2)

    @pytest.mark.parametrize(
        ("q", "error", "words"),
        [
            *((q, ValueError, r"`q` to be in \[0, 1\]") for q in (1.5, -0.1, math.nan, [0.5, 2])),
            *((q, TypeError, "`q` to be a number") for q in ("0.5", None, [None], True)),
        ],
    )
    def test_refused(self, q, error, words):
        with pytest.raises(error, match=f"Expected {words}"):
            values(keep_samples=True).quantiles(q)


class TestIndex:
    @pytest.mark.parametrize(
        ("given", "found"),
        [
            (None, [0, 1, 2, 3]),
            (7, [7, 8, 9, 10]),
            (2**63 - 4, [2**63 - 4 + n for n in range(4)]),
            ([3, 1, 9, 0], [3, 1, 9, 0]),
            (torch.tensor([3, 1, 9, 0], dtype=torch.int32), [3, 1, 9, 0]),
        ],
    )
    def test_which_inputs(self, given, found):
        index = values(index=given).index
        assert index is not given
        assert index.tolist() == found
        assert index.dtype == torch.int64

    @pytest.mark.parametrize(
        ("given", "error", "words"),
        [
            (-1, ValueError, "0 or more"),
            ([0, 1, 2, -3], ValueError, "0 or more"),
            ([0, 1, 2], ValueError, "each of 4 inputs"),
            ([0, 1, 2, 2], ValueError, "each once"),
            (1.0, TypeError, "integers"),
            (True, TypeError, "integers"),
            (torch.ones(4, dtype=torch.bool), TypeError, "integers"),
            ("0123", TypeError, "integers"),
            ([0, 1, 2, 3.0], TypeError, "integers"),
            (torch.zeros(2, 2, dtype=torch.int64), ValueError, "each of 4 inputs"),
            (2**63 - 3, ValueError, r"below 2\*\*63"),
        ],
    )
    def test_refused(self, given, error, words):
        with pytest.raises(error, match=words):
            values(index=given)


class TestCat:
    @pytest.mark.parametrize(
        ("make", "names"),
        [(ClassificationStatistics, (*BOTH, *CLASSES)), (RegressionStatistics, (*BOTH, *VALUES))],
    )
    def test_batches_are_the_whole(self, make, names):
        g = torch.Generator().manual_seed(0)
        y, target = torch.randn(6, 10, 3, generator=g), torch.randn(10, 3, generator=g)

        def of(part):
            options = {} if names[-1] in CLASSES else {"precision": 2.0, "target": target[part]}
            statistics = make(keep_samples=True, record_means=True, **options)
            return statistics.update(y[:4, part]).update(y[4:, part]).result(part.start)

        joined, whole = Result.cat([of(slice(4, 10)), of(slice(0, 4))]), of(slice(None))
        assert joined.index.tolist() == [*range(4, 10), *range(4)]
        assert len(joined) == 10
        order = joined.index.argsort()
        for name in names:
            found = getattr(joined, name)
            found = found[:, order] if name == "samples" else found[order]
            torch.testing.assert_close(found, getattr(whole, name), msg=name)
        for (n, a), (m, b) in zip(joined.running_means, whole.running_means, strict=True):
            assert n == m
            torch.testing.assert_close(a[order], b)

    def test_values_that_not_all_have_are_left_out(self):
        joined = Result.cat([values(keep_samples=True), values(index=4)])
        assert not hasattr(joined, "samples")
        assert hasattr(joined, "log_density")

    @pytest.mark.parametrize(
        ("others", "error", "words"),
        [
            ([], ValueError, "at least one"),
            ([values(), 3], TypeError, r"got results=3 \(int\)"),
            ([values(), classes(index=4)], ValueError, "same task"),
            ([values(), values(5, index=4)], ValueError, "same n_samples, got 6 and 5"),
            ([values(), values(index=3)], ValueError, "index 3 more than once"),
            (
                [classes(), ClassificationStatistics().update(torch.ones(6, 1, 5)).result(9)],
                *(ValueError, r"same shape of an input, got \(3,\) and \(5,\)"),
            ),
        ],
    )
    def test_refused(self, others, error, words):
        with pytest.raises(error, match=words):
            Result.cat(others)


def test_the_text():
    text = repr(classes(keep_samples=True, index=8))
    assert text.startswith("Result of 6 passes over 4 inputs (index 8 to 11): classification of 3")
    assert text.count(" nats") == 2
    assert repr(values(1, 1)).startswith("Result of 1 pass over 1 input (index 0 to 0): regression")
