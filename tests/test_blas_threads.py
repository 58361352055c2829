"""NumPy's BLAS keeps the number of threads that the user has set, whatever the engine computes with it."""

import os
import subprocess
import sys
import threading

import pytest

pytest.importorskip("numba")

from gradengine_kernels.numba_cpu import blas

CALLS = """
import threading
import numpy as np, threadpoolctl
import gradengine as ge, gradengine.nn as nn, gradengine.optim as optim

def counts():
    return [x["num_threads"] for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"]

def same(what):
    assert set(counts()) == {2}, (what, counts())  # SciPy may have brought its own BLAS meanwhile


same("the import")
ge.set_cpu_backend("numba")
x = ge.randn(400, 400)
x @ x
same("a large product")
x[:200, :200] @ x[:200, :200]
same("a product that NumPy computes")
w = ge.randn(400, 400, requires_grad=True)
(nn.functional.linear(x, w).relu() @ w).sum().backward()
same("backward")
try:
    x @ ge.randn(399, 400)
except ge.ShapeError:
    pass
same("an exception")
model = nn.Sequential(nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 10))
updates = optim.SGD(model.parameters(), lr=0.1)
labels = ge.zeros(400, dtype=ge.int64)
@ge.jit
def step(x, y):
    loss = nn.functional.cross_entropy(model(x), y)
    updates.zero_grad()
    loss.backward()
    updates.step()
    return loss
step(x, labels)
same("a jitted step")
step.over(x, labels, batch_size=100)
same("steps of an epoch")
ge.set_cpu_backend("numpy")
x @ x
same("another backend")
ge.set_cpu_backend("numba")
threads = [threading.Thread(target=lambda: [x @ x for _ in range(20)]) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
same("threads")
with threadpoolctl.threadpool_limits(1, user_api="blas"):
    x @ x
same("a limit of the user's own")
if hasattr(__import__("os"), "fork"):
    import os
    child = os.fork()
    if child == 0:
        x[:64, :64] @ x[:64, :64]
        os._exit(set(counts()) != {2})
    assert os.waitpid(child, 0)[1] == 0
"""


def test_the_number_of_threads_is_the_same_after_every_call() -> None:
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, "2"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", CALLS]  # of fork in a process with threads
    found = subprocess.run(command, env=env, text=True, capture_output=True, timeout=300)
    assert found.returncode == 0, found.stderr


class Library:
    """A BLAS library's setting."""

    threads = 4

    def read(self) -> int:
        return self.threads

    def write(self, number: int) -> None:
        self.threads = number


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def one_thread(library: Library) -> blas.OneThread:
    made = blas.OneThread()
    made.settings = [(library.read, library.write)]
    return made


def test_blocks_nest(library: Library, one_thread: blas.OneThread) -> None:
    with one_thread:
        with one_thread:
            assert library.threads == 1
        assert library.threads == 1
    assert library.threads == 4


def test_an_exception_restores_the_number(library: Library, one_thread: blas.OneThread) -> None:
    with pytest.raises(ZeroDivisionError), one_thread:
        assert 1 / (library.threads - 1)
    assert library.threads == 4


def test_a_number_that_was_set_meanwhile_stays(library: Library, one_thread: blas.OneThread) -> None:
    with one_thread:
        library.threads = 3
    assert library.threads == 3


def test_the_last_of_several_threads_restores_the_number(library: Library, one_thread: blas.OneThread) -> None:
    inside, leave = threading.Barrier(2), threading.Event()

    def work() -> None:
        with one_thread:
            inside.wait()
            leave.wait()

    other = threading.Thread(target=work)
    with one_thread:
        other.start()
        inside.wait()
    assert library.threads == 1
    leave.set()
    other.join()
    assert library.threads == 4


def test_a_child_restores_the_number_for_the_threads_that_it_lacks(
    library: Library, one_thread: blas.OneThread
) -> None:
    one_thread.__enter__()
    one_thread.after_fork()
    assert library.threads == 4
    with one_thread:
        assert library.threads == 1
    assert library.threads == 4


def test_every_blas_library_has_a_setting() -> None:
    pytest.importorskip("threadpoolctl")
    for library in blas.blas_libraries():
        read, write = blas.setting(library)
        assert read() == library.get_num_threads()
        write(read())
