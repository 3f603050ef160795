"""Figures: pure functions from tensors and traces to pictures, in one look.

`style` holds the look, `pictures` turns one tensor into one picture, `sheets` puts pictures on a page,
`wardrobe` shows the data on one.
"""

from ladi_mini.show.pictures import (
    error_image,
    heat_image,
    latent_colours,
    latent_image,
    mask_image,
    mesh_on_body,
    mesh_on_garment,
    parse_image,
    parse_legend,
    pose_image,
    to_image,
)
from ladi_mini.show.sheets import Panel, Row, alt_text, contact_sheet, sample_rows, sample_sheet, try_on_rows, try_on_sheet
from ladi_mini.show.style import new_figure
from ladi_mini.show.wardrobe import save_sheet, wardrobe_sheet

__all__ = [
    "Panel",
    "Row",
    "alt_text",
    "contact_sheet",
    "error_image",
    "heat_image",
    "latent_colours",
    "latent_image",
    "mask_image",
    "mesh_on_body",
    "mesh_on_garment",
    "new_figure",
    "parse_image",
    "parse_legend",
    "pose_image",
    "sample_rows",
    "sample_sheet",
    "save_sheet",
    "to_image",
    "try_on_rows",
    "try_on_sheet",
    "wardrobe_sheet",
]
