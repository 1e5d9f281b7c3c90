"""TD161: a training loop that stays in eval mode."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from ..code import Code, Function, words
from ..code.nodes import dotted, said_of
from ._dropouts import MOVES, unmoved
from ._modes import FUNCTIONS, LOOPS, Modes, is_part, modes
from ._rule import Hit, kept, rule

BROKEN = """\
def fit(model, loader, valid, optimizer, epochs):
    model.train()
    for epoch in range(epochs):
        for x, y in loader:
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        print(epoch, [(model(x) - y).square().mean().item() for x, y in valid])
"""
FIXED = BROKEN.replace("    model.train()\n", "", 1).replace(
    "range(epochs):\n", "range(epochs):\n        model.train()\n"
)

# What a name of a function announces: it evaluates, or makes something of a trained model.
_ANNOUNCED = frozenset(
    ("eval", "evaluate", "evaluation", "valid", "validate", "validation", "test", "testing", "main")
    + ("metric", "metrics", "score", "benchmark", "profile", "demo", "infer", "inference")
    + ("summary",)
    + ("load", "export", "convert", "onnx", "trace", "script", "freeze", "adapt", "quantize")
    + ("prepare", "build", "make", "create", "setup", "init", "deploy", "save", "run", "apply")
)
# What training asks of a model between its steps.
_MEASURES = frozenset(("scores", "scoring", "accuracy", "loss", "losses", "perplexity"))
# A part of a data set, `data["train"]`, is read by what does not train, too.
_SHOWS_TRAINING = re.compile(
    r"\.backward\(|\.fit\(|\.train\(|\boptim\b|(?i:optimizer|criterion|trainer)"
    r"|train(?:ing)?_step|[lL]oss(?:es)?\("
)
_DEEPEST_NAME = 8  # attributes of attributes
_MOST_CALLERS = 100  # of one function, that are looked at
_LOSSES = frozenset(("criterion", "loss"))
_NOT_USES = MOVES | {"train", "requires_grad_", "apply", "modules"}
_NOT_USES |= {"parameters", "named_parameters"}


@rule("TD161", "modes", BROKEN, FIXED, severity="advice")
def eval_not_restored(code: Code) -> Iterator[Hit]:
    """Code that puts a model in eval mode puts it back before training goes on.

    The rule looks at a loop that calls `.backward()`, or `.step()` of an optimizer, and in which a
    model that is trained is put in eval mode, by the loop itself or by a function of the file that
    it calls. It reports the `eval()`. A `train()` in the loop, or in a function that it calls, is
    accepted. A model is trained if this file calls its `train()` or passes on its `parameters()`.

    The rule also looks at a function outside of classes, such as `predict(model, x)`, that is
    passed a model, puts it in eval mode, uses it, and returns with it still in that mode. That is
    not reported if the name of the function or the file announces it (`evaluate`, `onnx.py`), if
    the file puts any model in training mode or shows no training, if the model is returned, or if
    all callers are in the file and own the model.

    From the first evaluation on, dropout is off and BatchNorm's statistics do not change, while
    training continues: nothing fails, and only the first epoch is regularised.

    To fix: call `model.train()` at the beginning of the loop body, not before the loop; in a
    function, keep `was = model.training` and call `model.train(was)` at the end.

    Seen in: vsepp#4 (dropout acts until the first validation of each epoch, and no more),
    mcan-vqa#26, pytorch/tutorials#1624.
    """
    if ".eval(" not in code.text and ".train(" not in code.text:
        return
    file, trained = modes(code), _trained(code)
    said: set[object] = set()
    for call in code.calls:
        for model, place in file.left_in_eval(call.node):
            loop = _loop_in_eval(code, call.node, model)
            if loop is None or not {(loop, model), place}.isdisjoint(said):
                continue
            said |= {(loop, model), place}  # several loops may call one function
            what = f"{shown(file.put_in_eval(place))} is put in eval"
            where = "in a training loop and not put back there: dropout is off from here on"
            if place is not call.node:
                where = f"for a call on line {call.node.lineno}, in a training loop, and not put "
                where += "back there: dropout is off after it"
            yield Hit(place, f"{what} {where}", f"{shown(model)}.train() at the head of the loop")
            break
    announced = not _ANNOUNCED.isdisjoint(words(code.place.name))
    if code.place.is_test or trained.sets_mode or announced:
        return  # what trains here sets the mode itself
    for call in code.calls:
        function = call.function
        if function is None or function.cls is not None or function in said:
            continue
        for model, place in file.left_in_eval(call.node):
            is_helper = place not in said and _is_helper(code, file, function, model)
            if is_helper and _is_plain(code, call.node, function):
                said |= {function, place}
                what = f"{shown(model)} is still in eval after {function.name}()"
                where = "dropout is off in the training that goes on"
                hint = f"keep {shown(model)}.training, and put it back"
                yield Hit(call.node, f"{what}: {where}", hint)
                break


def shown(model: str) -> str:
    """Returns the name of a model as a person writes it: `models["g"]`."""
    return model.replace(".[", "[")


@dataclass
class _Trained:
    """What a file trains explicitly.

    Attributes:
        models: The models whose `train()` it calls, or whose `parameters()` it passes on.
        sets_mode: Whether it puts any model in training mode.
    """

    models: set[str] = field(default_factory=set)
    sets_mode: bool = False


@kept
def _trained(code: Code) -> _Trained:
    file, found = modes(code), _Trained()
    for call in code.calls:
        is_on = "" if file.put_in_eval(call.node) else file.receiver(call.node, "train")
        model = is_on or file.receiver(call.node, "parameters")
        if model and not _freezes(code, call.node):
            found.models.add(model)
            found.sets_mode |= bool(is_on)
    return found


def _loop_in_eval(code: Code, node: ast.AST, model: str) -> ast.AST | None:
    """Returns the loop that trains a model on, after a node has left it in eval mode."""
    loop = _training_loop(code, node)
    if loop is None or _leaves(code, node, loop) or modes(code).inside(loop).may_restore:
        return None
    return loop if _trains(code, model, loop) else None


def _training_loop(code: Code, node: ast.AST) -> ast.AST | None:
    """Returns the innermost loop around a node in which a model is trained.

    What a loop does in its last turn alone belongs to the loop around it.
    """
    is_last = False
    for parent in code.parents(node):
        is_last |= isinstance(parent, ast.If) and _asks_for_last(parent.test)
        if isinstance(parent, LOOPS) and modes(code).inside(parent).backward:
            if not is_last:
                return parent
            is_last = False
        if isinstance(parent, FUNCTIONS):
            return None
    return None


def _asks_for_last(test: ast.expr) -> bool:
    """Whether a test compares a number of turns with all: `step == len(loader) - 1`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return False  # every n turns, or the last
    inside = [*ast.walk(test)]
    is_of_length = any(isinstance(each, ast.Name) and each.id == "len" for each in inside)
    return is_of_length and any(isinstance(each, ast.Eq) for each in inside)


def _leaves(code: Code, node: ast.AST, loop: ast.AST) -> bool:
    """Whether the loop ends after a node: a `break` or `return` in the same block."""
    for parent in code.parents(node):
        for name in ("body", "orelse", "finalbody"):
            if code.is_in(node, parent, name):
                block = getattr(parent, name)
                if isinstance(block[-1], (ast.Break, ast.Return, ast.Raise)):
                    return True
        if parent is loop:
            break
        node = parent
    return False


def _trains(code: Code, model: str, loop: ast.AST) -> bool:
    """Whether a model is trained in a loop, and is the same in each turn."""
    if model not in _trained(code).models or not _LOSSES.isdisjoint(words(model)):
        return False
    holder = code.class_of(loop) if model.startswith("self.") else code.function_of(loop)
    is_frozen = holder is not None and model in _frozen(code, holder.node)
    stepped = _stepped(code, loop)
    is_other = bool(stepped) and not any(is_part(model, each) for each in stepped)
    is_made = not _stored(code, loop).isdisjoint((model, model.partition(".")[0]))
    return not (is_frozen or is_other or is_made or _moves_input(code, loop))


@kept
def _moves_input(code: Code, loop: ast.AST) -> bool:
    """Whether a loop without an optimizer's step reads a gradient: `x.grad`."""
    attributes = code.inside(loop, ast.Attribute)
    return not modes(code).inside(loop).steps and any(each.attr == "grad" for each in attributes)


@kept
def _stepped(code: Code, loop: ast.AST) -> frozenset[str]:
    """Returns the models that the optimizers which make a step in a loop are built for.

    There are none if it is not known of an optimizer.
    """
    file = modes(code)
    stepped = (call.func for call in code.inside(loop, ast.Call) if said_of(call.func) == "step")
    built = [file.only_value(each.value) for each in stepped if isinstance(each, ast.Attribute)]
    calls = [call for each in built if each for call in code.inside(each, ast.Call)]
    given = {file.receiver(call, "parameters") for call in calls} - {""}
    return frozenset() if None in built else frozenset(given)


@kept
def _stored(code: Code, loop: ast.AST) -> frozenset[str]:
    """Returns the names that a loop assigns, of which each turn may have a model of its own."""
    names = code.inside(loop, ast.Name, ast.Attribute)
    return frozenset(dotted(each) for each in names if isinstance(each.ctx, ast.Store))


@kept
def _frozen(code: Code, holder: ast.AST) -> frozenset[str]:
    """Returns the models whose parameters a function or a class freezes."""
    found = set()
    for node in code.inside(holder, ast.Call):
        name = said_of(node.func)
        is_named = "freeze" in name or "requires_grad" in name
        if is_named or (name == "parameters" and _freezes(code, node)):
            found |= {modes(code).receiver(node, name), *map(dotted, node.args)}
    return frozenset(found)


def _freezes(code: Code, node: ast.Call) -> bool:
    """Whether a loop goes over `model.parameters()`, and sets `requires_grad`."""
    parent = next(code.parents(node))
    return isinstance(parent, ast.For) and any(
        each.attr.startswith("requires_grad") for each in code.inside(parent, ast.Attribute)
    )


def _is_helper(code: Code, file: Modes, function: Function, model: str) -> bool:
    """Whether a function is given a model, uses it, and returns nothing that holds it."""
    inside = file.inside(function.node)
    said = {*words(function.name), *words(code.place.name)}
    return (
        model.partition(".")[0] in function.names
        and not (inside.may_restore or inside.backward)
        and (not _MEASURES.isdisjoint(said) or _SHOWS_TRAINING.search(code.text) is not None)
        and _ANNOUNCED.isdisjoint(words(function.name))
        and _is_open(file, function, model)
        and model in _used(code, function)
    )


def _is_open(file: Modes, function: Function, model: str) -> bool:
    """Whether a caller may be in another file, or in a function that is given the model too."""
    return not function.callers or any(
        call.function is not None
        and file.outside(model, function, call.node).partition(".")[0] in call.function.names
        for call in function.callers[:_MOST_CALLERS]
    )


@kept
def _used(code: Code, function: Function) -> frozenset[str]:
    """Returns the models that a function calls, and neither replaces, returns nor stores."""
    used: set[str] = set()
    kept_or_replaced: set[str] = set()
    for node in code.inside(
        function.node, ast.Call, ast.Yield, ast.Return, ast.Attribute, ast.Assign
    ):
        if isinstance(node, ast.Call):
            steps = dotted(unmoved(node.func)).split(".")[:_DEEPEST_NAME]
            if said_of(node.func) not in _NOT_USES:
                used |= {".".join(steps[: n + 1]) for n in range(len(steps))}
        elif isinstance(node, ast.Return):
            held = [node.value, *getattr(node.value, "elts", ())]
            kept_or_replaced |= {dotted(each) for each in held if each is not None}
        elif isinstance(node, ast.Assign):
            value, targets = dotted(unmoved(node.value)), {*map(dotted, node.targets)}
            if value not in targets:  # `model = model.to(device)` is the same model
                kept_or_replaced |= targets
            if isinstance(node.targets[0], ast.Attribute):
                kept_or_replaced.add(value)
        elif isinstance(node, ast.Yield) or node.attr in ("training", "load_state_dict"):
            return frozenset()  # it sets the mode, or ends elsewhere
    return frozenset(
        each for each in used if kept_or_replaced.isdisjoint((each, each.partition(".")[0]))
    )


def _is_plain(code: Code, node: ast.AST, function: Function) -> bool:
    """Whether a call is made whenever its function runs."""
    branches = (ast.If, ast.IfExp, ast.ExceptHandler, ast.Lambda, ast.BoolOp, ast.Match)
    inside = takewhile(lambda parent: parent is not function.node, code.parents(node))
    return not any(isinstance(each, branches) for each in inside)
