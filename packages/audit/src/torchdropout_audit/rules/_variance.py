"""What a layer does to the variance of a value: keeps it, stores it, or makes a value anew."""

from __future__ import annotations

import ast

from ..code import FUNCTIONAL_ON, Call, Class, Code, Function, argument_of, words
from ._layers import Layer, said

# Functions of torch, and methods of tensors, whose result does not carry their argument's variance.
_FRESH = frozenset(
    ("size", "dim", "ndim", "numel", "argmax", "argmin", "argsort", "max_pool", "bernoulli")
    + ("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like", "item")
    + ("detach", "softmax", "log_softmax", "gumbel_softmax", "sigmoid", "topk", "sort", "backward")
    + ("cross_entropy", "nll_loss", "mse_loss", "normalize", "new_zeros", "new_ones", "std", "var")
)
# Words for a linear layer of another file, and for one that may hold a normalisation of its own.
_LINEAR = frozenset(
    ("conv", "conv1d", "conv2d", "convs", "convolution", "linear", "gcn", "gat", "sage", "gin")
    + ("gconv", "dense", "lstm", "gru", "rnn")
)
_OPEN = frozenset(
    ("block", "module", "norm", "bn", "net", "network", "stack", "model", "encoder", "decoder")
    + ("act", "relu", "unit", "head", "mlp", "layers", "stage", "backbone", "tower")
)
# What the names of functions begin with that run in evaluation only.
_PREDICTING = frozenset((("test",), ("infer",), ("inference",), ("predict",)))
_BATCH_NORMS = frozenset(
    ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d")
    + ("LazyBatchNorm2d", "LazyBatchNorm3d", "BatchNorm", "SynchronizedBatchNorm1d")
    + ("SynchronizedBatchNorm2d", "SynchronizedBatchNorm3d", "SyncBN", "InPlaceABN")
)

BATCH_NORM = {"torch.nn.functional.batch_norm": 1, "torch.batch_norm": 3}
"""The functions that normalise, and where they take the running mean."""
_OF_GRAPHS = frozenset(("torch_geometric.nn.BatchNorm", "torch_geometric.nn.norm.BatchNorm"))
_NO_GRADIENT = ("torch.no_grad", "torch.inference_mode")


def is_batch_norm(code: Code, layer: Layer) -> bool:
    """Whether a layer is a BatchNorm that stores the statistics of training.

    Args:
        code: The file.
        layer: A layer.
    """
    if said(layer) not in _BATCH_NORMS and layer.name not in _OF_GRAPHS:
        return False
    node = None if layer.call is None else layer.call.node
    return node is None or code.value(argument_of(node, "track_running_stats", 4)) is not False


def is_of_batch(code: Code, call: Call) -> bool:
    """Whether a call of `F.batch_norm` divides by the variance of the batch in eval, too.

    Args:
        code: The file.
        call: The call.
    """
    mean = argument_of(call.node, "running_mean", BATCH_NORM[call.name or ""])
    is_none = isinstance(mean, ast.Constant) and mean.value is None
    return is_none or code.value(argument_of(call.node, "training", 5)) is True


def normalises(layer: Layer) -> bool:
    """Whether a layer is a norm, by its name."""
    return "norm" in words(said(layer)) or said(layer).startswith("BatchNorm")


def is_norm(cls: Class) -> bool:
    """Whether a class of the file is a normalisation, by its name."""
    return "norm" in words(cls.name) and "conv" not in words(cls.name)


def is_softmax(name: str) -> bool:
    """Whether a function or a layer returns the weights of an attention, by its name."""
    return "softmax" in name.lower() and "log" not in name.lower()


def carries(name: str) -> bool:
    """Whether the result of a function, by its name, has the variance of what it is given."""
    last = name.rpartition(".")[2].rstrip("_")
    return last not in _FRESH and "norm" not in words(last)


def is_linear(name: str) -> bool:
    """Whether a layer of another file is linear, by its name, and holds no normalisation.

    Example:
        >>> [is_linear(name) for name in ("GraphConv", "ConvBlock")]
        [True, False]
    """
    names = words(name)
    return not _LINEAR.isdisjoint(names) and _OPEN.isdisjoint(names)


def has_weights(name: str) -> bool:
    """Whether a class has weights, by its name: `LSTMDropout`."""
    return not _LINEAR.isdisjoint(words(name))


def is_always_on(code: Code, layer: Layer) -> bool:
    """Whether a dropout drops in evaluation, too, by what is written: the variance is the same.

    Args:
        code: The file.
        layer: A dropout.
    """
    if layer.call is None:
        return False
    given = layer.call.argument("training")
    if given is None and layer.name in FUNCTIONAL_ON:
        return not code.gated(layer.call.node)
    return code.value(given) is True


def is_without_training(code: Code, function: Function) -> bool:
    """Whether a function has no gradient, or predicts by its name.

    Args:
        code: The file.
        function: A function.
    """
    is_off = any(turns_off(code, each) for each in function.node.decorator_list)
    return is_off or words(function.name)[:1] in _PREDICTING


def turns_off(code: Code, context: ast.expr) -> bool:
    """Whether a block or a function has no gradients: `with torch.no_grad():`.

    Args:
        code: The file.
        context: What opens the block, or decorates the function.
    """
    called = context.func if isinstance(context, ast.Call) else context
    return code.name(called) in _NO_GRADIENT
