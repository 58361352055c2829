"""The errors that gradengine raises for a user's mistake.

Each says what was asked for, what came, what was needed and what to do about it. Each is also the builtin
error that NumPy or PyTorch users would catch for the same mistake, so `except ValueError` still works.
While a module runs, the message ends with that module's path: "(in head, Linear(512, 10))".
"""

import errno
import sys

__all__ = [
    "ArgumentError",
    "AxisError",
    "CheckpointError",
    "CompileError",
    "CudaFaultError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "GradengineError",
    "GraphError",
    "IndexRangeError",
    "MissingCheckpointError",
    "OutOfMemoryError",
    "ShapeError",
    "SignatureError",
    "SpellingWarning",
    "TraceError",
    "TrainingError",
]


def describe(value: object) -> str:
    """A short name for what a user passed, for error messages."""
    kind, text = type(value).__name__, repr(value)
    short = text if len(text) <= 60 else text[:57] + "..."
    return short if text.startswith(f"{kind}(") else f"{kind} {short}"


class GradengineError(Exception):
    """The base of all typed errors; catch it to catch any of them."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.module_path = ""
        self.module_repr = ""
        self.module: object = None  # the outermost module that it has passed through so far

    def enter_module(self, name: str, described: str = "") -> None:
        """Note that the error passed through the module `name` on its way out, innermost first."""
        self.module_repr = self.module_repr or described
        if name:
            self.module_path = f"{name}.{self.module_path}" if self.module_path else name

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.module_path, self.module_repr) if part)
        return f"{self.message} (in {place})" if place else self.message


class ShapeError(GradengineError, ValueError):
    """Shapes that do not fit the op, or an axis that the array does not have."""


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have; an IndexError too, as in NumPy and PyTorch."""


class DTypeError(GradengineError, TypeError):
    """A dtype that the op cannot take, or a gradient asked of integers."""


class AbsentDtypeError(DTypeError, AttributeError):
    """A dtype of a package that is missing: to `hasattr` and `help` an attribute that is missing."""


class IndexRangeError(GradengineError, IndexError):
    """An index, class label or axis position outside the array."""


class ArgumentError(GradengineError, ValueError):
    """An argument whose value the function cannot take, such as an unknown reduction."""


class SignatureError(ArgumentError, TypeError):
    """An argument that the function does not have, that is missing or given twice, or a flag that is not a bool."""


class SpellingWarning(UserWarning):
    """A call that means one thing here and another in PyTorch or NumPy; the message says how to write either.

    `warnings.simplefilter("error", ge.SpellingWarning)` makes it an error.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class DeviceError(GradengineError, RuntimeError):
    """A device or backend that is unknown or not usable here, or operands on two devices."""


class OutOfMemoryError(GradengineError, MemoryError):
    """A device without memory for one more array, after everything unused was given back to it."""


class CudaFaultError(DeviceError):
    """A kernel that failed while it ran; the process can use that GPU no more."""


class GraphError(GradengineError, RuntimeError):
    """A graph that was freed, has no gradient to give, or whose saved value was changed in place."""


class CheckpointError(GradengineError, RuntimeError):
    """A checkpoint that is truncated, corrupted, foreign, or made for another model."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """A checkpoint that is not there; a FileNotFoundError too, as in PyTorch."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.errno, self.filename = errno.ENOENT, path or None


class DataError(GradengineError, ValueError):
    """A data file that is missing, truncated, corrupted, or not what its name says."""


class MissingDataError(DataError):
    """Data that is neither on this machine nor, for now, to be had from the network."""


class TrainingError(GradengineError, ArithmeticError):
    """Training that cannot go on, such as a loss that became NaN."""


class TraceError(GradengineError, TypeError):
    """A traced step that needs a value before it runs, or does in Python what a compiled step cannot repeat."""


class CompileError(GradengineError, RuntimeError):
    """A step or a kernel that could not be compiled, through no fault of who wrote it."""

    source = ""  # of the kernel, where it is one
    log = ""  # what the compiler said about it


def installing(extra: str) -> str:
    """How to install an extra where it is missing: into the Python that runs, whichever `pip` would take."""
    return f"{sys.executable or 'python'} -m pip install '.[{extra}]' in gradengine's folder"
