"""Mistakes of meaning, where every argument has the right type: shapes, labels, dtypes, containers, classes, settings.

Each is a typed error that names the function, what came, what was needed and what to do; PyTorch raises for all.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn.functional as F
from gradengine import data, distributions, nn, optim

MATRIX, VECTOR, LABELS, MASK = ge.ones(2, 3), ge.ones(2), ge.tensor([0, 2]), ge.tensor([[1, 0, 1], [0, 0, 1]])
INTEGERS = ge.tensor([[1, 2, 3], [4, 5, 6]])
schedules = optim.lr_scheduler


def sgd() -> Any:
    return optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)


def weights() -> Iterator[Any]:
    return nn.Linear(2, 2).parameters()


def used_twice() -> None:
    generator = weights()
    optim.SGD(generator, lr=0.1)
    optim.SGD(generator, lr=0.1)


MISTAKES: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    # arguments that have no place, or lack
    ("loss without target", lambda: nn.MSELoss()(VECTOR), ge.SignatureError, r"^MSELoss: missing .*'target'; its arg"),
    ("loss of three", lambda: nn.L1Loss()(VECTOR, VECTOR, 1), ge.SignatureError, "at most 2 positional.*, got 3"),
    ("layer of two", lambda: nn.Linear(2, 2)(VECTOR, VECTOR), ge.SignatureError, "^Linear: takes at most 1 positional"),
    ("method of a class", lambda: nn.Linear.parameters(), ge.SignatureError, "'self'; call it on an instance"),
    ("method", lambda: nn.Linear(2, 2).parameters(recursive=False), ge.SignatureError, r"did you mean recurse\?"),
    ("step", lambda: schedules.ReduceLROnPlateau(sgd()).step(), ge.SignatureError, "step: missing .*'metrics'"),
    ("log_prob", lambda: distributions.Normal(0.0, 1.0).log_prob(), ge.SignatureError, "^Normal.log_prob: missing"),
    ("jit", lambda: ge.jit(len, static_argname=("x",)), ge.SignatureError, r"did you mean static_argnames\?"),
    (
        "compiled step",
        lambda: ge.jit(len).cache_info(1),
        ge.SignatureError,
        "cache_info: takes no positional arguments",
    ),
    ("dataset", lambda: data.Dataset(1), ge.SignatureError, "^Dataset: takes no arguments, got int 1"),
    ("subset", lambda: data.Subset([1, 2]), ge.SignatureError, "^Subset: missing a required argument: 'indices'"),
    ("transform", lambda: distributions.ExpTransform(cache=1), ge.SignatureError, r"did you mean cache_size\?"),
    ("scaler", lambda: ge.amp.GradScaler(init_scal=2.0), ge.SignatureError, r"did you mean init_scale\?"),
    ("getter", lambda: ge.get_default_dtype(1), ge.SignatureError, "^get_default_dtype: takes no positional"),
    ("no_grad", lambda: ge.no_grad(1, 2), ge.SignatureError, "^no_grad: takes at most 1 positional argument, got 2"),
    ("Function", lambda: ge.autograd.Function(VECTOR), ge.SignatureError, "apply"),
    ("Tensor.tolist", lambda: VECTOR.tolist(1), ge.SignatureError, "^tolist: takes no positional arguments, got 1"),
    ("pow", lambda: ge.pow(VECTOR, exponnent=2), ge.SignatureError, r"did you mean exponent\?"),
    # sizes, axes and settings
    ("reshape", lambda: MATRIX.reshape(-7), ge.ShapeError, "a size must be -1 or at least 0, got shape .-7"),
    ("permute", lambda: ge.permute(MATRIX, None), ge.ArgumentError, "needs the axes in their new order"),
    ("sort", lambda: MATRIX.sort(True), ge.SignatureError, "axis comes first .* write descending=True"),
    ("cumsum", lambda: MATRIX.cumsum(True), ge.SignatureError, "must be an int, got bool True"),
    ("softmax", lambda: ge.softmax(MATRIX, axis=1.0), ge.DTypeError, "softmax: axis must be an int, got float 1.0"),
    ("flatten", lambda: ge.tensor(1.0).flatten(5), ge.ShapeError, "flatten"),
    ("roll", lambda: MATRIX.roll((1.5,)), ge.DTypeError, "roll: shift is an int or a tuple of ints"),
    ("one_hot", lambda: F.one_hot(LABELS, -7), ge.ArgumentError, "num_classes must be -1 or at least 0, got -7"),
    ("one_hot of none", lambda: F.one_hot(ge.tensor([], dtype="int64")), ge.ArgumentError, "give num_classes"),
    ("tolerance", lambda: ge.allclose(VECTOR, VECTOR, rtol=-1.0), ge.ArgumentError, "rtol must be a number >= 0"),
    ("hardtanh", lambda: F.hardtanh(VECTOR, 2.0, 1.0), ge.ArgumentError, "min_val must be at most max_val"),
    ("Hardtanh", lambda: nn.Hardtanh(2.0, 1.0), ge.ArgumentError, "Hardtanh: min_val must be at most max_val"),
    ("softshrink", lambda: F.softshrink(VECTOR, -1.0), ge.ArgumentError, "lambd must be a number >= 0, got -1"),
    ("celu", lambda: F.celu(VECTOR, 0.0), ge.ArgumentError, "alpha must not be 0"),
    ("flag of 99", lambda: F.dropout(VECTOR, training=99), ge.SignatureError, "must be True or False, got int 99"),
    (
        "flag of None",
        lambda: ge.sort(VECTOR, descending=None),
        ge.SignatureError,
        "True or False, got NoneType",
    ),
    ("cov", lambda: ge.cov(MATRIX, correction=1.5), ge.DTypeError, "correction must be an int, got float 1.5"),
    ("logspace", lambda: ge.logspace(0, 1, 3, base=1j), ge.DTypeError, "base must be a number"),
    ("histc", lambda: ge.histc(VECTOR, 3, 2.0, 1.0), ge.ArgumentError, "min"),
    ("cdist", lambda: ge.cdist(MATRIX, MATRIX, p=-1.0), ge.ArgumentError, "p must be a number >= 0"),
    (
        "memory_format",
        lambda: VECTOR.to(memory_format="nchw"),
        ge.ArgumentError,
        "memory_format changes nothing here and must be None",
    ),
    (
        "contiguous",
        lambda: VECTOR.contiguous(memory_format=1),
        ge.ArgumentError,
        "memory_format changes nothing here and must be None",
    ),
    ("force", lambda: VECTOR.numpy(force="x"), ge.SignatureError, "force must be True or False, got str 'x'"),
    ("copy", lambda: ge.asarray(VECTOR, copy="x"), ge.SignatureError, "copy must be True or False, got str 'x'"),
    ("device", lambda: ge.Generator(device="nowhere"), ge.DeviceError, "there is no str 'nowhere'"),
    ("device's index", lambda: ge.device("cuda", -1), ge.DeviceError, "an int from 0 on, got int -1"),
    ("Size", lambda: ge.Size([1.5]), ge.DTypeError, "a size must be an int, got float 1.5"),
    # shapes and labels
    ("bmm", lambda: ge.bmm(MATRIX, MATRIX), ge.ShapeError, "bmm"),
    ("mm", lambda: ge.mm(MATRIX, VECTOR), ge.ShapeError, "mm"),
    ("mv", lambda: ge.mv(MATRIX, VECTOR), ge.ShapeError, "mv"),
    ("dot", lambda: ge.dot(VECTOR, ge.ones(3)), ge.ShapeError, "dot"),
    ("addmm", lambda: ge.addmm(MATRIX, MATRIX, MATRIX), ge.ShapeError, "addmm"),
    ("bilinear", lambda: F.bilinear(MATRIX, MATRIX, ge.ones(2, 2)), ge.ShapeError, "bilinear"),
    ("label too large", lambda: F.cross_entropy(MATRIX, LABELS + 5), ge.IndexRangeError, "cross_entropy"),
    ("label below 0", lambda: F.nll_loss(MATRIX, LABELS - 1), ge.IndexRangeError, "nll_loss"),
    ("too few labels", lambda: F.cross_entropy(MATRIX, LABELS[:1]), ge.ShapeError, "cross_entropy"),
    ("float labels", lambda: F.nll_loss(MATRIX, VECTOR), ge.DTypeError, "nll_loss"),
    (
        "ignored float",
        lambda: F.nll_loss(MATRIX, LABELS, ignore_index=1.5),
        ge.DTypeError,
        "must be an int",
    ),
    ("ignored class", lambda: F.cross_entropy(MATRIX, MATRIX, ignore_index=1), ge.ArgumentError, "class probabilities"),
    ("embedding", lambda: F.embedding(LABELS + 9, MATRIX), ge.IndexRangeError, "embedding"),
    ("float index", lambda: F.embedding(VECTOR, MATRIX), ge.DTypeError, "embedding"),
    ("max of none", lambda: ge.ones(0).max(), ge.ShapeError, "max"),
    ("argmin of none", lambda: ge.ones(2, 0).argmin(1), ge.ShapeError, "argmin"),
    # dtypes and containers
    ("mask of ints", lambda: MATRIX.masked_fill(MASK, 1.0), ge.DTypeError, "mask must be bool, got int64; .*!= 0"),
    ("scatter", lambda: INTEGERS.scatter(1, MASK, MATRIX), ge.DTypeError, "source is float32, .* into int64"),
    ("index_copy", lambda: INTEGERS.index_copy(0, LABELS[:1], MATRIX[:1]), ge.DTypeError, "source is float32"),
    ("index_put", lambda: INTEGERS.index_put((LABELS[:1],), MATRIX[0]), ge.DTypeError, "source is float32"),
    ("dtype of a Tensor", lambda: ge.zeros(2, dtype=VECTOR), ge.DTypeError, "dtype must be a dtype, got Tensor"),
    ("None", lambda: ge.tensor(None, dtype=ge.float32), ge.DTypeError, "None is no array of numbers"),
    ("None within", lambda: ge.tensor([1.0, None], dtype=ge.float32), ge.DTypeError, "is no array of numbers"),
    ("text", lambda: ge.tensor(["1"], dtype=ge.float32), ge.DTypeError, "is no array of numbers"),
    ("full_like", lambda: ge.full_like(VECTOR, None), ge.DTypeError, "full_like"),
    ("complex", lambda: ge.tensor([1j]), ge.DTypeError, "complex"),
    ("set", lambda: data.default_collate({1, 2}), ge.DataError, "needs a list of samples"),
    ("pretrained", lambda: nn.Embedding.from_pretrained([1, 2]), ge.DTypeError, "a table must be a Tensor"),
    ("exponent", lambda: distributions.PowerTransform("a"), ge.DTypeError, "exponent must be a number or a Tensor"),
    ("cache_size", lambda: distributions.ExpTransform(cache_size=5), ge.ArgumentError, "cache_size must be 0 or 1"),
    ("milestones", lambda: schedules.MultiStepLR(sgd(), {3, 1}), ge.DTypeError, "milestones must be a list of epochs"),
    (
        "lambda",
        lambda: schedules.LambdaLR(sgd(), lambda epoch: "a"),
        ge.ArgumentError,
        "lr_lambda returns must be",
    ),
    ("autocast", lambda: ge.autocast(["cpu"]), ge.ArgumentError, "device_type must be"),
    # classes for instances, functions for modules, generators used twice
    ("class", lambda: optim.SGD(nn.Linear, lr=0.1), ge.DTypeError, "SGD: params must be"),
    ("class with __iter__", lambda: optim.Adam(nn.Sequential), ge.DTypeError, "Adam: params must be"),
    ("module", lambda: optim.SGD(nn.Linear(2, 2), lr=0.1), ge.DTypeError, "SGD: params must be"),
    ("method", lambda: optim.SGD(nn.Linear(2, 2).parameters, lr=0.1), ge.DTypeError, "SGD: params must be"),
    ("activation's class", lambda: nn.Sequential(nn.ReLU), ge.DTypeError, "Sequential"),
    ("function", lambda: nn.Sequential(F.relu), ge.DTypeError, "Sequential"),
    ("index", lambda: nn.ModuleList([nn.ReLU()])["a"], ge.DTypeError, "an index must be an int or a slice, got str"),
    ("used up", used_twice, ge.ArgumentError, "used up"),
    ("scheduler's class", lambda: schedules.StepLR(optim.SGD, 1), ge.DTypeError, "StepLR: needs an optimizer"),
    ("no outputs", lambda: ge.autograd.grad([], []), ge.ArgumentError, "grad: got no outputs"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda row: row[0])
def test_a_mistake_is_named(mistake: tuple[str, Callable[[], Any], type[Exception], str]) -> None:
    _, call, kind, text = mistake
    with pytest.raises(kind, match=text):
        call()


def test_what_looks_like_a_mistake_and_is_none() -> None:
    """Flags of 0 and 1, NaN in floats, -1 for a size, an int Tensor written into floats."""
    assert ge.sort(ge.tensor([1.0, 2.0]), descending=1).tolist() == [2.0, 1.0]
    assert np.isnan(ge.tensor([1.0, float("nan")], dtype=ge.float32).tolist()[1])
    assert MATRIX.reshape(-1).shape == (6,)
    assert ge.zeros(2, 3).index_copy(0, LABELS[:1], INTEGERS[:1]).tolist()[0] == [1.0, 2.0, 3.0]
    assert F.hardtanh(VECTOR, 0.5, 0.5).tolist() == [0.5, 0.5]
    assert ge.tensor(1.0).flatten(0, -1).shape == (1,)


def test_a_class_without_a_constructor_takes_part_in_multiple_inheritance() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    class Both(data.Dataset, Named):  # type: ignore[type-arg]
        pass

    assert Both("a").name == "a"


def test_errors_inside_a_forward_stay_what_they_are() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return len(x, 1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match=r"len\(\) takes exactly one argument"):
        Net()(VECTOR)
