"""What the pages of docs/ show is what the project does now."""

import difflib

import pytest

from docs import make_jit


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
