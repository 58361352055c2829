"""The compiler's parts: how a graph prints and typechecks, what each pass does and leaves alone, memory, fusion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradengine as ge
from gradengine import nn, ops
from gradengine.compiler import affine_index as access
from gradengine.compiler import arena, graph, graph_passes, loop_ir, loop_passes
from gradengine.compiler.graph import Equation, Graph, Var, typecheck
from gradengine.errors import CompileError

F32, F64, I64 = np.float32, np.float64, np.int64
needs_numba = pytest.mark.skipif(ge.backends()["numba"] != "available", reason="Numba is not installed")


def equation(name, *inputs, shape=(2,), dtype=F64, **params):
    op = getattr(ops, name).op
    return Equation(op, inputs, {**op.defaults, **params}, Var(shape, dtype))


def names(g):
    return [e.name for e in g.equations]


def traced(function, *arguments):
    """The graph as it is recorded."""
    found = {}
    _, given, leaves, structure = ge.jit(function).take_apart(arguments, {})
    ge.jit(function).trace(given, leaves, structure, lambda name, g: found.setdefault(name, g))
    return found["trace"]


# -- printing and typechecking ------------------------------------------------------------------------------------


def test_a_graph_prints_as_typed_equations():
    x, w, b = ge.ones((4, 3)), ge.ones((3, 2)), ge.tensor(np.ones(2))
    assert str(traced(lambda x, w, b, n: (ge.tanh(x @ w) * b, x.sum(axis=1, keepdims=True) > n), x, w, b, 2.5)) == (
        "{ lambda a:f64 b:f32[4,3] c:f32[3,2] d:f64[2] .\n"
        "  let e:f32[4,2] = matmul b c\n"
        "      f:f32[4,2] = tanh e\n"
        "      g:f64[4,2] = multiply f d\n"
        "      h:f32[4,1] = sum[axis=1 keepdims=True] b\n"
        "      i:bool[4,1] = greater h a\n"
        "  in (g, i) }"
    )


def test_constants_print_when_they_are_small():
    g = traced(lambda x: x * ge.tensor([1.0, 2.0]) + ge.tensor(np.arange(9.0)).sum() + ge.arange(9.0)[:2], ge.ones(2))
    assert "= constant [1.0, 2.0]" in str(g)
    assert str(Graph([], {Var((9,), F64): np.zeros(9)}, [], [])).splitlines()[1].endswith("constant ...")


def test_names_go_on_after_z():
    x = Var((), F64)
    equations, last = [], x
    for _ in range(30):
        equations.append(equation("exp", last, shape=()))
        last = equations[-1].out
    assert list(graph.Names(Graph([x], {}, equations, [last])).values())[24:28] == ["y", "z", "aa", "ab"]


def test_lowering_shows_every_stage(backend):
    weight = nn.Parameter(ge.ones((3, 2)))

    def step(x):
        weight.grad = None
        loss = ge.softmax(x @ weight, axis=-1)[:, 0].sum()
        loss.backward()
        return loss

    shown = ge.jit(step).lower(ge.ones((4, 3)))
    assert list(shown.passes)[:2] == ["trace", "dead code"]
    assert "matmul" in shown.passes["trace"]
    assert weight.grad is None
    text = str(shown)
    assert text.startswith("-- trace --")
    assert "arena: " in shown.memory
    assert ("-- source --" in text and "def kernel" in shown.source) == (backend == "numba")


def valid():
    """x -> tanh -> add with a constant and a number."""
    x, c = Var((2,), F64), Var((2,), F64)
    first = equation("tanh", x)
    second = equation("add", first.out, c)
    third = equation("multiply", second.out, 2.0)
    return Graph([x], {c: np.ones(2)}, [first, second, third], [third.out, 3])


def read_too_early(g):
    g.equations.reverse()


def defined_twice(g):
    g.equations.append(g.equations[0])


def input_twice(g):
    g.inputs.append(g.inputs[0])


def no_number(g):
    g.equations[2].inputs = (g.equations[1].out, "2.0")


def never_computed(g):
    g.outputs.append(Var((), F64))


def constant_of_another_shape(g):
    g.constants[next(iter(g.constants))] = np.ones(3)


def constant_of_another_dtype(g):
    g.constants[next(iter(g.constants))] = np.ones(2, F32)


def output_of_another_shape(g):
    g.equations[2].out = Var((3,), F64)
    g.outputs[0] = g.equations[2].out


BREAKS = {
    read_too_early: "before it is computed",
    defined_twice: "is computed twice",
    input_twice: "is there twice",
    no_number: "no variable and no number",
    never_computed: "is never computed",
    constant_of_another_shape: "the constant",
    constant_of_another_dtype: "the constant",
    output_of_another_shape: "is to hold it",
}


@pytest.mark.parametrize("damage", BREAKS, ids=lambda f: f.__name__)
def test_a_broken_graph_is_found_and_the_pass_is_named(damage):
    assert typecheck(valid()).equations

    def faulty(g):
        damage(g)
        return g

    with pytest.raises(CompileError, match=BREAKS[damage]) as caught:
        graph_passes.simplify(valid(), passes={"faulty pass": faulty})
    assert "'faulty pass'" in str(caught.value)


def test_core_terms_are_typechecked_too():
    x = Var((2, 3), F64)
    for e in (
        Equation(loop_ir.REDUCE, (x,), {"how": "sum", "axes": (1,)}, Var((2, 3), F64)),
        Equation(loop_ir.DOT, (x, x), {"ta": False, "tb": False}, Var((2, 3), F64)),
        Equation(loop_ir.DOT, (x, x), {"ta": False, "tb": True}, Var((2, 3), F64)),
        Equation(loop_ir.RESHAPE, (x,), {"shape": (5,)}, Var((5,), F64)),
    ):
        with pytest.raises(CompileError, match="is to hold it"):
            typecheck(Graph([x], {}, [e], [e.out]), loop_ir.infer_loop)


# -- passes -------------------------------------------------------------------------------------------------------


def test_dead_code_goes_and_checks_stay():
    x, c = Var((2,), F64), Var((2,), F64)
    used, unused = equation("tanh", x), equation("add", x, c)
    check = Equation(loop_ir.CHECK, (x,), {"message": ""}, Var((), F64))
    found = graph_passes.drop_dead_code(Graph([x], {c: np.ones(2)}, [unused, used, check], [used.out]))
    assert names(found) == ["tanh", "check"]
    assert found.constants == {}
    assert found.inputs == [x]


def test_equal_constants_become_one_but_not_those_that_only_look_equal():
    x = Var((2,), F64)
    values = [np.ones(2), np.ones(2), np.ones(2, F32), np.ones((1, 2)), np.zeros(2), -np.zeros(2)]
    constants = {Var(v.shape, v.dtype): v for v in values}
    equations = [equation("add", x, c, shape=np.broadcast_shapes((2,), c.shape)) for c in constants]
    found = graph_passes.merge_constants(Graph([x], constants, equations, [e.out for e in equations]))
    assert len(found.constants) == 5
    assert found.equations[0].inputs[1] is found.equations[1].inputs[1]
    large = np.zeros(graph_passes.COMPARED)
    constants = {Var(large.shape, large.dtype): large for _ in range(2)}
    assert len(graph_passes.merge_constants(Graph([], constants, [], list(constants))).constants) == 2


def test_equal_equations_become_one():
    x, y = Var((2,), F64), Var((2,), F64)
    first, second, other = equation("add", x, y), equation("add", x, y), equation("add", y, x)
    after = equation("multiply", second.out, other.out)
    found = graph_passes.merge_common(Graph([x, y], {}, [first, second, other, after], [after.out, second.out]))
    assert names(found) == ["add", "add", "multiply"]
    assert found.outputs == [after.out, first.out]


@pytest.mark.parametrize(("a", "b"), [(1, 1.0), (1, True), (0.0, -0.0), (2, 3)], ids=str)
def test_equations_with_numbers_that_only_look_equal_stay_two(a, b):
    x = Var((2,), F64)
    by_input = [equation("multiply", x, a), equation("multiply", x, b)]
    by_metadata = [equation("leaky_relu", x, negative_slope=n) for n in (a, b)]
    nested = [equation("flip", x, axis=(n,)) for n in (a, b)]
    for pair in (by_input, by_metadata, nested):
        assert len(graph_passes.merge_common(Graph([x], {}, pair, [e.out for e in pair])).equations) == 2


def test_draws_are_never_merged(backend):
    def step():
        return ge.rand(6), ge.rand(6), ge.nn.functional.dropout(ge.ones(64), 0.5), ge.nn.functional.dropout(ge.ones(64))

    a, b, c, d = ge.jit(step)()
    assert a.tolist() != b.tolist()
    assert c.tolist() != d.tolist()


def simplified(function, *arguments):
    return names(graph_passes.simplify(traced(function, *arguments)))


X = np.array([-0.0, 0.0, 1.5, np.nan, np.inf, -np.inf])
N = np.array([-3, 0, 7])
VANISH = {
    "x * 1": (lambda x: x * 1, X),
    "1 * x": (lambda x: 1.0 * x, X),
    "x / 1": (lambda x: x / 1, X),
    "minus minus": (lambda x: ge.negative(-x), X),
    "times ones": (lambda x: x * ge.tensor(np.ones(1)), X),
    "cast to the own dtype": (lambda x: x.to(x.dtype), X),
    "n * 1": (lambda n: n * 1, N),
    "reshaped there and back": (lambda x: x.reshape(2, 3).reshape(6), X),
    "transposed twice": (lambda x: x.mT.mT, X.reshape(2, 3)),
    "clone": (lambda x: x.clone(), X),
    "overwritten with another": (lambda x: ge.zeros_like(x).copy_(x), X),
}
STAY = {
    "x + 0, which makes 0.0 of -0.0": (lambda x: x + 0.0, X),
    "x - 0": (lambda x: x - 0, X),
    "x * 0, which keeps NaN": (lambda x: x * 0, X),
    "x - x": (lambda x: x - x, X),
    "x / x": (lambda x: x / x, X),
    "x ** 1": (lambda x: x**1, X),
    "0 - x": (lambda x: 0.0 - x, X),
    "x * -1": (lambda x: x * -1.0, X),
    "1 / x": (lambda x: 1 / x, X),
    "whole numbers, divided": (lambda n: n / 1, N),
    "whole numbers, times 1.0": (lambda n: n * 1.0, N),
    "whole numbers, divided twice": (lambda n: (n // 2) * 2, N),
    "truths, times 1": (lambda n: (n > 0) * 1, N),
    "truths, times True": (lambda x: x * True, X),
    "ones that broadcast": (lambda x: x * ge.tensor(np.ones((2, 1))), X),
    "cast there and back": (lambda x: x.to(F32).to(F64), X + 1e-12),
    "abs twice": (lambda x: abs(abs(x)), X),
    "reciprocal twice": (lambda x: ge.reciprocal(ge.reciprocal(x)), X),
    "exp of log": (lambda x: ge.exp(ge.log(x)), X),
    "a maximum with itself": (lambda x: ge.maximum(x, x), X),
}


@pytest.mark.parametrize("name", VANISH)
def test_what_changes_nothing_vanishes(name):
    function, x = VANISH[name]
    assert simplified(function, ge.tensor(x)) == []


@pytest.mark.parametrize("name", STAY)
def test_what_may_change_something_stays(name, backend):
    function, x = STAY[name]
    assert simplified(function, ge.tensor(x)) != []
    with np.errstate(all="ignore"):
        want, got = function(ge.tensor(x)).numpy(), ge.jit(function)(ge.tensor(x)).numpy()
    assert want.dtype == got.dtype
    np.testing.assert_array_equal(got, want)
    if want.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


def test_a_pass_may_look_behind_what_it_has_rewritten():
    """x * 1 goes, and what was transposed twice is then x itself, not the product that is there no more."""
    x = ge.tensor(np.arange(6.0).reshape(2, 3))
    function = lambda x: (
        ge.matrix_transpose(ge.matrix_transpose(x * 1)) + ge.negative(-(x * 1)).reshape(6).reshape(2, 3)
    )
    assert simplified(function, x) == ["add"]
    assert simplified(lambda x: (x * 1).reshape(6).reshape(3, 2), x) == ["reshape"]


def test_transposes_and_broadcasts_go_into_their_readers():
    x, y = ge.ones((2, 3)), ge.ones((2, 4))
    g = graph_passes.simplify(traced(lambda x, y: (x.mT @ y, x @ x.mT, ge.broadcast_to(x[0], (2, 3)) * x), x, y))
    found = graph_passes.simplify(g, passes=loop_passes.LOOP_PASSES, types=loop_ir.infer_loop)
    assert names(found).count("dot") == 2
    assert [e.params for e in found.equations if e.op is loop_ir.DOT] == [
        {"ta": True, "tb": False},
        {"ta": False, "tb": True},
    ]
    assert "broadcast" not in names(found)


# -- the memory plan ----------------------------------------------------------------------------------------------


@st.composite
def lifetimes(draw):
    """Results of several sizes; some take the place of one of the same size that dies where they are written."""
    found, taken = [], set()
    for first in sorted(draw(st.lists(st.integers(0, 8), max_size=12))):
        life = arena.Lifetime(Var((draw(st.integers(1, 60)),), F64), first, first + draw(st.integers(0, 4)))
        dying = [x for x in found if x.last == first > x.first and x not in taken]
        if dying and draw(st.booleans()):
            life.instead = draw(st.sampled_from(dying))
            life.var = Var(life.instead.var.shape, F64)
            taken.add(life.instead)
        found.append(life)
    return found


def head_of(life):
    return life if life.instead is None else head_of(life.instead)


@given(lives=lifetimes())
@settings(max_examples=300)
def test_no_two_results_that_live_at_once_share_memory(lives):
    total = arena.plan(lives)
    assert total <= sum(x.size for x in lives)
    for i, a in enumerate(lives):
        assert a.offset % arena.LINE == 0
        assert 0 <= a.offset <= a.offset + a.var.nbytes <= total
        if a.instead is not None:
            assert a.offset == a.instead.offset
        for b in lives[:i]:
            at_once = a.first <= b.last and b.first <= a.last
            if at_once and head_of(a) is not head_of(b):
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    # What was freed is used again: a chain of results that die at once takes two places.
    chain = [arena.Lifetime(Var((10,), F64), i, i + 1) for i in range(8)]
    assert arena.plan(chain) == 2 * chain[0].size


# -- fusion -------------------------------------------------------------------------------------------------------


def compiled(function, *arguments):
    """The executor behind one call."""
    ge.set_cpu_backend("numba")
    step = ge.jit(function)
    step(*arguments)
    ((program,),) = step.programs.values()
    return program.executor


def adam():
    parameter = nn.Parameter(ge.ones((6, 4)))
    optimizer = ge.optim.Adam([parameter], lr=0.1)

    def step(g):
        parameter.grad = g
        optimizer.step()

    return step


ROWS, LABELS = np.random.default_rng(0).normal(size=(6, 4)).astype(F32), np.arange(6) % 4
ONE_KERNEL = {
    "softmax": lambda: (lambda x: ge.softmax(x, axis=-1), ge.tensor(ROWS)),
    "log-softmax": lambda: (lambda x: nn.functional.log_softmax(x, axis=-1), ge.tensor(ROWS)),
    "layer norm": lambda: (
        lambda x, w, b: nn.functional.layer_norm(x, (4,), w, b),
        ge.tensor(ROWS),
        ge.ones(4),
        ge.zeros(4),
    ),
    "cross-entropy": lambda: (
        lambda x, t: nn.functional.cross_entropy(x, t, reduction="sum"),
        ge.tensor(ROWS),
        ge.tensor(LABELS),
    ),
    "Adam": lambda: (adam(), ge.tensor(ROWS)),
    "a chain and its gradient": lambda: (
        lambda x: ge.grad((ge.tanh(x) * ge.exp(-x * x)).sum(), x),
        ge.tensor(ROWS, requires_grad=True),
    ),
    "softmax and its gradient": lambda: (
        lambda x, g: ge.grad(ge.softmax(x, axis=-1), x, g),
        ge.tensor(ROWS, requires_grad=True),
        ge.tensor(ROWS + 1),
    ),
    "mean squared error's gradient": lambda: (
        lambda x, y: ge.grad(nn.functional.mse_loss(x, y), x),
        ge.tensor(ROWS, requires_grad=True),
        ge.tensor(ROWS + 1),
    ),
    "a layer": lambda: (
        lambda x, w, b: ge.relu(nn.functional.linear(x, w, b)),
        ge.tensor(ROWS),
        ge.ones((5, 4)),
        ge.ones(5),
    ),
    "two layers, forward": lambda: (
        lambda x, w, v: ge.softmax(ge.relu(x @ w) @ v, axis=-1),
        ge.tensor(ROWS),
        ge.ones((4, 7)),
        ge.ones((7, 3)),
    ),
}


@needs_numba
@pytest.mark.parametrize("name", ONE_KERNEL)
def test_becomes_one_kernel(name):
    executor = compiled(*ONE_KERNEL[name]())
    assert [unit.call for unit in executor.units] == [None]


@needs_numba
def test_a_kernel_of_its_own_is_called_between_compiled_ones():
    function = lambda x: ge.tanh(ge.sort(ge.exp(x)))
    executor = compiled(function, ge.tensor(ROWS))
    assert [unit.call and unit.call.name for unit in executor.units] == [None, "sort", None]
    assert "sort, by its own kernel" in ge.jit(function).lower(ge.tensor(ROWS)).groups


@needs_numba
def test_parameters_and_slots_are_updated_where_they_are():
    executor = compiled(adam(), ge.tensor(ROWS))
    assert len(executor.in_place) == 3
    assert ge.jit(adam()).lower(ge.tensor(ROWS)).memory.count("overwrites the input") == 3


@needs_numba
def test_rows_of_another_are_never_read_before_they_are_written():
    """What reads all rows of a result starts after the kernel that makes it: in a step's own backward, say."""
    w = ge.tensor(np.ones((4, 4), F32), requires_grad=True)
    executor = compiled(lambda x: ge.grad(ge.tanh(x @ w).sum(), w), ge.tensor(ROWS))
    assert len(executor.units) == 2
    total = compiled(lambda x: x / x.sum(), ge.tensor(ROWS))
    assert len(total.units) == 2


def test_where_elements_are_found():
    """Axes as steps: a row's place is a sum of (row // over % count) * step."""

    def places(access, rows, columns):
        return [
            [
                access.offset + sum((r // over % count if count else r // over) * step for over, count, step in terms)
                + j * access.column
                for j in range(columns)
            ]
            for r in range(rows)
            for terms in [access.terms]
        ]  # fmt: skip

    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = tuple(rng.integers(1, 4, rng.integers(0, 5)))
        big = np.arange(4**5).reshape((4,) * 5)
        # A view of some memory: axes permuted, cut, and some of them repeated.
        view = big.transpose(rng.permutation(5))[tuple(slice(0, n) for n in shape)]
        view = view[(..., *[0] * (5 - len(shape)))]
        view = np.broadcast_to(view[tuple(slice(0, 1) if rng.uniform() < 0.3 else slice(None) for _ in shape)], shape)
        steps = [s // 8 for s in view.strides]
        rows, columns = access.canonical(shape)
        found = np.array(places(access.strided(shape, steps, int(view.ravel()[0])), rows, columns))
        np.testing.assert_array_equal(found.reshape(shape), view)
