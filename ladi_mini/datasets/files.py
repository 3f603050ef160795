"""Reading the files of a try-on data set, each refused with one sentence that names the file, the fault and the fix.

Pictures, parse maps, garment masks, keypoints (OpenPose's BODY_25 and COCO-18, Dress Code's list), pairs and captions. None of
the published loaders checks its inputs: a grayscale photograph, a JSON without a person or a blank line ends in a tensor error
without a file name, or in a wrong picture without any error.

Choices made here
- `open_*` reads a picture's header only and refuses what can be refused by it (missing, no picture, too large, wrong mode);
  `OpenPicture.decode` reads the pixels. So most faults of a sample are found before any of its pictures is decoded.
- A photograph must be RGB: what a grayscale picture or a transparent one should look like is its owner's decision.
- JPEGs are decoded at the smallest of their built-in scales (1/2, 1/4, 1/8) that still holds the size that is needed.
- A picture turned by its camera's EXIF note is turned as a viewer would show it.
- Where OpenPose found several people, the one nearest to the middle is taken, with a warning.
"""

import json
import os
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ladi_mini.presets import POSE_CHANNELS
from ladi_mini.sample import InputError, InputWarning

MAX_PIXELS = 64_000_000  # more than most cameras take; decoded, they fill 200 MB
MIN_SIDE = 8
BODY_25_TO_COCO_18 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)  # it has a mid-hip (8) and feet (19-24)
EXIF_ORIENTATION = 0x0112
EXIF_QUARTER_TURNS = (5, 6, 7, 8)
MODES = {
    "1": "black and white", "L": "grayscale", "LA": "grayscale with transparency", "P": "in palette colours", "RGB": "in colour",
    "RGBA": "in colour with transparency", "CMYK": "in printing colours", "I;16": "16-bit grayscale",
}  # fmt: skip
# What Pillow raises for a damaged file depends on where the damage is.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)

Picture = str | Path | Image.Image


def refuse(where: object, fault: str, expected: str, fix: str) -> InputError:
    """The error to raise: one sentence with the file, what is wrong with it, what was expected and what to do."""
    return InputError(f"{where} {fault}, expected {expected}; {fix}.")


@dataclass
class OpenPicture:
    """A picture whose header was read and whose pixels were not.

    `where` is what messages call it, its path; one that came in memory is its owner's and not to be reduced.
    """

    image: Image.Image
    where: str
    in_memory: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as a viewer shows the picture: swapped if its EXIF note turns it by a quarter."""
        return self.image.size[::-1] if _orientation(self.image) in EXIF_QUARTER_TURNS else self.image.size

    def decode(self, at_least: tuple[int, int] | None = None) -> Image.Image:
        """The pixels, upright; of a JPEG at the smallest of its scales that holds `at_least` (width, height)."""
        try:
            if at_least is not None and not self.in_memory:
                self.image.draft(self.image.mode, at_least if self.size == self.image.size else at_least[::-1])
            self.image.load()
            return ImageOps.exif_transpose(self.image) if _orientation(self.image) != 1 else self.image
        except DAMAGE as error:
            fault, fix = f"is truncated or damaged ({error})", "copy or download it again"
            raise refuse(self.where, fault, "a whole picture", fix) from None


def open_picture(source: Picture, what: str) -> OpenPicture:
    """Reads the header of `source`; `InputError` if it is missing, no picture, too large or too small."""
    where = named(source, what)
    in_memory = isinstance(source, Image.Image)
    image = source if in_memory else _open(require(source, what))
    width, height = image.size
    if width * height > MAX_PIXELS:
        fault = f"has {width} x {height} pixels ({width * height / 1e6:.0f} megapixels)"
        raise refuse(where, fault, f"at most {MAX_PIXELS / 1e6:.0f} megapixels", "scale it down")
    if min(width, height) < MIN_SIDE:
        raise refuse(where, f"has {width} x {height} pixels", f"at least {MIN_SIDE} a side", "give a larger picture")
    return OpenPicture(image, where, in_memory)


def open_photo(source: Picture, what: str) -> OpenPicture:
    """`open_picture` for a photograph of a person or garment, which must be RGB."""
    photo = open_picture(source, what)
    if photo.image.mode != "RGB":
        raise refuse(photo.where, _mode(photo.image), "RGB", "convert it to RGB")
    return photo


def open_parse(source: Picture | np.ndarray, what: str) -> OpenPicture:
    """`open_picture` for a parse map, whose pixels must be single label numbers (mode P or L), or an array of them."""
    if not isinstance(source, (str, Path, Image.Image)):
        array = np.asarray(source)
        if (
            array.ndim != 2
            or array.size == 0
            or not np.issubdtype(array.dtype, np.integer)
            or array.min() < 0
            or array.max() > 255
        ):
            fault = f"is {array.dtype} of shape {array.shape}"
            raise refuse(named(source, what), fault, "whole labels of shape (H, W), 0 to 255", "give a label map")
        source = Image.fromarray(array.astype(np.uint8))
    parse = open_picture(source, what)
    if parse.image.mode not in ("P", "L"):
        fix = "save the label map itself, not its coloured picture"
        raise refuse(parse.where, _mode(parse.image), "one label number a pixel (mode P or L)", fix)
    if parse.image.format == "JPEG":
        raise refuse(parse.where, "is a JPEG, which blurs labels into each other", "a PNG", "save the label map as PNG")
    return parse


def read_keypoints(source: str | Path | np.ndarray, size: tuple[int, int], first: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """One person's COCO-18 keypoints: points (18, 2) float64 pixels (x, y), seen (18,) bool.

    `source` is a JSON file of OpenPose (a flat list of 75 numbers for BODY_25 or 54 for COCO-18 a person) or of Dress Code
    (18 rows of x, y, confidence, id), or an array (18, 2 or more). `size` is the (width, height) of the picture on which they
    were detected: of several people the one nearest to its middle is taken with an `InputWarning`, or the first if `first`.
    """
    where = named(source, "array of keypoints")
    people = _people(require(source, "keypoint file")) if isinstance(source, (str, Path)) else [_rows(source, where)]
    everyone = [(rows[:, :2], _seen(rows)) for rows in people]
    found = [(points, seen) for points, seen in (everyone[:1] if first else everyone) if seen.any()]
    if not found:
        raise refuse(where, "has no detected keypoint", "a person", "use a photograph on which OpenPose finds one")
    if len(people) > 1:
        taken = "the first, as the authors do" if first else "the one nearest to the middle"
        message = f"{where} has {len(people)} people, took {taken}; crop the photograph to one person."
        warnings.warn(message, InputWarning, stacklevel=2)

    def from_middle(person: tuple[np.ndarray, np.ndarray]) -> float:
        visible = person[0][person[1]]
        return float(np.abs(visible.min(0) + visible.max(0) - np.array(size)).sum())

    points, seen = min(found, key=from_middle)
    points = np.where(seen[:, None], points, 0.0)
    x, y = points.max(0)
    if x > 1.1 * size[0] or y > 1.1 * size[1]:
        expected = f"pixels of a {size[0]} x {size[1]} picture"
        raise refuse(
            where, f"has keypoints up to ({x:.0f}, {y:.0f})", expected, "detect them on this photograph or scale them with it"
        )
    return points, seen


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """(person, garment) file names, one pair a line; blank lines, Windows line ends and further columns are accepted."""
    path, pairs = require(path, "pairs file"), []
    for number, line in enumerate(_text(path, "pairs file").splitlines(), 1):
        columns = [column.strip() for column in (line.split("\t") if "\t" in line else line.split())]
        if not any(columns):
            continue
        where = f"{path}, line {number}"
        if len(columns) < 2 or not all(columns[:2]):
            raise refuse(where, f"is {line.strip()!r}", "two file names, person and garment", "add the missing one")
        for name in columns[:2]:
            if name in (".", "..") or re.search(r'[/\\:*?"<>|\x00-\x1f]', name):
                raise refuse(where, f"names {name!r}", "a plain file name inside the data set", "remove the path")
        pairs.append((columns[0], columns[1]))
    if not pairs:
        raise refuse(path, "is empty", "two file names a line, person and garment", "add pairs")
    return pairs


def read_captions(path: str | Path) -> dict[str, str]:
    """Captions by garment name without extension, from a JSON object of strings or of lists of phrases; no file, no captions.

    Phrases are joined by ", ", as LaDI-VTON does with its noun chunks.
    """
    if not Path(path).exists():
        return {}
    content, captions = _json(require(path, "captions file"), "captions"), {}
    if not isinstance(content, dict):
        raise refuse(path, f"is a JSON {type(content).__name__}", "an object of garment names and captions", "rewrite it")
    for name, value in content.items():
        phrases = value if isinstance(value, list) else [value]
        if not all(isinstance(phrase, str) for phrase in phrases):
            raise refuse(path, f"has {value!r} for {name!r}", "a string or a list of strings", "rewrite it")
        captions[os.path.splitext(name)[0]] = ", ".join(phrases)
    return captions


def require(path: str | Path, what: str) -> Path:
    """`path` if it is a file; `InputError` if not."""
    path = Path(path)
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise refuse(path, fault, f"a {what}", "check the path or put the file there")
    return path


def require_all(folder: Path, names: list[str], what: str):
    """`InputError` if `folder` lacks any of `names`; one listing of the folder for however many names."""
    if not folder.is_dir():
        raise refuse(folder, "does not exist", f"the folder of the {what}s", "check the data set's root and split")
    present = set(os.listdir(folder))
    missing = [name for name in names if name not in present]
    if missing:
        fault = "does not exist" if len(missing) == 1 else f"and {len(missing) - 1} more do not exist"
        raise refuse(folder / missing[0], fault, f"a {what}", "put it there or take its line out of the pairs file")


def named(source: object, what: str) -> str:
    """How messages call `source`: its path, or `what` if it is in memory."""
    return str(source) if isinstance(source, (str, Path)) else f"the {what}"


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower, and an error
            return Image.open(path)
    except Image.DecompressionBombError as error:
        raise refuse(path, f"is too large ({error})", f"at most {MAX_PIXELS / 1e6:.0f} megapixels", "scale it down") from None
    except DAMAGE as error:
        raise refuse(path, f"cannot be read as a picture ({error})", "a JPEG or PNG", "replace the file") from None


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:  # asked all the same, a PNG would be decoded to look for a note after its pixels
        return 1
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1)
    except DAMAGE:  # a damaged note is no note
        return 1


def _mode(image: Image.Image) -> str:
    return f"is {MODES.get(image.mode, 'of an unusual kind')} (mode {image.mode})"


def _people(path: Path) -> list[np.ndarray]:
    """The keypoints of every person in a JSON file, each (18, 2 or more)."""
    content = _json(path, "keypoints")
    if isinstance(content, dict) and "keypoints" in content:
        return [_rows(content["keypoints"], str(path))]
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise refuse(path, "has no list of people", "'people' (OpenPose) or 'keypoints' (Dress Code)", "write it with OpenPose")
    if not people:
        raise refuse(path, "has an empty list of people", "a person", "use a photograph on which OpenPose finds one")
    return [_person(person, path) for person in people]


def _person(person: object, path: Path) -> np.ndarray:
    flat = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
    if not isinstance(flat, list):
        raise refuse(path, "has a person without 'pose_keypoints_2d'", "OpenPose's body keypoints", "write it with OpenPose")
    if len(flat) not in (54, 75):
        expected = "75 (BODY_25) or 54 (COCO-18)"
        raise refuse(path, f"has {len(flat)} numbers for a person", expected, "use one of these two models of OpenPose")
    rows = _numbers(flat, str(path)).reshape(-1, 3)
    return rows[list(BODY_25_TO_COCO_18)] if len(flat) == 75 else rows


def _rows(values: object, where: str) -> np.ndarray:
    rows = _numbers(values, where)
    if rows.ndim != 2 or rows.shape[0] != POSE_CHANNELS or rows.shape[1] < 2:
        raise refuse(where, f"has keypoints of shape {rows.shape}", "18 rows of x, y and a confidence", "use the COCO-18 order")
    return rows


def _numbers(values: object, where: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise refuse(where, "has keypoints that are not numbers", "x, y and a confidence each", "write it anew") from None


def _seen(rows: np.ndarray) -> np.ndarray:
    """Detected: finite, not at (0, 0) or below, where detectors put what they did not find, and not of confidence 0."""
    seen = np.isfinite(rows).all(1) & (rows[:, :2] != 0).any(1) & (rows[:, :2] > -1).all(1)
    return seen & (rows[:, 2] > 0) if rows.shape[1] > 2 else seen


def _json(path: Path, what: str) -> object:
    try:
        return json.loads(_text(path, what))
    except (json.JSONDecodeError, RecursionError) as error:
        raise refuse(path, f"is not valid JSON ({error})", f"the {what}", "write the file anew") from None


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(path, f"cannot be read as text ({error})", f"the {what} in UTF-8", "write the file anew") from None
