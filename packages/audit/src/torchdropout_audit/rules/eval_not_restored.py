"""TD161: a training loop that stays in eval mode."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..code import Class, Code, Function, words
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

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
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
# Words of functions that give data or describe a model: `get_train_examples()`.
_GIVES = frozenset(
    ("get", "load", "read", "next", "make", "create", "build", "fetch", "is", "count")
)
_DATA = frozenset(
    ("data", "dataset", "datasets", "dataloader", "dataloaders", "loader", "loaders", "examples")
    + ("features", "samples", "split", "dir", "path", "file", "iter", "iterator", "batch", "set")
    + ("params", "parameters", "labels")
)
# Words of an application that reads a file, and is not a part of a training.
_FILES = frozenset(("path", "paths", "file", "filename", "dir", "folder"))
_MOVES = frozenset(("eval", "to", "cuda", "cpu", "half", "float", "bfloat16", "double"))
_NOT_USES = (
    _MOVES
    | {"train", "requires_grad_", "apply", "modules", "children"}
    | {
        f"{named}{kind}"
        for named in ("", "named_")
        for kind in ("parameters", "modules", "buffers")
    }
)
_LOSSES = frozenset(("criterion", "loss"))
_NO_GRADIENT = ("no_grad", "inference_mode")
_DETACHED = ("detach", "data")
_ENDS = (ast.Break, ast.Return, ast.Raise)
_DEEPEST = 4
_DEEPEST_NAME = 8  # attributes of attributes
_MOST_MODELS = 100  # that one function puts in eval
_MOST_PARTS = 200  # of what builds one object
_SIZES = ("shape", "size", "dim")
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
    model is put in eval mode, by the loop itself or by a function of this file that it calls. The
    report is at the `eval()`, also if that is in a function. A `train()` in the loop, or in what
    it calls, is accepted, with three exceptions: several models are put in eval mode and only
    others of these are put back; a function builds the model that it puts in training mode, such
    as a classifier that scores embeddings; it is called only after the best result, as in
    `if loss < best:`. A model counts as trained if this file calls its `train()` or passes on its
    `parameters()`; in a function that does neither for any model, if the loop, or a function that
    it calls, applies it with gradients. A model whose parameters are frozen is not trained, nor is
    one in a loop that only moves its input by `x.grad`, nor a loss function.

    It also looks at a function outside of classes that puts a model that it is given in eval mode,
    uses it, and returns with the model still in that mode: `predict(model, x)`. That is not
    reported if the name of the function or the file announces it (`evaluate`, `onnx.py`), if the
    file puts any model in training mode, if it shows no training, such as an optimizer or a loss,
    and no name says that training asks for the result (`accuracy`, `scoring.py`), if the model is
    returned, or if all callers are in the file and own the model.

    From the first evaluation on, dropout is off and BatchNorm's statistics do not change, while
    training continues: nothing fails, and only the first epoch is regularised.

    To fix: call `model.train()` at the beginning of the loop body, not before the loop; in a
    function, keep `was = model.training` and call `model.train(was)` at the end.
    """
    if ".eval(" not in code.text and ".train(" not in code.text:
        return
    reader = _Reader(code)
    said: set[tuple[ast.AST, str]] = set()
    places: set[ast.AST] = set()
    for call in code.calls:
        for model, place in sorted(
            reader.left_in_eval(call.node).items(), key=lambda each: each[0]
        ):
            loop = reader.training_loop(call.node)
            if loop is None or reader.leaves(call.node, loop):
                continue
            if reader.may_restore(model, loop, call.node):
                continue
            if reader.is_made_in(loop, model) or not reader.trains(model, loop):
                continue
            if (loop, model) in said:
                break
            said.add((loop, model))
            if place not in places:  # several loops may call one function
                places.add(place)
                yield Hit(
                    place,
                    _in_loop(reader, model, place, call.node, loop),
                    f"{_shown(model)}.train() at the head of the loop",
                )
            break
    yield from _from_functions(code, reader, places)


def _in_loop(reader: _Reader, model: str, place: ast.Call, call: ast.Call, loop: ast.AST) -> str:
    """Returns what is wrong with an eval in a loop, or in a function that a call there runs."""
    here = _shown(reader.put_in_eval(place))
    back = (
        "back only after the best result" if reader.is_back_if_better(model, loop) else "never back"
    )
    if place is call:
        return f"{here} is put in eval in a training loop and {back}: dropout is off from here on"
    at = f"line {call.lineno}, in a training loop"
    return f"{here} is put in eval for a call on {at}, and {back}: dropout is off after it"


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
            reader.left_in_eval(call.node).items(), key=lambda each: each[0]
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
                    f"{_shown(model)} is still in eval after {function.name}(): dropout is off in "
                    "the training that goes on",
                    f"keep {_shown(model)}.training, and put it back",
                )
                break


def _is_helper(code: Code, reader: _Reader, function: Function, model: str) -> bool:
    """Whether a function is given a model, uses it, and returns nothing that holds it."""
    root = model.partition(".")[0]
    return (
        root in function.names
        and _is_of_training(code, function)
        and _may_help(code, function)
        and not reader.inside(function.node).restores
        and not reader.inside(function.node).backward
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
        used: What is called, or whose methods are.
        within: What is called is reached through these.
        returned: What it returns.
        stored: What it stores in an attribute.
        assigned: For each name that is assigned, the names of what.
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
    for node in ast.walk(function.node):
        if isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Attribute):
                found.used.add(_dotted(func))
                if func.attr in _NOT_USES:
                    continue
                func = func.value
            found.used.add(_dotted(_unmoved(func)))
            steps = _dotted(func).split(".")
            found.within |= {".".join(steps[:n]) for n in range(1, min(len(steps), _DEEPEST_NAME))}
        elif isinstance(node, (ast.Yield, ast.YieldFrom)):
            found.sets_mode = True  # a context manager, whose end is elsewhere
        elif isinstance(node, ast.Return):
            held = [node.value, *getattr(node.value, "elts", ())]
            found.returned |= {_dotted(each) for each in held if each is not None}
        elif isinstance(node, ast.Attribute) and node.attr in ("training", "load_state_dict"):
            found.sets_mode = True
        elif isinstance(node, ast.Assign):
            value = _dotted(_unmoved(node.value))
            for name in map(_dotted, node.targets):
                found.assigned.setdefault(name, set()).add(value)
            if any(isinstance(target, ast.Attribute) for target in node.targets):
                found.stored.add(_dotted(node.value))
    return found


def _unmoved(expr: ast.expr) -> ast.expr:
    """Returns `model` for `model.to(device)`."""
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in _MOVES
    ):
        expr = expr.func.value
    return expr


def _is_plain(code: Code, node: ast.AST, function: Function) -> bool:
    """Whether a call is made whenever its function runs."""
    branches = (ast.If, ast.IfExp, ast.ExceptHandler, ast.Lambda, ast.BoolOp, ast.Match)
    for parent in code.parents(node):
        if parent is function.node:
            return True
        if isinstance(parent, branches):
            return False
    return False


def _is_open(reader: _Reader, function: Function, model: str) -> bool:
    """Whether a caller may be in another file, or in a function that is given the model too."""
    for call in function.callers[:_MOST_CALLERS]:
        outer = reader.outside(model, function, call.node).partition(".")[0]
        if call.function is not None and outer in call.function.names:
            return True
    return not function.callers


@dataclass
class _Settings:
    """What the calls of one place set for the parameters of a model.

    Attributes:
        is_frozen: Whether one sets that they need no gradient.
        thawed: What contains the calls that set that they need one.
    """

    is_frozen: bool = False
    thawed: set[ast.AST] = field(default_factory=set)


@dataclass(frozen=True)
class _Restored:
    """What is put in training mode.

    Attributes:
        is_part: Whether it is not put in training mode itself, but a model that is built of it.
        built_of: The names that it is built of, if it is built in the same function; else None.
        branch: Where it is, if only after a better result than all before; else None.
    """

    is_part: bool = False
    built_of: frozenset[str] | None = None
    branch: ast.If | None = None


@dataclass
class _Inside:
    """What a piece of code does, including the functions of the file that it calls.

    Attributes:
        evals: The models that it puts in eval mode, by its names for them, and where it does.
        restored: What it puts in training mode, by its names.
        is_open: Whether it may put something else in training mode, too.
        backward: Whether it computes gradients, or makes a step.
        steps: Whether an optimizer makes a step.
        applies: The models, or methods, that it calls with gradients.
    """

    evals: dict[str, ast.Call] = field(default_factory=dict)
    applies: set[str] = field(default_factory=set)
    restored: dict[str, _Restored] = field(default_factory=dict)
    is_open: bool = False
    backward: bool = False
    steps: bool = False

    @property
    def restores(self) -> bool:
        """Whether it may put something in training mode."""
        return self.is_open or bool(self.restored)


class _Reader:
    def __init__(self, code: Code) -> None:
        self.code = code
        self._read: dict[ast.AST, _Inside] = {}
        self._left: dict[ast.AST, dict[str, ast.Call]] = {}
        self._last: dict[int, ast.stmt | None] = {}
        self._made: dict[ast.AST, set[str]] = {}
        self._inputs: dict[ast.AST, set[str]] = {}
        self._moved: dict[ast.AST, bool] = {}
        self._frozen: dict[ast.AST, bool | None] = {}
        self._settings_of: dict[tuple[str, object], _Settings] = {}
        self._trained: set[str] = set()  # the models that the file trains explicitly
        self._training: set[Function | None] = set()  # and where
        self.sets_training = False  # whether the file puts any model in training mode
        for call in code.calls:
            named = self.receiver(call.node, "parameters")
            if named and self._freezes(call.node) is not None:
                continue
            if not named and not self.is_off(call.node):
                named = self.receiver(call.node, "train")
                self.sets_training |= bool(named)
            if named:
                self._trained.add(named)
                self._training.add(call.function)

    # --- Of one call ----------------------------------------------------------------------------

    def receiver(self, node: ast.Call, method: str) -> str:
        """Returns `model` for `model.eval()`, `self.net` for `self.net.train()`; else "".

        A method's own name for an attribute, as after `net = self.net`, is that of the attribute.
        """
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr != method:
            return ""
        expr = _unmoved(func.value)
        only = self._only_value(expr)
        if isinstance(only, ast.Attribute) and _dotted(only).startswith("self."):
            return _dotted(only)
        return _dotted(expr)

    def _only_value(self, expr: ast.expr) -> ast.expr | None:
        """Returns what a name is given, if that is one thing."""
        values = self.code.assigned(expr) if isinstance(expr, ast.Name) else []
        return _unmoved(values[0]) if len(values) == 1 and values[0] is not None else None

    def is_off(self, node: ast.Call) -> bool:
        """Whether the argument is False: `model.train(False)`, `model.train(mode=False)`."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        return len(given) == 1 and self.code.value(given[0]) is False

    def left_in_eval(self, node: ast.Call) -> dict[str, ast.Call]:
        """Returns the models that a call leaves in eval mode, by their names at the call.

        Each comes with the call that puts it in that mode, which may be in a function.
        """
        model = self.put_in_eval(node)
        if model:
            return {model: node}
        function = self._function(node)
        if function is None:
            return {}
        if function.node not in self._left:
            inside = self.inside(function.node)
            self._left[function.node] = {
                model: place
                for model, place in inside.evals.items()
                if not self._may_restore(model, inside)
            }
        return self._outside_all(self._left[function.node], function, node)

    def put_in_eval(self, node: ast.Call) -> str:
        """Returns the model that a call puts in eval mode by itself; "" if it does not."""
        model = self.receiver(node, "eval")
        if model and not node.args and not node.keywords:
            return model
        return self.receiver(node, "train") if self.is_off(node) else ""

    def _function(self, node: ast.Call) -> Function | None:
        """Returns the function of the file that a call runs, of an object that it builds too."""
        func = node.func
        found = self.code.local(func)
        if found is None and isinstance(func, ast.Attribute):
            only = self._only_value(func.value)  # net = Net(); net.predict(x)
            cls = self.code.local(only.func) if isinstance(only, ast.Call) else None
            found = cls.method(func.attr) if isinstance(cls, Class) else None
        return found if isinstance(found, Function) else None

    def _outside_all(
        self, models: dict[str, ast.Call], function: Function, node: ast.Call
    ) -> dict[str, ast.Call]:
        named = ((self.outside(each, function, node), place) for each, place in models.items())
        return {name: place for name, place in named if name}

    def outside(self, model: str, function: Function, node: ast.Call) -> str:
        """Returns the name, at a call of a function, of what the function calls `model`."""
        root, dot, rest = model.partition(".")
        if root == "self" and function.cls is not None:
            holder = _dotted(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            return holder and holder + dot + rest
        if root not in function.names:
            # A global of the file is the same model in all its functions.
            inside = function.node.body[0]
            return model if self.code.is_same(root, inside, node) else ""
        given = [k.value for k in node.keywords if k.arg == root]
        place = function.places.get(root, len(node.args))
        if not given and not any(isinstance(a, ast.Starred) for a in node.args):
            given = node.args[place : place + 1]
        outer = _dotted(given[0]) if given else ""
        return outer and outer + dot + rest

    # --- Of a loop ------------------------------------------------------------------------------

    def training_loop(self, node: ast.AST) -> ast.AST | None:
        """Returns the innermost loop around a node in which a model is trained.

        What a loop does in its last turn alone belongs to the loop around it.
        """
        is_last = False
        for parent in self.code.parents(node):
            is_last |= isinstance(parent, ast.If) and _asks_for_last(parent.test)
            if isinstance(parent, _LOOPS) and self.inside(parent).backward:
                if not is_last:
                    return parent
                is_last = False
            if isinstance(parent, _FUNCTIONS):
                return None
        return None

    def may_restore(self, model: str, loop: ast.AST, node: ast.AST) -> bool:
        """Whether a loop may put a model back that a node in it leaves in eval mode.

        It does not if it does so to others, or only if the model has become better.
        """
        return self._may_restore(model, self.inside(loop), frozenset(self.code.parents(node)))

    def is_back_if_better(self, model: str, loop: ast.AST) -> bool:
        """Whether a loop puts a model back after the best result alone."""
        restored = self.inside(loop).restored.get(model)
        return restored is not None and restored.branch is not None

    def _may_restore(
        self, model: str, inside: _Inside, around: frozenset[ast.AST] | None = None
    ) -> bool:
        if inside.is_open or model not in inside.evals:
            return inside.restores
        return any(
            # What is not known to be a model may hold this one.
            not (restored.is_part or each in inside.evals)
            or f"{each}.".startswith(f"{model}.")
            or f"{model}.".startswith(f"{each}.")
            or frozenset((each, model)) in self._aliases
            for each, restored in inside.restored.items()
            if around is None or restored.branch is None or restored.branch in around
        )

    @cached_property
    def _aliases(self) -> frozenset[frozenset[str]]:
        """The pairs of names of which one is made of the other: `whole = DataParallel(model)`."""
        return frozenset(
            frozenset((_dotted(target), _dotted(each)))
            for node in ast.walk(self.code.tree)
            if isinstance(node, ast.Assign)
            for target in node.targets[:1]
            for each in ast.walk(node.value)
            if isinstance(each, (ast.Name, ast.Attribute))
        )

    def leaves(self, node: ast.AST, loop: ast.AST) -> bool:
        """Whether the loop ends after a node: a `break` or `return` in the same block."""
        for parent in self.code.parents(node):
            if isinstance(node, ast.stmt) and self._is_before_end(node, parent):
                return True
            if parent is loop:
                return False
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
        if self.is_frozen(model, loop) or self.moves_inputs(loop):
            return False
        if not _LOSSES.isdisjoint(words(model.rpartition(".")[2])):
            return False
        inside = self.inside(loop)
        if inside.restores and model not in inside.applies:
            return False  # the loop trains another model, as one of a GAN in turn
        if model in self._trained:
            return True
        # If another model is trained explicitly, one that is only called may be frozen.
        if self.code.function_of(loop) in self._training:
            return False
        return model in inside.applies

    def is_made_in(self, loop: ast.AST, model: str) -> bool:
        """Whether each turn of a loop may have a model of its own, which is in training mode."""
        if loop not in self._made:
            self._made[loop] = {
                _dotted(node)
                for node in ast.walk(loop)
                if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store)
            }
        return not self._made[loop].isdisjoint((model, model.partition(".")[0]))

    def is_frozen(self, model: str, loop: ast.AST) -> bool:
        """Whether the parameters of a model need no gradient in a loop.

        Langevin sampling and attacks take the gradient of the input; the network stays as it is.
        """
        holders: list[object] = [self.code.function_of(loop)]
        if model.startswith("self."):
            # What `__init__` does with `self.net` holds in all methods.
            cls = self.code.class_of(loop)
            holders += [] if cls is None else [cls]
        known = [self._set_for(model, holder) for holder in holders]
        if any(loop in each.thawed for each in known):
            return False  # frozen in turn, as in a GAN
        return any(each.is_frozen for each in known)

    def _set_for(self, model: str, holder: object) -> _Settings:
        """Returns what the calls of a function, or of the methods of a class, set."""
        key = (model, holder)
        if key not in self._settings_of:
            self._settings_of[key] = found = _Settings()
            for node in self._settings.get(key, ()):
                needs = self._needs_gradient(node, model)
                if needs:
                    found.thawed.update(self.code.parents(node))
                found.is_frozen |= needs is False
        return self._settings_of[key]

    @cached_property
    def _settings(self) -> dict[tuple[str, object], list[ast.Call]]:
        """The calls that may set whether parameters need a gradient, by model and place."""
        said = ("parameters", "grad", "freeze")
        found: dict[tuple[str, object], list[ast.Call]] = {}
        for call in self.code.calls:
            node = call.node
            method = _last(node.func)
            if not any(word in method.lower() for word in said):
                continue
            first = [*node.args, *(keyword.value for keyword in node.keywords)][:1]
            for model in {self.receiver(node, method), *map(_dotted, first)} - {""}:
                for holder in {call.function, call.cls} if call.cls else {call.function}:
                    found.setdefault((model, holder), []).append(node)
        return found

    def _needs_gradient(self, node: ast.Call, model: str) -> bool | None:
        """Returns what a call sets for the parameters of a model; None if it sets nothing."""
        if self.receiver(node, "parameters") == model:
            return self._freezes(node)
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if self.receiver(node, "requires_grad_") == model:
            return not given or self.code.value(given[0]) is not False
        if model in (self.receiver(node, "freeze"), self.receiver(node, "unfreeze")):
            return _last(node.func) == "unfreeze"
        name = _last(node.func).lower()
        if given and _dotted(given[0]) == model and ("grad" in name or "freeze" in name):
            values = [self.code.value(each) for each in given[1:]]
            if "freeze" in name:
                return name.startswith("un") != (False in values)
            return False not in values if values else None
        return None

    def _freezes(self, node: ast.Call) -> bool | None:
        """Returns what a loop over `model.parameters()` sets; None if it is not such a loop."""
        for parent in self.code.parents(node):
            if isinstance(parent, (ast.For, ast.ListComp, ast.GeneratorExp)):
                if parent not in self._frozen:
                    self._frozen[parent] = self._sets(parent)
                return self._frozen[parent]
            if isinstance(parent, ast.stmt):
                return None
        return None

    def _sets(self, loop: ast.AST) -> bool | None:
        """Returns what a loop sets `requires_grad` to; None if it does not."""
        for each in ast.walk(loop):
            if isinstance(each, ast.Assign) and _last(each.targets[0]) == "requires_grad":
                return self.code.value(each.value) is not False
            if isinstance(each, ast.Call) and _last(each.func) == "requires_grad_":
                given = [*each.args, *(keyword.value for keyword in each.keywords)]
                return not given or self.code.value(given[0]) is not False
        return None

    def moves_inputs(self, loop: ast.AST) -> bool:
        """Whether a loop without an optimizer's step takes the gradient of an input: `x.grad`."""
        if loop not in self._moved:
            self._moved[loop] = not self.inside(loop).steps and self._reads_gradient(loop)
        return self._moved[loop]

    def _reads_gradient(self, loop: ast.AST) -> bool:
        function = self.code.function_of(loop)
        scope = self.code.tree if function is None else function.node
        if scope not in self._inputs:
            self._inputs[scope] = self._needing(scope)
        needing = self._inputs[scope]
        return bool(needing) and any(
            isinstance(node, ast.Attribute)
            and node.attr == "grad"
            and _dotted(node.value) in needing
            for node in ast.walk(loop)
        )

    def _needing(self, scope: ast.AST) -> set[str]:
        """Returns the names of the tensors for which a function asks for a gradient."""
        nodes = list(ast.walk(scope))
        needing = {
            _dotted(node.func.value)
            for node in nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("requires_grad_", "retain_grad")
        }
        for node in nodes:
            if isinstance(node, ast.Assign):
                target = node.targets[0]
                if isinstance(target, ast.Attribute) and target.attr == "requires_grad":
                    needing.add(_dotted(target.value))
                elif isinstance(node.value, ast.Call) and (
                    _last(node.value) == "requires_grad_"
                    or any(keyword.arg == "requires_grad" for keyword in node.value.keywords)
                ):
                    needing.add(_dotted(target))
        return needing - {""}

    def _is_without_gradient(self, node: ast.AST) -> bool:
        return node in self._without_gradient

    @cached_property
    def _without_gradient(self) -> frozenset[ast.AST]:
        """The calls in a block without gradients, and those whose result is detached."""
        found = []
        waiting: list[tuple[ast.AST, bool]] = [(self.code.tree, False)]
        while waiting:
            node, is_off = waiting.pop()
            if isinstance(node, (ast.With, ast.AsyncWith)):
                is_off |= any(self._turns_off(each.context_expr) for each in node.items)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                is_off = any(_last(each) in _NO_GRADIENT for each in node.decorator_list)
            elif isinstance(node, ast.Call) and is_off:
                found.append(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
                found += [node.value] * (node.attr in _DETACHED)
            waiting += [(each, is_off) for each in ast.iter_child_nodes(node)]
        return frozenset(found)

    def _turns_off(self, context: ast.expr) -> bool:
        """Whether a block has no gradients: `no_grad()`, `set_grad_enabled(False)`."""
        is_set = isinstance(context, ast.Call) and _last(context) == "set_grad_enabled"
        return _last(context) in _NO_GRADIENT or (is_set and self.is_off(context))  # type: ignore[arg-type]

    def inside(self, node: ast.AST, depth: int = 0) -> _Inside:
        """Returns what a loop or function does, including the functions that it calls."""
        if node in self._read:
            return self._read[node]
        found = _Inside()
        if depth > _DEEPEST:
            return found
        self._read[node] = found  # a function that calls itself adds nothing
        waiting = [*ast.iter_child_nodes(node)][::-1]
        while waiting:
            each = waiting.pop()
            if isinstance(each, (*_FUNCTIONS, ast.ClassDef)):
                continue  # defining it does not run it
            waiting += [*ast.iter_child_nodes(each)][::-1]
            if isinstance(each, ast.Call):
                self._add(each, found, depth)
        return found

    def _add(self, node: ast.Call, found: _Inside, depth: int) -> None:
        func = node.func
        method = func.attr if isinstance(func, ast.Attribute) else ""
        if method == "eval" or (method == "train" and self.is_off(node)):
            _keep(found.evals, self.left_in_eval(node))
        elif method == "train":
            model = self.receiver(node, "train")
            found.is_open |= not model or len(found.restored) >= _MOST_MODELS
            built = self._built_of(_unmoved(node.func.value))  # type: ignore[attr-defined]
            _restore(found, model, _Restored(built_of=built, branch=self._if_better(node)))
        elif method == "backward":
            found.backward = True
        elif method == "step" and _says_optimizer(func):
            found.backward = found.steps = True
        function = self._function(node)
        is_trained = len(found.applies) < _MOST_MODELS and not self._is_without_gradient(node)
        if function is None and is_trained:
            found.applies.add(_dotted(func))
        if function is not None:
            inner = self.inside(function.node, depth + 1)
            self._add_restored(inner, found, function, node)
            found.backward |= inner.backward
            found.steps |= inner.steps
            _keep(found.evals, self._outside_all(inner.evals, function, node))
            if is_trained:
                outer = (self.outside(each, function, node) for each in inner.applies)
                found.applies |= {each for each in outer if each}
        elif method != "train":
            found.is_open |= _may_restore(func)

    def _add_restored(
        self, inner: _Inside, found: _Inside, function: Function, node: ast.Call
    ) -> None:
        """Adds what a function that is called puts in training mode."""
        found.is_open |= inner.is_open or len(found.restored) >= _MOST_MODELS
        for each, restored in [*inner.restored.items()]:  # it may call itself
            model = self.outside(each, function, node)
            if model:
                _restore(found, model, _Restored(restored.is_part))
            elif restored.built_of is None or each.partition(".")[0] in function.names:
                found.is_open = True
            else:  # it is another model than those of the caller, unless it holds one of them
                for part in restored.built_of:
                    held = self.outside(part, function, node)
                    if held:
                        _restore(found, held, _Restored(is_part=True))

    def _if_better(self, node: ast.AST) -> ast.If | None:
        """Returns the branch around a node that is taken after the best result: `loss < best`."""
        for parent in self.code.parents(node):
            if isinstance(parent, ast.If) and not parent.orelse and _asks_for_best(parent.test):
                return parent
            if isinstance(parent, (*_LOOPS, *_FUNCTIONS)):
                return None
        return None

    def _built_of(self, expr: ast.expr) -> frozenset[str] | None:
        """Returns the names that the object of a name is built of; None if that is not known."""
        made = self._only_value(expr)
        if not isinstance(made, ast.Call) or not _last(made)[:1].isupper():
            return None
        found: set[str] = set()
        waiting: list[ast.AST] = [made]
        for _ in range(_MOST_PARTS):
            if not waiting:
                return frozenset(found)
            node = waiting.pop()
            if isinstance(node, ast.Attribute) and node.attr in _SIZES:
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                waiting += [*node.args, *node.keywords]  # it does not hold its class
                continue
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, (ast.Name, ast.Attribute)) and _dotted(node) not in found:
                found.add(_dotted(node))
                only = self._only_value(node)
                if isinstance(only, (ast.Call, ast.Name, ast.Attribute)):
                    waiting.append(only)
        return None


def _keep(known: dict[str, ast.Call], more: Mapping[str, ast.Call]) -> None:
    for name, place in more.items():
        if len(known) < _MOST_MODELS:
            known.setdefault(name, place)


def _restore(found: _Inside, name: str, restored: _Restored) -> None:
    before = found.restored.get(name, restored)
    found.restored[name] = _Restored(
        before.is_part and restored.is_part,
        before.built_of if before.built_of == restored.built_of else None,
        before.branch if before.branch is restored.branch else None,
    )


def _asks_for_last(test: ast.expr) -> bool:
    """Whether a test compares a number of turns with all: `step == len(loader) - 1`."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            for each in ast.walk(node):
                said = each.id if isinstance(each, ast.Name) else ""
                if said == "len" or not {"length", "last"}.isdisjoint(words(said)):
                    return not any(isinstance(part, ast.Mod) for part in ast.walk(node))
    return False


def _asks_for_best(test: ast.expr) -> bool:
    """Whether a test compares a number with the best of those before."""
    return isinstance(test, ast.Compare) and any(
        "best" in words(_last(each)) for each in (test.left, *test.comparators)
    )


def _may_restore(func: ast.expr) -> bool:
    """Whether a function that is not in this file has a name that suggests training."""
    name = _last(func)
    if "train" not in name.lower().replace("pretrain", "").replace("trainable", ""):
        return False
    said = words(name)
    return said[-1] not in _DATA - {"iter", "batch", "data", "set", "samples"} and not (
        said[0] in _GIVES and not _DATA.isdisjoint(said)
    )


def _says_optimizer(func: ast.expr) -> bool:
    """Whether a `.step` is that of an optimizer: by the names that it is reached by."""
    said = []
    while isinstance(func, (ast.Attribute, ast.Call, ast.Subscript)):
        said.append(_last(func))
        func = func.func if isinstance(func, ast.Call) else func.value
    text = " ".join([*said, _last(func)]).lower()
    return "opt" in text or "scaler" in text


def _last(expr: ast.expr) -> str:
    """The last name of what is called, or of an attribute."""
    if isinstance(expr, ast.Call):
        expr = expr.func
    return expr.attr if isinstance(expr, ast.Attribute) else getattr(expr, "id", "")


def _shown(model: str) -> str:
    """The name of a model as a person writes it: `models["g"]`."""
    return model.replace(".[", "[")


def _dotted(expr: ast.expr) -> str:
    """A name, or attributes or keys of one, as text; empty for everything else."""
    said = []
    while isinstance(expr, (ast.Attribute, ast.Subscript)):
        if isinstance(expr, ast.Attribute):
            said.append(expr.attr)
        elif isinstance(expr.slice, ast.Constant):
            said.append(f"[{expr.slice.value!r}]")
        else:
            return ""
        expr = expr.value
    return ".".join([expr.id, *reversed(said)]) if isinstance(expr, ast.Name) else ""
