import os
import shutil
from pathlib import Path

import nbformat
import pytest
import torch

import torchdropout
from scripts import ROOT, loaded
from torchdropout.verify import check_dropout

EXAMPLES = ROOT / "examples"
SOURCE = Path(torchdropout.__file__).parents[1]


models = loaded(EXAMPLES / "notebook_models.py")
runner = loaded(EXAMPLES / "run_notebook.py")


@pytest.fixture
def stored():
    return nbformat.read(EXAMPLES / "dropout.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    outputs = (output for cell in code_cells(notebook) for output in cell.outputs)
    return "".join(output.get("text", "") for output in outputs)


# With the site, which shows it: `make docs`. Jupyter's packages warn of each other's deprecations,
# which is not a fault of the notebook.
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_notebook_runs_from_the_first_cell_to_the_last(tmp_path, monkeypatch, stored):
    shutil.copy(EXAMPLES / "notebook_models.py", tmp_path)
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for cell in code_cells(stored):
        cell.outputs, cell.execution_count = [], None
    runner.execute(stored, tmp_path)  # raises what a cell raises
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    # The cells compute and do not only run: these lines come from the runner.
    assert "error   p-one-zeros " in printed(stored)
    assert "error   dtype-kept " in printed(stored)
    assert printed(stored).count("nothing found") == 2
    assert "\nhidden  0.5 " in printed(stored)


def test_each_picture_of_the_notebook_has_words(stored):
    cells = code_cells(stored)
    drawn = [c for c in cells if any("image/png" in o.get("data", {}) for o in c.outputs)]
    assert [c.id for c in drawn] == [c.id for c in cells if c.metadata.get("alt")]


def test_notebook_is_stored_with_its_outputs(stored):
    nbformat.validate(stored)
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    text = printed(stored)
    assert "nothing found" in text
    assert not [output for output in outputs if output.get("name") == "stderr"]
    places = ("/tmp", "/home", "/root", "/work", "/usr", "site-packages", " 0x", str(Path.home()))
    assert [place for place in places if place in text] == []
    assert (EXAMPLES / "dropout.ipynb").stat().st_size < 160_000


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_teaching_version_does_what_the_original_does(p):
    x = torch.randn(32, 32)
    model = models.JustDropoutModelImpl(p)
    torch.manual_seed(3)
    y = model.train()(x)
    torch.manual_seed(3)
    mask = (torch.rand(x.shape) > p).float()
    assert torch.equal(y.nan_to_num(7), (x * mask / (1.0 - p)).nan_to_num(7))
    assert torch.equal(torch.signbit(y), torch.signbit(x * mask / (1.0 - p)))
    assert model.eval()(x) is x
    assert model.dropout_prob == p


@pytest.mark.integration
@pytest.mark.parametrize(
    ("level", "not_run"),
    [
        ("quick", {"inplace-claim", "arguments-unmodified", "device-followed", "compiled-law"}),
        pytest.param("standard", {"inplace-claim", "arguments-unmodified"}, marks=pytest.mark.slow),
    ],
)
def test_simple_dropout_passes_every_check(level, not_run):
    report = check_dropout(models.SimpleDropout, level=level)
    assert [(finding.name, finding.message) for finding in report.findings] == []
    assert report.passed
    (target,) = report
    # It has no argument but x, so no `inplace`; every other check of the level is run, and passes.
    assert {check.rule.name for check in target.checks if check.status != "ok"} == not_run


@pytest.mark.integration
def test_teaching_version_gets_its_errors():
    report = check_dropout(models.JustDropoutModelImpl, level="quick")
    messages = {f.name: f.message for f in report.findings if f.severity == "error"}
    assert set(messages) == {"dtype-kept", "p-one-zeros", "edge-gradients"}
    assert "float16 in, float32 out" in messages["dtype-kept"]
    assert "are NaN, expected 0" in messages["p-one-zeros"]
