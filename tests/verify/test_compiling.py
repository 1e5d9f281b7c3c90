"""The check of a compiled target: the target alone, and without a word of the compiler."""

import importlib
import logging
import sys
import warnings
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from torchdropout.verify import check_subject
from torchdropout.verify.compiling import Tracer
from torchdropout.verify.targets import resolve
from verify import _zoo
from verify.correct import specs
from verify.correct.specs import DropConnect

# The check alone: what it needs has its own tests.
ONLY = frozenset({"compiled-law"})
LEVEL = replace(_zoo.COARSE, compiled=True)


def tokens(x, p, training):
    """It returns something else, too, which the view leaves out."""
    y = specs.tokens(x, p, training)
    return (y, x) if training else y


def verified(target, **how):
    (check,) = check_subject(resolve(target, **how), level=LEVEL, only=ONLY).checks
    return check.status, check.message


def test_the_view_of_a_kind_is_not_compiled(monkeypatch, caplog):
    """Token dropout that returns something else, too, breaks no graph, and nothing is printed."""
    seen = []
    traced = Tracer.__call__
    monkeypatch.setattr(
        Tracer, "__call__", lambda self, m, inputs: seen.append(m) or traced(self, m, inputs)
    )
    with caplog.at_level(logging.WARNING, "torch._dynamo"):
        assert verified(tokens, spec="tokens")[0] == "ok"
    assert not caplog.records
    names = {node.name for module in seen for node in module.graph.nodes}
    assert any(name.startswith("topk") for name in names)
    assert not any(name.startswith(("scatter", "index_put", "stack")) for name in names)


def test_what_the_compiler_cannot_trace_is_not_printed(caplog):
    def reads_a_number(x, p, training):
        return F.dropout(x, p, training and float(x.sum()) != 7.5)

    with caplog.at_level(logging.WARNING, "torch._dynamo"):
        assert verified(reads_a_number)[0] == "ok"
    assert not caplog.records


def test_a_module_whose_weights_are_dropped_is_compiled():
    class UnscaledWhenCompiled(DropConnect):
        def forward(self, x):
            if torch.compiler.is_compiling():
                drop = torch.rand(self.weight.shape) < self.p
                return F.linear(x, self.weight.masked_fill(drop, 0), self.bias)
            return super().forward(x)

    assert verified(DropConnect, spec="weights")[0] == "ok"
    status, message = verified(UnscaledWhenCompiled, spec="weights")
    assert status == "fail"
    assert message.startswith("compiled: ")


def test_a_target_that_the_compiler_leaves_as_it_is_is_not_said_to_be_compiled():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script")
        scripted = torch.jit.script(torch.nn.Dropout(0.5))

    @torch.compiler.disable
    def disabled(x, p, training):
        return F.dropout(x, p, training)

    for target in (scripted, disabled):
        assert verified(target) == ("skip", "torch.compile leaves the target as it is")


@pytest.mark.parametrize("spec", ["plain", "plain:unscaled", "locked-time-first", "attention"])
def test_a_fault_of_compiled_code_is_seen_through_the_view(spec):
    def drop(x, p, spec):
        own = x[:1] if spec == "locked-time-first" else x
        y = x.masked_fill(torch.rand(own.shape) < p, 0)
        return y if spec == "plain:unscaled" else y / (1 - p)

    def target(query, key=None, value=None, p=0.5, training=True):
        if spec != "attention":
            y = drop(query, p, spec) if training else query
        else:
            weights = (query @ key.mT).softmax(-1)
            y = (drop(weights, p, spec) if training else weights) @ value
        return y * 3 if torch.compiler.is_compiling() else y

    assert verified(target, spec=spec)[0] == "fail"


def test_what_a_compiler_imports_stays_imported(tmp_path, monkeypatch):
    """The folder of a file is made importable in each call, which is not compiled itself."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "imported_by_a_compiler.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    file = tmp_path / "drop.py"
    file.write_text(
        "import torch\n"
        "class Drop(torch.nn.Dropout):\n"
        "    def forward(self, x):\n"
        "        return torch.nn.functional.dropout(x, self.p, self.training)\n"
    )
    compile = Tracer.__call__

    def imports(self, module, inputs):
        importlib.import_module("imported_by_a_compiler")
        return compile(self, module, inputs)

    monkeypatch.setattr(Tracer, "__call__", imports)
    assert verified(f"{file}:Drop")[0] == "ok"
    assert sys.modules.pop("imported_by_a_compiler", None)
