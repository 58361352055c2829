"""The cache of compiled kernels: what is damaged, forged or cannot be written costs time, never a run or a result."""

import errno
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradengine_kernels import disk_cache
from gradengine_kernels.disk_cache import HEAD, DiskCache

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "kernels")


@pytest.fixture(autouse=True)
def not_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "_warned", threading.Event())


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Damage that changes what stands in a file."""

    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_full_folder(path: Path) -> None:
    replace_by_folder(path)
    (path / "something").write_text("of somebody's")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def other_entry(path: Path) -> None:
    """A good entry, for another key."""
    other = DiskCache(path.parent)
    other.write("another key", CONTENT)
    os.replace(other.path("another key"), path)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "emptied": rewrite(lambda b: b""),
    "cut within the head": rewrite(lambda b: b[: HEAD - 1]),
    "cut after the head": rewrite(lambda b: b[:HEAD]),
    "cut": rewrite(lambda b: b[:-1]),
    "longer": rewrite(lambda b: b + b"\0"),
    "junk": rewrite(lambda b: os.urandom(len(b))),
    "text": rewrite(lambda b: b"import os\n"),
    "zeros": rewrite(lambda b: bytes(len(b))),
    "a bit of the magic": rewrite(lambda b: flipped(b, 5)),
    "a bit of the digest": rewrite(lambda b: flipped(b, 8 * HEAD - 3)),
    "a bit of the content": rewrite(lambda b: flipped(b, 8 * HEAD + 1001)),
    "the last bit": rewrite(lambda b: flipped(b, 8 * len(b) - 1)),
    "another entry": other_entry,
    "gone": Path.unlink,
    "a folder": replace_by_folder,
    "a folder with a file": replace_by_full_folder,
    "a link to itself": replace_by_loop,
    "writable by the group": lambda path: path.chmod(0o664),
    "writable by all": lambda path: path.chmod(0o602),
}
if hasattr(os, "mkfifo"):
    DAMAGE["a pipe"] = replace_by_pipe
if hasattr(os, "geteuid") and os.geteuid() == 0:
    DAMAGE["another user's"] = lambda path: os.chown(path, 12345, 12345)
STAYS = ("a folder with a file",)  # nobody's but its owner's to remove
posix = pytest.mark.skipif(sys.platform == "win32", reason="files have no owner or mode there")


def test_an_entry_comes_back(cache: DiskCache) -> None:
    assert cache.read("key") is None
    cache.write("key", CONTENT)
    cache.write("empty", b"")
    assert cache.read("key") == CONTENT
    assert cache.read("empty") == b""
    cache.write("key", b"something else")
    assert cache.read("key") == b"something else"
    assert len(list(cache.folder.iterdir())) == 2


@posix
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_entry_is_absent_and_replaced(how: str, cache: DiskCache, recwarn: pytest.WarningsRecorder) -> None:
    cache.write("key", CONTENT)
    DAMAGE[how](cache.path("key"))
    assert cache.read("key") is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cache.write("key", CONTENT)
    assert cache.read("key") == (None if how in STAYS else CONTENT)
    assert not list(cache.folder.glob("*.tmp"))


def test_every_flipped_bit_is_found(cache: DiskCache) -> None:
    cache.write("key", b"code")
    path = cache.path("key")
    good = path.read_bytes()
    for bit in range(8 * len(good)):
        path.write_bytes(flipped(good, bit))
        assert cache.read("key") is None
    path.write_bytes(good)
    assert cache.read("key") == b"code"


def test_a_whole_folder_that_is_a_file_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = DiskCache(tmp_path / "file" / "kernels")
    with pytest.warns(RuntimeWarning, match=r"cannot be kept in .*GRADENGINE_CACHE_DIR"):
        cache.write("key", CONTENT)
    cache.write("key", CONTENT)  # warnings are errors here
    assert cache.read("key") is None


@pytest.mark.parametrize("call", ["open", "replace", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_what_cannot_be_written_leaves_nothing_behind(
    call: str, code: int, cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(
            *{"open": (disk_cache.os, "open"), "replace": (disk_cache.os, "replace"), "mkdir": (Path, "mkdir")}[call],
            fail,
        )
        with pytest.warns(RuntimeWarning, match="compiles them again"):
            cache.write("key", CONTENT)
    assert not cache.folder.exists() or not list(cache.folder.iterdir())
    cache.write("key", CONTENT)  # later there is room again
    assert cache.read("key") == CONTENT


def test_an_interrupt_leaves_nothing_behind(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk_cache.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.write("key", CONTENT)
    assert not list(cache.folder.iterdir())


def test_what_killed_writers_left_is_removed_when_it_is_old(cache: DiskCache) -> None:
    cache.folder.mkdir()
    old, new = cache.folder / "a.tmp", cache.folder / "b.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    cache.write("key", CONTENT)
    assert not old.exists()
    assert new.exists()


def test_writers_and_readers_at_once_see_whole_entries(cache: DiskCache) -> None:
    entries = [bytes([i]) * 100_000 for i in range(4)]
    cache.write("key", entries[0])
    wrong: list[Any] = []

    def work(content: bytes) -> None:
        for _ in range(50):
            cache.write("key", content)
            if cache.read("key") not in entries:
                wrong.append(content[:1])

    threads = [threading.Thread(target=work, args=(content,)) for content in entries]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert len(list(cache.folder.iterdir())) == 1


# -- machine code of Numba ----------------------------------------------------------------------------------------

SOURCE = """
from numba import float64
from gradengine_kernels.numba_cpu.jit_cache import cfunc, njit

@njit(float64(float64))
def twice(x):
    return 2 * x

@cfunc(float64(float64))
def kernel(x):
    return twice(x) + 1
"""


@pytest.fixture
def compiled(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Compiles the source as another process would, with the test's own cache, and returns its kernel."""
    pytest.importorskip("numba")
    from gradengine_kernels.numba_cpu import generated_modules, jit_cache

    monkeypatch.setattr(jit_cache, "disk", lambda: cache)

    def load() -> Any:
        monkeypatch.setattr(generated_modules, "_loaded", {})
        return generated_modules.load_source("cached", SOURCE).kernel

    return load


def test_machine_code_comes_from_the_cache(cache: DiskCache, compiled: Callable[[], Any]) -> None:
    assert (compiled().cache_hits, compiled().cache_hits) == (0, 1)
    assert len(list(cache.folder.iterdir())) == 2
    assert compiled().ctypes(3.0) == 7.0


@posix
@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_machine_code_is_compiled_again(how: str, cache: DiskCache, compiled: Callable[[], Any]) -> None:
    compiled()
    for path in list(cache.folder.iterdir()):
        DAMAGE[how](path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = compiled()
    assert again.cache_hits == 0
    assert again.ctypes(3.0) == 7.0
    if how not in STAYS:
        assert compiled().cache_hits == 1


def test_an_entry_that_numba_does_not_understand_is_compiled_again(
    cache: DiskCache, compiled: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled()
    read = DiskCache.read
    for wrong in (b"", b"no pickle", b"N."):
        monkeypatch.setattr(DiskCache, "read", lambda self, key, wrong=wrong: read(self, key) and wrong)
        again = compiled()
        assert (again.cache_hits, again.ctypes(3.0)) == (0, 7.0)


def test_another_processor_or_version_has_other_entries(
    cache: DiskCache, compiled: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.codegen import JITCPUCodegen

    from gradengine_kernels.numba_cpu import jit_cache

    compiled()
    with monkeypatch.context() as patch:
        patch.setattr(JITCPUCodegen, "magic_tuple", lambda self: ("another", "processor"))
        assert compiled().cache_hits == 0
    with monkeypatch.context() as patch:
        patch.setattr(jit_cache, "versions", lambda: ("another version",))
        assert compiled().cache_hits == 0
    assert compiled().cache_hits == 1


PROGRAM = """
import numpy as np
from gradengine_kernels import numba_cpu
double = numba_cpu.pointwise("double", lambda k, x: 2 * x * x, 1, None)
assert (double(np.ones(100_000, np.float32)) == 2).all()
(plan,) = double.fused.plans.values()
print(plan.kernel.compiled.cache_hits)
"""


def run(folder: Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GRADENGINE_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, text=True, capture_output=True, timeout=300, preexec_fn=before
    )


def limit_files() -> None:
    """Files of the process may have 100 bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


@posix
def test_a_process_with_a_damaged_cache_and_one_that_cannot_write(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    limited = run(tmp_path, limit_files)
    assert (limited.returncode, limited.stdout) == (0, "0\n"), limited.stderr
    assert limited.stderr.count("cannot be kept") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    first = run(tmp_path)
    assert (first.returncode, first.stdout, first.stderr) == (0, "0\n", "")
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) >= 2
    ways = [how for how in DAMAGE if how not in STAYS]
    for i, path in enumerate(files):
        DAMAGE[ways[i % len(ways)]](path)
    for stdout in ("0\n", "1\n"):
        again = run(tmp_path)
        assert (again.returncode, again.stdout, again.stderr) == (0, stdout, "")


def test_nothing_in_the_folder_is_run_that_has_no_digest(tmp_path: Path) -> None:
    """What earlier versions kept there, or anybody may have put there."""
    pytest.importorskip("numba")
    assert run(tmp_path).returncode == 0
    (folder,) = {path.parent for path in tmp_path.rglob("*.bin")}
    for name in ("sitecustomize.py", "numba.py", "numpy.py", "__init__.py"):
        (folder / name).write_text("raise SystemExit('this was run')")
    found = run(tmp_path)
    assert (found.returncode, found.stdout) == (0, "1\n"), found.stderr


def test_a_digest_is_that_of_key_and_content() -> None:
    assert disk_cache.digest("a", b"code") != disk_cache.digest("b", b"code")
    assert disk_cache.digest("ab", b"c") != disk_cache.digest("a", b"bc")


# -- CuPy's own cache, which verifies what it reads ------------------------------------------------------------------


def test_cupy_compiles_without_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradengine_kernels.cupy_cuda import driver

    class Kernel:
        attributes: dict[str, int] = {}  # noqa: RUF012

    def compiled(*about: Any) -> Kernel:
        if os.environ.get(driver.IN_MEMORY) != "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return Kernel()

    monkeypatch.setattr(driver, "compiled", compiled)
    monkeypatch.setenv(driver.IN_MEMORY, "0")
    load = driver.loaded.__wrapped__
    with pytest.warns(RuntimeWarning, match=r"CuPy cannot keep compiled kernels .*CUPY_CACHE_DIR"):
        assert isinstance(load("k", "code", (), 0), Kernel)
    assert isinstance(load("k", "code", (), 0), Kernel)  # and says so once

    def broken(*about: Any) -> Kernel:
        raise OSError("something else")

    monkeypatch.setattr(driver, "compiled", broken)
    with pytest.raises(OSError, match="something else"):
        load("k", "code", (), 0)
