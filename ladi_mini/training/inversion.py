"""Stage 7: the inversion adapter against the frozen base (lesson 2; LaDI-VTON, section 3).

Choices made here
- Nothing but the adapter is trained: the base has to understand its words, which makes them words.
- The image tower's hidden states are computed once; gradients run through the frozen base and text encoder.
"""

import torch

from ladi_mini.checkpoints import build_component
from ladi_mini.clip import clip_pixels, tokenize
from ladi_mini.inversion import encode_prompt, placeholder_id, prompts
from ladi_mini.training.inpainting import draw_noise, fixed_time_losses, latent_table, noise_loss
from ladi_mini.training.stage import Stage, Tensors, shelved


def word_columns(stage: Stage, batch) -> Tensors:
    """The image tower's hidden states of the garments, and the prompts with placeholders."""
    pixels = clip_pixels(batch.garment, stage.preset.vision_size)
    ids = tokenize(stage.models["tokenizer"], prompts(batch.category, stage.preset.pseudo_words))
    hidden = stage.models["image_encoder"](pixels).last_hidden_state
    return {"image_hidden": hidden.half(), "input_ids": ids.to(hidden.device)}


def word_table(stage: Stage, data) -> Tensors:
    """`word_columns` of all data, once for the two stages that train the adapter."""
    return shelved(stage, data, "words", lambda batch: word_columns(stage, batch))


def text_of_words(stage: Stage, adapter, batch: Tensors) -> torch.Tensor:
    """(B, L, D) hidden states of the prompts with the adapter's words in them."""
    words = adapter(batch["image_hidden"].float())
    return encode_prompt(stage.models["text_encoder"], batch["input_ids"], words, placeholder_id(stage.models["tokenizer"]))


class InversionStage(Stage):
    name = "inversion"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.inversion_adapter = build_component(preset, "inversion_adapter")

    def heavy(self):
        return [self.models["base"]]  # frozen, but gradients run through it

    def table(self, data) -> Tensors:
        return latent_table(self, data) | word_table(self, data)

    def draw(self, batch, generator):
        return draw_noise(self, batch, generator)

    def forward(self, batch):
        text = text_of_words(self, self.inversion_adapter, batch)
        static = torch.cat([batch["mask"], batch["masked_latents"]], dim=1)
        return {"loss": noise_loss(self, self.models["base"], batch, static, text)}

    @torch.no_grad()
    def validate(self, table):
        return fixed_time_losses(self, table)
