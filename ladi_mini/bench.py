"""How fast the data is: the wardrobe's drawing and the loaders, each beside a plain version in the same run.

Choices made here
- Everything runs on one thread (torch, OpenCV), so that rates are those of a core; only `packed` with workers uses all cores.
- A rate is the median over repeats of the same work, the first of which is thrown away; the quickest and the slowest are noted.
- Loaders read data that is rendered for the occasion at 1024 x 768, the size of both data sets. `plain_vitonhd` does what
  the authors' loaders do without what makes ours fast: pictures decoded in full, every heat map as a dense field.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.datasets import DressCode, VitonHD
from ladi_mini.presets import POSE_CHANNELS
from ladi_mini.sample import PARSE_LABELS
from ladi_mini.wardrobe import RECIPE_VERSION, Wardrobe, packed
from ladi_mini.wardrobe.render import BODY_25, render

SIZES = ((64, 48), (256, 192))
READ_SIZE = (512, 384)
FILE_SIZE = (1024, 768)


def bench_wardrobe(repeats: int = 5, count: int = 48, files: int = 18, progress: Callable[[str], None] = print) -> dict:
    """The card: samples a second of drawing and of reading, with the circumstances.

    `count` samples are drawn a repeat (a quarter of them at 256 x 192), `files` are rendered and read. `progress` is called with
    a line before each measurement.
    """
    rates: dict[str, dict] = {}
    with one_thread():
        for height, width in SIZES:
            for order in ("paired", "unpaired"):
                number = count if height == SIZES[0][0] else max(count // 4, 2)
                data = Wardrobe("train", height, width, unpaired=order == "unpaired", count=number)
                progress(f"drawing {height} x {width} {order}")
                rates[f"draw {order} {height}x{width}"] = rate(lambda data=data: [data[i] for i in range(len(data))],
                                                               number, repeats)  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            progress(f"rendering {files} samples of each layout at {FILE_SIZE[0]} x {FILE_SIZE[1]}")
            root = Path(folder)
            for layout, loader in (("vitonhd", VitonHD), ("dresscode", DressCode)):
                render(root / layout, layout, files, height=FILE_SIZE[0], width=FILE_SIZE[1], progress=False)
                for convention in ("ours", "released"):
                    progress(f"reading {layout}, {convention} convention")
                    data = loader(root / layout, "test", "paired", *READ_SIZE, convention=convention)
                    name = f"read {layout} {convention} {READ_SIZE[0]}x{READ_SIZE[1]}"
                    rates[name] = rate(lambda data=data: [data[i] for i in range(len(data))], files, repeats)
            progress("reading vitonhd, plain")
            people = [person.removesuffix(".jpg") for person, _ in VitonHD(root / "vitonhd").pairs]
            rates[f"read vitonhd plain {READ_SIZE[0]}x{READ_SIZE[1]}"] = rate(
                lambda: [plain_vitonhd(root / "vitonhd" / "test", name, *READ_SIZE) for name in people], files, repeats
            )
    workers = os.cpu_count() or 1
    for height, width in SIZES:
        number = 20 * count if height == SIZES[0][0] else 5 * count
        progress(f"packing {number} samples of {height} x {width} with {workers} workers")
        start = time.perf_counter()
        packed("train", number, height, width, unpaired=True, workers=workers)
        seconds = time.perf_counter() - start
        rates[f"packed unpaired {height}x{width}, {workers} workers"] = _rate([number / seconds])
    return {
        "what": "samples a second; a core each, but packed, which starts its workers and uses all",
        "samples_per_second": rates,
        "recipe": RECIPE_VERSION,
        "repeats": repeats,
        "peak_memory_mb": peak_memory_mb(),
        **circumstances(),
    }


def table(card: dict) -> str:
    """The card's rates in words."""
    lines = [f"{card['hardware']}, Python {card['python']}, torch {card['versions']['torch']}"]
    for name, found in card["samples_per_second"].items():
        spread = "" if found["low"] == found["high"] else f"   ({found['low']:.1f} to {found['high']:.1f})"
        lines.append(f"{name:>44}: {found['median']:7.1f} samples/s{spread}")
    return "\n".join(lines)


def rate(work: Callable[[], object], samples: int, repeats: int) -> dict:
    """Samples a second of `work`, which handles `samples` of them: median, low and high over `repeats`, after one unmeasured."""
    work()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(samples / (time.perf_counter() - start))
    return _rate(found)


def _rate(found: list[float]) -> dict:
    return {"median": round(median(found), 2), "low": round(min(found), 2), "high": round(max(found), 2)}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch and OpenCV on one thread, and as they were afterwards."""
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def plain_vitonhd(folder: Path, name: str, height: int, width: int) -> dict[str, torch.Tensor]:
    """A paired VITON-HD sample by the authors' rules, written down in the plainest way: what speed is compared with.

    person, garment, warped_garment (3, H, W); inpaint_mask (1, H, W); pose_map (18, H, W); parse (H, W).
    """

    def picture(path: Path) -> torch.Tensor:
        pixels = np.array(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1

    person, garment = picture(folder / "image" / f"{name}.jpg"), picture(folder / "cloth" / f"{name}.jpg")
    parse = np.array(Image.open(folder / "image-parse-v3" / f"{name}.png").resize((width, height), Image.Resampling.NEAREST))
    with open(folder / "openpose_json" / f"{name}_keypoints.json", encoding="utf-8") as file:
        body = np.array(json.load(file)["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)[list(BODY_25), :2]
    points = body * (width / FILE_SIZE[1], height / FILE_SIZE[0])

    y, x = np.mgrid[:height, :width]
    heat = np.zeros((POSE_CHANNELS, height, width), np.float32)
    for channel, (px, py) in enumerate(points):
        if px > 0 or py > 0:
            field = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 9.0**2)
            heat[channel] = field / field.max()

    def where(*names: str) -> np.ndarray:
        return np.isin(parse, [PARSE_LABELS.index(label) for label in names])

    arms = [[wrist, elbow, shoulder] for wrist, elbow, shoulder in ((4, 3, 2), (7, 6, 5))]
    for arm in arms:
        if not points[arm[0]].any():  # of the first arm without a wrist, what is missing is left out
            arm[:] = arm[2:] if not points[arm[1]].any() else arm[1:]
            break
    canvas, (right, left) = Image.new("L", (width, height)), arms
    ImageDraw.Draw(canvas).line(
        [tuple(points[j]) for j in left + right[::-1]], fill=1, width=int(90 / 512 * height), joint="curve"
    )
    sleeves = np.array(canvas) > 0
    cloth = where("upper", "dress", "coat")
    fixed = where("hat", "hair", "left_shoe", "right_shoe", "pants", "skirt", "sunglasses", "face")
    fixed |= where("left_arm", "right_arm") & ~sleeves
    grown = cv2.dilate((cloth | sleeves).astype(np.uint8), np.ones((5, 5), np.uint8), iterations=5) > 0
    mask = torch.from_numpy((grown & ~fixed).astype(np.float32))[None]
    worn = torch.from_numpy(cloth)
    return {
        "person": person,
        "garment": garment,
        "warped_garment": torch.where(worn, person, torch.ones_like(person)),
        "inpaint_mask": mask,
        "pose_map": torch.from_numpy(heat),
        "parse": torch.from_numpy(parse).long(),
    }
