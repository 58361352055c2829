"""Compile, for real GPUs, every CUDA source that a run of the tests has emulated. No GPU is needed.

    python -m tests.cuda.nvrtc [folder]

The folder is that of the last run unless it is named. A warning is an error. Many kernels share a prelude and are
compiled together; where that fails each is compiled alone, and those to blame are printed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

from . import toolchain

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
TOGETHER = 24  # kernels in one compilation: more are hardly faster, and spread badly over two processes
# CuPy says the first. The second keeps quiet about variables that nobody reads: generated code may have some.
ALWAYS = ("-ftz=true", "-diag-suppress=177")


class Rejected(Exception):
    """NVRTC's log of a source that it does not take, or only with a warning."""


def checked(result: tuple[Any, ...]) -> Any:
    """What a function of NVRTC gives besides its status."""
    from cuda.bindings import nvrtc

    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(nvrtc.nvrtcGetErrorString(result[0])[1].decode())
    return result[1] if len(result) == 2 else result[1:]


def compile_source(source: str, options: tuple[str, ...]) -> int:
    """Compile to machine code, and say how much it is. Raises Rejected."""
    from cuda.bindings import nvrtc

    program = checked(nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []))
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        room = bytearray(checked(nvrtc.nvrtcGetProgramLogSize(program)))
        checked(nvrtc.nvrtcGetProgramLog(program, room))
        log = room.rstrip(b"\0\n ").decode()
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS or log:
            raise Rejected(log or str(status))
        return int(checked(nvrtc.nvrtcGetCUBINSize(program)))
    finally:
        checked(nvrtc.nvrtcDestroyProgram(program))


def read(path: Path) -> tuple[tuple[str, ...], str, str]:
    """A recorded source: its options, its prelude, and its own code."""
    first, _, source = path.read_text().partition("\n")
    options = tuple(option for option in first.removeprefix("// options:").split() if not option.startswith("-arch"))
    return options, *toolchain.halves(source)


def batches(sources: list[tuple[tuple[str, ...], str, str]]) -> list[tuple[tuple[str, ...], str, list[str]]]:
    """Sources that can be compiled together: the same options and prelude, and no name twice."""
    made: list[tuple[tuple[str, ...], str, list[str]]] = []
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


def compile_batch(batch: tuple[tuple[str, ...], str, list[str]], architecture: str) -> list[str]:
    """What was found wrong with a batch: a report for each source to blame."""
    options, prelude, codes = batch
    every = (*options, *ALWAYS, f"-arch={architecture}")
    try:
        compile_source(prelude + "\n".join(codes), every)
        return []
    except Rejected as together:
        found = []
        for code in codes if len(codes) > 1 else ():
            try:
                compile_source(prelude + code, every)
            except Rejected as error:
                found.append(f"-- {architecture} --\n{code.strip()}\n-- log --\n{error}")
        return found or [f"-- {architecture} --\n{chr(10).join(codes).strip()}\n-- log --\n{together}"]


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
    work = [(batch, architecture) for batch in batches(sources) for architecture in ARCHITECTURES]
    spawn = multiprocessing.get_context("spawn")  # whoever calls may have threads, which a fork does not like
    with concurrent.futures.ProcessPoolExecutor(given.processes, spawn) as pool:
        reports = [report for found in pool.map(compile_batch, *zip(*work)) for report in found]
    print("\n\n".join(reports), file=sys.stderr, end="\n" if reports else "")
    seconds = time.perf_counter() - start
    print(
        f"nvrtc: {kernels} kernels in {len(sources)} sources for {len(ARCHITECTURES)} architectures "
        f"({', '.join(ARCHITECTURES)}) in {seconds:.0f} s: {len(reports)} rejected"
    )
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main())
