"""The training loop: epochs of steps, what is measured on the way, and checkpoints to resume from bit for bit."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from gradengine_kernels import progress

from ..compiler import jit
from ..core.dispatch import no_grad
from ..core.tensor_class import Tensor
from ..data import DataLoader
from ..errors import CheckpointError, TrainingError
from ..ops import random
from . import models, state
from .display import Standing
from .metrics import Metrics
from .signals import StopSignals

if TYPE_CHECKING:
    from pathlib import Path

    from ..data import ImageData
    from .display import Display
    from .options import Options

EVALUATED_AT_ONCE = 1000  # pictures; their hidden values still fit into a processor's cache


@dataclasses.dataclass
class Sums:
    """What the epoch under way has added up, and (`window_`) the steps since the last line of the metrics.

    `first_loss` is that of the run's first step.
    """

    images: int = 0
    correct: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    window_steps: int = 0
    window_loss: float = 0.0
    first_loss: float = 0.0

    def start_epoch(self) -> None:
        """Forget the epoch, not the window."""
        self.images = self.correct = 0
        self.loss = self.seconds = 0.0


class Pace:
    """How long a usual step takes, with the tests and checkpoints that go with it.

    What is done for the first time takes far longer than ever again, for then it is compiled: such time is set aside.
    """

    def __init__(self) -> None:
        self.begin, self.aside, self.steps = time.perf_counter(), 0.0, 0
        self.seen: set[tuple[str, int]] = set()

    def is_first(self, what: str, count: int, began: float) -> bool:
        """Set the time since `began` aside if nothing like this was done before: `what`, with so many pictures."""
        if (what, count) in self.seen:
            return False
        self.seen.add((what, count))
        self.aside += time.perf_counter() - began
        return True

    def seconds(self, steps: int) -> float:
        """The time that so many steps will take, 0 where there was no usual one yet."""
        return steps * (time.perf_counter() - self.begin - self.aside) / self.steps if self.steps else 0.0


class Trainer:
    """A run: `run` trains until the last epoch is finished, or a signal asks to stop.

    `data` is what the options name, `folder` where checkpoint and metrics go. With `saved`, the run resumes from
    there. Checkpoints are written after each epoch and, if `checkpoint_every` is not 0, every so many steps; None is
    0, or as the saved run had it.
    """

    def __init__(
        self,
        options: Options,
        data: ImageData,
        folder: Path,
        display: Display,
        *,
        checkpoint_every: int | None = None,
        saved: state.Saved | None = None,
    ) -> None:
        self.options, self.data, self.display = options, data, display
        self.checkpoint_every = checkpoint_every or 0
        self.recipe = models.RECIPES[options.model]
        random.manual_seed(options.seed)
        self.model = models.build(self.recipe, data.features, data.classes).to(options.device)
        train_images, train_labels = data.arrays("train", flatten=True, normalize=self.recipe.normalize)
        self.loader = DataLoader((train_images, train_labels), options.batch_size, True, device=options.device)
        test_images, test_labels = data.arrays("test", flatten=True, normalize=self.recipe.normalize)
        self.test = DataLoader((test_images, test_labels), EVALUATED_AT_ONCE, device=options.device)
        self.optimizer = models.make_optimizer(options, self.model)
        self.schedule = models.make_schedule(options, self.optimizer, len(self.loader))
        self.compiled = jit(self._whole_step) if options.jit else None
        self.epoch = self.step = 0  # finished ones
        self.sums, self.pace = Sums(), Pace()
        if saved is not None:
            self._restore(saved)
            if checkpoint_every is None:
                self.checkpoint_every = saved.checkpoint_every
        self.path = folder / state.CHECKPOINT
        self.saved_step = self.step
        self.metrics = Metrics(folder / state.METRICS, saved.metrics if saved else b"")
        if saved is None or saved.path.resolve() != self.path.resolve():
            try:
                self.save()  # so that a run can resume from its first step, and a full disk is found before it
            except BaseException:
                self.metrics.close()
                raise

    # -- training -----------------------------------------------------------------------------------------------

    def run(self) -> int | None:
        """Train. Returns the number of the signal that asked to stop, None when the last epoch is finished.

        Raises TrainingError when the loss is no longer a number, CheckpointError when something cannot be written.
        """
        self.pace, self._count = Pace(), self.options.batch_size
        self._due = self.pace.begin + self.display.every
        shown = progress.listening(self.display.compilation(lambda: f" for batches of {self._count}"))
        with np.errstate(all="ignore"), StopSignals() as self.stop, shown:  # an overflow is found by its NaN, and named
            while self.epoch < self.options.epochs:
                if self.stop.received is None and self._train_epoch():
                    self._finish_epoch()
                else:
                    return self.stop.received
        return None

    def _train_epoch(self) -> bool:
        """Train on what is left of the epoch. Returns False, with all saved, when a signal asks to stop before."""
        sums, display, options, total = self.sums, self.display, self.options, len(self.data.train_labels)
        self._lap = time.perf_counter()
        for images, labels in self.loader:
            self._count = count = len(labels)
            began, compiled = time.perf_counter(), progress.seconds
            try:
                # Before the first step there is nothing to lose: a signal need not wait until the step is compiled.
                self.stop.at_once = self.step == self.saved_step and ("step", count) not in self.pace.seen
                loss, correct = self._train_step(images, labels)
            except KeyboardInterrupt:
                if self.stop.at_once and self.stop.received is not None:
                    return False
                raise
            finally:
                self.stop.at_once = False
            self._lap += progress.seconds - compiled  # it says nothing about the speed of training
            if self.pace.is_first("step", count, began):
                self._due = time.perf_counter() + display.every
            else:
                self.pace.steps += 1
            if self.step == 0:
                sums.first_loss = loss
            self.step += 1
            sums.images += count
            sums.correct += correct
            sums.loss += loss * count
            sums.window_loss += loss
            sums.window_steps += 1
            if self.step % options.log_every == 0:
                self._log()
            if self.schedule.each_batch:
                self.schedule.scheduler.step()  # type: ignore[union-attr]
            if sums.images == total:
                continue  # the loop ends, and the end of the epoch saves
            stopping = self.stop.received is not None
            if stopping or (self.checkpoint_every and self.step % self.checkpoint_every == 0):
                self._count_time()
                self.save()
            if stopping:
                return False
            if time.perf_counter() >= self._due:
                display.progress(self._standing())
                self._due = time.perf_counter() + display.every
        self._count_time()
        return True

    def _train_step(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """One update. Returns the loss before it, and the number of pictures that were classified correctly.

        Raises TrainingError for a loss of NaN or infinity: before the update, or, when the step is compiled, after it,
        for then the update is part of the program. Nothing is saved in either case, so what a run resumes from is good.
        """
        loss, outputs = (self.compiled or self._forward)(images, labels)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"the loss became {value}", self.step + 1)
        if self.compiled is None:
            self._update(loss)
        return value, correct_ones(outputs, labels)

    def _whole_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What is compiled: all of a step that is done with Tensors."""
        loss, outputs = self._forward(images, labels)
        self._update(loss)
        return loss, outputs

    def _forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        outputs = self.model(images)
        return self.recipe.loss(outputs, labels), outputs

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimizer.step()

    def _finish_epoch(self) -> None:
        """Test, write down and save what the epoch has given."""
        sums, rate = self.sums, self._rate()
        test_loss, test_accuracy, _ = self.evaluate()
        if not math.isfinite(test_loss):
            raise self._diverged(f"the test loss became {test_loss}", self.step)
        self.epoch += 1
        if self.schedule.scheduler is not None and not self.schedule.each_batch:
            self.schedule.scheduler.step()
        standing = self._standing()
        self.metrics.add(
            kind="epoch",
            epoch=self.epoch,
            step=self.step,
            train_loss=standing.loss,
            train_accuracy=standing.accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            lr=rate,
            seconds=round(standing.seconds, 3),
            images_per_second=round(standing.images_per_second, 1),
        )
        self.display.epoch(standing, test_loss, test_accuracy)
        self._due = max(self._due, time.perf_counter() + self.display.apart)
        sums.start_epoch()
        self.save()

    def evaluate(self) -> tuple[float, float, np.ndarray]:
        """Loss, accuracy and (n, classes) probabilities on the test data."""
        loss, correct, probabilities = 0.0, 0, []
        self.model.eval()
        with no_grad(), np.errstate(all="ignore"):
            for images, labels in self.test:
                count, began = len(labels), time.perf_counter()
                outputs = self.model(images)
                loss += self.recipe.loss(outputs, labels).item() * count
                correct += correct_ones(outputs, labels)
                probabilities.append(self.recipe.probabilities(outputs).numpy())
                self.pace.is_first("test", count, began)
        self.model.train()
        total = len(self.data.test_labels)
        return loss / total, correct / total, np.concatenate(probabilities)

    # -- measuring ----------------------------------------------------------------------------------------------

    def _log(self) -> None:
        """Write down the mean loss since the last such line."""
        sums = self.sums
        self.metrics.add(
            kind="step",
            epoch=self.epoch + 1,
            step=self.step,
            loss=sums.window_loss / sums.window_steps,
            lr=self._rate(),
        )
        sums.window_steps, sums.window_loss = 0, 0.0

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.sums.seconds += now - self._lap
        self._lap = now

    def _standing(self) -> Standing:
        """How far the epoch is, or was when it was finished a moment ago."""
        sums, epochs = self.sums, self.options.epochs
        total = len(self.data.train_labels)
        finished = sums.images == total
        if not finished:
            self._count_time()
        left = epochs * len(self.loader) - self.step
        return Standing(
            epoch=self.epoch + (not finished),
            epochs=epochs,
            images=sums.images,
            total=total,
            loss=sums.loss / sums.images,
            accuracy=sums.correct / sums.images,
            images_per_second=sums.images / max(sums.seconds, 1e-9),
            seconds=sums.seconds,
            seconds_left=self.pace.seconds(left),
        )

    def _diverged(self, what: str, step: int) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.epoch + 1}, step {step}, so training has stopped; {self.path} keeps the state "
            f"after step {self.saved_step}. Start again with a lower --lr (it was {self._rate():g})"
        )

    # -- checkpoints --------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint. Raises TrainingError, and leaves the old one, when a parameter is not a number."""
        for name, parameter in self.model.named_parameters():
            if not np.isfinite(parameter.numpy(force=True)).all():
                raise self._diverged(f"{name} has values that are no finite numbers", self.step)
        state.write(
            self.path,
            self.model.state_dict(),
            {
                "options": dataclasses.asdict(self.options),
                "checkpoint_every": self.checkpoint_every,
                "epoch": self.epoch,
                "step": self.step,
                "sums": dataclasses.asdict(self.sums),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.schedule.scheduler and self.schedule.scheduler.state_dict(),
                "loader": self.loader.state_dict(),
                "generator": random.default_generator.state_dict(),
                "metrics": np.frombuffer(bytes(self.metrics.text), np.uint8),
            },
        )
        self.saved_step = self.step

    def _restore(self, saved: state.Saved) -> None:
        with saved.understood():
            self.model.load_state_dict(saved.tensors)
            made: dict[str, Any] = {
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.schedule.scheduler and self.schedule.scheduler.state_dict(),
                "loader": self.loader.state_dict(),
                "generator": random.default_generator.state_dict(),
                "sums": dataclasses.asdict(self.sums),
            }
            for name, value in made.items():
                state.require_like(saved.rest[name], value, name)
            shapes = [tuple(p.shape) for group in self.optimizer.param_groups for p in group["params"]]
            state.require_slots(saved.rest["optimizer"]["state"], shapes)
            self.optimizer.load_state_dict(saved.rest["optimizer"])
            if self.schedule.scheduler is not None:
                self.schedule.scheduler.load_state_dict(saved.rest["scheduler"])
            self.loader.load_state_dict(saved.rest["loader"])
            random.default_generator.load_state_dict(saved.rest["generator"])
            self.epoch, self.step = saved.epoch, saved.step
            self.sums = Sums(**saved.rest["sums"])
            if lacking := made["sums"].keys() - saved.rest["sums"].keys():
                raise CheckpointError(f"sums lacks {', '.join(sorted(lacking))}")


def correct_ones(outputs: Tensor, labels: Tensor) -> int:
    """How many rows have their largest output at the label."""
    return int(np.count_nonzero(outputs.numpy(force=True).argmax(axis=1) == labels.numpy()))
