"""Every setting of every public class and function of nn, optim, data and distributions, given nonsense.

What comes out is a typed error, or the value makes sense. No call ends in an error of Python's or NumPy's own.
"""

import copy
import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn.functional as F
from gradengine import data, nn, optim
from gradengine import distributions as D
from gradengine.errors import GradengineError
from gradengine.optim import lr_scheduler

WRONG = ["x", None, math.nan, math.inf, -1, 0, 2.5, True, [1], (), {}, object(), np.ones(2), 10**30]
ABSTRACT = {"Module", "Optimizer", "LRScheduler", "Dataset", "IterableDataset", "ImageData", "Distribution", "Sampler"}
ABSTRACT |= {"Parameter", "Buffer", "Transform", "LazyModuleMixin"}
MODULES = {"nn": nn, "optim": optim, "lr_scheduler": optim.lr_scheduler, "data": data, "distributions": D}


def parameters() -> list[Any]:
    return [nn.Parameter(ge.ones(2, 2))]


# What stands for an argument that has no default.
GOOD: dict[str, Callable[[], Any]] = {
    "params": parameters, "parameters": parameters, "optimizer": lambda: optim.SGD(parameters(), lr=0.1, momentum=0.9),
    "in_features": lambda: 2, "out_features": lambda: 2, "in1_features": lambda: 2, "in2_features": lambda: 2,
    "num_embeddings": lambda: 3, "embedding_dim": lambda: 2, "normalized_shape": lambda: 2, "dim": lambda: 0,
    "unflattened_size": lambda: (1, 2), "threshold": lambda: 0.1, "value": lambda: 1.0, "padding": lambda: 1,
    "upscale_factor": lambda: 1, "downscale_factor": lambda: 1, "groups": lambda: 1, "lr_lambda": lambda: lambda e: 1.0,
    "step_size": lambda: 2, "milestones": lambda: [1], "gamma": lambda: 0.5, "T_max": lambda: 3, "T_0": lambda: 3,
    "max_lr": lambda: 1.0, "base_lr": lambda: 0.1, "dataset": lambda: [1, 2, 3, 4], "datasets": lambda: [[1], [2]],
    "indices": lambda: [0], "data_source": lambda: range(3), "weights": lambda: [1.0], "num_samples": lambda: 1,
    "sampler": lambda: range(3), "batch_size": lambda: 2, "drop_last": lambda: False, "loc": lambda: 0.0,
    "scale": lambda: 1.0, "low": lambda: 0.0, "high": lambda: 1.0, "rate": lambda: 1.0, "df": lambda: 3.0,
    "concentration": lambda: ge.ones(2), "concentration1": lambda: 1.0, "concentration0": lambda: 1.0,
    "exponent": lambda: 2.0, "parts": list, "vec": lambda: ge.ones(4), "nonlinearity": lambda: "relu",
    "max_norm": lambda: 1.0, "clip_value": lambda: 1.0, "total_norm": lambda: ge.tensor(1.0), "val": lambda: 1.0,
    "module_cls": lambda: nn.Linear, "sparsity": lambda: 0.5, "pad": lambda: (1, 1), "tensors": lambda: [ge.ones(2)],
}  # fmt: skip


def untyped(calls: Iterator[tuple[str, Callable[[], Any]]]) -> list[str]:
    """The calls that end in an error that is no typed one."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, call in calls:
            try:
                call()
            except (GradengineError, NotImplementedError):
                pass
            except Exception as error:
                found.append(f"{label}: {type(error).__name__}: {error}")
    return found


def settings_of(function: Any, skip: int) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [p for p in list(inspect.signature(function).parameters.values())[skip:] if p.kind not in kinds]


def constructors(module: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in module.__all__:
        cls = getattr(module, name)
        if not inspect.isclass(cls) or name in ABSTRACT:
            continue
        taken = settings_of(cls.__init__, 1)
        needed = {p.name: GOOD[p.name] for p in taken if p.default is p.empty and p.name in GOOD}
        for p in taken:
            for wrong in WRONG if p.name != "device" else WRONG[:-2]:
                given = {key: make() for key, make in needed.items() if key != p.name}
                yield f"{name}({p.name}={wrong!r})", lambda c=cls, g={**given, p.name: wrong}: c(**g)


def functions(module: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in module.__all__:
        function = getattr(module, name)
        try:
            taken = settings_of(function, 0)
        except (TypeError, ValueError):
            continue
        for wrong_one in taken:
            for wrong in WRONG:
                args, words = [], {}
                for p in taken:
                    if p.name == wrong_one.name:
                        value = wrong
                    elif p.default is not p.empty:
                        continue
                    else:
                        value = GOOD.get(p.name, lambda: ge.ones(2, 2))()
                    if p.kind is p.POSITIONAL_ONLY:
                        args.append(value)
                    else:
                        words[p.name] = value
                yield f"{name}({wrong_one.name}={wrong!r})", lambda f=function, a=args, w=words: f(*a, **w)


@pytest.mark.parametrize("name", MODULES)
def test_constructors_take_no_nonsense(name: str) -> None:
    assert untyped(constructors(MODULES[name])) == []


@pytest.mark.parametrize("module", [nn.init, nn.utils, F], ids=["init", "utils", "functional"])
def test_functions_take_no_nonsense(module: Any) -> None:
    assert untyped(functions(module)) == []


def test_flags_of_optimizers_are_flags() -> None:
    for name in ("Adam", "SGD", "RMSprop", "NAdam", "Muon"):
        for flag in getattr(optim, name).flags:
            for wrong in ("x", None, 2.5, [1], np.ones(2)):
                with pytest.raises(ge.ArgumentError, match=f"{name}: {flag} must be True or False"):
                    getattr(optim, name)(parameters(), **{flag: wrong})


# -- states of schedules --------------------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, total_iters=2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, total_iters=3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 3),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 3),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1.0, 10),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 2),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o),
}
UNFIT = [None, -1, 0, 1, -4, 1.5, 2**70, math.nan, math.inf, "x", [], {}, True, [1.0], np.zeros(3)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_s_state_is_refused_or_it_steps(name):
    o = optim.SGD([nn.Parameter(ge.ones(2))], lr=0.1, momentum=0.9)
    schedule = SCHEDULES[name](o)
    plateau = name == "ReduceLROnPlateau"
    saved = copy.deepcopy(schedule.state_dict())
    o.step()
    refused = tried = 0
    for key, junk in itertools.product(saved, UNFIT):
        before = dict(schedule.__dict__)
        tried += 1
        try:
            schedule.load_state_dict({**saved, key: junk})
        except ge.errors.CheckpointError:
            assert schedule.__dict__ == before
            refused += 1
            continue
        for _ in range(5):
            try:
                schedule.step(1.0) if plateau else schedule.step()
            except ge.errors.ArgumentError:  # a cycle that has ended
                break
        schedule.load_state_dict(saved)
    assert refused > tried / 2


def test_a_step_size_of_0_in_a_state_is_named():
    schedule = lr_scheduler.StepLR(optim.SGD([nn.Parameter(ge.ones(2))], lr=0.1), np.int64(2))
    assert type(schedule.step_size) is int
    with pytest.raises(ge.errors.CheckpointError, match="StepLR: step_size must be an integer above 0, got int 0"):
        schedule.load_state_dict({**schedule.state_dict(), "step_size": 0})
    assert schedule.step_size == 2


def test_a_rate_of_0_leads_back_to_the_full_rate():
    o = optim.SGD([nn.Parameter(ge.ones(2))], lr=0.5)
    schedule = lr_scheduler.ConstantLR(o, factor=0.0, total_iters=2)
    o.step()
    rates = [schedule.get_last_lr()[0]]
    for _ in range(3):
        schedule.step()
        rates += schedule.get_last_lr()
    assert rates == [0.0, 0.0, 0.5, 0.5]
