"""The library's errors: one base, few subclasses.

Wrong arguments raise `ArgumentTypeError` or `ArgumentValueError`, which are also Python's
`TypeError` and `ValueError`, so that code written for `torch.nn` catches what it used to catch.
"""


class TorchDropoutError(Exception):
    """Base of every error this library raises on purpose."""


class ArgumentTypeError(TorchDropoutError, TypeError):
    """An argument has a type that the call does not accept."""


class ArgumentValueError(TorchDropoutError, ValueError):
    """An argument has the right type but a value that the call does not accept."""


class ShapeError(TorchDropoutError, RuntimeError):
    """An input has a rank or a size that does not fit; a `RuntimeError`, as torch raises."""


class BackendError(TorchDropoutError, RuntimeError):
    """A backend that was requested by name does not exist or cannot run on this machine."""


class TorchVersionError(TorchDropoutError, ImportError):
    """This version of torch is too old, or lacks something that the package needs."""


class TargetError(TorchDropoutError):
    """A verifier's target cannot be found, loaded, built or called."""


class VerificationError(TorchDropoutError, AssertionError):
    """A target failed verification as a dropout; an `AssertionError`, as tests raise."""


class SiteError(TorchDropoutError, RuntimeError):
    """A place where a model draws cannot be given a key."""


class UnavailableError(TorchDropoutError, AttributeError):
    """A result lacks what the caller requested; an `AttributeError`, so that `hasattr` is False."""
