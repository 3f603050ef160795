"""One try-on: the contract between data and model, checked where it is made.

Choices made here
- `TryOnSample` holds one person and one garment; `TryOnBatch` is the same with a leading B.
- Tensors are (C, H, W) and float32; images are in [-1, 1], masks in {0, 1} with 1 = the model repaints, pose maps in [0, 1].
- Keypoints are COCO-18, (x, y) in pixels of this picture, each with a visibility.
- What the model may see of the person is `agnostic`, nothing else: the sample keeps the whole person only as the truth.
- A wrong shape, range, label or category raises `InputError`, which names the field, what was got, what was expected and
  what to do; what is odd but usable warns with `InputWarning`.
"""

import warnings
from dataclasses import dataclass, fields

import torch

from ladi_mini.errors import InputError, InputWarning
from ladi_mini.presets import CATEGORIES, POSE_CHANNELS

__all__ = ["KEYPOINTS", "PARSE_LABELS", "InputError", "InputWarning", "TryOnBatch", "TryOnSample", "collate"]

PARSE_LABELS = (  # VITON-HD's image-parse-v3, the label's number is its place
    "background", "hat", "hair", "glove", "sunglasses", "upper", "dress", "coat", "socks", "pants",
    "neck", "scarf", "skirt", "face", "left_arm", "right_arm", "left_leg", "right_leg", "left_shoe", "right_shoe",
)  # fmt: skip

KEYPOINTS = (  # COCO-18; left and right are the person's own
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip


@dataclass
class TryOnSample:
    """A person, a garment and what is known about them.

    person, garment:  (3, H, W) in [-1, 1]; the garment lies flat on white
    garment_mask:     (1, H, W), 1 = garment
    inpaint_mask:     (1, H, W), 1 = repaint
    pose_map:         (18, H, W) in [0, 1], a Gaussian a keypoint, all zero where it is not visible
    parse:            (H, W) int64, `PARSE_LABELS`
    keypoints:        (18, 2) float32 pixels (x, y); keypoint_visible: (18,) bool
    category:         one of `CATEGORIES`; caption: words for the garment, "" if unknown; name: for file names and messages

    Known only where the data is drawn, else None:
    warp_grid:        (H, W, 2) in [-1, 1], where in `garment` each pixel of the worn garment comes from (align_corners=True)
    warp_visible:     (1, H, W), 1 = that pixel shows the garment and the grid is valid
    warped_garment:   (3, H, W) in [-1, 1], the garment as worn, white elsewhere. Known for real data too where the
                      person already wears the garment (paired)
    target:           (3, H, W) in [-1, 1], the person wearing the garment
    print_text:       str, "" where nothing is printed; print_box: (4,) x0, y0, x1, y1 pixels of `garment`

    Raises `InputError` for a wrong shape, range, label or category, an empty mask or no visible keypoint.
    """

    person: torch.Tensor
    garment: torch.Tensor
    garment_mask: torch.Tensor
    inpaint_mask: torch.Tensor
    pose_map: torch.Tensor
    parse: torch.Tensor
    keypoints: torch.Tensor
    keypoint_visible: torch.Tensor
    category: str
    caption: str = ""
    name: str = "sample"
    warp_grid: torch.Tensor | None = None
    warp_visible: torch.Tensor | None = None
    warped_garment: torch.Tensor | None = None
    target: torch.Tensor | None = None
    print_text: str | None = None
    print_box: torch.Tensor | None = None

    def __post_init__(self):
        if self.person.ndim != 3 or self.person.shape[0] != 3:
            self._fail("person", f"shape {tuple(self.person.shape)}", "(3, H, W)", "give an RGB picture")
        h, w = self.person.shape[1:]
        shapes = {
            "garment": (3, h, w),
            "garment_mask": (1, h, w),
            "inpaint_mask": (1, h, w),
            "pose_map": (POSE_CHANNELS, h, w),
            "parse": (h, w),
            "keypoints": (POSE_CHANNELS, 2),
            "keypoint_visible": (POSE_CHANNELS,),
            "warp_grid": (h, w, 2),
            "warp_visible": (1, h, w),
            "warped_garment": (3, h, w),
            "target": (3, h, w),
            "print_box": (4,),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                self._fail(name, f"shape {tuple(value.shape)}", f"{shape}", f"resize it to the person's {h} x {w} pixels")
        self._check_ranges()
        self._check_content()

    def _check_ranges(self):
        for name in ("person", "garment", "warped_garment", "target"):
            self._check_range(name, -1.0, 1.0, "scale 8-bit pictures by x / 127.5 - 1")
        self._check_range("pose_map", 0.0, 1.0, "a heat map's peak is 1")
        for name in ("garment_mask", "inpaint_mask", "warp_visible"):
            value = getattr(self, name)
            if value is not None and any((value * value).sub_(value).aminmax()):  # only 0 and 1 are their own squares, NaN is not
                self._check_range(name, 0.0, 1.0, "1 = yes, 0 = no")
                self._fail(name, "values between 0 and 1", "only 0 and 1", "threshold it at 0.5")

    def _check_content(self):
        if self.category not in CATEGORIES:
            self._fail("category", repr(self.category), f"one of {', '.join(CATEGORIES)}", "name the garment's category")
        lowest, highest = (label.item() for label in self.parse.aminmax())
        if self.parse.is_floating_point() or lowest < 0 or highest >= len(PARSE_LABELS):
            got = f"{self.parse.dtype} with values {lowest} to {highest}"
            self._fail(
                "parse", got, f"whole labels 0 to {len(PARSE_LABELS) - 1}", "use VITON-HD's label map, not a colour picture"
            )
        if not self.inpaint_mask.max() > 0:
            self._fail(
                "inpaint_mask",
                "an empty mask",
                "at least one pixel to repaint",
                "check that parse map and keypoints show a person",
            )
        if not self.garment_mask.max() > 0:
            self._fail("garment_mask", "an empty mask", "the garment's pixels", "give a picture of the garment on white")
        if not bool(self.keypoint_visible.any()):
            self._fail("keypoints", "no visible keypoint", "a person", "use a photograph on which a person was detected")
        h, w = self.person.shape[1:]
        (left, top), (right, bottom) = (corner.tolist() for corner in self.keypoints[self.keypoint_visible].aminmax(dim=0))
        if not (left >= -0.5 * w and right <= 1.5 * w and top >= -0.5 * h and bottom <= 1.5 * h):  # so that NaN fails too
            self._fail("keypoints", f"coordinates from ({left:.0f}, {top:.0f}) to ({right:.0f}, {bottom:.0f})",
                       f"pixels of a {w} x {h} picture", "scale the keypoints with the picture")  # fmt: skip
        extent = max((right - left) / w, (bottom - top) / h)
        if extent < 0.2:
            self._warn("keypoints", f"they span only {extent:.0%} of the picture; were they detected on a smaller one?")

    def _check_range(self, name: str, low: float, high: float, fix: str):
        value = getattr(self, name)
        if value is None or (name == "target" and value is self.person):
            return
        lowest, highest = (x.item() for x in value.aminmax())
        if not (lowest >= low - 1e-4 and highest <= high + 1e-4):  # written so that NaN fails too
            self._fail(name, f"values {lowest:.3g} to {highest:.3g}", f"{low:g} to {high:g}", fix)

    def _fail(self, field_name: str, got: str, expected: str, fix: str):
        raise InputError(f"{self.name}: {field_name} has {got}, expected {expected}; {fix}.")

    def _warn(self, field_name: str, what: str):
        warnings.warn(f"{self.name}: {field_name}: {what}", InputWarning, stacklevel=4)

    @property
    def height(self) -> int:
        return self.person.shape[1]

    @property
    def width(self) -> int:
        return self.person.shape[2]

    @property
    def agnostic(self) -> torch.Tensor:
        """(3, H, W): the person with the repaint region set to 0 (grey), all that a model may see of them."""
        return torch.where(self.inpaint_mask.bool(), torch.zeros_like(self.person), self.person)


@dataclass
class TryOnBatch:
    """B samples of one size, the fields of `TryOnSample` with a leading B; the texts become lists of B strings."""

    person: torch.Tensor
    garment: torch.Tensor
    garment_mask: torch.Tensor
    inpaint_mask: torch.Tensor
    pose_map: torch.Tensor
    parse: torch.Tensor
    keypoints: torch.Tensor
    keypoint_visible: torch.Tensor
    category: list[str]
    caption: list[str]
    name: list[str]
    warp_grid: torch.Tensor | None = None
    warp_visible: torch.Tensor | None = None
    warped_garment: torch.Tensor | None = None
    target: torch.Tensor | None = None
    print_text: list[str] | None = None
    print_box: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.person.shape[0]

    @property
    def agnostic(self) -> torch.Tensor:
        """(B, 3, H, W), see `TryOnSample.agnostic`."""
        return torch.where(self.inpaint_mask.bool(), torch.zeros_like(self.person), self.person)

    def to(self, device: torch.device | str) -> "TryOnBatch":
        """The same batch with every tensor on `device`."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return TryOnBatch(**{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in moved.items()})

    def select(self, index: list[int]) -> "TryOnBatch":
        """The samples at `index`, in that order."""
        picked = {f.name: getattr(self, f.name) for f in fields(self)}
        return TryOnBatch(**{
            k: v[index] if isinstance(v, torch.Tensor) else [v[i] for i in index] if isinstance(v, list) else v
            for k, v in picked.items()
        })  # fmt: skip


def collate(samples: list[TryOnSample]) -> TryOnBatch:
    """Stacks samples of one size; a truth that any of them lacks is None for the batch."""
    sizes = {tuple(sample.person.shape) for sample in samples}
    if len(sizes) != 1:
        raise InputError(f"a batch needs samples of one size, got {sorted(sizes)}; resize them to one preset's size.")
    columns = {f.name: [getattr(sample, f.name) for sample in samples] for f in fields(TryOnSample)}
    return TryOnBatch(**{
        name: None if any(v is None for v in values) else torch.stack(values) if isinstance(values[0], torch.Tensor) else values
        for name, values in columns.items()
    })  # fmt: skip
