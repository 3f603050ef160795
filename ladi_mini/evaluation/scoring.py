"""Scores every method on every person, and turns the scores into the tables of a card.

Choices made here
- Batches are made once and every method paints them; pictures stay on the device, and only the numbers leave it.
- Each picture gets all numbers that the truth allows: against the target where there is one, prints where the true warp is known.
- Features for set distances are kept (n, D), so that one distance serves all people or one category.
- A table is metric -> method -> interval, with the categories inside; a difference is method minus base, person by person.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from ladi_mini.evaluation import regions
from ladi_mini.evaluation.colour import colour_error
from ladi_mini.evaluation.features import Distance, Features, set_distances
from ladi_mini.evaluation.methods import Method
from ladi_mini.evaluation.metrics import bootstrap_median, interval, psnr, psnr_where, ssim
from ladi_mini.evaluation.prints import Prints, find_prints, similarity
from ladi_mini.evaluation.reader import Reader, read
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import TryOnBatch

TRUTH = "truth"  # the true picture, in the tables of prints

PROTOCOL = {
    "psnr": "RGB, [0, 1], decibels, one value a picture (100 where it is exact), mean over pictures",
    "psnr_inside_mask": "the same over the pixels that the model repaints",
    "psnr_head": "the same over known pixels of face, hair and hat",
    "psnr_hands": "the same over known arm pixels within 0.4 forearms of the hand's middle",
    "psnr_garment": "the same over the visible garment; psnr_beside_garment over what else is repainted: body and background",
    "ssim": "torchmetrics, RGB, [0, 1], range 1, Gaussian window of deviation 1.5 (11 x 11), reflected border, mean over map, "
    "float64",
    "colour_error": "CIEDE2000 (sRGB, D65), median over the visible garment's pixels, one value a picture, mean over pictures",
    "median_of_colour_error": "the same, median over pictures, the interval of 2,000 resamples",
    "print_similarity": "normalised correlation with the true picture's print, both unwarped by the true warp, mean over glyphs",
    "print_read": "share of prints that the reader reads right, all glyphs; the method truth is what it reads on true pictures",
    "glyph_read": "share of glyphs that it reads right",
    "lpips_alex": "torchmetrics, AlexNet of torchvision with the bundled linear heads, RGB [-1, 1], at the picture's own size",
    "lpips_vgg": "torchmetrics, VGG-16 of torchvision with the bundled linear heads, RGB [-1, 1], at the picture's own size",
    "fid": "torchmetrics, Inception of torch-fidelity, 2048 features, 8-bit RGB, bilinear antialiased to 299 x 299",
    "kid_x1000": "the same features, cubic kernel, all people at once, times 1000; the pairs of a person's result with the same "
    "person's true picture are left out (Gretton et al., 2012, equation 4): KID supposes two sets of strangers, and with these "
    "pairs it would lie far below 0",
    "clip_fd": "FID's mathematics (torchmetrics) on the image embedding of the pipeline's own CLIP; compares with nothing else",
    "clip_kd_x1000": "the mathematics of kid_x1000 on the same embedding, without the pairs of a person with themselves either",
    "interval": "95 % percentile bootstrap over people, 10,000 resamples, seed 0; differences are taken person by person. "
    "Set distances: +- 1.96 deviations of 100 random halves of the people",
    "paste_back": "none, but where a variant says so: known pixels are not put back over what a network painted; the method "
    "pasted keeps them exactly",
}  # fmt: skip


@dataclass
class Scores:
    """What was measured of n people: values[metric][method] (n,) with NaN where it does not apply, features[kind][method] (n, D)
    and those of the real pictures under "real", categories (n,), lengths (n,) and heights (n,) of their prints, read_as[method]
    what the reader read, n texts ("" without a print), and the seconds that each method spent painting."""

    values: dict[str, dict[str, np.ndarray]]
    features: dict[str, dict[str, torch.Tensor]]
    categories: np.ndarray
    lengths: np.ndarray  # glyphs of each person's readable print, 0 without one
    heights: np.ndarray  # of a glyph, pixels; NaN without a print
    read_as: dict[str, list[str]]
    seconds: dict[str, float] = field(default_factory=dict)


def score(
    methods: dict[str, Method],
    people,
    device: torch.device,
    sets: dict[str, Features],
    pairs: dict[str, Distance],
    reader: Reader | None = None,
    batch_size: int = 32,
    label: str = "evaluating",
    also=None,
) -> Scores:
    """Every method on every person of `people` (it has a length and `batch(indices)`).

    `also(batch)` gives more (B,) values a person, which belong to the method "tryon". Pictures are made in float32 or whatever
    the method computes in; every metric is computed in float32 or finer.
    """
    values: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    features: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    read_as: dict[str, list[str]] = defaultdict(list)
    categories, lengths, heights, seconds = [], [], [], dict.fromkeys(methods, 0.0)
    starts = range(0, len(people), batch_size)
    with tqdm(total=len(starts) * len(methods), desc=label) as bar:
        for start in starts:
            indices = list(range(start, min(start + batch_size, len(people))))
            batch = people.batch(indices).to(device)
            prints = find_prints(batch)
            categories += batch.category
            lengths += _spread([len(t) for t in prints.texts], prints, len(batch), 0) if prints else [0] * len(batch)
            heights += _spread(prints.heights.tolist(), prints, len(batch)) if prints else [np.nan] * len(batch)
            real = batch.person if batch.target is None else batch.target
            for kind, look in sets.items():
                features[kind]["real"].append(look(real))
            if reader is not None and batch.target is not None:
                _add_reading(values, read_as, TRUTH, reader, batch.target, prints, len(batch))
            for name, method in methods.items():
                _wait(device)  # what is still computed belongs to others
                began = time.perf_counter()
                image = method.paint(batch, indices).to(device).float()
                _wait(device)
                seconds[name] += time.perf_counter() - began
                for kind, look in sets.items():
                    features[kind][name].append(look(image))
                if batch.target is not None:
                    for metric, value in compare(image, batch, pairs).items():
                        values[metric][name].append(value)
                    if reader is not None:
                        _add_reading(values, read_as, name, reader, image, prints, len(batch))
                    values["print_similarity"][name].append(_similarity(image, batch, prints))
                bar.update(1)
            if also is not None:
                for metric, value in also(batch).items():
                    values[metric]["tryon"].append(value)
    return Scores(
        {m: {k: torch.cat([v.double().cpu() for v in parts]).numpy() for k, parts in by.items()} for m, by in values.items()},
        {kind: {k: torch.cat(parts) for k, parts in by.items()} for kind, by in features.items()},
        np.array(categories), np.array(lengths), np.array(heights), dict(read_as), seconds,
    )  # fmt: skip


def compare(image: torch.Tensor, batch: TryOnBatch, pairs: dict[str, Distance]) -> dict[str, torch.Tensor]:
    """(B,) values by name of pictures (B, 3, H, W) against the batch's targets; NaN where a region is empty."""
    target = batch.target
    found = {
        "psnr": psnr(image, target),
        "psnr_inside_mask": psnr(image, target, batch.inpaint_mask),
        "psnr_head": psnr_where(image, target, regions.head(batch)),
        "psnr_hands": psnr_where(image, target, regions.hands(batch)),
        "ssim": ssim(image, target),
    }
    garment = regions.garment(batch)
    if garment is not None:
        found["colour_error"] = colour_error(image, target, garment)
        found["psnr_garment"] = psnr_where(image, target, garment)
        found["psnr_beside_garment"] = psnr_where(image, target, batch.inpaint_mask * (1 - garment))
    return found | {name: distance(image, target) for name, distance in pairs.items()}


def _similarity(image: torch.Tensor, batch: TryOnBatch, prints: Prints | None) -> torch.Tensor:
    out = torch.full((len(batch),), torch.nan)
    if prints is not None:
        out[prints.rows.cpu()] = similarity(image, batch.target, prints).cpu().float()
    return out


def _add_reading(values, read_as, name: str, reader: Reader, image: torch.Tensor, prints: Prints | None, count: int):
    right, share, texts = read(reader, image, prints) if prints is not None else ([], [], [])
    for metric, found in (("print_read", right), ("glyph_read", share)):
        spread = _spread([float(x) for x in found], prints, count) if prints is not None else [np.nan] * count
        values[metric][name].append(torch.tensor(spread))
    read_as[name] += _spread(texts, prints, count, "") if prints is not None else [""] * count


def _spread(found: list, prints: Prints, count: int, empty=np.nan) -> list:
    """What is known of the people with prints, at their places among `count` people."""
    out = [empty] * count
    for row, value in zip(prints.rows.tolist(), found, strict=True):
        out[row] = value
    return out


def _wait(device: torch.device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# ---------------------------------------------------------------- tables of a card


def tables(scores: Scores, by_category: bool = True) -> dict[str, dict[str, dict]]:
    """metric -> method -> interval of everything that was measured, set distances included; `by_category` inside if asked for."""
    rows = _rows(scores.categories) if by_category else {}
    found: dict[str, dict[str, dict]] = defaultdict(dict)
    for metric, by_method in scores.values.items():
        for name, values in by_method.items():
            whole = interval(values)
            if whole is not None:
                found[metric][name] = whole | ({"by_category": _by_category(values, rows)} if by_category else {})
    for kind, by_method in scores.features.items():
        for name, fake in by_method.items():
            if name == "real":
                continue
            parts = {c: set_distances(kind, fake[own], by_method["real"][own]) for c, own in rows.items()}
            for metric, whole in set_distances(kind, fake, by_method["real"]).items():
                inner = {c: distances[metric] for c, distances in parts.items() if distances}
                found[metric][name] = whole | ({"by_category": inner} if by_category else {})
    if "colour_error" in scores.values:
        for name, values in scores.values["colour_error"].items():
            values = values[np.isfinite(values)]
            if len(values):
                median, low, high = (round(x, 3) for x in bootstrap_median(values))
                found["median_of_colour_error"][name] = {"mean": median, "low": low, "high": high, "n": len(values)}
    return dict(found)


def differences(scores: Scores, base: str, methods: list[str], by_category: bool = True) -> dict[str, dict[str, dict]]:
    """metric -> method -> interval of its values minus those of `base`, person by person; `by_category` inside if asked for."""
    found: dict[str, dict[str, dict]] = defaultdict(dict)
    rows = _rows(scores.categories) if by_category else {}
    for metric, by_method in scores.values.items():
        for name in methods:
            if name in by_method and base in by_method and name != base:
                apart = by_method[name] - by_method[base]
                whole = interval(apart)
                if whole is not None:
                    found[metric][name] = whole | ({"by_category": _by_category(apart, rows)} if by_category else {})
    return dict(found)


def bare(by_method: dict[str, dict]) -> dict[str, dict]:
    """method -> interval, without what is inside by category."""
    return {name: {k: v for k, v in value.items() if k != "by_category"} for name, value in by_method.items()}


def by_length(scores: Scores, methods: list[str]) -> dict[str, dict[str, dict]]:
    """number of glyphs -> method -> interval of the share of prints that were read right."""
    read_right = scores.values.get("print_read", {})
    return {
        str(n): {k: found for k in methods if k in read_right and (found := interval(read_right[k][scores.lengths == n]))}
        for n in sorted(set(scores.lengths.tolist()) - {0})
    }


def glyph_heights(scores: Scores) -> dict | None:
    """Median and 5 % and 95 % quantiles of the printed glyphs' heights, pixels of the person."""
    heights = scores.heights[np.isfinite(scores.heights)]
    if not len(heights):
        return None
    low, middle, high = np.quantile(heights, [0.05, 0.5, 0.95]).tolist()
    return {"median": round(middle, 1), "5 %": round(low, 1), "95 %": round(high, 1), "n": len(heights)}


def _rows(categories: np.ndarray) -> dict[str, np.ndarray]:
    return {c: np.flatnonzero(categories == c) for c in CATEGORIES if (categories == c).any()}


def _by_category(values: np.ndarray, rows: dict[str, np.ndarray]) -> dict[str, dict]:
    return {c: found for c, own in rows.items() if (found := interval(values[own])) is not None}


@contextmanager
def quiet(pipe: TryOnPipeline) -> Iterator[None]:
    """The pipeline without its own progress bar, beside which that of the scores would not be seen; as it was afterwards."""
    before = getattr(pipe, "_progress_bar_config", {})
    pipe.set_progress_bar_config(**before | {"disable": True})
    try:
        yield
    finally:
        pipe.set_progress_bar_config(**before)
