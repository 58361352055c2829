"""What programs ask of the library itself, in PyTorch's words: print options, threads, is_tensor, Size and the like."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from .backend.device_names import check_device, device
from .backend.devices import backends, for_device
from .core.dispatch import no_grad
from .core.tensor_class import Tensor, wrap
from .errors import ArgumentError, DTypeError, describe
from .shapes.dtypes import check_dtype, dtype_of, is_floating, result_type
from .shapes.size import Size
from .validation import known_class, known_words

__all__ = [
    "Size", "device", "inference_mode", "is_tensor", "is_floating_point", "is_complex", "is_nonzero", "numel",
    "set_printoptions", "get_printoptions", "get_num_threads", "set_num_threads", "get_num_interop_threads",
    "set_num_interop_threads", "use_deterministic_algorithms", "are_deterministic_algorithms_enabled",
    "set_float32_matmul_precision", "get_float32_matmul_precision", "is_inference_mode_enabled", "typename",
    "promote_types", "is_same_size", "is_signed", "get_device", "detach", "get_device_module", "set_warn_always",
    "set_flush_denormal",
]  # fmt: skip


@known_class
class inference_mode(no_grad):
    """Record nothing inside, as `no_grad`: `with ge.inference_mode():`. `inference_mode(False)` records as before.

    >>> import gradengine as ge
    >>> x = ge.tensor(1.0, requires_grad=True)
    >>> with ge.inference_mode():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls, mode if callable(mode) else None)
        if mode is False:
            made.enabled = True
        return made

    def __init__(self, mode: Any = True) -> None:
        if not callable(mode) and not isinstance(mode, bool):
            raise ArgumentError(f"inference_mode: mode must be True or False, got {describe(mode)}")


@known_words
def is_inference_mode_enabled() -> bool:
    """Whether nothing is recorded: here inference mode is `no_grad`.

    >>> import gradengine as ge
    >>> ge.is_inference_mode_enabled()
    False
    """
    from .core.dispatch import is_grad_enabled

    return not is_grad_enabled()


@known_words
def is_tensor(value: Any, /) -> bool:
    """Whether something is a Tensor.

    >>> import gradengine as ge
    >>> ge.is_tensor(ge.ones(2)), ge.is_tensor([1.0])
    (True, False)
    """
    return isinstance(value, Tensor)


@known_words
def is_floating_point(x: Any, /) -> bool:
    """Whether a Tensor (or a dtype) is of floating-point numbers.

    >>> import gradengine as ge
    >>> ge.is_floating_point(ge.ones(2)), ge.is_floating_point(ge.arange(2))
    (True, False)
    """
    return is_floating(dtype_of("is_floating_point", x))


@known_words
def is_complex(x: Any, /) -> bool:
    """Whether a Tensor is of complex numbers: False, for there are none here.

    >>> import gradengine as ge
    >>> ge.is_complex(ge.ones(2))
    False
    """
    dtype_of("is_complex", x)
    return False


@known_words
def is_nonzero(x: Any, /) -> bool:
    """Whether the one element of a Tensor is not 0. Raises ShapeError for more or fewer.

    >>> import gradengine as ge
    >>> ge.is_nonzero(ge.tensor([1.0]))
    True
    """
    return bool(x)


@known_words
def numel(x: Any, /) -> int:
    """The number of elements.

    >>> import gradengine as ge
    >>> ge.numel(ge.ones(2, 3))
    6
    """
    return math.prod(wrap(x, None, "numel").shape)


@known_words
def typename(value: Any, /) -> str:
    """The name of a value's type, as PyTorch's `typename`.

    >>> import gradengine as ge
    >>> ge.typename(ge.ones(2))
    'gradengine.FloatTensor'
    """
    from .core.tensor_types import type_name

    if isinstance(value, Tensor):
        return f"gradengine.{type_name(value.dtype)}"
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@known_words
def promote_types(a: Any, b: Any, /) -> np.dtype[Any]:
    """The dtype of an op on two dtypes, as `result_type`.

    >>> import gradengine as ge
    >>> ge.promote_types(ge.int32, ge.int64)
    dtype('int64')
    """
    return result_type(check_dtype(a, "promote_types"), check_dtype(b, "promote_types"))


@known_words
def is_same_size(a: Any, b: Any, /) -> bool:
    """Whether two Tensors have the same shape.

    >>> import gradengine as ge
    >>> ge.is_same_size(ge.ones(2), ge.zeros(2))
    True
    """
    a, b = [wrap(x, None, "is_same_size") for x in (a, b)]
    return a.shape == b.shape


@known_words
def is_signed(x: Any, /) -> bool:
    """Whether the dtype of a Tensor has negative numbers.

    >>> import gradengine as ge
    >>> ge.is_signed(ge.ones(2))
    True
    """
    return dtype_of("is_signed", x).kind in "ifV"


@known_words
def get_device(x: Any, /) -> int:
    """The number of the GPU where a Tensor is; -1 on the CPU.

    >>> import gradengine as ge
    >>> ge.get_device(ge.ones(2, device="cpu"))
    -1
    """
    return wrap(x, None, "get_device").get_device()


@known_words
def detach(x: Any, /) -> Tensor:
    """The same value outside the graph, as `x.detach()`.

    >>> import gradengine as ge
    >>> ge.detach(ge.ones(2, requires_grad=True)).requires_grad
    False
    """
    return wrap(x, None, "detach").detach()


@known_words
def get_device_module(device: Any = None) -> Any:
    """`ge.cuda`, whatever the device: what can be asked of a GPU is there.

    >>> import gradengine as ge
    >>> ge.get_device_module("cuda") is ge.cuda
    True
    """
    from . import cuda

    check_device(device)
    return cuda


@known_words
def set_warn_always(always: bool) -> None:
    """Accepted and without effect: `warnings.simplefilter("always")` shows warnings each time.

    >>> import gradengine as ge
    >>> ge.set_warn_always(False)
    """


@known_words
def set_flush_denormal(mode: bool) -> bool:
    """False: how the processor treats denormal numbers is left as it is.

    >>> import gradengine as ge
    >>> ge.set_flush_denormal(True)
    False
    """
    return False


# -- how Tensors are printed --------------------------------------------------------------------------------------

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 75},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 75},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 75},
}


@known_words
def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how Tensors are printed: digits, when and how to leave elements out, the width of a line.

    `profile` is "default", "short" or "full"; `sci_mode` asks for or forbids exponents. Raises ArgumentError for
    another profile.

    >>> import gradengine as ge
    >>> ge.set_printoptions(precision=2)
    >>> ge.tensor([1 / 3])
    tensor([0.33])
    >>> ge.set_printoptions(profile="default")
    """
    if profile is not None:
        if not isinstance(profile, str) or profile not in PROFILES:
            raise ArgumentError(f"set_printoptions: profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        Tensor.printing = dict(PROFILES[profile])
        Tensor.printing["sci_mode"] = None
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    given["sci_mode"] = sci_mode
    for name, value in given.items():
        if value is not None:
            if not isinstance(value, (int, float)):
                raise DTypeError(f"set_printoptions: {name} must be a number, got {describe(value)}")
            Tensor.printing[name] = value


@known_words
def get_printoptions() -> dict[str, Any]:
    """How Tensors are printed, as `set_printoptions` takes it.

    >>> import gradengine as ge
    >>> ge.get_printoptions()["precision"]
    4
    """
    return dict(Tensor.printing)


# -- threads and precision ----------------------------------------------------------------------------------------


@known_words
def get_num_threads() -> int:
    """How many threads compute on the CPU.

    >>> import gradengine as ge
    >>> ge.get_num_threads() >= 1
    True
    """
    if for_device("cpu").name != "numba":
        return os.cpu_count() or 1
    import numba

    return numba.get_num_threads()


@known_words
def set_num_threads(count: int) -> None:
    """Compute with at most `count` threads on the CPU. Raises ArgumentError unless there are so many.

    >>> import gradengine as ge
    >>> ge.set_num_threads(ge.get_num_threads())
    """
    if not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_threads: needs a number from 1 on, got {describe(count)}")
    if for_device("cpu").name != "numba":
        return  # NumPy's own BLAS keeps its threads
    import numba

    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


@known_words
def get_num_interop_threads() -> int:
    """How many ops run at once on the CPU: one.

    >>> import gradengine as ge
    >>> ge.get_num_interop_threads()
    1
    """
    return 1


@known_words
def set_num_interop_threads(count: int) -> None:
    """Accepted and without effect: ops run one after another.

    >>> import gradengine as ge
    >>> ge.set_num_interop_threads(1)
    """
    if not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_interop_threads: needs a number from 1 on, got {describe(count)}")


@known_words
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted and without effect: one seed gives the same numbers on every run anyway.

    >>> import gradengine as ge
    >>> ge.use_deterministic_algorithms(True)
    """


@known_words
def are_deterministic_algorithms_enabled() -> bool:
    """True: one seed gives the same numbers on every run.

    >>> import gradengine as ge
    >>> ge.are_deterministic_algorithms_enabled()
    True
    """
    return True


@known_words
def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of float32 are on a GPU: "highest", or "high" and "medium" for TF32.

    Raises ArgumentError for another word.

    >>> import gradengine as ge
    >>> ge.set_float32_matmul_precision("highest")
    """
    global matmul_precision
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(
            f"set_float32_matmul_precision: must be 'highest', 'high' or 'medium', got {describe(precision)}"
        )
    from .cuda import set_tf32

    set_tf32(precision != "highest")
    matmul_precision = precision


@known_words
def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has set.

    >>> import gradengine as ge
    >>> ge.get_float32_matmul_precision()
    'highest'
    """
    return matmul_precision


matmul_precision = "highest"


# -- torch.backends -----------------------------------------------------------------------------------------------


class _Flags(SimpleNamespace):
    """Switches that programs set and that change nothing here; `is_available()` says what there is."""

    available = False

    def is_available(self) -> bool:
        """Whether there is such a library here."""
        return self.available

    is_built = is_available


class _Products:
    """How float32 matrices are multiplied on a GPU."""

    @property
    def allow_tf32(self) -> bool:
        """Whether in TF32, which keeps 10 bits of each factor; settable."""
        from .cuda import is_tf32

        return is_tf32()

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        from .cuda import set_tf32

        set_tf32(allowed)


# `ge.backends()` says which backends there are; PyTorch's programs read and set attributes of `torch.backends`.
backends.cudnn = _Flags(enabled=False, deterministic=True, benchmark=False, allow_tf32=False)  # type: ignore[attr-defined]
backends.mps = _Flags()  # type: ignore[attr-defined]
backends.mkldnn = _Flags()  # type: ignore[attr-defined]
backends.openmp = _Flags()  # type: ignore[attr-defined]
backends.cuda = _Flags(matmul=_Products())  # type: ignore[attr-defined]
