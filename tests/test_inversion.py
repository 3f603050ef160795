"""Textual inversion: prompts, pseudo-words in the text encoder, optimisation, the adapter."""

import threading

import pytest
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
)

from ladi_mini.clip import build_tokenizer, text_encoder_config, tokenize
from ladi_mini.inversion import (
    InversionAdapter,
    build_adapter,
    caption_prompts,
    encode_prompt,
    invert,
    placeholder_id,
    plain_sentences,
    prompts,
)
from ladi_mini.presets import CATEGORIES, get_preset
from ladi_mini.sample import InputError
from ladi_mini.wardrobe.captions import Attributes, caption

NANO = get_preset("nano")
DOLLAR = 3  # the placeholder of the tiny encoder below
CONFIG = CLIPTextConfig(
    vocab_size=20,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=8,
    projection_dim=16,
    hidden_act="gelu",
    pad_token_id=0,
    bos_token_id=18,
    eos_token_id=19,
)
SENTENCES = torch.tensor([[18, 5, 3, 3, 7, 3, 19, 0], [18, 19, 0, 0, 0, 0, 0, 0]])  # three placeholders, with a gap; none


@pytest.fixture(scope="module", params=[CLIPTextModel, CLIPTextModelWithProjection], ids=["flat", "with text_model level"])
def encoder(request):
    torch.manual_seed(0)
    model = request.param(CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(NANO)


def encode(*args) -> torch.Tensor:
    with torch.no_grad():
        return encode_prompt(*args)


# ---- prompts


def test_prompts_name_the_category_and_hold_the_placeholders():
    assert prompts(["dresses", "upper_body", "lower_body"], words=2) == [
        "a photo of a model wearing a dress $ $",
        "a photo of a model wearing an upper body garment $ $",
        "a photo of a model wearing a lower body garment $ $",
    ]


@pytest.mark.parametrize("category", CATEGORIES)
def test_prompts_are_whole_words_and_fit_the_context(tokenizer, category):
    (prompt,) = prompts([category], NANO.pseudo_words)
    assert tokenizer.tokenize(prompt) == prompt.split()
    ids = tokenize(tokenizer, [prompt])
    assert (ids == placeholder_id(tokenizer)).sum() == NANO.pseudo_words


def test_an_unknown_category_is_an_error():
    with pytest.raises(InputError, match="'hats'"):
        prompts(["dresses", "hats"])


def test_an_unknown_kind_of_sentence_is_an_error():
    with pytest.raises(InputError, match="text is 'captoin', expected caption, category or empty"):
        plain_sentences("captoin", ["dresses"], ["a red dress"])


def test_caption_prompts_of_the_wardrobe_have_no_unknown_word_and_fit_the_context(tokenizer):
    attributes = Attributes(
        "dresses", "dress", "navy", "checks", "mustard", "short-sleeve", "scoop", "knee-length", "loose", "AB12", "red"
    )
    (prompt,) = caption_prompts([caption(attributes)])
    assert prompt == "a photo of a model wearing " + caption(attributes)
    ids = tokenize(tokenizer, [prompt])[0]
    assert tokenizer.unk_token_id not in ids
    assert ids[-1] == tokenizer.pad_token_id


def test_the_placeholder_of_clips_own_tokenizer_is_259(tmp_path):
    # the first 512 tokens of CLIP's vocabulary: each byte, printable ones first, inside a word and at its end
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    released = CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[], pad_token="!")
    assert placeholder_id(released) == 259
    spaced_as_authors = "a " + " $ " * 16
    ids = released(spaced_as_authors).input_ids
    assert ids.count(259) == 16
    assert released("a " + " ".join("$" * 16)).input_ids == ids


# ---- pseudo-words in the text encoder


def test_words_equal_to_the_placeholders_embedding_change_nothing(encoder):
    row = encoder.get_input_embeddings().weight[DOLLAR].detach()
    out = encode(encoder, SENTENCES, row.expand(2, 3, -1), DOLLAR)
    torch.testing.assert_close(out, encode(encoder, SENTENCES))


def test_pseudo_words_act_as_the_tokens_whose_embedding_they_are(encoder):
    spoken = SENTENCES.clone()
    spoken[0, [2, 3, 5]] = torch.tensor([9, 10, 11])
    words = encoder.get_input_embeddings().weight[[9, 10, 11]].detach()
    torch.testing.assert_close(encode(encoder, SENTENCES, words, DOLLAR), encode(encoder, spoken))


def test_every_sentence_takes_the_words_of_its_own_row(encoder):
    ids = SENTENCES[[0, 0]]
    words = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    together = encode(encoder, ids, words, DOLLAR)
    alone = torch.cat([encode(encoder, ids[i : i + 1], words[i : i + 1], DOLLAR) for i in range(2)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[0], together[1])


def test_a_sentence_without_placeholders_is_left_alone(encoder):
    out = encode(encoder, SENTENCES, torch.randn(2, 3, 16), DOLLAR)
    plain = encode(encoder, SENTENCES)
    torch.testing.assert_close(out[1], plain[1])
    assert not torch.allclose(out[0], plain[0])


def test_nothing_before_the_first_pseudo_word_changes(encoder):
    out, plain = encode(encoder, SENTENCES, torch.randn(3, 16), DOLLAR), encode(encoder, SENTENCES)
    torch.testing.assert_close(out[0, :2], plain[0, :2])


def test_gradients_reach_every_pseudo_word_of_a_sentence_that_uses_them(encoder):
    words = torch.randn(2, 3, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(encode_prompt(encoder, SENTENCES, words, DOLLAR).square().sum(), words)
    assert (gradient[0].abs().sum(1) > 0).all()
    assert (gradient[1] == 0).all()


@pytest.mark.parametrize("words", [2, 4])
def test_a_wrong_number_of_placeholders_is_an_error(encoder, words):
    with pytest.raises(InputError, match=rf"\[3, 0\] placeholders.*expected 0 or {words}"):
        encode(encoder, SENTENCES, torch.zeros(2, words, 16), DOLLAR)


@pytest.mark.parametrize("shape", [(3, 3, 16), (2, 3, 15)])
def test_words_of_another_batch_or_width_are_an_error(encoder, shape):
    with pytest.raises(ValueError, match=r"expected \(2, 3, 16\)"):
        encode(encoder, SENTENCES, torch.zeros(shape), DOLLAR)


def test_words_without_a_placeholder_to_replace_are_an_error(encoder):
    with pytest.raises(ValueError, match="placeholder_id"):
        encode(encoder, SENTENCES, torch.zeros(2, 3, 16))


def test_the_encoder_is_as_before_even_after_an_error(encoder):
    before = encode(encoder, SENTENCES)
    encode(encoder, SENTENCES, torch.randn(2, 3, 16), DOLLAR)
    too_long = torch.tensor([[18, DOLLAR, DOLLAR, DOLLAR, 4, 4, 4, 4, 19]])  # the encoder has eight positions
    with pytest.raises(ValueError, match="max_position_embeddings"):
        encode(encoder, too_long, torch.randn(3, 16), DOLLAR)
    assert torch.equal(encode(encoder, SENTENCES), before)


def test_another_thread_may_use_the_same_encoder_meanwhile(encoder):
    plain, seen = encode(encoder, SENTENCES), []

    def meanwhile(*_):
        handle.remove()  # once only: the other thread's own forward comes through here too
        other = threading.Thread(target=lambda: seen.append(encode(encoder, SENTENCES)))
        other.start()
        other.join()

    handle = encoder.get_input_embeddings().register_forward_pre_hook(meanwhile)
    encode(encoder, SENTENCES, torch.randn(2, 3, 16), DOLLAR)
    torch.testing.assert_close(seen[0], plain)


# ---- optimisation


def test_inversion_finds_the_words_behind_a_sentence_and_leaves_the_encoder_untouched(encoder):
    torch.manual_seed(0)
    hidden = torch.randn(3, 16)
    target = encode(encoder, SENTENCES[:1], hidden, DOLLAR)
    frozen = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    start = 0.01 * torch.randn(3, 16)
    started = start.clone()
    losses = []

    def loss_of_words(words):
        return (encode_prompt(encoder, SENTENCES[:1], words, DOLLAR) - target).square().mean()

    words = invert(loss_of_words, start, steps=80, lr=0.1, callback=lambda step, loss, words: losses.append(loss))
    assert loss_of_words(words).item() < 0.1 * losses[0]
    assert len(losses) == 80
    assert torch.equal(start, started) and not words.requires_grad
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_inversion_hands_out_every_step_before_it_is_taken():
    seen = []
    words = invert(lambda w: (w - 2).square().sum(), torch.zeros(1, 1), 3, 0.5, lambda *args: seen.append(args))
    assert [step for step, _, _ in seen] == [0, 1, 2]
    assert [loss for _, loss, _ in seen] == pytest.approx([(w.item() - 2) ** 2 for _, _, w in seen])
    assert seen[0][2].item() == 0 < seen[1][2].item() < seen[2][2].item() < words.item()


def test_inversion_works_where_gradients_are_switched_off():
    with torch.no_grad():
        words = invert(lambda w: (w - 2).square().sum(), torch.zeros(1, 1), steps=100, lr=0.2)
    assert words.item() == pytest.approx(2, abs=0.1)


# ---- adapter


def tiny_adapter(**changes) -> InversionAdapter:
    torch.manual_seed(0)
    return InversionAdapter(**{"width": 16, "heads": 2, "mlp": 32, "hidden": 24, "words": 5, "dim": 12, "dropout": 0.5} | changes)


def test_the_adapters_layer_is_clips():
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        hidden_act="gelu",
        image_size=8,
        patch_size=4,
    )
    layer, twin = tiny_adapter().encoder_layers[0], CLIPVisionModel(config).eval().encoder.layers[0]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        twin.load_state_dict(layer.state_dict())
        x = torch.randn(2, 7, 16)
        torch.testing.assert_close(layer(x), twin(x, attention_mask=None), atol=1e-5, rtol=0)


def test_pseudo_words_come_from_the_class_token_and_do_not_depend_on_the_order_of_patches():
    adapter, x = tiny_adapter().eval(), torch.randn(2, 7, 16)
    with torch.no_grad():
        words = adapter(x)
        assert words.shape == (2, 5, 12)
        torch.testing.assert_close(adapter(x[:, [0, 6, 5, 4, 3, 2, 1]]), words, atol=1e-6, rtol=0)
        assert not torch.allclose(adapter(x[:, [1, 0, 2, 3, 4, 5, 6]]), words, atol=1e-3)


def test_dropout_acts_in_training_only():
    adapter, x = tiny_adapter(), torch.randn(1, 7, 16)
    with torch.no_grad():
        assert not torch.equal(adapter.train()(x), adapter.train()(x))
        assert torch.equal(adapter.eval()(x), adapter.eval()(x))


def test_the_adapter_survives_saving(tmp_path):
    adapter, x = tiny_adapter(heads=4).eval(), torch.randn(1, 7, 16)
    adapter.save_pretrained(tmp_path)
    loaded = InversionAdapter.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(x), adapter(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["nano", "mini", "full"])
def test_the_presets_adapter_fits_between_its_encoders(name):
    preset = get_preset(name)
    with torch.device("meta"):
        adapter, text_encoder = build_adapter(preset), CLIPTextModel(text_encoder_config(preset))
        words = adapter(torch.empty(2, 5, preset.vision_width))
    assert words.shape == (2, preset.pseudo_words, text_encoder.get_input_embeddings().embedding_dim)


def test_nanos_adapter_is_small():
    assert sum(parameter.numel() for parameter in build_adapter(NANO).parameters()) <= 350_000
