"""The whole try-on model: LaDI-VTON's pieces in a row, every intermediate picture on request.

Lesson 6. Morelli et al., 2023, section 3: the garment is warped onto the body, described by pseudo-words, and painted by the
extended inpainting denoiser; the decoder gets the untouched part of the person back through masked skips.

Choices made here
- A diffusers `DiffusionPipeline`: it saves to and loads from a folder, takes any diffusers scheduler, `generator`, `output_type`.
- It reads `agnostic`, mask, pose map, garment and category of a sample, never `person`: what lies under the mask cannot leak.
- `trace=True` keeps what lessons, figures and widgets show, under the names of `TryOnTrace`; without it nothing is kept.
- Each condition has a switch (`text`, `garment`, `use_pose`, `use_emasc`), so that an ablation is a call, not another program.
- On a GPU the call waits for nothing between the upload of the sample and the picture: what is asked of a tensor is asked on
  the CPU. `fast.py` compiles the costly steps and can keep the modules off the GPU until their turn.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedTokenizerFast

from ladi_mini.attention import AttentionRecorder
from ladi_mini.clip import clip_pixels, tokenize
from ladi_mini.diffusion import Conditions, denoise, drop_garment, static_channels
from ladi_mini.emasc import Emasc, decode_with_skips, encode_with_taps
from ladi_mini.errors import InputError
from ladi_mini.fast import settle
from ladi_mini.inversion import PLAIN, InversionAdapter, encode_prompt, placeholder_id, plain_sentences, prompts
from ladi_mini.sample import TryOnBatch, TryOnSample, collate
from ladi_mini.warping import RefinementNetwork, WarpingNetwork, warp

TEXTS = ("words", *PLAIN)
GARMENTS = ("refined", "tps", "true", "none")
READ = ("person", "garment", "inpaint_mask", "pose_map")  # of a batch, by the model; of the person what the mask leaves


@dataclass
class TryOnTrace:
    """Every intermediate of one call; tensors lead with B and lie on the CPU.

    person, garment, agnostic (B,3,H,W) in [-1,1]; inpaint_mask (B,1,H,W); pose_map (B,18,H,W); category: B names;
    control_points (B,N,2) and warp_grid (B,H,W,2) in [-1,1]; warped_garment and refined_garment (B,3,H,W) before and after
    refinement; pseudo_words (B,n,D); timesteps: one int a step; latents and pred_original_latents: (B,z,h,w) a step, after it
    and as estimated in it; pred_original_images: the estimates decoded, (B,3,H,W) a step; attention (B,n,h,w): share of the
    denoiser's cross-attention that each pseudo-word gets at each place, mean over layers, heads and steps; emasc_features:
    list of masked skips; image_without_emasc, image_with_emasc, image_pasted, image (B,3,H,W) in [-1,1], the last one is
    what was returned; target (B,3,H,W) or None.
    """

    person: torch.Tensor
    garment: torch.Tensor
    agnostic: torch.Tensor
    inpaint_mask: torch.Tensor
    pose_map: torch.Tensor
    category: list[str]
    target: torch.Tensor | None = None
    control_points: torch.Tensor | None = None
    warp_grid: torch.Tensor | None = None
    warped_garment: torch.Tensor | None = None
    refined_garment: torch.Tensor | None = None
    pseudo_words: torch.Tensor | None = None
    timesteps: list[int] = field(default_factory=list)
    latents: list[torch.Tensor] = field(default_factory=list)
    pred_original_latents: list[torch.Tensor] = field(default_factory=list)
    pred_original_images: list[torch.Tensor] = field(default_factory=list)
    attention: torch.Tensor | None = None
    emasc_features: list[torch.Tensor] = field(default_factory=list)
    image_without_emasc: torch.Tensor | None = None
    image_with_emasc: torch.Tensor | None = None
    image_pasted: torch.Tensor | None = None
    image: torch.Tensor | None = None


@dataclass
class TryOnOutput(BaseOutput):
    """`images`: B PIL pictures, or (B,H,W,3) numpy or (B,3,H,W) torch in [0,1]; `trace`: `TryOnTrace` if it was asked for."""

    images: list[Image.Image] | torch.Tensor
    trace: TryOnTrace | None = None


@dataclass
class WarpedGarment:
    """The garment on the body: `image` is what the denoiser gets; the rest is kept for the trace."""

    image: torch.Tensor
    warped: torch.Tensor | None = None
    grid: torch.Tensor | None = None
    control_points: torch.Tensor | None = None


class TryOnPipeline(DiffusionPipeline):
    """Dresses a person in a garment.

    Components: `vae`, `emasc`, `warping`, `refinement`, `image_encoder`, `inversion_adapter`, `text_encoder`, `tokenizer`,
    `unet`, `scheduler`. Defaults of a call: `num_inference_steps`, `guidance_scale`. `convention="released"` switches to the
    authors' preprocessing, which their weights need.
    """

    model_cpu_offload_seq = "warping->refinement->image_encoder->inversion_adapter->text_encoder->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        emasc: Emasc,
        warping: WarpingNetwork,
        refinement: RefinementNetwork,
        image_encoder: CLIPVisionModelWithProjection,
        inversion_adapter: InversionAdapter,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerFast,
        unet: UNet2DConditionModel,
        scheduler,
        num_inference_steps: int = 20,
        guidance_scale: float = 1.5,
        convention: str = "ours",
    ):
        super().__init__()
        self.register_modules(
            vae=vae, emasc=emasc, warping=warping, refinement=refinement, image_encoder=image_encoder,
            inversion_adapter=inversion_adapter, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler,
        )  # fmt: skip
        self.register_to_config(num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, convention=convention)

    @torch.no_grad()
    def __call__(
        self,
        sample: TryOnSample | TryOnBatch,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        text: str = "words",
        garment: str = "refined",
        use_pose: bool = True,
        use_emasc: bool = True,
        paste_back: bool = False,
        trace: bool = False,
        callback: Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None,
        output_type: str = "pil",
    ) -> TryOnOutput:
        """Runs the model on one sample or a batch.

        `generator`: one for the batch or one a sample, for the first noise; `latents` (B,z,h,w) replaces that noise.
        `text`: "words" (predicted pseudo-words), "caption", "category" or "empty". `garment`: what the denoiser gets of it,
        "refined", "tps" (before refinement), "true" (the sample's own `warped_garment`) or "none".
        `paste_back` puts the known pixels back over the result. `callback(step, timestep, latents, estimate)` sees each step, as
        `denoise` gives it. `output_type`: "pil", "np" or "pt". With `trace` a compiled pipeline runs uncompiled.
        Raises `ValueError` for an unknown switch, for pictures, latents, generators or steps that do not fit, and for a sample
        without the truth that `garment="true"` needs.
        """
        known_switches(text, garment)
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type={output_type!r}: choose pil, np or pt")
        steps = self.config.num_inference_steps if num_inference_steps is None else num_inference_steps
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        batch = self._on_device(collate([sample]) if isinstance(sample, TryOnSample) else sample)
        generator = list(generator) if isinstance(generator, tuple) else generator
        if steps < 1:
            raise ValueError(f"num_inference_steps is {steps}, expected 1 or more")
        (height, width), factor = batch.person.shape[2:], 2 ** (len(self.vae.config.block_out_channels) - 1)
        if height % factor or width % factor:
            raise ValueError(f"the person is {height} x {width} pixels, sides must be divisible by {factor}; resize the sample")
        if isinstance(generator, list) and len(generator) != len(batch):
            raise ValueError(f"got {len(generator)} generators for {len(batch)} samples; give one, or one a sample")

        with torch.compiler.set_stance("force_eager") if trace else nullcontext():
            agnostic = batch.agnostic.to(self.unet.dtype)
            warped = self.warp_garment(batch, garment)
            words = self.pseudo_words(batch) if text == "words" else None
            masked_latents, taps = self.encode_picture(agnostic)
            skips = self.emasc(taps, batch.inpaint_mask) if use_emasc or trace else None
            picture = None if garment == "none" else warped.image
            given, without = self.conditions(batch, masked_latents, picture, self.encode_text(batch, text, words), use_pose)
            if latents is None:
                shape, device = tuple(masked_latents.shape), self._execution_device
                latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
            if latents.shape != masked_latents.shape:
                has, needs = tuple(latents.shape), tuple(masked_latents.shape)
                raise ValueError(f"latents have shape {has}, expected {needs}; draw them in it")
            latents = latents.to(masked_latents.device)

            record = self._new_trace(batch, agnostic, warped, words, skips) if trace else None
            positions = self._word_positions(batch) if record is not None and words is not None else None
            with AttentionRecorder(self.unet, positions) as attention:
                latents = denoise(
                    self.unet, self.scheduler, latents, given, without, scale, steps, _follow(record, callback), generator,
                    self.progress_bar,
                )  # fmt: skip
            image = self.decode_latents(latents, skips if use_emasc else None)
            known = 1 - batch.inpaint_mask.to(image)
            pasted = known * agnostic + (1 - known) * image
            final = pasted if paste_back else image
            if record is not None:
                plain = image if not use_emasc else self.decode_latents(latents, None)
                skipped = image if use_emasc else self.decode_latents(latents, skips)
                self._close_trace(record, attention, masked_latents, plain, skipped, pasted, final)
        self.maybe_free_model_hooks()
        return TryOnOutput(images=_as_output(final, output_type), trace=record)

    # ---------------------------------------------------------------- the steps, each usable alone

    def warp_garment(self, batch: TryOnBatch, which: str = "refined") -> WarpedGarment:
        """The garment on the body, (B, 3, H, W), by the matching network and its refinement; see `garment` of the call.

        Raises `ValueError` for another `which`, or where "true" is not known.
        """
        if which not in GARMENTS:
            raise ValueError(f"garment={which!r}: choose from {GARMENTS}")
        if which == "true":
            if batch.warped_garment is None:
                raise ValueError("garment='true' needs samples that know their warped_garment; the wardrobe's do")
            return WarpedGarment(batch.warped_garment.to(self._execution_device, self.unet.dtype))
        dtype = self.warping.dtype  # float32 where the rest is half: half precision moves a grid
        garment, agnostic, pose_map = (x.to(dtype) for x in (batch.garment, batch.agnostic, batch.pose_map))
        out = self.warping(garment, agnostic, pose_map)
        warped = warp(garment, out.grid, align_corners=self.warping.align_corners)
        image = warped if which == "tps" else self.refinement(agnostic, pose_map, warped).clamp(-1, 1)
        image = torch.zeros_like(image) if which == "none" else image
        return WarpedGarment(image.to(self.unet.dtype), warped, out.grid, out.control_points)

    def pseudo_words(self, batch: TryOnBatch) -> torch.Tensor:
        """(B, n, D) token embeddings that the inversion adapter reads off the flat garment."""
        pixels = clip_pixels(batch.garment, self.image_encoder.config.image_size, self.config.convention)
        return self.inversion_adapter(self.image_encoder(pixels.to(self.unet.dtype)).last_hidden_state)

    def encode_text(self, batch: TryOnBatch, text: str = "words", words: torch.Tensor | None = None) -> torch.Tensor:
        """(B, L, D) hidden states of the prompts of kind `text`; "words" are put in the place of the prompt's placeholders.

        `words` None are the adapter's. Raises `InputError` for another kind.
        """
        if text == "words":
            words = self.pseudo_words(batch) if words is None else words
            return self._encode(prompts(batch.category, self.inversion_adapter.config.words), words)
        return self._encode(plain_sentences(text, batch.category, batch.caption))

    def encode_picture(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Scaled latents (B, z, h, w) of `image` (B, 3, H, W), the posterior's mode, and the features on the way for EMASC."""
        posterior, taps = encode_with_taps(self.vae, image)
        return posterior.mode() * self.vae.config.scaling_factor, taps

    def decode_latents(self, latents: torch.Tensor, skips: list[torch.Tensor] | None = None) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] of scaled latents of any precision, with EMASC's `skips` or without."""
        z = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        return decode_with_skips(self.vae, z, skips).clamp(-1, 1)

    def conditions(
        self,
        batch: TryOnBatch,
        masked_latents: torch.Tensor,
        garment_image: torch.Tensor | None,
        text: torch.Tensor,
        use_pose: bool = True,
    ) -> tuple[Conditions, Conditions]:
        """The denoiser's conditions and their unconditional twins (no text, pose or garment; the masked person stays).

        `garment_image` None is no garment: zero latents, as in the unconditional twin.
        """
        garment_latents = torch.zeros_like(masked_latents) if garment_image is None else self.encode_picture(garment_image)[0]
        pose_map = batch.pose_map if use_pose else torch.zeros_like(batch.pose_map)
        static = static_channels(batch.inpaint_mask, masked_latents, pose_map, garment_latents)
        empty = self._encode([""]).expand(len(batch), -1, -1)
        given, without = Conditions(static, text), Conditions(drop_garment(static, masked_latents.shape[1]), empty)
        return settle(self.unet, given), settle(self.unet, without)

    # ---------------------------------------------------------------- helpers

    def _on_device(self, batch: TryOnBatch) -> TryOnBatch:
        """The batch with what the model reads on its device; the rest, half of the bytes, stays where it is."""
        device = self._execution_device
        return replace(batch, **{name: getattr(batch, name).to(device) for name in READ})

    def _encode(self, texts: list[str], words: torch.Tensor | None = None) -> torch.Tensor:
        ids = tokenize(self.tokenizer, texts)
        if words is None:
            return encode_prompt(self.text_encoder, ids.to(self._execution_device))
        return encode_prompt(self.text_encoder, ids, words, placeholder_id(self.tokenizer))

    def _word_positions(self, batch: TryOnBatch) -> torch.Tensor:
        count = self.inversion_adapter.config.words
        ids = tokenize(self.tokenizer, prompts(batch.category, count))
        positions = (ids == placeholder_id(self.tokenizer)).nonzero()[:, 1].view(len(batch), count)
        return positions.to(self._execution_device)

    def _new_trace(self, batch, agnostic, warped: WarpedGarment, words, skips) -> TryOnTrace:
        keep = lambda x: None if x is None else x.detach().float().cpu()  # noqa: E731
        return TryOnTrace(
            person=keep(batch.person), garment=keep(batch.garment), agnostic=keep(agnostic), target=keep(batch.target),
            inpaint_mask=keep(batch.inpaint_mask), pose_map=keep(batch.pose_map), category=list(batch.category),
            control_points=keep(warped.control_points), warp_grid=keep(warped.grid), warped_garment=keep(warped.warped),
            refined_garment=keep(warped.image), pseudo_words=keep(words), emasc_features=[keep(s) for s in skips],
        )  # fmt: skip

    def _close_trace(self, record: TryOnTrace, attention, like, plain, skipped, pasted, final):
        record.pred_original_images = [self.decode_latents(x.to(like)).float().cpu() for x in record.pred_original_latents]
        record.attention = attention.mean(tuple(like.shape[-2:]))
        record.image_without_emasc, record.image_with_emasc = plain.float().cpu(), skipped.float().cpu()
        record.image_pasted, record.image = pasted.float().cpu(), final.float().cpu()


def known_switches(text: str, garment: str) -> None:
    """Raises `InputError` for a `text` or a `garment` that the call does not know."""
    if text not in TEXTS or garment not in GARMENTS:
        raise InputError(f"text={text!r}, garment={garment!r}: choose text from {TEXTS} and garment from {GARMENTS}.")


def _follow(record: TryOnTrace | None, callback: Callable | None) -> Callable | None:
    """A callback that feeds the trace and the caller's own; None where there is neither."""
    if record is None:
        return callback

    def follow(step: int, timestep: torch.Tensor, latents: torch.Tensor, estimate: torch.Tensor):
        record.timesteps.append(int(timestep))
        record.latents.append(latents.float().cpu())
        record.pred_original_latents.append(estimate.float().cpu())
        if callback is not None:
            callback(step, timestep, latents, estimate)

    return follow


def _as_output(image: torch.Tensor, output_type: str):
    scaled = (image.float() / 2 + 0.5).clamp(0, 1)
    if output_type == "pt":
        return scaled
    array = scaled.permute(0, 2, 3, 1).cpu().numpy()
    if output_type == "np":
        return array
    return [Image.fromarray(picture) for picture in (array * 255).round().astype("uint8")]
