"""`gradengine check`: the table, the JSON, the exit status."""

import json

import numpy as np
import pytest

import gradengine as ge
from gradengine import ArgumentError, cli
from gradengine.cases import Case
from gradengine.inspect import check_command


def check(*options, tmp_path):
    return cli.main(["check", "--json", str(tmp_path / "check.json"), *options])


def test_rows_of_one_op_on_every_backend(tmp_path, capsys):
    assert check("--op", "tanh", "--op", "matmul", tmp_path=tmp_path) == 0
    out = capsys.readouterr().out
    assert "forward" in out
    assert "0 failed" in out
    document = json.loads((tmp_path / "check.json").read_text())
    available = {name for name, status in ge.backends().items() if status == "available"}
    assert {row["backend"] for row in document["results"]} == available
    assert all(row["failures"] == [] for row in document["results"])
    tanh = next(row for row in document["results"] if row["row"].startswith("tanh"))
    assert 0 <= tanh["forward"] < 1e-6
    assert tanh["second"] < 1e-6
    assert list(tmp_path.iterdir()) == [tmp_path / "check.json"]


def test_a_failing_row_is_named_and_the_status_is_1(tmp_path, capsys, monkeypatch):
    wrong = Case("tanh/wrong", ge.tanh, lambda rng: (rng.uniform(1, 2, 3),), np.sinh)
    monkeypatch.setattr(check_command, "table", lambda: [wrong])
    assert check("--backend", "numpy", tmp_path=tmp_path) == 1
    captured = capsys.readouterr()
    assert "FAILED tanh/wrong on numpy: forward is off" in captured.err
    assert "0 passed, 1 failed" in captured.out


def test_a_row_that_raises_does_not_end_the_others(tmp_path, capsys, monkeypatch):
    def broken(x):
        raise RuntimeError("inside")

    good = Case("tanh", ge.tanh, lambda rng: (rng.uniform(1, 2, 3),), np.tanh)
    monkeypatch.setattr(check_command, "table", lambda: [Case("broken", broken, good.sample), good])
    assert check("--backend", "numpy", tmp_path=tmp_path) == 1
    captured = capsys.readouterr()
    assert "RuntimeError: inside" in captured.err
    assert "1 passed, 1 failed" in captured.out


@pytest.mark.parametrize(
    "options", [("--op", "nonsense"), ("--backend", "nonsense"), ("--json", "/no/such/folder/x.json")]
)
def test_bad_options_are_explained(options, tmp_path, capsys):
    assert cli.main(["check", "--op", "tanh", "--json", str(tmp_path / "x"), *options]) == 2
    assert "nonsense" in (error := capsys.readouterr().err) or "there is no folder /no/such/folder" in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_run_raises_typed_errors():
    parser = __import__("argparse").ArgumentParser()
    check_command.add_arguments(parser)
    with pytest.raises(ArgumentError, match="no row is named nonsense"):
        check_command.run(parser.parse_args(["--op", "nonsense"]))
    with pytest.raises(ArgumentError, match=r"no row is named softmx \(did you mean softmax\?\)"):
        check_command.run(parser.parse_args(["--op", "softmx"]))


def test_a_place_for_the_results_is_asked_for_before_they_are_computed(tmp_path, monkeypatch):
    parser = __import__("argparse").ArgumentParser()
    check_command.add_arguments(parser)
    monkeypatch.setattr(check_command, "check_case", None)  # so that a row that is checked fails
    with pytest.raises(ArgumentError, match="it is a folder; name a file in it"):
        check_command.run(parser.parse_args(["--op", "tanh", "--json", str(tmp_path)]))
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}?*"))
