"""NumPy's functions on Tensors, by its protocols `__array_ufunc__` and `__array_function__`.

A differentiable function has an adapter with NumPy's signature, composed of ops: `registry` holds the table, the files
`ufuncs`, `reductions`, `shapes`, `joining`, `products`, `pointwise` and `creation` fill it. Every other function, and
every argument that an adapter does not handle, is computed by NumPy on the values (`on_values`) if no gradient is lost
by that; else it is a GraphError. So a call returns NumPy's answer or raises a typed error.

The tables load with the first call of a NumPy function on a Tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.tensor_class import Tensor, seen_on_the_type

if TYPE_CHECKING:
    from collections.abc import Callable

run_ufunc: Callable[..., Any] | None = None  # set by the first call of a NumPy function on a Tensor
run_function: Callable[..., Any] | None = None


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """NumPy's universal functions: `np_array * t`, `np.exp(t)`, `np.add.reduce(t)`."""
    if run_ufunc is None:
        load()
    return run_ufunc(ufunc, method, inputs, kwargs)  # type: ignore[misc]


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's other functions: `np.sum(t)`, `np.concatenate([t, t])`."""
    if run_function is None:
        load()
    return run_function(function, args, kwargs)  # type: ignore[misc]


def load() -> None:
    """Load the tables."""
    global run_function, run_ufunc
    from . import tables, ufuncs

    run_function, run_ufunc = tables.run, ufuncs.run


def attach() -> None:
    """Give Tensor NumPy's protocols."""
    Tensor.__array_ufunc__ = seen_on_the_type(array_ufunc)  # type: ignore[attr-defined]
    Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
