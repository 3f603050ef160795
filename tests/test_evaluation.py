"""evaluation: the numbers are what their definitions say, and the README's table is the card's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, batch, tiny_pipeline
from torchmetrics.functional.image import peak_signal_noise_ratio

from ladi_mini.evaluation import bootstrap, evaluate, inside, psnr
from ladi_mini.evaluation.baselines import paste_garment
from ladi_mini.evaluation.tables import BLOCK, DATA, RESULTS, fill, try_on_table

README = Path(__file__).parents[1] / "README.md"


def pictures(seed):
    return torch.rand(4, 3, 16, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_psnr_equals_torchmetrics_on_each_picture():
    a, b = pictures(0), pictures(1)
    for i, value in enumerate(psnr(a, b)):
        expected = peak_signal_noise_ratio(a[i : i + 1] / 2 + 0.5, b[i : i + 1] / 2 + 0.5, data_range=1.0)
        assert value.item() == pytest.approx(expected.item(), abs=1e-4)


def test_psnr_inside_a_mask_sees_nothing_outside():
    a, b, mask = pictures(0), pictures(1), torch.zeros(4, 1, 16, 12)
    mask[:, :, 4:8, 2:9] = 1
    elsewhere = torch.where(mask.bool(), a, pictures(2))
    assert torch.equal(psnr(a, b, mask), psnr(elsewhere, b, mask))
    cut = psnr(a[:, :, 4:8, 2:9], b[:, :, 4:8, 2:9])
    assert torch.allclose(psnr(a, b, mask), cut, atol=1e-6)


def test_mean_inside_is_the_mean_over_masked_pixels():
    error, mask = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert inside(error, mask).tolist() == [2.5] and inside(error, None).tolist() == [2.5]
    assert inside(error * torch.tensor([[1.0, 9.0], [9.0, 1.0]]), mask).tolist() == [2.5]


def test_bootstrap_interval_covers_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    mean, low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert (
        mean == pytest.approx(values.mean())
        and low == pytest.approx(mean - half, abs=0.03)
        and high == pytest.approx(mean + half, abs=0.03)
    )
    assert bootstrap(values) == (mean, low, high)
    assert bootstrap(np.full(5, 2.0)) == (2.0, 2.0, 2.0)


def test_pasted_garment_keeps_the_known_pixels_and_fills_the_whole_hole():
    given, pipe = batch(3), tiny_pipeline()
    pasted = paste_garment(pipe, given)
    known = ~given.inpaint_mask.bool().expand_as(pasted)
    assert (pasted[known] - given.person[known]).abs().max() <= 1 / 127.5
    grey = (pasted.abs().amax(1, keepdim=True) < 1e-2) & given.inpaint_mask.bool()
    assert grey.float().mean() < 0.02  # the grey of the agnostic picture is gone


def test_pasted_garment_shows_the_models_own_warp():
    given, pipe = batch(3), tiny_pipeline()
    predicted = pipe.warp_garment(given, "tps").warped
    agree = ((paste_garment(pipe, given) - predicted).abs().amax(1) < 2 / 127.5) & given.inpaint_mask[:, 0].bool()
    assert agree.float().sum() > 50


def test_a_card_compares_three_methods_on_the_same_samples():
    card = evaluate(tiny_pipeline(), TINY, samples=6, batch_size=4)
    assert set(card["psnr_inside_mask"]) == {"tryon", "pasted", "without_garment"}
    for name, gain in card["difference_inside_mask"].items():
        means = card["psnr_inside_mask"]["tryon"]["mean"] - card["psnr_inside_mask"][name]["mean"]
        assert gain["mean"] == pytest.approx(means, abs=2e-3) and gain["low"] <= gain["mean"] <= gain["high"]
    assert sum(c["tryon"]["n"] for c in card["by_category"].values()) == card["samples"] == 6
    again = evaluate(tiny_pipeline(), TINY, samples=6, batch_size=3)
    assert again["psnr_inside_mask"]["tryon"]["mean"] == pytest.approx(card["psnr_inside_mask"]["tryon"]["mean"], abs=5e-3)
    json.dumps(card)


# ---------------------------------------------------------------- what is shipped


def test_the_readmes_tables_are_those_of_the_cards():
    text = README.read_text(encoding="utf-8")
    assert BLOCK.findall(text), "the README has no table made from a card"
    assert fill(text) == text, "run: python -m ladi_mini.evaluation.tables README.md"


def test_the_shipped_model_is_nearer_to_the_truth_than_both_baselines():
    card = json.loads((RESULTS / "nano_tryon.json").read_text())
    assert card["samples"] >= 256
    for gain in card["difference_inside_mask"].values():
        assert gain["low"] > 0


def test_nano_trains_in_under_a_quarter_of_an_hour():
    cards = [json.loads(path.read_text()) for path in (DATA / "checkpoints" / "nano" / "cards").glob("*.json")]
    assert len(cards) == 8 and {card["hardware"].split(", ")[-1] for card in cards} == {"2 threads"}
    assert sum(c["seconds"] + c["preparing_seconds"] for c in cards) + cards[0]["rendering_seconds"] < 15 * 60


@pytest.mark.slow
def test_the_shipped_weights_give_the_cards_numbers():
    from ladi_mini.checkpoints import load_pipeline
    from ladi_mini.presets import NANO

    shipped = json.loads((RESULTS / "nano_tryon.json").read_text())
    card = evaluate(load_pipeline("nano"), NANO, samples=shipped["samples"])
    for name, value in shipped["psnr_inside_mask"].items():
        assert card["psnr_inside_mask"][name]["mean"] == pytest.approx(value["mean"], abs=0.02), name


def test_the_table_names_every_method_with_its_interval():
    value = {"mean": 1.234, "low": 1.0, "high": 1.5, "n": 4}
    names = ("tryon", "pasted", "without_garment")
    card = {name: dict.fromkeys(names, value) for name in ("psnr_inside_mask", "psnr")}
    card |= {"difference_inside_mask": dict.fromkeys(names[1:], value), "samples": 4}
    card |= {"scheduler": "DDIMScheduler", "num_inference_steps": 20, "guidance_scale": 1.5}
    table = try_on_table(card)
    assert table.count("1.23 dB (1.00 to 1.50)") == 2 and "4 test samples, 20 DDIM steps, guidance 1.5" in table
