"""cli: the commands a reader is told to run do what they say; an input that cannot be used ends with one sentence and code 2."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from ladi_mini.checkpoints import default_folder

VITONHD = Path(__file__).parent / "fixtures" / "reference" / "vitonhd"
DRESSCODE = VITONHD.parent / "dresscode"


@pytest.fixture()
def photo(tmp_path):
    """One's own pictures: a person, a garment, a parse map and key points that fit each other, as paths by option."""
    name = (VITONHD / "test_pairs.txt").read_text().split()[0].removesuffix(".jpg")
    files = {
        "--person": VITONHD / "test" / "image" / f"{name}.jpg",
        "--garment": VITONHD / "test" / "cloth" / f"{name}.jpg",
        "--parse": VITONHD / "test" / "image-parse-v3" / f"{name}.png",
        "--keypoints": VITONHD / "test" / "openpose_json" / f"{name}_keypoints.json",
    }
    return {option: Path(shutil.copy(file, tmp_path / f"{option[2:]}{file.suffix}")) for option, file in files.items()}


def options(files):
    return [part for option, path in files.items() for part in (option, path)]


# ---------------------------------------------------------------- what works


def test_demo_writes_the_sheet_and_says_where_it_is_and_what_is_next(run, tmp_path):
    code, out, err = run("demo", "--out", tmp_path / "new" / "demo.png", "--steps", 3)
    assert code == 0, err
    assert str(tmp_path / "new" / "demo.png") in out and "make lab" in out
    assert "trying on" in err and "3/3" in err  # the progress bar
    with Image.open(tmp_path / "new" / "demo.png") as sheet, Image.open(tmp_path / "new" / "demo_result.png") as result:
        assert sheet.width >= 1200 and result.size == (192, 256)
    assert [p.name for p in (tmp_path / "new").iterdir() if p.name.startswith(".")] == []


def test_demo_is_the_same_picture_for_a_seed_and_another_for_another(run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("demo", "--out", tmp_path / f"{name}.png", "--steps", 2, "--seed", seed)[0] == 0
    a, b, c = ((tmp_path / f"{name}_result.png").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(("layout", "folder"), [("vitonhd", VITONHD), ("dresscode", DRESSCODE)])
def test_a_pair_of_either_data_set_is_tried_on_with_a_warning_that_photographs_are_unknown(run, tmp_path, layout, folder):
    code, _, err = run("tryon", "--data", folder, "--layout", layout, "--pair", 1, "--steps", 2, "--out", tmp_path / "out.png")
    assert code == 0 and (tmp_path / "out.png").is_file(), err
    assert "outside what it knows" in err


def test_ones_own_pictures_are_tried_on(run, photo, tmp_path):
    code, _, err = run("tryon", *options(photo), "--steps", 2, "--out", tmp_path / "out.png")
    assert code == 0 and (tmp_path / "out_result.png").is_file() and "outside what it knows" in err


def test_of_several_people_the_middle_one_is_taken_with_a_warning(run, photo, tmp_path):
    people = json.loads(photo["--keypoints"].read_text())
    aside = [
        value - 250 if i % 3 == 0 and value > 0 else value for i, value in enumerate(people["people"][0]["pose_keypoints_2d"])
    ]
    people["people"].insert(0, {"pose_keypoints_2d": aside})
    photo["--keypoints"].write_text(json.dumps(people))
    code, _, err = run("tryon", *options(photo), "--steps", 2, "--out", tmp_path / "out.png")
    assert code == 0 and "middle" in err


# ---------------------------------------------------------------- what is refused


def spoil_json(change):
    def spoil(path):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


def convert(mode):
    def spoil(path):
        Image.open(path).convert(mode).save(path.with_suffix(".png"))
        shutil.move(path.with_suffix(".png"), path)

    return spoil


SPOILED = {
    "missing person": ("--person", lambda p: p.unlink()),
    "missing keypoints": ("--keypoints", lambda p: p.unlink()),
    "truncated person": ("--person", lambda p: p.write_bytes(p.read_bytes()[:4000])),
    "truncated garment": ("--garment", lambda p: p.write_bytes(p.read_bytes()[:2000])),
    "truncated parse": ("--parse", lambda p: p.write_bytes(p.read_bytes()[:300])),
    "empty file": ("--garment", lambda p: p.write_bytes(b"")),
    "grayscale person": ("--person", convert("L")),
    "RGBA person": ("--person", convert("RGBA")),
    "parse of another size": ("--parse", lambda p: Image.open(p).crop((0, 0, 100, 300)).save(p)),
    "parse in colours": ("--parse", convert("RGB")),
    "mislabelled parse": ("--parse", lambda p: Image.open(p).point(lambda v: v + 100).save(p)),
    "no person in parse": ("--parse", lambda p: Image.open(p).point(lambda v: 0).save(p)),
    "no people": ("--keypoints", spoil_json(lambda c: c.update(people=[]))),
    "all-zero key points": ("--keypoints", spoil_json(lambda c: c["people"][0].update(pose_keypoints_2d=[0] * 75))),
    "odd number of key points": ("--keypoints", spoil_json(lambda c: c["people"][0].update(pose_keypoints_2d=[1] * 40))),
    "broken JSON": ("--keypoints", lambda p: p.write_text("{")),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_a_bad_file_ends_with_code_2_and_one_sentence_that_names_it(run, photo, tmp_path, fault):
    option, spoil = SPOILED[fault]
    spoil(photo[option])
    code, _, err = run("tryon", *options(photo), "--out", tmp_path / "out.png")
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert code == 2 and len(errors) == 1, err
    assert photo[option].name in errors[0] and "Traceback" not in err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tryon"], "--data DIR"),
        (["tryon", "--person", "p.jpg"], "--garment"),
        (["tryon", "--data", VITONHD], "--layout"),
        (["tryon", "--data", VITONHD, "--layout", "vitonhd", "--pair", "99"], "choose 0 to"),
        (["tryon", "--data", "nowhere", "--layout", "vitonhd"], "nowhere"),
        (["train", "sewing"], "sewing"),
        (["train", "clip", "--budget", "soon"], "8m"),
        (["demo", "--preset", "giant"], "nano, mini, full"),
        (["demo", "--preset", "full"], "full"),
        (["demo", "--index", "5000000"], "5000000"),
    ],
    ids=lambda value: " ".join(map(str, value))[-40:] if isinstance(value, list) else None,
)
def test_a_wrong_call_ends_with_code_2_and_one_sentence(run, tmp_path, arguments, words):
    code, _, err = run(*arguments)
    assert code == 2 and words in err and "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1


def test_a_damaged_checkpoint_is_refused_before_anything_is_written(run, tmp_path):
    shutil.copytree(default_folder("nano"), tmp_path / "weights")
    path = tmp_path / "weights" / "tryon.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    code, _, err = run("demo", "--preset", "nano", "--weights", tmp_path / "weights", "--out", tmp_path / "out.png")
    assert code == 2 and "tryon.safetensors is damaged" in err and "sha256" in err
    assert not (tmp_path / "out.png").exists()


def test_help_answers_without_loading_torch():
    import subprocess

    code = (
        "import sys; sys.argv = ['ladi-mini', '--help']\nfrom ladi_mini.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True, text=True)
    assert done.returncode == 0 and "tryon" in done.stdout, done.stderr
