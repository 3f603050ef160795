"""The released convention gives what the authors' loaders give, for every person of the two tiny data sets, in both orders."""

import numpy as np
import pytest
import torch
from reference import ROOT
from safetensors import safe_open

from ladi_mini.datasets import DressCode, VitonHD

PEOPLE = [("vitonhd", i) for i in range(5)] + [("dresscode", i) for i in range(9)]


def expected(key: str) -> torch.Tensor:
    with safe_open(ROOT / "expected.safetensors", framework="pt") as file:
        return file.get_tensor(key)


def sample(name: str, order: str, index: int):
    if name == "vitonhd":
        return VitonHD(ROOT / "vitonhd", "test", order, convention="released")[index]
    categories = ("dresses", "upper_body", "lower_body")  # the vectors' order
    return DressCode(ROOT / "dresscode", "test", order, categories=categories, convention="released")[index]


@pytest.mark.parametrize(("name", "index"), PEOPLE)
def test_person_mask_and_pose_are_the_authors(name, index):
    got, key = sample(name, "paired", index), f"{name}.paired.{index}"
    mask = np.unpackbits(expected(f"{key}.inpaint_mask_packbits").numpy(), axis=1)
    assert (got.inpaint_mask[0].numpy() == mask).all()
    assert (got.pose_map[:, ::8, ::8] - expected(f"{key}.pose_map_every8").float()).abs().max() <= 1e-3
    assert (got.person[:, ::16, ::16] - expected(f"{key}.image_every16")).abs().max() <= 2 / 255


@pytest.mark.parametrize("order", ["paired", "unpaired"])
@pytest.mark.parametrize(("name", "index"), PEOPLE)
def test_garment_is_the_authors_in_both_orders(name, index, order):
    got = sample(name, order, index)
    assert (got.garment[:, ::16, ::16] - expected(f"{name}.{order}.{index}.cloth_every16")).abs().max() <= 2 / 255


@pytest.mark.parametrize(("name", "index"), PEOPLE)
def test_unpaired_sample_shows_the_same_person(name, index):
    paired, unpaired = sample(name, "paired", index), sample(name, "unpaired", index)
    assert torch.equal(paired.person, unpaired.person)
    assert torch.equal(paired.inpaint_mask, unpaired.inpaint_mask)
    assert not torch.equal(paired.garment, unpaired.garment)
