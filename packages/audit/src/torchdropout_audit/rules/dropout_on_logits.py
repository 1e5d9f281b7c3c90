"""TD142: a dropout on logits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from ..code import Call, Class, Code, words
from ._paths import paths
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
)
_HEADS = frozenset(("classifier", "logits", "logit"))
_DROPS = frozenset(("dropout", "drop"))
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
_GIVES_LOGITS = frozenset(
    (*verb, noun)
    for verb in ((), ("get",), ("compute",), ("calc",), ("calculate",), ("forward",))
    for noun in ("logits", "logit")
)
_OUTPUTS = frozenset(("out", "output", "outputs", "target", "targets"))
_CLASSIFIES = re.compile(r"CrossEntropyLoss|cross_entropy|NLLLoss|nll_loss|BCE(?:WithLogits)?Loss")
_ENDS = re.compile(r"(?i)loss|entropy|sigmoid|softmax|DataParallel|Flatten|one_hot")
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

    The rule looks at a dropout before a softmax or a cross entropy, with nothing but a shape, a
    scale or a mask in between, at one whose result a function named logits returns, and at one
    right after a Linear or a convolution that is known to return logits: it has as many outputs as
    there are classes, labels or entries of an embedding, its name or that of the result contains
    classifier, logits or score, a sigmoid of it is returned, the outputs of several layers are
    added up from 0 and returned, or it ends a whole model: in a variable that no layer follows, in
    a class named classifier, or in one that is not a part of another where the file trains by a
    cross entropy.
    The Linear and dropout at the end of a transformer's feed-forward block are not reported: their
    output is added to something.

    A dropped logit becomes 0, which is a score like any other: the right class loses its score at
    random, the loss cannot become small, and no gradient flows through the dropped logit. In an
    attention a score of 0 does not mean "no attention" either.

    To fix: put the dropout before the last layer; in an attention, after the softmax.
    """
    seen = set()
    for path in paths(code):
        if path.ends:
            path = _without_shapes(path)
        before = next(path.before(), None)
        if _is_of_function(code, path):
            hit = Hit(
                path.last.node,
                f"{kind(path.last)} on the logits: a dropped logit is 0, a score like any other",
                "put it before the last layer",
            )
        elif before is None:
            continue
        elif kind(path.last) in _SOFTMAX:
            # A shape, a scale and a mask leave a dropped score unchanged.
            given = (each for each in path.before() if not _leaves(each))
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
            and drops(code, before)
            and path.earlier is not None
            and path.earlier.earlier is not None
            and _PROJECTIONS.fullmatch(kind(path.earlier.earlier.last))
            and (_is_result(path) or _has_classes(code, path.earlier.earlier.last))
        ):
            hit = Hit(
                before.node,
                f"{kind(before)} on the logits: a dropped logit is 0, a score like any other",
                f"put it before {kind(path.earlier.earlier.last)}",
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
    sizes = [*layer.call.node.args[1:2], *(k.value for k in layer.call.node.keywords)]
    is_one = bool(sizes) and code.value(sizes[0]) == 1
    return is_one or _are_classes(code, layer.call)


def _are_classes(code: Code, projection: Call) -> bool:
    """Whether a projection has as many outputs as there are classes, or entries to embed."""
    sizes = [*projection.node.args[1:2], *(k.value for k in projection.node.keywords)]
    names = {each for size in sizes for each in _names(size)}
    entries = _entries(code).get(projection.cls, frozenset())
    return not names.isdisjoint(entries) or any(_CLASSES.intersection(words(n)) for n in names)


@kept
def _entries(code: Code) -> Mapping[Class | None, frozenset[str]]:
    """Returns the names in how many entries the embeddings of each class have."""
    found: dict[Class | None, frozenset[str]] = {}
    for call in code.calls:
        if call.name == "torch.nn.Embedding":
            named = (k.value for k in call.node.keywords if k.arg == "num_embeddings")
            for size in (*call.node.args[:1], *named):
                found[call.cls] = found.get(call.cls, frozenset()).union(_names(size))
    return found


def _is_named(path: Path) -> bool:
    """Whether the result has a name that says what it is: `logits = self.drop(self.fc(x))`."""
    whole = path.whole
    if not isinstance(whole, ast.Assign) or whole.value is not path.last.node:
        return False
    target = whole.targets[0]
    return isinstance(target, ast.Name) and _says_result(target.id)


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
    """Whether a function whose name says that it gives logits returns what a dropout gives."""
    function = code.function_of(path.whole)
    return (
        path.ends
        and isinstance(path.whole, ast.Return)
        and drops(code, path.last)
        and function is not None
        and words(function.name) in _GIVES_LOGITS
    )


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
    sizes = [*projection.node.args[1:2], *(k.value for k in projection.node.keywords)]
    size = code.value(sizes[0]) if sizes else None
    if size == 1 or not _PARTS.isdisjoint(said):
        return size == 1
    is_output = isinstance(size, int) or _says_output(projection)
    if not _CLASSIFIERS.isdisjoint(said):
        return is_output
    return is_output and _classifies(code) and cls in _models(code)


def _says_output(projection: Call) -> bool:
    """Whether a projection has as many outputs as a model: `nn.Linear(hidden, out_dim)`."""
    sizes = [*projection.node.args[1:2], *(k.value for k in projection.node.keywords)]
    return any(_OUTPUTS.intersection(words(name)) for each in sizes for name in _names(each))


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
