"""What becomes of each call of a NumPy function when its arrays are Tensors: compared with NumPy's own answer."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import gradengine as ge
from docs import numpy_calls

EQUAL, REFUSED, DIFFERENT, BOTH_RAISE = "equal", "refused", "different", "both raise"
# What NumPy leaves undefined: the values of new memory.
UNDEFINED = {"empty_like", "empty"}
# With `overwrite_input` these may leave their array in any order.
REORDERING = {"median", "quantile", "percentile", "nanmedian", "nanquantile", "nanpercentile"}
# These give a view in NumPy and are compared by value; they need no Tensor to come back.
TYPED = (ge.GradengineError, np.linalg.LinAlgError)


def attempt(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    """The answer, or the error."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs), None
        except Exception as error:
            return None, error


def as_tensors(value: Any, made: list[ge.Tensor], grad: bool = False, first_only: bool = False) -> Any:
    """The value with Tensors for arrays, which are added to `made`."""
    if isinstance(value, np.ndarray) and not (first_only and made):
        t = ge.tensor(value, requires_grad=grad and value.dtype.kind == "f")
        made.append(t)
        return t
    if type(value) in (list, tuple):
        return type(value)([as_tensors(item, made, grad, first_only) for item in value])
    if type(value) is dict:
        return {key: as_tensors(item, made, grad, first_only) for key, item in value.items()}
    return value


def fresh(value: Any) -> Any:
    """A copy of arguments, which a function may write to."""
    if isinstance(value, (io.BytesIO, io.StringIO)):
        return type(value)()
    if type(value) in (list, tuple):
        return type(value)([fresh(item) for item in value])
    if type(value) is dict:
        return {key: fresh(item) for key, item in value.items()}
    return copy.copy(value)


def arrays_of(value: Any) -> list[np.ndarray]:
    """The arrays among arguments."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (list, tuple)):
        return [a for item in value for a in arrays_of(item)]
    return [a for item in value.values() for a in arrays_of(item)] if isinstance(value, dict) else []


def wanted_dtype(found: np.dtype, args: Any, asked: bool) -> set[np.dtype]:
    """The dtypes that an answer may have: NumPy's, and float32 where double precision comes of integers or numbers."""
    given = arrays_of(args)
    if found.kind != "f" or asked:
        return {found}
    floats = [a.dtype for a in given if a.dtype.kind == "f"]
    return {found} if np.float64 in floats or (floats and found != np.float64) else {found, np.dtype(np.float32)}


def problem(got: Any, want: Any, args: Any, asked: bool = False) -> str:
    """How an answer differs from NumPy's; "" where it does not."""
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return f"{type(got).__name__} of another length"
        return next((p for g, w in zip(got, want, strict=True) if (p := problem(g, w, args, asked))), "")
    if isinstance(want, (np.ndarray, np.generic)):
        if not isinstance(got, (ge.Tensor, np.ndarray, np.generic, bool, int)):
            return f"a {type(got).__name__} for an array"
        have = got.numpy(force=True) if isinstance(got, ge.Tensor) else np.asarray(got)
        want = np.asarray(want)
        if have.shape != want.shape:
            return f"shape {have.shape} for {want.shape}"
        if have.dtype not in wanted_dtype(want.dtype, args, asked):
            return f"dtype {have.dtype} for {want.dtype}"
        if want.dtype.kind in "fc":
            low = min([a.dtype.itemsize for a in arrays_of(args) if a.dtype.kind == "f"] + [have.dtype.itemsize])
            tolerance = 1e-3 if want.dtype.itemsize == 2 else 1e-9 if low == 8 else 1e-5
            same = np.allclose(have, want, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            same = np.array_equal(have, want)
        return "" if same else f"{have.tolist()} for {want.tolist()}"
    if isinstance(want, np.lib.npyio.NpzFile | np.dtype | type) or want is None or isinstance(want, (str, bool, int)):
        return "" if got == want else f"{got!r} for {want!r}"
    return "" if type(got) is type(want) else f"{type(got).__name__} for {type(want).__name__}"


class Outcome:
    """What became of the calls of one function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = {EQUAL: 0, REFUSED: 0, DIFFERENT: 0, BOTH_RAISE: 0}
        self.wrong: list[str] = []
        self.in_graph = self.refused_grad = self.no_floats = 0
        self.untyped: list[str] = []

    @property
    def tried(self) -> int:
        """How many calls NumPy itself answers."""
        return self.counts[EQUAL] + self.counts[REFUSED] + self.counts[DIFFERENT]


def described(name: str, args: Any, kwargs: Any) -> str:
    """A call, for a message."""
    short = lambda x: f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else repr(x)
    listed = lambda x: f"[{', '.join(map(listed, x))}]" if isinstance(x, (list, tuple)) else short(x)
    return f"np.{name}({', '.join([*map(listed, args), *[f'{k}={listed(v)}' for k, v in kwargs.items()]])})"


def judge(
    name: str, function: Callable[..., Any], args: Any, kwargs: Any, outcome: Outcome, grads: bool = True
) -> None:
    """Try one call with NumPy's arrays, with Tensors, and with Tensors that require grad."""
    theirs = fresh((args, kwargs))
    want, refused = attempt(function, *theirs)
    changed = arrays_of(theirs)
    asked = kwargs.get("dtype") is not None or any([type(x) is str and x in ("f4", "f8") for x in args])
    for first_only in (False, True) if len(arrays_of((args, kwargs))) > 1 else (False,):
        made: list[ge.Tensor] = []
        ours = as_tensors(fresh((args, kwargs)), made, first_only=first_only)
        got, error = attempt(function, *ours)
        text = described(name, args, kwargs) + (" (the first a Tensor)" if first_only else "")
        if error is not None:
            if not isinstance(error, TYPED) and refused is None and "has no attribute" not in str(error):
                outcome.untyped.append(f"{text}: {error!r}")
            outcome.counts[BOTH_RAISE if refused is not None else REFUSED] += 1
            continue
        if refused is not None:
            if isinstance(got, ge.Tensor):
                outcome.wrong.append(f"{text}: answers {got!r}, NumPy raises {refused!r}")
                outcome.counts[DIFFERENT] += 1
            continue
        said = "" if name.rpartition(".")[2] in UNDEFINED else problem(got, want, (args, kwargs), asked)
        if not said and name not in REORDERING:
            after = [np.asarray(x.detach()) if isinstance(x, ge.Tensor) else x for x in flat(ours)]
            said = next(("another effect" for a, b in zip(after, changed, strict=True) if not equal(a, b)), "")
        outcome.counts[DIFFERENT if said else EQUAL] += 1
        if said:
            outcome.wrong.append(f"{text}: {said}")
    if refused is None and grads and any([a.dtype.kind == "f" for a in arrays_of((args, kwargs))]):
        made = []
        ours = as_tensors(fresh((args, kwargs)), made, grad=True)
        got, error = attempt(function, *ours)
        recorded = [t for t in flat_results(got) if isinstance(t, ge.Tensor) and t.requires_grad]
        if error is not None:
            if not isinstance(error, TYPED) and "has no attribute" not in str(error):
                outcome.untyped.append(f"{described(name, args, kwargs)}, requires_grad: {error!r}")
            outcome.refused_grad += 1
        elif recorded:
            outcome.in_graph += 1
        else:
            floats = [w for w in flat_results(want) if isinstance(w, (np.ndarray, np.generic)) and w.dtype.kind in "fc"]
            outcome.no_floats += 1
            if floats and name.removesuffix(".outer") not in NO_GRADIENT:
                outcome.wrong.append(f"{described(name, args, kwargs)}: the gradient vanishes")
                outcome.counts[DIFFERENT] += 1


# Floats that do not depend on the values of the arguments, or only by steps whose gradient is 0 everywhere.
NO_GRADIENT = {
    "zeros_like", "ones_like", "empty_like", "full_like", "imag", "floor", "ceil", "trunc", "rint", "sign", "fix",
    "floor_divide", "asarray_chkfinite", "iscomplexobj", "round", "around", "heaviside", "nextafter", "spacing",
}  # fmt: skip


def flat(value: Any) -> list[Any]:
    """Tensors and arrays among arguments."""
    if isinstance(value, (np.ndarray, ge.Tensor)):
        return [value]
    if isinstance(value, (list, tuple)):
        return [a for item in value for a in flat(item)]
    return [a for item in value.values() for a in flat(item)] if isinstance(value, dict) else []


def flat_results(value: Any) -> list[Any]:
    """The parts of an answer."""
    return [x for item in value for x in flat_results(item)] if isinstance(value, (list, tuple)) else [value]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same."""
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def walked(name: str, function: Callable[..., Any], whole: bool = False) -> Outcome:
    """All calls of one function."""
    outcome = Outcome(name)
    for args, kwargs in numpy_calls.calls(name, function, whole):
        judge(name, function, args, kwargs, outcome)
    if isinstance(function, np.ufunc):
        for method, (args, kwargs) in numpy_calls.methods(function):
            judge(
                f"{name}.{method}",
                getattr(function, method),
                args,
                kwargs,
                outcome,
                grads=method in ("reduce", "outer"),
            )
    return outcome


def slope(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[float, float] | None:
    """The derivative along a direction: by the engine, and by finite differences of NumPy's own function.

    None where there is no gradient, or where the two sides of a kink differ.
    """
    made: list[ge.Tensor] = []
    ours = as_tensors(fresh((args, kwargs)), made, grad=True)
    got, error = attempt(function, *ours)
    recorded = [t for t in flat_results(got) if isinstance(t, ge.Tensor) and t.requires_grad]
    leaves = [t for t in made if t.requires_grad]
    if error is not None or not recorded or any([t.dtype != ge.float64 for t in leaves + recorded]):
        return None
    random = np.random.default_rng(3)
    weights = [random.uniform(0.5, 1.5, t.shape) for t in recorded]
    grads = ge.grad([(t * w).sum() for t, w in zip(recorded, weights, strict=True)], leaves, allow_unused=True)
    directions = [random.uniform(0.5, 1.5, t.shape) for t in leaves]
    mine = sum(float((g.numpy() * d).sum()) for g, d in zip(grads, directions, strict=True) if g is not None)
    at = lambda step: total(function, moved((args, kwargs), directions, step), got, weights)
    with np.errstate(all="ignore"):
        up, here, down = at(1e-6), at(0.0), at(-1e-6)
    right, left = (up - here) / 1e-6, (here - down) / 1e-6
    if not np.isfinite([mine, right, left]).all() or abs(right - left) > 1e-3 * max(1, abs(right)):
        return None
    return mine, (right + left) / 2


def moved(call: Any, directions: list[np.ndarray], step: float) -> Any:
    """The arguments, with floats a step along the directions."""
    call, rest = fresh(call), iter(directions)
    for array in arrays_of(call):
        if array.dtype.kind == "f":
            array += step * next(rest)
    return call


def total(function: Callable[..., Any], call: Any, like: Any, weights: list[np.ndarray]) -> float:
    """NumPy's answer as one number: the same sum of it as that of the engine's answer `like`."""
    answers = flat_results(attempt(function, *call)[0])
    used = [w for w, t in zip(answers, flat_results(like), strict=True) if isinstance(t, ge.Tensor) and t.requires_grad]
    return float(sum([(np.asarray(a) * w).sum() for a, w in zip(used, weights, strict=True)]))
