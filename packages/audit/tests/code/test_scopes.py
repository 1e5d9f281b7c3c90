"""Scopes and names, by hand and against libcst's."""

import ast
import textwrap
from pathlib import Path

import libcst
import pytest
import torchvision
from libcst.metadata import (
    MetadataWrapper,
    PositionProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
)

from torchdropout_audit.code import Code
from torchdropout_audit.code.signatures import canonical

SOURCES = sorted(Path(torchvision.__file__).parent.glob("**/*.py"))


def named(source, target="HERE"):
    """The name of what is called with the argument HERE."""
    code = Code(textwrap.dedent(source))
    [call] = [
        c
        for c in code.calls
        if any(isinstance(a, ast.Name) and a.id == target for a in c.node.args)
    ]
    return call.name


DROPOUT = "torch.nn.functional.dropout"


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.nn.functional.dropout(HERE)",
        "import torch as T\nT.nn.functional.dropout(HERE)",
        "import torch.nn.functional as F\nF.dropout(HERE)",
        "import torch.nn.functional\ntorch.nn.functional.dropout(HERE)",
        "from torch.nn import functional as fn\nfn.dropout(HERE)",
        "from torch.nn.functional import dropout as d\nd(HERE)",
        "from torch import nn\nnn.functional.dropout(HERE)",
        "import torch\nnn = torch.nn\nF = nn.functional\nF.dropout(HERE)",
        "from torch.nn.functional import *\ndropout(HERE)",
        "from torch.nn import *\nfunctional.dropout(HERE)",
        "def f(x):\n    import torch.nn.functional as F\n    return F.dropout(HERE)",
        "def f(x):\n    def g():\n        return F.dropout(HERE)\nimport torch.nn.functional as F",
        "import torch.nn.functional as F\nclass A:\n    drop = F.dropout\n    def f(self):\n"
        "        return self.drop(HERE)",
        "import torch.nn.functional as F\nclass A:\n    def __init__(self):\n"
        "        self.drop = F.dropout\n    def f(self):\n        return self.drop(HERE)",
        "try:\n    from torch.nn.functional import dropout\nexcept ImportError:\n"
        "    dropout = None\ndropout(HERE)",
        *(
            "try:\n    import torch.nn.functional as F\nexcept "
            f"{error}:\n    F = print\nF.dropout(HERE)"
            for error in ("ImportError", "(OSError, ModuleNotFoundError)")
        ),
        "import torch.nn.functional as F\n[F.dropout(HERE) for x in y]",
        "import torch.nn.functional as F\nlambda x: F.dropout(HERE)",
        "import torch.nn.functional as F\nif (d := F.dropout):\n    d(HERE)",
        "import torch.nn.functional as F\na, b = F.relu, F.dropout\nb(HERE)",
        "def f():\n    global F\n    import torch.nn.functional as F\n"
        "def g():\n    return F.dropout(HERE)",
        "\ufeffimport torch.nn.functional as F\nF.dropout(HERE)",
        "import torch.nn.functional as F\nd = F.dropout\ndef f(d):\n    def g():\n"
        "        nonlocal d\n        d = print\nd(HERE)",
        "# torch\nfrom torch import *\nfrom mylib import *\nF.dropout(HERE)",
        *(
            f"import torch.nn.functional as F\nd = {value}\nd(HERE)"
            for value in (
                *("getattr(F, 'dropout')", "getattr(F, 'dropout', None)"),
                *("F.dropout if x else None", "None if x else F.dropout"),
            )
        ),
        "import torch\nT = torch\nd = getattr(T.nn.functional, 'dropout')\nd(HERE)",
        "import torch.nn.functional as F\nd = None\nif x:\n    d = F.dropout\nd(HERE)",
        "import torch.nn.functional as F\nif x:\n    d = F.dropout\nelse:\n"
        "    from torch.nn.functional import dropout as d\nd(HERE)",
    ],
)
def test_imports_in_every_form_are_followed(source):
    assert named(source) == DROPOUT


@pytest.mark.parametrize(
    "source",
    [
        "def dropout(x): return x\ndropout(HERE)",
        "from mylib import functional as F\nF.dropout(HERE)",
        "from .functional import dropout\ndropout(HERE)",
        "import torch.nn.functional as F\ndef f(F):\n    return F.dropout(HERE)",
        "import torch.nn.functional as F\nfor F in y:\n    F.dropout(HERE)",
        "import torch.nn.functional as F\nimport keras.ops as F\nF.dropout(HERE)",
        "import torch.nn.functional as F\n[F.dropout(HERE) for F in y]",
        "import torch.nn.functional as F\nlambda F: F.dropout(HERE)",
        "import torch.nn.functional as F\nwith x as F:\n    F.dropout(HERE)",
        "import torch.nn.functional as F\ntry:\n    pass\nexcept E as F:\n    F.dropout(HERE)",
        *(
            f"import torch.nn.functional as F\n{head}\n    F = print\nF.dropout(HERE)"
            for head in ("try:\n    pass\nexcept:", "try:\n    pass\nexcept OSError:", "if HERE_:")
        ),
        "import torch.nn.functional as F\nmatch x:\n    case [F]:\n        F.dropout(HERE)",
        "class A:\n    import torch.nn.functional as F\n    def f(self):\n"
        "        return F.dropout(HERE)",
        "a = b\nb = a\na.dropout(HERE)",
        "from mylib import *\nF.dropout(HERE)",
        "# torch\nfrom torch import *\nF.dropout(HERE)",
        "# torch, not jax\nfrom mylib import *\nF.dropout(HERE)",
        *(
            f"import torch.nn.functional as F\nd = {value}\nd(HERE)"
            for value in (
                *("getattr(F, 'dropout', print)", "getattr(F, dropout)", "getattr(F, 1)"),
                *(
                    "hasattr(F, 'dropout')",
                    "setattr(F, 'dropout', None)",
                    "F.getattr(F, 'dropout')",
                ),
                *(
                    "F.dropout if x else print",
                    "None if x else None",
                    "getattr(unknown, 'dropout')",
                ),
            )
        ),
        "import torch.nn.functional as F\nd = F.dropout\nd = F.relu\nd(HERE)",
        "F.dropout(HERE)",
        "self.dropout(HERE)",
    ],
)
def test_what_is_not_torchs_is_not_taken_for_it(source):
    assert named(source) != DROPOUT


def test_names_are_followed_as_far_as_people_write_them():
    for count, is_found in ((8, True), (900, False)):
        attributes = "torch" + ".a" * count
        assert named(f"import torch\n{attributes}(HERE)") == (attributes if is_found else None)
        names = "".join(f"d{i + 1} = d{i}\n" for i in range(count))
        source = f"import torch.nn.functional as F\nd0 = F.dropout\n{names}d{count}(HERE)"
        assert named(source) == (DROPOUT if is_found else None)


def test_nonlocal_binds_in_the_function_round_it():
    source = """
        import torch.nn.functional as F
        def outer():
            d = None
            def inner():
                nonlocal d
                d = F.dropout
            return d(HERE)
    """
    assert named(source) == DROPOUT


def test_nonlocal_skips_classes_and_functions_without_the_name():
    source = """
        import torch.nn.functional as F
        def outer():
            d = None
            class A:
                d = print
                def middle(self):
                    def inner():
                        nonlocal d
                        d = F.dropout
            return d(HERE)
    """
    assert named(source) == DROPOUT


def theirs(tree):
    """libcst's names of what is called, by place: those that come from an import alone."""
    wrapper = MetadataWrapper(tree)
    names = wrapper.resolve(QualifiedNameProvider)
    places = wrapper.resolve(PositionProvider)
    found = {}

    class Calls(libcst.CSTVisitor):
        def visit_Call(self, node):
            known = names.get(node.func, ())
            known = known() if callable(known) else known
            at = places[node].start
            imported = {q.name for q in known if q.source is QualifiedNameSource.IMPORT}
            if len(known) == 1 and imported:
                found[at.line, at.column] = canonical(imported.pop())

    wrapper.visit(Calls())
    return found


@pytest.mark.parametrize(
    "path",
    # Those that libcst reads in a second: its metadata take some 30 s a MB.
    [p for p in SOURCES if "dropout" in p.read_text().lower() and p.stat().st_size < 9_000],
    ids=lambda p: p.stem,
)
def test_real_code_has_the_names_that_libcst_finds(path):
    text = path.read_text()
    ours = {
        (c.node.lineno, c.node.col_offset): c.name for c in Code(text).calls if c.name is not None
    }
    expected = theirs(libcst.parse_module(text))
    assert expected
    # libcst has an import `from .x import y` without its dots, and stops at assignments.
    wrong = {
        place: (name, ours.get(place))
        for place, name in expected.items()
        if (ours.get(place) or "").lstrip(".") != name.lstrip(".")
    }
    assert not wrong
