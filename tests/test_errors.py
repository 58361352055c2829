"""Bad input: a typed error that names the op, what came, what was needed, and the remedy; never a foreign traceback."""

import re
import traceback

import numpy as np
import pytest

import gradengine as ge
from gradengine import (
    ArgumentError,
    DTypeError,
    GradengineError,
    GraphError,
    IndexRangeError,
    ShapeError,
    SignatureError,
    nn,
)
from gradengine.nn import functional as F
from gradengine.ops import methods


def ones(*shape):
    return ge.ones(shape)


def ints():
    return ge.tensor([1, 2, 3])


BAD = {
    "elementwise shapes": (lambda: ones(2, 3) + ones(2, 4), ShapeError, r"add: .*\(2, 3\) and \(2, 4\).*3 and 4"),
    "where shapes": (lambda: ge.where(ones(2) > 0, ones(3), ones(4)), ShapeError, r"where: .*\(2,\).*\(3,\).*\(4,\)"),
    "comparison shapes": (lambda: ones(2) < ones(3), ShapeError, r"less: .*\(2,\) and \(3,\)"),
    "matmul inner sizes": (
        lambda: ones(64, 784) @ ones(512, 10),
        ShapeError,
        r"matmul: \(64, 784\) @ \(512, 10\): inner sizes 784 and 512 differ",
    ),
    "matmul scalar": (lambda: ones(2, 2) @ ge.tensor(1.0), ShapeError, r"matmul: .*at least one dimension; use \*"),
    "matmul batches": (lambda: ones(2, 3, 3) @ ones(4, 3, 3), ShapeError, r"matmul: .*\(2,\) and \(4,\)"),
    "vecdot": (lambda: ge.vecdot(ones(3), ones(4)), ShapeError, r"vecdot: .*3.*4"),
    "tensordot": (lambda: ge.tensordot(ones(2, 3), ones(4, 5), axes=1), ShapeError, r"tensordot: .*3.*4"),
    "einsum sizes": (lambda: ge.einsum("ij,jk->ik", ones(2, 3), ones(4, 5)), ShapeError, r"einsum .*j.*3 and 4"),
    "einsum equation": (
        lambda: ge.einsum("ij,jk->iz", ones(2, 3), ones(3, 5)),
        GradengineError,
        r"einsum .*each letter of the output",
    ),
    "linear": (lambda: ge.linear(ones(2, 3), ones(4, 5)), ShapeError, r"linear: .*\(2, 3\).*\(4, 5\).*3 and 5"),
    "linear bias": (lambda: ge.linear(ones(2, 3), ones(4, 3), ones(5)), ShapeError, r"linear: .*bias.*\(5,\)"),
    "reduction axis": (lambda: ones(2, 3).mean(axis=2), ShapeError, r"mean: axis 2 .*2 dimensions; valid are -2 to 1"),
    "reduction axis twice": (
        lambda: ones(2, 3).sum(axis=(0, 0)),
        ShapeError,
        r"sum: axis \(0, 0\) names an axis twice",
    ),
    "axis type": (lambda: ones(2, 3).sum(axis="rows"), DTypeError, r"sum: axis must be an int, got 'rows'"),
    "axis of 0-d": (lambda: ge.tensor(1.0).cumsum(axis=1), ShapeError, r"cumsum: axis 1 .*0"),
    "max of nothing": (lambda: ones(0).max(), ShapeError, r"max: .*\(0,\)"),
    "argmax of nothing": (lambda: ones(0, 2).argmax(axis=0), ShapeError, r"argmax: .*\(0, 2\)"),
    "reshape": (lambda: ones(2, 3).reshape(4, 2), ShapeError, r"reshape: .*\(2, 3\).*\(4, 2\).*6 .*8"),
    "permute_dims": (lambda: ge.permute_dims(ones(2, 3), axes=(0, 0)), ShapeError, r"permute_dims: .*\(0, 0\)"),
    "swapaxes": (lambda: ones(2, 3).swapaxes(0, 5), ShapeError, r"swapaxes: axis 5"),
    "squeeze": (lambda: ones(2, 3).squeeze(0), ShapeError, r"squeeze: .*axis 0.*2"),
    "broadcast_to": (lambda: ge.broadcast_to(ones(3), (2, 4)), ShapeError, r"broadcast_to: .*\(3,\).*\(2, 4\)"),
    "concat": (
        lambda: ge.concat([ones(2, 3), ones(2, 4)], axis=0),
        ShapeError,
        r"concat: .*\(2, 4\).*\(2, 3\).*only axis 0 may",
    ),
    "concat nothing": (lambda: ge.concat([]), GradengineError, r"concat: .*at least one"),
    "concat without a list": (lambda: ge.concat(ones(3), ones(3)), DTypeError, r"^concat: .*list: concat\(\[a, b\]"),
    "concat of three": (lambda: ge.concat(*[ones(3)] * 3), SignatureError, r"^concat: the arrays go into a list"),
    "stack without a list": (lambda: ge.stack(ones(3), ones(3)), DTypeError, r"^stack: .*list: stack\(\[a, b\]"),
    "concat along what": (
        lambda: ge.concat([ones(3), ones(3)], along=0),
        SignatureError,
        r"^concat: unexpected keyword 'along'; accepted: axis, dim$",
    ),
    "too few arguments": (lambda: ge.split(ones(4)), SignatureError, r"^split: missing .*'indices_or_sections'"),
    "tensordot axes": (lambda: ge.tensordot(ones(3), ones(3), axes="i"), DTypeError, r"^tensordot: axes .*'i'"),
    "stack": (lambda: ge.stack([ones(2), ones(3)]), ShapeError, r"stack: .*\(3,\).*\(2,\)"),
    "split": (lambda: ge.split(ones(5), 2), ShapeError, r"split: .*5.*2"),
    "pad": (lambda: ge.pad(ones(5), ((1, 1), (1, 1))), ShapeError, r"pad: "),
    "index out of range": (lambda: ones(3)[3], IndexRangeError, r"^index: index 3 .*axis 0 with size 3; valid are"),
    "integer array out of range": (
        lambda: ones(3)[ge.tensor([0, 7])],
        IndexRangeError,
        r"^index: index 7 is out of range for axis 0 with size 3$",
    ),
    "too many indices": (lambda: ones(3)[0, 0], GradengineError, r"2.*1"),
    "float index": (lambda: ones(3)[ge.tensor([0.5])], DTypeError, r"index array must hold integers.*float32"),
    "mask of another shape": (lambda: ones(3)[ge.tensor([True, False])], ShapeError, r"mask|bool"),
    "setitem shape": (lambda: ones(3).__setitem__(slice(None), ones(4)), ShapeError, r"\(4,\).*\(3,\)|\(3,\).*\(4,\)"),
    "take": (lambda: ge.take(ones(3), ints(), axis=0), IndexRangeError, r"^take: index 3 .*axis 0 with size 3$"),
    "take_along_axis": (
        lambda: ge.take_along_axis(ones(2, 3), ge.tensor([[5], [0]]), axis=1),
        IndexRangeError,
        r"^take_along_axis: index 5 .*axis 1 with size 3$",
    ),
    "scatter_add": (
        lambda: ge.scatter_add(ones(3), 0, ints(), ones(3)),
        IndexRangeError,
        r"^scatter_add: index 3 .*axis 0 with size 3$",
    ),
    "one_hot": (lambda: ge.one_hot(ints(), 3), GradengineError, r"^one_hot: label 3 is out of range for 3 classes$"),
    "embedding": (
        lambda: F.embedding(ints(), ones(3, 2)),
        IndexRangeError,
        r"^embedding: index 3 at position 2 is out of range for 3 rows$",
    ),
    "index of an empty axis": (
        lambda: ones(2, 0)[:, ints()],
        IndexRangeError,
        r"^index: index . is out of range for axis 1 with size 0$",
    ),
    "take of nothing": (lambda: ge.take(ones(0), ints()), IndexRangeError, r"^take: index 3 .*axis 0 with size 0$"),
    "take by floats": (
        lambda: ge.take(ones(3), ones(1)),
        DTypeError,
        r"^take: indices must be integers, got float32 \(given float32\[3\], float32\[1\]\)$",
    ),
    "take_along_axis by floats": (
        lambda: ge.take_along_axis(ones(3), ones(1)),
        DTypeError,
        r"^take_along_axis: indices must be integers, got float32 \(given float32\[3\], float32\[1\]\)$",
    ),
    "setitem by an array": (
        lambda: ones(2, 3).__setitem__((slice(None), [0, 9]), 1.0),
        IndexRangeError,
        r"^setitem: index 9 is out of range for axis 1 with size 3$",
    ),
    "setitem by a mask": (
        lambda: ones(3).__setitem__(ge.tensor([True, True, False]), ones(3)),
        ShapeError,
        r"^setitem: .*3.*2",
    ),
    "index_add": (lambda: ge.index_add(ones(3), 0, ints(), ones(3)), IndexRangeError, r"^index_add: index 3 .*size 3$"),
    "bitwise on floats": (lambda: ones(2) & ones(2), DTypeError, r"bitwise_and"),
    "dropout": (lambda: F.dropout(ones(3), p=1.5), ArgumentError, r"dropout: .*1\.5"),
    "cross_entropy label": (
        lambda: F.cross_entropy(ones(2, 3), ge.tensor([0, 3])),
        IndexRangeError,
        r"cross_entropy: .*3.*3 classes",
    ),
    "cross_entropy negative label": (
        lambda: F.cross_entropy(ones(2, 3), ge.tensor([-1, 0])),
        IndexRangeError,
        r"cross_entropy: .*-1",
    ),
    "cross_entropy batch": (
        lambda: F.cross_entropy(ones(4, 3), ge.tensor([0, 1])),
        ShapeError,
        r"cross_entropy: .*\(4, 3\).*\(2,\)",
    ),
    "nll_loss label": (lambda: F.nll_loss(ones(2, 3), ge.tensor([0, 9])), IndexRangeError, r"nll_loss: .*9"),
    "mse_loss by accident": (lambda: F.mse_loss(ones(8, 1), ones(8)), ShapeError, r"mse_loss: .*\(8, 1\).*\(8,\)"),
    "l1_loss by accident": (lambda: F.l1_loss(ones(8, 1), ones(8)), ShapeError, r"l1_loss: .*\(8, 1\).*\(8,\)"),
    "bce by accident": (
        lambda: F.binary_cross_entropy_with_logits(ones(8, 1), ones(8)),
        ShapeError,
        r"binary_cross_entropy_with_logits: .*\(8, 1\).*\(8,\)",
    ),
    "reduction": (
        lambda: F.mse_loss(ones(8), ones(8), reduction="avg"),
        ArgumentError,
        r"mean, sum, none; got .*'avg'",
    ),
    "dtype name": (lambda: ones(2).to("float31"), GradengineError, r"float31"),
    "shape of zeros": (lambda: ge.zeros((2, -1)), ShapeError, r"zeros: .*-1"),
    "not a number": (lambda: ones(2) + "one", GradengineError, r"'one'"),
    "dict operand": (lambda: ge.add(ones(2), {}), GradengineError, r"dict"),
    "gather of a string": (
        lambda: ge.gather("rows", 0, ints()),
        DTypeError,
        r"^gather: str 'rows' is no array of numb",
    ),
    "gather by floats": (
        lambda: ge.gather(ones(3), 0, ones(1)),
        DTypeError,
        r"^gather: indices must be integers, got fl",
    ),
    "gather out of range": (lambda: ge.gather(ones(3), 0, ints()), IndexRangeError, r"^gather: index 3 .*with size 3$"),
    "split of a string": (lambda: ge.split("rows", 2), DTypeError, r"^split: str 'rows' is no array"),
    "split without pieces": (
        lambda: ge.split(ones(4), None),
        DTypeError,
        r"^split: indices_or_sections is an int or a",
    ),
    "einsum of a string": (lambda: ge.einsum("i->", "rows"), DTypeError, r"^einsum: str 'rows' is no array"),
    "masked_fill shapes": (
        lambda: ge.masked_fill(ones(3), ones(2) > 0, 0),
        ShapeError,
        r"^masked_fill: .*\(2,\).*\(3,\)",
    ),
    "scatter_add of None": (
        lambda: ge.scatter_add(None, 0, ints(), ones(3)),
        DTypeError,
        r"^scatter_add: NoneType None",
    ),
    "index of strings": (lambda: ones(3)[["a", "b"]], DTypeError, r"^index: ndarray .* is no array of numbers"),
    "index by a type": (lambda: ones(3)[int], DTypeError, r"^index: type <class 'int'> is no index"),
    "clip": (lambda: ge.clip("rows"), DTypeError, r"^clip: str 'rows' is no array"),
    "isclose shapes": (lambda: ge.isclose(ones(2), ones(3)), ShapeError, r"^isclose: shapes \(2,\) and \(3,\)"),
    "isclose tolerance": (lambda: ge.isclose(ones(2), 1.0, rtol="a"), DTypeError, r"^isclose: str 'a' is no array"),
    "allclose shapes": (lambda: ge.allclose(ones(2), ones(3)), ShapeError, r"^allclose: shapes \(2,\) and \(3,\)"),
    "topk of a string": (lambda: ge.topk("rows", 1), DTypeError, r"^topk: str 'rows' is no array"),
    "topk by a Tensor": (
        lambda: ge.topk(ones(3), ones(2)),
        DTypeError,
        r"^topk: got a Tensor of shape \(2,\) where a setting belongs .*; give Python's own numbers, as \.item\(\)",
    ),
    "trace": (lambda: ge.trace(ones(3, 3), offset="a"), DTypeError, r"^trace: 'str' object .*offset='a'"),
    "median of None": (lambda: ge.median(None), DTypeError, r"^median: takes arrays, got None for x"),
    "quantile": (lambda: ge.quantile(ones(3), "half"), DTypeError, r"^quantile: q must be a number, got str 'half'$"),
    "cumulative_sum": (lambda: ge.cumulative_sum("rows"), DTypeError, r"^cumulative_sum: str 'rows' is no array"),
    "cumsum dtype": (
        lambda: ones(3).cumsum(dtype="floaty"),
        DTypeError,
        r"^cumsum: 'floaty' is no dtype of gradengine's;",
    ),
    "transpose": (lambda: ones(2, 3).transpose(0, 5), ShapeError, r"^transpose: axis 5 is out of range for 2 dim"),
    "axes in a row": (
        lambda: ones(2, 3, 4).sum(1, 2),
        SignatureError,
        r"^sum: keepdims must be True or False, got int 2; several axes go into a tuple, such as \(1, 2\)",
    ),
    "three axes in a row": (lambda: ones(2, 3, 4).sum(0, 1, 2), SignatureError, r"several axes go into a tuple"),
    "axes in a row of a composite": (lambda: ones(2, 3).logsumexp(0, 1), SignatureError, r"go into a tuple"),
    "axes in a row of squeeze": (lambda: ones(2, 3).squeeze(0, 1), SignatureError, r"go into a tuple, \(0, 1\)"),
    "a list with a graph": (
        lambda: ge.tensor([ge.ones(1, requires_grad=True).sum(), 2.0]),
        GraphError,
        r"^tensor: the list holds a Tensor that requires grad.*ge.stack",
    ),
    "linspace num": (lambda: ge.linspace(0, 1, -3), ArgumentError, r"^linspace: num, .* must be an int >= 0, got -3"),
    "logspace num": (lambda: ge.logspace(0, 1, -3), ArgumentError, r"^logspace: num, .* must be an int >= 0, got -3"),
    "grad": (lambda: ge.tensor(1.0, grad=True), SignatureError, r"'grad' \(did you mean requires_grad\?\)"),
    "unsqueeze": (lambda: ones(2).unsqueeze("a"), DTypeError, r"^unsqueeze: axis must be an int, got 'a'$"),
    "permute": (
        lambda: ones(2, 3).permute(0, 0),
        ShapeError,
        r"^permute: axes \(0, 0\) must name each of the 2 axes of shape \(2, 3\) once",
    ),
    "expand": (lambda: ones(3).expand(2, 4), ShapeError, r"^expand: cannot broadcast \(3,\) to \(2, 4\)"),
    "copy_": (lambda: ones(3).copy_(ones(2)), GradengineError, r"^copy_: .*\(2,\).*\(3,\)"),
    "take of a number": (
        lambda: ge.take(5, ints()),
        GradengineError,
        r"^take: (takes an array, got the number 5|index 3 )",
    ),
    "subtract of bools": (
        lambda: (ones(2) > 0) - (ones(2) > 0),
        DTypeError,
        r"^subtract: does not work on bool and bool; convert with \.to\(\.\.\.\)",
    ),
    "narrow": (
        lambda: ge.narrow(ones(3), axis=0, start="a", length=1),
        DTypeError,
        r"^narrow: .*\(given float32\[3\], axis=0, start='a', length=1\)$",
    ),
    "dtype of zeros": (
        lambda: ge.zeros(2, dtype="floaty"),
        DTypeError,
        r"^zeros: 'floaty' is no dtype of gradengine's; use",
    ),
    "dtype of to": (lambda: ones(2).to(dtype="floaty"), DTypeError, r"^to: 'floaty' is no dtype of gradengine's; use"),
    "zeros_like": (lambda: ge.zeros_like("rows"), DTypeError, r"^zeros_like: str 'rows' is no array"),
    "full_like": (lambda: ge.full_like(ones(2), "a"), GradengineError, r"^full_like: .*'a'"),
    "eye": (lambda: ge.eye(3, k="a"), DTypeError, r"^eye: k must be an int, got str 'a'$"),
    "arange": (lambda: ge.arange(ones(2)), DTypeError, r"^arange: takes numbers, got Tensor"),
    "arange of nan": (lambda: ge.arange(float("nan")), ArgumentError, r"^arange: cannot compute length, given nan, 1$"),
    "generator": (lambda: ge.rand(2, generator=5), DTypeError, r"^rand: generator must be a ge\.Generator, got int 5$"),
    "normal": (lambda: ge.normal(0.0, "wide", (2,)), DTypeError, r"^normal: std must be a number, got str 'wide'$"),
    "uniform": (lambda: ge.uniform(None, 1.0, (2,)), DTypeError, r"^uniform: low must be a number, got NoneType None$"),
    "bernoulli": (
        lambda: ge.bernoulli("half", (2,)),
        DTypeError,
        r"^bernoulli: p must be a number .*, got str 'half'$",
    ),
    "dropout p": (lambda: F.dropout(ones(3), p="half"), DTypeError, r"^dropout: p must be a number, got str 'half'$"),
    "dropout of integers": (
        lambda: F.dropout(ints()),
        DTypeError,
        r"^dropout: draws floating-point numbers, not int64",
    ),
    "padding_idx": (
        lambda: F.embedding(ints(), ones(5, 2), padding_idx="a"),
        DTypeError,
        r"^embedding: padding_idx must be an int, got str 'a'$",
    ),
    "layer_norm": (
        lambda: F.layer_norm(ones(3), None),
        DTypeError,
        r"^layer_norm: normalized_shape is an int or a tuple",
    ),
    "normalize": (lambda: F.normalize(ones(3), axis=1), ShapeError, r"^normalize: axis 1 is out of range for 1 dim"),
    "class weights": (
        lambda: F.nll_loss(ones(2, 3), ge.tensor([0, 1]), weight=ones(2)),
        ShapeError,
        r"^nll_loss: weight has shape \(2,\), but there are 3 classes$",
    ),
    "label_smoothing": (
        lambda: F.cross_entropy(ones(2, 3), ge.tensor([0, 1]), label_smoothing="a"),
        DTypeError,
        r"^cross_entropy: label_smoothing must be a number, got str 'a'$",
    ),
    "huber_loss delta": (
        lambda: F.huber_loss(ones(2), ones(2), delta="a"),
        DTypeError,
        r"^huber_loss: delta must be a numb",
    ),
    "loss without target": (
        lambda: F.mse_loss(ones(2)),
        SignatureError,
        r"^mse_loss: missing .*'target'; accepted: inp",
    ),
    "too few arrays": (lambda: ge.where(ones(2), ones(2)), SignatureError, r"where: takes 3 arrays; got 2"),
    "unknown metadata": (
        lambda: ge.sum(ones(2), along=0),
        SignatureError,
        r"sum: unexpected keyword 'along'; accepted: axis, keepdims, dtype, dim, keepdim",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_a_typed_error_that_explains(what, backend):
    call, kind, pattern = BAD[what]
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert isinstance(caught.value, GradengineError), message
    assert re.search(pattern, message), message
    chained = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in chained, "the traceback of the kernel's own error shows through"
    assert "direct cause" not in chained


def test_errors_are_the_builtin_ones_too():
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)
    assert issubclass(IndexRangeError, IndexError)
    assert issubclass(GraphError, RuntimeError)


def test_the_module_path_is_in_the_message():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
            self.head = nn.Linear(9, 2)

        def forward(self, x):
            return self.head(self.body(x))

    with pytest.raises(ShapeError, match=r"linear: .*\(3, 8\).*8 and 9 differ.*\(in head, Linear\(in_features=9"):
        Model()(ones(3, 4))
    with pytest.raises(ShapeError, match=r"\(in body\.0, Linear\(in_features=4"):
        Model()(ones(3, 5))


def test_python_s_own_words_for_operands_that_are_no_arrays():
    with pytest.raises(TypeError):
        None + ones(2)
    assert (ones(2) == "x") is False


def test_memory_errors_pass_through(monkeypatch):
    from gradengine.backend import devices as backend

    table = backend.for_device("cpu").table

    def full(*arrays):
        raise MemoryError("no room")

    monkeypatch.setitem(table, ge.exp.op, full)
    with pytest.raises(MemoryError, match="no room"):
        ge.exp(ones(2))


def test_a_kernel_that_breaks_is_not_called_the_users_mistake(monkeypatch):
    from gradengine.backend import devices as backend

    table = backend.for_device("cpu").table

    def broken(*arrays):
        raise RuntimeError("inside")

    monkeypatch.setitem(table, ge.exp.op, broken)
    with pytest.raises(GradengineError, match=r"exp: inside \(given float32\[2\]\)"):
        ge.exp(ones(2))


def test_nan_and_infinity_pass_through_quietly(backend):
    x = ge.tensor(np.array([np.nan, np.inf, -np.inf, 0.0]), requires_grad=True)
    for function in (F.gelu, F.silu, ge.tanh, ge.sigmoid, F.softplus, F.logsigmoid, ge.exp):
        (g,) = ge.grad(function(x).sum(), x)
        assert np.isnan(g.numpy()[0])
        assert not np.isnan(g.numpy()[3])


def test_errors_of_what_a_user_has_declared_keep_their_own_names():
    @ge.composite
    def of_a_user_with_a_mistake(k, x, /):
        return k.add(x, ge.ones(7, device=x.device))

    with pytest.raises(ShapeError, match=r"^add: shapes \(3,\) and \(7,\) do not broadcast"):
        of_a_user_with_a_mistake(ones(3))


def test_keepdims_that_is_no_bool():
    ge.set_cpu_backend("numpy")
    with pytest.raises(SignatureError, match=r"^sum: keepdims must be True or False, got str 'yes'$"):
        ones(2, 3).sum(axis=0, keepdims="yes")


def test_an_array_in_host_memory_goes_where_the_tensors_are(backend):
    host, labels = np.ones((2, 3), np.float32), ge.tensor([[0], [2]])
    source = ones(2, 1)
    for found in (
        ge.gather(host, 1, labels),
        ge.scatter_add(host, 1, labels, source),
        ge.index_add(host, 0, ge.tensor([1]), ones(1, 3)),
        ge.masked_select(host, ones(2, 3) > 0),
        F.embedding(labels, np.ones((3, 4), np.float32)),
        F.embedding(np.array([0, 1]), ones(3, 4)),
        F.cosine_similarity(host, ones(2, 3)),
    ):
        assert found.device == source.device
        assert found.dtype == ge.float32


def test_an_attribute_of_pytorch_s_tensors_says_what_to_do_instead():
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'stride'; how memory is laid out"):
        ones(2).stride()
    with pytest.raises(AttributeError, match=r"'Parameter' object has no attribute 'grad_fn'; x.requires_grad"):
        nn.Parameter(ones(2)).grad_fn  # noqa: B018
    assert not hasattr(ones(2), "stride")
    assert "stride" not in dir(ones(2))
    assert not set(methods.ABSENT) & {*methods.METHODS, *dir(ones(2))}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("size", [2, 200_000])
def test_where_numpy_warns_errstate_stops_at_the_line_of_the_user(backend, size):
    ge.set_cpu_backend(backend)
    x = ge.zeros(size)
    with np.errstate(all="raise"), pytest.raises(GradengineError, match="log: divide by zero") as caught:
        ge.log(x)
    assert "ge.log(x)" in str(caught.traceback[0].statement)
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in log"):
        ge.log(x)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: ge.abs(x, foo=1), "abs: unexpected keyword 'foo'"),
        (lambda x: ge.abs(), "abs: needs 1 array, got 0"),
        (lambda x: ge.add(x), "add: needs 2 arrays, got 1"),
        (lambda x: ge.add(x, x, foo=1), "add: unexpected keyword 'foo'; accepted: alpha"),
        (lambda x: ge.add(x, x, 1), "add: takes 2 arrays; got 3 positional arguments"),
        (lambda x: x.exp(1, 2, 3), "exp: takes 1 array; got 4 positional arguments"),
        (lambda x: ge.matrix_transpose(), "matrix_transpose: needs 1 array, got 0"),
        (lambda x: ge.round(x, decimals="a"), "round: decimals must be an int"),
    ],
)
def test_calls_of_pointwise_ops_that_do_not_fit_are_typed(wrong, words):
    with pytest.raises(GradengineError, match=words):
        wrong(ge.ones(2, 2))


def test_what_cannot_be_a_gradient_is_refused_where_it_is_assigned():
    p = ge.nn.Parameter(ge.ones(2))
    for value, error in (
        (np.ones(2), ge.DTypeError),
        (ge.ones(3), ge.ShapeError),
        (ge.ones(2).double(), ge.DTypeError),
    ):
        with pytest.raises(error, match=r"^grad: "):
            p.grad = value
    p.grad = ge.ones(2)
    p.grad = None
    with pytest.raises(ge.ArgumentError, match="register_hook: takes a function"):
        p.register_hook(5)
    with pytest.raises(ge.ArgumentError, match="must be a function, got int 5"):
        ge.elementwise("five", 5)


def test_pointwise_ops_take_their_arrays_by_name_and_out_by_position():
    x, out = ge.tensor([1.0, 2.0]), ge.zeros(2)
    assert ge.add(input=x, other=x, alpha=3).tolist() == [4.0, 8.0]
    assert ge.add(x, x, out) is out
    assert out.tolist() == [2.0, 4.0]
    assert ge.div(x, 2, rounding_mode="floor", out=out) is out
    assert ge.round(ge.tensor([1.26, -0.04]), decimals=1).tolist() == pytest.approx([1.3, 0.0])
    assert ge.round(ge.tensor([149.0]), decimals=-2).tolist() == [100.0]
