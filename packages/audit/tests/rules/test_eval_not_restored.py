"""TD161: a training loop that leaves its model in eval. Lines that end in `#!` are to be found."""

import pytest

from _sources import findings_in
from torchdropout_audit.source import audit_text

STEP = """            loss = model(x).sum()
            loss.backward()
            optimizer.step()
"""


def of(text):
    """The lines that are found and those that are marked; `STEP` stands for a step of training."""
    text = text.replace("            STEP\n", STEP)
    found = audit_text(text, rules={"eval-not-restored"})
    assert {each.severity for each in found} <= {"advice"}
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    return [each.line for each in found], marked


FOUND = {
    "epochs": """
def fit(model, loader, optimizer):
    model.train()
    for epoch in range(9):
        for x in loader:
            STEP
        model.eval()  #!
        print(model(x))
""",
    "every n steps of an epoch": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        model.train()
        for i, x in enumerate(loader):
            STEP
            if i % 100 == 0:
                model.eval()  #!
                print(model(x))
""",
    "turns that the length divides": """
def fit(model, loader, optimizer):
    model.train()
    for epoch in range(9):
        for i, x in enumerate(loader):
            STEP
            if i % len(loader) == 0:
                model.eval()  #!
                print(model(x))
""",
    "turns of the only loop that the length divides": """
def fit(model, loader, optimizer):
    model.train()
    with scope():
        for i, x in enumerate(loader):
            STEP
            if i % len(loader) == 0:
                model.eval()  #!
                print(model(x))
""",
    "train(False)": """
def fit(model, loader, optimizer):
    while True:
        for x in loader:
            STEP
        model.train(False)  #!
""",
    "train(mode=False)": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        for x in loader:
            STEP
        model.train(mode=False)  #!
""",
    "in functions": """
def train(loader, model, optimizer):
        for x in loader:
            STEP
def test(loader, model):
    model.eval()  #!
    for x in loader:
        model(x)
def main(net, optimizer, loader):
    for epoch in range(9):
        train(loader, net, optimizer)
        test(loader, model=net)
    print(net.parameters())
""",
    "in methods": """
class Trainer:
    def step(self, x):
        loss = self.model(x)
        loss.backward()
    def validate(self):
        self.model.eval()  #!
        print(self.model(self.x))
    def fit(self, loader):
        self.model.train()
        for x in loader:
            self.step(x)
            self.validate()
""",
    "scaler": """
scaler.step(optimizer)
for x in loader:
    scaler.scale(model(x)).backward()
    scaler.step(optimizer)
    model.eval()  #!
""",
}

CLEAN = {
    "train at the head": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        model.train()
        for x in loader:
            STEP
        model.eval()
""",
    "put back": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        for x in loader:
            STEP
        was = model.training
        model.eval()
        model.train(was)
""",
    "put back by a function": """
def train(model, loader, optimizer):
        model.train()
        for x in loader:
            STEP
def fit(model, loader, optimizer):
    for epoch in range(9):
        train(model, loader, optimizer)
        model.eval()
""",
    "maybe put back elsewhere": """
from elsewhere import train_one_epoch
def fit(model, loader, optimizer):
    for epoch in range(9):
        for x in loader:
            STEP
        model.eval()
        train_one_epoch(model)
""",
    "a function that puts back": """
def validate(model):
    model.eval()
    model.train()
def fit(model, loader, optimizer):
    for epoch in range(9):
        for x in loader:
            STEP
        validate(model)
""",
    "the loop ends there": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        for x in loader:
            STEP
        if done(epoch):
            model.eval()
            break
        if stopped(epoch):
            model.eval()
            return model
    model.eval()
""",
    "another model": """
def fit(model, teacher, loader, optimizer):
    for epoch in range(9):
        teacher.eval()
        with torch.no_grad():
            y = teacher(epoch)
        for x in loader:
            STEP
""",
    "a frozen part": """
def fit(model, features, loader, optimizer):
    model.train()
    for x in loader:
        features.eval()
        features(model(x)).sum().backward()
        optimizer.step()
""",
    "a new model each turn": """
def folds(make, loader):
    for fold in range(9):
        model = make()
        optimizer = model.parameters()
        for x in loader:
            STEP
        model.eval()
""",
    "a model of a fold": """
def folds(folds, loader):
    for fold in folds:
        optimizer = fold.model.parameters()
        for x in loader:
            loss = fold.model(x).sum()
            loss.backward()
            optimizer.step()
        fold.model.eval()
""",
    "no training": """
def look(models, optimizer):
    for model in models:
        model.eval()
        model(1)
""",
    "not a model": """
def fit(frame, model, loader, optimizer):
    for epoch in range(9):
        frame.eval("a = b")
        for x in loader:
            STEP
""",
    "defined in the loop, not run there": """
def fit(model, loader, optimizer):
    for epoch in range(9):
        def look():
            model.eval()
        for x in loader:
            STEP
""",
    "functions that call each other": """
def one(model):
    two(model)
def two(model):
    one(model)
def fit(model, loader, optimizer):
    for epoch in range(9):
        one(model)
        for x in loader:
            STEP
""",
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name):
    found, marked = of(FOUND[name])
    assert found == marked
    assert found


@pytest.mark.parametrize("name", CLEAN)
def test_clean(name):
    assert of(CLEAN[name]) == ([], [])


def test_every_n_turns_or_the_last_is_not_the_last_alone():
    text = """
for epoch in range(9):
    for i, x in enumerate(loader):
        model(x).backward()
    if i % 9 == 0 or i == len(loader) - 1:
        model.eval()  #!
"""
    assert of(text) == ([6], [6])
    assert of(text.replace(" or ", " and ")) == ([], [6])


def test_one_finding_a_loop_and_model():
    lines = FOUND["epochs"].rstrip() + "\n        model.eval()\n"
    found, marked = of(lines)
    assert found == marked
    assert len(found) == 1


def test_long_chains_of_calls():
    chain = ".a()" * 900
    found, _ = of(f"for x in y:\n    model.eval()\n    model(x).backward()\n    x{chain}.step()\n")
    assert found == [2]


def test_one_finding_a_function_that_two_loops_call():
    loop = """    for x in loader:
        model(x).backward()
        validate(model)
"""
    found = audit_text(f"def fit(model):\n{loop * 2}\ndef validate(model):\n    model.eval()\n")
    [only] = [each for each in found if each.name == "eval-not-restored"]
    assert only.line == 10
    assert "for a call on line 4, in a training loop, and not put back there" in only.message
    assert only.hint == "model.train() at the head of the loop"


def test_what_is_put_back_after_the_best_result_says_so():
    [only] = audit_text("""
for x in loader:
    model(x).backward()
    model.eval()
    if model(x).sum() < best:
        model.train()
""")
    assert only.line == 4
    assert "and back only after the best result" in only.message


def test_a_function_that_trains_other_names_by_calling_itself():
    text = """
def train(a, b):
    a.train()
    train(b, a)
for x in loader:
    model(x).backward()
    model.eval()
    train(model, x)
"""
    assert of(text) == ([], [])


ENGINE = """
import torch

def train(model, loader, optimizer):
    MODE
    for x in loader:
        loss = model(x).sum()
        loss.backward()
        optimizer.step()

def validation(model, loader):
    model.eval()
    with torch.no_grad():
        return [model(x).sum() for x in loader]
"""
MAIN = """
from torch import optim
from engine import train, validation

def run(net, loader):
    optimizer = optim.Adam(net.parameters())
    net.train()
    for epoch in range(9):
        train(net, loader, optimizer)
        print(validation(net, loader))
"""


def elsewhere(folder, main, engine=ENGINE, mode="pass", path="engine.py"):
    """The lines of the engine that are found, with a program that uses it."""
    files = {path: engine.replace("MODE", mode), "main.py": main}
    found = findings_in(folder, files, path, "eval-not-restored")
    assert findings_in(folder, files, "main.py", "eval-not-restored") == []
    return [line for line, _ in found]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("from engine import train, validation", "from engine import *"),
        ("print(validation(net, loader))", "print(validation(model=net, loader=loader))"),
    ],
)
def test_a_loop_of_another_file(old, new, tmp_path):
    assert elsewhere(tmp_path, MAIN.replace(old, new)) == [12]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("validation", "perplexity", "perplexity"),  # one that could be found by itself
        ("    with torch.no_grad():\n        return [model(x).sum() for x in loader]\n", "", ""),
        ("def train(", "net.eval()\n\ndef train(", ""),
        ("def train(", "def both(net, x):\n    return validation(net, x)\n\ndef train(", "both"),
    ],
)
def test_a_loop_of_another_file_is_one_finding(old, new, name, tmp_path):
    main = MAIN.replace("validation", name or "validation")
    engine = ENGINE.replace(old, new)
    line = engine[: engine.index("    model.eval()")].count("\n") + 1
    assert elsewhere(tmp_path, main, engine) == [line]


@pytest.mark.parametrize(
    ("old", "new", "mode"),
    [
        ("", "", "model.train()"),  # the function that trains does
        ("        train(", "        net.train()\n        train(", "pass"),
        ("print(validation(net,", "if not training:\n            print(validation(net,", "pass"),
        ("net, loader))", "net, loader))\n        net.train()", "pass"),
        ("net, loader))", "net, loader))\n        break", "pass"),
        ("print(validation(net,", "print(validation(copy(net),", "pass"),
        ("import train, validation", "import train\nfrom other import validation", "pass"),
        ("        train(net, loader, optimizer)", "        print(epoch)", "pass"),
        ("        train(net", "        train_more(net", "pass"),
        ("    for epoch in range(9):", "    if loader:", "pass"),
        ("    net.train()\n", "    freeze(net)\n", "pass"),
    ],
)
def test_a_loop_of_another_file_that_is_right(old, new, mode, tmp_path):
    assert elsewhere(tmp_path, MAIN.replace(old, new), mode=mode) == []


MODEL = """
from torch import nn, optim

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)
        self.optimizer = optim.Adam(self.parameters())

    def forward(self, x):
        return self.drop(self.encoder(x))

    def train_batch(self, x):
        MODE
        self.loss = self(x).sum()

    def optimize(self):
        self.loss.backward()
        self.optimizer.step()

    def evaluate(self, loader):
        self.train(False)
        return [self(x).sum() for x in loader]
"""
OBJECT = """
from tagger import Tagger

tagger = Tagger()
for epoch in range(9):
    for x in loader:
        tagger.train_batch(x)
        tagger.optimize()
    print(tagger.evaluate(loader))
"""
HELD = """
from tagger import Tagger

class Trainer:
    def __init__(self):
        self.tagger = Tagger()

    def fit(self, loader):
        for x in loader:
            self.tagger.train_batch(x)
            self.tagger.optimize()
            self.tagger.evaluate(loader)
"""


@pytest.mark.parametrize("main", [OBJECT, HELD])
@pytest.mark.parametrize(("mode", "lines"), [("pass", [23]), ("self.train()", [])])
def test_a_loop_of_another_file_that_calls_methods(main, mode, lines, tmp_path):
    assert elsewhere(tmp_path, main, MODEL, mode, "tagger.py") == lines


HELPER = """
def perplexity(model, loader):
    model.eval()  #!
    return sum(model(x) for x in loader)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("model.eval()", "model = model.to(0)\n    model.eval()"),
        ("perplexity", "word_perplexity"),
        ("model(x)", "model.score(x)"),
        ("model(x)", "model.decoder.head.score(x)"),
        ("    model.eval()", "    with scope():\n        model.eval()"),
        ("\ndef perplexity", "import optim\n\ndef look"),
    ],
)
def test_a_function_that_is_given_a_model(old, new):
    text = HELPER.replace(old, new, 1)
    found = audit_text(text, "src/helper.py", rules={"eval-not-restored"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("perplexity", "evaluate_perplexity"),
        ("perplexity", "look"),
        ("loader)", "loader, file)"),
        ("loader)", "out_dir, loader)"),
        ("model.eval()", "if loader: model.eval()"),
        ("model.eval()", "loader and model.eval()"),
        ("model.eval()", "model.eval() if loader else 0"),
        ("    model.eval()", "    try:\n        f()\n    except E:\n        model.eval()"),
        ("return sum(model(x) for x in loader)", "return model"),
        ("return sum(model(x) for x in loader)", "model(0)\n    return 1, model"),
        ("return sum(model(x) for x in loader)", "model(0)\n    self.model = model"),
        ("return sum(model(x) for x in loader)", "model(0)\n    one = self.model = model"),
        ("return sum(model(x) for x in loader)", "yield model(0)"),
        ("return sum(model(x) for x in loader)", "return loader"),
        ("return sum(model(x) for x in loader)", "model.load_state_dict(model(0))"),
        ("return sum(model(x) for x in loader)", "model(0)\n    model.train()"),
        ("return sum(model(x) for x in loader)", "model(0).backward()"),
        ("model.eval()", "model = build()\n    model.eval()"),
        ("model.eval()", "model = build()\n    model.part.eval()\n    model.part(0)"),
        ("def perplexity(model, loader)", "def perplexity(loader)"),
    ],
)
def test_a_function_that_may_leave_it_in_eval(old, new):
    text = HELPER.replace(old, new, 1)
    assert audit_text(text, "src/helper.py", rules={"eval-not-restored"}) == []


@pytest.mark.parametrize("path", ["src/evaluate.py", "src/test_all.py", "src/benchmark.py"])
def test_a_file_that_evaluates_by_its_name(path):
    assert audit_text(HELPER, path, rules={"eval-not-restored"}) == []


@pytest.mark.parametrize(
    "text",
    [
        """
def perplexity(model, other, loader):
    model.eval()  #!
    other.eval()
    return sum(other(model(x)) for x in loader)
""",
        """
def off(a, b):
    a.eval()
    b.eval()

def perplexity(model, other, loader):
    off(model, other)  #!
    return sum(other(model(x)) for x in loader)
""",
        """
def off(a):
    a.eval()

def perplexity(model, loader):
    off(model)  #!
    return sum(model(x) for x in loader)

def accuracy(model, loader):
    off(model)
    return sum(model(x) for x in loader)
""",
    ],
)
def test_a_function_and_a_call_of_eval_are_found_once(text):
    found = audit_text(text, "src/helper.py", rules={"eval-not-restored"})
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert [each.line for each in found] == marked
