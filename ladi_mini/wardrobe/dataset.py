"""The wardrobe as a data set: one sample, a split, or many samples packed into arrays for training.

Choices made here
- A sample is a pure function of (seed, index, height, width): nothing is shuffled, and index 7 at two sizes is one person.
- The splits are disjoint ranges of indices; categories take turns (index modulo 3) unless one is asked for.
- `unpaired` changes only what the person wears: the target of an unpaired sample is the person of the paired one.
- `packed` keeps pictures as 8 bits, masks as bits of one byte and the warp as 16-bit floats, and remakes pose maps from the
  keypoints when a batch is asked for: about 45 kB a sample at 64 x 48. A cache file is written beside its place, then renamed.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ladi_mini.agnostic import inpaint_mask, pose_maps
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import InputError, TryOnBatch, TryOnSample
from ladi_mini.wardrobe.dressing import Drawing, category_of, draw, draw_many

RECIPE_VERSION = 5  # changes whenever any sample's pixels do
SPLITS = {"train": 0, "validation": 10_000_000, "test": 20_000_000}  # first index
LENGTHS = {"train": 20_000, "validation": 1_000, "test": 2_000}
GARMENT, REPAINT, VISIBLE, WORN = 1, 2, 4, 8  # bits of a packed sample's masks


def sample(seed: int, index: int, height: int, width: int, unpaired: bool = False, category: str | None = None) -> TryOnSample:
    """One person and one garment, with all that is known about them.

    Paired: the person wears the garment and `target` equals `person`. Unpaired: the person wears another garment of the
    category, and `target` is the true picture of the same person in `garment`. Sizes in pixels; `index` >= 0.
    Raises `InputError` for a category that does not exist.
    """
    _known_category(category)
    drawing = draw(seed, index, height, width, unpaired, category_of(index, category))
    return _to_batch(_pack([drawing], unpaired), [0], one=True)


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

    def batch(self, indices) -> TryOnBatch:
        """The samples at `indices` (whole numbers, a tensor or an array), converted together."""
        return _to_batch(self.arrays, np.asarray(indices, dtype=np.int64))

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
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = [_pack(drawings, unpaired) for drawings in pool.map(draw_many, jobs)]
    else:
        chunks = [_pack(draw_many(job), unpaired) for job in jobs]
    arrays = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
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


def _pack(drawings: list[Drawing], unpaired: bool) -> dict[str, np.ndarray]:
    def stack(name):
        return np.stack([getattr(d, name) for d in drawings])

    repaint = np.stack([inpaint_mask(d.parse, d.keypoints, d.keypoint_visible, d.category)[0].numpy() for d in drawings]) > 0
    masks = GARMENT * stack("garment_mask") + REPAINT * repaint + VISIBLE * stack("warp_visible") + WORN * stack("worn")
    arrays = {
        "person": stack("person"),
        "garment": stack("garment"),
        "masks": masks.astype(np.uint8),
        "parse": stack("parse"),
        "keypoints": stack("keypoints"),
        "keypoint_visible": stack("keypoint_visible"),
        "warp_grid": stack("warp_grid").astype(np.float16),
        "print_box": stack("print_box"),
        "category": np.array([CATEGORIES.index(d.category) for d in drawings], np.uint8),
        "caption": np.array([d.caption for d in drawings], "U200"),
        "name": np.array([d.name for d in drawings], "U40"),
        "print_text": np.array([d.print_text for d in drawings], "U4"),
    }
    if unpaired:
        arrays["target"] = stack("target")
    return arrays


def _to_batch(arrays: dict[str, np.ndarray], indices, one: bool = False) -> TryOnBatch | TryOnSample:
    def picture(name):
        return torch.from_numpy(arrays[name][indices]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    masks = torch.from_numpy(arrays["masks"][indices])

    def mask(bit):
        return (masks & bit).ne(0).unsqueeze(1).float()

    height, width = masks.shape[1:]
    keypoints, seen = arrays["keypoints"][indices], arrays["keypoint_visible"][indices]
    person = picture("person")
    target = picture("target") if "target" in arrays else person
    fields = {
        "person": person,
        "garment": picture("garment"),
        "garment_mask": mask(GARMENT),
        "inpaint_mask": mask(REPAINT),
        "pose_map": pose_maps(keypoints, seen, height, width),
        "parse": torch.from_numpy(arrays["parse"][indices]).long(),
        "keypoints": torch.from_numpy(keypoints),
        "keypoint_visible": torch.from_numpy(seen),
        "category": [CATEGORIES[k] for k in arrays["category"][indices]],
        "caption": arrays["caption"][indices].tolist(),
        "name": arrays["name"][indices].tolist(),
        "warp_grid": torch.from_numpy(arrays["warp_grid"][indices]).float(),
        "warp_visible": mask(VISIBLE),
        "warped_garment": torch.where((masks & WORN).ne(0).unsqueeze(1), target, torch.ones_like(target)),
        "target": target,
        "print_text": arrays["print_text"][indices].tolist(),
        "print_box": torch.from_numpy(arrays["print_box"][indices]),
    }
    if not one:
        return TryOnBatch(**fields)
    return TryOnSample(**{name: value[0] for name, value in fields.items()})
