"""What the model may see of a person: where the body is (pose maps) and what must be painted anew (inpaint masks).

Try-on needs a picture of the person that no longer shows what they wear. The parse map says which pixels are clothes, the
keypoints say where arms and legs go under them, and the mask joins both (LaDI-VTON, section 3: the inpainting mask M and the
pose map P; the rules are those of the released loaders). Two conventions:

`convention="released"` is the authors' rule, pixel for pixel, which their weights were trained with: heat maps of 9 px, a
dilation of 10 px and (Dress Code) arms of 45 px at every resolution, the arms as PIL draws them, a missing joint at (0, 0).

`convention="ours"` (default) mends it. Choices made here:
- Sizes scale with the picture: every length is given at a height of 512 and multiplied by H / 512.
- Arms are as thick as the person is wide (0.6 shoulder widths, between the authors' 45 and 90 px), not as the data set is called.
- Skirts, belts and bare legs belong to the lower body; a dress is a whole outfit, so a top or trousers make way for it too.
- A joint that was not detected is left out or guessed from its neighbours; it never pulls the mask to the picture's corner.
- The mask must not betray the garment: a mask cut along a mini skirt says "mini skirt", and leaves no room for a long one.
  So the whole place where a garment of the category can be joins the mask: the hull of shoulders and hips for upper bodies, of
  hips, knees and ankles for lower bodies, both for dresses, and the neck wherever a collar can be.
- Head, hands, shoes, scarf and bag are never repainted. Hair that lies on the chest stays: the new garment goes under it.
  The authors repaint it below the shoulders, and with it Dress Code's necks, which its label map calls "face": those alone
  are repainted here.

Both rules are written in label names; `LabelSet` turns them into the numbers of VITON-HD's or Dress Code's (ATR) parse maps.
Pixels are (x, y), a pixel's centre has whole coordinates. The inner functions are NumPy and OpenCV, for worker processes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from ladi_mini.presets import CATEGORIES, POSE_CHANNELS
from ladi_mini.sample import KEYPOINTS, PARSE_LABELS, InputError

Convention = Literal["ours", "released"]
Array = np.ndarray | torch.Tensor

# Lengths in pixels at a height of 512 (the authors' numbers) ...
SIGMA = 9.0  # of a keypoint's heat map, exp(-d^2 / sigma^2)
DILATION = 10
ARM_MIN, ARM_MAX = 45, 90  # thickness of an arm; the authors take the first for Dress Code, the second for VITON-HD
COLLAR = 20  # the line that parts neck from head runs this far above the shoulders
FAINT = 2e-16  # of a heat map's peak: six sigmas away, far below what a float32 next to 1 can tell
# ... and in shoulder widths of the person (ours)
ARM = 0.6
TORSO_SIDE, TORSO_HEM = 0.25, 0.2  # how far the torso's hull goes beyond the joints
LEGS_SIDE, LEGS_WAIST = 0.4, 0.5

NOSE, NECK = KEYPOINTS.index("nose"), KEYPOINTS.index("neck")
ARMS = tuple(tuple(KEYPOINTS.index(f"{side}_{joint}") for joint in ("shoulder", "elbow", "wrist")) for side in ("right", "left"))
LEGS = tuple(tuple(KEYPOINTS.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle")) for side in ("right", "left"))
ELBOWS, WRISTS = (tuple(arm[k] for arm in ARMS) for k in (1, 2))
SHOULDERS, HIPS = (ARMS[0][0], ARMS[1][0]), (LEGS[0][0], LEGS[1][0])
# Where bones that tell how wide a person is start and end: across the shoulders and hips, down both sides and both thighs
BONES = np.array((SHOULDERS, HIPS, (SHOULDERS[0], HIPS[0]), (SHOULDERS[1], HIPS[1]), LEGS[0][:2], LEGS[1][:2])).T
BONE_WIDTHS = np.array((1.0, 1.5, 0.6, 0.6, 0.7, 0.7))  # shoulder widths in a length of each


@dataclass(frozen=True)
class LabelSet:
    """The names of a parse map's labels, in the order of their numbers."""

    names: tuple[str, ...]

    def where(self, parse: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """(H, W) bool: the pixels of `parse` (uint8) whose label is one of `names`."""
        numbers = _numbers(self, names)
        if len(numbers) == 1:  # several times as fast as a table
            return parse == numbers[0]
        return cv2.LUT(parse, _table(numbers)).view(bool)


@cache
def _numbers(labels: LabelSet, names: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of `names`; a name that the set lacks has none."""
    return tuple(number for number, name in enumerate(labels.names) if name in names)


@cache
def _table(numbers: tuple[int, ...]) -> np.ndarray:
    """(256,) uint8, 1 at `numbers`."""
    return np.isin(np.arange(256), numbers).astype(np.uint8)


VITONHD = LabelSet(PARSE_LABELS)
DRESSCODE = LabelSet((
    "background", "hat", "hair", "sunglasses", "upper", "skirt", "pants", "dress", "belt", "left_shoe", "right_shoe",
    "face", "left_leg", "right_leg", "left_arm", "right_arm", "bag", "scarf",
))  # fmt: skip
LABEL_SETS = {"vitonhd": VITONHD, "dresscode": DRESSCODE}

HEAD = ("hat", "hair", "sunglasses", "face")
SHOES = ("left_shoe", "right_shoe")
ARM_LABELS = ("left_arm", "right_arm")
LEG_LABELS = ("left_leg", "right_leg")
LOWER = ("pants", "skirt")

# The garment's own labels: what the warped garment is compared with.
GARMENT_LABELS = {"upper_body": ("upper", "dress", "coat"), "lower_body": ("pants", "skirt"), "dresses": ("dress",)}
# The authors' for Dress Code (for VITON-HD theirs are ours).
RELEASED_GARMENT_LABELS = {"upper_body": ("upper",), "lower_body": ("pants",), "dresses": ("dress",)}

TARGET = {
    "upper_body": ("upper", "dress", "coat", "neck"),
    "lower_body": ("pants", "skirt", "belt", *LEG_LABELS),
    "dresses": ("dress", "upper", "coat", "pants", "skirt", "belt", "neck", *LEG_LABELS),
}
PROTECTED = {  # never repainted
    "upper_body": (*HEAD, *SHOES, "glove", "scarf", "bag"),
    "lower_body": (*HEAD, *SHOES, "glove", "scarf", "bag", "upper", "coat", *ARM_LABELS),
    "dresses": (*HEAD, *SHOES, "glove", "scarf", "bag"),
}
NEIGHBOUR = {"upper_body": LOWER, "lower_body": (), "dresses": ()}  # repainted only where the hull says so

RELEASED_TARGET = {"upper_body": ("upper",), "lower_body": ("pants", *LEG_LABELS), "dresses": ("dress", *LEG_LABELS)}
RELEASED_FIXED = {
    "upper_body": (*HEAD, *SHOES, "scarf", "bag", *LOWER),
    "lower_body": (*HEAD, *SHOES, "scarf", "bag", "upper", *ARM_LABELS),
    "dresses": (*HEAD, *SHOES, "scarf", "bag"),
}
RELEASED_VITONHD_TARGET = ("upper", "dress", "coat")
RELEASED_VITONHD_FIXED = (*HEAD, *SHOES, *LOWER)


def pose_map(keypoints: Array, visible: Array, height: int, width: int, *, convention: Convention = "ours") -> torch.Tensor:
    """One heat map per keypoint, exp(-d^2 / sigma^2) with d the distance to it in pixels.

    keypoints (18, 2) pixels (x, y); visible (18,) bool. Returns (18, height, width) float32 in [0, 1], all zero where the
    keypoint is not visible. sigma = 9 px at a height of 512, scaled with the height; with `convention="released"` it is 9 px
    at every height and each map is divided by its largest pixel.
    """
    points, seen = _joints(keypoints, visible, (POSE_CHANNELS,))
    return torch.from_numpy(_gaussians(points, seen, height, width, convention))


def pose_maps(keypoints: Array, visible: Array, height: int, width: int, *, convention: Convention = "ours") -> torch.Tensor:
    """`pose_map` for a batch: keypoints (B, 18, 2), visible (B, 18) -> (B, 18, height, width), on the keypoints' device."""
    if isinstance(keypoints, torch.Tensor) and keypoints.device.type != "cpu":
        return _gaussians_on_device(keypoints, visible, height, width, convention)
    points, seen = _joints(keypoints, visible, (len(keypoints), POSE_CHANNELS))
    return torch.from_numpy(_gaussians(points, seen, height, width, convention))


def inpaint_mask(
    parse: Array,
    keypoints: Array,
    visible: Array,
    category: str,
    *,
    labels: Literal["vitonhd", "dresscode"] = "vitonhd",
    convention: Convention = "ours",
) -> torch.Tensor:
    """The region to repaint so that the person can wear another garment of `category`.

    parse (H, W) whole labels of the set `labels`; keypoints (18, 2) pixels (x, y) of the same picture; visible (18,) bool.
    Returns (1, H, W) float32, 1 = repaint. It is empty only if neither parse map nor keypoints show where the garment goes;
    `TryOnSample` refuses that. Raises `InputError` for a label, category or shape that does not exist.
    """
    one_of("category", category, CATEGORIES)
    one_of("labels", labels, LABEL_SETS)
    label_set = LABEL_SETS[labels]
    parse = _labels(parse, label_set)
    points, seen = _joints(keypoints, visible, (POSE_CHANNELS,))
    rule = {"ours": _our_mask, "released": _released_mask}[one_of("convention", convention, ("ours", "released"))]
    return torch.from_numpy(rule(parse, points, seen, category, label_set).astype(np.float32))[None]


def garment_region(
    parse: Array, category: str, *, labels: Literal["vitonhd", "dresscode"] = "vitonhd", convention: Convention = "ours"
) -> torch.Tensor:
    """(1, H, W) float32, 1 = the pixels of the worn garment itself, which the warped garment is compared with.

    With `convention="released"` Dress Code's upper bodies are "upper" alone and skirts are no lower-body garment.
    """
    label_set = LABEL_SETS[one_of("labels", labels, LABEL_SETS)]
    released = convention == "released" and label_set is DRESSCODE
    names = (RELEASED_GARMENT_LABELS if released else GARMENT_LABELS)[one_of("category", category, CATEGORIES)]
    return torch.from_numpy(label_set.where(_labels(parse, label_set), names).astype(np.float32))[None]


def to_vitonhd_labels(parse: Array, keypoints: Array, visible: Array) -> torch.Tensor:
    """Dress Code's label map in VITON-HD's numbers, (H, W) int64.

    What ATR calls face below the collar line is neck there; a belt becomes part of the trousers, and a bag, which
    VITON-HD's labels do not know, background.
    """
    parse = _labels(parse, DRESSCODE)
    points, seen = _joints(keypoints, visible, (POSE_CHANNELS,))
    moved = {"belt": "pants", "bag": "background"}
    table = np.zeros(256, dtype=np.uint8)
    table[: len(DRESSCODE.names)] = [PARSE_LABELS.index(moved.get(name, name)) for name in DRESSCODE.names]
    converted = cv2.LUT(parse, table)
    np.copyto(converted, PARSE_LABELS.index("neck"), where=_neck_called_face(parse, points, seen, DRESSCODE))
    return torch.from_numpy(converted.astype(np.int64))


# Our rule


def _our_mask(parse: np.ndarray, points: np.ndarray, seen: np.ndarray, category: str, labels: LabelSet) -> np.ndarray:
    """(H, W) bool. repaint = (dilated garment, outside its neighbour) or the hull, but nothing protected."""
    scale = parse.shape[0] / 512
    body = _Body(points, seen, parse.shape[0])
    protected = labels.where(parse, PROTECTED[category])
    target = labels.where(parse, TARGET[category])
    if category != "lower_body":
        neck = _neck_called_face(parse, points, seen, labels)
        protected &= ~neck
        target |= neck
        sleeves = _sleeves(parse.shape, body, scale)
        protected |= _hands(parse, body, sleeves, labels, scale)
        target |= sleeves
    region = _dilate(target, round(DILATION * scale)) & ~labels.where(parse, NEIGHBOUR[category])
    return (region | _hull(parse.shape, body, category)) & ~protected


class _Body:
    """Joints with the gaps filled in where neighbours allow a guess, and the person's size.

    points (18, 2); known (18,) bool: detected or guessed; seen (18,) bool: detected; width: the person's shoulder width in
    pixels as seen from the front, estimated from whatever is there (a person in profile has no visible shoulder width).
    """

    def __init__(self, points: np.ndarray, seen: np.ndarray, height: int):
        self.points, self.known, self.seen = points.copy(), seen.copy(), seen
        points, (right, left) = self.points, SHOULDERS
        self._guess(right, 2 * points[NECK] - points[left], needs=(NECK, left))
        self._guess(left, 2 * points[NECK] - points[right], needs=(NECK, right))
        self.width = self._width(height)
        if self.known.all():
            return
        across, down = points[left] - points[right], np.array([0.0, self.width])  # a guess supposes an upright person
        (right_hip, left_hip), shoulders = HIPS, SHOULDERS
        self._guess(right_hip, points[left_hip] - 0.6 * across, needs=(left_hip, *shoulders))
        self._guess(left_hip, points[right_hip] + 0.6 * across, needs=(right_hip, *shoulders))
        self._guess(right_hip, points[right] + 0.2 * across + 1.3 * down, needs=shoulders)
        self._guess(left_hip, points[left] - 0.2 * across + 1.3 * down, needs=shoulders)
        self._guess(right_hip, points[left_hip], needs=(left_hip,))
        self._guess(left_hip, points[right_hip], needs=(right_hip,))
        for hip, knee, ankle in LEGS:
            self._guess(knee, (points[hip] + points[ankle]) / 2, needs=(hip, ankle))
            self._guess(knee, points[hip] + 1.1 * down, needs=(hip,))
            self._guess(ankle, 2 * points[knee] - points[hip], needs=(hip, knee))

    def thickness(self, scale: float) -> float:
        """Of an arm in its sleeve, in pixels."""
        return min(max(ARM * self.width, ARM_MIN * scale), ARM_MAX * scale)

    def _guess(self, joint: int, point: np.ndarray, needs: tuple[int, ...]):
        if not self.known[joint] and all(self.known[need] for need in needs):
            self.points[joint], self.known[joint] = point, True

    def _width(self, height: int) -> float:
        """The largest of what shoulders, hips, torso and thighs say: turned away, a width shrinks, but none grows."""
        (start, end), share = BONES, BONE_WIDTHS
        widths = share * np.hypot(*(self.points[start] - self.points[end]).T)
        return min(float(np.max(widths, where=self.known[start] & self.known[end], initial=0.0)), 0.5 * height) or 0.2 * height


def _sleeves(shape: tuple[int, int], body: _Body, scale: float) -> np.ndarray:
    """(H, W) bool: both arms and the shoulders as a thick line that ends square at the wrists, so that hands stay out."""
    canvas = np.zeros(shape, dtype=np.uint8)
    thickness = body.thickness(scale)
    right, left = ([joint for joint in arm if body.seen[joint] or (joint in SHOULDERS and body.known[joint])] for arm in ARMS)
    path = body.points[[*right[::-1], *left]]
    for bar in _bars(path[:-1], path[1:], thickness):
        _fill(canvas, bar)
    for joint in _fixed(body.points[[joint for arm in (right, left) for joint in arm if joint not in WRISTS]]).tolist():
        cv2.circle(canvas, joint, int(thickness * _FRACTION / 2), 1, cv2.FILLED, shift=_SHIFT)
    return canvas.view(bool)


def _hands(parse: np.ndarray, body: _Body, sleeves: np.ndarray, labels: LabelSet, scale: float) -> np.ndarray:
    """(H, W) bool: what the sleeves leave of the arms, and each arm's own pixels beyond its wrist, wherever they lie.

    The second is for a hand on the chest or on the other arm, which the sleeves would cover.
    """
    hands = labels.where(parse, ARM_LABELS) & ~sleeves
    elbows, wrists = body.points[list(ELBOWS)], body.points[list(WRISTS)]
    beyond = _bars(wrists, wrists + 0.6 * (wrists - elbows), body.thickness(scale))
    for elbow, wrist, label, bar in zip(ELBOWS, WRISTS, ("right_arm", "left_arm"), beyond, strict=True):
        if body.seen[elbow] and body.seen[wrist]:
            canvas = np.zeros(parse.shape, dtype=np.uint8)
            _fill(canvas, bar)
            hands |= labels.where(parse, (label,)) & canvas.view(bool)
    return hands


def _hull(shape: tuple[int, int], body: _Body, category: str) -> np.ndarray:
    """(H, W) bool: the place where a garment of the category can be, from the joints alone."""
    canvas = np.zeros(shape, dtype=np.uint8)
    points, width = body.points, body.width
    if category != "lower_body" and body.known[[*SHOULDERS, *HIPS]].all():
        torso = points[[*SHOULDERS, *HIPS]]
        hem = points[list(HIPS)] + [0, TORSO_HEM * width]
        _fill_hull(canvas, np.concatenate([torso, hem]), TORSO_SIDE * width)
    if category != "upper_body" and body.known[[*LEGS[0], *LEGS[1]]].all():
        waist = points[list(HIPS)] - [0, LEGS_WAIST * width]
        _fill_hull(canvas, np.concatenate([waist, points[[*LEGS[0], *LEGS[1]]]]), LEGS_SIDE * width)
    return canvas.view(bool)


def _neck_called_face(parse: np.ndarray, points: np.ndarray, seen: np.ndarray, labels: LabelSet) -> np.ndarray:
    """(H, W) bool: face pixels below the collar line, in label sets that have no neck; nowhere in the others.

    The line runs through the shoulders (level if one is missing, never steeper than 1 in 2), `COLLAR` above them, and never
    higher than half-way from the nose to the shoulders.
    """
    nowhere = np.zeros(parse.shape, dtype=bool)
    shoulders = points[[joint for joint in SHOULDERS if seen[joint]]]
    if "neck" in labels.names or len(shoulders) == 0:
        return nowhere
    height, width = parse.shape
    middle = shoulders.mean(0)
    run, rise = shoulders[-1] - shoulders[0]
    slope = float(np.clip(rise / run, -0.5, 0.5)) if run else 0.0
    line = middle[1] + slope * (np.arange(width) - middle[0]) - COLLAR * height / 512
    if seen[NOSE]:
        line = np.maximum(line, (points[NOSE, 1] + middle[1]) / 2)
    first = np.ceil(line).clip(0, height).astype(np.int16)  # of the rows below the line
    return labels.where(parse, ("face",)) & (np.arange(height, dtype=np.int16)[:, None] >= first)


# The authors' rule


def _released_mask(parse: np.ndarray, points: np.ndarray, seen: np.ndarray, category: str, labels: LabelSet) -> np.ndarray:
    """(H, W) bool. keep = fixed or not dilated target; fixed includes the head and what the lines leave of the arms, the hands.

    VITON-HD's rule is for upper bodies, its only category; other categories in its labels follow Dress Code's rule by name.
    """
    height = parse.shape[0]
    points = np.where(seen[:, None], points, 0.0)
    vitonhd = labels is VITONHD and category == "upper_body"
    target = labels.where(parse, RELEASED_VITONHD_TARGET if vitonhd else RELEASED_TARGET[category])
    fixed = labels.where(parse, RELEASED_VITONHD_FIXED if vitonhd else RELEASED_FIXED[category])
    if category != "lower_body":
        # Dress Code's keypoints lose their fraction on the way to the line, VITON-HD's do not.
        sleeves = _released_sleeves(
            parse.shape, points if vitonhd else np.trunc(points), seen, int(90 / 512 * height) if vitonhd else 45
        )
        target |= sleeves
        fixed |= labels.where(parse, ARM_LABELS) & ~sleeves
        if not vitonhd:
            below = labels.where(parse, HEAD) & _released_below_collar(parse.shape, points)
            fixed &= ~below
            target |= below
    return _dilate(target, DILATION) & ~fixed


def _released_sleeves(shape: tuple[int, int], points: np.ndarray, seen: np.ndarray, thickness: int) -> np.ndarray:
    """(H, W) bool: wrist to wrist as PIL draws a thick line; one side's missing joints are skipped, the right one's first."""
    (right, left), gone = ARMS, ~seen
    for arm in (right, left):
        shoulder, elbow, wrist = arm
        if gone[wrist]:
            shorter = (shoulder,) if gone[elbow] else (shoulder, elbow)
            right, left = (shorter, left) if arm is right else (right, shorter)
            break
    picture = Image.new("L", shape[::-1])
    line = [tuple(points[joint].tolist()) for joint in (*left[::-1], *right)]
    ImageDraw.Draw(picture).line(line, fill=1, width=thickness, joint="curve")
    return np.array(picture).view(bool)


def _released_below_collar(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """(H, W) bool: at or below the line through the shoulders, raised by `COLLAR`."""
    height, width = shape
    (x0, y0), (x1, y1) = points[list(SHOULDERS)]
    slope = (y1 - y0) / (x1 - x0) if x1 != x0 else 0.0
    line = (y0 + y1) / 2 + slope * (np.arange(width) - (x0 + x1) / 2) - COLLAR * height / 512
    return np.arange(height)[:, None] >= np.floor(line)


# Drawing, and reading of arguments

_SHIFT = 4  # OpenCV draws at whole multiples of 1/16 px
_FRACTION = 1 << _SHIFT


def _gaussians(points: np.ndarray, seen: np.ndarray, height: int, width: int, convention: str) -> np.ndarray:
    """(..., 18, H, W) float32. A Gaussian of the distance is a column times a row: H + W exponentials in place of H x W.

    Factors below `FAINT` are left 0: so only squares around the keypoints are written, a twentieth of a large picture.
    """
    released = one_of("convention", convention, ("ours", "released")) == "released"
    sigma = SIGMA if released else SIGMA * height / 512
    row, column = (np.exp(-(((np.arange(n) - points[..., k : k + 1]) / sigma) ** 2)) for k, n in ((0, width), (1, height)))
    if released:
        row, column = (bell / np.maximum(bell.max(-1, keepdims=True), 1e-300) for bell in (row, column))
    near_row, near_column = row > FAINT, column > FAINT
    row, column = row.astype(np.float32), column.astype(np.float32)
    row, column = row * near_row, column * (near_column & seen[..., None])
    if height * width <= 10_000:  # in torch, which is nine times as fast on rows as short as these
        return (torch.from_numpy(column)[..., :, None] * torch.from_numpy(row)[..., None, :]).numpy()
    maps = np.zeros((*seen.shape, height, width), np.float32)
    shown = seen & near_row.any(-1) & near_column.any(-1)
    left, top, wide, high = near_row.argmax(-1), near_column.argmax(-1), near_row.sum(-1), near_column.sum(-1)
    for k in map(tuple, np.argwhere(shown).tolist()):
        rows, columns = slice(top[k], top[k] + high[k]), slice(left[k], left[k] + wide[k])
        np.multiply(column[k][rows, None], row[k][columns], out=maps[k][rows, columns])
    return maps


def _gaussians_on_device(points: torch.Tensor, seen: torch.Tensor, height: int, width: int, convention: str) -> torch.Tensor:
    """`_gaussians` in torch, where a GPU writes the whole maps faster than a CPU could send them."""
    released = one_of("convention", convention, ("ours", "released")) == "released"
    sigma = SIGMA if released else SIGMA * height / 512
    bells = []
    for k, n in ((0, width), (1, height)):
        distance = torch.arange(n, device=points.device) - points[..., k : k + 1].double()
        bell = torch.exp(-(distance / sigma).square())
        if released:
            bell = bell / bell.amax(-1, keepdim=True).clamp(min=1e-300)
        bells.append((bell * (bell > FAINT)).float())
    return (bells[1] * seen[..., None])[..., :, None] * bells[0][..., None, :]


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """`mask` grown by a square of `radius` pixels to each side."""
    if radius == 0:
        return mask
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)).view(bool)


def _bars(starts: np.ndarray, ends: np.ndarray, thickness: float) -> np.ndarray:
    """(N, 4, 2) corners of segments (N, 2) as rectangles `thickness` wide with square ends."""
    x, y = (ends - starts).T
    normals = np.stack([-y, x], 1) * (thickness / 2 / np.maximum(np.hypot(x, y), 1e-6))[:, None]
    return np.stack([starts + normals, ends + normals, ends - normals, starts - normals], 1)


def _fill_hull(canvas: np.ndarray, points: np.ndarray, side: float):
    """Paints the convex hull of `points`, each widened by `side` pixels to the left and to the right."""
    outwards = np.array([side, 0.0])
    corners = np.vstack([points - outwards, points + outwards]).astype(np.float32)
    _fill(canvas, cv2.convexHull(corners)[:, 0])


def _fill(canvas: np.ndarray, corners: np.ndarray):
    cv2.fillConvexPoly(canvas, _fixed(corners), 1, shift=_SHIFT)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points in the whole numbers that OpenCV draws at."""
    return np.rint(points * _FRACTION).astype(np.int32)


def _joints(keypoints: Array, visible: Array, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """keypoints (*shape, 2) float64 and visible (*shape,) bool; one that is no number is taken as not visible."""
    points, seen = np.asarray(keypoints, dtype=np.float64), np.asarray(visible, dtype=bool)
    if points.shape != (*shape, 2) or seen.shape != shape:
        raise InputError(
            f"keypoints have shape {points.shape} and visible {seen.shape}, expected {(*shape, 2)} and {shape}; "
            "give the 18 COCO keypoints as (x, y) and whether each was detected."
        )
    finite = np.isfinite(points)
    if not finite.all():
        points, seen = np.where(finite, points, 0.0), seen & finite.all(-1)
    # A far outlier says no more than "far outside", and OpenCV and PIL draw in 32-bit numbers.
    return np.where(seen[..., None], points.clip(-1e5, 1e5), 0.0), seen


def _labels(parse: Array, labels: LabelSet) -> np.ndarray:
    """`parse` as contiguous (H, W) uint8, every value one of the set's numbers."""
    parse = np.asarray(parse)
    if parse.ndim != 2 or not np.issubdtype(parse.dtype, np.integer):
        raise InputError(f"the parse map is {parse.dtype} of shape {parse.shape}, expected whole labels of shape (H, W); "
                         "give a label map, not a colour picture.")  # fmt: skip
    low, high = int(parse.min()), int(parse.max())
    if low < 0 or high >= len(labels.names):
        raise InputError(f"the parse map has labels {low} to {high}, expected 0 to {len(labels.names) - 1}; "
                         "name the label set that it was made with.")  # fmt: skip
    return np.ascontiguousarray(parse, dtype=np.uint8)


def one_of(name: str, value: str, choices: Collection[str]) -> str:
    """`value` if it is one of `choices`; `InputError` that lists them if not."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}, expected one of {', '.join(choices)}; choose one of them.")
    return value
