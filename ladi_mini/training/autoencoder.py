"""Stage 2: the autoencoder, the ceiling of every picture after it (lesson 4).

Choices made here
- It sees persons, flat garments, worn garments and persons with the hole in them, since all four are encoded later.
- L1 alone blurs edges and learns light long before hue, so the loss adds the picture's differences (edges), its local means,
  and the differences of its channels (chroma); a tiny KL term keeps the latents near each other. No discriminator: at this
  size it costs more than it gives.
- The latents' scale is measured at the end, as Stable Diffusion's 0.18215 was: scaled latents have standard deviation 1.
"""

import torch
import torch.nn.functional as F

from ladi_mini.checkpoints import build_component
from ladi_mini.training.stage import Stage, Tensors, collect, decibels, from_bytes, gradient_l1, to_bytes

KINDS = ("person", "garment", "warped", "agnostic")
SHARES = (0.5, 0.2, 0.15, 0.15)  # how often each kind is drawn


class AutoencoderStage(Stage):
    name = "autoencoder"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.vae = build_component(preset, "vae")

    def heavy(self):
        return [self.vae.encoder, self.vae.decoder]

    def table(self, data) -> Tensors:
        def columns(batch):
            return {
                "person": to_bytes(batch.person),
                "garment": to_bytes(batch.garment),
                "warped": to_bytes(batch.warped_garment),
                "inpaint_mask": batch.inpaint_mask.bool(),
            }

        return collect(self, data, columns)

    def draw(self, batch, generator):
        count, device = len(batch["person"]), generator.device
        shares = torch.tensor(SHARES, device=device)
        kind = torch.multinomial(shares, count, replacement=True, generator=generator)
        z = (count, self.preset.latent_channels, *self.preset.latent_size)
        return batch | {"kind": kind, "noise": torch.randn(z, generator=generator, device=device)}

    def forward(self, batch):
        image = self.pictures(batch)
        posterior = self.vae.encode(image).latent_dist
        out = self.vae.decode(posterior.mean + posterior.std * batch["noise"]).sample
        weights = self.config.weights
        l1, edges = F.l1_loss(out, image), gradient_l1(out, image)
        means = F.l1_loss(F.avg_pool2d(out, 8), F.avg_pool2d(image, 8))
        chroma = F.l1_loss(opponents(out), opponents(image))
        terms = {"edges": edges, "means": means, "chroma": chroma, "kl": posterior.kl().mean() / batch["noise"][0].numel()}
        return {"loss": l1 + sum(weights[name] * term for name, term in terms.items()), "l1": l1, **terms}

    def pictures(self, batch: Tensors) -> torch.Tensor:
        """(B, 3, H, W), one of the four kinds of picture a row."""
        _, garment, warped, agnostic = (batch["kind"][:, None, None, None] == k for k in range(len(KINDS)))
        shown = torch.where(garment, batch["garment"], torch.where(warped, batch["warped"], batch["person"]))
        return from_bytes(shown).masked_fill(agnostic & batch["inpaint_mask"], 0.0)

    @torch.no_grad()
    def finish(self, table):
        person = from_bytes(table["person"][:512])
        latents = torch.cat([self.vae.encode(chunk).latent_dist.mode() for chunk in person.split(64)])
        self.vae.register_to_config(scaling_factor=1 / latents.std().item())

    @torch.no_grad()
    def validate(self, table):
        person = from_bytes(table["person"])
        out = torch.cat([self.vae.decode(self.vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1) for x in person.split(64)])
        error = (out - person).square()
        inside = error[table["inpaint_mask"].expand_as(error)].mean()
        return {
            "psnr": decibels(error.mean().item()),
            "psnr_inside_mask": decibels(inside.item()),
            "scaling_factor": self.vae.config.scaling_factor,
        }


def opponents(image: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) RGB to (B, 2, H, W): red against green, blue against yellow; 0 on every grey."""
    red, green, blue = image.unbind(1)
    return torch.stack((red - green, blue - (red + green) / 2), dim=1)
