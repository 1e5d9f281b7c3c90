"""The version of the package and of the distribution."""

__version__ = "0.1.0"
