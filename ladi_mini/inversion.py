"""Textual inversion: vectors in the place of words (Gal et al., 2023; LaDI-VTON, section 3, textual-inverted conditioning).

No sentence says what one particular garment looks like. Textual inversion looks for vectors in the text encoder's input space,
"pseudo-words", that do: by optimisation for one garment (`invert`), or in one step by a network that reads the garment's
picture (`InversionAdapter`). The denoiser then hears "a photo of a model wearing a dress $ $ ... $", a pseudo-word for each $.

Choices made here
- The adapter is one transformer layer over the image encoder's hidden states (before that encoder's last norm), whose class
  token goes through three linear layers to all pseudo-words at once. Its parameters carry the names of the released weights.
- Pseudo-words replace rows of the token embedding, before positions are added, by a hook on that layer: the text encoder
  stays the library's own.
- The k-th placeholder of a sentence takes the k-th pseudo-word, wherever it stands; a sentence without placeholders is left
  alone, which is how the empty sentence of guidance shares a batch with prompts.
- `invert` knows nothing of diffusion: it is given a loss of the words. It asks for the gradient of the words alone, so a
  frozen model needs no switch and gathers no gradients. Adam has no weight decay here, which would pull the words to zero.
"""

import threading
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from ladi_mini.clip import PLACEHOLDER
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError

PROMPT = "a photo of a model wearing"
PLAIN = ("caption", "category", "empty")  # kinds of sentences without pseudo-words
GARMENTS = {"upper_body": "an upper body garment", "lower_body": "a lower body garment", "dresses": "a dress"}


def prompts(categories: Sequence[str], words: int = 16) -> list[str]:
    """One sentence a category, "a photo of a model wearing a dress $ $ ...", with `words` placeholders.

    Raises `InputError` for a category that is not upper_body, lower_body or dresses.
    """
    for category in categories:
        if category not in GARMENTS:
            raise InputError(f"category is {category!r}, expected one of {', '.join(GARMENTS)}; name the garment's category.")
    return [" ".join([PROMPT, GARMENTS[category], *[PLACEHOLDER] * words]) for category in categories]


def caption_prompts(captions: Sequence[str]) -> list[str]:
    """The same sentence about captions, "a photo of a model wearing a red skirt", for conditioning on words alone."""
    return [f"{PROMPT} {caption}" for caption in captions]


def plain_sentences(text: str, categories: Sequence[str], captions: Sequence[str]) -> list[str]:
    """The sentences without pseudo-words of a kind of `PLAIN`, one a garment. Raises `InputError` for another kind."""
    if text not in PLAIN:
        raise InputError(f"text is {text!r}, expected caption, category or empty; choose one.")
    if text == "caption":
        return caption_prompts(captions)
    return prompts(categories, 0) if text == "category" else [""] * len(categories)


def placeholder_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that a lone $ gets in a sentence; 259 with CLIP's own tokenizer."""
    (token,) = tokenizer(PLACEHOLDER, add_special_tokens=False).input_ids
    return token


def encode_prompt(
    text_encoder: CLIPTextModel,
    input_ids: torch.Tensor,
    pseudo_words: torch.Tensor | None = None,
    placeholder_id: int | None = None,
) -> torch.Tensor:
    """The text encoder's hidden states after its last norm, (B, L, D), with pseudo-words in the places of placeholders.

    input_ids:      (B, L); best on the CPU, where counting their placeholders waits for no GPU
    pseudo_words:   (B, n, D), those of sentence b in row b, or (n, D) for all sentences; None reads the sentences as they are
    placeholder_id: the token whose places they take, from left to right

    Differentiable with respect to `pseudo_words`. Raises `InputError` where a sentence holds neither 0 nor n placeholders, and
    `ValueError` where `pseudo_words` has another batch size or width.
    """
    if pseudo_words is None:
        return text_encoder(input_ids).last_hidden_state
    if placeholder_id is None:
        raise ValueError("pseudo_words need the placeholder_id whose places they take.")
    embedding = text_encoder.get_input_embeddings()
    b, d = input_ids.shape[0], embedding.weight.shape[1]
    if pseudo_words.ndim == 2:
        pseudo_words = pseudo_words.expand(b, -1, -1)
    n = pseudo_words.shape[1]
    if tuple(pseudo_words.shape) != (b, n, d):
        raise ValueError(f"pseudo_words have shape {tuple(pseudo_words.shape)}, expected {(b, n, d)} for {b} sentences.")

    placed = input_ids == placeholder_id  # (B, L)
    counts = placed.sum(1)
    if not bool(((counts == 0) | (counts == n)).all()):
        raise InputError(
            f"input_ids hold {counts.tolist()} placeholders a sentence, expected 0 or {n}, one a pseudo-word; "
            f"make the prompts for {n} words, short enough not to be cut."
        )
    input_ids, placed = input_ids.to(pseudo_words.device), placed.to(pseudo_words.device)
    which = (placed.cumsum(1) - 1).clamp(min=0)  # (B, L): the number of the word that a placeholder takes
    words = pseudo_words.gather(1, which[..., None].expand(-1, -1, d))  # (B, L, D)
    thread = threading.get_ident()

    def place_words(module: nn.Module, args: tuple, embedded: torch.Tensor) -> torch.Tensor | None:
        if threading.get_ident() != thread:  # another thread's sentences, through the same encoder
            return None
        return torch.where(placed[..., None], words.to(embedded), embedded)

    handle = embedding.register_forward_hook(place_words)
    try:
        return text_encoder(input_ids).last_hidden_state
    finally:
        handle.remove()


def invert(
    loss_of_words: Callable[[torch.Tensor], torch.Tensor],
    words: torch.Tensor,
    steps: int,
    lr: float,
    callback: Callable[[int, float, torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """Textual inversion by optimisation: the pseudo-words that a frozen model's loss leads to, starting from `words`.

    loss_of_words: pseudo-words, in the shape of `words`, -> scalar loss; it may draw new noise at every call
    words:         usually (n, D), a common word's embedding or small noise; not changed
    callback:      called as `callback(step, loss, words)` with the loss at `words`, before they are moved

    Returns the words after `steps` steps, detached.
    """
    words = words.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([words], lr=lr)
    for step in range(steps):
        with torch.enable_grad():
            loss = loss_of_words(words)
            (words.grad,) = torch.autograd.grad(loss, words)
        if callback is not None:
            callback(step, loss.item(), words.detach().clone())
        optimizer.step()
    return words.detach()


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, width / heads)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        x = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(x.transpose(1, 2).flatten(2))  # (B, T, width)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, at every place of the sequence."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderLayer(nn.Module):
    """CLIP's transformer layer: normalise, attend, add; normalise, feed forward, add."""

    def __init__(self, width: int, heads: int, mlp: int):
        super().__init__()
        self.self_attn = SelfAttention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, mlp)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class InversionAdapter(ModelMixin, ConfigMixin):
    """From a garment's image features to its pseudo-words, in one step.

    width, heads, mlp: of the image encoder, whose kind of layer is used once more
    hidden, dropout:   of the three linear layers that follow
    words, dim:        how many pseudo-words, and the text encoder's width
    """

    @register_to_config
    def __init__(self, width: int, heads: int, mlp: int, hidden: int, words: int, dim: int, dropout: float = 0.5):
        super().__init__()
        self.encoder_layers = nn.ModuleList([EncoderLayer(width, heads, mlp)])
        self.post_layernorm = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, words * dim),
        )

    def forward(self, image_hidden: torch.Tensor) -> torch.Tensor:
        """(B, T, width), the image encoder's `last_hidden_state` with the class token first -> (B, words, dim)."""
        x = image_hidden
        for layer in self.encoder_layers:
            x = layer(x)  # (B, T, width)
        x = self.layers(self.post_layernorm(x[:, 0]))  # (B, words * dim)
        return x.unflatten(-1, (self.config.words, self.config.dim))


def build_adapter(preset: Preset) -> InversionAdapter:
    """An untrained adapter between the preset's image encoder and its text encoder."""
    return InversionAdapter(
        width=preset.vision_width,
        heads=preset.vision_heads,
        mlp=4 * preset.vision_width,
        hidden=preset.adapter_hidden,
        words=preset.pseudo_words,
        dim=preset.text_width,
        dropout=preset.adapter_dropout,
    )
