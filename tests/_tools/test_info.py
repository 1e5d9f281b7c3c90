"""What `torchdropout info` says of the processor."""

import platform

import pytest

from torchdropout._tools import info

AMD = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 17
model name	: AMD EPYC

processor	: 1
cpu family	: 26
model name	: another
"""


def test_a_name_comes_with_the_numbers_that_tell_its_processors_apart(tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    file.write_text(AMD)
    monkeypatch.setattr(info, "_CPUINFO", file)
    assert info.processor() == "AMD EPYC, family 25, model 17"


@pytest.mark.parametrize(("name", "expected"), [("arm", "arm"), ("", "unknown processor")])
def test_without_a_file_of_processors_python_is_asked(tmp_path, monkeypatch, name, expected):
    monkeypatch.setattr(info, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: name)
    assert info.processor() == expected


def test_caches_are_those_of_a_core_from_the_second_on(tmp_path, monkeypatch):
    sizes = ("1", "32K"), ("2", "1024K"), ("3", "32768K"), ("3", "")
    for number, (level, size) in enumerate(sizes):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        (folder / "level").write_text(level + "\n")
        (folder / "size").write_text(size + "\n")
    (tmp_path / "index5").mkdir()
    monkeypatch.setattr(info, "_CACHES", tmp_path)
    assert info.caches() == {"L2": "1024K", "L3": "32768K"}
    assert info.gather()["processor"].endswith(", L2 1024K, L3 32768K")


def test_a_machine_that_says_nothing_has_no_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(info, "_CACHES", tmp_path / "none")
    assert info.caches() == {}
    assert info.gather()["processor"] == info.processor()
