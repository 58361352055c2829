"""Ops of neural networks: softmax, the cores of the losses, embedding, normalisation.

The losses' own functions, with their checks and options, are in `losses` and `classification`; users meet them all in
`gradengine.nn.functional`.
"""

from __future__ import annotations

from typing import Any

from .. import shapes
from ..errors import ShapeError
from . import loop_forms, pytorch_forms
from .declare import primitive

__all__ = ["log_softmax", "softmax"]


# -- softmax ----------------------------------------------------------------------------------------------------


@primitive(
    lambda k, g, y, x, axis: k.softmax_grad(g, y, axis=axis),
    shape=shapes.same,
    form=pytorch_forms.in_dtype("softmax"),
    precision="high",
    method=True,
    loop_form=loop_forms.softmax,
)
def softmax(x, /, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`: positive numbers that sum to 1.

    Any shape, kept; logits of any size are safe, for the maximum is subtracted first. A row of -inf gives NaN, as in
    PyTorch. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.softmax(ge.tensor([0.0, 1000.0, 1000.0]))
    tensor([0. , 0.5, 0.5])
    """


def softmax_grad_y(k: Any, h: Any, out: Any, g: Any, y: Any, axis: Any) -> Any:
    """The cotangent of y in y * (g - sum(g * y))."""
    total = k.sum(g * y, axis=axis, keepdims=True)
    return h * (g - total) - g * k.sum(h * y, axis=axis, keepdims=True)


@primitive(
    lambda k, h, out, g, y, axis: k.softmax_grad(h, y, axis=axis), softmax_grad_y, loop_form=loop_forms.softmax_grad
)
def softmax_grad(g, y, /, axis):
    """y * (g - sum(g * y)): the gradient of a softmax whose value is y."""


@primitive(
    lambda k, g, y, x, axis: k.log_softmax_grad(g, y, axis=axis),
    shape=shapes.same,
    form=pytorch_forms.in_dtype("log_softmax"),
    precision="high",
    method=True,
    loop_form=loop_forms.log_softmax,
)
def log_softmax(x, /, axis=-1):
    """log(softmax(x)) along `axis`, exact where the softmax itself would underflow.

    Any shape, kept. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.log_softmax(ge.tensor([0.0, 1000.0, 1000.0]))
    tensor([-1000.6932,    -0.6931,    -0.6931])
    """


@primitive(
    lambda k, h, out, g, y, axis: h - k.sum(h * k.exp(y), axis=axis, keepdims=True),
    lambda k, h, out, g, y, axis: -h * (k.exp(y) * k.sum(g, axis=axis, keepdims=True)),
    loop_form=loop_forms.log_softmax_grad,
)
def log_softmax_grad(g, y, /, axis):
    """g - exp(y) * sum(g): the gradient of a log-softmax whose value is y."""


# -- cross-entropy ----------------------------------------------------------------------------------------------
# A row is one sample: its logits and its label. A label that equals `ignore_index` makes the row count for nothing.


def labelled(name, x, labels, **metadata):
    """The shape rule of rows (N, C) and their labels (N,)."""
    if len(x) != 2 or labels != x[:1]:
        raise ShapeError(f"{name}: needs rows (N, C) and labels (N,), got {x} and {labels}")
    return labels


@primitive(
    lambda k, g, y, x, labels, ignore_index: k.place_class(g, labels, classes=x.shape[1], ignore_index=ignore_index),
    None,
    shape=labelled,
    shown="nll_loss",
    any_precision=True,
    checks_index=True,
    loop_form=loop_forms.pick_class,
)
def pick_class(x, labels, /, ignore_index):
    """x[i, labels[i]] of every row i, 0 where the label is to be ignored."""


@primitive(
    lambda k, h, out, g, labels, classes, ignore_index: k.pick_class(h, labels, ignore_index=ignore_index),
    None,
    shown="nll_loss",
    any_precision=True,
    loop_form=loop_forms.place_class,
)
def place_class(g, labels, /, classes, ignore_index):
    """Zeros, with g[i] at [i, labels[i]]."""


@primitive(None, None, shown="cross_entropy", checks_index=True)
def label_weights(labels, logits, /, ignore_index, reduction):
    """What each row counts in a loss, as a column: 0 where ignored, and 1/(rows that count) under a mean."""


@primitive(
    lambda k, g, y, logits, labels, ignore_index, reduction: k.cross_entropy_rows_grad(
        g, logits, labels, ignore_index=ignore_index, reduction=reduction
    ),
    None,
    shape=labelled,
    shown="cross_entropy",
    precision="high",
    checks_index=True,
    loop_form=loop_forms.cross_entropy,
)
def cross_entropy_rows(logits, labels, /, ignore_index, reduction):
    """log(sum(exp(logits))) - logits[label] of every row: their mean, their sum, or (N,) for "none"."""


def cross_entropy_rows_grad_g(k, h, out, g, logits, labels, ignore_index, reduction):
    """The cotangent of g: the rule is linear in it."""
    slope = h * k.cross_entropy_rows_grad(1.0, logits, labels, ignore_index=ignore_index, reduction=reduction)
    return k.sum(slope, axis=1 if reduction == "none" else None)


def cross_entropy_rows_grad_logits(k, h, out, g, logits, labels, ignore_index, reduction):
    """The cotangent of the logits: each row's share of the softmax's."""
    column = k.expand_dims(g, axis=1) if reduction == "none" else g
    share = column * k.label_weights(labels, logits, ignore_index=ignore_index, reduction=reduction)
    return k.softmax_grad(h * share, k.softmax(logits, axis=1), axis=1)


@primitive(
    cross_entropy_rows_grad_g,
    cross_entropy_rows_grad_logits,
    None,
    shown="cross_entropy",
    loop_form=loop_forms.cross_entropy_grad,
)
def cross_entropy_rows_grad(g, logits, labels, /, ignore_index, reduction):
    """(softmax(logits) - one_hot(labels)) * g, where a reduction's share is part of g."""


# -- other losses -----------------------------------------------------------------------------------------------


def over_size(a: Any) -> float:
    """2/n, the factor of a mean of squares."""
    n = 1
    for size in a.shape:
        n *= size
    return 2 / n if n else 0.0


@primitive(
    lambda k, g, y, a, b: (a - b) * (g * over_size(a)),
    lambda k, g, y, a, b: (b - a) * (g * over_size(b)),
    shape=shapes.broadcast,
    shown="mse_loss",
    precision="high",
    loop_form=loop_forms.mean_squared_error,
)
def mean_squared_error(a, b, /):
    """mean((a - b)**2) of two arrays of one shape."""


# -- embedding and normalisation ----------------------------------------------------------------------------------


@primitive(
    lambda k, g, y, weight, indices, padding_idx, blank: k.embedding_rows_grad(
        g, indices, rows=weight.shape[0], padding_idx=padding_idx
    ),
    None,
    shape=shapes.rows_of_table,
    shown="embedding",
    checks_index=True,
)
def embedding_rows(weight, indices, /, padding_idx=None, blank=False):
    """The rows of `weight` at `indices`; with `blank`, zeros in place of the row `padding_idx`."""


@primitive(
    lambda k, h, out, g, indices, rows, padding_idx: k.embedding_rows(
        h, indices, padding_idx=padding_idx, blank=padding_idx is not None
    ),
    None,
    shown="embedding",
)
def embedding_rows_grad(g, indices, /, rows, padding_idx=None):
    """The transpose of `embedding_rows`: g added up by index, with nothing for `padding_idx`."""


def standardize_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, eps: float) -> Any:
    """What is left of g without its parts along 1 and y, over the standard deviation."""
    centred = x - k.mean(x, axis=axis, keepdims=True)
    deviation = k.sqrt(k.mean(centred * centred, axis=axis, keepdims=True) + eps)
    along_y = y * k.mean(g * y, axis=axis, keepdims=True)
    return (g - k.mean(g, axis=axis, keepdims=True) - along_y) / deviation


@primitive(standardize_rule, shape=shapes.same, shown="layer_norm", precision="high", loop_form=loop_forms.standardize)
def standardize(x, /, axis=-1, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) over `axis`."""
