"""TD142: a dropout on logits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from ..code import Call, Class, Code, Function, words
from ._paths import paths, reader
from ._rule import Hit, kept, rule
from ._sequences import Layer, Path, drops, kind, reshapes

BROKEN = """\
from torch import nn

classifier = nn.Sequential(
    nn.Linear(512, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.Dropout(0.5),
)
"""
FIXED = """\
from torch import nn

classifier = nn.Sequential(
    nn.Linear(512, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)
"""

_SOFTMAX = frozenset(
    ("Softmax", "LogSoftmax", "Softmax2d", "softmax", "log_softmax", "gumbel_softmax")
    + ("cross_entropy", "binary_cross_entropy_with_logits", "CrossEntropyLoss")
    + ("BCEWithLogitsLoss",)
)
_PROJECTIONS = re.compile(r"(?:Lazy)?(?:Linear|Conv[123]d|Bilinear)")
_CLASSES = frozenset(
    ("class", "classes", "label", "labels", "categories", "vocab", "vocabulary", "logits")
    + ("tagset", "nclass", "nclasses", "ncls", "tags", "ntoken", "ntokens", "nlabels", "ntags")
    + ("intents", "slots", "emotions", "relations", "polarities", "answers", "ans", "phonemes")
    + ("action", "actions", "skills", "questions", "concepts", "ent", "ents", "entities")
    + ("category", "sentiments", "nwords", "charset", "genres", "species", "diseases", "nlabel")
    + ("ntag", "outcomes", "stances", "phones")
)
_LOGITS = frozenset(("logits", "logit"))
_HEADS = _LOGITS | {"classifier"}
_DROPS = frozenset(("dropout", "drop"))
_SIZES = ("out_features", "out_channels")
_NN = "torch.nn."
_CLASSIFIERS = frozenset(("classifier", "classification", "dqn", "critic", "policy"))
# Words of a part of a model, whose result is not logits.
_PARTS = frozenset(
    ("encoder", "embedding", "embedder", "extractor", "backbone", "block", "layer", "attention")
    + ("features", "feature", "projection", "projector", "ffn", "stem", "neck", "decoder", "body")
    + ("trunk", "hidden", "enc", "dec")
)
# Words of what represents classes or labels in a model, instead of being their scores.
_EMBEDDINGS = frozenset(("embed", "emb", "embedding", "embeddings", "embedder", "embeds"))
_SCORES = _LOGITS | {"score", "scores"}
_VERBS = frozenset(("get", "compute", "calc", "calculate", "forward", "predict"))
_ACTIVATED = re.compile(r"(?i).*elu6?|tanh|sigmoid|silu|mish|soft\w+|hard\w+|activation|\w*pool\w*")
_OUTPUTS = frozenset(("out", "output", "outputs", "target", "targets"))
_CLASSIFIES = re.compile(r"CrossEntropyLoss|cross_entropy|NLLLoss|nll_loss|BCE(?:WithLogits)?Loss")
_ENDS = re.compile(
    r"(?i)loss|entropy|sigmoid|softmax|DataParallel|Flatten|one_hot|criterion|\bcrf|arg_?max"
)
_RESULTS = _HEADS | frozenset(
    ("pred", "preds", "prediction", "predictions", "emissions", "score", "scores")
    + ("class", "classes")
)


@rule(
    "TD142",
    group="order",
    severity="advice",
    broken=BROKEN,
    fixed=FIXED,
    evidence="Parakeet#74 (dropout put before a softmax as a fix), reverted by Parakeet#75.",
)
def dropout_on_logits(code: Code) -> Iterator[Hit]:
    """No dropout acts on logits.

    The rule reports a dropout before a softmax or a cross entropy, with at most a change of shape,
    a scale, a mask or a ReLU in between, even if a function of the file lies between them. It
    reports a dropout whose result a function named logits returns. It reports one on a value that
    is named logits, or that a method such as `compute_score` returns, if no layer takes the result.

    It also reports a dropout right after a Linear or a convolution that is known to return logits.
    One of these must show it: the layer has as many outputs as there are classes, labels or entries
    of an embedding; its name, or that of the result, contains classifier, logits or score; a
    sigmoid of the result, or of a sum or product that contains it, is returned; the outputs of
    several layers are added up from 0 and returned; or the layer ends a whole model. A whole model
    is a variable that no layer follows, a class named classifier, or a class that is not a part of
    another and is trained with a cross entropy, in this file or in another one that builds it. For
    a layer of another library or file, only the number of outputs is used.

    The Linear and dropout at the end of a transformer's feed-forward block are not reported: their
    output is added to something.

    A dropped logit becomes 0, which is a score like any other: the right class loses its score at
    random, the loss cannot become small, and no gradient flows through the dropped logit. In an
    attention, too, a score of 0 does not mean "no attention".

    To fix: put the dropout before the last layer; in an attention, after the softmax.
    """
    seen = set()
    for path in paths(code):
        if path.ends:
            path = _without_shapes(path)
        before = next(path.before(), None)
        if drops(code, path.last) and (
            _is_of_function(code, path)
            or _is_of_scores(code, path)
            or _is_of_layer_for_classes(code, path)
        ):
            hit = Hit(
                path.last.node,
                f"{kind(path.last)} on the logits: a dropped logit is 0, a score like any other",
                "put it before the last layer",
            )
        elif before is None:
            continue
        elif kind(path.last) in _SOFTMAX:
            # A shape, a scale, a mask and a ReLU leave a dropped score unchanged.
            given = (
                each
                for each in path.before()
                if not (_leaves(each) or kind(each) in ("relu", "relu_", "ReLU"))
            )
            before = next(given, before)
            if not drops(code, before):
                continue
            hit = Hit(
                before.node,
                f"{kind(before)} right before {kind(path.last)}: a dropped logit is 0, a score "
                "like any other",
                "put it before the last layer, or after the softmax of an attention",
            )
        elif (
            (path.ends or _is_named(path) or _is_of_head(path) or _is_of_sum(code, path))
            and drops(code, path.last)
            and _PROJECTIONS.fullmatch(kind(before))
            and before.call is not None
            and _are_logits(code, path, before.call)
        ):
            hit = Hit(
                path.last.node,
                f"{kind(path.last)} on the logits: a dropped logit is 0, a score like any other",
                f"put it before {kind(before)}",
            )
        elif (
            kind(path.last) in ("sigmoid", "Sigmoid")
            and (dropped := _unchanged(path)) is not None
            and drops(code, dropped.last)
            and _is_before_sigmoid(code, path, dropped)
        ):
            hit = Hit(
                dropped.last.node,
                f"{kind(dropped.last)} on the logits: a dropped logit is 0, a score like any other",
                "put it before the last layer",
            )
        else:
            continue
        if hit.node not in seen:
            seen.add(hit.node)
            yield hit
    yield from (hit for hit in _by_name(code) if hit.node not in seen)


def _by_name(code: Code) -> Iterator[Hit]:
    """Yields dropouts of another file on logits: `self.dropout(self.classifier(x))`."""
    for call in code.calls:
        func, given = call.node.func, call.node.args[0] if len(call.node.args) == 1 else None
        inner = given.func if isinstance(given, ast.Call) else None
        if not (isinstance(func, ast.Attribute) and isinstance(inner, ast.Attribute)):
            continue
        if func.attr not in _DROPS or call.name is not None:
            continue
        if code.assigned(func) or code.local(inner) or code.local(func):
            continue  # read above, with what it is
        if not _is_head(code, inner):
            continue
        yield Hit(
            call.node,
            f"{func.attr} on the result of {inner.attr}: a dropped logit is 0, a score like any "
            "other",
            f"put it before {inner.attr}",
        )


def _is_head(code: Code, layer: ast.Attribute) -> bool:
    """Whether a layer gives logits: by its name if it is of another file, else by its size."""
    given = code.assigned(layer)
    if not given:
        return layer.attr in _HEADS
    built = _calls(code).get(given[0]) if len(given) == 1 else None
    is_projection = built is not None and _PROJECTIONS.fullmatch((built.name or "")[len(_NN) :])
    return built is not None and bool(is_projection) and _are_classes(code, built)


@kept
def _calls(code: Code) -> Mapping[ast.AST | None, Call]:
    return {call.node: call for call in code.calls}


def _without_shapes(path: Path) -> Path:
    """Returns the path of what a value was before its shape was changed: `return x.squeeze()`."""
    end = path
    while reshapes(end.last) and end.earlier is not None and not end.earlier.loose:
        end = end.earlier
    return end if end is path else replace(end, ends=True, whole=path.whole)


def _is_result(path: Path) -> bool:
    """Whether a layer gives what a function returns."""
    return path.ends and isinstance(path.whole, ast.Return)


def _leaves(layer: Layer) -> bool:
    return reshapes(layer) or kind(layer) in ("mul", "masked_fill", "where", "contiguous", "float")


def _has_classes(code: Code, layer: Layer) -> bool:
    """Whether a projection before a sigmoid returns logits: one, or one for each class."""
    if layer.call is None:
        return False
    size = _outputs(layer.call)
    return (size is not None and code.value(size) == 1) or _are_classes(code, layer.call)


def _outputs(projection: Call) -> ast.expr | None:
    """Returns the number of outputs that a projection is built with."""
    name = (projection.name or "").rpartition(".")[2]
    place = 0 if name.startswith("Lazy") else 2 if name == "Bilinear" else 1
    by_name = (k.value for k in projection.node.keywords if k.arg in _SIZES)
    return next(iter((*projection.node.args[place:], *by_name)), None)


def _are_classes(code: Code, projection: Call) -> bool:
    """Whether a projection has as many outputs as there are classes, or entries to embed."""
    size = _outputs(projection)
    names = set() if size is None else {*_names(size)}
    entries = _entries(code).get(projection.cls, frozenset())
    return not names.isdisjoint(entries) or any(_CLASSES.intersection(words(n)) for n in names)


@kept
def _entries(code: Code) -> Mapping[Class | None, frozenset[str]]:
    """Returns the names in the numbers of entries of the embeddings of each class."""
    found: dict[Class | None, frozenset[str]] = {}
    for call in code.calls:
        if call.name == "torch.nn.Embedding":
            named = (k.value for k in call.node.keywords if k.arg == "num_embeddings")
            for size in (*call.node.args[:1], *named):
                found[call.cls] = found.get(call.cls, frozenset()).union(_names(size))
    return found


def _is_named(path: Path) -> bool:
    """Whether the result has a name that says what it is: `logits = self.drop(self.fc(x))`."""
    target = _target(path.whole)
    is_whole = isinstance(path.whole, ast.Assign) and path.whole.value is path.last.node
    return is_whole and target is not None and _says_result(target)


def _target(statement: ast.AST) -> str | None:
    """Returns the name that a statement assigns to."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


def _is_of_sum(code: Code, path: Path) -> bool:
    """Whether the result is added to what begins with 0, and is returned or named a score."""
    whole = path.whole
    function = code.function_of(whole)
    if not isinstance(whole, ast.AugAssign) or whole.value is not path.last.node:
        return False
    target = whole.target
    if function is None or not isinstance(whole.op, ast.Add) or not isinstance(target, ast.Name):
        return False
    begun = (code.value(each) for each in code.assigned(target) if isinstance(each, ast.expr))
    if not any(value == 0 for value in begun):
        return False
    loads = (
        each
        for each in code.names_in(function.node).get(target.id, ())
        if isinstance(each.ctx, ast.Load)
    )
    return _says_result(target.id) or all(map(partial(_is_returned, code), loads))


def _is_returned(code: Code, node: ast.AST) -> bool:
    """Whether a value is returned as it is, alone or with others."""
    parent = next(code.parents(node), None)
    if isinstance(parent, ast.Tuple):
        parent = next(code.parents(parent), None)
    return isinstance(parent, ast.Return)


def _is_of_function(code: Code, path: Path) -> bool:
    """Whether a function returns what a dropout gives, and its results are logits.

    Its name says so, or the file gives a result of it to a softmax or a cross entropy.
    """
    if not (path.ends and isinstance(path.whole, ast.Return)):
        return False
    function = code.function_of(path.whole)
    if function is None:
        return False
    if _is_for(function, _LOGITS):
        return True
    return not isinstance(path.whole.value, ast.Tuple) and function in _scored(code)


def _is_for(function: Function, results: frozenset[str]) -> bool:
    """Whether a function has the name of one of its results: `logits`, `compute_scores`."""
    *verbs, noun = words(function.name) or ("",)
    return noun in results and _VERBS.issuperset(verbs)


@kept
def _scored(code: Code) -> frozenset[Function]:
    """Returns the functions of the file whose results go into a softmax or a cross entropy."""
    method = reader(code).method
    given = [_unchanged(path) for path in paths(code) if kind(path.last) in _SOFTMAX]
    calls = [each.last.node for each in given if each is not None and not each.last.name]
    found = {method(each) for each in calls if isinstance(each, ast.Call)}
    return frozenset(each for each in found if each is not None)


def _unchanged(path: Path) -> Path | None:
    """Returns the path of what a layer gets, before its shape, its scale and its mask."""
    given = path.earlier
    while given is not None and _leaves(given.last):
        given = given.earlier
    return given


def _is_of_scores(code: Code, path: Path) -> bool:
    """Whether a dropout acts on a value that is named logits, or that a method for scores gives.

    No layer may take its result: if one does, the value is only named after what it becomes.
    """
    node, giver = path.last.node, _unchanged(path)
    given = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if given is None or node in _followed(code):
        return False
    if isinstance(given, ast.Name):
        target = _target(path.whole)
        is_kept = path.ends or target is None or not _LOGITS.isdisjoint(words(target))
        is_plain = giver is not None and not _ACTIVATED.fullmatch(kind(giver.last))
        if is_plain and is_kept and not _LOGITS.isdisjoint(words(given.id)):
            return True
        start = code.span(given)[0]
        before = (each for each in code.assigned(given) if each and code.span(each)[1] < start)
        given = max(before, key=code.span, default=None)  # what may be under an option
    made = code.local(given.func) if isinstance(given, ast.Call) else None
    return isinstance(made, Function) and _gives_scores(code, made)


def _is_of_layer_for_classes(code: Code, path: Path) -> bool:
    """Whether a layer that is not one of torch has as many outputs as there are classes.

    That is one of a graph: `self.drop(self.conv2(x, edges))`.
    """
    giver = _unchanged(path)
    if not (path.ends or _is_named(path)) or giver is None:
        return False
    call = giver.last.call
    if call is None and not giver.last.name and isinstance(giver.last.node, ast.Call):
        given = code.assigned(giver.last.node.func)
        call = _calls(code).get(given[0]) if len(given) == 1 else None
    if call is None or (call.name or "").startswith("torch."):
        return False
    said = words(code.text_of(call.node.func))
    sizes = call.node.args[1:2]
    return (
        (_PARTS | _EMBEDDINGS).isdisjoint(said)
        and not _ACTIVATED.fullmatch("".join(said[-1:]))
        and any(_CLASSES.intersection(words(name)) for size in sizes for name in _names(size))
    )


def _gives_scores(code: Code, function: Function) -> bool:
    """Whether a function returns scores by its name, and not what a softmax makes of them."""
    if not _is_for(function, _SCORES):
        return False
    for node in code.inside(function.node, ast.Return):
        values = code.assigned(node.value) if isinstance(node.value, ast.Name) else [node.value]
        for each in values:
            said = code.text_of(each.func) if isinstance(each, ast.Call) else ""
            if "soft" in said or "sigmoid" in said:
                return False
    return True


@kept
def _followed(code: Code) -> frozenset[ast.AST]:
    """Returns the dropouts whose results another layer takes."""
    found = set()
    for path in paths(code):
        if not isinstance(path.last.node, ast.Call) or path.earlier is None:
            continue
        giver = _unchanged(path)
        if giver is None or not drops(code, giver.last):
            continue
        name = path.last.name or code.text_of(path.last.node.func)
        is_layer = not path.last.name or name.startswith("torch.nn.")
        if is_layer and kind(path.last) not in _SOFTMAX and not _ENDS.search(name):
            found.add(giver.last.node)
    return frozenset(found)


def _is_before_sigmoid(code: Code, path: Path, dropped: Path) -> bool:
    """Whether a dropout before a sigmoid acts on logits.

    A projection has as many outputs as there are classes, or a function returns the sigmoid of a
    projection or of a combination of several.
    """
    given = dropped.earlier
    if given is not None and _PROJECTIONS.fullmatch(kind(given.last)):
        return _is_result(path) or _has_classes(code, given.last)
    is_sum = given is not None and isinstance(given.last.node, ast.BinOp)
    return is_sum and _is_result(path) and not path.loose


def _is_of_head(path: Path) -> bool:
    """Whether the projection has a name that says what it is: `self.drop(self.classifier(x))`."""
    applied = path.earlier.last.node if path.earlier is not None else None
    func = applied.func if isinstance(applied, ast.Call) else None
    if isinstance(func, ast.Subscript):  # one of a list
        func = func.value
    return isinstance(func, ast.Attribute) and _says_result(func.attr)


def _says_result(name: str) -> bool:
    said = set(words(name))
    return not _RESULTS.isdisjoint(said) and _EMBEDDINGS.isdisjoint(said)


def _are_logits(code: Code, path: Path, projection: Call) -> bool:
    if _are_classes(code, projection):
        return True
    if _is_named(path) or _is_of_head(path):
        return True
    if isinstance(path.whole, ast.Return):
        return _are_result(code, path.whole, projection)
    if isinstance(path.whole, ast.AugAssign):  # one score of each layer, added up
        return _says_output(projection)
    parent = next(code.parents(path.whole), None)
    if isinstance(parent, ast.Assign) and isinstance(path.whole, ast.Call):
        target = parent.targets[0]
        if isinstance(target, ast.Name):
            if not _HEADS.isdisjoint(words(target.id)):
                return True
            return code.function_of(path.whole) is None and _is_whole_model(code, target.id)
        return isinstance(target, ast.Attribute) and bool(_HEADS & set(words(target.attr)))
    return False


def _is_whole_model(code: Code, name: str) -> bool:
    """Whether a variable of the module is not a part of a model, by its name and its uses."""
    if not (_PARTS | _EMBEDDINGS).isdisjoint(words(name)):
        return False
    uses = (each for each in code.names_in(code.tree)[name] if isinstance(each.ctx, ast.Load))
    return not any(_goes_on(code, each) for each in uses)


def _goes_on(code: Code, model: ast.Name) -> bool:
    """Whether another layer follows: `head(model(x))`, `nn.Sequential(model, head)`."""
    call = next(code.parents(model))
    if not isinstance(call, ast.Call):
        return False
    if call.func is not model:
        return code.name(call.func) == "torch.nn.Sequential" and call.args[-1] is not model
    after = next(code.parents(call))
    if isinstance(after, ast.Call) and call in after.args:
        return _is_layer(code, after.func)
    target = after.targets[0] if isinstance(after, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return False
    function = code.function_of(call)
    scope = code.tree if function is None else function.node
    for each in code.names_in(scope)[target.id]:
        given = next(code.parents(each))
        is_given = isinstance(given, ast.Call) and each in given.args and each.lineno > call.lineno
        if is_given and _is_layer(code, given.func):  # type: ignore[attr-defined]
            return True
    return False


def _is_layer(code: Code, func: ast.expr) -> bool:
    """Whether what is called is surely a layer, and not a loss or a softmax."""
    known = code.name(func)
    names = [known] if known else []
    for value in () if known else code.assigned(func):
        made = code.local(value.func) if isinstance(value, ast.Call) else None
        if isinstance(made, Class) and made.is_module and "loss" not in words(made.name):
            return True
        names.append((code.name(value.func) if isinstance(value, ast.Call) else None) or "")
    return any(
        (name.startswith("torch.nn.") or name in ("torch.relu", "torch.tanh"))
        and name.rpartition(".")[2] not in _SOFTMAX
        and not _ENDS.search(name)
        for name in names
    )


def _are_result(code: Code, node: ast.AST, projection: Call) -> bool:
    """Whether the outputs of a projection, that a function returns, are those of a whole model."""
    cls, function = code.class_of(node), code.function_of(node)
    if cls is None or function is None or function.name != "forward":
        return False
    said = {*words(cls.name)}
    outputs = _outputs(projection)
    size = None if outputs is None else code.value(outputs)
    if size == 1 or not _PARTS.isdisjoint(said):
        return size == 1
    is_output = isinstance(size, int) or _says_output(projection)
    if not _CLASSIFIERS.isdisjoint(said):
        return is_output
    if not is_output:
        return False
    return (_classifies(code) and cls in _models(code)) or _is_trained_elsewhere(code, cls)


def _says_output(projection: Call) -> bool:
    """Whether a projection has as many outputs as a model: `nn.Linear(hidden, out_dim)`."""
    size = _outputs(projection)
    return size is not None and any(_OUTPUTS.intersection(words(name)) for name in _names(size))


def _is_trained_elsewhere(code: Code, cls: Class) -> bool:
    """Whether another file builds a whole model of a class, and trains by a cross entropy."""
    for other, call in (code.project and code.project.calls(code, cls)) or ():
        around = (each for each in other.parents(call.node) if isinstance(each, ast.stmt))
        name = _target(next(around))  # `net = Net(8).to(device)`
        if name and call.cls is None and _classifies(other) and _is_whole_model(other, name):
            return True
    return False


@kept
def _classifies(code: Code) -> bool:
    return _CLASSIFIES.search(code.text) is not None


@kept
def _models(code: Code) -> frozenset[Class]:
    """Returns the Modules that the file builds, or trains, and not as a part of another Module."""
    built: dict[Class, bool] = {each: True for each in code.classes if "backward(" in code.text}
    for call in code.calls:
        cls = code.local(call.node.func) if call.name is None else None
        if isinstance(cls, Class):
            built[cls] = built.get(cls, True) and not (call.cls is not None and call.cls.is_module)
    return frozenset(cls for cls, is_whole in built.items() if is_whole)


def _names(expr: ast.expr) -> Iterator[str]:
    """Yields the names and attributes in an expression, without what holds the attributes."""
    nodes = [*ast.walk(expr)]
    holders = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name) and node not in holders:
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
