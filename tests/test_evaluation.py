"""evaluation: the numbers are what their definitions say, and the README's table is the card's."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, batch, samples, tiny_pipeline
from torchmetrics.functional.image import peak_signal_noise_ratio
from typer.testing import CliRunner

from ladi_mini.cards import read_card
from ladi_mini.checkpoints import build_component
from ladi_mini.errors import InputError
from ladi_mini.evaluation import __main__ as commands
from ladi_mini.evaluation import bootstrap, evaluate, examples, inside, psnr, scoring
from ladi_mini.evaluation.baselines import paste_garment
from ladi_mini.evaluation.methods import Method
from ladi_mini.evaluation.predecessor import build_predecessor
from ladi_mini.evaluation.reader import Reader
from ladi_mini.evaluation.scoring import quiet
from ladi_mini.evaluation.tables import BLOCK, DATA, RESULTS, fill, try_on_table
from ladi_mini.evaluation.tryon import FIRST, Listed, reasons, wardrobe_people
from ladi_mini.presets import CATEGORIES
from ladi_mini.show import to_image
from ladi_mini.show.evaluation import letters_sheet, save_page, try_ons_sheet, worst_sheet
from ladi_mini.sums import fingerprints
from ladi_mini.training import Interrupted

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


@pytest.fixture(scope="module")
def evaluated():
    """The card and the scores of a pipeline with fresh weights, with a fresh reader and a fresh predecessor."""
    torch.manual_seed(0)
    extra = {"reader": Reader(4).eval(), "predecessor": build_predecessor(TINY).eval()}
    return evaluate(tiny_pipeline(), TINY, samples=12, batch_size=5, **extra)


def test_a_card_compares_every_method_on_the_same_people(evaluated):
    card, _ = evaluated
    methods = {"tryon", "pasted", "without_garment", "predecessor", "autoencoder", "autoencoder_emasc"}
    assert set(card["methods"]) == methods == set(card["psnr_inside_mask"])
    for order in ("paired", "unpaired"):
        for metric in ("psnr", "ssim", "psnr_head", "colour_error", "clip_fd", "clip_kd_x1000", "median_of_colour_error"):
            assert set(card[order][metric]) == methods, (order, metric)
        for name, gain in card[order]["difference_to_tryon"]["psnr"].items():
            means = card[order]["psnr"][name]["mean"] - card[order]["psnr"]["tryon"]["mean"]
            assert gain["mean"] == pytest.approx(means, abs=2e-3) and gain["low"] <= gain["mean"] <= gain["high"]
    for name, gain in card["difference_inside_mask"].items():
        means = card["psnr_inside_mask"]["tryon"]["mean"] - card["psnr_inside_mask"][name]["mean"]
        assert gain["mean"] == pytest.approx(means, abs=2e-3)
    json.dumps(card)


def test_categories_divide_the_people(evaluated):
    card, _ = evaluated
    for order in ("paired", "unpaired"):
        whole = card[order]["psnr"]["tryon"]
        parts = whole["by_category"]
        assert set(parts) == set(CATEGORIES) and sum(part["n"] for part in parts.values()) == whole["n"] == card["samples"] == 12
        mean = sum(part["mean"] * part["n"] for part in parts.values()) / 12
        assert mean == pytest.approx(whole["mean"], abs=1e-3)


def test_every_number_of_a_card_has_its_protocol(evaluated):
    card, _ = evaluated
    named = " ".join(card["protocol"]) + " ".join(card["protocol"].values())
    for order in ("paired", "unpaired"):
        for metric in set(card[order]) - {"difference_to_tryon", "print_read_by_length", "glyph_height_px"}:
            assert metric in named or metric.replace("after", "before") in named, metric
    assert {"fid", "kid_x1000", "lpips_alex", "lpips_vgg"} == set(card["skipped"])


def test_paired_and_unpaired_are_the_same_people_with_the_same_truth(evaluated):
    card, scores = evaluated
    ceiling = [scores[order].values["psnr"]["autoencoder"] for order in ("paired", "unpaired")]
    assert np.array_equal(*ceiling)
    apart = scores["paired"].values["psnr"]["tryon"] - scores["unpaired"].values["psnr"]["tryon"]
    assert card["paired_minus_unpaired"]["psnr"]["mean"] == pytest.approx(apart.mean(), abs=1e-3) and np.abs(apart).max() > 0


def test_a_score_does_not_depend_on_the_batch(evaluated):
    card, _ = evaluated
    again, _ = evaluate(tiny_pipeline(), TINY, samples=6, batch_size=6, orders=("unpaired",))
    for name, values in again["first_inside_mask"].items():
        assert values == pytest.approx(card["first_inside_mask"][name][:6], abs=5e-3), name
    assert again["skipped"]["predecessor"].startswith("skipped") and again["skipped"]["print_read"].startswith("skipped")


def test_another_seed_is_other_noise_for_the_model_alone(evaluated):
    card, _ = evaluated
    other, _ = evaluate(tiny_pipeline(), TINY, samples=6, batch_size=5, orders=("unpaired",), seed=7)
    first, second = (c["first_inside_mask"] for c in (card, other))
    assert first["tryon"][:6] != second["tryon"] and first["pasted"][:6] == second["pasted"]


class Fixed:
    """Two drawn people as a data set that knows no truth but the photograph, as real data does."""

    def __init__(self, paired):
        known = {"warp_grid": None, "warp_visible": None, "print_text": None, "print_box": None}
        changes = known if paired else known | {"target": None, "warped_garment": None}
        self.samples = [replace(s, **changes) for s in samples(6, unpaired=not paired)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]


def test_real_data_gets_only_the_numbers_that_make_sense():
    people = {"unpaired": Listed(Fixed(False)), "paired": Listed(Fixed(True))}
    card, scores = evaluate(tiny_pipeline(), TINY, people=people, data="photographs", batch_size=4)
    assert set(card["unpaired"]) == {"clip_fd", "clip_kd_x1000", "difference_to_tryon"} and "psnr_inside_mask" not in card
    assert {"psnr", "ssim", "colour_error", "clip_fd"} <= set(card["paired"])
    assert not any("warp" in metric or "print" in metric for metric in card["paired"])
    assert card["wardrobe"] is None and "never photographed" in card["skipped"]["unpaired metrics"]
    assert "drawn people only" in card["skipped"]["warps and prints"]
    assert set(scores["unpaired"].features["clip"]) == {"real", "tryon", "without_garment", "pasted"}
    json.dumps(card)


def test_what_only_one_order_can_be_compared_with_is_in_the_card_in_either_order():
    people = {"paired": Listed(Fixed(True)), "unpaired": Listed(Fixed(False))}
    card, _ = evaluate(tiny_pipeline(), TINY, people=people, data="photographs", batch_size=6, orders=("paired", "unpaired"))
    ceilings = {"autoencoder", "autoencoder_emasc"}
    assert ceilings < set(card["methods"]) and "the true picture through the autoencoder" in card["protocol"]["methods"]
    assert ceilings < set(card["paired"]["difference_to_tryon"]["psnr"])
    assert set(card["unpaired"]["clip_fd"]) == set(card["methods"]) - ceilings


def test_measuring_leaves_the_pipelines_progress_bar_as_it_was():
    pipe, shown = tiny_pipeline(), []
    pipe.set_progress_bar_config(desc="mine", disable=False)
    with quiet(pipe):
        shown.append(pipe._progress_bar_config)
    assert shown == [{"desc": "mine", "disable": True}] and pipe._progress_bar_config == {"desc": "mine", "disable": False}
    evaluate(pipe, TINY, samples=4, batch_size=4, orders=("unpaired",))
    assert pipe._progress_bar_config == {"desc": "mine", "disable": False}


def test_a_methods_clock_starts_when_the_work_before_it_is_done(monkeypatch):
    happened = []

    class People:
        def __len__(self):
            return 2

        def batch(self, indices):
            return batch(len(indices))

    def paint(given, indices):
        happened.append("paint")
        return given.person

    monkeypatch.setattr(scoring, "_wait", lambda device: happened.append("wait"))
    monkeypatch.setattr(scoring, "time", SimpleNamespace(perf_counter=lambda: happened.append("clock") or 0.0))
    scoring.score({"one": Method("", paint), "two": Method("", paint)}, People(), torch.device("cpu"), {}, {}, batch_size=2)
    assert happened == ["wait", "clock", "paint", "wait", "clock"] * 2


def test_tables_without_categories_are_the_same_numbers(evaluated, monkeypatch):
    _, scores = evaluated
    whole = scoring.tables(scores["unpaired"])
    monkeypatch.setattr(scoring, "_rows", lambda _: pytest.fail("divided by category"))
    assert scoring.tables(scores["unpaired"], by_category=False) == {k: scoring.bare(found) for k, found in whole.items()}


@pytest.mark.parametrize("name", ["nano_tryon", "mini_tryon", "mini_study"])
def test_the_shipped_cards_say_what_was_put_back_and_compared(name):
    protocol = read_card(RESULTS / f"{name}.json")["protocol"]
    for key in ("paste_back", "median_of_colour_error", "interval"):
        assert protocol[key] == scoring.PROTOCOL[key]
    assert "pasted keeps them exactly" in protocol["paste_back"] and "2,000 resamples" in protocol["median_of_colour_error"]
    assert name != "mini_study" or "skips are compared with the base" in protocol["how"]


def test_the_reason_names_what_is_worst_about_a_person(evaluated):
    _, scores = evaluated
    found = copy.deepcopy(scores["unpaired"])
    tryon = {name: by["tryon"] for name, by in found.values.items() if "tryon" in by}
    tryon["warp_end_point_error_px"][3] = 40.0
    tryon["colour_error"][5] = 99.0
    tryon["psnr_beside_garment"][7] = 0.5
    words = reasons(found)
    assert words[3] == "warp 40.0 px off, the worst of all" and words[5] == "colour 99.0 CIEDE2000 off, the worst of all"
    assert words[7].startswith("body beside the garment 0.5 dB") and len(words) == 12


def test_the_reader_is_measured_on_the_truth_and_on_every_method(evaluated):
    card, scores = evaluated
    found = card["unpaired"]
    assert set(found["print_read"]) == {"truth", *card["methods"]}
    people = int((scores["unpaired"].lengths > 0).sum())
    assert found["print_read"]["truth"]["n"] == people == found["glyph_height_px"]["n"] > 0
    assert sum(by["tryon"]["n"] for by in found["print_read_by_length"].values()) == people


# ---------------------------------------------------------------- sheets


def test_sheets_show_the_fixed_people_and_the_worst(evaluated):
    _, scores = evaluated
    found = scores["unpaired"]
    worst = examples.worst(found, 3)
    decibels = found.values["psnr_inside_mask"]["tryon"]
    assert worst == sorted(range(12), key=lambda i: decibels[i])[:3]
    lettered = examples.with_prints(found, 2)
    assert lettered == [i for i in range(12) if found.lengths[i]][:2]
    people = wardrobe_people(TINY, 12, "unpaired")
    shown = examples.dress(tiny_pipeline(), people, worst, 0)
    assert shown.decibels.tolist() == pytest.approx(decibels[worst].tolist(), abs=1e-3)  # the very pictures of the card
    page = worst_sheet(shown, [reasons(found)[i] for i in worst], "worst")
    assert all(f"{decibels[i]:.1f} dB" in page.info["alt"] and reasons(found)[i] in page.info["alt"] for i in worst)
    lettered = examples.dress(tiny_pipeline(), people, lettered, 0)
    prints = examples.read_prints(lettered, None)
    assert [p.text for p in prints] == [lettered.batch.print_text[k] for k in range(len(prints))]
    sheet = letters_sheet(lettered, prints, "letters")
    assert prints[0].text in sheet.info["alt"] and "read" not in sheet.info["alt"]


def test_a_sheet_of_try_ons_holds_result_and_truth_pixel_by_pixel(tmp_path):
    shown = examples.dress(tiny_pipeline(), wardrobe_people(TINY, 2, "unpaired"), [0, 1], 0)
    page = try_ons_sheet(shown, "two")
    pixels = np.asarray(page)
    truth = np.asarray(to_image(shown.batch.target[0], None)).repeat(3, 0).repeat(3, 1)  # 64 x 48, three times as large
    left = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], (1, 140))[:, :, 0]
    row = truth[100, 2:142, 0]
    assert (left == row).all(-1).any()
    save_page(page, tmp_path / "new" / "sheet.webp")
    with Image.open(tmp_path / "new" / "sheet.webp") as stored:
        assert stored.size == page.size and "inside the mask" in stored.getexif()[0x010E]


# ---------------------------------------------------------------- the command


def command(monkeypatch, tmp_path, *arguments):
    """Runs `ladi-mini evaluate` on the tiny pipeline, with every heavy default replaced."""
    import sys

    from ladi_mini import checkpoints, cli

    monkeypatch.setattr(checkpoints, "load_pipeline", lambda *_: tiny_pipeline())
    monkeypatch.setattr(checkpoints, "Models", lambda *_: {"clip": build_component(TINY, "clip").eval()})
    monkeypatch.setattr(cli, "get_preset", lambda _: TINY)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["ladi-mini", "evaluate", "--preset", "nano", "--weights", str(tmp_path), *map(str, arguments)]
    )
    try:
        return cli.main() or 0
    except SystemExit as stop:
        return stop.code or 0


def test_one_command_writes_the_card_and_its_sheets(monkeypatch, tmp_path, capsys):
    assert command(monkeypatch, tmp_path, "--count", 12, "--sheets") == 0
    results = tmp_path / "data" / "results"
    assert {f.name for f in results.iterdir()} == {
        "nano_tryon.json", "nano_tryons.webp", "nano_worst.webp", "nano_letters.webp",
    }  # fmt: skip
    card = json.loads((results / "nano_tryon.json").read_text())
    assert card["samples"] == 12 and set(card["unpaired"]) - set(card["paired"]) == {"warp_end_point_error_px_best_spline"}
    assert "skipped: no folder of weights" in capsys.readouterr().err
    assert "| the model |" in try_on_table(card)


def test_one_command_writes_a_study_and_its_figure(monkeypatch, tmp_path, capsys):
    assert command(monkeypatch, tmp_path, "--count", 4, "--ablation", "pose") == 0
    results = tmp_path / "data" / "results"
    assert {f.name for f in results.iterdir()} == {"nano_study_pose.json", "nano_study_pose.webp"}
    assert "without pose map (trained)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ablation", "poses"], "expected one of text"),
        (["--ablation", "pose", "--sheets"], "--ablation stands without"),
        (["--finetuned", "x"], "--finetuned belongs to --ablation"),
        (["--data", "x"], "--layout is None"),
        (["--features", "nowhere"], "is no folder"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_one_sentence(monkeypatch, tmp_path, capsys, arguments, sentence):
    assert command(monkeypatch, tmp_path, "--count", 4, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "data" / "results").exists()


# ---------------------------------------------------------------- what is shipped


def test_the_readmes_tables_are_those_of_the_cards():
    text = README.read_text(encoding="utf-8")
    assert BLOCK.findall(text), "the README has no table made from a card"
    assert fill(text) == text, "run: python -m ladi_mini.evaluation.tables README.md"


def test_the_shipped_model_is_nearer_to_the_truth_than_both_baselines():
    card = json.loads((RESULTS / "nano_tryon.json").read_text())
    assert card["samples"] >= 256
    for name in ("pasted", "without_garment"):
        assert card["difference_inside_mask"][name]["low"] > 0, name


def test_nano_trains_in_under_a_quarter_of_an_hour():
    cards = [json.loads(path.read_text()) for path in (DATA / "checkpoints" / "nano" / "cards").glob("*.json")]
    assert len(cards) == 8 and {card["hardware"].split(", ")[-1] for card in cards} == {"2 threads"}
    assert sum(c["seconds"] + c["preparing_seconds"] for c in cards) + cards[0]["rendering_seconds"] < 15 * 60


@pytest.mark.parametrize("preset", ["nano", "mini"])
def test_the_cards_of_scores_are_of_the_shipped_weights(preset):
    from ladi_mini.checkpoints import load_pipeline

    shipped = fingerprints(load_pipeline(preset).components)
    assert {"unet", "vae", "warping", "refinement", "emasc", "inversion_adapter"} < set(shipped)
    for name in {"nano": ("nano_tryon",), "mini": ("mini_tryon", "mini_study", "bench_tryon")}[preset]:
        assert json.loads((RESULTS / f"{name}.json").read_text())["weights"] == shipped, f"measure {name} again"


@pytest.mark.slow
def test_the_shipped_weights_give_the_cards_numbers():
    from ladi_mini.checkpoints import load_pipeline
    from ladi_mini.presets import NANO

    shipped = json.loads((RESULTS / "nano_tryon.json").read_text())
    card, _ = evaluate(load_pipeline("nano"), NANO, samples=FIRST, orders=("unpaired",))
    assert {"tryon", "pasted", "without_garment"} <= set(shipped["first_inside_mask"])
    for name, values in card["first_inside_mask"].items():
        assert values == pytest.approx(shipped["first_inside_mask"][name], abs=0.05), name


def test_mini_reaches_what_it_is_shipped_for():
    stages = {path.stem: json.loads(path.read_text())["held_out"] for path in (DATA / "checkpoints/mini/cards").glob("*.json")}
    assert stages["autoencoder"]["psnr"] >= 35 and stages["autoencoder"]["psnr_inside_mask"] >= 31
    assert stages["emasc"]["psnr_known_with"] >= stages["emasc"]["psnr_known_without"] + 3
    assert abs(stages["emasc"]["psnr_inside_mask_with"] - stages["emasc"]["psnr_inside_mask_without"]) <= 0.3
    card = json.loads((RESULTS / "mini_tryon.json").read_text())
    found = {metric: values["tryon"] for metric, values in card["unpaired"].items() if "tryon" in values}
    assert found["ssim"]["mean"] >= 0.93 and found["psnr"]["mean"] >= 27.5
    inside = found["psnr_inside_mask"]
    assert inside["mean"] >= 23 and all(abs(c["mean"] - inside["mean"]) <= 2 for c in inside["by_category"].values())
    assert found["median_of_colour_error"]["mean"] <= 4
    assert card["samples"] >= 1024 and min(c["n"] for c in inside["by_category"].values()) >= 300
    assert abs(card["paired_minus_unpaired"]["psnr_inside_mask"]["mean"]) <= 0.5
    prints = card["unpaired"]["print_read"]
    assert prints["truth"]["mean"] >= 0.95 and prints["tryon"]["mean"] >= 0.6 and prints["without_garment"]["mean"] <= 0.1
    refined, before = found["garment_psnr_after_refinement"]["mean"], found["garment_psnr_before_refinement"]["mean"]
    assert refined > before
    for name in ("pasted", "without_garment", "predecessor"):
        assert card["difference_inside_mask"][name]["low"] > 0, name


@pytest.mark.slow
def test_the_shipped_mini_weights_give_the_cards_numbers():
    from ladi_mini.checkpoints import load_pipeline
    from ladi_mini.presets import MINI

    shipped = json.loads((RESULTS / "mini_tryon.json").read_text())
    card, _ = evaluate(load_pipeline("mini"), MINI, samples=3, orders=("unpaired",))
    for name, values in card["first_inside_mask"].items():
        assert values == pytest.approx(shipped["first_inside_mask"][name][:3], abs=0.1), name


def test_the_table_names_every_method_with_its_interval():
    value = {"mean": 1.234, "low": 1.0, "high": 1.5, "n": 4}
    names = ("tryon", "pasted", "without_garment")
    card = {name: dict.fromkeys(names, value) for name in ("psnr_inside_mask", "psnr")}
    card |= {"difference_inside_mask": dict.fromkeys(names[1:], value), "samples": 4}
    card |= {"scheduler": "DDIMScheduler", "num_inference_steps": 20, "guidance_scale": 1.5}
    table = try_on_table(card)
    assert table.count("1.23 dB (1.00 to 1.50)") == 2 and "4 test samples, 20 DDIM steps, guidance 1.5" in table


@pytest.mark.parametrize("name", ["reader", "predecessor", "variants", "join", "latents"])
def test_commands_refuse_a_preset_that_does_not_exist_before_any_work(name):
    rest = ["10"] if name == "variants" else []
    result = CliRunner().invoke(commands.app, [name, "minni", *rest])
    assert isinstance(result.exception, InputError) and "'minni'" in str(result.exception)


@pytest.mark.parametrize(("command", "trains", "rest"), [("variants", "train_variants", ["10"]), ("latents", "train_side", [])])
def test_a_command_that_is_stopped_ends_as_training_does(monkeypatch, command, trains, rest):
    def stopped(*_, **__):
        raise Interrupted("tryon stopped after 3 of 10 steps; the same command goes on from there")

    monkeypatch.setattr(commands, trains, stopped)
    result = CliRunner().invoke(commands.app, [command, "nano", *rest])
    assert result.exit_code == 3 and result.output == "tryon stopped after 3 of 10 steps; the same command goes on from there.\n"


def test_joining_names_the_card_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "RESULTS", tmp_path)
    result = CliRunner().invoke(commands.app, ["join", "mini"])
    assert isinstance(result.exception, InputError) and "mini_study_text.json is missing" in str(result.exception)
