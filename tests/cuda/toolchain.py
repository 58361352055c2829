"""CUDA C compiled by g++, and run: the emulator's NVRTC and its `cuLaunchKernel`.

A source is compiled once per machine, behind emul.h, into a library named by its hash; pytest's workers share them.
Every source is also written to the folder that EMULATED_SOURCES names, for `python -m tests.cuda.nvrtc` to compile.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# "exact": each operation rounds by itself, and denormals are numbers. "device": products and sums are contracted, and
# denormals flushed to zero, as NVRTC has it with CuPy's options (doubles too, which a device does not flush).
ROUNDINGS = ("exact", "device")
ROUNDING = os.environ.get("GRADENGINE_EMULATOR_ROUNDING", "") or "exact"
# A stack that overflows must meet its guard page, so frames are walked page by page.
CONTRACTION = {"exact": ["-ffp-contract=off"], "device": ["-ffp-contract=fast", "-fexpensive-optimizations"]}
FLAGS = [
    "-pipe", "-std=c++17", "-march=native", "-fno-strict-aliasing", "-fstack-clash-protection",
    "-fno-gnu-unique", "-fPIC", "-shared", "-w", "-fsanitize=bounds,alignment", "-fsanitize-undefined-trap-on-error",
]  # fmt: skip
RACES = ["-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0"]
END = "// ---- prelude ends ----"  # what stands before it is the same in many sources
LAUNCH = "6IiI"  # EmuLaunch: blocks, threads, seed, dynamic shared memory; the arguments follow at once
MOST_STATIC, MOST_SHARED = 48 << 10, 227 << 10

KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+)?(?:__launch_bounds__\(([^)]*)\)\s*)?(?:void\s+)?(\w+)\s*\('
)
EXTERN = re.compile(r'extern\s+"C"\s+__global__\s')
DYNAMIC = re.compile(
    r"extern\s+__shared__\s+((?:__align__\(\s*\d+\s*\)\s+|alignas\(\s*\d+\s*\)\s+)?)([\w:\s]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
WAITS = re.compile(
    r"__shared__|__sync\w+|__shfl_\w+|__(?:ballot|any|all|match_any)_sync|__reduce_\w+_sync|__activemask"
)
WORD = re.compile(r"[A-Za-z_]\w*")
NAME = re.compile(
    r"(?<!<)(?<!, )(?<!,)\b(?:struct|class|union)\s+(\w+)|(?!__launch_bounds__|__align__|alignas)\b([A-Za-z_]\w*)\s*\("
)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


class EmulatorError(RuntimeError):
    """What a device would let pass, or would answer with wrong numbers."""


class CompileError(Exception):
    """g++ does not take a source."""


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    base = os.environ.get("GRADENGINE_CACHE_DIR") or HERE.parents[1] / ".cache" / "tests"  # as conftest has it
    folder = Path(base) / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def compiler() -> tuple[str, ...]:
    """g++ and the options that depend on the machine."""
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if not found:
        raise CompileError("the emulator compiles kernels with g++, which is not installed")
    return (found, "-fuse-ld=gold") if shutil.which("ld.gold") else (found,)


def why_not() -> str:
    """Why kernels cannot be emulated here, or ""."""
    if ROUNDING not in ROUNDINGS:
        return f"GRADENGINE_EMULATOR_ROUNDING must be one of {', '.join(ROUNDINGS)}, not {ROUNDING!r}"
    try:
        compiler()
    except CompileError as error:
        return str(error)
    return ""


@functools.cache
def header() -> str:
    """What every kernel is compiled behind and linked with; part of its hash."""
    return "".join([(HERE / name).read_text() for name in ("emul.h", "emul_math.h", "runtime.cpp")])


def build(name: str, source: str, flags: list[str]) -> Path:
    """The library of a source, compiled unless it is there already."""
    digest = hashlib.sha256("\0".join([source, header(), *compiler(), *flags]).encode()).hexdigest()[:24]
    library = cache_folder() / f"{name}_{digest}.so"
    if library.exists():
        return library
    # Another process may be at the same: each writes files of its own, and the last one's takes the name.
    stem = library.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    made, text = stem.with_name(stem.name + ".so"), stem.with_name(stem.name + ".cpp")
    text.write_text(source)
    command = [*compiler(), *flags, str(text), "-o", str(made), *([str(runtime_path())] if name != "runtime" else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CompileError(done.stderr.replace(str(text), "kernel")[:20000])
        made.replace(library)
    finally:
        text.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
    return library


@functools.cache
def runtime_path() -> Path:
    """The library of runtime.cpp."""
    flags = ["-O2", "-std=c++17", "-fPIC", "-shared", "-Wall", f"-DEMU_FLUSH={int(ROUNDING == 'device')}"]
    return build("runtime", (HERE / "runtime.cpp").read_text(), flags)


@functools.cache
def runtime() -> Any:
    """The machine. Its calls keep the GIL: it runs one kernel at a time."""
    library = ctypes.PyDLL(str(runtime_path()))
    library.emu_run.restype = ctypes.c_char_p
    library.emu_run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    return library


# -- sources ------------------------------------------------------------------------------------------------------


def halves(source: str) -> tuple[str, str]:
    """A source's prelude, which it shares with others, and its own code."""
    prelude, mark, code = source.partition(END)
    return (prelude + mark, code) if mark else ("", source)


@functools.lru_cache(256)
def pieces(source: str) -> dict[str, set[str]]:
    """The words that occur in each top-level function, struct and macro, by its name."""
    text = COMMENT.sub(" ", source)
    found: dict[str, set[str]] = {}
    depth = start = head = 0
    for match in re.finditer(r"[{};]|#[^\n]*", text):
        mark = match.group()
        if mark[0] == "#":
            words = WORD.findall(mark)
            if words[:1] == ["define"]:
                found.setdefault(words[1], set()).update(words[2:])
            if not depth:
                start = match.end()
        elif mark == "{":
            if not depth:
                head = match.start()
            depth += 1
        else:
            depth -= mark == "}"
            if not depth:
                name = NAME.search(text, start, head) if mark == "}" else None
                if name:
                    found.setdefault(name[1] or name[2], set()).update(WORD.findall(text, start, match.end()))
                start = match.end()
    return found


def waiting(source: str, kernels: list[str]) -> set[str]:
    """The kernels whose threads wait for each other somewhere, in the functions that they call too."""
    prelude, code = halves(source)
    known = dict(pieces(prelude))  # once for many sources
    for name, words in pieces(code).items():
        known[name] = known.get(name, set()) | words
    out = set()
    for kernel in kernels:
        reached, ahead = set(), [kernel]
        while ahead:
            new = known.get(ahead.pop(), set()) - reached
            reached |= new
            ahead += [word for word in new if word in known]
        if any(WAITS.fullmatch(word) for word in reached):
            out.add(kernel)
    return out


def record(source: str, options: tuple[str, ...]) -> None:
    """Note that this run has compiled the source."""
    folder = os.environ.get("EMULATED_SOURCES")
    if not folder:
        return
    text = f"// options: {' '.join(options)}\n{source}"
    path = Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.cu"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        part.write_text(text)
        part.replace(path)


class Module:
    """A source. Its kernels with barriers are watched for races, and so compiled apart from the others."""

    def __init__(self, source: str, options: tuple[str, ...], waits: bool = False, keep: bool = True) -> None:
        """`keep`: note the source for NVRTC, as one of ours.

        `waits`: all kernels have barriers, which macros hide, and some of their threads may have ended by then.
        """
        kernels = KERNEL.findall(source)
        self.bounds = {name: int(bound) if bound.isdigit() else 1024 for bound, name in kernels}
        waiters = set(self.bounds) if waits else waiting(source, list(self.bounds))
        self.groups = {
            name: tuple(n for n in self.bounds if (n in waiters) == (name in waiters)) for name in self.bounds
        }
        self.waits, self.options, self.lenient = waiters, options, waits
        # Static, so that g++ drops what the library does not export.
        self.body = DYNAMIC.sub(r"\2* \3 = (\2*)emu_dynamic();", EXTERN.sub("static __global__ ", source))
        self.libraries: dict[tuple[str, ...], Any] = {}
        for group in dict.fromkeys(self.groups.values()):
            self.libraries[group] = ctypes.PyDLL(str(self.compiled(group)))
        if keep:
            record(source, options)  # what g++ takes; tests of what compilers refuse have others

    def compiled(self, group: tuple[str, ...]) -> Path:
        """The library of some kernels, all of which have barriers or none."""
        waits = group[0] in self.waits
        runs = "emu_none, emu_thread" if waits else "emu_all, emu_none"
        exports = "".join(f"EMU_EXPORT({name}, {runs})\n" for name in group)
        text = f'#include "{HERE}/emul.h"\nnamespace {{\n#line 1\n{self.body}\n}}\n{exports}'
        defines = [option for option in self.options if option.startswith("-D")]
        flags = ["-O1", "-nostdlib", "-fvisibility=hidden", *FLAGS, *CONTRACTION[ROUNDING]]
        flags += [*(RACES if waits else []), *defines]
        return build("kernel", text, flags)

    def kernel(self, name: str) -> Kernel:
        """One of its kernels. Raises KeyError for a name that it does not have."""
        library = self.libraries[self.groups[name]]
        return Kernel(name, KernelStruct.in_dll(library, f"emu_kernel_{name}"), self.bounds[name], self.lenient)


class KernelStruct(ctypes.Structure):
    """EmuKernel."""

    _fields_ = [
        ("arity", ctypes.c_int),
        ("kinds", ctypes.POINTER(ctypes.c_int)),
        ("place", ctypes.c_void_p),
        ("shared", ctypes.c_void_p),
        ("shared_end", ctypes.c_void_p),
        ("all", ctypes.c_void_p),
        ("thread", ctypes.c_void_p),
    ]


class Kernel:
    """A kernel that can be run; its arguments are packed by somebody else."""

    def __init__(self, name: str, made: KernelStruct, bound: int, lenient: bool = False) -> None:
        self.name, self.made, self.bound, self.lenient = name, made, bound, int(lenient)
        self.address = ctypes.addressof(made)
        self.kinds = [made.kinds[i] for i in range(made.arity)]
        self.static = (made.shared_end or 0) - (made.shared or 0)
        self.fields = "".join(field_of(kind) for kind in self.kinds)
        self.packer = struct.Struct(f"={LAUNCH}{self.fields}")

    def run(self, launch: bytes) -> None:
        """Run on what `packer` has packed. Raises EmulatorError, or Fault for what a device would notice too."""
        wrong = runtime().emu_run(self.address, launch, self.lenient)
        if wrong is None:
            return
        address = ctypes.c_size_t()
        number = runtime().emu_signal(ctypes.byref(address))
        text = wrong.decode()
        if number:
            raise Fault(self.name, signal.Signals(number), address.value, text)
        raise EmulatorError(f"{self.name}: {text}")


class Fault(Exception):
    """A signal in a kernel: which, at what address, in which thread."""

    def __init__(self, kernel: str, number: signal.Signals, address: int, where: str) -> None:
        super().__init__(f"{kernel}: {number.name} at {address:#x}, {where}")
        self.kernel, self.signal, self.address, self.where = kernel, number, address, where


INTEGER, FLOAT, POINTER = 1, 2, 1 << 15


def field_of(kind: int) -> str:
    """How struct packs an argument, padded to 8 bytes."""
    if kind & POINTER:
        return "Q"
    size, what = kind >> 4, kind & 15
    if what == FLOAT:
        return "f4x" if size == 4 else "d"
    if what == INTEGER:
        return {1: "B7x", 2: "H6x", 4: "I4x", 8: "Q"}[size]
    return f"{size}s{-size % 8}x"
