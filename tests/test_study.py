"""evaluation/methods, study and show/study: a variant changes one component, is put back, and says how it came to be."""

import json

import pytest
import torch
from tiny import TINY, batch, noisy, tiny_pipeline

from ladi_mini.checkpoints import STAGE_COMPONENTS, build_component, load_stage, save_stage
from ladi_mini.clip import build_clip, clip_pixels, image_features, text_features, tokenize
from ladi_mini.emasc import build_emasc
from ladi_mini.evaluation import evaluate, study
from ladi_mini.evaluation import methods as m
from ladi_mini.evaluation.predecessor import build_predecessor
from ladi_mini.evaluation.study import joined
from ladi_mini.sample import InputError
from ladi_mini.show.study import METRICS, study_figure
from ladi_mini.sums import CheckpointError, fingerprints
from ladi_mini.wardrobe.captions import caption
from ladi_mini.wardrobe.dressing import category_of, garment_of


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return build_clip(TINY).eval()


@pytest.fixture(scope="module")
def variants(pipe, clip):
    return m.study_variants(pipe, TINY, m.GROUPS, clip)[0]


def test_every_group_has_a_base_and_something_to_compare_it_with(variants):
    for group in m.GROUPS:
        members = [v for v in variants.values() if v.group == group]
        assert sum(v.base for v in members) == 1 and len(members) >= 2, group


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("text-empty", {"text": "empty"}),
        ("text-caption", {"text": "caption"}),
        ("garment-true", {"garment": "true"}),
        ("pose-none", {"use_pose": False}),
        ("emasc-none", {"use_emasc": False}),
        ("guidance-5", {"guidance_scale": 5.0}),
        ("steps-5", {"num_inference_steps": 5}),
        ("paste-back", {"paste_back": True}),
    ],
)
def test_a_variant_is_the_call_with_its_switch_on_the_same_noise(pipe, variants, name, switches):
    given = batch(2)
    painted = m.study_methods(pipe, variants, seed=3)
    image = painted[name].paint(given, [4, 9])
    direct = pipe(given, generator=m.noise_of([4, 9], 3), output_type="pt", **switches).images * 2 - 1
    assert torch.equal(image, direct)
    assert not torch.equal(image, painted["base"].paint(given, [4, 9]))
    assert "text-words" not in painted  # the base has one name


def test_noise_belongs_to_the_person_not_to_the_batch():
    first, second = m.noise_of([4, 9], 0), m.noise_of([9], 0)
    draws = [torch.randn(3, generator=g) for g in (first[0], first[1], second[0])]
    assert torch.equal(draws[1], draws[2]) and not torch.equal(draws[0], draws[1])


def test_skips_without_mask_change_the_inside_and_are_taken_out_again(pipe, variants):
    given, own = batch(2), pipe.emasc
    painted = m.study_methods(pipe, variants, seed=0)
    base, image = painted["base"].paint(given, [0, 1]), painted["emasc-unmasked"].paint(given, [0, 1])
    assert pipe.emasc is own and torch.equal(painted["base"].paint(given, [0, 1]), base)
    inside = given.inpaint_mask.bool().expand_as(base)
    assert not torch.allclose(base[inside], image[inside])
    taps = [torch.ones(1, c, 8, 6) for c in pipe.emasc.config.in_channels]
    nothing = torch.zeros(1, 1, 8, 6)
    for a, b in zip(variants["emasc-unmasked"].parts["emasc"](taps, torch.ones(1, 1, 8, 6)), own(taps, nothing), strict=True):
        assert torch.equal(a, b)


def test_a_swap_is_undone_after_an_error(pipe):
    own = pipe.emasc
    with pytest.raises(RuntimeError), m.swapped(pipe, {"emasc": build_emasc(TINY)}):
        raise RuntimeError
    assert pipe.emasc is own


def test_the_retrieved_caption_is_the_nearest_of_the_training_split(pipe, clip):
    given = batch(4)
    found = m.retrieve_captions(clip, pipe.tokenizer, count=40)(given)
    known = sorted({caption(garment_of(0, i, category_of(i)).attributes) for i in range(40)})
    texts = text_features(clip, tokenize(pipe.tokenizer, known))
    for i, said in enumerate(found.caption):
        picture = image_features(clip, clip_pixels(given.garment[i : i + 1], TINY.vision_size))
        assert said == known[(texts @ picture[0]).argmax()]
    assert given.caption != found.caption and torch.equal(given.garment, found.garment)


def test_without_weights_a_variant_is_left_out_aloud(pipe):
    variants, skipped = m.study_variants(pipe, TINY, ("text", "emasc"))
    assert set(skipped) == {"text-retrieved", "emasc-linear"} and not set(skipped) & set(variants)
    assert all(why.startswith("skipped") for why in skipped.values())
    assert m.study_variants(pipe, TINY, ("pose",))[1] == {}


def test_fine_tuned_weights_take_the_place_of_swapped_ones(pipe, tmp_path):
    linear = noisy(build_emasc(TINY, linear=True), 5)
    save_stage(tmp_path / "emasc-linear", TINY, "emasc", {"emasc": linear})
    tuned = {part: noisy(build_component(TINY, part), seed) for seed, part in ((6, "unet"), (7, "inversion_adapter"))}
    save_stage(tmp_path / "text-caption", TINY, "tryon", tuned)
    variants, skipped = m.study_variants(pipe, TINY, m.GROUPS, None, tmp_path)
    assert variants["emasc-linear"].how == variants["text-caption"].how == m.TUNED and "emasc-linear" not in skipped
    assert variants["text-category"].how == m.SWAPPED and variants["guidance-5"].how == m.TRAINED
    stored = variants["emasc-linear"].parts["emasc"].conv[0].weight
    assert torch.allclose(stored, linear.conv[0].weight, atol=1e-3)
    painted, given = m.study_methods(pipe, variants, 0), batch(2)
    swapped = pipe(given, generator=m.noise_of([0, 1], 0), output_type="pt", text="caption").images * 2 - 1
    assert not torch.allclose(painted["text-caption"].paint(given, [0, 1]), swapped)
    assert painted["text-caption"].how == m.TUNED


def test_what_was_fine_tuned_is_compared_with_what_was_trained_as_briefly(pipe, tmp_path, monkeypatch):
    def tuned(name, seed):
        parts = {part: noisy(build_component(TINY, part), seed + i) for i, part in enumerate(("unet", "inversion_adapter"))}
        save_stage(tmp_path / name, TINY, "tryon", parts)

    tuned("text-empty", 20)
    with pytest.raises(InputError, match="no folder control"):
        study(pipe, TINY, "text", samples=4, finetuned=tmp_path)
    tuned("control", 30)
    card = study(pipe, TINY, "text", samples=4, batch_size=4, finetuned=tmp_path)
    rows = {row["name"]: row for row in card["rows"]}
    assert rows["text-empty"]["against"] == "control" and rows["text-category"]["against"] == "base"
    assert set(card["finetuned"]) == {"text-empty", "control"} and card["finetuned"]["control"] == fingerprints(
        load_stage(tmp_path / "control", TINY, "tryon")
    )
    assert rows["control"]["how"] == m.TUNED and rows["control"]["against"] == "base"
    for name, against in (("text-empty", "control"), ("text-category", "base"), ("control", "base")):
        means = [card["scores"]["psnr"][n]["mean"] for n in (name, against)]
        assert card["difference_to_base"]["psnr"][name]["mean"] == pytest.approx(means[0] - means[1], abs=2e-3)
    assert study(pipe, TINY, "pose", samples=4, finetuned=tmp_path)["rows"][-1]["name"] != "control"  # nothing there needs it


def test_a_retrieved_caption_is_read_by_the_weights_that_learned_captions(pipe, clip, tmp_path):
    parts = {part: noisy(build_component(TINY, part), seed) for seed, part in ((6, "unet"), (7, "inversion_adapter"))}
    save_stage(tmp_path / "text-caption", TINY, "tryon", parts)
    variants = m.study_variants(pipe, TINY, ("text",), clip, tmp_path)[0]
    assert variants["text-retrieved"].parts == variants["text-caption"].parts
    assert variants["text-retrieved"].how == m.TUNED and variants["text-retrieved"].change is not None


def test_a_folder_that_belongs_to_no_variant_is_refused(pipe, tmp_path):
    save_stage(tmp_path / "emasc-lineer", TINY, "emasc", {"emasc": build_emasc(TINY)})
    with pytest.raises(InputError, match="emasc-lineer belongs to no variant"):
        m.study_variants(pipe, TINY, m.GROUPS, None, tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        m.study_variants(pipe, TINY, m.GROUPS, None, tmp_path / "elsewhere")


def test_a_folder_named_like_the_model_as_it_is_is_refused(pipe, tmp_path):
    save_stage(tmp_path / "text-words", TINY, "emasc", {"emasc": build_emasc(TINY)})
    with pytest.raises(InputError, match="text-words is named like the model as it is; name it like one of text-empty, "):
        m.study_variants(pipe, TINY, ("text",), None, tmp_path)


@pytest.mark.parametrize(("name", "stage"), [("text-empty", "inversion"), ("emasc-unmasked", "tryon"), ("emasc-linear", "tryon")])
def test_a_folder_without_the_weights_that_a_variant_needs_is_refused(pipe, tmp_path, name, stage):
    save_stage(tmp_path / name, TINY, stage, {part: build_component(TINY, part) for part in STAGE_COMPONENTS[stage]})
    with pytest.raises(InputError, match=rf"{name} has no weights of emasc.*; train {name} again"):
        m.study_variants(pipe, TINY, m.GROUPS, None, tmp_path)


@pytest.mark.parametrize(("name", "stage"), [("text-empty", "tryon"), ("control", "tryon"), ("emasc-linear", "emasc")])
def test_fine_tuned_weights_whose_first_file_is_missing_are_refused(pipe, tmp_path, monkeypatch, name, stage):
    parts = {part: build_component(TINY, part) for part in STAGE_COMPONENTS[stage]}
    monkeypatch.setattr("ladi_mini.checkpoints.SHARD", 2_000)
    paths = save_stage(tmp_path / name, TINY, stage, {"emasc": build_emasc(TINY, linear=True)} if stage == "emasc" else parts)
    paths[0].unlink()
    with pytest.raises(CheckpointError, match=rf"{stage}-00001-of-.* is missing"):
        m.study_variants(pipe, TINY, m.GROUPS, None, tmp_path)
        m.control_variant(TINY, tmp_path, pipe.device)


def test_linear_skips_are_held_to_what_all_weights_are(pipe, tmp_path, monkeypatch):
    def given(preset, linear, shard=10**6):
        monkeypatch.setattr("ladi_mini.checkpoints.SHARD", shard)
        save_stage(tmp_path / "emasc-linear", preset, "emasc", {"emasc": noisy(build_emasc(preset, linear=linear), 5)})
        return m.study_variants(pipe, TINY, ("emasc",), None, tmp_path)[0]["emasc-linear"].parts["emasc"]

    with pytest.raises(CheckpointError, match=r"emasc\.safetensors: \d+ tensors of emasc do not fit preset nano"):
        given(TINY, linear=False)
    with pytest.raises(CheckpointError, match="was trained for preset 'other', not 'nano'"):
        given(TINY.with_(name="other"), linear=True)
    whole, sharded = given(TINY, linear=True), given(TINY, linear=True, shard=2_000)
    assert len(list((tmp_path / "emasc-linear").glob("*.safetensors"))) > 1
    assert all(torch.equal(value, sharded.state_dict()[key]) for key, value in whole.state_dict().items())


def test_only_what_the_groups_need_is_loaded(pipe, clip, tmp_path, monkeypatch):
    save_stage(tmp_path / "emasc-linear", TINY, "emasc", {"emasc": build_emasc(TINY, linear=True)})[0].write_bytes(b"damaged")
    monkeypatch.setattr(m, "retrieve_captions", lambda *_: pytest.fail("captions were embedded"))
    assert set(m.study_variants(pipe, TINY, ("pose",), clip, tmp_path)[0]) == {"pose", "pose-none"}
    with pytest.raises(CheckpointError, match="is damaged"):
        m.study_variants(pipe, TINY, ("emasc",), clip, tmp_path)


def test_the_reconstruction_is_the_autoencoder_and_the_skips_only_add_what_is_known(pipe):
    given = batch(2)
    plain = pipe.vae.decode(pipe.vae.encode(given.target).latent_dist.mode()).sample.clamp(-1, 1)
    assert torch.allclose(m.reconstruct(pipe, given), plain, atol=1e-5)
    assert not torch.allclose(m.reconstruct(pipe, given, skips=True), plain, atol=1e-3)


# ---------------------------------------------------------------- the card and its figure


@pytest.fixture(scope="module")
def card(clip):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:  # two of a kind show as much as six
        patch.setattr(m, "STEPS", (5,))
        patch.setattr(m, "GUIDANCE", (1.0, 5.0))
        return study(tiny_pipeline(), TINY, "all", samples=4, batch_size=4, clip=clip, predecessor=build_predecessor(TINY).eval())


def test_the_card_holds_every_variant_with_its_difference_to_the_base(card):
    names = {row["name"] for row in card["rows"]}
    assert {"base", "text-retrieved", "garment-true", "pasted", "without_garment", "predecessor"} <= names
    assert {row["group"] for row in card["rows"]} == {*m.GROUPS, "predecessors"}
    for metric in ("psnr", "psnr_inside_mask", "ssim", "colour_error"):
        assert set(card["difference_to_base"][metric]) == names - {"base"}
        for name, gain in card["difference_to_base"][metric].items():
            means = card["scores"][metric][name]["mean"] - card["scores"][metric]["base"]["mean"]
            assert gain["mean"] == pytest.approx(means, abs=2e-3) and gain["n"] == 4
    assert all(row["how"] in ("trained", "swapped in", "not this model") for row in card["rows"])
    assert "emasc-linear" in card["skipped"] and "print_read" in card["skipped"] and card["finetuned"] == {}
    assert not any("by_category" in value for found in card["scores"].values() for value in found.values())
    json.dumps(card)


def test_groups_that_were_measured_apart_join_to_the_card_of_all(card, clip):
    torch.manual_seed(0)
    pipe, given = tiny_pipeline(), {"samples": 4, "batch_size": 4}
    apart = [study(pipe, TINY, group, clip=clip, **given) for group in ("pose", "text")]
    try_on, _ = evaluate(pipe, TINY, orders=("unpaired",), predecessor=build_predecessor(TINY).eval(), **given)
    whole = joined(apart, try_on)
    assert "(all)" in whole["what"] and "study" in whole["what"]
    assert [row["group"] for row in whole["rows"]] == ["text"] * 5 + ["pose"] * 2 + ["predecessors"] * 3  # the order of all
    names = {row["name"] for row in whole["rows"]} - {"base", "predecessor"}  # whose weights are others here
    assert names < {row["name"] for row in card["rows"]}
    for table in ("scores", "difference_to_base"):
        for name in names:
            assert whole[table]["psnr"][name]["mean"] == pytest.approx(card[table]["psnr"][name]["mean"], abs=1e-3), (table, name)
    with pytest.raises(InputError, match="the cards have seed 0 and 1; join what was measured alike"):
        joined([apart[0], apart[1] | {"seed": 1}], try_on)
    assert "predecessor" not in whole["skipped"] and try_on["commit"] in whole["predecessors"]
    changed = try_on | {"weights": try_on["weights"] | {"warping": "0" * 12, "emasc": "1" * 12}}
    with pytest.raises(InputError, match="the cards are of other weights of emasc, warping; measure the older ones again"):
        joined(apart, changed)
    with pytest.raises(InputError, match=r"the card of the component study \(text\), .* has no weights.*; measure it again"):
        joined([apart[0], {key: value for key, value in apart[1].items() if key != "weights"}], try_on)
    assert whole["finetuned"] == {} and whole["peak_memory_mb"] == max(one["peak_memory_mb"] for one in apart)
    unknown = joined([apart[0] | {"peak_memory_mb": None}, apart[1]], try_on)  # None on Windows
    assert unknown["peak_memory_mb"] == apart[1]["peak_memory_mb"]
    assert joined([one | {"peak_memory_mb": None} for one in apart], try_on)["peak_memory_mb"] is None
    first, second = (
        {"control": {"unet": "a"}, "pose-none": {"unet": "b"}},
        {"control": {"unet": "a"}, "text-empty": {"unet": "c"}},
    )
    tuned = [apart[0] | {"finetuned": first}, apart[1] | {"finetuned": second}]
    assert joined(tuned, try_on)["finetuned"] == first | second
    older = {key: value for key, value in apart[1].items() if key != "finetuned"}
    assert joined([tuned[0], older], try_on)["finetuned"] == first
    with pytest.raises(InputError, match="the cards are of other fine-tuned weights of control; measure the older ones again"):
        joined([tuned[0], apart[1] | {"finetuned": second | {"control": {"unet": "d"}}}], try_on)


def test_paste_back_leaves_known_pixels_exact(card):
    assert card["scores"]["psnr_head"]["paste-back"]["mean"] > 60 > card["scores"]["psnr_head"]["base"]["mean"]


def test_an_unknown_group_is_refused(pipe):
    with pytest.raises(InputError, match=r"--ablation is 'poses', expected one of text, .* or all"):
        study(pipe, TINY, "poses", samples=4)


def test_the_figure_draws_every_difference_where_it_is(card):
    figure = study_figure(card)
    axes = [axis for axis in figure.axes if axis.get_title("left") in {title for title, _ in METRICS.values()}]
    shown = [name for name, (title, _) in METRICS.items() if title in {axis.get_title("left") for axis in axes}]
    assert "psnr_inside_mask" in shown and "print_read" not in shown
    for axis, metric in zip(axes, shown, strict=True):
        drawn = {round(float(line.get_xdata()[0]), 9) for line in axis.lines if line.get_marker() not in ("", "None", None)}
        left, right = axis.get_xlim()
        assert (left > right) == (METRICS[metric][1] < 0)  # better is to the right
        found = {name: value["mean"] for name, value in card["difference_to_base"][metric].items()}
        inside = {name for name in found if abs(found[name]) <= abs(left)}
        assert {round(found[row["name"]], 9) for row in card["rows"] if row["name"] in inside} == drawn
        numbers = [text.get_text().strip("← →") for text in axis.texts if "→" in text.get_text() or "←" in text.get_text()]
        assert sorted(numbers) == sorted(f"{found[name]:+.3g}" for name in set(found) - inside)
    assert any("→" in text.get_text() for axis in axes for text in axis.texts)  # known pixels put back are exact
    with pytest.raises(ValueError, match="none of the metrics"):
        study_figure(card, ["fid"])
