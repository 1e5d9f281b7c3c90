"""The library's errors: one base, few subclasses.

Wrong arguments raise `ArgumentTypeError` or `ArgumentValueError`, which are also Python's
`TypeError` and `ValueError`, so that code written for `torch.nn` catches what it used to catch.
"""


class TorchDropoutError(Exception):
    """Base of every error this library raises on purpose."""


class ArgumentTypeError(TorchDropoutError, TypeError):
    """An argument has a type that the call does not take."""


class ArgumentValueError(TorchDropoutError, ValueError):
    """An argument has the right type and a value that the call does not take."""


class ShapeError(TorchDropoutError, RuntimeError):
    """An input has a rank that the call does not take; a `RuntimeError`, as torch raises."""


class BackendError(TorchDropoutError, RuntimeError):
    """A backend that was asked for by name does not exist or cannot run here."""


class TorchVersionError(TorchDropoutError, ImportError):
    """This version of torch is too old, or lacks something that the package is made of."""


class TargetError(TorchDropoutError):
    """A verifier's target cannot be found, loaded, built or called."""


class VerificationError(TorchDropoutError, AssertionError):
    """A target was judged not to be a correct dropout; an `AssertionError`, as tests raise."""
