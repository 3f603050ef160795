"""Trains what only measuring needs: `python -m ladi_mini.evaluation reader|predecessor PRESET [SECONDS]`.

The reader goes beside the preset's weights, with which it is shipped; the predecessor into `data/runs/PRESET/predecessor`, for
`ladi-mini evaluate --predecessor`. SECONDS ends the training, not the drawing before it. A GPU is used if there is one.
"""

import os
import sys
from pathlib import Path

import torch

from ladi_mini.checkpoints import default_folder
from ladi_mini.errors import InputError
from ladi_mini.evaluation.predecessor import train_predecessor
from ladi_mini.evaluation.reader import train_reader
from ladi_mini.presets import get_preset


def main(arguments: list[str]) -> None:
    """Trains the one that is asked for and prints what it reaches on held-out people."""
    if len(arguments) not in (2, 3) or arguments[0] not in ("reader", "predecessor"):
        raise InputError(
            f"got {' '.join(arguments) or 'nothing'}, expected reader or predecessor, a preset, and perhaps seconds."
        )
    preset, data = get_preset(arguments[1]), Path(__file__).parents[2] / "data"
    weights = default_folder(preset.name)
    shared = {
        "budget": float(arguments[2]) if len(arguments) == 3 else None,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "workers": os.cpu_count() or 1,
    }
    if arguments[0] == "reader":
        card = train_reader(preset, weights, **shared)
    else:
        card = train_predecessor(preset, weights, data / "runs" / preset.name / "predecessor", cache=data / "cache", **shared)
    print(card["held_out"])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
