"""The private names of torch: all in one file, and each of them missing once."""

from __future__ import annotations

import ast
import json
import sys
import types
from pathlib import Path

import pytest
import torch

import torchdropout
from processes import PACKAGE
from torchdropout import Key, backends, errors
from torchdropout import functional as F
from torchdropout._core import _torch
from torchdropout._tools import info

SOURCES = sorted(PACKAGE.rglob("*.py"))

# --- One file ------------------------------------------------------------------------------------

# Private names of Python: those of a named tuple and of the interpreter.
OF_PYTHON = {"_asdict", "_exit", "_getframe", "_fields", "_replace"}


def own_names(trees):
    """Everything that the package itself defines or assigns."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in OF_PYTHON


def private_names(tree, own):
    """Private names of other packages in a file: imported, read, or asked for by a string."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [n for n in node.module.split(".") if is_private(n)]
            found += [a.name for a in node.names if is_private(a.name)]
        elif isinstance(node, ast.Import):
            found += [n for a in node.names for n in a.name.split(".") if is_private(n)]
        elif isinstance(node, ast.Attribute):
            # What starts at `torch` is torch's, whatever the package calls its own.
            root = ast.unparse(node).split(".")[0]
            if is_private(node.attr) and (root == "torch" or node.attr not in own):
                found.append(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in own:
                found.append(name.value)
    return found


@pytest.mark.integration
def test_private_names_of_torch_are_in_one_file():
    trees = {path: ast.parse(path.read_text()) for path in SOURCES}
    own = own_names(trees.values())
    found = {}
    for path, tree in trees.items():
        place = path.relative_to(PACKAGE).as_posix()
        found[place] = private_names(tree, own)
    assert found.pop("_core/_torch.py")
    # This one is of transformers, in the one file that knows it: it has no public name.
    assert found.pop("models/_transformers.py") == ["_attn_implementation"]
    assert {place: names for place, names in found.items() if names} == {}


def test_the_extension_is_told_the_names_that_it_reads():
    """`connect` gets them from `_torch`; one more stands in DLPack's specification."""
    sources = Path(__file__).parents[2] / "csrc"
    text = (sources / "module.cpp").read_text()
    assert '"_' not in text.replace('"__dlpack_c_exchange_api__"', "")


# --- Each of them missing ------------------------------------------------------------------------

# Takes a name from torch while ours is imported, and gives it back to torch, which needs it, then.
# What has it in C, or is a module, is only not found; what is looked for later is not found then.
WITHOUT = """
import json, pkgutil
import torch
path = {path!r}
home, _, places = path.partition(":")
*inner, last = places.split(".")
resolve_name = pkgutil.resolve_name
owner = resolve_name(":".join(filter(None, (home, ".".join(inner))))) if places else None
is_own = places and hasattr(owner, "__dict__") and last in vars(owner)
def without(name):
    if name == path:
        raise AttributeError(name)
    return resolve_name(name)
pkgutil.resolve_name = without
if is_own:
    taken = vars(owner)[last]
    delattr(owner, last)
try:
    import torchdropout as td
finally:
    if is_own:
        setattr(owner, last, taken)
from torchdropout._core import _torch, direct
from torchdropout._tools import info
x = torch.arange(1000.0)
key = td.Key(5, 2**40 + 1)
w = x.clone().requires_grad_()
torch.manual_seed(3)
td.functional.dropout(w, 0.3).sum().backward()
block = td.functional.drop_block2d(torch.ones(1, 1, 8, 8), 0.4, 2, key=key)
said = None
try:
    exec({feature!r})
except td.errors.TorchVersionError as error:
    said = str(error)
print(json.dumps(dict(
    y=td.functional.dropout(x, 0.3, key=key).tolist(),
    noise=td.functional.gaussian_dropout(x, 0.3, key=key).tolist(),
    add=td.functional.dropout_add(x, x, 0.3, key=key).tolist(),
    tokens=td.functional.token_dropout(x.view(1, 100, 10), 0.3, key=key).tolist(),
    into=td.functional.dropout(x, 0.3, key=key, out=torch.empty(1000)).tolist(),
    block=block.tolist(),
    gradient=w.grad.tolist(),
    open=direct.takes(x),
    backend=td.backends.current(),
    missing=info.gather()["missing"],
    said=said,
)))
"""

# What is refused without a name, as somebody would meet it; else whatever is absent is called.
FEATURES = {
    "torch.nn.functional:_canonical_mask": """
layer = td.nn.MultiheadAttention(4, 2, dropout=0.5)
q = torch.ones(3, 1, 4)
layer(q, q, q, attn_mask=torch.zeros(3, 3))
""",
    "torch._C:_current_graph_task_id": """
layer = td.nn.WeightDrop(torch.nn.Linear(3, 3), p=0.5, names=["weight"])
layer(torch.ones(2, 3))
layer.module.weight
""",
    "torch._C:_len_torch_function_stack": """
from torchdropout.verify.world import World
World()
""",
    "torch.utils._pytree": """
from torchdropout.audit_model import sites
sites(torch.nn.Dropout(), x)
""",
    "torch.distributed.tensor._utils:compute_local_shape_and_global_offset": (
        "_torch.shard_offset()"
    ),
    "torch._subclasses.fake_tensor:FakeTensorMode": "_torch.fake_tensors()",
    "torch._dynamo.config": "_torch.compiler_settings()",
    "torch._functorch.config": "_torch.gradient_settings()",
    "torch._dynamo.callback:callback_handler": "_torch.compiler_calls()",
    "torch._dynamo:lookup_backend": "_torch.compiler_backend()",
    "torch.fx.experimental.proxy_tensor:_CURRENT_MAKE_FX_TRACER": "_torch.current_tracer()",
}
ABSENT = """
(absent,) = (value for value in vars(_torch).values() if isinstance(value, _torch._Absent))
absent()
"""


def without(processes, path, feature="None", before=""):
    code = before + WITHOUT.format(path=path, feature=feature)
    status, text = processes.run(code)
    last = text.splitlines()[-1]
    return json.loads(last) if status == 0 else last


RESULTS = "y", "noise", "add", "tokens", "into", "block", "gradient", "backend"


@pytest.fixture(scope="module")
def expected(processes):
    """The results where all is there."""
    found = without(processes, "torch:no_name_of_anything")
    assert found["missing"] == info.gather()["missing"] == "no private name of torch"
    assert found["open"] == (len(backends.available()) > 1)
    assert found["backend"] == backends.current()
    assert found["y"] == F.dropout(torch.arange(1000.0), 0.3, key=Key(5, 2**40 + 1)).tolist()
    return {name: found[name] for name in RESULTS}


@pytest.mark.integration
@pytest.mark.parametrize("name", _torch.names, ids=str)
def test_without(processes, expected, name):
    is_refused = name.without == _torch.REFUSED
    feature = FEATURES.get(name.path, ABSENT) if is_refused else "None"
    found = without(processes, name.path, feature)
    if name.without == _torch.FAILS:
        said = f"torch {torch.__version__} has no {name}, which gives torchdropout "
        assert found.startswith(f"torchdropout.errors.TorchVersionError: {said}"), found
        return
    assert isinstance(found, dict), found
    assert {result: found[result] for result in expected} == expected
    if is_refused:
        assert f"has no {name}, which gives torchdropout" in found["said"]
        return
    assert found["missing"] == f"{name}: {name.without}"
    assert found["open"] == (len(backends.available()) > 1 and name.without != _torch.CLOSED)


# The extension, which finds that torch's table has changed.
OTHER_TABLE = """
import glob, importlib.util, sys, types
root = importlib.util.find_spec("torchdropout").submodule_search_locations[0]
(file,) = glob.glob(root + "/_C.*so")
spec = importlib.util.spec_from_file_location("torchdropout._C", file)
compiled = importlib.util.module_from_spec(spec)
def connect(*args):
    raise RuntimeError("torch's DLPack exchange table is of another version")
replaced = types.SimpleNamespace(**{**vars(compiled), "connect": connect})
sys.modules["torchdropout._C"] = replaced
"""


@pytest.mark.skipif(len(backends.available()) == 1, reason="needs compiled kernels")
def test_an_exchange_table_of_another_version(processes, expected):
    """What `connect` does not know closes the direct path, and the operators go on."""
    found = without(processes, "torch:no_name_of_anything", before=OTHER_TABLE)
    assert {name: found[name] for name in expected} == expected
    assert not found["open"]
    assert found["missing"] == f"torch.Tensor.__dlpack_c_exchange_api__: {_torch.CLOSED}"


# --- Where a call comes from ---------------------------------------------------------------------


def test_a_stage_of_a_pipeline_that_infers_shapes_is_known(monkeypatch):
    class PipelineStage:
        def _shape_inference(self):
            return _torch.infers_shapes()

        def forward(self):
            return _torch.infers_shapes()

    home = "torch.distributed.pipelining.stage"
    monkeypatch.setitem(sys.modules, home, types.SimpleNamespace(PipelineStage=PipelineStage))
    assert PipelineStage()._shape_inference()
    assert not PipelineStage().forward()
    monkeypatch.delitem(sys.modules, home)
    assert not PipelineStage()._shape_inference()


# --- A torch that is too old ---------------------------------------------------------------------

VERSION = """
import torch
torch.__version__ = {version!r}
import torchdropout
print("imported")
"""


@pytest.mark.parametrize("version", ["2.9.1+cu128", "1.13.1"])
def test_a_torch_that_is_too_old_is_refused(processes, version):
    status, text = processes.run(VERSION.format(version=version))
    assert status == 1
    needs = f"TorchVersionError: torchdropout {torchdropout.__version__} needs torch 2.10 or newer"
    assert text.strip().endswith(f"{needs}, got torch {version}.")


@pytest.mark.parametrize("version", ["2.10.0a0+git12", "3.0.0"])
def test_a_newer_torch_is_not(processes, version):
    status, text = processes.run(VERSION.format(version=version))
    assert (status, text.splitlines()[-1]) == (0, "imported")


def test_a_mode_that_is_paused_is_not_there_unless_another_is_within_it():
    class Counts(_torch.OperatorMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += 1
            return func(*args, **(kwargs or {}))

    x = torch.ones(2)
    with Counts() as outer:
        with outer.paused():
            assert _torch.unwatched()
            x.add(1)
        x.add(1)
        with Counts() as inner, outer.paused():
            assert not _torch.unwatched()
            x.add(1)
        x.add(1)
    assert (outer.count, inner.count) == (3, 1)
    assert _torch.unwatched()


# --- What it reads from torch --------------------------------------------------------------------


def test_what_is_absent_raises_when_it_is_used():
    name = _torch.Name("torch._C:_gone", "all", _torch.REFUSED)
    absent = _torch._Absent(name)
    for use in (absent, lambda: absent.attribute):
        with pytest.raises(errors.TorchVersionError, match=r"has no torch\._C\._gone, which gives"):
            use()


def test_the_hooks_of_a_class_are_removed():
    class Mine:
        def __call__(self, *_):
            calls.append("mine")

    calls, module = [], torch.nn.ReLU()
    for register in (module.register_forward_pre_hook, module.register_forward_hook):
        register(Mine())
        register(lambda *_: calls.append("other"))
    handle = module.register_forward_pre_hook(Mine(), with_kwargs=True)
    registries = [registry for registry, _, _ in _torch.entries_of(handle)]
    assert registries[0] is module._forward_pre_hooks
    assert all(number == handle.id for _, number, _ in _torch.entries_of(handle))
    assert len(registries) == 2  # one notes that it takes keyword arguments
    _torch.remove_hooks(module, Mine)
    assert all(handle.id not in registry for registry in registries)
    assert _torch.entries_of(handle) == []
    module(torch.ones(1))
    assert calls == ["other", "other"]


def test_what_is_compiled():
    module = torch.nn.ReLU()
    assert not _torch.is_compiled(module)
    assert _torch.compiled_call(module) is None
    _torch.set_compiled_call(module, len)
    assert _torch.is_compiled(module)
    assert _torch.compiled_call(module) is len
    wrapper = torch.nn.Module()
    wrapper.add_module("_orig_mod", torch.nn.ReLU())
    assert _torch.is_compiled(wrapper)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, False),
        ({"_is_fsdp_managed_module": True}, False),
        ({"_is_fsdp_managed_module": True, "_fsdp_use_orig_params": False}, True),
        ({"_is_fsdp_managed_module": True, "_fsdp_use_orig_params": True}, False),
        ({"_fsdp_use_orig_params": False}, False),
    ],
)
def test_what_fsdp_manages(attributes, expected):
    module = torch.nn.ReLU()
    vars(module).update(attributes)
    assert _torch.is_inside_fsdp(module) == expected
