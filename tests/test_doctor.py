"""doctor: every fault of a data set is found in one pass, named with its first example, and nothing else is complained of."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_datasets import header_only_png

from ladi_mini import machine
from ladi_mini.cards import write_card
from ladi_mini.checkpoints import default_folder
from ladi_mini.datasets import DressCode, VitonHD
from ladi_mini.datasets.doctor import examine
from ladi_mini.sample import InputError
from ladi_mini.wardrobe.render import render


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    render(root / "vitonhd", "vitonhd", 4, height=256, width=192, progress=False)
    render(root / "dresscode", "dresscode", 6, height=256, width=192, progress=False)
    return root


@pytest.fixture()
def vitonhd(whole, tmp_path):
    return Path(shutil.copytree(whole / "vitonhd", tmp_path / "vitonhd"))


@pytest.fixture()
def dresscode(whole, tmp_path):
    return Path(shutil.copytree(whole / "dresscode", tmp_path / "dresscode"))


def found(root: Path, layout: str = "vitonhd") -> list[tuple[str, str, str, int]]:
    """(severity, file name, fault, count) of every kind."""
    report = examine(root, layout, progress=False)
    return [(kind.severity, kind.first.name, kind.fault, kind.count) for kind in report.kinds.values()]


def change_json(path: Path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("layout", ["vitonhd", "dresscode"])
def test_a_whole_data_set_is_clean(whole, layout):
    report = examine(whole / layout, layout, progress=False)
    assert report.usable and not report.kinds
    assert report.pairs == {"vitonhd": 4, "dresscode": 6}[layout]
    assert "nothing to complain of" in report.table()


def convert(mode: str):
    return lambda path: (
        Image.open(path).convert(mode).save(path.with_suffix(".png")) or shutil.move(path.with_suffix(".png"), path)
    )


FAULTS = {  # file, what happens to it, severity, words of the sentence
    "photo gone": ("test/image/00001_00.jpg", Path.unlink, "missing", "photograph"),
    "garment gone": ("test/cloth/00001_00.jpg", Path.unlink, "missing", "picture of a garment"),
    "mask gone": ("test/cloth-mask/00001_00.jpg", Path.unlink, "missing", "garment mask"),
    "parse map gone": ("test/image-parse-v3/00001_00.png", Path.unlink, "missing", "parse map"),
    "keypoints gone": ("test/openpose_json/00001_00_keypoints.json", Path.unlink, "missing", "keypoint file"),
    "photo cut": ("test/image/00001_00.jpg", lambda p: p.write_bytes(p.read_bytes()[:3000]), "unusable", "truncated"),
    "garment no picture": ("test/cloth/00001_00.jpg", lambda p: p.write_text("hello"), "unusable", "cannot be read as a picture"),
    "grayscale": ("test/image/00001_00.jpg", convert("L"), "unusable", "is grayscale"),
    "100 megapixels": (
        "test/image/00001_00.jpg", lambda p: p.write_bytes(header_only_png(10_000, 10_000)), "unusable", "100 megapixels",
    ),
    "no people": (
        "test/openpose_json/00001_00_keypoints.json",
        lambda p: change_json(p, lambda c: c.update(people=[])), "unusable", "empty list of people",
    ),
    "unknown labels": (
        "test/image-parse-v3/00001_00.png",
        lambda p: Image.fromarray(np.asarray(Image.open(p)) + 100).save(p), "unusable", "unknown labels",
    ),
    "two people": (
        "test/openpose_json/00001_00_keypoints.json",
        lambda p: change_json(p, lambda c: c["people"].append(c["people"][0])), "odd", "has 2 people",
    ),
    "mirrored parse map": (
        "test/image-parse-v3/00001_00.png",
        lambda p: Image.fromarray(np.array([*range(14), 15, 14, *range(16, 256)], np.uint8)[np.asarray(Image.open(p))]).save(p),
        "odd", "the other way round",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_found_once_with_its_file_and_sentence(vitonhd, fault):
    name, spoil, severity, words = FAULTS[fault]
    spoil(vitonhd / name)
    ((got, first, sentence, count),) = found(vitonhd)
    assert (got, first, count) == (severity, Path(name).name, 1) and words in sentence
    assert examine(vitonhd, "vitonhd", progress=False).usable == (severity == "odd")


@pytest.mark.parametrize("fault", [name for name, (_, _, severity, _) in FAULTS.items() if severity != "odd"])
def test_what_it_cannot_use_the_loader_refuses(vitonhd, fault):
    name, spoil, _, _ = FAULTS[fault]
    spoil(vitonhd / name)
    with pytest.raises(InputError, match=Path(name).stem), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [*VitonHD(vitonhd, height=64, width=48)]


def test_every_fault_of_a_pair_is_found_and_like_faults_are_counted_together(vitonhd):
    test = vitonhd / "test"
    convert("L")(test / "image" / "00000_00.jpg")
    convert("L")(test / "image" / "00002_00.jpg")
    (test / "image" / "00003_00.jpg").unlink()
    (test / "cloth" / "00000_00.jpg").write_text("no picture")
    change_json(test / "openpose_json" / "00003_00_keypoints.json", lambda c: c.update(people=[]))
    kinds = {(severity, first): count for severity, first, _, count in found(vitonhd)}
    assert kinds == {
        ("unusable", "00000_00.jpg"): 1,
        ("missing", "00003_00.jpg"): 1,
        ("unusable", "00003_00_keypoints.json"): 1,
    } | {("unusable", "00000_00.jpg"): kinds[("unusable", "00000_00.jpg")]}
    report = examine(vitonhd, "vitonhd", progress=False)
    assert report.count("unusable") == 4 and report.count("missing") == 1
    assert max(kind.count for kind in report.kinds.values()) == 2  # the two grayscale photographs
    table = report.table()
    assert "1 missing, 4 unusable, 0 odd" in table and table.index("missing  ") < table.index("unusable  ")


def test_garments_of_unpaired_pairs_alone_are_opened_too(vitonhd, dresscode):
    shutil.copy(vitonhd / "test" / "cloth-mask" / "00000_00.jpg", vitonhd / "test" / "cloth-mask" / "extra.jpg")
    (vitonhd / "test" / "cloth" / "extra.jpg").write_text("no picture")
    with open(vitonhd / "test_pairs.txt", "a") as file:
        file.write("00000_00.jpg extra.jpg\n")
    change_json(vitonhd / "captions.json", lambda c: c.update(extra="a shirt"))
    ((severity, first, _, _),) = found(vitonhd)
    assert (severity, first) == ("unusable", "extra.jpg")
    with open(dresscode / "dresses" / "test_pairs_unpaired.txt", "a") as file:
        file.write("000000_0.jpg 999999_1.jpg\n")
    change_json(dresscode / "captions.json", lambda c: c.update({"999999_1": "a dress"}))
    assert {(severity, first) for severity, first, _, _ in found(dresscode, "dresscode")} == {
        ("missing", "999999_1.jpg"), ("missing", "999999_1.png"),
    }  # fmt: skip


def test_files_that_nothing_names_and_garments_without_a_caption_are_odd(vitonhd):
    shutil.copy(vitonhd / "test" / "image" / "00000_00.jpg", vitonhd / "test" / "image" / "lost.jpg")
    change_json(vitonhd / "captions.json", lambda c: c.pop("00002_00"))
    assert {(severity, first) for severity, first, _, _ in found(vitonhd)} == {("odd", "lost.jpg"), ("odd", "00002_00.jpg")}
    assert examine(vitonhd, "vitonhd", progress=False).usable
    (vitonhd / "captions.json").write_text("{")
    assert {(severity, first) for severity, first, _, _ in found(vitonhd)} == {("odd", "lost.jpg"), ("unusable", "captions.json")}


def test_pairs_files_with_windows_ends_and_blank_lines_are_fine(vitonhd, dresscode):
    for path in (vitonhd / "test_pairs.txt", dresscode / "dresses" / "test_pairs_paired.txt"):
        path.write_bytes(b"\r\n" + path.read_bytes().replace(b"\n", b"\r\n\r\n") + b"  \r\n")
    assert found(vitonhd) == [] and found(dresscode, "dresscode") == []
    assert len(VitonHD(vitonhd)) == 4 and len(DressCode(dresscode)) == 6


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/passwd", "..", "C:\\secret.jpg"])
def test_a_name_that_leaves_the_folder_is_never_followed(vitonhd, tmp_path, name):
    (tmp_path / "secret.jpg").write_text("not to be opened")
    with open(vitonhd / "test_pairs.txt", "a") as file:
        file.write(f"{name} 00000_00.jpg\n")
    kinds = {kind.first.name: kind for kind in examine(vitonhd, "vitonhd", progress=False).kinds.values()}
    assert kinds["test_pairs.txt"].severity == "unusable" and "plain file name" in kinds["test_pairs.txt"].fault
    assert "secret.jpg" not in kinds and "passwd" not in kinds


def test_no_pairs_no_category_no_masks(vitonhd, dresscode, tmp_path):
    (vitonhd / "test_pairs.txt").unlink()
    ((severity, first, fault, _),) = found(vitonhd)
    assert (severity, first) == ("missing", "test_pairs.txt") and "train_pairs.txt" in fault
    shutil.rmtree(dresscode / "dresses" / "masks")
    shutil.rmtree(dresscode / "lower_body")
    kinds = {(severity, first) for severity, first, _, _ in found(dresscode, "dresscode")}
    assert kinds == {("odd", "masks"), ("missing", "train_pairs.txt")}
    with pytest.raises(InputError, match="is no folder"):
        examine(tmp_path / "nowhere", "vitonhd")
    with pytest.raises(InputError, match="vitonhd, dresscode"):
        examine(vitonhd, "deepfashion")


# ---------------------------------------------------------------- the command


def test_the_command_ends_with_0_if_all_can_be_used_and_2_if_not(run, vitonhd):
    code, out, err = run("doctor", "--data", vitonhd, "--layout", "vitonhd")
    assert code == 0 and "4 pairs" in out and "4/4" in err  # the progress bar
    (vitonhd / "test" / "cloth" / "00001_00.jpg").unlink()
    code, out, err = run("doctor", "--data", vitonhd, "--layout", "vitonhd")
    assert code == 2 and str(vitonhd / "test" / "cloth" / "00001_00.jpg") in out and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doctor", "--layout", "vitonhd"], "--data"),
        (["doctor", "--data", "nowhere", "--layout", "vitonhd"], "nowhere"),
        (["doctor", "--data", ".", "--layout", "mine"], "vitonhd or dresscode"),
        (["render", "x", "--layout", "mine", "--count", "4"], "vitonhd or dresscode"),
        (["bench", "everything"], "wardrobe"),
        (["demo", "--sheet", "both"], "wardrobe"),
        (["demo", "--sheet", "wardrobe", "--out", "sheet.gif"], ".webp"),
    ],
)
def test_a_wrong_call_ends_with_2_and_one_sentence(run, arguments, words):
    code, _, err = run(*arguments)
    assert code == 2 and len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1 and words in err


def test_render_writes_what_doctor_passes_and_refuses_to_write_it_twice(run, tmp_path):
    arguments = ("render", tmp_path / "new", "--layout", "dresscode", "--count", 6, "--height", 256, "--width", 192)
    code, out, err = run(*arguments)
    assert code == 0 and "6/6" in err and str(tmp_path / "new") in out
    assert run("doctor", "--data", tmp_path / "new", "--layout", "dresscode")[0] == 0
    code, _, err = run(*arguments)
    assert code == 2 and "is not empty" in err


def test_without_data_it_tells_the_machine_and_the_weights(run, tmp_path, monkeypatch):
    code, out, _ = run("doctor")
    assert code == 0 and "Python" in out and "torch" in out and "memory" in out and "GPU" in out
    assert "no weights in" in out or "intact" in out
    if not (default_folder("nano") / "SHA256SUMS").is_file():
        return
    shutil.copytree(default_folder("nano"), tmp_path / "nano")
    monkeypatch.setenv("LADI_MINI_CHECKPOINTS", str(tmp_path))
    assert run("doctor")[0] == 0
    path = tmp_path / "nano" / "clip.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = run("doctor")
    assert code == 2 and "clip.safetensors is damaged" in out
    rows, whole = machine.weights()
    assert not whole and [name for name, state in rows if "damaged" in state] == ["nano clip"]
    (tmp_path / "nano" / "SHA256SUMS").write_text("0123")  # cut off
    rows, whole = machine.weights()
    assert not whole and any("SHA256SUMS, line 1 is '0123'" in state for _, state in rows)


def test_the_machines_speed_stands_beside_that_of_the_lessons_cards(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "LESSONS", tmp_path)
    assert "lessons" not in dict(machine.describe())["speed"]
    for number, card in enumerate(({"million_additions_per_second": 10.0}, {}, {"million_additions_per_second": 21.0})):
        write_card(tmp_path / f"{number}.json", card)
    assert dict(machine.describe())["speed"].endswith("measured at 15.5")
