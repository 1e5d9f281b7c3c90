"""What code does to the modes of its models, through the functions that it calls."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.project import Project
from torchdropout_audit.rules._modes import modes

HELPERS = """
def put_back(m):
    m.train()
def put_back_part(m):
    m.net.train()
def put_back_whole(m):
    whole = Whole(m)
    whole.train()
def put_back_other(m, n):
    m = Whole(n)
    m.train()
def put_back_child(m):
    child = m.child
    child.train()
def evaluate(m, n=1):
    m.eval()
def unknown():
    train_one()
def learn(loss):
    loss.backward()
def step(optimizer):
    optimizer.step()
def again(m):
    m.train()
    again(m)
def use_model():
    model.eval()
class Own(Module):
    def look(self):
        self.eval()
    def look_at(self, m):
        m.eval()
    def look_through(self):
        self.net.eval()
model = 1
"""


def found_in(lines):
    code = Code(f"{HELPERS}def f(model, net, loss, best):\n{textwrap.indent(lines, '    ')}\n")
    function = next(each for each in code.functions if each.name == "f")
    return modes(code, False).inside(function.node)


def said(lines):
    """What a function does, in words."""
    found = found_in(lines)
    text = [f"eval {name}" for name in found.evals]
    for name, restored in found.restored.items():
        parts = restored.built_of
        built = "" if parts is None else f" of {', '.join(sorted(parts))}"
        better = "" if restored.branch is None else " if better"
        text.append(f"train {name}{' held' if restored.is_part else ''}{built}{better}")
    flags = ("is_open", "backward", "steps")
    return "; ".join(text + [each for each in flags if getattr(found, each)])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("model(1)", ""),
        ("model.eval()", "eval model"),
        ("model.eval('a = b')", ""),
        ("model.eval(x=1)", ""),
        ("model.eval().to(1)", "eval model"),
        ("model.to(1).eval()", "eval model"),
        ("model.train(False)", "eval model"),
        ("model.train(mode=False)", "eval model"),
        ("model.train(True)", "train model"),
        ("model.train()", "train model"),
        ("model.train(False, 1)", "train model"),
        ("model.net.train()", "train model.net"),
        ("model[0].train()", "train model.[0]"),
        ("model().train()", "train ; is_open"),
        ("n = self.net\nn.eval()", "eval self.net"),
        ("n = other.net\nn.eval()", "eval n"),
        ("n = self.nets[0]\nn.eval()", "eval n"),
        ("n = self.net\nn = self.other\nn.eval()", "eval n"),
        ("loss.backward()", "backward"),
        ("optimizer.step()", "backward; steps"),
        ("self.opt.step()", "backward; steps"),
        ("opts[0].step()", "backward; steps"),
        ("scaler.step(1)", "backward; steps"),
        ("scheduler.step()", ""),
        ("step(1)", "backward; steps"),
        ("def g():\n    model.eval()", ""),
        ("class G:\n    model.eval()", ""),
        ("for x in net:\n    if x: model.eval()", "eval model"),
    ],
)
def test_calls(lines, expected):
    assert said(lines) == expected


@pytest.mark.parametrize(
    ("call", "is_open"),
    [
        ("train(1)", True),
        ("train_epoch(1)", True),
        ("trainer.fit_and_train(1)", True),
        ("fit(1)", False),
        ("pretrain(1)", False),
        ("trainable(1)", False),
        ("train_loader(1)", False),
        ("train_iter(1)", True),
        ("train_data(1)", True),
        ("get_train_data(1)", False),
        ("get_train_loader_now(1)", False),
        ("get_train_step(1)", True),
        ("run_train_data(1)", True),
    ],
)
def test_names_of_functions_that_may_train(call, is_open):
    assert said(call) == ("is_open" if is_open else "")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("if loss < best: model.train()", "train model if better"),
        ("if self.best > loss: model.train()", "train model if better"),
        ("if loss < best:\n    if net: model.train()", "train model if better"),
        ("if loss < best: model.train()\nelse: net", "train model"),
        ("if loss < net: model.train()", "train model"),
        ("if best: model.train()", "train model"),
        ("if loss < best:\n    for x in net: model.train()", "train model"),
        ("if loss < best: model.train()\nmodel.train()", "train model"),
        ("model.train()\nif loss < best: model.train()", "train model"),
    ],
)
def test_what_is_put_back_after_the_best_result(lines, expected):
    assert said(lines) == expected


@pytest.mark.parametrize(
    ("value", "built"),
    [
        ("Whole(model)", " of model"),
        ("Whole(model, 1, name=net)", " of model, net"),
        ("Whole(model.net)", " of model, model.net"),
        ("Whole(model.shape, net.size(0))", " of "),
        ("nn.Whole(model)", " of model, nn, nn.Whole"),
        ("Whole([model, (net, 1)])", " of model, net"),
        ("Whole(part)", " of model, model.part, part"),
        ("Whole(made)", " of made, net"),
        ("Whole(number)", " of number"),
        ("Whole(twice)", " of twice"),
        ("Whole(model).to(1)", " of model"),
        ("make(model)", ""),
        ("model", ""),
    ],
)
def test_what_an_object_is_built_of(value, built):
    lines = "part = model.part\nmade = make(net)\nnumber = 1\ntwice = model\ntwice = net\n"
    assert said(f"{lines}whole = {value}\nwhole.train()") == f"train whole{built}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("put_back(model)", "train model"),
        ("put_back(m=model.net)", "train model.net"),
        ("put_back(make())", "is_open"),
        ("put_back(*model)", "is_open"),
        ("put_back_part(model)", "train model.net"),
        ("put_back_whole(model)", "train model held"),
        ("put_back_whole(make())", ""),
        ("put_back_whole(model)\nmodel.train()", "train model"),
        ("put_back_whole(model)\nput_back_whole(model)", "train model held"),
        ("put_back_other(make(), net)", "is_open"),
        ("put_back_child(model)", "is_open"),
        ("evaluate(model)", "eval model"),
        ("evaluate(n=1, m=model)", "eval model"),
        ("evaluate(make())", ""),
        ("unknown()", "is_open"),
        ("learn(loss)", "backward"),
        ("step(net)", "backward; steps"),
        ("again(model)", "train model"),
        ("use_model()", ""),
        ("own = Own()\nown.look()", "eval own"),
        ("own = Own().to(1)\nown.look()", "eval own"),
        ("own = Own()\nown.look_at(model)", "eval model"),
        ("own = Own()\nown.look_through()", "eval own.net"),
        ("own = Own()\nown.other()", ""),
        ("own = Own()\nown = model\nown.look()", ""),
        ("own = Other()\nown.look()", ""),
        ("own = [Own()]\nown.look()", ""),
    ],
)
def test_functions_that_are_called(lines, expected):
    assert said(lines) == expected


def test_a_function_is_read_once():
    code = Code("def f(model):\n    model.eval()\n")
    read = modes(code, False)
    assert read.inside(code.functions[0].node) is read.inside(code.functions[0].node)


@pytest.mark.parametrize(
    ("lines", "applies"),
    [
        ("model(1)", {"model"}),
        ("self.net.run(1)", {"self.net.run"}),
        ("model(1).detach()", set()),
        ("with torch.no_grad(): model(1)", set()),
        ("apply(model)", {"model"}),
        ("apply(make())", {"make"}),
        ("apply(model).detach()", set()),
    ],
)
def test_models_that_are_applied(lines, applies):
    found = found_in(f"def apply(m): m(1)\n{lines}").applies
    assert found - {"model(1).detach", "torch.no_grad", ""} == applies


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("model(1)", ""),
        ("model.eval()", "model"),
        ("model.eval()\nnet.eval()", "model, net"),
        ("model.eval()\nmodel.train()", ""),
        ("model.eval()\nnet.train()", ""),  # which may hold the model
        ("model.eval()\nnet.eval()\nnet.train()", "model"),
        ("model.eval()\nmodel.net.eval()\nmodel.net.train()", ""),
        ("model.eval()\nmodel.net.eval()\nmodel.train()", ""),
        ("model.eval()\nmodels.eval()\nmodels.train()", "model"),
        ("model.eval()\nput_back_whole(net)", "model"),
        ("model.eval()\nput_back_whole(model)", ""),
        ("whole = Whole(model)\nmodel.eval()\nwhole.eval()\nwhole.train()", ""),
        ("whole = Whole(net)\nmodel.eval()\nwhole.eval()\nwhole.train()", "model"),
        ("model.eval()\nunknown()", ""),
        ("model.eval()\nif loss < best: model.train()", ""),
        ("evaluate(model)", "model"),
        ("evaluate(model)\nmodel.train()", ""),
    ],
)
def test_what_a_function_leaves_in_eval(lines, left):
    code = Code(
        f"{HELPERS}def f(model, net, loss, best):\n{textwrap.indent(lines, '    ')}\nf(m, n)\n"
    )
    function = next(each for each in code.functions if each.name == "f")
    read = modes(code, False)
    assert ", ".join(read.left_by(function)) == left
    outside = left.replace("model", "m").replace("net", "n")
    assert ", ".join(read.left_in_eval(code.calls[-1].node)) == outside
    assert read.left_in_eval(code.calls[0].node) == {}  # m.train()
    assert read.left_by(function) is read.left_by(function)


LOOP = """
for x in loader:
    model(x).backward()
    model.eval()
    {}
"""


@pytest.mark.parametrize(
    ("line", "may", "is_better"),
    [
        ("pass", False, False),
        ("model.train()", True, False),
        ("if loss < best: model.train()", False, True),
        ("if loss < limit: model.train()", True, False),
        ("other.train()", True, False),
        ("if loss < best: other.train()", False, False),
    ],
)
def test_a_loop_that_may_put_a_model_back(line, may, is_better):
    code = Code(LOOP.format(line))
    read, loop = modes(code, False), code.tree.body[0]
    call = next(each.node for each in code.calls if getattr(each.node.func, "attr", "") == "eval")
    assert read.may_restore("model", loop, call) is may
    assert read.is_back_if_better("model", loop) is is_better


def test_a_branch_that_puts_back_what_it_put_in_eval():
    code = Code(
        LOOP.replace("    model.eval()\n", "").format(
            "if loss < best:\n        model.eval()\n        model.train()"
        )
    )
    read, loop = modes(code, False), code.tree.body[0]
    call = next(each.node for each in code.calls if getattr(each.node.func, "attr", "") == "eval")
    assert read.may_restore("model", loop, call)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("x.train_back()", "is_open"),
        ("x.train_learn()", "backward"),
        ("x.train_some()", ""),
        ("x.train_either()", "is_open"),
        ("x.train_nowhere()", "is_open"),
        ("x.learn()", ""),
        ("train_learn()", "is_open"),
        ("train_learn.deep()", ""),
    ],
)
def test_methods_with_the_name_of_one_in_another_file(call, expected, tmp_path):
    methods = {
        "train_back": ("m.train()", "m.train()"),
        "train_learn": ("loss.backward()", "loss.backward()"),
        "train_some": ("loss.backward()", "pass"),
        "train_either": ("m.train()", "pass"),
    }
    text = "".join(
        f"class {name.title()}{i}:\n    def {name}(self, m, loss): {body}\n"
        for name, bodies in methods.items()
        for i, body in enumerate(bodies)
    )
    (tmp_path / "other.py").write_text(text)
    main = f"def f(x):\n    {call}\n"
    (tmp_path / "main.py").write_text(main)
    for project in (Project(tmp_path), None):
        code = Code(main, str(tmp_path / "main.py"), project)
        for is_wide in (True, False):
            found = modes(code, is_wide).inside(code.functions[0].node)
            said = [each for each in ("is_open", "backward", "steps") if getattr(found, each)]
            if is_wide and project is not None:
                assert said == [expected] * bool(expected)
            else:
                assert said == ["is_open"] * call.startswith(("x.train", "train_learn()"))


def test_functions_of_other_files_are_read_only_if_asked_for(tmp_path):
    files = {
        "other.py": "def evaluate(m):\n    m.eval()\nclass Net:\n    def look(self):\n"
        "        self.eval()\nvalue = 1\n",
        "main.py": "from other import evaluate, Net, value\ndef f(model):\n    evaluate(model)\n"
        "net = Net().to(1)\nnet.look()\ntwice = Net()\ntwice = 1\ntwice.look()\nvalue.look()\n"
        "Net()\nvalue()\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    project = Project(tmp_path)
    code = Code(files["main.py"], str(tmp_path / "main.py"), project)
    for is_wide in (True, False):
        read = modes(code, is_wide)
        left = {ast.unparse(c.node): ", ".join(read.left_in_eval(c.node)) for c in code.calls}
        found = {call: names for call, names in left.items() if names}
        assert found == ({"evaluate(model)": "model", "net.look()": "net"} if is_wide else {})
