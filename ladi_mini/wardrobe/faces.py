"""Faces and hair, on a head that tilts and turns a little.

Choices made here
- Outlines are given in thousandths of a body height around a point between the eyes, for an upright head; symmetric ones by
  their half at larger x. `Head` places them.
- A turned head moves its features sideways inside an outline that stays: enough for a quarter of a turn.
- Hair is two layers: what falls behind the shoulders is drawn before the body, the rest after the face.
"""

import numpy as np

from ladi_mini.wardrobe.canvas import Canvas, Colour, band, curve, ellipse, mix, shade, skin_shade, steps
from ladi_mini.wardrobe.people import LABEL, Body, Frame, Head


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


class _Painter:
    """Fills outlines of the upright face on the head of one person."""

    def __init__(self, canvas: Canvas, body: Body, frame: Frame):
        self.canvas, self.frame, self.head = canvas, frame, Head(body)

    def outline(self, points: np.ndarray, colour: Colour, label: str | None = None):
        self.canvas.fill(self.frame(self.head.place(points, turned=False)), colour, LABEL[label] if label else None)

    def feature(self, points: np.ndarray, colour: Colour):
        self.canvas.fill(self.frame(self.head.place(points)), colour)


def _spot(x: float, y: float, rx: float, ry: float, points: int = 16) -> np.ndarray:
    return ellipse((x / 1000, y / 1000), (rx / 1000, ry / 1000), points)


def draw_back_hair(canvas: Canvas, body: Body, frame: Frame):
    """Hair that falls behind neck and shoulders."""
    paint = _Painter(canvas, body, frame)
    dark, style = shade(body.hair, 0.18), body.hair_style
    if style in BEHIND:
        paint.outline(BEHIND[style], dark, "hair")
    elif style == "ponytail":
        side = 1 if body.head_turn < 0 else -1
        tail = _open((20 * side, -30), (62 * side, -10), (70 * side, 60), (58 * side, 115), pieces=6)
        paint.outline(band(tail, 0.016 * np.sin(steps(0.4, 2.9, len(tail)))), dark, "hair")
    elif style == "afro":
        paint.outline(_spot(0, -20, 83, 78, 32), body.hair, "hair")
    elif style == "bun":
        paint.outline(_spot(0, -88, 26, 22, 24), body.hair, "hair")
        paint.outline(_spot(4, -84, 18, 13), dark)
    elif style == "curly":
        for t in np.pi * (0.98 + 0.13 * np.arange(9)):
            paint.outline(_spot(50 * np.cos(t), -12 + 52 * np.sin(t), 22, 22), body.hair, "hair")


def draw_head(canvas: Canvas, body: Body, frame: Frame):
    """Ears, face, and the hair before them."""
    paint = _Painter(canvas, body, frame)
    skin, dark = body.skin, skin_shade(body.skin, 0.2)
    for side in (-1, 1):
        paint.outline(_spot(47.5 * side, 4, 8.5, 14.5), skin, "face")
        paint.outline(_spot(47.8 * side, 4, 4, 8, 12), dark)
    paint.outline(FACE, skin, "face")
    cheek = mix(skin, (226, 92, 88), 0.05 + 0.09 * (skin[0] - 82) / 168)
    for side in (-1, 1):
        paint.feature(_spot(26 * side, 19, 10.5, 7.5), cheek)
    if body.beard:
        paint.outline(BEARD, mix(body.hair, skin, 0.18))
    for side in (-1, 1):
        _draw_eye(paint, body, side)
    paint.feature(band(NOSE, steps(0.0004, 0.0013, len(NOSE))), dark)
    _draw_mouth(paint, body)
    _draw_hair(paint, body)


def _draw_eye(paint: _Painter, body: Body, side: int):
    gaze = 18.5 * side + 100 * paint.head.turn
    brow = _open((9.5 * side, -19.5), (19 * side, -23.5), (29.5 * side, -19.5), pieces=4)
    paint.feature(band(brow, steps(0.0019, 0.0011, len(brow))), mix(body.hair, (30, 22, 22), 0.5))
    paint.feature(_spot(18.5 * side, -5, 8.2, 5.2), (250, 248, 245))
    paint.feature(_spot(gaze, -4.8, 4.7, 4.9), body.iris)
    paint.feature(_spot(gaze, -4.8, 2.3, 2.5, 12), (24, 20, 22))
    lid = _open((9.5 * side, -4.5), (17.5 * side, -10.7), (27.5 * side, -5.5), pieces=4)
    paint.feature(band(lid, 0.0017 if body.lashes else 0.0012), (44, 34, 36))
    paint.feature(_spot(18.5 * side + 1.5, -6.6, 1.1, 1.1, 8), (255, 255, 255))


def _draw_mouth(paint: _Painter, body: Body):
    w, y, up = 13.5 + 2.5 * body.smile, 37.2, 3.2 * body.smile  # half width, height, how far the corners rise
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
    paint.feature(np.concatenate((seam, lower)), body.lips)
    paint.feature(np.concatenate((seam, upper)), shade(body.lips, 0.14))
    paint.feature(band(seam, 0.0006), shade(body.lips, 0.5))


def _draw_hair(paint: _Painter, body: Body):
    paint.outline(HAIR[body.hair_style], body.hair, "hair")
    if body.hair_style == "curly":
        for t in np.pi * (1.08 + 0.17 * np.arange(6)):
            paint.outline(_spot(34 * np.cos(t), -30 + 30 * np.sin(t), 6.5, 6, 12), shade(body.hair, -0.07))
    elif body.hair_style != "buzz":
        paint.outline(STREAK, shade(body.hair, -0.16))
