"""The authors' own weights: their released files converted, and the model put together around them.

LaDI-VTON (Morelli et al., 2023) was released as four files a data set, `warping_vitonhd.pth` and so on, for VITON-HD and for
Dress Code. They hold what was trained; the base (autoencoder, text encoder, tokenizer, noise schedule of Stable Diffusion 2
inpainting) and the image encoder (ViT-H/14) come from a folder or a hub id that the user names. Those files are licensed
CC BY-NC 4.0 and are not shipped.

Choices made here
- A `.pth` file is read without running any code that it may hold, compared name by name and shape by shape with this
  repository's modules on the meta device, and written as safetensors. All files are checked before the first is written.
- The stored precision is kept unless asked otherwise; running statistics never go below float32. The three constants of the
  spline in `warping_*.pth` are left away: they are computed here.
- Everything runs in the convention of these weights (`convention="released"`): see `warping.py`, `clip.py`, `agnostic.py`.
  The sample must be loaded in it as well, `VitonHD(root, convention="released")`.
- One thing differs on purpose: latents of pictures are the posterior's mode. The authors draw a sample, so that their result
  depends on the batch and its order.
- Whatever the base says, sentences are padded with token 0, which is what the weights saw.
- No hub id is a default. A part that is missing, of another model or only half there is refused: the libraries would fill
  missing tensors with random numbers and warn.
"""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler
from huggingface_hub.constants import HF_HUB_OFFLINE
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from ladi_mini.cards import write_text
from ladi_mini.clip import PLACEHOLDER, image_encoder_config, text_encoder_config
from ladi_mini.diffusion import build_autoencoder, build_scheduler, build_unet
from ladi_mini.emasc import build_emasc
from ladi_mini.inversion import build_adapter
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import FULL, Preset
from ladi_mini.sample import InputError
from ladi_mini.sums import CheckpointError, read_tensors, sha256, verify
from ladi_mini.warping import build_refinement, build_warping

DATASETS = ("vitonhd", "dresscode")
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
PLACEHOLDER_ID, PADDING_ID = 259, 0
RELEASE = 'the "Weights and Dress Code masks release" of github.com/miccunifi/ladi-vton'
BASE = "sd2-community/stable-diffusion-2-inpainting"  # named in messages, never loaded unasked
IMAGE_ENCODER = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"

# A released file's kind to the parts inside it and the pipeline's components that they fill.
PARTS = {
    "warping": {"tps": "warping", "refinement": "refinement"},
    "emasc": {"": "emasc"},
    "inversion_adapter": {"": "inversion_adapter"},
    "unet": {"": "unet"},
}
BUILDERS = {
    "warping": lambda preset: build_warping(preset, convention="released"),
    "refinement": lambda preset: build_refinement(preset, convention="released"),
    "emasc": build_emasc,
    "inversion_adapter": build_adapter,
    "unet": build_unet,
}
SPLINE_CONSTANTS = "tps.gridGen."

# ---------------------------------------------------------------- converting


def convert(
    files: Sequence[str | Path], out: str | Path, dataset: str | None = None, dtype: str | None = None, preset: Preset = FULL
) -> list[Path]:
    """Writes released `.pth` files as `OUT/<kind>_<dataset>.safetensors`, lists their sha256; returns the new files.

    The kind (warping, emasc, inversion_adapter, unet) is read off a file's name, as is the data set (vitonhd or dresscode) if
    `dataset` is None. dtype: "fp16", "fp32" or None for what is stored. Raises `InputError` for a name or choice that says
    too little and `CheckpointError` for a file that is not what its name says; then nothing is written.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"--dtype is {dtype!r}, expected {' or '.join(DTYPES)}; leave it away to keep what is stored.")
    plan: dict[str, tuple[Path, str, str]] = {}
    for path in map(Path, files):
        kind, name = _kind(path), _dataset(path, dataset)
        target = f"{kind}_{name}.safetensors"
        if target in plan:
            raise InputError(f"{plan[target][0]} and {path} would both become {target}; give one of them.")
        plan[target] = path, kind, name
    if not plan:
        raise InputError(f"no file was given, expected .pth files of {RELEASE}; name at least one.")
    tensors = {target: read_released(path, kind, preset) for target, (path, kind, _) in plan.items()}
    for target, (path, _, _) in plan.items():
        _check_values(path, tensors[target], dtype)

    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for target, (path, kind, name) in plan.items():
            provenance = {
                "preset": preset.name, "kind": kind, "dataset": name, "dtype": dtype or "stored",
                "source": path.name, "source_sha256": sha256(path), "licence": "CC BY-NC 4.0",
            }  # fmt: skip
            metadata = {"provenance": json.dumps(provenance)}  # one entry: safetensors shuffles several
            beside = out / f".{target}.{os.getpid()}.part"
            try:
                save_file({n: _cast(n, value, dtype) for n, value in tensors.pop(target).items()}, beside, metadata=metadata)
                beside.chmod(0o644)
                beside.replace(out / target)
            finally:
                beside.unlink(missing_ok=True)
            _list_sum(out / target)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{out} cannot be written ({_line(error)}); name a folder with enough room.") from error
    return [out / target for target in plan]


def read_released(path: str | Path, kind: str, preset: Preset = FULL) -> dict[str, torch.Tensor]:
    """The tensors of a released file by name ("tps." and "refinement." before those of a warping file), as they are stored.

    They are mapped from the file, not copied. Raises `CheckpointError` for a file that is missing, truncated, no PyTorch file
    or holds code, and for tensors that are missing, unknown or of another shape or kind than the modules of `preset`.
    """
    path = Path(path)
    content = _read(path)
    parts = {"": content} if "" in PARTS[kind] else content
    if set(parts) != set(PARTS[kind]):
        got, expected = (", ".join(sorted(map(str, names))) or "nothing" for names in (parts, PARTS[kind]))
        raise CheckpointError(f"{path} holds {got}, expected {expected}; {_again(path)}.")
    tensors = {}
    for part, state in parts.items():
        if not isinstance(state, dict):
            raise CheckpointError(f"{path} holds a {type(state).__name__}, expected names with tensors; {_again(path)}.")
        for name, value in state.items():
            if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
                raise CheckpointError(f"{path}: {name} is a {type(value).__name__}, expected a tensor; {_again(path)}.")
            tensors[f"{part}.{name}" if part else str(name)] = value
    constants = _spline_constants(preset) if kind == "warping" else {}
    present = {name: shape for name, shape in constants.items() if name in tensors}
    expected = {name: (tuple(value.shape), value.is_floating_point()) for name, value in expected_tensors(kind, preset).items()}
    expected |= {name: (shape, True) for name, shape in present.items()}
    fault = _difference({name: (tuple(v.shape), v.is_floating_point()) for name, v in tensors.items()}, expected)
    if fault:
        raise CheckpointError(f"{path}: {fault}; it is no {kind} file of {preset.name}'s sizes, {_again(path)}.")
    return {name: value for name, value in tensors.items() if not name.startswith(SPLINE_CONSTANTS)}


def expected_tensors(kind: str, preset: Preset = FULL) -> dict[str, torch.Tensor]:
    """The names a converted file of `kind` has, with tensors of the right shape and type on the meta device."""
    return {
        f"{part}.{name}" if part else name: value
        for part, component in PARTS[kind].items()
        for name, value in _on_meta(component, preset).state_dict().items()
    }


def _on_meta(component: str, preset: Preset) -> torch.nn.Module:
    with torch.device("meta"):
        return BUILDERS[component](preset)


def _spline_constants(preset: Preset) -> dict[str, tuple[int, ...]]:
    unknowns, pixels = preset.warp_points**2 + 3, preset.warp_height * preset.warp_width
    shapes = {
        "inverse_kernel": (unknowns, unknowns),
        "padding_matrix": (3, 2),
        "target_coordinate_repr": (pixels, unknowns),
    }
    return {SPLINE_CONSTANTS + name: shape for name, shape in shapes.items()}


def _kind(path: Path) -> str:
    for kind in PARTS:
        if path.stem.startswith(kind):
            return kind
    raise InputError(f"{path.name} is of no known kind, expected a name that begins with {', '.join(PARTS)}; rename it back.")


def _dataset(path: Path, given: str | None) -> str:
    if given is not None and given not in DATASETS:
        raise InputError(f"--dataset is {given!r}, expected {' or '.join(DATASETS)}; name the one that the weights are for.")
    named = next((name for name in DATASETS if name in path.stem), None)
    if given is None and named is None:
        raise InputError(f"{path.name} does not say which data set it is for; add --dataset {' or --dataset '.join(DATASETS)}.")
    if given is not None and named not in (None, given):
        raise InputError(f"{path.name} is for {named} by its name, but --dataset is {given}; leave --dataset away.")
    return given or named


def _read(path: Path) -> dict:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist, expected a file of {RELEASE}; check the name.")
    zipped = zipfile.is_zipfile(path)
    with open(path, "rb") as file:
        start = file.read(4)
    if not zipped and start.startswith(b"PK"):
        raise CheckpointError(f"{path} is truncated, its end is missing; {_again(path)}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise CheckpointError(f"{path} holds code, expected tensors alone, and was not run; {_again(path)}.") from error
        raise CheckpointError(f"{path} is no PyTorch file; {_again(path)}.") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged or no PyTorch file; {_again(path)}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected names with tensors; {_again(path)}.")
    return content


def _again(path: Path) -> str:
    return f"download {path.name} again from {RELEASE}"


def _difference(got: dict, expected: dict) -> str | None:
    """What is wrong with names and shapes, in words; None if nothing is."""
    missing, extra = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    for names, what in ((missing, "missing"), (extra, "unknown")):
        if names:
            return f"{len(names)} of {len(expected)} tensors {what}, first {names[0]}"
    wrong = [name for name in sorted(got) if got[name] != expected[name]]
    if not wrong:
        return None
    (shape, is_float), (wanted, wanted_float) = got[wrong[0]], expected[wrong[0]]
    if shape != wanted:
        return f"{wrong[0]} has shape {shape}, expected {wanted}"
    return (
        f"{wrong[0]} has {'fractions' if is_float else 'whole numbers'}, expected {'fractions' if wanted_float else 'whole ones'}"
    )


def _check_values(path: Path, tensors: dict[str, torch.Tensor], dtype: str | None):
    for name, value in tensors.items():
        if not value.is_floating_point():
            continue
        if not bool(value.isfinite().all()):
            raise CheckpointError(f"{path}: {name} holds values that are no numbers, expected finite ones; {_again(path)}.")
        if not bool(_cast(name, value, dtype).isfinite().all()):
            raise CheckpointError(f"{path}: {name} holds values beyond half precision; convert with --dtype fp32.")


def _cast(name: str, value: torch.Tensor, dtype: str | None) -> torch.Tensor:
    """A copy in `dtype`; a small running variance would become zero in half precision, so running statistics stay float32."""
    if dtype is None or not value.is_floating_point():
        return value.clone(memory_format=torch.contiguous_format)
    kept = torch.float32 if name.endswith(("running_mean", "running_var")) else DTYPES[dtype]
    return value.to(kept, copy=True, memory_format=torch.contiguous_format)


def _list_sum(path: Path):
    """Puts the file's sha256 into `SHA256SUMS` beside it and leaves the other lines as they are."""
    sums = path.parent / "SHA256SUMS"
    lines = sums.read_text().splitlines() if sums.is_file() else []
    lines = [line for line in lines if line.strip() and line.split(maxsplit=1)[1] != path.name]
    write_text(
        sums, "".join(f"{line}\n" for line in sorted([*lines, f"{sha256(path)}  {path.name}"], key=lambda s: s.split()[1]))
    )


# ---------------------------------------------------------------- loading


def load_released(
    dataset: str,
    weights: str | Path | None,
    base: str | Path | None,
    image_encoder: str | Path | None,
    preset: Preset = FULL,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TryOnPipeline:
    """The authors' model: converted weights in the folder `weights`, around a base and an image encoder.

    dataset: "vitonhd" or "dresscode". base: a folder or hub id in diffusers' layout (vae, text_encoder, tokenizer, scheduler).
    image_encoder: a folder or hub id in transformers' layout. dtype: of every component but warping and refinement, which stay
    float32. Raises `CheckpointError`, in one sentence, that lists all that is missing and where it is to be had, or names the
    part that is of another model.
    """
    if dataset not in DATASETS:
        raise InputError(f"released is {dataset!r}, expected {' or '.join(DATASETS)}; name the data set of the weights.")
    if preset.name != FULL.name:
        raise InputError(f"released weights are of preset full, not {preset.name}; ask for full.")
    faults = [*_missing_weights(dataset, weights), *_missing_base(base), *_missing_image_encoder(image_encoder)]
    if faults:
        raise CheckpointError(f"the released {dataset} model is not complete: {'; '.join(faults)}.")
    parts = {
        "vae": _vae(base, preset, dtype),
        "text_encoder": _text_encoder(base, preset, dtype),
        "tokenizer": _tokenizer(base, preset),
        "scheduler": _scheduler(base, preset),
        "image_encoder": _image_encoder(image_encoder, preset, dtype),
    }
    for kind in PARTS:
        precision = torch.float32 if kind == "warping" else dtype
        parts |= load_converted(Path(weights) / f"{kind}_{dataset}.safetensors", kind, preset, precision)
    for module in parts.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False).to(device)
    steps, scale = preset.num_inference_steps, preset.guidance_scale
    return TryOnPipeline(**parts, num_inference_steps=steps, guidance_scale=scale, convention="released")


def load_converted(
    path: str | Path, kind: str, preset: Preset = FULL, dtype: torch.dtype = torch.float32
) -> dict[str, torch.nn.Module]:
    """The components in one file that `convert` wrote, by name, in eval mode. Raises `CheckpointError` for any other file."""
    path = Path(path)
    verify(path, remedy=f"convert {path.stem}.pth again")
    tensors, metadata = read_tensors(path, f"convert {path.stem}.pth again")
    provenance = json.loads(metadata.get("provenance", "{}"))
    said = f"{provenance.get('kind')}_{provenance.get('dataset')}"
    if said != path.stem:
        raise CheckpointError(f"{path} was converted as {said}; give it that name back, or convert {path.stem}.pth.")
    shapes = (
        {n: (tuple(v.shape), v.is_floating_point()) for n, v in ts.items()} for ts in (tensors, expected_tensors(kind, preset))
    )
    fault = _difference(*shapes)
    if fault:
        raise CheckpointError(f"{path}: {fault}; it does not fit preset {preset.name}, convert {path.stem}.pth again.")
    modules = {}
    for part, component in PARTS[kind].items():
        prefix = f"{part}." if part else ""
        module = _on_meta(component, preset)
        own = {
            name.removeprefix(prefix): value.to(dtype) if value.is_floating_point() else value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        module.load_state_dict(own, assign=True)  # nothing is initialised first, and nothing is copied
        modules[component] = module.eval().requires_grad_(False)
    return modules


def _missing_weights(dataset: str, weights: str | Path | None) -> list[str]:
    names = [f"{kind}_{dataset}" for kind in PARTS]
    missing = names if weights is None else [name for name in names if not (Path(weights) / f"{name}.safetensors").is_file()]
    if not missing:
        return []
    files = " ".join(f"{name}.pth" for name in missing)
    where = "no folder of weights is given" if weights is None else f"{weights} lacks {', '.join(missing)}"
    return [f"{where} (download {files} from {RELEASE} and run `ladi-mini convert {files} --out {weights or 'DIR'}`)"]


def _missing_base(base: str | Path | None) -> list[str]:
    fix = f"name a folder or a hub id in diffusers' layout, such as {BASE}, stabilityai's own being gone from the hub"
    if base is None:
        return [f"no base is given ({fix})"]
    if not Path(base).is_dir():
        return [] if _is_hub_id(base) else [f"base {base} is neither a folder nor a hub id ({fix})"]
    configs = {"vae": "config.json", "text_encoder": "config.json", "scheduler": "scheduler_config.json"}
    missing = [f"{folder}/{name}" for folder, name in configs.items() if not (Path(base) / folder / name).is_file()]
    if not any((Path(base) / "tokenizer" / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        missing.append("tokenizer/vocab.json")
    return [f"base {base} lacks {', '.join(missing)} ({fix})"] if missing else []


def _missing_image_encoder(image_encoder: str | Path | None) -> list[str]:
    fix = f"name a folder or a hub id in transformers' layout, such as {IMAGE_ENCODER}"
    if image_encoder is None:
        return [f"no image encoder is given ({fix})"]
    if Path(image_encoder).is_dir():
        found = (Path(image_encoder) / "config.json").is_file()
        return [] if found else [f"image encoder {image_encoder} lacks config.json ({fix})"]
    return [] if _is_hub_id(image_encoder) else [f"image encoder {image_encoder} is neither a folder nor a hub id ({fix})"]


def _is_hub_id(place: str | Path) -> bool:
    return isinstance(place, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", place) is not None


def _vae(base: str | Path, preset: Preset, dtype: torch.dtype) -> AutoencoderKL:
    with torch.device("meta"):
        twin = build_autoencoder(preset)
    options = {"subfolder": "vae", "torch_dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    vae, info = _fetch(AutoencoderKL, base, "vae", **options)  # it renames the attention of old files (query, proj_attn)
    return _same(vae, info, twin, ("scaling_factor", "norm_num_groups", "act_fn"), base, "vae")


def _text_encoder(base: str | Path, preset: Preset, dtype: torch.dtype) -> CLIPTextModel:
    with torch.device("meta"):
        twin = CLIPTextModel(text_encoder_config(preset))
    options = {"subfolder": "text_encoder", "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    encoder, info = _fetch(CLIPTextModel, base, "text_encoder", **options)
    return _same(encoder, info, twin, ("num_attention_heads", "hidden_act", "layer_norm_eps"), base, "text_encoder")


def _image_encoder(place: str | Path, preset: Preset, dtype: torch.dtype) -> CLIPVisionModelWithProjection:
    with torch.device("meta"):
        twin = CLIPVisionModelWithProjection(image_encoder_config(preset))
    options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    encoder, info = _fetch(CLIPVisionModelWithProjection, place, "image encoder", **options)
    settings = ("num_attention_heads", "hidden_act", "layer_norm_eps", "image_size", "patch_size")
    return _same(encoder, info, twin, settings, place, "image encoder")


def _tokenizer(base: str | Path, preset: Preset) -> CLIPTokenizer:
    tokenizer = _fetch(CLIPTokenizer, base, "tokenizer", subfolder="tokenizer")
    ids = tokenizer(PLACEHOLDER).input_ids
    expected = [preset.vocab_size - 2, PLACEHOLDER_ID, preset.vocab_size - 1]
    if ids != expected:
        raise CheckpointError(
            f"tokenizer of {base}: {PLACEHOLDER!r} becomes tokens {ids}, expected {expected}; use the tokenizer of {BASE}."
        )
    tokenizer.model_max_length = preset.context_length
    if tokenizer.pad_token_id != PADDING_ID:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(PADDING_ID)
    return tokenizer


def _scheduler(base: str | Path, preset: Preset) -> DDIMScheduler:
    scheduler, twin = _fetch(DDIMScheduler, base, "scheduler", subfolder="scheduler"), build_scheduler(preset)
    settings = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "clip_sample", "set_alpha_to_one",
                "steps_offset", "prediction_type")  # fmt: skip
    return _same_settings(scheduler, twin, settings, base, "scheduler")


def _fetch(kind, place: str | Path, part: str, **options):
    try:
        with _quiet():
            return kind.from_pretrained(place, **options)
    except Exception as error:  # file, network, JSON and safetensors errors alike, each library with its own classes
        local = Path(place).is_dir()
        offline = "" if local or not HF_HUB_OFFLINE else "; the hub is switched off by HF_HUB_OFFLINE"
        fix = "check that folder" if local else "check the id and the connection, or name a folder"
        raise CheckpointError(f"{part} cannot be read from {place} ({_line(error)}){offline}; {fix}.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' table of the tensors that a whole CLIP has beyond its image tower."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


def _same(module, info: dict, twin: torch.nn.Module, settings: tuple[str, ...], place: str | Path, part: str):
    """`module` if it is the one that `twin`, on the meta device, describes, with every tensor read."""
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise CheckpointError(f"{part} of {place}: {len(missing)} tensors are missing, first {missing[0]}; get it again.")
    shapes = ({n: (tuple(v.shape), v.is_floating_point()) for n, v in m.state_dict().items()} for m in (module, twin))
    fault = _difference(*shapes)
    if fault:
        raise CheckpointError(f"{part} of {place} is another model's: {fault}; use {_right(part)}.")
    return _same_settings(module, twin, settings, place, part)


def _same_settings(loaded, twin, settings: tuple[str, ...], place: str | Path, part: str):
    for name in settings:
        got, expected = getattr(loaded.config, name), getattr(twin.config, name)
        if got != expected:
            raise CheckpointError(
                f"{part} of {place} is another model's: {name} is {got!r}, expected {expected!r}; use {_right(part)}."
            )
    return loaded


def _right(part: str) -> str:
    return IMAGE_ENCODER if part == "image encoder" else f"that of {BASE}"


def _line(error: Exception) -> str:
    """The first sentence of an error, without its full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.split(r"(?<=[\w')])\.\s|$", text, maxsplit=1)[0].rstrip(".")[:200]
