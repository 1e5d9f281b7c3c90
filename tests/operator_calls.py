"""Every operator of `torch.ops.torchdropout`, called with arguments that do not fit.

Run as a program it names each call before it makes it, and after it what was wrong: a call that
ends the interpreter is the last one that was named.

    python tests/operator_calls.py [--quick] [OPERATOR ...]

Each argument in turn gets each value that its type may have: another device, size, dtype or layout,
no memory, lazily negated or conjugated, a subclass, integers at the ends of their range, NaN.
`--quick` tries a few of these values.

A call must raise a RuntimeError, TypeError or ValueError, or give a result: the same with compiled
kernels and with the reference, whatever the memory held before. Fake tensors must give a result of
the same shape, dtype, strides and device, or refuse too.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import warnings

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._pytree import tree_leaves, tree_map

from torchdropout import Key, backends
from torchdropout._core import ops

assert ops  # it defines the operators
NAN, INF = float("nan"), float("inf")
ALLOWED = RuntimeError, TypeError, ValueError  # NotImplementedError is a RuntimeError


class Mine(torch.Tensor):
    """A subclass that overrides nothing."""


def numbers(*shape, dtype=torch.float32):
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float64) / 7 - 1).reshape(shape).to(dtype)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321).tensor()
CPU = torch.device("cpu")
PLACE = 5, [12, 4, 1]
MASK, FLAGS, SEEDS = (0.3, 1.5), (True, False), (5, [15, 5, 1])


def x():
    return numbers(2, 3, 4)


# A call that fits, for each operator.
VALID = {
    "masked_affine": lambda: (x(), KEY, *MASK, 0.5, -1.0, *PLACE),
    "masked_affine.tensor": lambda: (x(), KEY, doubles(*MASK, 0.5, -1.0), False, *PLACE),
    "masked_affine.rates": lambda: (x(), KEY, doubles(0.1, 0.5, 1, 0)[None, None], *FLAGS, *PLACE),
    "masked_affine.fused": lambda: (x(), KEY, *MASK, *PLACE),
    "masked_affine.fused_of": lambda: (x(), KEY, doubles(*MASK, 0.0, 0.0), *PLACE),
    "masked_affine_reference": lambda: (x(), KEY, *MASK, 0.5, -1.0, *PLACE),
    "noise_affine": lambda: (x(), KEY, 2, 0.3, 0.5, *PLACE),
    "noise_affine.tensor": lambda: (x(), KEY, doubles(0.3, 0.5), 2, False, *PLACE),
    "noise_affine_reference": lambda: (x(), KEY, 2, 0.3, 0.5, *PLACE),
    "counted_affine": lambda: (x(), KEY, 2, 4, -1, 1.5, *PLACE),
    "counted_affine.tensor": lambda: (x(), KEY, doubles(1.5), 2, 4, -1, False, *PLACE),
    "counted_affine.share": lambda: (x(), KEY, doubles(0.5).squeeze(), 4, -1, True, *PLACE),
    "counted_affine_reference": lambda: (x(), KEY, 2, 4, -1, 1.5, *PLACE),
    "drop_blocks": lambda: (x(), KEY, 1, 2, False, 0.2, 1.5, 0.0, *SEEDS),
    "drop_blocks.tensor": lambda: (x(), KEY, doubles(0.2, 1.5, 0), 1, 2, False, False, *SEEDS),
    "drop_blocks_reference": lambda: (x(), KEY, 1, 2, False, 0.2, 1.5, 0.0, *SEEDS),
    "dropout_add": lambda: (x(), KEY, numbers(2, 3, 4) + 1, numbers(4), *MASK, *PLACE),
    "dropout_add_backward": lambda: (x(), KEY, torch.float32, True, *MASK, *PLACE),
    "keep_bits": lambda: (numbers(0), KEY, 0.3, [2, 3, 4], *PLACE),
    "keep_bits.tensor": lambda: (numbers(0), KEY, doubles(0.3, 1.5, 0, 0), [2, 3, 4], *PLACE),
    "scale_of": lambda: (numbers(0), doubles(0.3, 1.5, 0, 0)),
    "choose": lambda: (KEY, [2, 8], 3, True, 5, [8, 1], CPU),
    "choose.share": lambda: (KEY, doubles(0.5).squeeze(), [2, 8], True, 5, [8, 1], CPU),
    "draw_keys": lambda: (torch.empty(0, dtype=torch.int64), [3]),
}


def operators():
    """Each operator by name, without the version in the name of a form."""
    found = {}
    for schema in torch._C._jit_get_all_schemas():
        space, _, name = schema.name.partition("::")
        if space == "torchdropout":
            packet = getattr(torch.ops.torchdropout, name)
            form = schema.overload_name or "default"
            short = form.removesuffix("_" + "_".join(form.rsplit("_", 3)[1:]))
            short = short if form.startswith("fused") else form
            key = name if form == "default" else f"{name}.{short}"
            found[key] = getattr(packet, form)
    return found


# --- Values that an argument may have -------------------------------------------------------------


def _without_memory(t):
    t = t.clone()
    t.untyped_storage().resize_(0)
    return t


def _jagged(t):
    return torch.nested.nested_tensor([t.flatten()[:2], t.flatten()[:1]], layout=torch.jagged)


def _nested(t):
    return torch.nested.nested_tensor([t.flatten()[:2], t.flatten()[:1]])


def _quantised(t):
    return torch.quantize_per_tensor(t.float(), 0.1, 0, torch.quint8)


def _every_other(t):
    return torch.stack([t, t], -1)[..., 0]


def _overlapping(t):
    return t.flatten().as_strided(t.shape, [1] * t.ndim) if t.numel() > t.ndim * 4 else t[:1]


TENSORS = {
    "on meta": lambda t: t.to("meta"),
    "of no elements": lambda t: t.new_empty(0),
    "of no rows": lambda t: t[:0],
    "of no dimension": lambda t: t.new_ones(()),
    "of one element": lambda t: t.flatten()[:1],
    "flat": lambda t: t.flatten(),
    "short": lambda t: t.narrow(-1, 0, max(0, t.shape[-1] - 1)) if t.ndim else t,
    "long": lambda t: torch.cat([t, t], -1) if t.ndim else t,
    "much longer": lambda t: t.new_ones((*t.shape, 9)),
    "of one dimension more": lambda t: t[None],
    "of two samples": lambda t: torch.stack([t, t]),
    "of a placed key": lambda t: torch.cat([t.flatten()[:2], t.flatten()[:1]]),
    "int32": lambda t: t.to(torch.int32),
    "int64": lambda t: t.to(torch.int64),
    "bool": lambda t: t.to(torch.bool),
    "float16": lambda t: t.to(torch.float16),
    "bfloat16": lambda t: t.to(torch.bfloat16),
    "float32": lambda t: t.to(torch.float32),
    "float64": lambda t: t.to(torch.float64),
    "8-bit float": lambda t: t.to(torch.float8_e4m3fn),
    "complex64": lambda t: t.to(torch.complex64),
    "complex128": lambda t: t.to(torch.complex128),
    "reversed": lambda t: t.t() if t.ndim == 2 else t.transpose(0, -1) if t.ndim else t,
    "not contiguous": _every_other,
    "expanded": lambda t: t.flatten()[:1].expand(t.shape),
    "overlapping": _overlapping,
    "without memory": _without_memory,
    "sparse": lambda t: t.to_sparse() if t.ndim else t,
    "compressed": lambda t: t.reshape(t.shape[0], -1).to_sparse_csr() if t.ndim else t,
    "quantised": _quantised,
    "nested": _nested,
    "jagged": _jagged,
    "with a gradient": lambda t: t.clone().requires_grad_(),
    "negated": lambda t: torch._neg_view(t),
    "conjugated": lambda t: t.to(torch.complex64).conj(),
    "a subclass": lambda t: t.as_subclass(Mine),
    "a parameter": lambda t: torch.nn.Parameter(t, requires_grad=False),
    "of NaN": lambda t: torch.full_like(t, NAN),
    "of -1": lambda t: torch.full_like(t, -1),
    "of the largest": lambda t: torch.full_like(t, 2**63 - 1 if t.dtype == torch.int64 else 1e300),
    "None": lambda t: None,
    "a number": lambda t: 1.0,
}
VALUES = {
    "float": (NAN, INF, -INF, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 1e308, 5e-324, "a", None),
    "int": (-(2**63), -(2**40), -2, -1, 0, 1, 2, 3, 5, 9, 65, 2**31, 2**62, 2**63 - 1, 2**63, None),
    "bool": (False, True, None, "a"),
    "ScalarType": (torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float64)
    + (torch.complex64, torch.float8_e4m3fn, None),
    "Device": (CPU, torch.device("meta"), None, "nowhere"),
}
LISTS = {
    "empty": lambda v: [],
    "short": lambda v: v[:-1],
    "long": lambda v: [*v, 1],
    "zeros": lambda v: [0] * len(v),
    "negative": lambda v: [-n for n in v],
    "reversed": lambda v: v[::-1],
    "last negative": lambda v: [*v[:-1], -1],
    "last zero": lambda v: [*v[:-1], 0],
    "ones": lambda v: [1] * len(v),
    "huge": lambda v: [*v[:-1], 2**62],
    "largest": lambda v: [2**63 - 1] * len(v),
    "None": lambda v: None,
}


def changes(schema, args):
    """Changes of an argument: its place, what it becomes, and the function that changes it."""
    for place, argument in enumerate(schema.arguments):
        kind = str(argument.real_type)
        if isinstance(args[place], torch.Tensor):
            ways = TENSORS
        elif isinstance(args[place], list):
            ways = LISTS
        else:
            name = {"SymInt": "int", "number": "int"}.get(kind, kind)
            if isinstance(args[place], torch.dtype):
                name = "ScalarType"
            ways = {repr(value): lambda _, value=value: value for value in VALUES[name]}
        for what, change in ways.items():
            yield place, f"{argument.name} {what}", change


def calls(name, operator):
    """Descriptions and arguments of calls; arguments that cannot be made are left out."""
    schema = operator._schema
    yield "as it is", VALID[name]
    for place, what, change in changes(schema, VALID[name]()):

        def make(place=place, change=change):
            args = [*VALID[name]()]
            args[place] = change(args[place])
            return tuple(args)

        try:
            make()
        except (*ALLOWED, IndexError, OverflowError):
            continue
        yield what, make


# --- What a call does -----------------------------------------------------------------------------


def _stain():
    """Leave memory of all small sizes that is not zero."""
    held = [
        torch.full((n,), 0x5A, dtype=torch.uint8) for n in (16, 64, 96, 128, 192, 256, 384, 768)
    ]
    held += [torch.full_like(t, 0x5A) for t in held for _ in range(3)]


@contextlib.contextmanager
def _filling(fill):
    """Let torch fill memory that nothing has written with NaN, or leave other values in it."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(fill, warn_only=True)
    try:
        if not fill:
            _stain()
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _value(t):
    """What two results of a call must have in common."""
    if not isinstance(t, torch.Tensor):
        return t
    shape = tuple(t.shape), t.dtype, t.device.type
    if t.is_meta:
        return shape
    t = t.detach().as_subclass(torch.Tensor).contiguous()
    if t.is_floating_point() or t.is_complex():
        t = torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
        t = torch.where(t.isnan(), torch.full_like(t, NAN), t.resolve_neg())
    return (*shape, t.view(torch.uint8).numpy().tobytes() if t.ndim else repr(t.item()))


def _outcome(operator, make, fill):
    """The results' values, their metadata, or the error."""
    torch.manual_seed(3)
    args = make()
    with _filling(fill):
        try:
            result = operator(*args)
        except ALLOWED as error:
            return None, None, error
    leaves = _leaves(result)
    return [_value(t) for t in leaves], [_metadata(t) for t in leaves], None


def _leaves(result):
    """The tensors of a result; a map of a sparse gradient is sparse."""
    return [t.to_dense() if t.layout is torch.sparse_coo else t for t in tree_leaves(result)]


def _metadata(t):
    return tuple(t.shape), t.dtype, t.stride(), t.device.type


# What a refusal may depend on that fake tensors do not have.
VALUE_ONLY = ("without memory", "of NaN", "of -1", "of the largest", "constants ", "rates ")
VALUE_ONLY += ("quantised", "shape huge", "shape largest")  # no fakes are such; too large


def name_of(operator):
    return operator._schema.name


def _of_fakes(operator, make):
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()) as mode:
        try:
            args = tree_map(
                lambda a: mode.from_tensor(a) if isinstance(a, torch.Tensor) else a, make()
            )
            leaves = tree_leaves(operator(*args))
            return [_metadata(t) for t in leaves], None
        except Exception as error:
            return None, error


def fault(what, operator, make):
    """What is wrong with a call, or None."""
    found = []
    fast = backends.available()[-1]
    for backend in dict.fromkeys(("reference", fast)):
        with backends.use(backend):
            for fill in (True, False):
                try:
                    found.append((backend, fill, *_outcome(operator, make, fill)))
                except BaseException as error:
                    return f"{backend}: {type(error).__name__}: {error}"
    refused = {error is not None for *_, error in found}
    if len(refused) > 1:
        return f"one backend refuses, another does not: {[str(e) for *_, e in found]}"
    if refused == {False} and any(value != found[0][2] for _, _, value, _, _ in found):
        return "results differ, of backends or of what memory held"
    _values, shapes, error = found[0][2:]
    if "a subclass" in what:  # of which torch cannot make a fake
        return None
    if "x sparse" in what and error is None:  # a gradient, of which no graph is made
        return None
    fakes, fake_error = _of_fakes(operator, make)
    if error is None and fake_error is not None:
        if isinstance(fake_error, torch._subclasses.fake_tensor.UnsupportedFakeTensorException):
            return None
        return f"fake tensors are refused: {type(fake_error).__name__}: {fake_error}"
    data = any(word in what for word in VALUE_ONLY)
    if name_of(operator).endswith("_reference") and "with a gradient" in what:
        return None  # these are called below autograd
    if error is not None and fake_error is None and not data:
        return f"fake tensors are not refused: {error}"
    dynamic = name_of(operator).endswith(
        "choose"
    )  # how many are kept is a size that fakes do not know
    if error is None and not dynamic and fakes != shapes and not data:
        return f"fake tensors have other metadata: {fakes}, {shapes}"
    return None


QUICK = re.compile(
    r"as it is|on meta|without memory|None|of one element|(?<!key) of -1| (0|-1|nan|inf)$"
    r"|key (short|long|of one dimension more|of two samples|int32)|strides (short|long)"
)


def main(names, quick):
    warnings.simplefilter("ignore")
    logging.disable()  # torch's fake tensors report each error
    torch.set_num_threads(1)
    for name, operator in operators().items():
        if names and name not in names:
            continue
        for what, make in calls(name, operator):
            if quick and not QUICK.search(what):
                continue
            print(f"{name}: {what}", flush=True)
            wrong = fault(what, operator, make)
            if wrong:
                print(f"  WRONG {' '.join(wrong.split())[:300]}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main([name for name in given if name != "--quick"], "--quick" in given)
