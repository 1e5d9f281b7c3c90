"""The version; of the distribution too."""

__version__ = "0.1.0"
