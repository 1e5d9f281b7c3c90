"""Options of a program, and the defaults that a file gives them."""

import ast

import pytest

from torchdropout_audit.code import UNKNOWN, Code
from torchdropout_audit.rules._options import is_settings, option_default, option_values

CLASS = "from dataclasses import dataclass, field\n@dataclass\nclass Model:\n    {}\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", set()),
        ("parser.add_argument('--rate', default=1)", {1}),
        ("parser.add_argument('-r', '--rate', default=1)", {1}),
        ("parser.add_argument('rate')", {UNKNOWN}),
        ("parser.add_argument('--rate')", {UNKNOWN}),
        ("parser.add_argument('--other', dest='rate', default=1)", {1}),
        ("parser.add_argument('--rate', dest='other', default=1)", set()),
        ("parser.add_argument('--rate', default=f())", {UNKNOWN}),
        ("parser.add_argument('--rate', default=1)\nparser.add_argument('--rate')", {1, UNKNOWN}),
        ("parser.add('--rate', default=1)", {1}),
        ("parser.add_arg('--rate', default=1)", {1}),
        ("parser.add('rate', default=1)", set()),
        ("parser.add(1, default=1)", set()),
        ("parser.append('--rate', default=1)", set()),
        ("add_argument('--rate', default=1)", set()),
        (CLASS.format("rate: float = 1"), {1}),
        (CLASS.format("rate: float"), {UNKNOWN}),
        (CLASS.format("rate: float = field(default=1)"), {1}),
        (CLASS.format("rate: float = dataclasses.field(default=1)"), {1}),
        (CLASS.format("rate: float = pydantic.Field(default=1)"), {1}),
        (CLASS.format("rate: float = field(init=False)"), {UNKNOWN}),
        (CLASS.format("rate: float = make(default=1)"), {UNKNOWN}),
        (CLASS.format("rate = 1"), set()),
        (CLASS.format("rate: float = 1").replace("@dataclass", ""), set()),
        ("class ModelConfig:\n    rate = 1", {1}),
        ("class ModelConfig:\n    def __init__(self): self.rate = 1", {1}),
        ("class ConfigModel:\n    rate = 1", set()),
        ("class Config(nn.Module):\n    rate = 1\n    def forward(self, x): pass", set()),
        ("from torch import nn\nclass Config(nn.Module):\n    rate = 1", set()),
        ("args.rate = 1", {1}),
        ("args['rate'] = 1", {1}),
        ("cfg.model.rate = 1", {1}),
        ("model.rate = 1", set()),
        ("args.rate = cfg.rate", set()),
        ("args.rate = cfg.other", {UNKNOWN}),
        ("args.rate = args.other = 1", set()),
        ("args.rate = cfg.get('rate', 2)", set()),
        ("args.rate = cfg['rate']", set()),
        ("args.rate = cfg.pop('rate', 2)", {UNKNOWN}),
        ("args.rate = cfg.get(rate)", {UNKNOWN}),
        ("args.rate = cfg.get(1)", {UNKNOWN}),
        ("args.rate = model.get('rate')", {UNKNOWN}),
        ("args.rate = model.rate", {UNKNOWN}),
        ("def f(p=1): args.rate = p", {1}),
        ("def f(p): args.rate = p", {UNKNOWN}),
        ("def f(p=None): args.rate = p", {UNKNOWN}),
        ("def f(p='1'): args.rate = p", {UNKNOWN}),
        ("def f(p=1): args.rate = p + 1", {UNKNOWN}),
        ("p = 1\nargs.rate = p", {1}),
        ("p = 'a'\nargs.rate = p", {"a"}),
        ("config = {'rate': 1}", {1}),
        ("config = {'model': {'rate': 1}}", {1}),
        ("config = {'model': [{'rate': 1}]}", set()),
        ("config = {rate: 1}", set()),
        ("config = Settings(rate=1)", {1}),
        ("config = merge({'rate': 1}, other)", {1}),
        ("config = Settings(**rate)", set()),
        ("model = {'rate': 1}", set()),
        ("config = 1", set()),
    ],
)
def test_values_of_an_option(text, values):
    code = Code(f"{text}\n")
    assert option_values(code, "rate") == values
    (only,) = values if len(values) == 1 else [UNKNOWN]
    assert option_default(code, "rate") is only or option_default(code, "rate") == only


@pytest.mark.parametrize(
    ("expr", "is_it"),
    [
        ("args", True),
        ("model_config", True),
        ("self.cfg", True),
        ("cfg.model.encoder", True),
        ("self.model", False),
        ("config_of_model", False),
        ("args()", False),
        ("args[0]", False),
    ],
)
def test_configurations(expr, is_it):
    assert is_settings(ast.parse(expr, mode="eval").body) is is_it
