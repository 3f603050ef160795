"""render: what the wardrobe writes as VITON-HD or Dress Code is read back by the loaders as what was drawn."""

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ladi_mini import cli
from ladi_mini.agnostic import to_vitonhd_labels
from ladi_mini.datasets import DressCode, VitonHD
from ladi_mini.datasets.files import read_keypoints
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import PARSE_LABELS, InputError
from ladi_mini.wardrobe import RECIPE_VERSION, Wardrobe
from ladi_mini.wardrobe import render as module
from ladi_mini.wardrobe.render import TO_ATR, render

LOADERS = {"vitonhd": VitonHD, "dresscode": DressCode}
COUNTS = {"vitonhd": 3, "dresscode": 6}
SIZE = (512, 384)  # the loaders' own; the authors' convention needs VITON-HD at 1024 x 768
SAMPLES = Path(__file__).parents[1] / "data" / "samples"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Both layouts, VITON-HD at its own size, Dress Code at half of it."""
    root = tmp_path_factory.mktemp("rendered")
    render(root / "vitonhd", "vitonhd", COUNTS["vitonhd"], height=1024, width=768, seed=3, progress=False)
    render(root / "dresscode", "dresscode", COUNTS["dresscode"], height=512, width=384, seed=3, progress=False)
    return root


@cache
def drawn(layout: str, height: int, width: int):
    """The samples of the wardrobe in the order in which the loader reads them."""
    if layout == "vitonhd":
        return list(Wardrobe("test", height, width, seed=3, category="upper_body", count=COUNTS[layout]))
    samples = list(Wardrobe("test", height, width, seed=3, count=COUNTS[layout]))
    return [s for category in CATEGORIES for s in samples if s.category == category]


@cache
def load(folder: Path, layout: str, order: str, convention: str = "ours"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [*LOADERS[layout](folder / layout, "test", order, *SIZE, convention=convention)]


def resized(image: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(image[None], SIZE, mode="area")[0]


def assert_same_folder(one: Path, other: Path):
    """The same files; pictures up to what another JPEG library or processor changes, all else exactly."""
    files = sorted(f.relative_to(one) for f in one.rglob("*.*"))
    assert files == sorted(f.relative_to(other) for f in other.rglob("*.*"))
    for name in files:
        if name.suffix in (".jpg", ".png"):
            a, b = (np.asarray(Image.open(folder / name)).astype(int) for folder in (one, other))
            assert a.shape == b.shape and np.abs(a - b).mean() < (0.5 if name.suffix == ".jpg" else 0.02), name
        elif name.parent.name in ("keypoints", "openpose_json"):
            a, b = (read_keypoints(folder / name, SIZE[::-1])[0] for folder in (one, other))
            assert np.abs(a - b).max() < 0.01
        else:
            assert (one / name).read_text() == (other / name).read_text(), name


@pytest.mark.parametrize("convention", ["ours", "released"])
@pytest.mark.parametrize("layout", LOADERS)
def test_every_sample_is_read_back_as_it_was_drawn(folders, layout, convention):
    height, width = (1024, 768) if layout == "vitonhd" else SIZE
    read = load(folders, layout, "paired", convention)
    for got, truth in zip(read, drawn(layout, height, width), strict=True):
        for name in ("person", "garment"):
            assert (getattr(got, name) - resized(getattr(truth, name))).abs().mean() < 2 / 127.5, name
        assert (got.category, got.caption) == (truth.category, truth.caption)
        assert torch.equal(got.keypoint_visible, truth.keypoint_visible)
        scale = SIZE[0] / height
        assert (got.keypoints - truth.keypoints * scale).abs()[truth.keypoint_visible].max() < 1
        parse = truth.parse.byte().numpy()
        parse = torch.from_numpy(np.array(Image.fromarray(parse).resize(SIZE[::-1], Image.Resampling.NEAREST))).long()
        if layout == "dresscode":  # its labels know no neck: below the collar line the loader finds it again
            lost = (parse == PARSE_LABELS.index("neck")) & (got.parse == PARSE_LABELS.index("face"))
            assert lost.float().mean() < 0.02
            parse[lost] = PARSE_LABELS.index("face")
        assert torch.equal(got.parse, parse)
        wrong = (got.garment_mask != (resized(truth.garment_mask) >= 0.5)).float().mean()
        assert wrong < 0.004  # its outline
        if convention == "ours":
            mask = resized(truth.inpaint_mask) >= 0.5
            overlap = (got.inpaint_mask.bool() & mask).sum() / (got.inpaint_mask.bool() | mask).sum()
            assert overlap > 0.97


@pytest.mark.parametrize("layout", LOADERS)
def test_unpaired_is_the_same_people_in_the_same_order_with_other_garments_of_the_folder(folders, layout):
    paired, unpaired = (load(folders, layout, order) for order in ("paired", "unpaired"))
    garments = {sample.caption: sample for sample in paired}
    assert len(paired) == COUNTS[layout]
    for own, other in zip(paired, unpaired, strict=True):
        assert torch.equal(own.person, other.person) and torch.equal(own.inpaint_mask, other.inpaint_mask)
        assert own.category == other.category and not torch.equal(own.garment, other.garment)
        assert torch.equal(garments[other.caption].garment, other.garment)
        assert other.target is None and torch.equal(own.target, own.person)


@pytest.mark.parametrize("layout", LOADERS)
def test_the_target_is_that_person_in_that_garment(folders, layout):
    shares = []
    for sample in load(folders, layout, "unpaired"):
        (file,) = [f for f in (folders / layout).rglob(f"{sample.name}.jpg") if f.parent.name == "target"]
        if layout == "dresscode":
            assert file.parent.parent.name == sample.category
        target = torch.from_numpy(np.array(Image.open(file).resize(SIZE[::-1], Image.Resampling.BOX))).permute(2, 0, 1)
        change = (target / 127.5 - 1 - sample.person).abs().amax(0)
        outside = sample.inpaint_mask[0] == 0
        assert change[outside].mean() < 0.03 and (change[outside] > 0.2).float().mean() < 0.01
        assert change[~outside].mean() > 5 * change[outside].mean()
        cloth = sample.garment[:, sample.garment_mask[0] > 0].T[::7]
        worn = sum(sample.parse == PARSE_LABELS.index(name) for name in ("upper", "dress", "pants", "skirt")) > 0
        worn &= ~outside & (change > 0.1)
        seen = (target / 127.5 - 1)[:, worn].T
        share, before = ((torch.cdist(p, cloth).amin(1) < 0.1).float().mean() for p in (seen, sample.person[:, worn].T))
        assert share > before + 0.15  # where a long garment makes way for a short one, most of the change is bare skin
        shares.append(share)
    assert sorted(shares)[len(shares) // 2] > 0.7  # the flat garment's colours


def test_a_training_split_has_pairs_and_no_target(tmp_path):
    render(tmp_path / "v", "vitonhd", 2, "train", 64, 48, progress=False)
    render(tmp_path / "d", "dresscode", 6, "train", 64, 48, progress=False)
    assert len(VitonHD(tmp_path / "v", "train")) == 2 and len(DressCode(tmp_path / "d", "train")) == 6
    assert VitonHD(tmp_path / "v", "train", height=64, width=48)[1].caption == Wardrobe(
        "train", 64, 48, category="upper_body")[1].caption  # fmt: skip
    assert not [*tmp_path.rglob("target")]


def test_a_folder_is_a_function_of_its_arguments_and_says_them(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        render(tmp_path / name, "vitonhd", 2, height=64, width=48, seed=seed, progress=False)
    assert_same_folder(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_folder(tmp_path / "a", tmp_path / "c")
    about = json.loads((tmp_path / "a" / "wardrobe.json").read_text())
    assert (about["recipe"], about["seed"], about["count"], about["height"]) == (RECIPE_VERSION, 5, 2, 64)
    assert cli._is_drawn(tmp_path / "a")


def test_worker_processes_write_the_same(tmp_path):
    for name, workers in (("alone", 0), ("together", 2)):
        render(tmp_path / name, "vitonhd", 16, height=64, width=48, workers=workers, progress=False)
    assert_same_folder(tmp_path / "alone", tmp_path / "together")
    assert len([*(tmp_path / "together").rglob("*.*")]) == 16 * 6 + 3


def test_labels_become_those_of_the_same_name():
    parse = np.arange(20, dtype=np.uint8)[None]
    back = to_vitonhd_labels(TO_ATR[parse], np.zeros((18, 2)), np.zeros(18, bool))[0].tolist()
    drawn_labels = [0, 2, 5, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19]
    assert [back[label] for label in drawn_labels] == drawn_labels
    assert PARSE_LABELS[back[PARSE_LABELS.index("neck")]] == "face"


def test_a_folder_is_whole_or_absent(tmp_path, monkeypatch):
    written = []

    def fail(job):
        written.append(job)
        raise OSError("disk full")

    monkeypatch.setattr(module, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        render(tmp_path / "out", "vitonhd", 2, height=64, width=48, progress=False)
    assert written and not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layout": "deepfashion"}, "vitonhd or dresscode"),
        ({"split": "val"}, "test or train"),
        ({"count": 1}, "at least 2"),
        ({"layout": "dresscode", "count": 5}, "at least 6"),
        ({"height": 64, "width": 64}, "4:3"),
        ({"height": 32, "width": 24}, "at least 64"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, arguments, words):
    with pytest.raises(InputError, match=words):
        render(tmp_path / "out", **({"layout": "vitonhd", "count": 2, "height": 64, "width": 48} | arguments))
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not empty"):
        render(tmp_path, "vitonhd", 2, height=64, width=48)
    with pytest.raises(InputError, match="is not empty"):
        render(tmp_path / "mine.txt", "vitonhd", 2, height=64, width=48)
    with pytest.raises(InputError, match="does not exist"):
        render(tmp_path / "a" / "b", "vitonhd", 2, height=64, width=48)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "new").mkdir()
    assert render(tmp_path / "new", "vitonhd", 2, height=64, width=48, progress=False) == tmp_path / "new"


# ---------------------------------------------------------------- the samples that are shipped


@pytest.mark.parametrize(("layout", "count"), [("vitonhd", 6), ("dresscode", 18)])
def test_the_shipped_samples_are_what_render_writes_today(tmp_path, layout, count):
    about = json.loads((SAMPLES / layout / "wardrobe.json").read_text())
    assert about["count"] == count and about["recipe"] == RECIPE_VERSION
    settings = {name: about[name] for name in ("count", "split", "height", "width", "seed")} | {"quality": about["jpeg_quality"]}
    fresh = render(tmp_path / layout, layout, **settings, progress=False)
    assert_same_folder(SAMPLES / layout, fresh)


@pytest.mark.parametrize("layout", LOADERS)
@pytest.mark.parametrize("order", ["paired", "unpaired"])
def test_the_shipped_samples_are_read_without_complaint(layout, order):
    samples = load(SAMPLES, layout, order)
    assert {s.category for s in samples} == ({"upper_body"} if layout == "vitonhd" else set(CATEGORIES))
    assert all(sample.caption for sample in samples)


def test_the_shipped_samples_are_small():
    files = [f for f in SAMPLES.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 3_000_000 and len(files) > 24 * 5
