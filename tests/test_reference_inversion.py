"""The authors' inversion adapter and pseudo-words, number for number."""

import json

import pytest
import torch
from reference import ROOT, difference, fill, golden, randn
from transformers import CLIPTextConfig, CLIPTextModel

from ladi_mini.inversion import build_adapter, encode_prompt
from ladi_mini.presets import get_preset


def test_full_adapter_has_the_released_names_and_shapes():
    with torch.device("meta"):
        adapter = build_adapter(get_preset("full"))
    released = json.loads((ROOT / "keys.json").read_text())["inversion_adapter"]
    assert {name: list(tensor.shape) for name, tensor in adapter.state_dict().items()} == released


def test_full_adapter_gives_the_released_numbers():
    adapter = fill(build_adapter(get_preset("full")), "inversion_adapter")
    with torch.no_grad():
        pseudo_words = adapter(randn("in.inversion_adapter", (1, 257, 1280)))
    assert difference(pseudo_words, "inversion_adapter.out") < 1e-4


@pytest.fixture(scope="module")
def text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, hidden_act="gelu"
    )
    encoder = CLIPTextModel(config)
    return fill(encoder, "text_encoder" if hasattr(encoder, "text_model") else "text_encoder.text_model")


def test_pseudo_words_in_the_text_encoder_give_the_released_numbers(text_encoder):
    with torch.no_grad():
        hidden = encode_prompt(text_encoder, golden()["text.input_ids"], randn("in.text.pseudo_words", (2, 16, 64)), 259)
    assert difference(hidden, "text.last_hidden_state") < 1e-4


def test_the_released_numbers_depend_on_the_order_of_the_pseudo_words(text_encoder):
    with torch.no_grad():
        hidden = encode_prompt(text_encoder, golden()["text.input_ids"], randn("in.text.pseudo_words", (2, 16, 64)).flip(1), 259)
    assert difference(hidden, "text.last_hidden_state") > 1e-2
