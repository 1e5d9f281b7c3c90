"""TestU01 finds nothing in the uniforms, and finds what is broken on purpose."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from torchdropout._core.contract import uniform

HERE = Path(__file__).parent
KEY = (0x123456789ABCDEF0, 0xFEDCBA987654321)


def compiled(source, folder, *libraries):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    program = folder / source.removesuffix(".cpp")
    command = ["g++", "-std=c++17", "-O3", HERE / source, "-o", program, *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if "testu01/bbattery.h: No such file" in done.stderr:
        pytest.skip("needs TestU01: libtestu01-0-dev, in Debian's component non-free")
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled("stream.cpp", tmp_path_factory.mktemp("stream"))


@pytest.fixture(scope="module")
def battery(tmp_path_factory):
    libraries = ("-ltestu01", "-ltestu01probdist", "-ltestu01mylib", "-lm")
    return compiled("testu01.cpp", tmp_path_factory.mktemp("testu01"), *libraries)


def numbers(program, stream, count):
    command = [program, stream, *map(str, KEY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        return struct.unpack(f"={count}I", process.stdout.read(4 * count))


def reversed_bits(number):
    return int(f"{number:032b}"[::-1], 2)


def test_the_streams_are_those_of_the_contract(program):
    # Beyond one write of the program.
    count = 2 * 4096 * 8 + 16
    whole = numbers(program, "uniform", count)
    for start in (0, 4096 * 8 - 8, count - 16):
        expected = [uniform(*KEY, index) for index in range(start, start + 16)]
        assert list(whole[start : start + 16]) == expected
    highs = [u >> 16 for u in whole]
    packed = tuple(
        second << 16 | first for first, second in zip(highs[::2], highs[1::2], strict=True)
    )
    assert numbers(program, "high", count // 2) == packed
    for stream, straight in (("uniform", whole), ("high", packed)):
        backwards = tuple(map(reversed_bits, straight[:64]))
        assert numbers(program, f"{stream}-reversed", 64) == backwards


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Expected 1 to 3 arguments."),
        (["noise"], "Expected a stream's name, got 'noise'."),
        (["high", "-1"], "Expected SEED to be an integer in [0, 2^64), got '-1'."),
        (["high", "1x"], "Expected SEED to be an integer in [0, 2^64), got '1x'."),
        (["high", str(2**64)], "Expected SEED to be an integer in [0, 2^64)"),
        (["high", "0", str(2**60)], "Expected STREAM_BITS to be an integer in [0, 2^60)"),
    ],
)
def test_wrong_usage_of_the_program(program, arguments, problem):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(problem)
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "passes"),
    [
        ("uniform", True),
        ("uniform-reversed", True),
        ("high", True),
        ("high-reversed", True),
        ("broken-period", False),
        ("broken-domain", False),
    ],
)
def test_small_crush(program, battery, stream, passes):
    with subprocess.Popen([program, stream], stdout=subprocess.PIPE) as numbers:
        done = subprocess.run([battery, "smallcrush"], stdin=numbers.stdout, capture_output=True)
        numbers.kill()
    text = done.stdout.decode()
    assert "15 statistics" in text
    assert done.returncode == (0 if passes else 1), text[text.index("Summary results") :]


@pytest.mark.slow
def test_numbers_that_end_are_no_result(battery):
    done = subprocess.run([battery, "smallcrush"], input=b"1234", capture_output=True)
    assert done.returncode == 2
    assert b"got its end" in done.stderr
