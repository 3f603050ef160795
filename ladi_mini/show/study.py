"""The component study as one figure: what each component is worth. Lesson 7.

Choices made here
- A row a variant, grouped by component; a column a metric. A point is the mean difference to the model as it is, person by
  person, a line its 95 % interval; the model itself is the line at zero, and its name stands in grey.
- To the right is always better: metrics that should be small are drawn mirrored.
- A difference that would press all others together stands at the edge as an arrow with its number.
- Filled: the model was trained for the setting, or was fine-tuned for it (square). Hollow: swapped in at sampling.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ladi_mini.cards import write_card
from ladi_mini.show.style import BLUE, HAIRLINE, INK, MUTED, ORANGE, PAPER, RC

METRICS = {  # key -> (title, -1 where small is good)
    "psnr_inside_mask": ("PSNR inside mask, dB", 1),
    "psnr_head": ("PSNR of the head, dB", 1),
    "ssim": ("SSIM", 1),
    "colour_error": ("colour error, CIEDE2000", -1),
    "print_similarity": ("print, correlation", 1),
    "print_read": ("print read, share", 1),
}
MARKS = {"trained": ("o", True), "fine-tuned": ("s", True), "swapped in": ("o", False), "not this model": ("D", True)}


def write_study(card: dict, path: Path) -> Path:
    """Writes the card to `path` and its figure beside it, each whole or not at all; returns the figure's path."""
    write_card(path, card)
    figure, beside = path.with_suffix(".webp"), path.with_name(f".{path.stem}.part.webp")
    study_figure(card).savefig(beside, pil_kwargs={"lossless": True, "method": 6})  # lines: a third of the PNG
    beside.replace(figure)
    return figure


def study_figure(card: dict, metrics: Sequence[str] | None = None) -> Figure:
    """The differences to the base of a card of `evaluation.study`, for those of `metrics` that were measured."""
    found = card["difference_to_base"]
    metrics = [m for m in (METRICS if metrics is None else metrics) if m in found]
    if not metrics:
        raise ValueError("the card has none of the metrics that the figure shows")
    places, heads, y = [], [], 0.0
    group = None
    for row in card["rows"]:
        if row["group"] != group:
            group, y = row["group"], y + (0.0 if group is None else 0.5)
            heads.append((y, group))
            y += 1
        places.append(y)
        y += 1
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(3.1 + 2.3 * len(metrics), 1.1 + 0.235 * y), layout="constrained", facecolor=PAPER)
        axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            _column(axis, card["rows"], places, found[metric], metric, card["scores"].get(metric, {}).get("base"))
        axes[0].set_yticks(places, [row["label"] for row in card["rows"]])
        for tick, row in zip(axes[0].get_yticklabels(), card["rows"], strict=True):
            tick.set_color(MUTED if row["name"] == "base" else INK)
        for place, name in heads:
            axes[0].annotate(name, (0, place), (-6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                             ha="right", va="center", fontweight="bold")  # fmt: skip
        axes[0].set_ylim(y - 0.3, -0.7)
        kinds = [kind for kind in MARKS if any(row["how"] == kind and row["name"] != "base" for row in card["rows"])]
        marks = [Line2D([], [], linestyle="", **_mark(kind)) for kind in kinds]
        if any(row.get("against") == "control" for row in card["rows"]):
            kinds = [f"{kind} (a denoiser: against the control)" if kind == "fine-tuned" else kind for kind in kinds]
        figure.legend(marks, kinds, loc="outside lower center", ncols=len(kinds))
    return figure


def _reach(values: list[dict]) -> float:
    """How far an axis goes to each side: four times what three quarters of the intervals need, or less if none needs it."""
    ends = np.array([max(abs(value["low"]), abs(value["high"])) for value in values])
    return float(max(1.1 * min(ends.max(), 4 * np.quantile(ends, 0.75)), 1e-6))


def _mark(kind: str) -> dict:
    shape, filled = MARKS[kind]
    colour = ORANGE if kind == "not this model" else BLUE
    return {"marker": shape, "color": colour, "markerfacecolor": colour if filled else PAPER, "markersize": 5}


def _beyond(axis, value: float, place: float, sign: int, colour: str):
    """An arrow at the edge, with the number that lies beyond it."""
    right = value * sign > 0
    text = f"{value:+.3g} →" if right else f"← {value:+.3g}"
    axis.annotate(text, (1.0 if right else 0.0, place), xycoords=("axes fraction", "data"), color=colour,
                  ha="right" if right else "left", va="center")  # fmt: skip


def _column(axis, rows, places, found: dict[str, dict], metric: str, base: dict | None):
    title, sign = METRICS.get(metric, (metric, 1))
    reach = _reach([found[row["name"]] for row in rows if row["name"] in found])
    axis.axvline(0, color=MUTED, linewidth=1)
    for row, place in zip(rows, places, strict=True):
        axis.axhline(place, color=HAIRLINE, linewidth=0.5, zorder=0)
        value = found.get(row["name"])
        if value is None:
            continue
        mark = _mark(row["how"])
        if abs(value["mean"]) > reach:
            _beyond(axis, value["mean"], place, sign, mark["color"])
            continue
        axis.plot([value["low"], value["high"]], [place, place], color=mark["color"], linewidth=1.5)
        axis.plot(value["mean"], place, linestyle="", **mark)
    axis.set_xlim(-sign * reach, sign * reach)
    axis.set_title(title)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    if base is not None:
        axis.set_xlabel(f"difference to {base['mean']:#.3g}")
