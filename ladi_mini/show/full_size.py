"""The figures of lesson 8: what the full model weighs, how numbers round, what a GPU waits for, who is served worse.

Choices made here
- Every figure is a pure function of tensors, counted operations or a card: nothing is run, drawn at random or read from a file.
- What is measured is a filled mark, what is counted or computed a line or an open mark.
- `budget` extrapolates from the four runs of a card. It says which of its two causes, starting kernels or work, sets the time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, prod
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from ladi_mini.errors import InputError
from ladi_mini.show.panels import WIDTH, described, in_our_look, panel_figure
from ladi_mini.show.pictures import to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import BLUE, GREEN, HAIRLINE, INK, MIST, MUTED, ORANGE, PAPER, PURPLE, SKY, VERMILLION, new_figure

GIB = 2**30
KINDS = {  # of an operation of the denoiser, by PyTorch's name for it
    "convolutions": ("convolution",),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "attention": ("attention",),
    "normalisation": ("native_group_norm", "native_layer_norm"),
}
OTHER = "activations, sums, copies"
LOOKS = {
    "convolutions": (BLUE, "o"), "matrix products": (ORANGE, "s"), "attention": (GREEN, "^"), "normalisation": (VERMILLION, "D"),
    OTHER: (PURPLE, "v"),
}  # fmt: skip
PATHS = ("plain", "compiled")
PATH_LOOKS = {"plain": (BLUE, "o"), "compiled": (VERMILLION, "s")}


class Operation(NamedTuple):
    """One operation of a network: its name, its multiplications and additions, the bytes that it reads and writes."""

    name: str
    flops: float
    bytes: float


def kind_of(name: str) -> str:
    """The kind of an operation, one of `LOOKS`."""
    return next((kind for kind, names in KINDS.items() if name in names), OTHER)


def least_seconds(operation: Operation, flops_a_second: float, bytes_a_second: float) -> float:
    """What an operation takes if either the arithmetic or the memory is busy all the time."""
    return max(operation.flops / flops_a_second, operation.bytes / bytes_a_second)


def seconds_by_kind(operations: Iterable[Operation], flops_a_second: float, bytes_a_second: float) -> dict[str, float]:
    """`least_seconds` summed by kind, in the order of `LOOKS`."""
    found = dict.fromkeys(LOOKS, 0.0)
    for operation in operations:
        found[kind_of(operation.name)] += least_seconds(operation, flops_a_second, bytes_a_second)
    return found


# ---------------------------------------------------------------- 1. what the model weighs


@in_our_look
def sizes_figure(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Parameters of each component (rows) of each preset (a mark): `counts[preset][component]`, on a log scale."""
    names = sorted(next(iter(counts.values())), key=lambda name: max(sizes[name] for sizes in counts.values()))
    figure, axes = new_figure(WIDTH, 0.34 * len(names) + 0.9)
    axis, rows = axes[0, 0], np.arange(len(names))
    low, high = ([edge(sizes[name] for sizes in counts.values()) for name in names] for edge in (min, max))
    axis.hlines(rows, low, high, color=HAIRLINE, linewidth=2, zorder=1)
    for (preset, sizes), (colour, mark) in zip(counts.items(), ((SKY, "o"), (ORANGE, "s"), (BLUE, "D")), strict=False):
        axis.plot(
            [sizes[n] for n in names], rows, mark, color=colour, label=f"{preset}, {sum(sizes.values()) / 1e6:,.1f} M in all"
        )
    axis.set_yticks(rows, [name.replace("_", " ") for name in names])
    axis.set(xscale="log", xlabel="parameters", ylim=(-0.6, len(names) - 0.4))
    axis.legend(loc="lower right")
    told = "; ".join(f"{preset}: {sum(sizes.values()):,} in all, denoiser {sizes['unet']:,}" for preset, sizes in counts.items())
    return described(figure, f"Parameters of the model's components on a log scale, a mark a size of the model. {told}.")


@in_our_look
def levels_figure(levels: Mapping[str, tuple[float, float]]) -> Figure:
    """Shares of parameters and of arithmetic by level of the denoiser: `levels[name]` holds both, fine to coarse."""
    figure, axes = new_figure(WIDTH, 2.0)
    axis, colours = axes[0, 0], (BLUE, SKY, ORANGE, VERMILLION, PURPLE)
    totals, told = [sum(each[i] for each in levels.values()) for i in (0, 1)], []
    left = np.zeros(2)
    for (name, amounts), colour in zip(levels.items(), colours, strict=False):
        shares = np.array([amounts[0] / totals[0], amounts[1] / totals[1]])
        axis.barh([1, 0], shares, left=left, color=colour, edgecolor=PAPER, label=name, height=0.62)
        for y, start, share in zip((1, 0), left, shares, strict=True):
            if share > 0.05:
                ink = INK if colour in (SKY, ORANGE) else PAPER
                axis.text(start + share / 2, y, f"{share:.0%}", ha="center", va="center", color=ink)
        told.append(f"{name}: {shares[0]:.0%} of the parameters, {shares[1]:.0%} of the arithmetic")
        left += shares
    axis.set_yticks([1, 0], [f"parameters\n{totals[0] / 1e6:,.0f} M", f"arithmetic\n{totals[1] / 1e9:,.0f} GFLOP"])
    axis.set(xlim=(0, 1), xticks=())
    axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.02), ncols=len(levels), columnspacing=1.2, handlelength=1.2)
    for side in ("bottom", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(left=False)
    return described(figure, f"Two bars in shares by the level of the denoiser. {'; '.join(told)}.")


@in_our_look
def memory_figure(weights: Mapping[str, float], live: Mapping[str, float], peaks: Mapping[str, tuple[float, float]]) -> Figure:
    """Bytes of weights by component, and counted against measured peaks.

    weights: GiB by component; live: GiB alive for one picture at the peak of each part; peaks: counted and measured GiB by run.
    """
    figure, axes = new_figure(WIDTH, 2.7, 1, 2)
    names = sorted(weights, key=weights.get)
    axes[0, 0].barh(range(len(names)), [weights[n] for n in names], color=BLUE, height=0.7)
    for row, name in enumerate(names):
        axes[0, 0].text(weights[name] + 0.03, row, f"{weights[name]:.2f}", va="center", color=MUTED)
    axes[0, 0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes[0, 0].set(title="weights (GiB)", xlim=(0, 1.25 * max(weights.values())))
    axis = axes[0, 1]
    for row, (counted, measured) in enumerate(reversed(list(peaks.values()))):
        axis.plot([counted, measured], [row, row], color=HAIRLINE, linewidth=2, zorder=1)
        axis.plot(counted, row, "o", markerfacecolor=PAPER, color=BLUE, label="counted" if row == 0 else None)
        axis.plot(measured, row, "o", color=BLUE, label="measured" if row == 0 else None)
    axis.set_yticks(range(len(peaks)), list(reversed(peaks)))
    axis.set(title="peak with pictures (GiB)", xscale="log", ylim=(-0.6, len(peaks) + 0.5))
    ticks = (2, 4, 8, 16, 32)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(loc="upper left", ncols=2, handletextpad=0.2, columnspacing=1)
    told = "; ".join(f"{name}: counted {a:.2f}, measured {b:.2f} GiB" for name, (a, b) in peaks.items())
    alive = ", ".join(f"{name} {size:.2f}" for name, size in live.items())
    return described(
        figure,
        f"Left, bars of the weights by component, {sum(weights.values()):.2f} GiB in all, the largest "
        f"{names[-1].replace('_', ' ')} with {weights[names[-1]]:.2f}. Right, counted against measured peaks of memory. {told}. "
        f"Alive for one picture: {alive} GiB.",
    )


# ---------------------------------------------------------------- 2. precision


@in_our_look
def rounding_figure(
    x: torch.Tensor, rounded: Mapping[str, torch.Tensor], sums: Mapping[str, torch.Tensor], term: float
) -> Figure:
    """Left, how far rounding moves numbers x (N,), as a share of them, by type; right, a sum that should grow by `term` a step.

    rounded: the numbers after rounding, by type; sums: the running sum after each step, by type.
    """
    figure, axes = new_figure(WIDTH, 2.9, 1, 2)
    looks = dict(zip(rounded, ((BLUE, 0.9), (VERMILLION, 0.9), (GREEN, 0.9)), strict=False))
    left, right = axes[0]
    told = []
    for name, values in rounded.items():
        error = ((values.double() - x.double()) / x.double()).abs()
        middle = float(error[torch.isfinite(error)].median())
        left.plot(x, error.clamp(min=1e-7), ".", markersize=1.8, color=looks[name][0], rasterized=True)
        left.plot([], [], "o", markersize=5, color=looks[name][0], label=name)
        told.append(f"{name} moves half of the numbers by more than {middle:.2%}")
    left.set(xscale="log", yscale="log", title="rounding error, as a share", xlabel="the number", ylim=(1e-6, 20))
    left.legend(loc="upper center", ncols=2, handletextpad=0.1, columnspacing=1)
    for name, values in sums.items():
        colour = looks[name][0] if name in looks else MUTED
        right.plot(np.arange(len(values)), values, color=colour, label=f"{name}, ends at {float(values[-1]):.2f}")
    right.set(title=f"1 + {term:g} + {term:g} + ...", xlabel="terms")
    right.legend(loc="upper left")
    ends = "; ".join(f"in {name} it ends at {float(values[-1]):.2f}" for name, values in sums.items())
    return described(
        figure,
        f"Left, the rounding error against the size of a number: {'; '.join(told)}, the same over many decades, "
        f"until float16 runs out at both ends. Right, one plus {len(next(iter(sums.values()))) - 1} times {term:g}: {ends}.",
    )


@in_our_look
def trail_figure(trails: Mapping[str, tuple[Sequence[float], str, str]]) -> Figure:
    """How far latents are from the float32 ones after each step: `trails[name] = (errors, colour, "measured on ...")`."""
    figure, axes = new_figure(WIDTH, 2.8)
    axis, told = axes[0, 0], []
    for name, (errors, colour, style) in trails.items():
        axis.plot(np.linspace(0, 1, len(errors)), errors, color=colour, linestyle=style)
        axis.text(1.01, errors[-1], name, color=colour, va="center")
        told.append(f"{name}: {errors[0]:.2%} after the first step, {errors[-1]:.2%} at the end")
    axis.set(yscale="log", xlim=(0, 1.38), xticks=(0, 0.25, 0.5, 0.75, 1), xlabel="share of the steps done",
             title="distance to the float32 latents, as a share of them")  # fmt: skip
    axis.spines["bottom"].set_bounds(0, 1)
    return described(figure, f"The latents' distance to the float32 run against the steps, on a log scale. {'; '.join(told)}.")


# ---------------------------------------------------------------- 3. time


@in_our_look
def profile_figure(calls: Mapping[str, int], milliseconds: Mapping[str, float]) -> Figure:
    """Operators of one profiled step: shares of calls and of time by kind, as two bars."""
    figure, axes = new_figure(WIDTH, 1.9)
    axis, told, left = axes[0, 0], [], np.zeros(2)
    totals = sum(calls.values()), sum(milliseconds.values())
    for kind, (colour, _) in LOOKS.items():
        shares = np.array([calls.get(kind, 0) / totals[0], milliseconds.get(kind, 0) / totals[1]])
        axis.barh([1, 0], shares, left=left, color=colour, edgecolor=PAPER, label=kind, height=0.62)
        for y, start, share in zip((1, 0), left, shares, strict=True):
            if share > 0.05:
                axis.text(
                    start + share / 2, y, f"{share:.0%}", ha="center", va="center", color=INK if colour == ORANGE else PAPER
                )
        told.append(f"{kind}: {shares[0]:.0%} of the calls, {shares[1]:.0%} of the time")
        left += shares
    axis.set_yticks([1, 0], ["calls", "time"])
    axis.set(xlim=(0, 1), xticks=())
    for side in ("bottom", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(left=False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.02), ncols=3, columnspacing=1.2, handlelength=1.2)
    return described(figure, f"Two bars by kind of operator. {'; '.join(told)}.")


@in_our_look
def roofline_figure(operations: Mapping[int, Sequence[Operation]], flops_a_second: float, bytes_a_second: float) -> Figure:
    """The operations of one step on the roof of a machine, a panel a batch: `operations[batch]`.

    A kind of operation stands at its arithmetic intensity; the larger its mark, the more of the least time it takes.
    """
    figure, axes = new_figure(WIDTH, 3.6, 1, len(operations))
    ridge, told = flops_a_second / bytes_a_second, []
    span = np.geomspace(0.05, 1e4, 200)
    beside = dict(zip(LOOKS, ((0, 22), (-12, -24), (8, -24), (-20, 8), (22, 2)), strict=True))  # where a share is written
    for axis, (batch, listed) in zip(axes[0], operations.items(), strict=True):
        axis.axvspan(0.05, 1, color=MIST, linewidth=0)
        axis.plot(span, np.minimum(flops_a_second, span * bytes_a_second) / 1e12, color=MUTED, linewidth=1.2, zorder=1)
        axis.axvline(ridge, color=HAIRLINE, linewidth=1, zorder=0)
        whole = sum(least_seconds(each, flops_a_second, bytes_a_second) for each in listed)
        places = {"normalisation": 0.5, OTHER: 0.12}  # no products, so nothing that PyTorch's counter counts
        for kind, (colour, mark) in LOOKS.items():
            own = [each for each in listed if kind_of(each.name) == kind]
            share = sum(least_seconds(each, flops_a_second, bytes_a_second) for each in own) / whole
            flops, moved = sum(each.flops for each in own), sum(each.bytes for each in own)
            intensity = places[kind] if not flops else flops / moved
            roof = min(flops_a_second, intensity * bytes_a_second) / 1e12
            axis.scatter(intensity, roof, s=40 + 1500 * share, color=colour, marker=mark, alpha=0.75, linewidth=0, label=kind)
            note = {"textcoords": "offset points", "ha": "center", "va": "center", "color": INK}
            axis.annotate(f"{share:.0%}", (intensity, roof), xytext=beside[kind], **note)
            told.append(f"{batch} at once, {kind}: {share:.0%} of the least time")
        axis.set(xscale="log", yscale="log", xlim=(0.05, 1e4), xlabel="operations a byte", ylim=(0.1, 6e3))
        axis.set_title(f"{batch} {'pictures' if batch > 1 else 'picture'}: at least {1e3 * whole:.1f} ms a step")
        axis.text(0.058, 2.4e3, "no products", color=MUTED, fontsize="small")
        told.append(f"at least {1e3 * whole:.1f} ms a step in all")
    axes[0, 0].set_ylabel("reachable TFLOP/s")
    axes[0, 0].text(ridge, 0.13, " ridge", color=MUTED)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.2)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return described(
        figure,
        f"Operations of one denoising step under a slanted roof, memory, and a flat one, arithmetic, that meet at {ridge:.0f} "
        f"operations a byte; a mark a kind, its size its share of the time. {'; '.join(told)}.",
    )


@in_our_look
def kinds_figure(bound: Mapping[str, float], measured: Mapping[str, float], batch: int) -> Figure:
    """Milliseconds of one step of `batch` pictures by kind: the least that counting allows, and what was measured."""
    figure, axes = new_figure(WIDTH, 0.42 * len(bound) + 0.9)
    axis, names = axes[0, 0], list(reversed(bound))
    rows = np.arange(len(names))
    axis.barh(rows + 0.19, [bound[n] for n in names], height=0.36, facecolor=PAPER, edgecolor=BLUE, label="least, counted")
    axis.barh(rows - 0.19, [measured[n] for n in names], height=0.36, color=BLUE, label="measured")
    for row, name in zip(rows, names, strict=True):
        axis.text(max(bound[name], measured[name]) + 0.4, row, f"{measured[name] / bound[name]:.1f} x", va="center", color=MUTED)
    axis.set_yticks(rows, names)
    axis.set(xlabel=f"milliseconds a step of {batch} pictures", xlim=(0, 1.12 * max([*bound.values(), *measured.values()])))
    axis.legend(loc="center right", bbox_to_anchor=(1, 0.4))
    told = "; ".join(f"{name}: at least {bound[name]:.1f}, measured {measured[name]:.1f} ms" for name in bound)
    return described(figure, f"Bars by kind of work, the least possible time and the measured one, {batch} pictures. {told}.")


@dataclass(frozen=True)
class Budget:
    """What `budget` says: seconds a call, pictures a second, GiB, and whether "starting kernels" or "work" sets the time."""

    seconds: float
    pictures_a_second: float
    gib: float
    limit: str


def budget(card: Mapping, batch: int, path: str = "compiled", bits: int = 16, height: int = 512) -> Budget:
    """Time and memory of one call of the full model for `batch` pictures of `height` pixels, from a card of `bench full`.

    The time is the longer of two: what one picture takes, which does not shrink, and `batch` times what a picture costs in a full
    batch, scaled by the arithmetic at this height. The memory is the weights, a rest, and the same for each picture. Exact where
    the card measured (1 and the card's batch, 16 bits, the card's height), a rule of thumb elsewhere; 32 bits have no time (NaN).
    Raises `InputError` for a batch, path, precision or height that there is none for.
    """
    if batch < 1 or height < 64 or path not in PATHS or bits not in (16, 32):
        got = f"batch {batch}, path {path!r}, bits {bits}, height {height}"
        raise InputError(
            f"there is no budget for {got}; give a batch from 1, a path of {PATHS}, 16 or 32 bits, a height from 64."
        )
    one, many = card[path], card[f"{path}_batch"]
    scale = (height / card["size"][0]) ** 2
    work = card["plain"]["arithmetic"]["gflop_a_step_by_kind"]
    attention = sum(amount for name, amount in work.items() if "attention" in name)
    more = ((sum(work.values()) - attention) * scale + attention * scale**2) / sum(work.values())
    start, each = one["seconds"]["median"], min(many["seconds"]) / many["batch"] * more
    seconds = max(start, batch * each)
    picture = (many["peak_memory_gib"] - one["peak_memory_gib"]) / (many["batch"] - 1)
    rest = one["peak_memory_gib"] - card["memory"]["modules_gib"] - picture
    gib = bits / 16 * (card["memory"]["modules_gib"] + rest + picture * scale * batch)
    limit = "starting kernels" if start > batch * each else "work"
    return Budget(seconds, batch / seconds, gib, limit) if bits == 16 else Budget(nan, nan, gib, "not measured")


def marked_points(card: Mapping, path: str) -> list[tuple[int, float, float]]:
    """(batch, seconds, GiB) of the two measured runs of a path."""
    one, many = card[path], card[f"{path}_batch"]
    return [(1, one["seconds"]["median"], one["peak_memory_gib"]), (many["batch"], min(many["seconds"]), many["peak_memory_gib"])]


@in_our_look
def budget_figure(
    card: Mapping, batch: int | None = None, path: str = "compiled", bits: int = 16, height: int = 512, gib: float = 24
) -> Figure:
    """The calculator: seconds a picture and memory against the batch, with the card's measured runs as filled marks.

    `batch` None marks the largest that fits into `gib`; with a number, that one is marked.
    """
    figure, axes = new_figure(WIDTH, 3.3, 1, 2)
    batches = np.unique(np.geomspace(1, 64, 80).round().astype(int))
    native = bits == 16 and height == card["size"][0]
    fitting = [int(b) for b in range(1, 65) if budget(card, b, path, bits, height).gib <= gib]
    chosen = batch if batch is not None else (fitting[-1] if fitting else 1)
    for name, (colour, mark) in PATH_LOOKS.items():
        found = [budget(card, int(b), name, bits, height) for b in batches]
        faint = {"alpha": 1.0 if name == path else 0.4}
        axes[0, 0].plot(batches, [1 / each.pictures_a_second for each in found], color=colour, label=name, **faint)
        axes[0, 1].plot(batches, [each.gib for each in found], color=colour, label=name, **faint)
        if native:
            for count, seconds, memory in marked_points(card, name):
                axes[0, 0].plot(count, seconds / count, mark, color=colour)
                axes[0, 1].plot(count, memory, mark, color=colour)
    now = budget(card, chosen, path, bits, height)
    look = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgecolor": INK, "linestyle": ""}
    axes[0, 0].plot(chosen, now.seconds / chosen, **look)
    axes[0, 1].plot(chosen, now.gib, **look)
    axes[0, 1].axhline(gib, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axes[0, 1].text(1, gib * 1.04, f"{gib:g} GiB", color=MUTED, va="bottom")
    ticks = (1, 2, 4, 8, 16, 32, 64)
    for axis, title in zip(axes[0], ("seconds a picture", "memory (GiB)"), strict=True):
        axis.set(xscale="log", yscale="log", title=title, xlabel="pictures at once")
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.xaxis.minorticks_off()
        low, high = axis.get_ylim()
        marks = [m for m in (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100, 200) if low <= m <= high]
        axis.set_yticks(marks, [f"{m:g}" for m in marks])
        axis.yaxis.minorticks_off()
    axes[0, 0].legend(loc="best")
    width = height * card["size"][1] // card["size"][0]
    spent = "time not measured" if bits == 32 else f"{now.seconds:.2f} s a call, set by {now.limit}"
    fits = "fits into" if now.gib <= gib else "does not fit into"
    said = f"{chosen} at once, {path}, {bits} bits, {height} x {width}: {spent}; {now.gib:.1f} GiB {fits} {gib:g} GiB"
    figure.suptitle(said, x=0.01, ha="left", color=MUTED)
    ends = f"The largest batch that fits is {fitting[-1]}" if fitting else "Not even one picture fits"
    known = "Filled marks are the card's measured runs." if native else "The card measured nothing at these settings."
    return described(
        figure, f"Two panels against the number of pictures at once, seconds a picture and memory. {said}. {ends}. {known}"
    )


# ---------------------------------------------------------------- 4. several GPUs


@in_our_look
def ring_figure(history: Sequence[torch.Tensor]) -> Figure:
    """A ring all-reduce: `history[step]` (workers, chunks) is of how many workers each chunk is the sum so far."""
    count = len(history)
    figure, axes = new_figure(WIDTH, 1.5, 1, count)
    workers, chunks = history[0].shape
    for step, (axis, held) in enumerate(zip(axes[0], history, strict=True)):
        axis.imshow(held, vmin=0, vmax=workers, cmap="Blues")
        for row in range(workers):
            for column in range(chunks):
                amount = int(held[row, column])
                axis.text(column, row, str(amount), ha="center", va="center", color=PAPER if amount > workers / 2 else INK)
        axis.set(xticks=(), yticks=())
        axis.set_title("start" if step == 0 else f"send {step}", loc="center")
        if step == 0:
            axis.set_yticks(range(workers), [f"GPU {i}" for i in range(workers)])
            axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return described(
        figure,
        f"{count} small tables, a row a GPU and a column a chunk of the gradient: the numbers say how many GPUs' gradients are "
        f"in the chunk. They grow along diagonals from 1 to {workers} in {workers - 1} sends; {workers - 1} more fill all cells.",
    )


@in_our_look
def resume_figure(whole: Sequence[float], parts: Sequence[tuple[int, Sequence[float]]]) -> Figure:
    """Losses of an undisturbed run, and of one that was stopped: `parts` are (first step, losses) of each of its stretches."""
    figure, axes = new_figure(WIDTH, 2.6)
    axis = axes[0, 0]
    axis.plot(range(len(whole)), whole, color=HAIRLINE, linewidth=6, label="never stopped", solid_capstyle="round")
    for number, (first, losses) in enumerate(parts):
        colour = (BLUE, VERMILLION, GREEN, ORANGE)[number % 4]
        axis.plot(
            range(first, first + len(losses)), losses, "o-", color=colour, markersize=4, linewidth=1.2, label=f"call {number + 1}"
        )
        if number:
            axis.axvline(first - 0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axis.set(title="training loss", xlabel="step", ylim=(0, None))
    axis.legend(loc="upper right", ncols=len(parts) + 1)
    stops = ", ".join(str(first) for first, _ in parts[1:])
    return described(figure, f"The loss of a run of {len(whole)} steps as a wide grey line, and on it the coloured losses of the "
                             f"same run in {len(parts)} calls, stopped at step {stops}.")  # fmt: skip


# ---------------------------------------------------------------- 5. who is served worse


def tone_colour(tone: Sequence[int]) -> tuple[float, ...]:
    """An 8-bit colour as matplotlib's."""
    return tuple(part / 255 for part in tone)


@in_our_look
def tones_figure(tones: Sequence[Sequence[int]], rows: Mapping[str, Sequence[tuple[float, float, float] | None]]) -> Figure:
    """Values by skin tone, a panel a name of `rows`: (mean, low, high) for each tone, None where there are too few people."""
    figure, axes = new_figure(WIDTH, 2.9, 1, len(rows))
    told = []
    for axis, (name, values) in zip(axes[0], rows.items(), strict=True):
        known = [(place, *value) for place, value in enumerate(values) if value is not None]
        if min(low for _, _, low, _ in known) < 0:
            axis.axhline(0, color=MUTED, linewidth=1)
        for place, mean, low, high in known:
            axis.plot([place, place], [low, high], color=INK, linewidth=1.4, zorder=2)
            axis.plot(place, mean, "o", markersize=11, color=tone_colour(tones[place]), markeredgecolor=INK, zorder=3)
        axis.set(title=name, xlim=(-0.7, len(tones) - 0.3), xlabel="skin tone of the person, light to dark", xticks=())
        first, last = known[0], known[-1]
        told.append(f"{name}: {first[1]:.1f} for the lightest and {last[1]:.1f} for the darkest tone shown")
    return described(
        figure,
        f"For each skin tone a dot in that tone with a 95 % interval, {len(rows)} panels. {'; '.join(told)}.",
    )


@in_our_look
def people_figure(true: torch.Tensor, hidden: torch.Tensor, made: torch.Tensor, notes: Sequence[str]) -> Figure:
    """People (B, 3, H, W) in [-1, 1]: as they are, as the model sees them, repainted; a column a person, with a note."""
    titles = ("true", "given", "repainted")
    rows = [[Panel(to_image(picture), "", "") for picture in pictures] for pictures in (true, hidden)]
    rows.append([Panel(to_image(picture), "", note) for picture, note in zip(made, notes, strict=True)])
    return panel_figure(
        rows,
        f"{len(notes)} drawn people in columns: as they are, with the part that is to be repainted hidden, and repainted by "
        f"the model in their own garment. Lightness of the skin: {'; '.join(notes)}.",
        titles,
    )


# ---------------------------------------------------------------- 6. real data


@in_our_look
def pixels_off_figure(off: Mapping[str, torch.Tensor]) -> Figure:
    """How far rounding a grid moves what it fetches: (H, W) pixels by type, on one scale."""
    high = max(float(each.max()) for each in off.values())
    figure, axes = new_figure(0.75 * WIDTH, 3.1, 1, len(off))
    told = []
    for axis, (name, each) in zip(axes[0], off.items(), strict=True):
        image = axis.imshow(each, vmin=0, vmax=high)
        axis.set(xticks=(), yticks=(), title=name)
        axis.set_xlabel(f"at most {float(each.max()):.2f} px", color=MUTED, loc="left")
        told.append(f"{name}: {float(each.mean()):.2f} px on average, {float(each.max()):.2f} px at most")
    figure.colorbar(image, ax=axes[0].tolist(), shrink=0.8, label="pixels")
    return described(
        figure, f"By how many pixels a grid's places move when they are rounded, a picture a type. {'; '.join(told)}."
    )


def gigabytes(parameters: int, bits: int) -> float:
    """GiB of that many numbers of `bits` bits."""
    return prod((parameters, bits)) / 8 / GIB


__all__ = [
    "LOOKS", "OTHER", "Budget", "Operation", "budget", "budget_figure", "gigabytes", "kind_of", "kinds_figure", "least_seconds",
    "levels_figure", "marked_points", "memory_figure", "people_figure", "pixels_off_figure", "profile_figure", "resume_figure",
    "ring_figure", "roofline_figure", "rounding_figure", "seconds_by_kind", "sizes_figure", "tones_figure", "trail_figure",
]  # fmt: skip
