"""Stage 1: the contrastive pair of towers, on garments and their captions (lesson 1).

Choices made here
- Only flat garments and captions: the text side has to know cloth, and the image side is asked for garments alone.
- Garments are shifted by a few pixels at random, the only augmentation that changes no word of a caption.
"""

import torch

from ladi_mini.checkpoints import build_component
from ladi_mini.clip import clip_pixels, contrastive_loss, image_features, retrieval_accuracy, text_features, tokenize
from ladi_mini.training.stage import Stage, Tensors, collect, from_bytes, in_parts, to_bytes


class ClipStage(Stage):
    name = "clip"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.clip = build_component(preset, "clip")

    def heavy(self):
        return [self.clip.visual, self.clip.transformer]

    def table(self, data) -> Tensors:
        tokenizer = self.models["tokenizer"]

        def columns(batch):
            ids = tokenize(tokenizer, batch.caption)
            return {"garment": to_bytes(batch.garment), "input_ids": ids.to(batch.garment.device)}

        return collect(self, data, columns)

    def draw(self, batch, generator):
        reach, device = max(1, self.preset.height // 32), generator.device
        shift = torch.randint(-reach, reach + 1, (2, 1), generator=generator, device=device)
        rows, columns = (
            (torch.arange(n, device=device) - d) % n for n, d in zip(batch["garment"].shape[-2:], shift, strict=True)
        )
        return batch | {"garment": batch["garment"][:, :, rows][..., columns]}  # white borders meet white borders

    def features(self, batch: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit features (B, D) of the garments and of their captions."""
        pixels = clip_pixels(from_bytes(batch["garment"]), self.preset.vision_size)
        return image_features(self.clip, pixels), text_features(self.clip, batch["input_ids"])

    def forward(self, batch):
        image, text = self.features(batch)
        return {"loss": contrastive_loss(image, text, self.clip.logit_scale.clamp(max=4.6052).exp())}  # at most 100, as in CLIP

    @torch.no_grad()
    def validate(self, table):
        image, text = (torch.cat(part) for part in zip(*(self.features(part) for part in in_parts(table)), strict=True))
        said = torch.unique(table["input_ids"], dim=0, return_inverse=True)[1]  # two garments may have one caption
        to_text, to_image = retrieval_accuracy(image, text, said)
        return {"image_to_text_top1": float(to_text), "text_to_image_top1": float(to_image), "chance": 1 / len(image)}
