"""Notebooks: cells as one text, places in cells, the file fixed in place."""

import ast
import json

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from _reports import finding
from torchdropout_audit.files import Source
from torchdropout_audit.notebooks import Notebook
from torchdropout_audit.run import audit_data
from torchdropout_audit.source import audit_text


def code(text, /, **more):
    outputs = [{"output_type": "stream", "name": "stdout", "text": ["Dropout\n", "é\n"]}]
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": outputs}
    return {**cell, "source": text.splitlines(keepends=True), **more}


def text_cell(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells, language="python", **how):
    data = {
        "cells": [code(cell) if isinstance(cell, str) else cell for cell in cells],
        "metadata": {"language_info": {"name": language}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(data, **{"indent": 1, "ensure_ascii": False, **how}) + "\n"


def opened(*cells, **how):
    return Notebook(Source(notebook(*cells, **how)))


def places(book):
    return [
        (f.name, f.cell, f.line, f.column)
        for f in map(book.placed, audit_text(book.text, "n.ipynb"))
    ]


# --- Names and places ---------------------------------------------------------------------------


def test_names_flow_from_cell_to_cell():
    book = opened(
        text_cell(["# A model of dropout"]),
        "import torch.nn.functional as F",
        text_cell("F.dropout(x, 7)"),
        "def f(x, training):\n    return F.dropout(\n        x, 7, training)",
        "",
        "F.dropout(x, p=-1.0, training=t)",
    )
    assert places(book) == [("p-out-of-range", 4, 3, 12), ("p-out-of-range", 6, 1, 16)]


def test_the_end_of_a_mark_is_in_the_cell_too():
    book = opened("import torch.nn as nn\n", "nn.Dropout(\n    p=7)\n")
    [found] = map(book.placed, audit_text(book.text))
    assert (found.cell, found.line, found.end_line) == (2, 2, 2)
    assert found.source == "    p=7)"


@pytest.mark.parametrize("how", [{}, {"indent": None}, {"indent": "\t"}])
@pytest.mark.parametrize("is_list", [False, True])
def test_the_line_in_the_file_is_that_of_the_json(how, is_list):
    source = 'import torch.nn as nn\ns = "é"; nn.Dropout(  # "q"\n    p=7)\n'
    source = source.splitlines(keepends=True) if is_list else source
    file = notebook(text_cell("nn"), code("", source=source), **how)
    [found] = map(Notebook(Source(file)).placed, audit_text(Notebook(Source(file)).text))
    assert (found.line, found.column) == (3, 7)
    expected = next(n for n, line in enumerate(file.split("\n"), 1) if "p=7" in line)
    assert found.file_line == expected


@pytest.mark.parametrize(
    ("line", "column", "place", "text"),
    [
        (1, 1, (1, 1), "a = 1"),  # the separator before the first cell
        (2, 5, (1, 1), "a = 1"),
        (4, 6, (2, 1), "b = 2"),
        (4, 99, (2, 1), "b = 2"),  # in a mark, which only the text has
    ],
)
def test_places_outside_of_a_cell_are_moved_into_it(line, column, place, text):
    file = notebook("a = 1", "b = 2")
    at = {"line": line, "column": column, "end_line": line, "end_column": column}
    placed = Notebook(Source(file)).placed(finding(**at))
    assert (placed.cell, placed.line, placed.end_line) == (*place, place[1])
    assert placed.file_line == len(file[: file.index(text)].split("\n"))


def test_a_broken_cell_has_a_line_in_the_file():
    file = notebook("x = 1", "y = 2\nx = (")
    report, _ = audit_data(file.encode().replace(b"x = 1", b"dropout"), "n.ipynb")
    [found] = report.findings
    assert "x = (" in file.split("\n")[found.file_line - 1]


def test_a_source_may_be_one_string_and_other_cells_anything():
    cells = [
        code("", source="import torch.nn as nn\nnn.Dropout(7)"),
        {"cell_type": "raw", "source": "nn.Dropout(7)"},
        {"cell_type": "code"},
        {"cell_type": "code", "source": ["nn.Dropout(7)", 1]},
        7,
        None,
        code("nn.Dropout(8)"),
    ]
    assert [place[1:3] for place in places(opened(*cells))] == [(1, 2), (7, 1)]


def test_a_notebook_without_code():
    for book in (opened(), opened(text_cell("nn.Dropout(7)")), opened("", "\n\n")):
        assert places(book) == []
        assert book.fixed(book.text) is not None


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\x0c\n"])
def test_lines_are_counted_as_the_parser_does(end):
    source = end.join(["import torch.nn as nn", "a = 1", "nn.Dropout(7)"])
    tree = ast.parse(source)
    book = opened(code("", source=source), "nn.Dropout(8)")
    assert [place[1:3] for place in places(book)] == [(1, tree.body[-1].lineno), (2, 1)]


@pytest.mark.parametrize("end", ["", "\r", "\n", "\r\n", "\n\n"])
def test_ends_of_cells(end):
    book = opened(code("", source=f"import torch.nn as nn{end}"), "nn.Dropout(8)")
    assert [place[1:3] for place in places(book)] == [(2, 1)]


# --- What is IPython's --------------------------------------------------------------------------

MAGICS = """\
%matplotlib inline
%%no cell magic
!pip install \\
    torch 'quoted
files = !ls "
a, b[0] = %time 1
?nn.Dropout
nn.Dropout??
nn.*Drop*?
, call it
; call it
/call it
if files:
    %time f()
    !echo ")" # torchdropout: ignore
    print("at the end")"""


def test_magics_are_no_python_and_take_no_part():
    book = opened("import torch.nn as nn\n" + MAGICS + "\nnn.Dropout(7)", "nn.Dropout(8)")
    assert book.broken == {}
    ast.parse(book.text)
    assert [place[1:3] for place in places(book)] == [(1, 18), (2, 1)]
    assert book.fixed(book.text) == notebook(
        "import torch.nn as nn\n" + MAGICS + "\nnn.Dropout(7)", "nn.Dropout(8)"
    )


@pytest.mark.parametrize(
    "source",
    [
        "x = (a\n%b)",
        "s = '''\n%time\n!ls\nhelp?\n'''",
        's = f"""{x}\n%time\n"""  # "',
        "x = a \\\n%b",
        "x = [a  # it's (\n%b\n]",
        "x = {'a': '\\'', '%': (c\n%b, 'it')}",
        "x != y",
        "x %= 3",
        "# what?\nprint('what?')",
    ],
)
def test_what_only_looks_like_a_magic_is_python(source):
    ast.parse(source)
    # A magic before it: else the cell parses, and is not looked into.
    book = opened("%time\n" + source)
    assert book.text.partition("\n")[2].partition("\n")[2] == source + "\n"
    assert book.broken == {}


@pytest.mark.parametrize("magic", ["time", "timeit -n 3", "capture out", "prun"])
def test_cell_magics_that_run_python(magic):
    assert places(opened("import torch.nn as nn", f"%%{magic}\nnn.Dropout(7)")) == [
        ("p-out-of-range", 2, 2, 12)
    ]


@pytest.mark.parametrize("magic", ["bash", "html", "writefile m.py", "cython", "R", "javascript"])
def test_cell_magics_of_other_languages(magic):
    book = opened("import torch.nn as nn", f"\n%%{magic}\nnn.Dropout(7)\nif [ ( `", "nn.Dropout(8)")
    assert places(book) == [("p-out-of-range", 3, 1, 12)]
    assert book.broken == {}


@pytest.mark.parametrize("source", ["await f()\nasync for x in y: pass", "'\\d'"])
def test_what_a_notebook_may_have(source):
    assert opened(source).broken == {}


@pytest.mark.parametrize(
    "source", ["x = 1\0", "(" * 5000, "a" + ".b" * 50_000, "-" * 200_000 + "1"]
)
def test_a_cell_that_the_parser_gives_up(source):
    book = opened("import torch.nn as nn", source, "nn.Dropout(8)")
    assert list(book.broken) == [4]  # after two separators and the first cell
    assert places(book) == [("p-out-of-range", 3, 1, 12)]


def test_a_cell_that_holds_the_mark_itself_is_left_out():
    source = "#\ue000\ue000\nnn.Dropout(7)\n#\ue000"
    book = opened("import torch.nn as nn", source, "nn.Dropout(8)")
    assert places(book) == [("p-out-of-range", 3, 1, 12)]
    assert book.fixed(book.text) == notebook("import torch.nn as nn", source, "nn.Dropout(8)")


@pytest.mark.parametrize(
    ("metadata", "is_read"),
    [
        ({}, True),
        (None, True),
        ({"kernelspec": {"name": "python3"}}, True),
        ({"kernelspec": {"language": "python"}, "language_info": {"name": "ipython"}}, True),
        ({"kernelspec": {"language": "R"}}, False),
        ({"language_info": {"name": "julia"}}, False),
        ({"language_info": 7, "kernelspec": {"language": 7}}, True),
    ],
)
def test_kernels(metadata, is_read):
    data = {"cells": [code("import torch.nn as nn\nnn.Dropout(7)")], "metadata": metadata}
    report, _ = audit_data(json.dumps(data).encode(), "n.ipynb")
    assert (len(report.findings), report.problems) == (is_read, ())


# --- Writing ------------------------------------------------------------------------------------

FORMATS = [
    *({}, {"indent": None}, {"indent": 4}, {"indent": "\t"}, {"ensure_ascii": True}),
    *({"sort_keys": True}, {"indent": None, "separators": (",", ":")}),
]


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("as_string", [False, True])
def test_only_what_is_fixed_changes(how, as_string):
    def cells(p):
        source = f"%%time\ns = 'é\\t\"'\nx = !ls \\\n  -a\nnn.Dropout({p})  # ü"
        return (
            text_cell("nn.Dropout(7)"),
            "import torch.nn as nn\n",
            code(source, **({"source": source} if as_string else {})),
            "",
            code("x = 1", more="the last"),
        )

    book = opened(*cells(7), **how)
    assert book.fixed(book.text) == notebook(*cells(7), **how)
    assert book.fixed(book.text.replace("7", "0.7")) == notebook(*cells(0.7), **how)


def test_lines_may_come_and_go():
    book = opened("a\nb", "c", "d")
    one = book.fixed(book.text.replace("b", "b1\nb2\n").replace("c", "c1\nc2"))
    assert one == notebook("a\nb1\nb2\n", "c1\nc2", "d")
    nbformat.validate(nbformat.reads(one, as_version=4))
    assert json.loads(book.fixed(book.text.replace("d", "")))["cells"][2]["source"] == []


def test_line_ends_of_the_file_stay():
    file = notebook("nn.Dropout(7)", "x\ny\nz").replace("\n", "\r\n")
    book = Notebook(Source(file))
    fixed = book.fixed(book.text.replace("7", "0.7").replace("y", "y1\ny2"))
    assert fixed == notebook("nn.Dropout(0.7)", "x\ny1\ny2\nz").replace("\n", "\r\n")


def test_lines_that_stay_keep_their_escapes():
    file = '{"cells":[{"cell_type":"code","source":["\\u0061 = \'\\/\'\\n", "b = 2"]}]}'
    book = Notebook(Source(file))
    assert book.text.endswith("a = '/'\nb = 2\n")
    assert book.fixed(book.text.replace("b = 2", "b = 3")) == file.replace("b = 2", "b = 3")


def test_keys_that_come_twice_and_cells_that_are_none():
    file = (
        '{ "cells" : 7, "cells" : [ 1, {"cell_type":"code"}, null,'
        ' {"source":"no", "cell_type":"code", "source" : [ "nn.Dropout(7)" ] } ] , "x":{} }'
    )
    book = Notebook(Source(file))
    assert book.fixed(book.text.replace("7", "0.7")) == file.replace("(7)", "(0.7)")


def test_a_text_without_the_bounds_of_cells_is_refused():
    book = opened("a", "b")
    for text in (book.text + book.text, "x" + book.text, "a\nb\n", ""):
        with pytest.raises(ValueError, match="cells cannot be told apart"):
            book.fixed(text)


LINES = st.lists(
    st.one_of(
        st.sampled_from(MAGICS.split("\n")),
        st.sampled_from(["x = 1", "s = '''", "'''", "f(", ")", "#\ue000", "_ #\ue000%x", "%%time"]),
        st.text(alphabet="ab %!?'\"\\#()\ue000\r\té\U0001f600\u2028\x0c", max_size=12),
    ),
    max_size=8,
).map("\n".join)


@pytest.mark.filterwarnings("ignore:.*invalid escape sequence")  # Python, and no error there
@settings(max_examples=300)
@given(st.lists(LINES, max_size=4))
@example(["s = '''\n\\?\n'''"])
def test_any_cells_come_back_as_they_were(cells):
    file = notebook(*(code(cell, source=cell) for cell in cells))
    book = Notebook(Source(file))
    assert book.fixed(book.text) == file
    # What is not Python is out of the way: the rest parses, all together.
    ast.parse(book.text)
    # A change in one cell changes that cell alone.
    if "x = 1" in book.text:
        data = json.loads(book.fixed(book.text.replace("x = 1", "x = 2")))
        for cell, new in zip(cells, data["cells"], strict=True):
            assert new["source"] in (cell, cell.replace("x = 1", "x = 2"))
