"""Tries the torchdropout that is installed, where nothing but it and torch need be.

    python tests/installed.py           it must have compiled kernels
    python tests/installed.py REASON    it must have none, and give REASON

The known answers of `contract/vectors.txt` hold in each backend that can run here.
"""

import sys

import torch

import torchdropout as td
from torchdropout._core.contract.seed import as_int64
from vectors import KEEP, NOISE


def main() -> None:
    """As the module says; an AssertionError where it does not hold."""
    assert "site-packages" in td.__file__, td.__file__
    if len(sys.argv) == 1:
        assert td.backends.current() != "reference", td.backends.why()
    else:
        assert td.backends.available() == ("reference",), td.backends.available()
        assert sys.argv[1] in td.backends.why(), td.backends.why()

    for backend in td.backends.available():
        with td.backends.use(backend):
            for seed, stream, limit, index, bits in KEEP:
                y = td.functional.dropout(
                    torch.ones(len(bits)),
                    limit / 2**32,
                    key=td.Key(seed, stream),
                    layout=td.MaskLayout(index, (1,)),
                )
                assert "".join(str(int(value)) for value in y != 0) == bits, (backend, seed, index)
            for law, seed, stream, index, _, value in NOISE:
                zero, key = torch.zeros(1, dtype=torch.float64), td.Key(seed, stream).tensor()
                y = torch.ops.torchdropout.noise_affine(
                    zero, key, law, 0.0, 1.0, as_int64(index), [1]
                )
                assert y.item() == value, (backend, law, seed, index)
    assert KEEP
    assert NOISE
    print(f"{len(KEEP) + len(NOISE)} known answers hold with {', '.join(td.backends.available())}")


if __name__ == "__main__":
    main()
