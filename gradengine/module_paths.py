"""PyTorch's module paths: `from gradengine.distributions.normal import Normal` finds the name where it is here.

A path that is only another way to a package here becomes a module that passes on that package's names. A module that
PyTorch has and gradengine has not is a ModuleNotFoundError with a hint. Python asks this finder last.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# By package here: the modules of PyTorch's whose public names it has.
PATHS = {
    "distributions": (
        "distributions.bernoulli distributions.beta distributions.categorical distributions.cauchy distributions.chi2 "
        "distributions.dirichlet distributions.exponential distributions.gamma distributions.geometric "
        "distributions.gumbel distributions.half_normal distributions.independent distributions.laplace "
        "distributions.log_normal distributions.mixture_same_family distributions.multinomial "
        "distributions.multivariate_normal distributions.normal distributions.one_hot_categorical "
        "distributions.poisson distributions.studentT distributions.transformed_distribution distributions.uniform"
    ),
    "utils.data": "utils.data.dataset utils.data.dataloader utils.data.sampler",
    "nn": (
        "nn.modules nn.modules.activation nn.modules.container nn.modules.distance nn.modules.dropout "
        "nn.modules.flatten nn.modules.linear nn.modules.loss nn.modules.module nn.modules.normalization "
        "nn.modules.sparse"
    ),
    "nn.utils": "nn.utils.clip_grad nn.utils.convert_parameters",
    "optim": "optim.adamw optim.adagrad optim.adadelta optim.rmsprop",
    "autograd": "autograd.variable autograd.function autograd.gradcheck",
    "amp": "amp.autocast_mode amp.grad_scaler",
    "cuda_amp": "cuda.amp cuda.amp.autocast_mode cuda.amp.grad_scaler",
    "nn.sequences": "nn.utils.rnn",
    "nn.stateless": "nn.utils.stateless",
}
# The modules that people import by their path, besides those of the tables.
SUBMODULES = (
    "amp autograd cuda data distributions errors inspect io nn nn.functional nn.init nn.utils optim optim.lr_scheduler "
    "optim.swa_utils utils utils.data"
)
PUBLIC = {f"gradengine.{name}" for name in SUBMODULES.split()}
WHERE = {f"gradengine.{path}": f"gradengine.{home}" for home, paths in PATHS.items() for path in paths.split()}


class PyTorchPaths:
    """Finds and makes the modules of the tables above (both halves of Python's import protocol)."""

    def find_spec(self, path: str, _parents: Sequence[str] | None, _target: Any = None) -> ModuleSpec | None:
        """The spec of a module of PyTorch's; None for every other. Raises ModuleNotFoundError for an absent one."""
        if not path.startswith("gradengine."):
            return None
        if path in WHERE:
            return ModuleSpec(path, self, is_package=True)  # type: ignore[arg-type]
        from .migration_hints import ABSENT_MODULES

        hint = ABSENT_MODULES.get(path.removeprefix("gradengine.")) or misspelt(path)
        if hint:
            raise ModuleNotFoundError(f"No module named {path!r}; {hint}", name=path)
        return None

    def create_module(self, _spec: ModuleSpec) -> None:
        """Python's usual module is right."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the module pass on the names of the package here, whose hints are right too."""
        home = importlib.import_module(WHERE[module.__name__])
        module.__doc__ = f"PyTorch's path to names of `{home.__name__}`."
        module.__dict__["__all__"] = list(getattr(home, "__all__", ()))
        module.__dict__["__getattr__"] = lambda name: getattr(home, name)


def misspelt(path: str) -> str:
    """The question for the public module that was probably meant; "" where none is spelled alike."""
    from .validation import close_to

    package, _, name = path.rpartition(".")
    there = {found for found in PUBLIC if found.rpartition(".")[0] == package}
    close = close_to(path, there, 0.9) if not name.startswith("_") and path not in there else []
    return f"did you mean {close[0]}?" if close else ""


def register(path: str) -> None:
    """Make a module of the tables ahead of its import, for a path whose name the package has a function of.

    Python's import would put the module in the function's place; a module that is there already is left alone.
    """
    finder = PyTorchPaths()
    module = type(sys)(path)
    module.__spec__ = finder.find_spec(path, None)
    finder.exec_module(module)
    sys.modules[path] = module


def install() -> None:
    """Let Python ask for PyTorch's paths, after all others."""
    if not any(isinstance(finder, PyTorchPaths) for finder in sys.meta_path):
        sys.meta_path.append(PyTorchPaths())
