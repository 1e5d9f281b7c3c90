"""Processes that have imported torch and nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import torchdropout

PACKAGE = Path(torchdropout.__file__).parent

SERVER = r"""
import gc, json, os, sys, traceback
import torch
gc.freeze()  # imported objects are not garbage, and stay shared
for line in sys.stdin:
    task = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.environ.pop("TORCHDROPOUT_BACKEND", None)
        os.environ.update(task["env"])
        sys.path.insert(0, task["path"])
        code = 0
        try:
            exec(task["code"], {"__name__": "task"})
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), text]), flush=True)
"""


class Processes:
    """Runs code in processes that have imported torch and nothing of ours: each a fresh fork."""

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(sys.executable).parent,
        )

    def run(self, code, path=None, **env):
        task = {"code": textwrap.dedent(code), "path": str(path or PACKAGE.parent), "env": env}
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        status, text = json.loads(self.server.stdout.readline())
        return status, text

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
