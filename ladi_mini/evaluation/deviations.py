"""What each deviation from the authors' conventions is worth, in pixels, decibels or per cent, on drawn people.

`python -m ladi_mini.evaluation.deviations` measures, writes the card `data/results/deviations.json` and fills the numbers into
`lessons/deviations.md`, whose sentences with numbers stand between `<!-- deviation: NAME -->` and `<!-- end deviation -->`.

Choices made here
- One function a deviation. Each changes one thing and leaves all else as it is.
- People are the first of the wardrobe's unpaired test split, as many of each category, drawn at the released model's 512 x 384.
- Where a network is needed it is nano's, because the released weights cannot be shipped; the card says which numbers are its.
- Means over people; a value a person, then the mean. Where a person can come out perfect, the error is pooled instead.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from scipy.optimize import lsq_linear

from ladi_mini.agnostic import inpaint_mask, pose_map
from ladi_mini.cards import circumstances, read_card, write_card, write_text
from ladi_mini.checkpoints import Models, default_folder
from ladi_mini.clip import clip_pixels
from ladi_mini.emasc import build_emasc, decode_with_skips, encode_with_taps
from ladi_mini.evaluation.metrics import psnr
from ladi_mini.presets import CATEGORIES, FULL, NANO
from ladi_mini.sample import PARSE_LABELS, TryOnBatch, collate
from ladi_mini.training.inpainting import chance
from ladi_mini.wardrobe import Wardrobe
from ladi_mini.wardrobe.dataset import RECIPE_VERSION
from ladi_mini.warping import (
    CONSTRAINT_TERMS,
    STIFFNESS,
    build_refinement,
    end_point_error,
    fit_spline,
    identity_grid,
    regular_points,
    second_order_constraint,
    spline_influence,
    tps_grid,
    warp,
)

ROOT = Path(__file__).parents[2]
CARD, PAGE = ROOT / "data" / "results" / "deviations.json", ROOT / "lessons" / "deviations.md"
PEOPLE = 24
BLOCK = re.compile(r"(<!-- deviation: (\w+) -->\n).*?(<!-- end deviation -->)", re.DOTALL)


def people(height: int = FULL.height, width: int = FULL.width) -> TryOnBatch:
    """The first `PEOPLE` unpaired test samples of the wardrobe at a size, drawn once."""
    return _drawn(height, width)


@cache
def _drawn(height: int, width: int) -> TryOnBatch:
    wardrobe = Wardrobe("test", height, width, unpaired=True)
    return collate([wardrobe[i] for i in range(PEOPLE)])


@cache
def true_control_points() -> torch.Tensor:
    """(B, 25, 2) of the splines nearest to the true warps, stiff enough that their points stay where a network's are."""
    batch = people()
    return fit_spline(batch.warp_grid, batch.warp_visible, stiffness=STIFFNESS).float()


# ---------------------------------------------------------------- the warp


def places(grid: torch.Tensor, height: int, width: int, align_corners: bool) -> torch.Tensor:
    """(B, 2, H, W) where `grid` is sampled in a picture of height x width, x and y in pixels, found by sampling a ramp."""
    x, y = torch.arange(width, dtype=torch.float64), torch.arange(height, dtype=torch.float64)
    ramp = torch.stack(torch.meshgrid(x, y, indexing="xy"))[None].expand(len(grid), -1, -1, -1)
    return warp(ramp, grid.double(), align_corners=align_corners)


def moved(a: torch.Tensor, b: torch.Tensor, visible: torch.Tensor | None = None) -> dict[str, float]:
    """Mean and largest distance in pixels between two `places`, over the visible pixels if they are given."""
    distance = (a - b).norm(dim=1)
    if visible is not None:
        distance = distance[visible[:, 0] > 0]
    return {"mean_px": distance.mean().item(), "max_px": distance.max().item()}


def measure_align_corners(height: int = FULL.height, width: int = FULL.width) -> dict:
    """The identity warp sampled as the authors do: how far pixels move, and what that costs garment pictures."""
    grid = identity_grid(height, width)[None]
    own = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"))[None].double()
    garment = people(height, width).garment
    shifted = warp(garment, grid.float().expand(len(garment), -1, -1, -1), align_corners=False)
    return moved(places(grid, height, width, align_corners=False), own) | {"psnr_db": psnr(shifted, garment).mean().item()}


def resized_grid(control_points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The authors' grid (B, height, width, 2): made at the network's 256 x 192 and resized like a picture."""
    small = tps_grid(control_points, FULL.warp_height, FULL.warp_width).permute(0, 3, 1, 2)
    return F.interpolate(small, (height, width), mode="bilinear").permute(0, 2, 3, 1)


def measure_grid_size() -> dict:
    """A spline's grid resized against the same spline evaluated at 512 x 384."""
    height, width, batch = FULL.height, FULL.width, people()
    jitter = 0.08 * torch.randn(16, 25, 2, generator=torch.Generator().manual_seed(0))
    card = {}
    for name, points, visible in (
        ("true_warps", true_control_points(), batch.warp_visible),
        ("random", regular_points(5).float() + jitter, None),
    ):
        grids = resized_grid(points, height, width), tps_grid(points, height, width)
        card[name] = moved(*(places(grid, height, width, align_corners=True) for grid in grids), visible)
    resized, exact = (warp(batch.garment, make(true_control_points(), height, width)) for make in (resized_grid, tps_grid))
    both = warp(batch.garment, resized_grid(true_control_points(), height, width), align_corners=False)
    card["true_warps"]["psnr_db"] = psnr(resized, exact, batch.warp_visible).mean().item()
    card["with_align_corners"] = {"psnr_db": psnr(both, exact, batch.warp_visible).mean().item()}
    return card


def measure_frame() -> dict:
    """Control points that a tanh keeps inside the frame: what the nearest spline loses, in pixels of a 512 x 384 garment."""
    height, width = FULL.height // 4, FULL.width // 4  # enough pixels for 25 points
    batch = people(height, width)
    free = fit_spline(batch.warp_grid, batch.warp_visible)
    rest, influence = regular_points(5), spline_influence(height, width, 5).numpy()
    kept = []
    for grid, visible in zip(batch.warp_grid.double(), batch.warp_visible, strict=True):
        seen = visible[0].flatten().bool().numpy()
        move = (grid - identity_grid(height, width)).flatten(0, 1).numpy()[seen]
        axes = [
            lsq_linear(influence[seen], move[:, axis], bounds=((-1 - rest[:, axis]).numpy(), (1 - rest[:, axis]).numpy())).x
            for axis in range(2)
        ]
        kept.append(rest + torch.from_numpy(np.stack(axes, axis=1)))
    error = {
        name: end_point_error(
            tps_grid(points.float(), height, width), batch.warp_grid, batch.warp_visible, FULL.height, FULL.width
        )
        for name, points in (("free", free), ("inside", torch.stack(kept)))
    }
    return {
        "free_px": error["free"].mean().item(),
        "inside_px": error["inside"].mean().item(),
        "outside_per_cent": 100 * (free.abs() > 1).any(-1).any(-1).float().mean().item(),
    }


def measure_regulariser() -> dict:
    """The constraint's loss on one batch of true warps, by which sample comes first."""
    points = true_control_points()
    spacing = slice(0, CONSTRAINT_TERMS.index("rg"))
    ours = second_order_constraint(points).mean().item()
    by_first = torch.stack([
        second_order_constraint(points.roll(-first, 0), convention="released").mean() for first in range(len(points))
    ])  # fmt: skip
    return {
        "ours": ours, "released_low": by_first.min().item(), "released_high": by_first.max().item(),
        "released_spread_per_cent": 100 * (by_first.std() / by_first.mean()).item(),
        "spacing_alone": second_order_constraint(points)[:, spacing].mean().item(),
    }  # fmt: skip


# ---------------------------------------------------------------- what the model sees of person and garment


def measure_pose_sigma() -> dict:
    """The share of the picture on which a visible joint's heat map is above one half, by height and convention."""
    card = {}
    for height in (512, 256, 64):
        width, batch = height * 3 // 4, people(height, height * 3 // 4)
        for convention in ("ours", "released"):
            shares = [
                100 * (pose_map(points, seen, height, width, convention=convention)[seen] > 0.5).float().mean().item()
                for points, seen in zip(batch.keypoints, batch.keypoint_visible, strict=True)
            ]
            card[f"{convention}_{height}_per_cent"] = float(np.mean(shares))
    return card


def measure_masks() -> dict:
    """By category: how much is repainted, and what of the old and new garment, of face and hair, the mask gets wrong."""
    batch, card = people(), {}
    changes = (batch.target - batch.person).abs().amax(1) > 8 / 127.5  # pixels that another garment changes
    head = torch.isin(batch.parse, torch.tensor([PARSE_LABELS.index("face"), PARSE_LABELS.index("hair")]))
    for category in CATEGORIES:
        rows = [i for i, name in enumerate(batch.category) if name == category]
        for convention in ("ours", "released"):
            masks = torch.stack([
                inpaint_mask(batch.parse[i], batch.keypoints[i], batch.keypoint_visible[i], category, convention=convention)
                for i in rows
            ])  # fmt: skip
            kept = masks[:, 0] == 0
            pasted = torch.where(masks > 0, batch.target[rows], batch.person[rows])
            card[f"{category}_{convention}"] = {
                "repainted_per_cent": 100 * masks.mean().item(),
                "kept_though_changed_per_cent": 100 * ((kept & changes[rows]).sum() / changes[rows].sum()).item(),
                "head_repainted_per_cent": 100 * ((~kept & head[rows]).sum() / head[rows].sum()).item(),
                "best_possible_db": psnr(*(torch.cat([*x], dim=1)[None] for x in (pasted, batch.target[rows]))).item(),
            }
    return card


def measure_clip_pixels() -> dict:
    """The 8-bit floor and the squash of the garment's picture, in grey levels and in the image tower's features (nano's)."""
    garment, size = people().garment, FULL.vision_size
    pixels = F.interpolate((garment + 1) / 2, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    floored = (pixels * 255).floor() / 255
    back = clip_pixels(garment, size, "released")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    assert torch.allclose(back, (floored - mean) / std, atol=1e-5)  # the floor measured is the one that is used
    encoder = Models(NANO, default_folder("nano"))["image_encoder"]
    small = people(NANO.height, NANO.width).garment

    @torch.no_grad()
    def features(pixels: torch.Tensor) -> torch.Tensor:
        return encoder(pixels).last_hidden_state[:, 0]

    exact = F.interpolate((small + 1) / 2, (NANO.vision_size,) * 2, mode="bilinear", antialias=True)
    squashed, square = features((exact - mean) / std), features(clip_pixels(small, NANO.vision_size))
    rounded = features(clip_pixels(small, NANO.vision_size, "released"))
    apart = torch.pdist(squashed).mean()
    return {
        "floor_mean_levels": ((pixels - floored) * 255).mean().item(),
        "floor_max_levels": ((pixels - floored) * 255).max().item(),
        "floor_db": psnr(floored * 2 - 1, pixels * 2 - 1).mean().item(),
        "nano_floor_per_cent": 100 * ((rounded - squashed).norm(dim=1).mean() / apart).item(),
        "nano_squash_per_cent": 100 * ((squashed - square).norm(dim=1).mean() / apart).item(),
        "widened_by_per_cent": 100 * (FULL.height / FULL.width - 1),
    }


# ---------------------------------------------------------------- training and sampling


def measure_drops(draws: int = 200_000, share: float = 0.2) -> dict:
    """How many training samples see every condition, and none, when each is dropped with `share` (ours: half of it together)."""
    generator = torch.Generator().manual_seed(0)
    released = torch.stack([chance(share, draws, generator) for _ in range(3)])
    everything = chance(share / 2, draws, generator)
    ours = torch.stack([chance(share / 2, draws, generator) | everything for _ in range(3)])
    return {
        f"{name}_{what}_per_cent": 100 * rows.float().mean().item()
        for name, drops in (("released", released), ("ours", ours))
        for what, rows in (("nothing_seen", drops.all(0)), ("all_seen", ~drops.any(0)))
    }


@torch.no_grad()
def measure_posterior() -> dict:
    """A sample of the posterior against its mode, decoded by nano's autoencoder."""
    vae, picture = Models(NANO, default_folder("nano"))["vae"], people(NANO.height, NANO.width).person
    posterior = vae.encode(picture).latent_dist
    mode, sample = (
        vae.decode(z).sample.clamp(-1, 1) for z in (posterior.mode(), posterior.sample(torch.Generator().manual_seed(0)))
    )
    return {
        "mode_db": psnr(mode, picture).mean().item(),
        "sample_db": psnr(sample, picture).mean().item(),
        "apart_db": psnr(sample, mode).mean().item(),
        "std_over_spread": (posterior.std.mean() / posterior.mean.std()).item(),
    }


@torch.no_grad()
def measure_start() -> dict:
    """Step 0 of the two parts that start at zero here and at random there: EMASC (nano's decoder) and refinement."""
    vae, batch = Models(NANO, default_folder("nano"))["vae"], people(NANO.height, NANO.width)
    z = vae.encode(batch.person).latent_dist.mode()
    _, taps = encode_with_taps(vae, batch.agnostic)
    card = {}
    for name, zero in (("ours", True), ("released", False)):
        torch.manual_seed(0)
        skips = build_emasc(NANO, zero_init=zero)(taps, batch.inpaint_mask)
        card[f"emasc_{name}_db"] = psnr(decode_with_skips(vae, z, skips).clamp(-1, 1), batch.person).mean().item()
        refinement = build_refinement(NANO, convention=name).eval()
        refined = refinement(batch.agnostic, batch.pose_map, batch.warped_garment).clamp(-1, 1)
        card[f"refinement_{name}_db"] = psnr(refined, batch.warped_garment).mean().item()
    return card


# ---------------------------------------------------------------- card and page

MEASURES = {
    "align_corners": measure_align_corners,
    "grid_size": measure_grid_size,
    "frame": measure_frame,
    "regulariser": measure_regulariser,
    "pose_sigma": measure_pose_sigma,
    "masks": measure_masks,
    "clip_pixels": measure_clip_pixels,
    "drops": measure_drops,
    "posterior": measure_posterior,
    "start": measure_start,
}


def measure_deviations(path: Path | None = CARD) -> dict:
    """Measures everything, writes the card to `path` unless it is None, and returns it; half a minute on two cores."""
    card = {
        "people": PEOPLE, "height": FULL.height, "width": FULL.width, "wardrobe_recipe": RECIPE_VERSION,
        "of_nano": ["clip_pixels.nano_*", "posterior", "start"],
    }  # fmt: skip
    card |= {name: _rounded(measure()) for name, measure in MEASURES.items()} | circumstances()
    if path is not None:
        write_card(path, card)
    return card


def _rounded(value):
    """Floats to four significant digits."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}")


def sentences(card: dict) -> dict[str, str]:
    """The page's sentences with numbers, by deviation."""
    a, g, f, r, p, m, c, d, v, s = (card[name] for name in MEASURES)
    rows = "\n".join(
        f"| {category.replace('_', ' ')} | {convention} | {x['repainted_per_cent']:.1f} % | "
        f"{x['kept_though_changed_per_cent']:.1f} % | {x['head_repainted_per_cent']:.1f} % | {_limited(x['best_possible_db'])} |"
        for category in CATEGORIES
        for convention in ("ours", "released")
        for x in (m[f"{category}_{convention}"],)
    )
    return {
        "align_corners": f"The identity warp moves pixels by {a['mean_px']:.2f} px on average and {a['max_px']:.2f} px at most; "
        f"a garment that should come out unchanged comes out at {a['psnr_db']:.1f} dB.",
        "grid_size": f"On the true warps of the drawn people {g['true_warps']['mean_px']:.2f} px on average and "
        f"{g['true_warps']['max_px']:.2f} px at most, {g['true_warps']['psnr_db']:.1f} dB between the two warped garments; "
        f"together with `align_corners=False` {g['with_align_corners']['psnr_db']:.1f} dB. On control points moved at random by "
        f"0.08: {g['random']['mean_px']:.2f} px and {g['random']['max_px']:.2f} px.",
        "frame": f"{f['outside_per_cent']:.0f} % of the true warps need a control point outside the frame. The nearest spline is "
        f"{f['free_px']:.2f} px away from the truth if points are free, and {f['inside_px']:.2f} px if they must stay inside.",
        "regulariser": f"One batch of {card['people']} warps has a constraint of {r['ours']:.3f}; in the authors' form it is "
        f"anything from {r['released_low']:.3f} to {r['released_high']:.3f}, by which sample comes first (a standard deviation "
        f"of {r['released_spread_per_cent']:.0f} %).",
        "pose_sigma": "A joint's heat map is above one half on "
        f"{p['ours_512_per_cent']:.3f} % of the picture at a height of 512, in both conventions. At 256 it is "
        f"{p['ours_256_per_cent']:.3f} % in ours and {p['released_256_per_cent']:.3f} % in theirs, at 64 "
        f"{p['ours_64_per_cent']:.3f} % and {p['released_64_per_cent']:.2f} %.",
        "masks": "| category | rule | repainted | changes, but is kept | face and hair repainted | best possible result |\n"
        f"|---|---|---|---|---|---|\n{rows}",
        "clip_pixels": f"Rounding down darkens every pixel by {c['floor_mean_levels']:.2f} grey levels on average, "
        f"{c['floor_max_levels']:.2f} at most ({c['floor_db']:.1f} dB); it moves the features of nano's image tower by "
        f"{c['nano_floor_per_cent']:.2f} % of the distance between two garments. Squashing widens a garment by "
        f"{c['widened_by_per_cent']:.0f} % and moves them by {c['nano_squash_per_cent']:.0f} %.",
        "drops": f"Of the authors' samples {d['released_nothing_seen_per_cent']:.1f} % see no condition at all, which is what "
        f"guidance asks of the model at every step, and {d['released_all_seen_per_cent']:.1f} % see all three. With half of the "
        f"same share dropped together it is {d['ours_nothing_seen_per_cent']:.1f} % and {d['ours_all_seen_per_cent']:.1f} %.",
        "posterior": f"With nano's autoencoder the mode decodes to {v['mode_db']:.2f} dB, a sample to {v['sample_db']:.2f} dB; "
        f"the two pictures are {v['apart_db']:.1f} dB apart. Its posterior's standard deviation is "
        f"{100 * v['std_over_spread']:.1f} % of the spread of the latents.",
        "start": f"At the first step the decoder gives {s['emasc_ours_db']:.1f} dB with skips that start at zero and "
        f"{s['emasc_released_db']:.1f} dB with skips that start at random; refinement gives the warped garment "
        f"back at {_limited(s['refinement_ours_db'])}, theirs at {s['refinement_released_db']:.1f} dB.",
    }


def _limited(db: float) -> str:
    """`psnr` stops at 100 dB."""
    return "100 dB (equal)" if db >= 99.9 else f"{db:.1f} dB"


def fill(text: str, card: dict) -> str:
    """`text` with every marked sentence made anew from the card."""
    made = sentences(card)
    return BLOCK.sub(lambda m: f"{m[1]}{made[m[2]]}\n{m[3]}", text)


if __name__ == "__main__":
    measure_deviations()
    write_text(PAGE, fill(PAGE.read_text(encoding="utf-8"), read_card(CARD)))
