"""The command line: its parser, and which function runs which command. Loads what a command needs when it runs.

Exit status: 0, or 2 after a mistake of the user's or a file that is no good, 1 when training or a check failed, 130
after Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ._version import __version__
from .errors import GradengineError, TrainingError
from .training import options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DESCRIPTION = """\
A tensor autograd engine.

  gradengine train                        train a digit classifier on MNIST
  gradengine train --model 16x16          the same with two hidden layers of 16 units
  gradengine train --resume               go on with the newest run
  gradengine check                        check every op on this machine
"""
TRAINING = """\
Train a digit classifier. Checkpoint, metrics and pictures go into a folder of their own under runs/, or into --out.
Ctrl-C stops after the current step and saves; --resume goes on from there, bit for bit as if nothing had happened.
"""
CHECKING = """\
Check every op on this machine: its values against an independent reference in float64, its gradients and the
gradients of those against finite differences, and how far apart the backends are. Ends with 1 when a row failed.
"""
EXAMPLES = """\
what suits the models on MNIST:
{suited}

examples:
  gradengine train
  gradengine train --model nielsen --seed 7 --out runs/nielsen
  gradengine train --optimizer sgd --lr 0.1 --momentum 0.9 --schedule cosine --epochs 10
  gradengine train --resume runs/nielsen --epochs 40
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and that can be filled when it is first used."""

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gradengine: error: {message} (see {self.prog} --help)\n")

    def refuse(self, rest: Sequence[str]) -> NoReturn:
        """Exit for arguments that this parser does not know, with the options they may have been meant to be."""
        words = [word.split("=")[0] for word in rest if word.startswith("-")]
        close = [match for word in words for match in difflib.get_close_matches(word, self._option_string_actions, 1)]
        meant = " ".join(dict.fromkeys(close))
        self.error(f"unknown arguments: {' '.join(rest)}{f'; did you mean {meant}?' if meant else ''}")


def make_parser() -> Parser:
    """The parser of the whole command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser("gradengine", description=DESCRIPTION, formatter_class=layout, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gradengine {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")

    def command(name: str, run: Callable[..., int], text: str, **settings: Any) -> Parser:
        made = commands.add_parser(name, help=text, formatter_class=layout, allow_abbrev=False, **settings)
        made.set_defaults(run=run, parser=made)
        return made

    train = command("train", run_train, "train a digit classifier", description=TRAINING, epilog=examples())
    add_training_options(train)
    check = command("check", run_check, "check every op's values and gradients on this machine", description=CHECKING)
    check.fill = fill_check
    command("bench", run_bench, "run the benchmarks (in a checkout of the source)", add_help=False)
    command("backends", run_backends, "list the backends, and why one cannot be used here")
    return parser


def examples() -> str:
    """The end of the help of `gradengine train`."""
    lines = []
    for model, suited in options.SUITED.items():
        values = {name: value for name, value in suited["mnist"].items() if value and value != "none"}
        lines.append(f"  {model:<8} " + " ".join(f"{options.flag(name)} {value}" for name, value in values.items()))
    return EXAMPLES.format(suited="\n".join(lines))


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options of `gradengine train`. Those that belong to the run are only set when they are given."""
    what = parser.add_argument_group("what to train")
    how = parser.add_argument_group("how to train (by default as it suits the model)")
    where = parser.add_argument_group("where it goes")

    def add(group: Any, name: str, text: str, **settings: Any) -> None:
        group.add_argument(name, help=text, default=argparse.SUPPRESS, **settings)

    schedules = "; ".join(f"{name}: {text}" for name, text in options.SCHEDULES.items())
    add(
        what,
        "--dataset",
        "mnist, or the small digits of scikit-learn; auto takes MNIST where it can be had (default: auto)",
        choices=options.DATASETS,
    )
    add(
        what,
        "--model",
        "mlp: 128 ReLU; 16x16: two layers of 16 ReLU; nielsen: 30 sigmoids, squared error (default: mlp)",
        choices=options.MODELS,
    )
    add(what, "--backend", "kernels of the CPU: numba or numpy (default: numba where installed)", metavar="NAME")
    add(what, "--device", "cpu, cuda or cuda:<number>; a run may go on with another (default: cpu)", metavar="NAME")
    add(
        what,
        "--jit",
        "compile the training step as a whole, or run it op by op (default: --jit)",
        action=argparse.BooleanOptionalAction,
    )
    add(how, "--epochs", "how often to go through the training data", type=int, metavar="N")
    add(how, "--batch-size", "pictures in a batch", type=int, metavar="N")
    add(how, "--optimizer", "how gradients become steps", choices=tuple(options.OPTIMIZERS))
    add(how, "--lr", "learning rate", type=float, metavar="X")
    add(how, "--momentum", "momentum of sgd and rmsprop", type=float, metavar="X")
    add(how, "--weight-decay", "weight decay (default: 0, for adamw 0.01)", type=float, metavar="X")
    add(how, "--schedule", f"how the learning rate changes; {schedules}", choices=tuple(options.SCHEDULES))
    add(how, "--gamma", "factor of the schedules step and exponential", type=float, metavar="X")
    add(how, "--step-size", "epochs between the steps of the schedule step (default: 2)", type=int, metavar="N")
    add(how, "--seed", "seed of initial values and order of the data (default: 0)", type=int, metavar="N")
    where.add_argument("--out", metavar="DIR", help="folder of this run (default: runs/<time>-<model>)")
    where.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="",
        help="go on with a run: its folder, or its checkpoint, or nothing for the newest one under runs/",
    )
    where.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    where.add_argument(
        "--checkpoint-every",
        metavar="N",
        type=int,
        help="save every N steps too (default: 0, after each epoch only)",
    )
    add(where, "--log-every", "steps between two losses in metrics.jsonl (default: 50)", type=int, metavar="N")
    where.add_argument("--no-pictures", dest="pictures", action="store_false", help="draw no pictures in the end")
    where.add_argument("--quiet", "-q", action="store_true", help="show nothing but warnings and errors")


def run_train(args: argparse.Namespace) -> int:
    """`gradengine train`."""
    from .training.command import run

    return run(args)


def fill_check(parser: argparse.ArgumentParser) -> None:
    """The options of `gradengine check`, which stand with the command."""
    from .inspect.check_command import add_arguments

    add_arguments(parser)


def run_check(args: argparse.Namespace) -> int:
    """`gradengine check`."""
    from .inspect.check_command import run

    return run(args)


def run_bench(args: argparse.Namespace) -> int:
    """`gradengine bench`: `python -m bench` at the root of the checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "__main__.py").is_file():
        raise GradengineError(
            "bench: the benchmarks are part of the source, not of the installed package; run make bench in a checkout"
        )
    return subprocess.call([sys.executable, "-m", "bench", *args.rest], cwd=root)


def run_backends(args: argparse.Namespace) -> int:
    """`gradengine backends`."""
    from . import cuda
    from .backend import backends, get_cpu_backend

    chosen = get_cpu_backend()
    for name, status in backends().items():
        print(f"{name:<8}{status}{' (chosen for the CPU)' if name == chosen else ''}")
    for number, name in enumerate(cuda.names()):
        print(f"cuda:{number}  {name}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    >>> main(["train", "--lr", "-1"])
    2
    """
    parser = make_parser()
    try:
        args, rest = parser.parse_known_args(arguments)
        if args.command is None:
            parser.print_help()
            return 2
        if rest and args.command != "bench":
            args.parser.refuse(rest)
        args.rest = rest
        return args.run(args)
    except GradengineError as error:
        print(f"gradengine: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, TrainingError) else 2
    except KeyboardInterrupt:
        print("gradengine: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone away; writing what is left would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
