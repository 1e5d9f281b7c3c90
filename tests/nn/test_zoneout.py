"""nn.Zoneout: p and the mode, around functional.zoneout."""

import torch

import torchdropout as td


def test_over_the_steps_of_a_cell():
    """At p = 1 the state is always old, at p = 0 the cell's; in between a unit is one of both."""
    cell, xs = torch.nn.GRUCell(4, 8), torch.randn(5, 3, 4)

    def run(p):
        zoneout, h = td.nn.Zoneout(p), torch.zeros(3, 8)
        for x in xs:
            new = cell(x, h)
            after = zoneout(new, h)
            assert ((after == new) | (after == h)).all()
            h = after
        return h

    assert not run(1.0).any()
    expected = torch.nn.GRU(4, 8)
    for name, value in cell.named_parameters():
        setattr(expected, f"{name}_l0", value)
    torch.testing.assert_close(run(0.0), expected(xs)[1][0])
