"""The command line: its parser, and which function runs which command. Loads what a command needs when it runs.

Exit status: 0; 1 when training or a check failed; 2 for wrong arguments or a file that cannot be used; 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ._version import __version__
from .errors import GradengineError, TrainingError
from .training import options
from .validation import SYNONYMS, close_to, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DESCRIPTION = """\
A tensor autograd engine.

  gradengine train                        train a digit classifier on MNIST
  gradengine train --model 16x16          the same with two hidden layers of 16 units
  gradengine train --resume               resume the newest run
  gradengine check                        check every op on this machine
"""
TRAINING = """\
Train a digit classifier. Checkpoint, metrics and pictures are written to a new folder under runs/, or to --out.
Ctrl-C stops after the current step and saves. --resume continues from there; the result is the same, bit for bit.
"""
CHECKING = """\
Check every op on this machine: its values against an independent reference in float64, its first- and second-order
gradients against finite differences, and the difference between backends. The exit status is 1 if a row failed.
"""
EXAMPLES = """\
defaults on MNIST:
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
        words = [word.split("=")[0] for word in rest if word.startswith("--") and word != "--"]
        meant = " ".join(dict.fromkeys([option for word in words for option in self.meant(word)]))
        self.error(f"unknown arguments: {' '.join(rest)}{f'; did you mean {meant}?' if meant else ''}")

    def meant(self, word: str) -> list[str]:
        """The option that a word was probably meant to be, in a list; an empty one where none is near."""
        known = self._option_string_actions
        synonyms = [options.flag(name) for name in SYNONYMS.get(word[2:].replace("-", "_"), ())]
        return [option for option in synonyms if option in known][:1] or close_to(word, known, 0.7)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise ArgumentError for a value that is none of the choices, with the one that was probably meant."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            advice = did_you_mean(close_to(str(value).lower(), choices, 0.6))
            what = "there is no command" if isinstance(action, argparse._SubParsersAction) else "there is no"
            message = f"{what} {value!r}{advice}; choose from {', '.join(choices)}"
            raise argparse.ArgumentError(None if what.endswith("command") else action, message)


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
    how = parser.add_argument_group("how to train (defaults depend on the model)")
    where = parser.add_argument_group("output")

    def add(group: Any, name: str, text: str, **settings: Any) -> None:
        group.add_argument(name, help=text, default=argparse.SUPPRESS, **settings)

    schedules = "; ".join(f"{name}: {text}" for name, text in options.SCHEDULES.items())
    add(
        what,
        "--dataset",
        "mnist, or scikit-learn's 8x8 digits; auto takes digits if MNIST cannot be loaded (default: auto)",
        choices=options.DATASETS,
    )
    add(
        what,
        "--model",
        "mlp: 128 ReLU; 16x16: two layers of 16 ReLU; nielsen: 30 sigmoids, squared error (default: mlp)",
        choices=options.MODELS,
    )
    add(what, "--backend", "CPU backend: numba or numpy (default: numba if it is installed)", metavar="NAME")
    add(
        what,
        "--device",
        "cpu, cuda or cuda:<number>; a run may be resumed on another device (default: cpu)",
        metavar="NAME",
    )
    add(
        what,
        "--jit",
        "compile the whole training step, or run it op by op (default: --jit)",
        action=argparse.BooleanOptionalAction,
    )
    add(how, "--epochs", "number of passes over the training data", type=int, metavar="N")
    add(how, "--batch-size", "images in a batch", type=int, metavar="N")
    add(how, "--optimizer", "optimizer", choices=tuple(options.OPTIMIZERS))
    add(how, "--lr", "learning rate", type=float, metavar="X")
    add(how, "--momentum", "momentum of sgd and rmsprop", type=float, metavar="X")
    add(how, "--weight-decay", "weight decay (default: 0, for adamw 0.01)", type=float, metavar="X")
    add(how, "--schedule", f"learning rate schedule; {schedules}", choices=tuple(options.SCHEDULES))
    add(how, "--gamma", "factor of the step and exponential schedules", type=float, metavar="X")
    add(how, "--step-size", "epochs between two steps of the step schedule (default: 2)", type=int, metavar="N")
    add(how, "--seed", "random seed of the initial weights and the batches (default: 0)", type=int, metavar="N")
    where.add_argument("--out", metavar="DIR", help="output folder (default: runs/<time>-<model>)")
    where.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="",
        help="resume a run: its folder or checkpoint; without a value, the newest run under runs/",
    )
    where.add_argument("--overwrite", action="store_true", help="replace the run that is in the output folder")
    where.add_argument(
        "--checkpoint-every",
        metavar="N",
        type=int,
        help="also save every N steps (default: 0, only after each epoch)",
    )
    add(where, "--log-every", "write the mean loss to metrics.jsonl every N steps (default: 50)", type=int, metavar="N")
    where.add_argument("--no-pictures", dest="pictures", action="store_false", help="do not draw pictures at the end")
    where.add_argument("--quiet", "-q", action="store_true", help="print only warnings and errors")


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
    """`gradengine bench`: `python -m bench` of the checkout, here."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "__main__.py").is_file():
        raise GradengineError(
            "bench: the benchmarks are part of the source, not of the installed package; run make bench in a checkout"
        )
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.call([sys.executable, "-P", "-m", "bench", *args.rest], env={**os.environ, "PYTHONPATH": path})


def run_backends(args: argparse.Namespace) -> int:
    """`gradengine backends`."""
    from . import cuda
    from .backend.devices import backends, get_cpu_backend

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
            if rest:
                parser.refuse(rest)
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
