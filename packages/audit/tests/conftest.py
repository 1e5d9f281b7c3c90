"""What many tests of the audit begin with."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, empty, and a cache elsewhere."""
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"
