"""The wardrobe written to disk as VITON-HD or Dress Code: what reads those data sets reads it, and it knows the truth beside.

    vitonhd    ROOT/test_pairs.txt, ROOT/test/{image,cloth,cloth-mask,image-parse-v3,openpose_json}
    dresscode  ROOT/CATEGORY/{images,label_maps,keypoints,masks}, test_pairs_paired.txt, test_pairs_unpaired.txt
    both       ROOT/captions.json, captions by garment; ROOT/wardrobe.json, how it was drawn
    our own    target/NAME.jpg beside the pictures: person NAME in the garment of the unpaired pair, which no photograph knows

Choices made here
- Sample i of the folder is sample i of `Wardrobe(split, seed=seed)`, of upper bodies for VITON-HD. It wears its garment; the
  unpaired pair gives it the next garment of its category that clearly looks different.
- Pictures are JPEGs with full colour resolution. Dress Code's label maps and keypoints are for 384 x 512 pixels there, so larger
  maps are shrunk to that; a person's neck is called face in them, for its labels have no neck.
- VITON-HD's authors take keypoints to be pixels of 768 x 1024; written smaller, a data set is read right by our convention alone.
- Everything is written into a folder beside DIR that is renamed when it is whole.
"""

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ladi_mini.agnostic import DRESSCODE
from ladi_mini.cards import write_card, write_text
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import PARSE_LABELS, InputError
from ladi_mini.wardrobe.dataset import RECIPE_VERSION, SPLITS
from ladi_mini.wardrobe.dressing import Drawing, category_of, draw, garment_of
from ladi_mini.wardrobe.garments import differ

LAYOUTS = ("vitonhd", "dresscode")
DRESSCODE_SIZE = (384, 512)  # (width, height) of its label maps and keypoints
MIN_HEIGHT = 64
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)  # place of each COCO-18 keypoint
MID_HIP, HIPS = 8, (8, 11)  # in BODY_25; the two hips in COCO-18
TO_ATR = np.array(
    [
        DRESSCODE.names.index({"neck": "face"}.get(name, name)) if name in (*DRESSCODE.names, "neck") else 0
        for name in PARSE_LABELS
    ],
    np.uint8,
)


class _Job(NamedTuple):
    """One sample to draw and write: its place in the folder, and the place of the garment of its unpaired pair."""

    root: Path
    layout: str
    split: str
    number: int
    partner: int
    seed: int
    category: str
    height: int
    width: int
    quality: int


def render(
    root: str | Path,
    layout: Literal["vitonhd", "dresscode"],
    count: int,
    split: Literal["test", "train"] = "test",
    height: int = 1024,
    width: int = 768,
    seed: int = 0,
    quality: int = 95,
    workers: int = 0,
    progress: bool = True,
) -> Path:
    """Writes `count` samples of (height, width) pixels into the new folder `root` and returns it.

    Dress Code's categories take turns, VITON-HD has upper bodies alone. `workers` processes draw, 0 draws in this one (a script
    that asks for workers needs `if __name__ == "__main__":`). Raises `InputError` for a folder that is not empty, a layout or
    split that does not exist, a shape other than 3:4, or too few samples to have an unpaired pair in every category.
    """
    root = Path(root)
    _check(root, layout, count, split, height, width)
    jobs = _plan(layout, count, split, height, width, seed, quality)
    beside = root.with_name(f".{root.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        jobs = [job._replace(root=beside) for job in jobs]
        for folder in sorted({path.parent for job in jobs for path in _files(job).values()}):
            if split == "test" or folder.name != "target":  # who trains on pairs has the person as the truth
                folder.mkdir(parents=True)
        if workers > 1 and count >= 8 * workers:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                captions = list(_bar(pool.map(_write, jobs), count, progress))
        else:
            captions = list(_bar(map(_write, jobs), count, progress))
        _write_lists(beside, jobs)
        write_card(beside / "captions.json", dict(captions))
        write_card(beside / "wardrobe.json", _about(layout, count, split, height, width, seed, quality))
        if root.exists():
            root.rmdir()
        beside.replace(root)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return root


def _check(root: Path, layout: str, count: int, split: str, height: int, width: int):
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}, expected {' or '.join(LAYOUTS)}; choose one of them.")
    if split not in ("test", "train"):
        raise InputError(f"split is {split!r}, expected test or train; choose one of them.")
    fewest = 2 * (len(CATEGORIES) if layout == "dresscode" else 1)
    if count < fewest:
        raise InputError(
            f"count is {count}, expected at least {fewest}: two of every category, for unpaired pairs; ask for more."
        )
    if height < MIN_HEIGHT or height * 3 != width * 4:
        raise InputError(f"the size is {height} x {width} (height x width), expected 4:3 and at least {MIN_HEIGHT} high; "
                         "choose such as 1024 x 768 or 512 x 384.")  # fmt: skip
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root} exists and is not empty, expected a new or empty folder; name another or remove it.")
    if not root.absolute().parent.is_dir():
        raise InputError(f"{root.parent} does not exist, expected the folder to write {root.name} into; make it first.")


def _plan(layout: str, count: int, split: str, height: int, width: int, seed: int, quality: int) -> list[_Job]:
    """A job a sample. Each test sample gets the next garment of its category that looks different, after the last the first."""
    first = SPLITS[split]
    categories = [category_of(first + i, "upper_body" if layout == "vitonhd" else None) for i in range(count)]
    garments = [garment_of(seed, first + i, category) for i, category in enumerate(categories)]
    jobs = []
    for i, category in enumerate(categories):
        partner = i
        if split == "test":
            following = [k % count for k in range(i + 1, i + count) if categories[k % count] == category]
            partner = next((k for k in following if differ(garments[i], garments[k])), following[0])
        jobs.append(_Job(Path(), layout, split, i, partner, seed, category, height, width, quality))
    return jobs


def _files(job: _Job) -> dict[str, Path]:
    """Where the files of a sample lie, by what they hold."""
    if job.layout == "vitonhd":
        folder, name = job.root / job.split, f"{job.number:05d}_00"
        return {
            "person": folder / "image" / f"{name}.jpg",
            "garment": folder / "cloth" / f"{name}.jpg",
            "mask": folder / "cloth-mask" / f"{name}.jpg",
            "parse": folder / "image-parse-v3" / f"{name}.png",
            "keypoints": folder / "openpose_json" / f"{name}_keypoints.json",
            "target": folder / "target" / f"{name}.jpg",
        }
    folder, name = job.root / job.category, f"{job.number:06d}"
    return {
        "person": folder / "images" / f"{name}_0.jpg",
        "garment": folder / "images" / f"{name}_1.jpg",
        "mask": folder / "masks" / f"{name}_1.png",
        "parse": folder / "label_maps" / f"{name}_4.png",
        "keypoints": folder / "keypoints" / f"{name}_2.json",
        "target": folder / "target" / f"{name}_0.jpg",
    }


def _write(job: _Job) -> tuple[str, str]:
    """Draws a sample and writes its files; returns its key in captions.json and its caption."""
    first = SPLITS[job.split]
    other = garment_of(job.seed, first + job.partner, job.category) if job.partner != job.number else None
    drawing = draw(job.seed, first + job.number, job.height, job.width, False, job.category, beside=other)
    files, jpeg = _files(job), {"quality": job.quality, "subsampling": 0}
    Image.fromarray(drawing.person).save(files["person"], **jpeg)
    Image.fromarray(drawing.garment).save(files["garment"], **jpeg)
    if drawing.beside is not None:
        Image.fromarray(drawing.beside).save(files["target"], **jpeg)
    mask = Image.fromarray(np.where(drawing.garment_mask, np.uint8(255), np.uint8(0)))
    mask.save(files["mask"], **(jpeg if files["mask"].suffix == ".jpg" else {"optimize": True}))
    parse = Image.fromarray(drawing.parse)
    if job.layout == "dresscode":
        parse = Image.fromarray(TO_ATR[drawing.parse])
        if job.height > DRESSCODE_SIZE[1]:
            parse = parse.resize(DRESSCODE_SIZE, Image.Resampling.NEAREST)
    parse.putpalette(_palette())
    parse.save(files["parse"], optimize=True)
    pose = _dresscode_pose(drawing) if job.layout == "dresscode" else _openpose(drawing)
    files["keypoints"].write_text(json.dumps(pose), encoding="utf-8")
    stem = files["garment"].stem
    return (f"{job.category}/{stem}" if job.layout == "dresscode" else stem), drawing.caption


def _rows(drawing: Drawing) -> np.ndarray:
    """(18, 3) x, y in pixels, and 1, all zero where a keypoint is outside the picture: as detectors write what they miss."""
    rows = np.concatenate((drawing.keypoints, np.ones((len(drawing.keypoints), 1))), 1)
    return np.where(drawing.keypoint_visible[:, None], rows, 0.0).round(3)


def _openpose(drawing: Drawing) -> dict:
    """OpenPose's JSON for one person in BODY_25, whose feet nobody looked for."""
    rows, body = _rows(drawing), np.zeros((25, 3))
    body[list(BODY_25)] = rows
    hips = rows[list(HIPS)]
    if hips[:, 2].all():
        body[MID_HIP] = hips.mean(0)
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": body.ravel().tolist()}]}


def _dresscode_pose(drawing: Drawing) -> dict:
    """Dress Code's JSON: 18 rows of x, y, confidence, id, in pixels of 384 x 512."""
    rows, height = _rows(drawing), drawing.person.shape[0]
    rows[:, :2] *= DRESSCODE_SIZE[1] / height
    number = np.where(rows[:, 2] > 0, np.arange(len(rows)), -1)
    return {"keypoints": np.column_stack((rows, number)).round(3).tolist()}


def _palette() -> list[int]:
    """Colours for label maps, far apart for neighbouring numbers, so that a viewer shows them."""
    return [(47 * label * k) % 256 if label else 0 for label in range(256) for k in (1, 3, 5)]


def _write_lists(root: Path, jobs: list[_Job]):
    """The pairs files, a line a person: its picture, and the garment for it."""

    def lines(category: str | None, partner: bool) -> str:
        chosen = [job for job in jobs if category in (None, job.category)]
        pairs = ((_files(job), _files(jobs[job.partner] if partner else job)) for job in chosen)
        return "".join(f"{own['person'].name} {garment['garment'].name}\n" for own, garment in pairs)

    split = jobs[0].split
    if jobs[0].layout == "vitonhd":
        write_text(root / f"{split}_pairs.txt", lines(None, True))
        return
    for category in CATEGORIES:
        if split == "train":
            write_text(root / category / "train_pairs.txt", lines(category, False))
        else:
            write_text(root / category / "test_pairs_paired.txt", lines(category, False))
            write_text(root / category / "test_pairs_unpaired.txt", lines(category, True))


def _about(layout: str, count: int, split: str, height: int, width: int, seed: int, quality: int) -> dict:
    return {
        "what": "Drawn by the wardrobe of ladi_mini. Folders named target hold the true picture of each person in the garment of "
        "the unpaired pair.",
        "licence": "CC BY 4.0",
        "recipe": RECIPE_VERSION,
        "layout": layout,
        "split": split,
        "seed": seed,
        "count": count,
        "height": height,
        "width": width,
        "jpeg_quality": quality,
    }


def _bar(results, count: int, shown: bool):
    return tqdm(results, total=count, desc="drawing", unit="sample", disable=not shown)
