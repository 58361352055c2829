"""What the pages of docs/ show is what the project does now."""

import difflib
import doctest
import os
import re

import pytest

import gradengine as ge
from docs import make_cuda, make_jit
from gradengine_kernels.cupy_cuda import driver

EMULATED = os.environ.get("GRADENGINE_TEST_CUDA", "") != "device"


@pytest.fixture
def page():
    pytest.importorskip("numba")
    return make_jit.PAGE.read_text(encoding="utf-8")


def test_the_page_about_jit_is_up_to_date(page):
    made = make_jit.compose(page)
    lines = difflib.unified_diff(page.splitlines(), made.splitlines(), "docs/jit.md", "as it is now", lineterm="")
    assert made == page, "run `make docs`\n" + "\n".join(lines)


def test_a_page_that_is_not_up_to_date_is_noticed(page):
    assert make_jit.compose(page.replace(" = relu ", " = selu ")) == page
    assert make_jit.compose(page.replace("nn.ReLU()", "nn.Tanh()")) != page


def test_a_page_without_a_marker_is_refused(page):
    with pytest.raises(SystemExit, match=r"needs the line .*memory.* once"):
        make_jit.compose(page.replace(make_jit.BEGIN.format("memory"), ""))


def test_the_parts_of_the_trace_are_where_they_begin(page):
    text = make_jit.blocks(page)["trace"]
    forward, backward, update = (text.index(f"-- {part}") for part in ("forward", "backward", "update"))
    assert forward < text.index("= linear") < text.index("= cross_entropy_rows[") < backward
    assert backward < text.index("= cross_entropy_rows_grad") < text.rindex("= sum_to") < update
    assert update < text.index("= multiply")


# -- the page about CUDA --------------------------------------------------------------------------------------------


@pytest.fixture
def cuda_page():
    return make_cuda.PAGE.read_text(encoding="utf-8")


def test_the_page_about_cuda_is_up_to_date(cuda_page):
    made = make_cuda.compose(cuda_page)
    lines = difflib.unified_diff(cuda_page.splitlines(), made.splitlines(), "docs/cuda.md", "as it is now", lineterm="")
    assert made == cuda_page, "run `make docs`\n" + "\n".join(lines)


def test_another_step_makes_another_page_about_cuda(cuda_page):
    assert make_cuda.compose(cuda_page.replace("tanh_grad0_", "tanh_")) == cuda_page
    made = make_cuda.compose(cuda_page.replace("nn.ReLU()", "nn.Tanh()"))
    assert "add, tanh" in made
    assert "add, tanh" not in cuda_page


def test_a_page_about_cuda_without_a_marker_is_refused(cuda_page):
    with pytest.raises(SystemExit, match=r"cuda\.md needs the line .*update.* once"):
        make_cuda.compose(cuda_page.replace(make_jit.BEGIN.format("update"), ""))


@pytest.mark.cuda
def test_the_examples_of_the_page_about_cuda(cuda_page):
    test = doctest.DocTestParser().get_doctest(cuda_page, {}, "docs/cuda.md", "docs/cuda.md", 0)
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=said.append)
    assert not result.failed, "".join(said)
    assert result.attempted > 50


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that are launched, each with a hash of its code."""
    names = []
    launch = driver.launch
    monkeypatch.setattr(driver, "launch", lambda kernel, *given: (names.append(kernel.name), launch(kernel, *given)))
    return names


@pytest.mark.cuda
def test_kernels_on_the_page_are_those_that_run(cuda_page, launched):
    ge.set_default_device("cuda")
    x = ge.rand(8, 8, requires_grad=True)
    ge.tanh(x).backward(ge.rand(8, 8))
    ge.softmax(ge.rand(600, 1024), axis=-1)
    shown = set(re.findall(r"__launch_bounds__\(\d+\) (tanh_grad0_\w+|softmax_\w+)", cuda_page))
    assert len(shown) == 2
    assert shown <= set(launched)


@pytest.mark.cuda
def test_sources_that_are_shown_are_of_the_kernels_that_run(launched):
    leaky = ge.nn.functional.leaky_relu
    shown = [
        ge.cuda.source(ge.sinh),
        ge.cuda.source(leaky, negative_slope=0.5),
        ge.cuda.source(leaky, gradient=0, negative_slope=0.5),
        ge.cuda.source(ge.hypot, gradient=1, dtype=ge.float64),
        ge.cuda.source(ge.less, dtype=ge.float16),
    ]
    ge.set_default_device("cuda")
    make = lambda dtype: ge.rand(8, 8).to(dtype).requires_grad_()
    ge.sinh(make(ge.float32))
    leaky(make(ge.float32), 0.5).backward(ge.ones((8, 8)))
    ge.hypot(make(ge.float64), make(ge.float64)).backward(ge.ones((8, 8), dtype=ge.float64))
    ge.less(make(ge.float16), make(ge.float16))
    assert {re.search(r"\) (\w+)\(const", text)[1] for text in shown} <= set(launched)
    for call, words in (
        (lambda: ge.cuda.source(ge.matmul), "takes a pointwise op"),
        (lambda: ge.cuda.source(ge.exp, gradient=1), "exp has no gradient by an operand 1; it has 1"),
        (lambda: ge.cuda.source(ge.floor_divide), "no kernel is generated for floor_divide of float32 arrays"),
        (lambda: ge.cuda.source(ge.add, gradient=0), "nothing is computed"),
    ):
        with pytest.raises(ge.ArgumentError, match=words):
            call()
    with pytest.raises(ge.DTypeError, match="not for int32"):
        ge.cuda.source(ge.exp, dtype=ge.int32)


@pytest.mark.cuda
@pytest.mark.skipif(not EMULATED, reason="counts what a graph of the emulator has recorded")
def test_launches_on_the_page_are_those_of_the_step(cuda_page):
    ge.set_default_device("cuda")
    made = make_cuda.example(cuda_page)
    made["step"](made["x"], made["y"])
    program, _ = made["step"].find((made["x"], made["y"]), {})
    parts = make_cuda.groups_of(program.executor)
    assert make_cuda.listed(parts) in cuda_page
    (compiled,) = program.executor.programs
    (graphs,) = compiled.graphs.values()
    copied = [1, 0]  # the first graph ends with a copy of what it has found to the host
    nodes = [len(graph.kept[0].nodes) for graph in graphs]
    assert nodes == [len(groups) + more for groups, more in zip(parts, copied, strict=True)]


@pytest.mark.cuda
def test_the_lines_about_cuda_in_the_readme():
    text = (make_cuda.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"## On an NVIDIA GPU\n.*?```python\n(.*?)```", text, re.DOTALL)
    points, xor = ge.rand(4, 2), ge.rand(4, 1)
    known = {"ge": ge, "nn": ge.nn, "points": points, "xor": xor}
    exec(code, known)
    assert known["loss"].device == "cuda:0"
    assert all(p.grad.device == "cuda:0" for p in known["model"].parameters())
