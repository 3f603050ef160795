"""The pictures beside a card of results: many try-ons at once, the worst with their reasons, the prints. Lesson 7.

Choices made here
- A cell shows what went in, small and on top of each other, then result and truth at one size, so that they can be compared.
- Under each stands its number among the test people and what was measured, never a judgement.
- Prints are shown as the reader sees them: unwarped by the true warp, the true one above the try-on's.
- Sheets carry their alt text in `info["alt"]`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from ladi_mini.evaluation.examples import Examples, ReadPrint
from ladi_mini.show.pictures import error_image, shown_size, to_image
from ladi_mini.show.style import FONT_SIZE, HAIRLINE, INK, MUTED, PAPER, font

MARGIN, GAP, SPLIT = 48, 20, 4  # around a sheet, between cells, between the pictures of one cell
LINE = round(FONT_SIZE * 1.35)
SHOWN = 192  # pixels: height of a result
ERROR_HIGH = 0.5


def try_ons_sheet(examples: Examples, title: str, columns: int = 6) -> Image.Image:
    """Every example: person and garment small, then result and truth, with the decibels inside the mask."""
    cells = []
    for i, index in enumerate(examples.indices):
        pictures = [_given(examples, i), _shown(examples.result[i]), _shown(examples.batch.target[i])]
        category = examples.batch.category[i].replace("_", " ")
        cells.append(_cell(_side_by_side(pictures), [f"{index}", f"{category}, {examples.decibels[i]:.1f} dB"]))
    note = "Each: person and garment, the try-on, the true picture. Decibels are inside the mask."
    return _page(cells, columns, title, note)


def worst_sheet(examples: Examples, reasons: Sequence[str], title: str, columns: int = 2) -> Image.Image:
    """The examples with the garment as the model warped it, the error, and a reason under each."""
    cells = []
    for i, index in enumerate(examples.indices):
        truth = examples.batch.target[i]
        error = _resized(error_image(examples.result[i], truth, ERROR_HIGH, SHOWN))
        pictures = [_given(examples, i), _shown(examples.warped[i]), _shown(examples.result[i]), _shown(truth), error]
        words = f"{examples.batch.category[i].replace('_', ' ')}, {examples.decibels[i]:.1f} dB inside the mask"
        cells.append(_cell(_side_by_side(pictures), [f"{index}", words, reasons[i]]))
    note = f"Each: person and garment, warped garment, try-on, truth, error (dark 0, bright {ERROR_HIGH:g} of white)."
    return _page(cells, columns, title, note)


def letters_sheet(examples: Examples, prints: Sequence[ReadPrint], title: str, columns: int = 4) -> Image.Image:
    """The examples' try-ons with their prints unwarped, the true one above the try-on's, and what the reader read."""
    cells = []
    for i, (index, found) in enumerate(zip(examples.indices, prints, strict=True)):
        picture, truth = _shown(examples.result[i]), _shown(examples.batch.target[i])
        strips = Image.new("RGB", (picture.width, picture.height), PAPER)
        half = (picture.height - SPLIT) // 2
        for strip, top in ((found.truth, 0), (found.result, half + SPLIT)):
            flat = to_image(strip, None)
            scale = min(picture.width / flat.width, half / flat.height)
            flat = flat.resize((max(1, round(flat.width * scale)), max(1, round(flat.height * scale))), Image.Resampling.BICUBIC)
            strips.paste(flat, ((picture.width - flat.width) // 2, top + (half - flat.height) // 2))
        if found.read is None:
            said = f"printed {found.text}"
        else:
            said = f"printed {found.text}, read {found.read}: {'right' if found.read == found.text else 'wrong'}"
        words = [f"{index}", said, f"correlation {found.similarity:.2f}"]
        cells.append(_cell(_side_by_side([picture, truth, strips]), words))
    note = "Each: the try-on, the true picture, and the print unwarped from both: true above, try-on below."
    return _page(cells, columns, title, note)


def prints_page(strips: Mapping[str, Sequence[torch.Tensor]], title: str, note: str) -> Image.Image:
    """A column a kind of picture, a row a print; `strips` holds the unwarped prints (3, h, w) in [-1, 1] by kind."""
    high = 96
    shown = {
        name: [to_image(s, None).resize((round(high * s.shape[2] / s.shape[1]), high), Image.Resampling.LANCZOS) for s in column]
        for name, column in strips.items()
    }
    wide = max(round(font(bold=True).getlength(name)) for name in shown)
    wide = max(wide, *(picture.width for column in shown.values() for picture in column))
    rows = max(map(len, shown.values()))
    size = 2 * MARGIN + len(shown) * (wide + GAP) - GAP, 2 * MARGIN + 4 * LINE + rows * (high + GAP // 2)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), title, INK, font(bold=True))
    draw.text((MARGIN, MARGIN + LINE), note, MUTED, font())
    for number, (name, column) in enumerate(shown.items()):
        left = MARGIN + number * (wide + GAP)
        draw.text((left, MARGIN + round(2.6 * LINE)), name, INK, font(bold=True))
        for row, picture in enumerate(column):
            page.paste(picture, (left, MARGIN + 4 * LINE + row * (high + GAP // 2)))
    page.info["alt"] = f"{title}. {note} Columns: {', '.join(shown)}; {rows} prints."
    return page


def save_page(page: Image.Image, path: Path) -> None:
    """Writes a sheet as WebP with its alt text inside, beside its place and renamed."""
    exif = Image.Exif()
    exif[0x010E] = page.info["alt"].encode("ascii", "replace").decode()  # ImageDescription
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part.webp")
    page.save(beside, exif=exif, quality=78, method=6)  # lighter by a quarter than at 86, and no worse to the eye
    beside.replace(path)


# ---------------------------------------------------------------- cells and pages


def _shown(image) -> Image.Image:
    return _resized(to_image(image, SHOWN))


def _resized(picture: Image.Image) -> Image.Image:
    """Exactly `SHOWN` high: what grew by a whole factor stays as it is."""
    if picture.height == SHOWN:
        return picture
    return picture.resize((round(picture.width * SHOWN / picture.height), SHOWN), Image.Resampling.LANCZOS)


def _given(examples: Examples, i: int) -> Image.Image:
    """Person above garment, each half as high as a result."""
    half = (SHOWN - SPLIT) // 2
    height, width = shown_size(*examples.result.shape[2:], SHOWN)
    size = round(width * half / height), half
    column = Image.new("RGB", (size[0], SHOWN), PAPER)
    for image, top in ((examples.batch.person[i], 0), (examples.batch.garment[i], SHOWN - half)):
        column.paste(to_image(image, None).resize(size, Image.Resampling.LANCZOS), (0, top))
    return column


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width for picture in pictures) + SPLIT * (len(pictures) - 1)
    strip, x = Image.new("RGB", (width, SHOWN), PAPER), 0
    for picture in pictures:
        strip.paste(picture, (x, 0))
        x += picture.width + SPLIT
    return strip


def _cell(strip: Image.Image, words: list[str]) -> tuple[Image.Image, list[str]]:
    """The strip with its words: the first bold, the others grey, the first two on one line."""
    cell = Image.new("RGB", (strip.width, strip.height + LINE // 3 + LINE * max(1, len(words) - 1)), PAPER)
    cell.paste(strip, (0, 0))
    draw = ImageDraw.Draw(cell)
    draw.rectangle([0, 0, strip.width - 1, strip.height - 1], outline=HAIRLINE)
    y = strip.height + LINE // 3
    draw.text((0, y), words[0], INK, font(bold=True))
    draw.text((font(bold=True).getlength(f"{words[0]}  "), y), words[1], MUTED, font())
    for line, text in enumerate(words[2:], start=1):
        draw.text((0, y + line * LINE), _fitting(text, strip.width), MUTED, font())
    return cell, words


def _fitting(text: str, width: int) -> str:
    """As many of the words as fit into `width` pixels."""
    words = text.split()
    while len(words) > 1 and font().getlength(" ".join(words)) > width:
        words.pop()
    return " ".join(words).rstrip(",")


def _page(cells: Sequence[tuple[Image.Image, list[str]]], columns: int, title: str, note: str) -> Image.Image:
    if not cells:
        raise ValueError("a sheet needs at least one example")
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    cell_width, cell_height = cells[0][0].size
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * GAP
    width = max(width, round(max(font(bold=True).getlength(title), font().getlength(note))) + 2 * MARGIN)
    page = Image.new("RGB", (width, 2 * MARGIN + 3 * LINE + rows * cell_height + (rows - 1) * GAP), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), title, INK, font(bold=True))
    draw.text((MARGIN, MARGIN + LINE), note, MUTED, font())
    for number, (cell, _) in enumerate(cells):
        row, column = divmod(number, columns)
        page.paste(cell, (MARGIN + column * (cell_width + GAP), MARGIN + 3 * LINE + row * (cell_height + GAP)))
    page.info["alt"] = f"{title}. {note} " + " ".join(f"{' '.join(words)}." for _, words in cells)
    return page
