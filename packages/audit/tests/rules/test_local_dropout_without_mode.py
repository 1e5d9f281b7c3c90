"""TD107: what the snippets do not show of a function of the file that drops."""

import pytest

from _marks import HEAD, marked
from torchdropout_audit.source import audit_text

NAME = "local-dropout-without-mode"


def net(function, call, before="pass", head="class A(nn.Module):"):
    """A function, and a Module that calls it."""
    return f"""
{function}

{head}
    def forward(self, x, p):
        {before}
        return {call}
"""


MODE = "def word_drop(x, p=0.5, training={}):\n    return F.dropout(x, p, training)"
ALWAYS = "def word_drop(x, p):\n    return x * torch.bernoulli(torch.ones_like(x) * (1 - p))"


@pytest.mark.parametrize("function", [MODE.format(True), MODE.format(False), ALWAYS])
@pytest.mark.parametrize("call", ["word_drop(x, 0.1)", "word_drop(x, p=self.p)", "word_drop(x, p)"])
def test_found(function, call):
    found, expected = marked(NAME, net(function, f"{call}  #!"))
    assert found == expected
    assert len(found) == 1


@pytest.mark.parametrize("function", [MODE.format(True), ALWAYS])
@pytest.mark.parametrize(
    ("call", "before"),
    [
        ("word_drop(x, 0.0)", ""),
        ("word_drop(x, 0)", ""),
        ("word_drop(*x)", ""),
        ("word_drop(x, **self.given)", ""),
        ("word_drop(x, self.p if self.training else 0.0)", ""),
        ("word_drop(x, 0.1) if self.training else x", ""),
        ("word_drop(x, 0.1)", "if not self.training: return x"),
    ],
)
def test_a_call_that_may_be_right(function, call, before):
    assert marked(NAME, net(function, call, before or "pass")) == ([], [])


@pytest.mark.parametrize(
    "source",
    [
        net(MODE.format(True).replace("word_drop", "noise"), "noise(x, 0.1)"),
        net(ALWAYS.replace("word_drop", "noise"), "noise(x, 0.1)"),
        net(ALWAYS, "word_drop(x)"),  # raises
        net(MODE.format(False), "word_drop(x, 0.0)"),
        net(MODE.format(False), "word_drop(*x)"),
        net(MODE.format(False), "word_drop(x, **self.given)"),
        net(MODE.format(None), "word_drop(x, 0.1)"),
        net(MODE.format("other"), "word_drop(x, 0.1)"),
        net(MODE.format(False), "word_drop(x, 0.1, self.training)"),
        net(MODE.format(False), "word_drop(x, 0.1, training=False)"),
        net("def word_drop(x, p, training=False):\n    return x", "word_drop(x, 0.1)"),
        net("def word_drop(x, training=False):\n    return f(x, training)", "word_drop(x)"),
        net(MODE.format(False), "word_drop(x, 0.1)", head="class A:"),
        net(ALWAYS, "word_drop(x, 0.1)", head="class A:"),
        MODE.format(False) + "\nword_drop(x, 0.1)",
        MODE.format(False),
    ],
)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


def test_a_test_is_not_looked_at():
    assert marked(NAME, net(ALWAYS, "word_drop(x, 0.1)"), "tests/test_x.py") == ([], [])


@pytest.mark.parametrize(
    ("decorator", "is_found"),
    [
        ("torch.no_grad()", False),
        ("torch.no_grad", False),
        ("torch.inference_mode()", False),
        ("torch.compile", True),
    ],
)
def test_a_class_that_evaluates_in_a_method_of_its_own(decorator, is_found):
    call = "word_drop(x, 0.1)" + ("  #!" if is_found else "")
    source = net(ALWAYS, call) + f"    @{decorator}\n    def run(self, x):\n        return x\n"
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(found) == is_found


@pytest.mark.parametrize(
    ("function", "said", "has_fix"),
    [
        (MODE.format(True), "drops in eval too: training defaults to True", True),
        (MODE.format(False), "never drops: training defaults to False", True),
        (ALWAYS, "drops in eval too: it has no parameter for the mode", False),
    ],
)
def test_the_words_of_a_finding(function, said, has_fix):
    text = HEAD + net(function, "word_drop(x, 0.1)")
    [finding] = audit_text(text, "src/model.py", {NAME})
    assert finding.message == f"word_drop {said}"
    assert (finding.fix is not None) == has_fix
    assert finding.hint == (finding.fix.does if has_fix else "call it only if self.training")
