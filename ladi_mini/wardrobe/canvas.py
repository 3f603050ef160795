"""Drawing with antialiased polygons, and the few curves that people and garments are made of.

Choices made here
- Lengths are in picture heights: y runs from 0 to 1, x from 0 to width / height, so a drawing does not know its size in pixels.
- A `Canvas` is premultiplied RGBA with a label for every pixel beside it; OpenCV's antialiased fill on a transparent canvas
  is then exactly the "over" operator, so layers can be drawn once and laid over several pictures.
- Level of detail: what is narrower than `FINEST` pixels of the picture is left out. OpenCV draws no antialiased shape thinner
  than a pixel of the canvas, so in a small picture such a detail would come out too strong, not too weak.
- Random numbers come from the generator that is given; colours are (r, g, b) from 0 to 255.
"""

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

import cv2
import numpy as np

SHIFT = 4  # fractional bits of the coordinates that OpenCV's drawing takes
SPILL = 0.6  # how far OpenCV's antialiased fill reaches beyond an outline, in pixels of the canvas
FINEST = 0.25  # width in pixels of the finest detail that is drawn
Colour = tuple[float, float, float]


class Frame:
    """Where a drawing lies in a picture: picture = origin + scale * drawing; a picture is 1 high, whatever its pixels."""

    def __init__(self, scale: float, x: float, y: float):
        self.scale, self.origin = scale, np.array((x, y))

    def __call__(self, points) -> np.ndarray:
        return self.origin + self.scale * np.asarray(points, float)


@dataclass(frozen=True)
class Size:
    """A canvas of `height` x `width` pixels, `factor` of which make one pixel of the picture that it is averaged to."""

    height: int
    width: int
    factor: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    def pixels(self, length: float) -> float:
        """A length in picture heights as pixels of the picture."""
        return length * self.height / self.factor

    def shows(self, length: float) -> bool:
        """Whether something so narrow, in picture heights, is worth drawing: level of detail is decided here alone."""
        return self.pixels(length) >= FINEST


class Raster:
    """The pixels of `size` under a drawing that lies in `frame`."""

    def __init__(self, size: Size, frame: Frame):
        self.size, self.frame = size, frame
        one = size.height << SHIFT
        self._scale, self._offset = frame.scale * one, frame.origin * one - (1 << SHIFT - 1)

    def shows(self, length: float) -> bool:
        """Whether something so narrow, in units of the drawing, is worth drawing."""
        return self.size.shows(length * self.frame.scale)

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the drawing as OpenCV's fixed-point pixel coordinates (a pixel's centre is a whole number)."""
        return np.rint(points * self._scale + self._offset).astype(np.int32)


class Canvas(Raster):
    """A transparent layer: `image` (h, w, 4) uint8 premultiplied RGBA and `label` (h, w) uint8, 0 where nothing is drawn.

    `fill` notes a shape; `draw` then draws all that were noted, in order. `box` is the (rows, columns) that hold them, as
    slices; it and what it holds are asked for when the layer is drawn.
    """

    def __init__(self, size: Size, frame: Frame):
        super().__init__(size, frame)
        self.image = np.zeros((*size.shape, 4), np.uint8)
        self.label = np.zeros(size.shape, np.uint8)
        self._shapes: list[tuple[np.ndarray, Colour, int | None]] = []
        self._low, self._high = size.shape[::-1], (0, 0)

    def fill(self, points: np.ndarray, colour: Colour, label: int | None = None):
        """A filled polygon; `points` (N, 2) in units of the drawing. With a label, its pixels get that label."""
        self._shapes.append((points, colour, label))

    def draw(self) -> "Canvas":
        """Draws the shapes; their points are converted together, which is most of the work in a small picture."""
        if not self._shapes:
            return self
        pixels = self.fixed(np.concatenate([points for points, _, _ in self._shapes]))
        start = 0
        for points, colour, label in self._shapes:
            shape = [pixels[start : start + len(points)]]
            start += len(points)
            cv2.fillPoly(self.image, shape, (*colour, 255), cv2.LINE_AA, SHIFT)
            if label is not None:
                cv2.fillPoly(self.label, shape, label, cv2.LINE_8, SHIFT)
        x, y, width, height = cv2.boundingRect(pixels)
        self._low = (x >> SHIFT) - 1, (y >> SHIFT) - 1
        self._high = ((x + width - 1) >> SHIFT) + 3, ((y + height - 1) >> SHIFT) + 3
        return self

    @cached_property
    def box(self) -> tuple[slice, slice]:
        h, w = self.label.shape
        (x0, y0), (x1, y1) = self._low, self._high
        return slice(min(max(y0, 0), h), min(max(y1, 0), h)), slice(min(max(x0, 0), w), min(max(x1, 0), w))

    @cached_property
    def alpha(self) -> np.ndarray:
        """The coverage inside `box`."""
        above = self.image[self.box]
        return cv2.extractChannel(above, 3) if above.size else np.zeros((0, 0), np.uint8)

    @cached_property
    def touched(self) -> np.ndarray:
        """(h, w) bool inside `box`: where anything is drawn."""
        return self.alpha > 0

    @cached_property
    def labelled(self) -> np.ndarray:
        """(h, w) bool inside `box`: where the layer is opaque and has a label."""
        return (self.alpha > 253) & (self.label[self.box] > 0)

    @cached_property
    def _colours(self) -> tuple[np.ndarray, np.ndarray]:
        return cv2.cvtColor(self.image[self.box], cv2.COLOR_BGRA2BGR), keep_of(self.alpha)

    def over(self, picture: np.ndarray):
        """This layer laid over `picture` (h, w, 3) uint8, in place."""
        if self.alpha.size:
            lay_over(picture[self.box], *self._colours)


def plain(shape: tuple[int, int], colour: Colour) -> np.ndarray:
    """A picture (h, w, 3) uint8 of one colour."""
    picture = np.empty((*shape, 3), np.uint8)
    return cv2.rectangle(picture, (0, 0), shape[::-1], colour, cv2.FILLED)


def keep_of(alpha: np.ndarray) -> np.ndarray:
    """What a layer of coverage `alpha` (h, w) uint8 leaves of the picture below, (h, w, 3) uint8."""
    return cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR)


def lay_over(picture: np.ndarray, premultiplied: np.ndarray, keep: np.ndarray):
    """`picture` <- premultiplied + keep x picture, all (h, w, 3) uint8, in place; `keep` as `keep_of` gives it."""
    cv2.add(cv2.multiply(picture, keep, scale=1 / 255), premultiplied, dst=picture)


@lru_cache(maxsize=256)
def steps(first: float, last: float, count: int) -> np.ndarray:
    """`np.linspace`, computed once; not to be written to."""
    values = np.linspace(first, last, count)
    values.flags.writeable = False
    return values


def points_of(x, y) -> np.ndarray:
    """(N, 2) points from their coordinates; one of the two may be a number."""
    points = np.empty((len(y) if np.ndim(x) == 0 else len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


@cache
def _circle(points: int) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack((np.cos(t), np.sin(t)), 1)


def ellipse(centre, radii, points: int = 24) -> np.ndarray:
    """(points, 2) outline of an ellipse with its axes along x and y."""
    return np.asarray(centre) + _circle(points) * np.asarray(radii)


@lru_cache(maxsize=1024)
def _hermite(knots: tuple[float, ...], at: bytes) -> np.ndarray:
    """(2K, N): what each value and each tangent at K knots adds to a piecewise cubic at the N places `at` (float64)."""
    places = np.frombuffer(at)
    step = np.diff(knots)
    place = np.interp(places, knots, np.arange(len(knots)))
    i = np.minimum(place.astype(int), len(step) - 1)
    t, n = place - i, np.arange(len(places))
    basis = np.zeros((2, len(knots), len(places)))
    basis[0, i + 1, n] = t * t * (3 - 2 * t)
    basis[0, i, n] = 1 - basis[0, i + 1, n]
    basis[1, i, n] = step[i] * t * (1 - t) ** 2
    basis[1, i + 1, n] = step[i] * t * t * (t - 1)
    return basis.reshape(-1, len(places))


def smooth(knots, values, at: np.ndarray) -> np.ndarray:
    """A monotone cubic through (knots, values), evaluated at `at` and constant beyond the ends (Fritsch-Carlson slopes)."""
    values = [float(value) for value in values]  # a few numbers: plain ones are quicker than arrays
    slopes = [(b - a) / (q - p) for (a, b), (p, q) in zip(pairwise(values), pairwise(knots), strict=True)]
    between = [2 * a * b / (a + b) if a * b > 0 else 0.0 for a, b in pairwise(slopes)]
    tangents = [slopes[0], *between, slopes[-1]]
    return np.array(values + tangents) @ _hermite(tuple(knots), at.tobytes())


@cache
def _curve_weights(per_piece: int) -> np.ndarray:
    t = np.linspace(0, 1, per_piece, endpoint=False)
    return 0.5 * np.stack((-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3), 1)


@lru_cache(maxsize=1024)
def _fixed_curve(points: tuple, per_piece: int) -> np.ndarray:
    return _curve(np.array(points, float), per_piece)


def _curve(p: np.ndarray, per_piece: int) -> np.ndarray:
    n = len(p)
    padded = np.empty((n + 2, 2))
    padded[1:-1], padded[0], padded[-1] = p, 2 * p[0] - p[1], 2 * p[-1] - p[-2]
    windows = np.stack((padded[: n - 1], padded[1:n], padded[2 : n + 1], padded[3:]), 1)
    pieces = _curve_weights(per_piece) @ windows
    return np.concatenate((pieces.reshape(-1, 2), p[-1:]))


def curve(points, per_piece: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through `points` (N, 2); shapes given as tuples are computed once."""
    return _fixed_curve(points, per_piece) if isinstance(points, tuple) else _curve(np.asarray(points, float), per_piece)


def band(centre_line: np.ndarray, half_width) -> np.ndarray:
    """The outline of a line (N, 2) with a half width (a number or (N,)): a limb, a strand, a stroke."""
    p = np.asarray(centre_line)
    direction = np.empty_like(p)
    direction[1:-1] = p[2:] - p[:-2]
    direction[0], direction[-1] = p[1] - p[0], p[-1] - p[-2]
    length = np.hypot(direction[:, 0], direction[:, 1]) + 1e-9
    normal = np.empty_like(p)
    normal[:, 0], normal[:, 1] = -direction[:, 1], direction[:, 0]
    normal *= (half_width / length)[:, None]
    return np.concatenate((p + normal, (p - normal)[::-1]))


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour `t` of the way from a to b."""
    return tuple(float(x + (y - x) * t) for x, y in zip(a, b, strict=True))


def shade(colour: Colour, t: float) -> Colour:
    """Darker by `t` (or lighter if negative), a little bluer in the dark, as shadows are."""
    return mix(colour, (28, 24, 44), t) if t > 0 else mix(colour, (255, 252, 246), -t)


def skin_shade(skin: Colour, t: float) -> Colour:
    """Skin in the shade: darker and warmer."""
    return mix(skin, (96, 36, 34), t)


def pick(rng: np.random.Generator, options):
    """One of `options`, all equally likely."""
    return options[int(rng.random() * len(options))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """`rng.uniform(low, high)`, the same number sooner: NumPy's own prepares for arrays."""
    return low + (high - low) * rng.random()
