"""Lines of programs written for PyTorch, run as they stand in both libraries: the same results, and changes in place.

A line may begin with statements, which end with `;`. Each result must have the value, the shape and the dtype of
PyTorch's, and an exception there must be one here.
"""

import copy
import pickle
import re
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge

SOFTMAX = """
F.softmax(x)
F.softmax(X)
F.softmax(T)
F.softmax(T[None])
F.log_softmax(T)
F.softmin(T)
nn.Softmax()(T)
nn.LogSoftmax()(T)
nn.Softmin()(T)
nn.Softmax(None)(T)
F.softmax(x[0])
F.softmax(X, None)
F.softmax(X, dim=1, dtype=m.float64)
F.log_softmax(X, dim=0, dtype=m.float64)
F.softmax(X, dim=-1, _stacklevel=5)
X.softmax(-1, dtype=m.float64)
m.softmax(X, 1, dtype=m.float64)
m.log_softmax(X, dim=1, dtype=m.float64)
F.softmax(n, dim=0, dtype=m.float32)
"""
COPIES = """
a = m.zeros(4); d = copy.deepcopy({'a': a, 'v': a[1:]}); d['a'].fill_(3); d['v']
a = m.zeros(4); d = copy.deepcopy({'v': a[1:], 'a': a}); d['a'].fill_(3); d['v']
a = m.zeros(4); d = copy.deepcopy([a, a.view(2, 2)]); d[1].fill_(3); d[0]
a = m.zeros(4, 4); d = copy.deepcopy([a[0], a.t()[0], a]); d[0].fill_(3); d[1], d[2], a
a = m.zeros(4); d = copy.deepcopy([a[:3], a[1:]]); d[0].fill_(3); d[1], a
a = m.zeros(4, 2); d = copy.deepcopy([a[1:].t()[0], a[:, 0]]); d[0].fill_(3); d[1], a
a = m.zeros(4); d = copy.deepcopy([a, a.detach()]); d[1].fill_(3); d[0], a
a = m.zeros(4); d = copy.deepcopy([a, a[1:], a]); d[2].fill_(3); d[1], d[0] is d[2]
a = m.zeros(4, requires_grad=True); d = copy.deepcopy([a, a.detach()[1:]]); d[1].fill_(3); d[0].detach()
a = nn.Parameter(m.zeros(4)); d = copy.deepcopy([a, a.detach()]); d[1].fill_(3); d[0].detach(), d[1]
a = m.zeros(4); v = a[1:]; c = copy.deepcopy(v); c.fill_(1); a, v, c
a = m.zeros(4); v = a[1:]; c = copy.deepcopy(a); c.fill_(1); a, v, c
a = m.zeros(4); d = pickle.loads(pickle.dumps([a, a])); d[1].fill_(3); d[0]
l = nn.Linear(2, 2); k = copy.deepcopy(l); k.weight.data.fill_(1.0); (l.weight == 1).any()
"""
IN_PLACE = """
y = x.clone(); z = F.relu(y, True); y, z is y
y = x.clone(); z = F.dropout(y, 0.5, False, True); y, z is y
y = x.clone(); z = F.leaky_relu(y, 0.1, True); y, z is y
y = x.clone(); z = nn.ReLU(True)(y); y, z is y
y = x.clone(); z = nn.LeakyReLU(0.1, True)(y); y, z is y
y = x.clone(); z = F.elu(y, 1.0, True); y, z is y
y = x.clone(); z = F.selu(y, True); y, z is y
y = x.clone(); z = F.silu(y, True); y, z is y
y = x.clone(); z = F.mish(y, True); y, z is y
y = x.clone(); z = F.hardtanh(y, -1.0, 1.0, True); y, z is y
y = x.clone(); z = F.relu6(y, True); y, z is y
y = x.clone(); z = F.celu(y, 1.0, True); y, z is y
y = x.clone(); z = F.threshold(y, 0.1, 20.0, True); y, z is y
y = x.clone(); z = F.hardswish(y, True); y, z is y
y = x.clone(); z = F.hardsigmoid(y, True); y, z is y
y = x.clone(); z = F.relu(y, False); y, z
y = x.clone(); z = F.elu(y, 1.0, False); y, z
F.relu(x, True, 2)
"""
PADDING = """
F.pad(X, (-1, 1))
F.pad(X, (-1, -1))
F.pad(X, (-1, 0, 0, -1))
F.pad(X, (-1, 2), value=5.0)
F.pad(T, (-1, 2), mode='reflect')
F.pad(T, (-1, 1), mode='replicate')
F.pad(T, (-1, 1), mode='circular')
F.pad(X, (-2, -2))
F.pad(n, (0, -1))
Q = X.clone().requires_grad_(True); (F.pad(Q, (-1, 1)) ** 2).sum().backward(); Q.grad
"""
EMBEDDING = """
e = nn.Embedding(10, 3, max_norm=None, padding_idx=0); e.weight[0].detach(), e.weight.shape
e = nn.Embedding(10, 3, 0); e.weight[0].detach()
e = nn.Embedding(4, 2, max_norm=1.0); e.weight.data.copy_(W); o = e(I); o.detach(), e.weight.detach()
e = nn.Embedding(4, 2, None, 1.0, 1.0); e.weight.data.copy_(W); o = e(I); o.sum().backward(); o.detach(), e.weight.grad
w = W.clone(); o = F.embedding(I, w, None, 1.0); o, w
w = W.clone(); o = F.embedding(I, w, padding_idx=0, max_norm=2.0, norm_type=1.0); o, w
e = nn.Embedding(4, 2, scale_grad_by_freq=True); e.weight.data.copy_(W); e(I).sum().backward(); e.weight.grad
e = nn.Embedding(4, 2, sparse=False); e.weight.shape
e = nn.Embedding.from_pretrained(W, max_norm=1.0); e.weight.requires_grad, e(I).detach()
e = nn.Embedding.from_pretrained(W, freeze=False, padding_idx=1); e.weight.requires_grad, e(I).detach()
e = nn.Embedding(4, 2, _weight=W); e(I).detach()
repr(nn.Embedding(4, 2, padding_idx=1, max_norm=1.0, norm_type=1.0))
"""
BATCHES = """
next(iter(data.DataLoader(data.TensorDataset(X, n[:2]), batch_size=2)))
b = next(iter(data.DataLoader(data.TensorDataset(X, n[:2]), batch_size=2))); b[0] = b[0] * 2; b
next(iter(data.DataLoader(X, batch_size=2)))
list(data.DataLoader(x, batch_size=2))
next(iter(data.DataLoader(X.numpy(), batch_size=2)))
next(iter(data.DataLoader(data.TensorDataset(X), batch_size=2)))
type(next(iter(data.DataLoader(data.TensorDataset(X), batch_size=2)))) is list
type(next(iter(data.DataLoader([(1, 2.0), (3, 4.0)], batch_size=2)))) is list
type(next(iter(data.DataLoader(data.TensorDataset(X), batch_size=None)))) is list
next(iter(data.DataLoader(X, batch_size=None)))
next(iter(data.DataLoader(x, batch_size=2, collate_fn=list)))
type(data.TensorDataset(X)[0]) is tuple
next(iter(data.DataLoader(data.Subset(data.TensorDataset(X), [1]), batch_size=2)))
next(iter(data.DataLoader(x, batch_size=2, multiprocessing_context=None)))
"""
NAMES = """
from torch.cuda.amp import GradScaler, autocast; s = GradScaler(enabled=False); s.is_enabled()
import torch.cuda.amp; torch.cuda.amp.GradScaler(enabled=False).is_enabled()
from torch.cuda.amp import autocast; autocast(enabled=False)(lambda: x * 2)()
from torch.func import functional_call as f; f(same(nn.Linear(3, 2)), {'weight': M * 2}, (x,)).detach()
f = m.func.functional_call; f(same(nn.Linear(3, 2)), {'weight': M}, x).detach()
f = m.func.functional_call; f(nn.Linear(3, 2), {'bias': R[:2]}, x).sum().backward(); R.grad
f = m.func.functional_call; l = same(nn.Linear(3, 2)); f(l, {"weight": M * 2}, (x,)); (l.weight == 1).all()
f = m.func.functional_call; f(nn.Sequential(same(nn.Linear(3, 2))), {'0.weight': M * 2}, x).detach()
from torch.func import functional_call as f; f(same(nn.Linear(3, 2)), {'wait': M}, (x,)).detach()
f = m.func.functional_call; f(nn.Linear(3, 2), {'wait': M}, (x,), strict=True)
from torch.nn.utils.stateless import functional_call as f; f(same(nn.Linear(3, 2)), {'bias': x[:2]}, (x,)).detach()
from torch.func import grad; grad(lambda x: (x * x).sum())(x)
from torch.func import grad_and_value; grad_and_value(lambda x: (x * x).sum())(x)
from torch.nn.utils.rnn import pad_sequence; pad_sequence([x, x[:2]], batch_first=True, padding_value=-1.0)
from torch.nn.utils.rnn import pad_sequence; pad_sequence([X, X[:1]])
from torch.nn.utils.rnn import pad_sequence; pad_sequence([n, n[:1]], batch_first=True, padding_side='left')
from torch.nn.utils.rnn import pad_sequence; pad_sequence([R, R[:1]]).sum().backward(); R.grad
from torch.nn.utils.rnn import pad_sequence; pad_sequence([x, X])
from torch.nn.utils.rnn import unpad_sequence; unpad_sequence(X.t(), m.tensor([2, 3]))
m.arange(7.0).unfold(0, 3, 2)
T.unfold(2, 2, 1)
T.unfold(-2, 2, 1)
T.unfold(dimension=1, size=3, step=4)
T.unfold(1, 4, 1)
x[0].unfold(0, 1, 1)
R.unfold(0, 2, 1).sum().backward(); R.grad
R.unfold(0, 1, 2).sum().backward(); R.grad
a = m.arange(7.0); a.unfold(0, 3, 3).fill_(0); a
a = m.arange(7.0); a.unfold(0, 2, 3).mul_(2); a
a = m.arange(7.0); w = a.unfold(0, 3, 2); a.mul_(2); w
q = X.clone().requires_grad_(); a = q * 1.0; w = a.unfold(1, 2, 1); a.mul_(3); w, m.autograd.grad((w * w).sum(), q)
q = X.clone().requires_grad_(); a = q * 1.0; w = a.unfold(0, 1, 2); a.mul_(3); w, m.autograd.grad((w * w).sum(), q)
q = X.clone().requires_grad_(); a = q * 1; w=a[0].unfold(0, 2, 1)[0]; a[0].mul_(3); a.mul_(2); w, m.autograd.grad(w, q)
a = X.clone(); w = a.unfold(1, 2, 1); a.copy_(X.requires_grad_() * 2); w
a = m.zeros(6); v = a[::2].ravel(); v.fill_(1); a
a = m.zeros(6); v = a[::2].flatten(); v.fill_(1); a
a = m.zeros(2, 3); v = a.ravel(); v.fill_(1); a
a = m.zeros(2, 3); v = m.ravel(a.t()); v.fill_(1); a
a = m.zeros(3); v = a.expand(2, 3).contiguous(); v.fill_(1); a, v
a = m.zeros(3); a.expand(2, 3).is_contiguous(), a.expand(1, 3).contiguous().fill_(2), a
a = m.zeros(3); a.real.fill_(1); m.real(a).add_(1); m.conj(a).mul_(2); a
n.masked_fill(n > 0, 3.0)
m.masked_fill(n > 0, n > 0, True)
x.masked_fill(x > 0, m.tensor(2.5, dtype=m.float64))
x.half().masked_fill(x > 0, m.tensor(2.5))
m.add(n, n > 0, alpha=2)
m.add(x.half(), 2.5, alpha=2)
m.xlogy(x.double(), (x * x + 3).half())
m.xlogy((x * x).half(), (x * x + 3).bfloat16())
X.index_reduce(0, m.tensor([0, 0]), X * 2, 'amax')
X.index_reduce(0, m.tensor([0, 0]), X * 2, 'mean')
X.index_reduce(0, m.tensor([0, 0]), X * 2, 'prod', include_self=False)
X.index_reduce(dim=1, index=m.tensor([0, 2]), source=X[:, :2], reduce='amin')
X.clone().index_reduce_(0, m.tensor([0, 0]), X * 2, 'amax')
X.index_reduce(0, m.tensor([0, 0]), X * 2, 'sum')
x.quantile(0.3, interpolation='lower')
x.quantile(0.3, interpolation='higher')
x.quantile(0.3, interpolation='nearest')
x.quantile(0.25, interpolation='nearest')
x.quantile(0.3, interpolation='midpoint')
x.quantile(0.5, interpolation='midpoint')
m.quantile(X, m.tensor([0.1, 0.6]), dim=1, interpolation='midpoint')
m.quantile(X, m.tensor([0.1, 0.6]), dim=1, keepdim=True, interpolation='nearest')
R.quantile(0.3, interpolation='higher').backward(); R.grad
x.quantile(0.3, interpolation='cubic')
m.nanquantile(X / (X - 9), 0.3, dim=1, interpolation='lower')
m.nanquantile(X, 0.3, dim=1, interpolation='midpoint')
m.nanquantile(X, m.tensor([0.1, 0.6]), dim=1)
u.mean(dtype=m.float32)
X.mean(1, dtype=m.float64)
X.mean(dim=(0, 1), keepdim=True, dtype=m.float64)
m.mean(n, 0, True, dtype=m.float64)
g = m.Generator(); s = g.seed(); isinstance(s, int), s == g.initial_seed()
n.reciprocal()
u.reciprocal()
b.reciprocal()
n.rsqrt()
1 / n
m.zeros(2, 3).scatter_(1, m.tensor([[0], [1]]), 1.0, reduce='add')
m.ones(2, 3).scatter(1, m.tensor([[0, 0], [1, 2]]), 3.0, reduce='multiply')
X.scatter(1, m.tensor([[0], [1]]), X, reduce='add')
m.pdist(X)
m.pairwise_distance(X, X.flip(0))
m.cosine_similarity(X, X.flip(0), dim=1)
m.layer_norm(X, (3,))
m.dropout(x, 0.5, False)
m.celu(x), m.selu(x), m.prelu(x, x[:1]), m.threshold(x, 0.1, 20.0)
m.bilinear(X, X, T[:, :, :3], x[:2])
"""
LAZY = """
l = nn.LazyLinear(2); k = copy.deepcopy(l); k(x).shape, l.has_uninitialized_params()
l = nn.LazyLinear(2).double(); l(x.double())[0].detach() * 0
l = nn.LazyLinear(2).to('cpu'); l(x).shape
l = nn.LazyLinear(2).to(m.float64); l(x.double()).detach() * 0
l = nn.LazyLinear(2); list(l.state_dict())
l = nn.LazyLinear(2); k = nn.LazyLinear(2); k.load_state_dict(l.state_dict()); k(x).shape
l = nn.LazyLinear(2); k = nn.Linear(3, 2); l.load_state_dict(k.state_dict()); (l(x) - k(x)).detach()
l = nn.Sequential(nn.LazyLinear(4), nn.LazyLinear(1)).double(); l(x.double()); [p.shape for p in l.parameters()]
l = pickle.loads(pickle.dumps(nn.LazyLinear(2))); l(x).shape
l = nn.LazyLinear(2); k = nn.Sequential(l, nn.ReLU()); copy.deepcopy(k)(x).shape, k(x).shape
"""
UNRECORDED = """
y = R * 2; unrecorded(lambda: y.mul_(2)); y.sum().backward(); R.grad, y.detach()
y = R * 2; unrecorded(lambda: y.__setitem__(0, 5.0)); y.sum().backward(); R.grad, y.detach()
y = R * 2; unrecorded(lambda: y.__iadd__(1)); y.sum().backward(); R.grad, y.detach()
y = R * 2; z = y * 1; unrecorded(lambda: y.zero_()); z.sum().backward(); R.grad, y.detach(), z.detach()
y = R * 2; unrecorded(lambda: y[0:2].zero_()); y.sum().backward(); R.grad, y.detach()
y = R * 2; v = y[1:]; unrecorded(lambda: y.copy_(x)); v.sum().backward(); R.grad, v.detach()
y = R * 2; v = y[1:]; unrecorded(lambda: v.mul_(3)); y.sum().backward(); R.grad, y.detach()
y = R * 2; unrecorded(lambda: y.clamp_(max=3.0)); (y * y).sum().backward(); R.grad, y.detach()
y = R * 2; unrecorded(lambda: y.mul_(2)); y.mul_(3); y.sum().backward(); R.grad, y.detach()
"""
BINDING = """
m.permute(T, dims=(2, 0, 1))
m.permute(input=T, dims=(2, 0, 1))
m.reshape(input=X, shape=(-1,))
m.swapaxes(X, axis0=0, axis1=1)
m.swapaxes(input=T, axis0=-1, axis1=0)
T.swapaxes(axis0=1, axis1=2)
T.swapaxes(1, 2)
m.swapdims(T, dim0=1, dim1=2)
m.outer(x, vec2=x)
m.outer(input=x, vec2=x[:2])
x.outer(vec2=x)
m.searchsorted(sorted_sequence=m.tensor([1., 2., 3.]), input=x)
m.searchsorted(sorted_sequence=m.tensor([1., 2., 3.]), input=x, right=True)
m.searchsorted(m.tensor([1., 2., 3.]), input=x, side='right')
m.bucketize(x, boundaries=m.tensor([1., 2., 3.]), right=True)
m.bucketize(input=x, boundaries=m.tensor([1., 2., 3.]))
m.einsum('ij,kj->ik', [X, X])
m.einsum('ij,kj->ik', (X, X))
m.einsum('ii', X[:, :2])
m.split(tensor=X, split_size_or_sections=2)
m.split(tensor=X, split_size_or_sections=[1, 2], dim=1)
m.cdist(x1=X, x2=X)
m.trapezoid(y=x, dx=2.0)
m.cumulative_trapezoid(y=x, x=x.cumsum(0))
m.float_power(x.abs(), exponent=2)
m.float_power(input=x.abs(), exponent=0.5)
m.tensordot(a=X, b=X, dims=2)
m.tensordot(X, b=X, dims=([1], [1]))
m.gather(X, 1, m.tensor([[0], [1]]), sparse_grad=False)
m.take_along_dim(X, indices=m.tensor([[0, 0, 1]]), dim=0)
m.take_along_dim(input=X, indices=m.tensor([[0]]), dim=0)
F.prelu(X, weight=m.tensor([0.2]))
F.prelu(input=X, weight=m.tensor([0.2]))
m.add(input=X, other=X, alpha=2)
m.max(input=X, other=X * 2)
m.std(input=X, dim=0)
"""
GROUPS = {
    "binding": BINDING,
    "names": NAMES,
    "lazy": LAZY,
    "unrecorded": UNRECORDED,
    "softmax": SOFTMAX,
    "copies": COPIES,
    "in place": IN_PLACE,
    "padding": PADDING,
    "embedding": EMBEDDING,
    "batches": BATCHES,
}


def filled_with_ones(module: Any) -> Any:
    """A module all of whose parameters are 1."""
    for parameter in module.parameters():
        parameter.data.fill_(1.0)
    return module


def values(m: ModuleType) -> dict[str, Any]:
    """What the lines know."""
    return {
        "m": m,
        "nn": m.nn,
        "F": m.nn.functional,
        "np": np,
        "data": m.utils.data,
        "copy": copy,
        "pickle": pickle,
        "same": filled_with_ones,
        "unrecorded": lambda change: m.no_grad()(change)(),
        "M": m.ones(2, 3),
        "x": m.tensor([-1.0, 0.5, 2.0]),
        "X": m.tensor([[1.0, 9.0, 3.0], [7.0, 2.0, 4.0]]),
        "T": m.arange(24.0).reshape(2, 3, 4),
        "W": m.arange(8.0).reshape(4, 2),
        "I": m.tensor([[1, 3], [1, 0]]),
        "n": m.tensor([1, 2, 4]),
        "u": m.tensor([200, 100], dtype=m.uint8),
        "b": m.tensor([True, False, True]),
        "R": m.tensor([1.0, 2.0, 3.0], requires_grad=True),
    }


def plain(result: Any) -> Any:
    """A result as dtype, shape and numbers; other things as they are printed."""
    if isinstance(result, (tuple, list)):
        return [plain(part) for part in result]
    if hasattr(result, "detach"):
        return str(result.dtype).rpartition(".")[2], tuple(result.shape), result.detach().numpy()
    return result


def outcome(line: str, m: ModuleType) -> Any:
    """The result of a line, None for an exception."""
    known = values(m)
    line = re.sub(r"\b(from|import) torch\b", rf"\1 {m.__name__}", line)
    line = line.replace("torch.cuda.amp.GradScaler(", f"{m.__name__}.cuda.amp.GradScaler(")
    *statements, expression = line.split("; ")
    errors = (ge.GradengineError,) if m is ge else (Exception,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of softmax without dim
        m.manual_seed(0)
        try:
            exec("\n".join(statements), known)
            return plain(eval(expression, known))
        except errors:
            return None


def same(ours: Any, theirs: Any, line: str) -> None:
    if isinstance(theirs, list):
        assert isinstance(ours, list), (line, ours)
        assert len(ours) == len(theirs), (line, ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, line)
    elif isinstance(theirs, tuple) and isinstance(theirs[-1], np.ndarray):
        assert ours is not None, line
        assert ours[:2] == theirs[:2], (line, ours, theirs)
        np.testing.assert_allclose(ours[2], theirs[2], rtol=2e-6, atol=1e-6, err_msg=line)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-6), line
    else:
        assert ours == theirs, (line, ours, theirs)


@pytest.mark.torch
@pytest.mark.parametrize("cpu", ["numpy", "numba"])
@pytest.mark.parametrize("group", GROUPS)
def test_a_line_of_pytorch_gives_the_same(group: str, cpu: str, torch: ModuleType) -> None:
    ge.set_cpu_backend(cpu)
    for line in GROUPS[group].strip().split("\n"):
        same(outcome(line, ge), outcome(line, torch), line)


def test_softmax_without_dim_warns_where_the_axis_is_not_the_last() -> None:
    F, nn = ge.nn.functional, ge.nn
    x = ge.zeros(2, 3, 4)
    for call in (F.softmax, F.log_softmax, F.softmin, nn.Softmax(), nn.LogSoftmax(), nn.Softmin()):
        with pytest.warns(ge.SpellingWarning, match=r"axis 0 of shape .* write dim=0 .* or dim=-1"):
            call(x)
        call(x[0])  # of one or two axes it is the last, of which nothing need be said
    with pytest.warns(ge.SpellingWarning) as caught:
        F.softmax(x)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("number", [2.5, np.float64(2.5), np.float32(2.5)])
def test_a_number_times_alpha_widens_nothing(number: Any) -> None:
    x = ge.ones(2, dtype=ge.float16)
    assert ge.add(x, number, alpha=2).dtype == ge.sub(x, number, alpha=np.float64(2)).dtype == ge.float16
    assert ge.add(ge.ones(2, dtype=ge.int16), True, alpha=2).dtype == ge.int16


@pytest.mark.parametrize("jitted", [False, True])
def test_filling_keeps_the_dtype(jitted: bool) -> None:
    for dtype, value in ((ge.bool, 2), (ge.int64, 2.5), (ge.uint8, ge.tensor(2.5)), (ge.int8, 300)):
        for fill in (ge.masked_fill, ge.Tensor.masked_fill_):
            with pytest.raises(ge.DTypeError, match="masked_fill"):
                (ge.jit(fill) if jitted else fill)(ge.zeros(2, dtype=dtype), ge.tensor([True, False]), value)


@pytest.mark.parametrize("number", [2.5, np.float32(2.5)])
def test_a_number_that_is_traced_is_weak_in_functions_of_two_arrays(number: Any) -> None:
    for function in (ge.xlogy, ge.logaddexp2):
        for dtype in (ge.float16, ge.bfloat16, ge.float32, ge.int8):
            x = ge.ones(2, dtype=dtype)
            for given in ((x, number), (number, x)):
                assert ge.jit(function)(*given).dtype == function(*given).dtype


def test_windows_that_overlap_cannot_be_changed_in_place() -> None:
    """PyTorch changes an element as often as it is shown, which is of no use."""
    for length, size, step in ((7, 3, 2), (9, 4, 3), (8, 4, 3)):
        a = ge.arange(length)
        with pytest.raises(ge.GraphError, match="cannot be changed in place"):
            a.unfold(0, size, step).fill_(0)
        assert a.tolist() == list(range(length))


def test_new_forms_under_jit_equal_eager() -> None:
    ge.set_cpu_backend("numpy")
    F, rnn = ge.nn.functional, ge.nn.utils.rnn
    layer, zero = ge.nn.Linear(3, 2), ge.tensor([0, 0])

    def step(x: ge.Tensor) -> Any:
        parts = [
            F.softmax(x.reshape(1, 2, 3), dim=0, dtype=ge.float64).sum(),
            F.pad(x, (-1, 2, 1, -1)).square().sum(),
            x.unfold(1, 2, 1).square().sum(),
            x.quantile(0.3, dim=1, interpolation="nearest").sum(),
            x.index_reduce(0, zero, x * 2, "prod").sum(),
            x.mean(1, dtype=ge.float64).square().sum(),
            rnn.pad_sequence([x, x[:1]]).square().sum(),
            F.relu(x * 1, True).sum(),
            ge.func.functional_call(layer, {"weight": x}, (x,)).sum(),
        ]
        y = x * 2
        with ge.no_grad():
            y.mul_(3)
        total = sum(parts) + y.sum()
        return total, y.detach(), ge.grad(total, x)[0]

    x = ge.tensor([[1.0, 9.0, 3.0], [7.0, 2.0, 4.0]], requires_grad=True)
    for ours, eager in zip(ge.jit(step)(x), step(x), strict=True):
        assert ours.dtype == eager.dtype
        np.testing.assert_allclose(ours.detach().numpy(), eager.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("cpu", ["numpy", "numba"])
def test_embedding_with_max_norm_under_jit(cpu: str) -> None:
    ge.set_cpu_backend(cpu)
    given = dict(max_norm=1.0, scale_grad_by_freq=True)
    layers = [ge.nn.Embedding(4, 2, **given, _weight=ge.arange(8.0).reshape(4, 2)) for _ in range(2)]

    def step(layer: Any, indices: ge.Tensor) -> ge.Tensor:
        out = layer(indices)
        out.square().sum().backward()
        return out.detach()

    indices = ge.tensor([[1, 3], [1, 0]])
    np.testing.assert_allclose(ge.jit(step)(layers[1], indices).numpy(), step(layers[0], indices).numpy(), rtol=1e-6)
    for ours, eager in ((layers[1].weight, layers[0].weight), (layers[1].weight.grad, layers[0].weight.grad)):
        np.testing.assert_allclose(ours.detach().numpy(), eager.detach().numpy(), rtol=1e-6)
