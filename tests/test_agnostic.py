"""Pose maps and inpaint masks: what must hold for every person, and each mend of the authors' rule beside the fault."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ladi_mini import agnostic
from ladi_mini.agnostic import DRESSCODE, VITONHD, garment_region, inpaint_mask, pose_map, pose_maps, to_vitonhd_labels
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import KEYPOINTS, PARSE_LABELS, InputError

SETS = {"vitonhd": VITONHD, "dresscode": DRESSCODE}
# A standing person in a picture of 384 x 512, joint by joint
JOINTS = {
    "nose": (192, 70), "right_eye": (180, 60), "left_eye": (204, 60), "right_ear": (168, 65), "left_ear": (216, 65),
    "neck": (192, 128), "right_shoulder": (147, 130), "left_shoulder": (237, 130),
    "right_elbow": (130, 200), "left_elbow": (254, 200), "right_wrist": (118, 265), "left_wrist": (266, 265),
    "right_hip": (165, 265), "left_hip": (219, 265), "right_knee": (162, 360), "left_knee": (222, 360),
    "right_ankle": (160, 455), "left_ankle": (224, 455),
}  # fmt: skip
POINTS = np.array([JOINTS[name] for name in KEYPOINTS], dtype=float)
SEEN = np.ones(18, dtype=bool)


def person(labels="vitonhd", height=512, hem=290, bottom="pants", lower_hem=455, wide=0, dress=False):
    """(parse, keypoints, visible): a shirt to y = `hem`, `bottom` to `lower_hem`, `wide` px wider; pixels at a height of 512."""
    scale = height / 512
    parse = np.zeros((height, height * 3 // 4), dtype=np.uint8)

    def paint(name, draw, *args, **kwargs):
        if name in SETS[labels].names:
            canvas = np.zeros_like(parse)
            draw(canvas, *args, 1, **kwargs)
            parse[canvas > 0] = SETS[labels].names.index(name)

    def at(name):
        return tuple(np.rint(np.array(JOINTS[name]) * scale).astype(int).tolist())

    def box(name, x0, y0, x1, y1):
        if y1 > y0:
            start, end = (tuple(np.rint(np.array(corner) * scale).astype(int).tolist()) for corner in ((x0, y0), (x1, y1)))
            paint(name, cv2.rectangle, start, end, thickness=-1)

    thick = max(1, round(20 * scale))
    paint("hair", cv2.circle, at("nose"), round(46 * scale), thickness=-1)
    for side in ("left", "right"):
        for a, b in (("hip", "knee"), ("knee", "ankle")):
            paint(f"{side}_leg", cv2.line, at(f"{side}_{a}"), at(f"{side}_{b}"), thickness=thick)
        ankle = JOINTS[f"{side}_ankle"]
        box(f"{side}_shoe", ankle[0] - 12, 458, ankle[0] + 12, 480)
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist")):
            paint(f"{side}_arm", cv2.line, at(f"{side}_{a}"), at(f"{side}_{b}"), thickness=thick)
        hand = 2 * np.array(JOINTS[f"{side}_wrist"]) - JOINTS[f"{side}_elbow"]
        hand = np.array(JOINTS[f"{side}_wrist"]) + 0.4 * (hand - JOINTS[f"{side}_wrist"])
        paint(f"{side}_arm", cv2.circle, tuple(np.rint(hand * scale).astype(int).tolist()), round(9 * scale), thickness=-1)
    box("neck" if "neck" in SETS[labels].names else "face", 178, 95, 206, 132)
    box("dress" if dress else bottom, 155 - wide, 250, 229 + wide, lower_hem)
    box("dress" if dress else "upper", 147, 128, 237, hem)
    paint("face", cv2.circle, at("nose"), round(34 * scale), thickness=-1)
    return parse, POINTS * scale, SEEN


def mask_of(parts, category, **options) -> np.ndarray:
    return inpaint_mask(*parts, category, **options)[0].numpy() > 0


def where(parts, labels, *names) -> np.ndarray:
    return SETS[labels].where(parts[0], names)


def overlap(a, b) -> float:
    return (a & b).sum() / (a | b).sum()


# Pose maps


def test_pose_map_is_a_gaussian_of_the_distance():
    height, width = 128, 96
    rng = np.random.RandomState(0)
    points = rng.uniform(-5, 100, (18, 2))
    got = pose_map(points, SEEN, height, width).numpy()
    y, x = np.mgrid[:height, :width]
    distance = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    assert np.abs(got - np.exp(-distance / (9 * height / 512) ** 2)).max() < 1e-6


def test_pose_map_scales_with_the_picture_in_ours_only():
    half = POINTS / 2
    ours = pose_map(POINTS, SEEN, 512, 384)[:, ::2, ::2] - pose_map(half, SEEN, 256, 192)
    released = [pose_map(p, SEEN, h, w, convention="released").mean() for p, h, w in ((POINTS, 512, 384), (half, 256, 192))]
    assert ours.abs().max() < 1e-6
    assert released[1] / released[0] == pytest.approx(4, rel=0.01)  # the fault: four times the share of the picture


def test_invisible_and_unnumbered_keypoints_leave_an_empty_map():
    points, seen = POINTS.copy(), SEEN.copy()
    seen[3] = False
    points[5] = np.nan
    maps = pose_map(points, seen, 64, 48)
    assert not maps[3].any()
    assert not maps[5].any()
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize("convention", ["ours", "released"])
def test_pose_maps_of_a_batch_are_the_maps_of_its_members(convention):
    points = torch.from_numpy(np.stack([POINTS / 4, POINTS / 4 + 3, POINTS / 4 - 7]))
    seen = torch.rand(3, 18, generator=torch.Generator().manual_seed(0)) > 0.3
    batch = pose_maps(points, seen, 128, 96, convention=convention)
    single = [pose_map(p, s, 128, 96, convention=convention) for p, s in zip(points, seen, strict=True)]
    assert batch.shape == (3, 18, 128, 96)
    assert torch.equal(batch, torch.stack(single))


def test_released_pose_map_peaks_at_one_on_a_pixel():
    assert torch.equal(pose_map(POINTS + 0.4, SEEN, 512, 384, convention="released").amax((1, 2)), torch.ones(18))


# Masks


@pytest.mark.parametrize("labels", SETS)
@pytest.mark.parametrize("category", CATEGORIES)
def test_mask_scales_with_the_picture(labels, category):
    large = mask_of(person(labels), category, labels=labels)
    small = mask_of(person(labels, 256), category, labels=labels).repeat(2, 0).repeat(2, 1)
    assert overlap(large, small) > 0.97


def test_released_mask_does_not_scale_with_the_picture():
    large = mask_of(person("dresscode"), "upper_body", labels="dresscode", convention="released")
    small = mask_of(person("dresscode", 256), "upper_body", labels="dresscode", convention="released").repeat(2, 0).repeat(2, 1)
    assert overlap(large, small) < 0.9


@pytest.mark.parametrize("labels", SETS)
@pytest.mark.parametrize("category", CATEGORIES)
def test_mask_covers_the_garment_and_spares_head_hands_and_shoes(labels, category):
    parts = person(labels, dress=category == "dresses")
    mask = mask_of(parts, category, labels=labels)
    assert mask[garment_region(parts[0], category, labels=labels)[0].bool().numpy()].all()
    spared = where(parts, labels, "hair", "left_shoe", "right_shoe")
    spared[:100] |= where(parts, labels, "face")[:100]
    arms = where(parts, labels, "left_arm", "right_arm")
    beyond_wrists = arms & (np.arange(512)[:, None] > JOINTS["left_wrist"][1] + 4)
    assert beyond_wrists.sum() > 200
    assert not mask[spared | beyond_wrists].any()


@pytest.mark.parametrize("labels", SETS)
def test_mask_of_trousers_does_not_tell_them_from_a_short_skirt(labels):
    short = mask_of(person(labels, bottom="skirt", lower_hem=330), "lower_body", labels=labels)
    long = mask_of(person(labels, bottom="pants"), "lower_body", labels=labels)
    assert overlap(short, long) > 0.97


@pytest.mark.parametrize("labels", SETS)
def test_mask_of_a_lower_body_does_not_tell_its_width(labels):
    narrow, wide = (mask_of(person(labels, bottom="skirt", wide=wide), "lower_body", labels=labels) for wide in (0, 15))
    assert overlap(narrow, wide) > 0.97


def test_released_mask_tells_trousers_from_a_short_skirt():
    short = mask_of(person("dresscode", bottom="skirt", lower_hem=330), "lower_body", labels="dresscode", convention="released")
    long = mask_of(person("dresscode", bottom="pants"), "lower_body", labels="dresscode", convention="released")
    assert overlap(short, long) < 0.8


@pytest.mark.parametrize("labels", SETS)
def test_mask_of_a_dress_does_not_tell_its_length(labels):
    short = mask_of(person(labels, dress=True, lower_hem=320), "dresses", labels=labels)
    long = mask_of(person(labels, dress=True, lower_hem=455), "dresses", labels=labels)
    assert overlap(short, long) > 0.97


@pytest.mark.parametrize("labels", SETS)
def test_mask_of_a_top_does_not_tell_its_length(labels):
    cropped = mask_of(person(labels, hem=230), "upper_body", labels=labels)
    long = mask_of(person(labels, hem=280), "upper_body", labels=labels)
    assert overlap(cropped, long) > 0.97
    released = [mask_of(person(labels, hem=hem), "upper_body", labels=labels, convention="released") for hem in (230, 280)]
    assert overlap(*released) < 0.95


@pytest.mark.parametrize("labels", SETS)
@pytest.mark.parametrize("category", CATEGORIES)
def test_whatever_the_person_wears_there_is_room_for_the_category(labels, category):
    """Somebody in a dress and somebody in shirt and trousers get nearly the same mask, where the category does not say more."""
    outfit, dress = person(labels), person(labels, dress=True, hem=290)
    if category == "dresses":
        assert overlap(mask_of(outfit, category, labels=labels), mask_of(dress, category, labels=labels)) > 0.97
    else:
        assert not (mask_of(outfit, category, labels=labels) & ~mask_of(dress, category, labels=labels)).mean() > 0.02


def test_skirts_are_repainted_as_lower_bodies():
    parts = person("dresscode", bottom="skirt", lower_hem=430, wide=60)
    skirt = where(parts, "dresscode", "skirt")
    assert mask_of(parts, "lower_body", labels="dresscode")[skirt].all()
    assert not mask_of(parts, "lower_body", labels="dresscode", convention="released")[skirt].all()  # the fault


@pytest.mark.parametrize(
    "missing", [("right_wrist", "left_wrist"), ("left_elbow", "left_wrist", "right_wrist"), ("right_shoulder",)]
)
def test_missing_joints_do_not_pull_the_mask_to_the_corner(missing):
    parse, points, seen = person("vitonhd")
    gone = [KEYPOINTS.index(name) for name in missing]
    points, seen = points.copy(), seen.copy()
    points[gone], seen[gone] = 0, False
    corner = np.s_[:40, :60]
    assert not mask_of((parse, points, seen), "upper_body")[corner].any()
    assert mask_of((parse, points, seen), "upper_body", convention="released")[corner].any()  # the fault


def test_a_missing_joint_changes_the_mask_near_it_only():
    parse, points, seen = person("vitonhd")
    complete = mask_of((parse, points, seen), "upper_body")
    seen = seen.copy()
    seen[KEYPOINTS.index("left_wrist")] = False
    changed = np.argwhere(complete != mask_of((parse, points, seen), "upper_body"))
    assert len(changed)
    assert changed[:, 1].min() > JOINTS["left_hip"][0]
    assert changed[:, 0].min() > JOINTS["left_elbow"][1] - 40


@pytest.mark.parametrize("name", ["right_shoulder", "left_shoulder"])
def test_an_undetected_shoulder_is_mirrored_at_the_neck(name):
    parse, points, seen = np.zeros((512, 384), np.uint8), POINTS, SEEN.copy()
    complete = mask_of((parse, points, seen), "upper_body")
    seen[KEYPOINTS.index(name)] = False
    assert overlap(complete, mask_of((parse, points, seen), "upper_body")) > 0.97


def test_undetected_hips_and_legs_are_guessed_from_the_shoulders():
    parse, points, seen = np.zeros((512, 384), np.uint8), POINTS, SEEN.copy()
    complete = mask_of((parse, points, seen), "dresses")
    for name in ("right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle"):
        seen[KEYPOINTS.index(name)] = False
    assert overlap(complete, mask_of((parse, points, seen), "dresses")) > 0.85


def test_a_hand_on_the_other_arm_stays():
    parse, points, seen = person("vitonhd")
    points = points.copy()
    elbow, wrist = KEYPOINTS.index("left_elbow"), KEYPOINTS.index("left_wrist")
    points[elbow], points[wrist] = (235, 215), (165, 200)  # the left forearm lies across the chest
    hand = np.zeros_like(parse)
    cv2.line(hand, (160, 199), (140, 195), 1, 18)  # and its hand on the right upper arm
    parse[hand > 0] = PARSE_LABELS.index("left_arm")
    mask = mask_of((parse, points, seen), "upper_body")
    assert mask[hand > 0].mean() < 0.2
    beside = np.s_[186:196, 125:129]  # before the bar beyond the wrist ends, but on the right arm
    assert (parse[beside] == PARSE_LABELS.index("right_arm")).all()
    assert mask[beside].all()
    assert mask_of((parse, points, seen), "upper_body", convention="released")[hand > 0].mean() > 0.8  # the fault


@pytest.mark.parametrize(("size", "thickness"), [(1.0, 0.6 * 90), (1.4, 0.6 * 90 * 1.4), (0.5, 45), (2.5, 90)])
def test_sleeves_are_as_thick_as_the_person_is_wide(size, thickness):
    """0.6 shoulder widths, within the authors' two thicknesses; measured across a forearm held out to the side."""
    points = (POINTS - POINTS[1]) * size + POINTS[1]
    shoulder, elbow, wrist = (KEYPOINTS.index(f"right_{joint}") for joint in ("shoulder", "elbow", "wrist"))
    points[elbow], points[wrist] = points[shoulder] - [30, 0], points[shoulder] - [130, 0]
    mask = mask_of((np.zeros((512, 384), np.uint8), points, SEEN), "upper_body")
    across = mask[:, max(0, round(points[wrist][0]) + 4)].sum()
    assert across == pytest.approx(thickness + 2 * agnostic.DILATION, abs=2)


def test_hair_on_the_chest_stays_in_ours_and_goes_in_released():
    parse, points, seen = person("dresscode")
    parse[128:200, 150:165] = DRESSCODE.names.index("hair")
    lock = np.s_[135:195, 152:163]
    assert not mask_of((parse, points, seen), "upper_body", labels="dresscode")[lock].any()
    assert mask_of((parse, points, seen), "upper_body", labels="dresscode", convention="released")[lock].all()


def test_dress_codes_neck_is_no_face():
    parse, points, seen = person("dresscode")
    converted = to_vitonhd_labels(parse, points, seen).numpy()
    face, neck = PARSE_LABELS.index("face"), PARSE_LABELS.index("neck")
    assert converted[70, 192] == face
    assert converted[122, 192] == neck
    mask = mask_of((parse, points, seen), "upper_body", labels="dresscode")
    assert mask[converted == neck].all()
    assert not mask[converted == face].any()


def test_the_collar_line_follows_the_shoulders_and_stays_below_the_nose():
    parse, points, seen = person("dresscode")
    face, neck = PARSE_LABELS.index("face"), PARSE_LABELS.index("neck")
    tilted = points.copy()
    tilted[KEYPOINTS.index("right_shoulder"), 1], tilted[KEYPOINTS.index("left_shoulder"), 1] = 110, 150
    converted = to_vitonhd_labels(parse, tilted, seen).numpy()
    assert (converted[110, 180], converted[110, 204]) == (neck, face)
    raised = points.copy()  # arms up: the shoulders come up to the chin
    raised[[KEYPOINTS.index("right_shoulder"), KEYPOINTS.index("left_shoulder")], 1] = 80
    assert to_vitonhd_labels(parse, raised, seen).numpy()[72, 192] == face


def test_label_conversion_keeps_every_name_that_both_sets_have():
    numbers = np.arange(len(DRESSCODE.names)).reshape(1, -1)
    converted = to_vitonhd_labels(numbers, POINTS, np.zeros(18, bool))[0].tolist()
    moved = {"belt": "pants", "bag": "background"}
    assert [PARSE_LABELS[label] for label in converted] == [moved.get(name, name) for name in DRESSCODE.names]


def test_nothing_to_see_gives_an_empty_mask():
    empty = np.zeros((64, 48), dtype=np.int64)
    for category in CATEGORIES:
        assert not inpaint_mask(empty, POINTS, np.zeros(18, bool), category).any()


def test_tensors_and_arrays_give_the_same_mask_and_are_left_alone():
    parse, points, seen = person("vitonhd", 128)
    before = parse.copy(), points.copy(), seen.copy()
    tensors = torch.from_numpy(parse).long(), torch.from_numpy(points).float(), torch.from_numpy(seen)
    for category in CATEGORIES:
        assert torch.equal(inpaint_mask(*tensors, category), inpaint_mask(parse, points.astype(np.float32), seen, category))
    assert all(np.array_equal(a, b) for a, b in zip(before, (parse, points, seen), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parse": np.full((64, 48), 20)}, "labels 20 to 20, expected 0 to 19"),
        ({"parse": np.full((64, 48), -1)}, "labels -1"),
        ({"parse": np.zeros((64, 48, 3), np.uint8)}, "shape"),
        ({"parse": np.zeros((64, 48), np.float32)}, "float32"),
        ({"keypoints": np.zeros((25, 2))}, "18 COCO keypoints"),
        ({"visible": np.zeros(17, bool)}, "18 COCO keypoints"),
        ({"category": "shoes"}, "upper_body, lower_body, dresses"),
        ({"labels": "atr"}, "vitonhd, dresscode"),
        ({"convention": "theirs"}, "ours, released"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(change, message):
    arguments = {"parse": np.zeros((64, 48), np.uint8), "keypoints": POINTS / 8, "visible": SEEN, "category": "dresses"} | change
    with pytest.raises(InputError, match=message):
        inpaint_mask(**arguments)


COORDINATE = st.one_of(st.floats(-60, 160), st.sampled_from([0.0, 1e9, -1e9, float("nan"), float("inf")]))


@given(
    seed=st.integers(0, 10_000),
    coordinates=st.lists(COORDINATE, min_size=36, max_size=36),
    visible=st.lists(st.booleans(), min_size=18, max_size=18),
    category=st.sampled_from(CATEGORIES),
    labels=st.sampled_from(sorted(SETS)),
    size=st.sampled_from([(64, 48), (8, 6), (33, 71), (1, 1)]),
    blocks=st.booleans(),
)
def test_any_person_gets_a_mask_that_spares_the_face(seed, coordinates, visible, category, labels, size, blocks):
    rng = np.random.RandomState(seed)
    parse = rng.randint(0, len(SETS[labels].names), (4, 3) if blocks else size).astype(np.uint8)
    parse = cv2.resize(parse, size[::-1], interpolation=cv2.INTER_NEAREST) if blocks else parse
    points, seen = np.array(coordinates).reshape(18, 2), np.array(visible)
    for convention in ("ours", "released"):
        mask = inpaint_mask(parse, points, seen, category, labels=labels, convention=convention)
        assert mask.shape == (1, *size)
        assert bool(((mask == 0) | (mask == 1)).all())
        assert torch.equal(mask, inpaint_mask(parse, points, seen, category, labels=labels, convention=convention))
        maps = pose_map(points, seen, *size, convention=convention)
        assert maps.shape == (18, *size)
        assert bool(((maps >= 0) & (maps <= 1)).all())
    mask = mask_of((parse, points, seen), category, labels=labels)
    common = to_vitonhd_labels(parse, points, seen).numpy() if labels == "dresscode" else parse
    head = VITONHD.where(common.astype(np.uint8), (*agnostic.HEAD, *agnostic.SHOES))
    assert not mask[head].any()


@pytest.mark.parametrize("convention", ["ours", "released"])
@pytest.mark.parametrize("size", [(64, 48), (256, 192)])
def test_heat_maps_made_on_a_device_are_those_made_here(convention, size):
    points = np.random.default_rng(0).uniform(-20, 220, (5, 18, 2)).astype(np.float32)
    seen = np.random.default_rng(1).uniform(size=(5, 18)) < 0.8
    here = pose_maps(points, seen, *size, convention=convention)
    there = agnostic._gaussians_on_device(torch.from_numpy(points), torch.from_numpy(seen), *size, convention)
    assert here.max() > 0.9 and torch.allclose(here, there, atol=1e-6)
