"""TD163: a `train()` that eval() cannot use. What is found is run in torch."""

import textwrap

import pytest
from torch import nn

from _marks import HEAD, fixed, marked
from torchdropout_audit.registry import RULES

NAME = "train-overridden"


def net(train, bases="nn.Module", rest=""):
    """A Module with this `train`, which sets `self.ran` where it runs a training."""
    init = "    def __init__(self):\n        super().__init__()\n        self.d = nn.Dropout()\n"
    body = textwrap.indent(textwrap.dedent(train).strip("\n"), "    ")
    return f"class A({bases}):\n{init}\n{body}\n{rest}"


RUN = "    self.ran = True\n    loss = self.d.weight\n    loss.backward()\n"
RAISES = [
    net("def train(self):  #!\n    pass\n    return 1"),
    net("def train(me):  #!\n    return super().train()"),
    net("def train(self, **kwargs):  #!\n    return super().train()"),
    net("def train(self, *, mode=True):  #!\n    return super().train(mode)"),
    net("def train(self, x, y):  #!\n    return x + y"),
    net("def train(self, mode, epochs):  #!\n    return super().train(mode)"),
    net("def train(self, mode=True, *, loader):  #!\n    return super().train(mode)"),
]
TRAINS = [
    net("def train(self, trainer=None, **kwargs):  #!\n    self.ran = trainer"),
    net("def train(self, epochs=10):  #!\n    self.ran = range(epochs)"),
    net("def train(self, epochs=10, mode=True):  #!\n    self.ran = range(epochs)"),
    net("def train(self, path='x'):  #!\n    self.ran = path"),
    net("def train(self, epochs=10):  #!\n    self.ran = epochs\n    self.d.train(True)"),
    net("def train(self, n=10):  #!\n    self.ran = n\n    on = True\n    self.d.train(on)"),
    net("def train(self, mode_name='x'):  #!\n    self.ran = mode_name"),
    net("def train(self, data: list):  #!\n    self.ran = data\n    self.optimizer.step()"),
]
IGNORES = [
    net("def train(self, mode=True):  #!\n    super().train()\n    return self"),
    net("def train(self, mode=True):  #!\n    return super().train(True)"),
    net("def train(self, mode=True):  #!\n    return super().train(mode=True)"),
    net("def train(self, mode=True):  #!\n    super(A, self).train()"),
    net("def train(self, mode=True):  #!\n    nn.Module.train(self)"),
    net("def train(self, mode=True):  #!\n    nn.Module.train(self, True)"),
    net("def train(self, mode=True):  #!\n    super().train()\n    self.d.eval()"),
    net("def train(self, flag):  #!\n    super().train()"),
]
CLEAN = [
    net("def train(self, mode=True):\n    nn.Module.train(self, False)"),
    net("def train(self, mode=True):\n    nn.Module.train(self, self.on)"),
    net("def train(self, mode=True):\n    parent().train()"),
    net("def train(self, mode=True):\n    self.parent().train()"),
    net("def train(self, epochs=10):\n    self.ran = range(3)\n    self.d.train(epochs)"),
    net("def train(self, epochs=10):\n    self.ran = range(3)\n    set_mode(self, on=epochs)"),
    net("def train(self, mode=True):\n    return super().train(mode)"),
    net("def train(self, mode=True):\n    return super().train(mode and self.on)"),
    net("def train(self, mode=True):\n    super().train()\n    if not mode: self.d.eval()"),
    net("def train(self, mode=True):\n    return self"),
    net("def train(self, mode=True):\n    return super().train(False)"),
    net("def train(self, mode=True):\n    super().train()\n    return self.eval()"),
    net("def train(self, mode=True):\n    super().train()\n    super().eval()"),
    net("def train(self, mode=True):\n    super().train(self.mode)"),
    net("def train(self, mode=True):\n    super().train()\n    set_mode(**locals())"),
    net("def train(self, *args):\n    return super().train(*args)"),
    net("def train(self, *args, **kwargs):\n    return super().train(*args, **kwargs)"),
    net("def train(self, val=True, *args, **kwargs):\n    super().train(val, *args, **kwargs)"),
    net("def train(self, x=None):\n    super().train(x)\n    self.optimizer.step()"),
    net("def train(self, x=1):\n    self.training = x"),
    net("def train(self, x=DEFAULT):\n    run(x)"),
    net("def train(self, x: bool):\n    run(x)\n    self.optimizer.step()"),
    net("def train(self, is_training):\n    run(is_training)\n    self.optimizer.step()"),
    net("def train(self, x):\n    return run(x)"),
    net("def train(self):\n    raise NotImplementedError"),
    net("def train(self):\n    '''Trains.'''"),
    net("@property\ndef train(self):\n    return self.trainer"),
    net("@staticmethod\ndef train(data, epochs):\n    return data"),
    net("def train():\n    return 1"),
    net("if 1:\n    def train(self, mode=True): ...\nelse:\n    def train(self): return 1"),
    net("if 1:\n    def train(self): return 1\nelse:\n    def train(self, *, mode): return 2"),
    net("def train(self):\n    return 1", rest="    def eval(self):\n        return 1\n"),
    net("def train(self):\n    return 1", rest="    eval = None\n"),
    net("def train(self):\n    return 1", bases="object"),
    net("def train(self):\n    return 1", bases="Elsewhere"),
    net("def train(self):\n    return 1", bases="nn.Module, Elsewhere"),
    net("def train(self):\n    return 1", bases="torch.utils.data.Dataset"),
    "class B(nn.Module):\n    def eval(self): return 1\n"
    + net("def train(self):\n    return 1", bases="B"),
    "class BayesianNet(nn.Module):\n    def train(self, mode=True):\n        super().train()\n",
]


def run(source):
    scope = {}
    exec(HEAD + source, scope)
    return scope["A"]()


@pytest.mark.parametrize("source", RAISES + TRAINS + IGNORES)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize("source", RAISES)
def test_eval_raises(source):
    with pytest.raises(TypeError, match="train"):
        run(source).eval()
    with pytest.raises(TypeError, match="train"):
        nn.ModuleList([run(source)]).eval()


@pytest.mark.parametrize("source", TRAINS)
def test_eval_trains(source):
    model = run(source)
    model.optimizer = type("Optimizer", (), {"step": lambda self: None})()
    model.eval()
    assert model.ran in (False, range(0))
    assert model.d.training


@pytest.mark.parametrize("source", IGNORES)
def test_eval_leaves_it_in_training(source):
    model = run(source)
    model.eval()
    assert model.training


@pytest.mark.parametrize("bases", ["lightning.LightningModule", "abc.ABC, nn.Module", "nn.Module"])
def test_bases_that_say_nothing(bases):
    head = "import abc\nimport lightning\n"
    source = head + net("def train(self):  #!\n    return 1", bases=bases)
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize("source", [s for s in IGNORES if "nn.Module.train" not in s])
def test_fix_is_not_safe_and_passes_the_mode_on(source):
    assert fixed(NAME, source)[0] == source
    text, left = fixed(NAME, source, unsafe=True)
    assert left == ()
    model = run(text)
    model.eval()
    assert not model.training
    model.train(True)
    assert model.training


def test_the_mode_is_the_first_parameter():
    source = """\
        class A(nn.Module):
            def train(self, on=True, frozen=False):
                super().train()
                self.frozen = frozen
        """
    text, left = fixed(NAME, source, unsafe=True)
    assert "super().train(on)\n" in text
    assert left == ()


def test_no_fix_of_a_call_by_the_class():
    source = net("def train(self, mode=True):\n    nn.Module.train(self)")
    _, [finding] = fixed(NAME, source, unsafe=True)
    assert finding.fix is None


def test_messages_say_what_eval_does():
    for source, said in ((RAISES[0], "a TypeError"), (RAISES[4], "needs x, y")):
        _, [finding] = fixed(NAME, source)
        assert said in finding.message
    _, [finding] = fixed(NAME, TRAINS[0])
    assert "trainer=False" in finding.message


@pytest.mark.parametrize(("which", "mode"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, mode):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    assert scope["Net"]().eval().drop.training is mode


@pytest.mark.parametrize(
    ("method", "init", "is_found"),
    [
        ("def forward(self, x):\n    return x if self.training else 0", "pass", True),
        ("def forward(self, x):\n    return x if x.training else 0", "pass", False),
        ("def forward(self, x):\n    return x if self.mode else 0", "pass", False),
        ("def forward(self, x):\n    return x if self.x.training else 0", "pass", False),
        ("def forward(self, x):\n    return x if self.training else 0", "self.training = 1", False),
        ("def forward(self, x):\n    return x", "print(self.training)", False),
    ],
)
def test_a_class_with_an_unknown_base(method, init, is_found):
    source = f"""
class A(Elsewhere):
    def __init__(self):
        super().__init__()
        self.d = nn.Dropout()
        {init}
    def train(self):{"  #?" if is_found else ""}
        return self.training
{textwrap.indent(method, "    ")}
"""
    found, expected = marked(NAME, source)
    assert found == expected


def test_what_is_fixed_is_no_advice_for_an_unknown_base():
    source = """
class A(Elsewhere):
    def train(self, mode=True):
        super().train()
    def forward(self, x):
        return nn.functional.dropout(x, 0.1, self.training)
"""
    assert marked(NAME, source) == ([], [])
