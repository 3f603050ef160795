"""The wardrobe as a data set: one sample, a split, or many samples packed into arrays for training.

Choices made here
- A sample is a pure function of (seed, index, height, width): nothing is shuffled, and index 7 at two sizes is one person.
- The splits are disjoint ranges of indices; categories take turns (index modulo 3) unless one is asked for.
- `unpaired` changes only what the person wears: the target of an unpaired sample is the person of the paired one.
- `packed` keeps samples as compact arrays (see `packing`) and remakes pose maps from the keypoints when a batch is asked for:
  about 12 bytes a pixel and 1 kB a sample, 15 with a target of its own, so 40,000 of 256 x 192 take 24 GB (30 unpaired).
- Workers draw and pack; this process only sets the inpaint masks' bits and copies into arrays that are made once.
  A cache file is written beside its place, then renamed.
"""

import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ladi_mini.agnostic import inpaint_mask, pose_maps
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import InputError, TryOnBatch, TryOnSample
from ladi_mini.wardrobe.dressing import category_of, draw, draw_many
from ladi_mini.wardrobe.packing import GARMENT, REPAINT, VISIBLE, WORN, pack, pack_many, start_worker

RECIPE_VERSION = 6  # changes whenever any sample's pixels do
SPLITS = {"train": 0, "validation": 10_000_000, "test": 20_000_000}  # first index
LENGTHS = {"train": 40_000, "validation": 1_000, "test": 2_000}


def sample(seed: int, index: int, height: int, width: int, unpaired: bool = False, category: str | None = None) -> TryOnSample:
    """One person and one garment, with all that is known about them.

    Paired: the person wears the garment and `target` equals `person`. Unpaired: the person wears another garment of the
    category, and `target` is the true picture of the same person in `garment`. Sizes in pixels; `index` >= 0.
    Raises `InputError` for a category that does not exist.
    """
    _known_category(category)
    drawing = draw(seed, index, height, width, unpaired, category_of(index, category))
    return _to_batch(_with_repaint(pack([drawing], unpaired)), slice(0, 1), one=True)


class Wardrobe(Dataset):
    """A split of the wardrobe, drawn as it is read; `[i]` -> `TryOnSample`.

    split: "train", "validation" or "test"; `count` samples of `height` x `width` pixels; all of `category` if it is given.
    """

    def __init__(self, split: str, height: int, width: int, seed: int = 0, unpaired: bool = False,
                 category: str | None = None, count: int | None = None):  # fmt: skip
        self.first = _first(split)
        self.split, self.height, self.width, self.seed = split, height, width, seed
        self.unpaired, self.category = unpaired, category
        self.count = LENGTHS[split] if count is None else count
        _known_category(category)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> TryOnSample:
        if not -self.count <= i < self.count:
            raise IndexError(f"sample {i} of {self.count}")
        return sample(self.seed, self.first + i % self.count, self.height, self.width, self.unpaired, self.category)


class Packed(Dataset):
    """Many samples in a few arrays; `[i]` -> `TryOnSample`, `batch(indices)` -> `TryOnBatch`."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["person"])

    def __getitem__(self, i: int) -> TryOnSample:
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        return _to_batch(self.arrays, [i % len(self)], one=True)

    def batch(self, indices, device: torch.device | str = "cpu") -> TryOnBatch:
        """The samples at `indices` (whole numbers, a tensor or an array), converted together, on `device`."""
        return _to_batch(self.arrays, np.asarray(indices, dtype=np.int64), device=device)

    def first(self, count: int) -> "Packed":
        """The first `count` samples, in the same memory."""
        return Packed({name: array[:count] for name, array in self.arrays.items()})

    @property
    def nbytes(self) -> int:
        """Memory that the samples take."""
        return sum(array.nbytes for array in self.arrays.values())


def packed(split: str, count: int, height: int, width: int, seed: int = 0, unpaired: bool = False, category: str | None = None,
           cache_dir: str | Path | None = None, workers: int = 0) -> Packed:  # fmt: skip
    """The first `count` samples of a split, drawn at once and kept in memory.

    With `cache_dir` they are read from a file there if the same were drawn before, and written there if not. `workers`
    processes draw them, 0 draws them in this one. Workers are spawned, so a script that asks for them needs
    `if __name__ == "__main__":`, as always with `multiprocessing`; notebooks do not.
    """
    first = _first(split)
    _known_category(category)
    file = None
    if cache_dir is not None:
        kind = ("unpaired" if unpaired else "paired") + (f"-{category}" if category else "")
        file = Path(cache_dir) / f"wardrobe-v{RECIPE_VERSION}-{split}-{kind}-seed{seed}-{count}x{height}x{width}.npz"
        if file.exists():
            with np.load(file) as stored:
                return Packed({name: stored[name] for name in stored.files})
    jobs = [
        (seed, range(first + start, first + min(start + 64, count)), height, width, unpaired, category)
        for start in range(0, count, 64)
    ]
    workers = min(workers, len(jobs))
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker) as pool:
            arrays = _gather(pool.map(pack_many, jobs), count)
    else:
        arrays = _gather((pack(draw_many(job), unpaired) for job in jobs), count)
    if file is not None:
        _save(file, arrays)
    return Packed(arrays)


def _first(split: str) -> int:
    if split not in SPLITS:
        raise InputError(f"the wardrobe has no split {split!r}; choose one of {', '.join(SPLITS)}.")
    return SPLITS[split]


def _known_category(category: str | None):
    if category is not None and category not in CATEGORIES:
        raise InputError(f"the wardrobe has no category {category!r}; choose one of {', '.join(CATEGORIES)}.")


def _save(file: Path, arrays: dict[str, np.ndarray]):
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, **arrays)
        os.replace(beside, file)
    except BaseException:
        os.unlink(beside)
        raise


def _gather(chunks: Iterable[dict[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """The chunks one after the other, in arrays made once: joined at the end, they would need twice the memory."""
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for chunk in chunks:
        _with_repaint(chunk)
        stop = start + len(chunk["masks"])
        for name, values in chunk.items():
            if name not in arrays:
                arrays[name] = np.empty((count, *values.shape[1:]), values.dtype)
            arrays[name][start:stop] = values
        start = stop
    return arrays


def _with_repaint(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays, with the inpaint mask's bit set in `masks`."""
    rows = zip(arrays["parse"], arrays["keypoints"], arrays["keypoint_visible"], arrays["category"], strict=True)
    for masks, (parse, keypoints, seen, category) in zip(arrays["masks"], rows, strict=True):
        masks[inpaint_mask(parse, keypoints, seen, CATEGORIES[category])[0].numpy() > 0] |= REPAINT
    return arrays


def _to_batch(
    arrays: dict[str, np.ndarray], indices, one: bool = False, device: torch.device | str = "cpu"
) -> TryOnBatch | TryOnSample:
    """Bytes go to the device and become floats there."""

    def tensor(name):
        return torch.from_numpy(arrays[name][indices]).to(device)

    names = [name for name in ("person", "garment", "target") if name in arrays]
    pictures = torch.from_numpy(np.stack([arrays[name][indices] for name in names])).to(device)
    pictures = pictures.permute(0, 1, 4, 2, 3).contiguous().float().div_(127.5).sub_(1)
    person, garment = pictures[:2]
    target = pictures[2] if len(names) == 3 else person
    masks = tensor("masks")
    bits = (
        masks[:, None] & torch.tensor((GARMENT, REPAINT, VISIBLE, WORN), dtype=torch.uint8, device=device)[:, None, None]
    ) != 0
    garment_mask, repaint, visible, worn = bits.split(1, dim=1)
    height, width = masks.shape[1:]
    keypoints, seen = tensor("keypoints"), tensor("keypoint_visible")
    fields = {
        "person": person,
        "garment": garment,
        "garment_mask": garment_mask.float(),
        "inpaint_mask": repaint.float(),
        "pose_map": pose_maps(keypoints, seen, height, width),
        "parse": tensor("parse").long(),
        "keypoints": keypoints,
        "keypoint_visible": seen,
        "category": [CATEGORIES[k] for k in arrays["category"][indices]],
        "caption": arrays["caption"][indices].tolist(),
        "name": arrays["name"][indices].tolist(),
        "warp_grid": tensor("warp_grid").float(),
        "warp_visible": visible.float(),
        "warped_garment": target.masked_fill(~worn, 1.0),
        "target": target,
        "print_text": arrays["print_text"][indices].tolist(),
        "print_box": tensor("print_box"),
    }
    if not one:
        return TryOnBatch(**fields)
    return TryOnSample(**{name: value[0] for name, value in fields.items()})
