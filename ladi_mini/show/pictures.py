"""One tensor, one picture: images, masks, pose and parse maps, warps, latents, heat maps. Used by every lesson.

Choices made here
- Every function is pure: tensors in, a PIL picture out, nothing is changed or shown.
- A picture is drawn `HEIGHT` pixels high. Small ones grow by a whole factor without smoothing, so that a student sees the
  pixels that the model sees; large ones are resampled (Lanczos).
- Lines are drawn at the shown size and not enlarged with the picture.
- A warp has two pictures, because a grid (for each pixel of the body its place in the garment) is read in two directions:
  `mesh_on_garment` draws where the body's regular lattice picks its colours, `mesh_on_body` how the garment's regular lattice
  lies on the body.
- Latents are shown in false colour: their three main directions as red, green and blue, the same directions for a whole row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ladi_mini.sample import PARSE_LABELS
from ladi_mini.show.style import BLUE, GREEN, INK, MIST, ORANGE, PAPER, SEQUENTIAL, VERMILLION, rgb

HEIGHT = 256  # pixels: 4 x nano, 1 x mini, 1/2 x full

LIMBS = (  # pairs of COCO-18 keypoints, from the neck outwards
    (1, 2), (2, 3), (3, 4), (1, 8), (8, 9), (9, 10), (0, 14), (14, 16),  # the person's right
    (1, 5), (5, 6), (6, 7), (1, 11), (11, 12), (12, 13), (0, 15), (15, 17),  # left
    (0, 1),
)  # fmt: skip
RIGHT, LEFT = (2, 3, 4, 8, 9, 10, 14, 16), (5, 6, 7, 11, 12, 13, 15, 17)
JOINT_COLOURS = tuple(VERMILLION if j in RIGHT else BLUE if j in LEFT else GREEN for j in range(18))

PARSE_COLOURS = {  # by what it is: the body in warm greys, what is worn in the palette, left darker than right
    "background": "#ffffff", "hat": "#5c6670", "hair": "#3b2f2f", "glove": "#7a5195", "sunglasses": "#1b1f24",
    "upper": "#0072b2", "dress": "#cc79a7", "coat": "#004c78", "socks": "#8c6d00", "pants": "#009e73",
    "neck": "#d9b99b", "scarf": "#f0e442", "skirt": "#56b4e9", "face": "#ecd3bd", "left_arm": "#c58f65", "right_arm": "#e3b48f",
    "left_leg": "#a8744c", "right_leg": "#c99b76", "left_shoe": "#a63f00", "right_shoe": "#d55e00",
}  # fmt: skip

# ---------------------------------------------------------------- pictures and their size


def shown_size(height: int, width: int, shown: int = HEIGHT) -> tuple[int, int]:
    """(height, width) at which a picture is drawn: a whole multiple where it is small, `shown` high where it is large."""
    if height <= shown:
        factor = max(1, round(shown / height))
        return height * factor, width * factor
    return shown, round(width * shown / height)


def to_image(image: torch.Tensor, shown: int | None = HEIGHT) -> Image.Image:
    """An image (3, H, W) in [-1, 1] as a picture; what lies outside the range is clipped. `shown=None` keeps its size."""
    pixels = image.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    return picture if shown is None else _resize(picture, shown_size(*pixels.shape[:2], shown))


def _resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    whole = size[0] % picture.height == 0 and size[1] % picture.width == 0
    return picture.resize(size[::-1], Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)


def _pixels(image: torch.Tensor, shown: int) -> np.ndarray:
    """(h, w, 3) float in [0, 1] at the shown size."""
    return np.asarray(to_image(image, shown)).astype(np.float64) / 255


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _enlarge(maps: torch.Tensor, size: tuple[int, int], mode: str) -> np.ndarray:
    """(C, H, W) to (C, *size); `mode` as in torch's interpolate."""
    smooth = {} if mode in ("nearest", "nearest-exact") else {"align_corners": False}
    return F.interpolate(maps.detach().float().cpu()[None], size, mode=mode, **smooth)[0].numpy()


def _blend(below: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return below + alpha[..., None] * (colour - below)


# ---------------------------------------------------------------- masks, poses, labels


def mask_image(mask: torch.Tensor, over: torch.Tensor | None = None, shown: int = HEIGHT) -> Image.Image:
    """A mask (1, H, W) in {0, 1}: orange where it is 1, laid over the image `over` (3, H, W) or on light grey."""
    size = shown_size(*mask.shape[-2:], shown)
    inside = _enlarge(mask, size, "nearest")[0]
    below = _pixels(over, shown) if over is not None else np.broadcast_to(rgb(MIST), (*size, 3))
    return _picture(_blend(below, rgb(ORANGE), inside * (1.0 if over is None else 0.8)))


def pose_image(pose_map: torch.Tensor, over: torch.Tensor | None = None, shown: int = HEIGHT) -> Image.Image:
    """A pose map (18, H, W) in [0, 1]: every heat map in its colour and the skeleton through the peaks.

    The person's right is orange-red, their left blue, nose and neck green; an empty heat map draws nothing.
    """
    h, w = pose_map.shape[-2:]
    size = shown_size(h, w, shown)
    canvas = _pixels(over, shown) if over is not None else np.ones((*size, 3))
    for heat, colour in zip(_enlarge(pose_map, size, "bilinear"), JOINT_COLOURS, strict=True):
        canvas = _blend(canvas, rgb(colour), np.clip(heat, 0, 1) * 0.85)
    peaks = pose_map.detach().float().cpu().flatten(1).max(1)
    seen = peaks.values > 0.5  # a joint beyond the edge leaves only the skirt of its heat map inside
    x, y = (peaks.indices % w + 0.5) * size[1] / w - 0.5, (peaks.indices // w + 0.5) * size[0] / h - 0.5
    points = torch.stack([x, y], 1).numpy()
    for a, b in LIMBS:
        if seen[a] and seen[b]:
            _line(canvas, points[[a, b]], JOINT_COLOURS[b], 2)
    for joint in range(len(points)):
        if seen[joint]:
            _dot(canvas, points[joint], JOINT_COLOURS[joint], size[0] / 80)
    return _picture(canvas)


def parse_image(parse: torch.Tensor, shown: int = HEIGHT) -> Image.Image:
    """A label map (H, W) of `PARSE_LABELS` in `PARSE_COLOURS`."""
    table = np.array([rgb(PARSE_COLOURS[name]) for name in PARSE_LABELS])
    return _resize(_picture(table[parse.cpu().numpy()]), shown_size(*parse.shape, shown))


def parse_legend(*parses: torch.Tensor) -> list[tuple[str, str]]:
    """(colour, label) of every label but the background that any of the label maps has, in the order of `PARSE_LABELS`."""
    present = sorted({int(label) for parse in parses for label in parse.unique()} - {0})
    return [(PARSE_COLOURS[PARSE_LABELS[label]], PARSE_LABELS[label].replace("_", " ")) for label in present]


# ---------------------------------------------------------------- warps


def mesh_on_garment(
    grid: torch.Tensor,
    garment: torch.Tensor,
    control_points: torch.Tensor | None = None,
    visible: torch.Tensor | None = None,
    lines: int = 9,
    shown: int = HEIGHT,
) -> Image.Image:
    """Where the body picks its colours: a regular lattice of body pixels, drawn at its places in the garment.

    grid (H, W, 2) in [-1, 1], garment (3, H, W) in [-1, 1], control_points (N, 2) in [-1, 1], visible (1, H, W): where the
    grid counts. `lines` upright lines, as many level ones as keep the cells square. The identity draws straight lines.
    """
    h, w = grid.shape[:2]
    size = shown_size(*garment.shape[-2:], shown)
    canvas = _fade(_pixels(garment, shown))
    places = _to_pixels(grid, garment.shape[-2:], size)
    shows = np.ones((h, w), bool) if visible is None else visible[0].cpu().numpy() > 0.5
    for row in np.linspace(0, h - 1, round(lines * h / w)).round().astype(int):
        for run in _runs(shows[row]):
            _line(canvas, places[row, run], VERMILLION, 1)
    for column in np.linspace(0, w - 1, lines).round().astype(int):
        for run in _runs(shows[:, column]):
            _line(canvas, places[run, column], BLUE, 1)
    if control_points is not None:
        for point in _to_pixels(control_points, garment.shape[-2:], size):
            _dot(canvas, point, INK, 3)
    return _picture(canvas)


def mesh_on_body(
    grid: torch.Tensor, image: torch.Tensor, visible: torch.Tensor | None = None, lines: int = 9, shown: int = HEIGHT
) -> Image.Image:
    """How the garment lies on the body: a regular lattice on the garment, drawn where the warp puts it.

    grid (H, W, 2) in [-1, 1]; image (3, H, W) is what it is drawn over; visible (1, H, W): where the grid counts. `lines`
    upright lines across the garment, as many level ones as keep the cells square; nothing is drawn beyond its picture.
    """
    h, w = grid.shape[:2]
    size = shown_size(h, w, shown)
    canvas = _fade(_pixels(image, shown))
    places = _enlarge(grid.permute(2, 0, 1), size, "bicubic").astype(np.float64)
    shows = (np.abs(places) <= 1).all(0)
    if visible is not None:
        shows &= _enlarge(visible, size, "nearest")[0] > 0.5
    for axis, count, colour in ((1, round(lines * h / w), VERMILLION), (0, lines, BLUE)):
        level = (places[axis] + 1) / 2 * count - 0.5  # a line wherever this is whole; the outermost lie inside the picture
        slope = np.hypot(*np.gradient(level))
        distance = np.abs(level - np.round(level)) / np.maximum(slope, 1e-6)  # to the nearest line, in shown pixels
        canvas = _blend(canvas, rgb(colour), np.clip(1.2 - distance, 0, 1) * shows)
    return _picture(canvas)


def _fade(pixels: np.ndarray) -> np.ndarray:
    """Half-way to paper, so that lines stand out."""
    return _blend(pixels, rgb(PAPER), np.full(pixels.shape[:2], 0.5))


def _to_pixels(points: torch.Tensor, size: tuple[int, int], shown: tuple[int, int]) -> np.ndarray:
    """Points (..., 2) of a picture of `size` in [-1, 1] (align_corners=True) to pixels of the picture as shown."""
    height_width = np.array([size[1], size[0]], float), np.array([shown[1], shown[0]], float)
    pixels = (points.detach().double().cpu().numpy() + 1) / 2 * (height_width[0] - 1)
    return (pixels + 0.5) * height_width[1] / height_width[0] - 0.5


def _runs(shows: np.ndarray) -> list[slice]:
    """The stretches of two places and more where `shows` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], shows, [False]))))
    return [slice(a, b) for a, b in edges.reshape(-1, 2) if b - a > 1]


def _line(canvas: np.ndarray, points: np.ndarray, colour: str, thickness: int):
    """Draws a polyline into `canvas` (h, w, 3) in [0, 1], in place."""
    _draw(canvas, colour, lambda layer: cv2.polylines(layer, [_fixed(points)], False, 255, thickness, cv2.LINE_AA, SHIFT))


def _dot(canvas: np.ndarray, point: np.ndarray, colour: str, radius: float):
    """Draws a disc with a paper rim into `canvas`, in place."""
    for fill, grown in ((PAPER, radius + 1.2), (colour, radius)):
        _draw(
            canvas, fill, lambda layer, r=grown: cv2.circle(layer, _fixed(point), round(r * FIXED), 255, -1, cv2.LINE_AA, SHIFT)
        )


SHIFT = 4  # OpenCV draws at whole multiples of 1/16 px
FIXED = 1 << SHIFT


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points, -1e5, 1e5) * FIXED).astype(np.int32)


def _draw(canvas: np.ndarray, colour: str, draw: Callable[[np.ndarray], object]):
    layer = np.zeros(canvas.shape[:2], np.uint8)
    draw(layer)
    canvas[:] = _blend(canvas, rgb(colour), layer / 255)


# ---------------------------------------------------------------- latents and amounts


@dataclass(frozen=True)
class LatentColours:
    """A false-colour code for latents: rgb = 1/2 + `directions` (3, z) x (latents - `mean` (z,)), clipped to [0, 1]."""

    mean: torch.Tensor
    directions: torch.Tensor


def latent_colours(latents: torch.Tensor) -> LatentColours:
    """The code that spreads latents (z, h, w) best: their three main directions on one scale, three
    standard deviations of the first to each side."""
    values = latents.detach().float().cpu().flatten(1).T
    mean = values.mean(0)
    _, spread, axes = torch.linalg.svd(values - mean, full_matrices=False)
    axes, spread = axes[:3], spread[0] / len(values) ** 0.5
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # else the colours of two runs may be inverted
    directions = torch.zeros(3, latents.shape[0])
    directions[: len(axes)] = axes / (6 * spread.clamp_min(1e-6))
    return LatentColours(mean, directions)


def latent_image(latents: torch.Tensor, colours: LatentColours | None = None, shown: int = HEIGHT) -> Image.Image:
    """Latents (z, h, w) in false colour; give one `latent_colours` to all pictures that are to be compared."""
    code = colours or latent_colours(latents)
    values = latents.detach().float().cpu().flatten(1) - code.mean[:, None]
    image = (2 * code.directions @ values).view(3, *latents.shape[1:])
    return to_image(image, shown)


def heat_image(
    amount: torch.Tensor,
    low: float,
    high: float,
    over: torch.Tensor | None = None,
    size: tuple[int, int] | None = None,
    shown: int = HEIGHT,
) -> Image.Image:
    """Amounts (H, W) from `low` (dark) to `high` (bright) in `SEQUENTIAL`, laid half over the image `over` (3, H, W) if given.

    `size` (height, width) is that of the picture it belongs to, where the amounts are coarser; they are then smoothed.
    """
    base = tuple(over.shape[-2:]) if over is not None else size or tuple(amount.shape)
    target = shown_size(*base, shown)
    mode = "nearest-exact" if base == tuple(amount.shape) else "bilinear"
    values = np.clip((_enlarge(amount[None], target, mode)[0] - low) / max(high - low, 1e-12), 0, 1)
    colours = matplotlib.colormaps[SEQUENTIAL](values)[..., :3]
    return _picture(colours if over is None else (colours + _pixels(over, shown)) / 2)


def error_image(image: torch.Tensor, truth: torch.Tensor, high: float = 0.5, shown: int = HEIGHT) -> Image.Image:
    """How far two images (3, H, W) in [-1, 1] are apart: mean over colours of the difference, 0 (dark) to `high` of white."""
    return heat_image((image.detach().float().cpu() - truth.detach().float().cpu()).abs().mean(0) / 2, 0.0, high, shown=shown)
