"""The recipe of the digits that turn: rotation, measures, and a small run."""

import pytest
import torch

import torchdropout as td


def test_a_rotation_turns_anticlockwise(recipe):
    images = recipe.data(0)[0][:3]
    for quarter in range(3):
        expected = images.rot90(quarter, (1, 2))
        torch.testing.assert_close(recipe.rotate(images, 90 * quarter), expected, atol=1e-5, rtol=0)
    corner = recipe.rotate(torch.ones(1, 8, 8), 45)[0, 0, 0]
    assert corner == -1  # background


def test_training_and_test_digits_are_apart(recipe):
    images, classes, test, test_classes = recipe.data(1)
    assert len(images) == len(classes) == recipe.TRAIN
    assert len(images) + len(test) == len(classes) + len(test_classes) == 1797
    whole = torch.cat((images, test)).flatten(1).sum(1).sort().values
    again = recipe.data(2)
    assert torch.equal(whole, torch.cat((again[0], again[2])).flatten(1).sum(1).sort().values)
    assert not torch.equal(again[0], images)


def test_the_calibration_error_is_that_of_the_plot(recipe):
    logits = 2 * torch.randn(9, 200, 4, generator=torch.Generator().manual_seed(0))
    r = td.mc.ClassificationStatistics().update(logits).result()
    classes = torch.arange(200) % 4
    title = td.mc.plot.reliability(r, classes).get_title()
    assert title.startswith(f"ECE {recipe.calibration(r, classes):.3f}")


def test_the_share_of_pairs(recipe):
    score = torch.tensor([0.1, 0.5, 0.5, 0.9])
    wrong = torch.tensor([False, True, False, True])
    assert recipe.found(score, wrong) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


@pytest.mark.integration
def test_a_small_run(recipe, run, tmp_path):
    printed, rows = run()
    assert len(rows) == len(recipe.MEASURES) * len(recipe.ANGLES) * 2
    first = [float(r["value"]) for r in rows if (r["measure"], r["degrees"]) == ("accuracy", "0")]
    assert f"| 0 | {sum(first) / 2:.2f} |" in printed
    assert (tmp_path / "recipe-mc_digits.svg").read_text().startswith("<?xml")
