"""The figures of lesson 1: what two towers read, how a loss moves a matrix, what a trained pair finds and what it misses.

Choices made here
- Every figure is a pure function of tensors, pictures and words: nothing is encoded, trained or drawn at random here.
- A matrix has a row a picture and a column a sentence, as in the loss. Shares run from dark, 0, to bright; cosines and forces
  have a sign, so they take the diverging map with white at 0.
- Whatever can be got by guessing is drawn as a dashed line with the word "chance" beside it.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini.show.panels import WIDTH, described, draw_panel, in_our_look, panel_figure
from ladi_mini.show.pictures import to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import (
    BLUE,
    DIVERGING,
    GREEN,
    HAIRLINE,
    INK,
    MIST,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SEQUENTIAL,
    SKY,
    VERMILLION,
    new_figure,
)

DASHES = (0, (4, 3))
LINE = 0.19  # inches of one line of text
PAIR_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)
WORD_COLUMNS = 16  # characters of a caption that fit under a picture, six in a row

# ---------------------------------------------------------------- garments and their words


@in_our_look
def garments_figure(garments: Sequence[torch.Tensor], captions: Sequence[str], columns: int = 6) -> Figure:
    """Garments (3, H, W) in [-1, 1] with what is said of them."""
    panels = [
        Panel(to_image(garment), "", _wrapped(text, 6 * WORD_COLUMNS // columns))
        for garment, text in zip(garments, captions, strict=True)
    ]
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    return panel_figure(_even(rows), f"{len(captions)} garments lying flat, with their captions: {'; '.join(captions)}.")


@in_our_look
def patches_figure(garment: torch.Tensor, pixels: torch.Tensor, patch: int, tokens: Sequence[str], read: int) -> Figure:
    """What goes into the towers: a garment (3, H, W), its square pixels (3, S, S) in [0, 1] cut into patches, and a sentence's
    tokens, of which number `read` is where the sentence vector is taken."""
    figure = Figure(figsize=(WIDTH, 3.75), layout="constrained", facecolor=PAPER)
    grid = figure.add_gridspec(2, 3, height_ratios=(3.1, 1), width_ratios=(1, 1.35, 1.35))
    side, size = pixels.shape[1], pixels.shape[1] // patch
    square = (pixels.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    whole = Image.fromarray(square).resize((256, 256), Image.Resampling.NEAREST)
    draw_panel(figure.add_subplot(grid[0, 0]), Panel(to_image(garment), "garment", f"{garment.shape[1]} x {garment.shape[2]} px"))
    draw_panel(figure.add_subplot(grid[0, 1]), Panel(whole, "on a white square", f"{side} x {side} px"))
    gap, cell = 8, max(1, 256 // size // patch) * patch
    cut = np.full((size * (cell + gap) - gap,) * 2 + (3,), 214, np.uint8)
    for row in range(size):
        for column in range(size):
            piece = square[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            y, x = row * (cell + gap), column * (cell + gap)
            cut[y : y + cell, x : x + cell] = np.kron(piece, np.ones((cell // patch, cell // patch, 1), np.uint8))
    note = f"{size} x {size} = {size * size} tokens, and one to read"
    draw_panel(figure.add_subplot(grid[0, 2]), Panel(Image.fromarray(cut), "in patches", note))
    draw_tokens(figure.add_subplot(grid[1, :]), tokens, read)
    return described(
        figure,
        f"A garment, the same on a white square of {side} x {side} pixels, and the square cut into {size} x {size} patches, "
        f"which are the tokens of the image tower. Below, the tokens of its caption in boxes: {' '.join(tokens)}; the "
        f"sentence vector is read at {tokens[read]}.",
    )


def draw_tokens(axis: Axes, tokens: Sequence[str], read: int | None = None):
    """Tokens as boxes in as many lines as they need; the one that is read is filled."""
    x, y, wide = 0.0, 0.0, 86.0
    for number, token in enumerate(tokens):
        width = len(token) + 1.6
        if x + width > wide:
            x, y = 0.0, y + 1.5
        box = matplotlib.patches.FancyBboxPatch(
            (x, y), width, 1.05, boxstyle="round,pad=0,rounding_size=0.25", mutation_aspect=0.25,
            facecolor=INK if number == read else MIST, edgecolor=HAIRLINE,
        )  # fmt: skip
        axis.add_patch(box)
        axis.text(x + width / 2, y + 0.54, token, ha="center", va="center", color=PAPER if number == read else INK)
        x += width + 0.7
    axis.set(xlim=(-0.3, wide + 0.3), ylim=(y + 1.25, -0.2), xticks=(), yticks=())
    axis.set_title("sentence, in tokens")
    axis.set_xlabel("filled: where the sentence is read", color=MUTED, loc="left")
    for spine in axis.spines.values():
        spine.set_visible(False)


# ---------------------------------------------------------------- the loss


@in_our_look
def gradient_figure(cosines: torch.Tensor, scale: float) -> Figure:
    """Cosines (N, N), the two softmaxes of their logits, and how gradient descent moves each logit."""
    logits = scale * cosines.detach().double()
    rows, columns = logits.softmax(1), logits.softmax(0)
    n = len(logits)
    force = (2 * torch.eye(n, dtype=torch.float64) - rows - columns) / (2 * n)
    high = float(force.abs().max())
    figure, axes = new_figure(WIDTH, 2.95, 1, 4)
    _matrix(axes[0, 0], cosines, "cosines", "orange -1, white 0,\npurple 1", signed=1.0)
    _matrix(axes[0, 1], rows, "p, by row", "which sentence?\ndark 0, bright 1", high=1.0)
    _matrix(axes[0, 2], columns, "q, by column", "which picture?\ndark 0, bright 1", high=1.0)
    _matrix(axes[0, 3], force, "minus gradient", f"purple up, orange down,\nat most {high:.2g}", signed=high)
    up = int((force.diagonal() > 0).sum())
    down = int((force < 0).sum())
    return described(
        figure,
        f"Four matrices of {n} x {n} for {n} pairs: cosines; shares of each row; shares of each column; and minus the gradient, "
        f"which is positive at {up} of {n} places of the diagonal and negative at {down} of the {n * n - n} others.",
    )


def _matrix(axis: Axes, values: torch.Tensor, title: str, note: str = "", high: float | None = None, signed: float | None = None):
    """A square of values: amounts from 0 to `high`, or signed values from -`signed` to `signed`."""
    array = values.detach().double().cpu().numpy()
    limits = {"cmap": DIVERGING, "vmin": -signed, "vmax": signed} if signed else {"cmap": SEQUENTIAL, "vmin": 0, "vmax": high}
    axis.imshow(array, interpolation="nearest", **limits)
    axis.set(xticks=(), yticks=())
    axis.set_anchor("N")
    axis.set_title(title)
    axis.set_xlabel(note, color=MUTED, loc="left")
    for spine in axis.spines.values():
        spine.set(visible=True, color=HAIRLINE)


@in_our_look
def circle_figure(frames: Sequence[tuple[int, torch.Tensor, torch.Tensor, float]]) -> Figure:
    """Unit vectors of pictures (N, 2) and sentences (N, 2) on a circle at some steps: (step, pictures, sentences, loss)."""
    figure, axes = new_figure(WIDTH, WIDTH / len(frames) + 0.55, 1, len(frames))
    turn = np.linspace(0, 2 * np.pi, 200)
    for axis, (step, pictures, sentences, loss) in zip(axes[0], frames, strict=True):
        axis.plot(np.cos(turn), np.sin(turn), color=HAIRLINE, linewidth=1)
        for number, (picture, sentence) in enumerate(zip(pictures.tolist(), sentences.tolist(), strict=True)):
            colour = PAIR_COLOURS[number % len(PAIR_COLOURS)]
            axis.plot(*zip(picture, sentence, strict=True), color=colour, linewidth=1.2, alpha=0.7)
            axis.plot(*picture, "o", color=colour, markersize=9)
            axis.plot(*sentence, "s", color=PAPER, markeredgecolor=colour, markeredgewidth=2, markersize=6)
        axis.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xticks=(), yticks=(), title=f"step {step}")
        axis.set_xlabel(f"loss {loss:.2f}", color=MUTED, loc="left")
        for spine in axis.spines.values():
            spine.set_visible(False)
    first, last = frames[0], frames[-1]
    apart = [float((a * b).sum(1).mean()) for _, a, b, _ in (first, last)]
    return described(
        figure,
        f"{len(first[1])} pairs on a circle at steps {', '.join(str(frame[0]) for frame in frames)}: a disc for each picture, an "
        f"open square for its sentence in the same colour, a line between them. The mean cosine of a pair goes "
        f"from {apart[0]:.2f} to {apart[1]:.2f}, the loss from {first[3]:.2f} to {last[3]:.2f}.",
    )


# ---------------------------------------------------------------- temperature


def losses_at(cosines: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The contrastive loss of cosines (N, N) at each of `scales` (M,): (M,)."""
    logits = scales.double()[:, None, None] * cosines.detach().double()
    right = logits.diagonal(dim1=1, dim2=2)
    return (logits.logsumexp(2) + logits.logsumexp(1) - 2 * right).mean(1) / 2


def least_loss(count: int, scales: torch.Tensor) -> torch.Tensor:
    """The lowest loss that `count` pairs of unit vectors can have at each of `scales` (M,): (M,)."""
    return torch.log1p((count - 1) * torch.exp(-scales.double() * count / (count - 1)))


@in_our_look
def temperature_figure(cosines: torch.Tensor, scales: Sequence[float]) -> Figure:
    """The shares of each row at up to four scales, a matrix each; who is pushed away, by rank; the loss over all scales."""
    count = len(scales)
    top = WIDTH / max(count, 3) + 0.55
    if count == 1:
        figure, axes = new_figure(WIDTH, top, 1, 3)
        squares, push, curve = axes[0, :1], axes[0, 1], axes[0, 2]
    else:
        figure = Figure(figsize=(WIDTH, top + 2.7), layout="constrained", facecolor=PAPER)
        upper, lower = figure.subfigures(2, 1, height_ratios=(top, 2.7))
        squares, (push, curve) = upper.subplots(1, count), lower.subplots(1, 2)
    n, told = len(cosines), []
    looks = list(zip(PAIR_COLOURS, ("o", "s", "^", "D"), strict=False))
    others = ~torch.eye(n, dtype=torch.bool)
    every = torch.logspace(-0.3, 2.31, 120)
    losses = losses_at(cosines, every)
    curve.plot(every, losses, color=INK, label="these pairs")
    curve.plot(every, least_loss(n, every), color=MUTED, linestyle=(0, (1, 1.5)), label="the least there can be")
    curve.axhline(np.log(n), color=MUTED, linestyle=DASHES, linewidth=1.2)
    curve.text(1, np.log(n), " chance, log N", color=MUTED, va="bottom", ha="right", transform=curve.get_yaxis_transform())
    for (colour, mark), axis, scale in zip(looks, squares, scales, strict=False):
        shares = (scale * cosines.detach().double()).softmax(1)
        loss = float(losses_at(cosines, torch.tensor([scale])))
        _matrix(axis, shares, f"scale {scale:g}", f"loss {loss:.2f}; dark 0, bright 1", high=1.0)
        wrong = shares[others].view(n, n - 1)
        ranked = (wrong / wrong.sum(1, keepdim=True)).sort(1, descending=True).values.mean(0)
        push.plot(range(1, n), ranked, color=colour, marker=mark, markersize=4, label=f"scale {scale:g}")
        curve.plot([scale], [loss], mark, color=colour, markersize=8)
        hardest = float(ranked[0])
        told.append(f"at scale {scale:g} the loss is {loss:.2f} and the hardest of {n - 1} competitors takes {hardest:.0%} of it")
    push.set(title="who is pushed away", xlabel="competitor, hardest first", ylabel="share of the push", ylim=(0, None))
    push.legend()
    curve.set(title="loss", xlabel="scale (log)", xscale="log", ylim=(0, max(1.15 * np.log(n), float(losses.max()) * 1.05)))
    free = {"loc": "upper right", "bbox_to_anchor": (1.02, 0.86)}  # between the line of chance and the curves
    curve.legend(**free, handlelength=0.9, handletextpad=0.5)
    return described(
        figure,
        f"For {n} pairs, the shares that each row gives to its columns at {count} scale{'s' if count > 1 else ''}; how the "
        "push is divided among the competitors of a row; and the loss over the scale beside the lowest that is possible: "
        f"{'; '.join(told)}.",
    )


# ---------------------------------------------------------------- duplicates


def least_with_duplicates(labels: torch.Tensor) -> float:
    """The lowest loss of a batch whose pairs say what `labels` (N,) tell: pairs of one label cannot be told apart."""
    _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    return float(counts[inverse].double().log().mean())


def chance_of(labels: torch.Tensor) -> float:
    """How often a guess among N candidates has the right label (N,): more than 1 / N where labels repeat."""
    _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    return float(counts[inverse].double().mean() / len(labels))


# ---------------------------------------------------------------- training


@in_our_look
def training_figure(log: Sequence[dict], frames: Sequence[tuple[int, torch.Tensor]], batch: int, chance: float) -> Figure:
    """The live figure: loss, retrieval accuracy on held-out pairs, and their matrix of cosines as it changes.

    log: dicts with "step" and "loss", some also with "to_text" and "to_image", two shares; frames: (step, cosines (M, M));
    `batch` is N in the loss's chance level log N, `chance` that of the accuracies.
    """
    shown = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(5, len(frames)))})]
    figure = Figure(figsize=(WIDTH, 4.75), layout="constrained", facecolor=PAPER)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    loss, right = upper.subplots(1, 2)
    steps, values = zip(*[(entry["step"], entry["loss"]) for entry in log if "loss" in entry] or [(0, np.nan)], strict=True)
    loss.plot(steps, values, color=BLUE, linewidth=1.2)
    _chance(loss, float(np.log(batch)), "chance, log N")
    loss.set(title="training loss", xlabel="step", ylim=(0, 1.2 * np.log(batch)))
    measured = [entry for entry in log if "to_text" in entry]
    looks = (("to_text", "picture to sentence", GREEN, "o"), ("to_image", "sentence to picture", VERMILLION, "s"))
    for name, label, colour, mark in looks:
        at, share = [entry["step"] for entry in measured], [entry[name] for entry in measured]
        right.plot(at, share, color=colour, marker=mark, markersize=4, label=label)
    _chance(right, chance, f"chance, {chance:.1%}")
    right.set(title="found at first place, held out", xlabel="step", ylim=(-0.02, 1))
    right.legend(loc="upper left")
    for axis, entry in zip(lower.subplots(1, 5), [*shown, *[None] * (5 - len(shown))], strict=True):
        if entry is None:
            draw_panel(axis, Panel(None, ""))
        else:
            _matrix(axis, entry[1], f"step {entry[0]}", "", signed=1.0)
    last = measured[-1] if measured else {"step": 0, "to_text": 0.0, "to_image": 0.0}
    return described(
        figure,
        f"Above, the training loss with chance, log {batch}, dashed, and how often the right partner comes first on held-out "
        f"pairs: after {last['step']} steps {last['to_text']:.0%} from picture to sentence and {last['to_image']:.0%} from "
        f"sentence to picture, where chance is {chance:.1%}. Below, the cosines of {len(frames[0][1])} held-out pairs at "
        f"steps {', '.join(str(step) for step, _ in shown)}, orange below 0 and purple above.",
    )


def _chance(axis: Axes, level: float, text: str):
    axis.axhline(level, color=MUTED, linestyle=DASHES, linewidth=1.2)
    axis.text(0.99, level, text, color=MUTED, ha="right", va="bottom", transform=axis.get_yaxis_transform())


@in_our_look
def before_after_figure(before: torch.Tensor, after: torch.Tensor, groups: Sequence[str]) -> Figure:
    """Cosines (N, N) before and after training, and how both spread on and off the diagonal; `groups` (N,) names runs of rows."""
    figure, axes = new_figure(WIDTH, 3.4, 1, 3)
    _matrix(axes[0, 0], before, "before", "a row a picture,\na column a sentence", signed=1.0)
    _matrix(axes[0, 1], after, "after", "orange -1, white 0,\npurple 1", signed=1.0)
    starts = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    for axis in axes[0, :2]:
        for start in starts:
            axis.axhline(start - 0.5, color=MUTED, linewidth=0.6)
            axis.axvline(start - 0.5, color=MUTED, linewidth=0.6)
    edges = np.linspace(-1, 1, 61)
    spread, told = axes[0, 2], []
    others = ~torch.eye(len(after), dtype=torch.bool)
    for row, (name, values) in enumerate({"before": before, "after": after}.items()):
        for part, colour, label in ((values[others], ORANGE, "other pairs"), (values.diagonal(), BLUE, "own pairs")):
            height = np.histogram(part.detach().numpy(), edges)[0].astype(float)
            height = 0.85 * height / height.max()
            base = 1 - row
            shown = label if row else None
            spread.fill_between(edges[:-1], base, base + height, step="post", color=colour, alpha=0.75, label=shown)
            told.append(f"{name}, {label}: mean {float(part.mean()):.2f}")
    spread.set(title="cosines", xlim=(-1, 1), ylim=(0, 2.45), yticks=(0.4, 1.4), yticklabels=("after", "before"), xlabel="cosine")
    spread.tick_params(axis="y", length=0)
    spread.legend(loc="upper left", ncols=2, columnspacing=0.8, handlelength=1.0, borderaxespad=0.1)
    return described(
        figure,
        f"Cosines of {len(after)} pairs as a matrix before and after training, with hair lines between kinds of garment, and "
        f"their spread, each scaled to the same height. {'; '.join(told)}.",
    )


# ---------------------------------------------------------------- what a trained pair finds


@dataclass(frozen=True)
class Found:
    """A search to draw: the sentence, how it was read, and the nearest garments with their cosines and captions."""

    sentence: str
    tokens: Sequence[str]
    garments: Sequence[torch.Tensor]
    cosines: Sequence[float]
    captions: Sequence[str]


@in_our_look
def search_figure(searches: Sequence[Found]) -> Figure:
    """A row a sentence: the garments nearest to it, with their cosines and their own captions."""
    columns = max(len(found.garments) for found in searches)
    cell = WIDTH / columns - 0.12
    notes = [[_wrapped(text, 6 * WORD_COLUMNS // columns) for text in found.captions] for found in searches]
    heights = [cell * 4 / 3 + LINE * (1.9 + max(note.count("\n") + 1 for note in own)) + 0.12 for own in notes]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained", facecolor=PAPER)
    parts = figure.subfigures(len(searches), 1, squeeze=False, height_ratios=heights)[:, 0]
    told = []
    for part, found, own in zip(parts, searches, notes, strict=True):
        read = " ".join(f"[{token.strip('[]')}]" for token in found.tokens)
        part.suptitle(f"“{found.sentence}”", x=0.005, ha="left", fontweight="bold")
        for number, axis in enumerate(part.subplots(1, columns, squeeze=False)[0]):
            if number >= len(found.garments):
                draw_panel(axis, Panel(None, ""))
                continue
            draw_panel(axis, Panel(to_image(found.garments[number]), "", own[number]))
            axis.set_title(f"{found.cosines[number]:.2f}", color=MUTED, fontweight="normal", pad=4)
        told.append(f"for “{found.sentence}”, read as {read}: {'; '.join(found.captions)}")
    return described(figure, f"The garments nearest to a sentence, best first, with their cosines: {'. '.join(told)}.")


def read_words(pictures: torch.Tensor, sentences: torch.Tensor) -> torch.Tensor:
    """(B,) the number of the word that fits each picture (B, D) best, by the mean of its sentences (words, templates, D)."""
    words = torch.nn.functional.normalize(sentences.mean(1), dim=-1)
    return (pictures @ words.T).argmax(1)


@dataclass(frozen=True)
class Score:
    """An attribute read by zero-shot: how often right, by guessing, by always saying the commonest word, and of how many."""

    name: str
    right: float
    chance: float
    commonest: float
    classes: int
    count: int


@in_our_look
def zero_shot_figure(scores: Sequence[Score]) -> Figure:
    """How often each attribute is read right, beside guessing and beside always saying the commonest word."""
    figure, axes = new_figure(WIDTH, 0.36 * len(scores) + 1.1)
    axis = axes[0, 0]
    for row, score in enumerate(scores):
        axis.barh(row, score.right, color=BLUE, height=0.6)
        axis.plot([score.chance] * 2, (row - 0.38, row + 0.38), color=INK, linewidth=1.6, linestyle=(0, (2, 1.2)))
        axis.plot([score.commonest], [row], "D", color=ORANGE, markeredgecolor=INK, markersize=6)
        axis.text(1.02, row, f"{score.right:.0%}", va="center", fontweight="bold", transform=axis.get_yaxis_transform())
    axis.plot([], [], color=INK, linewidth=1.6, linestyle=(0, (2, 1.2)), label="chance")
    axis.plot([], [], "D", color=ORANGE, markeredgecolor=INK, linestyle="", label="always the commonest word")
    names = [f"{score.name}, 1 of {score.classes}" for score in scores]
    axis.set(xlim=(0, 1), yticks=range(len(scores)), yticklabels=names, ylim=(len(scores) - 0.4, -0.6), xlabel="share right")
    axis.tick_params(axis="y", length=0)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    told = [
        f"{score.name} {score.right:.0%} of {score.count} (chance {score.chance:.0%}, commonest word {score.commonest:.0%})"
        for score in scores
    ]
    return described(figure, f"Bars: how often an attribute is read right without training for it. {'; '.join(told)}.")


@in_our_look
def readings_figure(garments: Sequence[torch.Tensor], readings: Sequence[dict[str, tuple[str, str]]]) -> Figure:
    """Garments with what the model says of each: by attribute (said, true); what is wrong has a cross and the truth."""
    panels, told = [], []
    for garment, reading in zip(garments, readings, strict=True):
        lines = [f"✓ {said}" if said == true else f"✗ {said}\n   ({true})" for said, true in reading.values()]
        panels.append(Panel(to_image(garment), "", "\n".join(lines)))
        told.append(", ".join(said if said == true else f"{said}, in truth {true}" for said, true in reading.values()))
    return panel_figure(
        _even([panels]), f"{len(panels)} garments with what was read of each, a tick if right: {'; '.join(told)}."
    )


# ---------------------------------------------------------------- where it fails


@dataclass(frozen=True)
class Contrast:
    """Pairs that differ in one thing: how often right of how many decisions, how often all four of a pair, and how far the two
    pictures and the two sentences are apart, as 1 - cosine."""

    name: str
    to_text: float
    to_image: float
    together: float
    decisions: int
    pictures_apart: float
    sentences_apart: float
    smaller: float | None = None  # right sentences by a smaller pair of towers


def pair_scores(cosines: torch.Tensor) -> tuple[float, float, float]:
    """Of cosines (K, 2, 2), a row a picture: how often the right sentence is chosen for a picture, the right picture for a
    sentence, and how often a pair has all four decisions right."""
    sentence = cosines.diagonal(dim1=1, dim2=2) > cosines.flip(2).diagonal(dim1=1, dim2=2)
    picture = cosines.diagonal(dim1=1, dim2=2) > cosines.flip(1).diagonal(dim1=1, dim2=2)
    return tuple(float(right.double().mean()) for right in (sentence, picture, (sentence & picture).all(1)))


def interval(share: float, count: int, width: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` decisions."""
    middle = (share + width**2 / (2 * count)) / (1 + width**2 / count)
    half = width / (1 + width**2 / count) * np.sqrt(share * (1 - share) / count + width**2 / (4 * count**2))
    return float(middle - half), float(middle + half)


@in_our_look
def contrast_figure(contrasts: Sequence[Contrast]) -> Figure:
    """How often the right of two sentences, and of two pictures, is chosen; how often all four decisions
    of a pair are right; and how far apart each tower puts the two."""
    figure = Figure(figsize=(WIDTH, 0.36 * len(contrasts) + 1.3), layout="constrained", facecolor=PAPER)
    right, apart = figure.subplots(1, 2, width_ratios=(1.25, 1), sharey=True)
    looks = (("to_text", "right sentence", GREEN, "o", -0.14), ("to_image", "right picture", VERMILLION, "s", 0.14))
    told = []
    for row, each in enumerate(contrasts):
        for axis in (right, apart):
            axis.axhline(row, color=HAIRLINE, linewidth=0.8, zorder=0)
        for name, _, colour, mark, shift in looks:
            share = getattr(each, name)
            right.plot(interval(share, each.decisions), [row + shift] * 2, color=colour, linewidth=1.4)
            right.plot([share], [row + shift], mark, color=colour, markersize=6)
        apart.plot([each.pictures_apart], [row], "o", color=BLUE, markersize=7)
        apart.plot([each.sentences_apart], [row], "D", color=PAPER, markeredgecolor=ORANGE, markeredgewidth=2, markersize=6)
        if each.smaller is not None:
            right.plot([each.smaller], [row], "D", color=PAPER, markeredgecolor=MUTED, markersize=6, zorder=1)
        right.text(1.17, row, f"{each.together:.0%}", ha="right", va="center", fontweight="bold")
        told.append(
            f"{each.name}: right sentence {each.to_text:.0%}, right picture {each.to_image:.0%}, all four {each.together:.0%}"
        )
    right.axvline(0.5, color=MUTED, linestyle=DASHES, linewidth=1.2)
    right.text(0.5, -0.75, "chance ", color=MUTED, ha="right", va="center")
    for _, label, colour, mark, _ in looks:
        right.plot([], [], mark, color=colour, label=label)
    if any(each.smaller is not None for each in contrasts):
        right.plot([], [], "D", color=PAPER, markeredgecolor=MUTED, label="nano")
    apart.plot([], [], "o", color=BLUE, label="pictures")
    apart.plot([], [], "D", color=PAPER, markeredgecolor=ORANGE, markeredgewidth=2, label="sentences")
    right.text(1.17, -0.75, "all four", ha="right", va="center", fontweight="bold")
    right.set(
        xlim=(0.15, 1.19),
        xticks=(0.2, 0.4, 0.6, 0.8, 1.0),
        yticks=range(len(contrasts)),
        yticklabels=[each.name for each in contrasts],
    )
    right.set(ylim=(len(contrasts) - 0.5, -1.0), xlabel="share right, with 95 % interval")
    apart.set(xscale="log", xlabel="the two apart, 1 - cosine (log)")
    for axis in (right, apart):
        axis.tick_params(axis="y", length=0)
    right.set_title("chosen of two", pad=24)
    apart.set_title("how far each tower sees them apart", pad=24)
    for axis in (right, apart):
        axis.legend(loc="lower left", bbox_to_anchor=(-0.04, 0.985), ncols=3, columnspacing=0.8, handletextpad=0.1)
    return described(
        figure,
        f"Left, how often the right one of two is chosen when pairs differ in one thing, with chance at one half dashed. "
        f"{'; '.join(told)}. Right, on a log scale, how far apart the two pictures and the two sentences lie for their towers.",
    )


@in_our_look
def pairs_figure(pairs: Sequence[tuple[str, Sequence[torch.Tensor], Sequence[str]]]) -> Figure:
    """Examples of pairs that differ in one thing: (name, two pictures (3, H, W), two sentences), three pairs a row."""
    panels = []
    for name, pictures, sentences in pairs:
        for number, (picture, sentence) in enumerate(zip(pictures, sentences, strict=True)):
            panels.append(Panel(to_image(picture), "" if number else name, _wrapped(sentence, WORD_COLUMNS)))
    told = "; ".join(f"{name}: “{sentences[0]}” against “{sentences[1]}”" for name, _, sentences in pairs)
    rows = _even([panels[start : start + 6] for start in range(0, len(panels), 6)])
    return panel_figure(rows, f"Pairs of garments that differ in one thing, with a sentence for each. {told}.")


# ---------------------------------------------------------------- small helps


def _wrapped(text: str, columns: int) -> str:
    return "\n".join(textwrap.wrap(text, columns, break_long_words=False)) or " "


def _even(rows: Sequence[Sequence[Panel]]) -> list[list[Panel]]:
    """Panels of a row with notes of as many lines, so that they are drawn at one size."""
    even = []
    for row in rows:
        lines = max(panel.note.count("\n") for panel in row)
        padded = [panel.note + "\n " * (lines - panel.note.count("\n")) for panel in row]
        even.append([Panel(panel.picture, panel.title, note) for panel, note in zip(row, padded, strict=True)])
    return even
