"""Who imports whom: the graph of all import statements of a package, in functions too."""

import ast
import os
from pathlib import Path


def graph(root):
    """The modules of a package's folder, by name, and the modules of it that each imports.

    `from package import name` is an import of the module `package.name` where there is one, and of
    `package` otherwise. Statements under `if TYPE_CHECKING` are left out: they never run.
    """
    root = Path(root)
    files = {}
    for folder, _, names in os.walk(root, followlinks=True):
        for path in (Path(folder, name) for name in names if name.endswith(".py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: set(_imports(name, path, files)) - {name} for name, path in files.items()}


def _imports(name, path, modules):
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield from (m for m in [full if full in modules else source] if m in modules)


def _statements(node):
    for child in ast.iter_child_nodes(node):
        yield child
        is_guard = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from () if is_guard else _statements(child)


def circles(edges):
    """The sets of modules that import each other, directly or by way of others (Tarjan, 1972)."""
    found, stack, index, low = [], [], {}, {}

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in edges:
        if node not in index:
            visit(node)
    return sorted(found)
