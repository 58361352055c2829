"""PyTorch's words: the same line in gradengine and in PyTorch gives the same values, and gradients where there are any.

Each line is evaluated twice, with `m` the library and the arrays below made by it.
"""

import warnings

import numpy as np
import pytest

import gradengine as ge

pytestmark = pytest.mark.torch

ARRAYS = {
    "a": np.array([[1.0, 9.0, -3.0], [7.0, 2.0, 5.5]], np.float32),
    "b": np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]], np.float32),
    "sq": np.array([[2.0, 1.0], [0.5, 3.0]], np.float32),
    "v": np.array([3.0, -1.0, 2.0], np.float32),
    "u": np.array([0.2, 0.7, 0.9], np.float32),
    "ties": np.array([[2.0, 2.0, 1.0], [0.0, 4.0, 4.0]], np.float32),
    "c": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7 - 1,
    "n": np.array([1.0, np.nan, 3.0, -np.inf], np.float32),
    "i": np.array([[3, 1, 2], [2, 2, 0]], np.int64),
    "k": np.array([2, 0, 2], np.int64),
    "rows": np.array([[0, 1, 1], [1, 0, 0]], np.int64),
    "flag": np.array([[True, False, True], [False, True, True]]),
}

LINES = """
a.sum(dim=1) | a.sum(dim=(0, 1), keepdim=True) | m.sum(input=a, dim=0) | a.mean(dim=(0, 1), keepdim=True)
m.mean(a, dim=1) | a.prod(dim=1) | a.argmax(dim=1, keepdim=True) | m.argmin(a, dim=0) | m.argmax(a)
a.max(dim=1) | ties.max(dim=1, keepdim=True) | m.max(ties, dim=0) | a.min(dim=-1)
m.min(input=a, dim=0, keepdim=True) | m.max(a, other=b) | m.max(a, b) | m.min(a, b) | a.max() | a.amax(dim=1)
m.amin(a, dim=(0, 1)) | m.aminmax(a, dim=1) | a.std(dim=0) | a.var(0, keepdim=True)
m.std(a, dim=1, unbiased=False) | m.var(a, unbiased=True) | a.std(unbiased=False) | m.std(a, False)
m.var_mean(a, dim=1) | m.std_mean(a, dim=0, keepdim=True) | m.var(a, dim=(0, 1), correction=0) | a.sort(dim=1)
m.sort(a, dim=0, descending=True) | a.argsort(dim=1, descending=True) | a.median(dim=1)
m.median(c, dim=2, keepdim=True) | m.topk(a, 2, dim=1) | a.topk(1, dim=0, largest=False)
m.kthvalue(a, 2, dim=1) | m.mode(i, dim=1) | m.cummax(ties, dim=1) | c.cummin(dim=2)
m.logcumsumexp(a, dim=1) | m.cumsum(a, dim=1) | a.cumprod(dim=0) | m.diff(a, dim=0) | m.split(a, 2, dim=1)
a.split([1, 2], dim=1) | m.split(a, split_size_or_sections=2, dim=1) | m.chunk(a, 2, dim=1)
a.chunk(chunks=2, dim=0) | m.tensor_split(a, 2, dim=1) | m.unbind(a, dim=1) | a.unbind(1) | m.hsplit(a, 3)
m.vsplit(a, 2) | m.dsplit(c, 2) | m.cat([a, b], dim=1) | m.cat(tensors=(a, b), dim=0)
m.concatenate([a, b], axis=1) | m.stack([a, b], dim=2) | m.hstack([a, b]) | m.vstack([v, v])
m.dstack([a, b]) | m.column_stack([v, v]) | m.row_stack([v, v]) | m.atleast_1d(v.sum()) | m.atleast_2d(v)
m.atleast_3d(a) | m.atleast_3d(v) | v.repeat(2, 3) | a.repeat(2, 1, 1) | a.tile(2, 3) | m.tile(v, dims=(2,))
m.repeat_interleave(a, 2, dim=1) | v.repeat_interleave(3) | m.repeat_interleave(k)
a.repeat_interleave(repeats=2, dim=0) | a.transpose(0, 1) | m.transpose(c, 0, 2) | c.transpose(dim0=1, dim1=2)
m.swapaxes(c, 0, 1) | c.permute(2, 0, 1) | c.permute(dims=(1, 0, 2)) | m.permute(c, (2, 1, 0)) | m.t(a)
a.t() | v.t() | m.movedim(c, 0, 2) | c.swapdims(0, 2) | m.adjoint(a) | a.flip(0, 1) | a.flip(dims=(1,))
m.flip(a, dims=(0,)) | m.fliplr(a) | m.flipud(a) | m.rot90(a, 3) | m.rot90(a, 1, [1, 0]) | m.rot90(a, k=2)
m.roll(a, shifts=1, dims=1) | a.roll(shifts=(1, 2), dims=(0, 1)) | m.unsqueeze(a, 1) | a.unsqueeze(dim=-1)
a.squeeze(dim=0) | m.squeeze(a.unsqueeze(0), dim=0) | m.squeeze(a.unsqueeze(0), dim=(0, 1))
m.unflatten(c, 2, (2, 2)) | c.unflatten(1, (3, -1)) | m.flatten(c, start_dim=1) | c.flatten(1, 2)
c.flatten(end_dim=1) | a.view(a.size(0), -1) | a.view(-1) | a.view_as(sq.new_zeros(3, 2))
a.reshape_as(sq.new_zeros(6)) | v.expand(2, 3) | v.expand(size=(2, -1)) | v.expand_as(a)
v.broadcast_to((2, 3)) | m.broadcast_to(v, size=(2, 3)) | a.sum_to_size(1, 3) | m.select(a, 1, 0)
a.select(dim=0, index=1) | m.narrow(a, 1, 0, 2) | a.narrow(dim=1, start=1, length=2) | m.index_select(a, 1, k)
a.index_select(dim=0, index=rows[0]) | m.take(a, k) | m.take(a, index=k) | m.take_along_dim(a, rows, dim=0)
m.gather(a, 1, rows) | a.gather(dim=1, index=rows) | m.masked_select(a, flag) | a.masked_fill(flag, 0.5)
m.masked_scatter(a, flag, b) | m.where(flag, a, b) | m.where(flag, input=a, other=b) | a.where(flag, b)
m.where(flag, a, 0.0) | m.scatter(a, 0, rows, b) | a.scatter(1, rows, 2.5)
a.scatter(0, rows, b, reduce='add') | m.scatter_add(a, dim=0, index=rows, src=b) | a.scatter_add(1, rows, b)
a.scatter(dim=1, index=rows, value=1.5) | a.scatter_reduce(0, rows, b, 'sum')
a.scatter_reduce(0, rows, b, 'amax') | a.scatter_reduce(1, rows, b, 'prod')
a.scatter_reduce(1, rows, b, 'mean') | a.scatter_reduce(1, rows, b, 'amin', include_self=False)
a.scatter_reduce(1, rows, b, 'mean', include_self=False)
a.scatter_reduce(1, rows, b, 'prod', include_self=False) | a.index_fill(1, k, 7.0)
a.index_copy(1, rows[0][:2], b[:, :2]) | a.index_add(0, rows[0], c[0, :, :3])
m.index_add(a, dim=0, index=rows[0][:1], source=b[:1], alpha=2) | a.index_put((rows[0], k), v)
a.index_put((rows[0], k), v, accumulate=True) | m.select_scatter(a, v, 0, 1) | m.slice_scatter(a, sq, 1, 0, 2)
m.diag(v) | m.diag(sq, diagonal=1) | m.diag_embed(a) | m.diag_embed(a, offset=1, dim1=0, dim2=2)
m.diagflat(a, 1) | m.diagonal(c, dim1=0, dim2=1) | m.diagonal(c, offset=1, dim1=1, dim2=2)
m.tril(a, diagonal=1) | a.triu(diagonal=-1) | m.block_diag(a, sq) | m.cartesian_prod(v, u)
m.combinations(v, r=2) | m.combinations(v, 2, with_replacement=True) | m.kron(a, sq) | m.trace(sq)
m.mm(a, b.t()) | m.bmm(c, c.transpose(1, 2)) | m.mv(a, v) | m.dot(v, u) | m.inner(a, v) | m.ger(v, u)
m.outer(v, u) | m.addmm(sq, a, b.t(), beta=0.5, alpha=2) | m.addmm(input=sq, mat1=a, mat2=b.t())
m.addmv(a[:, 0], a, v) | m.addbmm(sq, c[:, :2, :], c[:, :2, :].transpose(1, 2))
m.addr(a[:, :2], a[:, 0], v[:2]) | m.baddbmm(c[:, :2, :2], c[:, :2, :], c[:, :2, :].transpose(1, 2))
m.tensordot(a, b, dims=([1], [1])) | m.einsum('ij,kj->ik', a, b) | m.chain_matmul(a, b.t(), sq)
m.matmul(input=a, other=v) | m.eq(a, ties) | a.ne(ties) | m.lt(a, b) | a.le(b) | m.gt(a, 2) | a.ge(2)
m.ge(a, b) | m.add(a, b, alpha=2) | a.sub(b, alpha=0.5) | m.add(input=a, other=b) | m.mul(a, b)
m.div(a, b, rounding_mode='trunc') | a.div(b, rounding_mode='floor') | m.true_divide(a, b) | m.rsub(a, 3)
m.div(i, 2, rounding_mode='trunc') | m.div(-i, 2, rounding_mode='floor') | m.fmod(a, 3) | m.fmod(a, b)
m.remainder(a, b) | m.frac(a) | m.lerp(a, b, 0.3) | a.lerp(b, ties) | m.addcmul(a, b, ties, value=0.5)
m.addcdiv(a, b, ties + 1, value=2) | m.clamp(a, min=0.0, max=5.0) | a.clamp_min(1.0) | m.clamp_max(a, 2.0)
m.nan_to_num(n) | n.nan_to_num(nan=1.0, neginf=-2.0) | m.logit(u) | m.logit(u, eps=0.25) | m.xlogy(ties, u)
m.float_power(u, 2) | m.fmax(n, m.zeros(4)) | m.fmin(n, m.zeros(4)) | m.deg2rad(a) | m.rad2deg(a)
m.isposinf(n) | m.isneginf(n) | m.heaviside(v, u) | m.logaddexp2(a, b) | m.ldexp(a, i) | m.sgn(v)
m.absolute(a) | m.arctan2(a, b) | m.arcsin(u) | m.square(a) | m.nansum(n[:3]) | m.nanmean(n[:3], dim=0)
m.nanmean(n[:3]) | m.nanmedian(n[:3], dim=0) | m.nanquantile(n[:3], 0.3)
m.quantile(a, 0.3, dim=1, keepdim=True) | m.cov(a) | m.corrcoef(a) | m.cov(a, correction=0) | m.cdist(a, b)
m.cdist(a, b, p=1) | m.dist(a, b) | m.cross(a, b, dim=1) | m.renorm(a, 2, 0, 3.0) | m.norm(a, p=1, dim=1)
a.norm() | a.norm(dim=1, keepdim=True) | m.norm(a, p='fro') | m.logsumexp(a, dim=1) | m.softmax(a, dim=1)
a.log_softmax(dim=0) | m.all(flag, dim=1) | flag.any(dim=0, keepdim=True) | m.count_nonzero(ties, dim=1)
m.trapezoid(a, dim=1) | m.cumulative_trapezoid(a, dx=0.5) | m.trapezoid(a, v) | m.unique(i)
m.unique(i, return_inverse=True, return_counts=True) | m.unique(i, dim=0) | m.unique_consecutive(i)
m.bincount(k) | m.bincount(k, weights=v, minlength=5) | m.histc(a, bins=4, min=0, max=10) | m.histc(a, bins=3)
m.isin(i, k) | m.bucketize(a, m.tensor([0.0, 2.0])) | m.searchsorted(m.tensor([0.0, 2.0]), a)
m.histogram(a, bins=4) | m.nonzero(flag, as_tuple=True) | flag.nonzero(as_tuple=True) | m.argwhere(flag)
m.where(flag) | m.tril_indices(3, 3) | m.triu_indices(2, 3, offset=1) | a.nonzero(as_tuple=False)
m.isclose(a, b) | m.clone(a) | m.zeros(2, 3) | m.zeros(size=(2, 3), dtype=m.long)
m.ones((2,), dtype=m.float) | m.full(size=(2,), fill_value=3.0) | m.full((2, 2), 7)
m.zeros_like(a, dtype=m.int) | m.ones_like(input=i) | m.full_like(a, 2.5) | m.zeros(2, layout=None)
m.arange(5) | m.arange(1, end=4) | m.arange(start=1, end=4, step=2) | m.linspace(0, 1, steps=5)
m.linspace(start=0, end=1, steps=3) | m.logspace(0, 2, steps=3) | m.logspace(start=0, end=3, steps=4, base=2)
m.eye(3) | m.eye(n=2, m=3) | m.scalar_tensor(2.5) | m.as_tensor([1.0, 2.0]) | m.as_tensor(a, dtype=m.double)
m.asarray([1, 2]) | m.tensor([1, 2], dtype=m.half) | m.tensor([[1, 2]], dtype=m.short) | a.new_zeros(2, 3)
i.new_ones((2,)) | a.new_full((2,), 3) | i.new_tensor([1, 2]) | a.new_zeros(2, dtype=m.int64)
a.new_empty(2, 0) | a.type_as(i) | a.type(m.LongTensor) | i.type(m.float32) | a.long() | i.float()
a.double() | i.short() | i.byte() | a.half() | a.to(m.int) | a.to(i) | a.to('cpu', m.double)
a.contiguous().view(-1) | a.size() | a.size(-1) | a.numel() | a.nelement() | m.numel(a) | a.dim()
a.ndimension() | a.element_size() | a.is_contiguous() | a.is_floating_point() | m.is_floating_point(i)
m.is_tensor(a) | m.is_complex(a) | a.get_device() | a.equal(a) | a.equal(b) | a.device.type | a.device.index
a.is_signed() | m.FloatTensor([1, 2]) | m.LongTensor([1, 2]) | m.BoolTensor([True, False]) | m.Tensor([1, 2])
m.Tensor([[1, 2]]) | m.meshgrid(v, u, indexing='ij') | m.broadcast_tensors(v, a) | m.allclose(a, a)
a.allclose(b)
""".replace("\n", "|").split("|")
LINES = [line.strip() for line in LINES if line.strip()]

# What has no gradient in PyTorch either, though numbers in and out are floating-point ones.
NO_GRADIENT = (
    "nan_to_num(n)",
    "reduce='add'",
    "heaviside",
    "histc",
    "histogram",
    "bincount",
    "unique",
    "new_",
    "like",
    "type_as",
    "as_tensor",
    "Tensor(",
)


def flat(value):
    """All arrays and numbers in a result."""
    if isinstance(value, (tuple, list)):
        return [part for item in value for part in flat(item)]
    return [value]


def run(line, module, gradients):
    """The results of a line, and the gradients of what they sum to."""
    make = {name: module.tensor(x, requires_grad=gradients and x.dtype == np.float32) for name, x in ARRAYS.items()}
    found = flat(eval(line, {"m": module, **make}))
    grads = {}
    floating = [x for x in found if getattr(x, "requires_grad", False)]
    if gradients and floating:
        total = sum([(x * (x.detach() * 0.25 + 1.5)).sum() for x in floating])
        total.backward()
        grads = {name: x.grad for name, x in make.items() if x.grad is not None}
    return found, grads


def as_array(x):
    """A result in NumPy."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


@pytest.mark.parametrize("line", LINES)
def test_a_line_means_the_same_in_both(torch, line):
    got, _ = run(line, ge, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want, want_grads = run(line, torch, not any(word in line for word in NO_GRADIENT))
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        ours, theirs = as_array(ours), as_array(theirs)
        assert ours.shape == theirs.shape
        assert ours.dtype.kind == theirs.dtype.kind
        if ours.dtype.kind in "fiub":
            assert str(ours.dtype) == str(theirs.dtype), "dtype"
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
        else:
            assert ours == theirs
    if want_grads:
        _, grads = run(line, ge, True)
        for name, g in want_grads.items():
            ours = grads[name].numpy() if name in grads else 0.0
            np.testing.assert_allclose(ours, g.numpy(force=True), rtol=1e-4, atol=1e-5, err_msg=name)


def test_spelling_warnings_name_the_users_line():
    x, m = ge.tensor([1.0, 2.0]), ge.ones(2, 3)
    for use in (lambda: x.repeat(2), lambda: m.repeat(2, 1), lambda: m.max(1)[1], lambda: m.split([1, 1]) and None):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            use()
        assert [w.filename for w in caught] == [__file__] * len(caught)
        assert len(caught) <= 1


def test_vecdot_of_operands_of_different_ranks_is_numpys(rng):
    for a, b, axis in (((2100,), (2100, 3), 0), ((2100, 3), (2100,), 0), ((3, 2100), (2, 3, 2100), -1)):
        left, right = rng.normal(size=a).astype("f"), rng.normal(size=b).astype("f")
        ours = ge.vecdot(ge.tensor(left), ge.tensor(right), axis=axis)
        np.testing.assert_allclose(ours.numpy(), np.vecdot(left, right, axis=axis), rtol=1e-4, atol=1e-4)


@pytest.mark.torch
def test_no_axis_and_the_order_of_polygamma_are_pytorchs(torch):
    for library in (torch, ge):
        x = library.tensor([1.0, 2.0])
        assert x.sum(dim=()).tolist() == 3.0
        assert library.polygamma(1, library.tensor([2])).tolist() == pytest.approx([0.6449340668])
