"""show.metrics: damages do what they say, figures are legible and speak, and the laboratory is a shell over one of them."""

import matplotlib
import pytest
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, every_text
from matplotlib.figure import Figure

from ladi_mini.errors import InputError
from ladi_mini.evaluation.metrics import psnr, ssim
from ladi_mini.evaluation.prints import find_prints
from ladi_mini.show import metrics as figures
from ladi_mini.show import widgets
from ladi_mini.wardrobe import packed

H, W = 64, 48
WITH_PRINTS = [7, 16, 37]


@pytest.fixture(scope="module")
def people():
    """Unpaired test people of the wardrobe at nano's size."""
    return packed("test", 40, H, W, unpaired=True)


@pytest.fixture(scope="module")
def batch(people):
    return people.batch(range(4))


def measures(truth):
    """Three that are quick."""
    return {
        "pixels": lambda images: (images - truth).square().mean((1, 2, 3)).sqrt(),
        "1 - SSIM": lambda images: 1 - ssim(images, truth.expand_as(images)),
        "mean colour": lambda images: (images.mean((2, 3)) - truth.mean((2, 3))).abs().sum(1),
    }


# ---------------------------------------------------------------- damages


@pytest.mark.parametrize("name", list(figures.DAMAGES))
def test_no_damage_is_the_picture_and_more_of_it_is_further_from_it(name, batch):
    before = batch.target.clone()
    amounts = figures.DAMAGES[name][2]
    found = [figures.damaged(batch.target, name, amount) for amount in amounts]
    assert torch.allclose(found[0], batch.target, atol=1e-4)
    assert all(each.shape == batch.target.shape and float(each.abs().max()) <= 1 + 1e-4 for each in found)
    decibels = [float(psnr(each, batch.target).mean()) for each in found[1:]]
    assert decibels == sorted(decibels, reverse=True)
    assert torch.equal(figures.damaged(batch.target, name, amounts[-1]), found[-1])  # noise too
    assert torch.equal(before, batch.target)


def test_shift_moves_to_the_right_and_repeats_the_edge(batch):
    moved = figures.shifted(batch.target, 3)
    assert torch.equal(moved[..., 3:], batch.target[..., :-3])
    assert torch.equal(moved[..., :3], batch.target[..., :1].expand(-1, -1, -1, 3))


def test_turned_hue_keeps_grey_where_nothing_clips():
    image = 0.5 * torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0)) - 0.25
    turned = figures.hue_turned(image, 70)
    grey = torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(*(torch.einsum("c,bchw->bhw", grey, each) for each in (image, turned)), atol=2e-3)
    assert float((turned - image).abs().mean()) > 0.02
    assert torch.allclose(figures.hue_turned(image, 360), image, atol=1e-4)


def test_blur_keeps_a_plain_picture_and_softens_a_point():
    plain, point = torch.full((1, 3, 16, 16), 0.3), torch.zeros(1, 3, 17, 17)
    point[..., 8, 8] = 1
    assert torch.allclose(figures.blurred(plain, 2), plain, atol=1e-5)
    soft = figures.blurred(point, 1.5)
    assert float(soft.sum()) == pytest.approx(3, abs=1e-3) and float(soft[0, 0, 8, 8]) == float(soft[0, 0].max()) < 0.2


def test_unknown_damage_is_refused(batch):
    with pytest.raises(InputError, match="'rain', expected one of blur"):
        figures.damaged(batch.target, "rain", 1)


def test_the_scale_ends_at_the_truth_and_at_somebody_elses_picture(batch):
    truth, other = batch.target[:1], batch.target[1:2]
    found = figures.on_one_scale(measures(truth), torch.cat([truth, other]), other)
    for value in found.values():
        assert value.tolist() == pytest.approx([0, 1], abs=1e-3)  # SSIM is computed in 32 bits


# ---------------------------------------------------------------- figures


def every_figure(people, batch) -> dict[str, Figure]:
    """One of each kind."""
    truth, other = batch.target[:1], batch.target[1:2]
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(60, 8, generator=generator)
    damaged = {name: figures.damaged(truth, name, figures.DAMAGES[name][2][3])[0] for name in ("shift", "blur", "noise", "hue")}
    maps = {name: torch.rand(H, W, generator=generator) for name in damaged}
    printed = people.batch(WITH_PRINTS)
    prints = find_prints(printed)
    strips = figures.print_strips(printed.target, prints)
    words = ["0.52"] * len(prints)
    ways = {"grey": {"try-on": 0.81, "pasted": 0.84}, "half the size": {"try-on": 0.9, "pasted": 0.88}}
    five = {
        "wears": batch.person,
        "asked for": batch.garment,
        "try-on": batch.target,
        "pasted": batch.person,
        "true": batch.target,
    }
    panels = {
        "each by itself": {"try-on": (17.0, 16.2, 18.1), "pasted": (16.0, 15.0, 17.0)},
        "difference": {"16": (1.0, 0.4, 1.6)},
    }
    return {
        "damage": figures.damage_figure(truth, other, "hue", 40, measures(truth)),
        "sweep": figures.sweep_figure(truth, other, measures(truth)),
        "album": figures.album_figure(five, {"try-on": ["20.1 dB"] * 4}, "A row a person"),
        "maps": figures.map_figure(truth[0], damaged, maps, dict.fromkeys(damaged, "24.1 dB\nSSIM 0.812")),
        "clouds": figures.cloud_figure({"a": (cloud, cloud + 1), "b": (cloud, cloud.flip(0))}, {"a": "fd 8.0", "b": "fd 0.0"}),
        "sizes": figures.size_figure((10, 20, 40), {"fd": [[3.0, 2.0], [1.5, 1.0], [0.7, 0.6]], "kd": [[0.1, -0.1]] * 3}),
        "ways": figures.ways_figure({"SSIM": ways}),
        "one way": figures.ways_figure({"fd": {"as it is": {"truth": 0.0}, "JPEG": {"truth": 0.4}}}),
        "intervals": figures.interval_figure(panels, {"each by itself": "dB", "difference": "dB"}, {"difference": 0.0}),
        "letters": figures.letters_figure({"true": strips, "try-on": strips}, {"try-on": words}, prints.texts),
        "heights": figures.height_figure({"autoencoder": (prints.heights, torch.rand(len(prints), generator=generator))}),
    }


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace(people, batch):
    settings = dict(matplotlib.rcParams)
    for name, figure in every_figure(people, batch).items():
        assert_fits_and_speaks(name, figure, (500, 900), (120, 1400), 60)
        assert_nothing_is_cut_or_hidden(name, figure, every_text(figure))
    assert dict(matplotlib.rcParams) == settings


def test_numbers_of_a_figure_are_in_its_words(batch):
    truth, other = batch.target[:1], batch.target[1:2]
    assert "pixels 1.00" in figures.damage_figure(truth, other, "blur", 0, {"pixels": lambda x: x.new_ones(len(x))}).alt
    alt = figures.size_figure((10, 20), {"fd": [[3.0, 1.0], [1.0, 1.0]]}).alt
    assert "fd: 2 for 10, 1 for 20" in alt
    alt = figures.interval_figure({"PSNR": {"try-on": (17.0, 16.0, 18.0)}}, {"PSNR": "dB"}).alt
    same = {"a": {"try-on": (1.0, 0.9, 1.1)}, "b": {"try-on": (7.0, 6.0, 8.0)}, "c": {"try-on": (70.0, 60.0, 80.0)}}
    one, two, three = figures.interval_figure(same, {"a": "dB", "b": "dB", "c": "share"}).axes
    assert one.get_xlim() == two.get_xlim() != three.get_xlim() and one.get_xlim()[1] > 8
    assert [[text.get_text() for text in axis.get_yticklabels()] for axis in (one, two)] == [["try-on"], [""]]
    assert "try-on: 17.00, from 16.00 to 18.00" in alt


def test_a_print_is_shown_upright_cell_by_cell(people):
    printed = people.batch(WITH_PRINTS)
    prints = find_prints(printed)
    strips = figures.print_strips(printed.target, prints)
    assert [strip.shape[2] // 28 for strip in strips] == [len(text) for text in prints.texts]
    assert all(strip.shape[1] == 40 and float(strip.abs().max()) <= 1 for strip in strips)


# ---------------------------------------------------------------- the widget


def test_the_laboratory_shows_what_its_controls_say(batch):
    truth, other = batch.target[:1], batch.target[1:2]
    lab = widgets.MetricLab(truth, other, measures(truth))
    first = lab.picture.value
    assert first.startswith("<img") and "blur of" in first
    lab.damage.value = "shift"
    assert "shift of 2" in lab.picture.value and lab.amount == pytest.approx(2)
    lab.strength.value = 0
    assert lab.amount == 0 and "pixels 0.00" in lab.picture.value
    lab.damage.value = "resize"
    assert lab.amount == 1
