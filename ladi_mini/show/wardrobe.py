"""The wardrobe on one page: people in garments, each with the garment lying flat and the true warp as a grid on the body.

Choices made here
- A row a category, a column a person; below each person the flat garment and the grid, at half the person's size.
- The grid is the garment's own regular lattice, drawn where the true warp puts it, in place of the cloth and close up. Where it
  is not drawn, the warp is not known: an arm, hair or the other garment lies in front.
- Drawn larger than it is shown and reduced, so that it looks the same at any resolution of screen.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from ladi_mini.cards import write_card
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import InputError, TryOnSample
from ladi_mini.show.pictures import mesh_on_body, to_image
from ladi_mini.show.sheets import LINE, MARGIN
from ladi_mini.show.style import HAIRLINE, INK, MUTED, PAPER, font
from ladi_mini.wardrobe import RECIPE_VERSION, Wardrobe

COLUMNS = 8
DRAWN = (768, 576)  # (height, width) at which samples are drawn
PERSON = (384, 288)  # and shown
GAP, INNER, ROW_GAP = 28, 8, 44
MESH_LINES = 13
ROOM = 1.15  # how much more than the garment a grid's picture shows


def wardrobe_sheet(seed: int = 0, columns: int = COLUMNS) -> Image.Image:
    """`columns` test people a category with garment and true warp, as one picture; alt text in `info["alt"]`."""
    rows = [
        [Wardrobe("test", *DRAWN, seed=seed, category=category)[row * columns + column] for column in range(columns)]
        for row, category in enumerate(CATEGORIES)
    ]
    sheet = _draw(rows)
    sheet.info |= {"alt": _alt(rows), "seed": seed, "recipe": RECIPE_VERSION}
    return sheet


def save_sheet(sheet: Image.Image, path: Path):
    """Writes a sheet as JPEG, PNG or WebP by the name's ending, with its alt text inside and in a card beside it."""
    path = Path(path)
    options = {".webp": {"quality": 78, "method": 6}, ".jpg": {"quality": 88}, ".png": {"optimize": True}}
    if path.suffix not in options:
        raise InputError(f"{path} ends in {path.suffix!r}, expected .webp, .jpg or .png; name it so.")
    exif = Image.Exif()
    exif[0x010E] = sheet.info["alt"].encode("ascii", "replace").decode()  # ImageDescription
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    sheet.save(beside, exif=exif, **options[path.suffix])
    beside.replace(path)
    write_card(path.with_suffix(".json"), {name: sheet.info[name] for name in ("alt", "seed", "recipe")})


def _draw(rows: Sequence[Sequence[TryOnSample]]) -> Image.Image:
    height, width = PERSON
    small = (height // 2, (width - INNER) // 2)
    tile = height + INNER + small[0]
    heading = 2 * LINE
    columns = max(map(len, rows))
    sheet = Image.new(
        "RGB",
        (
            2 * MARGIN + columns * width + (columns - 1) * GAP,
            2 * MARGIN + heading + len(rows) * (tile + heading) + (len(rows) - 1) * ROW_GAP,
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    title, note = (
        "The wardrobe",
        "each person above the garment that they wear, lying flat, and above its true warp: the garment's lattice on the body",
    )
    draw.text((MARGIN, MARGIN), title, INK, font(bold=True))
    draw.text((MARGIN + font(bold=True).getlength(f"{title}  "), MARGIN), note, MUTED, font())
    y = MARGIN + heading
    for row in rows:
        draw.line([(MARGIN, y), (sheet.width - MARGIN, y)], HAIRLINE, 1)
        draw.text((MARGIN, y + LINE // 2), row[0].category.replace("_", " "), INK, font(bold=True))
        y += heading
        for column, sample in enumerate(row):
            x = MARGIN + column * (width + GAP)
            mesh = _mesh(sample, small)
            right = x + width - small[1]
            for picture, place, size in (
                (to_image(sample.target, None), (x, y), PERSON),
                (to_image(sample.garment, None), (x, y + height + INNER), small),
                (mesh, (right, y + height + INNER), small),
            ):
                sheet.paste(picture.resize(size[::-1], Image.Resampling.LANCZOS), place)
                draw.rectangle([place[0] - 1, place[1] - 1, place[0] + size[1], place[1] + size[0]], outline=HAIRLINE)
        y += tile + ROW_GAP
    return sheet


def _mesh(sample: TryOnSample, size: tuple[int, int]) -> Image.Image:
    """The part of the person that wears the garment, the garment's lattice in place of its cloth, in `size` (height, width)."""
    visible = sample.warp_visible[0].bool()
    rows, columns = (visible.any(axis).nonzero()[:, 0] for axis in (1, 0))
    height, width = visible.shape
    middle = [float(places[0] + places[-1]) / 2 for places in (rows, columns)]
    tall = min(height, ROOM * max(len(rows), len(columns) * height / width))
    scale = size[0] / tall
    blank = torch.where(visible, torch.ones_like(sample.target), sample.target)
    mesh = mesh_on_body(sample.warp_grid, blank, sample.warp_visible, MESH_LINES, shown=round(height * scale))
    scale = mesh.height / height
    top, left = (
        min(max(round(place * scale - side / 2), 0), whole - side)
        for place, side, whole in zip(middle, size, (mesh.height, mesh.width), strict=True)
    )
    return mesh.crop((left, top, left + size[1], top + size[0]))


def _alt(rows: Sequence[Sequence[TryOnSample]]) -> str:
    parts = [
        f"{sum(map(len, rows))} drawn people, each above the flat garment that they wear and its true warp as a grid on the body."
    ]
    for row in rows:
        parts.append(f"{row[0].category.replace('_', ' ').capitalize()}: {'; '.join(sample.caption for sample in row)}.")
    return " ".join(parts)
