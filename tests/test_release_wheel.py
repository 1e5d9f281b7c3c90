"""What may not be released is refused, and says why."""

import platform
import subprocess
import sys
import zipfile

import pytest

import release_wheel

GOOD = "cp310-abi3-manylinux_2_28_x86_64"
INFO = "torchdropout-0.1.0.dist-info"
MACHINE = platform.machine()


def wheel(folder, tag=GOOD, says=None, files=(release_wheel.EXTENSION,), note="", binary=b""):
    path = folder / f"torchdropout-0.1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, binary)
        archive.writestr(release_wheel.NOTE, note)
        archive.writestr(f"{INFO}/WHEEL", f"Root-Is-Purelib: false\nTag: {says or tag}\n")
        record = "".join(f"{name},,\n" for name in archive.namelist())
        archive.writestr(f"{INFO}/RECORD", record)
    return path


@pytest.mark.parametrize(
    "tag", [GOOD, "cp310-abi3-manylinux_2_34_aarch64", "cp310-abi3-macosx_11_0_arm64"]
)
def test_a_wheel_with_its_extension_and_a_tag_of_indexes_passes(tmp_path, tag):
    built, dist = wheel(tmp_path, tag), tmp_path / "dist"
    dist.mkdir()
    assert release_wheel.main(built, dist) == dist / built.name
    assert (dist / built.name).read_bytes() == built.read_bytes()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"files": (), "note": "no g++"}, "it has no compiled kernels: no g++"),
        ({"files": (), "tag": "cp310-abi3-linux_x86_64"}, "it has no compiled kernels"),
        *(
            ({"files": (release_wheel.EXTENSION, library)}, f"brings libraries along: {library}")
            for library in (
                "torchdropout.libs/libtorch_cpu-5a1f.so",
                "torchdropout.libs/libgomp-a34b3233.so.1.0.0",
                "torchdropout/.dylibs/libc10.dylib",
            )
        ),
        ({"tag": "cp311-cp311-manylinux_2_28_x86_64"}, "its tag is cp311-cp311-manylinux"),
        ({"tag": "cp310-abi3-win_amd64"}, "its tag is cp310-abi3-win_amd64"),
        ({"says": "cp310-abi3-linux_x86_64"}, "its metadata cp310-abi3-linux_x86_64"),
    ],
)
def test_a_wheel_that_breaks_a_promise_is_refused(tmp_path, broken, why):
    dist = tmp_path / "dist"
    dist.mkdir()
    with pytest.raises(SystemExit, match=r"^torchdropout-0\.1\.0-.* may not be released: ") as seen:
        release_wheel.main(wheel(tmp_path, **broken), dist)
    assert why in str(seen.value)
    assert not list(dist.iterdir())


NEWER = """
extern char __libc_single_threaded;
void *PyInit__C(void) { return __libc_single_threaded ? &__libc_single_threaded : 0; }
"""


@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
def test_a_wheel_that_needs_a_newer_glibc_than_it_may_is_refused(tmp_path):
    """Its extension asks for a variable of glibc 2.32."""
    source, library = tmp_path / "newer.c", tmp_path / "newer.so"
    source.write_text(NEWER)
    command = ["cc", "-O0", "-shared", "-fPIC", source, "-o", library, "-Wl,-z,defs"]
    if subprocess.run(command).returncode:
        pytest.skip("needs glibc 2.32")
    built = wheel(tmp_path, f"cp310-abi3-linux_{MACHINE}", binary=library.read_bytes())
    with pytest.raises(SystemExit, match=r"not be released:(.|\n)*too-recent versioned symbols"):
        release_wheel.main(built, tmp_path, f"manylinux_2_28_{MACHINE}")
    dist = tmp_path / "dist"
    dist.mkdir()
    assert f"manylinux_2_34_{MACHINE}" in release_wheel.main(built, dist).name
