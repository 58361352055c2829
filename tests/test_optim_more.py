"""The optimizers beyond the usual ones, beside PyTorch's over fifty steps; jitted against eager; hooks and mistakes."""

import copy
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge
from gradengine import optim
from gradengine.errors import ArgumentError, CheckpointError, DTypeError, ShapeError, SignatureError, TraceError

STEPS = 50
SHAPES = [(7,), (), (4, 5), (2, 3, 4)]

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("Adamax", dict()),
    ("Adamax", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, maximize=True)),
    ("NAdam", dict()),
    ("NAdam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, momentum_decay=0.1, maximize=True)),
    ("NAdam", dict(lr=0.01, weight_decay=0.2, decoupled_weight_decay=True)),
    ("RAdam", dict()),
    ("RAdam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, maximize=True)),
    ("RAdam", dict(lr=0.01, betas=(0.5, 0.6), weight_decay=0.2, decoupled_weight_decay=True)),
    ("ASGD", dict()),
    ("ASGD", dict(lr=0.1, lambd=0.01, alpha=0.5, t0=10, weight_decay=0.1, maximize=True)),
    ("Rprop", dict()),
    ("Rprop", dict(lr=0.1, etas=(0.3, 1.5), step_sizes=(1e-2, 0.5), maximize=True)),
    ("Adafactor", dict()),
    ("Adafactor", dict(lr=0.05, beta2_decay=-0.5, eps=(1e-4, 1e-2), d=1.5, weight_decay=0.1, maximize=True)),
]


def label(name: str, options: dict[str, Any]) -> str:
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


every_optimizer = pytest.mark.parametrize(("name", "options"), OPTIONS, ids=[label(*row) for row in OPTIONS])


def arrays(rng: np.random.Generator, dtype: Any = np.float64) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


@pytest.fixture
def double(torch: ModuleType) -> Any:
    """PyTorch with float64 as its default: it keeps rates and products as Tensors of the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.mark.torch
@every_optimizer
def test_updates_equal_pytorchs(
    name: str, options: dict[str, Any], backend: str, double: ModuleType, rng: np.random.Generator
) -> None:
    torch, start = double, arrays(rng)
    ours = [ge.nn.Parameter(ge.tensor(value)) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    changed = {"weight_decay": 0.3} if "weight_decay" in options else {"lr": 0.03}
    grouped = lambda ps: [{"params": ps[:2]}, {"params": ps[2:], **changed}]
    a, b = getattr(optim, name)(grouped(ours), **options), getattr(torch.optim, name)(grouped(theirs), **options)
    for step in range(STEPS):
        for p, q, g in zip(ours, theirs, arrays(rng), strict=True):
            skip = step % 7 == 3 and g.ndim == 1  # parameters without a gradient keep their state and their count
            p.grad, q.grad = (None, None) if skip else (ge.tensor(g), torch.tensor(g))
        a.step()
        b.step()
        if step == 20:  # the rest from a saved state
            state = a.state_dict()
            a = getattr(optim, name)(grouped(ours), lr=123.0)
            a.load_state_dict(state)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-10, atol=1e-12)
    mine, other = a.state_dict(), b.state_dict()
    assert {n: set(s) for n, s in mine["state"].items()} == {n: set(s) for n, s in other["state"].items()}
    for number, held in other["state"].items():
        for key, value in held.items():
            np.testing.assert_allclose(np.asarray(mine["state"][number][key]), value.numpy(), rtol=1e-9, atol=1e-12)
    theirs = [torch.tensor(p.detach().numpy(), requires_grad=True) for p in ours]
    from_pytorch = getattr(optim, name)(grouped(ours), **options)
    from_pytorch.load_state_dict(other)
    for p in ours:
        p.grad = ge.ones_like(p.detach())
    from_pytorch.step()


@pytest.mark.parametrize(("name", "options"), [*OPTIONS, ("Muon", dict(lr=0.05))])
@pytest.mark.parametrize("backend_name", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_jitted_equals_eager(name: str, options: dict[str, Any], backend_name: str, rng: np.random.Generator) -> None:
    if backend_name == "numba":
        pytest.importorskip("numba")
    ge.set_cpu_backend(backend_name)
    draw = lambda: [a for a in arrays(rng, np.float32) if a.ndim == 2 or name != "Muon"]
    start, gradients = draw(), [draw() for _ in range(9)]
    found = []
    for wrap in (lambda f: f, ge.jit):
        params = [ge.nn.Parameter(ge.tensor(value)) for value in start]
        optimizer = getattr(optim, name)([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], **options)

        def step(*gs: Any, params: Any = params, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = sum([(p * g).sum() for p, g in zip(params, gs, strict=True)])
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = wrap(step)
        losses = [run(*map(ge.tensor, gs)).item() for gs in gradients]
        found.append((losses, [p.detach().numpy() for p in params]))
    (eager_losses, eager), (jit_losses, jitted) = found
    np.testing.assert_allclose(jit_losses, eager_losses, rtol=2e-4, atol=1e-5)
    for a, b in zip(eager, jitted, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-4, atol=2e-5)


# -- Muon, which PyTorch computes in bfloat16 -----------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("options", [dict(), dict(nesterov=False, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")])
def test_muon_follows_pytorch_where_it_is_not_rounded(
    options: dict[str, Any], torch: ModuleType, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    start = [rng.standard_normal((4, 6)), rng.standard_normal((5, 3))]
    ours = [ge.nn.Parameter(ge.tensor(value)) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    a, b = optim.Muon(ours, lr=0.05, **options), torch.optim.Muon(theirs, lr=0.05, **options)
    for _ in range(STEPS):
        for p, q in zip(ours, theirs, strict=True):
            g = rng.standard_normal(p.shape)
            p.grad, q.grad = ge.tensor(g), torch.tensor(g)
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-10)


def test_muon_takes_matrices_only() -> None:
    with pytest.raises(
        ShapeError, match=r"Muon: parameters must be matrices, got one of shape \(3,\); give the others"
    ):
        optim.Muon(ge.nn.Linear(3, 3).parameters())


# -- LBFGS ----------------------------------------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    return ((1 - x[:-1]) ** 2).sum() + (100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def logistic(x: Any) -> Any:
    return (x * x).sum() * 0.1 + ((x * 3 - 1).exp() + 1).log().sum()


@pytest.mark.torch
@pytest.mark.parametrize("loss_of", [rosenbrock, logistic])
@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_follows_pytorch(
    loss_of: Callable[[Any], Any], line_search: str | None, torch: ModuleType, rng: np.random.Generator
) -> None:
    start = rng.standard_normal(6) * 0.5
    options: dict[str, Any] = dict(lr=0.001 if line_search is None else 1, max_iter=5, history_size=4)
    p, q = ge.nn.Parameter(ge.tensor(start)), torch.tensor(start, requires_grad=True)
    a = optim.LBFGS([p], line_search_fn=line_search, **options)
    b = torch.optim.LBFGS([q], line_search_fn=line_search, **options)

    def closure_of(optimizer: Any, x: Any) -> Callable[[], Any]:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            return loss

        return closure

    for step in range(10):
        mine, other = a.step(closure_of(a, p)), b.step(closure_of(b, q))
        assert mine.item() == pytest.approx(other.item(), rel=1e-8, abs=1e-12)
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-7, atol=1e-10)
        if step == 4:
            state = copy.deepcopy(a.state_dict())
            a = optim.LBFGS([p])
            a.load_state_dict(state)
    state_a, state_b = a.state[p], b.state[q]
    assert (state_a["func_evals"], state_a["n_iter"]) == (state_b["func_evals"], state_b["n_iter"])
    a.load_state_dict(b.state_dict())
    a.step(closure_of(a, p))


def test_lbfgs_says_what_it_needs() -> None:
    p = ge.nn.Parameter(ge.ones(2))
    optimizer = optim.LBFGS([p])
    with pytest.raises(DTypeError, match="needs a closure that clears the gradients, calls backward"):
        optimizer.step()
    with pytest.raises(TraceError, match=r"LBFGS decides by the loss .* outside"):
        ge.jit(lambda: optimizer.step(lambda: p.sum()))()
    with pytest.raises(ArgumentError, match="one parameter group"):
        optimizer.add_param_group({"params": [ge.nn.Parameter(ge.ones(2))]})
    with pytest.raises(ArgumentError, match="line_search_fn must be None or 'strong_wolfe', got str 'wolfe'"):
        optim.LBFGS([p], line_search_fn="wolfe")
    with pytest.raises(DTypeError, match="the closure must return the loss, a number, got NoneType None"):
        optimizer.step(lambda: None)


# -- what all share -------------------------------------------------------------------------------------------------

EVERY = [name for name in optim.__all__ if name[0].isupper() and name != "Optimizer"]


def matrix() -> ge.nn.Parameter:
    return ge.nn.Parameter(ge.ones(2, 2))


@pytest.mark.parametrize("name", EVERY)
def test_unknown_keywords_and_senseless_rates(name: str) -> None:
    make = getattr(optim, name)
    with pytest.raises(
        SignatureError, match=rf"^{name}: unexpected keyword 'learning_rate' \(did you mean lr\?\); accepted:"
    ):
        make([matrix()], learning_rate=0.1)
    for wrong in (-1, math.nan, math.inf, "fast", None, True, [0.1]):
        with pytest.raises(ArgumentError, match=rf"^{name}: lr must be a finite number >= 0, got"):
            make([matrix()], lr=wrong)
        with pytest.raises(ArgumentError, match=rf"^{name}: lr must be"):
            make([{"params": [matrix()], "lr": wrong}])
    for wrong in (None, 5, "params", [5], [None], [[matrix()]], [("w", 5)], [("w", matrix()), matrix()]):
        with pytest.raises((DTypeError, ArgumentError), match=f"^{name}: "):
            make(wrong)
    with pytest.raises(DTypeError, match="is int64; only floating-point ones are learned"):
        make([ge.ones(2, 2, dtype=ge.int64)])
    with pytest.raises(DTypeError, match=f"{name}: a group has no option 'learning_rate'; did you mean lr"):
        make([{"params": [matrix()], "learning_rate": 1.0}])


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("LBFGS", "Muon")])
def test_options_of_an_implementation_change_nothing_or_are_refused(name: str) -> None:
    make = getattr(optim, name)
    make([matrix()], foreach=True, capturable=True)
    make([matrix()], fused=True, foreach=None, differentiable=False)
    with pytest.raises(ArgumentError, match=f"{name}: differentiable=True is not supported, because updates are not"):
        make([matrix()], differentiable=True)
    with pytest.raises(ArgumentError, match="foreach and fused exclude each other"):
        make([matrix()], foreach=True, fused=True)
    with pytest.raises(ArgumentError, match="fused must be None, True or False, got int 3"):
        make([matrix()], fused=3)


@pytest.mark.parametrize("name", EVERY)
def test_forged_states_are_checkpoint_errors(name: str) -> None:
    p = matrix()
    optimizer = getattr(optim, name)([p])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    good, before = optimizer.state_dict(), p.detach().numpy().copy()
    forged = [None, 5, {}, {"state": {}}, {"state": [], "param_groups": 5}, {"state": {0: 5}, "param_groups": []}]
    for key, value in (("lr", -1.0), ("lr", "a"), ("lr", math.nan), ("params", [0, 1]), ("params", 0)):
        forged.append({**good, "param_groups": [{**good["param_groups"][0], key: value}]})
    forged.append({**good, "state": {**good["state"], 7: {}}})
    forged.append({**good, "state": {0: 5}})
    for key, value in good["state"].get(0, {}).items():
        wrong = ge.ones(9) if isinstance(value, ge.Tensor) else -0.5 if key == "step" else "a"
        forged.append({**good, "state": {0: {**good["state"][0], key: wrong}}})
    for state in forged:
        with pytest.raises(CheckpointError, match=r"^load_state_dict: "):
            optimizer.load_state_dict(state)
    np.testing.assert_array_equal(p.detach().numpy(), before)
    optimizer.load_state_dict(good)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Adamax", dict(betas=(1.0, 0.9)), r"betas must be two numbers from 0 up to below 1"),
        ("NAdam", dict(momentum_decay=-1), "momentum_decay must be a finite number >= 0"),
        ("RAdam", dict(betas=(0.9,)), "betas must be two numbers"),
        ("ASGD", dict(t0=math.nan), "t0 must be"),
        ("Rprop", dict(etas=(1.5, 0.5)), "etas must be a factor from 0 to 1 and one above 1"),
        ("Rprop", dict(step_sizes=(2.0, 1.0)), "step_sizes must be"),
        ("Adafactor", dict(d=0.5), "d must be a finite number >= 1"),
        ("Adafactor", dict(beta2_decay=0.5), "beta2_decay must be a finite number up to 0"),
        ("Adafactor", dict(eps=1e-3), "eps must be two numbers"),
        ("Muon", dict(ns_steps=100), "ns_steps must be below 100"),
        ("Muon", dict(adjust_lr_fn="x"), "adjust_lr_fn must be None, 'original' or 'match_rms_adamw'"),
        ("LBFGS", dict(max_iter=2.5), "max_iter must be an integer >= 0"),
        ("SGD", dict(momentum=math.inf), "momentum must be"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}: {message}"):
        getattr(optim, name)([matrix()], **options)


def test_named_parameters_keep_their_names() -> None:
    layer = ge.nn.Linear(2, 2)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"] == list(layer.parameters())
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ArgumentError, match="all groups are given with names of parameters, or none"):
        optimizer.add_param_group({"params": [matrix()]})
    grouped = optim.SGD([{"params": layer.named_parameters(), "lr": 0.5}])
    assert grouped.param_groups[0]["param_names"] == ["weight", "bias"]


@pytest.mark.parametrize("own_step", [False, True])
def test_hooks_of_a_step_and_of_the_state(own_step: bool) -> None:
    class Own(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    p, seen = ge.nn.Parameter(ge.ones(2)), []
    optimizer = (Own if own_step else optim.SGD)([p], lr=0.5)
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after")),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state.pop("more"))),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("first"), prepend=True)
    p.grad = ge.ones(2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["before", "after", "first", "saving", 1, "loaded"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 6
    with pytest.raises(DTypeError, match=r"register_step_pre_hook: hook must be a function hook\(optimizer, args"):
        optimizer.register_step_pre_hook(5)


# -- averages of weights --------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["swa", "ema", "swa_multi", "ema_multi", "own"])
def test_averaged_models_follow_pytorch(kind: str, torch: ModuleType, rng: np.random.Generator) -> None:
    from gradengine.optim import swa_utils

    theirs_utils = torch.optim.swa_utils

    def options(utils: Any) -> dict[str, Any]:
        if kind == "own":
            return {"avg_fn": lambda average, value, count: average * 0.25 + value * 0.75}
        function = getattr(utils, f"get_{kind}_avg_fn")(*([0.9] if kind.startswith("ema") else []))
        return {"multi_avg_fn" if kind.endswith("multi") else "avg_fn": function}

    ours, theirs = ge.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    a, b = (
        swa_utils.AveragedModel(ours, **options(swa_utils)),
        theirs_utils.AveragedModel(theirs, **options(theirs_utils)),
    )
    for _ in range(6):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            value = rng.standard_normal(p.shape).astype(np.float32)
            p.data, q.data = ge.tensor(value), torch.tensor(value)
        a.update_parameters(ours)
        b.update_parameters(theirs)
    assert a.n_averaged.item() == b.n_averaged.item() == 6
    for p, q in zip(a.module.parameters(), b.module.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert set(a.state_dict()) == set(b.state_dict())


@pytest.mark.torch
def test_chained_and_averaging_schedules_are_pytorchs(torch: ModuleType) -> None:
    def build(utils: Any, schedules: Any, optimizer: Any) -> list[Any]:
        constant = schedules.ConstantLR(optimizer, factor=0.1, total_iters=7)
        chained = schedules.ChainedScheduler([constant, schedules.ExponentialLR(optimizer, gamma=0.9)])
        return [chained, utils.SWALR(optimizer, swa_lr=[0.05, 0.3], anneal_epochs=6, anneal_strategy="linear")]

    found = []
    for module, tensor in ((optim, lambda: ge.nn.Parameter(ge.ones(1))), (torch.optim, lambda: torch.ones(1))):
        groups = [{"params": [tensor()]}, {"params": [tensor()], "lr": 0.2}]
        optimizer = module.SGD(groups, lr=0.1)
        schedules = build(module.swa_utils, module.lr_scheduler, optimizer)
        rates = []
        for _ in range(12):
            optimizer.step()
            for schedule in schedules:
                schedule.step()
            rates += [group["lr"] for group in optimizer.param_groups] + schedules[0].get_last_lr()
        found.append(rates)
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    a, b = (optim.SGD([matrix()], lr=0.1) for _ in range(2))
    first, second = (build(optim.swa_utils, optim.lr_scheduler, o)[0] for o in (add_group(a), add_group(b)))
    a.step()
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    with pytest.raises(CheckpointError, match="not that of a sequence of 2 schedules"):
        second.load_state_dict({"schedulers": []})


def add_group(optimizer: Any) -> Any:
    optimizer.add_param_group({"params": [matrix()], "lr": 0.2})
    return optimizer
