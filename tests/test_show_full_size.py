"""The figures of lesson 8 say what they are given, and its calculator is exact where the card has measured."""

import math
from pathlib import Path

import matplotlib
import pytest
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut
from matplotlib.figure import Figure

from ladi_mini.cards import read_card
from ladi_mini.errors import InputError
from ladi_mini.show import full_size as figures
from ladi_mini.show.full_size import Operation, budget
from ladi_mini.show.widgets import full_size_calculator
from ladi_mini.wardrobe.people import SKINS

CARD = read_card(Path(__file__).parents[1] / "data" / "results" / "bench_full.json")
OPERATIONS = [
    Operation("convolution", 8e12, 2e9), Operation("addmm", 4e12, 4e9), Operation("mm", 1e9, 1e9),
    Operation("attention", 2e12, 1e9), Operation("native_group_norm", 0, 3e9), Operation("silu", 0, 5e9),
    Operation("add", 0, 5e9),
]  # fmt: skip


def every_figure() -> dict[str, Figure]:
    """One of each kind."""
    x = 10 ** torch.linspace(-9, 6, 200)
    kinds = {"float16": x.half(), "bfloat16": x.bfloat16()}
    held = [torch.ones(4, 4) * step for step in range(1, 5)]
    picture = torch.rand(6, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values = [None, *((float(i - 4), float(i - 5), float(i - 3)) for i in range(1, len(SKINS)))]
    shares = {kind: 3 + number for number, kind in enumerate(figures.LOOKS)}
    milliseconds = {kind: 10.0 * number + 1 for number, kind in enumerate(figures.LOOKS)}
    sizes = {"nano": {"unet": 10_000, "vae": 2_000}, "full": {"unet": 8_000_000, "vae": 400_000}}
    return {
        "sizes": figures.sizes_figure(sizes),
        "levels": figures.levels_figure({"64 x 48": (1e6, 9e9), "32 x 24": (5e6, 5e9), "16 x 12": (9e6, 1e9)}),
        "memory": figures.memory_figure(
            {"unet": 1.6, "vae": 0.2}, {"unet": 0.7}, {"weights": (1.8, 1.9), "32 at once": (20, 24)}
        ),
        "rounding": figures.rounding_figure(x, kinds, {"float16": [1, 1.5], "bfloat16": [1, 1], "float32": [1, 2]}, 0.5),
        "pixels": figures.pixels_off_figure({"float16": torch.rand(64, 48) / 9, "bfloat16": torch.rand(64, 48)}),
        "trail": figures.trail_figure({"one": ([0.001, 0.002], "#0072b2", "-"), "two": ([0.01, 0.04, 0.03], "#d55e00", "--")}),
        "profile": figures.profile_figure(shares, milliseconds),
        "roofline": figures.roofline_figure({1: OPERATIONS, 32: OPERATIONS}, 8e14, 4e12),
        "kinds": figures.kinds_figure(milliseconds, {kind: 1.5 * ms for kind, ms in milliseconds.items()}, 32),
        "budget": figures.budget_figure(CARD, 4),
        "budget elsewhere": figures.budget_figure(CARD, None, "plain", 32, 1024, 80),
        "ring": figures.ring_figure(held),
        "resume": figures.resume_figure([1.0, 0.7, 0.6, 0.4], [(0, [1.0, 0.7]), (2, [0.6, 0.4])]),
        "tones": figures.tones_figure(
            SKINS, {"error": [None if v is None else (8.0, 7.0, 9.0) for v in values], "change": values}
        ),
        "people": figures.people_figure(picture, picture, picture, ["-5", "+1", "+9", "0", "+2", "-7"]),
    }


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace():
    settings = dict(matplotlib.rcParams)
    for name, figure in every_figure().items():
        assert_fits_and_speaks(name, figure, (500, 960), (120, 1000), 80)
        assert_nothing_is_cut(name, figure, _titles_and_labels(figure))
    assert dict(matplotlib.rcParams) == settings


def _titles_and_labels(figure: Figure) -> list[matplotlib.text.Text]:
    texts = [t for axis in figure.axes for t in (axis.xaxis.label, axis.yaxis.label, axis._left_title, axis.title)]
    return [text for text in texts if text.get_text().strip()]


# ---------------------------------------------------------------- the calculator


@pytest.mark.parametrize("path", figures.PATHS)
def test_the_calculator_is_exact_where_the_card_has_measured(path):
    points = figures.marked_points(CARD, path)
    assert [batch for batch, _, _ in points] == [1, CARD[f"{path}_batch"]["batch"]]
    for batch, seconds, gib in points:
        said = budget(CARD, batch, path)
        assert said.seconds == pytest.approx(seconds) and said.gib == pytest.approx(gib)
        assert said.pictures_a_second == pytest.approx(batch / seconds)


def test_one_picture_waits_for_kernels_and_many_for_work():
    assert budget(CARD, 1, "plain").limit == "starting kernels" and budget(CARD, 32, "plain").limit == "work"
    seconds = [budget(CARD, batch, "plain").seconds for batch in (1, 2, 3, 16, 32)]
    assert seconds[0] == seconds[1] == seconds[2] and seconds[4] == pytest.approx(2 * seconds[3])


def test_more_pixels_take_more_than_their_share_of_time_and_their_share_of_memory():
    small, large = budget(CARD, 32), budget(CARD, 32, height=1024)
    assert 4 < large.seconds / small.seconds < 16  # between what is linear in the pixels and self-attention
    weights = budget(CARD, 1).gib - (budget(CARD, 2).gib - budget(CARD, 1).gib)
    assert (large.gib - weights) / (small.gib - weights) == pytest.approx(4)


def test_thirty_two_bits_take_twice_the_memory_and_have_no_time():
    half, whole = budget(CARD, 3), budget(CARD, 3, bits=32)
    assert whole.gib == pytest.approx(2 * half.gib)
    assert math.isnan(whole.seconds) and math.isnan(whole.pictures_a_second) and whole.limit == "not measured"


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"path": "quick"}, {"bits": 8}, {"height": 10}])
def test_a_budget_that_there_is_none_for_is_refused(wrong):
    with pytest.raises(InputError, match="there is no budget for"):
        budget(CARD, **({"batch": 1} | wrong))


def test_the_sheet_marks_the_largest_batch_that_fits():
    alt = figures.budget_figure(CARD, None, "plain", gib=16).alt
    fits = max(batch for batch in range(1, 65) if budget(CARD, batch, "plain").gib <= 16)
    assert f"{fits} at once, plain" in alt and f"The largest batch that fits is {fits}." in alt
    assert "Not even one picture fits" in figures.budget_figure(CARD, None, gib=1).alt
    assert "The card measured nothing" in figures.budget_figure(CARD, height=1024).alt


# ---------------------------------------------------------------- the roof


def test_an_operation_takes_the_longer_of_arithmetic_and_memory():
    assert figures.least_seconds(Operation("mm", 1e12, 1e6), 1e14, 1e12) == pytest.approx(0.01)
    assert figures.least_seconds(Operation("add", 1e6, 1e10), 1e14, 1e12) == pytest.approx(0.01)


def test_kinds_share_all_the_time_between_them():
    found = figures.seconds_by_kind(OPERATIONS, 1e14, 1e12)
    assert list(found) == list(figures.LOOKS)
    assert sum(found.values()) == pytest.approx(sum(figures.least_seconds(each, 1e14, 1e12) for each in OPERATIONS))
    assert found["normalisation"] == pytest.approx(0.003) and found[figures.OTHER] == pytest.approx(0.01)
    assert found["matrix products"] == pytest.approx(0.04 + 0.001)


def test_gigabytes_count_bits():
    assert figures.gigabytes(2**30, 16) == 2 and figures.gigabytes(2**29, 32) == 2


# ---------------------------------------------------------------- what the words say


def test_tones_without_enough_people_have_no_dot():
    values = [None, (5.0, 4.0, 6.0), (2.0, 1.0, 3.0), None]
    figure = figures.tones_figure(SKINS[:4], {"error": values})
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == 2 and "5.0 for the lightest and 2.0 for the darkest" in figure.alt


def test_levels_are_told_in_shares():
    alt = figures.levels_figure({"fine": (1.0, 3.0), "coarse": (3.0, 1.0)}).alt
    assert "fine: 25% of the parameters, 75% of the arithmetic" in alt


def test_the_ring_shows_how_many_summands_there_are():
    figure = figures.ring_figure([torch.ones(3, 3), torch.full((3, 3), 3.0)])
    assert [text.get_text() for text in figure.axes[1].texts] == ["3"] * 9


# ---------------------------------------------------------------- the widget without a browser


def test_moving_a_slider_draws_the_figure_of_its_value():
    box = full_size_calculator(CARD)
    controls, picture = {control.description: control for control in box.children[:-1]}, box.children[-1]
    assert set(controls) == {"pictures", "path", "bits", "height", "your GPU, GiB"}
    before = picture.value
    assert "4 at once, compiled" in before and "data:image/png;base64," in before
    controls["pictures"].value, controls["path"].value = 32, "plain"
    assert "32 at once, plain" in picture.value and picture.value != before
    controls["pictures"].value, controls["path"].value = 4, "compiled"
    assert picture.value == before
