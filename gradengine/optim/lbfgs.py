"""L-BFGS: steps along directions that the last gradients correct.

All parameters together are one vector; the state is kept with the first of them, as in PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import ops
from ..core.dispatch import enable_grad, no_grad
from ..core.host_callbacks import current
from ..core.tensor_class import Tensor, constant
from ..errors import ArgumentError, CheckpointError, DTypeError, TraceError, describe
from ..validation import check_choice, check_integer
from .groups import Group
from .line_search import Point, strong_wolfe
from .loading import load_array, load_number
from .optimizer import Optimizer

Closure = Callable[[], Any]


class LBFGS(Optimizer):
    """Limited-memory BFGS: `step(closure)` goes up to `max_iter` times along a corrected gradient.

    `closure` clears the gradients, computes the loss, calls `backward()` and returns the loss; it is called several
    times per step, up to `max_eval` (5/4 of `max_iter` unless told). `line_search_fn="strong_wolfe"` finds the length
    of each step, else it is `lr`. Algorithm and defaults are those of `torch.optim.LBFGS` (Nocedal and Wright 2006).
    There is one parameter group. Raises ArgumentError for options out of their range, TraceError under `ge.jit`.

    >>> import gradengine as ge
    >>> x = ge.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = ge.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """

    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_integer("LBFGS", "max_iter", max_iter, 0)
        super().__init__(
            params,
            dict(
                lr=lr,
                max_iter=max_iter,
                max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
                tolerance_grad=tolerance_grad,
                tolerance_change=tolerance_change,
                history_size=history_size,
                line_search_fn=line_search_fn,
            ),
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "tolerance_grad", "tolerance_change")
        for option, least in (("max_iter", 0), ("max_eval", 0), ("history_size", 1)):
            check_integer("LBFGS", option, group[option], least)
        check_choice("LBFGS", "line_search_fn", group["line_search_fn"], (None, "strong_wolfe"))

    def add_param_group(self, param_group: Group) -> None:
        """Take the parameters. Raises ArgumentError for a second group: there is one vector of all of them."""
        if self.param_groups:
            raise ArgumentError("LBFGS: takes one parameter group, without options per parameter")
        super().add_param_group(param_group)

    # -- all parameters as one vector -----------------------------------------------------------------------------

    def gradient(self) -> Any:
        """All gradients; zeros where there is none."""
        params = self.param_groups[0]["params"]
        gradients = [ops.zeros_like(p) if p.grad is None else p.grad for p in params]
        return ops.concat([ops.reshape(g.detach(), (-1,)) for g in gradients])

    def move(self, values: list[Tensor], t: float, direction: Any) -> None:
        """Set the parameters to `values` and `t` times a part of the direction each."""
        start = 0
        for p, value in zip(self.param_groups[0]["params"], values, strict=True):
            part = ops.reshape(direction[start : start + p.size], p.shape)
            p.data = ops.astype(value + t * part, dtype=p.dtype)
            start += p.size

    # -- stepping -------------------------------------------------------------------------------------------------

    def step(self, closure: Closure | None = None) -> Any:
        """Minimise from where the parameters are; returns the loss there. Raises DTypeError without a closure."""
        if current.trace is not None:
            raise TraceError(
                "jit: LBFGS decides by the loss how it goes on, which a compiled step cannot; call optimizer.step("
                "closure) outside, and let the closure call a jitted function that computes the loss and its gradients"
            )
        if not callable(closure):
            raise DTypeError(
                f"LBFGS.step: needs a closure that clears the gradients, calls backward() and returns the loss, got "
                f"{describe(closure)}"
            )
        with no_grad():
            return Search(self, closure).run()

    # -- saving and loading ---------------------------------------------------------------------------------------

    def loaded(self, p: Tensor, number: Any, key: str, value: Any) -> Any:
        """A value of the state: vectors as long as all parameters together, numbers, and lists of both."""
        length = (sum(q.size for q in self.param_groups[0]["params"]),)
        if key in ("func_evals", "n_iter"):
            return load_number(number, key, value, whole=True)
        if key in ("old_dirs", "old_stps", "ro"):
            if not isinstance(value, (list, tuple)):
                raise CheckpointError(
                    f"load_state_dict: {key} of parameter {number} must be a list, got {describe(value)}"
                )
            return [self.loaded(p, number, "ro_" if key == "ro" else f"{key}_", item) for item in value]
        if key in ("d", "prev_flat_grad", "old_dirs_", "old_stps_"):
            if not hasattr(value, "shape"):
                raise CheckpointError(f"load_state_dict: {key} of parameter {number} must be an array")
            return load_array(p, number, key.rstrip("_"), value, length)
        if key == "al":
            return None  # PyTorch keeps a buffer there
        return load_number(number, key.rstrip("_"), value, whole=False)


class Search:
    """One step: from the loss at the parameters, along one direction after the other."""

    def __init__(self, optimizer: LBFGS, closure: Closure) -> None:
        self.optimizer, self.closure = optimizer, closure
        self.group = optimizer.param_groups[0]
        self.params = self.group["params"]
        self.state = optimizer.state[self.params[0]]

    def evaluate(self) -> tuple[Any, float]:
        """What the closure returns, and as a number."""
        with enable_grad():
            loss = self.closure()
        self.state["func_evals"] = self.state.get("func_evals", 0) + 1
        try:
            return loss, float(loss)
        except (TypeError, ValueError):
            raise DTypeError(f"LBFGS.step: the closure must return the loss, a number, got {describe(loss)}") from None

    def run(self) -> Any:
        """Do the step; gives the loss at its start."""
        state, group = self.state, self.group
        state.setdefault("n_iter", 0)
        first, loss = self.evaluate()
        evaluations, iteration = 1, 0
        gradient = self.optimizer.gradient()
        if largest(gradient) <= group["tolerance_grad"]:
            return first
        while iteration < group["max_iter"]:
            iteration += 1
            state["n_iter"] += 1
            direction = self.direction(gradient)
            state["d"], state["prev_flat_grad"], state["prev_loss"] = direction, gradient, loss
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / ops.sum(ops.abs(gradient)).item())
            state["t"] = t
            slope = product(gradient, direction)
            if slope > -group["tolerance_change"]:
                break
            before = [p.detach() for p in self.params]
            calls = 0
            if group["line_search_fn"] is not None:
                start = Point(0.0, loss, gradient, slope)
                found, calls = strong_wolfe(
                    functools.partial(self.at, before, direction),
                    start,
                    t,
                    largest(direction),
                    group["max_eval"] - evaluations,
                )
                loss, gradient, t = found.loss, found.gradient, found.t
                state["t"] = t
                self.optimizer.move(before, t, direction)
                flat = largest(gradient) <= group["tolerance_grad"]
            else:
                self.optimizer.move(before, t, direction)
                flat = False
                if iteration != group["max_iter"]:  # after the last one nobody asks for the loss
                    loss = self.evaluate()[1]
                    gradient, calls = self.optimizer.gradient(), 1
                    flat = largest(gradient) <= group["tolerance_grad"]
            evaluations += calls
            small = largest(direction) * abs(t) <= group["tolerance_change"]
            unchanged = abs(loss - state["prev_loss"]) < group["tolerance_change"]
            if iteration == group["max_iter"] or evaluations >= group["max_eval"] or flat or small or unchanged:
                break
        return first

    def at(self, before: list[Tensor], direction: Any, t: float) -> Point:
        """The loss and its gradient at `t` times the direction."""
        self.optimizer.move(before, t, direction)
        _, loss = self.evaluate()
        gradient = self.optimizer.gradient()
        for p, value in zip(self.params, before, strict=True):
            p.data = value
        return Point(t, loss, gradient, product(gradient, direction))

    def direction(self, gradient: Any) -> Any:
        """Minus the gradient times the approximate inverse of the Hessian, after noting what was learned of it."""
        state = self.state
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changes, steps, weights = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = product(change, step)
        if curvature > 1e-10:
            if len(changes) >= self.group["history_size"]:
                for held in (changes, steps, weights):
                    held.pop(0)
            changes.append(change)
            steps.append(step)
            weights.append(1.0 / curvature)
            state["H_diag"] = curvature / product(change, change)
        q = -gradient
        shares = []
        for change, step, weight in zip(reversed(changes), reversed(steps), reversed(weights), strict=True):
            shares.append(product(step, q) * weight)
            q = q - shares[-1] * change
        r = q * state["H_diag"]
        for change, step, weight, share in zip(changes, steps, weights, reversed(shares), strict=True):
            r = r + (share - product(change, r) * weight) * step
        return constant(r.array, r.backend)


def product(a: Any, b: Any) -> float:
    """The dot product as a number."""
    return float(ops.vecdot(a, b).item())


def largest(x: Any) -> float:
    """The largest absolute value."""
    return float(ops.max(ops.abs(x)).item()) if x.size else 0.0
