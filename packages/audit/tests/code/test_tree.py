"""Where nodes are, in the text and in the tree; and what a path says."""

import ast

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.code.tree import Place, parsed

BOM = "\ufeff"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_have_no_ends_and_there_is_none_after_the_last(end, last):
    code = Code(end.join(["a = 1", "", "b = 2"]) + end * last)
    assert [code.line(n) for n in range(6)] == ["", "a = 1", "", "b = 2", "", ""]


@pytest.mark.parametrize("bom", ["", BOM])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "'é' + ", f"'{'é' * 700}' + ", f"'{'x' * 511}é' + "])
def test_the_place_of_a_node_in_characters(bom, end, before):
    text = f"{bom}a = 1{end}b = {before}drop(x){end}c = 3{end}"
    code = Code(text)
    (call,) = (node for node in ast.walk(code.tree) if isinstance(node, ast.Call))
    start, stop = code.span(call)
    assert text[start:stop] == code.text_of(call) == "drop(x)"
    assert code.position(start) == (2, len(f"b = {before}") + 1)
    assert code.position(stop) == (2, len(f"b = {before}drop(x)") + 1)
    assert [code.position(code.span(one)[0]) for one in code.tree.body] == [(1, 1), (2, 1), (3, 1)]


def test_a_node_of_many_lines():
    text = "f(\n  'é',\n  x)\ny = 1\n"
    code = Code(text)
    assert code.text_of(code.tree.body[0]) == "f(\n  'é',\n  x)"
    start, end = code.span(code.tree.body[0])
    assert (code.position(start), code.position(end)) == ((1, 1), (3, 5))


TRY = """
for a in b:
    one
    two
else:
    three
value = [four, five] and (lambda: six)
"""


def test_the_block_that_a_node_is_in_and_what_comes_before_it():
    code = Code(TRY)
    loop, assign = code.tree.body
    one, two, three = *loop.body, *loop.orelse
    for node, name in ((one, "body"), (two, "body"), (three, "orelse")):
        fields = ("body", "orelse", "finalbody", "iter", "target")
        assert [field for field in fields if code.is_in(node, loop, field)] == [name]
        assert not code.is_in(node, code.tree, name)
    assert not code.is_in(loop.iter, loop, "iter")  # one node, and no block
    assert not code.is_in(assign.value, loop, "body")
    assert code.is_in(loop, code.tree, "body")
    before = [code.before(node) for node in (loop, assign, one, two, three, loop.iter)]
    assert before == [None, loop, None, one, None, None]
    left, right = assign.value.values
    assert (code.before(left), code.before(right)) == (None, left)
    assert [code.before(each) for each in left.elts] == [None, left.elts[0]]


def test_names_below_a_node():
    code = Code(TRY)
    loop, assign = code.tree.body
    assert {n: len(found) for n, found in code.names_in(loop).items()} == dict.fromkeys(
        ("a", "b", "one", "two", "three"), 1
    )
    assert code.names_in(assign).keys() == {"value", "four", "five", "six"}


NESTED = """
class A:
    def m(self, x):
        def inner(y):
            IN_INNER
        class B:
            IN_B
            def of_b(this):
                IN_OF_B
        IN_M
    IN_A
    @classmethod
    def made(cls):
        IN_MADE
    @staticmethod
    def plain(x):
        IN_PLAIN
    def rebound(self):
        self = 1
        IN_REBOUND
def f():
    IN_F
IN_MODULE
"""


@pytest.mark.parametrize(
    ("name", "function", "cls", "receiver"),
    [
        ("IN_INNER", "inner", "A", "self"),
        ("IN_B", None, None, None),
        ("IN_OF_B", "of_b", "B", "this"),
        ("IN_M", "m", "A", "self"),
        ("IN_A", None, None, None),
        ("IN_MADE", "made", "A", None),
        ("IN_PLAIN", "plain", "A", None),
        ("IN_REBOUND", "rebound", "A", None),
        ("IN_F", "f", None, None),
        ("IN_MODULE", None, None, None),
    ],
)
def test_what_a_node_is_in(name, function, cls, receiver):
    code = Code(NESTED)
    (node,) = code.names_in(code.tree)[name]
    around, of = code.function_of(node), code.class_of(node)
    assert (around.node.name if around else None) == function
    assert (of.node.name if of else None) == cls
    assert code.receiver(node) == receiver


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("model.py", ""),
        ("tests/model.py", "test"),
        ("a\\testing\\model.py", "test"),
        ("test/a/model.py", "test"),
        ("contest/model.py", ""),
        ("tests.py", ""),
        ("test_model.py", "test"),
        ("model_test.py", "test"),
        ("conftest.py", "test"),
        ("latest.py", ""),
        ("mc_dropout.py", "deliberate"),
        ("bayesian/model.py", "deliberate"),
        ("PreNet.py", "deliberate"),
        ("predict.py", "inference"),
        ("onnx/model.py", "inference"),
        ("prediction.py", "inference"),
        ("traffic_prediction.py", ""),
        ("recognition/model.py", "inference"),
    ],
)
def test_what_a_path_says(path, said):
    place = Place.of(path)
    found = [n for n in ("test", "deliberate", "inference") if getattr(place, f"is_{n}")]
    assert " ".join(found) == said
    assert place.name == path.replace("\\", "/").rpartition("/")[2]


def test_a_text_is_parsed_without_warnings():
    """Here each warning is an error."""
    assert parsed('x = "\\d"') is not None
    assert parsed("x = 1 is 1") is not None
    assert parsed("x =") is None
