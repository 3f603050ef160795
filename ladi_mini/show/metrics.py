"""The figures of lesson 7: what a metric sees of a damage, how sets and their size count, what an interval says, lost letters.

Choices made here
- Every figure is a pure function of tensors and numbers, as in `show.warping`; its words are in `figure.alt`.
- Metrics have different units. Beside each other they are drawn on one scale that anybody can read: 0 is the true picture,
  1 the true picture of somebody else. A metric that stays near 0 does not see the damage.
- A damage is a function of a picture and an amount. Noise has a fixed seed, so that a slider moves one thing.
- `damage_figure` is all that the laboratory's sliders do; the widget only calls it.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ladi_mini.errors import InputError
from ladi_mini.evaluation.prints import Prints, cells
from ladi_mini.show.emasc import LOOKS
from ladi_mini.show.panels import WIDTH, described, draw_panel, in_our_look, panel_figure
from ladi_mini.show.pictures import heat_image, to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import BLUE, HAIRLINE, INK, MUTED, PAPER, VERMILLION, new_figure

Measure = Callable[[torch.Tensor], torch.Tensor]  # (B, 3, H, W) in [-1, 1] -> (B,), 0 for the true picture

# ---------------------------------------------------------------- damages


def blurred(image: torch.Tensor, amount: float) -> torch.Tensor:
    """A Gaussian blur of deviation `amount` pixels."""
    if amount <= 0:
        return image
    reach = int(3 * amount + 1)
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / amount) ** 2)
    window = (window / window.sum()).to(image).expand(3, 1, -1)
    for pad, shape in (((reach, reach, 0, 0), (3, 1, 1, -1)), ((0, 0, reach, reach), (3, 1, -1, 1))):
        image = F.conv2d(F.pad(image, pad, mode="replicate"), window.reshape(shape), groups=3)
    return image


def shifted(image: torch.Tensor, amount: float) -> torch.Tensor:
    """Moved to the right by `amount` whole pixels; the edge is repeated."""
    pixels = round(amount)
    return F.pad(image, (pixels, 0, 0, 0), mode="replicate")[..., : image.shape[-1]] if pixels else image


def hue_turned(image: torch.Tensor, amount: float) -> torch.Tensor:
    """Colours turned by `amount` degrees about the axis of greys; a pixel's grey (0.299, 0.587, 0.114) stays unless it clips."""
    to_grey = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle = torch.deg2rad(torch.tensor(float(amount)))
    turn = torch.eye(3)
    turn[1:, 1:] = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    matrix = (torch.linalg.inv(to_grey) @ turn @ to_grey).to(image)
    return (torch.einsum("ij,bjhw->bihw", matrix, (image + 1) / 2) * 2 - 1).clamp(-1, 1)


def noisy(image: torch.Tensor, amount: float) -> torch.Tensor:
    """Gaussian noise of deviation `amount`, a share of white."""
    noise = torch.randn(image.shape[1:], generator=torch.Generator().manual_seed(0)).to(image)
    return (image + 2 * amount * noise).clamp(-1, 1)


def shrunk(image: torch.Tensor, amount: float, antialias: bool = True) -> torch.Tensor:
    """Made smaller by the factor `amount` and larger again, both bilinear."""
    height, width = image.shape[2:]
    size = max(2, round(height / amount)), max(2, round(width / amount))
    small = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=antialias)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)


def shrunk_carelessly(image: torch.Tensor, amount: float) -> torch.Tensor:
    """`shrunk` without the averaging that keeps thin lines from breaking up."""
    return shrunk(image, amount, antialias=False)


DAMAGES = {  # name -> (function, unit, amounts from none to much)
    "blur": (blurred, "deviation, px", (0, 0.5, 1, 2, 3, 4)),
    "shift": (shifted, "px", (0, 1, 2, 4, 6, 8)),
    "hue": (hue_turned, "degrees", (0, 10, 20, 40, 60, 90)),
    "noise": (noisy, "deviation, share of white", (0, 0.02, 0.04, 0.08, 0.12, 0.16)),
    "resize": (shrunk, "factor", (1, 1.5, 2, 3, 4, 6)),
    "careless resize": (shrunk_carelessly, "factor", (1, 1.5, 2, 3, 4, 6)),
}


def damaged(image: torch.Tensor, name: str, amount: float) -> torch.Tensor:
    """A picture (B, 3, H, W) in [-1, 1] with a damage of `DAMAGES`. Raises `InputError` for an unknown name."""
    if name not in DAMAGES:
        raise InputError(f"the damage is {name!r}, expected one of {', '.join(DAMAGES)}.")
    return DAMAGES[name][0](image, amount)


def on_one_scale(measures: Mapping[str, Measure], pictures: torch.Tensor, other: torch.Tensor) -> dict[str, torch.Tensor]:
    """Each measure of pictures (B, 3, H, W) as a share of what it says of `other` (1, 3, H, W), somebody else's picture: (B,)."""
    return {name: measure(pictures) / measure(other) for name, measure in measures.items()}


@in_our_look
def damage_figure(target: torch.Tensor, other: torch.Tensor, name: str, amount: float, measures: Mapping[str, Measure]) -> Figure:
    """The laboratory: the true picture, the damaged one, and how much of it each measure sees.

    target, other: (1, 3, H, W) in [-1, 1], the true picture and the true picture of somebody else, where every bar ends at 1.
    """
    picture = damaged(target, name, amount)
    shares = {key: float(value) for key, value in on_one_scale(measures, picture, other).items()}
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 2.2))
    unit = DAMAGES[name][1]
    draw_panel(axes[0], Panel(to_image(target[0]), "true"))
    draw_panel(axes[1], Panel(to_image(picture[0]), f"{name} {amount:g}", unit.replace(", ", "\n")))
    axis, names = axes[2], list(shares)
    for row, share in enumerate(shares.values()):
        axis.barh(row, min(max(share, 0), 1.2), color=LOOKS[row + 1][0], height=0.6)
        axis.text(min(max(share, 0), 1.2) + 0.02, row, f"{share:.2f}", va="center", color=INK)
    axis.axvline(1, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axis.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlim=(0, 1.4), xticks=(0, 0.5, 1))
    axis.set(title="how far it seems to be off", xlabel="0: the truth, 1: somebody else's picture")
    axis.tick_params(axis="y", labelcolor=INK, length=0)
    told = "; ".join(f"{key} {share:.2f}" for key, share in shares.items())
    return described(
        figure,
        f"The true picture, the same with {name} of {amount:g} ({unit}), and bars that say how far each measure sees it off, "
        f"where 0 is the truth and 1 the picture of somebody else: {told}.",
    )


@in_our_look
def sweep_figure(target: torch.Tensor, other: torch.Tensor, measures: Mapping[str, Measure]) -> Figure:
    """The laboratory as a sheet: a panel a damage with a curve a measure, from no damage to much; above each its strongest.

    target, other: (1, 3, H, W) in [-1, 1].
    """
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained", facecolor=PAPER)
    axes, told, lines = figure.subplots(2, 3, sharey=True), [], []
    for axis, (name, (make, unit, amounts)) in zip(axes.flat, DAMAGES.items(), strict=True):
        pictures = torch.cat([make(target, amount) for amount in amounts])
        found = on_one_scale(measures, pictures, other)
        lines = [
            axis.plot(amounts, found[key].cpu(), color=colour, marker=mark, markersize=4, label=key)[0]
            for key, (colour, mark) in zip(found, LOOKS[1:], strict=False)
        ]
        axis.axhline(1, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        axis.set(title=name, xlabel=unit, ylim=(-0.05, 1.25))
        worst = {key: float(value[-1]) for key, value in found.items()}
        told.append(f"{name} of {amounts[-1]:g}: " + ", ".join(f"{key} {value:.2f}" for key, value in worst.items()))
    for axis in axes[:, 0]:
        axis.set_ylabel("how far off")
    figure.legend(lines, list(measures), loc="outside lower center", ncols=3)
    return described(
        figure,
        f"Six damages that grow from none to much, and for each the curves of {len(measures)} measures, where 0 is the truth and "
        f"1 the picture of somebody else. At the right end {'; '.join(told)}.",
    )


# ---------------------------------------------------------------- people, methods, maps


@in_our_look
def album_figure(columns: Mapping[str, torch.Tensor], notes: Mapping[str, Sequence[str]] | None = None, what: str = "") -> Figure:
    """A row a person, a column for each name of `columns` (B, 3, H, W); `notes` a word below a picture, by column."""
    notes, names = notes or {}, list(columns)
    rows = [
        [Panel(to_image(columns[name][i]), name if i == 0 else "", notes.get(name, [""] * 99)[i]) for name in names]
        for i in range(len(columns[names[0]]))
    ]
    told = "; ".join(f"{name}: {', '.join(words)}" for name, words in notes.items())
    return panel_figure(rows, f"{what or 'A row a person'}, with the columns {', '.join(names)}. {told}".strip())


@in_our_look
def map_figure(target: torch.Tensor, pictures: Mapping[str, torch.Tensor], maps: Mapping[str, torch.Tensor],
               notes: Mapping[str, str], box: tuple[int, int, int, int] | None = None) -> Figure:  # fmt: skip
    """The truth and pictures (3, H, W) by name above, below each its map of similarity (H, W) from dark, 0, to bright, 1.

    notes: a word a picture; box: the part (left, top, right, bottom) that is shown.
    """

    def cut(image):
        return image if box is None else image.crop(box).resize((192, round(192 * (box[3] - box[1]) / (box[2] - box[0]))), 0)

    upper = [Panel(cut(to_image(target, None)), "true")]
    lower = [Panel(None, "")]
    for name, picture in pictures.items():
        upper.append(Panel(cut(to_image(picture, None)), name, notes[name]))
        lower.append(Panel(cut(heat_image(maps[name].clamp(0, 1), 0, 1, shown=target.shape[1])), ""))
    told = "; ".join(f"{name}: {notes[name]}".replace("\n", ", ") for name in pictures)
    return panel_figure(
        [upper, lower], f"A true picture and damaged ones; below each the map of its SSIM, dark 0, bright 1. {told}."
    )


# ---------------------------------------------------------------- sets


@in_our_look
def cloud_figure(sets: Mapping[str, tuple[torch.Tensor, torch.Tensor]], titles: Mapping[str, str]) -> Figure:
    """Two sets of features (n, D) a panel, on the two main axes of the first set of the first panel, with fitted ellipses.

    sets: by name (real, fake); titles: what is written below a panel. An ellipse holds two deviations.
    """
    real = next(iter(sets.values()))[0].double()
    middle = real.mean(0)
    axes2 = torch.linalg.svd(real - middle, full_matrices=False).Vh[:2].T
    figure, axes = new_figure(WIDTH, 3.0, 1, len(sets))
    placed = {name: [(x.double() - middle) @ axes2 for x in pair] for name, pair in sets.items()}
    reach = 1.1 * max(float(x.abs().max()) for pair in placed.values() for x in pair)
    for axis, (name, pair) in zip(axes[0], placed.items(), strict=True):
        for points, colour, mark, label in zip(pair, (BLUE, VERMILLION), ("o", "^"), ("true", "compared"), strict=True):
            axis.plot(*points.T.numpy(), mark, color=colour, markersize=3, alpha=0.45, label=label)
            spread, turn = torch.linalg.eigh(torch.cov(points.T))
            angle = float(torch.rad2deg(torch.atan2(turn[1, 1], turn[0, 1])))
            size = 4 * spread.clamp(min=0).sqrt()
            centre = points.mean(0).tolist()
            axis.add_patch(
                Ellipse(centre, float(size[1]), float(size[0]), angle=angle, fill=False, edgecolor=colour, linewidth=1.8)
            )
        axis.set(
            title=name, xlabel=titles[name], xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=()
        )
        axis.xaxis.label.set_color(MUTED)
    axes[0, 0].legend(loc="upper left", handletextpad=0.1, borderpad=0)
    figure.get_layout_engine().set(h_pad=0.12)
    told = "; ".join(f"{name}: {titles[name]}".replace("\n", ", ") for name in sets)
    return described(
        figure,
        "Features of pictures as dots on the two directions in which the true ones differ most, with an ellipse of two "
        f"deviations for the true set and for the one compared with it. {told}.",
    )


@in_our_look
def size_figure(sizes: Sequence[int], found: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Distances between two random sets of true pictures against the size of the sets: a panel a name, dots and their mean.

    found: by name, for each size the values of several draws.
    """
    figure, axes = new_figure(WIDTH, 2.9, 1, len(found))
    told = []
    for axis, (name, draws) in zip(axes[0], found.items(), strict=True):
        means = [float(np.mean(values)) for values in draws]
        for size, values in zip(sizes, draws, strict=True):
            axis.plot([size] * len(values), values, "o", color=BLUE, alpha=0.35, markersize=4)
        axis.plot(sizes, means, "D-", color=VERMILLION, markersize=5)
        axis.axhline(0, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
        axis.set(title=name, xlabel="pictures in each set")
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(sizes), [str(size) for size in sizes])
        told.append(f"{name}: " + ", ".join(f"{mean:.3g} for {size}" for size, mean in zip(sizes, means, strict=True)))
    return described(
        figure,
        "Two random sets of true pictures compared with each other, so that the right answer is 0, against the number of "
        f"pictures in each set; dots are draws, diamonds their mean. {'; '.join(told)}.",
    )


@in_our_look
def ways_figure(found: Mapping[str, Mapping[str, Mapping[str, float]]], notes: Mapping[str, str] | None = None) -> Figure:
    """One folder scored in several ways: a panel a metric, a row a way, a mark a method with its number.

    found: metric -> way -> method -> value; notes: what is written below a panel.
    """
    rows = max(len(ways) for ways in found.values())
    figure, axes = new_figure(WIDTH, 1.0 + 0.42 * rows, 1, len(found))
    told, notes = [], notes or {}
    for axis, (metric, ways) in zip(axes[0], found.items(), strict=True):
        methods = list(next(iter(ways.values())))
        values = [value for by_method in ways.values() for value in by_method.values()]
        low, high = min(values), max(values)
        wide = (high - low) or 1.0
        for row, (way, by_method) in enumerate(ways.items()):
            axis.axhline(row, color=HAIRLINE, linewidth=0.8, zorder=0)
            for number, method in enumerate(methods):
                colour, mark = LOOKS[number + 1]
                axis.plot(by_method[method], row, mark, color=colour, markersize=7, label=method if row == 0 else None)
            told.append(f"{metric}, {way}: " + ", ".join(f"{method} {value:.3f}" for method, value in by_method.items()))
        axis.set(yticks=range(len(ways)), yticklabels=list(ways), ylim=(len(ways) - 0.4, -0.7), title=metric)
        axis.set(xlim=(low - 0.12 * wide, high + 0.12 * wide), xlabel=notes.get(metric, ""))
        axis.tick_params(axis="y", labelcolor=INK, length=0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return described(figure, f"The same pictures scored in several ways. {'; '.join(told)}.")


# ---------------------------------------------------------------- intervals


@in_our_look
def interval_figure(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    labels: Mapping[str, str],
    lines: Mapping[str, float] | None = None,
) -> Figure:
    """Means with their intervals: a panel a name, a row an entry (mean, low, high).

    labels: what is written below a panel, panels with the same share their scale; lines: by panel, where a dashed line stands.
    """
    rows = max(map(len, panels.values()))
    figure, axes = new_figure(WIDTH, 1.1 + 0.38 * rows, 1, len(panels))
    told, before, scales = [], None, {}
    for axis, (title, entries) in zip(axes[0], panels.items(), strict=True):
        if scales.setdefault(labels[title], axis) is not axis:
            axis.sharex(scales[labels[title]])
        for row, (name, (mean, low, high)) in enumerate(entries.items()):
            axis.plot([low, high], [row, row], color=BLUE, linewidth=2)
            axis.plot([mean], [row], "o", color=BLUE, markersize=6)
            told.append(f"{title}, {name}: {mean:.2f}, from {low:.2f} to {high:.2f}")
        if lines and title in lines:
            axis.axvline(lines[title], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
            told.append(f"{title}: a dashed line at {lines[title]:.2f}")
        names = list(entries) if list(entries) != before else []  # the same rows as to the left need none again
        axis.set(yticks=range(len(entries)), yticklabels=names, ylim=(len(entries) - 0.5, -0.5), title=title)
        before = list(entries)
        axis.set_xlabel(labels[title])
        axis.tick_params(axis="y", labelcolor=INK, length=0)
    return described(figure, f"Means with 95 % intervals as lines. {'; '.join(told)}.")


# ---------------------------------------------------------------- letters


def print_strips(images: torch.Tensor, prints: Prints) -> list[torch.Tensor]:
    """For each print its unwarped cells side by side, (3, ROWS, k COLUMNS) in [-1, 1], from pictures (B, 3, H, W)."""
    parts = cells(images, prints).clamp(-1, 1)
    return [torch.cat(list(parts[prints.owner == k]), dim=2) for k in range(len(prints))]


@in_our_look
def letters_figure(
    strips: Mapping[str, Sequence[torch.Tensor]], notes: Mapping[str, Sequence[str]], texts: Sequence[str]
) -> Figure:
    """A row a print, a column a method: the print as the true warp unwarps it, all at one height.

    notes: a word below a strip by method; texts: what is printed, by row.
    """
    widest = max(strip.shape[2] for column in strips.values() for strip in column)
    rows, told = [], []
    for k, text in enumerate(texts):
        row = []
        for name, column in strips.items():
            page = torch.ones(3, column[k].shape[1], widest)
            left = (widest - column[k].shape[2]) // 2
            page[:, :, left : left + column[k].shape[2]] = column[k]
            note = notes[name][k] if name in notes else f"printed “{text}”"
            row.append(Panel(to_image(page, None).resize((4 * widest, 4 * page.shape[1]), 2), name if k == 0 else "", note))
        rows.append(row)
        told.append(f"“{text}”: " + ", ".join(f"{name} {notes[name][k]}" for name in strips if name in notes))
    return panel_figure(rows, f"Printed words cut out of pictures by the true warp, one row each. {'; '.join(told)}.")


@in_our_look
def height_figure(found: Mapping[str, tuple[torch.Tensor, torch.Tensor]], what: str = "correlation of the print") -> Figure:
    """Print fidelity against the glyph's height: by method (heights (K,) in pixels, values (K,))."""
    figure, axes = new_figure(WIDTH * 0.75, 3.1, 1, 1)
    axis, told = axes[0, 0], []
    for (name, (heights, values)), (colour, mark) in zip(found.items(), LOOKS[1:], strict=False):
        axis.plot(heights, values, mark, color=colour, markersize=6, alpha=0.8, label=name)
        told.append(f"{name}: mean {float(values.mean()):.2f} of {len(values)}")
    axis.axhline(1, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    lowest = min(float(values.min()) for _, values in found.values())
    axis.set(xlabel="height of a letter (px)", ylabel=what, ylim=(min(0.4, lowest - 0.1), 1.06))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
    return described(
        figure, f"The correlation of printed words with the true ones against the letters' height. {'; '.join(told)}."
    )
