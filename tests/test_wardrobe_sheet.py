"""The wardrobe's sheet shows each category with its garments and warps, in words too; the stored one is today's."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ladi_mini.sample import InputError
from ladi_mini.show import save_sheet, wardrobe_sheet
from ladi_mini.show.sheets import LINE, MARGIN
from ladi_mini.show.style import BLUE, VERMILLION, rgb
from ladi_mini.show.wardrobe import INNER, PERSON, ROW_GAP
from ladi_mini.wardrobe import RECIPE_VERSION, Wardrobe
from ladi_mini.wardrobe.captions import KINDS

STORED = Path(__file__).parents[1] / "data" / "results" / "wardrobe_sheet.webp"


@pytest.fixture(scope="module")
def sheet():
    return wardrobe_sheet(seed=4, columns=1)


def test_it_says_in_words_what_it_shows(sheet):
    alt = sheet.info["alt"]
    assert alt.startswith("3 drawn people") and all(
        name in alt for name in ("Upper body: a", "Lower body: a", "Dresses: a", "true warp"))  # fmt: skip
    for row, category in enumerate(KINDS):
        assert Wardrobe("test", 64, 48, seed=4, category=category)[row].caption in alt


def test_every_person_has_a_picture_and_a_grid_in_both_colours(sheet):
    height, width = PERSON
    small = height // 2, (width - INNER) // 2
    for row in range(3):
        top = MARGIN + 4 * LINE + row * (height + INNER + small[0] + 2 * LINE + ROW_GAP)
        person = np.asarray(sheet.crop((MARGIN, top, MARGIN + width, top + height)))
        assert len(np.unique(person.reshape(-1, 3), axis=0)) > 500, row  # drawn, not a blank panel
        left, below = MARGIN + width - small[1], top + height + INNER
        grid = np.asarray(sheet.crop((left, below, left + small[1], below + small[0]))).reshape(-1, 3) / 255
        for colour in (BLUE, VERMILLION):
            assert (np.abs(grid - rgb(colour)).max(1) < 0.12).sum() > 150, row
    assert not np.array_equal(np.asarray(sheet), np.asarray(wardrobe_sheet(seed=5, columns=1)))


def test_it_is_saved_with_its_words_inside_and_beside(sheet, tmp_path):
    for ending in (".webp", ".jpg", ".png"):
        path = tmp_path / "new" / f"sheet{ending}"
        save_sheet(sheet, path)
        with Image.open(path) as saved:
            assert saved.size == sheet.size and saved.getexif()[0x010E] == sheet.info["alt"]
        assert json.loads(path.with_suffix(".json").read_text()) == {
            "alt": sheet.info["alt"],
            "seed": 4,
            "recipe": RECIPE_VERSION,
        }
    with pytest.raises(InputError, match="webp"):
        save_sheet(sheet, tmp_path / "sheet.gif")
    assert not [p for p in tmp_path.rglob(".*")]


def test_the_stored_sheet_is_small_and_of_todays_recipe():
    card = json.loads(STORED.with_suffix(".json").read_text())
    assert STORED.stat().st_size < 600_000 and card["recipe"] == RECIPE_VERSION
    assert card["alt"].startswith("24 drawn people")
    for row, category in enumerate(KINDS):
        for column in (0, 7):
            caption = Wardrobe("test", 64, 48, seed=card["seed"], category=category)[8 * row + column].caption
            assert caption in card["alt"]
