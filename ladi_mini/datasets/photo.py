"""One's own pictures, and how every picture becomes a sample: checked, fitted to the model's size, masked.

`load_photo` makes a `TryOnSample` from a handful of files. `read_sample` is the same with the switches that the two data sets
need; they add only where their files lie.

Choices made here
- Headers are checked before pixels are read, and parse map and keypoints against the photograph before anything is computed.
- A photograph whose shape is not the model's is fitted in whole, its sides filled with its own border, parse map and keypoints
  alike, with a warning. Garments are padded with white, and what lies outside a garment's mask becomes white.
- The label under the nose tells the label set (13 is a face for VITON-HD, 11 for Dress Code), and whether parse map and
  keypoints belong together at all.
- `convention="released"` is the authors' loader: every picture stretched to the model's size, of several people the first.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from ladi_mini import agnostic
from ladi_mini.agnostic import ARM_LABELS, HEAD, LABEL_SETS, NOSE, Convention, LabelSet, one_of
from ladi_mini.datasets.files import OpenPicture, Picture, open_parse, open_photo, open_picture, read_keypoints, refuse
from ladi_mini.datasets.fit import Fit
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import KEYPOINTS, InputWarning, TryOnSample

WHITE = 255
NEAR_WHITE = 235  # a shop's white background is not quite white
LEVELS = np.arange(256, dtype=np.float32) / 127.5 - 1  # of 8 bits, in [-1, 1]


def load_photo(
    person: Picture,
    garment: Picture,
    parse: Picture | np.ndarray,
    keypoints: str | Path | np.ndarray,
    height: int,
    width: int,
    category: str,
    labels: str | None = None,
    garment_mask: Picture | None = None,
    keypoint_size: tuple[int, int] | None = None,
    caption: str = "",
) -> TryOnSample:
    """A sample from one's own photograph of a person and picture of a garment, (height, width) pixels large.

    person, garment  RGB pictures: paths, or PIL pictures
    parse            label map of the person; labels="vitonhd" or "dresscode" names its labels, None looks under the nose
    keypoints        OpenPose JSON (BODY_25 or COCO-18), Dress Code JSON, or an array (18, 2 or 3), in pixels of the photograph,
                     or of a picture of `keypoint_size` (width, height)
    category         "upper_body", "lower_body" or "dresses": what the garment is
    garment_mask     a picture, white = garment; None: all but the white that reaches the border

    Raises `InputError` for anything that cannot be used; warns with `InputWarning` for what probably is not meant.
    """
    return read_sample(
        person, garment, parse, keypoints, height, width, category,
        labels=labels, garment_mask=garment_mask, keypoint_size=keypoint_size, caption=caption, whiten=True,
    )  # fmt: skip


def read_sample(
    person: Picture,
    garment: Picture,
    parse: Picture | np.ndarray,
    keypoints: str | Path | np.ndarray,
    height: int,
    width: int,
    category: str,
    *,
    labels: str | None = None,
    garment_mask: Picture | None = None,
    keypoint_size: tuple[int, int] | None = None,
    caption: str = "",
    whiten: bool = False,
    paired: bool = False,
    convention: Convention = "ours",
) -> TryOnSample:
    """`load_photo` with the data sets' switches.

    whiten: what lies outside `garment_mask` becomes white; paired: the person wears this very garment, so that the target is
    the person and the warped garment is cut out of the photograph.
    """
    one_of("category", category, CATEGORIES)
    if labels is not None:
        one_of("labels", labels, LABEL_SETS)
    released = convention == "released"

    photo = open_photo(person, "photograph of the person")
    flat = open_photo(garment, "picture of the garment")
    parse_picture = open_parse(parse, "parse map")
    mask_picture = None if garment_mask is None else open_picture(garment_mask, "garment mask")
    _check_shape(parse_picture, photo)
    if mask_picture is not None:
        _check_shape(mask_picture, flat)
    keypoint_size = keypoint_size or photo.size
    points, seen = read_keypoints(keypoints, keypoint_size, first=released)

    fit = Fit.plan(photo.size, height, width, squash=released)
    if fit.padded:
        _warn(photo, f"is {_by(photo.size)} pixels, not of the shape {_by((width, height))}; it is fitted in whole, its sides "
              "filled, so the person gets smaller: crop it around the person")  # fmt: skip
    points = fit.points(points, keypoint_size)
    parse_map = fit.labels(parse_picture.decode())
    labels = _check_parse(parse_picture, parse_map, points, seen, labels)
    atr = labels == "dresscode"
    image = _scale(fit.picture(photo.decode(None if released else fit.inner)))
    garment_pixels, garment_region = _cut_out(flat, mask_picture, height, width, whiten, released)

    mask = agnostic.inpaint_mask(parse_map, points, seen, category, labels=labels, convention=convention)
    if not mask.max():  # many times as fast as any() on floats
        fault, fix = f"and the keypoints leave an empty mask for {category}", "use a photograph that shows that part of the body"
        raise refuse(parse_picture.where, fault, "a person who shows where the garment goes", fix)
    warped = None
    if paired:
        worn = agnostic.garment_region(parse_map, category, labels=labels, convention=convention)
        warped = torch.lerp(torch.ones(()), image, worn)  # white where the garment is not
    return TryOnSample(
        person=image,
        garment=_scale(garment_pixels),
        garment_mask=torch.from_numpy(garment_region.astype(np.float32))[None],
        inpaint_mask=mask,
        pose_map=agnostic.pose_map(points, seen, height, width, convention=convention),
        parse=agnostic.to_vitonhd_labels(parse_map, points, seen) if atr else torch.from_numpy(parse_map).long(),
        keypoints=torch.from_numpy(points.astype(np.float32)),
        keypoint_visible=torch.from_numpy(seen),
        category=category,
        caption=caption,
        name=Path(person).stem if isinstance(person, (str, Path)) else "photo",
        warped_garment=warped,
        target=image if paired else None,
    )


def garment_on_white(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool: the garment in a picture (H, W, 3) uint8 of it on white: all but the near-white that reaches the border."""
    bright = (pixels.min(-1) > NEAR_WHITE).astype(np.uint8)
    framed = cv2.copyMakeBorder(bright, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)  # joins what reaches any side
    _, areas = cv2.connectedComponents(framed, connectivity=4)
    return (areas != areas[0, 0])[1:-1, 1:-1]


def _cut_out(
    flat: OpenPicture, mask_picture: OpenPicture | None, height: int, width: int, whiten: bool, released: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The garment's pixels (H, W, 3) uint8 and its region (H, W) bool, both fitted."""
    fit = Fit.plan(flat.size, height, width, squash=released)
    scale = None if released else fit.inner
    picture = flat.decode(scale)
    if mask_picture is None:
        pixels = fit.picture(picture, WHITE)
        region = garment_on_white(pixels)
        if not 0.005 < region.mean() < 0.95:
            fault = f"shows a garment on {region.mean():.0%} of the picture if white is background"
            raise refuse(flat.where, fault, "a garment that lies on white", "cut it out on white, or give a garment mask")
        return np.where(region[..., None], pixels, np.uint8(WHITE)), region
    drawn = mask_picture.decode(scale)
    levels = np.asarray(drawn if drawn.mode == "L" else drawn.convert("L"))
    peak = int(levels.max())  # some tools write 1 for white
    mask = cv2.threshold(levels, peak // 2, WHITE, cv2.THRESH_BINARY)[1]
    if whiten and released:  # the authors cut out at full size and shrink then; ours cuts out what was shrunk, with a soft edge
        cut = Image.fromarray(mask).resize(picture.size)
        picture = Image.composite(picture, Image.new("RGB", picture.size, (WHITE,) * 3), cut)
    pixels, inside = fit.picture(picture, WHITE), fit.mask(mask)
    if whiten and not released:
        share = cv2.cvtColor(inside, cv2.COLOR_GRAY2BGR)
        pixels = cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(pixels), share, scale=1 / WHITE))
    region = inside > WHITE // 2
    if not region.any():
        raise refuse(mask_picture.where, "is all black", "white where the garment is", "make it anew")
    return pixels, region


def _check_shape(map_: OpenPicture, picture: OpenPicture):
    """Refuses a map whose shape differs from its picture's by more than the rounding of a resize."""
    if abs(map_.size[0] * picture.size[1] / (map_.size[1] * picture.size[0]) - 1) > 0.02:
        expected = f"the shape of {picture.where}, {_by(picture.size)}"
        raise refuse(map_.where, f"is {_by(map_.size)} pixels", expected, "make it from that picture")


def _check_parse(source: OpenPicture, parse: np.ndarray, points: np.ndarray, seen: np.ndarray, labels: str | None) -> str:
    """The label set's name, told by the nose if not given; refuses a map with other labels or without a person."""
    under_nose = _under(parse, points[NOSE]) if seen[NOSE] else None
    if labels is None:
        told = [name for name, label_set in LABEL_SETS.items() if label_set.names.index("face") == under_nose]
        if not told:
            _warn(source, "shows no face under the nose that would tell its label set, took VITON-HD's; "
                  "give labels='vitonhd' or labels='dresscode'")  # fmt: skip
        labels = told[0] if told else "vitonhd"
    names = LABEL_SETS[labels].names
    if parse.max() >= len(names):
        unknown = np.unique(parse[parse >= len(names)]).tolist()
        fault, expected = f"has unknown labels {unknown[:5]}", f"0 to {len(names) - 1}, the labels of {labels}"
        raise refuse(source.where, fault, expected, "save label numbers, or name the right label set")
    if not parse.any():
        raise refuse(source.where, "is all background", "a person", "parse a photograph that shows one")
    if under_nose is not None and names[under_nose] not in HEAD:
        _warn(source, f"has {names[under_nose]!r} where the keypoints have the nose; check that both were made from this "
              "photograph and that the label set is right")  # fmt: skip
    if _mirrored(parse, points, seen, LABEL_SETS[labels]):
        _warn(source, "has left and right arm the other way round than the keypoints; check whether one of them was mirrored")
    return labels


def _mirrored(parse: np.ndarray, points: np.ndarray, seen: np.ndarray, labels: LabelSet) -> bool:
    """Whether elbows and wrists lie on the other arm's labels, and none on its own."""
    own = others = 0
    for side in ("left", "right"):
        for joint in (KEYPOINTS.index(f"{side}_elbow"), KEYPOINTS.index(f"{side}_wrist")):
            name = labels.names[_under(parse, points[joint])] if seen[joint] else ""
            if name in ARM_LABELS:
                own, others = (own + 1, others) if name.startswith(side) else (own, others + 1)
    return others > 0 and own == 0


def _under(parse: np.ndarray, point: np.ndarray) -> int:
    """The label at `point` (x, y), at the border if it lies outside."""
    x, y = np.clip(np.rint(point), 0, (parse.shape[1] - 1, parse.shape[0] - 1)).astype(int)
    return int(parse[y, x])


def _scale(pixels: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    planes = np.stack(cv2.split(pixels))
    looked_up = cv2.LUT(planes.reshape(-1, planes.shape[-1]), LEVELS)  # twice as fast as arithmetic on every pixel
    return torch.from_numpy(looked_up.reshape(planes.shape))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _warn(source: OpenPicture, what: str):
    warnings.warn(f"{source.where} {what}.", InputWarning, stacklevel=3)
