"""CLIP: pictures and sentences in one space (Radford et al., 2021, sections 2.3 to 2.5).

An image tower and a text tower are trained together so that a garment and its caption lie close and all other pairs of the
batch lie apart. Afterwards each tower serves alone: the text tower's hidden states condition the denoiser, the image
tower's hidden states are what the inversion adapter reads (LaDI-VTON, section 3).

Choices made here
- The model is open_clip's `CLIP`, as for Stable Diffusion 2; after training each tower is copied, number for number, into its
  `transformers` twin, which is what diffusers pipelines hold and save.
- The vocabulary is small and ours: words of the captions and prompts are whole tokens, anything else is spelled in characters
  (WordPiece), so that what is printed on a garment can be said. Everything is lower case.
- The ids follow CLIP: padding is 0, the start token last but one, the end token last. open_clip reads a sentence at its
  highest id, so the end token must have it. Places still free before it hold `[unused...]` tokens: the tokenizer,
  the embedding and the preset agree on one size, and a longer vocabulary moves no earlier id.
- "an" before a colour is read as "a": captions said "a orange t-shirt" when the shipped weights learned them, and so the ids of
  "an orange t-shirt" are the same. Elsewhere "an" is a word of its own, for the prompts have learned "an upper body garment".
- GELU is exact, not CLIP's first `quick_gelu`, as in the encoders that the released LaDI-VTON weights were trained with.
- Garments lie on white, so `clip_pixels` pads to a square with white and keeps the garment's proportions. The authors squash
  the picture and pass it through 8-bit whole numbers: `convention="released"`.
"""

from typing import Literal

import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection, PreTrainedTokenizerFast

from ladi_mini.presets import Preset
from ladi_mini.wardrobe.captions import COLOURS, VOCABULARY

PAD, UNKNOWN, PLACEHOLDER, START, END = "[pad]", "[unk]", "$", "[start]", "[end]"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PUNCTUATION = "'\",.:;!?-+&/#%()"
PROMPT_WORDS = ("a", "photo", "of", "model", "wearing", "dress", "an", "upper", "lower", "body", "garment")
RELEASED_VOCABULARY = 49408  # the byte-pair tokens of CLIP's own tokenizer, which comes with the released base


def build_tokenizer(preset: Preset) -> PreTrainedTokenizerFast:
    """The tokenizer of `nano` and `mini`: lower case, whole words of the wardrobe, all else spelled in characters.

    `tokenize(tokenizer, sentences)` gives ids `[start] ... [end] [pad] ...` of `preset.context_length`; `len(tokenizer)` is
    `preset.vocab_size`. "an" before a colour gets the id of "a", so that the ids of captions are those that the shipped weights
    learned. Raises `ValueError` for a preset with CLIP's own vocabulary and where the words do not fit.
    """
    if preset.vocab_size == RELEASED_VOCABULARY:
        raise ValueError(
            f"preset {preset.name!r} speaks CLIP's own {RELEASED_VOCABULARY} tokens; load the tokenizer with its base."
        )
    article = normalizers.Replace(Regex(rf"\ban(?=\s+(?:{'|'.join(COLOURS)})\b)"), "a")
    normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), article])
    # a word may hold hyphens inside (t-shirt); every other sign stands alone
    splitter = pre_tokenizers.Split(Regex(r"\w+(?:-\w+)*|[^\w\s]"), "removed", invert=True)
    words = [
        piece for word in (*PROMPT_WORDS, *VOCABULARY) for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(word))
    ]
    letters = [*PUNCTUATION, *CHARACTERS, *(f"##{c}" for c in CHARACTERS), "##-"]
    tokens = list(dict.fromkeys([PAD, UNKNOWN, PLACEHOLDER, *letters, *words]))
    free = preset.vocab_size - len(tokens) - 2
    if free < 0:
        raise ValueError(
            f"preset {preset.name!r} has vocab_size {preset.vocab_size}, but the vocabulary needs {len(tokens) + 2}."
        )
    tokens += [*(f"[unused{i}]" for i in range(free)), START, END]
    ids = {token: i for i, token in enumerate(tokens)}

    backend = Tokenizer(models.WordPiece(ids, unk_token=UNKNOWN))
    backend.normalizer = normalizer
    backend.pre_tokenizer = splitter
    backend.decoder = decoders.WordPiece(cleanup=False)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, ids[START]), (END, ids[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=preset.context_length,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
    )


def tokenize(tokenizer: PreTrainedTokenizerFast, sentences: list[str]) -> torch.Tensor:
    """(B, L) int64 ids of B sentences, padded to the tokenizer's length L; a longer one is cut and keeps its end token."""
    batch = tokenizer(
        sentences, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    )
    return batch.input_ids


def build_clip(preset: Preset) -> open_clip.CLIP:
    """An untrained open_clip model: `encode_image((B, 3, S, S))` and `encode_text((B, L) ids)` give (B, clip_dim)."""
    return open_clip.CLIP(
        embed_dim=preset.clip_dim,
        vision_cfg={
            "image_size": preset.vision_size,
            "patch_size": preset.vision_patch,
            "width": preset.vision_width,
            "layers": preset.vision_layers,
            "head_width": preset.vision_width // preset.vision_heads,
        },
        text_cfg={
            "context_length": preset.context_length,
            "vocab_size": preset.vocab_size,
            "width": preset.text_width,
            "heads": preset.text_heads,
            "layers": preset.text_layers,
            "pool_type": "argmax",
        },
        quick_gelu=False,
    )


def clip_pixels(images: torch.Tensor, size: int, convention: Literal["ours", "released"] = "ours") -> torch.Tensor:
    """Pictures as an image tower wants them: (B, 3, H, W) in [-1, 1] -> (B, 3, size, size), CLIP's mean and deviation taken out.

    "ours" pads to a square with white; "released" squashes to a square and rounds down to 8 bits, as the authors' processor did.
    """
    if convention not in ("ours", "released"):
        raise ValueError(f'convention is {convention!r}, expected "ours" or "released".')
    pixels = (images + 1) / 2  # [0, 1]
    if convention == "ours":
        h, w = pixels.shape[-2:]
        side = max(h, w)
        top, left = (side - h) // 2, (side - w) // 2
        pixels = F.pad(pixels, (left, side - w - left, top, side - h - top), value=1.0)  # (B, 3, side, side)
    pixels = F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=True)
    if convention == "released":
        pixels = (pixels.clamp(0, 1) * 255).floor() / 255
    mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return (pixels - mean) / std


def image_features(clip: open_clip.CLIP, pixels: torch.Tensor) -> torch.Tensor:
    """(B, clip_dim) of length 1, from the output of `clip_pixels`."""
    return clip.encode_image(pixels, normalize=True)


def text_features(clip: open_clip.CLIP, input_ids: torch.Tensor) -> torch.Tensor:
    """(B, clip_dim) of length 1, from the output of `tokenize`."""
    return clip.encode_text(input_ids, normalize=True)


def contrastive_loss(
    image_features: torch.Tensor, text_features: torch.Tensor, logit_scale: torch.Tensor | float
) -> torch.Tensor:
    """Symmetric cross-entropy over the N x N similarities of N pairs (Radford et al., figure 3); a scalar.

    The features are (N, D) of length 1, and row i of one belongs to row i of the other. `logit_scale` is the factor itself,
    `clip.logit_scale.exp()`, not its logarithm.
    """
    logits = logit_scale * image_features @ text_features.T  # (N, N): picture i against sentence j
    right = logits.diagonal()
    which_sentence = torch.logsumexp(logits, dim=1) - right  # -log p(sentence i | picture i)
    which_picture = torch.logsumexp(logits, dim=0) - right  # -log p(picture i | sentence i)
    return (which_sentence.mean() + which_picture.mean()) / 2


def retrieval_accuracy(
    image_features: torch.Tensor, text_features: torch.Tensor, labels: torch.Tensor | None = None
) -> tuple[float, float]:
    """How often the nearest of N sentences is the picture's own, and the nearest of N pictures the sentence's own: two shares.

    The features are (N, D), and row i of one belongs to row i of the other. `labels` (N,) marks pairs that say the same: to find
    any pair of one's own label counts. Without it each pair stands alone.
    """
    similarity = image_features @ text_features.T  # (N, N)
    labels = torch.arange(len(similarity)) if labels is None else labels
    labels = labels.to(similarity.device)
    return tuple((labels[similarity.argmax(dim)] == labels).float().mean().item() for dim in (1, 0))


def text_encoder_config(preset: Preset) -> CLIPTextConfig:
    """The text tower as `transformers` describes it; at `full`, Stable Diffusion 2's text encoder."""
    return CLIPTextConfig(
        vocab_size=preset.vocab_size,
        hidden_size=preset.text_width,
        intermediate_size=4 * preset.text_width,
        projection_dim=preset.clip_dim,
        num_hidden_layers=preset.text_layers,
        num_attention_heads=preset.text_heads,
        max_position_embeddings=preset.context_length,
        hidden_act="gelu",
        pad_token_id=0,
        bos_token_id=preset.vocab_size - 2,
        eos_token_id=preset.vocab_size - 1,
    )


def image_encoder_config(preset: Preset) -> CLIPVisionConfig:
    """The image tower as `transformers` describes it; at `full`, the ViT-H/14 that the inversion adapter was trained on."""
    return CLIPVisionConfig(
        hidden_size=preset.vision_width,
        intermediate_size=4 * preset.vision_width,
        projection_dim=preset.clip_dim,
        num_hidden_layers=preset.vision_layers,
        num_attention_heads=preset.vision_heads,
        image_size=preset.vision_size,
        patch_size=preset.vision_patch,
        hidden_act="gelu",
    )


def to_text_encoder(clip: open_clip.CLIP, preset: Preset) -> CLIPTextModel:
    """A copy of the text tower whose `last_hidden_state` (B, L, text_width) is open_clip's after its last norm; in eval mode."""
    encoder = CLIPTextModel(text_encoder_config(preset))
    encoder.load_state_dict({
        "embeddings.token_embedding.weight": clip.token_embedding.weight,
        "embeddings.position_embedding.weight": clip.positional_embedding,
        **_layers(clip.transformer, "encoder.layers"),
        **_named(clip.ln_final, "final_layer_norm"),
    })  # fmt: skip
    return encoder.to(clip.positional_embedding).eval()


def to_image_encoder(clip: open_clip.CLIP, preset: Preset) -> CLIPVisionModelWithProjection:
    """A copy of the image tower, in eval mode.

    Its `last_hidden_state` (B, 1 + patches, vision_width) is taken before the last norm, and `image_embeds` (B, clip_dim) is
    `clip.encode_image`.
    """
    visual = clip.visual
    encoder = CLIPVisionModelWithProjection(image_encoder_config(preset))
    encoder.load_state_dict({
        "vision_model.embeddings.class_embedding": visual.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": visual.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": visual.positional_embedding,
        **_named(visual.ln_pre, "vision_model.pre_layrnorm"),  # the library's own spelling
        **_layers(visual.transformer, "vision_model.encoder.layers"),
        **_named(visual.ln_post, "vision_model.post_layernorm"),
        "visual_projection.weight": visual.proj.T,
    })  # fmt: skip
    return encoder.to(visual.proj).eval()


def _layers(transformer: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """The blocks of an open_clip transformer under the names of `transformers`."""
    tensors = {}
    for i, block in enumerate(transformer.resblocks):
        queries_keys_values = zip("qkv", block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True)
        for letter, weight, bias in queries_keys_values:
            tensors[f"{prefix}.{i}.self_attn.{letter}_proj.weight"] = weight
            tensors[f"{prefix}.{i}.self_attn.{letter}_proj.bias"] = bias
        for module, name in (
            (block.attn.out_proj, "self_attn.out_proj"),
            (block.ln_1, "layer_norm1"),
            (block.ln_2, "layer_norm2"),
            (block.mlp.c_fc, "mlp.fc1"),
            (block.mlp.c_proj, "mlp.fc2"),
        ):
            tensors |= _named(module, f"{prefix}.{i}.{name}")
    return tensors


def _named(module: nn.Module, name: str) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
