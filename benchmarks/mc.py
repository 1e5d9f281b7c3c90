"""Monte-Carlo dropout next to baal, torch-uncertainty and lightning-uq-box: sites reached, speed.

    python benchmarks/mc.py sites [--quick]              which dropouts of a model are on
    python benchmarks/mc.py speed [--quick] [--threads N] [--passes T ...]
    python benchmarks/mc.py page                         the tables of docs/mc.md from the results

Needs `pip install baal torch-uncertainty lightning-uq-box torchvision timm transformers`; what
cannot be imported is left out, and named. Models have random weights.

A site is a draw of one module's call. One instrument, a dispatch mode, counts them for all: it sees
the operators that draw, and finds the module that runs on the stack of Python, since a hook or a
mode on functions would change which way torch's encoder takes. A site is reached if what it drops
differs among the passes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import json
import statistics
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import audit_models
import harness
import machine
import torch
from audit_models import of_timm, of_torchvision
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from torchdropout import mc

PAGE = Path(__file__).parent.parent / "docs" / "mc.md"
PEERS = {
    "baal": "baal",
    "torch-uncertainty": "torch_uncertainty",
    "lightning-uq-box": "lightning_uq_box",
}
OURS = "torchdropout"
FORWARD = "one forward in eval"
PASSES = 8  # in which a site that is on drops otherwise at least once

# --- Models --------------------------------------------------------------------------------------


class Functional(nn.Module):
    """Dropout by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return F.dropout(self.lin(x), 0.5, self.training)


class Attention(nn.Module):
    """Dropout of attention by a function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        p = 0.5 if self.training else 0.0
        return F.scaled_dot_product_attention(x, x, x, dropout_p=p)


class Heads(nn.Module):
    """`nn.MultiheadAttention`."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, dropout=0.5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.attention(x, x, x)[0]  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """`nn.LSTM` of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 32, 2, dropout=0.5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.lstm(x)[0]  # type: ignore[no-any-return]


class Own(nn.Module):
    """A user's class that draws with `bernoulli`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if not self.training:
            return x
        return x * torch.bernoulli(torch.full_like(x, 0.5)) * 2


class Ids(nn.Module):
    """A model of transformers that is called with token ids, and returns one tensor."""

    def __init__(self, model: nn.Module, output: str, decoder: bool = False) -> None:
        super().__init__()
        self.net, self.output, self.decoder = model, output, decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        more = {"decoder_input_ids": x} if self.decoder else {}
        return getattr(self.net(input_ids=x, **more), self.output)  # type: ignore[no-any-return]


def features(*shape: int) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tokens(*shape: int) -> torch.Tensor:
    """Token ids."""
    return torch.randint(3, 90, shape, generator=torch.Generator().manual_seed(0))


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


def _own() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 32), Own())


def _of(build: audit_models.Build) -> Callable[[], nn.Module]:
    """A model of `audit_models.py`, without its input."""
    return lambda: build()[0]


def _ids(kind: str, head: str, output: str, decoder: bool = False, **more: Any) -> Any:
    """A model of transformers, with the sizes of `audit_models.py` where no other is given."""
    build = audit_models.of_transformers(kind, head, **more)
    return lambda: Ids(build()[0], output, decoder)


def _bert(hidden: int, layers: int) -> Callable[[], nn.Module]:
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 4 * hidden}
    return _ids("bert", "BertForSequenceClassification", "logits", **sizes, num_labels=10)


Models = Mapping[str, tuple[Callable[[], nn.Module], torch.Tensor]]

# p of stochastic depth grows from layer to layer: of the first the default would drop nothing here.
SITES: Models = {
    "nn.TransformerEncoder, 2 layers": (_encoder, features(16, 5, 32)),
    "F.dropout": (Functional, features(16, 32)),
    "F.scaled_dot_product_attention": (Attention, features(16, 4, 5, 8)),
    "nn.MultiheadAttention": (Heads, features(16, 5, 32)),
    "nn.LSTM, 2 layers": (Recurrent, features(16, 5, 32)),
    "a user's class": (_own, features(16, 32)),
    "densenet121, drop_rate=0.2": (
        _of(of_torchvision("densenet121", 32, drop_rate=0.2)), features(4, 3, 32, 32),
    ),
    "efficientnet_b0": (
        _of(of_torchvision("efficientnet_b0", 32, stochastic_depth_prob=0.5)),
        features(32, 3, 32, 32),
    ),
    "timm vit_tiny, all rates": (
        _of(of_timm(
            "vit_tiny_patch16_224", 32, img_size=32, proj_drop_rate=0.1, attn_drop_rate=0.1,
            pos_drop_rate=0.1, drop_path_rate=0.5,
        )),
        features(32, 3, 32, 32),
    ),
    "BERT, 2 layers": (_bert(32, 2), tokens(16, 12)),
    "BART, 2 and 2 layers": (
        _ids("bart", "BartModel", "last_hidden_state", True),
        tokens(16, 12),
    ),
    "GPT-2, 2 layers": (_ids("gpt2", "GPT2LMHeadModel", "logits"), tokens(16, 12)),
    "T5, 2 and 2 layers": (
        _ids("t5", "T5ForConditionalGeneration", "logits", True), tokens(16, 12),
    ),
}  # fmt: skip

SPEED: Models = {
    "ViT-tiny, dropout in its head, 1 x 3 x 224 x 224": (
        _of(of_timm("vit_tiny_patch16_224", 224, pos_drop_rate=0.0, drop_path_rate=0.0)),
        features(1, 3, 224, 224),
    ),
    "efficientnet_b0, 2 x 3 x 64 x 64": (
        _of(of_torchvision("efficientnet_b0", 64, num_classes=10)),
        features(2, 3, 64, 64),
    ),
    "BERT, 4 layers of 128, 4 x 32 tokens": (_bert(128, 4), tokens(4, 32)),
    "vgg11, 1 x 3 x 224 x 224": (
        _of(of_torchvision("vgg11", 224, num_classes=10)),
        features(1, 3, 224, 224),
    ),
    "vgg11, 2 x 3 x 32 x 32": (
        _of(of_torchvision("vgg11", 32, num_classes=10)),
        features(2, 3, 32, 32),
    ),
}

# --- What each library is called with ------------------------------------------------------------

Predict = Callable[[torch.Tensor], Any]


def plain(model: nn.Module) -> list[nn.Module]:
    """The modules that a loop of one's own puts in training: all but norms."""
    norm = nn.modules.batchnorm._NormBase
    return [m for m in model.modules() if not isinstance(m, norm)]


def _of_loop(model: nn.Module, passes: int) -> Predict:
    def predict(x: torch.Tensor) -> torch.Tensor:
        for module in plain(model):
            module.training = True
        try:
            return torch.stack([model(x) for _ in range(passes)]).softmax(-1).mean(0)
        finally:
            model.eval()

    return predict


def _of_baal(model: nn.Module, passes: int, repeat: bool) -> Predict:
    from baal.bayesian.dropout import patch_module
    from baal.modelwrapper import mc_inference

    patched = patch_module(model, inplace=True)
    return lambda x: mc_inference(patched, x, passes, repeat).softmax(1).mean(-1)


def _of_torch_uncertainty(model: nn.Module, passes: int, repeat: bool) -> Predict:
    from torch_uncertainty.methods import mc_dropout

    wrapped = mc_dropout(model, passes, on_batch=repeat).eval()
    return lambda x: wrapped(x).unflatten(0, (passes, -1)).softmax(-1).mean(0)


def _of_uq_box(model: nn.Module, passes: int) -> Predict:
    from lightning_uq_box.uq_methods import MCDropoutClassification

    method = MCDropoutClassification(model, passes, nn.CrossEntropyLoss())
    return lambda x: method.predict_step(x)["pred"]


def _of_ours(model: nn.Module, passes: int, strategy: str = "auto") -> Predict:
    # An output of two or more dimensions without classes is as good here: nothing looks at it.
    return mc.MCDropout(model, passes, strategy=strategy, class_dim=-1)  # type: ignore[arg-type]


def there() -> list[str]:
    """The peers that are installed."""
    found = [name for name, package in PEERS.items() if importlib.util.find_spec(package)]
    for name in set(PEERS) - set(found):
        print(f"{name} is not installed, and left out", file=sys.stderr)
    return found


def versions() -> str:
    """The packages that were measured."""
    names = [*PEERS, "torchvision", "timm", "transformers"]
    known = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            known.append(f"{name} {metadata.version(name)}")
    return ", ".join(known)


# --- Sites ---------------------------------------------------------------------------------------


class Watched(nn.Module):
    """A model that says when a pass begins, without a hook."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        self.passes += 1
        return self.model(x)  # type: ignore[no-any-return]


class Draws(TorchDispatchMode):
    """Sees what operators that draw have dropped, by path and number of the draw and by pass."""

    def __init__(self, model: Watched) -> None:
        super().__init__()
        self.model = model
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.seen: dict[tuple[str, int], list[torch.Tensor]] = defaultdict(list)
        self._counts: Counter[tuple[int, str]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        y = func(*args, **(kwargs or {}))
        name = func.name()
        if name.startswith(("aten::bernoulli", "torchdropout::masked_affine")):
            ours = name.startswith("torchdropout")
            kept = (y != 0) | (args[0] == 0) if ours else y != 0
            path = self._owner()
            number = self._counts[self.model.passes, path]
            self._counts[self.model.passes, path] += 1
            self.seen[path, number].append(kept.clone())
        return y

    def _owner(self) -> str:
        frame = sys._getframe(2)
        while frame is not None:
            owner = frame.f_locals.get("self")
            if isinstance(owner, nn.Module) and id(owner) in self.paths:
                return self.paths[id(owner)]
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def on(self) -> Counter[str]:
        """How many draws of each module differ among the passes."""
        found: Counter[str] = Counter()
        for (path, _), masks in self.seen.items():
            found[path] += any(not torch.equal(masks[0], mask) for mask in masks[1:])
        return found


def reached(make: Callable[[], nn.Module], x: torch.Tensor, name: str) -> tuple[int, int, str]:
    """How many sites of a model are on, how many buffers change, and what was said against it."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = Watched(make()).eval()
        before = copy.deepcopy(dict(model.named_buffers()))
        how: dict[str, Callable[[nn.Module, int], Predict]] = {
            "all": _of_loop,
            "baal": lambda m, n: _of_baal(m, n, repeat=False),
            "torch-uncertainty": lambda m, n: _of_torch_uncertainty(m, n, repeat=False),
            "lightning-uq-box": _of_uq_box,
            OURS: lambda m, n: _of_ours(m, n, "loop"),
        }
        said = ""
        draws = None
        try:
            predict = how[name](model, PASSES)
            if name == OURS:
                predict.plan(x)  # type: ignore[attr-defined]
            model.passes = 0
            with Draws(model) as draws:
                predict(x)
            assert model.passes == PASSES
        except (ValueError, UserWarning) as error:
            said = str(error).partition(".")[0]
        after = dict(model.named_buffers())
        changed = sum(not torch.equal(after[n], b) for n, b in before.items())
        on = draws.on() if draws is not None and not said else Counter()
        return on.total(), changed, said


def sites(quick: bool) -> dict[str, Any]:
    """The sites that each library reaches, of all."""
    rows = []
    for label, (make, x) in SITES.items():
        if quick and not label.startswith(("nn.", "F.", "a user")):
            continue
        row: dict[str, Any] = {"model": label, "all": reached(make, x, "all")[0]}
        for name in [*there(), OURS]:
            on, changed, said = reached(make, x, name)
            row[name] = {"on": on, "buffers": changed, "said": said}
        rows.append(row)
        print(_of_sites(row), flush=True)
    return {"rows": rows, "versions": versions(), "machine": machine.record()}


def _of_sites(row: Mapping[str, Any]) -> str:
    cells = [row["model"], str(row["all"])]
    for name in (*PEERS, OURS):
        found = row.get(name)
        if found is None:
            cells.append("")
            continue
        words = "refused" if found["said"] else str(found["on"])
        cells.append(words + (f", {found['buffers']} buffers" if found["buffers"] else ""))
    return f"| {' | '.join(cells)} |"


# --- Speed ---------------------------------------------------------------------------------------


def candidates(make: Callable[[], nn.Module], passes: int) -> Iterator[tuple[str, Predict]]:
    """The ways to predict, each with modules of its own around the same weights."""
    torch.manual_seed(0)
    model = make().eval()
    peers = there()

    def copied() -> nn.Module:
        return copy.deepcopy(model, {id(w): w for w in model.parameters()})

    yield OURS, _of_ours(copied(), passes)
    yield FORWARD, copied()
    yield "loop", _of_loop(copied(), passes)
    if "baal" in peers:
        yield "baal, repeated batch", _of_baal(copied(), passes, repeat=True)
    if "torch-uncertainty" in peers:
        yield (
            "torch-uncertainty, repeated batch",
            _of_torch_uncertainty(copied(), passes, repeat=True),
        )
    if "lightning-uq-box" in peers:
        yield "lightning-uq-box", _of_uq_box(copied(), passes)


def speed(quick: bool, threads: int, counts: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Seconds of each, one sample of each a round: what is known after each case."""
    torch.set_num_threads(threads)
    rows = []
    for label, (make, x) in SPEED.items():
        if quick and not label.startswith("BERT"):
            continue
        for passes in (4,) if quick else counts:
            ways = dict(candidates(make, passes))
            rows.append({"model": label, "passes": passes, "seconds": _timed(ways, x, quick)})
            print(_of_speed(rows[-1]), flush=True)
            about = {"versions": versions(), "threads": threads, "machine": machine.record()}
            yield {"rows": rows, **about}


BUDGET_S, ROUGH, MOST = 45.0, 3, 60


def _timed(ways: Mapping[str, Predict], x: torch.Tensor, quick: bool) -> dict[str, list[float]]:
    """Seconds of alternating calls, after a round that does not count.

    What takes more than twice our time takes part in the first rounds only, as it is decided.
    """
    # That of the processor does not depend on what else the machine does.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in ways}

    def is_close(name: str) -> bool:
        return min(found[name]) < 2 * min(found[OURS])

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        spent = 0.0
        for turn in range(ROUGH if quick else MOST):
            if turn >= ROUGH and spent > BUDGET_S:
                break
            for name in [name for name in ways if turn < ROUGH or is_close(name)]:
                start = clock()
                ways[name](x)
                found[name].append(clock() - start)
                spent += found[name][-1] if turn >= ROUGH else 0.0
    return {name: seconds[1:] for name, seconds in found.items()}


def _of_speed(row: Mapping[str, Any]) -> str:
    seconds = row["seconds"]
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    peers = {name: s for name, s in medians.items() if name not in (OURS, FORWARD, "loop")}
    cells = [
        row["model"],
        str(row["passes"]),
        *(f"{1e3 * medians[w]:.3g} ms" for w in (OURS, FORWARD)),
    ]
    if peers:
        fastest = min(peers, key=lambda name: peers[name])
        cells += [fastest, str(harness.ratio_of_medians(seconds[fastest], seconds[OURS]))]
    else:
        cells += ["", ""]
    cells.append(str(harness.ratio_of_medians(seconds["loop"], seconds[OURS])))
    return f"| {' | '.join(cells)} |"


# --- The page ------------------------------------------------------------------------------------


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """The two tables, as Markdown."""
    made = {}
    if "sites" in found:
        names = [*PEERS, OURS]
        head = f"| model | sites | {' | '.join(names)} |\n|{'---|' * (2 + len(names))}"
        rows = "\n".join(map(_of_sites, found["sites"]["rows"]))
        made["sites"] = f"{head}\n{rows}\n\n{found['sites']['versions']}."
    if "speed" in found:
        titles = "model and batch", "T", "ours", "one forward", "fastest peer", "its time over ours"
        head = f"| {' | '.join(titles)} | a loop's |"
        rows = "\n".join(map(_of_speed, found["speed"]["rows"]))
        about = machine.describe(found["speed"]["machine"])
        line = f"{_threads(found['speed']['threads'])}, {about}. {found['speed']['versions']}."
        made["speed"] = f"{head}\n|{'---|' * 7}\n{rows}\n\n{line}"
    return made


def _threads(threads: int) -> str:
    return "Processor time of 1 thread" if threads == 1 else f"{threads} threads"


def write_page(found: Mapping[str, Any]) -> None:
    """Put the tables between their marks in the page."""
    text = PAGE.read_text()
    for name, table in tables(found).items():
        text = harness.fill(text, name, table)
    PAGE.write_text(text)


def main(arguments: list[str] | None = None) -> None:
    """Measure a part, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("sites", "speed", "page"))
    parser.add_argument("--quick", action="store_true", help="few models: a smoke test")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--passes", type=int, nargs="+", default=[20, 100], help="T")
    parser.add_argument("--out", type=Path, default=harness.RESULTS / "mc.json")
    options = parser.parse_args(arguments)
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.part == "page":
        write_page(found)
        return
    if options.part == "sites":
        harness.write(options.out, {**found, "sites": sites(options.quick)})
        return
    for so_far in speed(options.quick, options.threads, tuple(options.passes)):
        harness.write(options.out, {**found, "speed": so_far})


if __name__ == "__main__":
    main()
