"""Which scope a name is bound in, compared with what Python's own `symtable` says."""

import ast
import dataclasses
import inspect
import symtable
import typing
from collections import Counter
from pathlib import Path

import pytest
import torch.nn

from torchdropout_audit.code.scopes import COMPREHENSIONS, UNBOUND, Scopes

FORMS = """
import os.path, sys as system
from torch import nn as layers
try:
    shadow = used = 1
except ImportError as error:
    print(error)
class Net(layers.Module):
    used = shadow
    def forward(self, x, *rest, flag=used, **more):
        global made, counted
        made = counted = used
        def inner(y=x):
            nonlocal flag, last
            flag = last = y, used, Net, error, rest, more
            return lambda z: (z, y, x, shadow)
        last = [flag for flag in x if (walrus := flag) for each in rest]
        with open(os.path) as file, system as (first, *others):
            for i, (j, k) in walrus:
                i += file + first + j
        match x:
            case {"a": one, **kept}:
                return kept
            case [one, *two] | layers.Linear(one) as two:
                return one, two, others
        return inner, made, self
    def used_later(self): return used, made, counted, forward
    async def walk(self):
        async for a in self: yield a
        deep = 1
        class Deep:
            deep = 2
            def dive(self):
                nonlocal deep
                deep = 3
        def reads(x):
            def writes():
                nonlocal deep
                deep = x
            return deep
        async with self as b: print(b, {c: d for c, d in b}, (e async for e in b))
"""
LONG = [Path(inspect.getsourcefile(m)) for m in (ast, dataclasses, typing, inspect)]
LONG += sorted(Path(torch.nn.__file__).parent.glob("modules/*.py"))
NAMES = {
    **{ast.Lambda: "lambda", ast.GeneratorExp: "genexpr", ast.ListComp: "listcomp"},
    **{ast.SetComp: "setcomp", ast.DictComp: "dictcomp"},
}


def below(table):
    yield table
    for child in table.get_children():
        yield from below(child)


def place(scope):
    return scope.node.lineno, getattr(scope.node, "name", NAMES.get(type(scope.node)))


def alone(found, key):
    """Those of which there is one at a place."""
    counts = Counter(map(key, found))
    return {key(each): each for each in found if counts[key(each)] == 1}


def compared(text):
    """Compares the names of all scopes; returns how many there were."""
    scopes = Scopes(ast.parse(text))
    opened = dict.fromkeys(s for s in scopes.scopes.values() if s is not scopes.module)
    tables = [*below(symtable.symtable(text, "a.py", "exec"))][1:]
    known = alone(tables, lambda table: (table.get_lineno(), table.get_name()))
    count = 0
    for at, scope in alone(opened, place).items():
        sees_class = isinstance(scope.node, COMPREHENSIONS) and scope.outer.is_class
        for symbol in known[at].get_symbols() if at in known and not sees_class else ():
            name, bound = symbol.get_name(), scope.lookup(symbol.get_name())
            where = next((s for s in (scopes.module, *opened) if s.names.get(name) is bound), None)
            assert (where is None) == (bound is UNBOUND), (at, name)
            assigns = symbol.is_assigned() and not symbol.is_annotated()  # x: int
            binds = assigns or symbol.is_parameter() or symbol.is_imported()
            if name.startswith((".", "__")):  # of the interpreter, or private
                continue
            if symbol.is_free():
                assert where not in (None, scope, scopes.module), (at, name)
                assert not where.is_class, (at, name)
            elif symbol.is_global():
                assert where is scopes.module or (where is None and not binds), (at, name)
            elif binds:
                assert where is scope, (at, name)
            count += 1
    return count


def test_every_form_of_a_scope():
    assert compared(FORMS) > 50


@pytest.mark.integration
@pytest.mark.parametrize("path", LONG, ids=lambda path: path.name)
def test_scopes_of_real_sources(path):
    compared(path.read_text())
