"""Errors that only a device can raise, each in a process of its own, for some leave a process without its device.

`python -m bench.gpu.faults NAME SETTINGS` is such a process: it prints what was said, or fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .parts import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .report import Report

AT_ONCE = 4
BAD = 'extern "C" __global__ void bad(long long where) { ((volatile int*)where)[threadIdx.x] = 1; }'
BROKEN = 'extern "C" __global__ void broken(int* x) { x[0] = undeclared; }'


def run(report: Report, settings: Settings) -> None:
    """All of them, several at once: they compute next to nothing."""
    if settings.device == "cpu":
        report.fact("left out", "the CPU has no such errors")
        return
    names = [name for name in FAULTS if not settings.emulate or name not in REAL]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda name: process(name, settings), names)
        for name, (ok, said) in zip(names, outcomes, strict=True):
            report.add(name, ok, said)


def process(name: str, settings: Settings) -> tuple[bool, str]:
    """Whether the process ended well, and what it said last."""
    command = [sys.executable, "-m", "bench.gpu.faults", name, settings.text()]
    environment = {**os.environ, "GRADENGINE_CUDA_SYNC": "1" if name == "fault, synchronous" else ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines() if line.strip()]
    print(f"--- {name}\n{done.stdout}{done.stderr}")
    return done.returncode == 0, " / ".join(lines[-1:])[:400]


def expect(call: Callable[[], Any], error: type[BaseException], *words: str) -> str:
    """The message with which a call fails. Raises when it does not, or in another way, or without these words."""
    try:
        call()
    except error as said:
        missing = [word for word in words if word.lower() not in str(said).lower()]
        if missing:
            raise ValueError(f"the message lacks {missing}: {said}") from said
        return f"{type(said).__name__}: {said}"
    raise ValueError(f"no {error.__name__} was raised")


def out_of_memory(ge: Any) -> str:
    """Ten times the memory: an error that says what is in use, after which the device still computes."""
    _, total = ge.cuda.mem_get_info()
    kept = ge.ones((1000, 1000))
    message = expect(lambda: ge.zeros((10 * total // 4,)), ge.errors.OutOfMemoryError, "memory")
    if (kept + 1.0).sum().item() != 2e6:
        raise ValueError("the device no longer computes")
    return message


def pool_is_freed(ge: Any) -> str:
    """Memory that only the pool holds is given back when another size needs it."""
    free, _ = ge.cuda.mem_get_info()
    first = ge.empty((free // 4 // 10 * 6,))
    size = first.size
    del first
    second = ge.empty((free // 4 // 10 * 7,))  # does not fit beside what the pool has kept
    return f"{second.size * 4 / 1e9:.0f} GB of {free / 1e9:.0f} GB free, after {size * 4 / 1e9:.0f} GB"


def no_such_device(ge: Any) -> str:
    """A number that no device has."""
    return expect(lambda: ge.zeros(3, device="cuda:99"), ge.errors.DeviceError, "cuda:99")


def two_devices(ge: Any) -> str:
    """Operands on the CPU and on the GPU."""
    return expect(lambda: ge.ones(3) + ge.ones(3, device="cpu"), ge.errors.DeviceError, "cuda:0", "cpu")


def out_of_range(ge: Any) -> str:
    """An index outside the array, where the device alone knows the index; after it, all goes on."""
    x = ge.arange(5) * 1.0
    message = expect(lambda: x[ge.tensor([0, 7])].sum().item(), IndexError)
    if x.sum().item() != 10.0:
        raise ValueError("the device no longer computes")
    return message


def bad_label(ge: Any) -> str:
    """A class that there is not, in a jitted loss."""
    loss = ge.jit(lambda x, y: ge.nn.functional.cross_entropy(x, y))
    return expect(lambda: loss(ge.ones((2, 3)), ge.tensor([0, 3])).item(), IndexError)


def compile_error(ge: Any) -> str:
    """A kernel that is no CUDA C: the error has its source and what the compiler says."""
    from gradengine_kernels.cupy_cuda import driver

    ge.zeros(1)
    try:
        driver.function("broken", BROKEN)
    except driver.CompileError as error:
        if "undeclared" not in error.log or BROKEN not in error.source:
            raise ValueError("source or log are not there") from error
        return str(error).splitlines()[0]
    raise ValueError("no CompileError was raised")


def fault(ge: Any) -> str:
    """A write to no memory, noticed later: named as such, with the advice to set the debug switch."""
    from gradengine_kernels.cupy_cuda import driver

    x = ge.ones(1000)
    driver.launch(driver.function("bad", BAD), 1, 32, (16,))
    message = expect(lambda: (x + 1.0).sum().item(), ge.errors.CudaFaultError, "GRADENGINE_CUDA_SYNC")
    again = expect(lambda: ge.ones(3).sum().item(), ge.errors.GradengineError)
    print(f"later calls say: {again}")
    return message


def fault_when_synchronous(ge: Any) -> str:
    """With the switch set, it is the launch itself that fails."""
    from gradengine_kernels.cupy_cuda import driver

    ge.ones(1000)
    return expect(lambda: driver.launch(driver.function("bad", BAD), 1, 32, (16,)), Exception, "address")


FAULTS: dict[str, Callable[[Any], str]] = {
    "out of memory": out_of_memory,
    "the pool gives back": pool_is_freed,
    "no such device": no_such_device,
    "operands on two devices": two_devices,
    "index out of range": out_of_range,
    "label out of range, jitted": bad_label,
    "a kernel that does not compile": compile_error,
    "fault, asynchronous": fault,
    "fault, synchronous": fault_when_synchronous,
}
REAL = ("the pool gives back", "fault, asynchronous")  # need a real device


def main() -> None:
    """One of them."""
    name, text = sys.argv[1:]
    settings = Settings.read(text)
    settings.prepare()
    import gradengine as ge

    print(FAULTS[name](ge), flush=True)
    os._exit(0)  # after a fault, taking down what is on the device fails too


if __name__ == "__main__":
    main()
