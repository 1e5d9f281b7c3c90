"""The known answers of `contract/vectors.txt`, read."""

from __future__ import annotations

import struct
from importlib.resources import files

PHILOX: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = []
UNIFORM: list[tuple[int, int, int, int]] = []
KEEP: list[tuple[int, int, int, int, str]] = []
NOISE: list[tuple[int, int, int, int, int, float]] = []  # law, seed, stream, index, word, number

for _line in files("torchdropout").joinpath("_core/contract/vectors.txt").read_text().splitlines():
    if not _line.startswith("#"):
        _kind, *_fields = _line.split()
        if _kind == "philox":
            _numbers = tuple(int(f, 16) for f in _fields)
            PHILOX.append((_numbers[:4], _numbers[4:6], _numbers[6:]))
        elif _kind == "uniform":
            _seed, _stream, _index, _u = (int(f, 16) for f in _fields)
            UNIFORM.append((_seed, _stream, _index, _u))
        elif _kind == "noise":
            _law, _seed, _stream, _index, _word, _bits = (int(f, 16) for f in _fields)
            (_value,) = struct.unpack(">f", _bits.to_bytes(4, "big"))
            NOISE.append((_law, _seed, _stream, _index, _word, _value))
        else:
            _seed, _stream, _limit, _index = (int(f, 16) for f in _fields[:4])
            KEEP.append((_seed, _stream, _limit, _index, _fields[4]))
