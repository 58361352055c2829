"""`python3 -m bench.gpu_check` without a GPU: each part's own code runs on the emulator, and failures are reported."""

import json
import subprocess
import sys

import pytest

from bench import gpu_check
from bench.gpu import machine, parts, recorder, report, tables
from tests.cuda import toolchain

SETTINGS = parts.Settings(device="cpu")
SCANS = ["batch 32: gradengine over, times as fast as JAX scan"]  # where JAX is not installed
SEEDS = next(part for part in parts.PARTS if part.name == "seeds")


@pytest.fixture
def place(monkeypatch):
    """Does not ask the machine what it is: that takes a second where there is no driver."""
    found = {
        "date": "today",
        "cpu": "a",
        "cores": 2,
        "python": "3",
        "versions": {"numpy": "2"},
        "gpu": {},
        "cuda": None,
    }
    monkeypatch.setattr(machine, "environment", lambda: dict(found))
    monkeypatch.setattr(machine, "state", dict)


@pytest.mark.skipif(bool(toolchain.why_not()), reason=toolchain.why_not())
@pytest.mark.parametrize("name", [part.name for part in parts.PARTS])
def test_each_part_runs_on_the_emulator(name, tmp_path, place):
    status = gpu_check.main(["--emulate", "--only", name, "--out", str(tmp_path)])
    part = json.loads((tmp_path / "gpu.json").read_text())["parts"][name]
    assert part["status"] == "passed", json.dumps(part, indent=1)
    assert status == 0
    assert part["checks"] or part["rows"]
    assert f"| {name} | passed |" in (tmp_path / "gpu.md").read_text()


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", ["steps", "overhead", "bandwidth", "matmul"])
def test_measurements_beside_pytorch(name, tmp_path, place):
    """On the CPU, where there is no graph to capture; everything else is what runs on a GPU."""
    assert gpu_check.main(["--device", "cpu", "--only", name, "--out", str(tmp_path)]) == 0
    part = json.loads((tmp_path / "gpu.json").read_text())["parts"][name]
    assert [target["name"] for target in part["targets"] if target["value"] is None] in ([], SCANS)
    assert [note for note in part["notes"] if not note.startswith(("JAX", "batch 32, JAX"))] == []


def test_a_part_that_fails_says_how(tmp_path):
    part = parts.Part("unknown", "none", "run", 5, "a part that there is not")
    found = gpu_check.run(part, SETTINGS, 30, tmp_path, tmp_path)
    assert found["status"] == "failed"
    assert "StopIteration" in found["output"]
    assert str(parts.ROOT) not in found["output"]


def test_a_part_that_takes_too_long_is_ended_and_keeps_what_it_has(tmp_path, monkeypatch):
    result = tmp_path / "seeds.json"
    code = (
        "import sys, time; from pathlib import Path; from bench.gpu.report import Report;"
        f"r = Report(Path({str(result)!r})); r.check('first', lambda: 'done'); time.sleep(60)"
    )
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: real([sys.executable, "-c", code], **more))
    found = gpu_check.run(SEEDS, SETTINGS, 2.5, tmp_path, tmp_path)
    assert found["status"] == "out of time"
    assert [check["said"] for check in found["checks"]] == ["done"]
    assert found["seconds"] < 10


def test_one_failure_does_not_end_the_rest(tmp_path, place, monkeypatch):
    asked = []

    def run(part, settings, limit, *folders):
        asked.append((part.name, limit))
        return {"title": part.title, "status": "failed" if part.name == "smoke" else "passed", "seconds": 0.0}

    monkeypatch.setattr(gpu_check, "run", run)
    assert gpu_check.main(["--out", str(tmp_path)]) == 1
    assert [name for name, _ in asked] == [part.name for part in parts.PARTS]
    # Nothing has taken time here, so each part may take its own and all that the earlier ones have saved.
    seconds, so_far = [part.seconds for part in parts.PARTS], 0.0
    for (_, limit), own in zip(asked, seconds, strict=True):
        so_far += own
        assert limit == pytest.approx(so_far, abs=1)
    assert parts.TOTAL < 480


def test_what_is_no_full_run_replaces_no_result(monkeypatch):
    assert gpu_check.options([])[0].out is not None
    for partial in (["--quick"], ["--only", "seeds"], ["--device", "cpu"], ["--emulate"]):
        assert gpu_check.options(partial)[0].out is None


def test_missed_targets_and_failed_checks(tmp_path, capsys):
    found = report.Report(tmp_path / "part.json")
    assert found.check("holds", lambda: "well")
    assert not found.check("fails", lambda: 1 / 0)
    found.target("fast", 0.8, least=0.85)
    found.target("slow", 0.9, most=1.0)
    found.target("nothing", None, least=1)
    found.target("no number", float("nan"), least=1)
    assert found.attempt("peer", lambda: 1 / 0) is None
    assert found.attempt("ours", lambda: 1 / 0, required=True) is None
    stored = json.loads((tmp_path / "part.json").read_text())
    assert [check["ok"] for check in stored["checks"]] == [True, False, False]
    assert "ZeroDivisionError" in stored["checks"][1]["trace"]
    assert [target["met"] for target in stored["targets"]] == [False, True, False, False]
    assert stored["notes"] == ["peer: ZeroDivisionError: division by zero"]
    text = tables.report(
        {
            "environment": {"date": "", "cpu": "", "cores": 1, "python": "", "versions": {}},
            "parts": {"it": {"title": "a | b", "status": "failed", "seconds": 1.0, **stored}},
        }
    )
    assert "| fast | 0.8 | at least 0.85 | MISS |" in text
    assert "- fails failed: ZeroDivisionError: division by zero" in text
    assert "a \\| b; 1 of 3 checks hold; 1 of 4 targets met" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.12345, "0.1235"), (1234.5, "1,234"), (3e-5, "3.0e-05"), (80_000, "80,000"), ("a|b", "a\\|b")],
)
def test_numbers_in_tables(value, text):
    assert tables.number(value) == text


def test_outcomes_of_tests_are_counted_as_they_come(tmp_path):
    found = report.Report(tmp_path / "part.json")
    (tmp_path / "test_some.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 1 == 2\n@pytest.mark.skip\ndef test_c(): pass\n"
    )
    outcome = recorder.Outcome(found)
    pytest.main(["-p", "no:cacheprovider", "-p", "no:terminal", str(tmp_path)], plugins=[outcome])
    outcome.finish()
    stored = json.loads((tmp_path / "part.json").read_text())
    assert stored["facts"] == {"tests": 3, "passed": 1, "failed": 1, "skipped": 1}
    assert [(check["name"].rpartition("::")[2], check["ok"]) for check in stored["checks"]] == [
        ("test_b", False),
        ("1 tests", True),
    ]
    assert "1 == 2" in stored["checks"][0]["said"]
