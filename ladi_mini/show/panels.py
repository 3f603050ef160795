"""What the figures of all lessons are made of: panels in rows, in one look and width, with their words in `figure.alt`.

Choices made here
- A figure is as wide as the column of a notebook; its height follows from the shapes of the pictures and the lines of text.
- Rows share the height as their pictures do; titles and notes are margins, so rows of pictures of one shape are equally high.
- `panel_figure` leaves room for notes of several lines and for pictures apart; `panel_rows` packs them closely.
"""

from collections.abc import Callable, Sequence
from functools import wraps

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini.show.pictures import to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import HAIRLINE, INK, MUTED, PAPER, RC

WIDTH = 8.2  # inches
LINE = 0.2  # inches of one line of text
DPI = 100


def in_our_look(make: Callable[..., Figure]) -> Callable[..., Figure]:
    """The function, run in the look of `style`: matplotlib reads most settings when a title is set, not when a figure is made."""

    @wraps(make)
    def made(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(RC):
            return make(*args, **kwargs)

    return made


def described(figure: Figure, alt: str) -> Figure:
    """The figure at its size on the page, with its words in `figure.alt`."""
    figure.set_dpi(DPI)
    figure.alt = alt
    return figure


@in_our_look
def panel_figure(rows: Sequence[Sequence[Panel]], alt: str, labels: Sequence[str] = (), width: float = WIDTH) -> Figure:
    """Pictures in rows, each with a bold title above and a grey note below; `labels` name the rows at their left.

    A panel without a picture is an empty place. Raises `ValueError` without a picture.
    """
    columns = max(map(len, rows), default=0)
    pictures = [panel.picture for row in rows for panel in row if panel.picture is not None]
    if not pictures:
        raise ValueError("a figure of panels needs at least one picture")
    cell = (width - (0.3 if labels else 0)) / columns - 0.12
    tall = [cell * max((p.picture.height / p.picture.width for p in row if p.picture is not None), default=1) for row in rows]
    lines = [any(p.title for p in row) + max(p.note.count("\n") + 1 if p.note else 0 for p in row) for row in rows]
    size = width, sum(tall) + LINE * sum(lines) + 0.14 * len(rows) + 0.06
    return described(_laid_out(rows, labels, size, tall), alt)  # pictures alone: text is margin


@in_our_look
def panel_rows(rows: Sequence[Sequence[Panel]], alt: str, labels: Sequence[str] = (), width: float = WIDTH) -> Figure:
    """Rows of pictures, each with a bold title above and a grey note below; `labels` name the rows at their left.

    All pictures of a row have one height, and rows of pictures of one shape are equally high.
    """
    columns = max(map(len, rows))
    cell = (width - (0.28 if labels else 0)) / columns - 0.07
    tall = [cell * max(p.picture.height / p.picture.width for p in row if p.picture) for row in rows]
    text = [any(p.title for p in row) + any(p.note for p in row) for row in rows]
    return described(_laid_out(rows, labels, (width, sum(tall) + LINE * sum(text) + 0.08 * len(rows)), tall), alt)


def _laid_out(
    rows: Sequence[Sequence[Panel]], labels: Sequence[str], size: tuple[float, float], ratios: Sequence[float]
) -> Figure:
    """The panels on a page of `size` inches, rows as high as `ratios` say; places at the end of a short row stay empty."""
    columns = max(map(len, rows))
    figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=ratios)
    for number, row in enumerate(rows):
        for axis, panel in zip(axes[number], [*row, *[Panel(None, "")] * (columns - len(row))], strict=True):
            draw_panel(axis, panel)
        if labels:
            axes[number, 0].set_ylabel(labels[number], fontweight="bold", color=INK)
    return figure


def draw_panel(axis: Axes, panel: Panel):
    """A picture on `axis` without ticks; an empty place where there is none."""
    axis.set_anchor("N")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(visible=panel.picture is not None, color=HAIRLINE)
    if panel.picture is not None:
        axis.imshow(panel.picture)
    axis.set_title(panel.title, pad=4)
    axis.set_xlabel(panel.note, color=MUTED, loc="left", labelpad=3)


def square_around(region: torch.Tensor, margin: float = 0.0) -> tuple[int, int, int, int]:
    """The square (left, top, right, bottom) around a region (H, W), wider by `margin`, as far as the picture reaches."""
    rows, columns = region.any(1).nonzero()[:, 0], region.any(0).nonzero()[:, 0]
    if not len(rows):
        return 0, 0, min(region.shape), min(region.shape)
    side = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    side = min(round(side * (1 + 2 * margin)), *region.shape)
    left, top = (
        min(max((int(ends[0]) + int(ends[-1]) + 1 - side) // 2, 0), size - side)
        for ends, size in ((columns, region.shape[1]), (rows, region.shape[0]))
    )
    return left, top, left + side, top + side


def crop(image: torch.Tensor, box: tuple[int, int, int, int]) -> Image.Image:
    """A square of an image (3, H, W), 256 pixels wide."""
    return to_image(image, None).crop(box).resize((256, 256), Image.Resampling.NEAREST)
