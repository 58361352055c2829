"""Kernels over 1e8 float32 numbers, as a share of the bandwidth of a copy that is measured in the same turns.

Bytes are counted as the fewest that must move: every input read once and every result written once. PyTorch's compiled
forms come last, since nothing depends on them.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import timing
from . import torch_peers
from .overhead import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

ROWS, COLUMNS, FLOAT = 100_000, 1000, 4
LEAST = 0.85
SAMPLE = 16  # rows at each end that are compared with float64 on the CPU
ADAM = "Adam"
COPY = "copy"

# m is the library, f its functional namespace; all treat rows alone, so a few rows can be checked by themselves.
KERNELS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "pointwise chain": lambda m, f, x: m.exp(-x * x) * m.tanh(x + 0.5) + x / (1.0 + x * x),
    "gelu": lambda m, f, x: f.gelu(x),
    "softmax": lambda m, f, x: f.softmax(x, -1),
    "layer norm": lambda m, f, x: f.layer_norm(x, (x.shape[-1],)),
}
ONE_OP = ("gelu", "softmax", "layer norm")  # one kernel without jit too
COUNT = {**dict.fromkeys(KERNELS, 2), ADAM: 7, COPY: 2}  # arrays that move; for Adam p, m, v both ways and the gradient


def run(report: Report, settings: Settings) -> None:
    """The copy, each kernel, and Adam; then the same with PyTorch's compiled forms."""
    settings.prepare()
    rows, columns = (20, 100) if settings.tiny else (ROWS, COLUMNS)
    # Drawing 1e8 numbers on the host would take longer than all measurements.
    few = np.random.default_rng(0).standard_normal((rows // 10, columns), np.float32)
    data = np.tile(few, (10, 1))
    report.fact("bytes of one array", data.nbytes)
    copying = report.attempt(COPY, lambda: copy(data, settings), True)
    for title in (*KERNELS, ADAM):
        made = ours(title, data) | (torch_eager(title, data, settings) if settings.torch else {})
        measure(report, settings, title, copying, data.nbytes, made)
    for title in (*KERNELS, ADAM) if settings.torch else ():
        if report.left() < 12:
            report.note("PyTorch compile: the rest is left out, since the time is short")
            break
        measure(report, settings, title, copying, data.nbytes, torch_compiled(title, data, settings))


def measure(
    report: Report, settings: Settings, title: str, copying: Any, array: int, makers: dict[str, Callable[[], Any]]
) -> None:
    """One kernel's candidates in turns with the copy; `array` is the bytes of one array. What is ours has a target."""
    calls = {COPY: copying}
    for name, make in makers.items():
        ours = name.startswith("gradengine")
        wait = settings.synchronize if ours else torch_peers.wait(settings.device)
        calls[name] = report.attempt(f"{title}, {name}", lambda f=make, w=wait: waiting(f(), w, settings.burst), ours)
    times = timing.in_turns({k: call for k, call in calls.items() if call}, settings.rounds, settings.target)
    nbytes = {name: settings.burst * array * COUNT[COPY if name == COPY else title] for name in times}
    for name, values in times.items():
        if name == COPY and any(row["row"] == COPY for row in report.found["rows"]):
            continue
        middle = statistics.median(values)
        numbers = {"ms": middle / settings.burst * 1e3, "GB/s": nbytes[name] / middle / 1e9}
        share = shares(times, nbytes, name)
        report.row(name if name == COPY else f"{title}, {name}", **numbers, **{"of the copy": share})
    wanted = {name for name in makers if name == "gradengine jit" or (name == "gradengine eager" and title in ONE_OP)}
    for name in sorted(wanted) if settings.peers else ():  # the emulator has no bandwidth
        report.target(f"{title}, {name}: share of the copy's bandwidth", shares(times, nbytes, name), least=LEAST)


def shares(times: dict[str, list[float]], nbytes: dict[str, int], name: str) -> float | None:
    """A candidate's bandwidth over the copy's: the median of the turns."""
    if name not in times or COPY not in times:
        return None
    turns = zip(times[name], times[COPY], strict=True)
    return statistics.median(nbytes[name] / own / (nbytes[COPY] / copied) for own, copied in turns)


def copy(data: Any, settings: Settings) -> Callable[[], None]:
    """Copies on the device, by the driver."""
    import gradengine as ge

    source = ge.asarray(data).array
    if settings.device == "cpu":
        target = np.empty_like(source)
        return waiting(lambda: np.copyto(target, source), settings.synchronize, settings.burst)
    import cupy

    target, stream = cupy.empty_like(source), cupy.cuda.get_current_stream()
    one = lambda: target.data.copy_from_device_async(source.data, data.nbytes, stream)
    return waiting(one, settings.synchronize, settings.burst)


def ours(title: str, data: Any) -> dict[str, Callable[[], Callable[[], Any]]]:
    """gradengine op by op and jitted; each result is compared with the CPU's once."""
    import gradengine as ge

    def make(wrap: Callable[[Any], Any]) -> Callable[[], Any]:
        x = ge.asarray(data)
        if title == ADAM:
            p = ge.zeros(x.shape).requires_grad_()
            p.grad = x
            optimizer = ge.optim.Adam([p], lr=0.001)
            return wrap(lambda: optimizer.step())
        kernel = KERNELS[title]
        function = wrap(lambda x: kernel(ge, ge.nn.functional, x))
        check(ge, kernel, data, function(x))
        return lambda: function(x)

    return {"gradengine eager": lambda: make(lambda f: f), "gradengine jit": lambda: make(ge.jit)}


def check(ge: Any, kernel: Any, data: Any, y: Any) -> None:
    """Raise when the first or last rows are not what float64 on the CPU gives."""
    for rows in (slice(0, SAMPLE), slice(-SAMPLE, None)):
        want = kernel(ge, ge.nn.functional, ge.tensor(data[rows].astype(np.float64), device="cpu")).numpy()
        off = float(np.abs(y[rows].to("cpu").numpy() - want).max() / np.abs(want).max())
        if not off < 1e-5:
            raise ValueError(f"rows {rows.start} and on are off by {off:.1e} of the largest element")


def torch_eager(title: str, data: Any, settings: Settings) -> dict[str, Callable[[], Callable[[], Any]]]:
    """PyTorch op by op; its Adam in two forms."""
    if title == ADAM:
        forms = ("foreach", "fused")
        return {f"PyTorch eager ({form})": lambda form=form: torch_adam(data, settings, form).step for form in forms}
    return {"PyTorch eager": lambda: torch_kernel(title, data, settings, compiled=False)}


def torch_compiled(title: str, data: Any, settings: Settings) -> dict[str, Callable[[], Callable[[], Any]]]:
    """PyTorch compiled."""
    if title != ADAM:
        return {"PyTorch compile": lambda: torch_kernel(title, data, settings, compiled=True)}

    def adam() -> Callable[[], Any]:
        import torch

        return torch.compile(torch_adam(data, settings, "foreach").step, dynamic=False)

    return {"PyTorch compile": adam}


def torch_kernel(title: str, data: Any, settings: Settings, compiled: bool) -> Callable[[], Any]:
    """A kernel on PyTorch."""
    import torch

    kernel, functional = KERNELS[title], torch.nn.functional
    x = torch.from_numpy(data).to(settings.device)
    function = lambda x: kernel(torch, functional, x)
    if compiled:
        function = torch.compile(function, dynamic=False)
    return lambda: function(x)


def torch_adam(data: Any, settings: Settings, form: str) -> Any:
    """PyTorch's Adam with one parameter."""
    import torch

    p = torch.zeros(data.shape, device=settings.device, requires_grad=True)
    p.grad = torch.from_numpy(data).to(settings.device)
    return torch.optim.Adam([p], lr=0.001, **{form: True})
