"""Write `contract/vectors.txt` from the plain-integer definition: `python tests/make_vectors.py`.

The Random123 lines are copied from that library's `kat_vectors`; nothing here computes them.
"""

from __future__ import annotations

import struct
from pathlib import Path

from torchdropout._core.contract import keep_bit, threshold, uniform
from torchdropout._core.contract.noise import Law, noise, word

PATH = Path(__file__).parents[1] / "src" / "torchdropout" / "_core" / "contract" / "vectors.txt"

HEADER = """\
# Known answers for every backend. Lines starting with # are comments; numbers are hexadecimal.
#
# philox C0 C1 C2 C3 K0 K1 W0 W1 W2 W3   one Philox4x32-10 call: counter, key, words
#                                        (Random123's three vectors)
# uniform SEED STREAM INDEX U            the 32-bit uniform of a mask index
# keep SEED STREAM THRESHOLD INDEX BITS  keep bits (1 kept) of the indices from INDEX on
# noise LAW SEED STREAM INDEX W BITS     the 32-bit word of an index under a law (1 uniform, 2
#                                        normal, 3 logistic), and the bits of its float32
philox 00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
philox ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
philox 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""

# Zero; a small seed with low stream bits; all words non-zero, with high stream bits; the maximum.
KEYS = (
    (0x0, 0x0),
    (0x1, 0x2),
    (0x243F6A8885A308D3, 0x13198A2E0370734),
    (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFF),
)
STARTS = (0, 2**32, 2**33, 2**63)
# Around the words where a high half of a counter changes, and at both ends.
NOISE_STARTS = (0, 2**32, 2**34, 2**62, 2**64 - 9)
# For the key zero: indices with words next to 0 and 2**32, then to the ends of the central region.
RARE = {
    Law.NORMAL: (7408030, 21770688, 2312967, 19552816, 981877, 29513434, 2636554),
    Law.LOGISTIC: (11095877, 18735436, 7378865, 6130112),
}
# 0 and 1/2**32; 2**16 with its neighbours, where the low half decides; then rates in use.
PROBABILITIES = (0.0, 2.0**-32, (2**16 - 1) / 2**32, 2.0**-16, (2**16 + 1) / 2**32, 0.1, 0.5, 1.0)


def lines() -> list[str]:
    found = []
    for seed, stream in KEYS:
        for start in STARTS:
            for index in range(max(start - 3, 0), start + 10):
                u = uniform(seed, stream, index)
                found.append(f"uniform {seed:016x} {stream:015x} {index:016x} {u:08x}")
    for seed, stream in KEYS:
        for p in PROBABILITIES:
            for start in STARTS:
                index = max(start - 9, 0)
                bits = "".join(str(int(keep_bit(seed, stream, p, index + i))) for i in range(32))
                found.append(
                    f"keep {seed:016x} {stream:015x} {threshold(p):09x} {index:016x} {bits}"
                )
    return found + ties() + noises()


def ties() -> list[str]:
    """Thresholds that sit at an element's own uniform, so that only the low half can decide."""
    found = []
    for seed, stream in KEYS:
        for index in (0, 7, 2**33 + 5):
            u = uniform(seed, stream, index)
            for limit in (u, u + 1):
                bit = int(keep_bit(seed, stream, limit / 2**32, index))
                found.append(f"keep {seed:016x} {stream:015x} {limit:09x} {index:016x} {bit}")
    return found


def noises() -> list[str]:
    """Words and numbers of noise."""
    found = []
    for law in Law:
        places = [
            (seed, stream, index)
            for seed, stream in KEYS
            for start in NOISE_STARTS
            for index in range(max(start - 3, 0), min(start + 9, 2**64))
        ]
        places += [(0, 0, index) for index in RARE.get(law, ())]
        for seed, stream, index in places:
            bits = struct.pack(">f", noise(seed, stream, law, index)).hex()
            w = word(seed, stream, law, index)
            found.append(f"noise {law:x} {seed:016x} {stream:015x} {index:016x} {w:08x} {bits}")
    return found


if __name__ == "__main__":
    PATH.write_text(HEADER + "\n".join(lines()) + "\n")
