"""The machine that this runs on, and the weights that lie on it: the first thing to look at when something does not work.

Choices made here
- Weights are intact if they match their sha256 in the list beside them; no model is built.
- A stage that the list beside the weights does not name is not trained yet, which is no fault; one that is named and gone is.
"""

import os
from pathlib import Path
from statistics import median

import torch

from ladi_mini.cards import circumstances, read_card
from ladi_mini.checkpoints import default_folder, stage_files
from ladi_mini.presets import PRESETS, STAGES
from ladi_mini.sums import CheckpointError, read_sums, verify

LESSONS = Path(__file__).parents[1] / "data" / "results" / "lessons"


def describe() -> list[tuple[str, str]]:
    """(what, value) of Python, processor, memory, GPU and libraries."""
    here = circumstances()
    return [
        ("Python", f"{here['python']} on {here['platform']}"),
        ("processor", f"{here['hardware']}, {os.cpu_count()} cores"),
        ("speed", _speed(here["million_additions_per_second"])),
        ("memory", _memory()),
        ("GPU", _gpu()),
        *here["versions"].items(),
    ]


def weights() -> tuple[list[tuple[str, str]], bool]:
    """(file or preset, state) of the shipped weights, and whether all that are there are whole."""
    rows, whole = [], True
    for preset in PRESETS:
        folder = default_folder(preset)
        if not folder.is_dir():
            rows.append((preset, f"no weights in {folder}"))
            continue
        for stage in STAGES:
            paths = stage_files(folder, stage)
            try:
                if not paths[0].exists() and not any(name.startswith(stage) for name in read_sums(folder)):
                    rows.append((f"{preset} {stage}", "not trained yet"))
                    continue
                for path in paths:
                    verify(path)
            except CheckpointError as error:
                rows.append((f"{preset} {stage}", str(error)))
                whole = False
            else:
                rows.append((f"{preset} {stage}", f"intact, {sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"))
    return rows, whole


def _speed(here: float) -> str:
    """This processor's, and that of the one on which lessons were timed, for those whose cards tell it."""
    cards = [read_card(path) for path in sorted(LESSONS.glob("*.json"))]
    there = [card["million_additions_per_second"] for card in cards if "million_additions_per_second" in card]
    timed = f"; the seconds of {len(there)} of {len(cards)} lessons were measured at {median(there):.1f}" if there else ""
    return f"{here:.1f} million additions a second in a Python loop{timed}"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return "unknown"
    return f"{total:.1f} GiB"


def _gpu() -> str:
    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in found)
    return "Apple (mps)" if torch.backends.mps.is_available() else "none; nano and mini do not need one"
