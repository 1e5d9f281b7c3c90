"""What a function refuses of arguments of its own; test_every_function.py has those of many."""

import math

import pytest
import torch

from draws import refused
from torchdropout import MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, ShapeError

TYPE, VALUE = ArgumentTypeError, ArgumentValueError
INF = math.inf
X = torch.ones(2, 3)
HALF, BRAIN = X.half(), X.bfloat16()
Q, K, V = torch.ones(2, 6, 5, 4), torch.ones(2, 6, 7, 4), torch.ones(2, 6, 7, 3)
SEEN = torch.ones(5, 7, dtype=torch.bool)
EMPTY, TRAINING = torch.ones(3, 0), {"training": True}
MAP = torch.ones(2, 3, 9, 5)
JAGGED = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
ROWS = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
RATES = torch.tensor([0.0, 0.1, 1.0])
NOT_NESTED = "to be a tensor that is not nested"
OF_HALF = r"to be of dtype torch.float16 or torch.float32 with an input of torch.float16, got"
OWN_INDEX = "gives each seed of a map its own index"
FOR_GQA = "`key` to be of a number of heads that divides query's 6"


def of_layer(*sizes: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(sizes), "log_sigma2": torch.zeros(sizes)}


# Arguments that a function accepts.
GOOD = {
    F.dropout: {"input": X},
    F.locked_dropout: {"input": X},
    F.feature_gaussian_dropout: {"input": X, "p": 0.5},
    F.gaussian_dropout: {"input": X},
    F.gaussian_noise: {"input": X, "sigma": 0.5},
    F.uniform_dropout: {"input": X, "beta": 0.5},
    F.concrete_dropout: {"input": X, "p_logit": torch.zeros(1)},
    F.variational_dropout: {"input": X, "log_alpha": torch.zeros(1)},
    F.variational_linear: {"input": torch.ones(2, 4), **of_layer(3, 4)},
    F.variational_conv2d: {"input": torch.ones(2, 4, 5, 5), **of_layer(3, 4, 3, 3)},
    F.scaled_dot_product_attention: {"query": Q, "key": K, "value": V, "dropout_p": 0.3},
    F.dropout_add: {"input": X, "residual": X, "p": 0.5},
    F.embedding_dropout: {"input": torch.arange(3), "weight": torch.ones(20, 3)},
    F.n_m_dropout: {"input": torch.ones(2, 8), "n": 2},
    F.column_dropout: {"input": torch.ones(2, 8), "p": 0.5},
    F.token_dropout: {"input": torch.ones(2, 5, 3)},
    F.drop_block1d: {"input": torch.ones(2, 3, 8), "p": 0.3, "block_size": 3},
    F.drop_block2d: {"input": MAP, "p": 0.1, "block_size": 5, "eps": 0.0},
    F.r_drop: {"logits_a": X, "logits_b": X},
}
# What is changed, the error, and what it says.
REFUSED = {
    F.dropout: [
        ({"p": torch.full((3,), 1.5)}, VALUE, r"in \[0, 1\] everywhere.*got 1.5 in it"),
        ({"p": RATES * math.nan}, VALUE, r"in \[0, 1\] everywhere.*got nan in it"),
        ({"p": torch.ones(4)}, VALUE, r"a shape that broadcasts to .*\(2, 3\)"),
        ({"p": torch.ones(2, 1, 1)}, VALUE, r"a shape that .*\(2, 1, 1\)"),
        ({"p": torch.ones(3).long()}, TYPE, "a floating-point tensor.*int64"),
        ({"p": torch.ones(3, device="meta")}, VALUE, "device.*not on meta"),
        ({"p": torch.nn.Parameter(RATES)}, TYPE, r"concrete_dropout learns p.*\(Parameter\)"),
        ({"p": 10**400}, VALUE, r"`p` to be in \[0, 1\]"),  # which no float holds
        ({"p": -(10**400)}, VALUE, r"`p` to be in \[0, 1\]"),
    ],
    F.locked_dropout: [
        ({"input": torch.ones(())}, VALUE, r"in \[0, 0\) of a 0-D input, got time_dim=1"),
        ({"input": torch.ones(3)}, VALUE, r"`time_dim` .* in \[-1, 1\) of a 1-D input"),
        ({"time_dim": -3}, VALUE, r"got time_dim=-3 \(int\)"),
    ],
    F.feature_gaussian_dropout: [
        ({"p": 1.0}, VALUE, r"Expected `p` to be in \[0, 1\): the variance"),
        ({"input": X.cfloat()}, TYPE, "`input`"),
    ],
    F.gaussian_dropout: [
        ({"p": 1.0}, VALUE, r"`p` to be in \[0, 1\): the variance .*, got p=1.0 \(float\)\."),
        ({"p": 1}, VALUE, r"got p=1 \(int\)"),
    ],
    F.gaussian_noise: [
        ({"sigma": -0.1}, VALUE, r"`sigma` to be 0 or more and finite, .*got sigma=-0.1 \(float\)"),
        ({"sigma": INF}, VALUE, r"got sigma=inf \(float\)"),
        ({"sigma": 10**400}, VALUE, "`sigma` .*finite"),
    ],
    F.uniform_dropout: [({"beta": 1.0}, VALUE, r"`beta` to be in \[0, 1\), .*got beta=1.0")],
    F.concrete_dropout: [
        ({"p_logit": torch.zeros(2, 1, 3)}, VALUE, r"`p_logit` .* \(2, 3\), got .* \(2, 1, 3\)"),
        ({"p_logit": torch.zeros(2)}, VALUE, r"input's, \(2, 3\)"),
        ({"temperature": 0}, VALUE, r"`temperature` to be above 0 and finite.*=0 \(int\)"),
        ({"temperature": -0.1}, VALUE, "got temperature=-0.1"),
    ],
    F.variational_dropout: [
        ({"log_alpha": torch.zeros(2)}, VALUE, r"to the input's, \(2, 3\), got log_alpha")
    ],
    F.variational_linear: [
        ({"log_sigma2": torch.zeros(4)}, VALUE, r"the weight's shape, \(3, 4\), got log_sigma2="),
        ({"threshold": math.nan}, VALUE, "`threshold` to be a number.* threshold=nan"),
        ({"input": torch.ones(2, 5)}, ShapeError, "`input` to be of 4 features in dimension -1"),
        ({"input": torch.ones(())}, ShapeError, "`input` to be of 1 dimension or more"),
        ({"bias": torch.ones(7)}, ShapeError, r"`bias` to be of shape \(3,\)"),
        ({"bias": torch.ones(3).half()}, TYPE, "`bias` to be of the dtype of `weight`"),
        ({"input": torch.ones(2, 4).to_sparse()}, TYPE, "`input` .* sparse"),
        ({"input": JAGGED}, TYPE, f"`input` {NOT_NESTED}"),
        ({"weight": JAGGED}, TYPE, f"`weight` {NOT_NESTED}"),
        ({"log_sigma2": torch.zeros(3, 4).to("meta")}, VALUE, "`log_sigma2` .* meta"),
        ({"input": torch.ones(2, 4) * 1j}, TYPE, "`input`"),
        ({"bias": torch.ones(3, device="meta")}, VALUE, "`bias` to be on the input's"),
        (dict.fromkeys(("weight", "log_sigma2"), torch.ones(3)), ShapeError, "of 2 dimensions"),
    ],
    F.variational_conv2d: [
        ({"input": torch.ones(5, 5)}, ShapeError, "`input` to be of 4 dimensions"),
        ({"input": torch.ones(1, 2, 4, 5, 5)}, ShapeError, r"4 dim.* or of 3, \(C, H, W\)"),
        ({"input": torch.ones(2, 3, 5, 5)}, ShapeError, "`input` to be of 4 channels in dim"),
        ({"input": torch.ones(2, 4, 2, 5)}, ShapeError, "holds the kernel"),
        ({"input": torch.ones(2, 4, 1, 5), "padding": (0, 1)}, ShapeError, "holds the kernel"),
        ({"input": torch.ones(2, 8, 5, 5), "groups": 2}, ShapeError, "a multiple of groups=2 out"),
        ({"groups": 3}, ShapeError, "`input` to be of 12 channels"),
        ({"dilation": 3}, ShapeError, "with a dilation of"),
        ({"dilation": (1, 3)}, ShapeError, "holds the kernel"),
        ({"dilation": 3, "padding": "valid"}, ShapeError, "holds the kernel"),
        ({"stride": (1, 0)}, VALUE, "`stride` to be 1 or more"),
        ({"stride": 2, "padding": "same"}, VALUE, "`stride` to be 1 with"),
        ({"stride": (1, 2), "padding": "same"}, VALUE, "`stride` to be 1 with"),
        ({"stride": (2, 1), "padding": "same"}, VALUE, "`stride` to be 1 with"),
        ({"padding": (0, -1)}, VALUE, "`padding` to be 0 or more"),
        ({"bias": torch.ones(4)}, ShapeError, r"`bias` to be of shape \(3,\)"),
    ],
    F.scaled_dot_product_attention: [
        ({"key": K[0, 0, 0]}, VALUE, "`key` to be of 2 dimensions or more"),
        ({"key": K[..., :3]}, VALUE, "`key` to be of query's 4 features, got key=<"),
        ({"key": K[:, :4]}, VALUE, r"that broadcast, got shapes query=\(2, 6, 5, 4\), key"),
        ({"value": V[..., :6, :]}, VALUE, "`value` to be of key's length, 7"),
        ({"enable_gqa": True, "key": K[:, :4]}, VALUE, "`value` to be of key's 4 heads"),
        ({"enable_gqa": True, "key": K[:, :4], "value": V[:, :4]}, VALUE, FOR_GQA),
        ({"enable_gqa": True, "key": K[:, :0], "value": V[:, :0]}, VALUE, FOR_GQA),
        ({"enable_gqa": True, "key": K[0, 0]}, VALUE, "`key` to be of 3 dimensions"),
        ({"attn_mask": SEEN[:4]}, VALUE, r"the scores', \(2, 6, 5, 7\), got"),
        ({"attn_mask": SEEN.expand(1, 2, 6, 5, 7)}, VALUE, "broadcasts to the scores'"),
        ({"attn_mask": SEEN, "is_causal": True}, VALUE, "`attn_mask` or `is_causal`"),
        *(
            ({name: ROWS}, TYPE, f"`{name}` {NOT_NESTED}")
            for name in ("query", "key", "value", "attn_mask")
        ),
    ],
    F.dropout_add: [
        ({"residual": X[0]}, VALUE, "`residual` to be of the input's shape, .*got residual=<"),
        ({"residual": X[:, :1]}, VALUE, "`residual` to be of the input's shape"),
        ({"residual": HALF}, TYPE, "`residual` to be of dtype torch.float32 with"),
        ({"input": HALF, "residual": BRAIN}, TYPE, f"`residual` {OF_HALF}"),
        ({"input": HALF, "residual": X.double()}, TYPE, f"`residual` {OF_HALF}"),
        ({"input": X.cfloat(), "residual": X.cfloat()}, TYPE, "`input` to be a floating-point"),
        ({"bias": X[0, :1]}, VALUE, r"`bias` to be of shape \(3,\), the input's last dimension"),
        ({"bias": X}, VALUE, r"`bias` to be of shape \(3,\), the input's last dimension"),
        ({"bias": HALF[0]}, TYPE, "`bias` to be of dtype torch.float32"),
        ({"input": HALF, "residual": HALF, "bias": BRAIN[0]}, TYPE, "`bias` to be .* or torch.fl"),
        (dict.fromkeys(("input", "residual", "bias"), X[0, 0]), TYPE, "no `bias` with an input"),
    ],
    F.embedding_dropout: [
        ({"input": torch.tensor([20])}, IndexError, "out of range"),
        ({"input": torch.tensor([-1])}, IndexError, "out of range"),
        ({"weight": torch.ones(3)}, VALUE, "`weight` to be a table of 2 dim"),
        ({"weight": torch.ones(3, 2, 2)}, VALUE, "`weight` to be a table of 2"),
        ({"weight": JAGGED}, VALUE, "`weight` to be a table of 2 dimensions"),
        ({"padding_idx": 20}, VALUE, r"\[-20, 20\), a row of the"),
        ({"padding_idx": -21}, VALUE, "padding_idx=-21"),
        ({"scale": -INF}, VALUE, "`scale` to be finite, got scale=-inf"),
    ],
    F.n_m_dropout: [
        ({"n": 5}, VALUE, r"`n` to be in \[1, 4\], how many of 4 are kept, got n=5"),
        ({"m": 3}, VALUE, "a multiple of m=3 elements along dimension 1, got input="),
        ({"dim": 2}, VALUE, r"`dim` to be in \[-2, 2\), .* got dim=2"),
        ({"layout": MaskLayout(0, (1, 0))}, VALUE, "gives each place along dimension"),
    ],
    F.column_dropout: [
        ({"mode": "row", "dim": 0}, VALUE, "`mode` to be 'batch' where .*'row'"),
        ({"input": EMPTY} | TRAINING, VALUE, "one or more columns along dimension 1"),
        ({"input": EMPTY, "p": 0.0} | TRAINING, VALUE, "one or more columns along dimension 1"),
    ],
    F.token_dropout: [
        ({"num_prefix_tokens": 6}, VALUE, r"at most 5, .* got num_prefix_tokens=6 \(int\)"),
        ({"num_prefix_tokens": -1}, VALUE, "0 or more, got num_prefix_tokens=-1"),
        ({"num_prefix_tokens": 5} | TRAINING, VALUE, "one or more tokens after a prefix of 5"),
        ({"input": EMPTY} | TRAINING, VALUE, "one or more tokens after a prefix of 0"),
        ({"input": EMPTY, "p": 0.0} | TRAINING, VALUE, "one or more tokens after a prefix of 0"),
    ],
    F.drop_block1d: [({"layout": MaskLayout(0, (18, 6, 0))}, VALUE, OWN_INDEX)],
    F.drop_block2d: [
        ({"block_size": 6} | TRAINING, VALUE, r"at most 5, .* \(9, 5\), got block_size=6"),
        ({"block_size": 6, "p": 0.0} | TRAINING, VALUE, "`block_size` to be at most 5"),
        ({"block_size": 0}, VALUE, "`block_size` to be 1 or more.*=0"),
        *(({"eps": eps}, VALUE, "`eps` to be a finite number") for eps in (math.nan, INF, -1.0)),
        ({"scale": "sample"}, VALUE, r"got scale='sample' \(str\)"),
        ({"layout": MaskLayout(0, (351, 117, 8, 1))}, VALUE, OWN_INDEX),  # a row has 9 seeds
    ],
    F.r_drop: [
        ({"logits_b": X[:1]}, VALUE, r"`logits_b` to be of the shape of logits_a, \(2, 3\)"),
        (dict.fromkeys(("logits_a", "logits_b"), X[0, 0]), VALUE, "of 1 dimension or more"),
        ({"target": torch.ones(3).long()}, VALUE, r"without classes, \(2,\)"),
        ({"target": torch.ones(2, 2).long()}, VALUE, r"without classes, \(2,\)"),
        ({"target": torch.ones(2)}, VALUE, "`target` to be of the shape of the logits"),
        ({"reduction": "batchmean"}, VALUE, "`reduction` to be 'none', 'mean'"),
        ({"target": torch.tensor([0, 2]), "label_smoothing": 2}, VALUE, r"`label_smoothing` .*\["),
        ({"weight": torch.ones(3)}, VALUE, "no `weight` without a target"),
        ({"label_smoothing": 0.1}, VALUE, "no `label_smoothing` without"),
        ({"padding_mask": torch.ones(3).bool()}, VALUE, r"classes, \(2,\)"),
        ({"target": torch.tensor([0, 2]), "weight": torch.ones(2)}, VALUE, r"`weight` .*\(3,\)"),
        ({"alpha": INF}, VALUE, "`alpha` to be a finite number"),
        ({"ignore_index": -(2**63) - 1}, VALUE, "`ignore_index`"),
        ({"logits_a": ROWS}, TYPE, "`logits_a`"),
        ({"logits_b": ROWS}, TYPE, "`logits_b`"),
    ],
}
CASES = [
    pytest.param(function, *case, id=f"{function.__name__} {number}")
    for function, found in REFUSED.items()
    for number, case in enumerate(found)
]


@pytest.mark.parametrize(("function", "change", "error", "words"), CASES)
def test_an_argument_that_does_not_fit(function, change, error, words):
    given = GOOD[function] | change
    calls = [given]
    if function is F.scaled_dot_product_attention:
        calls.append(given | {"dropout_p": 0.0})
    elif function is not F.r_drop and "training" not in change:
        calls.append(given | {"training": False})
    for call in calls:
        with refused(error, words):
            function(**call)


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_what_they_are_changes_of_is_accepted(function):
    function(**GOOD[function])
