"""How an op is declared: `elementwise`, `primitive`, `composite`, and `update` for optimizers.

    tanh = elementwise("tanh", lambda k, g, y, x: g * (1 - y * y))

A gradient rule takes `(k, g, y, *inputs, **params)`: `g` the cotangent, `y` the output, `k` the interpreter that it
speaks to. On raw arrays `k` is a backend (first-order gradients), on Tensors the ops themselves (gradients of
gradients), on symbols the tracer (fused kernels). The engine sums a rule's result to the operand's shape and casts
it to its dtype; rules never do. Arrays are positional-only in a declaration's signature, metadata comes after them.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import sys
from typing import TYPE_CHECKING, Any

from ..backend import devices
from ..core.dispatch import afresh, binary, first_array, nary, spelled, unary, viewing
from ..core.interpreter import k
from ..core.promotion import as_arrays
from ..core.spelling import Signed, Spelling
from ..core.tensor_class import EMPTY, Op, Tensor, wrap
from ..core.views import set_value
from ..errors import ArgumentError, GradengineError, describe
from ..shapes.dtypes import is_half
from ..validation import check_callable, check_flags, known_words
from . import tensor_methods
from .arguments import in_the_name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = ["composite", "elementwise", "primitive"]


@known_words
def elementwise(
    name: str,
    *rules: Callable[..., Any] | None,
    body: Callable[..., Any] | None = None,
    doc: str = "",
    shape: Callable[..., Any] | None = None,
    shown: str = "",
    words: Mapping[str, str] = EMPTY,
    form: Callable[..., Any] | None = None,
    check: Callable[[str, Mapping[str, Any]], None] | None = None,
    precision: str = "",
    any_precision: bool = False,
    boolean: bool = False,
    method: bool = False,
    in_place: bool = True,
) -> Callable[..., Tensor]:
    """Declare an op that works on each element by itself, with one gradient rule (or None) per array.

    `body(k, *inputs, **params)` defines the op in simpler pointwise ops; without one, every backend needs a kernel
    of that name. Parameters of `body` after its positional arrays are metadata. Errors name the op `shown`, where that
    is given. `words` are other names of its arguments and `form` is PyTorch's function, as in `primitive`; so is
    `check`.

    Under autocast the op computes in the lower precision with `precision="low"`, in float32 with "high", else in that
    of its operands. `any_precision` says that it computes nothing that is rounded, so half precision needs no care, and
    `boolean` that the result is of truth values. With `method` Tensors have the op as a method, and as one with a
    trailing underscore that works in place.

    Raises ArgumentError when the name is taken or no Python name, the body uses an op that is not elementwise, or no
    rules are given (a function that has no gradient has the rule None).

    >>> import gradengine as ge
    >>> cube = ge.elementwise("doc_cube", lambda k, g, y, x: g * 3 * x * x, body=lambda k, x: x * x * x)
    >>> x = ge.tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad
    tensor([ 3., 12.])
    """
    check_name(name)
    if check is not None:
        check_callable("elementwise", "check", check, "check(name, metadata)")
    if not rules:
        raise ArgumentError(f"elementwise {name!r}: give one gradient rule per array (None for no gradient)")
    from .. import shapes

    check_arity(name, rules, body)
    if body is not None and devices.BUILT_IN:
        check_body(name, body, len(rules))
    names, defaults = metadata(body or next((rule for rule in rules if rule), None), len(rules) + (1 if body else 3))
    op = declare(
        Op(
            name,
            kind="pointwise",
            rules=rules,
            body=body,
            shape=shape or shapes.broadcast,
            names=names,
            defaults=defaults,
            shown=shown,
            check=check,
            precision=precision,
            any_precision=any_precision,
            boolean=boolean,
            spelling=Spelling(shown or name, (*array_names(len(rules)), *names), len(rules), words, form),
        )
    )
    if names or len(rules) > 2:
        call = nary(op, len(rules))
    else:
        call = unary(op) if len(rules) == 1 else binary(op)
    if len(rules) > 1 and devices.BUILT_IN:
        call = over_numbers(call, len(rules))
    signed = PLAIN_SIGNATURES.get(len(rules)) if not names else signature_of(len(rules), op)
    return dress(call, op, doc, signed, method, in_place)


def over_numbers(call: Callable[..., Tensor], arity: int) -> Callable[..., Tensor]:
    """The call of a user's own op, whose numbers become arrays first."""

    def converted(*args: Any, **params: Any) -> Tensor:
        return call(*as_arrays(args[:arity]), *args[arity:], **params)

    return converted


def check_body(name: str, body: Callable[..., Any], arity: int) -> None:
    """Refuse a body that asks for an op of whole arrays, such as `sum`: as a pointwise op it has wrong gradients."""
    from gradengine_kernels import expr

    defaults = metadata(body, arity + 1)[1]
    bodies = {other: op.body for other, op in devices.ALL_OPS.items() if op.body is not None}
    try:
        expr.trace(body, [f"x{i}" for i in range(arity)], defaults, bodies)
    except expr.NotPointwiseError as error:
        asked = devices.ALL_OPS.get(error.asked)
        if asked is not None and asked.kind != "pointwise":
            raise ArgumentError(
                f"elementwise {name!r}: the body uses {error.asked}, which is no function of each element by itself; "
                "declare the op with ge.composite"
            ) from None


@known_words
def primitive(
    *rules: Callable[..., Any] | None,
    shape: Callable[..., Any] | None = None,
    name: str = "",
    shown: str = "",
    kernel: Callable[..., Any] | None = None,
    words: Mapping[str, str] = EMPTY,
    form: Callable[..., Any] | None = None,
    mark: Any = None,
    view: bool | str = False,
    lifts: bool = False,
    check: Callable[[str, Mapping[str, Any]], None] | None = None,
    precision: str = "",
    any_precision: bool = False,
    checks_index: bool = False,
    boolean: bool = False,
    same_order: bool = False,
    loop_form: Callable[..., Any] | None = None,
    method: bool = False,
    in_place: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Declare an op from a stub that gives its signature and docstring; every backend has a kernel of that name.

    One rule per array; for a stub that takes `*arrays`, one rule that is called with the keyword `i` and returns
    the cotangent of array i. `kernel(*arrays, **metadata)`, when given, runs the op on raw arrays everywhere.
    `view` says that the result shares the elements of the one array ("maybe": where it is in the same memory), and
    that the rule puts each element back where it was: a change in place of one is then seen in the other.

    `precision`, `any_precision` and `boolean` are as in `elementwise`. `checks_index` says that the kernel refuses an
    index out of range, and `same_order` that the result has the same elements in the same order in another shape.
    `loop_form(k, *arrays, **metadata)` builds the op of what `ge.jit` can fuse, or returns None (see
    `ops.loop_forms`). With `method` Tensors have the op as a method; with `in_place` also as one that works in place.

    `words` maps other names of an argument to the stub's, beyond those that all ops know (`dim`, `keepdim`, `input`,
    ...). `form(k, *args, **words)` is PyTorch's function, where that means something else: it runs once a keyword is
    given that it alone has. `mark(result, name, metadata)` sees what a call without the word `mark.unless` gives.
    `lifts` says that `dim=0` of a 0-d array takes it for a vector of one element, as in PyTorch.
    `check(name, metadata)` raises for settings that kernels would take, though they make no sense.

    The arrays stand before the `/` of the stub's signature; raises ArgumentError unless each has a rule.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> @ge.primitive(lambda k, g, y, x: k.flip(g, axis=0), kernel=lambda x: np.flip(x, 0))
    ... def doc_upside_down(x, /):
    ...     "The rows in reverse order."
    >>> doc_upside_down(ge.tensor([1.0, 2.0]))
    tensor([2., 1.])
    """
    if check is not None:
        check_callable("primitive", "check", check, "check(name, metadata)")
    if loop_form is not None:
        check_callable("primitive", "loop_form", loop_form, "loop_form(k, *arrays, **metadata)")

    def decorate(stub: Callable[..., Any]) -> Callable[..., Tensor]:
        check_name(name or stub.__name__)
        code = stub.__code__
        arrays, variadic = code.co_posonlyargcount, bool(code.co_flags & inspect.CO_VARARGS)
        if rules and not variadic and len(rules) != arrays:
            raise ArgumentError(
                f"primitive {stub.__name__!r}: gradient rules: {len(rules)}, arrays before the `/` of its signature: "
                f"{arrays}; give one rule per array, as in `def {stub.__name__}(x, /)`"
            )
        names, defaults = metadata(stub, arrays)
        body = None if kernel is None else (lambda k, *inputs, **params: kernel(*inputs, **params))
        per_array: Any = VariadicRules(rules[0]) if variadic and rules else rules
        op = declare(
            Op(
                name or stub.__name__,
                rules=per_array,
                body=body,
                shape=shape,
                names=names,
                defaults=defaults,
                shown=shown,
                view=view,
                check=check,
                precision=precision,
                any_precision=any_precision,
                checks_index=checks_index,
                boolean=boolean,
                same_order=same_order,
                loop_form=loop_form,
                spelling=Spelling(
                    shown or name or stub.__name__,
                    (*code.co_varnames[:arrays], *names),
                    arrays,
                    words,
                    form,
                    mark,
                    lifts=lifts,
                ),
            )
        )
        simple = not names and not variadic
        make = {1: unary, 2: binary}.get(arrays) if simple else None
        if view and make is unary:
            make = viewing
        call = make(op) if make else nary(op, None if variadic else arrays)
        if arrays > 1 and not variadic and devices.BUILT_IN:
            call = over_numbers(call, arrays)
        if mark is not None and mark.unless in defaults and defaults[mark.unless] is not None:
            call = marking(call, mark, op)
        return dress(call, op, stub.__doc__ or "", stub, method, in_place)

    return decorate


def marking(call: Callable[..., Any], mark: Any, op: Op) -> Callable[..., Any]:
    """`call`, whose result is marked where nothing says along which axis: `mark.unless` is the word for it."""

    before, own = 1 + op.names.index(mark.unless), set(op.names) - {mark.unless}

    def marked(*args: Any, **params: Any) -> Any:
        result = call(*args, **params)
        return result if len(args) > before or not params.keys() <= own else mark(result, op.shown, params)

    return marked


class VariadicRules:
    """One rule for any number of arrays: rule i is the given rule with `i` bound."""

    def __init__(self, rule: Callable[..., Any] | None) -> None:
        self.rule = rule

    def __getitem__(self, i: int) -> Callable[..., Any] | None:
        return None if self.rule is None else bind_position(self.rule, i)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        yield self[0]


def bind_position(rule: Callable[..., Any], i: int) -> Callable[..., Any]:
    """A variadic op's rule for its array i."""
    return lambda k, g, y, *inputs, **params: rule(k, g, y, *inputs, i=i, **params)


@known_words
def composite(
    body: Callable[..., Any] | None = None,
    *,
    words: Mapping[str, str] = EMPTY,
    form: Callable[..., Any] | None = None,
    method: bool = False,
    in_place: bool = False,
) -> Any:
    """Declare an op as a function `body(k, *arrays, **metadata)` of other ops; it needs no gradient rule.

    On Tensors the body runs with the ops themselves, so gradients of every order are right; a backend may have a
    fused kernel of the same name for raw arrays. `words` and `form` are as in `primitive`. Raises ArgumentError for a
    body without arrays.

    >>> import gradengine as ge
    >>> @ge.composite
    ... def doc_rms(k, x, /, axis=-1):
    ...     "Root mean square along an axis."
    ...     return k.sqrt(k.mean(x * x, axis=axis))
    >>> doc_rms(ge.tensor([3.0, 4.0]))
    tensor(3.5355)
    """
    if body is None:
        return functools.partial(composite, words=words, form=form, method=method, in_place=in_place)
    code = body.__code__
    arrays = (code.co_posonlyargcount or code.co_argcount) - 1
    if arrays < 1:
        raise ArgumentError(f"composite {body.__name__!r}: must take `k`, then each array, as in `def f(k, x, /)`")
    names, defaults = metadata(body, arrays + 1)
    spelling = Spelling(body.__name__, (*code.co_varnames[1 : arrays + 1], *names), arrays, words, form)
    op = declare(Op(body.__name__, kind="composite", body=body, names=names, defaults=defaults, spelling=spelling))
    flags = {name: arrays + i for i, name in enumerate(names) if type(defaults.get(name)) is bool}
    first = min(flags.values(), default=0)

    def call(*args: Any, **params: Any) -> Tensor:
        if flags and (params or len(args) > first):
            check_flags(op.shown, flags, args, params)
        like = first_array(args[:arrays])
        tensors = [t if isinstance(t, Tensor) or t is None else wrap(t, like, op.shown) for t in args[:arrays]]
        try:
            return body(k, *tensors, *args[arrays:], **params)
        except (GradengineError, TypeError, ValueError, AttributeError) as error:
            if len(args) < arrays or not params.keys() <= set(names):
                return afresh(spelled, op, call, args, params, arrays)
            if op.name not in devices.BUILT_IN:
                raise  # what a user has declared has errors of its own
            typed = in_the_name_of(call, error, args, params)
        raise typed from None

    return dress(call, op, body.__doc__ or "", functools.partial(body, None), method, in_place)


def update(name: str, function: Callable[..., Any]) -> Callable[..., None]:
    """Declare an optimizer's update: a pointwise `function(k, *targets, *inputs, **scalars)` -> new targets.

    The returned `apply(targets, inputs, **scalars)` gives each target Tensor its new array, written in place where
    nothing else can see the old one. Updates are not recorded. Small arrays take the function as it stands, so who
    calls `apply` keeps floating-point warnings quiet.
    """
    devices.register_update(name, function)

    def apply(targets: tuple[Tensor, ...], inputs: tuple[Tensor, ...], **scalars: Any) -> None:
        backend = targets[0].backend
        if backend.low and is_half(targets[0].dtype):
            results = backend.updates_in_halves[name](*[t.array for t in targets + inputs], **scalars)
        elif targets[0].array.size < backend.small:
            arrays = [t.array for t in targets + inputs]
            results = function(backend, *arrays, **scalars)
        else:
            out = [t.array for t in targets] if all([t.is_exclusive() for t in targets]) else None
            arrays = [t.array for t in targets + inputs]
            results = backend.updates[name](*arrays, out=out, **scalars)
        if type(results) is not tuple:  # a generated kernel with one output returns it bare
            results = (results,)
        for target, result in zip(targets, results, strict=True):
            if target.family is None:
                target.array = result
            else:
                set_value(target, result)

    apply.__name__ = name
    return apply


def metadata(function: Callable[..., Any] | None, skip: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names and defaults of the parameters after the first `skip` positional ones (read off the code: it is fast)."""
    if function is None:
        return (), EMPTY
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    given = function.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    names = positional[skip:] + keywords
    return names, {name: defaults[name] for name in names if name in defaults}


def declare(op: Op) -> Op:
    """Register an op. Raises ArgumentError for the name of one that comes with the engine; others may be replaced."""
    if op.name in (devices.BUILT_IN or devices.ALL_OPS):
        raise ArgumentError(f"op {op.name!r} is declared already; choose another name")
    devices.register(op)
    return op


def check_name(name: Any) -> None:
    """Raise ArgumentError for the name of an op that is no Python name: kernels and attributes are called so."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ArgumentError(f"op {name!r}: the name must be a Python name, such as 'my_op'")


def array_names(count: int) -> list[str]:
    """What the arrays of a pointwise op are called."""
    return ["x"] if count == 1 else [f"x{i + 1}" for i in range(count)]


PLAIN_SIGNATURES: dict[int, Any] = {
    1: lambda x, /: x,
    2: lambda x1, x2, /: x1,
    3: lambda x1, x2, x3, /: x1,
}


def check_arity(name: str, rules: tuple[Any, ...], body: Any) -> None:
    """Raise ArgumentError unless rules have room for (k, g, y) and the arrays, and the body for k and the arrays."""
    arrays = len(rules)
    for what, function, first in [("the body", body, "k"), *[("a rule", rule, "k, g, y") for rule in rules]]:
        if function is not None and not callable(function):
            raise ArgumentError(f"elementwise {name!r}: {what} must be a function, got {describe(function)}")
        code = getattr(function, "__code__", None)
        if code is None or code.co_flags & inspect.CO_VARARGS or code.co_argcount >= len(first.split(", ")) + arrays:
            continue
        raise ArgumentError(
            f"elementwise {name!r}: with {arrays} gradient rule{'s' if arrays > 1 else ''} it has {arrays} "
            f"array{'s' if arrays > 1 else ''}, so {what} must take ({first}, then each array), but takes "
            f"{code.co_argcount} arguments; give one rule per array"
        )


def signature_of(arrays: int, op: Op) -> Callable[..., Any]:
    """A function with the signature of a pointwise op that has metadata."""
    parameters = [inspect.Parameter(f"x{i + 1}", inspect.Parameter.POSITIONAL_ONLY) for i in range(arrays)]
    for name in op.names:
        default = op.defaults.get(name, inspect.Parameter.empty)
        parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))

    def signed(*args: Any, **kwargs: Any) -> None: ...

    signed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return signed


def dress(
    call: Callable[..., Any], op: Op, doc: str, signed: Any, method: bool, in_place: bool
) -> Callable[..., Tensor]:
    """Give a dispatch closure the name and docstring of its declaration, and the signature of `signed`."""
    call.__name__ = call.__qualname__ = op.name
    call.__doc__ = doc or f"The op {op.name}."
    caller = sys._getframe(2)
    while caller.f_globals.get("__name__") == known_words.__module__:  # which has called this in the caller's stead
        caller = caller.f_back or sys._getframe(2)
    call.__module__ = caller.f_globals.get("__name__", __name__)
    call.op = op  # type: ignore[attr-defined]
    k.offer({op.name: call})
    call.__wrapped__ = Signed(signed, op.spelling)  # type: ignore[attr-defined]
    if method:
        tensor_methods.add(op.name, call, in_place)
    return call
