"""training: a loss is a function of a set, randomness of the step, and a killed run ends where an undisturbed one does."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY, noisy

from ladi_mini.cards import read_card
from ladi_mini.checkpoints import SHARD, STAGE_COMPONENTS, Models, build_component, load_pipeline, save_stage, shards
from ladi_mini.errors import InputError
from ladi_mini.presets import NANO, STAGES, StageConfig
from ladi_mini.sample import KEYPOINTS
from ladi_mini.sums import CheckpointError
from ladi_mini.training import STAGE_CLASSES, Interrupted, train, train_stage
from ladi_mini.training.average import Average
from ladi_mini.training.loop import batch_indices, learning_rate
from ladi_mini.training.stage import decibels, from_bytes, repainted, rows, settle_statistics
from ladi_mini.training.variants import VARIANTS, train_variants
from ladi_mini.training.warping import mirrored, pose_of
from ladi_mini.wardrobe import packed
from ladi_mini.warping import warp


@pytest.fixture(scope="module")
def data():
    return packed("train", 12, TINY.height, TINY.width, workers=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noisy weights of every stage, so that any stage can be trained alone."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, stage in enumerate(STAGES):
        save_stage(folder, TINY, stage, {name: noisy(build_component(TINY, name), seed) for name in STAGE_COMPONENTS[stage]})
    return folder


def make(name, folder):
    torch.manual_seed(0)
    return STAGE_CLASSES[name](TINY, Models(TINY, folder))


# ---------------------------------------------------------------- properties of the stages


@pytest.mark.parametrize("name", STAGES)
def test_a_loss_and_all_its_terms_do_not_depend_on_the_order_of_the_batch(name, folder, data):
    stage = make(name, folder).train(False)
    noisy(stage, 5)
    table = stage.table(data)
    batch = stage.draw(rows(table, range(6)), torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    terms, shuffled = stage(batch), stage({k: v[order] for k, v in batch.items()})
    for term, value in terms.items():
        assert torch.allclose(value, shuffled[term], rtol=2e-5, atol=1e-7), term
    other = stage({k: v[torch.tensor([0, 0, 0, 0, 0, 0])] for k, v in batch.items()})
    assert not torch.allclose(terms["loss"], other["loss"], rtol=1e-4)  # so that a constant could not pass


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_trains_its_own_components_and_leaves_frozen_ones_alone(name, folder, data):
    stage = make(name, folder)
    assert set(stage.components()) == set(STAGE_COMPONENTS[name])
    table = stage.table(data)
    frozen = {n: {k: v.clone() for k, v in m.state_dict().items()} for n, m in stage.models._loaded.items()
              if isinstance(m, torch.nn.Module) and n not in STAGE_COMPONENTS[name]}  # fmt: skip
    before = {k: v.detach().clone() for k, v in stage.named_parameters()}
    card = train_stage(stage, table, folder / f"work-{name}", progress=False, held_out=table)
    moved = [k for k, v in stage.named_parameters() if not torch.equal(v, before[k])]
    assert len(moved) > 0.5 * len(before)
    for component, state in frozen.items():
        for key, value in stage.models[component].state_dict().items():
            assert torch.equal(value, state[key]), f"{component}.{key}"
    assert card["held_out"] and all(v == v for v in card["held_out"].values())


def test_the_try_on_stage_starts_with_the_bases_prediction(folder, data):
    stage, models = make("tryon", folder), Models(TINY, folder)
    extended, base = stage.unet.conv_in.weight, models["base"].conv_in.weight
    assert torch.equal(extended[:, : TINY.base_channels], base) and (extended[:, TINY.base_channels :] == 0).all()


def test_dropping_every_condition_makes_the_try_on_loss_blind_to_the_garment(folder, data):
    stage = noisy(make("tryon", folder), 1)
    batch = stage.draw(rows(stage.table(data), range(4)), torch.Generator().manual_seed(0))
    drops = {k: torch.ones_like(v) for k, v in batch.items() if k.startswith("drop_")}
    assert set(drops) == {"drop_text", "drop_pose", "drop_garment"}
    blind = batch | drops
    other = blind | {k: torch.randn_like(blind[k].float()) for k in ("garment_latents", "pose", "image_hidden")}
    assert torch.equal(stage(blind)["loss"], stage(other)["loss"])
    kept = {k: torch.zeros_like(v) for k, v in drops.items()}
    assert not torch.equal(stage(batch | kept)["loss"], stage(other | kept)["loss"])


def test_what_is_to_be_painted_is_the_target_inside_the_mask_and_the_person_around_it():
    other = packed("train", 6, TINY.height, TINY.width, unpaired=True).batch(range(6))
    inside = other.inpaint_mask.bool().expand_as(other.person)
    assert not torch.equal(other.person[inside], other.target[inside])  # so that the choice matters
    assert torch.equal(repainted(other)[inside], other.target[inside])
    assert torch.equal(repainted(other)[~inside], other.person[~inside])
    own = packed("train", 6, TINY.height, TINY.width).batch(range(6))
    assert torch.equal(repainted(own), own.person)


def test_people_of_the_training_data_wear_what_the_preset_says(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("ladi_mini.training.stages.packed", lambda *a, **k: seen.append(k["unpaired"]) or packed(*a, **k))
    for unpaired in (False, True):
        train(("clip",), TINY.with_(train_unpaired=unpaired), tmp_path / str(unpaired), progress=False)
    assert seen == [False, False, True, True]


@pytest.mark.parametrize("name", ["warping", "refinement"])
def test_running_statistics_are_those_of_the_averaged_weights(name, folder, data):
    stage = noisy(make(name, folder), 3)
    table = stage.table(data)
    norm = next(module for module in stage.modules() if isinstance(module, torch.nn.BatchNorm2d))
    seen = []
    hook = norm.register_forward_hook(lambda module, given, _: seen.append(given[0].detach()))
    settle_statistics(stage, table, batches=2)
    hook.remove()
    size = stage.config.batch_size
    assert [len(x) for x in seen[:2]] == [size, size]
    expected = torch.stack([x.mean((0, 2, 3)) for x in seen[:2]]).mean(0)
    assert torch.allclose(norm.running_mean, expected, atol=1e-5) and norm.momentum == 0.1
    assert not any(module.training for module in stage.modules() if isinstance(module, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_trains_on_what_its_name_says(name, folder, data):
    make_stage, switches = VARIANTS[name]
    stage = noisy(make_stage(TINY, Models(TINY, folder), **switches), 2)
    table = stage.table(data)
    batch = stage.draw(rows(table, range(4)), torch.Generator().manual_seed(0))
    batch |= {k: torch.zeros_like(v) for k, v in batch.items() if k.startswith("drop_")}

    def matters(*columns) -> bool:
        other = batch | {k: batch[k].flip(0) for k in columns if k in batch}
        return not torch.allclose(stage(batch)["loss"], stage(other)["loss"], rtol=1e-6)

    if stage.name == "emasc":
        lines = [module for module in stage.emasc.modules() if isinstance(module, torch.nn.Conv2d)]
        assert len(lines) == len(stage.emasc.conv) * (1 if name == "emasc-linear" else 2)
        person, agnostic = stage.pictures(batch)
        inside = [stage.reconstruct(person, x, batch["inpaint_mask"]) for x in (agnostic, torch.zeros_like(agnostic))]
        assert decibels((inside[0] - inside[1]).square().mean().item()) < 100  # the skips do something
        return
    assert matters("image_hidden", "input_ids", "text") == (name != "text-empty")
    assert matters("garment_latents") == (name != "garment-none")
    assert matters("pose") == (name != "pose-none")
    assert ("image_hidden" in table) == (not name.startswith("text-"))


def test_the_garment_of_a_variant_is_the_one_that_the_pipeline_gives(folder, data):
    pipe, given = load_pipeline(TINY, folder), data.batch(range(3))
    for garment in ("refined", "tps", "true"):
        stage = VARIANTS["control"][0](TINY, Models(TINY, folder), garment=garment)
        with torch.no_grad():
            assert torch.allclose(stage.worn_garment(given), pipe.warp_garment(given, garment).image, atol=1e-5), garment


def test_variants_are_trained_from_one_start_for_the_same_steps(folder, tmp_path, monkeypatch):
    def leaving_checkpoints(stage, table, work, **options):
        card = train_stage(stage, table, work, **options)
        (work / "checkpoint-2").mkdir(parents=True)
        return card

    monkeypatch.setattr("ladi_mini.training.variants.train_stage", leaving_checkpoints)
    cards = train_variants(("control", "text-caption", "emasc-linear"), TINY, folder, tmp_path, steps=3)
    assert [card["steps"] for card in cards] == [3, 3, TINY.stages["emasc"].steps]
    assert [card["variant"] for card in cards] == ["control", "text-caption", "emasc-linear"]
    with pytest.raises(InputError, match="'text-poem' is no variant; choose from control"):
        train_variants(("text-poem",), TINY, folder, tmp_path, steps=3)
    assert not (tmp_path / "work").exists()


def test_variants_that_were_finished_before_a_stop_are_not_trained_again(folder, tmp_path, monkeypatch):
    trained, names = [], ("emasc-unmasked", "emasc-linear")

    def stopped_at(stop):
        def run(stage, table, work, **options):
            if len(trained) == stop:
                raise Interrupted("stopped")
            trained.append(work.name.rpartition("-")[0])
            return train_stage(stage, table, work, **options)

        monkeypatch.setattr("ladi_mini.training.variants.train_stage", run)

    stopped_at(1)
    with pytest.raises(Interrupted):
        train_variants(names, TINY, folder, tmp_path, steps=3)
    assert [path.name for path in (tmp_path / "work").glob("*/*")] == ["done.json"]
    stopped_at(2)
    cards = train_variants(names, TINY, folder, tmp_path, steps=3)
    assert trained == list(names) and [card["variant"] for card in cards] == list(names)
    assert not (tmp_path / "work").exists()


def test_a_finished_variant_that_was_trained_otherwise_since_is_trained_again(folder, tmp_path, monkeypatch):
    def stopped(stage, table, work, **options):
        if work.name.startswith("emasc-linear"):
            raise Interrupted("stopped")
        return train_stage(stage, table, work, **options)

    monkeypatch.setattr("ladi_mini.training.variants.train_stage", stopped)
    with pytest.raises(Interrupted):
        train_variants(("emasc-unmasked", "emasc-linear"), TINY, folder, tmp_path, steps=3)
    before = load_file(tmp_path / "emasc-unmasked" / "emasc.safetensors")
    train_variants(("emasc-unmasked",), TINY, folder, tmp_path, steps=3, seed=1)
    with pytest.raises(Interrupted):
        train_variants(("emasc-unmasked", "emasc-linear"), TINY, folder, tmp_path, steps=3)
    after = load_file(tmp_path / "emasc-unmasked" / "emasc.safetensors")
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_variant_without_its_start_is_refused_before_anything_is_drawn(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ladi_mini.training.variants.packed", lambda *_, **__: pytest.fail("people were drawn"))
    weights = tmp_path / "weights"
    shutil.copytree(folder, weights)
    (weights / "inversion.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"inversion\.safetensors is missing"):
        train_variants(("emasc-linear", "control"), TINY, weights, tmp_path / "out", steps=3)


def test_latents_leave_the_autoencoder_stage_with_deviation_one(folder, data):
    stage = make("autoencoder", folder)
    table = stage.table(data)
    stage.finish(table)
    from ladi_mini.diffusion import encode
    from ladi_mini.training.stage import from_bytes

    with torch.no_grad():
        assert abs(encode(stage.vae, from_bytes(table["person"])).std().item() - 1) < 1e-3


def test_the_autoencoder_sees_the_four_kinds_of_picture_that_are_encoded_later(folder, data):
    stage = make("autoencoder", folder)
    samples = data.batch(range(4))
    seen = stage.pictures(stage.table(data) | {"kind": torch.tensor([0, 1, 2, 3] * 3)})[:4]
    wanted = [samples.person[0], samples.garment[1], samples.warped_garment[2], samples.agnostic[3]]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(seen, wanted, strict=True))


# ---------------------------------------------------------------- the loop


def test_an_epoch_visits_every_sample_once_and_the_next_one_in_another_order():
    picked = torch.cat([batch_indices(step, 5, 20, seed=3) for step in range(8)])
    assert sorted(picked[:20].tolist()) == list(range(20)) == sorted(picked[20:].tolist())
    assert picked[:20].tolist() != picked[20:].tolist()


def test_a_batch_larger_than_what_is_left_goes_on_into_the_next_epoch():
    assert len(batch_indices(0, 7, 3, seed=0)) == 7


def test_learning_rate_warms_up_and_falls_to_a_tenth():
    config = StageConfig(steps=100, batch_size=1, learning_rate=1.0, warmup=10)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == 0.1 and rates[9] == 1.0 and abs(rates[-1] - 0.1) < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_averaged_weights_are_the_mean_that_the_recursion_says():
    module = torch.nn.Linear(1, 1, bias=False)
    average = Average(module, 0.9)
    expected = module.weight.item()
    for step, value in enumerate([1.0, 2.0, 5.0]):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update(module, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert abs(average.values["weight"].item() - expected) < 1e-6


@pytest.mark.parametrize("name", ["inversion", "warping"])  # dropout in one, running statistics in the other
def test_stopped_by_its_budget_and_resumed_it_ends_in_the_same_weights(name, folder, data, tmp_path):
    whole = make(name, folder)
    table = whole.table(data)
    train_stage(whole, table, tmp_path / "whole", progress=False)
    for _ in range(TINY.stages[name].steps - 1):
        with pytest.raises(Interrupted):
            train_stage(make(name, folder), table, tmp_path / "parts", budget=0, progress=False)
    resumed = make(name, folder)
    train_stage(resumed, table, tmp_path / "parts", budget=0, progress=False)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_light_checkpoint_is_small_and_the_loss_goes_on_where_it_was(folder, data, tmp_path):
    """After six steps on one batch, the next losses are those of the undisturbed run, and not those of a start."""
    losses: dict[str, dict[int, float]] = {"whole": {}, "parts": {}}
    name = "clip"
    config = replace(TINY.stages[name], steps=12, batch_size=12, warmup=0, ema=0.0, learning_rate=1e-3)
    preset = TINY.with_(stages=TINY.stages | {name: config})

    def run(what, **options):
        torch.manual_seed(0)
        stage = STAGE_CLASSES[name](preset, Models(preset, folder))
        note = lambda step, terms: losses[what].__setitem__(step, terms["loss"].item())  # noqa: E731
        train_stage(stage, stage.table(data), tmp_path / what, progress=False, on_step=note, **options)

    run("whole")
    for _ in range(6):
        with pytest.raises(Interrupted):
            run("parts", budget=0, light=False)
    (exact,) = (tmp_path / "parts").glob("checkpoint-*")
    full = sum(file.stat().st_size for file in exact.glob("*.safetensors"))
    with pytest.raises(Interrupted):
        run("parts", budget=0, light=True)
    (kept,) = (tmp_path / "parts").glob("checkpoint-*")
    assert sum(file.stat().st_size for file in kept.glob("*.safetensors")) < 0.4 * full
    run("parts")
    whole, parts = losses["whole"], losses["parts"]
    assert all(whole[step] == parts[step] for step in range(7))
    assert abs(parts[7] - whole[7]) < 0.1 * abs(whole[0] - whole[7])
    assert abs(parts[11] - whole[11]) < 0.2 * abs(whole[0] - whole[11])


def test_a_checkpoints_files_are_small_enough_to_carry():
    tensors = {str(i): torch.zeros(1_500_000) for i in range(7)} | {"large": torch.zeros(5_000_000)}
    parts = shards(tensors, SHARD)
    assert [name for part in parts for name in part] == list(tensors)
    assert all(sum(t.nbytes for t in shard.values()) <= 14_000_000 or len(shard) == 1 for shard in parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "warping", "tryon"])
def test_a_stages_compiled_networks_say_the_same(name, folder, data):
    stage = make(name, folder).train(False)
    batch = stage.draw(rows(stage.table(data), range(4)), torch.Generator().manual_seed(0))
    plain = stage(batch)
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    for network in stage.heavy():
        network.compile(backend=backend)
    for term, value in stage(batch).items():
        assert torch.allclose(value, plain[term], rtol=1e-4, atol=1e-6), term
    assert len(calls) >= len(stage.heavy())  # they were compiled indeed


KILLED = """
import sys, torch
from dataclasses import replace
from pathlib import Path
torch.set_num_threads(1)
from tiny import TINY
from ladi_mini.checkpoints import Models
from ladi_mini.training import STAGE_CLASSES, train_stage
from ladi_mini.wardrobe import packed
config = replace(TINY.stages["autoencoder"], steps=40, batch_size=5)
preset = TINY.with_(stages=TINY.stages | {"autoencoder": config})
torch.manual_seed(0)
stage = STAGE_CLASSES["autoencoder"](preset, Models(preset, Path(".")))
table = stage.table(packed("train", 12, TINY.height, TINY.width, workers=0))
train_stage(stage, table, Path(sys.argv[1]), save_every=3, progress=False,
            on_step=lambda step, terms: print(step, flush=True))
from safetensors.torch import save_file
save_file({k: v.contiguous() for k, v in stage.state_dict().items()}, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGTERM], ids=lambda s: s.name)
def test_killed_in_the_middle_of_an_epoch_and_resumed_equals_never_killed(number, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}

    def start(work, out):
        command = [sys.executable, "-c", KILLED, str(work), str(out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)

    whole = start(tmp_path / "a", tmp_path / "a.safetensors")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    killed = start(tmp_path / "b", tmp_path / "b.safetensors")
    for line in killed.stdout:
        if int(line) >= 7:  # in the middle of the third epoch, between two checkpoints
            killed.send_signal(number)
            break
    killed.communicate(timeout=300)
    assert killed.returncode != 0 and not (tmp_path / "b.safetensors").exists()
    assert len(list((tmp_path / "b").glob("checkpoint-*"))) == 1
    resumed = start(tmp_path / "b", tmp_path / "b.safetensors")
    first = int(resumed.stdout.readline())
    resumed.communicate(timeout=300)
    assert resumed.returncode == 0 and 0 < first < 40
    a, b = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_all_stages_train_in_order_and_leave_a_pipeline_with_cards(tmp_path):
    began = time.time()
    cards = train(STAGES, TINY, tmp_path / "out", cache=tmp_path / "cache", workers=0, progress=False)
    assert [card["stage"] for card in cards] == list(STAGES)
    load_pipeline(TINY, tmp_path / "out")
    for stage in STAGES:
        card = read_card(tmp_path / "out" / "cards" / f"{stage}.json")
        assert card["steps"] == TINY.stages[stage].steps and card["seconds"] <= time.time() - began
        assert card["versions"]["torch"] and card["loss"][0]["step"] == 0 and card["parameters"] > 0
    assert not list((tmp_path / "out" / "work").glob("*"))  # nothing to resume is left


@pytest.mark.slow
def test_all_stages_stopped_again_and_again_go_on_and_end_in_the_same_weights(tmp_path):
    chosen = ("clip", "autoencoder", "emasc")
    train(chosen, TINY, tmp_path / "whole", cache=tmp_path / "cache", progress=False)
    stops = 0
    while True:
        try:
            train(chosen, TINY, tmp_path / "parts", cache=tmp_path / "cache", progress=False, budget=0)
            break
        except Interrupted:
            stops += 1
    assert stops == sum(TINY.stages[name].steps - 1 for name in chosen)  # no step was done twice
    for name in chosen:
        a, b = (load_file(tmp_path / folder / f"{name}.safetensors") for folder in ("whole", "parts"))
        assert all(torch.equal(a[key], b[key]) for key in a), name


@pytest.mark.slow
def test_a_checkpoint_of_another_seed_is_not_taken_up(tmp_path):
    options = {"cache": tmp_path / "cache", "progress": False}
    with pytest.raises(Interrupted):
        train(("autoencoder",), TINY, tmp_path / "mixed", seed=0, budget=0, **options)
    train(("autoencoder",), TINY, tmp_path / "mixed", seed=1, **options)
    train(("autoencoder",), TINY, tmp_path / "clean", seed=1, **options)
    a, b = (load_file(tmp_path / folder / "autoencoder.safetensors") for folder in ("mixed", "clean"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert list((tmp_path / "mixed" / "work").glob("autoencoder-*/checkpoint-*"))  # the stopped one can still go on
    assert not (tmp_path / "clean" / "work").exists()


@pytest.mark.parametrize(("stages", "said"), [(("wraping",), "'wraping'"), ("cilp", "'cilp'"), ((), r"\(\)")], ids=str)
def test_what_is_no_stage_is_refused(tmp_path, stages, said):
    with pytest.raises(InputError, match=rf"stages is {said}, expected some of clip, autoencoder"):
        train(stages, TINY, tmp_path)


def test_a_variant_does_not_go_on_from_the_checkpoint_of_other_settings(folder, tmp_path, monkeypatch):
    works = []

    def stopped(stage, table, work, **options):
        works.append(work)
        raise Interrupted("stopped")

    monkeypatch.setattr("ladi_mini.training.variants.train_stage", stopped)
    for settings in ({"steps": 3}, {"steps": 4}, {"steps": 3, "seed": 1}, {"steps": 3, "samples": 8}, {"steps": 3}):
        with pytest.raises(Interrupted):
            train_variants(("control",), TINY, folder, tmp_path / "out", **settings)
    assert len(set(works)) == 4 and works[0] == works[4]
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    save_stage(other, TINY, "inpainting", {"base": noisy(build_component(TINY, "base"), 77)})
    with pytest.raises(Interrupted):
        train_variants(("control",), TINY, other, tmp_path / "out", steps=3)
    assert works[5] not in works[:5]


def test_a_try_on_stage_with_a_switch_that_does_not_exist_is_refused(folder):
    for wrong in ({"text": "captoin"}, {"garment": "tsp"}):
        with pytest.raises(InputError, match=r"choose text from .* and garment from"):
            STAGE_CLASSES["tryon"](TINY, Models(TINY, folder), **wrong)


def test_the_try_on_stage_starts_from_the_inversion_stages_adapter(folder):
    stored = load_file(folder / "inversion.safetensors")["inversion_adapter.post_layernorm.weight"].float()
    assert torch.equal(make("tryon", folder).inversion_adapter.post_layernorm.weight, stored)


def test_a_stage_that_comes_with_the_base_is_not_trained(tmp_path):
    from ladi_mini.presets import FULL
    from ladi_mini.sample import InputError

    with pytest.raises(InputError, match="clip is not trained at preset full"):
        train(("clip",), FULL, tmp_path)


def test_a_stage_without_its_forerunners_is_refused_by_name(tmp_path, data):
    with pytest.raises(CheckpointError, match=r"warping\.safetensors is missing.*ladi-mini train warping"):
        make("refinement", tmp_path).table(data)


def test_presets_train_every_stage():
    assert tuple(NANO.stages) == STAGES
    assert replace(NANO.stages["clip"], steps=1).steps == 1


# ---------------------------------------------------------------- warps


def test_photographs_train_the_warp_without_the_truth(folder, data):
    """They know no true warp: with the grid's weight at 0, as the authors train, nothing asks for one; else it is said."""
    stage = make("warping", folder)
    photographs = {name: column for name, column in rows(stage.table(data), range(4)).items() if not name.startswith("warp_")}
    with pytest.raises(InputError, match="weight 'grid' is 1, but these data know no true warp; set it to 0"):
        stage(photographs)
    config = replace(TINY.stages["warping"], weights={"constraint": 0.01, "grid": 0.0}, mirror=0.5)
    stage = STAGE_CLASSES["warping"](TINY.with_(stages=TINY.stages | {"warping": config}), Models(TINY, folder))
    assert set(stage(stage.draw(photographs, torch.Generator().manual_seed(0)))) == {"loss", "l1", "constraint"}
    assert stage.validate(photographs) == {}


def test_a_garment_of_which_nothing_is_seen_does_not_count_in_the_cards_error(folder, data):
    stage = make("warping", folder).eval()
    table = rows(stage.table(data), range(4))
    hidden = table | {"warp_visible": table["warp_visible"] & (torch.arange(4) != 2).view(-1, 1, 1, 1)}
    assert stage.validate(hidden) == pytest.approx(stage.validate(rows(table, [0, 1, 3])), rel=1e-5)


def test_the_shelf_keeps_the_data_whose_tables_it_holds(folder):
    """A table is found by the data's id; data that are gone leave theirs to the next ones."""
    stage, samples = make("tryon", folder), packed("train", 3, TINY.height, TINY.width, unpaired=True)
    alive = weakref.ref(samples)
    stage.table(samples)
    del samples
    gc.collect()
    assert alive() is not None


# ---------------------------------------------------------------- mirrored pairs


def test_mirroring_is_its_own_inverse_and_leaves_the_other_rows(folder, data):
    table = rows(make("warping", folder).table(data), range(4))
    which = torch.tensor([True, False, True, False])
    once = mirrored(table, which)
    assert not torch.equal(once["keypoints"], table["keypoints"])
    for name, column in table.items():
        assert torch.equal(once[name][~which], column[~which]), name
        assert once[name].dtype == column.dtype, name
        assert torch.allclose(mirrored(once, which)[name].float(), column.float(), atol=1e-5), name


def test_mirrored_keypoints_give_mirrored_pose_maps_of_the_other_side(folder, data):
    table = rows(make("warping", folder).table(data), range(4))
    mirror = mirrored(table, torch.ones(4, dtype=torch.bool))
    height, width = table["garment"].shape[-2:]
    maps, other = pose_of(table, height, width), pose_of(mirror, height, width)
    for joint, name in enumerate(KEYPOINTS):
        swapped = {"l": name.replace("left", "right"), "r": name.replace("right", "left")}.get(name[0], name)
        assert torch.allclose(other[:, KEYPOINTS.index(swapped)], maps[:, joint].flip(-1), atol=1e-5), name


def test_a_mirrored_grid_takes_the_mirrored_garment_to_the_mirrored_worn_one(folder, data):
    table = rows(make("warping", folder).table(data), range(4))
    mirror = mirrored(table, torch.ones(4, dtype=torch.bool))
    worn, other = (warp(from_bytes(each["garment"]), each["warp_grid"].float()) for each in (table, mirror))
    assert torch.allclose(other, worn.flip(-1), atol=1e-4)
    assert torch.equal(mirror["warp_visible"], table["warp_visible"].flip(-1))


def test_half_of_a_batch_is_mirrored_if_the_preset_says_so(folder, data):
    config = replace(TINY.stages["warping"], mirror=0.5)
    stage = STAGE_CLASSES["warping"](TINY.with_(stages=TINY.stages | {"warping": config}), Models(TINY, folder))
    table = rows(stage.table(data), [0] * 400)
    drawn = stage.draw(table, torch.Generator().manual_seed(0))["garment"]
    changed = (drawn != table["garment"]).flatten(1).any(1).float().mean()
    assert 0.4 < changed < 0.6
    plain = make("warping", folder)
    assert plain.draw(table, torch.Generator().manual_seed(0)) is table


def test_a_stage_may_train_on_more_samples_than_the_others(tmp_path):
    stages = TINY.stages | {"warping": replace(TINY.stages["warping"], samples=30)}
    preset = TINY.with_(stages=stages, train_samples=20)
    cards = train(("clip", "warping"), preset, tmp_path, progress=False)
    assert [card["samples"] for card in cards] == [20, 30]
    alone = train(("clip",), TINY.with_(train_samples=20), tmp_path / "alone", progress=False)
    assert alone[0]["loss"] == cards[0]["loss"]  # the first twenty are the same
