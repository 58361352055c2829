"""Calls of every public NumPy function with generated arguments, for the table of docs/numpy_functions.md and its test.

Required parameters get values by their names, each optional one several values, by keyword and by position. Functions
whose parameters say too little have their calls in `BY_HAND`. `calls(name)` gives pairs (args, kwargs) of NumPy arrays.
"""

from __future__ import annotations

import inspect
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NAMESPACES = {"": np, "linalg.": np.linalg, "fft.": np.fft}
Call = tuple[tuple[Any, ...], dict[str, Any]]

# What no array goes into, or what changes NumPy itself.
NO_ARRAYS = {
    "base_repr", "binary_repr", "bmat", "datetime_data", "errstate", "frombuffer", "fromfile", "fromfunction",
    "fromiter", "frompyfunc", "fromregex", "fromstring", "genfromtxt", "get_include", "get_printoptions",
    "getbufsize", "geterr", "geterrcall", "info", "isdtype", "issubdtype", "iterable", "load", "loadtxt", "mask_indices",
    "mintypecode", "nested_iters", "printoptions", "promote_types", "set_printoptions", "setbufsize", "seterr",
    "seterrcall", "show_config", "show_runtime", "test", "typename", "broadcast_shapes", "datetime_as_string",
    "busday_count", "busday_offset", "is_busday", "asmatrix", "isnat", "indices", "row_stack",
}  # fmt: skip


def rng() -> np.random.Generator:
    """The same numbers at every call."""
    return np.random.default_rng(7)


def matrix(dtype: str = "f8", rows: int = 3, columns: int = 3) -> np.ndarray:
    """A matrix of distinct numbers of both signs."""
    values = rng().permutation(rows * columns).reshape(rows, columns) - 3
    return (values.astype(dtype) + 0.25) if dtype[0] == "f" else values.astype(dtype)


def mains() -> list[np.ndarray]:
    """What a function's first array may be: matrix, vector, higher, integers, bools, float32, 0-d, empty."""
    return [
        matrix(),
        matrix(rows=2)[0],
        rng().normal(size=(2, 3, 4)),
        matrix("i8"),
        matrix("f4"),
        matrix("i8") > 0,
        np.array(1.75),
        np.ones((0, 3)),
        np.array([1.0, np.nan, 3.0, np.inf]),
    ]


def others(main: np.ndarray) -> np.ndarray:
    """A second array beside a first one: of its shape and dtype, of other values."""
    if main.dtype == np.bool_:
        return ~main
    return (main[..., ::-1] * 2 + 1).astype(main.dtype) if main.ndim else (main * 2 + 1).astype(main.dtype)


FIRST = {"a", "x", "x1", "m", "ary", "arr", "array", "A", "M", "y", "prototype", "val", "ar", "element", "z", "f", "filt",
         "condition", "p", "object", "X", "sample", "v", "a1", "ar1", "number", "start", "u", "seq_of_zeros"}  # fmt: skip
SECOND = {"b", "x2", "values", "y", "x", "a2", "ar2", "test_elements", "v", "xp", "stop"}
REQUIRED: dict[str, list[Any]] = {
    "axis": [0], "axis1": [0], "axis2": [1], "source": [0], "destination": [-1], "dtype": ["f4"], "shape": [(9,), -1],
    "indices_or_sections": [3, [1, 2]], "kth": [1], "q": [0.3, [0.25, 0.5]], "repeats": [2], "shift": [1, (1, 2)],
    "reps": [2, (2, 1)], "new_shape": [(2, 5)], "pad_width": [1, (1, 2)], "fill_value": [2, 2.5],
    "indices": [np.array([0, 2]), 1], "n": [2], "obj": [1], "deg": [2],
}  # fmt: skip
OPTIONAL: dict[str, list[Any]] = {
    "axis": [0, 1, -1, None, (0, 1), ()], "keepdims": [True, False], "dtype": ["f4", "f8", "i8", None],
    "where": [np.array([True, False, True])], "initial": [0, 2.5], "ddof": [1], "correction": [1], "kind": ["stable", None],
    "order": ["C", "F", None], "stable": [True], "decimals": [1, 2, -1], "rtol": [0.5], "atol": [0.5],
    "equal_nan": [True], "copy": [True, False], "subok": [True], "weights": [np.array([1.0, 2.0, 3.0])],
    "returned": [True], "minlength": [12], "casting": ["same_kind", "unsafe", "no"], "mode": ["clip", "wrap", "same", "valid", "edge"],
    "a_min": [0, None, 0.5], "a_max": [2, None], "min": [0, np.array([0.0, 1.0, 0.5])], "max": [2.5], "rowvar": [False], "bias": [True],
    "include_initial": [True], "k": [1, -1, 2], "offset": [1, -1], "axis1": [0, 1], "axis2": [1, 0], "n": [2, 0],
    "prepend": [0, np.array([[1.0, 1.0, 1.0]])], "append": [5], "right": [True], "to_end": [1.0], "to_begin": [1.0],
    "shape": [(2, 2), 4], "bins": [3], "range": [(0.0, 2.0)], "density": [True], "num": [5], "endpoint": [False],
    "retstep": [True], "edge_order": [2], "left": [1.0], "period": [4.0], "assume_unique": [True],
    "return_indices": [True], "invert": [True], "overwrite_input": [True], "sparse": [True], "indexing": ["ij"],
    "nan": [1.0], "posinf": [9.0], "neginf": [-9.0], "method": ["lower", "nearest", "median_unbiased"], "axes": [None, (1, 0), 1, ([0], [1])],
    "rcond": [None, 0.1], "full": [True], "w": [np.array([1.0, 2.0, 1.0])], "cov": [True], "tol": [1.0], "start": [1],
    "side": ["right"], "sorter": [np.array([2, 1, 0])], "x": [np.array([0.0, 1.0, 3.0])], "dx": [0.5],
    "return_index": [True], "return_inverse": [True], "return_counts": [True], "sorted": [True], "discont": [1.0],
    "N": [3], "increasing": [True], "upper": [True], "p": [2, "fro", 1], "UPLO": ["U"],
    "ord": [1, 2, -1, -2, np.inf, -np.inf, "fro", "nuc", 0, 3, None], "hermitian": [True], "full_matrices": [False],
    "compute_uv": [False], "ind": [1], "norm": ["ortho"], "s": [(2, 2)], "m": [2], "precision": [2],
    "suppress_small": [True], "separator": [", "], "base": [2.0], "deg": [True], "trim": ["f"], "axisa": [0], "axisb": [0],
    "axisc": [0], "y": [matrix()], "max_line_width": [40], "device": ["cpu"], "fweights": [np.array([1, 2, 1])],
    "aweights": [np.array([1.0, 2.0, 1.0])], "bitorder": ["little"], "count": [4], "max_work": [None], "ndim": [2],
    "optimize": [True], "wrap": [True], "default": [7.0], "M": [2],
}  # fmt: skip


def spd() -> np.ndarray:
    """A symmetric matrix with positive eigenvalues, for solvers and decompositions."""
    a = matrix()
    return a @ a.T + 5 * np.eye(3)


def by_hand() -> dict[str, list[Call]]:
    """Calls of functions whose parameters say too little by their names."""
    m, v, t, i = matrix(), matrix()[0], rng().normal(size=(2, 3, 4)), np.array([2, 0, 1])
    m4, mask = matrix("f4"), np.array([True, False, True])
    several = {name: [(([m, m + 1],), {}), (([v, m4[0]],), {}), (((v, v),), {}), ((t,), {})] for name in STACKS}
    return {
        **several,
        "concatenate": [
            *several["concat"], (([m, m4],), {"axis": 1}), (([m, m4], 1), {}), (([m, v],), {"axis": None}),
            (([m, m], None), {}), (([m, m],), {"dtype": "f4"}), (([m, m],), {"dtype": "f4", "casting": "no"}),
            (([i, v],), {}), (([m, m],), {"axis": 5}), (([],), {}),
        ],
        "stack": [*several["stack"], (([m, m4],), {"axis": 1}), (([v, v], -1), {}), (([m, m],), {"dtype": "f4"})],
        "vstack": [*several["vstack"], (([m, v],), {}), (([v, v],), {"dtype": "f4"})],
        "hstack": [*several["hstack"], (([v, v],), {"dtype": "f4"})],
        "block": [(([m, m],), {}), (([[m, m], [m, m]],), {}), (([v, v],), {}), (([[m], [v]],), {})],
        "broadcast_arrays": [((m, v), {}), ((m, np.array(1.0)), {"subok": True})],
        "atleast_1d": [((m,), {}), ((np.array(1.0), v), {}), ((np.array(2.0),), {})],
        "atleast_2d": [((v,), {}), ((np.array(1.0), v), {}), ((t,), {})],
        "atleast_3d": [((v,), {}), ((np.array(1.0), v, m, t), {})],
        "meshgrid": [((v, v), {}), ((v, m[0, :2]), {"indexing": "ij"}), ((v, v), {"sparse": True}), ((v,), {})],
        "ix_": [((i, i), {})],
        "einsum": [(("ij,jk->ik", m, m), {}), (("ii", m), {}), (("i,i", v, m4[0]), {}), (("ij->ji", m), {}),
                   ((m, [0, 1], m, [1, 2]), {}), (("ij,j", m, v), {"optimize": True}), (("ij,j", m, v), {"dtype": "f4"})],
        "einsum_path": [(("ij,jk->ik", m, m), {})],
        "where": [((m > 0, m, m4), {}), ((m > 0, m, 0.0), {}), ((m > 0, 1.0, 2.0), {}), ((m,), {}), ((i, v, 2), {})],
        "select": [(([v > 0, v < -1], [v, v * 2]), {}), (([v > 0, v < -1], [v, v * 2], 7.0), {}),
                   (([v > 0], [i]), {"default": 1})],
        "choose": [((i, [v, v, v]), {}), ((i, [v, v]), {"mode": "wrap"}), ((i, [v, v], None, "clip"), {})],
        "piecewise": [((v, [v < 0, v >= 0], [-1.0, 1.0]), {}), ((v, [v < 0], [lambda x: -x, lambda x: x]), {})],
        "copyto": [((m.copy(), m4), {}), ((m.copy(), v), {}), ((m.copy(), 2), {}), ((m.copy(), m4), {"where": mask}),
                   ((matrix("i8"), m), {}), ((matrix("i8"), m), {"casting": "unsafe"}), ((m.copy(), m4, "no"), {})],
        "put": [((m.copy(), [0, 2], v[:2]), {}), ((m.copy(), [0, 20], [1.0]), {"mode": "clip"})],
        "place": [((m.copy(), m > 0, v), {})],
        "putmask": [((m.copy(), m > 0, v), {})],
        "put_along_axis": [((m.copy(), i[None], 9.0, 0), {})],
        "fill_diagonal": [((m.copy(), 9.0), {}), ((matrix(rows=5).copy(), 9.0), {"wrap": True})],
        "take": [((m, i), {}), ((m, i, 0), {}), ((m, i, 1, None, "clip"), {}), ((m, 1), {"axis": 1}),
                 ((m, [[0, 1], [2, 0]]), {"axis": -1}), ((m, [5]), {"mode": "wrap"}), ((m, [50]), {})],
        "take_along_axis": [((m, i[None], 0), {}), ((m, i[:, None], 1), {}), ((m, i), {"axis": None}), ((v, i), {})],
        "searchsorted": [((np.sort(v), v), {}), ((np.sort(v), m, "right"), {}), ((v, v), {"sorter": np.argsort(v)}),
                         ((np.sort(v), 0.5), {})],
        "digitize": [((v, np.sort(v)), {}), ((v, np.sort(v)), {"right": True})],
        "bincount": [((i,), {}), ((i, v), {}), ((i,), {"minlength": 6})],
        "interp": [((v, np.sort(v), v), {}), ((m4, np.sort(v), v, 1.0, 2.0), {}), ((v, np.sort(v), v), {"period": 2.0})],
        "full_like": [((m, 2.5), {}), ((i, 7), {}), ((m, v), {}), ((m, 2, "f4"), {}), ((m, 2), {"shape": 4})],
        "linspace": [((v, m), {}), ((np.array(1.0), np.array(3.0), 5), {}), ((v, v + 1), {"num": 4, "axis": -1}),
                     ((v, v + 1, 4, False), {}), ((v, 9.0), {"retstep": True}), ((m4[0], 3), {"dtype": "f8"})],
        "logspace": [((v, v + 1), {"num": 3})],
        "geomspace": [((abs(v), abs(v) + 1), {"num": 3})],
        "apply_along_axis": [((np.sort, 0, m), {}), ((np.sum, 1, m), {})],
        "apply_over_axes": [((np.sum, m, [0, 1]), {})],
        "gradient": [((m,), {}), ((v, 0.5), {}), ((m,), {"axis": 0}), ((v,), {"edge_order": 2})],
        "histogram2d": [((v, v), {}), ((v, v, 3), {})],
        "histogramdd": [((m,), {"bins": 2})],
        "lexsort": [(((v, i),), {}), ((m,), {})],
        "delete": [((m, 1), {}), ((m, 1, 0), {}), ((v, i[:2]), {})],
        "insert": [((m, 1, 5.0), {}), ((m, 1, v, 0), {}), ((v, 1, v[0]), {})],
        "append": [((m, m4), {}), ((m, m4, 0), {}), ((m, v), {"axis": None}), ((v, 3.0), {})],
        "compress": [((mask, m), {}), ((mask, m, 0), {}), ((mask, m), {"axis": 1}), ((mask[:2], m, 1), {})],
        "extract": [((m > 0, m), {}), ((mask, v), {})],
        "ravel_multi_index": [(((i, i), (3, 3)), {})],
        "unravel_index": [((i, (3, 3)), {})],
        "save": [((io.BytesIO(), m), {})], "savez": [((io.BytesIO(),), {"m": m}), ((io.BytesIO(), m), {})],
        "savez_compressed": [((io.BytesIO(), m), {})], "savetxt": [((io.StringIO(), m), {})],
        "tensordot": [((m, m), {}), ((m, m, 1), {}), ((t, t), {"axes": ([0, 1], [0, 1])}), ((t, m, ([1], [0])), {}),
                      ((m, m, (0, 1)), {}), ((t, m), {"axes": (-2, 0)}), ((v, v, 0), {})],
        "linalg.tensordot": [((m, m), {}), ((m, m), {"axes": 1}), ((t, m), {"axes": ([1], [0])})],
        "dot": [((m, m), {}), ((m, v), {}), ((v, v), {}), ((v, 2.0), {}), ((t, m[:, :2].repeat(2, 0)[:4]), {}),
                ((m, t), {}), ((t, rng().normal(size=(5, 4, 3))), {}), ((matrix("i8"), m), {})],
        "vdot": [((m, m4), {}), ((v, v), {}), ((i, i), {})],
        "inner": [((m, m), {}), ((v, v), {}), ((t, t), {}), ((m, 2.0), {})],
        "outer": [((v, m), {}), ((v, i), {})], "linalg.outer": [((v, v), {}), ((v, i), {}), ((m, v), {})],
        "kron": [((m, m), {}), ((v, m), {}), ((t, v), {}), ((m, 2.0), {})],
        "cross": [((m, m4), {}), ((v, m), {}), ((m, m), {"axis": 0}), ((m, m, 0, 0, 0), {}), ((m, m), {"axisc": 0})],
        "linalg.cross": [((m, m4), {}), ((v, m), {}), ((m, m), {"axis": 0})],
        "linalg.matmul": [((m, m), {}), ((m, v), {})], "linalg.vecdot": [((m, m), {}), ((m, m), {"axis": 0})],
        "linalg.multi_dot": [(([m, m, v],), {}), (([v, m],), {})],
        "linalg.matrix_power": [((m, 3), {}), ((m, 0), {}), ((spd(), -1), {}), ((t, 2), {})],
        "linalg.solve": [((spd(), v), {}), ((spd(), m), {}), ((spd().astype("f4"), i), {})],
        "linalg.inv": [((spd(),), {}), ((spd().astype("f4"),), {}), ((matrix("i8"),), {}), ((np.zeros((2, 2)),), {})],
        "linalg.lstsq": [((m, v), {}), ((m, v), {"rcond": 0.1})],
        "linalg.tensorinv": [((rng().normal(size=(4, 6, 8, 3)),), {})],
        "linalg.tensorsolve": [((rng().normal(size=(2, 3, 6)), m[:2]), {})],
        "linalg.cholesky": [((spd(),), {}), ((spd(),), {"upper": True})],
        "linalg.norm": [((m, 2), {}), ((m, "fro"), {}), ((m, 1), {}), ((m, -1), {}), ((m, np.inf), {}), ((m, -np.inf), {}),
                        ((m, "nuc"), {}), ((m, -2), {}), ((m, None, 0), {}), ((m, 3, 1), {}), ((m, 1, (1, 0)), {}),
                        ((t,), {}), ((t, None), {"axis": (0, 2)}), ((t, 2), {}), ((v, 3), {}), ((v, 0), {}), ((v, "fro"), {}),
                        ((v, -1), {}), ((m, 2, 1, True), {}), ((m,), {"keepdims": True}), ((t,), {"keepdims": True}),
                        ((m, 1, (0, 1), True), {}), ((matrix("i8"),), {}), ((m4,), {}), ((m, 2, (0, 1)), {})],
        "clip": [((m, 0, 2), {}), ((m, None, 2), {}), ((m, 0), {}), ((m,), {}), ((m, v, 2), {}), ((i, 0.5, 1.5), {}),
                 ((i, 1, 1), {}), ((m,), {"min": 0}), ((m,), {"max": v}), ((m4, 0.1, 1.5), {}), ((m, None, None), {}),
                 ((m, 3, 1), {}), ((m4, v, None), {}), ((m, 0, 2), {"min": 1})],
        "full": [((2, np.array(2.5)), {}), (((2, 3), v), {})],
        "polyfit": [((v, v**2, 2), {})], "polydiv": [((v, v[:2]), {})], "vander": [((v,), {}), ((v, 2), {})],
        "roots": [((v,), {})], "poly": [((v,), {})], "packbits": [((i.astype("u1"),), {})],
        "unpackbits": [((i.astype("u1"),), {}), ((i.astype("u1"),), {"count": 4})],
        "can_cast": [(("f4", "f8"), {})], "result_type": [((m4, i), {}), ((m4, "f8"), {})], "common_type": [((m4, i), {})],
        "array2string": [((m,), {}), ((m,), {"precision": 1})],
        "rollaxis": [((t, 2), {}), ((t, 0, 3), {}), ((t, -1, 1), {}), ((t, 1, -1), {})],
        "rot90": [((m,), {}), ((m, 2), {}), ((m, 3), {}), ((m, -1), {}), ((t, 1, (1, 2)), {}), ((t,), {"axes": (2, 0)}), ((m, 4), {})],
        "pad": [((v, 1), {}), ((v, (2, 1), "constant"), {"constant_values": 3.0}), ((v, (1, 2)), {"mode": "edge"}),
                ((v, 2), {"mode": "reflect"}), ((m, ((1, 0), (0, 2))), {"mode": "symmetric"}), ((v, 2), {"mode": "wrap"}),
                ((v, 2), {"mode": "linear_ramp"}), ((v, 2), {"mode": "mean"}), ((m, 1), {"constant_values": ((1, 2), (3, 4))}),
                ((v, 2), {"mode": "reflect", "reflect_type": "odd"}), ((i, 1), {"constant_values": 2}), ((v, 7), {"mode": "wrap"})],
        "average": [((m,), {}), ((m, 0, v), {}), ((m,), {"weights": np.abs(m)}), ((m, 1), {"weights": v, "returned": True}),
                    ((m, 0), {"weights": v, "keepdims": True}), ((i,), {"weights": i}), ((i,), {})],
        "squeeze": [((m[:1],), {}), ((m[:1], 0), {}), ((t[:1, :1],), {"axis": (0, 1)}), ((m,), {"axis": 0})],
        "tril_indices_from": [((m,), {}), ((m, 1), {})], "cov": [((m,), {}), ((m, v), {}), ((m4,), {"rowvar": False})],
        "roll": [((m, 1), {}), ((m, 1, 0), {}), ((m, (1, 2), (0, 1)), {}), ((m, 2), {"axis": (0, 1)}), ((m, (1, 2)), {"axis": 0}),
                 ((m, -4), {})],
        "trapezoid": [((m,), {}), ((m, v), {}), ((m, None, 0.5), {}), ((m, v, 1.0, 0), {}), ((t, t), {"axis": 1}), ((i, v), {})],
        "polyval": [((v, m), {}), ((v, 2.0), {}), ((i, i), {})],
        "arange": [((np.array(3),), {}), ((np.array(1.0), np.array(3.0)), {})], "eye": [((np.array(3),), {})],
        "tri": [((np.array(3),), {})], "kaiser": [((np.array(3), np.array(2.0)), {})],
        "array": [((m,), {}), (([v, v],), {}), ((m,), {"dtype": "f4"})], "trim_zeros": [((np.array([0, 1, 2, 0]),), {})],
        "reshape": [((m, (9,)), {}), ((m, -1), {}), ((m, (9, 1), "F"), {}), ((m, 9), {"order": "A"}), ((m, (1, 9)), {"copy": True}), ((m, (2, 2)), {})],
        "array_equal": [((m, m.copy()), {}), ((m, m4), {}), ((m, v), {}), ((np.array([np.nan]), np.array([np.nan])), {"equal_nan": True})],
    }  # fmt: skip


STACKS = ("concat", "concatenate", "stack", "vstack", "hstack", "dstack", "column_stack")
HAND = by_hand()


def public() -> dict[str, Callable[..., Any]]:
    """Every public function of NumPy, `numpy.linalg` and `numpy.fft` that takes arrays, under its shortest name."""
    found = {}
    for prefix, module in NAMESPACES.items():
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type) and prefix + name not in NO_ARRAYS:
                found[prefix + name] = value
    return found


def calls(name: str, function: Callable[..., Any], whole: bool = False) -> Iterator[Call]:
    """The calls of one function; optional arguments for each kind of array where the `whole` is asked for."""
    if isinstance(function, np.ufunc):
        yield from of_ufunc(function)
        return
    yield from HAND.get(name, ())
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return
    empty = inspect.Parameter.empty
    required = [p for p in parameters if p.default is empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    optional = [p for p in parameters if p.default is not empty]
    if name not in HAND:
        for main in mains():
            bases = list(itertools.islice(based(required, main), 4))
            for args in bases:
                yield args, {}
            for args in bases[: whole or main.shape == (3, 3)]:
                yield from with_options(parameters, optional, args)
    elif required and HAND[name]:
        args = HAND[name][0][0]
        if len(args) == len(required):
            yield from with_options(parameters, optional, args)


def based(required: list[inspect.Parameter], main: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Values of the required parameters around a first array."""
    choices: list[list[Any]] = []
    for place, p in enumerate(required):
        if place == 0 and p.name in FIRST:
            choices.append([main])
        elif p.name in SECOND or (place > 0 and p.name in FIRST):
            choices.append([others(main)])
        elif p.name in REQUIRED:
            choices.append(REQUIRED[p.name])
        else:
            return
    yield from itertools.product(*choices)


def with_options(
    parameters: list[inspect.Parameter], optional: list[inspect.Parameter], args: tuple[Any, ...]
) -> Iterator[Call]:
    """One optional parameter after the other, by keyword and by position; two of them with `axis`."""
    for p in optional:
        for value in OPTIONAL.get(p.name, ()):
            yield args, {p.name: value}
            if p.name not in ("axis", "out") and any([q.name == "axis" for q in optional]):
                yield args, {p.name: value, "axis": 0}
            if p.kind is p.POSITIONAL_OR_KEYWORD:
                before = parameters[len(args) : parameters.index(p)]
                if all([q.kind is q.POSITIONAL_OR_KEYWORD for q in before]):
                    yield (*args, *[q.default for q in before], value), {}


def of_ufunc(function: np.ufunc) -> Iterator[Call]:
    """A ufunc's arrays, dtypes, numbers on either side, and keywords."""
    for main in [*mains(), np.array([0.5, 0.25, 0.75]), np.array([1.5, 2.0], "f4"), np.array([2, 3, 1])]:
        if function.signature:
            main = matrix(main.dtype.str[1:]) if main.dtype.kind != "b" else main
        more = [others(main)] * (function.nin - 1)
        yield (main, *more), {}
        if function.nin == 2 and not function.signature:
            yield (main, 2), {}
            yield (2, main), {}
            yield (main, np.float64(0.5)), {}
            yield (main, np.array([2, 1, 2])), {}
    main = np.array([[0.5, 0.25, 0.75]] * 3)
    args = (main, *[others(main)] * (function.nin - 1))
    for kwargs in ({"dtype": "f4"}, {"dtype": "f8"}, {"casting": "no"}, {"order": "F"}, {"subok": False}):
        yield args, kwargs


def methods(function: np.ufunc) -> Iterator[tuple[str, Call]]:
    """Calls of a ufunc's methods."""
    if function.signature or function.nout != 1:
        return
    mask = np.array([True, False, True])
    for main in (np.array([[0.5, 0.25, 0.75]] * 2), np.array([[2, 3, 1], [1, 0, 4]]), np.array([0.5, 2.0], "f4")):
        if function.nin == 1:
            yield "at", ((main.copy(), np.array([0])), {})
            continue
        for kwargs in ({}, {"axis": None}, {"axis": -1}, {"keepdims": True}, {"initial": 2}, {"dtype": "f8"}):
            yield "reduce", ((main,), kwargs)
        yield "reduce", ((main, 0, None, None, True), {})
        if main.ndim == 2:
            yield "reduce", ((main,), {"where": mask, "initial": 1, "axis": 1})
        for kwargs in ({}, {"axis": -1}, {"dtype": "f8"}):
            yield "accumulate", ((main,), kwargs)
        yield "outer", ((main, main[0] if main.ndim > 1 else main), {})
        yield "outer", ((main, 2), {})
        yield "reduceat", ((main, [0, 1]), {})
        yield "at", ((main.copy(), np.array([0, 0]), main[0]), {})
