"""bench: what is measured is the work that it says, and the plain loader that ours is compared with is right."""

import time

import cv2
import pytest
import torch

from ladi_mini import bench
from ladi_mini.datasets import VitonHD
from ladi_mini.wardrobe.render import render


@pytest.fixture(scope="module")
def vitonhd(tmp_path_factory):
    return render(tmp_path_factory.mktemp("bench") / "v", "vitonhd", 3, height=1024, width=768, progress=False)


def test_the_plain_loader_gives_what_the_released_convention_gives(vitonhd):
    data = VitonHD(vitonhd, "test", "paired", 512, 384, convention="released")
    for i in range(len(data)):
        ours, plain = data[i], bench.plain_vitonhd(vitonhd / "test", f"{i:05d}_00", 512, 384)
        for name in ("person", "garment", "warped_garment", "parse"):
            assert torch.equal(plain[name], getattr(ours, name)) or (plain[name] - getattr(ours, name)).abs().max() <= 1e-6, name
        assert (plain["pose_map"] - ours.pose_map).abs().max() < 1e-5
        assert (plain["inpaint_mask"] != ours.inpaint_mask).float().mean() < 1e-3


def test_a_rate_counts_samples_by_the_clock_and_drops_the_first_round():
    rounds = []

    def work():
        rounds.append(0.2 if not rounds else 0.02)
        time.sleep(rounds[-1])

    found = bench.rate(work, samples=5, repeats=3)
    assert len(rounds) == 4
    assert 30 < found["low"] <= found["median"] <= found["high"] <= 250


def test_one_thread_is_one_thread_and_ends():
    before = torch.get_num_threads(), cv2.getNumThreads()
    with bench.one_thread():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def test_the_card_holds_every_rate_and_where_it_was_measured(monkeypatch):
    monkeypatch.setattr(bench, "packed", lambda *_, **__: None)
    monkeypatch.setattr(bench, "READ_SIZE", (64, 48))
    lines = []
    card = bench.bench_wardrobe(repeats=1, count=3, files=6, progress=lines.append)
    rates = card["samples_per_second"]
    assert all(found["median"] > 0 for found in rates.values()) and len(rates) == 4 + 5 + 2
    assert rates["draw paired 64x48"]["median"] > rates["draw paired 256x192"]["median"]
    assert {"hardware", "versions", "commit", "recipe"} <= card.keys() and len(lines) > 8
    table = bench.table(card)
    assert all(name in table for name in rates)
