"""Executes `dropout.ipynb` and stores its outputs: `make notebook`, after changing a cell."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NOTEBOOK = HERE / "dropout.ipynb"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder; raise the error of a cell."""
    # One output for all that a cell prints, however its lines arrive, and no times: the stored
    # notebook changes only with its cells.
    client = NotebookClient(
        notebook,
        timeout=300,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    # The version of the Python that ran it is not worth a diff.
    notebook.metadata.pop("language_info", None)
    return notebook


if __name__ == "__main__":
    nbformat.write(execute(nbformat.read(NOTEBOOK, as_version=4), HERE), NOTEBOOK)
