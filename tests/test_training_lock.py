"""Two runs never write to one folder, and a signal while the step compiles ends the run as cleanly as any other."""

import contextlib
import errno
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gradengine.errors import ArgumentError
from gradengine.training import lock
from tests.training_runs import assert_same_run, fails, train

for package in ("safetensors", "sklearn"):
    pytest.importorskip(package)

LINE = ["--dataset", "digits", "--backend", "numpy", "--model", "16x16", "--epochs", "1"]
OWNER = rf"by process {os.getpid()} on {platform.node()} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(*LINE, "--out", folder)
    return folder


@pytest.fixture
def held(finished: Path):
    """Its folder, while somebody else works in it, and what it holds."""
    with lock.locked(finished, "the test", warn=pytest.fail):
        before = {path.name: path.read_bytes() for path in finished.iterdir()}
        yield finished
        assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        [*LINE, "--out", "{}"],
        [*LINE, "--out", "{}", "--overwrite"],
        ["--resume", "{}"],
        ["--resume", "{}/checkpoint.safetensors"],
        ["--resume", "--out", "{}"],
        ["--resume", "{}", "--out", "{}", "--epochs", "2"],
    ],
    ids=["start", "overwrite", "resume", "resume a file", "resume by --out", "resume there"],
)
def test_a_folder_in_use_is_refused(arguments, held, capsys):
    err = fails(capsys, *[word.format(held) for word in arguments], status=2)
    assert str(held) in err
    assert re.search(OWNER, err)
    assert "stop it" in err


def test_a_new_folder_in_use_is_refused(tmp_path, capsys):
    with lock.locked(tmp_path, "the test", warn=pytest.fail):
        fails(capsys, *LINE, "--out", tmp_path, status=2)
        assert [path.name for path in tmp_path.iterdir()] == [lock.LOCK]


def test_another_folder_may_go_on_from_a_run_in_use(held, tmp_path):
    train("--resume", held, "--out", tmp_path / "other", "--epochs", 2)


def test_nothing_is_left_of_the_lock(finished):
    assert not (finished / lock.LOCK).exists()
    train("--resume", finished)
    assert not (finished / lock.LOCK).exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process can be killed so here")
def test_a_killed_process_blocks_nobody(tmp_path):
    program = f"""
import os, signal, pathlib
from gradengine.training.lock import locked
with locked(pathlib.Path({str(tmp_path)!r}), "the process", print):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=env).returncode == -signal.SIGKILL
    assert json.loads((tmp_path / lock.LOCK).read_text())["pid"] != os.getpid()
    train(*LINE, "--out", tmp_path)
    assert not (tmp_path / lock.LOCK).exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{}", b'{"pid": 1}'])
def test_a_lock_file_that_says_nothing(content, tmp_path):
    with lock.locked(tmp_path, "this folder", warn=pytest.fail):
        (tmp_path / lock.LOCK).write_bytes(content)
        with pytest.raises(ArgumentError, match="this folder is in use by another process; wait"):
            lock.locked(tmp_path, "this folder", warn=pytest.fail).__enter__()


def test_a_lock_file_that_is_left_without_a_lock(tmp_path):
    (tmp_path / lock.LOCK).write_bytes(b"junk")
    with lock.locked(tmp_path, "this folder", warn=pytest.fail):
        assert json.loads((tmp_path / lock.LOCK).read_bytes())["pid"] == os.getpid()


def test_one_of_many_threads_holds_it(tmp_path):
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            with contextlib.suppress(ArgumentError), lock.locked(tmp_path, "this folder", warn=pytest.fail):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(most) == {1}


def test_without_locks_there_is_a_warning(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_lock", fail)
    said: list[str] = []
    with lock.locked(tmp_path, "this folder", said.append):
        pass
    assert len(said) == 1
    assert "cannot lock" in said[0]


# -- Ctrl-C while the step compiles ---------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals are another thing there")
def test_ctrl_c_while_the_step_compiles(tmp_path):
    pytest.importorskip("numba")
    line = [*LINE[:2], "--model", "16x16", "--epochs", "1", "--no-pictures", "--backend", "numba", "--out"]
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from gradengine import cli; sys.exit(cli.main(sys.argv[1:]))"
    cache = tmp_path / "cache"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRADENGINE_CACHE_DIR": str(cache)}
    command = [sys.executable, "-u", "-c", program, "train", *line, str(tmp_path / "run")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        for text in process.stdout:
            if "compiling the training step" in text:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, ""), err
    assert err.count("\n") == 1
    assert "stopped in epoch 1 after step 0 and saved" in err
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "run" / lock.LOCK).exists()
    train("--resume", tmp_path / "run")
    train(*line, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "run")
