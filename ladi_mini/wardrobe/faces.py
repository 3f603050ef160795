"""Faces and hair, on a head that tilts and turns a little.

Choices made here
- Outlines are given in thousandths of a body height around a point between the eyes, for an upright head; symmetric ones by
  their half at larger x. `Head` places them.
- A turned head moves its features sideways inside an outline that stays: enough for a quarter of a turn.
- What moves within a face (gaze, smile) moves linearly, so every outline is computed once and a face only adds and scales.
- Hair is two layers: what falls behind the shoulders is drawn before the body, the rest after the face.
"""

import numpy as np

from ladi_mini.wardrobe.canvas import Canvas, Colour, band, curve, ellipse, mix, shade, skin_shade
from ladi_mini.wardrobe.people import LABEL, Body


def _open(*points, pieces: int = 5) -> np.ndarray:
    """A curve through points in thousandths."""
    return curve(np.array(points) / 1000, pieces)


def _closed(*half, pieces: int = 5) -> np.ndarray:
    """A curve through `half`, at x >= 0, and then through its mirror image, back to where it began."""
    p = np.array(half) / 1000
    return curve(np.concatenate((p, p[::-1] * (-1, 1))), pieces)


FACE = _closed((0, -66), (30, -58), (46, -30), (46.8, 4), (42, 32), (27, 56), (10, 67.5), pieces=4)
BEARD = np.concatenate((
    _open((46.2, 4), (42.5, 34), (27, 58), (10, 69.5), (-10, 69.5), (-27, 58), (-42.5, 34), (-46.2, 4), pieces=4),
    _open((-37, 22), (-18, 26.5), (0, 25.5), (18, 26.5), (37, 22), pieces=4),
))  # fmt: skip
NOSE = _open((2, -4), (6.2, 14), (5.5, 18.5), (-2, 19.5), pieces=4)
CROWN = ((44, -62), (22, -78.5), (0, -81), (-22, -78.5), (-44, -62))
SHORT_CROWN = _open((47.5, -4), (51.5, -30), *CROWN, (-51.5, -30), (-47.5, -4))
FRINGES = {
    "short": _open((-43, -22), (-34, -40), (-12, -43), (12, -40), (34, -40), (43, -22)),
    "side": _open((-43, -20), (-38, -36), (-24, -50), (6, -42), (34, -34), (43, -18)),
    "buzz": _open((-44, -28), (-34, -47), (0, -52), (34, -47), (44, -28)),
    "bob": _open((-43.5, 30), (-41, -12), (-36, -29), (0, -33), (36, -29), (41, -12), (43.5, 30)),
    "long": _open((-44, 40), (-41, -6), (-26, -40), (4, -59), (28, -38), (41, -6), (44, 40)),
    "wavy": _open((-44, 36), (-42, -10), (-34, -36), (-14, -58), (18, -44), (41, -12), (44, 36)),
    "bun": _open((-43, -14), (-34, -42), (0, -54), (34, -42), (43, -14)),
    "ponytail": _open((-43, -14), (-34, -40), (0, -56), (34, -40), (43, -14)),
    "afro": _open((-44, -14), (-36, -38), (-14, -47), (14, -47), (36, -38), (44, -14)),
    "curly": _open((-43, -16), (-34, -34), (-20, -31), (-8, -41), (8, -34), (22, -41), (34, -30), (43, -16)),
}
LOCKS = {"bob": 66, "long": 100, "wavy": 90}  # how far hair falls beside the face
HAIR = {
    style: np.concatenate((
        _open((52, LOCKS[style]), (57.5, 30), (51.5, -30), *CROWN, (-51.5, -30), (-57.5, 30), (-52, LOCKS[style]))
        if style in LOCKS else SHORT_CROWN, fringe))
    for style, fringe in FRINGES.items()
}  # fmt: skip
BEHIND = {
    "bob": _closed((50, -30), (60, 20), (58, 70), (30, 82)),
    "long": _closed((50, -30), (60, 30), (66, 100), (70, 150), (30, 165)),
    "wavy": _closed((50, -30), (68, 20), (62, 60), (78, 100), (66, 135), (30, 145)),
}
SHINE = _open((-32, -46), (-14, -66), (10, -69.5), pieces=4)
STREAK = band(SHINE, 0.0034 * np.sin(np.linspace(0.05, 3.09, len(SHINE))))


def _spot(x: float, y: float, rx: float, ry: float, points: int = 16) -> np.ndarray:
    return ellipse((x / 1000, y / 1000), (rx / 1000, ry / 1000), points)


def _tail(side: int) -> np.ndarray:
    line = _open((20 * side, -30), (62 * side, -10), (70 * side, 60), (58 * side, 115), pieces=6)
    return band(line, 0.016 * np.sin(np.linspace(0.4, 2.9, len(line))))


TAILS = {side: _tail(side) for side in (-1, 1)}
AFRO = _spot(0, -20, 83, 78, 32)
BUN = _spot(0, -88, 26, 22, 24), _spot(4, -84, 18, 13)
CURLS_BEHIND = [_spot(50 * np.cos(t), -12 + 52 * np.sin(t), 22, 22) for t in np.pi * (0.98 + 0.13 * np.arange(9))]
CURLS = [_spot(34 * np.cos(t), -30 + 30 * np.sin(t), 6.5, 6, 12) for t in np.pi * (1.08 + 0.17 * np.arange(6))]


def _line(*points, begin: float, end: float) -> np.ndarray:
    """The outline of a line through points in thousandths, whose half width goes from `begin` to `end` (thousandths)."""
    line = _open(*points, pieces=4)
    return band(line, np.linspace(begin, end, len(line)) / 1000)


# for the person's right (-1) and left (1)
EARS = {side: (_spot(47.5 * side, 4, 8.5, 14.5), _spot(47.8 * side, 4, 4, 8, 12)) for side in (-1, 1)}
CHEEKS = {side: _spot(26 * side, 19, 10.5, 7.5) for side in (-1, 1)}
BROWS = {side: _line((9.5 * side, -19.5), (19 * side, -23.5), (29.5 * side, -19.5), begin=1.9, end=1.1) for side in (-1, 1)}
EYES = {side: _spot(18.5 * side, -5, 8.2, 5.2) for side in (-1, 1)}
IRISES = {side: _spot(18.5 * side, -4.8, 4.7, 4.9) for side in (-1, 1)}
PUPILS = {side: _spot(18.5 * side, -4.8, 2.3, 2.5, 12) for side in (-1, 1)}
GLINTS = {side: _spot(18.5 * side + 1.5, -6.6, 1.1, 1.1, 8) for side in (-1, 1)}
LID_WIDTHS = {True: 1.7, False: 1.2}  # with and without lashes
LIDS = {
    (side, lashes): _line((9.5 * side, -4.5), (17.5 * side, -10.7), (27.5 * side, -5.5), begin=width, end=width)
    for side in (-1, 1) for lashes, width in LID_WIDTHS.items()
}  # fmt: skip
NOSE_LINE = band(NOSE, np.linspace(0.0004, 0.0013, len(NOSE)))


def _mouth(smile: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outlines of the lower and the upper lip and of the line between them; `smile` is 0 to 1."""
    w, y, up = 13.5 + 2.5 * smile, 37.2, 3.2 * smile  # half width, height, how far the corners rise
    seam = _open((-w, y - up), (-0.5 * w, y + 0.6), (0, y + 1.4), (0.5 * w, y + 0.6), (w, y - up), pieces=4)
    above = (
        (0.5 * w, y - 2.6 - 0.2 * up),
        (0.22 * w, y - 3.4),
        (0, y - 2.2),
        (-0.22 * w, y - 3.4),
        (-0.5 * w, y - 2.6 - 0.2 * up),
    )
    upper = _open((w, y - up), *above, (-w, y - up), pieces=3)
    lower = _open(
        (0.92 * w, y - 0.8 * up), (0.5 * w, y + 4.8), (0, y + 6.4), (-0.5 * w, y + 4.8), (-0.92 * w, y - 0.8 * up), pieces=3
    )
    return np.concatenate((seam, lower)), np.concatenate((seam, upper)), band(seam, 0.0006)


MOUTHS = [(serious, smiling - serious) for serious, smiling in zip(_mouth(0.0), _mouth(1.0), strict=True)]


class _Painter:
    """Notes outlines of the upright face; `finish` puts them all on the head of one person."""

    def __init__(self, canvas: Canvas, body: Body):
        self.canvas, self.head = canvas, body.head
        self._noted: list[tuple[np.ndarray, float, Colour, int | None]] = []

    def outline(self, points: np.ndarray, colour: Colour, label: str | None = None):
        self._noted.append((points, 0.0, colour, LABEL[label] if label else None))

    def feature(self, points: np.ndarray, colour: Colour):
        """What turns with the head."""
        self._noted.append((points, 1.0, colour, None))

    def detail(self, width: float, points: np.ndarray, colour: Colour):
        """A feature that is left out where so narrow a one (thousandths) is not seen."""
        if self.canvas.shows(width / 1000):
            self.feature(points, colour)

    def finish(self):
        if not self._noted:
            return
        outlines, turned, colours, labels = zip(*self._noted, strict=True)
        counts = [len(outline) for outline in outlines]
        placed = self.head.place(np.concatenate(outlines), np.repeat(turned, counts))
        start = 0
        for count, colour, label in zip(counts, colours, labels, strict=True):
            self.canvas.fill(placed[start : start + count], colour, label)
            start += count


def draw_back_hair(canvas: Canvas, body: Body):
    """Hair that falls behind neck and shoulders."""
    paint = _Painter(canvas, body)
    dark, style = shade(body.hair, 0.18), body.hair_style
    if style in BEHIND:
        paint.outline(BEHIND[style], dark, "hair")
    elif style == "ponytail":
        paint.outline(TAILS[1 if body.head_turn < 0 else -1], dark, "hair")
    elif style == "afro":
        paint.outline(AFRO, body.hair, "hair")
    elif style == "bun":
        for spot, colour, label in zip(BUN, (body.hair, dark), ("hair", None), strict=True):
            paint.outline(spot, colour, label)
    elif style == "curly":
        for curl in CURLS_BEHIND:
            paint.outline(curl, dark, "hair")
    paint.finish()


def draw_head(canvas: Canvas, body: Body):
    """Ears, face, and the hair before them."""
    paint = _Painter(canvas, body)
    skin, dark = body.skin, skin_shade(body.skin, 0.2)
    for ear, inside in EARS.values():
        paint.outline(ear, skin, "face")
        paint.outline(inside, dark)
    paint.outline(FACE, skin, "face")
    cheek = mix(skin, (226, 92, 88), 0.05 + 0.09 * (skin[0] - 82) / 168)
    for spot in CHEEKS.values():
        paint.feature(spot, cheek)
    if body.beard:
        paint.outline(BEARD, mix(body.hair, skin, 0.18))
    for side in (-1, 1):
        _draw_eye(paint, body, side)
    paint.detail(1.7, NOSE_LINE, dark)
    _draw_mouth(paint, body)
    _draw_hair(paint, body)
    paint.finish()


def _draw_eye(paint: _Painter, body: Body, side: int):
    gaze = np.array((0.1 * paint.head.turn, 0.0))
    paint.detail(3.0, BROWS[side], mix(body.hair, (30, 22, 22), 0.5))
    paint.detail(8.2 - 4.7, EYES[side], (250, 248, 245))  # as wide as the white beside the iris
    paint.feature(IRISES[side] + gaze, body.iris)
    paint.detail(4.7 - 2.3, PUPILS[side] + gaze, (24, 20, 22))
    paint.detail(LID_WIDTHS[body.lashes], LIDS[side, body.lashes], (44, 34, 36))
    paint.detail(2.2, GLINTS[side], (255, 255, 255))


def _draw_mouth(paint: _Painter, body: Body):
    lower, upper, seam = (serious + body.smile * change for serious, change in MOUTHS)
    paint.feature(lower, body.lips)
    paint.feature(upper, shade(body.lips, 0.14))
    paint.detail(1.2, seam, shade(body.lips, 0.5))


def _draw_hair(paint: _Painter, body: Body):
    paint.outline(HAIR[body.hair_style], body.hair, "hair")
    if body.hair_style == "curly":
        for curl in CURLS:
            paint.outline(curl, shade(body.hair, -0.07))
    elif body.hair_style != "buzz":
        paint.outline(STREAK, shade(body.hair, -0.16))
