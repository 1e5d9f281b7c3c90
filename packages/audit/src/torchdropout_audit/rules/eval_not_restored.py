"""TD161: a training loop that stays in eval mode."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from ..code import Code, Function, words
from ._models import FUNCTIONS, LOOPS, MOVES, dotted, last, shown, unmoved
from ._modes import modes
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
FIXED = """\
def fit(model, loader, valid, optimizer, epochs):
    for epoch in range(epochs):
        model.train()
        for x, y in loader:
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        print(epoch, [(model(x) - y).square().mean().item() for x, y in valid])
"""

# What a name of a function announces: it evaluates, or makes something of a trained model.
_ANNOUNCED = frozenset(
    ("eval", "evaluate", "evaluation", "valid", "validate", "validation", "test", "testing", "main")
    + (
        "metric",
        "metrics",
        "score",
        "benchmark",
        "profile",
        "demo",
        "infer",
        "inference",
        "summary",
    )
    + (
        "load",
        "export",
        "convert",
        "conversion",
        "onnx",
        "torchscript",
        "trace",
        "script",
        "freeze",
    )
    + ("prepare", "build", "make", "create", "setup", "init", "deploy", "compile", "quantize")
    + (
        "quantization",
        "prune",
        "fuse",
        "adapt",
        "optimize",
        "mode",
        "checkpoint",
        "apply",
        "save",
        "run",
    )
)
# What training asks of a model between its steps.
_MEASURES = frozenset(
    ("scores", "scoring", "accuracy", "accuracies", "acc", "loss", "losses", "nll", "perplexity")
    + ("ppl", "bleu", "rouge", "auc", "auroc", "f1", "recall", "precision", "error", "errors")
    + ("wer", "cer", "iou", "miou", "dice", "ndcg", "mrr", "hits", "rmse", "mae", "mse")
)
# A part of a data set, `data["train"]`, is read by what does not train, too.
_SHOWS_TRAINING = re.compile(
    r"\.backward\(|\.fit\(|\.train\(|\boptim\b|(?i:optimizer|criterion|trainer)"
    r"|train(?:ing)?_step|[lL]oss(?:es)?\(|(?<![\w\])]\[)(?<!split=)[\"']train[\"']"
)
# Words of an application that reads a file, and is not a part of a training.
_FILES = frozenset(("path", "paths", "file", "filename", "dir", "folder"))
_NOT_USES = (
    MOVES
    | {"train", "requires_grad_", "apply", "modules", "children"}
    | {
        f"{named}{kind}"
        for named in ("", "named_")
        for kind in ("parameters", "modules", "buffers")
    }
)
_LOSSES = frozenset(("criterion", "loss"))
_ENDS = (ast.Break, ast.Return, ast.Raise)
_DEEPEST_NAME = 8  # attributes of attributes
_MOST_CALLERS = 100  # of one function, that are looked at


@rule(
    "TD161",
    group="modes",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="vsepp#4 (dropout acts until the first validation of each epoch, and no more), "
    "mcan-vqa#26, pytorch/tutorials#1624.",
)
def eval_not_restored(code: Code) -> Iterator[Hit]:
    """Code that puts a model in eval mode puts it back before training goes on.

    The rule looks at a loop that calls `.backward()`, or `.step()` of an optimizer, and in which a
    model is put in eval mode, by the loop itself or by a function that it calls. It reports the
    `eval()`, even if that is in a function and the loop is in another file of the project.

    A `train()` in the loop, or in a function that it calls, is accepted, with three exceptions.
    First, several models are put in eval mode, and only others of these are put back. Second, a
    function builds the model that it puts in training mode, such as a classifier that scores
    embeddings. Third, `train()` is called only after the best result, as in `if loss < best:`.

    The model must be one that the loop trains. A model counts as trained if this file calls its
    `train()` or passes on its `parameters()`. In a function that does neither for any model, a
    model counts as trained if the loop, or a function that it calls, applies it with gradients. A
    model with frozen parameters is not trained, nor is a loss function, nor a model in a loop that
    only moves its input by `x.grad`.

    The rule also looks at a function outside of classes, such as `predict(model, x)`, that is
    passed a model, puts it in eval mode, uses it, and returns with it still in that mode. That is
    not reported if the name of the function or the file announces it (`evaluate`, `onnx.py`), if
    the file puts any model in training mode, if the model is returned, or if all callers are in the
    file and own the model. Nor is it if the file shows no training, such as an optimizer or a loss,
    and no name says that training asks for the result (`accuracy`, `scoring.py`).

    From the first evaluation on, dropout is off and BatchNorm's statistics do not change, while
    training continues: nothing fails, and only the first epoch is regularised.

    To fix: call `model.train()` at the beginning of the loop body, not before the loop; in a
    function, keep `was = model.training` and call `model.train(was)` at the end.
    """
    if ".eval(" not in code.text and ".train(" not in code.text:
        return
    reader = _reader(code, False)
    said: set[tuple[ast.AST, str]] = set()
    places: set[ast.AST] = set()
    for call in code.calls:
        for model, place in sorted(
            reader.modes.left_in_eval(call.node).items(), key=lambda each: each[0]
        ):
            loop = reader.loop_in_eval(call.node, model)
            if loop is None:
                continue
            if (loop, model) in said:
                break
            said.add((loop, model))
            if place not in places:  # several loops may call one function
                places.add(place)
                yield Hit(
                    place,
                    _in_loop(reader, model, place, call.node, loop),
                    f"{shown(model)}.train() at the head of the loop",
                )
            break
    yield from _from_other_files(code, reader, places)
    yield from _from_functions(code, reader, places)


def _in_loop(reader: _Reader, model: str, place: ast.Call, call: ast.Call, loop: ast.AST) -> str:
    """Returns what is wrong with an eval in a loop, or in a function that a call there runs."""
    here = shown(reader.models.put_in_eval(place))
    back = (
        "back only after the best result"
        if reader.modes.is_back_if_better(model, loop)
        else "not put back there"
    )
    if place is call:
        return f"{here} is put in eval in a training loop and {back}: dropout is off from here on"
    at = f"line {call.lineno}, in a training loop"
    return f"{here} is put in eval for a call on {at}, and {back}: dropout is off after it"


def _from_other_files(code: Code, reader: _Reader, places: set[ast.AST]) -> Iterator[Hit]:
    """Yields the calls by which a function leaves a model in eval in a loop of another file."""
    if code.project is None or code.is_test or reader.sets_training:
        return  # what trains here sets the mode itself
    for function in _that_may_leave(code, reader):
        left = {
            model: place
            for model, place in reader.modes.left_by(function).items()
            if place not in places and model.partition(".")[0] in function.names
        }
        for other in code.project.callers(code, function.name) if left else ():
            found = next(_loops_in(other, code, function, left), None)
            if found is not None:
                model, place, line = found
                places.add(place)
                at = f"line {line} of {other.place.name}, in a training loop"
                yield Hit(
                    place,
                    f"{shown(reader.models.put_in_eval(place))} is put in eval for a call on "
                    f"{at}, and not put back there: dropout is off after it",
                    f"{shown(model)}.train() at the head of the loop",
                )
                break


def _that_may_leave(code: Code, reader: _Reader) -> list[Function]:
    """Returns the functions that put a model in eval, and those that call them."""
    found: dict[Function, None] = {}
    waiting = [c.function for c in code.calls if reader.models.put_in_eval(c.node)]
    while waiting:
        function = waiting.pop()
        if function is not None and function not in found:
            found[function] = None
            waiting += [call.function for call in function.callers]
    return [each for each in found if not each.is_step and not each.name.startswith("__")]


def _loops_in(
    other: Code, code: Code, function: Function, left: dict[str, ast.Call]
) -> Iterator[tuple[str, ast.Call, int]]:
    """Yields the models that a function leaves in eval in a loop of another file that trains them.

    Each has its name there, the call that puts it in eval, and the line where the loop calls the
    function.
    """
    for call in other.calls:
        if last(call.node.func) != function.name:
            continue
        if next(_loops(other, call.node), None) is None or other.gated(call.node):
            continue  # `if not train:` in an epoch that either trains or evaluates
        there = _reader(other, True)
        ran = there.modes.runs(call.node)
        if ran is None or ran[1].node.lineno != function.node.lineno:
            continue
        if Path(ran[0].code.path).resolve() != Path(code.path).resolve():
            continue
        for model, place in there.models.outside_all(left, ran[1], call.node).items():
            if there.loop_in_eval(call.node, model) is not None:
                yield model, place, call.node.lineno


def _loops(code: Code, node: ast.AST) -> Iterator[ast.AST]:
    """Yields the loops around a node in its function."""
    for parent in code.parents(node):
        if isinstance(parent, FUNCTIONS):
            return
        if isinstance(parent, LOOPS):
            yield parent


def _from_functions(code: Code, reader: _Reader, places: set[ast.AST]) -> Iterator[Hit]:
    """Yields the calls by which a function leaves a model that it was given in eval mode."""
    stem = code.place.name.partition(".")[0]
    if code.is_test or reader.sets_training or not _ANNOUNCED.isdisjoint(words(stem)):
        return  # what trains here sets the mode itself
    said = set()
    known: dict[tuple[Function, str], bool] = {}
    for call in code.calls:
        function = call.function
        if function is None or function.cls is not None or function in said:
            continue
        for model, place in sorted(
            reader.modes.left_in_eval(call.node).items(), key=lambda each: each[0]
        ):
            if (function, model) not in known:
                known[function, model] = _is_helper(code, reader, function, model)
            if known[function, model] and _is_plain(code, call.node, function):
                said.add(function)
                if place in places:
                    break
                places.add(place)
                yield Hit(
                    call.node,
                    f"{shown(model)} is still in eval after {function.name}(): dropout is off in "
                    "the training that goes on",
                    f"keep {shown(model)}.training, and put it back",
                )
                break


def _is_helper(code: Code, reader: _Reader, function: Function, model: str) -> bool:
    """Whether a function is given a model, uses it, and returns nothing that holds it."""
    root = model.partition(".")[0]
    return (
        root in function.names
        and _is_of_training(code, function)
        and _may_help(code, function)
        and not reader.modes.inside(function.node).restores
        and not reader.modes.inside(function.node).backward
        and _is_open(reader, function, model)
        and _doings(code, function).only_use(model)
    )


@kept
def _is_of_training(code: Code, function: Function) -> bool:
    """Whether a function belongs to training: by its name, its file's, or what is in the file."""
    said = {*words(function.name), *words(code.place.name)}
    return not _MEASURES.isdisjoint(said) or _SHOWS_TRAINING.search(code.text) is not None


@kept
def _may_help(code: Code, function: Function) -> bool:
    """Whether no name says that a function evaluates, or is an application."""
    return _ANNOUNCED.isdisjoint(words(function.name)) and not any(
        not _FILES.isdisjoint(words(each)) for each in function.names
    )


@dataclass
class _Doings:
    """What a function does with each object, by its name for it.

    Attributes:
        used: The objects that it calls, or whose methods it calls.
        within: The objects through which it reaches these.
        returned: What it returns.
        stored: What it stores in an attribute.
        assigned: For each name that is assigned, the names of the values.
        sets_mode: Whether it yields, reads a mode, or loads a state.
    """

    used: set[str] = field(default_factory=set)
    within: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    assigned: dict[str, set[str]] = field(default_factory=dict)
    sets_mode: bool = False

    def only_use(self, model: str) -> bool:
        """Whether it uses a model, and neither replaces it, nor returns or stores it."""
        names = {model.partition(".")[0], model}
        return (
            not self.sets_mode
            and (model in self.used or model in self.within)
            and model not in self.returned
            and model not in self.stored
            # After `model = model.to(device)` it is the same model.
            and all(self.assigned.get(name, names) <= names for name in names)
        )


@kept
def _doings(code: Code, function: Function) -> _Doings:
    found = _Doings()
    for node in code.inside(
        function.node, ast.Call, ast.Yield, ast.YieldFrom, ast.Return, ast.Attribute, ast.Assign
    ):
        if isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Attribute):
                found.used.add(dotted(func))
                if func.attr in _NOT_USES:
                    continue
                func = func.value
            found.used.add(dotted(unmoved(func)))
            steps = dotted(func).split(".")[:_DEEPEST_NAME]
            found.within |= {".".join(steps[:n]) for n in range(1, len(steps))}
        elif isinstance(node, (ast.Yield, ast.YieldFrom)):
            found.sets_mode = True  # a context manager, whose end is elsewhere
        elif isinstance(node, ast.Return):
            held = [node.value, *getattr(node.value, "elts", ())]
            found.returned |= {dotted(each) for each in held if each is not None}
        elif isinstance(node, ast.Attribute) and node.attr in ("training", "load_state_dict"):
            found.sets_mode = True
        elif isinstance(node, ast.Assign):
            value = dotted(unmoved(node.value))
            for name in map(dotted, node.targets):
                found.assigned.setdefault(name, set()).add(value)
            if any(isinstance(target, ast.Attribute) for target in node.targets):
                found.stored.add(dotted(node.value))
    return found


def _is_plain(code: Code, node: ast.AST, function: Function) -> bool:
    """Whether a call is made whenever its function runs."""
    branches = (ast.If, ast.IfExp, ast.ExceptHandler, ast.Lambda, ast.BoolOp, ast.Match)
    inside = takewhile(lambda parent: parent is not function.node, code.parents(node))
    return not any(isinstance(each, branches) for each in inside)


def _is_open(reader: _Reader, function: Function, model: str) -> bool:
    """Whether a caller may be in another file, or in a function that is given the model too."""
    for call in function.callers[:_MOST_CALLERS]:
        outer = reader.models.outside(model, function, call.node).partition(".")[0]
        if call.function is not None and outer in call.function.names:
            return True
    return not function.callers


class _Reader:
    """The loops of a file that train.

    Args:
        code: The file.
        is_wide: Whether functions of other files are followed, too.
    """

    def __init__(self, code: Code, is_wide: bool) -> None:
        self.code = code
        self.modes = modes(code, is_wide)
        self.models = self.modes.models
        self.gradients = self.modes.gradients
        self._last: dict[int, ast.stmt | None] = {}
        self._made: dict[ast.AST, set[str]] = {}
        self._moved: dict[ast.AST, bool] = {}
        self._trained: set[str] = set()  # the models that the file trains explicitly
        self._training: set[Function | None] = set()  # and where
        self.sets_training = False  # whether the file puts any model in training mode
        for call in code.calls:
            named = self.models.receiver(call.node, "parameters")
            if named and self.gradients.freezes(call.node) is not None:
                continue
            if not named and not self.models.is_off(call.node):
                named = self.models.receiver(call.node, "train")
                self.sets_training |= bool(named)
            if named:
                self._trained.add(named)
                self._training.add(call.function)

    def loop_in_eval(self, node: ast.AST, model: str) -> ast.AST | None:
        """Returns the loop that trains a model on, after a node has left it in eval mode."""
        loop = self.training_loop(node)
        if loop is None or self.leaves(node, loop) or self.modes.may_restore(model, loop, node):
            return None
        return None if self.is_made_in(loop, model) or not self.trains(model, loop) else loop

    def training_loop(self, node: ast.AST) -> ast.AST | None:
        """Returns the innermost loop around a node in which a model is trained.

        What a loop does in its last turn alone belongs to the loop around it.
        """
        is_last = False
        for parent in self.code.parents(node):
            is_last |= isinstance(parent, ast.If) and _asks_for_last(parent.test)
            if isinstance(parent, LOOPS) and self.modes.inside(parent).backward:
                if not is_last:
                    return parent
                is_last = False
            if isinstance(parent, FUNCTIONS):
                return None
        return None

    def leaves(self, node: ast.AST, loop: ast.AST) -> bool:
        """Whether the loop ends after a node: a `break` or `return` in the same block."""
        for parent in self.code.parents(node):
            if isinstance(node, ast.stmt) and self._is_before_end(node, parent):
                return True
            if parent is loop:
                break
            node = parent
        return False

    def _is_before_end(self, node: ast.stmt, parent: ast.AST) -> bool:
        """Whether a statement is, or is followed in its block by, one that leaves the block."""
        for name in ("body", "orelse", "finalbody"):
            if self.code.is_in(node, parent, name):
                block: list[ast.stmt] = getattr(parent, name)
                if id(block) not in self._last:
                    ends = (each for each in reversed(block) if isinstance(each, _ENDS))
                    self._last[id(block)] = next(ends, None)
                last = self._last[id(block)]
                return last is not None and (last.lineno, last.col_offset) >= (
                    node.lineno,
                    node.col_offset,
                )
        return False

    def trains(self, model: str, loop: ast.AST) -> bool:
        """Whether a model is trained in a loop."""
        if self.gradients.is_frozen(model, loop) or self.moves_inputs(loop):
            return False
        if not _LOSSES.isdisjoint(words(model.rpartition(".")[2])):
            return False
        inside = self.modes.inside(loop)
        if inside.restores and model not in inside.applies:
            return False  # the loop trains another model, as one of a GAN in turn
        if model in self._trained:
            return not self._steps_others(model, loop)
        # If another model is trained explicitly, one that is only called may be frozen.
        if inside.restored or self.code.function_of(loop) in self._training:
            return False
        return model in inside.applies

    def _steps_others(self, model: str, loop: ast.AST) -> bool:
        """Whether all optimizers that make a step in a loop are built for other models."""
        called = (each.func for each in self.code.inside(loop, ast.Call))
        steps = [e for e in called if isinstance(e, ast.Attribute) and e.attr == "step"]
        built = [self.models.only_value(each.value) for each in steps]
        given = {
            self.models.receiver(each, "parameters")
            for optimizer in built
            if isinstance(optimizer, ast.Call)
            for each in self.code.inside(optimizer, ast.Call)
        } - {""}
        is_known = all(isinstance(each, ast.Call) for each in built) and bool(given)
        held = [f"{each}." for each in given]
        return is_known and not any(
            each.startswith(f"{model}.") or f"{model}.".startswith(each) for each in held
        )

    def is_made_in(self, loop: ast.AST, model: str) -> bool:
        """Whether each turn of a loop may have a model of its own, which is in training mode."""
        if loop not in self._made:
            self._made[loop] = {
                dotted(node)
                for node in self.code.inside(loop, ast.Name, ast.Attribute)
                if isinstance(node.ctx, ast.Store)
            }
        return not self._made[loop].isdisjoint((model, model.partition(".")[0]))

    def moves_inputs(self, loop: ast.AST) -> bool:
        """Whether a loop without an optimizer's step takes the gradient of an input: `x.grad`."""
        if loop not in self._moved:
            self._moved[loop] = not self.modes.inside(loop).steps and self.gradients.of_input(loop)
        return self._moved[loop]


@kept
def _reader(code: Code, is_wide: bool) -> _Reader:
    return _Reader(code, is_wide)


def _asks_for_last(test: ast.expr) -> bool:
    """Whether a test compares a number of turns with all: `step == len(loader) - 1`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return all(map(_asks_for_last, test.values))
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            for each in ast.walk(node):
                said = each.id if isinstance(each, ast.Name) else ""
                if said == "len" or not {"length", "last"}.isdisjoint(words(said)):
                    return not any(isinstance(part, ast.Mod) for part in ast.walk(node))
    return False
