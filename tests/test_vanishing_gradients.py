"""No gradient vanishes: a Tensor that requires grad where a number is expected gets its gradient, or a typed error.

The walk puts such a Tensor into every numeric place of every public function, by position and by name.
"""

import inspect
import warnings

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn as nn
import gradengine.nn.functional as F

M = ge.tensor([[0.3, 0.6, 0.9], [0.2, 0.5, 0.7]])
# What required parameters take, by name; all others take M.
SAMPLES = {
    "shape": (2, 3), "size": (2, 3), "dtype": ge.float32, "axis": 0, "axis1": 0, "axis2": 1, "source": 0, "k": 1,
    "destination": 1, "repeats": 2, "repetitions": 2, "shift": 1, "pad_width": 1, "num_classes": 3, "n": 2, "p": 0.5,
    "q": 0.5, "fill_value": 2.0, "start": 0.5, "stop": 2.5, "end": 2.5, "num": 3, "steps": 3, "low": 0.0, "high": 5.0,
    "chunks": 1, "indices": ge.tensor([0, 1]), "length": 1, "indices_or_sections": 1, "min": 0.1, "max": 0.8,
    "value": 1.5, "mask": ge.tensor([[True, False, True], [True, True, False]]), "arrays": [M, M], "n_rows": 2,
    "threshold": 0.4, "in_features": 3, "out_features": 2, "num_embeddings": 4, "embedding_dim": 3, "exponent": 2.0,
    "normalized_shape": 3, "target": M * 0.9, "labels": ge.tensor([0, 2]), "x2": M + 1, "lambd": 0.3,
}  # fmt: skip
# Places that hold no number: flags, dtypes, functions, names.
NO_NUMBERS = {
    "dtype", "device", "requires_grad", "copy", "inplace", "training", "generator", "endpoint", "keepdims", "keepdim",
    "form", "mark", "shape", "kernel", "body", "sorted", "as_tuple", "unbiased", "equal_nan", "invert", "largest",
    "log_target", "elementwise_affine", "bias", "stable", "descending", "include_initial", "device_type", "out", "swap",
    "indexing", "retain_graph", "create_graph", "allow_unused", "full", "log_input", "affine", "sparse", "right",
    "as_tensor", "non_blocking", "memory_format", "layout", "pin_memory", "hard", "names", "size",
}  # fmt: skip
# Functions without a gradient to have: answers that are bools or draws of whole numbers, what works on other things.
WITHOUT = {
    "isclose": "its answer is a bool", "allclose": "its answer is a bool", "can_cast": "asks about dtypes",
    "bernoulli": "a draw of whole numbers", "poisson": "a draw of whole numbers", "jit": "takes a function",
    "multinomial": "a draw of whole numbers", "set_printoptions": "prints", "manual_seed": "takes a seed",
    "is_tensor": "its answer is a bool", "typename": "its answer is a name", "to.other": "a Tensor to be like",
    "gumbel_softmax.eps": "not used, as in PyTorch", "poisson_nll_loss.eps": "not used for logarithms",
    "scalar_tensor": "makes a leaf of its own, as tensor does",
    "arange.start": "alone it is the end",
    "arange.stop": "the end says how many there are", "arange.end": "the end says how many there are",
    "cross_entropy.ignore_index": "a label", "nll_loss.ignore_index": "a label", "equal": "its answer is a bool",
    "split.split_size": "a size", "CrossEntropyLoss.ignore_index": "a label", "NLLLoss.ignore_index": "a label",
}  # fmt: skip


def places(function):
    """Arguments for a call, and its numeric places: positions and names, each with a value."""
    args, kwargs, found = [], {}, []
    for p in inspect.signature(function).parameters.values():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty:
            value = SAMPLES.get(p.name, M)
            if isinstance(value, (int, float)) and p.name not in NO_NUMBERS:
                found.append((len(args), p.name, float(value)))
            args.append(value)
        elif p.kind is p.VAR_POSITIONAL:
            args += [2, 3] if p.name in ("shape", "size", "sizes") else [M]
        elif p.kind is p.KEYWORD_ONLY and p.default is p.empty:
            kwargs[p.name] = SAMPLES.get(p.name, M)
        elif p.name not in NO_NUMBERS and (p.default is None or type(p.default) in (int, float)):
            found += [(p.name, p.name, value) for value in {float(p.default or 0.0), 0.5, 1.0}]
    return args, kwargs, found


def tensors(result):
    """The Tensors in a result."""
    if isinstance(result, ge.Tensor):
        return [result]
    return [t for item in result for t in tensors(item)] if isinstance(result, (list, tuple)) else []


def outcome(function, place, value):
    """What becomes of a Tensor that requires grad at one place: "error", "flows" or "vanishes"."""
    args, kwargs, _ = places(function)
    number = ge.tensor(value, requires_grad=True)
    if isinstance(place, int):
        args[place] = number
    else:
        kwargs[place] = number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(*args, **kwargs)
            if isinstance(result, nn.Module):
                forward = [p for p in inspect.signature(result.forward).parameters.values() if p.default is p.empty]
                result = result(*[M] * max(len(forward), 1))
        except ge.GradengineError:
            return "error"
    floats = [t for t in tensors(result) if t.requires_grad]
    reached = [ge.grad(t.sum(), number, allow_unused=True)[0] is not None for t in floats]
    return "flows" if any(reached) else "vanishes"


def public():
    """The functions of `ge` and `nn.functional`, the methods of Tensor, and the layers."""
    for owner, module in (("ge", ge), ("F", F)):
        names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
        for name in names:
            value = None if name == "bfloat16" else getattr(module, name)
            if inspect.isroutine(value):
                yield owner, name, value
    for name in nn.__all__ if hasattr(nn, "__all__") else dir(nn):
        value = getattr(nn, name)
        if inspect.isclass(value) and issubclass(value, nn.Module) and name not in ("Sequential", "Module"):
            yield "nn", name, value
    for name in dir(ge.Tensor):
        method = inspect.getattr_static(ge.Tensor, name)
        if not name.startswith("_") and not name.endswith("_") and inspect.isfunction(method):
            yield "Tensor", name, method


def test_no_gradient_vanishes():
    ge.set_cpu_backend("numpy")
    vanished, flowing, tried = [], set(), 0
    for owner, name, function in public():
        if name in WITHOUT:
            continue
        try:
            found = places(function)[2]
        except ValueError:
            continue
        for place, parameter, value in found:
            if f"{name}.{parameter}" in WITHOUT:
                continue
            try:
                got = outcome(function, place, value)
            except (TypeError, AttributeError):
                continue  # the sample does not fit this function at all
            tried += 1
            if got == "vanishes":
                vanished.append(f"{owner}.{name}: {parameter} = {value}")
            elif got == "flows":
                flowing.add(f"{name}.{parameter}")
    assert not vanished, "\n".join(vanished)
    assert tried > 500
    expected = {"quantile.q", "linspace.start", "linspace.stop", "full.fill_value", "full_like.fill_value", "clip.min"}
    assert expected | {"clip.max", "masked_fill.value", "add.alpha"} <= flowing


def slope(function, at):
    """The gradient of the sum, and finite differences of it."""
    x = ge.tensor(at, dtype=ge.float64, requires_grad=True)
    (g,) = ge.grad((function(x) * ge.tensor([1.0, 2.0, 3.0], dtype=ge.float64)).sum(), x)
    weigh = lambda v: float((function(ge.tensor(v, dtype=ge.float64)).numpy() * [1.0, 2.0, 3.0]).sum())
    return g.item(), (weigh(at + 1e-6) - weigh(at - 1e-6)) / 2e-6


DATA = ge.tensor([[1.0, 4.0, 2.0], [8.0, 3.0, 9.0], [5.0, 0.5, 7.0], [6.0, 2.5, 1.5]], dtype=ge.float64)


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (lambda q: ge.quantile(DATA, q, axis=0), 0.3),
        (lambda q: ge.quantile(DATA, ge.stack([q, q / 2]), axis=0)[1], 0.3),
        (lambda q: ge.quantile(DATA[:, 0], q, keepdims=True), 0.45),
        (lambda s: ge.linspace(s, 3.0, 3, dtype=ge.float64), 1.0),
        (lambda s: ge.linspace(0.5, s, 3, dtype=ge.float64, endpoint=False), 2.0),
        (lambda s: ge.logspace(s, 1.0, 3, base=3.0, dtype=ge.float64), 0.5),
        (lambda s: ge.logspace(0.5, 2.0, 3, base=s, dtype=ge.float64), 3.0),
        (lambda s: ge.addcmul(DATA[0], DATA[1], DATA[2], value=s), 1.0),
        (lambda s: ge.add(DATA[0], DATA[1], alpha=s), 1.0),
        (lambda s: ge.full((3,), s), 2.0),
        (lambda s: ge.full_like(DATA[0], s), 2.0),
        (lambda s: ge.arange(s, s.detach() + 3.0, 1.0, dtype=ge.float64)[:3], 0.25),
        (lambda s: ge.arange(0.0, 2.4, s, dtype=ge.float64)[:3], 0.9),
        (lambda s: ge.clip(DATA[0], s, 3.0), 1.5),
        (lambda s: ge.pow(DATA[0], s), 1.5),
        (lambda s: ge.masked_fill(DATA[0], DATA[0] > 1.5, s), 1.5),
        (lambda s: ge.where(DATA[0] > 1.5, s, 0.0), 1.5),
    ],
)
def test_gradients_by_numbers(function, at):
    got, want = slope(function, at)
    assert got == pytest.approx(want, rel=1e-5, abs=1e-6)


def test_quantiles_with_a_gradient_are_those_without():
    rng = np.random.default_rng(0)
    x = ge.tensor(rng.normal(size=(5, 3)))
    for q in (0.0, 0.25, 0.5, 0.99, 1.0):
        with_grad = ge.quantile(x, ge.tensor(q, dtype=ge.float64, requires_grad=True), axis=0)
        np.testing.assert_allclose(with_grad.detach().numpy(), np.quantile(x.numpy(), q, axis=0), rtol=1e-12)
    one = ge.quantile(x[:1], ge.tensor(0.5, requires_grad=True), axis=0)
    np.testing.assert_allclose(one.detach().numpy(), x[0].numpy())
    with pytest.raises(ge.ArgumentError, match="q must be from 0 to 1"):
        ge.quantile(x, ge.tensor(1.5, requires_grad=True))
    missing = ge.tensor([1.0, np.nan, 2.0])
    assert np.isnan(ge.quantile(missing, ge.tensor(0.1, requires_grad=True)).item())


@pytest.mark.torch
def test_gradients_of_quantiles_beside_torch(torch):
    x, q = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.3, 0.9])
    ours, theirs = ge.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    oq, tq = ge.tensor(q, requires_grad=True), torch.tensor(q, requires_grad=True)
    found = ge.grad(ge.quantile(ours, oq).sum(), [ours, oq])
    wanted = torch.autograd.grad(torch.quantile(theirs, tq).sum(), [theirs, tq], allow_unused=True)
    np.testing.assert_allclose(found[0].numpy(), wanted[0].numpy())
    np.testing.assert_allclose(found[1].numpy(), [3.0, 12.0])  # which PyTorch leaves out


def test_typed_errors_say_what_to_do():
    s = ge.tensor(0.5, requires_grad=True)
    for call, words in (
        (lambda: ge.normal(s), r"normal: mean is a Tensor that requires grad, .* \(mean\.item\(\)\)"),
        (lambda: ge.uniform(0.0, s), "uniform: high"),
        (lambda: F.dropout(ge.ones(2), s), "dropout: p"),
        (lambda: F.cross_entropy(ge.ones(1, 2), ge.tensor([0]), label_smoothing=s), "label_smoothing"),
        (lambda: ge.arange(s, 6.0, dtype=ge.int64), "int64 has no gradient"),
        (lambda: ge.full((2,), s, requires_grad=True), "leave out one"),
    ):
        with pytest.raises(ge.GraphError, match=words):
            call()
    with ge.no_grad():
        assert ge.normal(s, 0.0).item() == 0.5
    assert ge.full((2,), s, dtype=ge.float64).dtype == ge.float64
