"""Drawing with antialiased polygons, and the few curves that people and garments are made of.

Choices made here
- Lengths are in picture heights: y runs from 0 to 1, x from 0 to width / height, so a drawing does not know its size in pixels.
- A `Canvas` is premultiplied RGBA with a label for every pixel beside it; OpenCV's antialiased fill on a transparent canvas
  is then exactly the "over" operator, so layers can be drawn once and laid over several pictures.
- Nothing here draws random numbers; colours are (r, g, b) from 0 to 255.
"""

import cv2
import numpy as np

SHIFT = 4  # fractional bits of the coordinates that OpenCV's drawing takes
Colour = tuple[float, float, float]


class Canvas:
    """A transparent layer: `image` (h, w, 4) uint8 premultiplied RGBA and `label` (h, w) uint8, 0 where nothing is drawn."""

    def __init__(self, height: int, width: int):
        self.image = np.zeros((height, width, 4), np.uint8)
        self.label = np.zeros((height, width), np.uint8)

    def fill(self, points: np.ndarray, colour: Colour, label: int | None = None):
        """A filled polygon; `points` (N, 2) in picture heights. With a label, its pixels get that label."""
        pixels = to_pixels(points, self.image.shape[0])
        cv2.fillPoly(self.image, [pixels], (*colour, 255), cv2.LINE_AA, SHIFT)
        if label is not None:
            cv2.fillPoly(self.label, [pixels], label, cv2.LINE_8, SHIFT)

    def over(self, picture: np.ndarray) -> np.ndarray:
        """This layer laid over `picture` (h, w, 3) uint8, in place."""
        rows, columns = np.flatnonzero(self.image[..., 3].any(1)), np.flatnonzero(self.image[..., 3].any(0))
        if len(rows) == 0:
            return picture
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        lay_over(picture[box], self.image[box][..., :3], self.image[box][..., 3])
        return picture


def lay_over(picture: np.ndarray, premultiplied: np.ndarray, alpha: np.ndarray):
    """`picture` <- premultiplied + (1 - alpha) picture, all uint8, in place."""
    keep = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2BGR)
    cv2.add(cv2.multiply(picture, keep, scale=1 / 255), premultiplied, dst=picture)


def to_pixels(points: np.ndarray, height: int) -> np.ndarray:
    """Points in picture heights as OpenCV's fixed-point pixel coordinates (a pixel's centre is a whole number)."""
    return np.round((np.asarray(points, np.float64) * height - 0.5) * (1 << SHIFT)).astype(np.int32)


def ellipse(centre, radii, angle: float = 0.0, points: int = 28) -> np.ndarray:
    """(points, 2) outline of an ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack((centre[0] + c * x - s * y, centre[1] + s * x + c * y), 1)


def smooth(knots, values, at) -> np.ndarray:
    """A monotone cubic through (knots, values), evaluated at `at` and constant beyond the ends (Fritsch-Carlson slopes)."""
    knots, values = np.asarray(knots, float), np.asarray(values, float)
    step, rise = np.diff(knots), np.diff(values)
    slope = rise / step
    inner = np.where(slope[1:] * slope[:-1] > 0, 2 * slope[1:] * slope[:-1] / (slope[1:] + slope[:-1] + 1e-12), 0.0)
    tangent = np.concatenate(([slope[0]], inner, [slope[-1]]))
    at = np.clip(at, knots[0], knots[-1])
    i = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(step) - 1)
    t = (at - knots[i]) / step[i]
    h = step[i]
    return (
        values[i] * (1 + 2 * t) * (1 - t) ** 2
        + tangent[i] * h * t * (1 - t) ** 2
        + values[i + 1] * t * t * (3 - 2 * t)
        + tangent[i + 1] * h * t * t * (t - 1)
    )


def curve(points, per_piece: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through `points` (N, 2)."""
    p = np.asarray(points, float)
    p = np.concatenate((2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]))
    t = np.linspace(0, 1, per_piece, endpoint=False)[:, None]
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    pieces = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate((pieces.reshape(-1, 2), p[-2:-1]))


def band(centre_line: np.ndarray, half_width) -> np.ndarray:
    """The outline of a line (N, 2) with a half width (a number or (N,)): a limb, a strand, a stroke."""
    direction = np.gradient(centre_line, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    normal = np.stack((-direction[:, 1], direction[:, 0]), 1) * np.broadcast_to(half_width, len(centre_line))[:, None]
    return np.concatenate((centre_line + normal, (centre_line - normal)[::-1]))


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour `t` of the way from a to b."""
    return tuple(float(x + (y - x) * t) for x, y in zip(a, b, strict=True))


def shade(colour: Colour, t: float) -> Colour:
    """Darker by `t` (or lighter if negative), a little bluer in the dark, as shadows are."""
    return mix(colour, (28, 24, 44), t) if t > 0 else mix(colour, (255, 252, 246), -t)
