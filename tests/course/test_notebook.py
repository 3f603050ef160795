"""course.notebook: a figure is shown with its alt text or not at all, in the lighter format; lessons start the same each time."""

import base64
import io
import random

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from ladi_mini.course import check, data, show, start
from ladi_mini.course.notebook import encode, lighter
from ladi_mini.errors import InputError
from ladi_mini.show.style import new_figure

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize((200, 200), Image.Resampling.BICUBIC)


@pytest.fixture()
def shown(monkeypatch):
    """What was displayed: (data, metadata, options) for each call."""
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: calls.append((data, options.pop("metadata"), options)))
    return calls


def opened(data: dict) -> Image.Image:
    (kind,) = [kind for kind in data if kind.startswith("image/")]
    picture = Image.open(io.BytesIO(base64.b64decode(data[kind])))
    assert picture.get_format_mimetype() == kind
    return picture


@pytest.mark.parametrize("alt", [None, "", "  \n"])
def test_figure_without_alt_text_is_refused(shown, alt):
    with pytest.raises(InputError, match="no alt text"):
        show(Image.new("RGB", (4, 4)), alt=alt)
    assert not shown


def test_what_is_no_figure_is_refused(shown):
    with pytest.raises(InputError, match="given str, expected a figure"):
        show("picture.png", alt="A picture.")


def test_alt_text_of_a_picture_is_taken_from_it_and_can_be_replaced(shown):
    picture = Image.new("RGB", (4, 4))
    picture.info["alt"] = "A  black\nsquare."
    show(picture)
    show(picture, alt="Nothing.")
    assert [data["text/plain"] for data, _, _ in shown] == ["A black square.", "Nothing."]
    assert [metadata["image/png"]["alt"] for _, metadata, _ in shown] == ["A black square.", "Nothing."]


def test_matplotlib_figure_is_shown_at_its_own_size(shown):
    figure, axes = new_figure(4, 2)
    axes[0, 0].plot([0, 1])
    show(figure, alt="A line that rises.")
    assert opened(shown[0][0]).size == (440, 220)


def test_lines_become_png_without_loss_and_photographs_jpeg():
    lines = Image.new("RGB", (300, 200), "white")
    lines.paste("#0072b2", (20, 20, 280, 24))
    kind, file = lighter(lines)
    assert kind == "image/png" and len(file) < 1000
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file)).convert("RGB")), np.asarray(lines))
    kind, file = lighter(PHOTO)
    assert kind == "image/jpeg"
    assert np.abs(np.asarray(Image.open(io.BytesIO(file)), float) - np.asarray(PHOTO)).mean() < 4


def test_smooth_lines_get_a_palette_whose_error_is_not_seen():
    figure, axes = new_figure(6, 3)
    axes[0, 0].plot(np.linspace(0, 6, 200), np.sin(np.linspace(0, 6, 200)))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    picture = Image.open(file).convert("RGB")
    kind, small = lighter(picture)
    stored = Image.open(io.BytesIO(small))
    assert kind == "image/png" and stored.mode == "P" and len(small) < 0.6 * len(file.getvalue())
    assert np.mean((np.asarray(stored.convert("RGB"), float) - np.asarray(picture, float)) ** 2) < 2


def test_a_palette_is_no_smaller_than_its_worst_patch_allows():
    lines = Image.new("RGB", (400, 300), "white")
    for x in range(300):  # few pixels, but more colours than the smallest palette has
        lines.putpixel((x, 10), (x % 256, 0, 0))
    assert 32 <= len(opened(encode(lines, "x")[0]).getcolors()) <= 64
    y, x = np.mgrid[0:48, 0:64]
    tinted = Image.fromarray(np.stack([3 * x, 4 * y, 255 - 3 * x], axis=2).astype(np.uint8))
    patched = Image.new("RGB", (800, 600), "white")
    patched.paste(tinted, (300, 300))
    shown = opened(encode(patched, "x")[0]).convert("RGB").crop((300, 300, 364, 348))
    error = np.mean((np.asarray(shown, float) - np.asarray(tinted, float)) ** 2)
    assert error < 32  # no bands in a gradient, though it is a hundredth of the picture


def test_transparent_becomes_paper_and_the_same_picture_the_same_bytes():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    data, _ = encode(clear, "Nothing.")
    assert opened(data).convert("RGB").getpixel((3, 3)) == (255, 255, 255)
    assert encode(PHOTO, "x") == encode(PHOTO.copy(), "x")


def test_second_call_with_the_same_display_id_in_one_cell_replaces_the_picture(shown, monkeypatch):
    class Shell:
        execution_count = 1

    monkeypatch.setattr("IPython.get_ipython", Shell)
    for _ in range(2):
        show(PHOTO, alt="x", display_id="live")
    Shell.execution_count = 2  # the cell runs again: its output is gone
    show(PHOTO, alt="x", display_id="live")
    assert [options["update"] for _, _, options in shown] == [False, True, False]


def test_data_is_found_wherever_a_notebook_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data("README.md").is_file()
    with pytest.raises(InputError, match="does not exist; a lesson needs a clone"):
        data("nothing.json")


def test_start_makes_chance_and_look_the_same_and_clears_the_table():
    def draws():
        start("03_warping")
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    check.result("tps_kernel", None)
    assert draws() == draws()
    assert matplotlib.rcParams["font.size"] == 10
    assert "✓" not in repr(check.progress())
