"""0-d Tensors along `dim`, where PyTorch takes them for vectors of one element."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge

LINES = [
    "x.cumsum(dim=D)", "x.cumprod(dim=D)", "x.cummax(dim=D)", "x.logcumsumexp(dim=D)", "x.flip(dims=(D,))",
    "m.flip(x, dims=[D])", "x.flip(D)", "x.gather(dim=D, index=i)", "x.gather(D, i)",
    "x.scatter(dim=D, index=i, src=y)", "x.scatter(dim=D, index=i, value=5.0)",
    "x.scatter_add(dim=D, index=i, src=y)", "x.scatter(D, i, y)",
    "x.scatter_reduce(dim=D, index=i, src=y, reduce='amax')", "x.index_select(dim=D, index=i)",
    "x.index_select(D, i)", "x.index_select(dim=D, index=m.tensor([0]))",
    "x.index_add(dim=D, index=i, source=y)", "x.index_fill(dim=D, index=i, value=3.0)",
    "x.index_fill(D, i, y.detach())", "x.index_copy(dim=D, index=i, source=y)", "x.topk(k=1, dim=D)",
    "m.topk(x, 1, dim=D)", "x.topk(1, D)", "x.sort(dim=D)", "x.argsort(dim=D)", "m.msort(x)",
    "x.transpose(dim0=D, dim1=0)", "x.transpose(0, D)", "x.nanmedian(dim=D)", "x.median(dim=D)",
    "x.kthvalue(k=1, dim=D)", "x.nanquantile(0.5, dim=D)", "x.quantile(0.5, dim=D)", "x.softmax(dim=D)",
    "x.log_softmax(dim=D)", "x.squeeze(dim=D)", "x.sum(dim=[D])", "x.mean(dim=(D,))", "m.amax(x, dim=(D,))",
    "x.std(dim=[D], unbiased=False)", "x.max(dim=D)", "x.prod(dim=D)", "x.logsumexp(dim=D)", "x.norm(dim=D)",
    "x.clone().index_add_(dim=D, index=i, source=y)", "x.clone().index_fill_(dim=D, index=i, value=7.0)",
    "x.clone().scatter_(dim=D, index=i, value=7.0)", "x.clone().cumsum_(dim=D)", "x.clone().transpose_(D, 0)",
    "x.clone().scatter_add_(D, i, y)", "m.nn.functional.gumbel_softmax(x, dim=D, hard=True)",
    "x.sum(dim=D, keepdim=True)", "x.cumsum(dim=2)", "x.flip(dims=(1,))", "x.gather(dim=-2, index=i)",
    "x.topk(k=2, dim=D)", "x.narrow(dim=D, start=0, length=1)", "x.select(dim=D, index=0)", "x.unbind(dim=D)",
    "x.chunk(1, dim=D)",
]  # fmt: skip


def arrays(m: ModuleType) -> dict[str, Any]:
    return {
        "m": m,
        "x": m.tensor(2.0, dtype=m.float64, requires_grad=True),
        "y": m.tensor(3.0, dtype=m.float64, requires_grad=True),
        "i": m.tensor(0),
    }


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def outcome(line: str, m: ModuleType) -> Any:
    """The results of a line and the gradients of their squares; None for an exception."""
    given = arrays(m)
    try:
        results = flat(eval(line, dict(given)))
    except (IndexError, RuntimeError, ValueError, TypeError):  # ge.GradengineErrors are some of these
        return None
    values = [r.detach().numpy() for r in results]
    if not results[0].requires_grad:
        return values
    (results[0] ** 2).sum().backward()
    return values + [given[n].grad.numpy() for n in "xy" if given[n].grad is not None]


@pytest.mark.torch
@pytest.mark.parametrize("cpu", ["numpy", "numba"])
@pytest.mark.parametrize("axis", ["0", "-1"])
def test_a_0d_tensor_is_a_vector_of_one_element_along_dim(axis: str, cpu: str, torch: ModuleType) -> None:
    ge.set_cpu_backend(cpu)
    for template in LINES:
        line = template.replace("=D", f"={axis}").replace("(D", f"({axis}").replace("[D", f"[{axis}")
        line = line.replace(" D)", f" {axis})")
        want, got = outcome(line, torch), outcome(line, ge)
        assert (want is None) == (got is None), line
        for ours, theirs in zip(got or [], want or [], strict=True):
            assert ours.shape == theirs.shape, line
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=line)


def test_a_0d_tensor_along_dim_under_jit() -> None:
    ge.set_cpu_backend("numpy")
    x, i = ge.tensor(2.0, requires_grad=True), ge.tensor(0)

    def step(x: ge.Tensor, i: ge.Tensor) -> Any:
        y = x.cumsum(dim=0) * x.flip(dims=(0,)) + x.gather(0, i) * x.scatter_add(0, i, x) + x.topk(k=1, dim=-1).values
        return y, ge.grad(y, x)[0]

    for ours, eager in zip(ge.jit(step)(x, i), step(x, i), strict=True):
        assert ours.shape == eager.shape == ()
        assert ours.item() == eager.item()


def test_axis_is_numpys_word_and_needs_the_axis_to_be_there() -> None:
    for call in (lambda x: x.cumsum(axis=0), lambda x: x.sort(axis=0), lambda x: ge.flip(x, axis=0)):
        with pytest.raises(ge.ShapeError):
            call(ge.tensor(2.0))


@pytest.mark.parametrize("cpu", ["numpy", "numba"])
def test_flip_along_no_axes_changes_nothing(cpu: str) -> None:
    ge.set_cpu_backend(cpu)
    x = ge.arange(6).reshape(2, 3)
    for same in (ge.flip(x, ()), x.flip(()), x.flip([]), x.flip(dims=()), ge.flip(x, dims=()), ge.flip(x, axis=())):
        assert same.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.flip().tolist() == ge.flip(x).tolist() == [[5, 4, 3], [2, 1, 0]]
