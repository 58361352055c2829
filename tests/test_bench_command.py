"""`python -m bench` writes where it is told, and to the repository's own results only for `--update`."""

import json
import re
import sys

import pytest

from bench import __main__ as bench
from bench import dispatch, readme, timing

ROWS = [{"row": "a row", "microseconds": {"gradengine numpy": 1.0}, "ratio": None, "best_peer": None}]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Calls the command with arguments, in a folder of the test's own, where the benchmarks take no time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dispatch, "rows", lambda: ROWS)
    monkeypatch.setattr(timing, "RESULTS", tmp_path / "results")
    updates = []
    monkeypatch.setattr(readme, "update", lambda: updates.append(1))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        assert bench.main() == 0
        return len(updates)

    return call


def test_a_new_folder_by_default(run, tmp_path, capsys):
    assert run("dispatch") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"bench-\d{8}-\d{6}", folder.name)
    assert json.loads((folder / "dispatch.json").read_text())["rows"] == ROWS
    assert f"written to {folder.relative_to(tmp_path)}" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_the_folder_that_is_named(run, tmp_path):
    assert run("dispatch", "--out", "here/there") == 0
    assert [path.name for path in tmp_path.rglob("*.json")] == ["dispatch.json"]
    assert (tmp_path / "here" / "there" / "dispatch.json").exists()


def test_the_repository_when_it_is_told_to(run, tmp_path):
    assert run("dispatch", "--update") == 1
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["results"]


@pytest.mark.parametrize("arguments", [["--update", "--out", "x"], ["jit", "--quick", "--update"], ["nothing"]])
def test_what_does_not_go_together(run, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert "error" in capsys.readouterr().err


def test_the_readme_has_the_places_of_the_tables():
    text = readme.README.read_text()
    for begin, end in (readme.SPEED, readme.JIT, readme.ACCURACY):
        assert text.count(begin) == text.count(end) == 1
