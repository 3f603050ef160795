"""The figures of lesson 5: what the autoencoder loses, where the skips run, what the mask silences, what they bring back.

Choices made here
- Every figure is a pure function of tensors and numbers, as in `show.warping`; its words are in `figure.alt`.
- Pictures are compared close up, in windows around head or hands, and never smoothed: a pixel stays a pixel.
- A score is one dot a person and a diamond for the mean: the spread belongs to the number.
- Methods keep their colour and their mark in every figure of the lesson (`LOOKS`).
- `split_picture` is all that the before/after slider does; the widget only calls it.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from ladi_mini.show.panels import WIDTH, described, draw_panel, in_our_look, panel_figure
from ladi_mini.show.pictures import error_image, heat_image, latent_image, to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import (
    BLUE,
    GREEN,
    HAIRLINE,
    INK,
    MIST,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    rgb,
)

CLOSE_UP = 256  # pixels: the height of a window cut out of a picture, as shown
LOOKS = (  # colour and mark of a method, in the order in which they are given
    (MUTED, "o"),
    (BLUE, "s"),
    (VERMILLION, "^"),
    (GREEN, "v"),
    (PURPLE, "P"),
    (ORANGE, "X"),
    (SKY, "D"),
)

# ---------------------------------------------------------------- windows


def window_around(region: torch.Tensor, margin: float = 0.12) -> tuple[int, int, int, int]:
    """The window (left, top, right, bottom) around a region (1, H, W), wider by `margin` on each side, in the proportions of
    the picture and inside it. An empty region gives the whole picture."""
    shown = region[0] > 0.5
    height, width = shown.shape
    if not bool(shown.any()):
        return 0, 0, width, height
    rows, columns = shown.any(1).nonzero()[:, 0], shown.any(0).nonzero()[:, 0]
    (top, bottom), (left, right) = ((int(ends[0]), int(ends[-1]) + 1) for ends in (rows, columns))
    share = min(max((bottom - top) / height, (right - left) / width) * (1 + 2 * margin), 1.0)
    tall, wide = max(1, round(share * height)), max(1, round(share * width))
    x = min(max((left + right - wide) // 2, 0), width - wide)
    y = min(max((top + bottom - tall) // 2, 0), height - tall)
    return x, y, x + wide, y + tall


def largest_part(region: torch.Tensor) -> torch.Tensor:
    """(1, H, W) in {0, 1}: the largest connected part of a region (1, H, W), one hand of two for example."""
    left, best = region[0] > 0.5, torch.zeros_like(region[0], dtype=torch.bool)
    while bool(left.any()):
        part = torch.zeros_like(left)
        part[tuple(left.nonzero()[0].tolist())] = True
        while True:
            grown = (F.max_pool2d(part[None].float(), 3, 1, 1)[0] > 0) & left
            if torch.equal(grown, part):
                break
            part = grown
        left = left & ~part
        if int(part.sum()) > int(best.sum()):
            best = part
    return best[None].float()


def close_up(image: torch.Tensor, box: tuple[int, int, int, int]) -> Image.Image:
    """The window `box` of an image (3, H, W) in [-1, 1], `CLOSE_UP` pixels high, every pixel a little square."""
    height, width = image.shape[1:]
    return to_image(image, None).crop(box).resize((round(CLOSE_UP * width / height), CLOSE_UP), Image.Resampling.NEAREST)


# ---------------------------------------------------------------- 1. what the autoencoder loses


@in_our_look
def loss_figure(
    original: torch.Tensor, decoded: torch.Tensor, head: torch.Tensor, hands: torch.Tensor, high: float = 0.3
) -> Figure:
    """A row a person: the picture, decoded from its latents, the error, and head and hand close up before and after.

    original, decoded: (B, 3, H, W) in [-1, 1]; head, hands: (B, 1, H, W) in {0, 1}; high: the error drawn brightest, as a share
    of white.
    """
    rows, told = [], []
    titles = "original", "decoded", "error", "head", "decoded", "hand", "decoded"
    for i, (before, after) in enumerate(zip(original, decoded, strict=True)):
        boxes = window_around(head[i]), window_around(largest_part(hands[i]), 0.5)
        pictures = [to_image(before), to_image(after), error_image(after, before, high)]
        pictures += [close_up(picture, box) for box in boxes for picture in (before, after)]
        rows.append([Panel(picture, title if i == 0 else "") for picture, title in zip(pictures, titles, strict=True)])
        off = (after.clamp(-1, 1) - before).abs().mean(0) / 2
        told.append(f"{float(off[head[i, 0] > 0.5].mean()):.3f} of white on the head of person {i + 1}")
    return panel_figure(
        rows,
        "A row a person: the picture, the same picture encoded and decoded, the error of every pixel from dark, 0, to "
        f"bright, {high:g} of white, then the head and a hand close up before and after. The mean error is {', '.join(told)}.",
    )


@in_our_look
def score_figure(scores: Mapping[str, Mapping[str, torch.Tensor]], label: str, best: str = "higher is better") -> Figure:
    """A row a region, in it a mark a method: dots for people, a filled mark with its number for the mean.

    scores: by method, then by region, one number a person (B,), NaN left out. The first method's regions are the rows.
    """
    regions = list(next(iter(scores.values())))
    count = len(scores)
    figure, axes = new_figure(WIDTH, 0.42 + 0.5 + len(regions) * (0.3 + 0.2 * count), 1, 1)
    axis, told = axes[0, 0], []
    for number, (method, found) in enumerate(scores.items()):
        colour, mark = LOOKS[number % len(LOOKS)]
        means = []
        for row, region in enumerate(regions):
            values = found[region].detach().double()
            values = values[torch.isfinite(values)]
            place = row + (number - (count - 1) / 2) * 0.8 / count
            apart = (torch.arange(len(values)) * 0.618 % 1 - 0.5) * 0.45 / count
            axis.plot(values, place + apart, ".", color=colour, alpha=0.3, markersize=3, zorder=1)
            mean = float(values.mean())
            edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.8}
            axis.plot([mean], [place], mark, color=colour, markersize=8, zorder=3, label=method if row == 0 else None, **edge)
            axis.annotate(f"{mean:.1f}", (1.0, place), xycoords=("axes fraction", "data"), xytext=(4, 0),
                          textcoords="offset points", va="center", color=colour, annotation_clip=False)  # fmt: skip
            means.append(f"{region} {mean:.1f}")
        told.append(f"{method}: {', '.join(means)}")
    for row in range(1, len(regions)):
        axis.axhline(row - 0.5, color=HAIRLINE, linewidth=1)
    axis.set(yticks=range(len(regions)), yticklabels=regions, ylim=(len(regions) - 0.5, -0.5), xlabel=label)
    axis.tick_params(axis="y", labelcolor=INK, length=0)
    if count > 1:
        shown = axis.get_legend_handles_labels()
        figure.legend(*shown, loc="outside upper left", ncols=min(count, 5), handletextpad=0.2, columnspacing=1.2)
    return described(
        figure,
        f"{label}, {best}, by region, one dot a person and a filled mark the mean, which is written at the right. "
        f"{'; '.join(told)}.",
    )


# ---------------------------------------------------------------- 2. where the skips run


@in_our_look
def ladder_figure(
    shapes: Sequence[tuple[int, int, int]],
    channels: Sequence[int],
    names: Sequence[str],
    places: Sequence[str],
    latent: tuple[int, int, int],
    mask: torch.Tensor,
) -> Figure:
    """Encoder down the left, decoder up the right, between them a skip a tap with the mask at its size.

    shapes: (C, h, w) of every tap; channels: of every skip; names, places: where a tap is taken and where its skip is added;
    latent: (z, h, w); mask (1, H, W), 1 = repaint.
    """
    count = len(shapes)
    figure, axes = new_figure(WIDTH, 0.78 * count + 1.0, 1, 1)
    axis = axes[0, 0]
    axis.set(xlim=(0, 10), ylim=(count + 0.75, -0.75), xticks=(), yticks=())
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.text(1.3, -0.6, "encoder", ha="center", fontweight="bold")
    axis.text(4.0, -0.6, "skip", ha="center", fontweight="bold")
    axis.text(5.75, -0.6, "x mask", ha="center", fontweight="bold")
    axis.text(8.6, -0.6, "decoder", ha="center", fontweight="bold")
    for row, ((c, h, w), out, name, place) in enumerate(zip(shapes, channels, names, places, strict=True)):
        _box(axis, 1.3, row, 2.2, f"{name}\n{c} x {h} x {w}", MIST)
        _box(axis, 4.0, row, 1.9, f"conv, SiLU, conv\n{c} to {out} channels", PAPER)
        _box(axis, 8.6, row, 2.2, place, MIST)
        _arrow(axis, (2.4, row), (3.05, row))
        _arrow(axis, (4.95, row), (5.45, row))
        small = F.interpolate(mask[None].float(), (h, w))[0, 0].numpy()
        picture = np.where(small[..., None] > 0.5, rgb(ORANGE), rgb(MIST))
        tall = 0.72
        axis.imshow(picture, extent=(5.75 - 0.24, 5.75 + 0.24, row + tall / 2, row - tall / 2), aspect="auto", zorder=3)
        axis.add_patch(matplotlib.patches.Rectangle((5.51, row - tall / 2), 0.48, tall, fill=False, edgecolor=MUTED, zorder=4))
        _arrow(axis, (6.04, row), (6.85, row))
        axis.plot([7.05], [row], "o", color=PAPER, markeredgecolor=INK, markersize=13, zorder=3)
        axis.text(7.05, row, "+", ha="center", va="center_baseline", fontweight="bold", zorder=4)
        _arrow(axis, (7.22, row), (7.5, row))
    _arrow(axis, (1.3, 0.28), (1.3, count - 1 - 0.3), below=True)
    z, h, w = latent
    _box(axis, 4.95, count + 0.05, 3.2, f"latent {z} x {h} x {w}", PAPER)
    corner = {"color": INK, "linewidth": 1.2, "zorder": 0}
    axis.plot([1.3, 1.3], [count - 1 + 0.28, count + 0.05], **corner)
    _arrow(axis, (1.29, count + 0.05), (3.32, count + 0.05))
    axis.plot([6.6, 8.6], [count + 0.05, count + 0.05], **corner)
    _arrow(axis, (8.6, count + 0.05), (8.6, count - 1 + 0.34))
    _arrow(axis, (8.6, count - 1 - 0.3), (8.6, 0.34), below=True)
    pairs = zip(names, shapes, places, strict=True)
    told = "; ".join(f"{name} ({c} x {h} x {w}) before {place}" for name, (c, h, w), place in pairs)
    return described(
        figure,
        "A ladder. The encoder runs down on the left, the decoder up on the right, joined at the bottom by the latent of "
        f"{z} x {h} x {w} numbers. Each rung is a skip: two convolutions, then the mask at the size of the tap, then an addition "
        f"in the decoder. From fine to coarse: {told}.",
    )


def _box(axis: Axes, x: float, y: float, width: float, text: str, colour: str):
    box = matplotlib.patches.FancyBboxPatch(
        (x - width / 2, y - 0.28), width, 0.56, boxstyle="round,pad=0.02,rounding_size=0.08",
        facecolor=colour, edgecolor=MUTED, zorder=2,
    )  # fmt: skip
    axis.add_patch(box)
    axis.text(x, y, text, ha="center", va="center", zorder=3, fontsize="small", linespacing=1.25)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], below: bool = False):
    axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2}, zorder=0 if below else 2)


@in_our_look
def skips_figure(
    agnostic: torch.Tensor, taps: Sequence[torch.Tensor], skips: Sequence[torch.Tensor], inpaint_mask: torch.Tensor
) -> Figure:
    """What one picture leaves in the taps, and what of it is added: a column a tap, from fine to coarse.

    agnostic (3, H, W); taps and skips: (C, h, w) each; inpaint_mask (1, H, W).
    """
    above, below, told = [Panel(to_image(agnostic), "agnostic")], [], []
    hole = inpaint_mask[0] > 0.5
    edge = torch.where(hole, torch.from_numpy(rgb(ORANGE)).float()[:, None, None] * 2 - 1, torch.ones(3, *hole.shape))
    below.append(Panel(to_image(edge), "mask", "orange: repaint"))
    for number, (tap, skip) in enumerate(zip(taps, skips, strict=True)):
        c, h, w = tap.shape
        above.append(Panel(latent_image(tap), f"tap {number}", f"{c} x {h} x {w}"))
        length = skip.norm(dim=0)
        high = float(length.max())
        below.append(Panel(heat_image(length, 0, max(high, 1e-6)), f"skip {number}", f"{len(skip)} channels\nbright {high:.1f}"))
        told.append(f"{c} channels of {h} x {w}, skip up to {high:.1f} long")
    return panel_figure(
        [above, below],
        "Above, the agnostic person and the taps of the encoder in false colour; below, the mask and the length of what each "
        "skip adds at every pixel, dark where it is 0, which it is everywhere in the mask. From fine to coarse: "
        f"{'; '.join(told)}.",
    )


# ---------------------------------------------------------------- 3. the mask, and what leaks past it


def distance_to_border(inpaint_mask: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W): how many steps (of a king in chess) a pixel is from the border of the mask, < 0 where it is kept.

    The repainted pixels next to a kept one are at 1, those kept pixels at -1.
    """
    inside, distance = inpaint_mask > 0.5, torch.zeros_like(inpaint_mask)
    for sign, region in ((1, inside), (-1, ~inside)):
        left = region.clone()
        for step in range(1, max(inpaint_mask.shape[2:]) + 1):
            reached = (F.max_pool2d((~left).float(), 3, 1, 1) > 0) & left
            distance[reached] = sign * step
            left = left & ~reached
            if not bool(left.any()):
                break
    return distance


def seam_error(image: torch.Tensor, target: torch.Tensor, inpaint_mask: torch.Tensor) -> torch.Tensor:
    """(B,) mean error of the step from a kept pixel to a repainted neighbour, side by side or above each other, as a share of
    white: 0 where every step over the border of the mask is as large as in `target`, however far off both its ends are.

    image, target: (B, 3, H, W) in [-1, 1]; inpaint_mask: (B, 1, H, W) in {0, 1}.
    """
    total, count = 0.0, 0.0
    for way in (-1, -2):
        pair = (inpaint_mask.diff(dim=way) != 0).float()
        off = (image.diff(dim=way) - target.diff(dim=way)).abs().mean(1, keepdim=True) / 2
        total, count = total + (off * pair).sum((1, 2, 3)), count + pair.sum((1, 2, 3))
    return total / count


@in_our_look
def border_figure(curves: Mapping[str, torch.Tensor], distance: torch.Tensor, label: str, reach: int = 12) -> Figure:
    """Means of maps (B, 1, H, W) over the pixels at every distance from the border of the mask, up to `reach` pixels each way.

    curves: maps by name; distance: as `distance_to_border` gives it. The repainted side is shaded.
    """
    figure, axes = new_figure(WIDTH, 2.9, 1, 1)
    axis, told = axes[0, 0], []
    steps = [step for step in range(-reach, reach + 1) if step]
    x = [step - 0.5 if step > 0 else step + 0.5 for step in steps]
    axis.axvspan(0, reach, color=MIST, zorder=0)
    axis.axvline(0, color=MUTED, linewidth=1)
    for number, (name, values) in enumerate(curves.items()):
        colour, mark = LOOKS[(number + 1) % len(LOOKS)]
        means = [float(values[distance == step].mean()) for step in steps]
        axis.plot(x, means, mark + "-", color=colour, markersize=4, label=name)
        told.append(f"{name}: {means[0]:.3f} far outside, {means[reach - 1]:.3f} and {means[reach]:.3f} at the border, "
                    f"{means[-1]:.3f} far inside")  # fmt: skip
    axis.set(xlim=(-reach, reach), xlabel="pixels from the border", ylabel=label)
    axis.set_ylim(bottom=0)
    for place, words in ((0.02, "kept"), (0.98, "repainted")):
        axis.text(place, 0.96, words, color=MUTED, ha="left" if place < 0.5 else "right", va="top", transform=axis.transAxes)
    if len(curves) > 1:
        axis.legend(loc="center left", bbox_to_anchor=(0, 0.66))
    return described(
        figure,
        f"{label.capitalize()} against the distance from the border of the mask, kept pixels left and repainted ones right, "
        f"which are shaded. {'; '.join(told)}.",
    )


@in_our_look
def columns_figure(
    pictures: Mapping[str, torch.Tensor],
    boxes: Sequence[tuple[int, int, int, int]] = (),
    whole: bool = True,
    notes: Mapping[str, Sequence[str]] | None = None,
    close: str = "head",
    alt: str = "",
) -> Figure:
    """A row a person, a column a method: whole pictures, then the windows `boxes` of the same pictures close up.

    pictures: (B, 3, H, W) by name; notes: a word a person under the column of that name.
    """
    rows, notes = [], notes or {}
    for i in range(len(next(iter(pictures.values())))):
        row = []
        if whole:
            row += [
                Panel(to_image(each[i]), name if i == 0 else "", notes[name][i] if name in notes else "")
                for name, each in pictures.items()
            ]
        if boxes:
            row += [
                Panel(close_up(each[i], boxes[i]), (f"{close}: {name}" if n == 0 else name) if i == 0 else "",
                      "" if whole or name not in notes else notes[name][i])
                for n, (name, each) in enumerate(pictures.items())
            ]  # fmt: skip
        rows.append(row)
    told = "; ".join(f"{name}: {', '.join(words)}" for name, words in notes.items())
    start = f"{alt or 'A row a person, in every column the same person'}. The columns are {', '.join(pictures)}"
    start += f", then the {close} close up." if boxes and whole else "."
    return panel_figure(rows, f"{start}{f' {told}.' if told else ''}")


# ---------------------------------------------------------------- 4. training


@in_our_look
def training_figure(
    log: Sequence[dict],
    frames: Sequence[tuple[int, torch.Tensor]],
    truth: torch.Tensor,
    box: tuple[int, int, int, int],
    without: Mapping[str, float],
) -> Figure:
    """The live figure: loss and held-out decibels over the steps, and one held-out head as it comes back.

    log: dicts with "step" and "loss", some also with one of the regions of `without`, which names the decibels that the plain
    autoencoder reaches; frames: (step, picture (3, H, W)); truth: the picture; box: the window of it that is shown.
    """
    shown = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(5, len(frames)))})]
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained", facecolor=PAPER)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.45, 1))
    loss, gain = upper.subplots(1, 2)
    steps, values = zip(*[(entry["step"], entry["loss"]) for entry in log if "loss" in entry] or [(0, np.nan)], strict=True)
    loss.plot(steps, values, color=BLUE, alpha=0.3, linewidth=0.8)
    width = max(1, min(21, len(values) // 4))
    smooth = np.convolve(values, np.ones(width), "same") / np.convolve(np.ones(len(values)), np.ones(width), "same")
    loss.plot(steps, smooth, color=BLUE)
    loss.set(title="loss, as a share of no skips", xlabel="step")
    told = []
    for number, (region, floor) in enumerate(without.items()):
        colour, mark = LOOKS[number + 1]
        found = [(entry["step"], entry[region] - floor) for entry in log if region in entry]
        gain.plot(*zip(*found, strict=True), mark + "-", color=colour, markersize=5, label=region)
        told.append(f"{region} from {floor:.1f} dB without skips to {found[-1][1] + floor:.1f} dB")
    gain.axhline(0, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    gain.set(title="gained over no skips, held out (dB)", xlabel="step")
    gain.legend(loc="upper left")
    axes = lower.subplots(1, 6)
    panels = [Panel(close_up(picture, box), f"step {step}") for step, picture in shown]
    last = [*[Panel(None, "")] * (5 - len(panels)), Panel(close_up(truth, box), "truth")]
    for axis, panel in zip(axes, [*panels, *last], strict=True):
        draw_panel(axis, panel)
    return described(
        figure,
        "Above, the training loss as a share of the plain autoencoder's against the step, and how many decibels the skips gain "
        f"over it on held-out people, a dashed line at 0: after {log[-1]['step']} steps {'; '.join(told)}. Below, one held-out "
        f"head decoded at steps {', '.join(str(step) for step, _ in shown)}, and the truth.",
    )


# ---------------------------------------------------------------- 7. before and after


def split_picture(before: Image.Image, after: Image.Image, split: float) -> Image.Image:
    """`before` on the left of a bright line, `after` on its right; the line is at `split`, 0 to 1, of the width.

    Both pictures have one size. 0 shows `after` alone, 1 `before` alone, both without a line.
    """
    width, height = before.size
    line = round(min(max(split, 0.0), 1.0) * width)
    picture = after.convert("RGB").copy()
    picture.paste(before.convert("RGB").crop((0, 0, line, height)), (0, 0))
    if 0 < line < width:
        draw, thick = ImageDraw.Draw(picture), max(1, width // 160)
        draw.rectangle((line - thick - 1, 0, line + thick, height), fill=INK)
        draw.rectangle((line - thick, 0, line + thick - 1, height), fill=PAPER)
    return picture


@in_our_look
def split_figure(before: Image.Image, after: Image.Image, names: tuple[str, str], splits: Sequence[float]) -> Figure:
    """The slider as a sheet: one picture a place of the line. names: of the left and the right picture."""
    panels = [Panel(split_picture(before, after, split), f"{split:.0%}") for split in splits]
    panels[0] = Panel(panels[0].picture, panels[0].title, f"all {names[1]}" if splits[0] <= 0 else "")
    if splits[-1] >= 1:
        panels[-1] = Panel(panels[-1].picture, panels[-1].title, f"all {names[0]}")
    places = ", ".join(f"{split:.0%}" for split in splits)
    return panel_figure(
        [panels],
        f"One picture {len(panels)} times, cut by an upright line at {places} of its width: left of the line {names[0]}, right "
        f"of it {names[1]}.",
    )
