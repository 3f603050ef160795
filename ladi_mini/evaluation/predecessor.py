"""The predecessor: one encoder-decoder that renders the person and says where the warped garment is to be laid over it.

VITON (Han et al., 2018) and CP-VTON (Wang et al., 2018, section 3.2) end in such a network: it gives a rendered person and a
composition mask, and the result is mask x warped garment + (1 - mask) x rendered person. One pass, no noise, no text. The paper
claims that latent diffusion beats it; here both have the same people, the same mask and the same warped garment.

Choices made here
- The UNet of the refinement network with other ends, as wide at its first level as the denoiser.
- It gets what the denoiser gets: agnostic picture, mask, pose map, and the warped garment of the frozen matching network, before
  refinement, for in these systems the composition does the refining.
- Loss: L1, L1 between hidden states of the shipped CLIP in the place of VGG's features, whose weights are not ours to ship, and
  L1 of the mask to the region where the garment is seen, all with weight 1, as CP-VTON weighs its three.
- Trained on the model's own training data, scored on whatever the model is scored on. `python -m ladi_mini.evaluation
  predecessor PRESET [SECONDS]` trains it on the cached samples and leaves it in `data/runs/PRESET/predecessor`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import CLIPVisionModelWithProjection

from ladi_mini.agnostic import SIGMA
from ladi_mini.cards import circumstances, peak_memory_mb, write_card
from ladi_mini.checkpoints import Models
from ladi_mini.clip import clip_pixels
from ladi_mini.evaluation.fitting import fit
from ladi_mini.evaluation.metrics import interval, psnr
from ladi_mini.evaluation.weights import read_weights, save_weights
from ladi_mini.presets import POSE_CHANNELS, Preset
from ladi_mini.sample import TryOnBatch
from ladi_mini.training.stage import from_bytes, repainted, to_bytes
from ladi_mini.wardrobe import RECIPE_VERSION, packed
from ladi_mini.warping import DoubleConv, Down, OutConv, Up, warp

FILE = "predecessor.safetensors"
CHUNK = 64
PERCEPTUAL, MASK = 1.0, 1.0  # weights beside the L1


@dataclass
class Rendering:
    """image, rendered (B, 3, H, W) in [-1, 1] and mask (B, 1, H, W) in [0, 1], 1 = the warped garment is laid over."""

    image: torch.Tensor
    rendered: torch.Tensor
    mask: torch.Tensor


class Predecessor(nn.Module):
    """agnostic, mask, pose map and warped garment to a picture. `depth` halvings, `width` channels at full size."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        channels = [width * 2 ** min(level, depth - 1) for level in range(depth + 1)]
        self.inc = DoubleConv(3 + 1 + POSE_CHANNELS + 3, channels[0], channels[0])
        self.down = nn.ModuleList(Down(channels[level], channels[level + 1]) for level in range(depth))
        self.up = nn.ModuleList(Up(2 * channels[level], channels[max(level - 1, 0)]) for level in reversed(range(depth)))
        self.out = OutConv(channels[0], 4)

    def forward(
        self, agnostic: torch.Tensor, inpaint_mask: torch.Tensor, pose_map: torch.Tensor, warped: torch.Tensor
    ) -> Rendering:
        """agnostic, warped (B, 3, H, W) in [-1, 1]; inpaint_mask (B, 1, H, W); pose_map (B, 18, H, W) in [0, 1]."""
        x = self.inc(torch.cat([agnostic, inpaint_mask, pose_map, warped], dim=1))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up:
            x = up(x, skips.pop())
        x = self.out(x).float()
        rendered, mask = x[:, :3].tanh(), x[:, 3:].sigmoid()
        return Rendering(mask * warped + (1 - mask) * rendered, rendered, mask)


def build_predecessor(preset: Preset) -> Predecessor:
    """An untrained one as wide as the preset's denoiser."""
    return Predecessor(preset.unet_channels[0], preset.refinement_depth)


@torch.no_grad()
def render(predecessor: Predecessor, warped: torch.Tensor, batch: TryOnBatch) -> torch.Tensor:
    """(B, 3, H, W) in [-1, 1]: the predecessor's picture of a batch whose garment is warped already."""
    return predecessor(batch.agnostic, batch.inpaint_mask, batch.pose_map, warped).image.clamp(-1, 1)


def perceptual(encoder: CLIPVisionModelWithProjection, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean L1 between the hidden states of an image encoder, each layer's brought to length 1 a patch; 0 for equal pictures."""
    pixels = clip_pixels(torch.cat([image, target]), encoder.config.image_size)
    layers = encoder(pixels.to(encoder.dtype), output_hidden_states=True).hidden_states[1:]
    apart = [F.normalize(layer.float(), dim=-1).chunk(2) for layer in layers]
    return torch.stack([(a - b).abs().sum(-1).mean() for a, b in apart]).mean() / encoder.config.hidden_size**0.5


def heat_maps(keypoints: torch.Tensor, visible: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """`agnostic.pose_maps` in our convention, (B, 18, H, W), on the keypoints' device."""
    sigma = SIGMA * height / 512
    y, x = (torch.arange(size, device=keypoints.device, dtype=torch.float32) for size in (height, width))
    across = torch.exp(-(((x - keypoints[..., :1]) / sigma) ** 2))  # (B, 18, W)
    along = torch.exp(-(((y - keypoints[..., 1:]) / sigma) ** 2))  # (B, 18, H)
    return along[..., None] * (across * visible[..., None])[..., None, :]


# ---------------------------------------------------------------- training


def train_predecessor(
    preset: Preset,
    weights: Path,
    folder: Path,
    *,
    samples: int | None = None,
    validation: int = 256,
    steps: int = 20_000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    budget: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    cache: Path | None = None,
    workers: int = 0,
) -> dict:
    """Trains a predecessor on the wardrobe and writes it into `folder` with its card; returns the card.

    `weights` holds the frozen matching network and CLIP. `samples` people (the preset's if None), the same that the model was
    trained on; `budget` seconds of training at most.
    """
    samples = preset.train_samples if samples is None else samples
    models = Models(preset, weights, device)
    sizes = {"height": preset.height, "width": preset.width, "seed": seed, "unpaired": preset.train_unpaired}
    data = packed("train", samples, **sizes, cache_dir=cache, workers=workers)
    table = _table(models, data, device)
    torch.manual_seed(seed)
    predecessor, encoder = build_predecessor(preset), models["image_encoder"]

    def loss_of(index: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        given, target, worn = _inputs(table, index)
        out = predecessor(*given)
        likeness = perceptual(encoder, out.image, target)
        return F.l1_loss(out.image, target) + PERCEPTUAL * likeness + MASK * F.l1_loss(out.mask, worn)

    card = fit(
        predecessor, loss_of, samples, batch_size=batch_size, learning_rate=learning_rate, steps=steps, budget=budget, seed=seed,
        device=device, label="predecessor",
    )  # fmt: skip
    data = packed("validation", validation, **sizes, cache_dir=cache, workers=workers)
    card = {
        "what": "encoder-decoder with composition mask (VITON, CP-VTON) on the training data of the model",
        "preset": preset.name,
        "samples": samples,
        "wardrobe": RECIPE_VERSION,
        "loss_weights": {"l1": 1.0, "perceptual": PERCEPTUAL, "mask": MASK},
        "held_out": _held_out(predecessor, _table(models, data, device), validation),
        "peak_memory_mb": peak_memory_mb(device),
    } | card | circumstances(device)  # fmt: skip
    save_predecessor(folder, preset, predecessor)
    write_card(Path(folder) / "cards" / "predecessor.json", card)
    return card


@torch.no_grad()
def _table(models: Models, data, device: torch.device | str) -> dict[str, torch.Tensor]:
    """Pictures as bytes, masks as bits and keypoints of all samples, on the device."""
    parts: list[dict] = []
    for start in tqdm(range(0, len(data), CHUNK), desc="     warping", leave=False):
        batch = data.batch(range(start, min(start + CHUNK, len(data)))).to(device)
        out = models["warping"](batch.garment, batch.agnostic, batch.pose_map)
        parts.append({
            "person": to_bytes(repainted(batch)), "inpaint_mask": batch.inpaint_mask.bool(),
            "warped": to_bytes(warp(batch.garment, out.grid)),
            "worn": (batch.warped_garment < 1).any(1, keepdim=True),
            "keypoints": batch.keypoints, "keypoint_visible": batch.keypoint_visible,
        })  # fmt: skip
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _inputs(table: dict[str, torch.Tensor], index: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
    """The network's four inputs, the true picture and the region of the garment."""
    row = {name: column[index] for name, column in table.items()}
    person = from_bytes(row["person"])
    agnostic = torch.where(row["inpaint_mask"], torch.zeros_like(person), person)
    pose = heat_maps(row["keypoints"], row["keypoint_visible"], *person.shape[2:])
    return (agnostic, row["inpaint_mask"].float(), pose, from_bytes(row["warped"])), person, row["worn"].float()


@torch.no_grad()
def _held_out(predecessor: Predecessor, table: dict[str, torch.Tensor], count: int) -> dict:
    whole, inner = [], []
    for index in torch.arange(count, device=table["person"].device).split(CHUNK):
        given, target, _ = _inputs(table, index)
        image = predecessor(*given).image.clamp(-1, 1)
        whole.append(psnr(image, target))
        inner.append(psnr(image, target, given[1]))
    return {
        "psnr": interval(torch.cat(whole).cpu().numpy()), "psnr_inside_mask": interval(torch.cat(inner).cpu().numpy()),
    }  # fmt: skip


def save_predecessor(folder: Path, preset: Preset, predecessor: Predecessor) -> Path:
    """Writes the weights (float16) into `folder`, beside their place and renamed, and their sha256 into the list there."""
    return save_weights(Path(folder) / FILE, preset, predecessor)


def load_predecessor(folder: Path, preset: Preset, device: torch.device | str = "cpu") -> Predecessor | None:
    """The predecessor in `folder`, in eval mode; None if there is none. Raises `CheckpointError` for a damaged file."""
    tensors = read_weights(Path(folder) / FILE, "train it again with `python -m ladi_mini.evaluation predecessor PRESET`")
    if tensors is None:
        return None
    predecessor = build_predecessor(preset)
    predecessor.load_state_dict(tensors)
    return predecessor.eval().requires_grad_(False).to(device)
