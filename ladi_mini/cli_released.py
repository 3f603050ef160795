"""The command `ladi-mini convert`: the authors' released files to safetensors; `released.py` does it."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.pth ...", help="Released files: warping_, emasc_, ... .pth.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the safetensors files.")],
    dataset: Annotated[str | None, typer.Option(help="vitonhd or dresscode, where a file's name does not say it.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp16 or fp32; what is stored if not given.")] = None,
):
    """Converts the authors' released weights (CC BY-NC 4.0, downloaded by yourself) for the full model."""
    from ladi_mini.released import convert as run

    for path in run(files, out, dataset, dtype):
        typer.echo(f"Written: {path}")
