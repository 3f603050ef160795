"""bench_full.py: the whole run at the smallest size, and a card that tells what went wrong."""

import json

import pytest
import reference
import torch
from tiny import TINY

from ladi_mini import bench_full as bench
from ladi_mini.clip import build_tokenizer
from ladi_mini.emasc import build_emasc
from ladi_mini.evaluation.tables import bench_table, table
from ladi_mini.presets import FULL


def a_bench(**changes) -> bench.Bench:
    settings = {"preset": TINY, "device": torch.device("cpu"), "half": torch.float32, "steps": 3, "batch": 2, "repeats": 1,
                "budget": 1e9, "backend": "eager", "path": None, "progress": lambda line: None}  # fmt: skip
    return bench.Bench(**settings | changes, card={"sections": {}})


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> dict:
    """A whole run, read back from the file that it wrote; without the compiler, which `test_fast.py` tries."""
    patch, path = pytest.MonkeyPatch(), tmp_path_factory.mktemp("bench") / "results" / "bench_full.json"
    patch.setattr(bench, "compile_pipeline", lambda pipe, *_, **__: pipe)
    bench.bench_full(TINY, "cpu", steps=5, batch=2, repeats=1, path=path, progress=lambda line: None)
    patch.undo()
    return json.loads(path.read_text())


def test_every_section_of_a_run_is_in_the_card(card):
    assert list(card["sections"]) == [section.__name__ for section in bench.SECTIONS]
    assert not [s for s in card["sections"].values() if "error" in s or "left_out" in s], card["sections"]
    assert {"hardware", "versions", "commit", "precision", "guidance_scale", "num_inference_steps", "size"} <= card.keys()
    assert {s.__name__ for s in bench.SECTIONS} - {"memory"} <= card.keys()  # a CPU counts no device memory


def test_both_paths_are_measured_alike_and_against_the_float32_picture(card):
    for path in ("plain", "compiled"):
        found = card[path]
        assert found["psnr_db"] > 60 and len(found["latents_error"]) == 5 and max(found["latents_error"]) < 1e-4
        assert 0 < found["seconds"]["low"] <= found["seconds"]["median"] <= found["seconds"]["high"]
    assert card["plain_batch"]["batch"] == card["compiled_batch"]["batch"] == 2
    assert set(card["schedulers"]) == {"DDIM", "DPM-Solver++", "UniPC"}
    assert all(found["steps"] == 2 and found["psnr_db"] < 60 for found in card["schedulers"].values())


def test_arithmetic_of_a_step_is_that_of_its_layers(card):
    work = card["plain"]["arithmetic"]
    assert work["gflop_a_step"] == pytest.approx(sum(work["gflop_a_step_by_kind"].values()))
    h, w = TINY.latent_size
    first = 2 * 2 * TINY.unet_channels[0] * TINY.tryon_channels * 9 * h * w / 1e9  # two samples, conv_in alone
    assert first < work["gflop_a_step_by_kind"]["aten.convolution"] < 100 * first


def test_the_table_has_a_row_for_all_that_was_measured(card, tmp_path):
    text = bench_table(card)
    for label in ("1 picture, plain", "1 picture, compiled", "2 pictures, plain", "2 pictures, compiled", "2 UniPC steps"):
        assert label in text
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "bench_full.json").write_text(json.dumps(card))
    assert table("full_bench", tmp_path) == text
    gpu = {"memory": {"in_place": {"peak_gib": 5.04, "seconds": 1.0, "psnr_db": 30.0}}}
    assert "every module in place | 1.00 | | | 30.0 dB | 5.0 GiB |" in bench_table(card | gpu)
    assert "compiled" not in bench_table({k: v for k, v in card.items() if k not in ("compiled", "compiled_batch", "schedulers")})


def test_weights_are_those_of_the_reference_vectors(monkeypatch):
    monkeypatch.setattr(bench, "BUILD", {"emasc": build_emasc})
    monkeypatch.setattr(reference, "salt", lambda: bench.SALT)
    expected = dict(reference.fill(build_emasc(TINY), "emasc").named_parameters())
    drawn = bench.draw_weights(TINY)["emasc"]
    assert drawn.keys() == expected.keys()
    assert all(torch.equal(drawn[name], value) for name, value in expected.items())


def test_every_number_of_the_model_is_drawn():
    weights = bench.draw_weights(TINY)
    pipe = bench.build_pipeline(TINY, weights, "cpu", torch.float32)
    for component, drawn in weights.items():
        state = getattr(pipe, component).state_dict()
        assert {n for n in state if not n.endswith(("num_batches_tracked", "position_ids"))} == set(drawn)
        assert all(torch.equal(state[n], value) for n, value in drawn.items())
    half = bench.build_pipeline(TINY, weights, "cpu", torch.bfloat16)
    assert half.unet.dtype == torch.bfloat16 and half.warping.dtype == half.refinement.dtype == torch.float32


def test_the_stand_in_for_the_full_models_tokenizer_fits():
    assert build_tokenizer(FULL.with_(vocab_size=1024)).model_max_length == 77


def test_a_section_that_fails_costs_nothing_but_itself(tmp_path):
    def breaks(b):
        raise RuntimeError("out of memory")

    b = a_bench(path=tmp_path / "card.json")
    bench.run_section(b, breaks, 0)
    bench.run_section(b, bench.machine, 0)
    written = json.loads((tmp_path / "card.json").read_text())
    assert written["sections"]["breaks"]["error"] == "RuntimeError: out of memory"
    assert written["machine"]["float32_tflops"] > 0


def test_a_section_that_no_longer_fits_is_left_out():
    b = a_bench(budget=10)
    bench.run_section(b, bench.machine, 60)
    assert "takes about 60" in b.card["sections"]["machine"]["left_out"] and "machine" not in b.card


def test_errors_are_measured_as_they_are_defined():
    x = torch.ones(2, 3, 4, 4)
    assert bench.psnr(x, x) == 200 and bench.psnr(x, x - 0.01) == pytest.approx(40, abs=1e-3)
    assert bench.relative_error(1.1 * x, x) == pytest.approx(0.1, abs=1e-6)


def test_float32_is_exact_for_the_reference_alone():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    with bench.exact():
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before
