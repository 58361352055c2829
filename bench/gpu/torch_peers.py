"""PyTorch's candidates on the GPU, each at its best settings: eager, compiled with reduce-overhead, a captured graph.

Options that change all that a process computes (TF32 off) are set by `prepare`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import candidates

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..workloads import Training

    Make = Callable[[], candidates.Runner]

WARM_UP = 3  # steps on a side stream before a capture, as PyTorch's documentation asks for


def prepare() -> None:
    """float32 products in float32."""
    import torch

    torch.set_float32_matmul_precision("highest")


def wait(device: str) -> Callable[[], None]:
    """What waits for the device."""

    def call() -> None:
        if device != "cpu":
            import torch  # where it cannot be imported, its candidates fail, and nothing waits

            torch.cuda.synchronize()

    return call


def made(work: Training, device: str, **options: Any) -> tuple[Any, Any, Any, list[tuple[Any, Any]]]:
    """The step, its model and optimizer, and the batches, all on the device."""
    import torch

    prepare()
    with torch.device(device):
        step, model, optimizer = candidates.step_and_model(torch.nn, torch.optim, torch.tensor, work, **options)
    images, labels = (torch.from_numpy(a).to(device) for a in work.data())
    return step, model, optimizer, candidates.batches_of(work, images, labels)


def eager(work: Training, device: str, form: str) -> candidates.Runner:
    """Op by op, with the `plain`, `foreach` or `fused` form of the optimizer."""
    step, _, _, batches = made(work, device, **candidates.FORMS[form])
    return candidates.walk(step, batches)


def compiled(work: Training, device: str, update: bool) -> candidates.Runner:
    """`torch.compile(mode="reduce-overhead")` of the loss, and of the update too if asked for."""
    import torch

    _, model, optimizer, batches = made(work, device, **({"foreach": True} if update else {"fused": True}))
    # dynamic=False: another batch size is another program, not one for all sizes.
    how: dict[str, Any] = {"dynamic": False, **({"mode": "reduce-overhead"} if device != "cpu" else {})}
    loss_of = torch.compile(lambda x, y: torch.nn.functional.cross_entropy(model(x), y), fullgraph=True, **how)
    move = torch.compile(lambda: optimizer.step(), **how) if update else optimizer.step

    def step(x: Any, y: Any) -> Any:
        if device != "cpu":
            torch.compiler.cudagraph_mark_step_begin()
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        move()
        return loss

    return candidates.walk(step, batches)


def captured(work: Training, device: str, form: str) -> candidates.Runner:
    """The whole step as one CUDA graph by hand: each batch is copied into the graph's own, and the graph replayed."""
    import torch

    step, _, optimizer, batches = made(work, device, **candidates.FORMS[form])
    x, y = (torch.empty_like(part) for part in batches[0])

    def set_batch(batch: tuple[Any, Any]) -> None:
        x.copy_(batch[0])
        y.copy_(batch[1])

    # The warm-up moves the weights, so they are put back: all candidates are compared after the same steps.
    weights = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        set_batch(batches[0])
        for _ in range(WARM_UP):
            step(x, y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other libraries have threads of their own
        loss = step(x, y)
    with torch.no_grad():
        for p, w in zip((p for group in optimizer.param_groups for p in group["params"]), weights, strict=True):
            p.copy_(w)
            for slot in optimizer.state[p].values():
                if torch.is_tensor(slot):
                    slot.zero_()

    def replay(*batch: Any) -> Any:
        set_batch(batch)
        graph.replay()
        return loss

    return candidates.walk(replay, batches)


def steps(work: Training, device: str) -> dict[str, Make]:
    """All candidates for a training step, by name."""
    found: dict[str, Make] = {
        f"{candidates.TORCH} ({form})": lambda form=form: eager(work, device, form) for form in ("foreach", "fused")
    }
    found[f"{candidates.COMPILE} (loss)"] = lambda: compiled(work, device, update=False)
    found[f"{candidates.COMPILE} (loss and update)"] = lambda: compiled(work, device, update=True)
    if device != "cpu":
        found["PyTorch graph"] = lambda: captured(work, device, "fused")
    return found
