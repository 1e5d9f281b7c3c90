"""Values of every kind for an argument, few of which it accepts; and how it refuses the others."""

import math

import numpy as np
import torch

from torchdropout import Key, MaskLayout
from torchdropout.errors import TorchDropoutError

ONES = torch.ones(4)
SQUARE = torch.ones(4, 4)

# No argument accepts one of these.
NEVER = {
    "an object": object,
    "a dictionary": dict,
    "a word": lambda: "?",
    "a complex number": lambda: 0.5j,
    "a nested list": lambda: [[0.5], [0.5]],
}

VALUES = NEVER | {
    "None": lambda: None,
    "True": lambda: True,
    "1": lambda: 1,
    "-1": lambda: -1,
    "2**70": lambda: 2**70,
    "-2**70": lambda: -(2**70),
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "a list": lambda: [0.5, 0.5],
    "a list of integers": lambda: [1, 2],
    "()": lambda: (),
    "negative sizes": lambda: (-5, 2),
    "a size beyond int64": lambda: (2**70,),
    "a type": lambda: int,
    "np.float64": lambda: np.float64(0.5),
    "np.float32": lambda: np.float32(0.5),
    "np.int64": lambda: np.int64(1),
    "np.bool_": lambda: np.bool_(True),
    "np.nan": lambda: np.float64("nan"),
    "an array of 0 dimensions": lambda: np.array(0.5),
    "an array of 0 dimensions, int": lambda: np.array(1),
    "an array": lambda: np.array([0.5, 0.5]),
    "no dimensions": lambda: torch.tensor(0.5),
    "no dimensions, int": lambda: torch.tensor(1),
    "no dimensions, bool": lambda: torch.tensor(True),
    "no dimensions, nan": lambda: torch.tensor(math.nan),
    "no dimensions, complex": lambda: torch.tensor(0.5j),
    "no dimensions, a gradient": lambda: torch.tensor(0.5, requires_grad=True),
    "no dimensions, meta": lambda: torch.tensor(0.5, device="meta"),
    "(1, 1)": lambda: torch.tensor([[0.5]]),
    "(4,)": ONES.clone,
    "(4,), int": ONES.long,
    "(4,), bool": ONES.bool,
    "(4,), half": ONES.half,
    "(4,), float64": ONES.double,
    "(4,), complex": ONES.cfloat,
    "(4,), nan": lambda: ONES * math.nan,
    "(4,), meta": lambda: ONES.to("meta"),
    "(7,)": lambda: torch.ones(7),
    "(0,)": lambda: torch.ones(0),
    "(0, 4)": lambda: torch.ones(0, 4),
    "9 dimensions": lambda: torch.ones([1] * 9),
    "(4, 4), meta": lambda: SQUARE.to("meta"),
    "(4, 4), sparse": SQUARE.to_sparse,
    "(4, 4), mkldnn": SQUARE.to_mkldnn,
    "(4, 4), 8 bits": lambda: SQUARE.to(torch.float8_e4m3fn),
    "nested": lambda: torch.nested.nested_tensor([ONES, ONES[:2]], layout=torch.jagged),
    "a generator": torch.Generator,
    "a key": lambda: Key(0),
    "a layout": lambda: MaskLayout.of((4, 4)),
    "a device": lambda: torch.device("meta"),
    "a dtype": lambda: torch.float32,
}


def faults(call, good, argument, allowed=()):
    """What is wrong with how a call refuses the values: nothing, for those that it accepts.

    Args:
        call: A function or a module.
        good: Makes arguments that it accepts.
        argument: The name of the one that gets the values.
        allowed: Further errors that it may raise.
    """
    found = []
    for name, make in VALUES.items():
        given = good() | {argument: make()}
        before = torch.get_rng_state()
        try:
            call(**given)
        except TorchDropoutError as error:
            message = str(error)
            if name in NEVER and f"`{argument}`" not in message:
                found.append(f"{name}: the argument is not named: {message}")
            if not message.startswith("Expected") and "Expected" not in message:
                found.append(f"{name}: not what was expected: {message}")
        except allowed:
            pass
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if name in NEVER:
                found.append(f"{name}: accepted")
            continue
        if not torch.equal(torch.get_rng_state(), before):
            found.append(f"{name}: drawn")
    return found
