"""The layers of a `Sequential` in order, also where a list grows and becomes one."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..code import Code
from ._sequences import Layer, Path, Reader
from ._values import Listed, Part, Values

_SEQUENTIAL = "torch.nn.Sequential"
_MOST_TIMES = 20
_MOST_WAYS = 8  # through the options of one sequence
_Way = tuple[Path | None, dict[object, bool]]  # the last layer, and which options are chosen


def in_sequences(code: Code, reader: Reader, values: Values) -> Iterator[Path]:
    """Yields the layers of each `Sequential`, each after those before it.

    Each side of an option is followed, and two or three turns of a loop.

    Args:
        code: The file.
        reader: Reads its layers.
        values: Finds what its expressions build.
    """
    nested: set[ast.AST] = set()
    found: list[tuple[ast.AST, list[Path]]] = []
    times: Counter[ast.AST | None] = Counter()  # how often a list was read, by its first element
    for call in code.calls:
        built = values.finished(call) if call.name == _SEQUENTIAL else ()
        for each in built:
            first = each.parts[0].node if isinstance(each, Listed) and each.parts else None
            times[first] += 1
            if isinstance(each, Listed) and times[first] <= _MOST_TIMES:
                ways = _Ways(reader, call.node, nested)
                found.append((call.node, ways.through(values.unrolled(each.parts))))
    for cls in code.classes:
        chain = values.chain_of(cls)
        if chain is not None:
            ways = _Ways(reader, cls.node, nested)
            found.append((cls.node, ways.through(values.unrolled(chain.parts))))
    for node, paths in found:
        if node not in nested:
            yield from paths


class _Ways:
    """Follows the ways through one sequence."""

    def __init__(self, reader: Reader, whole: ast.AST, nested: set[ast.AST]) -> None:
        self.reader = reader
        self.whole = whole
        self.nested = nested
        self.found: list[Path] = []

    def through(self, parts: Sequence[Part]) -> list[Path]:
        """Returns a path for each layer, or one for each way to it."""
        ways: list[_Way] = [(None, {})]
        for part in parts:
            layers = self._layers(part)
            after: dict[tuple[Layer | None, ...], _Way] = {}
            for path, chosen in ways:
                sides = [(option, chosen.get(option, side) == side) for option, side in part.under]
                if all(is_side for _, is_side in sides):
                    way = (self._extended(path, layers), chosen | dict(part.under))
                    after.setdefault(_last_two(way[0]), way)
                free = [(o, side) for o, side in part.under if o not in chosen]
                if free or not all(is_side for _, is_side in sides):
                    without = chosen | {o: not side for o, side in free[-1:]}
                    after.setdefault(_last_two(path), (path, without))
            ways = [*after.values()] if len(after) <= _MOST_WAYS else [(None, {})]
        self.found += [replace(path, ends=True) for path, _ in ways if path is not None]
        return self.found

    def _extended(self, path: Path | None, layers: Sequence[Layer]) -> Path | None:
        for layer in layers:
            path = Path(layer, path, ends=False, whole=self.whole)
            self.found.append(path)
        return path

    def _layers(self, part: Part) -> list[Layer]:
        node = part.node
        call = self.reader.calls.get(node) if isinstance(node, ast.Call) else None
        layers = None if call is None else self.reader.sequential(call, self.nested)
        if layers is not None and call is not None:
            self.nested.add(call.node)
            return layers
        return [self.reader.built(node, node) if node is not None else Layer(ast.expr())]


def _last_two(path: Path | None) -> tuple[Layer | None, ...]:
    """Returns the last layers, by which two ways are told apart."""
    earlier = path.earlier if path is not None else None
    return (None if path is None else path.last, None if earlier is None else earlier.last)
