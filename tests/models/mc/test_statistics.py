"""Streamed statistics: against a direct computation, in any order and split, and refusals."""

import math
import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError
from torchdropout.models.mc import ClassificationStatistics, RegressionStatistics

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def direct_classes(p, dim):
    """The statistics of probabilities `(T, B, ...)` in float64, from the formulas."""
    p = p.double()

    def entropy(q, d):
        return -torch.where(q > 0, q * q.clamp(min=1e-320).log(), 0.0).sum(d)

    mean = p.mean(0)
    predictive, expected = entropy(mean, dim), entropy(p, dim + 1).mean(0)
    winners = p.argmax(dim + 1)
    shares = torch.stack([(winners == c).double().mean(0) for c in range(p.shape[dim + 1])])
    return {
        "mean": mean,
        "variance": ((p - mean) ** 2).mean(0),
        "std": ((p - mean) ** 2).mean(0).sqrt(),
        "prediction": mean.argmax(dim),
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": predictive - expected,
        "variation_ratio": 1 - shares.amax(0),
    }


def direct_values(y, noise, target):
    """The statistics of a regression `(T, B, ...)` in float64, from the formulas."""
    y, noise, target = y.double(), noise.double().expand_as(y), target.double()
    normal = torch.distributions.Normal(y, noise.sqrt())
    logs = normal.log_prob(target).flatten(2).sum(2) if y.ndim > 2 else normal.log_prob(target)
    return {
        "mean": y.mean(0),
        "epistemic_variance": y.var(0, correction=0),
        "aleatoric_variance": noise.mean(0),
        "variance": y.var(0, correction=0) + noise.mean(0),
        "log_density": logs.logsumexp(0) - math.log(len(y)),
    }


def compare(result, expected, **tolerance):
    for name, value in expected.items():
        found = getattr(result, name)
        assert found.shape == value.shape, name
        torch.testing.assert_close(
            found.double(), value.double(), **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def stream(statistics, *chunks):
    for chunk in chunks:
        statistics.update(chunk)
    return statistics


class TestClassification:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize(
        ("shape", "dim"), [((5, 4), 1), ((5, 4), -1), ((3, 6, 2, 2), 1), ((3, 2, 6), -1)]
    )
    def test_as_computed_from_all_samples(self, dtype, shape, dim):
        logits = (3 * torch.randn(40, *shape, generator=generator())).to(dtype)
        r = stream(ClassificationStatistics(class_dim=dim), *logits.split(7)).result()
        place = dim % len(shape)
        expected = direct_classes(logits.double().softmax(place + 1), place)
        tight = 1e-12 if dtype == torch.float64 else 1e-6
        compare(r, expected, rtol=tight, atol=tight)
        assert r.n_samples == 40
        assert r.mean.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)

    def test_what_a_sure_and_an_unsure_model_come_to(self):
        sure = torch.tensor([[[100.0, 0.0]], [[0.0, 100.0]]])  # each pass sure, they disagree
        unsure = torch.zeros(2, 1, 2)
        r = ClassificationStatistics().update(torch.cat([sure, unsure], 1)).result()
        log2 = math.log(2)
        torch.testing.assert_close(r.predictive_entropy, torch.tensor([log2, log2]))
        torch.testing.assert_close(r.mutual_information, torch.tensor([log2, 0.0]))
        torch.testing.assert_close(r.expected_entropy, torch.tensor([0.0, log2]))
        assert r.variation_ratio.tolist() == [0.5, 0.0]

    def test_a_class_that_is_masked_has_no_entropy(self):
        logits = torch.tensor([[[0.0, 0.0, -math.inf]]])
        r = ClassificationStatistics().update(logits).result()
        assert r.mean.tolist() == [[0.5, 0.5, 0.0]]
        torch.testing.assert_close(r.predictive_entropy, torch.tensor([math.log(2)]))

    def test_nan_reaches_its_own_input_and_no_other(self):
        logits = torch.zeros(3, 2, 4)
        logits[1, 0, 2] = math.nan
        r = ClassificationStatistics().update(logits).result()
        for name in ("predictive_entropy", "mutual_information", "variation_ratio"):
            assert getattr(r, name).isnan().tolist() == [True, False], name

    @settings(max_examples=30)
    @given(st.integers(0, 2**32), st.sampled_from([1e-9, 1e-4, 1.0, 30.0]), st.integers(1, 9))
    def test_the_mutual_information_is_negative_by_rounding_only(self, seed, spread, passes):
        g = generator(seed)
        logits = 5 * torch.randn(1, 3, 7, generator=g) + spread * torch.randn(
            passes, 3, 7, generator=g, dtype=torch.float64
        )
        r = stream(ClassificationStatistics(), *logits.split(2)).result()
        assert (r.predictive_entropy - r.expected_entropy).min() > -1e-14 * math.log(7) * 4
        assert r.mutual_information.min() >= 0
        assert r.predictive_entropy.max() <= math.log(7) * (1 + 1e-14)
        if passes == 1:
            assert r.mutual_information.max() < 1e-14
            assert r.variance.max() == 0

    def test_no_gradient_and_no_input_is_touched(self):
        logits = torch.randn(4, 2, 3, generator=generator(), requires_grad=True)
        before = logits.detach().clone()
        r = ClassificationStatistics(keep_samples=True).update(logits).result()
        assert not r.mean.requires_grad
        assert not r.samples.requires_grad
        assert torch.equal(logits, before)


class TestRegression:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("shape", [(5,), (4, 2, 3)])
    @pytest.mark.parametrize("kind", ["number", "tensor", "predicted"])
    def test_as_computed_from_all_samples(self, dtype, shape, kind):
        g = generator()
        y = torch.randn(50, *shape, generator=g).to(dtype)
        target = torch.randn(*shape, generator=g)
        if kind == "predicted":
            noise = torch.rand(50, *shape, generator=g).add(0.1).to(dtype)
            statistics = RegressionStatistics(target=target)
            for a, b in zip(y.split(8), noise.split(8), strict=True):
                statistics.update(a, b)
        else:
            tau = 2.5 if kind == "number" else torch.rand(shape[1:], generator=g) + 0.5
            noise = 1 / torch.as_tensor(tau, dtype=torch.float64)
            statistics = stream(RegressionStatistics(precision=tau, target=target), *y.split(8))
        tight = 1e-12 if dtype == torch.float64 else 1e-6
        compare(statistics.result(), direct_values(y, noise, target), rtol=tight, atol=tight)

    @pytest.mark.parametrize(("size", "offset"), [(10_000, 0.0), (10, 1e4), (100, 1e9)])
    def test_the_variance_of_ten_thousand_passes_far_from_zero(self, size, offset):
        y = torch.randn(10_000, 3, generator=generator(), dtype=torch.float64) + offset
        r = stream(RegressionStatistics(), *y.split(size)).result()
        expected = (y - y[0]).var(0, correction=0)  # the subtraction is exact
        rounding = offset * torch.finfo(torch.float64).eps  # that of the outputs themselves
        torch.testing.assert_close(r.variance, expected, rtol=1e-12, atol=rounding)
        torch.testing.assert_close(r.mean, (y - y[0]).mean(0) + y[0], rtol=1e-14, atol=1e-14)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_outputs_of_16_bits_far_from_zero(self, dtype):
        y = (1000 + torch.randn(10_000, 4, generator=generator())).to(dtype)
        r = stream(RegressionStatistics(), *y.split(50)).result()
        torch.testing.assert_close(r.variance, y.double().var(0, correction=0).float())
        torch.testing.assert_close(r.mean, y.double().mean(0).float(), rtol=1e-7, atol=0)

    def test_a_density_that_underflows_in_each_pass(self):
        y, target = torch.full((1000, 2), 100.0), torch.tensor([0.0, 99.0])
        statistics = RegressionStatistics(precision=10.0, target=target)
        r = stream(statistics, *y.split(33)).result()
        expected = -0.5 * 10 * torch.tensor([100.0**2, 1.0]) + 0.5 * math.log(10 / (2 * math.pi))
        torch.testing.assert_close(r.log_density, expected)

    def test_a_pass_that_is_not_finite_reaches_its_own_input_and_no_other(self):
        y = torch.zeros(4, 3)
        y[1, 0], y[2, 1] = math.inf, math.nan
        r = stream(RegressionStatistics(), *y.split(1)).result()
        assert r.variance.isnan().tolist() == [True, True, False]


@st.composite
def splits(draw):
    """Sizes of chunks, the order in which they are added, and where the accumulator changes."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    order = draw(st.permutations(range(len(sizes))))
    return sizes, order, draw(st.integers(0, len(sizes))), draw(st.integers(0, 2**32))


class TestOrder:
    @settings(max_examples=30)
    @given(splits(), st.sampled_from([0.0, 1e6]))
    def test_chunks_in_any_order_and_any_accumulator(self, case, offset):
        sizes, order, place, seed = case
        g = generator(seed)
        y = torch.randn(sum(sizes), 3, generator=g, dtype=torch.float64) + offset
        target = torch.randn(3, generator=g, dtype=torch.float64) + offset
        noise = torch.rand(sum(sizes), 3, generator=g, dtype=torch.float64) + 0.1
        chunks = list(zip(y.split(sizes), noise.split(sizes), strict=True))
        two = [RegressionStatistics(target=target) for _ in range(2)]
        for n, chunk in enumerate(order):
            two[n >= place].update(*chunks[chunk])
        r = two[0].merge(two[1]).result()
        assert r.n_samples == sum(sizes)
        compare(r, direct_values(y, noise, target), rtol=1e-9, atol=1e-9)

    @settings(max_examples=30)
    @given(splits())
    def test_the_same_of_classes(self, case):
        sizes, order, place, seed = case
        logits = 4 * torch.randn(sum(sizes), 3, 5, generator=generator(seed), dtype=torch.float64)
        chunks = logits.split(sizes)
        two = [ClassificationStatistics(), ClassificationStatistics()]
        for n, chunk in enumerate(order):
            two[n >= place].update(chunks[chunk])
        before = pickle.dumps(two[1])
        r = two[0].merge(two[1]).result()
        compare(r, direct_classes(logits.softmax(-1), 1), rtol=1e-12, atol=1e-12)
        assert pickle.dumps(two[1]) == before  # what is merged is not changed

    def test_more_passes_after_a_result_leave_it_as_it_was(self):
        statistics = RegressionStatistics().update(torch.ones(2, 3, dtype=torch.float64))
        early = statistics.result()
        early.mean.add_(1)  # a copy
        statistics.update(torch.zeros(2, 3, dtype=torch.float64))
        assert early.mean.tolist() == [2.0] * 3
        assert statistics.result().mean.tolist() == [0.5] * 3

    def test_samples_are_copies_in_the_order_in_which_they_were_added(self):
        y = torch.tensor([[1.0], [2.0]])
        a = RegressionStatistics(keep_samples=True).update(y)
        b = RegressionStatistics(keep_samples=True).update(torch.tensor([[3.0]]))
        y.zero_()
        assert a.merge(b).result().samples.flatten().tolist() == [1.0, 2.0, 3.0]

    def test_the_means_of_the_first_passes(self):
        y = torch.randn(10, 2, generator=generator())
        r = stream(RegressionStatistics(record_means=True), *y.split(4)).result()
        assert [n for n, _ in r.running_means] == [4, 8, 10]
        for n, mean in r.running_means:
            torch.testing.assert_close(mean, y[:n].mean(0))

    @pytest.mark.parametrize("make", [ClassificationStatistics, RegressionStatistics])
    def test_what_is_kept_does_not_grow_with_the_passes(self, make):
        few, many = make(), make()
        for n in range(50):
            chunk = torch.randn(4, 3, 5, generator=generator(n))
            if n < 1:
                few.update(chunk)
            many.update(chunk)
        assert abs(len(pickle.dumps(few)) - len(pickle.dumps(many))) < 10


C, R = ClassificationStatistics, RegressionStatistics
ONES = torch.ones(2, 3)
REFUSED = {
    "no passes": (lambda: R().result(), ValueError, "got 0 passes"),
    "an empty chunk": (lambda: R().update(torch.ones(0, 3)), ValueError, "1 or more over B inputs"),
    "classes without n": (lambda: C().update(ONES), ValueError, "dimension of classes"),
    "integers": (lambda: R().update(torch.ones(2, 3, dtype=int)), TypeError, "floating-point"),
    "a tuple": (lambda: R().update((ONES, ONES)), TypeError, "select_output"),
    "one logit": (lambda: C().update(torch.ones(2, 3, 1)), ValueError, "torch.stack"),
    "the batch as classes": (lambda: C(class_dim=0), ValueError, "that of the batch"),
    "no such dimension": (lambda: C(class_dim=2).update(torch.ones(2, 3, 4)), ValueError, "1 to 1"),
    "unknown outputs": (lambda: C(outputs="probs"), ValueError, "got outputs='probs' (str)"),
    "a dimension as text": (lambda: C(class_dim="1"), TypeError, "got class_dim='1' (str)"),
    "precision of integers": (lambda: R(precision=torch.ones(3, dtype=int)), TypeError, "tensor"),
    "precision as text": (lambda: R(precision="1"), TypeError, "got precision='1' (str)"),
    "a variance as a number": (lambda: R().update(ONES, 1.0), TypeError, "`variance`"),
    "a complex target": (
        lambda: R(target=torch.ones(3, dtype=torch.complex64)),
        *(TypeError, "`target` to be a tensor of real numbers"),
    ),
    "keep as a number": (lambda: C(keep_samples=1), TypeError, "`keep_samples` to be a bool"),
    "logits as probabilities": (
        lambda: C(outputs="probabilities").update(torch.randn(2, 3, 4, generator=generator())),
        *(ValueError, "outputs='logits'"),
    ),
    "a sum of 1.0312 in 16 bits": (
        lambda: C(outputs="probabilities").update(torch.full((2, 3, 4), 33 / 128).bfloat16()),
        *(ValueError, "sums from 1.031 to 1.031"),
    ),
    "a probability below 0": (
        lambda: C(outputs="probabilities").update(torch.tensor([[[1.5, -0.5]]])),
        *(ValueError, "got a least value of -0.5 and sums from 1 to 1"),
    ),
    "a target on another device": (
        lambda: R(target=torch.ones(3, device="meta"), precision=1.0).update(ONES),
        *(ValueError, "`target` to be on the outputs' device, cpu, got one on meta"),
    ),
    "merging without a variance": (
        lambda: R().update(ONES, ONES).merge(R().update(ONES)),
        *(ValueError, "to be with a variance of the noise in its updates, got one without"),
    ),
    "precision NaN": (lambda: R(precision=math.nan), ValueError, "above 0"),
    "precision of 0 in a tensor": (lambda: R(precision=torch.zeros(3)), ValueError, "everywhere"),
    "precision of another shape": (
        lambda: R(precision=torch.ones(2)).update(ONES),
        *(ValueError, "broadcasts to the shape (3,)"),
    ),
    "target as a list": (lambda: R(target=[1.0]), TypeError, "`target` to be a tensor"),
    "a target that would broadcast": (
        lambda: R(target=torch.ones(3), precision=1.0).update(torch.ones(2, 3, 1)),
        *(ValueError, "without broadcasting"),
    ),
    "a target without the noise": (
        lambda: R(target=torch.ones(3)).update(ONES),
        ValueError,
        "noise",
    ),
    "the noise twice": (lambda: R(precision=1.0).update(ONES, ONES), ValueError, "`precision`"),
    "a variance of 0": (lambda: R().update(ONES, 0 * ONES), ValueError, "above 0 everywhere"),
    "a variance of another shape": (lambda: R().update(ONES, ONES[:1]), ValueError, "broadcasting"),
    "a variance, then none": (lambda: R().update(ONES, ONES).update(ONES), TypeError, "before"),
    "no variance, then one": (lambda: R().update(ONES).update(ONES, ONES), ValueError, "before"),
    "another shape": (lambda: R().update(ONES).update(torch.ones(2, 4)), ValueError, "same shape"),
    "another dtype": (lambda: R().update(ONES).update(ONES.double()), ValueError, "same dtype"),
    "merging with another class": (lambda: R().merge(C()), TypeError, "a RegressionStatistics"),
    "merging other shapes": (
        lambda: R().update(ONES).merge(R().update(torch.ones(2, 4))),
        *(ValueError, "same shape of one pass, (3,), got (4,)"),
    ),
    "merging with a variance": (
        lambda: R().update(ONES).merge(R().update(ONES, ONES)),
        *(ValueError, "without a variance"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=f"^Expected .*{re.escape(words)}") as caught:
        call()
    assert ", got " in str(caught.value)
    assert isinstance(caught.value, TorchDropoutError)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (C, {"class_dim": -1}),
        (C, {"outputs": "probabilities"}),
        (C, {"record_means": True}),
        (R, {"keep_samples": True}),
        (R, {"precision": 2.0}),
        (R, {"precision": 1.0, "target": ONES[0]}),
    ],
)
def test_merging_other_settings_is_refused(make, settings):
    theirs = make(**settings)
    mine = R(precision=1.0, target=0 * ONES[0]) if "target" in settings else make()
    with pytest.raises(
        ArgumentValueError, match=f"Expected `other` to have the same {[*settings][-1]}"
    ):
        mine.merge(theirs)


@pytest.mark.parametrize(
    ("statistics", "right", "wrong"),
    [
        (
            R(target=torch.ones(3), keep_samples=True, record_means=True),
            (ONES, ONES),
            (ONES, -ONES),
        ),
        (C(keep_samples=True, record_means=True), (torch.ones(2, 3, 4),), (torch.ones(2, 3, 5),)),
    ],
    ids=["regression", "classification"],
)
def test_a_failed_update_changes_nothing(statistics, right, wrong):
    statistics.update(*right)
    before = pickle.dumps(statistics)
    with pytest.raises((ArgumentTypeError, ArgumentValueError)):
        statistics.update(*wrong)
    assert pickle.dumps(statistics) == before


@pytest.mark.parametrize(
    ("p", "dtype"),
    [
        ([0.0, 1.0], torch.float32),
        ([0.5002, 0.5002], torch.float32),
        ([0.4998, 0.4998], torch.float64),
        ([0.5078125, 0.5], torch.bfloat16),
        ([0.505, 0.505], torch.float16),
    ],
)
def test_probabilities_are_divided_by_their_sum(p, dtype):
    chunk = torch.tensor([[p]], dtype=dtype)
    mean = C(outputs="probabilities").update(chunk).result().mean
    torch.testing.assert_close(mean.sum(), torch.ones((), dtype=mean.dtype))
    torch.testing.assert_close(mean, (chunk.double() / chunk.double().sum())[0].to(mean.dtype))


@pytest.mark.parametrize("first", [True, False])
def test_an_accumulator_without_passes_is_merged(first):
    full, empty = R(precision=1.0).update(ONES), R(precision=1.0)
    merged = full.merge(empty) if first else empty.merge(full)
    assert merged.n_samples == 2
    assert R().merge(R()).n_samples == 0
