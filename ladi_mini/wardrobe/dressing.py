"""Dressing: the true warp of a flat garment onto a body, and the picture that it gives.

Choices made here
- Every part has its own smooth map, and both ends of it are formulas: a pixel of the person gives (`u`, `v`) between the
  edges of a panel or (`s`, `d`) along an arm, and those give a point of the flat garment. So the warp is exact.
- Coverage is warped with the same map: a neckline, a hem or a cuff is where the flat garment has it.
- Folds and roundness are one smooth factor on the cloth that depends on pose and cut alone, never on noise.
- A person is drawn on a canvas `FACTOR` times as large and averaged; the warp is averaged with it, and a pixel
  counts as visible only if all of it shows one part and that spot is not hidden in the flat photograph.
- NumPy and OpenCV only, so that worker processes start fast; `dataset` makes tensors of the result.
"""

import math
import zlib
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

from ladi_mini.presets import CATEGORIES
from ladi_mini.wardrobe import faces, people
from ladi_mini.wardrobe.canvas import Canvas, Frame, Size, between, ellipse, keep_of, lay_over, mix, pick, shade, smooth
from ladi_mini.wardrobe.captions import caption
from ladi_mini.wardrobe.garments import SLEEVE_S, Flat, Garment, Part, differ, draw_flat, draw_garment
from ladi_mini.wardrobe.people import ANKLE, CROTCH, HIP, KNEE, LABEL, LEVELS, SHOULDER, WAIST, Body

BACKDROPS = (
    (236, 234, 230), (226, 232, 236), (240, 230, 222), (222, 228, 220), (232, 226, 236), (214, 222, 230),
    (244, 238, 226), (205, 214, 210), (226, 214, 206), (198, 208, 220), (236, 220, 218), (210, 206, 202),
)  # fmt: skip

FACTOR = 2  # canvas pixels to a pixel of the picture
WIDEST_SLEEVE = 0.06  # half its width in body heights, with room


@dataclass
class Drawing:
    """One sample as arrays: pictures (H, W, 3) uint8, masks (H, W) bool, coordinates float32; fields as in `TryOnSample`."""

    person: np.ndarray
    garment: np.ndarray
    garment_mask: np.ndarray
    parse: np.ndarray  # (H, W) uint8
    keypoints: np.ndarray  # (18, 2) pixels
    keypoint_visible: np.ndarray
    category: str
    caption: str
    name: str
    warp_grid: np.ndarray  # (H, W, 2), of the target
    warp_visible: np.ndarray
    worn: np.ndarray  # where the target shows the garment
    target: np.ndarray
    print_text: str
    print_box: np.ndarray
    beside: np.ndarray | None = None  # the person in one more garment, if it was asked for


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """The random numbers of one part of one sample; they depend on nothing else."""
    return np.random.default_rng((seed, index, zlib.crc32(name.encode())))


def draw(seed: int, index: int, height: int, width: int, unpaired: bool, category: str, beside: Garment | None = None) -> Drawing:
    """The sample as arrays, see `dataset.sample`; with `beside`, also its person in that garment of the category."""
    size = Size(FACTOR * height, FACTOR * width, FACTOR)
    body = people.draw_person(stream(seed, index, "person"))
    garment = garment_of(seed, index, category)
    rest = "lower_body" if category == "upper_body" else "upper_body"
    companion = draw_garment(stream(seed, index, "companion"), rest, quiet=True)
    attempt = 0
    while category != "dresses" and not differ(companion, garment):
        attempt += 1
        companion = draw_garment(stream(seed, index, f"companion {attempt}"), rest, quiet=True)
    scene = Scene(stream(seed, index, "scene"), body, category, companion, size)
    flat = draw_flat(garment, size)
    target = scene.dress(garment, flat, traced=True)
    person, other = target, garment
    if unpaired:
        attempt = 0
        other = draw_garment(stream(seed, index, "other"), category)
        while not differ(other, garment):
            attempt += 1
            other = draw_garment(stream(seed, index, f"other {attempt}"), category)
        person = scene.dress(other, draw_flat(other, size, photograph=False))
    points = scene.frame(scene.keypoints) * height - 0.5
    visible = ((points > -0.5) & (points < np.array((width, height)) - 0.5)).all(1)
    grid, shown = _shrink_grid(target, flat, height, width)
    return Drawing(
        person=_shrink(person.picture, height, width),
        garment=_shrink(flat.image, height, width),
        garment_mask=_shrink(flat.alpha, height, width) >= 128,
        parse=_shrink_labels(person.label, garment_label(other)),
        keypoints=points.astype(np.float32),
        keypoint_visible=visible,
        category=category,
        caption=caption(garment.attributes),
        name=f"wardrobe-{seed}-{index}",
        warp_grid=grid,
        warp_visible=shown,
        worn=_shrink_labels(target.label, garment_label(garment)) == garment_label(garment),
        target=_shrink(target.picture, height, width),
        print_text=garment.attributes.text,
        print_box=(flat.print_box * height).astype(np.float32),
        beside=beside and _shrink(scene.dress(beside, draw_flat(beside, size, photograph=False)).picture, height, width),
    )


def garment_of(seed: int, index: int, category: str) -> Garment:
    """The garment of a sample."""
    return draw_garment(stream(seed, index, "garment"), category)


def draw_many(job: tuple) -> list[Drawing]:
    """The samples of one worker's job: (seed, indices, height, width, unpaired, category or None)."""
    seed, indices, height, width, unpaired, category = job
    return [draw(seed, index, height, width, unpaired, category_of(index, category)) for index in indices]


def category_of(index: int, category: str | None = None) -> str:
    """Categories take turns, unless one is asked for."""
    return category or CATEGORIES[index % len(CATEGORIES)]


def garment_label(garment: Garment) -> int:
    """The parse label of a worn garment."""
    attributes = garment.attributes
    lower = "skirt" if attributes.kind == "skirt" else "pants"
    return LABEL[{"upper_body": "upper", "dresses": "dress", "lower_body": lower}[attributes.category]]


@dataclass
class Worn:
    """A dressed person at canvas size: picture, labels, and if it is traced for each pixel the place in the flat garment (x, y
    in picture heights) and the part it belongs to (1 + index, 0 for none)."""

    picture: np.ndarray
    label: np.ndarray
    place: tuple[np.ndarray, np.ndarray] | None = None
    owner: np.ndarray | None = None


class Scene:
    """A person in front of a background, drawn once, who can be dressed many times."""

    def __init__(self, rng: np.random.Generator, body: Body, category: str, companion: Garment, size: Size):
        self.body, self.category, self.size = body, category, size
        self.height, self.width = height, width = size.shape
        close = category == "upper_body" and rng.random() < 0.8
        scale = between(rng, 1.36, 1.5) if close else between(rng, 0.86, 0.91)
        top = between(rng, 0.055, 0.075) if close else between(rng, 0.045, 0.06)
        extra = 0.03 if body.hair_style in ("afro", "bun", "curly") else 0.0
        self.frame = Frame(scale, 0.5 * width / height + between(rng, -0.02, 0.02), top + extra * scale * 0.6)
        self.tucked = bool(rng.random() < 0.55) and companion.attributes.kind != "hoodie"
        self.background = self._backdrop(rng, close)
        self.behind = self._layer(faces.draw_back_hair, people.draw_skin)
        self.shoes = self._layer(people.draw_shoes) if not close else None
        self.arms = self._layer(people.draw_arms)
        self.front = self._layer(faces.draw_head, people.draw_hands)
        self.keypoints = people.keypoints(body, Frame(1.0, 0.0, 0.0))  # body heights
        self.grid = _Grid(size, self.frame, body)
        self.companion = None
        self._companion_parts = {}  # the same under every garment, so warped once
        if category != "dresses":
            self.companion = companion, draw_flat(companion, size, photograph=False)

    def _layer(self, *paints) -> Canvas:
        canvas = Canvas(self.size, self.frame)
        for paint in paints:
            paint(canvas, self.body)
        return canvas.draw()

    @cached_property
    def arm_fields(self) -> list[tuple]:
        """For each arm: itself, its middle line and the line's `s`, the box of its widest sleeve, and for every pixel of the box
        `s`, its place in `SLEEVE_S` and the distance from the middle. The same under every garment."""
        fields = []
        for arm in self.body.arms:
            line, s = arm.middle
            box = _box(self, line.min(0) - WIDEST_SLEEVE, line.max(0) + WIDEST_SLEEVE)
            rows, columns = box
            along, distance = arm.locate(self.grid.x[:, columns], self.grid.y[rows])
            index = (along - np.float32(SLEEVE_S[0])) * np.float32(1 / (SLEEVE_S[1] - SLEEVE_S[0]))
            fields.append((arm, line, s, box, along, index, distance))
        return fields

    @cached_property
    def skirt_room(self) -> tuple[np.ndarray, np.ndarray]:
        """The x at `LEVELS` from which on a skirt's left and right edges give way to the limits 0.02 farther out."""
        points, knots = self.keypoints, (HIP, KNEE, ANKLE)
        room = 0.4 * abs(points[5, 0] - points[2, 0]) - 0.005  # the mask's hull of the legs, less a seam
        low, high = (points[8:11, 0] - room, points[11:14, 0] + room)
        return np.interp(LEVELS, knots, low) + 0.02, np.interp(LEVELS, knots, high) - 0.02

    def _backdrop(self, rng: np.random.Generator, close: bool) -> np.ndarray:
        colour = pick(rng, BACKDROPS)
        kind = pick(rng, ("plain", "gradient", "glow", "floor"))
        light, dark = np.array(colour, np.float32), np.array(shade(colour, 0.5), np.float32)
        y = (np.arange(self.height, dtype=np.float32) + 0.5)[:, None] / self.height
        if kind == "glow":
            small = light + _glow() * (dark - light)
            picture = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        else:
            amount = {"plain": 0.0 * y, "gradient": 0.22 * (y - 0.5), "floor": 0.06 * y}[kind]
            if kind == "floor" and not close:
                amount = amount + 0.1 * np.clip((y - 0.86) * 60 + 0.5, 0, 1)
            column = np.clip(light + amount * (dark - light), 0, 255).round().astype(np.uint8)
            picture = cv2.repeat(column[:, None], 1, self.width)
        if not close:
            shadow = Canvas(self.size, self.frame)
            shadow.fill(ellipse((0, 0.998), (0.15, 0.014)), mix(colour, dark, 0.3))
            shadow.draw().over(picture)
        return picture

    def dress(self, garment: Garment, flat: Flat, traced: bool = False) -> Worn:
        """The person wearing `garment`; only if `traced` is it known where each pixel comes from."""
        outfit = [(garment, flat, True)]
        if self.companion:
            lower_first = self.category == "upper_body" or not self.tucked
            mine_first = (self.category == "lower_body") == lower_first
            rest = (*self.companion, False)
            outfit = [outfit[0], rest] if mine_first else [rest, outfit[0]]
        hoods = [(piece, f, f.parts[0], int(known)) for piece, f, known in outfit if f.parts[0].name == "hood"]
        bare = self._empty if hoods else self._bare
        worn = Worn(bare.picture.copy(), bare.label.copy())
        if traced:
            worn.place = np.zeros(self.size.shape, np.float32), np.zeros(self.size.shape, np.float32)
            worn.owner = np.zeros(self.size.shape, np.uint8)
        if hoods:
            for hood in hoods:
                self._wear(worn, *hood)
            self._over(worn, self.behind)
        for piece, piece_flat, known in outfit:
            for index, part in enumerate(piece_flat.parts):
                if part.shoulder is None and part.name != "hood":
                    self._wear(worn, piece, piece_flat, part, 1 + index if known else 0)
            if piece.attributes.category == "lower_body" and self.shoes:
                self._over(worn, self.shoes)
        if self.category == "dresses" and self.shoes:
            self._over(worn, self.shoes)
        self._shade_under_arms(worn)
        self._over(worn, self.arms)
        for piece, piece_flat, known in outfit:
            for index, part in enumerate(piece_flat.parts):
                if part.shoulder is not None:
                    self._wear(worn, piece, piece_flat, part, 1 + index if known else 0)
        self._over(worn, self.front)
        return worn

    @cached_property
    def _empty(self) -> Worn:
        """The background alone."""
        return Worn(self.background, np.zeros(self.size.shape, np.uint8))

    @cached_property
    def _bare(self) -> Worn:
        """Background, hair and skin that lie under every garment but a hood."""
        bare = Worn(self.background.copy(), np.zeros(self.size.shape, np.uint8))
        self._over(bare, self.behind)
        return bare

    def _over(self, worn: Worn, layer: Canvas):
        """A layer over the picture. Where it is not opaque the label below stays: the pixel still shows what is there."""
        layer.over(worn.picture)
        box = layer.box
        np.copyto(worn.label[box], layer.label[box], where=layer.labelled)
        if worn.owner is not None:
            np.copyto(worn.owner[box], 0, where=layer.touched)

    def _shade_under_arms(self, worn: Worn):
        """Arms darken the cloth beside and below them, and only cloth: the shadow goes with the garment."""
        box, shadow = self.arms.box, self._shadow
        if not shadow.size:
            return
        cloth = (worn.label[box] == LABEL["upper"]) | (worn.label[box] == LABEL["dress"])
        dark = cv2.multiply(shadow, cloth.view(np.uint8), scale=0.2)
        picture = worn.picture[box]
        cv2.multiply(picture, keep_of(dark), dst=picture, scale=1 / 255)

    @cached_property
    def _shadow(self) -> np.ndarray:
        """The arms' coverage, blurred and a little lower, inside their box."""
        alpha = self.arms.alpha
        if not alpha.size:
            return alpha
        size = max(3, int(0.014 * self.frame.scale * self.height) | 1)
        drop = int(0.005 * self.frame.scale * self.height)
        return cv2.blur(np.roll(alpha, drop, 0), (size, size))

    def _wear(self, worn: Worn, garment: Garment, flat: Flat, part: Part, number: int):
        """A part of a garment over the picture; `number` is 0 if its warp is not asked for."""
        warped = self._companion_parts.get(part.name) if number == 0 else None
        if warped is None:
            warped = self._warp(garment, flat, part)
            if number == 0:
                self._companion_parts[part.name] = warped
        if not warped:
            return
        box, x, y, cloth, alpha, keep = warped
        lay_over(worn.picture[box], cloth, keep)
        touched = alpha > 4
        np.copyto(worn.label[box], garment_label(garment), where=touched)
        if worn.owner is None:
            return
        np.copyto(worn.owner[box], 0, where=touched)
        if number:
            inside = alpha > 250
            np.copyto(worn.owner[box], number, where=inside)
            np.copyto(worn.place[0][box], x, where=inside)
            np.copyto(worn.place[1][box], y, where=inside)

    def _warp(self, garment: Garment, flat: Flat, part: Part) -> tuple:
        """A part as worn: its box, where its pixels come from (x, y in picture heights), the shaded cloth times its
        coverage, the coverage, and what it leaves of the picture below; () if it is outside the picture."""
        place = (_place_sleeve if part.shoulder is not None else _place_panel)(self, garment, flat, part)
        if place is None:
            return ()
        box, x, y, light = place
        map_x, map_y = x * self.height - 0.5, y * self.height - 0.5
        alpha = cv2.remap(part.alpha, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        cloth = cv2.remap(part.image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        factor = cv2.multiply(alpha, light, scale=1.0, dtype=cv2.CV_8U)
        shaded = cv2.multiply(cloth, cv2.cvtColor(factor, cv2.COLOR_GRAY2BGR), scale=1 / 255)
        return box, x, y, shaded, alpha, keep_of(alpha)


@cache
def _glow() -> np.ndarray:
    """(64, 48, 1) float32: how much darker a glowing background is, from its middle to the corners."""
    rows, columns = np.mgrid[0:64, 0:48] / 64.0 + 0.5 / 64
    return (0.35 * np.minimum((columns - 0.375) ** 2 + (rows - 0.42) ** 2, 0.4))[..., None].astype(np.float32)


def _box(scene: Scene, low, high) -> tuple[slice, slice] | None:
    """The pixels between two corners (body heights), as slices; None if they are outside the picture."""
    (x0, y0), (x1, y1) = (scene.frame((low, high)) * scene.height).tolist()
    rows = slice(max(int(y0) - 2, 0), min(int(y1) + 3, scene.height))
    columns = slice(max(int(x0) - 2, 0), min(int(x1) + 3, scene.width))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


_SLOPE = smooth((SHOULDER, 0.34), (1.0, 0.0), LEVELS)  # how much a panel follows the slope of the shoulders
_SAG = 0.006 * smooth((0.3, HIP), (0.0, 1.0), LEVELS)  # and hangs lower in the middle, for the body is round
_BELOW_HIP = int(np.searchsorted(LEVELS, HIP, side="right"))
_SHOULDER_S = int(np.searchsorted(SLEEVE_S, -1e-9))
_STEP = float(LEVELS[1] - LEVELS[0])


class _Grid:
    """Where the rows and columns of a canvas lie on a body."""

    def __init__(self, size: Size, frame: Frame, body: Body):
        y = ((np.arange(size.height) + 0.5) / size.height - frame.origin[1]) / frame.scale
        x = ((np.arange(size.width) + 0.5) / size.height - frame.origin[0]) / frame.scale
        self.x, self.y = x.astype(np.float32)[None], y.astype(np.float32)[:, None]  # body heights
        self.v = np.interp(y, body.measures["level"], LEVELS)  # heights on the average body
        place = (self.v - LEVELS[0]) / _STEP
        self._below = np.minimum(place.astype(int), len(LEVELS) - 2)
        self._share = place - self._below

    def at_rows(self, rows: slice, tables: np.ndarray) -> list[np.ndarray]:
        """Every row of `tables` (K, 201), given at LEVELS, at so many rows of the canvas: K columns (N, 1) float32."""
        below, share = self._below[rows], self._share[rows]
        values = tables[:, below]
        values += share * (tables[:, below + 1] - values)
        return list(values.astype(np.float32)[..., None])


def _place_panel(scene: Scene, garment: Garment, flat: Flat, part: Part):
    """Where the pixels of a panel lie in the flat garment: box, x and y in picture heights, and the light on them."""
    body = scene.body
    if part.side:
        left, right = garment.leg_edges(body, part.side)
    else:
        left, right = _limit(scene, garment, *garment.torso_edges(body))
    level = body.measures["level"]
    first, last = np.searchsorted(LEVELS, (garment.top - 0.06, garment.end + 0.03))
    box = _box(scene, (left[first:last].min(), level[first] - 0.01), (right[first:last].max(), level[last - 1] + 0.01))
    if box is None:
        return None
    rows, columns = box
    tables = np.zeros((8, len(LEVELS)))
    tables[0], tables[1], tables[2], tables[3] = 0.5 * (left + right), 0.5 * (right - left), _SLOPE, _SAG
    tables[4], tables[5] = 0.5 * (part.left + part.right), 0.5 * (part.right - part.left)
    tables[6:, 1:-1] = (tables[4:6, 2:] - tables[4:6, :-2]) / (2 * _STEP)
    middle, half, slope, sag, flat_middle, flat_half, middle_change, half_change = scene.grid.at_rows(rows, tables)
    v_row = scene.grid.v[rows].astype(np.float32)[:, None]
    q = (scene.grid.x[:, columns] - middle) / half  # -1 at the left edge, 1 at the right one
    bulge = 1 - q * q
    if part.side:
        dv = (-0.3 * sag) * bulge
    else:
        dv = (-body.tilt * half * slope) * q - sag * bulge
        q += (0.18 * body.turn) * bulge
    v = v_row + dv
    # the flat edges at v, to first order
    fx = flat_middle + middle_change * dv + q * (flat_half + half_change * dv)
    fy = flat.origin[1].astype(np.float32) + np.float32(flat.scale) * v
    return box, fx, fy, _folds(scene, garment, part, q, v, v_row)


def _limit(scene: Scene, garment: Garment, left: np.ndarray, right: np.ndarray):
    """Skirts stay in the region that any garment of their category may fill, so that the unpaired truth is well posed."""
    if garment.attributes.category == "upper_body":
        return left, right

    def soft(edge, start, sign):
        over = np.maximum(sign * (edge - start), 0.0)
        over[:_BELOW_HIP] = 0.0
        if not over.any():
            return edge
        return np.where(over > 0, start + sign * 0.02 * np.tanh(over / 0.02), edge)

    left_start, right_start = scene.skirt_room
    return soft(left, left_start, -1), soft(right, right_start, 1)


def _place_sleeve(scene: Scene, garment: Garment, flat: Flat, part: Part):
    """`_place_panel` for a sleeve."""
    arm, line, s_line, field, *values = scene.arm_fields[0 if part.side < 0 else 1]
    half = garment.sleeve_half_width(arm.radius)
    line = line[s_line <= garment.sleeve_end + 0.06]
    reach = half.max() + 0.004
    box = _box(scene, line.min(0) - reach, line.max(0) + reach)
    if box is None:
        return None
    inside = tuple(slice(mine.start - all_.start, mine.stop - all_.start) for mine, all_ in zip(box, field, strict=True))
    s, index, d = (value[inside] for value in values)
    tables = np.stack((half, part.half_width), -1).astype(np.float32)[None]
    widths = cv2.remap(tables, index, np.zeros_like(index), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    q = d / widths[..., 0]
    # above the shoulder the sleeve's cap is round on every arm
    length = math.hypot(*part.axis)
    cap = arm.length / length * part.half_width[_SHOULDER_S] / half[_SHOULDER_S]
    along = np.where(s > 0, s, np.float32(cap) * s)
    across = q * (widths[..., 1] * np.float32(1 / length))
    (x0, y0), (ax, ay) = part.shoulder.astype(np.float32), part.axis.astype(np.float32)
    fx = x0 + ax * along - ay * across
    fy = y0 + ay * along + ax * across
    np.copyto(fx, -9.0, where=(np.abs(q) > 1.3) | (s < -0.35))
    towards_body = np.maximum(q * np.float32(-part.side), 0)
    light = 1.0 - 0.13 * np.minimum(towards_body, 1) ** 2 - 0.03 * q * q
    bend = abs(arm.angle)
    if bend > 0.2 and garment.sleeve_end > 0.6:
        elbow = (arm.upper - arm.cut + 0.5 * arm.arc * bend) / arm.length
        inner = np.minimum(np.maximum(q * np.float32(np.sign(arm.angle)), 0), 1)
        light -= 0.16 * min(bend, 1.2) * inner * np.exp(-(((s - np.float32(elbow)) * np.float32(1 / 0.07)) ** 2))
    return box, fx, fy, light


def _folds(scene: Scene, garment: Garment, part: Part, q: np.ndarray, v: np.ndarray, v_row: np.ndarray) -> np.ndarray:
    """Light on a panel: round at the sides, and a few soft folds where this pose pulls this cut."""
    body = scene.body
    u = 0.5 * q + 0.5
    edge = np.abs(q)
    light = 1.0 - 0.10 * (edge * edge * edge)
    light -= 0.05 * np.maximum(q - 0.2, 0)

    def height(at_v, dv):
        """What the folds at one height share: the rows where they are more than a rounding error, how far these lie below it,
        and how much a fold has faded there; None if it is narrower than a pixel."""
        if scene.size.pixels(2 * dv * scene.frame.scale) < 1:
            return None
        reach = 3 * dv + 0.015  # rows are not quite level on the body
        near = slice(*np.searchsorted(v_row[:, 0], (at_v - reach, at_v + reach)).tolist())
        b = v[near] - np.float32(at_v)
        return near, b, np.float32(1 / dv**2) * (b * b)

    def ridge(where, at_u, du, lean, depth):
        """Darkens `light` along a line."""
        if where is None:
            return
        near, b, faded = where
        a = u[near] - np.float32(at_u)
        if lean:
            a -= np.float32(lean) * b
        light[near] -= np.float32(depth) * np.exp(np.float32(-1 / du**2) * (a * a) - faded)

    category = garment.attributes.category
    if category != "lower_body":
        looseness = 0.7 + 25 * max(garment.ease - 0.006, 0.0)
        armpit, chest = height(0.272, 0.036), height(0.292, 0.045)
        for side, arm in zip((-1, 1), body.arms, strict=True):
            raised = min(max(float(arm.elbow[0] - arm.shoulder[0]) * side / 0.12, 0.0), 1.0)
            ridge(armpit, 0.5 + 0.36 * side, 0.022, -4.0 * side, 0.07 * (0.5 + raised) * looseness)
            ridge(chest, 0.5 + 0.29 * side, 0.018, -3.0 * side, 0.05 * (0.3 + raised) * looseness)
        pull = 20 * min(max(body.sway - body.lean, -0.02), 0.02)
        waist, below = height(WAIST - 0.004, 0.0065), height(WAIST + 0.022, 0.007)
        for side in (-1, 1):
            deep = 0.045 * looseness * (1 + 0.8 * side * pull)
            ridge(waist, 0.5 + 0.4 * side, 0.1, 0.0, deep)
            ridge(below, 0.5 + 0.37 * side, 0.12, 0.0, 0.8 * deep)
    if category == "dresses" or garment.attributes.kind == "skirt":
        deep = np.clip((v_row - WAIST - 0.03) / 0.2, 0, 1) * min(0.06 + 0.25 * garment.flare, 0.12)
        phase = 2.0 * body.turn + 30 * body.sway
        wave = 0.5 + 0.5 * np.cos(np.float32(8 * np.pi) * u + np.float32(phase))
        light -= deep * (wave * wave)
    if part.side:
        inner = np.minimum(np.maximum(-part.side * q, 0), 1)
        light -= 0.05 * inner * inner
        ridge(height(KNEE, 0.008), 0.5, 0.4, 0.0, 0.05)
        ridge(height(CROTCH - 0.005, 0.012), 0.5 - 0.2 * part.side, 0.3, 0.0, 0.05)
        ridge(height(ANKLE - 0.012, 0.006), 0.5, 0.5, 0.0, 0.06)
    if category == "upper_body":
        ridge(height(0.52, 0.01), 0.5, 0.5, 0.0, 0.02)
    return light


def _shrink(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def _shrink_labels(label: np.ndarray, first: int) -> np.ndarray:
    """Labels at picture size. A pixel that shows any of label `first` (the garment), or ends where the garment does, has it:
    so every pixel that would look different with another garment is known to be one."""
    small = np.ascontiguousarray(label[FACTOR // 2 :: FACTOR, FACTOR // 2 :: FACTOR])
    wide = cv2.dilate((label == first).view(np.uint8), _NEIGHBOURS)
    small[_reduce(wide, np.maximum).view(bool)] = first
    return small


def _shrink_grid(worn: Worn, flat: Flat, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The warp at picture size, (H, W, 2) in [-1, 1] with corner centres at -1 and 1, and where it is valid."""
    low, high = _reduce(worn.owner, np.minimum), _reduce(worn.owner, np.maximum)
    place = _shrink(cv2.merge(worn.place), height, width)
    rows, columns = np.nonzero((low == high) & (low > 0))
    x, y = place[rows, columns].T
    canvas_h, canvas_w = flat.owner.shape
    there = flat.owner[
        np.minimum(np.maximum(y * canvas_h, 0), canvas_h - 1).astype(int),
        np.minimum(np.maximum(x * canvas_h, 0), canvas_w - 1).astype(int),
    ]
    seen = there == low[rows, columns]
    valid = np.zeros((height, width), bool)
    valid[rows[seen], columns[seen]] = True
    scale = np.array((2 * height / (width - 1), 2 * height / (height - 1)), np.float32)
    grid = place * scale - np.array((width / (width - 1), height / (height - 1)), np.float32)
    grid *= valid[..., None]
    return np.clip(_extend(grid, valid) if valid.any() else grid, -1, 1), valid


def _reduce(values: np.ndarray, pick) -> np.ndarray:
    """The least or greatest value of each FACTOR x FACTOR block."""
    rows = values[::FACTOR]
    for k in range(1, FACTOR):
        rows = pick(rows, values[k::FACTOR])
    columns = rows[:, ::FACTOR]
    for k in range(1, FACTOR):
        columns = pick(columns, rows[:, k::FACTOR])
    return columns


def _extend(grid: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The grid, 0 where it is not valid, with those places filled from ever coarser averages of the valid ones (at least one)."""
    h, w = valid.shape
    if h < 2 or w < 2 or valid.all():
        return grid
    half = (max(w // 2, 1), max(h // 2, 1))
    mass = cv2.resize(valid.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(grid, half, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
    filled = cv2.resize(_extend(coarse, mass > 1e-6), (w, h), interpolation=cv2.INTER_LINEAR)
    np.copyto(filled, grid, where=valid[..., None])
    return filled
