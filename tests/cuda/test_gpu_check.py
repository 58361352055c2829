"""`python3 -m bench.gpu_check` without a GPU: each part's own code runs on the emulator, and failures are reported."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest

from bench import candidates, gpu_check, workloads
from bench.gpu import archive, machine, parts, probe, recorder, report, steps, suite, tables

SETTINGS = parts.Settings(device="cpu")
SCANS = ["batch 32: gradengine over, times as fast as JAX scan"]  # where JAX is not installed
SAME = ("again", "racecheck", "initcheck")  # nothing to do in a dry run, or the same as memcheck
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
    monkeypatch.setattr(machine, "environment", lambda settings: dict(found))
    monkeypatch.setattr(machine, "state", dict)


@pytest.mark.cuda
@pytest.mark.parametrize("name", [part.name for part in parts.PARTS if part.name not in SAME])
def test_each_part_runs_on_the_emulator(name, tmp_path, place):
    status = gpu_check.main(["--emulate", "--only", name, "--out", str(tmp_path)])
    part = json.loads((tmp_path / "gpu.json").read_text())["parts"][name]
    assert part["status"] == "passed", json.dumps(part, indent=1)
    assert status == 0
    assert part["checks"] or part["rows"]
    assert f"| {name} | passed |" in (tmp_path / "gpu.md").read_text()


@pytest.fixture
def no_gpu(monkeypatch):
    """Hides the GPUs of this machine, if it has any."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_device_there_is_one_line_and_no_file(tmp_path, place, monkeypatch, capfd):
    monkeypatch.setattr(gpu_check, "run", lambda *args: pytest.fail("a part was run"))
    assert gpu_check.main(["--out", str(tmp_path / "out"), "--logs", str(tmp_path / "logs")]) == 2
    assert list(tmp_path.iterdir()) == []
    said = capfd.readouterr()
    assert said.out == ""
    # What is missing: CuPy, CUDA's driver, or a GPU.
    assert re.fullmatch(r"nothing checked, nothing written: .*(CuPy|CUDA).* \(--emulate .*\)\n", said.err)


@pytest.mark.usefixtures("no_gpu")
def test_a_device_that_does_not_answer_is_not_waited_for():
    assert probe.why_not(parts.Settings(), patience=0.01) == "device 'cuda' has not answered for 0.01 s"
    for dry in (parts.Settings(emulate=True), parts.Settings(device="cpu")):
        assert probe.why_not(dry, patience=0.0) == ""


@pytest.mark.usefixtures("no_gpu")
def test_tests_on_a_device_that_is_not_there_are_refused():
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    where = {**os.environ, "GRADENGINE_TEST_CUDA": "device"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=parts.ROOT, env=where)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "GRADENGINE_TEST_CUDA=device, but there is no device to test on: " in done.stderr


def test_a_place_for_the_tests_that_is_none_is_refused():
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    where = {**os.environ, "GRADENGINE_TEST_CUDA": "devise"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=parts.ROOT, env=where)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        "GRADENGINE_TEST_CUDA must be 'device', 'cupy' or 'emulator', which is the default, not 'devise'" in done.stderr
    )


@pytest.mark.cuda
def test_half_precision_is_left_out_where_it_cannot_be_had(tmp_path, place, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ml_dtypes'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert gpu_check.main(["--emulate", "--only", "smoke", "matmul", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    for part, check in (("smoke", "product of float16"), ("matmul", "float16, gradengine")):
        assert found[part]["notes"] == ["bfloat16: left out, since ml_dtypes is not installed"]
        names = [check["name"] for check in found[part]["checks"]]
        assert check in names
        assert not [name for name in names if "bfloat16" in name]


def test_a_dry_run_says_that_it_is_one(monkeypatch):
    monkeypatch.setattr(machine.metadata, "version", lambda name: "1.2.3")  # as if all were installed
    monkeypatch.setattr(machine, "query", lambda fields: pytest.fail("the GPU was asked"))
    for settings, word in ((parts.Settings(emulate=True), "emulated"), (parts.Settings(device="cpu"), "on the CPU")):
        place = machine.environment(settings)
        text = tables.report({"environment": place, "parts": {}})
        assert text.startswith(f"# A dry run of the GPU check, *{word}*\n\n{word[:1].upper()}{word[1:].lower()}, ")
        assert "no GPU took part" in text
    emulated = machine.environment(parts.Settings(emulate=True))["versions"]
    assert {name: text for name, text in emulated.items() if "cupy" in name} == {"cupy": "the tests' emulation"}


@pytest.mark.slow
@pytest.mark.nightly
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
    assert found["error"] == "StopIteration"
    assert "StopIteration" in found["output"]
    assert str(parts.ROOT) not in found["output"]


@pytest.mark.usefixtures("no_gpu")
def test_the_terminal_has_the_reason_of_a_part_that_fails(tmp_path, capsys):
    found = gpu_check.run(SEEDS, parts.Settings(), 30, tmp_path, tmp_path)
    assert found["status"] == "failed"
    assert found["error"].startswith("DeviceError: device 'cuda': ")
    assert found["error"] in capsys.readouterr().out
    assert found["error"] in tables.parts_table({"seeds": found})


def test_a_part_that_is_killed_names_the_signal():
    assert gpu_check.ending("first\nlast\n\n", -11) == "ended by signal 11; last"
    assert gpu_check.ending("", 3) == "ended with status 3"


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


@pytest.mark.parametrize("call", [*parts.CALLS])
def test_one_failure_does_not_end_the_rest(tmp_path, place, monkeypatch, call):
    asked = []

    def run(part, settings, limit, *folders):
        asked.append((part.name, limit))
        return {
            "title": part.title,
            "status": "failed" if part.name in ("smoke", "steps") else "passed",
            "seconds": 0.0,
        }

    monkeypatch.setattr(gpu_check, "run", run)
    monkeypatch.setattr(probe, "why_not", lambda settings: "")
    monkeypatch.setattr(gpu_check, "CACHES", tmp_path / "none")
    assert gpu_check.main([call, "--out", str(tmp_path), "--earlier", str(tmp_path)]) == 1
    stages = parts.CALLS[call]
    assert {name for name, _ in asked} == {part.name for stage in stages for part in stage}
    # Nothing has taken time here, so each stage may take its own and all that the earlier ones have saved.
    limits, so_far = dict(asked), 0.0
    for stage in stages:
        so_far += max(part.seconds for part in stage)
        for part in stage:
            assert limits[part.name] >= min(so_far, part.most) - 1
            assert limits[part.name] <= part.most
    assert so_far + parts.REST < parts.SECONDS[call]
    assert (tmp_path / f"gpu-{call}.tar.xz").stat().st_size


def test_both_calls_and_their_starts_fit_into_the_time_that_a_gpu_is_lent():
    assert parts.SECONDS == {"right": 200, "fast": 420}
    names = [[part.name for part in stage] for stage in parts.RIGHT]
    assert names[:3] == [["light"], ["smoke"], ["quick"]]  # a number exists before the tests begin
    assert sum(part.seconds for stage in parts.RIGHT[:3] for part in stage) < 90
    measured = {"steps", "overhead", "bandwidth", "matmul", "mnist", "quick"}
    assert all(len(stage) == 1 for stages in parts.CALLS.values() for stage in stages if measured & {stage[0].name})


def test_the_second_call_knows_what_the_first_has_found(tmp_path, place, monkeypatch):
    seen = []
    failed = ["tests/test_a.py::test_b[1]", "tests/test_a.py::test_c"]

    def run(part, settings, limit, results, logs):
        seen.append((part.name, settings.failed))
        (logs / f"{part.name}.txt").write_text(f"the output of {part.name}")
        return {
            "title": part.title,
            "status": "failed",
            "seconds": 1.0,
            "failed tests": failed * (part.name == "tests"),
        }

    kernels, second = tmp_path / "kernels", tmp_path / "second"
    (kernels / "cupy").mkdir(parents=True)
    (kernels / "cupy" / "a.cubin").write_bytes(bytes(range(256)) * 100)
    monkeypatch.setattr(gpu_check, "run", run)
    monkeypatch.setattr(probe, "why_not", lambda settings: "")
    monkeypatch.setattr(gpu_check, "CACHES", kernels)
    gpu_check.main(["right", "--out", str(tmp_path / "first")])
    monkeypatch.setattr(gpu_check, "CACHES", second)
    gpu_check.main(["fast", "--earlier", str(tmp_path / "first"), "--out", str(tmp_path / "both")])
    assert dict(seen)["again"] == tuple(failed)
    seen.clear()
    gpu_check.main(["--out", str(tmp_path / "whole"), "--earlier", str(tmp_path / "first")])  # both in one
    assert dict(seen)["again"] == tuple(failed)
    assert parts.Settings.read(parts.Settings(failed=tuple(failed)).text()).failed == tuple(failed)
    assert (second / "cupy" / "a.cubin").read_bytes() == bytes(range(256)) * 100
    stored = json.loads((tmp_path / "both" / "gpu.json").read_text())
    assert list(stored["parts"]) == [part.name for part in parts.PARTS]
    assert "| tests | failed |" in (tmp_path / "both" / "gpu.md").read_text()


def test_an_archive_comes_in_pieces_and_leaves_out_what_does_not_fit(tmp_path):
    results, caches, out = tmp_path / "results", tmp_path / "caches", tmp_path / "out"
    for folder in (results, caches, out):
        folder.mkdir()
    (results / "gpu.json").write_text("{}")
    for i in range(12):
        (caches / f"{i:02}").write_bytes(os.urandom(1 << 20))
    pieces = archive.pack("right", out, results, caches, piece=1 << 20, most=8)
    assert [path.name for path in pieces] == [f"gpu-right.tar.xz.{i}" for i in range(len(pieces))]
    assert len(pieces) <= 8
    assert all(path.stat().st_size <= 1 << 20 for path in pieces)
    assert archive.unpack("right", out, tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "gpu.json").read_text() == "{}"
    kept = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert kept == [f"{i:02}" for i in range(len(kept))]
    assert 4 <= len(kept) < 12
    assert all((tmp_path / "b" / name).read_bytes() == (caches / name).read_bytes() for name in kept)
    assert not archive.unpack("fast", out, tmp_path / "a", tmp_path / "b")
    # Pieces of an earlier archive do not come along.
    assert [path.name for path in archive.pack("right", out, results, tmp_path / "none")] == ["gpu-right.tar.xz"]
    assert [path.name for path in out.iterdir()] == ["gpu-right.tar.xz"]


def test_tests_come_in_order_of_what_they_say(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long\n")
    for name in ("test_aaa", "test_cases", "test_nn"):
        (tmp_path / f"{name}.py").write_text(
            "import pytest\n@pytest.mark.slow\ndef test_slow(): pass\ndef test_quick(): pass\n"
        )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "bench.gpu.recorder", "--rootdir", "."]
    done = subprocess.run(
        [*command, "."], capture_output=True, text=True, cwd=tmp_path, env=parts.environment(SETTINGS)
    )
    assert [line for line in done.stdout.splitlines() if "::" in line] == [
        "test_cases.py::test_quick",
        "test_nn.py::test_quick",
        "test_aaa.py::test_quick",
        "test_cases.py::test_slow",
    ]


def test_failures_are_tried_again_with_synchronous_launches(tmp_path, monkeypatch):
    found, seen = report.Report(tmp_path / "part.json"), []
    monkeypatch.delenv("GRADENGINE_CUDA_SYNC", raising=False)
    monkeypatch.setattr(pytest, "main", lambda command, plugins: seen.append((command, dict(os.environ))) or 0)
    suite.again(found, SETTINGS)
    assert found.found["facts"]["left out"] == "no test has failed in the first call"
    suite.again(found, dataclasses.replace(SETTINGS, failed=("tests/test_a.py::test_b",)))
    ((command, environment),) = seen
    assert command[0] == "tests/test_a.py::test_b"
    assert environment["GRADENGINE_CUDA_SYNC"] == "1"
    monkeypatch.delenv("GRADENGINE_CUDA_SYNC")


def test_a_compiler_that_takes_too_long_costs_no_other_number(tmp_path, monkeypatch):
    found = report.Report(tmp_path / "part.json")
    headline = f"batch 8: {candidates.JIT}, times as fast as "
    before = {}

    def slow():
        before.update(json.loads((tmp_path / "part.json").read_text()))
        return candidates.Runner(lambda n: None, lambda: 1.0)

    quick = lambda: candidates.Runner(lambda n: None, lambda: 1.0)
    ours = dict.fromkeys((candidates.JIT, candidates.OVER, f"{candidates.TORCH} (fused)", candidates.SCAN), quick)
    monkeypatch.setattr(steps, "makers", lambda settings, work: {**ours, f"{candidates.COMPILE} (loss)": slow})
    size = steps.Size(found, SETTINGS, workloads.Training("batch 8", (4, 2), 8, rows=16))
    size.quick()
    size.costly()
    values = lambda stored: {target["name"]: target["value"] for target in stored["targets"]}
    assert len(before["rows"]) == len(ours)
    assert values(before)[headline + candidates.TORCH] > 0
    assert values(before)[headline + candidates.COMPILE] is None
    assert len(found.found["rows"]) == len(ours) + 1
    assert values(found.found)[headline + candidates.COMPILE] > 0
    assert values(found.found).keys() == values(before).keys()
    assert len(found.found["targets"]) == len(values(before))


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
