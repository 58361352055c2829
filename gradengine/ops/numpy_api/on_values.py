"""NumPy's own answer, computed on the values of Tensors: where no gradient is lost by it.

Raises GraphError where a Tensor requires grad and the answer is not made of integers, bools or text; DeviceError for a
Tensor that NumPy cannot reach. An answer that a Tensor can hold comes back as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import devices
from ...core.tensor_class import Tensor, constant, mode
from ...errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradengineError,
    GraphError,
    IndexRangeError,
    OutOfMemoryError,
    ShapeError,
)
from ...shapes.dtypes import get_default_dtype, is_floating, is_half

# What NumPy's functions write into their arguments: nothing that requires grad may go there unseen.
WRITING = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}


def name_of(function: Any) -> str:
    """A NumPy function's name as one writes it after `np.`."""
    name = getattr(function, "__name__", str(function))
    module = getattr(function, "__module__", "") or ""
    place = module.removeprefix("numpy").strip(".")
    return f"{place}.{name}" if place in ("linalg", "fft") else name


def on_values(
    function: Any,
    args: Any,
    kwargs: Any,
    earlier: GradengineError | None = None,
    in_graph: bool = False,
    name: str = "",
    writes: bool = False,
) -> Any:
    """`function(*args, **kwargs)` with arrays in place of Tensors. `earlier` is the error to prefer over NumPy's."""
    name = name or name_of(function)
    found: list[Tensor] = []
    arrays: list[Any] = []
    args, kwargs = [bare(x, found, arrays) for x in args], {key: bare(x, found, arrays) for key, x in kwargs.items()}
    recorded = mode.recording and any([t.op is not None for t in found])
    if earlier is not None and (recorded or any([t.device != "cpu" for t in found])):
        raise earlier
    for t in found:
        if t.device != "cpu":
            raise DeviceError(f"np.{name}: NumPy cannot compute on {t.device!r}; move the Tensor with .to('cpu')")
    if recorded and (written(function, kwargs, writes) or any([type(x) is np.ndarray for x in outs(kwargs)])):
        raise GraphError(f"np.{name}: a Tensor that requires grad cannot go into a NumPy array; use t.detach()")
    target = found[0] if args and found and args[0] is arrays[0] and written(function, kwargs, writes) else None
    if target is not None:
        args[0] = np.array(args[0])  # which is written to, and then put into the Tensor
    try:
        result = function(*args, **kwargs)
    except np.linalg.LinAlgError:
        raise
    except Warning:
        raise
    except GradengineError:
        raise
    except Exception as error:
        raise earlier or typed(name, error, found) from None
    if target is not None:
        target.copy_(constant(args[0], target.backend))
        return target if result is args[0] else result
    if recorded and holds_floats(result):
        with_arguments = " with these arguments" if in_graph else ""
        raise GraphError(
            f"np.{name}{with_arguments} has no gradient here, and a Tensor among the arguments requires grad; "
            "use np.asarray(t.detach()) to compute in NumPy"
        )
    asked = kwargs.get("dtype") is not None or any([names_dtype(x) for x in args])
    return dressed(result, found, arrays, asked)


def written(function: Any, kwargs: dict[str, Any], writes: bool) -> bool:
    """Whether a function writes into its first argument."""
    return writes or function in WRITING or (function is np.nan_to_num and kwargs.get("copy") is False)


def names_dtype(value: Any) -> bool:
    """Whether a positional argument asks for a dtype."""
    if isinstance(value, str):
        try:
            np.dtype(value)
        except Exception:
            return False
        return True
    return isinstance(value, (np.dtype, type))


def outs(kwargs: dict[str, Any]) -> Any:
    """What is given as `out`."""
    out = kwargs.get("out")
    return out if isinstance(out, tuple) else (out,)


def bare(value: Any, found: list[Tensor], arrays: list[Any]) -> Any:
    """The argument with read-only arrays in place of Tensors, which are added to `found`; arrays go to `arrays`."""
    if isinstance(value, Tensor):
        found.append(value)
        if value.device != "cpu":
            return value
        view = value.backend.to_numpy(value.array).view()
        view.flags.writeable = False
        arrays.append(view)
        return view
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return value
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([bare(item, found, arrays) for item in value])
    if kind is dict:
        return {key: bare(item, found, arrays) for key, item in value.items()}
    if kind is slice:
        return slice(*[bare(item, found, arrays) for item in (value.start, value.stop, value.step)])
    return value


def holds_floats(result: Any) -> bool:
    """Whether an answer depends on its arguments smoothly, as far as its dtype says."""
    if isinstance(result, (np.ndarray, np.generic)):
        return result.dtype.kind not in "iubSUOMm" or (result.dtype.kind == "O" and result.size > 0)
    if isinstance(result, (list, tuple)):
        return any([holds_floats(item) for item in result])
    return isinstance(result, float)


def dressed(result: Any, found: list[Tensor], arrays: list[Any], asked: bool) -> Any:
    """NumPy's answer with Tensors for arrays; an array that was passed in comes back as itself."""
    if isinstance(result, (np.ndarray, np.generic)):
        if any([result is array for array in arrays if array.flags.writeable]):
            return result
        if result.dtype.kind not in "fiub" and not is_half(result.dtype):
            return result  # complex numbers, text and objects: no Tensor holds them
        if result.dtype.itemsize > 8:
            return result
        array = np.array(result)
        wanted = array.dtype if asked else narrowed(array.dtype, arrays)
        backend = found[0].backend if found else devices.for_device("cpu")
        return constant(array.astype(wanted, copy=False), backend)
    kind = type(result)
    if kind is list or kind is tuple:
        return kind([dressed(item, found, arrays, asked) for item in result])
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return kind(*[dressed(item, found, arrays, asked) for item in result])
    return result


def narrowed(dtype: Any, arrays: list[Any]) -> Any:
    """The dtype of an answer: double precision that comes of integers alone is what the engine makes of them."""
    if dtype != np.float64 or any([a.dtype == np.float64 for a in arrays]):
        return dtype
    if not any([a.dtype.kind in "iub" for a in arrays]):
        return dtype
    known = [a.dtype for a in arrays if is_floating(a.dtype)]
    return np.result_type(*known) if known else get_default_dtype()


def typed(name: str, error: Exception, found: list[Tensor]) -> Exception:
    """NumPy's error as one of the engine's."""
    text = f"np.{name}: {error}"
    if "read-only" in str(error) and found:
        return ArgumentError(f"{text}; a Tensor is not written to here: use t[...] = value, or np.array(t) for a copy")
    if isinstance(error, MemoryError):
        return OutOfMemoryError(text)
    if isinstance(error, IndexError) and not isinstance(error, ValueError):
        return IndexRangeError(text)
    if isinstance(error, ValueError):
        return ShapeError(text)
    if isinstance(error, (TypeError, AttributeError, OverflowError)):
        return DTypeError(text)
    return error
