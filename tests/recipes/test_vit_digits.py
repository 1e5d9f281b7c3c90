"""The recipe of the vision transformer: what it trains on and with, and a small run of it."""

import pytest
import torch
from scipy import stats

import torchdropout as td


def test_the_interval_is_students(recipe):
    values = [0.3, 0.1, 0.7, 0.4, 0.2]
    mean, half = recipe.interval(values)
    low, high = stats.t.interval(0.95, 4, mean, stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_a_split_has_every_digit_once(recipe):
    images, classes, test_images, test_classes = recipe.data(3)
    assert images.shape == (recipe.TRAIN, 1, recipe.SIDE, recipe.SIDE)
    assert len(images) + len(test_images) == len(classes) + len(test_classes) == 1797
    everything = torch.cat((images, test_images)).flatten(1)
    assert everything.min() == -1
    assert everything.max() == 1
    again = recipe.data(4)
    assert not torch.equal(again[0], images)
    order = torch.cat((again[0], again[2])).flatten(1)
    assert torch.equal(everything.sum(1).sort().values, order.sum(1).sort().values)


def test_the_model_without_dropout_is_plain_and_with_it_in_eval_too(recipe):
    images = recipe.data(0)[0][:5]
    torch.manual_seed(0)
    plain = recipe.ViT(**recipe.RECIPES["no dropout"])
    dropped = recipe.ViT(**recipe.RECIPES["all three"])
    dropped.load_state_dict(plain.state_dict())
    before = torch.get_rng_state()
    expected = plain(images)
    assert torch.equal(dropped.eval()(images), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(dropped.train()(images), expected)


def test_what_all_three_drop(recipe):
    model = recipe.ViT(**recipe.RECIPES["all three"])
    seen = []
    model.blocks[0].register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    model(torch.zeros(5, 1, 8, 8))
    model.eval()(torch.zeros(5, 1, 8, 8))
    assert seen == [(5, 1 + 12, recipe.WIDTH), (5, 1 + 16, recipe.WIDTH)]
    paths = [m.p for m in model.modules() if isinstance(m, td.nn.DropPath)]
    assert paths == pytest.approx([0.0, 0.0, 0.05, 0.05, 0.1, 0.1])


@pytest.mark.integration
def test_a_small_run(recipe, run, tmp_path):
    printed, rows = run()
    assert [(r["recipe"], r["seed"]) for r in rows] == [
        (name, str(seed)) for name in recipe.RECIPES for seed in range(2)
    ]
    for name in recipe.RECIPES:
        values = [100 * float(r["accuracy"]) for r in rows if r["recipe"] == name]
        assert f"| {name} |" in printed
        assert f"| {sum(values) / 2:.2f} ± " in printed
    assert "All three dropouts" in printed
    assert (tmp_path / "vit_digits.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("gains", "words"), [((0.02, 0.03, 0.02), "more"), ((-0.02, -0.03, -0.02), "less")]
)
def test_the_title_states_what_was_found(recipe, gains, words):
    plain = [[(4, 0.5, 0.9)]] * 3
    ours = [[(4, 0.5, 0.9 + gain)] for gain in gains]
    found = recipe.finding({"no dropout": plain, "all three": ours})
    assert words in found
    unclear = recipe.finding({"no dropout": plain, "all three": [plain[0], ours[0], ours[1]]})
    assert "no clear change" in unclear
