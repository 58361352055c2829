"""Which kernel runs an op: found once, when a backend loads or an op is declared.

An op's own kernel if the backend has one, else one generated from the op's pointwise expression, else the op's body.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_OPS: dict[str, Any] = {}  # every declared op by name, in order of declaration
REPLACED: list[Any] = []  # ops whose name another one has taken since, as in a notebook: who holds them may call them
UPDATES: dict[str, Callable[..., Any]] = {}  # the optimizers' pointwise update rules


class Kernels:
    """The kernels of a backend: `table[op]` runs an op, `rules[op]` are its gradient rules for raw arrays.

    `generate(name, function, arity, fallback, bodies)` makes a fused kernel where the backend can; arrays with fewer
    than `small` elements take the plain rules, whose dispatch costs less than a generated kernel's. `halves` widens
    kernels, once the process has any number in half precision.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...  # the kernel of each op, under the op's name

    def __init__(
        self, kernels: dict[str, Callable[..., Any]], generate: Callable[..., Any] | None, small: float, halves: Any
    ) -> None:
        self.kernels, self.generate, self.small = kernels, generate, small
        self.table: dict[Any, Callable[..., Any]] = {}
        self.rules: dict[Any, tuple[Callable[..., Any] | None, ...]] = {}
        self.updates: dict[str, Callable[..., Any]] = {}
        self.halves, self.low = halves, False
        self.rules_in_halves: dict[Any, Any] = {}
        self.updates_in_halves: dict[str, Callable[..., Any]] = {}
        self.bodies: dict[str, Callable[..., Any]] = {}
        self.resolve_all()

    def resolve_all(self) -> None:
        """Resolve every op and every optimizer update that there is."""
        for op in (*REPLACED, *ALL_OPS.values()):
            self.resolve(op)
        for update, function in UPDATES.items():
            self.resolve_update(update, function)

    def resolve(self, op: Any) -> None:
        """Resolve one op."""
        kernel = self.kernels.get(op.name)
        if op.body is not None:
            self.bodies[op.name] = op.body
            if kernel is None:
                kernel = self.quietly(op.body)
        if kernel is None:
            return  # no kernel here; using the op says so
        rules = op.rules
        if op.kind == "pointwise" and self.generate is not None:
            kernel, rules = self.fuse(op, kernel)
        else:
            own = [self.kernels.get(f"{op.name}.grad{i}") for i in range(len(rules))]
            if any(own):  # the rules of an op of any number of arrays stay the endless sequence that they are
                rules = tuple([tried_first(made, rule) if made else rule for made, rule in zip(own, rules)])
        if self.low:
            kernel = self.halves.widened(kernel, op.any_precision)
            self.rules_in_halves[op] = WidenedRules(self, op, rules)
        self.table[op] = kernel
        self.rules[op] = rules
        setattr(self, op.name, kernel)

    def widen(self) -> None:
        """Compute half precision in float32 from now on. Kernels ask for it only in processes that have any."""
        if self.halves is not None and not self.low:
            self.low = True
            for op, kernel in list(self.table.items()):
                kernel = self.table[op] = self.halves.widened(kernel, op.any_precision)
                setattr(self, op.name, kernel)
                self.rules_in_halves[op] = WidenedRules(self, op, self.rules[op])
            for name, function in UPDATES.items():
                self.updates_in_halves[name] = self.halves.widened_update(self.quietly(function))

    def fuse(self, op: Any, kernel: Callable[..., Any]) -> tuple[Any, Any]:
        """Generated kernels for a pointwise op and each of its rules, from the one declaration."""
        arity = len(op.rules)
        forward = op.body or primitive_call(op.name)
        fused = self.generate(op.name, forward, arity, kernel, self.bodies)  # type: ignore[misc]
        rules: list[Callable[..., Any] | None] = []
        for i, rule in enumerate(op.rules):
            if rule is None:
                rules.append(None)
                continue
            plain = self.quietly(rule)
            made = self.generate(f"{op.name}_grad{i}", rule, arity + 2, plain, self.bodies)  # type: ignore[misc]
            rules.append(drop_interpreter(made))
        return fused, tuple(rules)

    def resolve_update(self, name: str, function: Callable[..., Any]) -> None:
        """Resolve one optimizer update."""
        plain = self.quietly(function)
        if self.generate is None:
            self.updates[name] = lambda *arrays, out=None, **scalars: plain(*arrays, **scalars)
        else:
            self.updates[name] = self.generate(name, function, None, plain, self.bodies)
        if self.low:
            self.updates_in_halves[name] = self.halves.widened_update(plain)

    def quietly(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with this backend as its interpreter, without NumPy's warnings about the branch not taken."""

        @functools.wraps(function)
        def call(*arrays: Any, **params: Any) -> Any:
            with np.errstate(all="ignore"):
                return function(self, *arrays, **params)

        return call


class WidenedRules:
    """An op's rules for raw arrays in a process that has half precision: the plain ones or the backend's, by size."""

    def __init__(self, backend: Kernels, op: Any, rules: Any) -> None:
        self.backend, self.plain, self.fused = backend, op.rules, rules

    def __getitem__(self, i: int) -> Callable[..., Any] | None:
        plain = self.plain[i]
        return None if plain is None else self.backend.halves.widened_rule(plain, self.fused[i], self.backend.small)


def primitive_call(name: str) -> Callable[..., Any]:
    """The forward expression of an op that is a scalar function of its own."""
    return lambda k, *inputs, **params: getattr(k, name)(*inputs, **params)


def drop_interpreter(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A generated rule in a rule's signature: the interpreter is already inside."""
    return lambda k, *arrays, **params: kernel(*arrays, **params)


def tried_first(kernel: Callable[..., Any], rule: Any) -> Callable[..., Any]:
    """A rule that a backend has a kernel for; where the kernel gives None, the rule itself runs."""

    def call(k: Any, *arrays: Any, **params: Any) -> Any:
        found = kernel(*arrays, **params)
        return rule(k, *arrays, **params) if found is None else found

    return call
