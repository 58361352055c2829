"""Scalar expressions: what a pointwise function becomes when it runs on symbols instead of arrays.

`trace` calls `function(k, *inputs, **params)` once, with a Symbol for every input and `k` building an expression for
every call of `k.exp`, `k.where`, ...; Python's operators build expressions too. What comes back says which
scalar operations make one element of the output, in no language in particular: `render` writes it in one.

 Knows no backend.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence


class NotPointwiseError(Exception):
    """The function cannot be written as a scalar expression; the caller runs it on whole arrays instead.

    `asked` is the name of what it has asked for in vain, where it was that.
    """

    def __init__(self, message: str, asked: str = "") -> None:
        super().__init__(message)
        self.asked = asked


class Expr:
    """An operation and its arguments: "input" and "param" have a name, "constant" a number, the rest have Exprs."""

    __slots__ = ("args", "op")
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the operator to us

    def __init__(self, op: str, *args: Any) -> None:
        self.op, self.args = op, args

    def __repr__(self) -> str:
        return show(self)

    def __bool__(self) -> bool:
        raise NotPointwiseError(
            f"{show(self)} has no truth value while its function runs on symbols; choose with k.where(condition, a, b)"
        )

    def __getattr__(self, name: str) -> Any:
        raise NotPointwiseError(f"a scalar expression has no attribute {name!r}: {show(self)}", name)

    def __add__(self, other: Any) -> Expr:
        return Expr("add", self, lift(other))

    def __radd__(self, other: Any) -> Expr:
        return Expr("add", lift(other), self)

    def __sub__(self, other: Any) -> Expr:
        return Expr("subtract", self, lift(other))

    def __rsub__(self, other: Any) -> Expr:
        return Expr("subtract", lift(other), self)

    def __mul__(self, other: Any) -> Expr:
        return Expr("multiply", self, lift(other))

    def __rmul__(self, other: Any) -> Expr:
        return Expr("multiply", lift(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return Expr("divide", self, lift(other))

    def __rtruediv__(self, other: Any) -> Expr:
        return Expr("divide", lift(other), self)

    def __pow__(self, other: Any) -> Expr:
        return power(self, other)

    def __rpow__(self, other: Any) -> Expr:
        return power(other, self)

    def __neg__(self) -> Expr:
        return Expr("negative", self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return Expr("abs", self)

    def __lt__(self, other: Any) -> Expr:
        return Expr("less", self, lift(other))

    def __le__(self, other: Any) -> Expr:
        return Expr("less_equal", self, lift(other))

    def __gt__(self, other: Any) -> Expr:
        return Expr("greater", self, lift(other))

    def __ge__(self, other: Any) -> Expr:
        return Expr("greater_equal", self, lift(other))

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return Expr("equal", self, lift(other))

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return Expr("not_equal", self, lift(other))

    def __and__(self, other: Any) -> Expr:
        return Expr("logical_and", self, lift(other))

    def __rand__(self, other: Any) -> Expr:
        return Expr("logical_and", lift(other), self)

    def __or__(self, other: Any) -> Expr:
        return Expr("logical_or", self, lift(other))

    def __ror__(self, other: Any) -> Expr:
        return Expr("logical_or", lift(other), self)

    def __invert__(self) -> Expr:
        return Expr("logical_not", self)

    __hash__ = object.__hash__  # == builds an expression, so identity is what a dict may go by


def lift(value: Any) -> Expr:
    """A number as an expression; an expression as it is."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, bool):
        return Expr("constant", value)
    try:
        return Expr("constant", float(value))
    except (TypeError, ValueError, OverflowError):
        raise NotPointwiseError(f"{value!r} is not a number that a scalar expression can hold") from None


LARGEST_UNROLLED_POWER = 16


def power(base: Any, exponent: Any) -> Expr:
    """`base ** exponent`; small whole exponents become products, as they are in NumPy for 2 and in C for none."""
    if isinstance(base, Expr) and isinstance(exponent, int | float) and not isinstance(exponent, bool):
        if exponent == 0.5:
            return Expr("sqrt", base)
        if exponent == int(exponent) if math.isfinite(exponent) else False:
            whole = abs(int(exponent))
            if 0 < whole <= LARGEST_UNROLLED_POWER:
                product = repeated(base, whole)
                return product if exponent > 0 else 1.0 / product
    return Expr("power", lift(base), lift(exponent))


def repeated(base: Expr, count: int) -> Expr:
    """base ** count by squaring."""
    if count == 1:
        return base
    half = repeated(base, count // 2)
    return half * half * base if count % 2 else half * half


# The scalar operations, by the number of their arguments. A name that is not here needs a body.
PREDICATES = {"isnan": 1, "isinf": 1, "isfinite": 1}
COMPARISONS = {"less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2, "equal": 2, "not_equal": 2}
LOGIC = {"logical_and": 2, "logical_or": 2, "logical_xor": 2, "logical_not": 1}
ARITHMETIC = {
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "power", "maximum", "minimum"), 2),
    **dict.fromkeys(("remainder", "fmod", "arctan2", "hypot", "copysign", "floor_divide", "logaddexp"), 2),
    **dict.fromkeys(("negative", "abs", "sign", "sqrt", "floor", "ceil", "round", "trunc"), 1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf", "erfc", "erfinv"), 1),
    **dict.fromkeys(("sin", "cos", "tan", "arcsin", "arccos", "arctan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"), 1),
    **dict.fromkeys(("sigmoid", "lgamma", "digamma", "cbrt"), 1),
}
OPERATIONS: dict[str, int] = {**PREDICATES, **COMPARISONS, **LOGIC, **ARITHMETIC, "where": 3}

# Other names of the same operation: the array API standard's, NumPy's, PyTorch's.
ALIASES = {
    **{"sub": "subtract", "mul": "multiply", "div": "divide", "true_divide": "divide", "neg": "negative"},
    **{"absolute": "abs", "fabs": "abs", "rint": "round", "less_than": "less", "greater_than": "greater"},
    **{"acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2", "expit": "sigmoid"},
    **{"acosh": "arccosh", "asinh": "arcsinh", "atanh": "arctanh", "gammaln": "lgamma", "mod": "remainder"},
    **{"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_invert": "logical_not"},
    **{"bitwise_not": "logical_not", "bitwise_xor": "logical_xor"},
}

# What has no instruction of its own anywhere, in terms of what has one.
BODIES: dict[str, Callable[..., Any]] = {
    "positive": lambda k, x: x,
    "square": lambda k, x: x * x,
    "reciprocal": lambda k, x: 1.0 / x,
    "rsqrt": lambda k, x: 1.0 / k.sqrt(x),
    "pow": lambda k, x, y: power(x, y),
    "relu": lambda k, x: k.maximum(x, 0.0),
    "logaddexp": lambda k, a, b: k.where(a == b, a + math.log(2), k.maximum(a, b) + k.log1p(k.exp(-abs(a - b)))),
}


class Symbols:
    """The interpreter `k` of a trace: `k.name(...)` builds an Expr, or runs the body of an op that has no symbol.

    `known` are the operations that the renderer can write; a known operation wins over a body of the same name.
    """

    def __init__(
        self, bodies: Mapping[str, Callable[..., Any]] | None = None, known: Collection[str] = OPERATIONS
    ) -> None:
        self._bodies = bodies or {}
        self._known = known

    def __getattr__(self, name: str) -> Callable[..., Any]:
        op = ALIASES.get(name, name)
        if op == "power":
            return power
        if op in self._known and op in OPERATIONS:
            return lambda *args: self._build(op, args)
        body = self._bodies.get(name) or self._bodies.get(op) or BODIES.get(op)
        if body is None:
            raise NotPointwiseError(f"{name} is no scalar operation and has no body", name)
        return lambda *args, **params: body(self, *args, **params)

    def _build(self, op: str, args: Sequence[Any]) -> Expr:
        if len(args) != OPERATIONS[op]:
            raise NotPointwiseError(f"{op} takes {OPERATIONS[op]} arguments, not {len(args)}")
        return Expr(op, *(lift(x) for x in args))


def trace(
    function: Callable[..., Any],
    inputs: Sequence[str],
    params: Mapping[str, Any] | None = None,
    bodies: Mapping[str, Callable[..., Any]] | None = None,
    known: Collection[str] = OPERATIONS,
) -> tuple[Expr, ...]:
    """The outputs of `function(k, *inputs, **params)` as expressions that share what they have in common.

    Floating-point params become scalars that are given at run time; None, strings, bools and ints are fixed.
    Raises NotPointwiseError when the function does what no scalar expression can.

    >>> trace(lambda k, g, y: g * (1 - y * y), ["g", "y"])
    (g * (1 - y * y),)
    """
    symbols = [Expr("input", name) for name in inputs]
    scalars = {name: Expr("param", name) if is_runtime(value) else value for name, value in (params or {}).items()}
    try:
        result = function(Symbols(bodies, known), *symbols, **scalars)
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise NotPointwiseError(f"{type(error).__name__}: {error}") from error
    return share([lift(x) for x in (result if isinstance(result, tuple | list) else (result,))])


def is_runtime(value: Any) -> bool:
    """True for a parameter that is given at run time rather than built into the expression."""
    return isinstance(value, float)  # np.float64 is one too


def share(outputs: Sequence[Expr]) -> tuple[Expr, ...]:
    """The same expressions with equal parts made one object, so that each is computed once."""
    interned: dict[Any, Expr] = {}
    done: dict[int, Expr] = {}

    def visit(e: Expr) -> Expr:
        if id(e) in done:
            return done[id(e)]
        key: tuple[Any, ...]
        if e.op in ("input", "param", "constant"):
            # repr tells 0.0 from -0.0, True from 1.0 and NaN from nothing.
            made, key = e, (e.op, repr(e.args[0]))
        else:
            args = [visit(x) for x in e.args]
            made = fold(Expr(e.op, *args))
            key = (made.op, *(repr(x) if not isinstance(x, Expr) else id(x) for x in made.args))
        result = done[id(e)] = interned.setdefault(key, made)
        return result

    return tuple(visit(e) for e in outputs)


EXACT = {"add": float.__add__, "subtract": float.__sub__, "multiply": float.__mul__}


def fold(e: Expr) -> Expr:
    """An equal expression with less to do, bit for bit: x * 1, x / 1, -(-x), sums and products of constants."""
    first, last = e.args[0], e.args[-1]
    if e.op in EXACT and first.op == last.op == "constant":
        return Expr("constant", EXACT[e.op](float(first.args[0]), float(last.args[0])))
    # A mask times one is a number, so only what is surely a number stays as it is.
    if e.op in ("multiply", "divide") and is_number(last, 1.0) and first.op in ARITHMETIC:
        return first
    if e.op == "multiply" and is_number(first, 1.0) and last.op in ARITHMETIC:
        return last
    if e.op == "negative" and first.op == "negative":
        return first.args[0]
    if e.op == "negative" and first.op == "constant":
        return Expr("constant", -float(first.args[0]))
    return e


def is_number(e: Expr, value: float) -> bool:
    """True for the constant `value`."""
    return e.op == "constant" and not isinstance(e.args[0], bool) and e.args[0] == value


def walk(outputs: Sequence[Expr]) -> Iterator[Expr]:
    """Every distinct node below the outputs, arguments before what uses them."""
    seen: set[int] = set()
    stack = [(e, False) for e in reversed(outputs)]
    while stack:
        e, expanded = stack.pop()
        if expanded:
            yield e
        elif id(e) not in seen:
            seen.add(id(e))
            stack.append((e, True))
            stack += [(x, False) for x in reversed(e.args) if isinstance(x, Expr)]


INFIX = {
    **{"add": ("+", 4), "subtract": ("-", 4), "multiply": ("*", 5), "divide": ("/", 5), "power": ("**", 7)},
    **{"less": ("<", 1), "less_equal": ("<=", 1), "greater": (">", 1), "greater_equal": (">=", 1)},
    **{"equal": ("==", 1), "not_equal": ("!=", 1), "logical_or": ("|", 2), "logical_and": ("&", 3)},
}


def show(e: Expr) -> str:
    """An expression as a person would write it.

    >>> x = Expr("input", "x")
    >>> show((x + 1) * x - Expr("exp", -x))
    '(x + 1) * x - exp(-x)'
    """

    def text(e: Expr) -> tuple[str, int]:
        if e.op in ("input", "param"):
            return e.args[0], 9
        if e.op == "constant":
            written = repr(e.args[0]).removesuffix(".0")
            return written, 6 if written.startswith("-") else 9
        if e.op == "negative":
            inner, level = text(e.args[0])
            return "-" + (inner if level > 6 else f"({inner})"), 6
        if e.op in INFIX:
            sign, level = INFIX[e.op]
            (a, a_level), (b, b_level) = text(e.args[0]), text(e.args[1])
            # What stands right of an operator of the same rank needs brackets, as 1 - (2 - 3) does.
            left = a if a_level > level or (a_level == level and level in (4, 5)) else f"({a})"
            right = b if b_level > level else f"({b})"
            return f"{left} {sign} {right}", level
        return f"{e.op}({', '.join(text(x)[0] for x in e.args)})", 9

    return text(e)[0]
