"""Mixed precision: `autocast` chooses what each op computes in, `GradScaler` keeps small gradients from vanishing.

    scaler = ge.amp.GradScaler()
    with ge.autocast("cuda"):
        loss = loss_of(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

Which ops do what is PyTorch's choice for CUDA, on every device.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend.devices import get_default_device
from .core import dispatch
from .core.dispatch import Recording
from .core.tensor_class import LEAF, Op, Tensor, mode
from .errors import ArgumentError, DTypeError, describe
from .ops.elementwise import cast_array
from .scaler import GradScaler
from .shapes.dtypes import check_dtype, is_half
from .validation import known_calls, known_words

if TYPE_CHECKING:
    from collections.abc import Hashable

__path__: list[str] = []  # PyTorch's paths go further down: see module_paths
__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]

FLOAT32 = np.dtype(np.float32)
DEFAULTS = {"cpu": "bfloat16", "cuda": "float16"}
lock = threading.Lock()


def prepare(op: Op, args: tuple[Any, ...], params: Any) -> tuple[Any, ...]:
    """An op's operands in the precision that it is to compute in."""
    precision = op.precision
    if not precision or (precision == "high" and params.get("dtype") is not None):
        return args
    device = next((x.backend.device for x in args if isinstance(x, Tensor)), "")
    dtype = mode.casting.get(device.partition(":")[0])
    if dtype is None:
        return args
    if precision == "low":
        return tuple([lowered(x, dtype) if isinstance(x, Tensor) else x for x in args])
    return tuple([raised(x) if isinstance(x, Tensor) else x for x in args])


def raised(x: Tensor) -> Tensor:
    """A Tensor in float32 if it is in half precision."""
    dtype = getattr(x.array, "dtype", None)
    return cast_array(x, dtype=FLOAT32) if dtype is not None and is_half(dtype) else x


def lowered(x: Tensor, dtype: Any) -> Tensor:
    """A Tensor in the lower precision if it is in float32 or the other one; of a parameter, the copy made before."""
    array = x.array
    given = getattr(array, "dtype", None)
    if given is None or given == dtype or not (given == FLOAT32 or is_half(given)):
        return x
    if x.op is not LEAF or mode.casts is None:
        return cast_array(x, dtype=dtype)
    key = id(x), dtype, mode.recording
    found = mode.casts.get(key)
    # A copy serves as long as the parameter has that value, and no backward has used up how it was made.
    if found is not None and found[1] is array and (found[2].op is None or found[2].inputs is not None):
        return found[2]
    cast = cast_array(x, dtype=dtype)
    mode.casts[key] = (x, array, cast)
    return cast


def state() -> Hashable:
    """What `autocast` does in this thread: equal for equal settings, empty without any."""
    if not mode.casting:
        return ()
    return tuple(sorted((device, dtype.name) for device, dtype in mode.casting.items() if dtype is not None))


class autocast(Recording):
    """Compute products in lower precision, and in float32 what needs it: `with ge.autocast("cuda"):`, or a decorator.

    On Tensors of `device_type` ("cpu" or "cuda"), matmul, linear and einsum cast their float32 operands to `dtype`:
    bfloat16 or float16, by default bfloat16 on the CPU and float16 on CUDA. exp, log, powers, softmax, norms, sums,
    means and losses cast theirs to float32; all other ops follow their inputs. Gradients flow through the casts, so
    those of float32 parameters are float32. A parameter's cast is made once within the outermost region, unless
    `cache_enabled` is false. Nothing is cast in a region with `enabled=False`. Each thread has its own regions; run
    backward outside. What is cast is what `torch.autocast` casts on CUDA.

    Raises ArgumentError for another device type, DTypeError for another dtype or where ml_dtypes is missing.

    >>> import gradengine as ge
    >>> weight, x = ge.ones((2, 3), requires_grad=True), ge.ones((4, 3))
    >>> with ge.autocast("cpu", dtype=ge.float16):
    ...     y = ge.linear(x, weight)
    ...     loss = y.mean()
    >>> y.dtype, loss.dtype
    (dtype('float16'), dtype('float32'))
    >>> loss.backward()
    >>> weight.grad
    tensor([[0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5]])
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str) or device_type not in DEFAULTS:
            raise ArgumentError(
                f"autocast: device_type must be {' or '.join(map(repr, DEFAULTS))}, got {describe(device_type)}"
            )
        self.device_type, self.enabled, self.cached = device_type, bool(enabled), cache_enabled is not False
        if enabled or dtype is not None:
            self.dtype = check_dtype(DEFAULTS[device_type] if dtype is None else dtype, "autocast")
            if not is_half(self.dtype):
                raise DTypeError(f"autocast: dtype must be ge.float16 or ge.bfloat16, got {self.dtype}")

    def __enter__(self) -> autocast:  # type: ignore[override]
        mode.outer.append((mode.casting, mode.casts))
        mode.casting = {**mode.casting, self.device_type: self.dtype if self.enabled else None}
        if not self.cached:
            mode.casts = None
        elif mode.casts is None or len(mode.outer) == 1:
            mode.casts = {}
        if self.enabled:
            count(1)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            count(-1)
        mode.casting, mode.casts = mode.outer.pop()


def count(change: int) -> None:
    """Let ops know whether there is any region in any thread."""
    with lock:
        dispatch.prepare = prepare
        dispatch.casting += change


def device_type_of(device_type: str | None) -> str:
    """A kind of device, that of the default device for None."""
    name = get_default_device() if device_type is None else device_type
    kind = name.partition(":")[0] if isinstance(name, str) else ""
    if kind not in DEFAULTS:
        raise ArgumentError(f"device_type must be {' or '.join(map(repr, DEFAULTS))}, got {describe(device_type)}")
    return kind


@known_words
def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether ops on this kind of device (None: the default device's) are cast in this thread.

    >>> import gradengine as ge
    >>> with ge.autocast("cpu", dtype=ge.float16):
    ...     ge.is_autocast_enabled("cpu"), ge.is_autocast_enabled("cuda")
    (True, False)
    """
    return mode.casting.get(device_type_of(device_type)) is not None


@known_words
def get_autocast_dtype(device_type: str | None = None) -> np.dtype[Any]:
    """The dtype that `autocast` casts to on this kind of device: that of the region, or the default.

    >>> import gradengine as ge
    >>> with ge.autocast("cpu", dtype=ge.float16):
    ...     ge.get_autocast_dtype("cpu")
    dtype('float16')
    """
    kind = device_type_of(device_type)
    return mode.casting.get(kind) or check_dtype(DEFAULTS[kind])


known_calls(__name__)
