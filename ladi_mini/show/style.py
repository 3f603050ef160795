"""One look for every figure: the palette, the colour maps, the font and its size.

Choices made here
- The colours are those of Okabe and Ito (2008), which readers with any common colour vision tell apart; a figure never relies
  on red against green.
- `SEQUENTIAL` and `DIVERGING` are matplotlib's perceptually even maps; amounts take the first, signed values the second.
- One font in one size. Bold says what a picture is and grey what to look for: emphasis without a second size.
- Figures are built on `matplotlib.figure.Figure`, not through pyplot, so making one leaves no global state behind.
"""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure
from PIL import ImageFont

BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW = "#56b4e9", "#cc79a7", "#f0e442"
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW)  # the order in which curves take them

INK, MUTED, HAIRLINE, MIST, PAPER = "#1b1f24", "#5c6670", "#d5dade", "#eef1f3", "#ffffff"

SEQUENTIAL = "viridis"
DIVERGING = "PuOr"

FONT_SIZE = 18  # pixels on a contact sheet, which notebooks show at about half its size
FIGURE_FONT_SIZE = 10  # points in a matplotlib figure: the same size beside it

RC = {
    "font.family": "DejaVu Sans",
    **{f"{name}.titlesize": FIGURE_FONT_SIZE for name in ("axes", "figure")},
    **{f"{name}.labelsize": FIGURE_FONT_SIZE for name in ("axes", "xtick", "ytick")},
    "font.size": FIGURE_FONT_SIZE,
    "legend.fontsize": FIGURE_FONT_SIZE,
    "legend.frameon": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "image.cmap": SEQUENTIAL,
    "lines.linewidth": 1.8,
    "figure.dpi": 110,
    "savefig.dpi": 110,
}


def new_figure(width: float = 7.0, height: float = 3.5, rows: int = 1, columns: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of `width` x `height` inches in this look, and its axes as an array (rows, columns)."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
        return figure, figure.subplots(rows, columns, squeeze=False)


def rgb(colour: str) -> np.ndarray:
    """(3,) float in [0, 1]."""
    return np.array(colors.to_rgb(colour))


@cache
def font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font of the contact sheets; matplotlib brings it, so every machine draws the same letters."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, FONT_SIZE)
