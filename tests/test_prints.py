"""evaluation/prints and reader: a print comes back upright from a worn garment, its reader learns, and chance stays chance."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import TINY

from ladi_mini.evaluation.prints import COLUMNS, ROWS, cells, find_prints, locate, over_print, similarity
from ladi_mini.evaluation.reader import FILE, Reader, accuracy, contrast, disturb, load_reader, printed, read, train_reader
from ladi_mini.presets import MINI
from ladi_mini.sample import collate
from ladi_mini.sums import CheckpointError
from ladi_mini.wardrobe import Wardrobe, letters
from ladi_mini.wardrobe.captions import PRINTABLE
from ladi_mini.wardrobe.dataset import SPLITS, sample
from ladi_mini.warping import identity_grid

PEOPLE = 8


@pytest.fixture(scope="module")
def worn():
    """People with prints at the size of mini."""
    indices = printed("validation", PEOPLE)
    return collate([sample(0, i, MINI.height, MINI.width, True, "upper_body") for i in indices])


def lying_flat(batch):
    """The garments of a batch as if they were worn without any warp."""
    still = identity_grid(*batch.person.shape[2:]).float().expand_as(batch.warp_grid)
    return replace(batch, warp_grid=still, warp_visible=torch.ones_like(batch.warp_visible))


def test_a_print_unwarped_from_the_person_is_the_print_of_the_flat_garment(worn):
    prints, flat = find_prints(worn), find_prints(lying_flat(worn))
    kept = [flat.texts.index(t) for t in prints.texts]
    own = torch.cat([(flat.owner == k).nonzero()[:, 0] for k in kept])
    first, second = cells(worn.target, prints), cells(worn.garment, flat)[own]
    centred = [(x - x.mean((2, 3), keepdim=True)).flatten(1) for x in (first, second)]
    agreement = torch.cosine_similarity(*centred)
    assert len(prints) >= PEOPLE // 2 and agreement.median() > 0.9
    shifted = replace(worn, warp_grid=worn.warp_grid + torch.tensor([12 / 95.5, 0.0]))  # the truth, 12 pixels beside itself
    lost = cells(worn.target, find_prints(replace(shifted, warp_visible=torch.ones_like(worn.warp_visible))))
    assert len(lost) and torch.cosine_similarity(centred[0][:1], (lost - lost.mean((2, 3), keepdim=True)).flatten(1)[:1]) < 0.6


def test_cells_of_a_flat_print_are_its_box_cut_evenly():
    """Text and box on a flat plane: a glyph's strokes lie in its own cell, at the height that the box says."""
    height, width, unit, left, top = 120, 90, 4.0, 20.0, 40.0  # pixels a glyph unit; the first glyph's corner
    text, pen, advance, extent = "IL", letters.PEN, letters.ADVANCE, letters.extent("IL")
    box = torch.tensor([[left - pen * unit, top - pen * unit, left + (extent + pen) * unit, top + (6 + pen) * unit]])
    grid = identity_grid(height, width).float()[None]
    prints = locate(grid, torch.ones(1, 1, height, width), box, [text], torch.tensor([0]))
    assert prints.owner.tolist() == [0, 0] and [PRINTABLE[k] for k in prints.labels] == ["I", "L"]
    assert prints.heights.item() == pytest.approx(6 * unit, rel=1e-4)
    pixels = (prints.grid + 1) / 2 * torch.tensor([width - 1.0, height - 1.0]) + 0.5  # edges count from 0
    middle = pixels.mean((1, 2))
    expected = torch.tensor([[left + (2 + advance * k) * unit, top + 3 * unit] for k in range(2)])
    assert torch.allclose(middle, expected, atol=1e-2)
    assert (pixels[0, 0, 1] - pixels[0, 0, 0])[0].item() == pytest.approx(advance * unit / COLUMNS, rel=1e-3)
    assert (pixels[0, 1, 0] - pixels[0, 0, 0])[1].item() == pytest.approx(8 * unit / ROWS, rel=1e-3)


def test_a_hidden_print_is_left_out(worn):
    whole = find_prints(worn)
    x0, y0, x1, y1 = worn.print_box[whole.rows[0]].tolist()
    place = (worn.warp_grid + 1) / 2 * torch.tensor([MINI.width - 1.0, MINI.height - 1.0])
    half = place[..., 0] < (x0 + x1) / 2
    hidden = replace(worn, warp_visible=worn.warp_visible * ~half[:, None])
    found = find_prints(hidden)
    assert found is None or whole.rows[0] not in found.rows
    assert y1 > y0


def test_no_print_and_no_truth_have_no_prints(worn):
    assert find_prints(replace(worn, print_text=[""] * len(worn))) is None
    assert find_prints(replace(worn, warp_grid=None)) is None


def test_similarity_is_one_for_the_truth_forgives_a_shade_and_falls_with_blur(worn):
    prints = find_prints(worn)
    assert torch.allclose(similarity(worn.target, worn.target, prints), torch.ones(len(prints)), atol=1e-5)
    assert similarity(0.8 * worn.target + 0.1, worn.target, prints).min() > 0.99
    soft = [torch.nn.functional.avg_pool2d(worn.target, k, 1, k // 2) for k in (3, 9, 21)]
    means = [similarity(image, worn.target, prints).mean().item() for image in soft]
    assert 1 > means[0] > means[1] > means[2]
    other = worn.target.flip(0)  # another person's print where this one should be
    assert similarity(other, worn.target, prints).mean() < 0.5


def test_a_print_is_right_only_if_every_glyph_is(worn):
    prints = find_prints(worn)

    class Oracle(torch.nn.Module):
        def __init__(self, wrong):
            super().__init__()
            self.wrong = wrong

        def forward(self, cell):
            answer = prints.labels.clone()
            answer[self.wrong] = (answer[self.wrong] + 1) % len(PRINTABLE)
            return torch.nn.functional.one_hot(answer, len(PRINTABLE)).float()

    right, share, texts = read(Oracle([]), worn.target, prints)
    assert right.tolist() == [1] * len(prints) == share.tolist() and texts == prints.texts
    right, share, texts = read(Oracle([0]), worn.target, prints)
    assert right[0] == 0 and share[0] == pytest.approx(1 - 1 / len(prints.texts[0])) and texts[0] != prints.texts[0]
    assert right[1:].all() and texts[1:] == prints.texts[1:]


def test_values_of_cells_average_over_their_print(worn):
    prints = find_prints(worn)
    values = torch.arange(len(prints.owner)).double()
    expected = [values[prints.owner == k].mean().item() for k in range(len(prints))]
    assert over_print(values, prints).tolist() == pytest.approx(expected)


# ---------------------------------------------------------------- reader


def test_only_people_with_a_print_of_their_split_are_asked_for():
    found = printed("validation", 5)
    assert all(SPLITS["validation"] <= i < SPLITS["test"] for i in found) and found == sorted(set(found))
    for i in found:
        assert sample(0, i, 64, 48, category="upper_body").print_text
    between = [i for i in range(SPLITS["validation"], found[-1]) if i not in found]
    assert all(not sample(0, i, 64, 48, category="upper_body").print_text for i in between[:6])


def test_contrast_forgets_brightness_and_strength_of_a_print():
    cell = torch.rand(2, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(contrast(cell), contrast(0.5 * cell + 0.2), atol=0.15)
    plain = contrast(torch.full((1, 3, ROWS, COLUMNS), 0.3))
    assert plain.abs().max() < 1e-3


def test_disturbing_keeps_about_half_positive_and_stays_near():
    cell = torch.zeros(200, 3, ROWS, COLUMNS)
    cell[:, :, 5:35, 12:16] = 1
    out = disturb(cell, torch.Generator().manual_seed(0))
    signs = out.mean((1, 2, 3)).sign()
    assert 70 < (signs > 0).sum() < 130
    column = out.mean(1).abs().sum(1).argmax(1).float()
    assert (column - 13.5).abs().max() < 6


def test_an_untrained_reader_reads_by_chance(worn):
    torch.manual_seed(0)
    share = read(Reader().eval(), worn.target, find_prints(worn))[1]
    assert share.mean() < 0.4


@pytest.mark.slow
def test_a_reader_learns_from_true_prints_and_is_the_same_from_disk(tmp_path):
    card = train_reader(TINY, tmp_path, people=40, validation=12, steps=40, batch_size=32, seed=1, workers=0)
    assert card["loss"][0]["loss"] > 0.8 * math.log(len(PRINTABLE)) and card["loss"][-1]["loss"] < 0.75 * card["loss"][0]["loss"]
    assert card["held_out"]["glyph_height_px"]["median"] < 12 and card["glyphs"] >= 40
    assert (tmp_path / FILE).stat().st_size < 1e6
    reader = load_reader(tmp_path)
    assert accuracy(reader, TINY, 12, seed=1)["glyph_right"]["mean"] == pytest.approx(
        card["held_out"]["glyph_right"]["mean"], abs=0.1
    )
    data = bytearray((tmp_path / FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_reader(tmp_path)
    assert load_reader(tmp_path / "nowhere") is None


def test_a_test_person_of_the_wardrobe_has_the_print_that_the_garment_has():
    wardrobe = Wardrobe("test", MINI.height, MINI.width, unpaired=True, category="upper_body")
    drawn = collate([wardrobe[i] for i in range(6)])
    prints = find_prints(drawn)
    assert prints is not None and set(prints.texts) <= set(drawn.print_text)
    assert [drawn.print_text[row] for row in prints.rows] == prints.texts
