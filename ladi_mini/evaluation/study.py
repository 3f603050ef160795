"""The component study: the model with one component changed at a time, against the model as it is (LaDI-VTON, section 4).

Choices made here
- One card: every variant on the same unpaired people with the same noise, and the interval of its difference to the base.
- Each variant says whether the model was trained for it, had it swapped in, or was fine-tuned (`methods`).
"""

from pathlib import Path

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.evaluation.features import clip_features, open_features
from ladi_mini.evaluation.methods import GROUPS, main_methods, study_methods, study_variants
from ladi_mini.evaluation.predecessor import Predecessor
from ladi_mini.evaluation.reader import Reader
from ladi_mini.evaluation.scoring import PROTOCOL, differences, quiet, score, tables
from ladi_mini.evaluation.tryon import default_count, setting, wardrobe_people
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError
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
    sets["clip"] = clip_features(quiet(pipe))
    groups = GROUPS if ablation == "all" else (ablation,)
    variants, left_out = study_variants(pipe, preset, groups, clip, finetuned)
    methods = study_methods(pipe, variants, seed)
    if ablation == "all":
        known = main_methods(pipe, predecessor, seed, truth=True)
        methods |= {name: known[name] for name in PREDECESSORS if name in known}
    if reader is None:
        skipped["print_read"] = "skipped: no reader of prints among the weights"
    if predecessor is None and ablation == "all":
        skipped["predecessor"] = "skipped: no encoder-decoder among the weights"
    people = wardrobe_people(preset, samples, "unpaired", cache, workers)
    scores = score(methods, people, device, sets, pairs, reader, batch_size, "studying")
    rows = [
        {"group": variant.group, "name": "base" if variant.base else name, "label": variant.label, "how": variant.how}
        for name, variant in sorted(variants.items(), key=lambda item: GROUPS.index(item[1].group))
    ]
    for name, label in PREDECESSORS.items():
        if name in methods:
            how = "trained" if name == "without_garment" else "not this model"
            rows.append({"group": "predecessors", "name": name, "label": label, "how": how})
    return {
        "what": f"component study ({ablation}), preset {preset.name}, {samples} unpaired test people of the wardrobe",
        **setting(pipe, preset, samples, seed),
        "wardrobe": RECIPE_VERSION,
        "protocol": PROTOCOL | {
            "target": "the true picture of the same person in the other garment, drawn by the wardrobe",
            "how": "trained: the model met this setting in training, or it belongs to sampling; swapped in: it did not, so the "
            "number holds its habit too; fine-tuned: other weights, trained for the setting from the same start",
        },
        "skipped": skipped | left_out,
        "rows": rows,
        "scores": tables(scores),
        "difference_to_base": differences(scores, "base", list(methods)),
        "seconds_per_image": {name: round(spent / samples, 4) for name, spent in scores.seconds.items()},
        "peak_memory_mb": peak_memory_mb(device),
        **circumstances(device),
    }  # fmt: skip
