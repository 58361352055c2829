"""The pictures of a run: learning curves, the confusion matrix, the worst mistakes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GradengineError, installing
from ..io.files import atomic_writer
from .metrics import saving

if TYPE_CHECKING:
    from pathlib import Path

MISTAKES = 25  # that are shown at most
TRAIN, TEST, INK, FAINT = "#3b6fb6", "#d9662b", "#333333", "#dddddd"
STYLE = {
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.dpi": 150,
    "figure.titlesize": 14,
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def draw_curves(
    path: Path, title: str, epochs: list[dict[str, Any]], steps: list[dict[str, Any]], batches: int
) -> None:
    """Loss and accuracy by epoch, on training and test data.

    `epochs` and `steps` are the records of the metrics, `batches` the number of steps in an epoch. A mean stands at
    the middle of the steps that it is of, what was tested after an epoch at its end.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.05))
        figure.suptitle(title, x=0.012, ha="left")
        losses, accuracies = figure.subplots(1, 2)
        ends = [record["epoch"] for record in epochs]
        middles = [end - 0.5 for end in ends]
        marks = {"marker": "o", "markersize": 4.5} if len(ends) <= 40 else {}
        if steps:
            at, seen, width = windows(steps)
            label = f"training, mean of {width} steps" if width > 1 else "training, each step"
            point = "." if len(at) == 1 else ""  # no line is seen of one
            losses.plot(at / batches, seen, marker=point, color=TRAIN, alpha=0.35, linewidth=1, label=label)
        for axes, key in ((losses, "loss"), (accuracies, "accuracy")):
            trained, tested = [r[f"train_{key}"] for r in epochs], [r[f"test_{key}"] for r in epochs]
            axes.plot(middles, trained, color=TRAIN, label="training, mean of the epoch", **marks)
            axes.plot(ends, tested, color=TEST, label="test, after the epoch", **marks)
            axes.set(title=key.capitalize(), xlabel="epoch", xlim=(0, 1.02 * ends[-1]))
            axes.set_xticks(epoch_ticks(ends[-1]))
        figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        losses.set(ylabel="loss, log scale", yscale="log")
        low, high = losses.get_ylim()
        losses.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 1e3 else (1.0, 2.0, 5.0)))
        losses.yaxis.set_minor_locator(NullLocator())
        losses.yaxis.set_minor_formatter(NullFormatter())
        losses.yaxis.set_major_formatter("{x:g}")
        accuracies.set_ylabel("classified correctly")
        accuracies.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
        last = f"test {100 * epochs[-1]['test_accuracy']:.2f} %"
        accuracies.set_title(last, loc="right", color=TEST)
        _save(figure, path)


def epoch_ticks(last: int) -> list[int]:
    """Round numbers of epochs, about ten of them at most, and the last.

    >>> epoch_ticks(3), epoch_ticks(20), epoch_ticks(31)
    ([0, 1, 2, 3], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [0, 5, 10, 15, 20, 25, 31])
    """
    apart = next(n * 10**power for power in range(20) for n in (1, 2, 5) if last <= 10 * n * 10**power)
    return [*(n for n in range(0, last, apart) if 2 * (last - n) >= apart), last]


def windows(steps: list[dict[str, Any]], most: int = 300) -> tuple[np.ndarray, np.ndarray, int]:
    """The middle of the steps that each mean loss is of, that mean, and of how many steps it is.

    In a long run there are so many that they would be a band, so neighbours are averaged until `most` are left.

    >>> at, losses, width = windows([{"step": 50, "loss": 2.0}, {"step": 100, "loss": 1.0}])
    >>> at.tolist(), losses.tolist(), width
    ([25.0, 75.0], [2.0, 1.0], 50)
    """
    each, together = steps[0]["step"], -(-len(steps) // most)
    ends = np.array([record["step"] for record in steps])
    losses = np.array([record["loss"] for record in steps])
    parts = [slice(start, start + together) for start in range(0, len(steps), together)]
    at = np.array([(ends[part][0] - each + ends[part][-1]) / 2 for part in parts])
    return at, np.array([losses[part].mean() for part in parts]), each * together


def draw_confusion(path: Path, title: str, labels: np.ndarray, predicted: np.ndarray, classes: int) -> None:
    """How often each class was taken for each: counts, with the mistakes coloured and the right ones set apart."""
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    right = np.eye(classes, dtype=bool)
    most = max(1, int(counts[~right].max()))
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(8, 7.6), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        figure.suptitle(title, x=0.018, ha="left")
        axes = figure.subplots()
        colours = matplotlib.colormaps["Oranges"].with_extremes(bad="#f7f7f7")  # bad: no such mistake
        axes.imshow(np.ma.masked_where(right | (counts == 0), counts), cmap=colours, vmin=0, vmax=1.15 * most)
        for i, j in np.ndindex(classes, classes):
            if i == j:
                axes.add_patch(
                    matplotlib.patches.Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, color="#e4ecf5", linewidth=0)
                )
                style: dict[str, Any] = {"color": TRAIN, "fontweight": "bold"}
            else:
                style = {"color": "white" if counts[i, j] > 0.6 * most else INK}
            if counts[i, j]:
                axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", **style)
        axes.set(xlabel="predicted", ylabel="true", xticks=range(classes), yticks=range(classes))
        axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        shares = np.diag(counts) / np.maximum(counts.sum(axis=1), 1)
        recalls = axes.secondary_yaxis("right")
        recalls.set_yticks(range(classes), [f"{100 * share:.1f} %" for share in shares])
        recalls.set_ylabel("recognised", labelpad=8)
        recalls.tick_params(length=0)
        recalls.spines[:].set_visible(False)
        _save(figure, path)


def mistakes_shown(wrong: int) -> str:
    """Which mistakes `draw_mistakes` shows.

    >>> mistakes_shown(1204)
    'the worst 25 of 1,204 mistakes, by how sure the model was'
    >>> mistakes_shown(9), mistakes_shown(1), mistakes_shown(0)
    ('all 9 mistakes, by how sure the model was', 'the only mistake', 'no mistakes')
    """
    if wrong < 2:
        return "the only mistake" if wrong else "no mistakes"
    which = f"the worst {MISTAKES} of {wrong:,}" if wrong > MISTAKES else f"all {wrong}"
    return f"{which} mistakes, by how sure the model was"


def draw_mistakes(
    path: Path, title: str, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, count: int = MISTAKES
) -> None:
    """The pictures that were classified wrongly with the greatest confidence, the worst first."""
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    rows = max(1, -(-len(worst) // 5))
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "axes.titlelocation": "center"}):
        figure = Figure(
            figsize=(8.4, 0.6 + 2.15 * rows),
            layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, hspace=0.06, wspace=0.04),
        )
        figure.suptitle(title, x=0.02, ha="left")
        grid = figure.subplots(rows, 5, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for i, axes in zip(worst, grid.flat, strict=False):
            axes.imshow(images[i], cmap="gray_r", interpolation="nearest")
            frame = matplotlib.patches.Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=FAINT)
            axes.add_patch(frame)
            axes.set_title(f"{labels[i]}, taken for {predicted[i]}", fontsize=11, pad=17)
            above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "color": TEST}
            axes.annotate(_confidence(confidence[i]), (0.5, 1), xycoords="axes fraction", **above)
        if not len(worst):
            figure.text(0.5, 0.4, "There are no mistakes.", ha="center", fontsize=14)
        _save(figure, path)


def _confidence(share: float) -> str:
    """A share that is not rounded up to certainty."""
    return "> 99.9 % sure" if share > 0.9995 else f"{100 * share:.1f} % sure"


def _save(figure: Any, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    with saving(path), atomic_writer(path) as file:
        file.write(content.getvalue())


def _matplotlib() -> Any:
    try:
        import matplotlib
        import matplotlib.patches
    except ImportError:
        raise GradengineError(
            f"pictures need the package matplotlib, which is not installed; {installing('train')}, or train with "
            "--no-pictures"
        ) from None
    return matplotlib
