"""What a lesson's first cell asks for: the same seeds and look every time, and figures that say what is seen in them.

Choices made here
- A figure needs an alt text, or it is not shown. It is stored where IPython puts it, in the output's metadata, which nbconvert
  and the book read, and as the output's plain text, for every reader that shows no pictures. JupyterLab 4 reads neither yet.
- A picture is stored as PNG, with a palette where that is not seen, or as JPEG, whichever is lighter: flat colours and lines are
  sharper and lighter as PNG. A palette is as small as it can be without a patch anywhere, such as a gradient, that shows it.
  WebP would be lighter still, but nbconvert and the book show none.
- Nothing here is needed by the library; a notebook without it runs all the same.
"""

import base64
import io
import os
import random
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ladi_mini.course.answers import check
from ladi_mini.errors import InputError

JPEG_QUALITY = 75  # against 85 a fifth lighter and 1 dB worse, which is not seen at the shown size
JPEG_GAIN = 0.75  # JPEG blurs edges, so it must be this much lighter to be worth it
PALETTES = (32, 64, 128, 256)  # colours
PALETTE_ERROR = 2.0  # mean square of the error in steps of 1/255, as 45 dB: not seen
PATCH, PATCH_ERROR = 16, 32.0  # side of a patch in pixels, and what its error may be, 33 dB, where a palette has fewer than 256

_SHOWN: dict[str, int | None] = {}  # display_id: the execution that showed it


def start(lesson: str) -> None:
    """Begins a lesson: seeds 0 for random, NumPy and PyTorch, the course's look for figures, an empty table of exercises."""
    import matplotlib
    import torch

    from ladi_mini.show.style import RC

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    matplotlib.rcParams.update(RC)
    check.start(lesson)


def data(name: str) -> Path:
    """The file `data/name` of this repository, wherever a notebook lies; `InputError` if it is not there."""
    root = os.environ.get("LADI_MINI_COURSE")
    path = (Path(root) if root else Path(__file__).parents[2]) / "data" / name
    if not path.exists():
        raise InputError(
            f"{path} does not exist; a lesson needs a clone of the whole repository, installed with `pip install -e`."
        )
    return path


def show(figure, alt: str | None = None, display_id: str | None = None) -> None:
    """Shows a matplotlib figure or a PIL picture with its alt text, which is `picture.info["alt"]` if none is given.

    `alt` says what is seen, not what the figure is called. With a `display_id`, a second call in the same run of a cell
    replaces the picture of the first, which is how training is watched. Raises `InputError` without an alt text.
    """
    from IPython import get_ipython
    from IPython.display import display

    picture = figure if isinstance(figure, Image.Image) else _drawn(figure)
    alt = " ".join((alt or picture.info.get("alt") or "").split())
    if not alt:
        raise InputError('this figure has no alt text; give show(figure, alt="...") a sentence that says what is seen in it.')
    data, metadata = encode(picture, alt)
    shell = get_ipython()
    run = shell.execution_count if shell else None
    update = display_id is not None and _SHOWN.get(display_id, -1) == run
    if display_id is not None:
        _SHOWN[display_id] = run
    named = {} if display_id is None else {"display_id": display_id, "update": update}
    display(data, raw=True, metadata=metadata, **named)


def encode(picture: Image.Image, alt: str) -> tuple[dict, dict]:
    """A picture as the data and metadata of a notebook's output, in the lighter of PNG and JPEG."""
    kind, content = lighter(picture)
    return {kind: base64.b64encode(content).decode("ascii"), "text/plain": alt}, {kind: {"alt": alt}}


def lighter(picture: Image.Image) -> tuple[str, bytes]:
    """(MIME type, file) of a picture as PNG, or as JPEG where that is smaller than `JPEG_GAIN` times the PNG."""
    png, jpeg = io.BytesIO(), as_jpeg(picture)
    _few_colours(_on_paper(picture)).save(png, "PNG", optimize=True)
    return ("image/jpeg", jpeg) if len(jpeg) < JPEG_GAIN * png.tell() else ("image/png", png.getvalue())


def as_jpeg(picture: Image.Image) -> bytes:
    """A picture as JPEG, as a notebook would have it."""
    jpeg = io.BytesIO()
    _on_paper(picture).save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return jpeg.getvalue()


def _few_colours(picture: Image.Image) -> Image.Image:
    """An RGB picture with the smallest palette that has all its colours or is not seen, else as it is."""
    colours = picture.getcolors(max(PALETTES))
    for count in PALETTES:
        if colours is not None and len(colours) <= count:
            return picture.quantize(len(colours), dither=Image.Dither.NONE)
        if _error(picture, picture.quantize(count, dither=Image.Dither.NONE)).mean() > 4 * PALETTE_ERROR:
            continue  # k-means gains a factor of 1.5 to 3, and takes seconds where there are many colours
        fewer = picture.quantize(count, kmeans=1, dither=Image.Dither.NONE)
        error = _error(picture, fewer)
        even = count == max(PALETTES) or cv2.blur(error, (PATCH, PATCH)).max() < PATCH_ERROR
        if error.mean() < PALETTE_ERROR and even:
            return fewer
    return picture


def _error(picture: Image.Image, fewer: Image.Image) -> np.ndarray:
    """(H, W): the mean square of the error of each pixel's colours."""
    apart = cv2.absdiff(np.asarray(fewer.convert("RGB")), np.asarray(picture))
    return np.square(apart, dtype=np.float32).mean(2)


def _on_paper(picture: Image.Image) -> Image.Image:
    """RGB, with what was transparent made white; what the picture says of itself is left behind."""
    if picture.mode in ("RGBA", "LA", "P"):
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    plain = picture.convert("RGB")
    plain.info = {}
    return plain


def _drawn(figure) -> Image.Image:
    """A matplotlib figure as a picture, at its own resolution."""
    if not hasattr(figure, "savefig"):
        fix = "give a matplotlib figure or a PIL picture"
        raise InputError(f"show() was given {type(figure).__name__}, expected a figure; {fix}.")
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=figure.dpi)
    plt.close(figure)  # or the notebook would show it a second time, without its alt text
    file.seek(0)
    return Image.open(file)
