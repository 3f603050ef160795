"""The figures of lesson 5 say what is in the tensors, and the before/after slider shows its two pictures."""

import base64
import io
import re

import matplotlib
import numpy as np
import pytest
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, every_text
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini.errors import InputError
from ladi_mini.evaluation import regions
from ladi_mini.show import emasc as figures
from ladi_mini.show import widgets
from ladi_mini.wardrobe import packed

H, W = 64, 48


@pytest.fixture(scope="module")
def batch():
    """Six unpaired test people of the wardrobe at nano's size."""
    return packed("test", 6, H, W, unpaired=True).batch(range(6))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def every_figure(batch) -> dict[str, Figure]:
    """One of each kind."""
    blurred = torch.nn.functional.avg_pool2d(batch.target, 3, 1, 1)
    head, hands = regions.head(batch), regions.hands(batch)
    values = {name: 20 + noise(6, seed=number) for number, name in enumerate(("head", "hands", "elsewhere"))}
    values["hands"][2] = torch.nan
    five = dict.fromkeys(("no skips", "masked", "mask removed", "open features", "all open"), values)
    shapes = [(16, 64, 48), (16, 64, 48), (16, 32, 24), (32, 16, 12)]
    names, places = ["conv_in", "conv_in", "down block 0", "down block 1"], ["conv_out", "up block 2", "up block 1", "up block 0"]
    taps = [noise(*shape, seed=number) for number, shape in enumerate(shapes)]
    distance = figures.distance_to_border(batch.inpaint_mask)
    change = (blurred - batch.target).abs().mean(1, keepdim=True)
    log = [{"step": i, "loss": 1 - i / 200} for i in range(1, 61)] + [{"step": s, "head": 20.0, "hands": 19.0} for s in (0, 60)]
    pictures = {"original": batch.target[:3], "without": blurred[:3], "with": batch.person[:3]}
    windows = [figures.window_around(each) for each in head[:3]]
    six = "wears", "asked for", "masked", "mask removed", "open features", "all open"
    floor = {"head": 19.0, "hands": 19.5}
    before, after = (figures.to_image(each[0]) for each in (batch.person, batch.target))
    return {
        "loss": figures.loss_figure(batch.target[:3], blurred[:3], head[:3], hands[:3]),
        "one score": figures.score_figure({"decoded": values}, "PSNR (dB)"),
        "five scores": figures.score_figure(five, "PSNR (dB)"),
        "ladder": figures.ladder_figure(shapes, (16, 32, 32, 32), names, places, (4, 16, 12), batch.inpaint_mask[0]),
        "skips": figures.skips_figure(batch.agnostic[0], taps, taps, batch.inpaint_mask[0]),
        "border": figures.border_figure({"error": change, "error with skips": change / 2}, distance, "share of white"),
        "columns": figures.columns_figure(pictures, windows, alt="Three people"),
        "heads": figures.columns_figure({"a": batch.target[:1], "b": blurred[:1]}, windows, whole=False, notes={"a": ["20 dB"]}),
        "six columns": figures.columns_figure(dict.fromkeys(six, blurred[:3])),
        "training": figures.training_figure(log, [(0, blurred[0]), (60, blurred[0])], batch.target[0], windows[0], floor),
        "split": figures.split_figure(before, after, ("without", "with"), (0, 0.5, 1)),
    }  # fmt: skip


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace(batch):
    settings, before = dict(matplotlib.rcParams), batch.target.clone()
    for name, figure in every_figure(batch).items():
        assert_fits_and_speaks(name, figure, (500, 900), (150, 1000), 60)
        assert_nothing_is_cut_or_hidden(name, figure, every_text(figure))
    assert dict(matplotlib.rcParams) == settings
    assert torch.equal(before, batch.target)


def test_a_score_is_the_mean_over_those_that_have_one():
    values = {"head": torch.tensor([20.0, 30.0, torch.nan]), "hands": torch.tensor([10.0, torch.nan, torch.nan])}
    alt = figures.score_figure({"decoded": values}, "PSNR (dB)").alt
    assert "decoded: head 25.0, hands 10.0" in alt


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("corner", [(0, 0), (20, 10), (54, 40)])
def test_window_holds_the_region_and_has_the_proportions_of_the_picture(corner):
    region = torch.zeros(1, H, W)
    y, x = corner
    region[:, y : y + 9, x : x + 7] = 1
    left, top, right, bottom = figures.window_around(region)
    assert 0 <= left < right <= W and 0 <= top < bottom <= H
    assert float(region[:, top:bottom, left:right].sum()) == float(region.sum())
    assert (bottom - top) / (right - left) == pytest.approx(H / W, rel=0.1)


def test_window_around_nothing_is_the_picture():
    assert figures.window_around(torch.zeros(1, H, W)) == (0, 0, W, H)


def test_close_up_shows_the_pixels_of_its_window(batch):
    picture = np.asarray(figures.close_up(batch.target[0], (10, 20, 13, 24))).astype(int)
    assert picture.shape == (figures.CLOSE_UP, round(figures.CLOSE_UP * W / H), 3)
    true = ((batch.target[0, :, 20, 10] + 1) * 127.5).round().int().tolist()
    assert picture[2, 2].tolist() == true


def test_largest_part_is_one_of_two_hands():
    region = torch.zeros(1, 12, 12)
    region[0, 1:3, 1:3] = region[0, 6:10, 5:8] = 1
    expected = region.clone()
    expected[0, :4] = 0
    assert torch.equal(figures.largest_part(region), expected)
    assert not figures.largest_part(torch.zeros(1, 4, 4)).any()


# ---------------------------------------------------------------- the border of the mask


def test_distance_to_the_border_is_the_steps_to_the_other_side():
    mask = (noise(2, 1, 14, 11, seed=3) > 0.9).float()
    mask[0, :, 4:11, 3:9] = 1
    found = figures.distance_to_border(mask)
    for b in range(2):
        inside = mask[b, 0] > 0
        for y in range(14):
            for x in range(11):
                others = (inside != inside[y, x]).nonzero()
                steps = (others - torch.tensor([y, x])).abs().amax(1).min()
                assert abs(float(found[b, 0, y, x])) == float(steps)
    assert torch.equal(found > 0, mask > 0)


def test_seam_is_counted_pair_by_pair():
    image, target = noise(2, 3, 7, 6), noise(2, 3, 7, 6, seed=1)
    mask = torch.zeros(2, 1, 7, 6)
    mask[0, :, 2:5, 1:4] = 1
    mask[1, :, 3:, 2:] = 1
    found = figures.seam_error(image, target, mask)
    for b in range(2):
        off = []
        for y in range(7):
            for x in range(6):
                for v, u in ((y + 1, x), (y, x + 1)):
                    if v < 7 and u < 6 and mask[b, 0, y, x] != mask[b, 0, v, u]:
                        step = (image[b, :, v, u] - image[b, :, y, x]) - (target[b, :, v, u] - target[b, :, y, x])
                        off.append(float(step.abs().mean()) / 2)
        assert float(found[b]) == pytest.approx(sum(off) / len(off), rel=1e-5)


def test_seam_sees_an_offset_of_one_side_and_not_of_both(batch):
    shifted = batch.target + 0.1
    assert torch.allclose(figures.seam_error(shifted, batch.target, batch.inpaint_mask), torch.zeros(6), atol=1e-6)
    pasted = torch.where(batch.inpaint_mask > 0, shifted, batch.target)
    assert torch.allclose(figures.seam_error(pasted, batch.target, batch.inpaint_mask), torch.full((6,), 0.05), atol=1e-5)


# ---------------------------------------------------------------- before and after


RED, BLUE = Image.new("RGB", (80, 40), (200, 0, 0)), Image.new("RGB", (80, 40), (0, 0, 200))


@pytest.mark.parametrize("split", [0.25, 0.5, 0.8])
def test_line_parts_the_two_pictures(split):
    pixels = np.asarray(figures.split_picture(RED, BLUE, split))
    line = round(split * 80)
    assert (pixels[:, : line - 2] == (200, 0, 0)).all() and (pixels[:, line + 3 :] == (0, 0, 200)).all()
    assert (pixels[:, line] > 200).all()  # the line itself is bright
    assert RED.getpixel((79, 0)) == (200, 0, 0) and BLUE.getpixel((0, 0)) == (0, 0, 200)  # untouched


@pytest.mark.parametrize(("split", "whole"), [(0.0, BLUE), (1.0, RED), (-0.3, BLUE), (1.7, RED)])
def test_at_the_ends_one_picture_is_whole(split, whole):
    assert np.array_equal(np.asarray(figures.split_picture(RED, BLUE, split)), np.asarray(whole))


@pytest.fixture
def widget(batch):
    blurred = torch.nn.functional.avg_pool2d(batch.target, 5, 1, 2)
    pictures = {"without": blurred, "with": batch.target, "original": batch.person}
    return widgets.SplitWidget(pictures, {"with": [f"<{i}>" for i in range(6)]}, shown=128)


def shown(widget) -> np.ndarray:
    data = re.search(r"base64,([\w+/=]+)", widget.picture.value)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_widget_shows_what_the_pure_function_composes(widget, batch):
    widget.split.value = 30
    pictures = [figures.to_image(widget._pictures[name][0], 128) for name in ("without", "with")]
    assert np.array_equal(shown(widget), np.asarray(figures.split_picture(*pictures, 0.3)))
    widget.person.value, widget.left.value, widget.split.value = 4, "original", 100
    assert np.array_equal(shown(widget), np.asarray(figures.to_image(batch.person[3], 128)))


def test_widget_says_in_words_what_it_shows(widget):
    widget.person.value, widget.split.value = 2, 40
    assert 'alt="person 2, left of 40 % of the width without, right of it with (&lt;1&gt;)"' in widget.picture.value


def test_every_part_of_the_widget_can_be_reached_by_keys(widget):
    controls = [widget.person, widget.left, widget.right, widget.split]
    assert all(control.tabbable is not False and not control.disabled for control in controls)
    assert all(control.description for control in controls)


def test_slider_needs_two_pictures(batch):
    with pytest.raises(InputError, match="two pictures"):
        widgets.SplitWidget({"alone": batch.person})
