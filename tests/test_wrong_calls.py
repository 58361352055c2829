"""Wrong calls of the whole public API: a call that is right, with one argument replaced by something senseless.

None ends in an error of Python's or NumPy's own, and none is taken silently where PyTorch refuses it. The walk is
deterministic; a quick sample of it is run always, all of it as a slow test.
"""

import inspect
import math
import random
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn.functional as F
from gradengine import data, distributions, io, nn, optim
from gradengine.errors import GradengineError

A = np.random.default_rng(0).uniform(0.2, 0.8, (3, 4)).astype(np.float32)
HUGE = 10**30
BAD: dict[str, Any] = {
    "str": "text", "obj": object(), "None": None, "nan": math.nan, "huge": HUGE, "neg": -7, "dict": {}, "fn": len,
    "cplx": 1j, "strs": ["a", "b"], "ragged": [[1, 2], [3]], "big": 99, "float": 1.5, "bytes": b"x", "set": {1},
}  # fmt: skip
NUMBERS = {"nan", "huge", "neg", "big", "float", "ragged"}  # which NumPy takes for an array, or for a flag

# What is no function of the engine's own with settings to get wrong, or changes the state of the process.
LEFT_OUT = {
    "jit", "compile", "save", "load", "set_cpu_backend", "set_default_device", "set_num_threads", "manual_seed", "seed",
    "set_default_dtype", "set_default_tensor_type", "set_grad_enabled", "set_num_interop_threads", "set_rng_state",
    "elementwise", "primitive", "composite", "set_printoptions", "set_deterministic_debug_mode",
    "use_deterministic_algorithms", "mnist", "digits", "atomic_writer", "become", "backward", "register_hook",
    "become_leaf", "is_exclusive",
}  # fmt: skip


# An int of any size is a number among floats, a count that is too large, or an index beyond the end, as in NumPy.
AS_IN_NUMPY = {"huge"}
# What stays as it is, by the fault's text, and why.
EXCEPTIONS = [
    r"=fn\): TypeError: (len|object of type)",  # the user's own function, which has errors of its own
    r"\.(full|new_full)\(argument \d=big\): taken",  # a number is the shape of a vector, as in NumPy
    r"\(keepdims=(neg|big|None)\): taken",  # NumPy takes any int for this flag
    r"^data.RandomSampler\(argument 0=dict\): taken",  # without samples there is an epoch without batches
    r"\(device=big\): taken",  # no GPU has that number where PyTorch has been asked: there might be one
]


WITH_WORDS = ("utils", "optim", "data", "lr_scheduler", "distributions", "amp")  # where `words_of` is asked


class Call(NamedTuple):
    """One wrong call, of ours and (where there is one) of PyTorch's."""

    label: str
    wrong: str  # the kind of value
    array: bool  # whether it stands where an array belongs
    ours: Callable[[], Any]
    theirs: Callable[[], Any] | None


def good(name: str, make: Callable[[Any], Any]) -> Any:
    """What stands for an argument that has no default, by its name."""
    values: dict[str, Any] = {
        "axis": 0, "dim": 0, "dim0": 0, "dim1": 1, "axes": (0, 1), "shape": (3, 4), "size": (3, 4), "num_classes": 4,
        "n": 3, "m": 3, "n_rows": 3, "p": 0.5, "ord": 2, "index": 0, "repeats": 2, "shift": 1, "shifts": 1, "start": 0,
        "end": 1, "length": 1, "stop": 5, "step": 1, "k": 1, "min": 0.1, "max": 0.9, "fill_value": 1.0, "value": 1.0,
        "low": 0, "high": 5, "source": 0, "destination": 1, "axis1": 0, "axis2": 1, "indices_or_sections": 1,
        "sections": 1, "chunks": 2, "pad_width": ((1, 1), (1, 1)), "equation": "ij->ji", "subscripts": "ij->ji",
        "in_features": 4, "out_features": 2, "in1_features": 4, "in2_features": 4, "num_embeddings": 5,
        "embedding_dim": 3, "normalized_shape": 4, "num": 5, "q": 0.5, "num_samples": 2, "groups": 1, "val": 1.0,
        "upscale_factor": 1, "downscale_factor": 1, "padding": 1, "unflattened_size": (3, 1), "threshold": 0.1,
        "indices": make(np.array([0, 1])), "condition": make(A > 0.5), "mask": make(A > 0.5), "sparsity": 0.5,
        "labels": make(np.array([0, 1, 2])), "dtype": "float32", "max_norm": 1.0, "clip_value": 1.0, "loc": 0.0,
        "scale": 1.0, "rate": 1.0, "df": 3.0, "concentration": 1.0, "concentration1": 1.0, "concentration0": 1.0,
        "dataset": [1, 2, 3], "data_source": range(3), "sampler": range(3), "batch_size": 2, "drop_last": False,
        "step_size": 2, "gamma": 0.5, "T_max": 3, "T_0": 3, "max_lr": 1.0, "base_lr": 0.1, "milestones": [1],
        "nonlinearity": "relu", "weights": [1.0, 2.0], "datasets": [[1], [2]],
    }  # fmt: skip
    return values[name] if name in values else make(A)


def made_of(library: Any, name: str) -> Any:
    """What stands for an argument that is an object of a library's own, ours or PyTorch's."""
    normal = library.distributions.Normal(library.zeros(3), library.ones(3))
    values: dict[str, Callable[[], Any]] = {
        "params": lambda: [library.nn.Parameter(library.ones(2, 2))],
        "optimizer": lambda: library.optim.SGD(made_of(library, "params"), lr=0.1, momentum=0.9),
        "schedulers": lambda: [library.optim.lr_scheduler.StepLR(made_of(library, "optimizer"), 2)],
        "lr_lambda": lambda: lambda epoch: 0.9,
        "base_distribution": lambda: normal,
        "component_distribution": lambda: normal,
        "mixture_distribution": lambda: library.distributions.Categorical(library.ones(3) / 3),
        "reinterpreted_batch_ndims": lambda: 1,
        "transforms": lambda: [library.distributions.ExpTransform()],
        "parts": lambda: [library.distributions.ExpTransform()],
        "modules": lambda: [library.nn.ReLU()],
        "module": lambda: library.nn.Linear(2, 2),
    }
    values |= {"parameters": values["params"], "base": values["base_distribution"]}
    return values[name]() if name in values else None


def words_of(library: Any, name: str) -> dict[str, Any]:
    """The keywords without which a call of `name` is not right, or whose values belong together."""
    some = library.tensor([0.25, 0.75])
    values: dict[str, Callable[[], dict[str, Any]]] = {
        "OneCycleLR": lambda: {"total_steps": 10},
        "kl_divergence": lambda: dict.fromkeys("pq", made_of(library, "base")),
        "MultivariateNormal": lambda: {"loc": library.zeros(2), "covariance_matrix": library.eye(2)},
        "Dirichlet": lambda: {"concentration": some},
        "vector_to_parameters": lambda: {"vec": library.ones(4), "parameters": made_of(library, "params")},
        "random_split": lambda: {"dataset": [1, 2, 3], "lengths": [2, 1]},
        "autocast": lambda: {"device_type": "cpu"},
        "default_collate": lambda: {"batch": [1.5, 2.5]},
    }
    one = made_of(library, "optimizer")
    steps = [library.optim.lr_scheduler.StepLR(one, 2), library.optim.lr_scheduler.StepLR(one, 2)]
    values["SequentialLR"] = lambda: {"optimizer": one, "schedulers": steps, "milestones": [2]}
    for each in ("Bernoulli", "Categorical", "Geometric", "OneHotCategorical", "OneHotCategoricalStraightThrough"):
        values[each] = lambda: {"probs": some}
    values["Multinomial"] = lambda: {"total_count": 3, "probs": some}
    return values[name]() if name in values else {}


def spaces() -> Iterator[tuple[str, Any, str]]:
    """Where public names are, and where PyTorch has its own."""
    lr = optim.lr_scheduler
    for label, space, names, theirs in [
        ("ge", ge, ge.__all__, "torch"), ("F", F, F.__all__, "torch.nn.functional"), ("nn", nn, nn.__all__, "torch.nn"),
        ("init", nn.init, nn.init.__all__, "torch.nn.init"), ("utils", nn.utils, nn.utils.__all__, "torch.nn.utils"),
        ("optim", optim, optim.__all__, "torch.optim"), ("data", data, data.__all__, "torch.utils.data"),
        ("lr_scheduler", lr, lr.__all__, "torch.optim.lr_scheduler"), ("io", io, io.__all__, ""),
        ("distributions", distributions, distributions.__all__, "torch.distributions"),
        ("amp", ge.amp, ge.amp.__all__, "torch.amp"),
        ("Tensor", ge.Tensor, [n for n in dir(ge.ones(1)) if not n.startswith("_")], "torch.Tensor"),
    ]:  # fmt: skip
        for name in sorted(set(names)):
            if name not in LEFT_OUT and callable(getattr(space, name, None)):
                yield label, space, name if not theirs else f"{name} {theirs}"


def in_pytorch(path: str, name: str) -> Any:
    import torch

    found: Any = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part)
    return getattr(found, name, None)


def works(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True


def calls_of(label: str, space: Any, names: str, torch: Any) -> Iterator[Call]:
    """The wrong calls of one function, method or class; none where no right call is found."""
    name, _, path = names.partition(" ")
    function = getattr(space, name)
    if isinstance(function, type) and issubclass(function, BaseException):
        return
    try:
        taken = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return
    variadic = any([p.kind is p.VAR_POSITIONAL for p in taken])
    taken = [p for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    always = words_of(ge, name) if label in WITH_WORDS else {}
    needed = [p for p in taken if p.default is p.empty and p.kind is not p.KEYWORD_ONLY and p.name not in always]

    def arguments(make: Callable[[Any], Any]) -> list[Any]:
        special = [made_of(ge if make is ge.tensor else torch, p.name) for p in needed]
        found = [good(p.name, make) if value is None else value for p, value in zip(needed, special, strict=True)]
        return found or ([3, 4] if variadic else [])

    def call(words: dict[str, Any], at: dict[int, Any], extra: int = 0) -> Callable[[], Any]:
        def run() -> Any:
            given = [at.get(i, value) for i, value in enumerate(arguments(ge.tensor))]
            more = words_of(ge, name) if always else {}
            return function(*(given[:extra] if extra < 0 else given + [1] * extra), **{**more, **words})

        return run

    other = in_pytorch(path, name) if path and torch is not None else None

    def call_theirs(words: dict[str, Any], at: dict[int, Any]) -> Callable[[], Any] | None:
        if other is None:
            return None

        def run() -> Any:
            more = words_of(torch, name) if always else {}
            return other(*[at.get(i, value) for i, value in enumerate(arguments(torch.tensor))], **{**more, **words})

        return run

    if not works(call({}, {})):
        return
    comparable = other is not None and works(call_theirs({}, {}) or call({}, {}))
    here = f"{label}.{name}"
    for i, argument in enumerate(arguments(ge.tensor)):
        if label == "Tensor" and i == 0:
            continue
        for kind, wrong in BAD.items():
            theirs = call_theirs({}, {i: wrong}) if comparable else None
            array = isinstance(argument, ge.Tensor)
            yield Call(f"{here}(argument {i}={kind})", kind, array, call({}, {i: wrong}), theirs)
    for p in taken:
        if (p.default is p.empty and p.name not in always) or p.kind is p.POSITIONAL_ONLY:
            continue
        usual = {} if p.name in always else {p.name: p.default}
        known = comparable and works(call_theirs(usual, {}) or call({}, {}))  # PyTorch has that word
        for kind, wrong in BAD.items():
            theirs = call_theirs({p.name: wrong}, {}) if known else None
            array = p.name in ("weight", "pos_weight", "aweights", "fweights", "out")
            yield Call(f"{here}({p.name}={kind})", kind, array, call({p.name: wrong}, {}), theirs)
    yield Call(f"{here}(foo=1)", "unknown", False, call({"foo": 1}, {}), None)
    yield Call(f"{here}(too many)", "many", False, call({}, {}, 8), None)
    if len(needed) > (label == "Tensor"):  # else a method that is called on no Tensor at all
        yield Call(f"{here}(too few)", "few", False, call({}, {}, -1), None)


def found_in(calls: list[Call]) -> list[str]:
    """What is wrong about wrong calls: errors that are not typed, and values that PyTorch refuses and we take."""
    faults = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for call in calls:
            try:
                call.ours()
            except (GradengineError, NotImplementedError):
                continue
            except Exception as error:
                faults.append(f"{call.label}: {type(error).__name__}: {error}")
                continue
            if call.theirs is None or (call.array and call.wrong in NUMBERS) or call.wrong in AS_IN_NUMPY:
                continue
            if not works(call.theirs):
                faults.append(f"{call.label}: taken, PyTorch refuses it")
    return [fault for fault in faults if not any([re.search(pattern, fault) for pattern in EXCEPTIONS])]


def walk(torch: Any) -> Iterator[list[Call]]:
    for label, space, names in spaces():
        yield list(calls_of(label, space, names, torch))


@pytest.mark.torch
@pytest.mark.slow
def test_every_wrong_call(torch: Any) -> None:
    groups = [calls for calls in walk(torch) if calls]
    assert len(groups) > 800  # functions of which a right call was found
    assert [fault for calls in groups for fault in found_in(calls)] == []


@pytest.mark.torch
def test_a_sample_of_wrong_calls(torch: Any) -> None:
    chosen = random.Random(9)
    places = [place for place in spaces() if chosen.random() < 0.4]
    groups = [list(calls_of(label, space, names, torch)) for label, space, names in places]
    calls = [call for group in groups for call in chosen.sample(group, min(len(group), 4))]
    assert len(calls) > 500
    assert found_in(calls) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(dim=0, keepdim="no"),
        lambda x: ge.std(x, unbiased={}),
        lambda x: F.dropout(x, training=1.5),
        lambda x: ge.sort(x, descending="yes"),
        lambda x: x.sort(dim=0, descending=[]),
        lambda x: ge.topk(x, 1, largest=()),
        lambda x: ge.zeros(2, requires_grad="yes"),
        lambda x: ge.Tensor([1.0], requires_grad={}),
        lambda x: x.requires_grad_(2.5),
        lambda x: ge.kthvalue(x, 1, keepdims=object()),
    ],
)
def test_a_flag_that_is_none(call: Callable[[Any], Any]) -> None:
    with pytest.raises(ge.SignatureError, match="must be True or False, got"):
        call(ge.ones(2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: nn.init.normal_(x, men=1.0), r"^normal_: unexpected keyword 'men' \(did you mean mean\?\)"),
        (lambda x: ge.sum(x, axs=1), r"^sum: unexpected keyword 'axs' \(did you mean axis\?\)"),
        (lambda x: nn.Parameter(x, requires_gard=True), r"^Parameter: unexpected keyword .*did you mean requires_grad"),
        (lambda x: ge.FloatTensor(2, devise="cpu"), r"^FloatTensor: unexpected keyword .*did you mean device"),
        (lambda x: F.celu_(), "^celu_: missing a required argument: 'input'"),
        (lambda x: nn.Linear(2, 2, biass=True), "did you mean bias"),
    ],
)
def test_a_word_that_is_not_there(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ge.SignatureError, match=words):
        call(ge.ones(2, 3))


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: ge.Tensor(HUGE), ge.ShapeError),
        (lambda: ge.LongTensor(-1), ge.ShapeError),
        (lambda: ge.tri(3, k=HUGE), ge.ArgumentError),
        (lambda: ge.tensor_split(ge.ones(3), HUGE), ge.ArgumentError),
        (lambda: ge.tensor_split(ge.ones(3), {}), ge.DTypeError),
        (lambda: ge.get_autocast_dtype("tpu"), ge.ArgumentError),
        (lambda: ge.set_printoptions(profile={}), ge.ArgumentError),
        (lambda: nn.init.kaiming_normal_(ge.ones(2, 2), nonlinearity=[]), GradengineError),
        (lambda: ge.nn.functional.elu(ge.ones(2), alpha=1j), ge.DTypeError),
    ],
)
def test_values_that_are_out_of_the_question(call: Callable[[], Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()
