"""The wardrobe draws people whose garments, warps and other outfits are known."""

import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import PARSE_LABELS, InputError, TryOnBatch, TryOnSample
from ladi_mini.wardrobe import Wardrobe, dataset, letters, packed, sample
from ladi_mini.wardrobe.canvas import Canvas, Frame, Size, smooth
from ladi_mini.wardrobe.captions import KINDS, PATTERNS, PRINTABLE, SLEEVES, UNWANTED
from ladi_mini.wardrobe.dressing import draw_many
from ladi_mini.wardrobe.garments import draw_garment
from ladi_mini.wardrobe.people import LABEL, Arm

SIZES = [(64, 48), (256, 192)]


def tensors(value: TryOnSample) -> dict[str, torch.Tensor]:
    return {name: field for name, field in vars(value).items() if isinstance(field, torch.Tensor)}


def assert_same(a: TryOnSample, b: TryOnSample):
    for name, field in tensors(a).items():
        assert torch.equal(field, getattr(b, name)), name
    assert (a.caption, a.category, a.name, a.print_text) == (b.caption, b.category, b.name, b.print_text)


def test_a_sample_depends_on_its_arguments_alone():
    first = sample(3, 5, 64, 48, unpaired=True)
    np.random.seed(0)
    torch.manual_seed(1)
    sample(3, 6, 64, 48)
    assert_same(first, sample(3, 5, 64, 48, unpaired=True))
    for other in (sample(4, 5, 64, 48, unpaired=True), sample(3, 8, 64, 48, unpaired=True)):
        assert not torch.equal(first.person, other.person)
        assert not torch.equal(first.garment, other.garment)


@pytest.mark.parametrize("index", range(6))
def test_two_sizes_show_one_person_in_one_garment(index):
    small, large = sample(0, index, 64, 48), sample(0, index, 256, 192)
    for name in ("person", "garment"):
        reduced = cv2.resize(getattr(large, name).permute(1, 2, 0).numpy(), (48, 64), interpolation=cv2.INTER_AREA)
        difference = (torch.from_numpy(reduced).permute(2, 0, 1) - getattr(small, name)).abs()
        assert difference.mean() < 0.03, name  # of a range of 2
    assert small.caption == large.caption
    both = small.keypoint_visible & large.keypoint_visible
    assert torch.allclose((large.keypoints[both] + 0.5) / 4 - 0.5, small.keypoints[both], atol=0.01)
    assert torch.allclose(large.print_box / 4, small.print_box, atol=0.01)


def test_splits_share_no_sample_and_take_turns_in_category():
    train, test = Wardrobe("train", 64, 48), Wardrobe("test", 64, 48)
    assert len(train) == 40_000 and len(Wardrobe("validation", 64, 48, count=7)) == 7
    ranges = [range(dataset.SPLITS[s], dataset.SPLITS[s] + dataset.LENGTHS[s]) for s in dataset.SPLITS]
    assert all(a.stop <= b.start for a, b in pairwise(ranges))
    assert not torch.equal(train[0].person, test[0].person)
    assert [train[i].category for i in range(3)] == list(CATEGORIES)
    assert {Wardrobe("train", 64, 48, category="dresses")[i].category for i in range(3)} == {"dresses"}
    with pytest.raises(InputError, match="one of train, validation, test"):
        Wardrobe("trian", 64, 48)
    with pytest.raises(InputError, match="upper_body"):
        Wardrobe("train", 64, 48, category="hats")
    with pytest.raises(IndexError):
        train[40_000]


@pytest.mark.parametrize("index", range(9))
def test_a_paired_person_wears_the_garment_and_an_unpaired_one_another(index):
    paired, unpaired = sample(0, index, 64, 48), sample(0, index, 64, 48, unpaired=True)
    assert torch.equal(paired.person, paired.target)
    assert torch.equal(paired.target, unpaired.target)
    assert torch.equal(paired.garment, unpaired.garment)
    assert torch.equal(paired.warp_grid, unpaired.warp_grid)
    shown = unpaired.warp_visible.bool().expand(3, -1, -1)
    assert (unpaired.person - unpaired.target).abs()[shown].mean() > 0.15


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_persons_differ_only_where_the_mask_allows_it(height, width):
    for index in range(45 if height == 64 else 15):
        it = sample(1, index, height, width, unpaired=True)
        outside = it.inpaint_mask[0] == 0
        differs = (it.person - it.target).abs().amax(0) > 2 / 127.5
        assert (differs & outside).sum() <= 0.005 * outside.sum(), index
        assert 0.05 < it.inpaint_mask.mean() < 0.75


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_true_warp_of_the_garment_is_the_worn_garment_up_to_its_folds(height, width):
    wrong_warp = []
    for index in range(15):
        it = sample(2, index, height, width)
        visible = it.warp_visible[0].bool()
        assert visible.any()
        worn = (it.target[:, visible] + 1) / 2
        for shift, collect in ((0.0, None), (0.12, wrong_warp)):
            warped = grid_sample(it.garment[None], it.warp_grid[None] + shift, align_corners=True)[0]
            cloth = (warped[:, visible] + 1) / 2
            light = (worn * cloth).sum(0) / (cloth * cloth).sum(0)
            residual = (worn - light * cloth).abs().mean(0)
            if collect is None:
                assert residual.mean() < 0.035, index
                assert residual.median() < 0.02, index
                assert ((light > 0.6) & (light < 1.2)).float().mean() > 0.9, index
                right = residual.mean()
            elif " with " in it.caption and any(p in it.caption for p in ("stripes", "checks", "dots", "flowers")):
                collect.append(residual.mean() / right)
    assert np.median(wrong_warp) > 2  # a warp that is off by an eighth of the picture is far worse


def test_the_warp_is_finite_everywhere_and_points_into_the_garment():
    for index in range(12):
        it = sample(0, index, 64, 48)
        assert torch.isfinite(it.warp_grid).all() and it.warp_grid.abs().max() <= 1
        hit = grid_sample(it.garment_mask[None], it.warp_grid[None], align_corners=True)[0, 0]
        assert hit[it.warp_visible[0].bool()].mean() > 0.97
        worn = it.warped_garment.ne(1).any(0)
        assert (worn & it.warp_visible[0].bool()).sum() >= 0.95 * it.warp_visible.sum()
        assert torch.equal(it.warped_garment[:, worn], it.target[:, worn])


def test_the_warp_is_smooth_inside_a_panel():
    it = sample(0, 2, 256, 192)  # a dress
    grid, visible = it.warp_grid, it.warp_visible[0].bool()
    step = (grid[:, 1:] - grid[:, :-1]).norm(dim=-1)[visible[:, 1:] & visible[:, :-1]]
    assert step.median() > 0 and torch.quantile(step, 0.97) < 4 * step.median()


def test_every_kind_sleeve_and_pattern_appears_in_300_samples():
    garments = [draw_garment(np.random.default_rng((7, i)), CATEGORIES[i % 3]).attributes for i in range(300)]
    assert {g.kind for g in garments} == {kind for kinds in KINDS.values() for kind in kinds}
    assert {g.pattern for g in garments} == set(PATTERNS)
    assert {g.sleeves for g in garments} == {"", *SLEEVES}
    lengths = {len(g.text) for g in garments}
    assert lengths == {0, 1, 2, 3}


def test_samples_are_valid_and_hold_every_truth():
    for index in range(9):
        it = sample(5, index, 64, 48, unpaired=True)  # TryOnSample checks itself
        assert all(
            getattr(it, name) is not None for name in ("warp_grid", "warp_visible", "warped_garment", "target", "print_box")
        )
        labels = set(it.parse.unique().tolist())
        worn = {"upper_body": {5}, "lower_body": {9, 12}, "dresses": {6}}[it.category]
        assert labels & worn and {0, 2, 13} <= labels and labels <= {0, 2, 5, 6, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19}
        height, width = it.parse.shape
        x, y = it.keypoints[it.keypoint_visible].T
        assert ((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).all()
        right, left = it.keypoints[2], it.keypoints[5]
        assert right[0] < left[0]  # the person faces us
        corners = it.garment[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == 1).all()  # lies on white


def test_labels_are_those_of_the_sample_module():
    for name, number in LABEL.items():
        assert PARSE_LABELS[number] == name


def test_a_print_is_inside_its_box_and_nowhere_else():
    found = 0
    for index in range(0, 60, 3):
        it = sample(0, index, 256, 192)
        if not it.print_text or " block" in it.caption:
            continue
        found += 1
        x0, y0, x1, y1 = it.print_box.round().int().tolist()
        assert 0 < x0 < x1 < 192 and 0 < y0 < y1 < 256
        box = it.garment[:, y0:y1, x0:x1].reshape(3, -1)
        below = it.garment[:, min(y1 + 3, 255), (x0 + x1) // 2]
        assert (box - below[:, None]).abs().sum(0).gt(0.35).float().mean() > 0.1, it.caption
    assert found >= 5


def test_every_printable_character_has_its_own_strokes():
    drawn = {character: str(letters.strokes(character)) for character in PRINTABLE}
    assert len(set(drawn.values())) == len(PRINTABLE) == 36
    points = np.concatenate([p for c in PRINTABLE for p in letters.strokes(c)])
    assert points.min() == 0 and points.max(0).tolist() == [4, 6]


def test_an_arm_and_its_inverse_agree():
    for wrist in ((0.05, 0.45), (0.16, 0.36), (0.02, 0.38)):
        arm = Arm(1, np.array((0.1, 0.2)), np.array((0.15, 0.35)), np.array(wrist))
        line, s = arm.line(40)
        along, distance = arm.locate(line[:, 0], line[:, 1])
        assert np.allclose(along, s, atol=1e-6) and np.allclose(distance, 0, atol=1e-9)
        step = np.linalg.norm(np.diff(line, axis=0), axis=1)
        assert np.allclose(step, arm.length / 39, rtol=0.01)


@pytest.mark.parametrize("unpaired", [False, True])
def test_packed_equals_single_samples(unpaired):
    data = packed("validation", 6, 64, 48, seed=1, unpaired=unpaired, workers=0)
    split = Wardrobe("validation", 64, 48, seed=1, unpaired=unpaired)
    batch = data.batch(torch.tensor([4, 0, 1]))
    assert len(data) == 6 and isinstance(batch, TryOnBatch) and len(batch) == 3
    for place, i in enumerate((4, 0, 1)):
        assert_same(data[i], split[i])
        for name, field in tensors(split[i]).items():
            assert torch.equal(getattr(batch, name)[place], field), name
    assert batch.caption == [split[i].caption for i in (4, 0, 1)]
    assert data.nbytes / 6 < 60_000  # 4096 samples stay far below 400 MB


def test_packing_loses_less_than_half_a_pixel_of_the_warp():
    drawing = draw_many((0, range(3), 256, 192, False, None))
    for i, exact in enumerate(drawing):
        kept = sample(0, i, 256, 192).warp_grid.numpy()
        assert np.abs(kept - exact.warp_grid).max() * 192 / 2 < 0.1


def test_a_cache_file_is_read_back_and_never_half_written(tmp_path, monkeypatch):
    first = packed("train", 4, 64, 48, cache_dir=tmp_path, workers=0)
    (file,) = tmp_path.iterdir()
    assert str(dataset.RECIPE_VERSION) in file.name and "4x64x48" in file.name
    monkeypatch.setattr(dataset, "draw_many", None)  # may not draw again
    again = packed("train", 4, 64, 48, cache_dir=tmp_path, workers=0)
    for i in range(4):
        assert_same(first[i], again[i])
    monkeypatch.undo()

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(dataset.np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        packed("train", 3, 64, 48, cache_dir=tmp_path, workers=0)
    assert list(tmp_path.iterdir()) == [file]


def test_worker_processes_draw_the_same(tmp_path):
    drawn = packed("test", 66, 64, 48, workers=2)
    alone = Wardrobe("test", 64, 48)
    assert len(drawn) == 66
    for i in (0, 63, 64, 65):
        assert_same(drawn[i], alone[i])


def test_drawing_needs_no_torch():
    code = "import sys; from ladi_mini.wardrobe.dressing import draw_many; draw_many((0, [0], 64, 48, True, None))"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_chance_prints_no_words_and_no_codes():
    texts = {draw_garment(np.random.default_rng(seed), "upper_body").attributes.text for seed in range(3000)}
    letters_only = {t for t in texts if len(t) > 1 and t.isalpha()}
    assert len(letters_only) > 100 and not any(set(t) & set("AEIOUYFKS") for t in letters_only)
    assert not texts & UNWANTED and {t for t in texts if len(t) == 1} >= set("AEIO159")


def test_two_in_five_tops_have_a_print_that_can_be_read():
    tops = [draw_garment(np.random.default_rng((9, i)), "upper_body") for i in range(1500)]
    printed = [top for top in tops if top.attributes.text]
    assert 0.36 < len(printed) / len(tops) < 0.44
    smallest_person = 0.86  # picture heights to a body height
    assert min(top.text_size for top in printed) * smallest_person * 256 > 9


def test_details_finer_than_a_quarter_of_a_pixel_are_left_out():
    frame, detail = Frame(0.5, 0.0, 0.0), 0.01  # 0.005 of the picture's height
    assert Canvas(Size(128, 96, 2), frame).shows(detail) and not Canvas(Size(64, 48, 2), frame).shows(detail)
    assert not Canvas(Size(128, 96, 4), frame).shows(detail)  # more canvas pixels make no larger picture


def test_a_smooth_curve_goes_through_its_knots_and_turns_nowhere_else():
    knots, values = (0.0, 0.1, 0.5, 0.6, 1.0), (0.0, 1.0, 1.2, 3.0, 2.0)
    assert np.allclose(smooth(knots, values, np.array(knots)), values)
    assert np.allclose(smooth(knots, values, np.array((-1.0, 2.0))), (0.0, 2.0))
    at = np.linspace(0, 1, 501)
    curve = smooth(knots, values, at)
    assert (np.diff(curve[at <= 0.6]) >= -1e-12).all() and (np.diff(curve[at >= 0.6]) <= 1e-12).all()
