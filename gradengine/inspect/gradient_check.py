"""Check gradients against central differences: is the gradient that a function gives the slope of its values?

`gradcheck` looks at the first order, `gradgradcheck` at the gradients' own gradients; both under PyTorch's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.autodiff import grad
from ..core.dispatch import enable_grad, no_grad
from ..core.tensor_class import Tensor, constant
from ..errors import ArgumentError, DTypeError, GradengineError, describe
from ..shapes.dtypes import is_floating
from ..validation import known_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class GradcheckError(GradengineError, RuntimeError):
    """A gradient that differs from the slope of the values."""


@known_words
def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """True when the gradients of `func(*inputs)` are its slopes, (f(x + eps) - f(x - eps)) / (2 eps).

    Looks at every element of every input that requires grad (those must be float64) and every floating-point
    output. An analytic value a and a numeric value n agree when |a - n| <= atol + rtol |n|; two backward passes may
    differ by `nondet_tol`. Raises GradcheckError where they do not agree, naming the input, the element and both
    values, or returns False when `raise_exception` is false. Raises DTypeError for an input that is not float64,
    ArgumentError when no input requires grad.

    >>> import gradengine as ge
    >>> x = ge.tensor([1.0, 2.0], dtype=ge.float64, requires_grad=True)
    >>> ge.autograd.gradcheck(ge.tanh, x)
    True
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [(i, x) for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ArgumentError("gradcheck: no input requires grad; create the ones to check with requires_grad=True")
    for i, x in checked:
        if x.dtype != np.float64:
            raise DTypeError(
                f"gradcheck: input {i} is {x.dtype}; differences need double precision, use .to(ge.float64)"
            )
    try:
        compare(func, arguments, checked, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


@known_words
def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """True when the gradients of the gradients of `func(*inputs)` are slopes too.

    `grad_outputs` are the cotangents that the first gradients start from, one per floating-point output; random ones
    are drawn when None, from a generator of their own. Tolerances and errors are those of `gradcheck`.

    >>> import gradengine as ge
    >>> x = ge.tensor([1.0, 2.0], dtype=ge.float64, requires_grad=True)
    >>> ge.autograd.gradgradcheck(ge.tanh, x)
    True
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    with enable_grad():
        outputs = floating_outputs(func(*arguments))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = [Tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True) for y in outputs]
    else:
        given = grad_outputs if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
        seeds = [g if g.requires_grad else g.detach().requires_grad_() for g in given]
    if len(seeds) != len(outputs):
        raise ArgumentError(f"gradgradcheck: {len(outputs)} outputs but {len(seeds)} grad_outputs")

    def gradients(*values: Any) -> tuple[Tensor, ...]:
        """The first gradients, as a function of the inputs and of the cotangents that they start from."""
        points, starts = values[: len(arguments)], values[len(arguments) :]
        with enable_grad():
            found = [(y, g) for y, g in zip(floating_outputs(func(*points)), starts, strict=True) if y.requires_grad]
            wanted = [x for x in points if isinstance(x, Tensor) and x.requires_grad]
            results = grad([y for y, _ in found], wanted, [g for _, g in found], create_graph=True, allow_unused=True)
        return tuple(g for g in results if g is not None)

    return gradcheck(
        gradients,
        (*arguments, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def floating_outputs(result: Any) -> list[Tensor]:
    """The floating-point Tensors that a function returned. Raises DTypeError when there is none."""
    values = result if isinstance(result, (tuple, list)) else (result,)
    found = [y for y in values if isinstance(y, Tensor) and is_floating(y.dtype)]
    if not found:
        raise DTypeError(f"gradcheck: the function must return a floating-point Tensor, got {describe(result)}")
    return found


def compare(
    func: Callable[..., Any],
    arguments: tuple[Any, ...],
    checked: Sequence[tuple[int, Tensor]],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """Raise GradcheckError at the first element whose analytic and numeric slopes do not agree."""
    with enable_grad():
        outputs = floating_outputs(func(*arguments))
    numeric = {i: slopes(func, arguments, i, eps) for i, _ in checked}
    targets = [x for _, x in checked]
    for j, y in enumerate(outputs):
        for row in range(y.size):
            analytic = one_row(y, row, targets)
            again = one_row(y, row, targets)
            where = position(y.shape, row)
            for (i, x), a, b in zip(checked, analytic, again, strict=True):
                expected = numeric[i][j][:, row]
                difference = np.abs(a - b)
                if np.any(difference > nondet_tol):
                    raise GradcheckError(
                        f"gradcheck: two backward passes of output {j}{where} disagree by {difference.max():.3g} in "
                        f"input {i}: the gradient is not deterministic"
                    )
                bad = ~(np.abs(a - expected) <= atol + rtol * np.abs(expected)) & ~(np.isnan(a) & np.isnan(expected))
                if bad.any():
                    worst = int(np.argmax(np.where(bad, np.nan_to_num(np.abs(a - expected), nan=np.inf), -1.0)))
                    raise GradcheckError(
                        f"gradcheck: d output {j}{where} / d input {i}{position(x.shape, worst)}: "
                        f"analytic {a[worst]:.8g}, numeric {expected[worst]:.8g} "
                        f"({int(bad.sum())} of {bad.size} elements of this row differ; input {i} has shape {x.shape}, "
                        f"output {j} {y.shape})"
                    )


def position(shape: tuple[int, ...], flat: int) -> str:
    """An element's index as it is written in Python; nothing for a 0-d array."""
    return f"[{', '.join(str(int(n)) for n in np.unravel_index(flat, shape))}]" if shape else ""


def one_row(y: Tensor, row: int, targets: list[Tensor]) -> list[np.ndarray[Any, Any]]:
    """The gradients of element `row` of y, flat; zeros where y does not depend on a target."""
    if not y.requires_grad:
        return [np.zeros(x.size) for x in targets]
    seed = np.zeros(y.size, y.dtype)
    seed[row] = 1
    start = constant(y.backend.asarray(seed.reshape(y.shape)), y.backend)
    found = grad(y, targets, start, retain_graph=True, allow_unused=True)
    return [
        np.zeros(x.size) if g is None else np.array(g.numpy(force=True), np.float64).reshape(-1)
        for x, g in zip(targets, found, strict=True)
    ]


def slopes(func: Callable[..., Any], arguments: tuple[Any, ...], i: int, eps: float) -> list[np.ndarray[Any, Any]]:
    """Per output, the slope of each of its elements (columns) in each element of input i (rows)."""
    x = arguments[i]
    values = np.array(x.numpy(force=True))

    def at(flat: int, change: float) -> list[np.ndarray[Any, Any]]:
        moved = values.copy()
        moved.reshape(-1)[flat] += change
        # It requires grad as the original does, for functions that take gradients inside.
        point = constant(x.backend.asarray(moved), x.backend).requires_grad_()
        with no_grad():
            result = func(*arguments[:i], point, *arguments[i + 1 :])
        return [np.array(y.numpy(force=True), np.float64).reshape(-1) for y in floating_outputs(result)]

    columns = [
        [(up - down) / (2 * eps) for up, down in zip(at(flat, eps), at(flat, -eps), strict=True)]
        for flat in range(values.size)
    ]
    if not columns:
        return [np.zeros((0, y.size)) for y in floating_outputs(func(*arguments))]
    return [np.array([column[j] for column in columns]) for j in range(len(columns[0]))]
