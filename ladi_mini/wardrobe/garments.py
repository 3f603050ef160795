"""Garments lying flat: the product photograph, cut into the panels that are later worn.

Choices made here
- A garment is cut for the average body (`people.Body()`), so a point of it has a height `v` on that body and, between the two
  edges of its panel, a relative place `u`; sleeves have `s` along the arm and a distance from the arm's middle.
- A flat garment is a list of `Part`s, each with its own picture and coverage. What one part hides of another in the
  photograph (a sleeve over a side seam) is known from `Flat.owner`, so the true warp never points at a hidden spot.
- Hems of tops lie at one height of the body: what a top covers of the trousers is the same for every top, and the
  unpaired truth differs only where the inpaint mask allows it.
- Patterns are coarse (a stripe is at least 2 pixels at 64 x 48 when worn) and colours come in chosen pairs.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ladi_mini.wardrobe import letters
from ladi_mini.wardrobe.canvas import (
    SHIFT,
    SPILL,
    Colour,
    Frame,
    Raster,
    Size,
    band,
    between,
    curve,
    ellipse,
    mix,
    pick,
    plain,
    points_of,
    shade,
    smooth,
    steps,
)  # fmt: skip
from ladi_mini.wardrobe.captions import COLOURS, KINDS, PATTERNS, PRINTABLE, SLEEVES, UNWANTED, WORDLESS, Attributes
from ladi_mini.wardrobe.people import (
    ANKLE,
    ARMPIT,
    CROTCH,
    HEM,
    HIP,
    KNEE,
    LEVELS,
    NECK,
    SHOULDER,
    WAIST,
    Arm,
    Body,
)  # fmt: skip

PAIRS = {  # what goes with a colour, for patterns, trims and prints
    "white": ("navy", "black", "red", "blue", "green", "coral", "grey", "teal"),
    "cream": ("rust", "navy", "olive", "brown", "burgundy", "teal"),
    "grey": ("white", "navy", "black", "coral", "yellow"),
    "charcoal": ("white", "mustard", "sky", "coral", "mint"),
    "black": ("white", "cream", "red", "yellow", "pink", "mint"),
    "navy": ("white", "cream", "red", "mustard", "sky", "pink"),
    "blue": ("white", "navy", "yellow", "cream", "orange"),
    "sky": ("white", "navy", "coral", "blue"),
    "teal": ("white", "cream", "mustard", "coral", "mint"),
    "green": ("white", "cream", "navy", "yellow", "mint"),
    "mint": ("white", "teal", "navy", "coral"),
    "olive": ("cream", "white", "mustard", "black", "rust"),
    "yellow": ("white", "navy", "charcoal", "teal"),
    "mustard": ("white", "navy", "cream", "burgundy"),
    "orange": ("white", "navy", "cream", "brown"),
    "rust": ("cream", "white", "navy", "mustard"),
    "coral": ("white", "navy", "cream", "teal"),
    "red": ("white", "navy", "cream", "black"),
    "burgundy": ("cream", "pink", "mustard", "white"),
    "pink": ("white", "burgundy", "red", "navy", "charcoal"),
    "plum": ("cream", "lavender", "mustard", "pink"),
    "lavender": ("white", "plum", "navy", "charcoal"),
    "brown": ("cream", "beige", "mustard", "sky"),
    "beige": ("white", "brown", "navy", "rust", "black"),
}
KIND_SLEEVES = {
    "t-shirt": ("short-sleeve",), "shirt": ("long-sleeve",), "tank top": ("sleeveless",), "hoodie": ("long-sleeve",),
    "buttoned shirt": ("short-sleeve", "long-sleeve"), "dress": SLEEVES,
}  # fmt: skip
NECK_SIZES = {  # half width and depth in body heights
    "crew": (0.036, 0.026), "v": (0.038, 0.062), "scoop": (0.047, 0.05), "square": (0.05, 0.042),
    "high": (0.032, 0.0), "collar": (0.034, 0.035), "hood": (0.038, 0.03),
}  # fmt: skip
TEXT_SIZES = (0.0, 0.105, 0.069, 0.051)  # heights of a print of so many characters, so that arms at rest do not hide it
TROUSER_COLOURS = (
    "navy",
    "black",
    "charcoal",
    "grey",
    "beige",
    "olive",
    "brown",
    "blue",
    "white",
    "burgundy",
    "teal",
    "rust",
    "cream",
    "sky",
)


SLEEVE_S = np.linspace(-0.2, 1.1, 66)  # places along an arm, 0 at the shoulder and 1 at the wrist
_SLEEVE_ARM = Arm(1, np.zeros(2), np.array((0.0, 1.0)), np.array((0.0, 2.0)), radius=1.0).half_width(SLEEVE_S)
_SLEEVE_EASE = smooth((0.0, 0.25, 1.0), (0.3, 1.0, 0.9), np.clip(SLEEVE_S, 0, 1))
AVERAGE, STRIDE, STRADDLE = Body(), Body(stance=0.076), Body(stance=0.125)  # legs apart, so that they lie side by side


def _odds(*weights: float) -> list[float]:
    """The share of chances up to and with each of `PATTERNS`."""
    return (np.cumsum(weights) / np.sum(weights)).tolist()


_TROUSER_ODDS = _odds(0.5, 0.06, 0.15, 0.14, 0.06, 0.05, 0.04)
_SKIRT_ODDS = _odds(0.3, 0.17, 0.11, 0.13, 0.11, 0.09, 0.09)
_TOP_ODDS = _odds(0.9, 0.17, 0.11, 0.13, 0.11, 0.09, 0.09)
PATTERN_ODDS = {
    "t-shirt": _TOP_ODDS, "shirt": _TOP_ODDS, "tank top": _TOP_ODDS, "buttoned shirt": _TOP_ODDS,
    "hoodie": _odds(0.5, 0.2, 0.0, 0.05, 0.0, 0.0, 0.25),
    "trousers": _TROUSER_ODDS, "shorts": _TROUSER_ODDS, "skirt": _SKIRT_ODDS, "dress": _SKIRT_ODDS,
}  # fmt: skip


@dataclass(frozen=True)
class Garment:
    """A garment's attributes (what a caption says) and its cut, in body heights of the average body."""

    attributes: Attributes
    ease: float = 0.012  # room at the chest or thigh
    waist_ease: float = 0.016
    hem_ease: float = 0.014
    flare: float = 0.0  # widening of a skirt's half width per height, of trousers at the ankle
    end: float = HEM  # height of the hem
    sleeve_end: float = 0.0  # in arm lengths
    sleeve_ease: float = 0.010
    neck_width: float = 0.036
    neck_depth: float = 0.03
    period: float = 0.06
    phase: float = 0.0
    text_size: float = 0.07
    trim: bool = False  # neck and cuffs in the second colour
    extra: bool = False  # chest pocket, belt or pleats
    top: float = NECK  # where it begins

    @property
    def colour(self) -> Colour:
        return COLOURS[self.attributes.colour]

    @property
    def second(self) -> Colour:
        return COLOURS[self.attributes.second] if self.attributes.second else shade(self.colour, 0.2)

    @cached_property
    def _top_ease(self) -> np.ndarray:
        return smooth((SHOULDER, ARMPIT, WAIST, HIP), (0.003, self.ease, self.waist_ease, self.hem_ease), LEVELS)

    @cached_property
    def _leg_ease(self) -> np.ndarray:
        knee, ankle = self.ease * 1.1 + 0.3 * self.flare, self.ease + self.flare
        return smooth((WAIST, HIP, KNEE, ANKLE), (0.003, self.ease, knee, ankle), LEVELS)

    @cached_property
    def _half_widths(self) -> dict[Body, np.ndarray]:
        return {}

    def _half_width(self, body: Body) -> np.ndarray:
        """Half the width of the panel on `body` at `LEVELS`."""
        if body not in self._half_widths:
            half = body.measures["half_width"] + self._top_ease
            if self.attributes.category != "upper_body":
                end = max(self.end, HIP + 0.02)
                waist = body.waist + self.waist_ease
                hip = max(body.hip + self.hem_ease, waist + 0.008)
                skirt = smooth((WAIST, HIP, end), (waist, hip, hip + self.flare * (end - HIP)), LEVELS)
                half = np.where(LEVELS < WAIST, half, skirt)
            self._half_widths[body] = half
        return self._half_widths[body]

    def torso_edges(self, body: Body) -> tuple[np.ndarray, np.ndarray]:
        """x of the left and right edge (in the picture) of the one panel of a top, a dress or a skirt, at `LEVELS`."""
        middle, half = body.measures["middle"], self._half_width(body)
        return middle - half, middle + half

    def leg_edges(self, body: Body, side: int) -> tuple[np.ndarray, np.ndarray]:
        """x of the left and right edge of one trouser leg's panel at `LEVELS`; above the crotch it reaches to the middle."""
        ease, middle, axis = self._leg_ease, body.measures["middle"], body.measures["leg_axis", side]
        half = body.measures["leg_half_width"] + ease
        outer = np.where(LEVELS < HIP, middle + side * (body.measures["half_width"] + ease), axis + side * half)
        inner = axis - side * half
        inner = np.where((LEVELS < CROTCH) | (side * (inner - middle) < 0), middle, inner)
        return (outer, inner) if side < 0 else (inner, outer)

    def sleeve_half_width(self, radius: float = Arm.radius) -> np.ndarray:
        """Half a sleeve's width at `SLEEVE_S`, for an arm of that radius."""
        return radius * _SLEEVE_ARM + self.sleeve_ease * _SLEEVE_EASE


@dataclass
class Part:
    """One panel of a flat garment at canvas size: its picture, its coverage, and where `u`, `v` (or `s`, `d`) lie on it."""

    name: str  # torso, right_sleeve, left_sleeve, right_leg, left_leg, hood
    image: np.ndarray  # (h, w, 3) uint8, cloth everywhere
    alpha: np.ndarray  # (h, w) uint8
    box: tuple[slice, slice]  # rows and columns that hold its coverage
    side: int = 0
    shoulder: np.ndarray | None = None  # of a sleeve: where it begins,
    axis: np.ndarray | None = None  # its direction times the arm's length
    half_width: np.ndarray | None = None  # at SLEEVE_S; all in picture heights
    left: np.ndarray | None = None  # at LEVELS, picture heights
    right: np.ndarray | None = None


@dataclass
class Flat:
    """The product photograph and its parts, at canvas size."""

    image: np.ndarray  # (h, w, 3) uint8 on white
    alpha: np.ndarray  # (h, w) uint8
    owner: np.ndarray  # (h, w) uint8, 1 + the index of the part seen there, 0 elsewhere
    parts: list[Part]
    scale: float  # picture heights per body height
    origin: np.ndarray  # of the body's (0, 0), picture heights
    print_box: np.ndarray  # x0, y0, x1, y1 in picture heights, zeros without a print


def draw_garment(rng: np.random.Generator, category: str, quiet: bool = False) -> Garment:
    """A garment of `category` from `rng`; a quiet one (plain, no print) goes with another that is to be looked at."""
    kind = pick(rng, KINDS[category])
    colours = TROUSER_COLOURS if category == "lower_body" else tuple(COLOURS)
    colour = pick(rng, colours)
    second = pick(rng, PAIRS[colour])
    pattern = PATTERNS[bisect_left(PATTERN_ODDS[kind], rng.random())]
    text = ""
    has_text = rng.random() < (0.88 if pattern == "plain" else 0.12 if pattern == "colour blocks" else 0.0)
    length = pick(rng, (1, 1, 2, 2, 3, 3))
    letters_only = PRINTABLE[:26] if length == 1 else WORDLESS
    alphabet = letters_only if rng.random() < 0.65 else PRINTABLE[26:]
    symbols = "".join(pick(rng, alphabet) for _ in range(length))
    if symbols in UNWANTED:
        symbols = symbols[0]
    if has_text and kind in ("t-shirt", "shirt", "tank top", "hoodie"):
        text = symbols
    if quiet:
        pattern, text = "plain", ""
    cut = {
        "period": between(rng, 0.05, 0.085),
        "phase": rng.random(),
        "trim": bool(rng.random() < 0.3),
        "extra": bool(rng.random() < 0.5),
        "text_size": TEXT_SIZES[len(text)] * between(rng, 0.92, 1.08),
    }
    fit = pick(rng, ("", "", "slim", "loose"))
    room = {"": 1.0, "slim": 0.55, "loose": 1.35}[fit]
    sleeves, neckline, length_word = "", "none", ""
    if category in ("upper_body", "dresses"):
        neckline = pick(rng, ("crew", "crew", "v", "scoop", "square"))
        sleeves = pick(rng, KIND_SLEEVES[kind])
        if kind == "shirt" and rng.random() < 0.3:
            neckline = "high"
        if kind == "tank top":
            neckline = pick(rng, ("scoop", "v", "square"))
        neckline = {"buttoned shirt": "collar", "hoodie": "hood"}.get(kind, neckline)
        if kind == "hoodie":
            fit, room = "", 1.35
        cut |= {
            "ease": 0.010 * room, "waist_ease": 0.0215 * room, "hem_ease": 0.011,
            "sleeve_end": {"sleeveless": 0.0, "short-sleeve": between(rng, 0.34, 0.42), "long-sleeve": 0.985}[sleeves],
            "sleeve_ease": (0.011 if sleeves == "short-sleeve" else 0.0075) * (0.6 + 0.4 * room),
            "neck_width": NECK_SIZES[neckline][0],
            "neck_depth": NECK_SIZES[neckline][1],
        }  # fmt: skip
    if category == "dresses":
        fit = ""
        length_word = pick(rng, ("short", "knee-length", "long"))
        cut |= {"ease": 0.007, "waist_ease": 0.005, "hem_ease": 0.012, "flare": between(rng, 0.05, 0.28),
                "end": {"short": 0.635, "knee-length": 0.735, "long": 0.86}[length_word]}  # fmt: skip
        cut["period"] *= 1.15
    if category == "lower_body":
        cut["top"] = WAIST
        cut["period"] *= 1.1
        if kind == "skirt":
            fit = ""
            length_word = pick(rng, ("short", "knee-length", "long"))
            cut |= {"waist_ease": 0.004, "hem_ease": 0.008, "flare": between(rng, 0.02, 0.25),
                    "end": {"short": 0.625, "knee-length": 0.725, "long": 0.86}[length_word]}  # fmt: skip
        elif kind == "shorts":
            cut |= {"ease": 0.008 * room, "flare": 0.008 * room, "end": between(rng, 0.62, 0.69)}
        else:
            cut |= {"ease": 0.006 * room, "flare": {"": 0.004, "slim": 0.0, "loose": 0.013}[fit], "end": 0.943}
    shown_second = second if pattern != "plain" or cut["trim"] else ""
    attributes = Attributes(
        category, kind, colour, pattern, shown_second, sleeves, neckline, length_word, fit, text, second if text else ""
    )
    return Garment(attributes, **cut)


def differ(a: Garment, b: Garment) -> bool:
    """Whether two garments look clearly different: another colour, by more than a shade."""
    return sum(abs(p - q) for p, q in zip(a.colour, b.colour, strict=True)) > 90


class _Brush(Raster):
    """Fills antialiased polygons, given in body heights, on pictures of one size."""

    def __call__(self, image: np.ndarray, points, colour):
        cv2.fillPoly(image, [self.fixed(np.asarray(points))], colour, cv2.LINE_AA, SHIFT)

    def all(self, image: np.ndarray, outlines: np.ndarray, colour: Colour):
        """Polygons (S, N, 2) of one colour, which may overlap."""
        for outline in self.fixed(outlines.reshape(-1, 2)).reshape(outlines.shape):
            cv2.fillPoly(image, [outline], colour, cv2.LINE_AA, SHIFT)

    def line(self, image: np.ndarray, points: np.ndarray, half_width: float, colour: Colour):
        """A line through `points`, if it is wide enough to be seen."""
        if self.shows(2 * half_width):
            self(image, band(points, half_width), colour)

    def bar(self, image: np.ndarray, top: float, bottom: float, colour: Colour, left: float = -0.5, right: float = 0.5):
        """A rectangle, if it is wide enough to be seen."""
        if self.shows(min(bottom - top, right - left)):
            self(image, ((left, top), (right, top), (right, bottom), (left, bottom)), colour)

    def pixels(self, length: float) -> float:
        """A length in body heights as pixels of the canvas."""
        return length * self.frame.scale * self.size.height

    def cut(self, *outlines) -> tuple[np.ndarray, tuple[slice, slice]]:
        """The coverage of outlines, (h, w) uint8, and the box that holds it and all that is interpolated with it."""
        h, w = self.size.shape
        alpha = np.zeros((h, w), np.uint8)
        fixed = [self.fixed(outline) for outline in outlines]
        for outline in fixed:
            cv2.fillPoly(alpha, [outline], 255, cv2.LINE_AA, SHIFT)
        x, y, width, height = cv2.boundingRect(np.concatenate(fixed))
        x0, y0, x1, y1 = (value >> SHIFT for value in (x, y, x + width, y + height))
        return alpha, (slice(max(y0 - 3, 0), min(y1 + 4, h)), slice(max(x0 - 3, 0), min(x1 + 4, w)))


def draw_flat(garment: Garment, size: Size, photograph: bool = True) -> Flat:
    """The garment lying flat on white, drawn on a canvas of `size`.

    `photograph=False` cuts the parts alone, which is all that a worn garment needs; the picture then stays white.
    """
    a = garment.attributes
    height, width = size.shape
    aspect = width / height
    top = {"upper_body": 0.15, "dresses": 0.155, "lower_body": WAIST - 0.004}[a.category]
    if a.neckline in ("hood", "high"):
        top = 0.118 if a.neckline == "hood" else 0.135
    end = garment.end
    if a.kind in ("trousers", "shorts"):
        half = 0.082 + 0.5 * 0.088 + garment.ease + garment.flare
    elif a.sleeves == "long-sleeve":
        half = 0.222
    else:
        least = 0.196 if a.sleeves == "short-sleeve" else 0.1
        half = max(*np.interp((ARMPIT, end), LEVELS, garment.torso_edges(AVERAGE)[1]).tolist(), least)
    scale = min(0.9 / (end - top), 0.93 * 0.5 * aspect / half)
    frame = Frame(scale, 0.5 * aspect, 0.5 - 0.5 * scale * (top + end))
    brush = _Brush(size, frame)
    fabric = _Fabric(garment, size, frame)
    empty = np.zeros(size.shape, np.uint8)
    flat = Flat(plain(size.shape, (255, 255, 255)), empty, empty.copy(), [], scale, frame.origin, np.zeros(4))
    draw = {"upper_body": _cut_top, "dresses": _cut_top, "lower_body": _cut_skirt if a.kind == "skirt" else _cut_trousers}[
        a.category
    ]
    draw(flat, garment, brush, fabric)
    for index, part in enumerate(flat.parts if photograph else ()):
        if part.name == "torso" and a.neckline not in ("none", "high"):
            _draw_inside(flat, garment, brush)
        box = part.box
        alpha = part.alpha[box]
        _blend(flat.image[box], part.image[box], alpha)
        np.maximum(flat.alpha[box], alpha, out=flat.alpha[box])
        flat.owner[box][alpha > 250] = 1 + index
    return flat


def _blend(below: np.ndarray, above: np.ndarray, alpha: np.ndarray):
    """`below` <- alpha above + (1 - alpha) below, in place."""
    a = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
    cv2.add(cv2.multiply(above, a, scale=1 / 255), cv2.multiply(below, cv2.bitwise_not(a), scale=1 / 255), dst=below)


def _soft(t: np.ndarray, duty: float, pixels: float) -> np.ndarray:
    """1 inside the middle `duty` of each period of `t`, antialiased for a period of so many pixels."""
    return np.clip(0.5 + (0.5 * duty - np.abs(t % 1.0 - 0.5)) * pixels, 0, 1)


class _Fabric:
    """What the parts of a garment are cut from, as large as the canvas: one colour, or a pattern of up to three."""

    def __init__(self, garment: Garment, size: Size, frame: Frame):
        self.shape, self.frame, self.colour = size.shape, frame, garment.colour
        self.patterned = garment.attributes.pattern != "plain"
        if self.patterned:
            self._weight = _pattern(garment, *size.shape, frame.scale * size.height, frame.origin * size.height)
            self._table = _colour_table(garment)

    def sheet(self) -> np.ndarray:
        """(h, w, 3) uint8."""
        return _cloth(self._weight, self._table) if self.patterned else plain(self.shape, self.colour)

    def turned(self, pivot: np.ndarray, angle: float, box: tuple[slice, slice]) -> np.ndarray:
        """The sheet turned by `angle` about a point of the drawing; (h, w, 3) uint8, cloth only in `box`."""
        if not self.patterned:
            return self.sheet()
        height, width = self.shape
        turn = cv2.getRotationMatrix2D((self.frame(pivot) * height - 0.5).tolist(), float(np.degrees(angle)), 1.0)
        weight = cv2.warpAffine(self._weight, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
        sheet = np.empty((height, width, 3), np.uint8)
        sheet[box] = _cloth(weight[box], self._table)
        return sheet


def _pattern(garment: Garment, height: int, width: int, unit: float, origin: np.ndarray) -> np.ndarray:
    """How much of the second colour there is: (h, w) uint8, 0 first, 200 second, 255 third colour."""
    pattern, period = garment.attributes.pattern, garment.period
    weight = np.zeros((height, width), np.uint8)
    y = (np.arange(height) + 0.5 - origin[1]) / unit / period + garment.phase
    x = (np.arange(width) + 0.5 - origin[0]) / unit / period + 0.5
    pixels = period * unit
    if pattern == "horizontal stripes":
        weight[:] = (200 * _soft(y, 0.45, pixels))[:, None]
    elif pattern == "vertical stripes":
        weight[:] = (200 * _soft(x, 0.38, pixels))[None]
    elif pattern == "checks":
        weight[:] = 100 * _soft(y, 0.5, pixels)[:, None] + 100 * _soft(x, 0.5, pixels)[None]
    elif pattern == "colour blocks":
        edge = {"upper_body": 0.36, "dresses": WAIST + 0.004, "lower_body": 0.6}[garment.attributes.category]
        if garment.attributes.category == "lower_body":
            edge = 0.5 * (WAIST + garment.end) + 0.05
        weight[:] = (200 * np.clip(((np.arange(height) + 0.5 - origin[1]) / unit - edge) * unit + 0.5, 0, 1))[:, None]
    elif pattern in ("dots", "flowers"):
        _scatter(weight, pattern, pixels, origin, garment.phase)
    return weight


def _scatter(weight: np.ndarray, pattern: str, pixels: float, origin: np.ndarray, phase: float):
    """Dots or flowers on a staggered lattice, each kind of shape in one call."""
    height, width = weight.shape
    step = 0.5 * pixels
    rows = np.arange(int(-origin[1] / step) - 2, int((height - origin[1]) / step) + 2)
    columns = np.arange(int(-origin[0] / pixels) - 2, int((width - origin[0]) / pixels) + 2)
    row, column = (grid.ravel() for grid in np.meshgrid(rows, columns))
    centres = np.stack((origin[0] + (column + 0.5 * (row % 2)) * pixels, origin[1] + (row + phase) * step), 1)

    def paint(outlines, value):
        fixed = np.rint((outlines - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(weight, list(fixed), value, cv2.LINE_AA, SHIFT)

    if pattern == "dots":
        radius = 0.19 * pixels - SPILL
        paint(centres[:, None] + ellipse((0, 0), (radius, radius), 18), 200)
        return
    size = pixels * np.where((row + column) % 2, 0.2, 0.28)[:, None]
    turn = 0.9 * ((row * 7 + column * 3) % 5)[:, None]
    t = np.linspace(0, 2 * np.pi, 35, endpoint=False)[None]
    petal = size * (0.62 + 0.38 * np.sqrt(np.abs(np.cos(2.5 * (t - turn)))))
    petal -= SPILL
    paint(centres[:, None] + np.stack((petal * np.cos(t), petal * np.sin(t)), -1), 200)
    heart = np.maximum(0.3 * size - SPILL, 0.3)
    paint(centres[:, None] + heart[:, :, None] * ellipse((0, 0), (1.0, 1.0), 12), 255)


# how much of the first, second and third colour each of `_pattern`'s weights stands for
_SHARES = np.stack([np.interp(np.arange(256), (0, 200, 255), values) for values in ((1, 0, 0), (0, 1, 0), (0, 0, 1))], 1)


def _colour_table(garment: Garment) -> np.ndarray:
    """(256, 1, 3) uint8 for `_pattern`'s weights."""
    third = (242, 200, 92) if garment.attributes.second not in ("yellow", "mustard") else (250, 246, 236)
    return np.rint(_SHARES @ np.array((garment.colour, garment.second, third))).astype(np.uint8)[:, None]


def _cloth(weight: np.ndarray, table: np.ndarray) -> np.ndarray:
    return cv2.LUT(cv2.cvtColor(weight, cv2.COLOR_GRAY2BGR), table)


def _panel(flat: Flat, name: str, image, cut, left, right, side: int = 0):
    flat.parts.append(
        Part(name, image, *cut, side, left=flat.origin[0] + flat.scale * left, right=flat.origin[0] + flat.scale * right)
    )


def _neck_curve(garment: Garment) -> np.ndarray:
    """The front neckline from the left shoulder to the right, body heights."""
    w, d = garment.neck_width, garment.neck_depth
    y = 0.163 + 0.35 * (w - 0.034)
    kind = garment.attributes.neckline
    if kind == "v":
        return np.array(((-w, y), (-w * 0.55, y + d * 0.42), (0, y + d), (w * 0.55, y + d * 0.42), (w, y)))
    if kind == "square":
        return np.array(((-w, y), (-w * 0.9, y + d), (w * 0.9, y + d), (w, y)))
    if kind == "high":
        return np.array(((-0.0285, 0.147), (-0.014, 0.1495), (0, 0.15), (0.014, 0.1495), (0.0285, 0.147)))
    return curve(
        (
            (-w, y),
            (-w * 0.86, y + d * 0.45),
            (-w * 0.5, y + d * 0.88),
            (0, y + d),
            (w * 0.5, y + d * 0.88),
            (w * 0.86, y + d * 0.45),
            (w, y),
        ),
        4,
    )


def _draw_inside(flat: Flat, garment: Garment, brush: _Brush):
    """The inside of the back, seen through the neckline of a flat garment."""
    w = garment.neck_width
    y = 0.163 + 0.35 * (w - 0.034)
    back = curve([(-w, y), (-0.5 * w, y + 0.008), (0, y + 0.0095), (0.5 * w, y + 0.008), (w, y)], 4)
    outline = np.concatenate((back, _neck_curve(garment)[::-1]))
    brush(flat.image, outline, shade(garment.colour, 0.3))
    brush(flat.alpha, outline, 255)


def _cut_top(flat: Flat, garment: Garment, brush: _Brush, fabric: _Fabric):
    a = garment.attributes
    body = AVERAGE
    image = fabric.sheet()
    line = shade(garment.colour, 0.22)
    trim = garment.second if garment.trim else shade(garment.colour, 0.1)
    v = steps(0.192 if garment.sleeve_end else 0.262, garment.end, 40)
    edges = garment.torso_edges(body)
    left, right = (np.interp(v, LEVELS, edge) for edge in edges)
    neck = _neck_curve(garment)
    if garment.sleeve_end:
        shoulder = (
            np.array(((-body.shoulder, 0.192), (-body.shoulder + 0.013, 0.1805))),
            np.array(((body.shoulder - 0.013, 0.1805), (body.shoulder, 0.192))),
        )
    else:
        strap = max(garment.neck_width + 0.026, 0.07)
        hole = curve(
            [(left[0], 0.262), (left[0] + 0.007, 0.2515), (-strap - 0.005, 0.232), (-strap, 0.205), (-strap - 0.005, 0.1755)], 4
        )
        shoulder = hole, hole[::-1] * (-1, 1)
    outline = np.concatenate((points_of(left, v)[::-1], shoulder[0], neck, shoulder[1], points_of(right, v)))
    outlines = [outline]
    # neck band, hem, details
    if a.neckline in ("crew", "v", "scoop", "square", "high"):
        rim = neck.copy()
        from_end = np.minimum(np.arange(len(rim)), np.arange(len(rim))[::-1]) / (len(rim) // 2)
        even = a.neckline in ("high", "square")
        rim[:, 1] += (0.024 if a.neckline == "high" else 0.009) * (1.0 if even else 0.6 + 0.4 * from_end)
        rim[:, 0] *= 1.18
        brush(image, np.concatenate((neck, rim[::-1])), trim)
        brush.line(image, rim, 0.0009, line)
    hem = garment.end
    brush.bar(image, hem - 0.0125, hem - 0.011, line)
    if a.kind == "hoodie":
        brush.bar(image, hem - 0.03, hem + 0.01, trim)
        brush.bar(image, hem - 0.031, hem - 0.0295, line)
        pocket = np.array(((-0.04, 0.41), (0.04, 0.41), (0.064, 0.46), (0.064, 0.495), (-0.064, 0.495), (-0.064, 0.46)))
        brush(image, pocket, shade(garment.colour, 0.05))
        brush.line(image, np.concatenate((pocket, pocket[:1])), 0.0011, line)
    if a.neckline == "collar":
        brush.bar(image, 0.16, hem, shade(garment.colour, 0.035), -0.0095, 0.0095)
        for x in (-0.0095, 0.0095):
            brush.bar(image, 0.19, hem, line, x - 0.0006, x + 0.0006)
        plain_button = mix(garment.colour, (250, 250, 248), 0.75) if sum(garment.colour) < 480 else shade(garment.colour, 0.4)
        button = garment.second if garment.trim else plain_button
        for y in np.linspace(0.215, hem - 0.035, 6):
            brush(image, ellipse((0, y), (0.0042, 0.0042), points=14), button)
        for side in (-1, 1):
            flap = np.array(((side * 0.001, 0.197), (side * 0.0345, 0.157), (side * 0.047, 0.169), (side * 0.036, 0.211)))
            outlines.append(flap)
            brush(image, flap + np.array((side * 0.0012, 0.0025)), line)
            brush(image, flap, trim if garment.trim else shade(garment.colour, -0.12))
    if garment.extra and a.kind in ("buttoned shirt", "t-shirt") and not a.text:
        pocket = np.array(((0.03, 0.262), (0.062, 0.262), (0.062, 0.293), (0.046, 0.301), (0.03, 0.293)))
        brush(image, pocket, shade(garment.colour, 0.05))
        brush.line(image, np.concatenate((pocket, pocket[:1])), 0.0009, line)
    if a.category == "dresses":
        belt = garment.second if garment.trim else shade(garment.colour, 0.12)
        wide = 0.008 if garment.extra else 0.0012
        brush.bar(image, WAIST - wide, WAIST + wide, belt)
    if a.kind == "hoodie":
        string = (244, 242, 236) if sum(garment.colour) < 600 else shade(garment.colour, 0.4)
        for side in (-1, 1):
            cord = curve(((side * 0.012, 0.19), (side * 0.014, 0.22), (side * 0.012, 0.262)), 4)
            brush.line(image, cord, 0.0018, string)
    _print(flat, garment, image, brush)
    if a.neckline == "hood":
        hood_image = plain(fabric.shape, garment.colour)
        hood = curve(
            (
                (-0.05, 0.172),
                (-0.0585, 0.152),
                (-0.044, 0.13),
                (0, 0.1235),
                (0.044, 0.13),
                (0.0585, 0.152),
                (0.05, 0.172),
                (0.02, 0.192),
                (-0.02, 0.192),
                (-0.05, 0.172),
            ),
            5,
        )
        inner = curve(
            ((-0.036, 0.166), (-0.041, 0.151), (-0.03, 0.139), (0, 0.1345), (0.03, 0.139), (0.041, 0.151), (0.036, 0.166)), 4
        )
        brush(hood_image, inner, shade(garment.colour, 0.2))
        _panel(flat, "hood", hood_image, brush.cut(hood), *edges)
    _panel(flat, "torso", image, brush.cut(*outlines), *edges)
    if garment.sleeve_end:
        for side in (-1, 1):
            _cut_sleeve(flat, garment, brush, fabric, side, line, trim)


_CAP = np.linspace(np.pi, 0, 14)[1:-1]  # angles of the points of a sleeve's round top


def _cut_sleeve(flat: Flat, garment: Garment, brush: _Brush, fabric: _Fabric, side: int, line: Colour, trim: Colour):
    angle = 0.27 if garment.attributes.sleeves == "long-sleeve" else 0.6
    body = AVERAGE
    shoulder = np.array((side * (body.shoulder - 0.015), SHOULDER + 0.021))
    direction = np.array((side * np.sin(angle), np.cos(angle)))
    half = garment.sleeve_half_width()
    end = garment.sleeve_end
    s = steps(0.0, end, 16)
    along = shoulder + 0.313 * s[:, None] * direction
    across = np.array((-direction[1], direction[0]))
    w = np.interp(s, SLEEVE_S, half)
    aside, up = np.cos(_CAP)[:, None], np.sin(_CAP)[:, None]
    cap = shoulder - w[0] * (aside * across + 1.02 * up * direction)
    outline = np.concatenate(((along - across * w[:, None])[::-1], cap[::-1], along + across * w[:, None]))
    alpha, box = brush.cut(outline)
    image = fabric.turned(shoulder, side * angle, box)
    # the seam: along the cap outside, but inside it falls flatly to the armpit, as a set-in sleeve's does
    flat_power = np.where(side * aside < 0, 1.6, 1.0)
    aside, up = np.sign(aside) * np.abs(aside) ** flat_power, up**flat_power
    brush.line(image, shoulder - w[0] * (aside * across + 1.02 * up * direction), 0.0012, line)

    def bar(s0, s1, colour):
        if not brush.shows(0.313 * (s1 - s0)):
            return
        a, b = shoulder + 0.313 * s0 * direction, shoulder + 0.313 * s1 * direction
        brush(image, (a - 0.1 * across, a + 0.1 * across, b + 0.1 * across, b - 0.1 * across), colour)

    if garment.attributes.sleeves == "long-sleeve":
        bar(end - 0.07, end + 0.02, trim)
        bar(end - 0.073, end - 0.068, line)
    else:
        if garment.trim:
            bar(end - 0.035, end + 0.02, trim)
        bar(end - 0.04, end - 0.035, line)
    name = "right_sleeve" if side < 0 else "left_sleeve"
    axis = 0.313 * flat.scale * direction
    flat.parts.append(Part(name, image, alpha, box, side, brush.frame(shoulder), axis, half * flat.scale))


def _print(flat: Flat, garment: Garment, image: np.ndarray, brush: _Brush):
    """Letters or digits on the chest."""
    text = garment.attributes.text
    if not text:
        return
    unit = garment.text_size / 6.0
    middle = 0.315 if garment.attributes.kind != "hoodie" else 0.325
    corner = np.array((-0.5 * letters.extent(text) * unit, middle - 3 * unit))
    pen = letters.PEN * unit
    thin = max(letters.PEN - 0.5 * SPILL / brush.pixels(unit), 0.45)  # half of the spill stays: small prints are to be read
    brush.all(image, corner + unit * letters.outlines(text, thin), COLOURS[garment.attributes.text_colour])
    box = np.array((corner - pen, corner + unit * np.array((letters.extent(text), 6.0)) + pen))
    flat.print_box = (flat.origin + flat.scale * box).reshape(4)


def _cut_skirt(flat: Flat, garment: Garment, brush: _Brush, fabric: _Fabric):
    body = AVERAGE
    image = fabric.sheet()
    line = shade(garment.colour, 0.22)
    v = steps(WAIST, garment.end, 40)
    edges = garment.torso_edges(body)
    left, right = (np.interp(v, LEVELS, edge) for edge in edges)
    cut = brush.cut(np.concatenate((points_of(left, v)[::-1], points_of(right, v))))
    if garment.extra and brush.shows(0.003):
        for u in steps(0.12, 0.88, 7):
            fold = points_of(left + u * (right - left), v)[3:]
            brush(image, band(fold, steps(0.0006, 0.0022, len(fold))), shade(garment.colour, 0.12))
    _waistband(image, garment, brush, line)
    hem = garment.end
    brush.bar(image, hem - 0.0125, hem - 0.011, line)
    _panel(flat, "torso", image, cut, *edges)


def _waistband(image: np.ndarray, garment: Garment, brush: _Brush, line: Colour):
    colour = garment.second if garment.trim else shade(garment.colour, 0.08)
    brush.bar(image, WAIST - 0.05, WAIST + 0.017, colour)
    brush.bar(image, WAIST + 0.0165, WAIST + 0.0178, line)


def _cut_trousers(flat: Flat, garment: Garment, brush: _Brush, fabric: _Fabric):
    body = STRADDLE if garment.attributes.kind == "shorts" else STRIDE
    image = fabric.sheet()
    line = shade(garment.colour, 0.24)
    crotch = CROTCH
    _waistband(image, garment, brush, line)
    brush(image, ellipse((0, WAIST + 0.0085), (0.004, 0.004), points=12), shade(garment.colour, 0.4))
    brush.bar(image, WAIST + 0.018, crotch + 0.01, line, -0.0006, 0.0006)
    brush.line(image, curve(((0.016, WAIST + 0.018), (0.0155, 0.45), (0.012, 0.475), (0, 0.488)), 4), 0.0007, line)
    for side in (-1, 1):
        pocket = curve(((side * 0.045, WAIST + 0.018), (side * 0.052, 0.425), (side * 0.092, 0.452)), 4)
        brush.line(image, pocket, 0.0011, line)
    hem = garment.end
    brush.bar(image, hem - 0.0145, hem - 0.013, line)
    for side, name in ((-1, "right_leg"), (1, "left_leg")):
        v = steps(WAIST, hem, 50)
        edges = garment.leg_edges(body, side)
        left, right = (np.interp(v, LEVELS, edge) for edge in edges)
        if side < 0:
            right = right + 0.0012 * (v < crotch)
        else:
            left = left - 0.0012 * (v < crotch)
        cut = brush.cut(np.concatenate((points_of(left, v)[::-1], points_of(right, v))))
        _panel(flat, name, image, cut, *edges, side)
