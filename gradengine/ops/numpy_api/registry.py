"""What the adapters of NumPy's functions share: the table, `out=`, and the way to NumPy itself."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor, wrap
from ...errors import DTypeError, GradengineError, ShapeError, TraceError
from ...shapes.dtypes import check_dtype, is_floating
from .on_values import name_of, on_values

if TYPE_CHECKING:
    from collections.abc import Callable

ADAPTERS: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> ours, with the same signature
NoValue = np._NoValue  # NumPy's default where None would mean something


class OutsideError(Exception):
    """Raised by an adapter for arguments that it has no place for: NumPy computes them, on the values."""


def adapts(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated adapter for these NumPy functions. One that takes `out` is given what to put there.

    A name stands for a function that older releases of NumPy do not have.
    """

    def decorate(adapter: Callable[..., Any]) -> Callable[..., Any]:
        code = adapter.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        call = with_out(adapter, names[: code.co_argcount]) if "out" in names else adapter
        for function in functions:
            found = getattr(np, function, None) if isinstance(function, str) else function
            if found is not None:
                ADAPTERS[found] = call
        return call

    return decorate


def with_out(adapter: Callable[..., Any], positional: tuple[str, ...]) -> Callable[..., Any]:
    """The adapter, whose result goes into the Tensor that is given as `out`; for an ndarray NumPy computes."""
    place = positional.index("out") if "out" in positional else len(positional)

    @functools.wraps(adapter)
    def call(*args: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out") if len(args) <= place else args[place]
        if out is None or out is NoValue:
            return adapter(*args, **kwargs)
        if not isinstance(out, Tensor):
            raise OutsideError
        return store(out, adapter(*args, **kwargs), "same_kind")

    return call


def store(out: Tensor, result: Any, casting: str, mask: Any = True) -> Tensor:
    """Put a result into the Tensor `out`, which keeps its dtype, and return that."""
    result = tensor(result, out)
    if not np.can_cast(result.dtype, out.dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(f"out: a result of {result.dtype} does not fit into {out.dtype} under casting={casting!r}")
    if len(result.shape) > len(out.shape) or (mask is True and result.shape != out.shape):
        raise ShapeError(f"out: the result has shape {result.shape}, but out has {out.shape}")
    value = result if mask is True else k.where(mask, result.to(out.dtype), out.detach() if out.op is None else out)
    return out.copy_(value)


def tensor(x: Any, like: Any = None) -> Tensor:
    """An argument that stands for an array, as a Tensor with a dtype of its own."""
    found = x if isinstance(x, Tensor) else wrap(x, None, "array")
    if isinstance(like, Tensor) and found.device != like.device:
        found = found.to(device=like.device)
    return found


def tensors(*values: Any) -> list[Tensor]:
    """Several arguments as Tensors of one device."""
    like = next((x for x in values if isinstance(x, Tensor)), None)
    return [tensor(x, like) for x in values]


def given(value: Any) -> bool:
    """Whether an argument that NumPy leaves out by `np._NoValue` was given."""
    return value is not NoValue


def flag(value: Any) -> bool:
    """`keepdims` and its like, which NumPy leaves out by `np._NoValue`."""
    return bool(value) if value is not NoValue and value is not None else False


def only(condition: bool) -> None:
    """Leave the call to NumPy unless `condition` holds."""
    if not condition:
        raise OutsideError


def floats(x: Tensor, dtype: Any = None) -> Tensor:
    """x, in the floating dtype that is asked for; integers stay what they are where none is."""
    if dtype is None:
        return x
    wanted = check_dtype(dtype, "dtype")
    only(is_floating(wanted))
    return x.to(wanted)


def perform(function: Any, adapter: Callable[..., Any] | None, args: Any, kwargs: Any) -> Any:
    """The adapter's answer, NumPy's own where there is none, or a typed error in the name of the function."""
    typed: GradengineError | None = None
    if adapter is not None:
        try:
            return adapter(*args, **kwargs)
        except OutsideError:
            pass
        except TraceError:
            raise
        except GradengineError as error:
            typed = error
        except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            typed = DTypeError(f"np.{name_of(function)}: {error}")
    return on_values(function, args, kwargs, typed, in_graph=adapter is not None)
