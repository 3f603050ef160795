"""The card of a model: paired and unpaired try-ons against the truth, against its ceiling and its predecessors (lesson 7).

Choices made here
- The wardrobe knows the person in the other garment, so unpaired results are scored against the true picture too.
- Paired and unpaired have the same people, garments and noise and differ only in what the person wears before.
- 1,026 people, 342 a category; 256 for nano, which is trained while one watches.
- On real data there is no truth: paired pictures are scored against the photograph, unpaired ones only as a set.
- What could not be measured stands in the card under `skipped`, with the reason.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.evaluation.features import clip_features, open_features
from ladi_mini.evaluation.methods import Method, main_methods
from ladi_mini.evaluation.metrics import interval
from ladi_mini.evaluation.predecessor import Predecessor
from ladi_mini.evaluation.reader import Reader
from ladi_mini.evaluation.scoring import (
    PROTOCOL,
    TRUTH,
    Scores,
    bare,
    by_length,
    differences,
    glyph_heights,
    quiet,
    score,
    tables,
)
from ladi_mini.evaluation.warps import warp_scores
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import Preset
from ladi_mini.sample import TryOnBatch, collate
from ladi_mini.sums import fingerprints
from ladi_mini.wardrobe import RECIPE_VERSION, packed

ORDERS = ("unpaired", "paired")
FIRST = 16  # people whose decibels stand in a card one by one
WARP_PROTOCOL = {
    "warp_end_point_error_px": "mean distance over the visible garment, pixels of the garment's picture",
    "warp_end_point_error_px_identity": "of no warp at all",
    "warp_end_point_error_px_best_spline": "of the least-squares fit of the same control grid to the true warp",
    "garment_l1_before_refinement": "L1 to the worn garment over the visible garment, [0, 1]; after_refinement alike",
    "garment_psnr_before_refinement": "decibels over the visible garment; after_refinement alike",
}


class Listed:
    """A data set of samples with `batch(indices)`, as `Packed` has it."""

    def __init__(self, data: Dataset, count: int | None = None):
        self.data = data
        self.count = len(data) if count is None else min(count, len(data))

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Sequence[int]) -> TryOnBatch:
        return collate([self.data[i] for i in indices])


def default_count(preset: Preset) -> int:
    """How many people a card of this preset is made of."""
    return 256 if preset.name == "nano" else 1026


def wardrobe_people(preset: Preset, count: int, order: str, cache: Path | None = None, workers: int = 0):
    """The first `count` test people of the wardrobe, in "paired" or "unpaired" order."""
    size = preset.height, preset.width
    return packed("test", count, *size, seed=0, unpaired=order == "unpaired", cache_dir=cache, workers=workers)


def setting(pipe: TryOnPipeline, preset: Preset, samples: int, seed: int) -> dict:
    """How results were made: what every card of scores begins with."""
    return {
        "preset": preset.name,
        "samples": samples,
        "size": [preset.height, preset.width],
        "seed": seed,
        "num_inference_steps": pipe.config.num_inference_steps,
        "guidance_scale": pipe.config.guidance_scale,
        "scheduler": type(pipe.scheduler).__name__,
        "weights": fingerprints(pipe.components),
    }


def evaluate(
    pipe: TryOnPipeline,
    preset: Preset,
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    cache: Path | None = None,
    workers: int = 0,
    *,
    people: dict[str, Listed] | None = None,
    data: str = "the wardrobe",
    orders: Sequence[str] = ORDERS,
    features: Path | None = None,
    reader: Reader | None = None,
    predecessor: Predecessor | None = None,
) -> tuple[dict, dict[str, Scores]]:
    """Scores the pipeline on `samples` test people; returns the card and, by order, the scores that it was made from.

    `people` by order takes the place of the wardrobe's, `data` says whose they are. `features` is a folder of weights for FID,
    KID and LPIPS; `reader` and `predecessor` are None where they are not trained. All that was left out stands in the card.
    """
    device, samples = pipe.device, default_count(preset) if samples is None else samples
    sets, pairs, skipped = open_features(features, device)
    sets["clip"] = clip_features(pipe)
    drawn = people is None
    if not drawn:
        skipped["warps and prints"] = "skipped: the true warp is known of drawn people only"
    elif reader is None:
        skipped["print_read"] = "skipped: no reader of prints among the weights"
    if predecessor is None:
        skipped["predecessor"] = "skipped: no encoder-decoder among the weights"
    if drawn:
        people = {order: wardrobe_people(preset, samples, order, cache, workers) for order in orders}
    methods = {order: main_methods(pipe, predecessor, seed, truth=drawn or order == "paired") for order in orders}
    every = {name: method for order in orders for name, method in methods[order].items()}
    scores = {}
    for order in orders:
        also = (lambda batch, best=order == orders[0]: warp_scores(pipe, batch, best)) if drawn else None
        judge = reader if drawn else None
        with quiet(pipe):
            scores[order] = score(methods[order], people[order], device, sets, pairs, judge, batch_size, order, also)
        if not drawn and order != "paired":
            skipped[f"{order} metrics"] = "skipped: the truth was never photographed, only sets are compared"
    card = {
        "what": f"try-on, preset {preset.name}, {len(people[orders[0]])} test people of {data}",
        **setting(pipe, preset, len(people[orders[0]]), seed),
        "data": data,
        "wardrobe": RECIPE_VERSION if drawn else None,
        "protocol": _protocol(drawn, every),
        "skipped": skipped,
        "methods": {name: method.label for name, method in every.items()},
    }
    for order in orders:
        found = scores[order]
        card[order] = tables(found) | {"difference_to_tryon": differences(found, "tryon", list(methods[order]))}
        if reader is not None and drawn:
            card[order]["print_read_by_length"] = by_length(found, [TRUTH, *methods[order]])
            card[order]["glyph_height_px"] = glyph_heights(found)
    if drawn and set(orders) == set(ORDERS):
        card["paired_minus_unpaired"] = _paired_minus_unpaired(scores)
    card |= _summary(card, scores, orders[0])
    first = scores[orders[0]]
    card |= {
        "seconds_per_image": round(first.seconds["tryon"] / len(first.categories), 4),
        "peak_memory_mb": peak_memory_mb(device),
        **circumstances(device),
    }
    return card, scores


def _protocol(drawn: bool, methods: dict[str, Method]) -> dict[str, str]:
    target = "the true picture of the same person in the garment, drawn by the wardrobe"
    reference = {
        "target": target if drawn else "paired: the photograph; unpaired: none, sets are compared with the photographs",
        "methods": "same people, masks and noise for all; " + "; ".join(f"{name}: {m.label}" for name, m in methods.items()),
    }
    return PROTOCOL | (WARP_PROTOCOL if drawn else {}) | reference


def _paired_minus_unpaired(scores: dict[str, Scores]) -> dict[str, dict]:
    """Of the model, person by person: what it gains from a person who already wears the garment."""
    paired, unpaired = (scores[order].values for order in ("paired", "unpaired"))
    apart = {
        metric: interval(paired[metric]["tryon"] - unpaired[metric]["tryon"])
        for metric in unpaired
        if "tryon" in unpaired[metric] and "tryon" in paired.get(metric, {})
    }
    return {metric: value for metric, value in apart.items() if value is not None}


def _summary(card: dict, scores: dict[str, Scores], order: str) -> dict:
    """The few tables of the first order that README and lessons show, under names of their own."""
    found = card[order]
    if "psnr" not in found:
        return {}

    inner = found["psnr_inside_mask"]
    categories = sorted({c for value in inner.values() for c in value["by_category"]})
    summary = {
        "psnr_inside_mask": bare(inner),
        "psnr": bare(found["psnr"]),
        # the model minus the method: how much better it is
        "difference_inside_mask": {
            name: interval(scores[order].values["psnr_inside_mask"]["tryon"] - scores[order].values["psnr_inside_mask"][name])
            for name in inner
            if name != "tryon"
        },
        "by_category": {c: {name: value["by_category"][c] for name, value in inner.items()} for c in categories},
        "first_inside_mask": {  # one by one, so that a few people are enough to see whether weights and card belong together
            name: [round(v, 3) for v in scores[order].values["psnr_inside_mask"][name][:FIRST].tolist()] for name in inner
        },
    }
    for metric in ("warp_end_point_error_px", "warp_end_point_error_px_identity"):
        if metric in found:
            summary[metric] = bare(found[metric])["tryon"]
    return summary


def reasons(scores: Scores) -> list[str]:
    """Why each person came out so inside the mask: of what was measured there, what is worst beside the others, in words."""
    kinds = {
        "warp_end_point_error_px": (1, "warp {:.1f} px off"),
        "colour_error": (1, "colour {:.1f} CIEDE2000 off"),
        "print_similarity": (-1, "print lost, correlation {:.2f}"),
        "psnr_beside_garment": (-1, "body beside the garment {:.1f} dB"),
        "ceiling": (-1, "autoencoder's limit {:.1f} dB"),
    }
    found = {metric: scores.values[metric]["tryon"] for metric in kinds if "tryon" in scores.values.get(metric, {})}
    if "autoencoder" in scores.values.get("psnr_inside_mask", {}):
        found["ceiling"] = scores.values["psnr_inside_mask"]["autoencoder"]
    ranks = {metric: _rank(kinds[metric][0] * value) for metric, value in found.items()}
    words = []
    for i in range(len(scores.categories)):
        known = {metric: rank[i] for metric, rank in ranks.items() if np.isfinite(rank[i])}
        metric = max(known, key=known.get)
        others = "the worst of all" if known[metric] == 1 else f"worse than {known[metric]:.0%} of the others"
        words.append(f"{kinds[metric][1].format(found[metric][i])}, {others}")
    return words


def _rank(badness: np.ndarray) -> np.ndarray:
    """The share of the others that are better, NaN where it is not known."""
    known = np.isfinite(badness)
    rank = np.full(len(badness), np.nan)
    order = badness[known]
    rank[known] = (order[:, None] > order[None]).sum(1) / max(1, len(order) - 1)
    return rank
