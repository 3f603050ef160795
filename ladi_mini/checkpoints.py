"""Weights on disk: one safetensors file a training stage, a list of sha256 sums, and the pipeline made of them.

Choices made here
- A folder holds `<stage>.safetensors` for the stages trained so far, `SHA256SUMS` and `cards/<stage>.json`. Sizes come from the
  preset, so a file is weights and the few numbers that training found (the latents' scale). What would be larger than
  `SHARD` bytes lies in several files, `<stage>-00001-of-00002.safetensors` and so on, so that every file travels through
  anything.
- Weights are float16 on disk, float32 in memory. Later stages train on what is on disk, so what ships is what they saw.
- Nothing is unpickled. A file that does not match its sum is refused before it is read.
- Files are written beside their place and renamed.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from ladi_mini.cards import write_card
from ladi_mini.clip import build_clip, build_tokenizer, to_image_encoder, to_text_encoder
from ladi_mini.diffusion import build_autoencoder, build_scheduler, build_unet
from ladi_mini.emasc import build_emasc
from ladi_mini.inversion import build_adapter
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import STAGES, Preset, get_preset
from ladi_mini.released import load_released
from ladi_mini.sample import InputError
from ladi_mini.sums import CheckpointError, halved, read_tensors, verify, write_sums
from ladi_mini.warping import build_refinement, build_warping

SHARD = 14_000_000  # bytes of weights in one file

STAGE_COMPONENTS = {
    "clip": ("clip",),
    "autoencoder": ("vae",),
    "emasc": ("emasc",),
    "warping": ("warping",),
    "refinement": ("refinement",),
    "inpainting": ("base",),
    "inversion": ("inversion_adapter",),
    "tryon": ("unet", "inversion_adapter"),
}

BUILDERS: dict[str, Callable[[Preset], torch.nn.Module]] = {
    "clip": build_clip,
    "vae": build_autoencoder,
    "emasc": build_emasc,
    "warping": build_warping,
    "refinement": build_refinement,
    "base": lambda preset: build_unet(preset, preset.base_channels),
    "inversion_adapter": build_adapter,
    "unet": build_unet,
}


def default_folder(preset: str) -> Path:
    """Where the shipped weights of a preset lie; the environment variable LADI_MINI_CHECKPOINTS names another parent."""
    root = os.environ.get("LADI_MINI_CHECKPOINTS")
    parent = Path(root) if root else Path(__file__).parents[1] / "data" / "checkpoints"
    return parent / preset


def build_component(preset: Preset, component: str) -> torch.nn.Module:
    """A fresh component by its name in `BUILDERS`."""
    return BUILDERS[component](preset)


def save_stage(
    folder: Path, preset: Preset, stage: str, modules: dict[str, torch.nn.Module], card: dict | None = None
) -> list[Path]:
    """Writes a stage's weights (float16), their sha256 and its card; returns the files, in their order.

    Raises `CheckpointError` for a weight that float16 cannot hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for component, module in modules.items():
        tensors |= halved({f"{component}.{name}": value for name, value in module.state_dict().items()}, stage)
    metadata = {"preset": preset.name, "stage": stage}
    if "vae" in modules:
        metadata["scaling_factor"] = repr(float(modules["vae"].config.scaling_factor))
    parts = shards(tensors, SHARD)
    numbered = [f"{stage}-{i:05d}-of-{len(parts):05d}.safetensors" for i in range(1, len(parts) + 1)]
    paths = [folder / name for name in (numbered if len(parts) > 1 else [f"{stage}.safetensors"])]
    besides = [folder / f".{path.name}.{os.getpid()}.part" for path in paths]
    for beside, part in zip(besides, parts, strict=True):
        save_file(part, beside, metadata=metadata)
        beside.chmod(0o644)
    for beside, path in zip(besides, paths, strict=True):
        beside.replace(path)
    for old in {folder / f"{stage}.safetensors", *_parts(folder, stage)} - set(paths):  # there were more or fewer files before
        old.unlink(missing_ok=True)
    if card is not None:
        write_card(folder / "cards" / f"{stage}.json", card)
    write_sums(folder, paths)
    return paths


def shards(tensors: dict[str, torch.Tensor], limit: int) -> list[dict[str, torch.Tensor]]:
    """The tensors in groups of at most `limit` bytes, or of one tensor that is larger; one group at least."""
    groups: list[dict[str, torch.Tensor]] = [{}]
    room = limit
    for name, value in tensors.items():
        if value.nbytes > room and groups[-1]:
            groups.append({})
            room = limit
        groups[-1][name] = value
        room -= value.nbytes
    return groups


def stage_files(folder: Path, stage: str) -> list[Path]:
    """The files that hold the weights of `stage`, whether they are there or not: one, or as many as the first one's name says."""
    whole, parts = Path(folder) / f"{stage}.safetensors", _parts(folder, stage)
    if whole.exists() or not parts:
        return [whole]
    count = int(parts[0].stem[-5:])
    return [Path(folder) / f"{stage}-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


def has_stage(folder: Path, stage: str) -> bool:
    """Whether any file of the stage's weights is there; loading it says which are missing."""
    return any(path.exists() for path in stage_files(folder, stage))


def _parts(folder: Path, stage: str) -> list[Path]:
    return sorted(Path(folder).glob(f"{stage}-?????-of-?????.safetensors"))


def load_stage(
    folder: Path, preset: Preset, stage: str, build: Callable[[Preset, str], torch.nn.Module] = build_component
) -> dict[str, torch.nn.Module]:
    """The components that `stage` trained, in eval mode and float32, by name; `build(preset, component)` makes each fresh.

    Raises `CheckpointError` for a missing or damaged file, or one of another model.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in stage_files(folder, stage):
        verify(path, preset=preset.name)
        part, metadata = read_tensors(path, "restore it with `git checkout`")
        if metadata.get("preset") != preset.name:
            raise CheckpointError(
                f"{path} was trained for preset {metadata.get('preset')!r}, not {preset.name!r}; name the other folder."
            )
        tensors |= part
    return {name: _filled(build(preset, name), preset, name, tensors, metadata, path) for name in STAGE_COMPONENTS[stage]}


def _filled(
    module: torch.nn.Module, preset: Preset, component: str, tensors: dict, metadata: dict, path: Path
) -> torch.nn.Module:
    prefix = component + "."
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    expected = module.state_dict()
    wrong = sorted(set(own) ^ set(expected)) or sorted(name for name in own if own[name].shape != expected[name].shape)
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} tensors of {component} do not fit preset {preset.name}, first {wrong[0]}; train it again."
        )
    module.load_state_dict({name: value.to(expected[name].dtype) for name, value in own.items()})
    if component == "vae":
        if "scaling_factor" not in metadata:
            raise CheckpointError(f"{path} has no scaling_factor in its metadata; train it again.")
        module.register_to_config(scaling_factor=float(metadata["scaling_factor"]))
    return module.eval().requires_grad_(False)


class Models:
    """The components of a folder, loaded when first asked for: `models["vae"]`.

    Besides the names of `BUILDERS` it knows "text_encoder", "image_encoder" (made from "clip"), "tokenizer" and "scheduler";
    "inversion_adapter" is the one trained last.
    """

    def __init__(self, preset: Preset, folder: Path, device: torch.device | str = "cpu"):
        self.preset, self.folder, self.device = preset, Path(folder), device
        self._loaded: dict[str, object] = {}
        self._makers = {
            "tokenizer": partial(build_tokenizer, preset),
            "scheduler": partial(build_scheduler, preset),
            "text_encoder": lambda: self._frozen(to_text_encoder(self["clip"], preset)),
            "image_encoder": lambda: self._frozen(to_image_encoder(self["clip"], preset)),
        }

    def __getitem__(self, name: str):
        if name not in self._loaded:
            if name in self._makers:
                self._loaded[name] = self._makers[name]()
            else:
                owners = [stage for stage in STAGES if name in STAGE_COMPONENTS[stage]]
                if not owners:
                    raise InputError(f"{name!r} is no component; choose from {', '.join([*BUILDERS, *self._makers])}.")
                there = [stage for stage in owners if has_stage(self.folder, stage)]
                loaded = load_stage(self.folder, self.preset, (there or owners[:1])[-1])
                self._loaded |= {part: module.to(self.device) for part, module in loaded.items()}
        return self._loaded[name]

    def _frozen(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.eval().requires_grad_(False).to(self.device)


def load_pipeline(
    preset: str | Preset = "mini",
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    *,
    released: str | None = None,
    weights: str | Path | None = None,
    base: str | Path | None = None,
    image_encoder: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> TryOnPipeline:
    """The try-on pipeline with the weights in `folder` (default: those shipped), offline.

    With `released`, "vitonhd" or "dresscode", and preset "full" it is the authors' model: their converted files in the folder
    `weights`, `base` and `image_encoder` each a folder or a hub id, in `dtype`; see `released.load_released`.
    Raises `CheckpointError` if a stage or part is missing, damaged or of another model.
    """
    preset = get_preset(preset) if isinstance(preset, str) else preset
    if released is not None:
        return load_released(released, weights, base, image_encoder, preset, device, dtype)
    if any(given is not None for given in (weights, base, image_encoder)):
        raise InputError("weights, base and image_encoder belong to the released model; add released='vitonhd' or 'dresscode'.")
    if dtype != torch.float32:
        raise InputError("dtype belongs to the released model; call pipe.to(dtype) on this one.")
    models = Models(preset, default_folder(preset.name) if folder is None else folder, device)
    names = (
        "vae",
        "emasc",
        "warping",
        "refinement",
        "image_encoder",
        "inversion_adapter",
        "text_encoder",
        "tokenizer",
        "unet",
        "scheduler",
    )
    for stage in STAGES:
        if stage not in ("inpainting", "inversion"):  # trained on the way, not needed for a try-on
            for path in stage_files(models.folder, stage):
                verify(path, preset=preset.name)
    return TryOnPipeline(
        **{name: models[name] for name in names},
        num_inference_steps=preset.num_inference_steps,
        guidance_scale=preset.guidance_scale,
    )
