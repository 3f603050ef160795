"""VITON-HD (Choi et al., 2021): 11 647 pairs to train, 2 032 to test, upper bodies only.

    root/test_pairs.txt                          a line: person garment
    root/test/image/NAME.jpg                     the person
    root/test/image-parse-v3/NAME.png            their parse map
    root/test/openpose_json/NAME_keypoints.json  their keypoints (BODY_25) in pixels of the photograph
    root/test/cloth/NAME.jpg                     a garment, the one that person NAME wears
    root/test/cloth-mask/NAME.jpg                its mask
    root/captions.json                           optional: captions by garment

The data set is for research and not commercial use; it is not shipped here.

Choices made here
- Every file's presence is checked when the data set is made, not in a worker after an hour; its content when it is read.
- Keypoints are pixels of the photograph that lies there, so a copy of the data set at half size works if all was halved. The
  authors take 768 x 1024 for granted.
"""

from pathlib import Path
from typing import Literal

from torch.utils.data import Dataset

from ladi_mini.agnostic import Convention, one_of
from ladi_mini.datasets import files
from ladi_mini.datasets.photo import read_sample
from ladi_mini.sample import TryOnSample


class VitonHD(Dataset):
    """The pairs of one split as `TryOnSample` of (height, width) pixels.

    order="paired": every person with the garment that they wear, so `target` is the person and `warped_garment` is known;
    "unpaired": with the garment that the pairs file names. convention="released" gives what the authors' loader gives.
    Raises `InputError` that names the file for anything missing (on construction) or unusable (when it is read).
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "test"] = "test",
        order: Literal["paired", "unpaired"] = "paired",
        height: int = 512,
        width: int = 384,
        convention: Convention = "ours",
    ):
        one_of("split", split, ("train", "test"))
        one_of("order", order, ("paired", "unpaired"))
        one_of("convention", convention, ("ours", "released"))
        self.root, self.folder = Path(root), Path(root) / split
        self.paired, self.height, self.width, self.convention = order == "paired", height, width, convention
        listed = files.read_pairs(self.root / f"{split}_pairs.txt")
        self.pairs = [(person, person if self.paired else garment) for person, garment in listed]
        self.captions = files.read_captions(self.root / "captions.json")
        people, garments = ([*dict.fromkeys(names)] for names in zip(*self.pairs, strict=True))
        files.require_all(self.folder / "image", people, "photograph")
        files.require_all(self.folder / "image-parse-v3", [f"{Path(n).stem}.png" for n in people], "parse map")
        files.require_all(self.folder / "openpose_json", [f"{Path(n).stem}_keypoints.json" for n in people], "keypoint file")
        files.require_all(self.folder / "cloth", garments, "garment")
        files.require_all(self.folder / "cloth-mask", garments, "garment mask")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TryOnSample:
        person, garment = self.pairs[index]
        stem = Path(person).stem
        return read_sample(
            self.folder / "image" / person,
            self.folder / "cloth" / garment,
            self.folder / "image-parse-v3" / f"{stem}.png",
            self.folder / "openpose_json" / f"{stem}_keypoints.json",
            self.height,
            self.width,
            "upper_body",
            labels="vitonhd",
            garment_mask=self.folder / "cloth-mask" / garment,
            keypoint_size=(768, 1024) if self.convention == "released" else None,
            caption=self.captions.get(Path(garment).stem, ""),
            paired=self.paired,
            convention=self.convention,
        )
