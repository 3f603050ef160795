"""CLIP: the vocabulary, the loss, the two towers and their twins."""

import open_clip
import pytest
import torch
import torchvision.transforms.functional as TF
from diffusers import DiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedTokenizerFast

from ladi_mini import clip as module
from ladi_mini.clip import (
    PROMPT_WORDS,
    build_clip,
    build_tokenizer,
    clip_pixels,
    contrastive_loss,
    image_encoder_config,
    image_features,
    retrieval_accuracy,
    text_encoder_config,
    text_features,
    to_image_encoder,
    to_text_encoder,
    tokenize,
)
from ladi_mini.inversion import GARMENTS, PROMPT
from ladi_mini.presets import get_preset
from ladi_mini.wardrobe.captions import VOCABULARY

NANO = get_preset("nano")
SENTENCES = ["a red t-shirt", 'a long navy dress with the letters "aq7" in white', ""]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(NANO)


@pytest.fixture(scope="module")
def clip():
    """A model in which no number is the default, so that a swapped or forgotten tensor shows."""
    torch.manual_seed(0)
    model = build_clip(NANO).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


# ---- tokenizer


def test_every_word_of_captions_and_prompts_is_one_token(tokenizer):
    split = [word for word in (*VOCABULARY, *PROMPT_WORDS) if tokenizer.tokenize(word) != [word]]
    assert split == []


@given(text=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8))
def test_any_printed_text_can_be_spelled(tokenizer, text):
    pieces = tokenizer.tokenize(f'the letters "{text}"')[3:-1]
    assert "".join(piece.removeprefix("##") for piece in pieces) == text.lower()


def test_a_sentence_is_start_words_end_and_padding(tokenizer):
    ids = tokenize(tokenizer, ["a red dress"])[0].tolist()
    words = tokenizer.convert_tokens_to_ids(["a", "red", "dress"])
    assert tokenizer.unk_token_id not in words
    assert ids == [tokenizer.bos_token_id, *words, tokenizer.eos_token_id] + [0] * (NANO.context_length - 5)


def test_the_end_token_is_where_open_clip_reads(tokenizer):
    ids = tokenize(tokenizer, [*SENTENCES, "$ zebra é 日"])
    assert ids.argmax(1).tolist() == [(row == tokenizer.eos_token_id).nonzero().item() for row in ids]


def test_a_long_sentence_is_cut_and_keeps_its_end(tokenizer):
    ids = tokenize(tokenizer, ["red " * 100])
    assert ids.shape == (1, NANO.context_length)
    assert ids[0, -1] == tokenizer.eos_token_id
    assert (ids[0, 1:-1] == tokenizer.convert_tokens_to_ids("red")).all()


def test_capitals_and_accents_do_not_matter(tokenizer):
    assert torch.equal(tokenize(tokenizer, ["A Réd DRESS"]), tokenize(tokenizer, ["a red dress"]))


@pytest.mark.parametrize(
    ("sentence", "former"),
    [
        ("an orange t-shirt", "a orange t-shirt"),
        ("a blue skirt with an olive colour block", "a blue skirt with a olive colour block"),
        ("a photo of a model wearing an orange dress", "a photo of a model wearing a orange dress"),
    ],
)
def test_an_before_a_colour_is_what_the_weights_learned_as_a(tokenizer, sentence, former):
    assert torch.equal(tokenize(tokenizer, [sentence]), tokenize(tokenizer, [former]))
    assert tokenizer.tokenize(sentence).count("a") == sentence.split().count("a") + 1


def test_an_elsewhere_is_a_word_of_its_own(tokenizer):
    prompt = f"{PROMPT} {GARMENTS['upper_body']}"
    assert tokenizer.tokenize(prompt) == prompt.split() and "an" in prompt.split()
    assert tokenizer.tokenize('the letters "an" in orange')[3] == "an"


def test_placeholders_are_counted_with_and_without_spaces(tokenizer):
    assert tokenizer.tokenize("$ $$") == ["$", "$", "$"]


def test_embedding_preset_and_tokenizer_have_one_size(tokenizer, clip):
    assert len(tokenizer) == NANO.vocab_size == clip.token_embedding.num_embeddings
    assert max(tokenizer.get_vocab().values()) == tokenizer.eos_token_id == NANO.vocab_size - 1
    assert tokenizer.pad_token_id == 0


def test_the_same_tokenizer_is_built_every_time(tokenizer):
    assert build_tokenizer(NANO).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_a_longer_vocabulary_moves_no_id(tokenizer, monkeypatch):
    monkeypatch.setattr(module, "VOCABULARY", (*VOCABULARY, "tuxedo", "bow-tie"))
    longer = build_tokenizer(NANO)
    assert longer.tokenize("tuxedo bow-tie") == ["tuxedo", "bow-tie"]
    assert torch.equal(tokenize(longer, SENTENCES), tokenize(tokenizer, SENTENCES))


def test_a_vocabulary_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="vocab_size 100"):
        build_tokenizer(NANO.with_(vocab_size=100))


def test_the_full_preset_has_its_own_tokenizer():
    with pytest.raises(ValueError, match="49408"):
        build_tokenizer(get_preset("full"))


class TokenizerPipeline(DiffusionPipeline):
    def __init__(self, tokenizer):
        super().__init__()
        self.register_modules(tokenizer=tokenizer)


@pytest.mark.parametrize("inside_pipeline", [False, True])
def test_the_tokenizer_survives_saving(tokenizer, tmp_path, inside_pipeline):
    if inside_pipeline:
        TokenizerPipeline(tokenizer).save_pretrained(tmp_path)
        loaded = TokenizerPipeline.from_pretrained(tmp_path).tokenizer
    else:
        tokenizer.save_pretrained(tmp_path)
        loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    sentences = [*SENTENCES, "red " * 100, "$ zebra é 日"]
    assert torch.equal(tokenize(loaded, sentences), tokenize(tokenizer, sentences))
    assert (loaded.pad_token_id, loaded.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)


# ---- loss and retrieval


def unit_features(n: int, dim: int = 8, seed: int = 0) -> torch.Tensor:
    features = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(features, dim=-1)


def test_contrastive_loss_and_its_gradients_are_those_of_open_clip():
    results = []
    for loss_of in (contrastive_loss, ClipLoss()):
        inputs = [
            unit_features(6).requires_grad_(),
            unit_features(6, seed=1).requires_grad_(),
            torch.tensor(9.0, requires_grad=True),
        ]
        loss = loss_of(*inputs)
        results.append((loss.detach(), *torch.autograd.grad(loss, inputs)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_contrastive_loss_does_not_depend_on_the_order_of_the_batch():
    images, texts, order = unit_features(6), unit_features(6, seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(contrastive_loss(images[order], texts[order], 9.0), contrastive_loss(images, texts, 9.0))
    assert not torch.isclose(contrastive_loss(images[order], texts, 9.0), contrastive_loss(images, texts, 9.0))


def test_contrastive_loss_treats_pictures_and_sentences_alike():
    images, texts = unit_features(6), unit_features(6, seed=1)
    torch.testing.assert_close(contrastive_loss(images, texts, 9.0), contrastive_loss(texts, images, 9.0))


def test_contrastive_loss_of_a_model_that_knows_nothing_is_the_logarithm_of_the_batch_size():
    same = unit_features(1).expand(7, -1)
    assert contrastive_loss(same, same, 9.0).item() == pytest.approx(torch.tensor(7.0).log().item())


def test_retrieval_counts_each_direction():
    images = torch.eye(3)
    assert retrieval_accuracy(images, images) == (1.0, 1.0)
    texts = torch.tensor(
        [[1.0, 0.0, 0.0], [0.9, 0.5, 0.0], [0.0, 0.0, 1.0]]
    )  # sentence 1 leans to picture 0, picture 1 to sentence 1
    assert retrieval_accuracy(images, texts) == (1.0, pytest.approx(2 / 3))


def test_retrieval_accepts_a_pair_that_says_the_same():
    images, texts = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert retrieval_accuracy(images, texts) == (pytest.approx(1 / 3),) * 2
    assert retrieval_accuracy(images, texts, labels=torch.tensor([5, 5, 6])) == (1.0, 1.0)


def test_features_have_length_one(clip, tokenizer):
    with torch.no_grad():
        images, texts = image_features(clip, torch.randn(2, 3, 64, 64)), text_features(clip, tokenize(tokenizer, SENTENCES))
    assert images.shape == (2, NANO.clip_dim) and texts.shape == (3, NANO.clip_dim)
    torch.testing.assert_close(torch.cat([images, texts]).norm(dim=1), torch.ones(5))


# ---- towers


def test_text_encoder_has_open_clips_hidden_states_and_sentence_vectors(clip, tokenizer):
    ids = tokenize(tokenizer, SENTENCES)
    with torch.no_grad():
        hidden = clip.transformer(clip.token_embedding(ids) + clip.positional_embedding, attn_mask=clip.attn_mask)
        expected = clip.ln_final(hidden)
        output = to_text_encoder(clip, NANO)(ids)
        torch.testing.assert_close(output.last_hidden_state, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(output.pooler_output @ clip.text_projection, clip.encode_text(ids), atol=1e-5, rtol=0)


def test_image_encoder_has_open_clips_hidden_states_and_picture_vectors(clip):
    pixels = torch.randn(2, 3, NANO.vision_size, NANO.vision_size, generator=torch.Generator().manual_seed(0))
    seen = []
    handle = clip.visual.transformer.register_forward_hook(lambda _, __, hidden: seen.append(hidden))
    with torch.no_grad():
        expected = clip.encode_image(pixels)
        handle.remove()
        output = to_image_encoder(clip, NANO)(pixels)
    patches = (NANO.vision_size // NANO.vision_patch) ** 2
    assert output.last_hidden_state.shape == (2, 1 + patches, NANO.vision_width)
    torch.testing.assert_close(output.last_hidden_state, seen[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.image_embeds, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("convert", [to_text_encoder, to_image_encoder])
def test_a_converted_tower_is_a_copy(clip, convert):
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    with torch.no_grad():
        for parameter in convert(clip, NANO).parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.state_dict().items())


def test_a_converted_tower_keeps_the_number_format(clip, tokenizer):
    half = build_clip(NANO).to(torch.bfloat16)
    assert to_text_encoder(half, NANO).dtype == to_image_encoder(half, NANO).dtype == torch.bfloat16


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_full_towers_are_those_of_open_clips_vit_h_with_one_text_layer_less():
    full = get_preset("full")
    with torch.device("meta"):
        reference = open_clip.CLIP(**open_clip.get_model_config("ViT-H-14"))
        text, image = CLIPTextModel(text_encoder_config(full)), CLIPVisionModelWithProjection(image_encoder_config(full))
    reference_text = parameters(reference.transformer) + parameters(reference.token_embedding) + parameters(reference.ln_final)
    one_layer = parameters(reference.transformer.resblocks[0])
    assert parameters(text) == reference_text + reference.positional_embedding.numel() - one_layer
    assert parameters(image) == parameters(reference.visual)
    heads = reference.transformer.resblocks[0].attn.num_heads, reference.visual.transformer.resblocks[0].attn.num_heads
    assert (text.config.num_attention_heads, image.config.num_attention_heads) == heads
    assert (text.config.hidden_act, image.config.hidden_act) == ("gelu", "gelu")
    assert (text.config.bos_token_id, text.config.eos_token_id, text.config.pad_token_id) == (49406, 49407, 0)


# ---- pixels


def test_our_pixels_are_padded_to_a_square_with_white_and_keep_proportions():
    images = torch.rand(1, 3, 8, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = clip_pixels(images, 8)  # the padded side is 8 already, so nothing is interpolated
    processor = CLIPImageProcessor()
    mean, std = torch.tensor(processor.image_mean).view(3, 1, 1), torch.tensor(processor.image_std).view(3, 1, 1)
    back = pixels * std + mean  # [0, 1]
    torch.testing.assert_close(back[..., 2:6], (images + 1) / 2)
    torch.testing.assert_close(back[..., [0, 1, 6, 7]], torch.ones(1, 3, 8, 4))


def test_our_pixels_are_antialiased():
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2.0 - 1
    pixels = clip_pixels(checks.expand(1, 3, 64, 64), 8)
    grey = clip_pixels(torch.zeros(1, 3, 64, 64), 8)
    torch.testing.assert_close(pixels[..., 1:-1, 1:-1], grey[..., 1:-1, 1:-1], atol=0.01, rtol=0)


def test_released_pixels_are_what_the_processor_makes_of_rounded_down_bytes():
    images = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0)) * 6 - 3  # some out of range
    squashed = TF.resize((images + 1) / 2, [16, 16], antialias=True).clamp(0, 1)
    processor = CLIPImageProcessor(do_resize=False, do_center_crop=False)
    expected = processor((squashed * 255).to(torch.uint8), return_tensors="pt").pixel_values
    torch.testing.assert_close(clip_pixels(images, 16, "released"), expected, atol=1e-6, rtol=0)


def test_an_unknown_convention_is_an_error():
    with pytest.raises(ValueError, match="'theirs'"):
        clip_pixels(torch.zeros(1, 3, 8, 8), 8, "theirs")


# ---- learning

COLOURS = {"white": (1, 1, 1), "black": (-1, -1, -1), "red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1),
           "yellow": (1, 1, -1), "teal": (-1, 1, 1), "pink": (1, -1, 1)}  # fmt: skip


def coloured_squares(generator: torch.Generator) -> torch.Tensor:
    """(8, 3, 64, 48): a square of each colour, at its own place on grey with some noise."""
    images = 0.2 * torch.randn(len(COLOURS), 3, 64, 48, generator=generator)
    for image, colour in zip(images, COLOURS.values(), strict=True):
        y, x = torch.randint(40, (1,), generator=generator).item(), torch.randint(24, (1,), generator=generator).item()
        image[:, y : y + 24, x : x + 24] += torch.tensor(colour).view(3, 1, 1)
    return images.clamp(-1, 1)


def test_sixty_steps_teach_nano_the_colours(tokenizer):
    torch.manual_seed(0)
    model = build_clip(NANO)
    ids = tokenize(tokenizer, [f"a {colour} dress" for colour in COLOURS])

    def accuracy() -> float:
        generator = torch.Generator().manual_seed(1)  # places and noise that training does not see
        with torch.no_grad():
            images = torch.cat([coloured_squares(generator) for _ in range(5)])
            labels = torch.arange(len(COLOURS)).repeat(5)
            features = image_features(model, clip_pixels(images, NANO.vision_size)), text_features(model, ids.repeat(5, 1))
        return min(retrieval_accuracy(*features, labels))

    before = accuracy()
    optimizer, generator = torch.optim.AdamW(model.parameters(), lr=2e-3), torch.Generator().manual_seed(0)
    for _ in range(60):
        pixels = clip_pixels(coloured_squares(generator), NANO.vision_size)
        loss = contrastive_loss(image_features(model, pixels), text_features(model, ids), model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < 0.4
    assert accuracy() > 0.8
