"""evaluation/deviations.py: each measurement is right where the answer is known, and page and card say the same."""

import json
from functools import cache

import pytest
import torch

from ladi_mini.evaluation import deviations as d
from ladi_mini.training.tryon import TryOnStage
from ladi_mini.warping import identity_grid, regular_points, tps_grid

SHIPPED = json.loads(d.CARD.read_text())


def test_the_page_says_what_the_card_says():
    text = d.PAGE.read_text()
    assert d.fill(text, SHIPPED) == text, "run: python -m ladi_mini.evaluation.deviations"


def test_the_page_has_a_place_for_every_deviation():
    assert [match[2] for match in d.BLOCK.finditer(d.PAGE.read_text())] == list(d.MEASURES) == list(d.sentences(SHIPPED))


def test_people_of_one_size_are_drawn_once_however_it_is_said(monkeypatch):
    monkeypatch.setattr(d, "Wardrobe", lambda *_, **__: range(d.PEOPLE))
    monkeypatch.setattr(d, "collate", lambda samples: object())
    monkeypatch.setattr(d, "_drawn", cache(d._drawn.__wrapped__))
    assert d.people() is d.people(512, 384) is d.people(width=384) is not d.people(64, 48)


def test_a_changed_card_changes_the_page():
    changed = json.loads(json.dumps(SHIPPED))
    changed["posterior"]["mode_db"] = 12.34
    assert "12.34 dB" in d.fill(d.PAGE.read_text(), changed)


def test_the_card_says_what_it_was_measured_on():
    assert (SHIPPED["people"], SHIPPED["height"], SHIPPED["width"]) == (d.PEOPLE, 512, 384)
    assert {"hardware", "versions", "commit", "wardrobe_recipe"} <= set(SHIPPED)


@pytest.mark.parametrize("name", ["drops", "regulariser", "posterior", "start"])
def test_the_card_is_what_is_measured(name):
    measured = d.MEASURES[name]()
    assert measured == pytest.approx(SHIPPED[name], rel=0.02, abs=0.02)


def test_corners_move_a_pixel_by_half_its_grid_coordinate():
    height, width = 32, 24
    grid = identity_grid(height, width)[None]
    own = d.places(grid, height, width, align_corners=True)
    shift = d.places(grid, height, width, align_corners=False) - own
    expected = grid.permute(0, 3, 1, 2) / 2  # ((g + 1) n - 1) / 2 - (g + 1) (n - 1) / 2 = g / 2
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # the border stops the outermost pixels
    assert torch.allclose(shift[inner], expected[inner], atol=1e-9)
    assert torch.allclose(own[0, 0, 0], torch.arange(24.0, dtype=torch.float64))


def test_the_resized_grid_is_as_far_off_as_the_reference_found():
    """0.27 px on average and 0.76 px at most a coordinate, for control points moved at random by 0.08."""
    points = regular_points(5).float() + 0.08 * torch.randn(16, 25, 2, generator=torch.Generator().manual_seed(0))
    pixels = torch.tensor([383 / 2, 511 / 2])
    apart = ((d.resized_grid(points, 512, 384) - tps_grid(points, 512, 384)) * pixels).abs()
    assert apart.mean().item() == pytest.approx(0.27, abs=0.03)
    assert apart.max().item() == pytest.approx(0.76, abs=0.15)


def test_distances_are_euclidean_and_only_over_visible_pixels():
    a, b = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    b[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    visible = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert d.moved(a, b) == {"mean_px": 1.25, "max_px": 5.0}
    assert d.moved(a, b, visible) == {"mean_px": 2.5, "max_px": 5.0}


def test_shares_of_dropped_conditions_are_those_of_chance():
    card = SHIPPED["drops"]
    assert card["released_nothing_seen_per_cent"] == pytest.approx(100 * 0.2**3, abs=0.1)
    assert card["released_all_seen_per_cent"] == pytest.approx(100 * 0.8**3, abs=0.5)
    assert card["ours_nothing_seen_per_cent"] == pytest.approx(100 * (0.1 + 0.9 * 0.1**3), abs=0.3)
    assert card["ours_all_seen_per_cent"] == pytest.approx(100 * 0.9**4, abs=0.5)


def test_the_drops_measured_are_those_of_the_stage():
    stage = object.__new__(TryOnStage)
    stage.preset = d.NANO.with_(condition_dropout=0.2)
    drawn = stage.draw({"mean": torch.zeros(100_000, 1, 1, 1)}, torch.Generator().manual_seed(1))
    drops = torch.stack([drawn[f"drop_{name}"] for name in ("text", "pose", "garment")])
    assert 100 * drops.all(0).float().mean().item() == pytest.approx(SHIPPED["drops"]["ours_nothing_seen_per_cent"], abs=0.4)
    assert 100 * (~drops.any(0)).float().mean().item() == pytest.approx(SHIPPED["drops"]["ours_all_seen_per_cent"], abs=0.6)


def test_ours_keeps_fewer_pixels_that_the_garment_changes():
    masks = SHIPPED["masks"]
    for category in ("upper_body", "lower_body", "dresses"):
        ours, released = (masks[f"{category}_{name}"]["kept_though_changed_per_cent"] for name in ("ours", "released"))
        assert ours <= released
    assert masks["lower_body_released"]["kept_though_changed_per_cent"] > 10  # no skirts


def test_heat_maps_of_ours_keep_their_share_of_the_picture():
    pose = SHIPPED["pose_sigma"]
    assert pose["ours_256_per_cent"] == pytest.approx(pose["ours_512_per_cent"], rel=0.03)
    assert pose["released_256_per_cent"] == pytest.approx(4 * pose["released_512_per_cent"], rel=0.03)
