"""What is scored: the model, what it is measured against, and the model with one component changed (lesson 7).

A method takes a batch and gives pictures. Every method of a card gets the same people, the same mask and, where it draws noise,
the same noise: one generator a person, seeded by their index, so that no result depends on the batch.

Choices made here
- The component study is the paper's (section 4): text, warped garment, pose, EMASC, and beside it guidance, steps, paste-back.
- "trained": the model was trained with this setting among others (conditions are dropped in training, and guidance, steps and
  paste-back belong to sampling). "swapped in": the setting is new to the weights, so it measures their habit as well as the
  component. "fine-tuned": other weights that were trained for it, from a folder `NAME/` of stages for each variant
  (`training.variants`). A denoiser is compared with one that was trained as briefly from the same start, the "control"; skips
  are compared with the base.
- The retrieved caption is, of captions of the training split, the one whose CLIP embedding is nearest to the garment's picture.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import ModelMixin
from torch import nn

from ladi_mini.checkpoints import build_component, has_stage, load_stage
from ladi_mini.clip import clip_pixels, image_features, text_features, tokenize
from ladi_mini.diffusion import encode
from ladi_mini.emasc import Emasc, build_emasc, decode_with_skips, encode_with_taps
from ladi_mini.evaluation.baselines import paste_garment
from ladi_mini.evaluation.predecessor import Predecessor, render
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError, TryOnBatch
from ladi_mini.training.variants import CONTROL
from ladi_mini.wardrobe.captions import caption
from ladi_mini.wardrobe.dataset import SPLITS
from ladi_mini.wardrobe.dressing import category_of, garment_of

Paint = Callable[[TryOnBatch, list[int]], torch.Tensor]
TRAINED, SWAPPED, TUNED = "trained", "swapped in", "fine-tuned"
CAPTIONS = 2048  # of the training split, among which one is retrieved


@dataclass
class Method:
    """`paint(batch, indices)` -> pictures (B, 3, H, W) in [-1, 1]; `label` says what it is, `how` whether it was trained so."""

    label: str
    paint: Paint
    how: str = TRAINED


def noise_of(indices: list[int], seed: int) -> list[torch.Generator]:
    """One generator a person, seeded by `seed` and their index; on the CPU, so that a GPU draws the same noise."""
    return [torch.Generator().manual_seed(seed * 1_000_003 + index) for index in indices]


def try_on(pipe: TryOnPipeline, seed: int, **switches) -> Paint:
    """The pipeline as a method, with `switches` of its call."""

    def paint(batch: TryOnBatch, indices: list[int]) -> torch.Tensor:
        return pipe(batch, generator=noise_of(indices, seed), output_type="pt", **switches).images * 2 - 1

    return paint


# ---------------------------------------------------------------- the card's methods


def main_methods(pipe: TryOnPipeline, predecessor: Predecessor | None, seed: int, truth: bool) -> dict[str, Method]:
    """The model, its ceiling and its predecessors. Without `truth` (real people in other garments) only what paints a try-on."""
    methods = {
        "tryon": Method("the model", try_on(pipe, seed)),
        "without_garment": Method("the model without any garment input", try_on(pipe, seed, text="empty", garment="none")),
        "pasted": Method("its warped garment pasted, the rest inpainted by OpenCV", lambda batch, _: paste_garment(pipe, batch)),
    }
    if predecessor is not None:
        methods["predecessor"] = Method(
            "encoder-decoder with composition mask, as VITON and CP-VTON",
            lambda batch, _: render(predecessor, pipe.warp_garment(batch, "tps").image.float(), batch),
        )
    if truth:
        methods["autoencoder"] = Method("the true picture through the autoencoder", lambda batch, _: reconstruct(pipe, batch))
        methods["autoencoder_emasc"] = Method(
            "the same with the skips of the agnostic picture", lambda batch, _: reconstruct(pipe, batch, skips=True)
        )
    return methods


@torch.no_grad()
def reconstruct(pipe: TryOnPipeline, batch: TryOnBatch, skips: bool = False) -> torch.Tensor:
    """(B, 3, H, W): the target encoded and decoded, with EMASC's skips if asked for: what no try-on of this model can beat."""
    latents = encode(pipe.vae, batch.target.to(pipe.vae.dtype)) / pipe.vae.config.scaling_factor
    features = None
    if skips:
        _, taps = encode_with_taps(pipe.vae, batch.agnostic.to(pipe.vae.dtype))
        features = pipe.emasc(taps, batch.inpaint_mask)
    return decode_with_skips(pipe.vae, latents, features).clamp(-1, 1).float()


# ---------------------------------------------------------------- the component study


@dataclass
class Variant:
    """One setting of one component: switches of the call, parts to put into the pipeline, a change of the batch.

    `base` marks the setting that the model has; `how` as in `Method`.
    """

    group: str
    label: str
    switches: dict = field(default_factory=dict)
    how: str = TRAINED
    base: bool = False
    parts: dict[str, nn.Module] = field(default_factory=dict)
    change: Callable[[TryOnBatch], TryOnBatch] | None = None

    @property
    def against(self) -> str:
        """What it is compared with: a fine-tuned denoiser with one that was trained as briefly, everything else with the base."""
        return CONTROL if "unet" in self.parts else "base"


GROUPS = ("text", "garment", "pose", "emasc", "guidance", "steps", "paste-back")
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5)
STEPS = (5, 10, 20, 50)


def study_variants(
    pipe: TryOnPipeline, preset: Preset, groups: tuple[str, ...], clip=None, finetuned: Path | None = None
) -> tuple[dict[str, Variant], dict[str, str]]:
    """The variants of `groups` by name, and by name why one is left out.

    `clip` is the open_clip model that retrieves captions; `finetuned` a folder with a folder of stages a variant, of which only
    those of `groups` are loaded. Raises `InputError` for a folder there that belongs to no variant, of any group, or that has
    no weights for it; `CheckpointError` for weights that are missing, damaged or of another model.
    """
    device = pipe.device
    variants = {
        "text-empty": Variant("text", "no words", {"text": "empty"}),
        "text-category": Variant("text", "the category", {"text": "category"}, SWAPPED),
        "text-caption": Variant("text", "the true caption", {"text": "caption"}, SWAPPED),
        "text-retrieved": Variant("text", "a retrieved caption", {"text": "caption"}, SWAPPED),
        "text-words": Variant("text", "predicted pseudo-words", base=True),
        "garment-none": Variant("garment", "no warped garment", {"garment": "none"}),
        "garment-tps": Variant("garment", "spline alone", {"garment": "tps"}, SWAPPED),
        "garment-refined": Variant("garment", "spline and refinement", base=True),
        "garment-true": Variant("garment", "the true warp", {"garment": "true"}, SWAPPED),
        "pose-none": Variant("pose", "without pose map", {"use_pose": False}),
        "pose": Variant("pose", "with pose map", base=True),
        "emasc-none": Variant("emasc", "no skips", {"use_emasc": False}),
        "emasc-linear": Variant("emasc", "linear skips", how=TUNED),
        "emasc-nonlinear": Variant("emasc", "nonlinear skips", base=True),
        "emasc-unmasked": Variant("emasc", "skips without mask", how=SWAPPED, parts={"emasc": Unmasked(pipe.emasc)}),
        "paste-back-none": Variant("paste-back", "not pasted back", base=True),
        "paste-back": Variant("paste-back", "known pixels put back", {"paste_back": True}),
    }
    for scale in sorted({*GUIDANCE, pipe.config.guidance_scale}):
        own = scale == pipe.config.guidance_scale
        variants[f"guidance-{scale:g}"] = Variant("guidance", f"guidance {scale:g}", {"guidance_scale": scale}, base=own)
    for steps in sorted({*STEPS, pipe.config.num_inference_steps}):
        own = steps == pipe.config.num_inference_steps
        variants[f"steps-{steps}"] = Variant("steps", f"{steps} steps", {"num_inference_steps": steps}, base=own)

    folders = _folders(finetuned, variants)
    variants = {name: variant for name, variant in variants.items() if variant.group in groups}
    skipped = {}
    if "text-retrieved" in variants and clip is None:
        del variants["text-retrieved"]
        skipped["text-retrieved"] = "skipped: no CLIP with a text projection among the weights"
    elif "text-retrieved" in variants:
        variants["text-retrieved"].change = retrieve_captions(clip, pipe.tokenizer)
    for name, folder in folders.items():
        if name in variants:
            variants[name] = _tuned(variants[name], name, folder, preset, device)
    if "text-caption" in folders and "text-retrieved" in variants and "text-retrieved" not in folders:
        tuned = variants["text-caption"]  # a caption is a caption, whoever says it
        variants["text-retrieved"] = replace(variants["text-retrieved"], parts=tuned.parts, how=tuned.how)
    if "emasc-linear" in variants and not variants["emasc-linear"].parts:
        del variants["emasc-linear"]
        skipped["emasc-linear"] = "skipped: needs weights of its own, no folder emasc-linear was given"
    return variants, skipped


def control_variant(preset: Preset, finetuned: Path | None, device: torch.device) -> Variant | None:
    """The model as it is, trained as briefly as the fine-tuned variants; None where none of those has a denoiser of its own.

    Raises `InputError` where one has, and the control is missing: nothing that was trained for longer is fair to them.
    """
    folders = [] if finetuned is None else [path for path in Path(finetuned).iterdir() if has_stage(path, "tryon")]
    if not folders:
        return None
    folder = Path(finetuned) / CONTROL
    if folder not in folders:
        raise InputError(
            f"{finetuned} has fine-tuned denoisers but no folder {CONTROL} with one; train it beside them, for the same steps."
        )
    return _tuned(Variant(CONTROL, "as it is, trained as briefly"), CONTROL, folder, preset, device)


def study_methods(pipe: TryOnPipeline, variants: dict[str, Variant], seed: int) -> dict[str, Method]:
    """The variants as methods, "base" first. Settings that are the base's are the same method under one name."""
    methods = {"base": Method("the model as it is", try_on(pipe, seed))}
    for name, variant in variants.items():
        if not variant.base:
            methods[name] = Method(variant.label, _paint(pipe, variant, seed), variant.how)
    return methods


def _paint(pipe: TryOnPipeline, variant: Variant, seed: int) -> Paint:
    plain = try_on(pipe, seed, **variant.switches)

    def paint(batch: TryOnBatch, indices: list[int]) -> torch.Tensor:
        changed = batch if variant.change is None else variant.change(batch)
        with swapped(pipe, variant.parts):
            return plain(changed, indices)

    return paint


@contextmanager
def swapped(pipe: TryOnPipeline, parts: dict[str, nn.Module]) -> Iterator[None]:
    """The pipeline with other components, and as it was afterwards."""
    before = {name: getattr(pipe, name) for name in parts}
    try:
        for name, part in parts.items():
            setattr(pipe, name, part)
        yield
    finally:
        for name, part in before.items():
            setattr(pipe, name, part)


class Unmasked(ModelMixin):
    """Skips that are not silenced where the model repaints."""

    def __init__(self, emasc: Emasc):
        super().__init__()
        self.emasc = emasc

    def forward(self, taps: list[torch.Tensor], inpaint_mask: torch.Tensor) -> list[torch.Tensor]:
        return self.emasc(taps, torch.zeros_like(inpaint_mask))


def retrieve_captions(clip, tokenizer, count: int = CAPTIONS, seed: int = 0) -> Callable[[TryOnBatch], TryOnBatch]:
    """A change of a batch: each caption becomes the nearest, in CLIP's space, of `count` captions of the training split."""
    indices = range(SPLITS["train"], SPLITS["train"] + count)
    known = sorted({caption(garment_of(seed, i, category_of(i)).attributes) for i in indices})
    device = next(clip.parameters()).device
    with torch.no_grad():
        texts = torch.cat([text_features(clip, tokenize(tokenizer, known[i : i + 256]).to(device))
                           for i in range(0, len(known), 256)])  # fmt: skip
    size = clip.visual.image_size[0] if isinstance(clip.visual.image_size, tuple) else clip.visual.image_size

    @torch.no_grad()
    def change(batch: TryOnBatch) -> TryOnBatch:
        nearest = (image_features(clip, clip_pixels(batch.garment, size)) @ texts.mT).argmax(1).tolist()
        return replace(batch, caption=[known[i] for i in nearest])

    return change


# ---------------------------------------------------------------- fine-tuned weights


def _folders(finetuned: Path | None, variants: dict[str, Variant]) -> dict[str, Path]:
    if finetuned is None:
        return {}
    if not Path(finetuned).is_dir():
        raise InputError(f"--finetuned is {finetuned}, which is no folder; name one with a folder of weights a variant.")
    found = {path.name: path for path in sorted(Path(finetuned).iterdir()) if path.is_dir() and list(path.glob("*.safetensors"))}
    found.pop(CONTROL, None)
    names = [name for name, variant in variants.items() if not variant.base]
    strange = sorted(set(found) - set(names))
    if strange:
        whose = "is named like the model as it is" if strange[0] in variants else "belongs to no variant"
        raise InputError(f"{found[strange[0]]} {whose}; name it like one of {', '.join(names)}.")
    return found


def _tuned(variant: Variant, name: str, folder: Path, preset: Preset, device: torch.device) -> Variant:
    """The variant with the weights of `folder`: any of the stages emasc, warping, refinement and tryon.

    Raises `InputError` for a folder without one of these, or without the skips that the variant is about; `CheckpointError` for
    a file that is missing, damaged or of another model.
    """
    stages = ("emasc", "warping", "refinement", "tryon")
    needed = ("emasc",) if name in ("emasc-linear", "emasc-unmasked") else stages
    if not any(has_stage(folder, stage) for stage in needed):
        raise InputError(f"{folder} has no weights of {', '.join(needed)}; train {name} again, or take the folder away.")
    parts: dict[str, nn.Module] = {}
    for stage in stages:
        if has_stage(folder, stage):
            linear = stage == "emasc" and name == "emasc-linear"
            parts |= load_stage(folder, preset, stage, _linear_skips if linear else build_component)
    parts = {part: module.to(device) for part, module in parts.items()}
    if name == "emasc-unmasked":
        parts["emasc"] = Unmasked(parts["emasc"])
    return replace(variant, parts=parts, how=TUNED)


def _linear_skips(preset: Preset, component: str) -> Emasc:
    return build_emasc(preset, linear=True)
