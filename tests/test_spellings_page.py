"""The page about words that mean different things in NumPy and PyTorch: each line is run in all three libraries."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import gradengine as ge

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import make_spellings

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("text", make_spellings.ROWS)
def test_a_line_of_the_table_is_true(torch, text):
    page = make_spellings.PAGE.read_text(encoding="utf-8")
    assert make_spellings.row(text, torch) in page, "run docs/make_spellings.py"


def test_a_result_is_numpy_s_or_pytorch_s(torch):
    apart = []
    for text in make_spellings.ROWS:
        cells = re.fullmatch(r"\| (.*) \| (.*) \| (.*) \| (.*) \| .* \|", make_spellings.row(text, torch))
        line, *theirs, ours = cells.groups()
        if ours.removesuffix(" (warns)") not in (*theirs, "error"):
            apart.append(line)
    assert apart == ["`m.diagonal(c)`"]  # where the array API means a third thing


def test_a_warning_says_how_to_write_either_and_is_not_given_to_those_who_do():
    x = ge.tensor([[1.0, 9.0], [7.0, 2.0]])
    with pytest.warns(ge.SpellingWarning, match=r"write x.max\(dim=1\) .* or x.max\(axis=1\)") as caught:
        x.max(1)[1]
    assert caught[0].filename == __file__
    with pytest.warns(ge.SpellingWarning, match=r"^v, i = x.max\(1\): ") as caught:
        v, i = x.max(1)
    assert caught[0].filename == __file__
    with pytest.raises(ge.SignatureError, match=r"^v, i = x.sort\(\): .* write x.sort\(dim=-1\)"):
        v, i = ge.ones((3, 2)).sort()
    with pytest.warns(ge.SpellingWarning, match="dim=0 for PyTorch's") as caught:
        ge.split(ge.arange(6), 3)
    assert caught[0].filename == __file__
    wide = ge.ones((2, 6))
    for use in (lambda: wide.split(3, 1), lambda: ge.split(wide, 3, 1), lambda: wide.split([2, 4], 1)):
        with pytest.warns(ge.SpellingWarning, match=r"dim=1 for PyTorch's .* or axis=1") as caught:
            use()
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = x.max(1)
        assert [row.item() for row in values] == [9, 7]
        assert (values + 1).tolist() == [10, 8]
        assert type(values * 1) is ge.Tensor
        assert values[:1].tolist() == [9]
        x.max(axis=1)[1], x.max(dim=1)[1], x.sort(axis=0)[0], ge.max(x)
        wide.split(3, axis=1), wide.split(3, dim=1), wide.split(indices_or_sections=3, axis=1), wide.split([1, 2], 1)
        ge.split(ge.arange(6), indices_or_sections=3), np.split(wide, 3, 1), np.split(ge.arange(6), 3)
        ge.split(ge.arange(4), 2), ge.ones((2, 4)).split(2, 1)
        ge.split(ge.arange(6), [1, 4])
