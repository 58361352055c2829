"""What the pages of docs/ show is what the project does now."""

import difflib
import doctest
import os
import re

import pytest

import gradengine as ge
from docs import make_cuda, make_jit, make_reference
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


@pytest.mark.parametrize(
    "path", sorted(make_jit.PAGE.parents[1].glob("*.md")) + sorted(make_jit.PAGE.parent.glob("*.md"))
)
def test_examples_are_in_blocks_of_code(path):
    fenced = False  # elsewhere `>>>` is a quotation in three levels
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        assert fenced or not line.startswith(">>>"), line


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
        ge.cuda.source(ge.where),
        ge.cuda.source(ge.where, gradient=1),
        ge.cuda.source(ge.clip, min=-1.0, max=0.5),
        ge.cuda.source(ge.pow),
        ge.cuda.source(ge.pow, gradient=0),
    ]
    ge.set_default_device("cuda")
    make = lambda dtype: ge.rand(8, 8).to(dtype).requires_grad_()
    ge.sinh(make(ge.float32))
    leaky(make(ge.float32), 0.5).backward(ge.ones((8, 8)))
    ge.hypot(make(ge.float64), make(ge.float64)).backward(ge.ones((8, 8), dtype=ge.float64))
    ge.less(make(ge.float16), make(ge.float16))
    x = make(ge.float32)
    ge.where(x > 0.5, x, make(ge.float32)).backward(ge.ones((8, 8)))
    ge.clip(x, -1.0, 0.5)
    ge.pow(x, make(ge.float32)).backward(ge.ones((8, 8)))
    assert {re.search(r"\) (\w+)\(const", text)[1] for text in shown} <= set(launched)
    for call, words in (
        (lambda: ge.cuda.source(ge.matmul), "takes a pointwise op"),
        (lambda: ge.cuda.source(ge.exp, gradient=1), "exp has no gradient by an operand 1; there is one by 0$"),
        (lambda: ge.cuda.source(ge.atan2, gradient=-1), "by an operand -1; there is one by 0 and by 1$"),
        (lambda: ge.cuda.source(ge.floor, gradient=2), "floor has no gradient by an operand 2; "),
        (lambda: ge.cuda.source(leaky, slope=0.2), "leaky_relu does not take slope; it takes negative_slope$"),
        (lambda: ge.cuda.source(ge.exp, slope=0.2), "exp does not take slope; it takes nothing beside its operands$"),
        (lambda: ge.cuda.source(ge.reshape), "takes a pointwise op"),
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


# -- the reference --------------------------------------------------------------------------------------------------

MODULES = ["ge", "ge.nn", "ge.nn.functional", "ge.nn.init", "ge.nn.utils", "ge.optim", "ge.optim.lr_scheduler"]
MODULES += ["ge.optim.swa_utils", "ge.distributions"]
MODULES += ["ge.data", "ge.io", "ge.cuda", "ge.amp", "ge.autograd", "ge.tree"]
# What the engine's own files use of a Tensor, but nobody else.
INTERNAL = {"array", "backend", "become", "become_leaf", "changed_in_place", "hooks", "inputs", "is_exclusive", "op"}
INTERNAL |= {"family", "order", "params", "past", "printing", "saved", "view_of"}


@pytest.fixture
def in_folder(monkeypatch, tmp_path):
    """A reference of pages that the test writes."""

    def use(**pages):
        for name, text in pages.items():
            (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
        forget()

    forget = lambda: [f.cache_clear() for f in vars(make_reference).values() if hasattr(f, "cache_clear")]
    monkeypatch.setattr(make_reference, "FOLDER", tmp_path)
    yield use
    forget()


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    names = {f"{module}.{name}" for name in make_reference.public(make_reference.found(module))}
    assert len(names) > 3
    assert not names - set(make_reference.entries()), "put them on a page of docs/reference/"


def test_every_method_of_a_tensor_is_in_the_reference():
    names = {name for name in dir(ge.ones(1)) if not name.startswith("_")} - INTERNAL
    elsewhere = set(make_reference.functions_of(ge.Tensor))
    missing = {name for name in names - elsewhere if f"ge.Tensor.{name}" not in make_reference.entries()}
    assert not missing, "put them on docs/reference/tensor.md"
    assert {"sum", "clamp", "add_"} <= elsewhere


def test_what_the_reference_lists_exists_and_is_described():
    modules = {module: set(make_reference.public(make_reference.found(module))) for module in MODULES}
    for path in make_reference.entries():
        owner, _, name = path.rpartition(".")
        if path not in (
            "ge.bfloat16",
            "ge.compiler.Step",
        ):  # the one is another package's, the other what `jit` returns
            value = make_reference.found(path)
            assert owner not in modules or name in modules[owner], path
            assert not callable(value) or len(value.__doc__ or "") > 5, f"{path} has no docstring"


def test_pages_of_the_reference_are_complete_and_in_the_menu(monkeypatch):
    def absent():
        raise ge.DTypeError("without ml_dtypes, which is no part of what builds the pages")

    monkeypatch.setattr(ge, "_bfloat16_dtype", absent)
    menu = (make_reference.REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    pages = list(make_reference.lines())
    anchors = []
    for name in pages:
        assert f": reference/{name}\n" in menu
        text = make_reference.filled((make_reference.FOLDER / name).read_text(encoding="utf-8"), pages)
        assert ":::" not in text
        anchors += re.findall(r'\{: #(ge\S+)|<a id="(.*?)"', text)
    assert sorted(map("".join, anchors)) == sorted(make_reference.entries())


def test_an_entry_has_signature_docstring_and_links(in_folder):
    in_folder(
        a="::: ge.sum\n::: ge.clamp\n::: ge.clip\n::: ge.pi = of a circle",
        b="::: ge.nn.functional.relu\n::: ge.relu\n::: members of ge.Tensor: T\n::: ge.optim.SGD: step\n",
        c="::: ge.nn from gradengine.nn.losses\n::: functions of ge.Tensor\n::: ge.ShapeError\n",
    )
    asked = make_reference.lines()
    made = {page: "\n\n".join(make_reference.written(line, []) for line in asked[page]) for page in asked}
    assert (
        "### `ge.sum(x, /, axis=None, keepdims=False, dtype=None, *, dim=None, keepdim=None)` {: #ge.sum "
        in made["a.md"]
    )
    assert "```pycon\n>>> import gradengine as ge\n" in made["a.md"]
    assert 'data-toc-label="clamp" }\n\nThe same as [`ge.clip`](a.md#ge.clip).' in made["a.md"]
    assert '- <a id="ge.pi"></a>`ge.pi`: of a circle' in made["a.md"]
    assert "The same as [`ge.relu`](b.md#ge.relu)." in made["b.md"]
    assert "### `Tensor.T` {: #ge.Tensor.T" in made["b.md"]
    assert "#### `SGD.step(closure=None)` {: #ge.optim.SGD.step" in made["b.md"]
    assert "### `ge.nn.MSELoss(" in made["c.md"]
    assert "`clip`](a.md#ge.clip)" in made["c.md"]
    assert "Bases: `ge.GradengineError`, `ValueError`." in made["c.md"]


def test_sections_of_a_docstring_become_lists():
    text = """A file.

    Raises
    ------
    DataError
        If there is none, or
        two.

    Examples
    --------
    >>> 1
    1
    """
    made = make_reference.prose(text)
    assert "**Raises**\n\n`DataError`\n:   If there is none, or\n    two.\n\n**Examples**\n\n```pycon\n>>> 1" in made


@pytest.mark.parametrize(
    ("pages", "error"),
    [
        (dict(a="::: ge.sum\n", b="::: ge.sum\n"), "ge.sum is on a.md and on b.md"),
        (dict(a="::: ge.summ\n"), "has no attribute 'summ'"),
        (dict(a="::: ge.Tensor: summ\n"), "summ"),
        (dict(a="::: everything\n"), "nothing is found for the line '::: everything'"),
        (dict(a="::: ge from gradengine.cli\n"), "nothing is found"),
    ],
)
def test_a_reference_that_is_wrong_is_refused(in_folder, pages, error):
    in_folder(**pages)
    with pytest.raises((ValueError, AttributeError), match=error):
        make_reference.filled(pages["a"], ["a.md"])
