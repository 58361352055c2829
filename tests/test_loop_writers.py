"""What is known of a loop nest before it is written, in whatever language."""

from typing import Any

import pytest

from gradengine_kernels import expr
from gradengine_kernels.loop_schedule import Placement
from gradengine_kernels.loops import (
    ELEMENT,
    MASK,
    NUMBER,
    ONCE,
    ROW,
    SCALAR,
    Access,
    Compute,
    Load,
    Loop,
    Number,
    Operand,
    Reduce,
    Store,
)
from gradengine_kernels.render import NUMBA, write

FULL = Access(((1, 0, 10),), 1)


def loop_of(*values: Any, columns: int = 10) -> Loop:
    """A loop that reads x, computes those values, and stores the last of them."""
    x = Load("x", Operand(3, "float32", FULL))
    return Loop("float32", columns, [x, *values], [Store(values[-1].name, Operand(4, "float32", FULL))])


def computed(name: str, function: Any, *inputs: str) -> Compute:
    """A value by a function of others."""
    return Compute(name, expr.trace(function, inputs)[0])


def softmax(columns: int = 10) -> Loop:
    return loop_of(
        Reduce("top", "max", "x"),
        computed("e", lambda k, x, top: k.exp(x - top), "x", "top"),
        Reduce("total", "sum", "e"),
        Number("scale", 0),
        computed("small", lambda k, total, scale: total < scale, "total", "scale"),
        computed("y", lambda k, e, total, small: k.where(small, e, e / total), "e", "total", "small"),
        columns=columns,
    )


def test_values_are_computed_in_the_first_pass_that_can() -> None:
    found = Placement(softmax())
    assert found.passes == {"x": 0, "top": 1, "e": 1, "total": 2, "scale": 0, "small": 2, "y": 2}
    assert [name for name, level in found.levels.items() if level == ELEMENT] == ["x", "e", "y"]
    assert (found.levels["total"], found.levels["small"], found.levels["scale"]) == (ROW, ROW, ONCE)
    assert (found.kinds["e"], found.kinds["small"], found.kinds["scale"]) == (NUMBER, MASK, SCALAR)
    assert [found.roots(when) for when in found.every_pass] == [["x"], ["e"], ["y"]]


def test_what_a_later_pass_needs_again_is_kept_if_it_is_heavy() -> None:
    assert Placement(softmax()).needed_later({"exp"}) == ["e"]
    assert Placement(softmax()).needed_later({"subtract"}) == ["e"]
    assert Placement(softmax()).needed_later({"divide"}) == []  # the last pass computes y, and none comes after


def test_a_row_of_one_element_has_no_elements() -> None:
    found = Placement(softmax(columns=1))
    assert ELEMENT not in found.levels.values()
    assert found.needed_later(NUMBA.heavy) == []


def test_a_value_is_looked_at_once_for_each_pass_however_many_need_it() -> None:
    class Counted(frozenset[str]):
        asked = 0

        def __contains__(self, op: object) -> bool:
            Counted.asked += 1
            return False

    steps = 20
    values = [computed("v1", lambda k, x: x * 0.5, "x")]
    for i in range(2, steps):
        values.append(computed(f"v{i}", lambda k, a, b: a * b, f"v{i - 1}", f"v{i - 2}" if i > 2 else "x"))
    last = values[-1].name
    loop = loop_of(*values, Reduce("sum", "sum", last), computed("y", lambda k, v, s: v - s, last, "sum"))
    assert Placement(loop).needed_later(Counted()) == []
    assert Counted.asked <= 3 * steps  # an operation and its two inputs


@pytest.mark.parametrize("op", ["maximum", "exp"])
def test_operations_of_truth_values_are_refused(op: str) -> None:
    m = expr.Expr("input", "m")
    made = expr.Expr(op, *[m] * expr.OPERATIONS[op])
    with pytest.raises(expr.NotPointwiseError, match="only has an integer type"):
        write([made], NUMBA, "float32", lambda name: (name, MASK), lambda kind, value, once: "t", {})
