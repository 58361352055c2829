"""Optimizers and schedules against PyTorch's, over fifty steps with every option; saving, loading, mistakes."""

import copy
import json
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge
from gradengine import optim
from gradengine.errors import ArgumentError, CheckpointError, DTypeError, GraphError, ShapeError
from gradengine.optim import lr_scheduler

STEPS = 50
SHAPES = [(7,), (), (130, 130)]  # the last is large enough for generated kernels

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict()),
    ("SGD", dict(lr=0.1, weight_decay=0.2)),
    ("SGD", dict(lr=0.1, maximize=True)),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, maximize=True)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3)),
    ("Adam", dict(lr=0.01, weight_decay=0.1)),
    ("Adam", dict(lr=0.01, amsgrad=True)),
    ("Adam", dict(lr=0.01, amsgrad=True, weight_decay=0.1, maximize=True)),
    ("AdamW", dict()),
    ("AdamW", dict(lr=0.01, weight_decay=0.3, amsgrad=True)),
    ("AdamW", dict(lr=0.01, weight_decay=0.0, maximize=True)),
    ("RMSprop", dict()),
    ("RMSprop", dict(lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.01, centered=True)),
    ("RMSprop", dict(lr=0.01, momentum=0.9)),
    ("RMSprop", dict(lr=0.01, momentum=0.9, centered=True, weight_decay=0.1, maximize=True)),
    ("Adagrad", dict()),
    ("Adagrad", dict(lr=0.1, lr_decay=0.2, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-3)),
    ("Adagrad", dict(lr=0.1, maximize=True)),
    ("Adadelta", dict()),
    ("Adadelta", dict(lr=0.5, rho=0.7, eps=1e-4, weight_decay=0.1, maximize=True)),
]


def label(name: str, options: dict[str, Any]) -> str:
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


every_optimizer = pytest.mark.parametrize(("name", "options"), OPTIONS, ids=[label(*row) for row in OPTIONS])


def arrays(rng: np.random.Generator, dtype: Any = np.float64) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def parameters(values: list[np.ndarray]) -> list[ge.Tensor]:
    return [ge.nn.Parameter(ge.tensor(value)) for value in values]


def run(optimizer: Any, owners: list[ge.Tensor], gradients: list[list[np.ndarray]]) -> None:
    for step in gradients:
        for p, g in zip(owners, step, strict=True):
            p.grad = ge.tensor(g)
        optimizer.step()


def assert_close(actual: ge.Tensor, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=1e-12)


@pytest.mark.torch
@every_optimizer
def test_updates_equal_pytorchs(
    name: str, options: dict[str, Any], backend: str, torch: ModuleType, rng: np.random.Generator
) -> None:
    start = arrays(rng)
    ours = parameters(start)
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    our_optimizer = getattr(optim, name)(ours, **options)
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for step in range(STEPS):
        gradients = arrays(rng)
        for a, b, g in zip(ours, theirs, gradients, strict=True):
            skip = step % 7 == 3 and g.ndim == 1  # parameters without a gradient keep their state and their count
            a.grad, b.grad = (None, None) if skip else (ge.tensor(g), torch.tensor(g))
        our_optimizer.step()
        their_optimizer.step()
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float64
        assert a.shape == tuple(b.shape)


@every_optimizer
def test_float32_stays_float32_and_follows_float64(
    name: str, options: dict[str, Any], backend: str, rng: np.random.Generator
) -> None:
    start, gradients = arrays(rng), [arrays(rng) for _ in range(3)]
    single = parameters([value.astype(np.float32) for value in start])
    double = parameters(start)
    optimizer = getattr(optim, name)(single, **options)
    run(optimizer, single, [[g.astype(np.float32) for g in step] for step in gradients])
    run(getattr(optim, name)(double, **options), double, gradients)
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=3e-3, atol=3e-5)
    slots = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, ge.Tensor)]
    assert all(slot.dtype == np.float32 for slot in slots)


@every_optimizer
def test_state_round_trip_is_bitwise(
    name: str, options: dict[str, Any], backend: str, rng: np.random.Generator
) -> None:
    start = arrays(rng)
    straight = parameters(start)
    first = getattr(optim, name)(straight, **options)
    gradients = [arrays(rng) for _ in range(12)]
    run(first, straight, gradients[:5])
    saved, values = copy.deepcopy(first.state_dict()), [p.detach().numpy().copy() for p in straight]
    # What is no Tensor passes through JSON; Tensors go as arrays, as a checkpoint file would keep them.
    state = {
        str(number): {
            k: v.numpy().copy() if isinstance(v, ge.Tensor) else json.loads(json.dumps(v)) for k, v in s.items()
        }
        for number, s in saved["state"].items()
    }
    resumed = parameters(values)
    second = getattr(optim, name)(resumed, lr=123.0)
    run(first, straight, gradients[5:])
    second.load_state_dict({"state": state, "param_groups": json.loads(json.dumps(saved["param_groups"]))})
    run(second, resumed, gradients[5:])
    for a, b in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert second.param_groups[0].keys() == first.param_groups[0].keys()
    assert all(second.param_groups[0][k] == v for k, v in first.param_groups[0].items() if k != "params")


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_state_dict_has_pytorchs_structure(name: str, torch: ModuleType, rng: np.random.Generator) -> None:
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    ours = parameters([rng.standard_normal(3), rng.standard_normal(2)])
    theirs = [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in ours]
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for p, q in zip(ours, theirs, strict=True):
        p.grad, q.grad = ge.ones_like(p.detach()), torch.ones_like(q)
    a.step()
    b.step()
    mine, other = a.state_dict(), b.state_dict()
    assert mine.keys() == other.keys()
    assert {n: set(s) for n, s in mine["state"].items()} == {n: set(s) for n, s in other["state"].items()}
    assert mine["param_groups"][0]["params"] == other["param_groups"][0]["params"]
    extra = {"foreach", "differentiable", "fused", "capturable", "decoupled_weight_decay"}
    assert mine["param_groups"][0].keys() == other["param_groups"][0].keys() - extra


@pytest.mark.torch
@every_optimizer
def test_continues_from_pytorchs_state(
    name: str, options: dict[str, Any], torch: ModuleType, rng: np.random.Generator
) -> None:
    theirs = [torch.tensor(value, requires_grad=True) for value in arrays(rng)]
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    ours: list[ge.Tensor] = []
    for step in range(6):
        if step == 3:
            ours = parameters([q.detach().numpy() for q in theirs])
            our_optimizer = getattr(optim, name)(ours)
            state = their_optimizer.state_dict()
            state["state"] = {
                number: {k: v.numpy().copy() if torch.is_tensor(v) else v for k, v in held.items()}
                for number, held in state["state"].items()
            }
            our_optimizer.load_state_dict(state)
        gradients = arrays(rng)
        for q, g in zip(theirs, gradients, strict=True):
            q.grad = torch.tensor(g)
        their_optimizer.step()
        if ours:
            run(our_optimizer, ours, [gradients])
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)


def test_parameter_groups_have_their_own_options(rng: np.random.Generator) -> None:
    a, b, c = parameters([np.ones(2), np.ones(2), np.ones(2)])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0})
    for p in (a, b, c):
        p.grad = ge.ones(2, dtype=ge.float64)
    optimizer.step()
    assert a.tolist() == pytest.approx([0.9, 0.9])
    assert b.tolist() == pytest.approx([0.5, 0.5])
    assert c.tolist() == pytest.approx([0.8, 0.8])
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1], [2]]
    assert "lr: 0.5" in repr(optimizer)


def test_options_may_be_numpy_numbers() -> None:
    p = ge.nn.Parameter(ge.ones(2))
    optimizer = optim.SGD([p], lr=np.float32(0.5), momentum=np.float64(0.5))  # type: ignore[arg-type]
    p.grad = ge.ones(2)
    optimizer.step()
    assert p.dtype == np.float32
    assert json.loads(json.dumps(optimizer.state_dict()["param_groups"]))[0]["lr"] == 0.5


def test_zero_grad_forgets_or_zeroes() -> None:
    p = ge.nn.Parameter(ge.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    (p * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_step_runs_a_closure_with_recording_on() -> None:
    p = ge.nn.Parameter(ge.tensor(2.0))
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> ge.Tensor:
        optimizer.zero_grad()
        loss = p * p
        loss.backward()
        return loss

    with ge.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == 1.0


@pytest.mark.parametrize("size", [3, 20_000])  # generated kernels update large arrays in place where they may
def test_updates_leave_saved_arrays_and_graphs_alone(size: int, backend: str) -> None:
    p = ge.nn.Parameter(ge.ones(size))
    optimizer = optim.Adam([p], lr=0.5)
    before = p.detach()
    view = p.detach().numpy()
    saved = optimizer.state_dict()
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    after_one = optimizer.state_dict()
    expected = {slot: after_one["state"][0][slot].numpy().copy() for slot in ("exp_avg", "exp_avg_sq")}
    np.testing.assert_allclose(p.detach().numpy(), 0.5, atol=1e-6)
    optimizer.step()
    assert view.min() == view.max() == 1.0
    np.testing.assert_array_equal(before.numpy(), p.detach().numpy())
    assert saved["state"] == {}
    for slot, value in expected.items():
        assert (after_one["state"][0][slot].numpy() != value).all()  # entries follow, as in PyTorch
    (first,) = ge.grad(loss, p)
    np.testing.assert_array_equal(first.numpy(), 2.0)  # of the value that the graph has seen


def test_gradients_of_another_dtype_are_cast_and_of_another_shape_refused() -> None:
    """Such a gradient is left where a parameter's value was exchanged after `backward`."""
    p = ge.nn.Parameter(ge.ones(3, dtype=ge.float64))
    optimizer = optim.SGD([p], lr=0.5)
    p.grad = ge.ones(3, dtype=ge.float64)
    p.data = ge.ones(3)
    optimizer.step()
    assert p.dtype == np.float32
    assert p.tolist() == [0.5, 0.5, 0.5]
    p.data = ge.ones((3, 1))
    p.grad = ge.ones((3, 1))
    p.data = ge.ones(3)
    with pytest.raises(ShapeError, match=r"shape \(3,\), but its grad \(3, 1\)"):
        optimizer.step()


def test_a_subclass_may_step_by_itself() -> None:
    class SignDescent(optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @ge.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["count"] = self.state[p].get("count", 0) + 1
                    p.data = p.detach() - group["lr"] * ge.sign(p.grad)

    p = ge.nn.Parameter(ge.tensor([1.0, -1.0]))
    optimizer = SignDescent([p], lr=0.25)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    (p * p).sum().backward()
    optimizer.step()
    scheduler.step()
    assert p.tolist() == [0.75, -0.75]
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}


# -- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", dict(lr=-0.1), "SGD: lr must be a finite number >= 0, got float -0.1"),
        ("SGD", dict(lr=math.nan), "lr must be"),
        ("SGD", dict(lr="fast"), "lr must be a finite number >= 0, got str 'fast'"),
        ("SGD", dict(lr=0.1, momentum=-1), "momentum must be"),
        ("SGD", dict(lr=0.1, weight_decay=-1), "weight_decay must be"),
        ("SGD", dict(lr=0.1, nesterov=True), "nesterov needs a momentum above 0"),
        ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.1, nesterov=True), "nesterov needs"),
        (
            "Adam",
            dict(betas=(1.0, 0.9)),
            r"Adam: betas must be two numbers from 0 up to below 1, got tuple \(1.0, 0.9\)",
        ),
        ("Adam", dict(betas=0.9), "betas must be"),
        ("Adam", dict(eps=-1e-8), "eps must be"),
        ("AdamW", dict(betas=(0.9, -0.1)), "AdamW: betas must be"),
        ("RMSprop", dict(alpha=-0.1), "RMSprop: alpha must be"),
        ("RMSprop", dict(momentum=-0.1), "RMSprop: momentum must be"),
        ("Adagrad", dict(lr_decay=-0.1), "Adagrad: lr_decay must be"),
        ("Adagrad", dict(initial_accumulator_value=-1), "initial_accumulator_value must be"),
        ("Adadelta", dict(rho=1.5), "Adadelta: rho must be a number from 0 to 1, got float 1.5"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        getattr(optim, name)([ge.nn.Parameter(ge.ones(1))], **options)


def test_options_of_a_group_are_checked_too() -> None:
    p = ge.nn.Parameter(ge.ones(1))
    with pytest.raises(ArgumentError, match="lr must be"):
        optim.SGD([{"params": [p], "lr": -1.0}], lr=0.1)


def test_parameters_that_cannot_be_optimized_are_refused() -> None:
    p = ge.nn.Parameter(ge.ones(2))
    with pytest.raises(ArgumentError, match="SGD: got no parameters"):
        optim.SGD([], lr=0.1)
    with pytest.raises(DTypeError, match="params must be a sequence"):
        optim.SGD(p, lr=0.1)
    with pytest.raises(DTypeError, match=r"must be Tensors, got float 1\.0"):
        optim.SGD([1.0], lr=0.1)
    with pytest.raises(GraphError, match="is the result of an op"):
        optim.SGD([p * 2], lr=0.1)
    with pytest.raises(ArgumentError, match="given more than once"):
        optim.SGD([p, p], lr=0.1)
    with pytest.raises(ArgumentError, match="given more than once"):
        optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1)
    with pytest.raises(DTypeError, match='a dict with "params"'):
        optim.SGD([p], lr=0.1).add_param_group({"lr": 0.1})


def test_a_foreign_state_dict_is_refused_and_changes_nothing() -> None:
    p, q = ge.nn.Parameter(ge.ones(2)), ge.nn.Parameter(ge.ones(3))
    adam = optim.Adam([p], lr=0.1)
    p.grad = ge.ones(2)
    adam.step()
    saved = adam.state_dict()
    with pytest.raises(CheckpointError, match=r"has groups of \[2\] parameters, the state of \[1\]"):
        optim.Adam([p, q]).load_state_dict(saved)
    with pytest.raises(CheckpointError, match=r"exp_avg of parameter 0 has shape \(2,\), the parameter \(3,\)"):
        optim.Adam([q]).load_state_dict(saved)
    with pytest.raises(CheckpointError, match="SGD needs momentum"):
        optim.SGD([p]).load_state_dict(saved)
    with pytest.raises(CheckpointError, match="needs"):
        optim.Adagrad([p]).load_state_dict(
            {"state": saved["state"], "param_groups": optim.Adagrad([p]).state_dict()["param_groups"]}
        )
    with pytest.raises(CheckpointError, match="param_groups"):
        adam.load_state_dict({"model": 1})
    broken = {"state": {5: {}}, "param_groups": saved["param_groups"]}
    with pytest.raises(CheckpointError, match="of parameter 5"):
        adam.load_state_dict(broken)
    assert adam.state_dict()["state"][0]["step"] == 1


# -- schedules --------------------------------------------------------------------------------------------------

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", dict(step_size=7)),
    ("StepLR", dict(step_size=3, gamma=0.5)),
    ("MultiStepLR", dict(milestones=[4, 9, 9, 30], gamma=0.3)),
    ("ExponentialLR", dict(gamma=0.93)),
    ("CosineAnnealingLR", dict(T_max=12)),
    ("CosineAnnealingLR", dict(T_max=50, eta_min=0.001)),
    ("LinearLR", dict()),
    ("LinearLR", dict(start_factor=0.1, end_factor=0.7, total_iters=20)),
    ("ConstantLR", dict()),
    ("ConstantLR", dict(factor=0.25, total_iters=11)),
    ("LambdaLR", dict(lr_lambda=lambda epoch: 0.95**epoch)),
    ("LambdaLR", dict(lr_lambda=[lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)])),
    ("OneCycleLR", dict(max_lr=1.0, total_steps=51)),
    ("OneCycleLR", dict(max_lr=[1.0, 0.5], epochs=6, steps_per_epoch=10, anneal_strategy="linear")),
    ("OneCycleLR", dict(max_lr=1.0, total_steps=60, three_phase=True, div_factor=10.0, final_div_factor=100.0)),
    ("OneCycleLR", dict(max_lr=1.0, total_steps=60, base_momentum=0.5, max_momentum=0.8, pct_start=0.6)),
    ("CosineAnnealingWarmRestarts", dict(T_0=5)),
    ("CosineAnnealingWarmRestarts", dict(T_0=4, T_mult=2, eta_min=0.01)),
    ("MultiplicativeLR", dict(lr_lambda=lambda epoch: 0.9 + 0.01 * epoch)),
    ("PolynomialLR", dict()),
    ("PolynomialLR", dict(total_iters=20, power=1.7)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.5, step_size_up=5)),
    ("CyclicLR", dict(base_lr=[0.01, 0.1], max_lr=0.5, step_size_up=3, step_size_down=8, mode="triangular2")),
    ("CyclicLR", dict(base_lr=0.1, max_lr=1.0, step_size_up=6, mode="exp_range", gamma=0.97, max_momentum=0.99)),
    ("CyclicLR", dict(base_lr=0.1, max_lr=1.0, step_size_up=6, scale_fn=lambda x: 1 / x, cycle_momentum=False)),
]
every_schedule = pytest.mark.parametrize(
    ("name", "options"), SCHEDULES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(SCHEDULES)]
)


def two_groups(module: Any, tensor: Callable[[list[float]], Any], adam: bool = False) -> Any:
    groups = [{"params": [tensor([1.0])]}, {"params": [tensor([2.0])], "lr": 0.2}]
    return module.Adam(groups, lr=0.1) if adam else module.SGD(groups, lr=0.1, momentum=0.9)


def ours_and_theirs(torch: ModuleType, adam: bool = False) -> tuple[Any, Any]:
    return (
        two_groups(optim, lambda value: ge.nn.Parameter(ge.tensor(value)), adam),
        two_groups(torch.optim, lambda value: torch.tensor(value, requires_grad=True), adam),
    )


def rates(optimizer: Any) -> list[float]:
    momenta = [group["momentum"] if "momentum" in group else group["betas"][0] for group in optimizer.param_groups]
    return [group["lr"] for group in optimizer.param_groups] + momenta


@pytest.mark.torch
@pytest.mark.parametrize("adam", [False, True], ids=["SGD", "Adam"])
@every_schedule
def test_schedules_equal_pytorchs(name: str, options: dict[str, Any], adam: bool, torch: ModuleType) -> None:
    a, b = ours_and_theirs(torch, adam)
    ours = getattr(lr_scheduler, name)(a, **options)
    theirs = getattr(torch.optim.lr_scheduler, name)(b, **options)
    for _ in range(STEPS):
        assert rates(a) == pytest.approx(rates(b), rel=1e-6, abs=1e-15)
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-6, abs=1e-15)
        for optimizer, scheduler in ((a, ours), (b, theirs)):
            optimizer.step()
            scheduler.step()
    assert rates(a) == pytest.approx(rates(b), rel=1e-6, abs=1e-15)


@pytest.mark.torch
def test_chained_and_sequential_schedules_equal_pytorchs(torch: ModuleType) -> None:
    def build(module: Any, optimizer: Any) -> list[Any]:
        sequence = module.SequentialLR(
            optimizer,
            [
                module.LinearLR(optimizer, start_factor=0.1, total_iters=5),
                module.CosineAnnealingLR(optimizer, T_max=20),
                module.CosineAnnealingWarmRestarts(optimizer, T_0=4),
                module.StepLR(optimizer, step_size=3, gamma=0.5),
                module.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
            ],
            milestones=[5, 20, 30, 40],
        )
        return [sequence, module.MultiStepLR(optimizer, [25], gamma=0.5)]

    a, b = ours_and_theirs(torch)
    ours, theirs = build(lr_scheduler, a), build(torch.optim.lr_scheduler, b)
    for _ in range(STEPS):
        assert rates(a) == pytest.approx(rates(b), rel=1e-6, abs=1e-15)
        a.step()
        b.step()
        for mine, other in zip(ours, theirs, strict=True):
            mine.step()
            other.step()
            assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-6, abs=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(factor=0.5, patience=2),
        dict(mode="max", factor=0.5, patience=0, cooldown=3),
        dict(threshold=0.05, threshold_mode="abs", patience=1, min_lr=1e-3),
        dict(mode="max", threshold=0.05, threshold_mode="abs", patience=1, min_lr=[0.05, 0.01]),
        dict(factor=0.9999999, patience=0, eps=1e-3),
    ],
)
def test_reduce_on_plateau_equals_pytorchs(
    options: dict[str, Any], torch: ModuleType, rng: np.random.Generator
) -> None:
    a, b = ours_and_theirs(torch)
    ours = lr_scheduler.ReduceLROnPlateau(a, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(b, **options)
    for loss in np.abs(rng.standard_normal(STEPS)) * np.linspace(2, 0.5, STEPS):
        ours.step(ge.tensor(loss))
        theirs.step(loss)
        assert rates(a) == pytest.approx(rates(b), rel=1e-6)
        assert (ours.num_bad_epochs, ours.best) == (theirs.num_bad_epochs, theirs.best)


@every_schedule
def test_schedules_continue_from_their_state(name: str, options: dict[str, Any]) -> None:
    def make() -> tuple[Any, Any]:
        optimizer = two_groups(optim, lambda value: ge.nn.Parameter(ge.tensor(value)))
        return optimizer, getattr(lr_scheduler, name)(optimizer, **options)

    straight, scheduler = make()
    for _ in range(10):
        straight.step()
        scheduler.step()
    saved = json.loads(json.dumps([straight.state_dict()["param_groups"], scheduler.state_dict()]))
    resumed, second = make()
    resumed.load_state_dict({"state": {}, "param_groups": saved[0]})
    second.load_state_dict(saved[1])
    for _ in range(10):
        for optimizer, s in ((straight, scheduler), (resumed, second)):
            optimizer.step()
            s.step()
        assert rates(resumed) == rates(straight)
        assert second.get_last_lr() == scheduler.get_last_lr()


def test_a_sequence_continues_from_its_state() -> None:
    def make() -> tuple[Any, Any]:
        optimizer = two_groups(optim, lambda value: ge.nn.Parameter(ge.tensor(value)))
        parts = [lr_scheduler.LinearLR(optimizer), lr_scheduler.ExponentialLR(optimizer, gamma=0.9)]
        return optimizer, lr_scheduler.SequentialLR(optimizer, parts, milestones=[4])

    straight, scheduler = make()
    for _ in range(6):
        straight.step()
        scheduler.step()
    saved = json.loads(json.dumps([straight.state_dict()["param_groups"], scheduler.state_dict()]))
    resumed, second = make()
    resumed.load_state_dict({"state": {}, "param_groups": saved[0]})
    second.load_state_dict(saved[1])
    for _ in range(3):
        for optimizer, s in ((straight, scheduler), (resumed, second)):
            optimizer.step()
            s.step()
        assert rates(resumed) == rates(straight)
    with pytest.raises(CheckpointError, match="2 schedules"):
        second.load_state_dict(lr_scheduler.StepLR(resumed, 1).state_dict())
    with pytest.raises(CheckpointError, match="not that of a StepLR"):
        lr_scheduler.StepLR(resumed, 1).load_state_dict(lr_scheduler.ExponentialLR(resumed, 0.5).state_dict())


def test_a_callable_object_keeps_its_attributes() -> None:
    class Decay:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, epoch: int) -> float:
            return self.rate**epoch

    optimizer = optim.SGD([ge.nn.Parameter(ge.ones(1))], lr=1.0)
    saved = json.loads(json.dumps(lr_scheduler.LambdaLR(optimizer, Decay(0.5)).state_dict()))
    scheduler = lr_scheduler.LambdaLR(optimizer, Decay(0.9))
    scheduler.load_state_dict(saved)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.5]


def test_stepping_the_schedule_first_warns() -> None:
    optimizer = optim.SGD([ge.nn.Parameter(ge.ones(1))], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before the optimizer's first step"):
        scheduler.step()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("StepLR", dict(step_size=0), "StepLR: step_size must be an integer above 0, got int 0"),
        ("CosineAnnealingLR", dict(T_max=0), "T_max must be"),
        ("LinearLR", dict(start_factor=0.0), "start_factor must be a number above 0 up to 1, got float 0.0"),
        ("LinearLR", dict(end_factor=2.0), "end_factor must be a number from 0 to 1"),
        ("ConstantLR", dict(factor=-1.0), "factor must be a number from 0 to 1"),
        ("OneCycleLR", dict(max_lr=1.0), "give total_steps, or both"),
        ("OneCycleLR", dict(max_lr=1.0, total_steps=5, anneal_strategy="sine"), "anneal_strategy must be"),
        ("OneCycleLR", dict(max_lr=[1.0, 2.0, 3.0], total_steps=5), "max_lr has 3 values for 1 parameter groups"),
        ("ReduceLROnPlateau", dict(factor=1.0), "factor must be a number from 0 up to below 1"),
        ("ReduceLROnPlateau", dict(mode="least"), "mode must be 'min' or 'max', got str 'least'"),
        ("ReduceLROnPlateau", dict(threshold_mode="x"), "threshold_mode must be"),
        ("SequentialLR", dict(schedulers=[], milestones=[]), "0 schedulers need 0 milestones"),
        ("StepLR", dict(step_size=1, last_epoch=3), "has no initial_lr"),
        ("CosineAnnealingWarmRestarts", dict(T_0=0), "T_0 must be"),
    ],
)
def test_schedules_refuse_settings_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    optimizer = optim.SGD([ge.nn.Parameter(ge.ones(1))], lr=0.1, momentum=0.9)
    with pytest.raises(ArgumentError, match=message):
        getattr(lr_scheduler, name)(optimizer, **options)


def test_schedules_refuse_what_does_not_fit_together() -> None:
    optimizer = optim.SGD([ge.nn.Parameter(ge.ones(1))], lr=0.1)
    other = optim.Adagrad([ge.nn.Parameter(ge.ones(1))], lr=0.1)
    with pytest.raises(DTypeError, match="needs an optimizer"):
        lr_scheduler.StepLR(object(), 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="belongs to another optimizer"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(other, 1)], [])
    with pytest.raises(ArgumentError, match="needs a metric"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ReduceLROnPlateau(optimizer)], [])
    with pytest.raises(ArgumentError, match="Adagrad has no momentum to cycle"):
        lr_scheduler.OneCycleLR(other, max_lr=1.0, total_steps=5)
    cycle = lr_scheduler.OneCycleLR(other, max_lr=1.0, total_steps=2, cycle_momentum=False)
    other.step()
    cycle.step()
    cycle.step()
    with pytest.raises(ArgumentError, match="the cycle has total_steps=2"):
        cycle.step()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    optimizer.add_param_group({"params": [ge.nn.Parameter(ge.ones(1))]})
    optimizer.step()
    with pytest.raises(ArgumentError, match="made for 1 parameter groups, the optimizer has 2 now"):
        scheduler.step()
