"""The figures of lesson 2: the lookup table, words found by descent, words predicted, where they look, what lies between them.

Choices made here
- Every figure is a pure function of tensors: no network runs, nothing is trained, drawn at random or shown here.
- Means come with 95 % bootstrap intervals over people, and every single value is drawn behind them as a pale dot.
- Pictures of 64 x 48 are enlarged without smoothing, so that a student sees the pixels that the model paints.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini.evaluation.colour import srgb_to_lab
from ladi_mini.evaluation.metrics import bootstrap
from ladi_mini.show.panels import WIDTH, described, draw_panel, in_our_look, panel_figure
from ladi_mini.show.pictures import heat_image, to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import BLUE, DIVERGING, GREEN, HAIRLINE, INK, MUTED, ORANGE, PALETTE, PAPER, VERMILLION, new_figure

DASHES = (0, (4, 3))

# ---------------------------------------------------------------- 1. the table


@in_our_look
def table_figure(table: torch.Tensor, ids: Sequence[int], names: Sequence[str]) -> Figure:
    """The embedding table (V, D) with the rows `ids` of a sentence marked, and these rows in the sentence's order."""
    table = table.detach().float().cpu()
    high = float(table.abs().quantile(0.99))
    figure = Figure(figsize=(WIDTH, 0.2 * len(ids) + 1.15), layout="constrained", facecolor=PAPER)
    whole, sentence = figure.subplots(1, 2, width_ratios=(1, 2.1))
    look = {"cmap": DIVERGING, "vmin": -high, "vmax": high, "aspect": "auto", "interpolation": "nearest"}
    whole.imshow(table.numpy(), **look)
    whole.set(title="the table", ylabel="id", xlabel=f"{table.shape[1]} numbers")
    for i in set(ids):
        whole.plot([table.shape[1] + 0.5], [i], "<", color=VERMILLION, markersize=5, clip_on=False)
    sentence.imshow(table[list(ids)].numpy(), **look)
    labels = [f"{name}  {i}" for name, i in zip(names, ids, strict=True)]
    sentence.set(title="a sentence, looked up", xlabel=f"{table.shape[1]} numbers", yticks=range(len(ids)), yticklabels=labels)
    sentence.tick_params(axis="y", labelcolor=INK, length=0)
    for axis in (whole, sentence):
        axis.set_xticks([])
        for spine in axis.spines.values():
            spine.set(visible=True, color=HAIRLINE)
    pairs = ", ".join(f"{name} {i}" for name, i in zip(names, ids, strict=True))
    return described(
        figure,
        f"Left, the table of {table.shape[0]} rows of {table.shape[1]} numbers as colours, marks at the rows of one sentence. "
        f"Right, these rows in the order of the sentence: {pairs}.",
    )


# ---------------------------------------------------------------- 2. one garment


@in_our_look
def album_figure(garment: torch.Tensor, photographs: torch.Tensor, held_out: torch.Tensor, caption: str) -> Figure:
    """A flat garment, the photographs of it on people (n, 3, H, W), and the one that is kept for measuring (3, H, W)."""
    row = [Panel(to_image(garment), "the garment", "flat")]
    row += [Panel(to_image(picture), f"photograph {i}", "to learn from") for i, picture in enumerate(photographs, 1)]
    row.append(Panel(to_image(held_out), "held out", "to measure on"))
    return panel_figure(
        [row],
        f"A garment lying flat ({caption}), the same garment on {len(photographs)} people, from whom its words are learned, and "
        "on one more person, on whom they are measured.",
    )


@in_our_look
def gap_figure(losses: Mapping[str, torch.Tensor], timesteps: Sequence[int], base: str) -> Figure:
    """How much each text lowers the loss (people, timesteps) below that of `base`, by timestep, with intervals over people."""
    figure, axes = new_figure(WIDTH, 3.2, 1, 2)
    (whole, gap), told = axes[0], []
    names = [name for name in losses if name != base]
    for number, name in enumerate([base, *names]):
        colour = MUTED if name == base else PALETTE[number - 1]
        whole.plot(timesteps, losses[name].mean(0), "o-", color=colour, markersize=4, label=name)
    for number, name in enumerate(names):
        values = 100 * (losses[name] / losses[base].mean(0) - losses[base] / losses[base].mean(0)).double()
        means = np.array([bootstrap(column.numpy()) for column in values.T])  # (T, 3): mean, low, high
        shift = (number - (len(names) - 1) / 2) * 22
        error = np.abs(means[:, 1:] - means[:, :1]).T
        gap.errorbar(np.array(timesteps) + shift, means[:, 0], error, fmt="o", color=PALETTE[number], markersize=4, label=name)
        told.append(f"{name}: " + ", ".join(f"{m:+.1f} % at {t}" for m, t in zip(means[:, 0], timesteps, strict=True)))
    gap.axhline(0, color=MUTED, linestyle=DASHES, linewidth=1.2)
    whole.set(title="noise-prediction loss", xlabel="timestep", xticks=timesteps)
    whole.set_ylim(bottom=0)
    whole.legend()
    gap.set(title=f"the same, minus “{base}” (%)", xlabel="timestep", xticks=timesteps)
    return described(
        figure,
        f"Left, the loss against the timestep for each text: the curves lie nearly on each other. Right, the difference to "
        f"{base} in per cent of it, with 95 % intervals. {'; '.join(told)}.",
    )


@in_our_look
def inverting_figure(
    log: Sequence[dict], frames: Sequence[tuple[int, torch.Tensor]], truth: torch.Tensor, levels: Mapping[str, float]
) -> Figure:
    """The live figure: the loss of each step, the loss with fixed noise on the held-out photograph, and the picture as it comes.

    log: dicts with "step" and "loss", some also with "fixed"; frames: (step, picture (3, H, W)); levels: the fixed-noise loss
    of other texts by name, as dashed lines.
    """
    shown = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(6, len(frames)))})]
    figure = Figure(figsize=(WIDTH, 4.15), layout="constrained", facecolor=PAPER)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    noisy, fixed = upper.subplots(1, 2)
    steps, values = zip(*[(entry["step"], entry["loss"]) for entry in log if "loss" in entry] or [(0, np.nan)], strict=True)
    noisy.plot(steps, values, ".", color=BLUE, alpha=0.6, markersize=4)
    noisy.set(title="loss, new noise at each step", xlabel="step")
    noisy.set_ylim(bottom=0)
    steps, values = zip(*[(entry["step"], entry["fixed"]) for entry in log if "fixed" in entry], strict=True)
    fixed.plot(steps, values, "o-", color=GREEN, markersize=4)
    for name, level in levels.items():
        fixed.axhline(level, color=MUTED, linestyle=DASHES, linewidth=1.2)
        fixed.text(0.99, level, name, color=MUTED, ha="right", va="top", transform=fixed.get_yaxis_transform())
    low, high = min(*values, *levels.values()), max(*values, *levels.values())
    fixed.set_ylim(low - 0.2 * (high - low), high + 0.06 * (high - low))
    fixed.set(title="held-out photograph, fixed noise", xlabel="step")
    axes = lower.subplots(1, 7)
    panels = [Panel(to_image(picture), f"step {step}") for step, picture in shown]
    for axis, panel in zip(axes, [*panels, *[Panel(None, "")] * (6 - len(panels)), Panel(to_image(truth), "truth")], strict=True):
        draw_panel(axis, panel)
    named = ", ".join(f"{name} {level:.4f}" for name, level in levels.items())
    shown_steps = ", ".join(str(step) for step, _ in shown)
    return described(
        figure,
        f"Above left, the loss of each step, a cloud without a trend that could be read. Above right, the loss on the "
        f"held-out photograph with fixed noise: {values[0]:.4f} at step {steps[0]}, {values[-1]:.4f} at step {steps[-1]}; "
        f"dashed: {named}. Below, the held-out person painted at steps {shown_steps}, and the truth.",
    )


# ---------------------------------------------------------------- comparisons


@in_our_look
def compare_figure(values: Mapping[str, Mapping[str, torch.Tensor]], better: Mapping[str, str]) -> Figure:
    """A panel a measure, a row a method: every person's value as a pale dot, the mean and its 95 % interval.

    values: by measure, by method, (B,), NaN left out; better: by measure, "higher" or "lower".
    """
    methods = list(next(iter(values.values())))
    figure, axes = new_figure(WIDTH, 0.42 * len(methods) + 1.1, 1, len(values))
    told = []
    for number, (axis, (measure, by_method)) in enumerate(zip(axes[0], values.items(), strict=True)):
        said = []
        for row, method in enumerate(methods):
            known = by_method[method].double()
            known = known[~known.isnan()].numpy()
            mean, low, high = bootstrap(known)
            apart = (np.arange(len(known)) * 0.618 % 1 - 0.5) * 0.45
            axis.plot(known, row + apart, "o", color=BLUE, alpha=0.18, markersize=3, markeredgewidth=0)
            axis.plot([low, high], [row, row], color=VERMILLION, linewidth=2.2, solid_capstyle="butt")
            axis.plot([mean], [row], "D", color=VERMILLION, markersize=6)
            said.append(f"{method} {mean:.4g} ({low:.4g} to {high:.4g})")
        axis.set(title=measure, xlabel=f"{better[measure]} is better", ylim=(len(methods) - 0.5, -0.5))
        axis.set(yticks=range(len(methods)), yticklabels=methods if number == 0 else [""] * len(methods))
        axis.tick_params(axis="y", labelcolor=INK, length=0)
        axis.locator_params(axis="x", nbins=4)
        told.append(f"{measure}: {', '.join(said)}")
    return described(figure, f"One dot a person, a diamond the mean with its 95 % interval. {'; '.join(told)}.")


@in_our_look
def texts_figure(
    garments: torch.Tensor, pictures: Mapping[str, torch.Tensor], truth: torch.Tensor, notes: Mapping[str, Sequence[str]]
) -> Figure:
    """A row a person: the flat garment, what each text gives (B, 3, H, W), and the truth; `notes` by text, one a person."""
    rows, width = [], (0.86 if len(pictures) < 5 else 1) * WIDTH
    for i in range(len(garments)):
        titles = (lambda name: name) if i == 0 else (lambda name: "")
        row = [Panel(to_image(garments[i]), titles("garment"))]
        row += [Panel(to_image(p[i]), titles(name), notes[name][i] if name in notes else "") for name, p in pictures.items()]
        rows.append([*row, Panel(to_image(truth[i]), titles("truth"))])
    told = "; ".join(f"{name}: {', '.join(each)}" for name, each in notes.items())
    return panel_figure(
        rows,
        f"A row a person: the garment lying flat, the same person painted from the same noise with {', '.join(pictures)}, and "
        f"the truth. Colour errors by row: {told}.",
        width=width,
    )


# ---------------------------------------------------------------- 5. where the words look


@in_our_look
def words_figure(garment: torch.Tensor, picture: torch.Tensor, maps: torch.Tensor, columns: int = 9) -> Figure:
    """The garment, the painted picture and the attention map (n, h, w) of each pseudo-word, all on one scale."""
    low, high = float(maps.min()), float(maps.max())
    size = tuple(picture.shape[-2:])
    panels = [Panel(to_image(garment), "garment", " "), Panel(to_image(picture), "painted", " ")]
    for number, m in enumerate(maps, 1):
        panels.append(Panel(heat_image(m, low, high, size=size), f"word {number}", f"{100 * float(m.mean()):.1f} %"))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    shares = ", ".join(f"{100 * float(m.mean()):.1f}" for m in maps)
    return panel_figure(
        rows,
        f"A garment, the picture painted from its words, and for each of {len(maps)} words a map of the attention that it gets, "
        f"from {100 * low:.1f} % dark to {100 * high:.1f} % bright. Mean shares in per cent, word by word: {shares}.",
    )


@in_our_look
def word_figure(garment: torch.Tensor, picture: torch.Tensor, maps: torch.Tensor, word: int) -> Figure:
    """One pseudo-word (1 to n): where it gets attention over the painted picture, and where more or less than the mean word."""
    size, m = tuple(picture.shape[-2:]), maps[word - 1]
    low, high = float(maps.min()), float(maps.max())
    apart = m - maps.mean(0)
    reach = float((maps - maps.mean(0)).abs().max())
    shown = to_image(picture).size[::-1]
    smooth = F.interpolate(apart[None, None].float(), shown, mode="bilinear", align_corners=False)[0, 0]
    colours = matplotlib.colormaps[DIVERGING]((smooth / (2 * max(reach, 1e-12)) + 0.5).numpy(), bytes=True)
    signed = Image.fromarray(colours[..., :3])
    share = f"{100 * low:.1f} % dark, {100 * high:.1f} % bright"
    row = [
        Panel(to_image(garment), "garment"),
        Panel(to_image(picture), "painted"),
        Panel(heat_image(m, low, high, size=size), f"word {word} of {len(maps)}", share),
        Panel(signed, "minus the mean word", "purple more, orange less"),
    ]
    return panel_figure(
        [row],
        f"A garment, the picture painted from its words, the attention that word {word} gets at each place, on average "
        f"{100 * float(m.mean()):.1f} %, and its difference to the mean of all words, "
        f"at most {100 * float(apart.abs().max()):.1f} points.",
        width=0.9 * WIDTH,
    )


@in_our_look
def effect_figure(attention: torch.Tensor, effect: torch.Tensor) -> Figure:
    """What each word gets and does: attention (people, n) as a share, effect (people, n) of taking it away, with intervals."""
    figure, axes = new_figure(WIDTH, 2.7, 1, 2)
    numbers, told = np.arange(1, attention.shape[1] + 1), []
    titles = ("attention it gets (%)", "rise of the loss without it (%)")
    for axis, values, title, colour in zip(axes[0], (100 * attention, 100 * effect), titles, (BLUE, ORANGE), strict=True):
        means = np.array([bootstrap(column.numpy()) for column in values.double().T])
        axis.bar(numbers, means[:, 0], color=colour, width=0.7)
        axis.errorbar(numbers, means[:, 0], np.abs(means[:, 1:] - means[:, :1]).T, fmt="none", ecolor=INK, elinewidth=1.2)
        axis.axhline(0, color=MUTED, linewidth=1)
        axis.set(title=title, xlabel="word", xticks=numbers)
        axis.tick_params(axis="x", labelsize="small")
        told.append(f"{title}: " + ", ".join(f"{mean:.2f}" for mean in means[:, 0]))
    return described(figure, f"Two bars a word with 95 % intervals over {len(attention)} people. {'; '.join(told)}.")


# ---------------------------------------------------------------- 6. between two garments


def colour_progress(pictures: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """(K,) how far the mean CIELAB colour inside `region` (1, H, W) has come from the first of K pictures, 0, to the last, 1."""
    lab = srgb_to_lab(pictures)  # (K, 3, H, W)
    mean = (lab * region).sum((2, 3)) / region.sum()
    way = mean[-1] - mean[0]
    return ((mean - mean[0]) @ way / way.square().sum()).float()


@in_our_look
def between_figure(garments: torch.Tensor, pictures: torch.Tensor, number: int) -> Figure:
    """The first garment, the picture painted with words `number` / (K - 1) of the way to the second's, the second garment."""
    share = number / (len(pictures) - 1)
    row = [
        Panel(to_image(garments[0]), "first garment", f"{1 - share:.0%} of its words"),
        Panel(to_image(pictures[number]), "painted"),
        Panel(to_image(garments[1]), "second garment", f"{share:.0%} of its words"),
    ]
    return panel_figure(
        [row],
        f"Two garments lying flat, and between them a person painted with words that are {1 - share:.0%} the first's and "
        f"{share:.0%} the second's.",
        width=0.62 * WIDTH,
    )


@in_our_look
def path_figure(garments: torch.Tensor, pictures: torch.Tensor, progress: Mapping[str, torch.Tensor]) -> Figure:
    """Frames of a walk from one garment's words to another's (K, 3, H, W), and how far the colour has come in several walks."""
    count = len(pictures)
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained", facecolor=PAPER)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.45))
    shown = [round(i) for i in np.linspace(0, count - 1, 5)]
    panels = [Panel(to_image(pictures[i]), f"{i / (count - 1):.0%}", "of the way") for i in shown]
    panels = [Panel(to_image(garments[0]), "first", "flat"), *panels, Panel(to_image(garments[1]), "second", "flat")]
    for axis, panel in zip(upper.subplots(1, len(panels)), panels, strict=True):
        draw_panel(axis, panel)
    axis = lower.subplots(1, 1)
    share = np.linspace(0, 1, count)
    axis.plot([0, 1], [0, 1], color=MUTED, linestyle=DASHES, linewidth=1.2, label="in step with the words")
    for number, (name, values) in enumerate(progress.items()):
        style = {"color": VERMILLION, "linewidth": 2.4, "zorder": 3} if number == 0 else {"color": BLUE, "alpha": 0.45}
        axis.plot(
            share, values, "o-", markersize=3, label=name if number == 0 else "other pairs" if number == 1 else None, **style
        )
    axis.set(xlabel="share of the second garment's words", ylabel="share of its colour", title="how far the colour has come")
    axis.legend(loc="lower right")
    told = "; ".join(f"{name} at half of the words {float(values[count // 2]):.0%}" for name, values in progress.items())
    return described(
        figure,
        f"Above, a person painted with words between those of two garments, which lie flat at both ends. Below, for "
        f"{len(progress)} pairs of garments, how far the colour has come against the share of the words. {told}.",
    )
