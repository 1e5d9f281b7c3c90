"""Exported programs and other graphs: where they drop, and how they stop doing so in eval.

A graph recorded in training contains the mode as a constant, which `eval()` does not reach.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch

from .._core import _torch
from .._core._validate import wrong_type
from ..errors import ArgumentValueError

# The operators of this package that are the identity in eval, by their name: `y = f(x, key, ...)`.
_MAPS = tuple(
    f"torchdropout.{name}"
    for name in ("masked_affine", "noise_affine", "drop_blocks", "counted_affine")
)
_OURS = (*_MAPS, "torchdropout.choose")
_DRAW = "torchdropout.draw_keys"
_MODES = ("training", "train")
_RATES = ("p", "dropout_p", "dropout", "drop_prob")
_OPERATOR = type(torch.ops.aten.dropout.default)
_SIZES = (int, float, bool, torch.SymInt, torch.SymFloat, torch.SymBool)


@dataclass(frozen=True)
class GraphNode:
    """A call in a graph that depends on the mode, or that is random.

    Attributes:
        part: The graph it is in: the program's, or one inside, such as a branch of `torch.cond`.
        node: The call.
        kind: The operator or function, such as `aten.dropout`.
        p: The drop probability, where the call has one.
        argument: The argument that is the mode, or the probability of attention; else empty.
        position: The position of that argument.
        is_identity: Whether it is an operator of this package that is the identity in eval.
        is_random: Whether it draws.
    """

    part: torch.fx.GraphModule
    node: torch.fx.Node
    kind: str
    p: float | None = None
    argument: str = ""
    position: int = 0
    is_identity: bool = False
    is_random: bool = True

    @property
    def is_known(self) -> bool:
        """Whether it is a function or operator of this package, or has a mode."""
        return bool(self.argument) or self.kind.startswith("torchdropout.")

    @property
    def drops(self) -> bool:
        """Whether it is known to drop, or to add noise by this package."""
        if self.p is None:
            return self.kind.startswith("torchdropout.")
        return self.is_known and self.p > 0

    @property
    def module(self) -> str:
        """The path of the module that makes the call, if the graph records it."""
        stack = list((self.node.meta.get("nn_module_stack") or {}).values())
        return str(stack[-1][0]) if stack else ""

    def __str__(self) -> str:
        place = f"{self.module}: " if self.module else ""
        return f"{place}{self.kind} (node {self.node})"


@overload
def to_eval(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram: ...


@overload
def to_eval(program: torch.fx.GraphModule) -> torch.fx.GraphModule: ...


def to_eval(
    program: torch.export.ExportedProgram | torch.fx.GraphModule,
) -> torch.export.ExportedProgram | torch.fx.GraphModule:
    """Move an exported program, or another graph recorded in training, to eval.

    `torch.export` and `torch.fx` record the mode as a constant in the graph, so that `eval()`
    has no effect on it, or is refused. This function changes the constants, in place: each dropout
    and each noise of this package becomes the identity; the argument `training` or `train` of a
    call, such as torch's dropouts, batch normalisation and recurrent layers, becomes False; the
    `dropout_p` of attention becomes 0. If a `GraphModule` still calls modules, its
    `eval()` is called.

    Code of the model that read `training` itself stays as recorded. If the model is available,
    export it in eval instead.

    Args:
        program: What `torch.export.export` returns, its `module()`, or a `torch.fx.GraphModule`.

    Returns:
        The program itself.

    Raises:
        ArgumentTypeError: It is something else.
        ArgumentValueError: It drops in a way whose eval the graph does not show: `TokenDropout`,
            `EmbeddingDropout`, `Zoneout`, a learned dropout, or `keep_mask`. Nothing is changed.

    Warns:
        UserWarning: Random operators remain that are not known to be dropouts, such as `bernoulli`.

    Example:
        >>> import torch, torchdropout as td
        >>> model = torch.nn.Sequential(td.nn.Dropout(0.5), torch.nn.Dropout(0.5))
        >>> program = torch.export.export(model.train(), (torch.ones(3),))
        >>> to_eval(program).module()(torch.ones(3))
        tensor([1., 1., 1.])
    """
    found = list(read(program))
    stuck = [one for one in found if one.is_known and not (one.argument or one.is_identity)]
    if stuck:
        raise ArgumentValueError(
            "Expected `program` to drop only where its graph determines what happens in eval, got "
            f"{_listed(stuck)}, whose result the graph uses further. Export the model in eval: "
            "torch.export.export(model.eval(), ...)."
        )
    for one in found:
        if one.is_identity:
            _bypass(one.node, program if one.part is _graph(program) else one.part)
        elif one.argument:
            _set(one, False if one.argument in _MODES else 0.0)
    for part in dict.fromkeys(one.part for one in found):
        _erase_draws(part.graph)
        part.graph.lint()
        part.recompile()
    if isinstance(program, torch.fx.GraphModule):
        with contextlib.suppress(NotImplementedError):  # the `module()` of an exported program
            program.eval()
    rest = [one for one in found if not one.is_known]
    if rest:
        warnings.warn(
            f"Random operators remain in the program in eval: {_listed(rest)}. If they drop, "
            "export the model in eval instead: torch.export.export(model.eval(), ...).",
            stacklevel=2,
        )
    return program


def read(program: Any) -> Iterator[GraphNode]:
    """All calls in a program that depend on the mode of training, or that are random.

    Raises:
        ArgumentTypeError: It is not an exported program or a `torch.fx.GraphModule`.
    """
    for part in _graph(program).modules():
        if isinstance(part, torch.fx.GraphModule):
            for node in part.graph.nodes:
                one = _read(part, node)
                if one is not None:
                    yield one


def is_exported(model: Any) -> bool:
    """Whether it is an exported program, or a graph of operators such as its `module()`."""
    if isinstance(model, torch.export.ExportedProgram):
        return True
    return isinstance(model, torch.fx.GraphModule) and any(
        "val" in node.meta for node in model.graph.nodes
    )


def _graph(program: Any) -> torch.fx.GraphModule:
    if isinstance(program, torch.export.ExportedProgram):
        graph: torch.fx.GraphModule = program.graph_module
        return graph
    if not isinstance(program, torch.fx.GraphModule):
        wrong_type("program", "a torch.export.ExportedProgram or a torch.fx.GraphModule", program)
    return program


def _read(part: torch.fx.GraphModule, node: torch.fx.Node) -> GraphNode | None:
    if node.op == "call_method":
        name = str(node.target)
        return GraphNode(part, node, f"Tensor.{name}") if _is_random(name) else None
    if node.op != "call_function":
        return None
    target: Any = node.target
    if isinstance(target, _OPERATOR):
        kind = _torch.schema(target).name.replace("::", ".")
        is_random = torch.Tag.nondeterministic_seeded in target.tags
    else:
        name = getattr(target, "__name__", "")
        kind = f"{getattr(target, '__module__', None) or 'torch'}.{name}"
        is_random = _is_random(name)
    if kind in _OURS:
        is_identity = kind in _MAPS and not _is_constant(node.args[0])
        p = node.args[2] if kind.startswith(_MAPS[0]) else None
        p = p if isinstance(p, float) else None
        return GraphNode(part, node, kind, p, is_identity=is_identity)
    if kind == _DRAW:
        return None
    found = None
    with contextlib.suppress(RuntimeError):  # several overloads fit, as those of `torch.add`
        found = node.normalized_arguments(part, normalize_to_only_use_kwargs=True)
    arguments = {} if found is None else found.kwargs
    rate = next((arguments[name] for name in _RATES if name in arguments), None)
    p = float(rate) if isinstance(rate, (int, float)) else None
    gates = [name for name in (*_MODES, "dropout_p") if name in arguments]
    # Without running statistics, batch normalisation uses those of the batch in eval too.
    if not gates or ("norm" in kind and arguments.get("running_mean") is None):
        return GraphNode(part, node, kind, p) if is_random else None
    on = [name for name in gates if arguments[name] not in (False, 0.0)]  # None is on
    # A call with a mode and a probability, such as that of attention, drops if both are on.
    if len(on) < len(gates):
        return None
    return GraphNode(part, node, kind, p, on[0], list(arguments).index(on[0]), is_random=is_random)


def _is_random(name: str) -> bool:
    """Whether torch has a random operator of this name."""
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(
        torch.Tag.nondeterministic_seeded in getattr(packet, overload).tags
        for overload in packet.overloads()
    )


def _is_constant(x: Any) -> bool:
    """Whether a tensor is computed from sizes alone: then it holds a mask, or noise, not data."""
    waiting, known = [x], {x}
    while waiting:
        node = waiting.pop()
        if node.op != "call_function":
            return False
        before = {one for one in node.all_input_nodes if _may_be_tensor(one)} - known
        known |= before
        waiting += before
    return True


def _may_be_tensor(node: torch.fx.Node) -> bool:
    return not isinstance(node.meta.get("val"), _SIZES)


def _bypass(node: torch.fx.Node, program: Any) -> None:
    """Use the input of a call in place of its result."""
    x: Any = node.args[0]
    node.replace_all_uses_with(x)
    if isinstance(program, torch.export.ExportedProgram):
        program.graph_signature.replace_all_uses(node.name, x.name)
        for entry in program.module_call_graph:
            if entry.signature is not None:
                entry.signature.replace_all_uses_with(node, x)
    node.graph.erase_node(node)


def _set(one: GraphNode, value: Any) -> None:
    node = one.node
    if one.position < len(node.args):
        node.update_arg(one.position, value)
    else:
        node.update_kwarg(one.argument, value)


def _erase_draws(graph: torch.fx.Graph) -> None:
    """Erase the draws of keys that nothing uses any more, and the nodes made for them."""
    for node in reversed(graph.find_nodes(op="call_function", target=_draw())):
        if not node.users:
            like = node.args[0]
            graph.erase_node(node)
            if isinstance(like, torch.fx.Node) and not like.users:
                graph.erase_node(like)


def _draw() -> Any:
    return torch.ops.torchdropout.draw_keys.default


def _listed(found: Sequence[GraphNode]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(map(str, found[:3])) + more
