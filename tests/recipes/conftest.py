"""Each file tests the recipe of its name."""

import csv

import pytest
import torch

from scripts import ROOT, loaded


@pytest.fixture(scope="module")
def recipe(request):
    name = request.path.stem.removeprefix("test_")
    return loaded(ROOT / "examples" / "recipes" / f"{name}.py")


@pytest.fixture
def run(recipe, tmp_path, capsys):
    """Runs the recipe with little of everything: what it prints, and the lines of its table."""

    def small(*options):
        threads = torch.get_num_threads()
        try:
            recipe.main(["--quick", "--out", str(tmp_path), *options])
        finally:
            torch.set_num_threads(threads)
        (table,) = tmp_path.glob("*.csv")
        with table.open() as file:
            return capsys.readouterr().out, list(csv.DictReader(file))

    return small
