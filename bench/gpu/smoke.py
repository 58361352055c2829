"""The first look: does it import, is there a device, does an op of each kind give what the CPU gives.

Each check stands alone, so the first run on a new machine names all that is wrong at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import machine
from .parts import halves

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}


def run(report: Report, settings: Settings) -> None:
    """All checks."""
    if not report.check("import and device", lambda: device(report, settings)):
        return
    import gradengine as ge

    where = "cpu" if settings.device == "cpu" else "cuda:0"
    checks = {f"{name}, float32": lambda f=f: beside_cpu(ge, f, where, np.float32) for name, f in COMPARED.items()}
    checks |= {name: lambda f=f: f(ge, where) for name, f in STEPS.items()}
    checks |= {f"product of {name}": lambda n=name: half_precision(ge, n, where) for name in halves(report)}
    if settings.device != "cpu":
        checks["exchange without a copy"] = lambda: exchange(ge, settings)
    if not settings.emulate:
        checks |= {f"{name}, float64": lambda f=f: beside_cpu(ge, f, where, np.float64) for name, f in COMPARED.items()}
    for name, function in checks.items():
        report.check(name, function)


def device(report: Report, settings: Settings) -> str:
    """The device's name, and where a new Tensor lives."""
    settings.prepare()
    import gradengine as ge

    if settings.device == "cpu":
        return "on the CPU"
    if not ge.cuda.is_available():
        raise RuntimeError(f"no CUDA device: {ge.backends()['cupy']}")
    import cupy

    report.fact("cupy", machine.EMULATION if settings.emulate else cupy.__version__)
    if not settings.emulate:
        report.fact("CUDA runtime", cupy.cuda.runtime.runtimeGetVersion())
    where = ge.zeros(3).device
    if where != "cuda:0":
        raise RuntimeError(f"a new Tensor is on {where}")
    return f"{ge.cuda.device_count()} device(s), the first is {ge.cuda.get_device_name(0)}"


def inputs(dtype: Any) -> dict[str, Any]:
    """Random arrays, the same each time."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal(shape).astype(dtype)
    return {
        "x": normal(37, 65),
        "w": normal(65, 21),
        "b": normal(65),
        "image": normal(2, 3, 9, 9),
        "index": rng.integers(0, 37, 50),
        "labels": rng.integers(0, 65, 37),
        "large": normal(1000, 333),
    }


def beside_cpu(ge: Any, function: Callable[..., Any], where: str, dtype: Any) -> str:
    """How far the function's results on the device are from those on the CPU. Raises when that is too far."""
    results = []
    for place in ("cpu", where):
        given = {name: ge.tensor(a, device=place) for name, a in inputs(dtype).items()}
        found = function(ge, **given)
        results.append([to_numpy(y) for y in (found if isinstance(found, (tuple, list)) else [found])])
    return compare(*results)


def to_numpy(tensor: Any) -> Any:
    """The Tensor's values on the host."""
    return np.asarray(tensor.detach().to("cpu").numpy())


def compare(want: list[Any], got: list[Any], tolerance: float | None = None) -> str:
    """How far `got` is from `want`, relative to the largest element. Raises when shape, dtype or values are wrong."""
    worst = 0.0
    for w, g in zip(want, got, strict=True):
        if (w.shape, w.dtype) != (g.shape, g.dtype):
            raise ValueError(f"{g.dtype}{list(g.shape)} instead of {w.dtype}{list(w.shape)}")
        scale = max(1e-30, float(np.abs(w.astype(np.float64)).max(initial=0.0)))
        off = float(np.abs(w.astype(np.float64) - g.astype(np.float64)).max(initial=0.0)) / scale
        worst = max(worst, off)
        allowed = tolerance or TOLERANCE.get(w.dtype, 0.0)
        if not off <= allowed:  # NaN is not
            raise ValueError(f"off by {off:.1e} of the largest element (allowed {allowed:.1e})")
    return f"off by {worst:.1e}"


OPS: dict[str, Callable[..., Any]] = {
    "pointwise": lambda ge, x, b, **_: ge.tanh(x * b) + ge.exp(-x * x),
    "strided and broadcast": lambda ge, x, b, **_: x[::2, ::-1].mT + b[:, None],
    "comparison and where": lambda ge, x, **_: ge.where(x > 0, x, 0.1 * x),
    "reductions": lambda ge, x, **_: (x.sum(), x.sum(0), x.mean(1), ge.amax(x, -1), ge.argmax(x, 0), x.var()),
    "large reductions": lambda ge, large, **_: (large.sum(), large.sum(0), large.sum(1), ge.logsumexp(large, -1)),
    "softmax": lambda ge, x, **_: ge.softmax(x, axis=-1),
    "layer norm": lambda ge, x, b, **_: ge.nn.functional.layer_norm(x, (65,), b, b),
    "matmul": lambda ge, x, w, **_: (x @ w, x.mT @ x, w.mT @ x.mT),
    "batched matmul": lambda ge, image, **_: image @ image.mT,
    "linear": lambda ge, x, w, b, **_: ge.linear(x, w.mT, b[:21]),
    "gather": lambda ge, x, index, **_: (x[index], ge.take(x, index, axis=0)),
    "scatter-add": lambda ge, x, index, **_: ge.index_add(x, 0, index, x[index]),
    "sort": lambda ge, x, **_: (ge.sort(x), *ge.topk(x, 3), ge.argsort(x)),
    "cumulative": lambda ge, x, **_: ge.cumsum(x, 0),
    "joining": lambda ge, x, **_: ge.concat([x, x + 1], axis=1),
    "random": lambda ge, x, **_: (ge.manual_seed(3), ge.rand((40, 3), device=x.device))[1:],
}


def gradients_of(loss: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """The function that gives the gradients of a loss by the inputs of these names."""

    def function(ge: Any, **given: Any) -> Any:
        wanted = [given[name].requires_grad_() for name in names]
        return ge.grad(loss(ge, **given), wanted)

    return function


GRADIENTS = {
    "gradient of an MLP": gradients_of(
        lambda ge, x, w, b, labels, **_: ge.nn.functional.cross_entropy(ge.tanh(x @ w) @ w.mT + b, labels),
        "x",
        "w",
        "b",
    ),
    "gradient of gather": gradients_of(lambda ge, x, index, **_: (x[index] ** 2).sum(), "x"),
    "gradient of layer norm": gradients_of(
        lambda ge, x, b, **_: (ge.nn.functional.layer_norm(x, (65,), b, b) ** 3).sum(), "x", "b"
    ),
    "gradient of softmax": gradients_of(lambda ge, x, b, **_: (ge.softmax(x, axis=-1) * b).sum(), "x"),
}

COMPARED = {**OPS, **GRADIENTS}


def trained(ge: Any, where: str, how: str, optimizer: str = "SGD") -> list[Any]:
    """The losses and weights of six steps of a small MLP: eager, jitted, or jitted over all batches in one call."""
    rng = np.random.default_rng(1)
    model = ge.nn.Sequential(ge.nn.Linear(20, 16), ge.nn.ReLU(), ge.nn.Linear(16, 5)).to(where)
    names = model.state_dict()
    model.load_state_dict({name: rng.standard_normal(w.shape).astype(np.float32) / 4 for name, w in names.items()})
    make = {"SGD": lambda p: ge.optim.SGD(p, lr=0.1, momentum=0.9), "Adam": lambda p: ge.optim.Adam(p, lr=0.01)}
    updates = make[optimizer](model.parameters())
    x = ge.tensor(rng.standard_normal((48, 20)).astype(np.float32), device=where)
    y = ge.tensor(rng.integers(0, 5, 48), device=where)

    def step(x: Any, y: Any) -> Any:
        loss = ge.nn.functional.cross_entropy(model(x), y)
        updates.zero_grad()
        loss.backward()
        updates.step()
        return loss

    jitted = ge.jit(step)
    if how == "over":
        losses = to_numpy(jitted.over(x, y, batch_size=8))
    else:
        chosen = jitted if how == "jit" else step
        losses = np.stack([to_numpy(chosen(x[i : i + 8], y[i : i + 8])) for i in range(0, 48, 8)])
    return [losses, *map(to_numpy, model.parameters())]


STEPS: dict[str, Callable[..., str]] = {
    f"six steps {how}, {optimizer}, as eager on the CPU": (
        lambda ge, where, how=how, optimizer=optimizer: compare(
            trained(ge, "cpu", "eager", optimizer), trained(ge, where, how, optimizer), 1e-4
        )
    )
    for how in ("eager", "jit", "over")
    for optimizer in ("SGD", "Adam")
}


def exchange(ge: Any, settings: Settings) -> str:
    """A Tensor seen by PyTorch and CuPy at the same address, and back."""
    x = ge.arange(6).reshape((2, 3)) * 1.0
    seen = []
    import cupy

    if cupy.from_dlpack(x).data.ptr != x.array.data.ptr:
        raise ValueError("CuPy got a copy")
    seen.append("CuPy")
    if settings.torch:
        import torch

        theirs = torch.from_dlpack(x)
        if theirs.data_ptr() != x.array.data.ptr or ge.from_dlpack(theirs).array.data.ptr != x.array.data.ptr:
            raise ValueError("PyTorch got a copy")
        seen.append("PyTorch")
    return ", ".join(seen)


def half_precision(ge: Any, name: str, where: str) -> str:
    """A product beside float64."""
    rng, dtype = np.random.default_rng(0), getattr(ge, name)
    a, b = rng.standard_normal((2, 64, 64))
    product = ge.tensor(a, dtype=dtype, device=where) @ ge.tensor(b, dtype=dtype, device=where)
    if product.dtype != dtype:
        raise ValueError(f"a product of {name} is {product.dtype}")
    return compare([a @ b], [to_numpy(product.to(ge.float64))], 3e-2)
