"""The command line: what it prints, the status it ends with, and that a user's mistake costs one clear line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradengine as ge
from gradengine import cli
from gradengine.errors import MissingDataError
from gradengine.io import load_checkpoint, save_checkpoint
from gradengine.training import command, display, options

for package in ("safetensors", "sklearn"):
    pytest.importorskip(package)

QUICK = ["train", "--dataset", "digits", "--backend", "numpy", "--epochs", "1", "--no-pictures"]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs go under the test's own folder, and no MNIST is at hand unless a test says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADENGINE_DATA", raising=False)
    monkeypatch.setenv("GRADENGINE_CACHE_DIR", str(tmp_path / "cache"))

    def offline(urls, *args, **kwargs):
        raise MissingDataError(f"Downloading failed: {urls[0]}: cannot connect")

    monkeypatch.setattr("gradengine.data.sources.download", offline)


def ends(capsys, arguments, status=0):
    """What the command prints on stdout and stderr, once it has ended with this status."""
    try:
        got = cli.main(arguments)
    except SystemExit as stop:
        got = stop.code
    out, err = capsys.readouterr()
    assert got == status, err
    return out, err


def fails(capsys, arguments, *words, status=2):
    """The one line on stderr with which the command fails; it holds these words, whatever their case."""
    _, err = ends(capsys, arguments, status)
    assert err.startswith("gradengine: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for word in words:
        assert word.lower() in err.lower()
    return err


def run(*arguments, **settings):
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-m", "gradengine", *arguments], env=environment, text=True, capture_output=True, **settings
    )


# -- commands -------------------------------------------------------------------------------------------------------


def test_version_and_help(capsys):
    assert ends(capsys, ["--version"])[0] == f"gradengine {ge.__version__}\n"
    assert "train a digit classifier" in ends(capsys, ["--help"])[0]
    assert "train" in ends(capsys, [], status=2)[0]
    out, _ = ends(capsys, ["train", "--help"])
    for name in ("--resume", "--checkpoint-every", "--no-jit", "gradengine train --model nielsen", "--lr 0.003"):
        assert name in out


def test_the_module_is_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"gradengine {ge.__version__}\n")


def test_the_parser_loads_nothing_that_training_needs():
    code = (
        "import sys; from gradengine import cli; cli.make_parser(); "
        "print(sorted({'gradengine.nn', 'gradengine.data', 'rich', 'matplotlib', 'safetensors'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"


def test_backends(capsys):
    out, _ = ends(capsys, ["backends"])
    assert re.search(r"^numpy +available", out, re.MULTILINE)
    assert out.count("chosen for the CPU") == 1
    assert re.search(r"^cupy +\S", out, re.MULTILINE)


def test_check_says_what_it_checks(capsys):
    out, _ = ends(capsys, ["check", "--help"])
    for words in ("reference in float64", "finite differences", "The exit status is 1 if a row failed", "--backend"):
        assert words in out


def test_bench_says_where_it_can_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "gradengine" / "cli.py"))
    fails(capsys, ["bench", "--quick"], "not of the installed package", "checkout")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    (tmp_path / "bench" / "__main__.py").write_text("import sys; sys.exit(len(sys.argv[1:]))")
    assert cli.main(["bench", "--quick", "-x", "1"]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tarin"], ["there is no command 'tarin' (did you mean train?); choose from train, check,"]),
        (["--versoin"], ["unknown arguments: --versoin; did you mean --version? (see gradengine --help)"]),
        (["train", "--learning-rate", "1"], ["unknown arguments: --learning-rate 1; did you mean --lr?"]),
        (["train", "--bogus"], ["unknown arguments: --bogus (see gradengine train --help)"]),
        (["train", "--schedule", "cosin"], ["--schedule: there is no 'cosin' (did you mean cosine?); choose from"]),
        (
            ["train", "--resume", "no/such"],
            ["--resume no/such: there is no such file or folder; name the folder or the checkpoint"],
        ),
        (["train", "--epoch", "3"], ["unknown arguments: --epoch 3; did you mean --epochs?"]),
        (["train", "--epcohs=3", "--ll", "1"], ["did you mean --epochs --lr? (see gradengine train --help)"]),
        (["train", "--zzz"], ["unknown arguments: --zzz (see gradengine train --help)"]),
        (["check", "--jsn", "x"], ["did you mean --json? (see gradengine check --help)"]),
        (["train", "--epochs", "three"], ["--epochs", "invalid int value: 'three'"]),
        (["train", "--model", "resnet"], ["--model", "'resnet'", "16x16"]),
        (["train", "--optimizer", "lion"], ["--optimizer", "'lion'", "adadelta"]),
    ],
)
def test_a_line_that_cannot_be_parsed(capsys, arguments, words):
    fails(capsys, arguments, *words)


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--lr", "-1"),
        ("--lr", "0"),
        ("--lr", "nan"),
        ("--lr", "inf"),
        ("--batch-size", "0"),
        ("--epochs", "0"),
        ("--epochs", "-3"),
        ("--momentum", "1"),
        ("--weight-decay", "-0.1"),
        ("--gamma", "0"),
        ("--step-size", "0"),
        ("--seed", "-1"),
        ("--seed", str(2**64)),
        ("--log-every", "0"),
        ("--checkpoint-every", "-1"),
        ("--epochs", str(2**31)),
        ("--batch-size", str(10**30)),
        ("--log-every", str(2**63)),
        ("--checkpoint-every", str(2**64)),
    ],
)
def test_numbers_outside_their_range(capsys, tmp_path, option, value):
    fails(capsys, ["train", "--out", "run", option, value], option, "must be", "got")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--momentum", "0.9"], ["--momentum", "adam has no momentum", "--optimizer sgd"]),
        (["--schedule", "cosine", "--gamma", "0.5"], ["--gamma", "the schedule 'cosine' has no gamma"]),
        (["--resume", "run", "--overwrite"], ["--resume continues", "--overwrite replaces", "leave out"]),
        (["--step-size", "2"], ["--step-size", "'exponential' has no steps", "--schedule step"]),
    ],
)
def test_options_that_do_not_go_together(capsys, tmp_path, arguments, words):
    fails(capsys, [*QUICK, "--out", "run", *arguments], *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "fortran"], ["--backend fortran: there is no 'fortran'", "numba, numpy"]),
        (["--device", "tpu"], ["--device tpu: there is no 'tpu'", "'cpu'"]),
        (["--device", "cuda:7x"], ["'cuda:7x'"]),
        pytest.param(
            ["--device", "cuda"],
            ["--device cuda: ", "or use --device cpu"],
            marks=pytest.mark.skipif(ge.backends()["cupy"] == "available", reason="there is a CUDA backend here"),
        ),
    ],
)
def test_unknown_devices_and_backends(capsys, tmp_path, arguments, words):
    plain = [part for part in QUICK if part not in ("--backend", "numpy")]
    fails(capsys, [*plain, "--out", "run", *arguments], *words)
    assert not (tmp_path / "run").exists()


def test_options_follow_the_model_unless_they_are_given():
    plain = options.resolve({}, dataset="mnist", backend="numpy")
    assert (plain.model, plain.epochs, plain.optimizer, plain.momentum, plain.seed) == ("mlp", 5, "adam", None, 0)
    assert plain.jit
    assert not options.resolve({"jit": False}, dataset="mnist", backend="numpy").jit
    assert options.resolve({"device": "cuda"}, dataset="mnist", backend="numpy").jit
    nielsen = options.resolve({"model": "nielsen"}, dataset="mnist", backend="numpy")
    assert (nielsen.optimizer, nielsen.lr, nielsen.batch_size, nielsen.epochs) == ("sgd", 3.0, 10, 30)
    assert (nielsen.momentum, nielsen.schedule, nielsen.gamma) == (0.0, "none", None)
    other = options.resolve({"optimizer": "sgd", "schedule": "step"}, dataset="mnist", backend="numpy")
    assert (other.lr, other.momentum, other.gamma, other.step_size) == (options.OPTIMIZERS["sgd"], 0.9, 0.5, 2)
    assert options.resolve({"optimizer": "adamw"}, dataset="mnist", backend="numpy").weight_decay == 0.01
    assert options.resolve({"optimizer": "sgd", "lr": 0.7}, dataset="mnist", backend="numpy").lr == 0.7


# -- output ---------------------------------------------------------------------------------------------------------


def test_plain_lines_on_a_pipe():
    done = run(*QUICK, "--model", "16x16", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not CONTROL.search(done.stdout)
    assert re.search(r"16x16 \(64-16-16-10, 1,482 parameters\) on digits \(1,442 pictures, 355 to test\)", done.stdout)
    assert re.search(r"^ *1/1 +\d\.\d{4} +\d+\.\d\d % +\d\.\d{4} +\d+\.\d\d % +[\d,]+ +\d+\.\d s$", done.stdout, re.M)
    assert re.search(r"^test accuracy \d+\.\d\d %, \d+ of 355 wrong$", done.stdout, re.M)
    assert "in run: checkpoint.safetensors, metrics.jsonl" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_bar_on_a_terminal(term):
    pytest.importorskip("rich")
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM=term, COLUMNS="80", PYTHONPATH=os.pathsep.join(sys.path))
        os.execv(sys.executable, [sys.executable, "-m", "gradengine", *QUICK, "--epochs", "60", "--out", "run"])
    output = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        output += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    text = output.decode()
    assert re.search(r"60/60 +\d\.\d{4}", text)
    assert ("\x1b[" in text) == (term != "dumb")
    if term != "dumb":
        assert re.search(r"epoch \d+/60.*images/s +\S+ s left", text)
        frames = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)
        assert max(len(line) for line in re.split(r"[\r\n]+", frames) if "left" in line) <= 80


@pytest.mark.parametrize(("given", "said"), [([], ", compiled"), (["--jit"], ", compiled"), (["--no-jit"], "")])
def test_whether_the_step_is_compiled_is_said(capsys, given, said):
    out, _ = ends(capsys, [*QUICK, *given, "--out", "run"])
    assert f"with numpy{said}: mlp" in out


def test_quiet_prints_nothing(capsys):
    assert ends(capsys, [*QUICK, "--quiet", "--out", "run"]) == ("", "")


def test_progress_within_a_long_epoch(capsys, monkeypatch):
    monkeypatch.setattr(display.Display, "every", 0.0)
    out, _ = ends(capsys, [*QUICK, "--out", "run"])
    shares = [int(share) for share in re.findall(r"1/1 +\d\.\d{4} +\S+ %\s+(\d+)% of this epoch", out)]
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert 90 < shares[-1] <= 100


def test_without_rich_there_are_plain_lines(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert type(display.choose(quiet=False)) is display.Display


def test_a_reader_that_goes_away():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "gradengine", *QUICK, "--epochs", "40", "--out", "run"]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == ""


# -- data -----------------------------------------------------------------------------------------------------------


def test_auto_says_aloud_that_it_trains_on_digits(capsys):
    _, err = ends(capsys, ["train", "--backend", "numpy", "--epochs", "1", "--no-pictures", "--quiet", "--out", "run"])
    assert err.count("\n") == 1
    assert err.startswith("gradengine: WARNING: MNIST is not on this machine")
    assert "GRADENGINE_DATA" in err
    assert load_checkpoint("run/checkpoint.safetensors")[1]["options"]["dataset"] == "digits"


def test_auto_says_what_is_wrong_with_the_folder_that_was_named(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path / "pictures"))
    line = ["train", "--backend", "numpy", "--epochs", "1", "--no-pictures", "--quiet", "--overwrite", "--out", "run"]
    place = f"MNIST is not on this machine ({tmp_path / 'pictures'}, named by GRADENGINE_DATA,"
    assert f"{place} does not exist) and could not be downloaded" in ends(capsys, line)[1]
    (tmp_path / "pictures").mkdir()
    err = ends(capsys, line)[1]
    assert f"{place} holds none of MNIST's files)" in err
    assert "put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images" in err
    assert err.count("\n") == 1


def test_mnist_without_data_is_an_error(capsys, tmp_path):
    fails(capsys, ["train", "--dataset", "mnist", "--out", "run"], "MNIST lacks", "cannot connect", "GRADENGINE_DATA")
    assert not (tmp_path / "run").exists()


def test_a_truncated_data_file_is_an_error_even_for_auto(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0\xea\x60\0\0\0\x1c\0\0\0\x1c" + bytes(100))
    for name in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(b"")
    fails(capsys, ["train", "--out", "run"], "train-images-idx3-ubyte")


# -- where it goes --------------------------------------------------------------------------------------------------


def test_each_run_has_a_folder_of_its_own(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(command.time, "strftime", lambda form: "20250102-030405")
    for _ in range(2):
        ends(capsys, [*QUICK, "--quiet"])
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["20250102-030405-mlp", "20250102-030405-mlp-2"]


@pytest.mark.parametrize("out", ["file", "file/inside", "/proc/run"])
def test_a_folder_that_cannot_be_written(capsys, tmp_path, monkeypatch, out):
    if out.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("there is no /proc")
    (tmp_path / "file").write_text("in the way")
    trained = []
    monkeypatch.setattr(command.Trainer, "run", trained.append)
    fails(capsys, [*QUICK, "--out", out], "--out", "choose a folder")
    assert not trained


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    fails(capsys, [*QUICK, "--out", "locked"], "--out locked", "permission denied", "choose a folder")


@pytest.mark.parametrize("option", ["--out", "--resume"])
def test_a_name_that_is_too_long(capsys, monkeypatch, option):
    words = {"--out": "name too long", "--resume": "no such file"}
    fails(capsys, [*QUICK, option, "a" * 300], "a" * 300, words[option])
    monkeypatch.setenv("GRADENGINE_DATA", "a" * 300)
    fails(capsys, ["train", "--dataset", "mnist"], "MNIST lacks")


def test_a_folder_without_a_name(capsys, tmp_path):
    fails(capsys, [*QUICK, "--out", ""], "--out needs the name of a folder", "leave it out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_a_run_is_not_overwritten_by_mistake(capsys):
    ends(capsys, [*QUICK, "--out", "run"])
    before = Path("run/metrics.jsonl").read_bytes()
    fails(capsys, [*QUICK, "--seed", "1", "--out", "run"], "--resume run", "--overwrite")
    assert Path("run/metrics.jsonl").read_bytes() == before
    ends(capsys, [*QUICK, "--seed", "1", "--out", "run", "--overwrite"])
    assert Path("run/metrics.jsonl").read_bytes() != before


@pytest.mark.parametrize("package", ["safetensors", "matplotlib"])
def test_a_missing_package_is_named_before_training(capsys, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    line = [part for part in QUICK if part != "--no-pictures"]
    fails(
        capsys, [*line, "--out", "run"], package, f"{sys.executable} -m pip install '.[train]' in gradengine's folder"
    )
    assert not (tmp_path / "run").exists()


# -- going on -------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(capsys):
    """A folder with a finished run of one epoch."""
    ends(capsys, [*QUICK, "--out", "run"])
    return Path("run")


def test_a_finished_run_says_so(capsys, finished):
    out, _ = ends(capsys, ["train", "--resume", "run", "--no-pictures"])
    assert "1 of 1 epochs are finished" in out
    assert "--epochs" in out


@pytest.mark.parametrize(
    "given", [[], ["--dataset", "auto"], ["--no-jit"], ["--dataset", "digits", "--model", "mlp", "--seed", "0"]]
)
def test_options_that_agree_with_the_checkpoint(capsys, finished, given):
    ends(capsys, ["train", "--resume", "run", "--no-pictures", *given])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--model", "16x16"], ["model mlp, not of 16x16", "leave out"]),
        (["--lr", "0.5"], ["--lr 0.5 contradicts", "0.002", "leave"]),
        (["--momentum", "0.9"], ["--momentum 0.9 contradicts", "has none"]),
        (["--dataset", "mnist"], ["--dataset mnist contradicts", "digits"]),
        (["--seed", "3"], ["--seed 3 contradicts", "has 0"]),
        (["--backend", "numba", "--no-jit"], ["--backend numba contradicts", "numpy"]),
        (["--batch-size", "7"], ["--batch-size 7 contradicts", "32"]),
    ],
)
def test_options_that_contradict_the_checkpoint(capsys, finished, given, words):
    fails(capsys, ["train", "--resume", "run", *given], "run", *words)


def test_a_run_cannot_become_shorter_than_it_is(capsys, finished):
    ends(capsys, ["train", "--resume", "run", "--no-pictures", "--epochs", "3"])
    fails(capsys, ["train", "--resume", "run", "--epochs", "2"], "3 finished epochs", "larger")


def test_a_schedule_over_the_whole_run_cannot_be_stretched(capsys):
    ends(capsys, [*QUICK, "--schedule", "cosine", "--out", "run"])
    fails(capsys, ["train", "--resume", "run", "--epochs", "2"], "cosine", "laid out for 1 epoch", "start a new one")


def test_resume_finds_the_newest_run(capsys, tmp_path):
    fails(capsys, ["train", "--resume"], "no run under", "name the folder")
    fails(capsys, ["train", "--resume", "nowhere"], "nowhere", "no such file")
    (tmp_path / "empty").mkdir()
    fails(capsys, ["train", "--resume", "empty"], "no checkpoint.safetensors in empty")
    for place, name in enumerate(["b", "a"]):
        ends(capsys, [*QUICK, "--out", f"runs/{name}"])
        os.utime(f"runs/{name}/checkpoint.safetensors", (place, place))
    assert "runs/a" in ends(capsys, ["train", "--resume", "--no-pictures"])[0]
    fails(capsys, [*QUICK, "--out", "runs"], "--out runs has the folders of runs in it (a)", "such as runs/mine")
    assert sorted(os.listdir("runs")) == ["a", "b"]
    out, _ = ends(capsys, ["train", "--resume", "--out", "runs/b", "--no-pictures"])
    assert "resuming runs/b" in out
    assert "runs/b" in ends(capsys, ["train", "--resume", "runs/b/checkpoint.safetensors", "--no-pictures"])[0]


def test_a_copy_of_a_checkpoint_does_not_overwrite_what_came_after_it(capsys, finished):
    copy = finished / "first.safetensors"
    copy.write_bytes((finished / "checkpoint.safetensors").read_bytes())
    ends(capsys, ["train", "--resume", "run", "--epochs", "3", "--no-pictures"])
    fails(capsys, ["train", "--resume", str(copy), "--epochs", "2"], "run holds a run already", "another folder")
    ends(capsys, ["train", "--resume", str(copy), "--epochs", "2", "--out", "branch", "--no-pictures"])
    assert len(Path("branch/metrics.jsonl").read_text().splitlines()) == 3  # two epochs, and a step
    assert load_checkpoint(finished / "checkpoint.safetensors")[1]["epoch"] == 3


def damaged(path, how):
    content = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(content[:-100])
    elif how == "flipped":
        path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    elif how == "pickle":
        path.write_bytes(b"PK\x03\x04" + bytes(300))
    elif how == "text":
        path.write_text("this is no checkpoint\n" * 20)


@pytest.mark.parametrize("how", ["empty", "truncated", "flipped", "pickle", "text"])
def test_a_damaged_checkpoint(capsys, finished, how):
    path = finished / "checkpoint.safetensors"
    metrics = (finished / "metrics.jsonl").read_bytes()
    damaged(path, how)
    before = path.read_bytes()
    fails(capsys, ["train", "--resume", "run"], "checkpoint.safetensors")
    assert path.read_bytes() == before
    assert (finished / "metrics.jsonl").read_bytes() == metrics


def test_a_foreign_checkpoint(capsys):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, "foreign.safetensors")
    fails(capsys, ["train", "--resume", "foreign.safetensors"], "foreign.safetensors")
    save_checkpoint("other.safetensors", {"weight": np.zeros(3)}, {"epoch": 1})
    fails(capsys, ["train", "--resume", "other.safetensors"], "no run of gradengine train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, rest: rest.update(version=99), ["version 99"]),
        (lambda tensors, rest: rest["options"].update(color="red"), ["options"]),
        (lambda tensors, rest: rest["options"].update(lr=-1.0), ["make no sense", "lr"]),
        (lambda tensors, rest: rest["options"].update(jit="often"), ["make no sense", "jit"]),
        (lambda tensors, rest: rest["options"].pop("seed"), ["options"]),
        (lambda tensors, rest: rest["options"].update(model="16x16"), ["missing: linear3.weight"]),
        (lambda tensors, rest: rest.pop("loader"), ["loader"]),
        (lambda tensors, rest: rest.pop("epoch"), ["epoch"]),
        (lambda tensors, rest: rest.update(step=[1]), ["step must be a whole number"]),
        (lambda tensors, rest: rest.update(metrics=7), ["metrics are no text"]),
        (lambda tensors, rest: rest.update(sums={"apples": 1}), ["apples"]),
        (lambda tensors, rest: rest["optimizer"].update(param_groups=[]), ["groups"]),
        (lambda tensors, rest: tensors.pop("linear1.bias"), ["missing: linear1.bias"]),
        (lambda tensors, rest: rest["loader"].update(samples=3), ["samples"]),
    ],
)
def test_a_checkpoint_that_makes_no_sense(capsys, finished, change, words):
    path = finished / "checkpoint.safetensors"
    tensors, rest = load_checkpoint(path)
    change(tensors, rest)
    save_checkpoint(path, tensors, rest)
    fails(capsys, ["train", "--resume", "run", "--epochs", "2"], "checkpoint.safetensors", *words)


def test_metrics_are_json_lines(finished):
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [record["kind"] for record in records] == ["epoch"]  # 46 steps
    assert records[0]["step"] == 46
    assert 0 < records[0]["test_accuracy"] < 1
    assert records[0]["images_per_second"] > 0
