"""A plugin of pytest: our dropouts under the names of torch and timm, before a test file is read.

It writes how often ours were called to the file that OURS_CALLED names.
"""

import contextlib
import functools
import os
from pathlib import Path

import torch

import torchdropout as td

calls = 0


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        global calls
        calls += 1
        return function(*args, **kwargs)

    return wrapper


def count_module(module, *_):
    global calls
    calls += type(module).__module__.startswith("torchdropout.")


def pytest_configure(config):
    torch.nn.modules.module.register_module_forward_pre_hook(count_module)
    for name, ours in vars(td.nn).items():
        if isinstance(ours, type) and isinstance(getattr(torch.nn, name, None), type):
            setattr(torch.nn, name, ours)
    for name, ours in vars(td.functional).items():
        if name[0] != "_" and callable(ours) and hasattr(torch.nn.functional, name):
            setattr(torch.nn.functional, name, counted(ours))
    with contextlib.suppress(ImportError):
        put_into_timm()


def put_into_timm():
    """The functions, which timm's modules call, in timm's order of arguments."""
    import timm.layers.drop

    def drop_path(x, drop_prob=0.0, training=False, scale_by_keep=True):
        return td.functional.drop_path(x, drop_prob, training, scale_by_keep)

    def drop_block_2d(
        x,
        drop_prob=0.1,
        block_size=7,
        gamma_scale=1.0,
        with_noise=False,
        inplace=False,
        couple_channels=True,
        scale_by_keep=True,
    ):
        if with_noise or not scale_by_keep or gamma_scale != 1.0:
            raise NotImplementedError("ours has no such argument")
        return td.functional.drop_block2d(
            x, drop_prob, block_size, inplace, per_channel=not couple_channels
        )

    timm.layers.drop.drop_path = counted(drop_path)
    timm.layers.drop.drop_block_2d = counted(drop_block_2d)


def pytest_sessionfinish(session):
    Path(os.environ["OURS_CALLED"]).write_text(str(calls))
