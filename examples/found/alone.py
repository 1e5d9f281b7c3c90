"""Classes and functions of a package that is installed and cannot be imported as a whole."""

import __future__

import ast
from importlib.metadata import distribution

import torch
import torch.nn.functional as F
from torch import nn


def alone(package, path, name):
    """A class or function, from its source, with torch and the standard library alone.

    Args:
        package: The name of the distribution.
        path: The path of the file, as the distribution lists it.
        name: The name of the class or function.
    """
    file = distribution(package).locate_file(path)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [each for each in tree.body if getattr(each, "name", None) == name]
    # Annotations are not needed, and name what is not imported.
    flags = __future__.annotations.compiler_flag
    space = {"torch": torch, "nn": nn, "F": F}
    exec(compile(tree, str(file), "exec", flags=flags), space)
    return space[name]
