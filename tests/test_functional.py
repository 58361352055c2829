"""Softmax, losses, dropout, embedding: PyTorch's values and gradients at the edges, and errors that say what to do."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.nn import functional as F

REDUCTIONS = ("mean", "sum", "none")
INF = np.inf
LOGITS = np.array([[1.5, -0.5, 0.25, 2.0], [0.0, 3.0, -1.0, 0.5], [-2.0, 0.75, 1.0, -0.25]], np.float32)
LABELS = np.array([0, 1, 2])


def leaf(array):
    return ge.tensor(array, requires_grad=np.asarray(array).dtype.kind == "f")


def compare(torch, ours, theirs, *arrays, rtol=1e-5, atol=1e-6):
    """The same value, dtype and gradients as PyTorch's, NaN and infinity included."""
    mine = [leaf(a) for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, z = ours(*mine), theirs(*other)
    want = z.detach().numpy()
    assert y.dtype == want.dtype
    assert y.shape == want.shape
    np.testing.assert_allclose(y.detach().numpy(), want, rtol, atol)
    weights = np.linspace(0.5, 1.5, want.size).reshape(want.shape).astype(want.dtype)
    y.backward(ge.tensor(weights))
    z.backward(torch.tensor(weights))
    for a, b in zip(mine, other, strict=True):
        if b.grad is not None:
            assert a.grad.dtype == a.dtype
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol, atol)


# -- softmax ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    "values",
    [
        np.array([[-INF, 0, 1], [0, 1, 2], [500, -500, 1]]),
        np.array([[-INF, -INF], [1.0, 2.0]]),
        np.array([[INF, 0.0], [1.0, np.nan]]),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.float64(3.0) * np.ones(()),
        np.array([[1e30, -1e30], [1e4, 1e4]], np.float32),
    ],
    ids=["-inf", "row of -inf", "inf and nan", "no rows", "no columns", "0-d", "large"],
)
def test_softmax_at_the_edges(torch, backend, name, axis, values):
    theirs = getattr(torch.nn.functional, name)
    compare(torch, lambda x: getattr(F, name)(x, axis=axis), lambda x: theirs(x, dim=axis), values)


def test_softmax_takes_dim_axis_or_a_position():
    x = ge.tensor(LOGITS)
    wanted = F.softmax(x, axis=0).tolist()
    assert F.softmax(x, dim=0).tolist() == F.softmax(x, 0).tolist() == ge.softmax(x, axis=0).tolist() == wanted


def test_softmax_of_integers_has_the_default_dtype():
    assert F.softmax(ge.tensor([0, 0])).tolist() == [0.5, 0.5]
    assert F.log_softmax(ge.tensor([0, 0])).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("shape", [(5, 10), (3, 100), (2, 20000), (4, 3, 5)])
def test_softmax_keeps_its_dtype_and_is_accurate(backend, dtype, shape, rng):
    x = rng.normal(size=shape).astype(dtype) * 4
    wide = x.astype(np.float64)
    want = np.exp(wide - wide.max(-1, keepdims=True))
    want /= want.sum(-1, keepdims=True)
    for result, expected in (
        (F.softmax(ge.tensor(x), dim=-1), want),
        (F.log_softmax(ge.tensor(x), dim=-1), np.log(want)),
    ):
        assert result.dtype == dtype
        tolerance = 8 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(result.numpy(), expected, tolerance, tolerance if dtype == np.float32 else 1e-7)


def test_softmax_axis_out_of_range():
    with pytest.raises(ge.ShapeError, match="softmax: axis 2 is out of range for 2 dimensions"):
        F.softmax(ge.zeros((2, 3)), axis=2)


# -- cross-entropy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("logits", "labels", "ignore_index"),
    [
        (LOGITS, LABELS, -100),
        (LOGITS, np.array([-100, 1, 2]), -100),
        (LOGITS, np.array([1, 1, 2]), 1),
        (LOGITS, np.array([1, 1, 1]), 1),
        (LOGITS[:0], LABELS[:0], -100),
        (LOGITS * 1e4, LABELS, -100),
        (LOGITS[0], np.array(2), -100),
        (LOGITS.reshape(1, 4, 3), np.array([[0, 3, 1]]), -100),
        (LOGITS.reshape(3, 2, 2).astype(np.float64), np.array([[0, 1], [1, 0], [1, 1]]), 0),
    ],
    ids=["plain", "-100", "ignored", "all ignored", "empty", "large", "one sample", "positions", "float64"],
)
def test_cross_entropy_options(torch, backend, reduction, smoothing, weighted, logits, labels, ignore_index):
    classes = logits.shape[1 if logits.ndim > 1 else 0]
    weight = np.linspace(0.5, 2.0, classes).astype(logits.dtype) if weighted else None
    options = dict(ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing)
    compare(
        torch,
        lambda x, t: F.cross_entropy(x, t, None if weight is None else ge.tensor(weight), **options),
        lambda x, t: torch.nn.functional.cross_entropy(
            x, t, None if weight is None else torch.tensor(weight), **options
        ),
        logits,
        labels,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "changes",
    [{(0, 1): -INF}, {(0, 1): -INF, (1, 1): -INF}, {(2, j): -INF for j in range(4)}, {(0, 1): INF, (1, 2): np.nan}],
    ids=["elsewhere", "at the label", "a whole row", "inf and nan"],
)
def test_cross_entropy_of_infinite_logits(torch, backend, reduction, changes):
    logits = LOGITS.copy()
    for index, value in changes.items():
        logits[index] = value
    theirs = torch.nn.functional.cross_entropy
    compare(
        torch,
        lambda x, t: F.cross_entropy(x, t, reduction=reduction),
        lambda x, t: theirs(x, t, reduction=reduction),
        logits,
        LABELS,
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8])
def test_labels_of_any_integer_type(dtype):
    want = F.cross_entropy(ge.tensor(LOGITS), ge.tensor(LABELS)).item()
    assert F.cross_entropy(ge.tensor(LOGITS), ge.tensor(LABELS.astype(dtype))).item() == want
    assert F.cross_entropy(ge.tensor(LOGITS), LABELS.astype(dtype)).item() == want


def test_labels_in_strided_memory():
    labels = np.repeat(LABELS, 2)
    assert F.cross_entropy(ge.tensor(LOGITS), ge.asarray(labels[::2])).item() == pytest.approx(
        F.cross_entropy(ge.tensor(LOGITS), ge.tensor(LABELS)).item()
    )


def test_cross_entropy_is_one_node():
    loss = F.cross_entropy(leaf(LOGITS), ge.tensor(LABELS))
    assert loss.op.name == "cross_entropy_rows"
    assert all(x.is_leaf for x in loss.inputs)


@pytest.mark.parametrize("rows", [3, 200, 20000])
def test_cross_entropy_of_large_batches(torch, backend, rows, rng):
    logits, labels = rng.normal(size=(rows, 10)).astype(np.float32), rng.integers(0, 10, rows)
    compare(torch, F.cross_entropy, torch.nn.functional.cross_entropy, logits, labels, rtol=1e-4)


@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("options", [{}, {"weight": np.ones(4, np.float32)}, {"ignore_index": 2}])
@pytest.mark.parametrize(
    ("label", "at", "place"),
    [(4, 1, r"target\[1\] is 4"), (-1, 0, r"target\[0\] is -1"), (1000, 2, r"target\[2\] is 1000")],
)
def test_a_label_out_of_range_is_named(backend, function, options, label, at, place):
    labels = LABELS.copy()
    labels[at] = label
    with pytest.raises(ge.IndexRangeError, match=rf"{place}, out of range for 4 classes: labels are 0 to 3"):
        function(ge.tensor(LOGITS), ge.tensor(labels), **options)


def test_a_label_out_of_range_is_found_in_a_large_batch(backend):
    labels = np.zeros(20_000, int)
    labels[12_345] = 10
    for options in ({}, {"reduction": "none"}, {"ignore_index": 0}):
        with pytest.raises(ge.IndexRangeError, match=r"target\[12345\] is 10, out of range for 10 classes"):
            F.cross_entropy(leaf(np.zeros((20_000, 10), np.float32)), ge.tensor(labels), **options)


def test_a_label_out_of_range_is_found_with_label_smoothing_and_in_many_dimensions():
    with pytest.raises(ge.IndexRangeError, match=r"target\[1\] is 4"):
        F.cross_entropy(ge.tensor(LOGITS), ge.tensor([0, 4, 0]), label_smoothing=0.1)
    with pytest.raises(ge.IndexRangeError, match=r"target\[1, 2\] is 9, out of range for 4 classes"):
        F.cross_entropy(ge.zeros((2, 4, 3)), ge.tensor([[0, 1, 2], [3, 0, 9]]))
    with pytest.raises(ge.IndexRangeError, match="the target is 4, out of range for 4 classes"):
        F.cross_entropy(ge.zeros(4), ge.tensor(4))


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        ((3, 4), np.zeros(2, int), ge.ShapeError, r"needs labels of shape \(3,\), got \(2,\)"),
        ((3, 4), np.zeros((3, 1), int), ge.ShapeError, r"use target.reshape\(3,\)"),
        ((3, 4), np.zeros((3, 4), int), ge.ShapeError, "one-hot targets must be floats"),
        ((3, 4), np.zeros((4, 3), np.float32), ge.ShapeError, "they must be equal for class probabilities"),
        ((3, 4), np.zeros(3, np.float32), ge.ShapeError, r"use target.to\(ge.int64\)"),
        ((3, 4), np.zeros(3, bool), ge.DTypeError, "labels must be integers, got bool"),
        ((2, 4, 3), np.zeros((2, 4), int), ge.ShapeError, r"needs labels of shape \(2, 3\)"),
        ((), np.zeros((), int), ge.ShapeError, "the input is 0-d; it needs an axis of classes"),
    ],
)
def test_targets_that_do_not_fit(logits, target, error, message):
    with pytest.raises(error, match=message):
        F.cross_entropy(ge.zeros(logits), ge.tensor(target))


def test_options_that_are_not_there():
    x, t = ge.tensor(LOGITS), ge.tensor(LABELS)
    with pytest.raises(ge.ArgumentError, match="reduction must be one of mean, sum, none; got str 'avg'"):
        F.cross_entropy(x, t, reduction="avg")
    with pytest.raises(ge.ArgumentError, match="label_smoothing must be between 0 and 1, got 2"):
        F.cross_entropy(x, t, label_smoothing=2)
    with pytest.raises(ge.ShapeError, match=r"weight has shape \(3,\), but there are 4 classes"):
        F.cross_entropy(x, t, weight=ge.ones(3))
    with pytest.raises(ge.ShapeError, match=r"weight has shape \(3,\), but there are 4 classes"):
        F.cross_entropy(x, F.softmax(x), weight=ge.ones(3))


# -- the other losses ---------------------------------------------------------------------------------------------

PAIRWISE = [
    F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits,
    F.kl_div, F.hinge_embedding_loss, F.soft_margin_loss,
]  # fmt: skip


@pytest.mark.parametrize("loss", PAIRWISE, ids=lambda f: f.__name__)
def test_shapes_that_would_broadcast_are_rejected(loss):
    with pytest.raises(ge.ShapeError, match=r"shape \(8, 1\), the target \(8,\); they must be equal: use target.resh"):
        loss(ge.ones((8, 1)), ge.ones(8))
    with pytest.raises(ge.ShapeError, match=r"use input.reshape\(8, 1\)"):
        loss(ge.ones(8), ge.ones((8, 1)))
    with pytest.raises(ge.ShapeError, match=r"they must be equal$"):
        loss(ge.ones((2, 3)), ge.ones(3))
    with pytest.raises(ge.ArgumentError, match="reduction must be one of"):
        loss(ge.ones(3), ge.ones(3), reduction="median")


def test_the_remedy_for_shapes_is_the_right_one():
    a, b = ge.ones((8, 1)), ge.ones(8)
    assert F.mse_loss(a, b.reshape(8, 1)).item() == 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "huber_loss", "smooth_l1_loss"])
def test_regression_losses_at_kinks_and_infinities(torch, backend, name, reduction):
    d = np.array([0, 1, -1, 0.5, 2, -2, INF, -INF, np.nan], np.float32)
    theirs = getattr(torch.nn.functional, name)
    compare(
        torch,
        lambda x, t: getattr(F, name)(x, t, reduction=reduction),
        lambda x, t: theirs(x, t, reduction=reduction),
        d,
        np.zeros_like(d),
    )


def test_l1_loss_where_both_are_equal(torch, backend):
    d = np.array([0, 1, -1, 2], np.float32)
    compare(torch, F.l1_loss, torch.nn.functional.l1_loss, d, np.array([0, 1, 1, 0], np.float32))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"])
def test_losses_of_nothing(torch, name):
    theirs = getattr(torch.nn.functional, name)
    for reduction in REDUCTIONS:
        compare(
            torch,
            lambda x, t, reduction=reduction: getattr(F, name)(x, t, reduction=reduction),
            lambda x, t, reduction=reduction: theirs(x, t, reduction=reduction),
            np.zeros((0, 2), np.float32),
            np.zeros((0, 2), np.float32),
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_at_the_edges(torch, backend, reduction):
    p = np.array([0, 0, 0, 1, 1, 1, 0.5, 1e-30, 0.3, 1e-9], np.float32)
    t = np.array([0, 1, 0.5, 0, 1, 0.5, 0.2, 1, 0, 0], np.float32)
    theirs = torch.nn.functional.binary_cross_entropy
    compare(
        torch,
        lambda x, t: F.binary_cross_entropy(x, t, reduction=reduction),
        lambda x, t: theirs(x, t, reduction=reduction),
        p,
        t,
    )
    x = np.array([1000, -1000, 0, 100, -100, INF, -INF, np.nan], np.float32)
    t = np.array([1, 0, 1, 0, 1, 0, 0, 1], np.float32)
    compare(
        torch,
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        x,
        t,
    )


def test_binary_cross_entropy_is_finite_to_second_order_at_0_and_1():
    p = ge.tensor([0.0, 1.0], requires_grad=True)
    (g,) = ge.grad(F.binary_cross_entropy(p, ge.tensor([0.0, 1.0])), p, create_graph=True)
    (h,) = ge.grad(g.sum(), p)
    assert np.isfinite(h.numpy()).all()


@pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5"), (-0.5, "-0.5"), (np.nan, "nan")])
def test_binary_cross_entropy_wants_probabilities(value, shown):
    with pytest.raises(ge.ArgumentError, match=f"must be probabilities from 0 to 1, got values from .*{shown}"):
        F.binary_cross_entropy(ge.tensor([0.5, value]), ge.tensor([0.0, 1.0]))


def test_weights_that_would_make_the_loss_larger_are_rejected():
    with pytest.raises(ge.ShapeError, match=r"weight of shape \(4, 3\) does not broadcast to the elements' \(3,\)"):
        F.binary_cross_entropy_with_logits(ge.zeros(3), ge.zeros(3), weight=ge.ones((4, 3)))
    with pytest.raises(ge.ShapeError, match=r"with_logits: pos_weight: shapes .* do not broadcast"):
        F.binary_cross_entropy_with_logits(ge.zeros(3), ge.zeros(3), pos_weight=ge.ones(2))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_losses_at_the_kink(torch, backend, reduction):
    compare(
        torch,
        lambda x, t: F.hinge_embedding_loss(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.hinge_embedding_loss(x, t, reduction=reduction),
        np.array([0, 1, 2, 0, 1, 2, -1], np.float32),
        np.array([1, 1, 1, -1, -1, -1, 0]),
    )
    compare(
        torch,
        lambda a, b, t: F.margin_ranking_loss(a, b, t, reduction=reduction),
        lambda a, b, t: torch.nn.functional.margin_ranking_loss(a, b, t, reduction=reduction),
        np.array([0, 1, 2], np.float32),
        np.array([0, 0, 5], np.float32),
        np.array([1.0, 1.0, -1.0], np.float32),
    )


def test_kl_div_where_the_target_is_0():
    x, t = ge.tensor([-1.0, -2.0], requires_grad=True), ge.tensor([0.0, 1.0])
    loss = F.kl_div(x, t, reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(2.0)
    assert x.grad.tolist() == [0.0, -1.0]


def test_losses_reject_settings_that_make_no_sense():
    x = ge.ones(2)
    with pytest.raises(ge.ArgumentError, match="delta must be positive, got 0"):
        F.huber_loss(x, x, delta=0)
    with pytest.raises(ge.ArgumentError, match="beta must not be negative, got -1"):
        F.smooth_l1_loss(x, x, beta=-1)
    assert F.smooth_l1_loss(x, x * 3, beta=0).item() == 2.0


def test_integer_targets_take_the_inputs_dtype():
    x = ge.tensor([0.5, 2.0])
    for loss in (F.mse_loss, F.l1_loss, F.soft_margin_loss):
        assert loss(x, ge.tensor([1, -1])).dtype == np.float32


def test_a_python_number_may_be_the_target_of_a_0_d_input():
    x = ge.tensor(1.0, requires_grad=True)
    F.mse_loss(x, 0.5).backward()
    assert x.grad.item() == 1.0


@pytest.mark.parametrize("size", [3, 9000, 100_000])
def test_mse_loss_of_float32_is_accurate(backend, size, rng):
    a, b = rng.normal(size=(2, size)).astype(np.float32)
    loss = F.mse_loss(leaf(a), ge.tensor(b))
    assert loss.dtype == np.float32
    want = np.mean((a.astype(np.float64) - b) ** 2)
    assert loss.item() == pytest.approx(want, rel=2e-6)


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("cross_entropy", LABELS, {}),
        ("cross_entropy", LABELS, {"reduction": "none", "ignore_index": 1}),
        ("cross_entropy", LABELS, {"label_smoothing": 0.1}),
        ("nll_loss", LABELS, {}),
        ("mse_loss", LOGITS * 0.5, {}),
        ("huber_loss", LOGITS * 0.5, {"delta": 0.6}),
        ("smooth_l1_loss", LOGITS * 0.5, {"beta": 0.6}),
        ("binary_cross_entropy_with_logits", np.abs(LOGITS) / 4, {}),
        ("kl_div", np.abs(LOGITS) / 4 + 0.1, {"reduction": "sum"}),
        ("softmax", None, {"dim": 1}),
        ("log_softmax", None, {"dim": 0}),
    ],
)
def test_second_order_like_pytorch(torch, backend, name, target, options):
    logits = LOGITS.astype(np.float64)
    target = target if target is None or target.dtype.kind == "i" else target.astype(np.float64)
    weights = np.cos(np.arange(12.0)).reshape(3, 4)

    def twice(module, function, like, x, *rest):
        loss = function(x, *rest, **options)
        (g,) = module((loss * loss * loss).sum(), x, create_graph=True)
        return module((g * like(weights)).sum(), x)[0]

    ours = twice(ge.grad, getattr(F, name), ge.tensor, leaf(logits), *([] if target is None else [ge.tensor(target)]))
    theirs = twice(
        torch.autograd.grad,
        getattr(torch.nn.functional, name),
        torch.tensor,
        torch.tensor(logits, requires_grad=True),
        *([] if target is None else [torch.tensor(target)]),
    )
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-8, 1e-10)


# -- layers as functions ------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_draws_anew():
    x = ge.ones(20_000, requires_grad=True)
    a, b = F.dropout(x, 0.25), F.dropout(x, 0.25)
    kept = a.detach().numpy() > 0
    assert np.unique(a.detach().numpy()).tolist() == pytest.approx([0, 1 / 0.75])
    assert kept.mean() == pytest.approx(0.75, abs=0.02)
    assert (kept != (b.detach().numpy() > 0)).any()
    a.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), a.detach().numpy())


def test_dropout_repeats_with_its_generator():
    x = ge.ones(100)
    first = F.dropout(x, 0.5, generator=ge.Generator(7)).tolist()
    assert F.dropout(x, 0.5, generator=ge.Generator(7)).tolist() == first
    ge.manual_seed(7)
    again = F.dropout(x, 0.5).tolist()
    ge.manual_seed(7)
    assert F.dropout(x, 0.5).tolist() == again


def test_dropout_limits():
    x = ge.ones(5)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [0.0] * 5
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ge.ArgumentError, match="dropout: p must be a probability from 0 to 1"):
            F.dropout(x, p)


@pytest.mark.parametrize("padding", [None, 1, -1])
@pytest.mark.parametrize(
    "indices",
    [np.array([1, 1, 2, 0, 2]), np.array([[1, 1], [2, 0]]), np.array(2), np.zeros((0, 2), int)],
    ids=["1-d", "2-d", "0-d", "empty"],
)
def test_embedding(torch, backend, padding, indices):
    compare(
        torch,
        lambda w, i: F.embedding(i, w, padding_idx=padding),
        lambda w, i: torch.nn.functional.embedding(i, w, padding_idx=padding),
        LOGITS,
        indices,
    )


def test_embedding_to_second_order():
    w = ge.tensor(LOGITS.astype(np.float64), requires_grad=True)
    for padding in (None, 2):
        assert ge.autograd.gradgradcheck(lambda w, p=padding: F.embedding(ge.tensor([0, 2, 2]), w, p) ** 3, w)


def test_embedding_errors():
    table = ge.zeros((4, 2))
    with pytest.raises(ge.IndexRangeError, match=r"embedding.*index 4 at position 0, 1 is out of range for 4 rows"):
        F.embedding(ge.tensor([[0, 4]]), table)
    with pytest.raises(ge.IndexRangeError, match="index -1 at position 0"):
        F.embedding(ge.tensor([-1]), table)
    with pytest.raises(ge.DTypeError, match="indices must be integers, got float32"):
        F.embedding(ge.tensor([0.0]), table)
    with pytest.raises(ge.ShapeError, match=r"weight must be a table \(N, D\), got shape \(4,\)"):
        F.embedding(ge.tensor([0]), ge.zeros(4))
    with pytest.raises(ge.IndexRangeError, match="padding_idx 4 is out of range for 4 rows"):
        F.embedding(ge.tensor([0]), table, padding_idx=4)


def test_layer_norm(torch, backend):
    compare(
        torch,
        lambda x, w, b: F.layer_norm(x, 4, w, b),
        lambda x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b),
        LOGITS,
        np.linspace(0.5, 2, 4).astype(np.float32),
        np.linspace(-1, 1, 4).astype(np.float32),
    )
    with pytest.raises(ge.ShapeError, match=r"last axes must be normalized_shape \(3,\), got shape \(3, 4\)"):
        F.layer_norm(ge.tensor(LOGITS), 3)
    with pytest.raises(ge.ShapeError, match=r"bias must have the shape \(4,\), got \(3,\)"):
        F.layer_norm(ge.tensor(LOGITS), 4, bias=ge.zeros(3))


def test_vectors_of_length_0(torch):
    x = np.array([[0, 0], [3, 4]], np.float32)
    compare(torch, F.normalize, torch.nn.functional.normalize, x)
    ours = F.cosine_similarity(ge.tensor(x), ge.tensor([[1.0, 1.0], [3.0, 4.0]]))
    np.testing.assert_allclose(ours.numpy(), [0, 1], 1e-6)


def test_flatten_and_pad(torch):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for start, end in ((0, -1), (1, -1), (0, 1), (1, 1)):
        compare(torch, lambda t, a=start, b=end: F.flatten(t, a, b), lambda t, a=start, b=end: t.flatten(a, b), x)
    for widths, options in (
        ((1, 2), {}),
        ((1, 0, 2, 1), {"value": 3.0}),
        ((1, 2), {"mode": "reflect"}),
        ((1, 2), {"mode": "replicate"}),
        ((1, 2), {"mode": "circular"}),
    ):
        compare(
            torch,
            lambda t, w=widths, o=options: F.pad(t, w, **o),
            lambda t, w=widths, o=options: torch.nn.functional.pad(t, w, **o),
            x,
        )
    with pytest.raises(ge.ArgumentError, match="mode must be one of constant, reflect, replicate, circular"):
        F.pad(ge.tensor(x), (1, 1), mode="edge")
    with pytest.raises(ge.ArgumentError, match=r"needs \(before, after\) for each axis, got 3 numbers"):
        F.pad(ge.tensor(x), (1, 1, 1))
    with pytest.raises(ge.ShapeError, match="got widths for 4 axes"):
        F.pad(ge.tensor(x), (1,) * 8)


def test_everything_that_functional_names_is_there():
    for name in F.__all__:
        assert callable(getattr(F, name))
        assert getattr(F, name).__doc__
