"""Compile, for real GPUs, every CUDA source that a run of the tests has emulated. No GPU is needed.

    python -m tests.cuda.nvrtc [folder]

The folder is that of the last run unless it is named. A warning is an error, and so is local memory that nothing
explains: an array that ptxas has not kept in registers, or has had no room for, is read and written many times as
slowly. Many kernels share a prelude and are compiled together; where that fails each is compiled alone, and those to
blame are printed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import multiprocessing
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from . import toolchain

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
SHARE = 4  # one batch in so many is compiled for the architectures besides MEASURED: code depends little on them
TOGETHER = 24  # kernels in one compilation: more are hardly faster, and spread badly over two processes
# CuPy says the first. The second keeps quiet about variables that nobody reads: generated code may have some.
ALWAYS = ("-ftz=true", "-diag-suppress=177")

MEASURED = "sm_90"  # for which ptxas says what each kernel needs
USAGE = re.compile(
    r"Compiling entry function '(\w+)'.*\n.*\n\D*(\d+) bytes stack frame, (\d+) bytes spill stores.*\n.*Used (\d+) reg"
)
OTHERS = tuple(architecture for architecture in ARCHITECTURES if architecture != MEASURED)
INFO = re.compile(r"^ptxas (?:info\s*:|\s+\.).*\n?", re.M)
MOST_SPILLED = 64  # bytes: ptxas may find that a few registers less are worth it for one more block
SMALL_FRAME = 8  # bytes, which calls need
TRIGONOMETRY = re.compile(r"\b(?:sin|cos|tan)f?\(")  # whose library keeps the words of 2/pi for large angles in memory
TRIGONOMETRIC_FRAME = 40
POWER = re.compile(r"\bpow\(")  # in double precision: a function that is called, and keeps what the caller still needs
POWER_FRAME = 64


Batch = tuple[tuple[str, ...], str, list[str]]  # options, prelude, and the codes that follow it


class Usage(NamedTuple):
    """What a kernel needs of the device, memory in bytes."""

    kernel: str
    frame: int
    spilled: int
    registers: int

    def explained(self, code: str) -> bool:
        """Whether its local memory is no more than is to be expected of this code."""
        frame = POWER_FRAME if POWER.search(code) else SMALL_FRAME
        frame = max(frame, TRIGONOMETRIC_FRAME) if TRIGONOMETRY.search(code) else frame
        return self.spilled <= MOST_SPILLED and self.frame - -(-self.spilled // 8) * 8 <= frame


class Rejected(Exception):
    """NVRTC's log of a source that it does not take, or only with a warning."""


def checked(result: tuple[Any, ...]) -> Any:
    """What a function of NVRTC gives besides its status."""
    from cuda.bindings import nvrtc

    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(nvrtc.nvrtcGetErrorString(result[0])[1].decode())
    return result[1] if len(result) == 2 else result[1:]


def compile_source(source: str, options: tuple[str, ...]) -> list[Usage]:
    """Compile to machine code, and say what its kernels need, if the options ask for that. Raises Rejected."""
    from cuda.bindings import nvrtc

    program = checked(nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []))
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        room = bytearray(checked(nvrtc.nvrtcGetProgramLogSize(program)))
        checked(nvrtc.nvrtcGetProgramLog(program, room))
        log = room.rstrip(b"\0\n ").decode()
        said = INFO.sub("", log).strip()
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS or said:
            raise Rejected(said or str(status))
        return [Usage(name, *map(int, numbers)) for name, *numbers in USAGE.findall(log)]
    finally:
        checked(nvrtc.nvrtcDestroyProgram(program))


def read(path: Path) -> tuple[tuple[str, ...], str, str]:
    """A recorded source: its options, its prelude, and its own code."""
    first, _, source = path.read_text().partition("\n")
    options = tuple(option for option in first.removeprefix("// options:").split() if not option.startswith("-arch"))
    return options, *toolchain.halves(source)


def batches(sources: list[tuple[tuple[str, ...], str, str]]) -> list[Batch]:
    """Sources that can be compiled together: the same options and prelude, and no name twice."""
    made: list[Batch] = []
    names: list[set[str]] = []
    for options, prelude, code in sources:
        defined = set(toolchain.pieces(code)) | {name for _, name in toolchain.KERNEL.findall(code)}
        for batch, taken in zip(made, names):
            if "#define" in code or "#define" in batch[2][0]:
                continue  # a macro would be one for the others too
            if batch[:2] == (options, prelude) and len(batch[2]) < TOGETHER and prelude and not taken & defined:
                batch[2].append(code)
                taken |= defined
                break
        else:
            made.append((options, prelude, [code]))
            names.append(defined)
    return made


def chosen(made: list[Batch], *, every: bool) -> list[tuple[Batch, str]]:
    """What is compiled for which architecture: everything for MEASURED, and for the others a share each."""
    work = [(batch, MEASURED) for batch in made]
    for first, architecture in enumerate(OTHERS):
        work += [(batch, architecture) for batch in (made if every else made[first::SHARE])]
    return work


def compile_batch(batch: Batch, architecture: str) -> tuple[list[str], list[Usage]]:
    """What was found wrong with a batch, a report for each source to blame; and what its kernels need, if measured."""
    options, prelude, codes = batch
    measured = ("--ptxas-options=-v",) if architecture == MEASURED else ()
    every = (*options, *ALWAYS, *measured, f"-arch={architecture}")
    try:
        usages = compile_source(prelude + "\n".join(codes), every)
    except Rejected as together:
        found = []
        for code in codes if len(codes) > 1 else ():
            try:
                compile_source(prelude + code, every)
            except Rejected as error:
                found.append(f"-- {architecture} --\n{code.strip()}\n-- log --\n{error}")
        return found or [f"-- {architecture} --\n{chr(10).join(codes).strip()}\n-- log --\n{together}"], []
    of_kernel = {name: code for code in codes for _, name in toolchain.KERNEL.findall(code)}
    if measured and {usage.kernel for usage in usages} != set(of_kernel):
        return [f"-- {architecture} --\nptxas does not say what is needed by {', '.join(of_kernel)}"], usages
    reports = [
        f"-- {architecture} --\n{of_kernel[usage.kernel].strip()}\n-- local memory --\n"
        f"{usage.kernel}: {usage.frame} bytes, {usage.spilled} of them for registers that were spilled"
        for usage in usages
        if not usage.explained(of_kernel[usage.kernel])
    ]
    return reports, usages


def last_run() -> Path | None:
    """The folder of the newest run that has emulated anything."""
    runs = (toolchain.cache_folder() / "sources").glob("*")
    return next((run for run in sorted(runs, reverse=True) if any(run.glob("*.cu"))), None)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cuda.nvrtc", description="Compile the emulated CUDA sources."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where a run of the tests has left its sources")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="compile each source for every architecture")
    given = parser.parse_args(arguments)
    folder = given.folder or last_run()
    paths = sorted(folder.glob("*.cu")) if folder is not None else []
    if not paths:
        print(f"nvrtc: no source was recorded in {folder or 'any run'}; run the tests first", file=sys.stderr)
        return 1
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        print("nvrtc: needs cuda-bindings and nvidia-cuda-nvrtc: pip install '.[test]'", file=sys.stderr)
        return 1
    print(f"nvrtc: the sources of {folder}", flush=True)
    start = time.perf_counter()
    sources = [read(path) for path in paths]
    kernels = sum(len(toolchain.KERNEL.findall(code)) for _, _, code in sources)
    work = chosen(batches(sources), every=given.all)
    spawn = multiprocessing.get_context("spawn")  # whoever calls may have threads, which a fork does not like
    with concurrent.futures.ProcessPoolExecutor(given.processes, spawn) as pool:
        results = []
        for result in pool.map(compile_batch, *zip(*work)):
            results.append(result)
            if len(results) % 100 == 0:
                print(f"nvrtc: {len(results)} of {len(work)} compilations", flush=True)
    reports = [report for found, _ in results for report in found]
    usages = [usage for _, found in results for usage in found]
    print("\n\n".join(reports), file=sys.stderr, end="\n" if reports else "")
    seconds = time.perf_counter() - start
    print(
        f"nvrtc: {kernels} kernels in {len(sources)} sources for {MEASURED}, {'all' if given.all else 'some'} of them "
        f"for {' and '.join(OTHERS)}, in {seconds:.0f} s: {len(reports)} rejected"
    )
    if usages:
        spilling = [usage.spilled for usage in usages if usage.spilled]
        most = max(usages, key=lambda usage: usage.registers)
        print(
            f"nvrtc: on {MEASURED}, {len(spilling)} of {len(usages)} kernels spill, none more than "
            f"{max(spilling, default=0)} bytes; {most.kernel} has most registers: {most.registers}"
        )
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main())
