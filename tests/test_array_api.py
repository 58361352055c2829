"""The array API standard: names, keywords, values beside NumPy; SciPy and scikit-learn take and return Tensors."""

import inspect
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import gradengine as ge

# Every name of the standard, version 2024.12, without complex numbers and extensions, and what it takes by keyword.
NAMES = """
abs acos acosh add all:axis,keepdims any:axis,keepdims arange:stop,step,dtype,device argmax:axis,keepdims
argmin:axis,keepdims argsort:axis,descending,stable asarray:dtype,device,copy asin asinh astype:copy,device atan
atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor bool
broadcast_arrays broadcast_to:shape can_cast ceil clip:min,max concat:axis conj copysign cos cosh
count_nonzero:axis,keepdims cumulative_prod:axis,dtype,include_initial cumulative_sum:axis,dtype,include_initial
diff:axis,n,prepend,append divide e empty:shape,dtype,device empty_like:dtype,device equal exp expand_dims:axis
expm1 eye:k,dtype,device finfo flip:axis float32 float64 floor floor_divide from_dlpack:device,copy
full:shape,fill_value,dtype,device full_like:fill_value,dtype,device greater greater_equal hypot iinfo imag inf
int16 int32 int64 int8 isdtype:dtype,kind isfinite isin:invert isinf isnan less less_equal
linspace:num,dtype,device,endpoint log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor
matmul matrix_transpose max:axis,keepdims maximum mean:axis,keepdims meshgrid:indexing min:axis,keepdims minimum
moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones:shape,dtype,device ones_like:dtype,device
permute_dims:axes pi positive pow prod:axis,dtype,keepdims real reciprocal remainder repeat:axis reshape:shape,copy
result_type roll:shift,axis round searchsorted:side,sorter sign signbit sin sinh sort:axis,descending,stable sqrt
square squeeze:axis stack:axis std:axis,correction,keepdims subtract sum:axis,dtype,keepdims take:axis
take_along_axis:axis tan tanh tensordot:axes tile tril:k triu:k trunc uint16 uint32 uint64 uint8 unique_all
unique_counts unique_inverse unique_values unstack:axis var:axis,correction,keepdims vecdot:axis where
zeros:shape,dtype,device zeros_like:dtype,device __array_api_version__ __array_namespace_info__
"""
STANDARD = NAMES.split()
METHODS = ["T", "mT", "device", "dtype", "ndim", "shape", "size", "to_device"]
METHODS += ["__array_namespace__", "__dlpack__", "__dlpack_device__"]


def test_every_name_and_keyword_of_the_standard_is_there():
    for entry in STANDARD:
        name, _, keywords = entry.partition(":")
        assert hasattr(ge, name), name
        if keywords:
            parameters = inspect.signature(getattr(ge, name)).parameters
            missing = set(keywords.split(",")) - set(parameters)
            assert not missing, f"{name}: {missing}"
    for name in METHODS:
        assert hasattr(ge.Tensor, name), name


def test_the_namespace_and_what_it_says_of_itself():
    x = ge.ones(2)
    assert x.__array_namespace__() is ge
    assert x.__array_namespace__(api_version="2023.12") is ge
    with pytest.raises(ge.ArgumentError, match=r"version 2031\.12 is not supported"):
        x.__array_namespace__(api_version="2031.12")
    with pytest.raises(ge.DTypeError, match="must be a str"):
        x.__array_namespace__(api_version=2024)
    info = ge.__array_namespace_info__()
    assert ge.__array_api_version__ == "2024.12"
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_device() == "cpu"
    assert "cpu" in info.devices()
    assert info.default_dtypes()["real floating"] == ge.ones(1).dtype
    assert info.default_dtypes(device="cpu")["indexing"] == ge.int64
    assert list(info.dtypes(kind="real floating")) == ["float32", "float64"]
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {"bool", "uint8", "uint16", "uint32", "uint64"}
    assert set(info.dtypes(device="cpu")) >= {"bool", "int8", "float64"}
    assert not info.dtypes(kind="complex floating")
    with pytest.raises(ge.ArgumentError, match="no kind of dtype"):
        info.dtypes(kind="real")


def test_to_device_astype_and_reshape():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    assert x.to_device("cpu") is x
    with pytest.raises(ge.DeviceError):
        x.to_device("tpu")
    with pytest.raises(ge.ArgumentError, match="takes no stream"):
        x.to_device("cpu", stream=1)
    assert ge.astype(x, ge.float32, copy=False) is x
    assert ge.astype(x, ge.float32) is not x
    assert ge.astype(x, ge.float64, copy=False).dtype == ge.float64
    assert ge.astype(x, ge.float64, device="cpu").requires_grad
    for copy in (True, False, None):
        y = ge.reshape(x, (2, 1), copy=copy)
        assert y.shape == (2, 1)
        assert y.requires_grad
    assert ge.reshape(x, shape=(1, 2), copy=True).shape == (1, 2)
    for make in (ge.zeros, ge.ones, ge.empty):
        assert make(shape=(2, 3), dtype=ge.int8).shape == (2, 3)


def standard_calls():
    """Calls of the standard's functions, `f(xp, x)` for any namespace and its arrays."""
    m = np.array([[1.5, -2.0, 3.25], [0.5, 4.0, -1.0]])
    v, i = np.array([3.0, 1.0, 2.0]), np.array([2, 0, 2, 1])
    return {
        "cumulative_sum": (lambda xp, x: xp.cumulative_sum(x, axis=1, include_initial=True), m),
        "cumulative_prod": (lambda xp, x: xp.cumulative_prod(x, include_initial=True), v),
        "diff": (lambda xp, x: xp.diff(x, axis=0, n=1), m),
        "diff twice": (lambda xp, x: xp.diff(x, n=2, prepend=x[:, :1], append=x[:, 1:]), m),
        "searchsorted": (lambda xp, x: xp.searchsorted(xp.sort(x), x, side="right"), v),
        "sorter": (lambda xp, x: xp.searchsorted(x, x, sorter=xp.argsort(x)), v),
        "take": (lambda xp, x: xp.take(x, xp.asarray([1, 0]), axis=1), m),
        "take_along_axis": (lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=1), axis=1), m),
        "count_nonzero": (lambda xp, x: xp.count_nonzero(x, axis=0, keepdims=True), i.reshape(2, 2)),
        "unique_all": (lambda xp, x: xp.unique_all(x), i),
        "unique_counts": (lambda xp, x: xp.unique_counts(x), i.reshape(2, 2)),
        "unique_inverse": (lambda xp, x: xp.unique_inverse(x), i.reshape(2, 2)),
        "unique_values": (lambda xp, x: xp.unique_values(x), v),
        "unique of nothing": (lambda xp, x: xp.unique_all(x[:0]), v),
        "unique of NaN": (lambda xp, x: xp.unique_values(x), np.array([np.nan, 1.0, np.nan])),
        "isin": (lambda xp, x: xp.isin(x, xp.asarray([1.0, 3.0])), v),
        "not isin": (lambda xp, x: xp.isin(x, xp.asarray([1.0, 3.0]), invert=True), v),
        "isin of none": (lambda xp, x: xp.isin(x, x[:0]), v),
        "signbit": (lambda xp, x: xp.signbit(x), np.array([1.0, -0.0, np.nan, -np.inf])),
        "nextafter": (lambda xp, x: xp.nextafter(x, xp.asarray(np.inf)), v),
        "conj": (lambda xp, x: xp.conj(x), v),
        "real": (lambda xp, x: xp.real(x), v),
        "imag": (lambda xp, x: xp.imag(x), v),
        "where": (lambda xp, x: xp.where(x > 1, x, 0.0), m),
        "clip": (lambda xp, x: xp.clip(x, min=0, max=2.0), m),
        "std": (lambda xp, x: xp.std(x, axis=0, correction=1.0, keepdims=True), m),
        "tensordot": (lambda xp, x: xp.tensordot(x, x, axes=((1,), (1,))), m),
        "vecdot": (lambda xp, x: xp.vecdot(x, x, axis=-2), m),
        "unstack": (lambda xp, x: xp.unstack(x, axis=1), m),
        "meshgrid": (lambda xp, x: xp.meshgrid(x, x[:2], indexing="ij"), v),
        "floor_divide": (lambda xp, x: xp.floor_divide(x, 2.0), np.array([np.inf, -np.inf, np.nan, 3.0, -3.0])),
        "floor_divide by inf": (lambda xp, x: xp.floor_divide(x, np.inf), np.array([1.0, 0.0])),
        "remainder": (lambda xp, x: xp.remainder(x, -2.0), v),
        "broadcast_arrays": (lambda xp, x: xp.broadcast_arrays(x, xp.asarray(2.0, dtype=xp.float64)), m),
        "repeat": (lambda xp, x: xp.repeat(x, xp.asarray([1, 2, 0]), axis=0), v),
        "tile": (lambda xp, x: xp.tile(x, (2, 1, 2)), m),
        "roll": (lambda xp, x: xp.roll(x, (1, -1), axis=(0, 1)), m),
        "linspace": (lambda xp, x: xp.linspace(0.0, 1.0, num=4, endpoint=False, dtype=xp.float64), v),
        "argsort": (lambda xp, x: xp.argsort(x, stable=True, axis=-1), v),
        "result_type": (lambda xp, x: np.zeros(1, xp.result_type(x.dtype, xp.float32)), v),
    }  # fmt: skip


@pytest.mark.parametrize("name", standard_calls())
def test_values_beside_numpy(name):
    call, data = standard_calls()[name]
    with np.errstate(all="ignore"):
        got, want = call(ge, ge.asarray(data)), call(np, data)
    several = isinstance(want, tuple)
    for g, w in zip(got if several else (got,), want if several else (want,), strict=True):
        assert np.asarray(g).dtype == w.dtype
        np.testing.assert_allclose(np.asarray(g), w, rtol=1e-12)
    if hasattr(want, "_fields"):
        assert want._fields == got._fields


def test_gradients_of_sets_and_differences():
    x = ge.tensor([3.0, 1.0, 3.0, 2.0], requires_grad=True)
    (ge.unique_values(x) * ge.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100, 1, 0, 10]
    (g,) = ge.grad((ge.diff(x) * ge.tensor([1.0, 2.0, 3.0])).sum(), x)
    assert g.tolist() == [-1, -1, -1, 3]
    (g,) = ge.grad(ge.diff(x, prepend=x[:1] * 2).sum(), x)
    assert g.tolist() == [-2, 0, 0, 1]
    assert not ge.signbit(x).requires_grad
    assert not ge.nextafter(x, ge.tensor(9.0)).requires_grad


def test_wrong_arguments():
    for call, kind in (
        (lambda: ge.diff(ge.tensor(1.0)), ge.ShapeError),
        (lambda: ge.diff(ge.ones(2), -1), ge.ArgumentError),
        (lambda: ge.diff(ge.ones(2), axis=1), ge.ShapeError),
        (lambda: ge.diff(ge.ones(2), 1.5), ge.DTypeError),
        (lambda: ge.nextafter(ge.ones(2), ge.tensor([1])), ge.DTypeError),
        (lambda: ge.unique_all("text"), ge.GradengineError),
        (lambda: ge.searchsorted(ge.ones(2), ge.ones(2), side="middle"), ge.GradengineError),
        (lambda: ge.reshape(ge.ones(2), (3,), copy=True), ge.ShapeError),
    ):
        with pytest.raises(kind):
            call()


def in_process(code):
    """What a script prints, as JSON; SciPy reads its setting when it is imported."""
    code = "import os, sys, json, warnings\nimport numpy as np\nimport gradengine as ge\n" + textwrap.dedent(code)
    env = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


COMPARE = """
def differing(calls):
    wrong, tensors = [], []
    for name, call in calls.items():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            want, got = call(np.asarray), call(ge.tensor)
        listed = lambda x: list(x) if isinstance(x, (tuple, list)) else [x]
        for g, w in zip(listed(got), listed(want), strict=True):
            if not np.allclose(np.asarray(g), np.asarray(w), rtol=1e-4, atol=1e-5):
                wrong.append(name)
            elif isinstance(g, ge.Tensor):
                tensors.append(name)
    print(json.dumps([wrong, sorted(set(tensors))]))
"""


def test_scipy_takes_and_returns_tensors():
    pytest.importorskip("scipy")
    wrong, tensors = in_process(
        COMPARE
        + """
from scipy import cluster, integrate, ndimage, optimize, signal, special, stats
rng = np.random.default_rng(0)
x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 0.5
v, w, p = x[:, 0], y[:, 0], rng.uniform(0.1, 0.9, (20, 3))
calls = {f"stats.{f}": lambda a, f=f: getattr(stats, f)(a(x)) for f in ("zscore", "skew", "kurtosis", "sem", "iqr")}
calls |= {f"stats.{f}": lambda a, f=f: getattr(stats, f)(a(np.abs(x) + 0.5)) for f in ("gmean", "hmean", "variation")}
calls |= {f"stats.{f}": lambda a, f=f: tuple(getattr(stats, f)(a(v), a(w))) for f in
          ("ttest_ind", "ttest_rel", "pearsonr", "spearmanr", "bartlett", "mannwhitneyu")}
calls |= {f"stats.{f}": lambda a, f=f: tuple(getattr(stats, f)(a(v))) for f in ("jarque_bera", "skewtest")}
calls |= {f"special.{f}": lambda a, f=f: getattr(special, f)(a(p)) for f in
          ("logsumexp", "softmax", "log_softmax", "entr", "expit", "logit", "ndtr", "ndtri", "gammaln", "erf", "i0")}
calls |= {"cluster.whiten": lambda a: cluster.vq.whiten(a(x)), "cluster.vq": lambda a: cluster.vq.vq(a(x), a(x[:3])),
          "cluster.linkage": lambda a: cluster.hierarchy.linkage(a(x)),
          "integrate.trapezoid": lambda a: integrate.trapezoid(a(v)), "optimize.rosen": lambda a: optimize.rosen(a(v)),
          "signal.detrend": lambda a: signal.detrend(a(v)),
          "ndimage.filter": lambda a: ndimage.gaussian_filter(a(x), 1.0)}
differing(calls)
"""
    )
    assert not wrong
    assert len(tensors) >= 30


def test_scikit_learn_takes_and_returns_tensors():
    pytest.importorskip("sklearn")
    wrong, tensors = in_process(
        COMPARE
        + """
import sklearn
sklearn.set_config(array_api_dispatch=True)
from sklearn import metrics, model_selection, naive_bayes, preprocessing
from sklearn.metrics import pairwise
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(30, 4)).astype("f4"), rng.normal(size=(30, 4)).astype("f4")
a_, b_, r = (X[:, 0] > 0).astype("i8"), (X[:, 1] > 0).astype("i8"), X.sum(1)
scalers = ("PolynomialFeatures", "MinMaxScaler", "MaxAbsScaler", "StandardScaler", "Normalizer", "Binarizer")
calls = {f: lambda a, f=f: getattr(preprocessing, f)().fit_transform(a(X)) for f in scalers}
calls |= {f: lambda a, f=f: getattr(pairwise, f)(a(X), a(Y)) for f in
          ("euclidean_distances", "cosine_similarity", "rbf_kernel", "polynomial_kernel", "linear_kernel")}
calls |= {f: lambda a, f=f: getattr(metrics, f)(a(a_), a(b_)) for f in
          ("accuracy_score", "f1_score", "precision_score", "recall_score", "confusion_matrix", "zero_one_loss")}
calls |= {f: lambda a, f=f: getattr(metrics, f)(a(r), a(X[:, 0])) for f in
          ("mean_squared_error", "mean_absolute_error", "r2_score", "max_error")}
calls |= {"roc_auc_score": lambda a: metrics.roc_auc_score(a(a_), a(np.abs(Y[:, 0]))),
          "LabelEncoder": lambda a: preprocessing.LabelEncoder().fit_transform(a(a_)),
          "train_test_split": lambda a: model_selection.train_test_split(a(X), a(a_), random_state=0),
          "GaussianNB": lambda a: naive_bayes.GaussianNB().fit(a(X), a(a_)).predict_proba(a(X))}
differing(calls)
"""
    )
    assert not wrong
    assert len(tensors) >= 12


def test_array_api_compat_finds_the_namespace():
    compat = pytest.importorskip("scipy._lib.array_api_compat")
    assert compat.array_namespace(ge.ones(2)) is ge
    assert compat.is_array_api_obj(ge.ones(2))
