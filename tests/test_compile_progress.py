"""While something compiles: who is told, what is shown, that an interrupt is served, and that no speed counts it."""

import contextlib
import io
import signal
import threading
import time

import numpy as np
import pytest

import gradengine as ge
from gradengine.data import digits
from gradengine.training import display, loop
from gradengine_kernels import progress
from tests.training_runs import chosen_on


class Log(progress.Listener):
    """Notes what it is told."""

    def __init__(self):
        self.said = []

    def begin(self, what):
        self.said.append(("begin", what))

    def report(self, done, total):
        self.said.append((done, total))

    def end(self, what, seconds):
        assert seconds >= 0
        self.said.append(("end", what))


def test_listeners_hear_of_the_outermost_block():
    log = Log()
    with progress.listening(log):
        with progress.compiling("a step"), progress.compiling("a kernel"):
            progress.report(0, 2)
        with pytest.raises(ZeroDivisionError), progress.compiling("another"):
            raise ZeroDivisionError
    with progress.compiling("unheard"):
        pass
    assert log.said == [("begin", "a step"), (0, 2), ("end", "a step"), ("begin", "another"), ("end", "another")]


def test_time_in_nested_blocks_counts_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    before = progress.seconds
    with progress.compiling("a step"), progress.compiling("a kernel"):
        now[0] += 5.0
    assert progress.seconds - before == 5.0


def cubes():
    """A step that no other test has compiled."""
    x = ge.tensor(np.linspace(0.0, 1.0, 7), requires_grad=True)

    @ge.jit
    def step():
        return ge.grad((x**3).sum() + x.prod(), x)[0]

    return step


@pytest.mark.parametrize("backend", ["numba"], indirect=True)
def test_kernels_of_a_step_are_counted(backend):
    log, step = Log(), cubes()
    with progress.listening(log):
        step()
        heard = list(log.said)
        step()
    assert log.said == heard
    assert heard[0] == ("begin", "step")
    assert heard[-1] == ("end", "step")
    reports = heard[1:-1]
    assert len(reports) >= 2
    for i, (done, total) in enumerate(reports):  # of one program after the other
        assert done == 0 or reports[i - 1] == (done - 1, total)
        assert done == total or reports[i + 1] == (done + 1, total)


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="there are no signals")
@pytest.mark.parametrize("backend", ["numba"], indirect=True)
def test_an_interrupt_is_served_between_kernels(backend):
    class Interrupting(progress.Listener):
        def report(self, done, total):
            seen.append(done)
            if len(seen) == 1:
                signal.raise_signal(signal.SIGINT)

    step, seen = cubes(), []
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with progress.listening(Interrupting()), pytest.raises(KeyboardInterrupt):
            step()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    assert len(seen) == 1
    assert step.cache_info().misses == 0
    x = np.linspace(0.0, 1.0, 7)
    np.testing.assert_allclose(step().numpy()[1:], 3 * x[1:] ** 2)


def test_plain_lines(capsys):
    shown = display.Display().compilation()
    with progress.listening(shown), progress.compiling("step"):
        for done in range(4):
            progress.report(done, 3)
    assert capsys.readouterr().out == "  compiling the training step ...\n"
    shown = display.Display().compilation(lambda: " for batches of 2")
    with progress.listening(shown), progress.compiling("step"):
        progress.report(0, 3)
    assert capsys.readouterr().out == "  compiling the training step for batches of 2 ...\n"
    with progress.listening(display.Display(quiet=True).compilation()), progress.compiling("step"):
        progress.report(0, 3)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def bar(monkeypatch):
    """A bar on a terminal of the test's own, and what it shows."""
    console = pytest.importorskip("rich.console")
    made, text = display.Bar(), io.StringIO()
    made.console = made.bar.live.console = console.Console(file=text, force_terminal=True, width=100)
    monkeypatch.setattr(display.CompilationBar, "patience", 0.01)
    monkeypatch.setattr(display.CompilationBar, "every", 0.01)
    return made, text


def test_a_live_line_says_which_kernel(bar):
    shown, text = bar
    with progress.listening(shown.compilation()), progress.compiling("step"):
        time.sleep(0.1)
        progress.report(1, 3)
        deadline = time.monotonic() + 10
        while "kernel 2 of 3" not in text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "kernel 2 of 3" in text.getvalue()
    listener = shown.compilation()
    for done, total in ((0, 2), (1, 2), (2, 2), (0, 3), (1, 3)):
        listener.report(done, total)
    assert listener.kernels == (2, 1, 3)
    assert "compiling" in text.getvalue()
    assert not shown.bar.tasks
    assert threading.active_count() == len(threading.enumerate())


def test_what_compiles_in_no_time_shows_nothing(bar, monkeypatch):
    shown, text = bar
    monkeypatch.setattr(display.CompilationBar, "patience", 5.0)
    with progress.listening(shown.compilation()), progress.compiling("step"):
        pass
    assert text.getvalue() == ""


def test_the_first_epochs_speed_does_not_count_what_compiled(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    standings = []

    class Shown(display.Display):
        def epoch(self, standing, *test):
            standings.append(standing)

    plain, now = loop.Trainer._train_step, [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])

    def step(self, *batch):
        if self.step == 0:
            with progress.compiling("step"):
                now[0] += 100.0
        now[0] += 0.5
        return plain(self, *batch)

    monkeypatch.setattr(loop.Trainer, "_train_step", step)
    trainer = loop.Trainer(chosen_on("numpy", epochs=2, jit=False), digits(), tmp_path, Shown(quiet=True))
    with contextlib.closing(trainer.metrics):
        trainer.run()
    assert [s.seconds for s in standings] == pytest.approx([0.5 * trainer.step / 2] * 2)
