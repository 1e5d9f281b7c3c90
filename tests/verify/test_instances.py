"""Instances of the family are verified as they are: at their own p, block, group and prefix."""

import pytest
import torch
from torch import nn

from torchdropout import functional as F
from torchdropout import nn as td
from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from verify import _zoo

INSTANCES = {
    "in place": lambda p: td.Dropout(p, inplace=True),
    "in place, torch's": lambda p: nn.Dropout(p, inplace=True),
    "planes in place": lambda p: td.Dropout2d(p, inplace=True),
    "alpha": lambda p: td.AlphaDropout(p),
    "feature alpha": lambda p: td.FeatureAlphaDropout(p),
    "gaussian": lambda p: td.GaussianDropout(p),
    "feature gaussian": lambda p: td.FeatureGaussianDropout(p),
    "noise": lambda p: td.GaussianNoise(p),
    "uniform": lambda p: td.UniformDropout(p),
    "path": lambda p: td.DropPath(p),
    "path, unscaled": lambda p: td.DropPath(p, scale_by_keep=False),
    "depth": lambda p: td.StochasticDepth(p, "row"),
    "locked": lambda p: td.LockedDropout(p),
    "locked, time first": lambda p: td.LockedDropout(p, time_dim=0),
    "block1d": lambda p: td.DropBlock1d(p, 3),
    "block2d": lambda p: td.DropBlock2d(p, 3),
    "block2d, even": lambda p: td.DropBlock2d(p, 4),
    "block2d, by count": lambda p: td.DropBlock2d(p, 5, scale="count"),
    "block2d, larger than the plane": lambda p: td.DropBlock2d(p, 17),
    "block1d, larger than the line": lambda p: td.DropBlock1d(p, 31),
    "block3d": lambda p: td.DropBlock3d(p, 2),
    "tokens": lambda p: td.TokenDropout(p),
    "tokens, a longer prefix": lambda p: td.TokenDropout(p, num_prefix_tokens=3, ordered=True),
    "2 of 4": lambda p: td.NMDropout(2, 4),
    "1 of 2": lambda p: td.NMDropout(1, 2),
    "3 of 6": lambda p: td.NMDropout(3, 6),
    "columns": lambda p: td.ColumnDropout(p, mode="row"),
    "columns, unscaled": lambda p: td.ColumnDropout(p, mode="row", scale_by_keep=False),
    "added": lambda p: td.DropoutAdd(p),
    "zoneout": lambda p: td.Zoneout(p),
    "variational": lambda p: td.VariationalDropout(p),
}
# Where an instance has what a class is not asked for; the slow test has all checks.
OWN = frozenset(
    {
        *("output-shape", "eval-identity", "train-stochastic", "drop-rate", "kept-scale"),
        *("input-unmodified", "layout-values", "inplace-claim", "grad-at-zero", "p-one-zeros"),
        *("block-shape", "scale-common", "fixed-count", "subset-uniform", "module-state"),
    }
)


def errors(module, only=None, level="quick"):
    report = check_subject(resolve(module), level=level, only=only)
    return [f"{f.name}: {f.message}" for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize(("name", "p"), [("tokens", 0.07), ("columns", 0.01), ("block2d", 0.01)])
def test_a_count_or_block_is_right_where_few_are_dropped(name, p):
    assert errors(INSTANCES[name](p), OWN) == []


LARGER = pytest.param("block2d, larger than the plane", marks=pytest.mark.integration)


@pytest.mark.parametrize("name", [*[n for n in INSTANCES if n != LARGER.values[0]], LARGER])
def test_an_instance_is_right(name):
    assert errors(INSTANCES[name](0.3), OWN, _zoo.SMALL) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_is_right_in_all_checks(name):
    assert errors(INSTANCES[name](0.3), level="standard") == []


class HalfInPlace(td.Dropout):
    """Writes half of what it returns."""

    def forward(self, input):
        y = F.dropout(input, self.p, self.training)
        if self.inplace and self.training:
            with torch.no_grad():
                half = input.numel() // 2
                input.view(-1)[:half] = y.detach().view(-1)[:half]
        return y


class OtherBlock(td.DropBlock2d):
    def forward(self, input):
        size = self.block_size + 2
        return F.drop_block2d(input, self.p, size, self.training) if self.training else input


@pytest.mark.parametrize(
    ("module", "check"),
    [(HalfInPlace(0.3), "inplace-claim"), (OtherBlock(0.07, 3), "block-shape")],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_a_fault_of_an_instance_is_found(module, check):
    found = errors(module, OWN)
    assert found, "no error"
    assert found[0].startswith(check), found
