"""Letters and digits as strokes, so that what is printed on a garment is the same on every machine.

Choices made here
- A glyph is a few polylines on a grid of 4 x 6 units, y down, drawn with a round pen, like a sports print.
- Only `captions.PRINTABLE`: capital letters and digits.
"""

from functools import cache
from itertools import pairwise

import numpy as np

_GLYPHS = {
    "A": "06 20 46|14 34",
    "B": "00 06 36 45 44 33 03|33 42 41 30 00",
    "C": "41 30 10 01 05 16 36 45",
    "D": "00 06 26 44 42 20 00",
    "E": "40 00 06 46|03 33",
    "F": "40 00 06|03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06|40 46|03 43",
    "I": "20 26|10 30|16 36",
    "J": "40 45 36 16 05",
    "K": "00 06|40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "10 01 05 16 36 45 41 30 10",
    "P": "06 00 30 41 42 33 03",
    "Q": "10 01 05 16 36 45 41 30 10|24 46",
    "R": "06 00 30 41 42 33 03|23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40|20 26",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 23 36 40",
    "X": "00 46|40 06",
    "Y": "00 23 40|23 26",
    "Z": "00 40 06 46",
    "0": "10 01 05 16 36 45 41 30 10|41 05",
    "1": "11 20 26|16 36",
    "2": "01 10 30 41 42 06 46",
    "3": "01 10 30 41 42 33 23|33 44 45 36 16 05",
    "4": "36 30 04 44",
    "5": "40 00 03 33 44 45 36 16 05",
    "6": "40 20 02 05 16 36 45 44 33 13 04",
    "7": "00 40 16",
    "8": "10 01 02 13 33 44 45 36 16 05 04 13|33 42 41 30 10",
    "9": "06 26 44 41 30 10 01 02 13 33 42",
}
ADVANCE = 5.4  # units from one glyph to the next
PEN = 0.62  # half the pen's width in units


def strokes(text: str) -> list[np.ndarray]:
    """The polylines of `text` in glyph units: x from 0 to `extent(text)`, y from 0 to 6."""
    lines = []
    for place, character in enumerate(text):
        for line in _GLYPHS[character].split("|"):
            points = np.array([(int(p[0]), int(p[1])) for p in line.split()], float)
            lines.append(points + np.array((place * ADVANCE, 0.0)))
    return lines


@cache
def _pen_strokes(character: str) -> tuple[np.ndarray, np.ndarray]:
    """For each straight piece of a glyph the points (S, 14, 2) of an outline around it: where they are with a pen of no width,
    and which way a pen moves them."""
    turn = np.linspace(0.5 * np.pi, 1.5 * np.pi, 7)
    cap = np.stack((np.cos(turn), np.sin(turn)), 1)  # the round end at the first point of a piece that goes along x
    places, ways = [], []
    for a, b in (piece for line in strokes(character) for piece in pairwise(line)):
        c, s = (b - a) / np.hypot(*(b - a))
        end = cap @ np.array(((c, s), (-s, c)))
        places.append(np.repeat((a, b), len(cap), axis=0))
        ways.append(np.concatenate((end, -end)))
    return np.array(places), np.array(ways)


def outlines(text: str, pen: float = PEN) -> np.ndarray:
    """(S, 14, 2): polygons in glyph units that together cover what a pen of half width `pen` writes."""
    written = []
    for place, character in enumerate(text):
        places, ways = _pen_strokes(character)
        written.append(places + pen * ways + np.array((place * ADVANCE, 0.0)))
    return np.concatenate(written)


def extent(text: str) -> float:
    """Width of `text` in glyph units."""
    return (len(text) - 1) * ADVANCE + 4.0
