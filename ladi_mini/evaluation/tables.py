"""Tables of the README, made from cards.

A table stands between `<!-- card: NAME -->` and `<!-- end card -->`; `python -m ladi_mini.evaluation.tables README.md` writes
every one of them again from the card `data/results/NAME.json`.
"""

import re
import sys
from pathlib import Path

from ladi_mini.cards import read_card, write_text

RESULTS = Path(__file__).parents[2] / "data" / "results"
METHODS = {
    "tryon": "the model",
    "pasted": "its warped garment pasted, the rest inpainted by OpenCV",
    "without_garment": "the model without the garment",
}
BLOCK = re.compile(r"(<!-- card: (\w+) -->\n).*?(<!-- end card -->)", re.DOTALL)


def try_on_table(card: dict) -> str:
    """PSNR inside the mask and whole of every method, with the difference to the model."""
    lines = [
        "| unpaired, against the true picture | PSNR inside the mask | whole picture | the model is better by |",
        "|---|---|---|---|",
    ]
    for name, label in METHODS.items():
        inner, whole = card["psnr_inside_mask"][name], card["psnr"][name]
        gain = card["difference_inside_mask"].get(name)
        better = "" if gain is None else f"{gain['mean']:.2f} dB ({gain['low']:.2f} to {gain['high']:.2f})"
        lines.append(f"| {label} | {inner['mean']:.2f} dB | {whole['mean']:.2f} dB | {better} |")
    note = (
        f"{card['samples']} test samples, {card['num_inference_steps']} DDIM steps, guidance {card['guidance_scale']:g}; "
        "in brackets 95 % bootstrap intervals."
    )
    return "\n".join(lines) + f"\n\n{note}\n"


def fill(text: str, results: Path = RESULTS) -> str:
    """`text` with every marked table made anew from its card."""
    return BLOCK.sub(lambda m: m[1] + try_on_table(read_card(results / f"{m[2]}.json")) + m[3], text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_text(Path(name), fill(Path(name).read_text(encoding="utf-8")))
