"""The figures of lesson 2 say what is in the tensors."""

import re

import matplotlib
import pytest
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, labels_and_titles
from matplotlib.figure import Figure

from ladi_mini import show

H, W, WORDS = 64, 48, 16


def noise(*shape, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


PICTURES = noise(11, 3, H, W) * 2 - 1
MAPS = noise(WORDS, 16, 12) / 20


def every_figure() -> dict[str, Figure]:
    """One of each kind."""
    log = [{"step": i, "loss": 0.1} for i in range(20)]
    log[0]["fixed"], log[10]["fixed"] = 0.06, 0.05
    scores = {"empty": noise(9), "caption": noise(9, seed=1), "words": noise(9, seed=2)}
    scores["words"][3] = torch.nan
    losses = {"empty": 1 + noise(9, 3), "caption": noise(9, 3)}
    notes = {"caption": ["12", "30"]}
    return {
        "table": show.table_figure(noise(40, 8) - 0.5, [38, 4, 4, 39], ["[start]", "a", "a", "[end]"]),
        "album": show.album_figure(PICTURES[0], PICTURES[:4], PICTURES[5], "a red skirt"),
        "gap": show.gap_figure(losses, (100, 500, 900), "empty"),
        "inverting": show.inverting_figure(log, [(0, PICTURES[0]), (10, PICTURES[1])], PICTURES[2], {"empty": 0.055}),
        "compare": show.compare_figure({"a": scores, "b": scores}, {"a": "lower", "b": "higher"}),
        "texts": show.texts_figure(PICTURES[:2], {"empty": PICTURES[:2], "caption": PICTURES[2:4]}, PICTURES[4:6], notes),
        "words": show.words_figure(PICTURES[0], PICTURES[1], MAPS),
        "word": show.word_figure(PICTURES[0], PICTURES[1], MAPS, 3),
        "effect": show.effect_figure(noise(7, WORDS), noise(7, WORDS) - 0.5),
        "path": show.path_figure(PICTURES[:2], PICTURES, {"the pair above": noise(11), "other pair 2": noise(11)}),
        "between": show.between_figure(PICTURES[:2], PICTURES, 5),
    }


def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace():
    settings, before = dict(matplotlib.rcParams), PICTURES.clone()
    for name, figure in every_figure().items():
        assert_fits_and_speaks(name, figure, (400, 900), (120, 1000), 80)
        assert_nothing_is_cut_or_hidden(name, figure, labels_and_titles(figure))
    assert dict(matplotlib.rcParams) == settings
    assert torch.equal(before, PICTURES)


def test_the_table_shows_the_rows_in_the_order_of_the_sentence():
    table = noise(12, 4) - 0.5
    sentence = show.table_figure(table, [7, 2, 7], ["a", "b", "a"]).axes[1]
    assert torch.equal(torch.from_numpy(sentence.images[0].get_array().data), table[[7, 2, 7]])
    assert [label.get_text() for label in sentence.get_yticklabels()] == ["a  7", "b  2", "a  7"]


def test_the_gap_is_in_per_cent_of_the_base():
    base = torch.tensor([[0.1, 0.4], [0.3, 0.4]])
    alt = show.gap_figure({"empty": base, "half": base / 2, "more": base + 0.02}, (100, 900), "empty").alt
    assert "half: -50.0 % at 100, -50.0 % at 900" in alt
    assert "more: +10.0 % at 100, +5.0 % at 900" in alt


def test_a_comparison_gives_mean_and_interval_and_leaves_out_what_is_unknown():
    values = {"m": {"one": torch.tensor([1.0, 2.0, 3.0, torch.nan]), "same": torch.full((4,), 5.0)}}
    alt = show.compare_figure(values, {"m": "lower"}).alt
    assert re.search(r"one 2 \(1\.?\d* to [23]\.?\d*\)", alt), alt
    assert "same 5 (5 to 5)" in alt


def test_words_report_their_mean_share():
    maps = torch.stack([torch.full((4, 3), 0.01), torch.full((4, 3), 0.03)])
    assert "word by word: 1.0, 3.0." in show.words_figure(PICTURES[0], PICTURES[1], maps).alt
    one = show.word_figure(PICTURES[0], PICTURES[1], maps, 2).alt
    assert "word 2 gets at each place, on average 3.0 %" in one and "at most 1.0 points" in one


def test_the_progress_of_a_colour_is_0_at_the_first_and_1_at_the_last_picture():
    flat = torch.stack([torch.full((3, 4, 4), value) for value in (-0.6, -0.1, 0.6)])
    region = torch.zeros(1, 4, 4)
    region[:, 1:3] = 1
    progress = show.colour_progress(flat, region)
    assert progress[0] == 0 and progress[2] == pytest.approx(1) and 0.2 < progress[1] < 0.7
    elsewhere = torch.where(region.bool(), flat, torch.rand(flat.shape))
    torch.testing.assert_close(show.colour_progress(elsewhere, region), progress)


def test_between_says_how_much_of_each_garment():
    assert "70% the first's and 30% the second's" in show.between_figure(PICTURES[:2], PICTURES, 3).alt
