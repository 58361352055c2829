"""Run the case table on this machine: every row, on every available backend, at first and second order.

`check_case` is what both the test-suite and `gradengine check` run: the float32 forward against the float64
reference, gradients and gradients of gradients in float64 against central differences, and how far the backends
are apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import devices
from ..cases import table
from ..core.autodiff import grad
from ..core.tensor_class import Tensor
from ..shapes.dtypes import is_floating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..cases import Case


@dataclasses.dataclass
class Result:
    """What one row showed on one backend; errors are relative to the largest element, None where not defined."""

    case: str
    backend: str
    forward: float | None = None
    first: float | None = None
    second: float | None = None
    ulp: int | None = None
    failures: list[str] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True when nothing was out of tolerance."""
        return not self.failures


@contextlib.contextmanager
def on_backend(name: str, every_size: bool = True) -> Iterator[None]:
    """Run on backend `name`; with `every_size`, generated kernels run for small arrays too.

    A backend of the CPU is chosen for it; that of a GPU runs as its device becomes the default one.
    """
    backend, chosen, device = devices.load(name), devices.get_cpu_backend(), devices.get_default_device()
    try:
        if backend.device == "cpu":
            devices.set_cpu_backend(name)
        devices.set_default_device(backend.device)
        with backend.every_size() if every_size else contextlib.nullcontext():
            yield
    finally:
        devices.set_cpu_backend(chosen)
        devices.set_default_device(device)


def sample(case: Case, seed: int = 0) -> list[Any]:
    """The row's inputs, the same in every process."""
    return list(case.sample(np.random.default_rng((zlib.crc32(case.name.encode()), seed))))


def is_float(array: Any) -> bool:
    """Whether an input is one to differentiate with respect to."""
    return isinstance(array, np.ndarray) and is_floating(array.dtype)


def in_dtype(arrays: Sequence[Any], dtype: Any) -> list[Any]:
    """The floating-point inputs in another dtype."""
    return [a.astype(dtype) if is_float(a) else a for a in arrays]


def tensors(arrays: Sequence[Any], requires_grad: bool = False) -> list[Any]:
    """Arrays as Tensors; what is not an array stays as it is."""
    return [Tensor(a, requires_grad=requires_grad and is_float(a)) if isinstance(a, np.ndarray) else a for a in arrays]


def forward(case: Case, arrays: Sequence[Any]) -> np.ndarray[Any, Any]:
    """The row's output as NumPy's array."""
    return np.array(case.call(*tensors(arrays)).numpy())


def reference(case: Case, arrays: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    """What NumPy or SciPy says in float64; None when the row has no reference, or SciPy gives it and is not there."""
    if case.reference is None:
        return None
    try:
        return np.asarray(case.reference(*arrays))
    except ModuleNotFoundError:
        return None


def relative_error(got: Any, want: Any) -> float:
    """The largest difference over the largest finite magnitude; infinities and NaNs must agree exactly."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return math.inf
    if got.size == 0:
        return 0.0
    finite = np.isfinite(want)
    if not np.array_equal(np.isfinite(got), finite) or not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        return math.inf
    if not finite.any():
        return 0.0
    scale = max(float(np.abs(want[finite]).max()), 1e-30)
    return float(np.abs(got[finite] - want[finite]).max()) / max(scale, 1.0 if scale < 1e-12 else scale)


def ulp_distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    """The largest number of representable floats between corresponding elements; 0 for equal NaNs and zeros."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.iinfo(np.int64).max
    if not is_floating(a.dtype):
        return 0 if np.array_equal(a, b) else np.iinfo(np.int64).max
    width = np.dtype(f"i{a.dtype.itemsize}")

    def line(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        bits = np.ascontiguousarray(x).view(width).astype(object)
        return np.where(bits < 0, -(bits + 2 ** (8 * width.itemsize - 1)), bits)

    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if bool(np.all(same)):
        return 0
    gap = np.abs(line(np.atleast_1d(a)) - line(np.atleast_1d(b)))[~np.atleast_1d(same)]
    return int(gap.max())


def numeric_gradient(function: Callable[..., float], arrays: Sequence[Any], i: int) -> np.ndarray[Any, Any]:
    """d(function)/d(arrays[i]) by central differences in float64."""
    found = np.zeros_like(arrays[i])
    for index in np.ndindex(found.shape):
        at = float(arrays[i][index])
        step = 6e-6 * max(1.0, abs(at))
        values = []
        for moved in (at + step, at - step):
            changed = [a.copy() if isinstance(a, np.ndarray) else a for a in arrays]
            changed[i][index] = moved
            values.append(function(*changed))
        found[index] = (values[0] - values[1]) / (2 * step)
    return found


def first_order(case: Case, weights: Any, arrays: Sequence[Any], create_graph: bool = False) -> tuple[Any, list[Any]]:
    """The gradients of sum(weights * output), and the Tensors that they are of."""
    inputs = tensors(arrays, requires_grad=True)
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    output = case.call(*inputs)
    found = grad(output, wanted, weights(output), create_graph=create_graph, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g for g, x in zip(found, wanted, strict=True)], wanted


def check_gradients(case: Case, result: Result, arrays: list[Any]) -> None:
    """First- and second-order gradients in float64 against central differences."""
    from ..core.dispatch import no_grad

    rng = np.random.default_rng(7)
    shape = forward(case, arrays).shape
    v = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)

    def value(*moved: Any) -> float:
        with no_grad():
            return float((case.call(*tensors(moved)).numpy() * v).sum())

    def weights(output: Any) -> Any:
        return Tensor(v.astype(output.dtype))

    floats = [i for i, a in enumerate(arrays) if is_float(a)]
    got, _ = first_order(case, weights, arrays)
    result.first = max(
        (relative_error(np.asarray(g), numeric_gradient(value, arrays, i)) for g, i in zip(got, floats, strict=True)),
        default=0.0,
    )
    if not result.first <= case.rtol:
        result.failures.append(f"first-order gradient is off by {result.first:.1e} (allowed {case.rtol:.1e})")
    if case.order < 2:
        return
    us = [rng.uniform(0.5, 1.5, np.shape(arrays[i])) for i in floats]

    def slope(*moved: Any) -> float:
        found, _ = first_order(case, weights, moved)
        return float(sum((np.asarray(g) * u).sum() for g, u in zip(found, us, strict=True)))

    found, wanted = first_order(case, weights, arrays, create_graph=True)
    recorded = [(g, u) for g, u in zip(found, us, strict=True) if isinstance(g, Tensor) and g.requires_grad]
    if recorded:
        total = grad([g for g, _ in recorded], wanted, [Tensor(u) for _, u in recorded], allow_unused=True)
    else:
        total = (None,) * len(wanted)
    worst = 0.0
    for g, x, i in zip(total, wanted, floats, strict=True):
        want = numeric_gradient(slope, arrays, i)
        have = np.zeros(x.shape) if g is None else np.asarray(g)
        scale = max(1.0, float(np.abs(want).max(initial=0.0)))
        worst = max(worst, float(np.abs(have - want).max(initial=0.0)) / scale)
    result.second = worst
    if not worst <= max(case.rtol, 1e-6):
        result.failures.append(f"second-order gradient is off by {worst:.1e} (allowed {max(case.rtol, 1e-6):.1e})")


def check_case(case: Case, backend: str) -> Result:
    """One row on one backend."""
    result = Result(case.name, backend)
    arrays = in_dtype(sample(case), np.float64)
    single = in_dtype(arrays, np.float32)
    with on_backend(backend), np.errstate(all="ignore"):
        try:
            output = forward(case, single)
            want = reference(case, in_dtype(single, np.float64))
            if want is not None:
                result.forward = relative_error(output, want)
                allowed = case.ulp32 * float(np.finfo(np.float32).eps)
                if not result.forward <= allowed:
                    result.failures.append(f"forward is off by {result.forward:.1e} (allowed {allowed:.1e})")
            if case.order:
                check_gradients(case, result, arrays)
        except Exception as error:  # a row's failure is reported, and the other rows still run
            result.failures.append(f"{type(error).__name__}: {error}")
            return result
    if backend != "numpy":
        with on_backend("numpy"), np.errstate(all="ignore"):
            result.ulp = ulp_distance(output, forward(case, single))
    return result


def run(cases: Sequence[Case] | None = None, names: Sequence[str] | None = None) -> Iterator[Result]:
    """Results for every row on every available backend, as they come."""
    available = [name for name, status in devices.backends().items() if status == "available"]
    for name in names or available:
        for case in cases or table():
            yield check_case(case, name)
