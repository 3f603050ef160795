"""Dress Code (Morelli et al., 2022): 53 792 garments in three categories, with full-length people.

    root/CATEGORY/test_pairs_paired.txt, test_pairs_unpaired.txt, train_pairs.txt     a line: person garment
    root/CATEGORY/images/000000_0.jpg      the person
    root/CATEGORY/images/000000_1.jpg      a garment
    root/CATEGORY/label_maps/000000_4.png  the person's parse map in ATR's 18 labels
    root/CATEGORY/keypoints/000000_2.json  their keypoints, 18 rows of x, y, confidence, id, in pixels of 384 x 512
    root/CATEGORY/masks/000000_1.png       the garment's mask (published with LaDI-VTON)
    root/captions.json                     optional: captions by garment, "CATEGORY/000000_1" or "000000_1"

The data set is for academic research and must be asked for; it is not shipped here.

Choices made here
- Garments are cut out on white by their masks. Where the masks were not unpacked, the white of the picture tells the garment
  in our convention, with one warning; the authors' convention needs them.
- The samples' parse maps are in VITON-HD's labels, as everywhere in this project; masks are made before, from the labels that
  Dress Code has.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch.utils.data import Dataset

from ladi_mini.agnostic import Convention, one_of
from ladi_mini.datasets import files
from ladi_mini.datasets.photo import read_sample
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import InputWarning, TryOnSample

KEYPOINT_SIZE = (384, 512)  # (width, height) of the pictures on which the keypoints were detected


class DressCode(Dataset):
    """The pairs of one split and of `categories`, one category after the other, as `TryOnSample` of (height, width) pixels.

    order="paired": every person with the garment that they wear, so `target` is the person and `warped_garment` is known;
    "unpaired" (test only): with another garment of the category. convention="released" gives what the authors' loader gives.
    Raises `InputError` that names the file for anything missing (on construction) or unusable (when it is read).
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "test"] = "test",
        order: Literal["paired", "unpaired"] = "paired",
        height: int = 512,
        width: int = 384,
        categories: Sequence[str] = CATEGORIES,
        convention: Convention = "ours",
    ):
        one_of("split", split, ("train", "test"))
        one_of("order", order, ("paired", "unpaired"))
        one_of("convention", convention, ("ours", "released"))
        if split == "train" and order == "unpaired":
            expected = "order='paired' for split='train'"
            raise files.refuse("Dress Code", "has no unpaired training pairs", expected, "choose the test split")
        self.root, self.paired, self.convention = Path(root), order == "paired", convention
        self.height, self.width = height, width
        listing = "train_pairs.txt" if split == "train" else f"test_pairs_{order}.txt"
        categories = (categories,) if isinstance(categories, str) else tuple(categories)
        for category in categories:
            one_of("category", category, CATEGORIES)
        self.pairs = [(category, *pair) for category in categories for pair in files.read_pairs(self.root / category / listing)]
        self.captions = files.read_captions(self.root / "captions.json")
        self.masked = {category: self._check(category) for category in categories}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TryOnSample:
        category, person, garment = self.pairs[index]
        folder, number, stem = self.root / category, _number(person), Path(garment).stem
        return read_sample(
            folder / "images" / person,
            folder / "images" / garment,
            folder / "label_maps" / f"{number}_4.png",
            folder / "keypoints" / f"{number}_2.json",
            self.height,
            self.width,
            category,
            labels="dresscode",
            garment_mask=folder / "masks" / f"{stem}.png" if self.masked[category] else None,
            keypoint_size=KEYPOINT_SIZE,
            caption=self.captions.get(f"{category}/{stem}", self.captions.get(stem, "")),
            whiten=True,
            paired=self.paired,
            convention=self.convention,
        )

    def _check(self, category: str) -> bool:
        """Refuses a category with missing files; returns whether its garments have masks."""
        people, garments = ([*dict.fromkeys(pair[i] for pair in self.pairs if pair[0] == category)] for i in (1, 2))
        folder = self.root / category
        files.require_all(folder / "images", people + garments, "picture")
        files.require_all(folder / "label_maps", [f"{_number(name)}_4.png" for name in people], "parse map")
        files.require_all(folder / "keypoints", [f"{_number(name)}_2.json" for name in people], "keypoint file")
        if self.convention == "ours" and not (folder / "masks").is_dir():
            warnings.warn(f"{folder / 'masks'} does not exist, so garments are told from their white background; unpack the "
                          "masks published with LaDI-VTON there.", InputWarning, stacklevel=3)  # fmt: skip
            return False
        files.require_all(folder / "masks", [f"{Path(name).stem}.png" for name in garments], "garment mask")
        return True


def _number(name: str) -> str:
    """What all files of a person share: 000000 of 000000_0.jpg."""
    return Path(name).stem.rsplit("_", 1)[0]
