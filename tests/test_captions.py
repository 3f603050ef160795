"""Captions say what a garment is, in words of a closed vocabulary."""

import re
from itertools import pairwise

import numpy as np
import pytest

from ladi_mini.presets import CATEGORIES
from ladi_mini.wardrobe.captions import COLOURS, KINDS, PRINTABLE, VOCABULARY, Attributes, caption
from ladi_mini.wardrobe.garments import PAIRS, draw_garment


def words(sentence: str) -> list[str]:
    return re.sub(r'"[^"]*"', " ", sentence).split()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (Attributes("upper_body", "t-shirt", "red", text="AB", text_colour="white", sleeves="short-sleeve", neckline="crew"),
         'a red t-shirt with a crew neck and the letters "ab" in white'),
        (Attributes("upper_body", "shirt", "navy", "horizontal stripes", "white", "long-sleeve", "v"),
         "a navy long-sleeve shirt with a v neck and white horizontal stripes"),
        (Attributes("lower_body", "trousers", "black", fit="slim"), "a pair of slim black trousers"),
        (Attributes("lower_body", "skirt", "olive", "colour blocks", "cream", length="long"),
         "a long olive skirt with a cream colour block"),
        (Attributes("upper_body", "hoodie", "teal", sleeves="long-sleeve", neckline="hood", text="7", text_colour="cream"),
         'a teal hoodie with the digit "7" in cream'),
        (Attributes("upper_body", "t-shirt", "orange", "colour blocks", "olive", "short-sleeve", "crew"),
         "an orange t-shirt with a crew neck and an olive colour block"),
        (Attributes("lower_body", "shorts", "orange", fit="loose"), "a pair of loose orange shorts"),
        (Attributes("dresses", "dress", "olive", length="long"), "a long olive dress"),
    ],
)  # fmt: skip
def test_a_caption_names_what_is_seen(attributes, expected):
    assert caption(attributes) == expected


def test_every_word_of_a_caption_is_in_the_vocabulary():
    known = set(VOCABULARY)
    for i in range(600):
        sentence = caption(draw_garment(np.random.default_rng(i), CATEGORIES[i % 3]).attributes)
        assert sentence == sentence.lower()
        assert set(words(sentence)) <= known, sentence
        assert all(c.upper() in PRINTABLE for text in re.findall(r'"([^"]*)"', sentence) for c in text)


def test_an_stands_before_vowels_and_nowhere_else():
    sentences = [caption(draw_garment(np.random.default_rng(i), CATEGORIES[i % 3]).attributes) for i in range(600)]
    pairs = {(a, b) for sentence in sentences for a, b in pairwise(words(sentence))}
    assert {b for a, b in pairs if a == "an"} == {"orange", "olive"}
    assert not [b for a, b in pairs if a == "a" and b[0] in "aeiou"]


def test_the_vocabulary_has_no_word_twice_and_every_colour_and_kind():
    assert len(VOCABULARY) == len(set(VOCABULARY)) < 100
    assert set(COLOURS) <= set(VOCABULARY)
    assert {word for kinds in KINDS.values() for kind in kinds for word in kind.split()} <= set(VOCABULARY)


def test_captions_tell_garments_apart():
    sentences = {caption(draw_garment(np.random.default_rng(i), CATEGORIES[i % 3]).attributes) for i in range(300)}
    assert len(sentences) > 270


def test_colours_that_go_together_differ_enough_to_be_seen():
    for first, partners in PAIRS.items():
        for second in partners:
            assert np.abs(np.subtract(COLOURS[first], COLOURS[second])).sum() > 80, (first, second)
