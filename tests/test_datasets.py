"""Reading data sets and one's own photographs: what is read, what is fitted, and every bad file that must name itself."""

import json
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ladi_mini.agnostic import DRESSCODE
from ladi_mini.datasets import DressCode, VitonHD, load_photo
from ladi_mini.datasets.files import BODY_25_TO_COCO_18, MAX_PIXELS, open_photo, read_captions, read_keypoints, read_pairs
from ladi_mini.datasets.fit import Fit
from ladi_mini.datasets.photo import garment_on_white
from ladi_mini.sample import KEYPOINTS, PARSE_LABELS, InputError, InputWarning, collate

WIDTH, HEIGHT = 192, 256
JOINTS = {
    "nose": (96, 40), "neck": (96, 66), "right_shoulder": (72, 68), "left_shoulder": (120, 68), "right_elbow": (64, 102),
    "left_elbow": (128, 102), "right_wrist": (60, 134), "left_wrist": (132, 134), "right_hip": (82, 136), "left_hip": (110, 136),
    "right_knee": (81, 184), "left_knee": (111, 184), "right_ankle": (80, 230), "left_ankle": (112, 230), "right_eye": (91, 35),
    "left_eye": (101, 35), "right_ear": (85, 38), "left_ear": (107, 38),
}  # fmt: skip
POINTS = np.array([JOINTS[name] for name in KEYPOINTS], dtype=float)
BOXES = {  # x0, y0, x1, y1 of each label
    "left_leg": (104, 136, 118, 232), "right_leg": (74, 136, 88, 232), "pants": (74, 132, 118, 226), "upper": (72, 66, 120, 136),
    "neck": (90, 52, 102, 68), "face": (82, 24, 110, 54), "right_arm": (54, 80, 72, 146), "left_arm": (120, 80, 138, 146),
    "left_shoe": (106, 232, 120, 240), "right_shoe": (74, 232, 88, 240),
}  # fmt: skip


def parse_map(names=PARSE_LABELS) -> np.ndarray:
    parse = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for name, (x0, y0, x1, y1) in BOXES.items():
        parse[y0:y1, x0:x1] = names.index(name if name in names else "face")
    return parse


def photograph(scale: int = 1) -> Image.Image:
    """Every label in a colour of its own, over a soft gradient."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([100 + x / 4, 120 + y / 4, 160 - x / 4], -1)
    for i, (x0, y0, x1, y1) in enumerate(BOXES.values()):
        pixels[y0:y1, x0:x1] = (40 + 20 * i, 220 - 20 * i, 30 + 9 * i)
    return Image.fromarray(pixels.astype(np.uint8)).resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.BICUBIC)


def garment() -> tuple[Image.Image, Image.Image]:
    pixels, mask = np.full((HEIGHT, WIDTH, 3), 255, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[60:200, 40:150], mask[60:200, 40:150] = (30, 60, 160), 255
    pixels[100:130, 80:110] = 255  # a white print inside the garment is garment
    return Image.fromarray(pixels), Image.fromarray(mask)


def body_25(points=POINTS, seen=None) -> list[float]:
    rows = np.zeros((25, 3))
    rows[list(BODY_25_TO_COCO_18)] = np.concatenate([points, np.full((18, 1), 0.9)], 1)
    if seen is not None:
        rows[[j for j, s in zip(BODY_25_TO_COCO_18, seen, strict=True) if not s]] = 0
    return rows.ravel().tolist()


def coco_18(points=POINTS) -> list[float]:
    return np.concatenate([points, np.full((18, 1), 0.9)], 1).ravel().tolist()


def openpose(*people: list[float]) -> str:
    return json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": person} for person in people]})


def write_photo_files(folder: Path, scale: int = 1) -> dict[str, Path]:
    """What `load_photo` needs, a photograph of 192 x 256 times `scale`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        "person": "me.jpg",
        "garment": "shirt.jpg",
        "parse": "me.png",
        "keypoints": "me.json",
        "garment_mask": "shirt_mask.png",
    }
    paths = {name: folder / file for name, file in paths.items()}
    photograph(scale).save(paths["person"], quality=95)
    garment()[0].save(paths["garment"], quality=95)
    garment()[1].save(paths["garment_mask"])
    Image.fromarray(parse_map()).save(paths["parse"])
    paths["keypoints"].write_text(openpose(body_25(POINTS * scale)))
    return paths


def load(paths: dict, **options):
    options = {"height": HEIGHT, "width": WIDTH, "category": "upper_body", "labels": "vitonhd"} | options
    return load_photo(**(paths | options))


@pytest.fixture
def files(tmp_path):
    return write_photo_files(tmp_path)


@pytest.fixture
def vitonhd(tmp_path):
    """A VITON-HD of two people; person 1's garment is green."""
    for folder in ("image", "image-parse-v3", "openpose_json", "cloth", "cloth-mask"):
        (tmp_path / "test" / folder).mkdir(parents=True)
    for name in ("00_00", "01_00"):
        photograph().save(tmp_path / "test" / "image" / f"{name}.jpg", quality=95)
        Image.fromarray(parse_map()).save(tmp_path / "test" / "image-parse-v3" / f"{name}.png")
        (tmp_path / "test" / "openpose_json" / f"{name}_keypoints.json").write_text(openpose(body_25()))
        picture, mask = garment()
        picture = picture if name == "00_00" else Image.composite(Image.new("RGB", picture.size, (20, 160, 40)), picture, mask)
        picture.save(tmp_path / "test" / "cloth" / f"{name}.jpg", quality=95)
        mask.save(tmp_path / "test" / "cloth-mask" / f"{name}.jpg", quality=95)
    (tmp_path / "test_pairs.txt").write_text("00_00.jpg 01_00.jpg\n01_00.jpg 00_00.jpg\n")
    return tmp_path


@pytest.fixture
def dresscode(tmp_path):
    """A Dress Code with one person and two garments a category; keypoints and labels at 384 x 512, as there."""
    for category in ("upper_body", "lower_body", "dresses"):
        for folder in ("images", "label_maps", "keypoints", "masks"):
            (tmp_path / category / folder).mkdir(parents=True)
        photograph(4).save(tmp_path / category / "images" / "000_0.jpg", quality=95)
        labels = Image.fromarray(parse_map(DRESSCODE.names))
        labels.resize((384, 512), Image.Resampling.NEAREST).save(tmp_path / category / "label_maps" / "000_4.png")
        rows = np.concatenate([POINTS * 2, np.full((18, 1), 0.9), np.ones((18, 1))], 1)
        (tmp_path / category / "keypoints" / "000_2.json").write_text(json.dumps({"keypoints": rows.tolist()}))
        for name in ("000_1", "001_1"):
            garment()[0].save(tmp_path / category / "images" / f"{name}.jpg", quality=95)
            garment()[1].save(tmp_path / category / "masks" / f"{name}.png")
        (tmp_path / category / "test_pairs_paired.txt").write_text("000_0.jpg\t000_1.jpg\n")
        (tmp_path / category / "test_pairs_unpaired.txt").write_text("000_0.jpg\t001_1.jpg\n")
    return tmp_path


# What is read


def test_photo_becomes_a_sample_without_complaint(files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample = load(files, caption="a blue shirt")
    assert np.array_equal(sample.parse.numpy(), parse_map())
    assert torch.equal(sample.keypoints, torch.from_numpy(POINTS).float())
    assert sample.keypoint_visible.all()
    assert (sample.caption, sample.name, sample.target) == ("a blue shirt", "me", None)
    assert sample.garment_mask[0, 60:200, 40:150].all()
    assert sample.garment_mask.sum() == 140 * 110
    red, green, blue = ((sample.person[:, 100, 96] + 1) * 127.5).tolist()
    assert (red, green, blue) == pytest.approx((40 + 20 * 3, 220 - 20 * 3, 30 + 9 * 3), abs=6)  # the shirt's colour


def test_pictures_in_memory_are_read_and_left_alone(files):
    person = Image.open(files["person"])
    arrays = {"person": person, "garment": garment()[0], "parse": parse_map(), "keypoints": POINTS, "garment_mask": garment()[1]}
    small = load(arrays, height=64, width=48)
    assert person.size == (WIDTH, HEIGHT)
    assert small.person.shape == (3, 64, 48)
    assert torch.equal(load(arrays).inpaint_mask, load(files).inpaint_mask)


@pytest.mark.parametrize("order", ["paired", "unpaired"])
def test_vitonhd_gives_the_pairs_of_its_order(vitonhd, order):
    (vitonhd / "captions.json").write_text(json.dumps({"00_00": ["a blue shirt", "long sleeves"], "01_00.jpg": "a green shirt"}))
    samples = [VitonHD(vitonhd, "test", order, HEIGHT, WIDTH)[i] for i in range(2)]
    captions = ["a blue shirt, long sleeves", "a green shirt"]
    assert [s.caption for s in samples] == (captions if order == "paired" else captions[::-1])
    greener = [bool((s.garment[1] - s.garment[2])[s.garment_mask[0] > 0].mean() > 0) for s in samples]
    assert greener == ([False, True] if order == "paired" else [True, False])
    for sample in samples:
        assert sample.category == "upper_body"
        assert (sample.target is not None) == (sample.warped_garment is not None) == (order == "paired")


def test_paired_warped_garment_is_the_worn_garment_on_white(vitonhd):
    sample = VitonHD(vitonhd, height=HEIGHT, width=WIDTH)[0]
    worn = torch.from_numpy(parse_map() == PARSE_LABELS.index("upper"))
    assert torch.equal(sample.warped_garment[:, worn], sample.person[:, worn])
    assert bool((sample.warped_garment[:, ~worn] == 1).all())
    assert torch.equal(sample.target, sample.person)


def test_dresscode_runs_over_its_categories(dresscode):
    data = DressCode(dresscode, "test", "paired", HEIGHT, WIDTH, categories=("dresses", "lower_body"))
    assert [sample.category for sample in (data[0], data[1])] == ["dresses", "lower_body"]
    assert len(data) == 2
    assert len(DressCode(dresscode, "test", "unpaired", HEIGHT, WIDTH)) == 3


def test_dresscode_gives_the_common_labels_and_pixels(dresscode):
    sample = DressCode(dresscode, "test", "paired", HEIGHT, WIDTH, categories="upper_body")[0]
    assert (sample.keypoints.numpy() == pytest.approx(POINTS, abs=0.01)) and sample.keypoint_visible.all()
    assert np.mean(sample.parse.numpy() != parse_map()) < 0.005  # but for the edge between neck and face


def test_dresscode_without_masks_tells_garments_from_white(dresscode):
    masked = DressCode(dresscode, height=HEIGHT, width=WIDTH)[0]
    for category in ("upper_body", "lower_body", "dresses"):
        for file in (dresscode / category / "masks").iterdir():
            file.unlink()
        (dresscode / category / "masks").rmdir()
    with pytest.warns(InputWarning, match="masks does not exist.*unpack"):
        data = DressCode(dresscode, height=HEIGHT, width=WIDTH)
    assert (data[0].garment_mask != masked.garment_mask).float().mean() < 0.01
    with pytest.raises(InputError, match="masks does not exist"):
        DressCode(dresscode, convention="released")


def test_white_inside_a_garment_is_garment():
    picture, mask = garment()
    assert np.array_equal(garment_on_white(np.asarray(picture)), np.asarray(mask) > 0)


def test_samples_can_be_batched_by_a_loader(vitonhd):
    loader = torch.utils.data.DataLoader(VitonHD(vitonhd, height=64, width=48), batch_size=2, collate_fn=collate)
    (batch,) = loader
    assert batch.person.shape == (2, 3, 64, 48)
    assert batch.target.shape == (2, 3, 64, 48)


def test_body_25_coco_18_and_dress_code_lists_say_the_same(tmp_path):
    results = []
    listed = json.dumps({"keypoints": [[*point, 0.9, 1] for point in POINTS.tolist()]})
    for number, text in enumerate((openpose(body_25()), openpose(coco_18()), listed)):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        results.append(read_keypoints(path, (WIDTH, HEIGHT)))
    for points, seen in results:
        assert np.array_equal(points, POINTS)
        assert seen.all()


def test_undetected_keypoints_are_not_visible(tmp_path):
    seen = np.arange(18) % 3 != 0
    path = tmp_path / "k.json"
    path.write_text(openpose(body_25(seen=seen)))
    points, got = read_keypoints(path, (WIDTH, HEIGHT))
    assert np.array_equal(got, seen)
    assert not points[~seen].any()


def test_keypoints_without_confidence_are_not_visible():
    rows = np.concatenate([POINTS, (np.arange(18) > 4)[:, None]], 1)
    assert np.array_equal(read_keypoints(rows, (WIDTH, HEIGHT))[1], np.arange(18) > 4)


def test_what_surrounds_a_masked_garment_becomes_white(files, dresscode):
    grey = Image.composite(garment()[0], Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128)), garment()[1])
    grey.save(files["garment"], quality=95)
    grey.save(dresscode / "upper_body" / "images" / "000_1.jpg", quality=95)
    for sample in (load(files), DressCode(dresscode, height=HEIGHT, width=WIDTH, categories="upper_body")[0]):
        outside = sample.garment[:, sample.garment_mask[0] == 0]
        assert outside.min() == 1
        assert sample.garment[:, 80, 60].mean() < 0


def test_keypoints_belong_to_the_photograph_that_lies_there(vitonhd, tmp_path_factory):
    """A copy of the data set at half size gives the same sample; the authors take 768 x 1024 for granted."""
    whole = VitonHD(vitonhd, height=HEIGHT, width=WIDTH)[0]
    for folder in ("image", "image-parse-v3"):
        for path in (vitonhd / "test" / folder).iterdir():
            Image.open(path).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST).save(path)
    for path in (vitonhd / "test" / "openpose_json").iterdir():
        path.write_text(openpose(body_25(POINTS / 2)))
    half = VitonHD(vitonhd, height=HEIGHT, width=WIDTH)[0]
    assert torch.equal(whole.keypoints, half.keypoints)
    assert torch.equal(whole.pose_map, half.pose_map)


def test_reduced_jpeg_decoding_looks_like_shrinking(tmp_path):
    paths = write_photo_files(tmp_path, scale=4)
    quick = load(paths).person
    slow = torch.from_numpy(np.asarray(Image.open(paths["person"]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 127.5 - 1)
    assert (quick - slow.permute(2, 0, 1)).abs().mean() < 2 / 127.5


# How it is fitted


@given(
    width=st.integers(40, 400),
    height=st.integers(40, 400),
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1),
)
def test_fit_moves_pixels_labels_and_points_alike(width, height, points):
    fit = Fit.plan((width, height), 128, 96)
    x, y, w, h = fit.box
    assert min(x, y) >= 0 and x + w <= 96 and y + h <= 128 and (w == 96 or h == 128)
    corners = fit.points(np.array([[0, 0], [width, height]], float), (width, height))
    assert corners.ravel().tolist() == pytest.approx([x, y, x + w, y + h])
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, : width // 2] = 7
    fitted = fit.labels(Image.fromarray(labels))
    assert set(np.unique(fitted)) <= {0, 7}
    for px, py in points:
        px, py = px * (width - 1), py * (height - 1)
        if min(abs(px - width // 2), abs(py - height // 2)) > max(2, 2 * width / w, 2 * height / h):
            fx, fy = np.clip(np.rint(fit.points(np.array([[px, py]]), (width, height))[0]).astype(int), 0, (95, 127))
            assert fitted[min(fy, y + h - 1), min(fx, x + w - 1)] == (7 if px < width // 2 and py < height // 2 else 0)


@pytest.mark.parametrize("pad", [(120, 0), (0, 120), (41, 0)])
def test_a_photo_of_another_shape_is_letterboxed_with_its_map_and_keypoints(files, pad):
    side, top = pad
    wide = Image.new("RGB", (WIDTH + 2 * side, HEIGHT + 2 * top), (120, 130, 140))
    wide.paste(photograph(), (side, top))
    wide.save(files["person"], quality=95)
    Image.fromarray(np.pad(parse_map(), ((top, top), (side, side)))).save(files["parse"])
    files["keypoints"].write_text(openpose(body_25(POINTS + np.array([side, top]))))
    with pytest.warns(InputWarning, match=r"me\.jpg is .* fitted in whole.*crop"):
        sample = load(files)
    ratio = min(WIDTH / wide.width, HEIGHT / wide.height)
    neck, hip = sample.keypoints[KEYPOINTS.index("neck")], sample.keypoints[KEYPOINTS.index("left_hip")]
    assert (hip - neck).tolist() == pytest.approx(((POINTS[11] - POINTS[1]) * ratio).tolist(), rel=0.02)
    assert PARSE_LABELS[sample.parse[int(hip[1]) - 8, int(hip[0]) - 3]] == "upper"
    colours = [((sample.person[:, int(y), int(x)] + 1) * 127.5) for x, y in [sample.keypoints[0].tolist()]]
    assert colours[0].tolist() == pytest.approx(
        [40 + 20 * 5, 220 - 20 * 5, 30 + 9 * 5], abs=12
    )  # the face's colour under the nose


def test_a_slightly_different_shape_is_stretched_in_silence(files):
    photograph().resize((WIDTH + 8, HEIGHT)).save(files["person"], quality=95)
    Image.fromarray(parse_map()).resize((WIDTH + 8, HEIGHT), 0).save(files["parse"])
    files["keypoints"].write_text(openpose(body_25(POINTS * [(WIDTH + 8) / WIDTH, 1])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample = load(files)
    assert sample.keypoints.numpy() == pytest.approx(POINTS, abs=1e-4)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (64, 48)])
def test_a_photo_turned_by_its_exif_note_is_read_upright(files, size):
    upright = load(files, height=size[0], width=size[1])
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph().transpose(Image.Transpose.ROTATE_90).save(files["person"], quality=95, exif=exif)
    turned = load(files, height=size[0], width=size[1])
    assert (upright.person - turned.person).abs().mean() < 0.02
    half = (WIDTH // 2, HEIGHT // 2)
    assert open_photo(files["person"], "photograph").decode(at_least=half).size == half  # reduced although turned


# Bad files: each must name itself, the fault and the fix


def header_only_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels: whoever decodes it sees a truncated file, not a large one."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\x00\x00\x40\x00IDAT"


def truncate(path: Path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def gone(path: Path):
    path.unlink()


def saved(picture: Image.Image, kind: str | None = None):
    return lambda path: picture.save(path, kind)


def labels(array: np.ndarray, mode: str = "L", kind: str | None = None):
    return saved(Image.fromarray(array).convert(mode), kind)


def written(content: str | bytes):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def folder(path: Path):
    path.unlink()
    path.mkdir()


MISSING = r"does not exist, expected .*; check the path or put the file there"
NO_PICTURE = r"cannot be read as a picture .*; replace the file"
DAMAGED = r"is truncated or damaged .*; copy or download it again"
OTHER_SHAPE = r"pixels, expected the shape of .*; make it from that picture"
LARGER = r"up to \(528, 920\), expected pixels of a 192 x 256 picture"
MEGAPIXELS = r"10000 x 10000 pixels \(100 megapixels\), expected at most 64"
PERSON = r"expected a person; use a photograph on which OpenPose finds one"
BAD = {
    "missing photo": ("person", gone, MISSING),
    "missing garment": ("garment", gone, MISSING),
    "missing parse map": ("parse", gone, MISSING),
    "missing keypoints": ("keypoints", gone, MISSING),
    "missing garment mask": ("garment_mask", gone, MISSING),
    "a folder": ("person", folder, r"is a folder, expected"),
    "empty file": ("person", written(""), NO_PICTURE),
    "text for a photo": ("person", written("hello"), NO_PICTURE),
    "truncated JPEG": ("person", truncate, DAMAGED),
    "truncated garment": ("garment", truncate, DAMAGED),
    "truncated PNG": ("parse", truncate, DAMAGED),
    "truncated mask": ("garment_mask", truncate, DAMAGED),
    "grayscale photo": ("person", saved(photograph().convert("L")), r"is grayscale \(mode L\), expected RGB; convert it to RGB"),
    "RGBA photo": ("person", saved(photograph().convert("RGBA"), "PNG"), r"\(mode RGBA\), expected RGB; convert it to RGB"),
    "CMYK garment": ("garment", saved(photograph().convert("CMYK")), r"\(mode CMYK\), expected RGB; convert it to RGB"),
    "parse of another shape": ("parse", labels(parse_map()[:192]), r"is 192 x 192 " + OTHER_SHAPE),
    "mask of another shape": ("garment_mask", saved(Image.new("L", (99, 50), 255)), r"is 99 x 50 " + OTHER_SHAPE),
    "parse as RGB": ("parse", labels(parse_map(), "RGB"), r"\(mode RGB\), expected one label number a pixel"),
    "parse as JPEG": ("parse", labels(parse_map(), kind="JPEG"), r"is a JPEG.*, expected a PNG"),
    "mislabelled parse": ("parse", labels(parse_map() * 12), r"unknown labels \[.*\], expected 0 to 19"),
    "parse without a person": ("parse", labels(parse_map() * 0), r"is all background, expected a person"),
    "no person": ("keypoints", written(openpose()), r"empty list of people, " + PERSON),
    "all-zero keypoints": ("keypoints", written(openpose([0.0] * 75)), r"no detected keypoint, " + PERSON),
    "a third pose model": ("keypoints", written(openpose([1.0] * 51)), r"51 numbers .*75 \(BODY_25\) or 54 \(COCO-18\)"),
    "no pose": ("keypoints", written('{"people": [{}]}'), r"without 'pose_keypoints_2d'"),
    "other JSON": ("keypoints", written("[1, 2]"), r"no list of people, expected 'people'"),
    "broken JSON": ("keypoints", written('{"people": ['), r"is not valid JSON"),
    "words for numbers": ("keypoints", written(openpose(["x"] * 54)), r"not numbers"),
    "binary JSON": ("keypoints", written(b"\xff\xfe\x00\x80"), r"cannot be read as text"),
    "keypoints of a larger photo": ("keypoints", written(openpose(body_25(POINTS * 4))), LARGER),
    "black garment mask": ("garment_mask", saved(Image.new("L", (WIDTH, HEIGHT))), r"is all black, expected white"),
    "100 megapixels": ("person", written(header_only_png(10_000, 10_000)), MEGAPIXELS),
    "900 megapixels": ("garment", written(header_only_png(30_000, 30_000)), r"too large .*900000000 pixels.*at most 64"),
    "a speck": ("person", saved(Image.new("RGB", (3, 4)), "PNG"), r"3 x 4 pixels, expected at least 8"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused_with_its_name_the_fault_and_the_fix(files, case):
    field, spoil, message = BAD[case]
    spoil(files[field])
    with pytest.raises(InputError, match=message) as caught:
        load(files)
    text = str(caught.value)
    assert text.startswith(str(files[field])), "the file comes first"
    assert ", expected " in text and re.search(r"; [^;]+\.$", text), "then what was expected and what to do"


def test_faults_are_found_before_a_pixel_is_decoded(files, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded a picture"))
    files["keypoints"].write_text(openpose())
    with pytest.raises(InputError, match="empty list of people"):
        load(files)


def test_a_garment_on_no_white_needs_a_mask(files):
    Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(files["garment"])
    with pytest.raises(InputError, match=r"shirt\.jpg shows a garment on 100%.*give a garment mask"):
        load(files | {"garment_mask": None})


def test_an_empty_mask_names_the_parse_map(files):
    shoes = np.zeros((HEIGHT, WIDTH), np.uint8)
    shoes[232:240, 74:120] = PARSE_LABELS.index("left_shoe")
    Image.fromarray(shoes).save(files["parse"])
    files["keypoints"].write_text(openpose(body_25(seen=[name.endswith("ankle") for name in KEYPOINTS])))
    with pytest.raises(InputError, match=r"me\.png and the keypoints leave an empty mask for upper_body"):
        load(files)


def test_wrong_words_are_refused_with_the_right_ones(files, vitonhd, dresscode):
    for options in ({"category": "shoes"}, {"labels": "atr"}):
        with pytest.raises(InputError, match="expected one of"):
            load(files, **options)
    for wrong in ({"split": "val"}, {"order": "both"}, {"convention": "theirs"}):
        with pytest.raises(InputError, match="expected one of"):
            VitonHD(vitonhd, **wrong)
        with pytest.raises(InputError, match="expected one of"):
            DressCode(dresscode, **wrong)
    with pytest.raises(InputError, match="no unpaired training pairs"):
        DressCode(dresscode, "train", "unpaired")
    with pytest.raises(InputError, match="expected one of"):
        DressCode(dresscode, categories=("shoes",))


# Odd files: used, with a warning


def test_of_several_people_the_one_in_the_middle_is_taken(files):
    files["keypoints"].write_text(openpose(body_25(POINTS * 0.4), body_25(), [0.0] * 75))
    with pytest.warns(InputWarning, match=r"me\.json has 3 people, took the one nearest to the middle; crop"):
        sample = load(files)
    assert torch.equal(sample.keypoints, torch.from_numpy(POINTS).float())


def test_released_takes_the_first_person_and_says_so(tmp_path):
    path = tmp_path / "k.json"
    path.write_text(openpose(body_25(POINTS * 0.4), body_25()))
    with pytest.warns(InputWarning, match="took the first"):
        points, _ = read_keypoints(path, (WIDTH, HEIGHT), first=True)
    assert np.array_equal(points, POINTS * 0.4)


def test_a_mirrored_parse_map_warns(files):
    swapped = parse_map()
    left, right = PARSE_LABELS.index("left_arm"), PARSE_LABELS.index("right_arm")
    swapped[parse_map() == left], swapped[parse_map() == right] = right, left
    Image.fromarray(swapped).save(files["parse"])
    with pytest.warns(InputWarning, match=r"me\.png has left and right arm the other way round"):
        load(files)


def test_a_parse_map_of_another_label_set_warns(files):
    Image.fromarray(parse_map(DRESSCODE.names)).save(files["parse"])
    with pytest.warns(InputWarning, match=r"me\.png has 'scarf' where the keypoints have the nose"):
        load(files, labels="vitonhd")


@pytest.mark.parametrize(("names", "told"), [(PARSE_LABELS, "vitonhd"), (DRESSCODE.names, "dresscode")])
def test_label_set_is_told_by_the_nose(files, names, told):
    Image.fromarray(parse_map(names)).save(files["parse"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(load(files, labels=None).inpaint_mask, load(files, labels=told).inpaint_mask)


def test_a_label_set_that_cannot_be_told_warns(files):
    files["keypoints"].write_text(openpose(body_25(seen=[name != "nose" for name in KEYPOINTS])))
    with pytest.warns(InputWarning, match=r"me\.png shows no face under the nose"):
        load(files, labels=None)


# Pairs, captions, data set folders


def test_pairs_accept_blank_lines_windows_ends_tabs_and_further_columns(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"\xef\xbb\xbfa.jpg b.jpg\r\n\r\n  \r\nc d.jpg\te.jpg\r\nf.jpg g.jpg 0\r\n")
    assert read_pairs(path) == [("a.jpg", "b.jpg"), ("c d.jpg", "e.jpg"), ("f.jpg", "g.jpg")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg b.jpg\nc.jpg\n", r"line 2 is 'c\.jpg', expected two file names.*; add"),
        ("a.jpg\t\n", r"line 1 is 'a\.jpg', expected two file names"),
        ("../../x.jpg b.jpg\n", r"line 1 names '\.\./\.\./x\.jpg', expected a plain file name.*; remove the path"),
        ("a.jpg /etc/passwd\n", r"names '/etc/passwd', expected a plain file name"),
        ("a.jpg ..\n", r"names '\.\.', expected a plain file name"),
        ("a.jpg C:\\x.jpg\n", r"expected a plain file name"),
        ("a.jpg b\\x.jpg\n", r"expected a plain file name"),
        ("a.jpg b\x00.jpg\n", r"expected a plain file name"),
        ("\n\n", r"is empty, expected two file names a line"),
    ],
)
def test_bad_pairs_name_file_line_and_fix(tmp_path, text, message):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_pairs(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', '{"a": ["b", 2]}', "{"])
def test_bad_captions_name_their_file(tmp_path, text):
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"captions\.json"):
        read_captions(path)


@pytest.mark.parametrize("folder", ["image", "image-parse-v3", "openpose_json", "cloth", "cloth-mask"])
def test_vitonhd_names_a_missing_file_when_it_is_made(vitonhd, folder):
    victims = sorted((vitonhd / "test" / folder).iterdir())
    victims[1].unlink()
    with pytest.raises(InputError, match=re.escape(str(victims[1])) + " does not exist, expected"):
        VitonHD(vitonhd)
    victims[0].unlink()
    with pytest.raises(InputError, match="and 1 more do not exist"):
        VitonHD(vitonhd)
    (vitonhd / "test" / folder).rmdir()
    with pytest.raises(InputError, match=f"{folder} does not exist, expected the folder"):
        VitonHD(vitonhd)


@pytest.mark.parametrize(
    "file", ["images/000_0.jpg", "images/000_1.jpg", "label_maps/000_4.png", "keypoints/000_2.json", "masks/000_1.png"]
)
def test_dresscode_names_a_missing_file_when_it_is_made(dresscode, file):
    (dresscode / "lower_body" / file).unlink()
    with pytest.raises(InputError, match=re.escape(str(dresscode / "lower_body" / file)) + " does not exist, expected"):
        DressCode(dresscode)


@pytest.mark.parametrize("made", [VitonHD, DressCode])
def test_a_wrong_root_is_named(tmp_path, made):
    with pytest.raises(InputError, match=re.escape(str(tmp_path)) + r".*pairs.*does not exist"):
        made(tmp_path)


# Anything at all


@given(st.binary(max_size=200))
def test_any_pairs_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("pairs") / "pairs.txt"
    path.write_bytes(content)
    try:
        pairs = read_pairs(path)
    except InputError:
        return
    assert all("/" not in name and "\\" not in name and name not in ("", ".", "..") for pair in pairs for name in pair)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 300) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["people", "keypoints", "pose_keypoints_2d"]), inner)
    ),
    max_leaves=12,
)
POSE = st.lists(st.floats(-10, 250) | st.just(0.0), min_size=54, max_size=54)
PEOPLE = st.fixed_dictionaries({"people": st.lists(st.fixed_dictionaries({"pose_keypoints_2d": POSE | JSON}), max_size=3)})


@given(JSON | PEOPLE)
def test_any_keypoint_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("keypoints") / "k.json"
    path.write_text(json.dumps(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            points, seen = read_keypoints(path, (WIDTH, HEIGHT))
    except InputError:
        return
    assert points.shape == (18, 2) and seen.shape == (18,) and seen.any() and np.isfinite(points).all()


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    return write_photo_files(tmp_path_factory.mktemp("whole"))


@pytest.mark.filterwarnings("ignore::ladi_mini.sample.InputWarning")
@given(
    field=st.sampled_from(["person", "garment", "parse", "garment_mask"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
def test_any_damaged_picture_is_read_or_refused(tmp_path_factory, whole_files, field, cut, flips):
    content = bytearray(whole_files[field].read_bytes())
    for place, value in flips:
        content[int(place * (len(content) - 1))] = value
    damaged = tmp_path_factory.mktemp("damaged") / whole_files[field].name
    damaged.write_bytes(content[: int(len(content) * (1 - cut**3))])
    try:
        load(whole_files | {field: damaged}, height=64, width=48)
    except InputError as error:
        assert str(damaged) in str(error)


def test_the_largest_picture_is_not_one_that_people_have():
    assert 48_000_000 < MAX_PIXELS < 100_000_000
