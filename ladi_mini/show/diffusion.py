"""The figures of lesson 4: what a code keeps of a picture, noise and the way back from it, a loss and what it hides.

Choices made here
- Every figure is a pure function of tensors and traces: nothing is trained, drawn at random or shown here.
- Pictures of one figure are of one size, whatever stands above and below them.
- Most figures are one of two kinds: pictures in rows and columns (`pictures_figure`), or curves (`chart_figure`).
- A curve has a mark or a dash of its own besides its colour.
- Latents of one figure share one false-colour code, that of the latents without noise.
- What a figure shows is also in words, numbers included, in `figure.alt`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from ladi_mini.pipeline import TryOnTrace
from ladi_mini.show.panels import WIDTH, crop, described, draw_panel, in_our_look, panel_rows, square_around
from ladi_mini.show.pictures import error_image, latent_colours, latent_image, shown_size, to_image
from ladi_mini.show.sheets import ERROR_HIGH, Panel
from ladi_mini.show.style import BLUE, DIVERGING, HAIRLINE, MUTED, PALETTE, PAPER, SEQUENTIAL, VERMILLION, new_figure

MARKS = "os^Dv"
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), "-")

# ---------------------------------------------------------------- pictures in rows and columns


def pictures_figure(
    columns: Mapping[str, torch.Tensor | None],
    what: str,
    notes: Mapping[str, Sequence[str]] | None = None,
    labels: Sequence[str] = (),
    width: float = WIDTH,
) -> Figure:
    """Columns of pictures (B, 3, H, W) in [-1, 1] by their titles: a row a sample, named at its left by `labels`.

    A column with fewer pictures than the others ends early. `notes`: a few grey words below each picture of a column. `what`
    says in a sentence what is seen; the notes are added to it.
    """
    notes = notes or {}
    count = max(len(pictures) for pictures in columns.values())
    rows = [
        [
            Panel(to_image(pictures[i]), title if i == 0 else "", notes.get(title, [""] * count)[i])
            if i < len(pictures)
            else Panel(None, "")
            for title, pictures in columns.items()
        ]
        for i in range(count)
    ]
    told = [f"{title}: {', '.join(' '.join(n.split()) for n in said if n)}" for title, said in notes.items()]
    return panel_rows(rows, " ".join([what, *([f"{'; '.join(told)}."] if told else [])]), labels, width)


def codes_figure(
    pictures: Mapping[str, torch.Tensor], regions: Mapping[str, torch.Tensor], notes: Mapping[str, str], what: str
) -> Figure:
    """One picture (3, H, W) through several codes, a column a code: whole, then close up around each region (1, H, W)."""
    rows = [[Panel(to_image(picture), title) for title, picture in pictures.items()]]
    for region in regions.values():
        rows.append([Panel(crop(picture, square_around(region[0], 0.15)), "") for picture in pictures.values()])
    for panel, title in zip(rows[-1], pictures, strict=True):
        panel.note = notes.get(title, "")
    told = "; ".join(f"{title}: {' '.join(note.split())}" for title, note in notes.items())
    return panel_rows(rows, f"{what} Rows: whole, {', '.join(regions)}. {told}.", ["whole", *regions])


# ---------------------------------------------------------------- curves


@dataclass(frozen=True)
class Chart:
    """Curves over one axis, by name, or dots where `dots`; what a curve does not know is NaN."""

    title: str
    x: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    xlabel: str
    log: bool = False
    logx: bool = False
    legend: bool = True
    floor: float | None = 0.0  # the lowest y of a linear axis


@in_our_look
def chart_figure(charts: Sequence[Chart], what: str, height: float = 2.9) -> Figure:
    """Charts side by side. `what` says in a sentence what is seen; where each curve starts and ends is added to it."""
    figure, axes = new_figure(WIDTH, height, 1, len(charts))
    for axis, chart in zip(axes[0], charts, strict=True):
        draw_chart(axis, chart)
    told = [
        f"{chart.title}, from {chart.xlabel} {chart.x[0]:g} to {chart.x[-1]:g}: "
        + ", ".join(f"{name} {curve[0]:.3g} to {curve[-1]:.3g}" for name, curve in chart.curves.items())
        for chart in charts
    ]
    return described(figure, f"{what} {'; '.join(told)}.")


def draw_chart(axis: Axes, chart: Chart):
    """The curves of one chart, each in its colour, dash and mark; a mark only where there are few points."""
    for number, (name, curve) in enumerate(chart.curves.items()):
        few = len(curve) <= 25
        axis.plot(
            chart.x, curve, color=PALETTE[number % len(PALETTE)], linestyle="-" if few else DASHES[number % len(DASHES)],
            marker=MARKS[number % len(MARKS)] if few else None, markersize=4.5, label=name,
        )  # fmt: skip
    axis.set(title=chart.title, xlabel=chart.xlabel)
    if chart.logx:
        axis.set_xscale("log")
        axis.set_xticks(chart.x, [f"{x:g}" for x in chart.x])
        axis.minorticks_off()
    if chart.log:
        plain_log(axis, [value for curve in chart.curves.values() for value in curve])
    elif chart.floor is not None:
        axis.set_ylim(bottom=chart.floor)
    if chart.legend:
        axis.legend(fontsize="small", handlelength=2.2, borderaxespad=0.2)


def plain_log(axis: Axes, values: Sequence[float]):
    """A logarithmic y axis with numbers as one says them: whole powers of ten, or 1, 2, 5 where `values` span less than two."""
    low, high = min(float(v) for v in values), max(float(v) for v in values)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


# ---------------------------------------------------------------- 2. noise


@in_our_look
def forward_figure(
    noisy: Sequence[torch.Tensor], decoded: Sequence[torch.Tensor], timesteps: Sequence[int], abar: torch.Tensor
) -> Figure:
    """Latents (z, h, w) at rising timesteps in one false colour, and each decoded (3, H, W); the first is free of noise."""
    colours, height = latent_colours(noisy[0]), shown_size(*decoded[0].shape[-2:])[0]
    shares = [1.0 if t < 0 else float(abar[t]) ** 0.5 for t in timesteps]
    above = [
        Panel(latent_image(latents, colours, height), "no noise" if t < 0 else f"t = {t}", f"signal {share:.2f}")
        for latents, t, share in zip(noisy, timesteps, shares, strict=True)
    ]
    below = [Panel(to_image(picture), "") for picture in decoded]
    told = ", ".join(f"t = {t}: {share:.2f}" for t, share in zip(timesteps, shares, strict=True) if t >= 0)
    return panel_rows(
        [above, below],
        "Above, one person's latents in false colours, without noise and with more and more of it until nothing of them is seen; "
        f"below, each of them decoded to a picture. The factor in front of the signal is, at {told}.",
        ["latents", "decoded"],
    )


# ---------------------------------------------------------------- 3. the loss


@in_our_look
def hidden_fall_figure(log: Sequence[Mapping], spread: float, before: Mapping[int, float], after: Mapping[int, float]) -> Figure:
    """A training log that hardly falls, with the spread that batches alone have, beside the losses at fixed timesteps.

    log: entries with `step` and `loss`; spread: standard deviation of the loss over batches at frozen weights; before, after:
    held-out loss by timestep.
    """
    figure, axes = new_figure(WIDTH, 3.1, 1, 2)
    (left, right), steps = axes[0], [entry["step"] for entry in log]
    losses = np.array([entry["loss"] for entry in log])
    quarter = max(1, len(losses) // 4)
    first, level = float(losses[:quarter].mean()), float(losses[-quarter:].mean())
    left.axhspan(level - spread, level + spread, color=BLUE, alpha=0.15, linewidth=0)
    left.plot(steps, losses, color=BLUE, marker="o", markersize=3, linewidth=0.7)
    left.set(title="the loss as it is logged", xlabel="step")
    left.set_ylim(0, 1.1 * float(losses.max()))
    for number, (t, value) in enumerate(before.items()):
        right.plot([0, 1], [value, after[t]], color=PALETTE[number], marker=MARKS[number], markersize=5)
        right.annotate(f"t = {t}: ÷ {value / after[t]:.1f}", (1, after[t]), (1.08, after[t]), va="center")
    plain_log(right, [*before.values(), *after.values()])
    right.set(title="at fixed timesteps, held out", xlim=(-0.15, 1.75), xticks=(0, 1), xticklabels=("before", "after"))
    told = ", ".join(f"t = {t} from {value:.3f} to {after[t]:.4f}" for t, value in before.items())
    return described(
        figure,
        f"Left, the logged loss of training jumps between {losses.min():.3f} and {losses.max():.3f}; its mean is {first:.3f} in "
        f"the first quarter and {level:.3f} in the last, and a band of {spread:.3f} to each side is what frozen weights would "
        f"show. Right, held-out losses before and after the same training on a log scale: {told}.",
    )


# ---------------------------------------------------------------- 4. the walk back


@in_our_look
def walk_figure(density: np.ndarray, low: float, high: float, walks: Mapping[str, tuple[Sequence[int], torch.Tensor]]) -> Figure:
    """Paths from noise to a one-dimensional distribution over its density at every time.

    density (T, N): row t is the density of x_t at N places from `low` to `high`; walks: by name, the times (S + 1) and the
    places (S + 1, paths). Noise is at the left, data at the right.
    """
    figure, axes = new_figure(WIDTH, 3.0, 1, len(walks))
    shade = (density / density.max(1, keepdims=True)) ** 0.6
    for axis, (name, (times, places)) in zip(axes[0], walks.items(), strict=True):
        axis.imshow(
            shade[::-1].T, cmap="Greys", vmin=0, vmax=1.6, aspect="auto", origin="lower", extent=(len(density), 0, low, high)
        )
        axis.set_autoscale_on(False)
        for number, path in enumerate(places.T):
            axis.plot(times, path, color=PALETTE[number % 4], linewidth=1.1)
        axis.set(title=name, xlabel="t", ylabel="x" if axis is axes[0, 0] else "")
    return described(
        figure,
        "Grey, the density of a number while noise is added: two sharp peaks at t = 0, at the right, flow together into one "
        f"broad bell at the left. On it {len(places.T)} paths from noise to data in each panel: {', '.join(walks)}. Stochastic "
        "paths are jagged and cross each other, deterministic ones are smooth and do not cross.",
    )


# ---------------------------------------------------------------- 5. the channels


@in_our_look
def channels_figure(groups: Mapping[str, torch.Tensor], each: int = 4) -> Figure:
    """The denoiser's input, group by group: maps (C, h, w), the first `each` of a group; maps of one sign are dark to bright."""
    rows, told = [], []
    for name, maps in groups.items():
        signed = bool((maps < 0).any())
        table = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL]
        reach = float(maps.abs().max().clamp(min=1e-6)) if not signed else 3.0
        panels = []
        for number, values in enumerate(maps[:each]):
            shade = (values / reach + 1) / 2 if signed else values / reach
            pixels = table(shade.clamp(0, 1).numpy(), bytes=True)[..., :3]
            size = shown_size(*values.shape, 128)
            panels.append(Panel(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.NEAREST), f"{number + 1}"))
        more = f"{len(panels)} of {len(maps)}" if len(maps) > each else "all"
        rows += [Panel(panel.picture, name if n == 0 else "", more if n == 0 else "") for n, panel in enumerate(panels)]
        told.append(f"{name}, {len(panels)} of {len(maps)}")
    columns = (len(rows) + 1) // 2
    return panel_rows(
        [rows[:columns], rows[columns:]],
        f"The channels that the denoiser gets, as small maps in the order in which they are stacked: {'; '.join(told)}. "
        "Latents are orange where negative and purple where positive; mask and heat maps are bright where they are 1.",
    )


# ---------------------------------------------------------------- 6. training


@in_our_look
def denoiser_training_figure(
    log: Sequence[Mapping], frames: Sequence[tuple[int, torch.Tensor]], truth: torch.Tensor, abar: torch.Tensor
) -> Figure:
    """Training as it goes: the loss of every batch, the held-out loss by timestep, and what the network paints.

    log: entries with `step` and `loss`, or `step` and `by_time` (loss by timestep); frames: (step, picture (3, H, W)), at most 5.
    """
    columns = 6
    figure = Figure(figsize=(WIDTH, 4.75), layout="constrained", facecolor=PAPER)
    above, below = figure.subfigures(2, 1, height_ratios=(2.75, 2.0))
    left, right = above.subplots(1, 2)
    steps, losses = [e["step"] for e in log if "loss" in e], [e["loss"] for e in log if "loss" in e]
    left.plot(steps, losses, color=BLUE, linewidth=0.9)
    left.set(title="loss of each batch", xlabel="step")
    left.set_ylim(bottom=0)
    curves = [(e["step"], e["by_time"]) for e in log if "by_time" in e]
    shades = matplotlib.colormaps[SEQUENTIAL](np.linspace(0.9, 0.0, max(len(curves), 2)))
    for (step, by_time), shade in zip(curves, shades, strict=False):
        right.plot(list(by_time), list(by_time.values()), color=shade, marker="o", markersize=3, label=f"step {step}")
    right.plot(range(len(abar)), abar, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2, label="copying")
    right.set(title="held out, by timestep", xlabel="t")
    plain_log(right, (0.01, 2.2))
    right.set_ylim(0.01, 2.2)
    right.legend(fontsize="small", ncols=2, loc="lower left", handlelength=1.6, columnspacing=1, borderaxespad=0.1)
    panels = [Panel(to_image(picture), f"step {step}") for step, picture in frames]
    panels += [Panel(None, "")] * (columns - 1 - len(panels)) + [Panel(to_image(truth), "truth")]
    for axis, panel in zip(below.subplots(1, columns), panels, strict=True):
        draw_panel(axis, panel)
    told = [
        f"step {s}: " + ", ".join(f"{v:.3f} at t = {t}" for t, v in list(b.items())[:: max(1, len(b) - 1)]) for s, b in curves
    ]
    return described(
        figure,
        "Above left, the loss of every batch against the step. Above right, the held-out loss by timestep, a curve each time it "
        f"was measured, and a dashed line for copying the input: {'; '.join(told)}. Below, what the network paints into one "
        f"person at steps {', '.join(str(step) for step, _ in frames)}, and the truth.",
    )


# ---------------------------------------------------------------- 9. the trajectory


def _colours(trace: TryOnTrace, index: int):
    return latent_colours(trace.latents[-1][index])


def _moment(trace: TryOnTrace, step: int, index: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Latents after a step, the picture that it expects, and how far that is from the last one."""
    height = shown_size(*trace.garment.shape[-2:])[0]
    latents = latent_image(trace.latents[step][index], _colours(trace, index), height)
    estimate, last = trace.pred_original_images[step][index], trace.pred_original_images[-1][index]
    return latents, to_image(estimate), error_image(estimate, last, ERROR_HIGH)


@in_our_look
def step_figure(trace: TryOnTrace, step: int, abar: torch.Tensor, index: int = 0) -> Figure:
    """One step of a trace: where it is on the schedule, the latents after it, the picture it expects, what will still change.

    Raises `IndexError` for a step that the trace does not have.
    """
    if not 0 <= step < len(trace.timesteps):
        raise IndexError(f"step {step} of {len(trace.timesteps)}")
    figure, axes = new_figure(WIDTH, 3.1, 1, 4)
    chart, t, total = axes[0, 0], trace.timesteps[step], len(trace.timesteps)
    signal, noise = abar.sqrt(), (1 - abar).sqrt()
    chart.plot(signal, color=BLUE)
    chart.plot(noise, color=VERMILLION, linestyle=(0, (5, 2)))
    for s in trace.timesteps:
        chart.axvline(s, ymin=0, ymax=0.04, color=MUTED, linewidth=1)
    chart.axvline(t, color=HAIRLINE, linewidth=1)
    chart.plot([t, t], [signal[t], noise[t]], "o", color=MUTED, markersize=5)
    chart.set(title=f"step {step + 1} of {total}", xlabel=f"t = {t}", xlim=(len(abar), 0), ylim=(0, 1.02), yticks=(0, 0.5, 1))
    chart.set_box_aspect(1.0)
    chart.set_anchor("N")
    chart.text(0.98 * len(abar), 0.32, "signal", color=BLUE)
    chart.text(0.98 * len(abar), 0.84, "noise", color=VERMILLION)
    titles = "latents", "expected picture", "still to change"
    notes = "after this step", "estimate of x₀, decoded", f"bright: {ERROR_HIGH:g} of white"
    for axis, picture, title, note in zip(axes[0, 1:], _moment(trace, step, index), titles, notes, strict=True):
        draw_panel(axis, Panel(picture, title, note))
    apart = _apart(trace, step, index)
    return described(
        figure,
        f"Step {step + 1} of {total}, at t = {t}, where the signal's factor is {float(signal[t]):.2f} and the noise's "
        f"{float(noise[t]):.2f}: the latents after it in false colours, the picture that the step expects, and its difference to "
        f"the last one, on average {apart:.3f} of white.",
    )


def _apart(trace: TryOnTrace, step: int, index: int) -> float:
    """Mean difference of an estimate to the last one, as a share of white."""
    return float((trace.pred_original_images[step][index] - trace.pred_original_images[-1][index]).abs().mean() / 2)


@in_our_look
def trajectory_figure(trace: TryOnTrace, index: int = 0, columns: int = 7) -> Figure:
    """A trace from noise to picture: latents, expected picture and what will still change, at `columns` of its steps."""
    total = len(trace.timesteps)
    chosen = np.linspace(0, total - 1, min(columns, total)).round().astype(int).tolist()
    rows = [[], [], []]
    for step in chosen:
        for row, picture in zip(rows, _moment(trace, step, index), strict=True):
            row.append(Panel(picture, f"step {step + 1}" if row is rows[0] else ""))
        rows[2][-1].note = f"t = {trace.timesteps[step]}"
    told = ", ".join(f"step {step + 1} {_apart(trace, step, index):.3f}" for step in chosen)
    return panel_rows(
        rows,
        f"{len(chosen)} moments of a walk of {total} steps, a column each: the latents in false colours, from noise to the shape "
        "of a person; the picture that the step expects, from a first guess to the result; and its difference to the last one, "
        f"which grows dark. Mean difference as a share of white: {told}.",
        ["latents", "expected", "to change"],
    )
