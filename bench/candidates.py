"""The candidates of the benchmark of compiled steps: gradengine, PyTorch, JAX, and a program written by hand.

A candidate has one or more variants, of which the fastest counts; each is made by a function, so that one that fails
takes no other with it.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .workloads import HEADLINE, Kernel, Training, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    Variants = dict[str, Callable[[], "Runner"]]

JIT, OVER, EAGER = "gradengine jit", "gradengine over", "gradengine eager"
TORCH, COMPILE = "PyTorch eager", "PyTorch compile"
JAX, SCAN = "JAX jit", "JAX scan"
HAND, HAND_OVER = "by hand", "by hand, over"


class Unavailable(Exception):
    """Why a candidate cannot run here."""


@dataclass
class Runner:
    """A variant that is ready: `run(n)` does n steps or calls, `check()` is a number that all candidates agree on."""

    run: Callable[[int], Any]
    check: Callable[[], float]
    handles: dict[str, Any] = field(default_factory=dict)


def names_for(work: Workload) -> tuple[str, ...]:
    """The candidates of a workload; those that compile whole passes come after those that compile a step."""
    if isinstance(work, Kernel):
        return JIT, EAGER, TORCH
    by_hand = (HAND, HAND_OVER) if work is HEADLINE else ()
    return JIT, OVER, EAGER, TORCH, COMPILE, JAX, SCAN, *by_hand


def variants(name: str, work: Workload, threads: int) -> Variants:
    """How to make the variants of a candidate, by their labels."""
    if name in (JIT, OVER, EAGER):
        make = gradengine_kernel if isinstance(work, Kernel) else gradengine_training
        return {"": lambda: make(work, name)}
    if name in (TORCH, COMPILE):
        return torch_variants(work, name, threads)
    if not isinstance(work, Training):
        raise Unavailable(f"{name} runs training steps only")
    if name in (JAX, SCAN):
        return {"": lambda: jax_training(work, name == SCAN)}
    return {"": lambda: handwritten_training(work, name == HAND_OVER, threads)}


def batches_of(work: Training, images: Any, labels: Any) -> list[tuple[Any, Any]]:
    """The data cut into batches, as a loader would have done."""
    starts = range(0, work.rows, work.batch)
    return [(images[i : i + work.batch], labels[i : i + work.batch]) for i in starts]


def number(value: Any) -> float:
    """A scalar of any library."""
    return float(value.item() if hasattr(value, "item") else value)


def walk(step: Any, batches: list[tuple[Any, Any]]) -> Runner:
    """Steps over one batch after another; the last loss is kept."""
    feed = itertools.cycle(batches)
    last: list[Any] = [None]

    def run(n: int) -> None:
        for x, y in itertools.islice(feed, n):
            last[0] = step(x, y)

    return Runner(run, lambda: number(last[0]))


def passes(epoch: Callable[[], Any], unit: int) -> Runner:
    """Whole passes over the data, each in one call that returns its losses."""
    last: list[Any] = [None]

    def run(n: int) -> None:
        if n % unit:
            raise Unavailable(f"{n} steps are not a whole number of passes of {unit}")
        for _ in range(n // unit):
            last[0] = epoch()

    return Runner(run, lambda: number(last[0][-1]))


def calls(function: Callable[[], Any], check: Callable[[], float]) -> Runner:
    """Calls of a kernel."""

    def run(n: int) -> None:
        for _ in range(n):
            function()

    return Runner(run, check)


def step_and_model(nn: Any, optim: Any, tensor: Any, work: Training, **options: Any) -> tuple[Any, Any, Any]:
    """The step, its model and its optimizer for gradengine and PyTorch: their names are the same."""
    layers: list[Any] = []
    for m, n in zip(work.widths, work.widths[1:]):
        layers += [nn.Linear(m, n), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    names = list(model.state_dict())
    model.load_state_dict({name: tensor(w) for name, w in zip(names, work.weights(), strict=True)})
    if work.optimizer == "SGD":
        optimizer = optim.SGD(model.parameters(), lr=work.lr, momentum=0.9, **options)
    else:
        optimizer = optim.Adam(model.parameters(), lr=work.lr, **options)

    def step(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, model, optimizer


def compiled_by_gradengine(function: Any) -> Any:
    """The function under `ge.jit`."""
    import gradengine as ge

    if not callable(getattr(ge, "jit", None)):
        raise Unavailable("this gradengine has no jit")
    return ge.jit(function)


def gradengine_training(work: Training, name: str) -> Runner:
    """gradengine: op by op, a compiled step for each batch, or a compiled pass over the data."""
    import gradengine as ge

    step, _, optimizer = step_and_model(ge.nn, ge.optim, ge.tensor, work)
    images, labels = (ge.asarray(a) for a in work.data())
    if name == EAGER:
        return walk(step, batches_of(work, images, labels))
    jitted = compiled_by_gradengine(step)
    if name == OVER:
        found = passes(lambda: jitted.over(images, labels, batch_size=work.batch), work.unit)
    else:
        found = walk(jitted, batches_of(work, images, labels))
    found.handles = {"step": jitted, "optimizer": optimizer}
    return found


def gradengine_kernel(work: Kernel, name: str) -> Runner:
    """gradengine's kernel, compiled or op by op."""
    import gradengine as ge

    wrap = (lambda f: f) if name == EAGER else compiled_by_gradengine
    x = ge.asarray(work.data())
    if work.op == "Adam update":
        p = ge.zeros(x.shape).requires_grad_()
        p.grad = x
        optimizer = ge.optim.Adam([p], lr=0.001)
        return calls(wrap(lambda: optimizer.step()), lambda: float(np.abs(p.detach().numpy()).mean()))
    f = ge.nn.functional
    function = wrap(
        {
            "softmax": lambda x: f.softmax(x, -1),
            "layer_norm": lambda x: f.layer_norm(x, (1000,)),
            "gelu": lambda x: f.gelu(x),
        }[work.op]
    )
    return calls(lambda: function(x), lambda: float(np.abs(function(x).numpy()).mean()))


def torch_variants(work: Workload, name: str, threads: int) -> Variants:
    """PyTorch with each form of its optimizers; compiled, with the update eager or compiled too."""
    try:
        import torch
    except ImportError:
        raise Unavailable("PyTorch is not installed") from None
    torch.set_num_threads(threads)
    if isinstance(work, Kernel):
        if work.op != "Adam update":
            return {"": lambda: torch_kernel(work)}
        return {label: lambda o=options: torch_update(work, o) for label, options in FORMS.items()}
    if name == TORCH:
        return {label: lambda o=options: torch_training(work, o) for label, options in FORMS.items()}
    return {
        "loss compiled, fused update": lambda: torch_compiled(work, {"fused": True}, update=False),
        "loss and update compiled": lambda: torch_compiled(work, {"foreach": True}, update=True),
    }


FORMS = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def torch_training(work: Training, options: dict[str, Any]) -> Runner:
    """PyTorch, op by op."""
    import torch

    step, _, _ = step_and_model(torch.nn, torch.optim, torch.tensor, work, **options)
    return walk(step, batches_of(work, *(torch.from_numpy(a) for a in work.data())))


def torch_compiled(work: Training, options: dict[str, Any], update: bool) -> Runner:
    """PyTorch with the loss and its gradient compiled, and the update too if asked for."""
    import torch

    _, model, optimizer = step_and_model(torch.nn, torch.optim, torch.tensor, work, **options)
    loss_of = torch.compile(lambda x, y: torch.nn.functional.cross_entropy(model(x), y), fullgraph=True)
    move = torch.compile(lambda: optimizer.step()) if update else optimizer.step

    def step(x: Any, y: Any) -> Any:
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        move()
        return loss

    return walk(step, batches_of(work, *(torch.from_numpy(a) for a in work.data())))


def torch_kernel(work: Kernel) -> Runner:
    """PyTorch's kernel."""
    import torch

    x, f = torch.from_numpy(work.data()), torch.nn.functional
    function = {
        "softmax": lambda: f.softmax(x, -1),
        "layer_norm": lambda: f.layer_norm(x, (1000,)),
        "gelu": lambda: f.gelu(x),
    }[work.op]
    return calls(function, lambda: function().abs().mean().item())


def torch_update(work: Kernel, options: dict[str, Any]) -> Runner:
    """PyTorch's Adam on one parameter."""
    import torch

    p = torch.zeros((work.size // 1000, 1000), requires_grad=True)
    p.grad = torch.from_numpy(work.data())
    optimizer = torch.optim.Adam([p], lr=0.001, **options)
    return calls(optimizer.step, lambda: p.detach().abs().mean().item())


def jax_training(work: Training, scan: bool, unroll: int = 1) -> Runner:
    """JAX: a jitted step with donated state that cuts its batch out itself, or a scan over all batches."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        raise Unavailable("JAX is not installed") from None
    from jax import lax

    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_compilation_cache", False)
    params = [jnp.array(w.T) for w in work.weights()]
    zeros = [jnp.zeros_like(p) for p in params]
    state: Any = (params, zeros, [jnp.copy(z) for z in zeros], jnp.zeros((), jnp.int32))
    images, labels = work.data()
    X, Y = jnp.array(images), jnp.array(labels.astype(np.int32))

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        for w, b in zip(p[:-2:2], p[1:-2:2]):
            x = jax.nn.relu(x @ w + b)
        z = jax.nn.log_softmax(x @ p[-2] + p[-1])
        return -jnp.mean(jnp.take_along_axis(z, y[:, None], 1))

    def update(state: Any, x: Any, y: Any) -> Any:
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(p, x, y)
        if work.optimizer == "SGD":
            m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
            return (jax.tree.map(lambda p, m: p - work.lr * m, p, m), m, v, t + 1), loss
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        s = (t + 1).astype(jnp.float32)
        scale, root = work.lr / (1 - 0.9**s), 1 / (1 - 0.999**s)
        p = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v * root) + 1e-8), p, m, v)
        return (p, m, v, t + 1), loss

    def one(state: Any, X: Any, Y: Any) -> Any:
        start = state[-1] % work.unit * work.batch
        cut = lambda a: lax.dynamic_slice_in_dim(a, start, work.batch)
        return update(state, cut(X), cut(Y))

    def whole(state: Any, X: Any, Y: Any) -> Any:
        cut = lambda a: a.reshape(work.unit, work.batch, *a.shape[1:])
        return lax.scan(lambda s, batch: update(s, *batch), state, (cut(X), cut(Y)), unroll=unroll)

    compiled = jax.jit(whole if scan else one, donate_argnums=0)
    last: Any = None

    def run(n: int) -> None:
        nonlocal state, last
        for _ in range(n // work.unit if scan else n):
            state, last = compiled(state, X, Y)
        jax.block_until_ready((state, last))

    return Runner(run, lambda: float(np.asarray(last).reshape(-1)[-1]))


def handwritten_training(work: Training, over: bool, threads: int) -> Runner:
    """The program written by hand, called for each batch or once for each pass."""
    from . import handwritten

    program = handwritten.Program(work.weights(), work.batch, threads, work.lr, 0.9)
    images, labels = work.data()
    if over:
        return passes(lambda: program.epoch(images, labels), work.unit)
    return walk(program.step, batches_of(work, images, labels))
