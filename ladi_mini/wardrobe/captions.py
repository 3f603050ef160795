"""Words for garments: what a garment is made of, and the small grammar that says it.

Captions train the small CLIP of lesson 1, so the grammar is regular and its vocabulary closed.

Choices made here
- A caption is `a [length] [fit] colour [sleeves] garment [with neckline] [with pattern] [with print]`, at most about 25 words;
  it is "an orange t-shirt", which the tokenizer reads as "a orange t-shirt", the wording that the shipped weights learned.
- All words are lower case; printed text is spelled in lower case too, as in `with the letters "ab" in white`.
- `VOCABULARY` is the closed list of words; printed text is spelled with single letters and digits, which a tokenizer adds.
- Colours are curated, not drawn from a cube: a catalogue has a palette.
"""

from dataclasses import dataclass

COLOURS = {  # sRGB of cloth, by the name that captions use
    "white": (244, 242, 237),
    "cream": (237, 224, 200),
    "grey": (158, 161, 166),
    "charcoal": (72, 76, 84),
    "black": (38, 39, 44),
    "navy": (38, 54, 92),
    "blue": (62, 108, 178),
    "sky": (146, 190, 222),
    "teal": (36, 120, 124),
    "green": (70, 138, 92),
    "mint": (166, 213, 188),
    "olive": (116, 120, 70),
    "yellow": (238, 198, 84),
    "mustard": (206, 154, 52),
    "orange": (226, 128, 62),
    "rust": (172, 84, 54),
    "coral": (234, 122, 106),
    "red": (196, 52, 56),
    "burgundy": (116, 36, 54),
    "pink": (238, 176, 188),
    "plum": (112, 66, 112),
    "lavender": (184, 168, 214),
    "brown": (116, 82, 60),
    "beige": (206, 182, 150),
}
KINDS = {  # garment kinds of each category
    "upper_body": ("t-shirt", "shirt", "tank top", "buttoned shirt", "hoodie"),
    "lower_body": ("trousers", "shorts", "skirt"),
    "dresses": ("dress",),
}
PATTERNS = ("plain", "horizontal stripes", "vertical stripes", "checks", "dots", "flowers", "colour blocks")
SLEEVES = ("sleeveless", "short-sleeve", "long-sleeve")
NECKLINES = ("crew", "v", "scoop", "square", "high", "collar", "hood", "none")
LENGTHS = ("", "short", "knee-length", "long")
FITS = ("", "slim", "loose")
PRINTABLE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
VOWELS = "aeiou"  # no word of a caption begins with one and is said without it
WORDLESS = "BCDGHJLMNPQRTVWXZ"  # without vowels, F, K, S and Y, chance spells neither words nor their usual short forms
UNWANTED = frozenset(("14", "18", "28", "69", "88", "187", "311", "318", "420", "666", "911"))  # codes, not numbers

VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        " ".join(
            (
                "a an and the of pair with in on",
                *COLOURS,
                *(kind for kinds in KINDS.values() for kind in kinds),
                "horizontal vertical stripes checks dots flowers block colour blocks",
                *SLEEVES,
                "crew v scoop square high neck collar hood pocket",
                "letter letters digit digits text",
                *(length for length in LENGTHS if length),
                *(fit for fit in FITS if fit),
            )
        ).split()
    )
)


@dataclass(frozen=True)
class Attributes:
    """What a caption can say about a garment; every field is one of the lists above, `text` at most three of `PRINTABLE`."""

    category: str
    kind: str
    colour: str
    pattern: str = "plain"
    second: str = ""  # colour of the pattern and of trims
    sleeves: str = ""  # upper body and dresses
    neckline: str = "none"
    length: str = ""  # skirts, dresses
    fit: str = ""
    text: str = ""
    text_colour: str = ""


def with_article(words: str) -> str:
    """`words` after "a", or after "an" before a vowel."""
    return ("an " if words[0] in VOWELS else "a ") + words


def caption(attributes: Attributes) -> str:
    """One lower-case sentence for a garment, of words of `VOCABULARY` and the printed text in double quotes."""
    a = attributes
    words = [w for w in (a.length, a.fit, a.colour) if w]
    if a.sleeves and a.kind in ("shirt", "buttoned shirt", "dress"):
        words.append(a.sleeves)
    words.append(a.kind)
    plural = a.kind in ("trousers", "shorts")
    sentence = "a pair of " + " ".join(words) if plural else with_article(" ".join(words))
    details = []
    if a.neckline in ("crew", "v", "scoop", "square", "high") and a.kind in ("t-shirt", "shirt", "tank top", "dress"):
        details.append(with_article(f"{a.neckline} neck"))
    if a.pattern == "colour blocks":
        details.append(with_article(f"{a.second} colour block"))
    elif a.pattern != "plain":
        details.append(f"{a.second} {a.pattern}")
    if a.text:
        unit = "digit" if a.text.isdigit() else "letter" if a.text.isalpha() else "text"
        plural_unit = unit if len(a.text) == 1 or unit == "text" else unit + "s"
        details.append(f'the {plural_unit} "{a.text.lower()}" in {a.text_colour}')
    if not details:
        return sentence
    return sentence + " with " + " and ".join(details)
