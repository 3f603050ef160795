"""The figures of lesson 1, what is computed for them, and the widget that redraws one."""

import math

import ipywidgets
import matplotlib
import matplotlib.text
import pytest
import torch
import torch.nn.functional as F
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, labels_and_titles
from matplotlib.figure import Figure

from ladi_mini.clip import contrastive_loss
from ladi_mini.errors import InputError
from ladi_mini.show import clip as show
from ladi_mini.show.widgets import Redrawn

WORDS = [
    "[start]",
    "a",
    "navy",
    "short-sleeve",
    "dress",
    "with",
    "a",
    "crew",
    "neck",
    "and",
    "cream",
    "vertical",
    "stripes",
    "[end]",
]
LONG = 'a loose burgundy long-sleeve shirt with a square neck and the letters "wvq" in mustard'


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def garments(count: int) -> list[torch.Tensor]:
    return list(torch.rand(count, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1)


def every_figure() -> dict[str, Figure]:
    """One of each kind."""
    cosines = unit(24, 8) @ unit(24, 8, seed=1).T
    log = [{"step": 0, "to_text": 0.0, "to_image": 0.01}, *({"step": i, "loss": 4 - i / 30} for i in range(60))]
    log.append({"step": 60, "to_text": 0.3, "to_image": 0.4})
    contrasts = [
        show.Contrast(f"number of stripes {i}", 0.4 + i / 20, 1 - i / 20, i / 12, 100, 10.0 ** (-i / 3), 0.1) for i in range(12)
    ]
    scores = [show.Score(name, right, 0.2, 0.4, 5, 120) for name, right in (("colour", 0.9), ("neckline", 0.1), ("kind", 1.0))]
    found = show.Found("a navy dress", WORDS[:3], garments(6), [0.9] * 6, [LONG] * 6)
    reading = {"colour": ("burgundy", "burgundy"), "pattern": ("colour blocks", "horizontal stripes")}
    return {
        "garments": show.garments_figure(garments(6), [LONG, *["a red skirt"] * 5]),
        "patches": show.patches_figure(garments(1)[0], torch.rand(3, 64, 64), 8, WORDS, len(WORDS) - 1),
        "many tokens": show.patches_figure(garments(1)[0], torch.rand(3, 128, 128), 16, WORDS * 2, 27),
        "gradient": show.gradient_figure(cosines[:8, :8], 10.0),
        "circle": show.circle_figure([(step, unit(6, 2), unit(6, 2, seed=1), 1.0) for step in (0, 10, 40, 400)]),
        "temperature": show.temperature_figure(cosines, [14.0]),
        "temperatures": show.temperature_figure(cosines, [1.0, 14.0, 100.0]),
        "training": show.training_figure(log, [(0, cosines), (60, cosines)], 64, 0.004),
        "before and after": show.before_after_figure(cosines, cosines, ["a"] * 10 + ["b"] * 14),
        "search": show.search_figure([found, found, found]),
        "zero shot": show.zero_shot_figure(scores),
        "readings": show.readings_figure(garments(5), [reading] * 5),
        "contrasts": show.contrast_figure(contrasts),
        "pairs": show.pairs_figure([("number of stripes", garments(2), [LONG, LONG])] * 6),
    }


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace():
    settings = dict(matplotlib.rcParams)
    for name, figure in every_figure().items():
        assert_fits_and_speaks(name, figure, (500, 900), (150, 1000), 80)
        assert_nothing_is_cut_or_hidden(name, figure, labels_and_titles(figure))
    assert dict(matplotlib.rcParams) == settings


def test_alt_text_of_the_gradient_says_that_the_diagonal_rises_and_the_rest_falls():
    alt = show.gradient_figure(unit(5, 3) @ unit(5, 3, seed=1).T, 6.0).alt
    assert "positive at 5 of 5 places of the diagonal and negative at 20 of the 20 others" in alt


def test_training_can_be_shown_before_the_first_step():
    figure = show.training_figure([{"step": 0, "to_text": 0.0, "to_image": 0.0}], [(0, torch.zeros(4, 4))], 64, 0.004)
    assert "after 0 steps 0% from picture to sentence" in figure.alt


# ---------------------------------------------------------------- what is computed for them


def test_losses_are_the_librarys_at_every_scale():
    pictures, sentences, scales = unit(7, 5), unit(7, 5, seed=1), torch.tensor([0.5, 3.0, 40.0])
    expected = torch.stack([contrastive_loss(pictures.double(), sentences.double(), float(scale)) for scale in scales])
    torch.testing.assert_close(show.losses_at(pictures.double() @ sentences.double().T, scales), expected)


@pytest.mark.parametrize("count", [2, 3, 9])
def test_least_loss_is_that_of_a_simplex_and_of_nothing_else(count):
    scales = torch.tensor([1.0, 10.0])
    corners = F.normalize(torch.eye(count, dtype=torch.float64) - 1 / count, dim=1)  # as far from each other as can be
    torch.testing.assert_close(show.losses_at(corners @ corners.T, scales), show.least_loss(count, scales))
    for seed in range(20):
        pictures, sentences = unit(count, 4, seed=seed).double(), unit(count, 4, seed=seed + 100).double()
        for partner in (pictures, sentences, -pictures):
            assert (show.losses_at(pictures @ partner.T, scales) >= show.least_loss(count, scales) - 1e-9).all()


def test_equal_captions_set_a_floor_that_perfect_towers_reach():
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    floor = show.least_with_duplicates(labels)
    assert floor == pytest.approx((2 * math.log(2) + 3 * math.log(3)) / 6)
    perfect = F.one_hot(labels).double()
    assert float(contrastive_loss(perfect, perfect, 100.0)) == pytest.approx(floor, abs=1e-6)
    for seed in range(10):
        sentences = unit(3, 5, seed=seed).double()[labels]
        assert float(contrastive_loss(unit(6, 5, seed=seed + 50).double(), sentences, 20.0)) >= floor


def test_chance_is_one_of_n_unless_captions_repeat():
    assert show.chance_of(torch.arange(8)) == pytest.approx(1 / 8)
    assert show.chance_of(torch.zeros(8)) == 1
    assert show.chance_of(torch.tensor([0, 0, 1, 1])) == pytest.approx(1 / 2)


def test_words_are_read_by_the_direction_of_their_mean_not_by_its_length():
    agree = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    differ = F.normalize(torch.tensor([[0.3, 1.0], [0.3, -1.0]]), dim=1)  # their mean points the same way, but is short
    up = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    pictures = F.normalize(torch.tensor([[1.0, 0.1], [0.1, 1.0]]), dim=1)
    assert show.read_words(pictures, torch.stack([up, agree])).tolist() == [1, 0]
    assert show.read_words(pictures, torch.stack([up, differ])).tolist() == [1, 0]


def test_pairs_are_scored_by_decision():
    right, blind = torch.eye(2), torch.tensor([[0.9, 0.1], [0.9, 0.1]])  # blind: always the first sentence
    assert show.pair_scores(torch.stack([right, right])) == (1, 1, 1)
    assert show.pair_scores(torch.stack([1 - right])) == (0, 0, 0)
    sentence, picture, together = show.pair_scores(torch.stack([right, blind]))
    assert (sentence, picture, together) == (0.75, 0.5, 0.5)


def test_guessing_gets_half_of_the_decisions_and_a_sixth_of_the_pairs():
    scores = show.pair_scores(torch.randn(40_000, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert scores == pytest.approx((1 / 2, 1 / 2, 1 / 6), abs=0.01)


@pytest.mark.parametrize(("share", "count"), [(0.0, 20), (0.5, 100), (1.0, 50)])
def test_interval_holds_the_share_and_stays_between_none_and_all(share, count):
    low, high = show.interval(share, count)
    assert -1e-9 <= low <= share <= high <= 1 + 1e-9 and high - low < 2 / math.sqrt(count)


# ---------------------------------------------------------------- the widget


def titled(text: str) -> Figure:
    if not text:
        raise InputError("the sentence is empty; type a word.")
    return show.search_figure([show.Found(text, [text], garments(1), [0.5], ["<a red skirt>"])])


def test_figure_is_drawn_anew_when_the_control_changes():
    widget = Redrawn(ipywidgets.Text("a dress"), titled)
    first = widget.view.value
    assert "data:image/png;base64," in first and "“a dress”" in first and "<a red" not in first
    widget.control.value = "a skirt"
    assert "“a skirt”" in widget.view.value and widget.view.value != first


def test_a_value_that_cannot_be_drawn_is_answered_in_words_and_the_next_is_drawn():
    widget = Redrawn(ipywidgets.Text("a dress"), titled)
    widget.control.value = ""
    assert "type a word" in widget.view.value and "img" not in widget.view.value
    widget.control.value = "a skirt"
    assert "img" in widget.view.value
