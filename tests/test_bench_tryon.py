"""bench_tryon: the parts are those of the call, they add up to it, and the pipeline is as it was afterwards."""

import time

import pytest
from tiny import TINY, tiny_pipeline

from ladi_mini import bench_tryon
from ladi_mini.wardrobe import Wardrobe


@pytest.fixture()
def pipe():
    pipe = tiny_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize(
    ("part", "owner", "name"),
    [("warp", "warping", "forward"), ("encode", "image_encoder", "forward"), ("loop", "unet", "forward"), ("decode", None, None)],
)
def test_a_pause_is_found_in_its_part(pipe, monkeypatch, part, owner, name):
    sample = Wardrobe("test", TINY.height, TINY.width)[0]
    target, name = (pipe, "decode_latents") if owner is None else (getattr(pipe, owner), name)
    before, plain = getattr(target, name), bench_tryon.timed(pipe, sample, 2)

    def slow(*given, **named):
        time.sleep(0.3)
        return before(*given, **named)

    monkeypatch.setattr(target, name, slow)
    begin = time.perf_counter()
    found = bench_tryon.timed(pipe, sample, 2)
    whole = time.perf_counter() - begin
    assert list(found) == list(bench_tryon.PARTS) and sum(found.values()) == pytest.approx(whole, abs=0.05)
    assert found[part] > plain[part] + 0.25
    assert max(found, key=found.get) == part


def test_the_card_has_both_schedulers_and_leaves_the_pipeline_as_it_was(pipe):
    scheduler, hooks = pipe.scheduler, len(pipe.unet._forward_hooks)
    card = bench_tryon.bench_tryon(pipe, TINY, repeats=2, people=2, progress=lambda line: None)
    assert [found["steps"] for found in card["tryon"].values()] == [TINY.num_inference_steps, 10]
    for found in card["tryon"].values():
        assert found["seconds"]["low"] <= found["seconds"]["median"] <= found["seconds"]["high"]
        assert found["psnr_inside_mask"]["n"] == 2
    assert pipe.scheduler is scheduler and len(pipe.unet._forward_hooks) == hooks
    assert "warp_garment" not in vars(pipe) and "10 DPM-Solver++" in bench_tryon.table(card)
    slow = {"tryon": {name: {"seconds": {"median": seconds}} for name, seconds in (("20 DDIM", 3.683), ("10", 2.322))}}
    note = "Two slow ones (15 million additions) took 3.68 s and 2.32 s, with weights of the same sizes."
    assert note in bench_tryon.table(card, slow | {"million_additions_per_second": 14.7})
