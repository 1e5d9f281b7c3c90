"""The page about GPUs says of each function what computes it there."""

import inspect
from pathlib import Path

from torchdropout import functional

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


def test_each_function_is_named():
    functions = [
        name
        for name, value in vars(functional).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    text = PAGE.read_text(encoding="utf-8")
    assert len(functions) > 25
    assert [name for name in functions if f"`{name}`" not in text] == []
