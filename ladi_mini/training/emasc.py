"""Stage 3: the masked skips, around a frozen autoencoder (lesson 5; LaDI-VTON, section 3).

Choices made here
- As the authors: the latent is that of the whole picture, the skips that of the agnostic one, the loss L1 to the picture.
- `linear` and `masked=False` are the component study's (`variants`).
- Instead of their VGG term, whose weights are not ours to ship, the differences of the picture (edges).
"""

import torch
import torch.nn.functional as F

from ladi_mini.emasc import build_emasc, decode_with_skips, encode_with_taps
from ladi_mini.training.stage import Stage, Tensors, collect, decibels, from_bytes, gradient_l1, in_parts, to_bytes


class EmascStage(Stage):
    name = "emasc"
    graphs = False  # two pictures go through the same encoder blocks in a step

    def __init__(self, preset, models, linear: bool = False, masked: bool = True):
        super().__init__(preset, models)
        self.emasc, self.masked = build_emasc(preset, linear), masked

    def heavy(self):  # frozen blocks as well: gradients run through the decoder's
        encoder, decoder = self.models["vae"].encoder, self.models["vae"].decoder
        blocks = [*encoder.down_blocks, encoder.mid_block, decoder.mid_block, *decoder.up_blocks]
        return [self.emasc, *blocks]

    def table(self, data) -> Tensors:
        return collect(self, data, lambda b: {"person": to_bytes(b.person), "inpaint_mask": b.inpaint_mask.bool()})

    def pictures(self, batch: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """The person and the agnostic person, (B, 3, H, W)."""
        person = from_bytes(batch["person"])
        return person, torch.where(batch["inpaint_mask"], torch.zeros_like(person), person)

    def reconstruct(self, person: torch.Tensor, agnostic: torch.Tensor, inpaint_mask: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W): the person through the bottleneck, with the skips of the agnostic picture."""
        vae = self.models["vae"]
        with torch.no_grad():
            latents = vae.encode(person).latent_dist.mode()
            _, taps = encode_with_taps(vae, agnostic)
        return decode_with_skips(vae, latents, self.emasc(taps, inpaint_mask.float() * self.masked))

    def forward(self, batch):
        person, agnostic = self.pictures(batch)
        out = self.reconstruct(person, agnostic, batch["inpaint_mask"])
        l1, edges = F.l1_loss(out, person), gradient_l1(out, person)
        return {"loss": l1 + self.config.weights["edges"] * edges, "l1": l1, "edges": edges}

    @torch.no_grad()
    def validate(self, table):
        vae, errors = self.models["vae"], {"without": [], "with": []}
        for part in in_parts(table):
            person, agnostic = self.pictures(part)
            plain = vae.decode(vae.encode(person).latent_dist.mode()).sample
            skipped = self.reconstruct(person, agnostic, part["inpaint_mask"])
            for name, out in (("without", plain), ("with", skipped)):
                errors[name].append((out.clamp(-1, 1) - person).square().mean(1, keepdim=True))
        measured, mask = {}, table["inpaint_mask"]
        for name, found in errors.items():
            error = torch.cat(found)
            measured[f"psnr_known_{name}"] = decibels(error[~mask].mean().item())
            measured[f"psnr_inside_mask_{name}"] = decibels(error[mask].mean().item())
        return measured
