"""People: a body of measures and a pose, and how it is drawn.

Choices made here
- A body is 1 high, from the top of the head (y = 0) to the soles (y = 1), and x = 0 is its middle. Heights on the body are
  named by those of one average body (`LEVELS`), so that a garment cut for the average body fits every body.
- Poses are of two-bone arms and legs that stand: arms down, held out, on the hip, or in front of the body.
- A person is drawn in three layers: behind the garments, between torso and sleeves (arms), and in front
  (head, hair, hands). None of them depends on what is worn.
- Left and right are the person's own; the person faces us, so the right side is at smaller x.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from ladi_mini.wardrobe.canvas import (
    Canvas,
    Colour,
    Frame,
    band,
    between,
    curve,
    ellipse,
    mix,
    pick,
    points_of,
    shade,
    skin_shade,
    smooth,
    steps,
)  # fmt: skip

# heights on the average body
TOP, CHIN, NECK, SHOULDER, ARMPIT, WAIST, HIP, HEM, CROTCH, KNEE, ANKLE = (
    0.0, 0.138, 0.165, 0.19, 0.255, 0.385, 0.47, 0.535, 0.53, 0.73, 0.945,
)  # fmt: skip
LEVELS = np.linspace(0.02, 1.02, 201)
LABEL = {  # VITON-HD's numbers, see ladi_mini.sample.PARSE_LABELS
    "background": 0, "hair": 2, "upper": 5, "dress": 6, "pants": 9, "neck": 10, "skirt": 12, "face": 13,
    "left_arm": 14, "right_arm": 15, "left_leg": 16, "right_leg": 17, "left_shoe": 18, "right_shoe": 19,
}  # fmt: skip

SKINS = (
    (250, 222, 200), (244, 206, 178), (236, 190, 156), (222, 172, 134),
    (200, 146, 106), (172, 118, 82), (140, 92, 62), (108, 70, 50), (82, 54, 42),
)  # fmt: skip
HAIRS = (
    (34, 28, 30), (52, 38, 34), (78, 52, 38), (112, 72, 46), (150, 100, 58),
    (196, 150, 88), (226, 192, 132), (160, 72, 40), (150, 146, 146), (206, 202, 196),
)  # fmt: skip
IRISES = ((70, 50, 38), (92, 64, 40), (70, 96, 120), (84, 110, 84))
HAIR_STYLES = ("short", "side", "bob", "long", "wavy", "bun", "afro", "buzz", "curly", "ponytail")


_ARM_S = np.linspace(0, 1, 65)
_ARM_WIDTH = smooth((0.0, 0.2, 0.5, 0.65, 1.0), (1.0, 1.0, 0.8, 0.82, 0.52), _ARM_S)


@dataclass
class Arm:
    """Shoulder, elbow and wrist (2,) in body heights; `side` is -1 for the person's right."""

    side: int
    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    radius: float = 0.0255

    def __post_init__(self):
        first, second = self.elbow - self.shoulder, self.wrist - self.elbow
        self.upper, self.fore = math.hypot(*first), math.hypot(*second)
        self.a, self.b = first / self.upper, second / self.fore
        (ax, ay), (bx, by) = self.a.tolist(), self.b.tolist()
        self.angle = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
        half = max(abs(math.tan(0.5 * self.angle)), 1e-3)
        self.arc = min(0.11, 0.45 * min(self.upper, self.fore) / half) if abs(self.angle) > 0.02 else 0.0
        self.cut = self.arc * half  # how far from the elbow the arc begins
        self.length = self.upper + self.fore - 2 * self.cut + self.arc * abs(self.angle)

    def line(self, points: int = 32) -> tuple[np.ndarray, np.ndarray]:
        """Points (points, 2) of the arm's middle from shoulder to wrist, the elbow rounded by an arc, and their `s` in [0, 1]."""
        s = steps(0, 1, points)
        length = s * self.length
        straight, turned = self.upper - self.cut, self.arc * abs(self.angle)
        first = self.shoulder + length[:, None] * self.a
        last = self.wrist - (self.length - length)[:, None] * self.b
        if self.arc == 0.0:
            return np.where((length <= straight)[:, None], first, last), s
        sign = np.sign(self.angle)
        normal = sign * np.array((-self.a[1], self.a[0]))
        centre = self.elbow - self.cut * self.a + self.arc * normal
        phi = sign * (length - straight) / self.arc
        radial = -self.arc * normal
        c, n = np.cos(phi)[:, None], np.sin(phi)[:, None]
        on_arc = centre + c * radial + n * np.array((-radial[1], radial[0]))
        return np.where((length <= straight)[:, None], first, np.where((length >= straight + turned)[:, None], last, on_arc)), s

    @cached_property
    def middle(self) -> tuple[np.ndarray, np.ndarray]:
        """`line` at its usual number of points, computed once."""
        return self.line()

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points lie along the arm: `s` (0 shoulder, 1 wrist, beyond too) and the signed distance from its middle.

        The exact inverse of `line`: of two straight pieces and an arc, the nearest piece that faces the point.
        """
        # plain numbers, so that points given in 32 bits are handled in 32 bits
        (x0, y0), (x1, y1) = self.shoulder.tolist(), self.wrist.tolist()
        (ax, ay), (bx, by) = self.a.tolist(), self.b.tolist()
        straight = self.upper - self.cut
        sign = 1.0 if self.angle >= 0 else -1.0
        px, py = x - x0, y - y0
        along, distance = px * ax + py * ay, ax * py - ay * px
        qx, qy = x - x1, y - y1
        along_b, distance_b = qx * bx + qy * by + self.length, bx * qy - by * qx
        end = self.length - (self.fore - self.cut)
        on_b = (along_b > end) & ((along > straight) | (np.abs(distance_b) < np.abs(distance)))
        s, d = np.where(on_b, along_b, along), np.where(on_b, distance_b, distance)
        if self.arc > 0.0:
            nx, ny = -sign * ay, sign * ax
            centre_x, centre_y = x0 + straight * ax + self.arc * nx, y0 + straight * ay + self.arc * ny
            rx, ry = x - centre_x, y - centre_y
            in_arc = (along > straight) & (along_b < end)
            radius = np.sqrt(rx * rx + ry * ry)
            across, down = sign * (ny * rx - nx * ry), -nx * rx - ny * ry
            phi = np.arctan2(across, down, where=in_arc, out=np.zeros_like(s))  # slow, and few points need it
            s = np.where(in_arc, straight + self.arc * phi, s)
            d = np.where(in_arc, sign * (self.arc - radius), d)
        return s / self.length, d

    def half_width(self, s: np.ndarray) -> np.ndarray:
        """Half the arm's width at `s`, 0 at the shoulder and 1 at the wrist."""
        return self.radius * np.interp(s, _ARM_S, _ARM_WIDTH)


@dataclass(eq=False)
class Body:
    """The measures of one person, in body heights; defaults are the average body that garments are cut for."""

    chest: float = 0.086
    waist: float = 0.07
    hip: float = 0.088
    shoulder: float = 0.101
    neck: float = 0.028
    thigh: float = 0.046
    calf: float = 0.031
    heights: np.ndarray = field(default_factory=lambda: np.array([TOP, CHIN, NECK, ARMPIT, WAIST, HIP, CROTCH, KNEE, ANKLE, 1.0]))
    lean: float = 0.0  # x of the neck over the hips
    sway: float = 0.0  # x of the hips
    tilt: float = 0.0  # slope of the shoulders
    turn: float = 0.0  # of the body about its axis, -1 to 1
    stance: float = 0.05  # x of the ankles
    bend: tuple[float, float] = (0.0, 0.0)  # x of right and left knee off the straight leg
    head_tilt: float = 0.0
    head_turn: float = 0.0
    arms: tuple[Arm, ...] = ()
    skin: Colour = SKINS[2]
    hair: Colour = HAIRS[1]
    hair_style: str = "short"
    iris: Colour = (70, 52, 40)
    lips: Colour = (190, 100, 96)
    beard: bool = False
    lashes: bool = False
    shoe: Colour = (240, 240, 238)
    shoe_style: str = "sneaker"
    face_shape: float = 1.0
    smile: float = 0.5  # 0 serious, 1 a smile

    @cached_property
    def measures(self) -> dict:
        """The measures below at `LEVELS`, from which all else is interpolated."""
        v = LEVELS
        average = (TOP, CHIN, NECK, ARMPIT, WAIST, HIP, CROTCH, KNEE, ANKLE, 1.0)
        hip = self.hip
        torso = (self.shoulder, self.shoulder, self.chest, 0.5 * (self.chest + self.waist) - 0.001, self.waist, hip, hip, hip)
        leg = (0.5 * hip, 0.51 * hip, self.thigh * 0.93, self.calf, self.calf * 1.08, self.calf * 0.8, 0.0165, 0.0165)
        tables = {
            "level": v + smooth(average, self.heights - average, v),
            "middle": smooth((NECK, WAIST, HIP, ANKLE), (self.lean, 0.5 * (self.lean + self.sway), self.sway, 0.0), v),
            "half_width": smooth((NECK, SHOULDER, ARMPIT, 0.32, WAIST, HIP, CROTCH, 0.6), torso, v),
            "leg_half_width": smooth((HIP, CROTCH, 0.6, KNEE, 0.79, 0.88, ANKLE, 1.0), leg, v),
        }
        for side in (-1, 1):
            hip, ankle = self.sway + side * 0.5 * self.hip, side * self.stance
            knee = 0.5 * (hip + ankle) + self.bend[0 if side < 0 else 1]
            tables["leg_axis", side] = smooth((HIP, KNEE, ANKLE), (hip, knee, ankle), v)
        return tables

    @cached_property
    def head(self) -> "Head":
        """Places points on this person's head."""
        return Head(self)

    def level(self, v):
        """The y of this body where the average body has height `v`."""
        return np.interp(v, LEVELS, self.measures["level"])

    def middle(self, v):
        """The x of the spine at height `v`, and of the line between the legs below it."""
        return np.interp(v, LEVELS, self.measures["middle"])

    def leg_axis(self, side: int, v):
        """The x of a leg's middle at height `v`, from the hip down."""
        return np.interp(v, LEVELS, self.measures["leg_axis", side])

    def leg_half_width(self, v):
        """Half a leg's width at height `v`."""
        return np.interp(v, LEVELS, self.measures["leg_half_width"])


def bend_arm(side: int, shoulder, upper: float, fore: float, target, outward: float = 1.0):
    """Elbow and wrist of a two-bone arm that reaches for `target`, its elbow away from the body."""
    shoulder, target = np.asarray(shoulder, float), np.asarray(target, float)
    reach = target - shoulder
    distance = min(np.hypot(*reach), 0.995 * (upper + fore))
    direction = reach / np.hypot(*reach)
    wrist = shoulder + direction * distance
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    across = np.sqrt(max(upper**2 - along**2, 0.0))
    normal = np.array((direction[1], -direction[0]))
    if normal[0] * side < 0:
        normal = -normal
    return shoulder + direction * along + normal * across * outward, wrist


def draw_person(rng: np.random.Generator) -> Body:
    """A person with a pose from `rng`."""
    build = between(rng, 0.88, 1.2)
    feminine = rng.random()
    body = Body(
        chest=0.086 * build * (1.03 - 0.07 * feminine),
        waist=0.071 * build * (1.08 - 0.18 * feminine) + 0.004 * (build > 1.1),
        hip=0.085 * build * (0.95 + 0.1 * feminine),
        shoulder=(0.072 + 0.028 * build) * (1.06 - 0.1 * feminine),
        neck=0.0265 * (0.6 + 0.4 * build) * (1.08 - 0.12 * feminine),
        thigh=0.046 * (0.3 + 0.7 * build),
        calf=0.0305 * (0.4 + 0.6 * build),
    )
    body.heights = body.heights.copy()
    head = between(rng, -0.003, 0.008)
    body.heights[1:4] += head
    body.heights[4:7] += between(rng, -0.012, 0.012)
    body.heights[7] += between(rng, -0.008, 0.008)
    body.lean = between(rng, -0.012, 0.012)
    body.sway = between(rng, -0.01, 0.01)
    body.tilt = between(rng, -0.05, 0.05) - 1.5 * body.sway
    body.turn = between(rng, -0.5, 0.5)
    body.stance = between(rng, 0.045, 0.072)
    bend = pick(rng, (-1, 0, 1))
    body.bend = (-0.008 * (bend < 0), 0.008 * (bend > 0))
    body.head_tilt = between(rng, -0.12, 0.12)
    body.head_turn = float(np.clip(body.turn + between(rng, -0.4, 0.4), -0.8, 0.8))
    body.arms = _draw_arms(rng, body, build)
    body.skin = pick(rng, SKINS)
    dark = SKINS.index(body.skin) >= 5
    body.hair = pick(rng, HAIRS[:4] if dark else HAIRS)
    long_styles = ("bob", "long", "wavy", "bun", "ponytail", "curly", "afro")
    short_styles = ("short", "side", "buzz", "curly", "short", "side", "afro")
    body.hair_style = pick(rng, long_styles if feminine > 0.5 else short_styles)
    if body.hair_style == "afro" and not dark:
        body.hair_style = "wavy" if feminine > 0.5 else "side"
    body.iris = pick(rng, IRISES[:2] if dark else IRISES)
    body.lashes = feminine > 0.5
    body.lips = mix(body.skin, (178, 66, 74), 0.62 if feminine > 0.5 else 0.34)
    body.beard = bool(feminine < 0.4 and rng.random() < 0.35)
    shoes = ((240, 240, 238), (52, 52, 58), (120, 80, 56), (196, 52, 56), (50, 66, 104), (206, 182, 150))
    body.shoe = pick(rng, shoes)
    body.shoe_style = pick(rng, ("sneaker", "sneaker", "flat", "boot"))
    body.face_shape = between(rng, 0.94, 1.06)
    body.smile = between(rng, 0.2, 1.0)
    return body


def _draw_arms(rng: np.random.Generator, body: Body, build: float) -> tuple[Arm, ...]:
    upper, fore = 0.165, 0.148
    pose = pick(rng, ("down", "down", "out", "hip", "hip", "front", "front", "both hips"))
    sides = []
    first = pick(rng, (-1, 1))
    radius = 0.0255 * (0.45 + 0.55 * build)
    for side in (-1, 1):
        slope = body.tilt * side * body.shoulder
        shoulder = np.array((body.lean + side * (body.shoulder - 0.015), body.level(SHOULDER) - 0.0045 + radius + slope))
        kind = pose
        if pose in ("hip", "front") and side != first:
            kind = "down"
        if pose == "both hips":
            kind = "hip"
        if kind in ("down", "out"):
            a = between(rng, 0.1, 0.2) if kind == "down" else between(rng, 0.24, 0.4)
            b = between(rng, -0.04, 0.12) if kind == "down" else between(rng, 0.1, 0.3)
            elbow = shoulder + upper * np.array((side * np.sin(a), np.cos(a)))
            wrist = elbow + fore * np.array((side * np.sin(b), np.cos(b)))
        elif kind == "hip":
            target = (body.sway + side * (body.hip + 0.012), body.level(HIP) - between(rng, 0.02, 0.05))
            elbow, wrist = bend_arm(side, shoulder, upper, fore, target)
        else:  # in front of the body
            target = (body.sway + side * between(rng, 0.02, 0.045), body.level(WAIST) + between(rng, -0.03, 0.05))
            elbow, wrist = bend_arm(side, shoulder, upper, fore, target)
        sides.append(Arm(side, shoulder, elbow, wrist, radius))
    return tuple(sides)


def keypoints(body: Body, frame: Frame) -> np.ndarray:
    """(18, 2) COCO-18 keypoints in picture heights."""
    right, left = body.arms
    v = np.array((HIP, KNEE, ANKLE))
    legs = [points_of(body.leg_axis(side, v), body.level(v)) for side in (-1, 1)]
    for leg, arm in zip(legs, body.arms, strict=True):
        leg[0, 0] += arm.side * 0.1 * body.hip
    outward = np.array((0.35 * right.radius, -0.2 * right.radius))
    shoulders = right.shoulder + outward * (-1, 1), left.shoulder + outward
    nose, *eyes_and_ears = body.head.place(((0, 0.012), (-0.0185, -0.006), (0.0185, -0.006), (-0.046, 0.002), (0.046, 0.002)))
    neck = 0.5 * (shoulders[0] + shoulders[1])
    points = [nose, neck, shoulders[0], right.elbow, right.wrist, shoulders[1], left.elbow, left.wrist]
    points += [*legs[0], *legs[1], *eyes_and_ears]
    return frame(np.array(points))


class Head:
    """Places points of an upright head (body heights from a point between the eyes) on the tilted, turned one."""

    def __init__(self, body: Body):
        self.centre = np.array((body.lean + 0.02 * np.sin(body.head_tilt), body.level(CHIN) - 0.068))
        c, s = np.cos(body.head_tilt), np.sin(body.head_tilt)
        self.rotation = np.array(((c, s), (-s, c)))
        self.turn = 0.012 * body.head_turn  # how far features move
        self.face_shape = body.face_shape

    def place(self, points, turned: float | np.ndarray = 1.0) -> np.ndarray:
        """Points on the head, body heights; those of features are `turned` (1), those of its outline are not (0)."""
        p = np.array(points, float)
        x = p[:, 0]
        x += (self.turn * turned) * np.maximum(1 - (20 * x) ** 2, 0)
        x *= self.face_shape
        return self.centre + p @ self.rotation


LEGS, TORSO = slice(88, 192, 3), slice(34, 103, 2)  # of LEVELS: from the hips to the ankles, from the shoulders to the crotch


def draw_skin(canvas: Canvas, body: Body):
    """Legs, torso and neck: what garments lie on."""
    dark = skin_shade(body.skin, 0.13)
    y, w = body.measures["level"][LEGS], body.measures["leg_half_width"][LEGS]
    for side, label in ((-1, "right_leg"), (1, "left_leg")):
        x = body.measures["leg_axis", side][LEGS]
        edge, inner = points_of(x - side * w, y), points_of(x - 0.5 * side * w, y)
        canvas.fill(np.concatenate((edge, points_of(x + side * w, y)[::-1])), body.skin, LABEL[label])
        canvas.fill(np.concatenate((inner, edge[::-1])), dark)
    y, w, x = (body.measures[name][TORSO] for name in ("level", "half_width", "middle"))
    n, lean = body.neck, body.lean
    slope = np.array(((n * 1.9, 0.171), (n * 1.1, 0.156), (n, 0.12), (-n, 0.12), (-n * 1.1, 0.156), (-n * 1.9, 0.171)))
    slope[:, 0] += lean
    slope[:, 1] = body.level(slope[:, 1])
    neck = curve(np.concatenate((((x[0] + w[0], y[0]),), slope, ((x[0] - w[0], y[0]),))), 4)
    outline = np.concatenate((points_of(x - w, y), points_of(x + w, y)[::-1], neck))
    fade = np.interp(outline[:, 1], (0.15, 0.1501, 0.19, 0.3), (0.0, 1.0, 1.0, 0.0))  # the neck stays upright
    outline[:, 1] += body.tilt * (outline[:, 0] - lean) * fade
    canvas.fill(outline, body.skin, LABEL["neck"])
    draw_neck_shadow(canvas, body)
    bone = body.level(0.186)
    for side in (-1, 1) if canvas.shows(0.0024) else ():
        points = [(lean + 0.012 * side, bone + 0.004), (lean + 0.035 * side, bone - 0.002), (lean + 0.06 * side, bone - 0.004)]
        line = curve(points, 3)
        canvas.fill(band(line, np.array((0.0004, *[0.0012] * (len(line) - 2), 0.0004))), dark)


def draw_neck_shadow(canvas: Canvas, body: Body):
    """The shadow of the chin."""
    n, x, y = body.neck, body.lean, body.level(CHIN)
    lean = 0.006 * body.head_turn
    left = [(x - n, y - 0.02), (x - n * 1.01, y + 0.004), (x - 0.45 * n + lean, y + 0.0155)]
    right = [(x + 0.45 * n + lean, y + 0.0165), (x + n * 1.01, y + 0.006), (x + n, y - 0.02)]
    canvas.fill(curve(left + right, 4), skin_shade(body.skin, 0.24))


# a shoe from the left of its top to the right: (x in half widths, share of the foot's outward turn, y)
SHOE = np.array(((-1.05, 0.3, 0.965), (-1.25, 1, 0.985), (-1.2, 1, 1.0), (1.2, 1, 1.0), (1.25, 1, 0.985), (1.05, 0.3, 0.965)))
SOLE = np.array(((-1.27, 1, 0.993), (1.27, 1, 0.993), (1.2, 1, 1.002), (-1.2, 1, 1.002)))
LACES = np.array(((-0.5, 0, 0.968), (0, 0.3, 0.972), (0.5, 0, 0.968)))
SHOE_TOPS = {"sneaker": 0.95, "flat": 0.966, "boot": 0.938}


def draw_shoes(canvas: Canvas, body: Body):
    """Shoes; they lie over trouser legs."""
    width, top = 0.0205, SHOE_TOPS[body.shoe_style]
    rim = np.array(((-0.92, 0, top),)), np.array(((0.92, 0, top),))
    pale = sum(body.shoe) > 500
    for side, label in ((-1, "right_shoe"), (1, "left_shoe")):
        x = float(body.leg_axis(side, 0.955))

        def place(points, x=x, side=side):
            return points_of(x + width * points[:, 0] + 0.007 * side * points[:, 1], points[:, 2])

        canvas.fill(curve(place(np.concatenate((rim[0], SHOE, rim[1]))), 4), body.shoe, LABEL[label])
        if body.shoe_style == "sneaker":
            sole = shade(body.shoe, 0.45) if pale else (236, 232, 224)
            canvas.fill(place(SOLE), sole)
            if canvas.shows(0.0028):
                canvas.fill(band(curve(place(LACES), 3), 0.0014), sole)
        elif body.shoe_style == "boot":
            canvas.fill(place(SOLE), shade(body.shoe, 0.4))
        else:
            canvas.fill(ellipse((x + 0.0028 * side, 0.967), (0.78 * width, 0.009)), body.skin)


def draw_arms(canvas: Canvas, body: Body):
    """Bare arms, drawn over the torso's garment and under sleeves."""
    for arm in body.arms:
        line, s = arm.middle
        w = arm.half_width(s)
        label = LABEL["right_arm" if arm.side < 0 else "left_arm"]
        outline = band(line, w)
        canvas.fill(ellipse(arm.shoulder, (w[0], w[0])), body.skin, label)
        canvas.fill(outline, body.skin, label)
        n = len(line)
        inner_first = abs(outline[n // 3, 0] - body.lean) < abs(outline[2 * n - 1 - n // 3, 0] - body.lean)
        edge = outline[:n] if inner_first else outline[n:][::-1]
        canvas.fill(np.concatenate((edge, (0.55 * edge + 0.45 * line)[::-1])), skin_shade(body.skin, 0.14))


def _hand() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outlines of a hand and of the lines between its fingers, as (along the arm, towards the thumb) from the wrist."""
    palm = curve(((-0.006, -0.0135), (0.014, -0.0165), (0.034, -0.0165), (0.036, 0.0155), (0.014, 0.0165), (-0.006, 0.0135)), 4)
    skin, lines = [palm], []
    for k, (reach, spread) in enumerate(((0.059, -0.0135), (0.067, -0.0045), (0.066, 0.0045), (0.058, 0.013))):
        finger = curve(((0.03, spread * 0.92), (0.5 * (reach + 0.03), spread * 1.02), (reach, spread * 0.9)), 3)
        skin += [band(finger, 0.0043), ellipse(finger[-1], (0.0043, 0.0043), 12)]
        if k:
            lines.append(band(np.array(((0.036, spread - 0.0045), (reach - 0.006, spread * 0.95 - 0.0043))), 0.0006))
    thumb = curve(((0.008, 0.011), (0.022, 0.0225), (0.039, 0.0235)), 3)
    skin += [band(thumb, 0.0047), ellipse(thumb[-1], (0.0047, 0.0047), 12)]
    return [0.88 * outline for outline in skin], [0.88 * outline for outline in lines]


def _union(outlines: list[np.ndarray]) -> np.ndarray:
    """One outline around shapes that overlap, found on a raster of a ten-thousandth of a body height."""
    low = np.concatenate(outlines).min(0)
    raster = np.zeros((1000, 1000), np.uint8)
    for outline in outlines:
        cv2.fillPoly(raster, [np.rint((outline - low) * 10_000 + 2).astype(np.int32)], 255)
    (contour,), _ = cv2.findContours(raster, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return (cv2.approxPolyDP(contour, 1.5, closed=True)[:, 0] - 2) / 10_000 + low


_HAND_SKIN, _HAND_LINES = _hand()
_HAND_OUTLINE = _union(_HAND_SKIN)


def draw_hands(canvas: Canvas, body: Body):
    """Hands with fingers, over the sleeves."""
    for arm in body.arms:
        across = np.array((-arm.b[1], arm.b[0]))
        if across[0] * (body.lean - arm.wrist[0]) < 0:  # thumbs point to the middle
            across = -across
        axes = np.stack((arm.b, across))
        canvas.fill(arm.wrist + _HAND_OUTLINE @ axes, body.skin, LABEL["right_arm" if arm.side < 0 else "left_arm"])
        for line in _HAND_LINES if canvas.shows(0.0012) else ():
            canvas.fill(arm.wrist + line @ axes, skin_shade(body.skin, 0.2))
