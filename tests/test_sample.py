"""sample.py: a wrong field is refused where it is made, with the field, the fault and the fix."""

import warnings
from dataclasses import fields, replace

import pytest
import torch
from tiny import samples

from ladi_mini.sample import InputError, InputWarning, TryOnSample, collate


@pytest.fixture(scope="module")
def sample() -> TryOnSample:
    return samples(1)[0]


def nan_like(x):
    return torch.full_like(x, float("nan"))


FAULTS = {
    "grey person": ({"person": lambda s: s.person[:1]}, "person has shape"),
    "other size of garment": ({"garment": lambda s: s.garment[:, ::2]}, "garment has shape"),
    "bytes": ({"person": lambda s: (s.person + 1) * 127.5}, "127.5"),
    "not a number": ({"person": lambda s: nan_like(s.person)}, "person has values"),
    "soft mask": ({"inpaint_mask": lambda s: s.inpaint_mask * 0.5}, "only 0 and 1"),
    "empty mask": ({"inpaint_mask": lambda s: torch.zeros_like(s.inpaint_mask)}, "empty mask"),
    "no garment": ({"garment_mask": lambda s: torch.zeros_like(s.garment_mask)}, "empty mask"),
    "wrong labels": ({"parse": lambda s: s.parse + 20}, "label"),
    "float labels": ({"parse": lambda s: s.parse.float()}, "label"),
    "unknown category": ({"category": lambda s: "shoes"}, "upper_body"),
    "nobody": ({"keypoint_visible": lambda s: torch.zeros_like(s.keypoint_visible)}, "no visible keypoint"),
    "keypoints of a larger picture": ({"keypoints": lambda s: s.keypoints * 16}, "scale the keypoints"),
    "heat maps out of range": ({"pose_map": lambda s: s.pose_map * 255}, "pose_map has values"),
    "wrong warp": ({"warp_grid": lambda s: s.warp_grid.permute(2, 0, 1)}, "warp_grid has shape"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_field_is_named_with_the_fix(sample, fault):
    changes, words = FAULTS[fault]
    with pytest.raises(InputError, match=words) as error:
        replace(sample, **{name: change(sample) for name, change in changes.items()})
    assert sample.name in str(error.value) and next(iter(changes)).split("_")[0] in str(error.value)


def test_keypoints_of_a_smaller_picture_warn(sample):
    with pytest.warns(InputWarning, match="span only"):
        replace(sample, keypoints=sample.keypoints / 16)


def test_a_right_sample_warns_of_nothing(sample):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace(sample)


def test_agnostic_is_the_person_outside_the_mask_and_zero_inside(sample):
    inside = sample.inpaint_mask.bool().expand(3, -1, -1)
    assert (sample.agnostic[inside] == 0).all()
    assert torch.equal(sample.agnostic[~inside], sample.person[~inside])
    poisoned = replace(sample, person=torch.where(inside, -sample.person, sample.person))
    assert torch.equal(poisoned.agnostic, sample.agnostic)


def test_a_batch_holds_its_samples_and_gives_them_back():
    three = samples(3)
    batch = collate(three)
    assert len(batch) == 3 and batch.person.shape[0] == 3 and batch.category == [s.category for s in three]
    assert torch.equal(batch.agnostic[1], three[1].agnostic)
    picked = batch.select([2, 0])
    assert torch.equal(picked.garment[0], three[2].garment) and picked.name == [three[2].name, three[0].name]
    assert {f.name for f in fields(batch)} == {f.name for f in fields(three[0])}


def test_a_truth_that_one_sample_lacks_is_none_for_the_batch():
    first, second = samples(2)
    assert collate([first, replace(second, warp_grid=None)]).warp_grid is None


def test_samples_of_two_sizes_do_not_make_a_batch(sample):
    from ladi_mini.wardrobe import Wardrobe

    with pytest.raises(InputError, match="one size"):
        collate([sample, Wardrobe("test", 128, 96)[0]])
