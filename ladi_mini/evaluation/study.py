"""The component study: the model with one component changed at a time, against the model as it is (LaDI-VTON, section 4).

Choices made here
- One card: every variant on the same unpaired people with the same noise, and the interval of its difference to the base.
- Each variant says whether the model was trained for it, had it swapped in, or was fine-tuned (`methods`), and in `against` what
  its differences are differences to: the base, or for a fine-tuned denoiser the control, trained as briefly.
- All people together: by category the card of some twenty variants would be three times as long.
"""

import re
from pathlib import Path

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.evaluation.features import clip_features, open_features
from ladi_mini.evaluation.methods import GROUPS, TUNED, control_variant, main_methods, study_methods, study_variants
from ladi_mini.evaluation.predecessor import Predecessor
from ladi_mini.evaluation.reader import Reader
from ladi_mini.evaluation.scoring import PROTOCOL, bare, differences, quiet, score, tables
from ladi_mini.evaluation.tryon import default_count, setting, wardrobe_people
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError
from ladi_mini.sums import fingerprints
from ladi_mini.training.variants import CONTROL
from ladi_mini.wardrobe import RECIPE_VERSION

PREDECESSORS = {
    "pasted": "warped garment pasted", "without_garment": "no garment inputs", "predecessor": "encoder-decoder with mask",
}  # fmt: skip


def study(
    pipe: TryOnPipeline,
    preset: Preset,
    ablation: str = "all",
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    cache: Path | None = None,
    workers: int = 0,
    *,
    clip=None,
    features: Path | None = None,
    reader: Reader | None = None,
    predecessor: Predecessor | None = None,
    finetuned: Path | None = None,
) -> dict:
    """The card of one group of `GROUPS`, or of all with the predecessors; see `methods.study_variants` for clip and finetuned."""
    if ablation not in (*GROUPS, "all"):
        raise InputError(f"--ablation is {ablation!r}, expected one of {', '.join(GROUPS)}, or all.")
    device, samples = pipe.device, default_count(preset) if samples is None else samples
    sets, pairs, skipped = open_features(features, device)
    sets["clip"] = clip_features(pipe)
    groups = GROUPS if ablation == "all" else (ablation,)
    variants, left_out = study_variants(pipe, preset, groups, clip, finetuned)
    tuned = any(variant.against == CONTROL for variant in variants.values())
    control = control_variant(preset, finetuned, device) if tuned else None
    painted = variants | ({CONTROL: control} if control else {})
    methods = study_methods(pipe, painted, seed)
    if ablation == "all":
        known = main_methods(pipe, predecessor, seed, truth=True)
        methods |= {name: known[name] for name in PREDECESSORS if name in known}
    if reader is None:
        skipped["print_read"] = "skipped: no reader of prints among the weights"
    if predecessor is None and ablation == "all":
        skipped["predecessor"] = "skipped: no encoder-decoder among the weights"
    people = wardrobe_people(preset, samples, "unpaired", cache, workers)
    with quiet(pipe):
        scores = score(methods, people, device, sets, pairs, reader, batch_size, "studying")
    rows = [
        {
            "group": variant.group,
            "name": "base" if variant.base else name,
            "label": variant.label,
            "how": variant.how,
            "against": variant.against,
        }
        for name, variant in sorted(variants.items(), key=lambda item: GROUPS.index(item[1].group))
    ]
    if control:
        rows.append({"group": CONTROL, "name": CONTROL, "label": control.label, "how": control.how, "against": "base"})
    rows += [_predecessor_row(name, label) for name, label in PREDECESSORS.items() if name in methods]
    apart: dict[str, dict[str, dict]] = {}
    for goal in ("base", CONTROL):
        names = [row["name"] for row in rows if row["against"] == goal]
        for metric, found in differences(scores, goal, names, by_category=False).items():
            apart.setdefault(metric, {}).update(found)
    return {
        "what": f"component study ({ablation}), preset {preset.name}, {samples} unpaired test people of the wardrobe",
        **setting(pipe, preset, samples, seed),
        "finetuned": {name: fingerprints(variant.parts) for name, variant in painted.items() if variant.how == TUNED},
        "wardrobe": RECIPE_VERSION,
        "protocol": PROTOCOL | {
            "target": "the true picture of the same person in the other garment, drawn by the wardrobe",
            "how": "trained: the model met this setting in training, or it belongs to sampling; swapped in: it did not, so the "
            "number holds its habit too; fine-tuned: other weights, trained for the setting; a denoiser from the same start as "
            "the control, which was trained for as many steps without the change and is what it is compared with; skips are "
            "compared with the base",
        },
        "skipped": skipped | left_out,
        "rows": rows,
        "scores": tables(scores, by_category=False),
        "difference_to_base": apart,
        "seconds_per_image": {name: round(spent / samples, 4) for name, spent in scores.seconds.items()},
        "peak_memory_mb": peak_memory_mb(device),
        **circumstances(device),
    }  # fmt: skip


def joined(cards: list[dict], try_on: dict) -> dict:
    """One card of groups that were measured apart, a GPU each; the predecessors come from the try-on card of the same people.

    Raises `InputError` where the cards are not of the same people, noise, model, fine-tuned weights and settings, or one does
    not name its weights.
    """
    first = cards[0]
    for key in ("preset", "samples", "seed", "num_inference_steps", "guidance_scale", "scheduler", "wardrobe"):
        differing = sorted({str(card[key]) for card in [*cards, try_on]})
        if len(differing) > 1:
            raise InputError(f"the cards have {key} {' and '.join(differing)}; join what was measured alike.")
    nameless = [card["what"] for card in (*cards, try_on) if "weights" not in card]
    if nameless:
        raise InputError(f"the card of the {nameless[0]} has no weights, expected their fingerprints; measure it again.")
    sums = [card["weights"] for card in (*cards, try_on)]
    other = sorted({name for each in sums for name in each.keys() | sums[0].keys() if each.get(name) != sums[0].get(name)})
    if other:
        raise InputError(f"the cards are of other weights of {', '.join(other)}; measure the older ones again.")
    finetuned: dict[str, dict[str, str]] = {}
    for card in cards:
        for name, parts in card.get("finetuned", {}).items():
            if finetuned.setdefault(name, parts) != parts:
                raise InputError(f"the cards are of other fine-tuned weights of {name}; measure the older ones again.")
    apart = try_on["unpaired"]["difference_to_tryon"]
    known = {name: label for name, label in PREDECESSORS.items() if name in apart["psnr"]}
    rows: dict[tuple[str, str], dict] = {}
    tables_: dict[str, dict[str, dict]] = {"scores": {}, "difference_to_base": {}}
    seconds: dict[str, float] = {}
    for card in cards:
        rows |= {(row["group"], row["name"]): row for row in card["rows"]}
        seconds |= card["seconds_per_image"]
        for key, found in tables_.items():
            for metric, by_method in card[key].items():
                found.setdefault(metric, {}).update(by_method)
    for name, label in known.items():
        rows["predecessors", name] = _predecessor_row(name, label)
    for key, given in (("scores", try_on["unpaired"]), ("difference_to_base", apart)):
        for metric, found in tables_[key].items():
            found.update(bare({name: value for name, value in given.get(metric, {}).items() if name in known}))
    order = (*GROUPS, CONTROL, "predecessors")
    return first | {
        "what": re.sub(r"\(.*?\)", "(all)", first["what"], count=1),
        "finetuned": finetuned,
        "skipped": {name: why for card in cards for name, why in card["skipped"].items() if name not in known},
        "predecessors": f"measured on the same people with the model's try-ons, at commit {try_on['commit']}",
        "rows": sorted(rows.values(), key=lambda row: order.index(row["group"])),
        **tables_,
        "seconds_per_image": seconds,
        "peak_memory_mb": max((card["peak_memory_mb"] for card in cards if card["peak_memory_mb"] is not None), default=None),
    }


def _predecessor_row(name: str, label: str) -> dict:
    how = "trained" if name == "without_garment" else "not this model"
    return {"group": "predecessors", "name": name, "label": label, "how": how, "against": "base"}
