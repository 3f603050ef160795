"""Cards: every run writes down what it was and what came out, as JSON that lessons and README read.

Choices made here
- A card is a dictionary of what JSON has: numbers, words, None, and lists and dictionaries of these, as deep as a table needs.
  Numbers are measured, never typed.
- What holds no further list or dictionary stands on one line, such as an interval: a long card is a third lighter so.
- Files are written beside their place and renamed, so that a card is whole or absent.
- The processor of one name was two and a half times as fast on one day as on another, so a card has a yardstick for its seconds.
"""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "accelerate", "numpy", "opencv-python-headless")
WIDTH = 130  # characters of a line


def write_text(path: Path, text: str) -> None:
    """Writes `text` beside `path` and renames it into place; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def write_card(path: Path, card: dict) -> None:
    """Writes `card` as indented JSON, atomically."""
    write_text(path, _laid_out(card) + "\n")


def _laid_out(value, indent: str = "") -> str:
    """JSON whose innermost lists and dictionaries take one line each, where that is no longer than `WIDTH`."""
    flat = json.dumps(value, ensure_ascii=False)
    parts = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (list, tuple)) else []
    if not parts or (len(indent + flat) <= WIDTH and not any(isinstance(part, (dict, list, tuple)) for part in parts)):
        return flat
    lines = [_laid_out(part, indent + "  ") for part in parts]
    if isinstance(value, dict):
        keys = json.loads(json.dumps(dict.fromkeys(value)))  # as JSON writes them
        lines = [f"{json.dumps(key, ensure_ascii=False)}: {line}" for key, line in zip(keys, lines, strict=True)]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n" + ",\n".join(f"{indent}  {line}" for line in lines) + f"\n{indent}{end}"


def read_card(path: Path) -> dict:
    """The card at `path`."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def circumstances(device: torch.device | str = "cpu") -> dict:
    """Where and with what a run was made: processor or GPU, threads, speed of the processor, versions, commit."""
    device, threads = torch.device(device), torch.get_num_threads()
    return {
        "hardware": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}",
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "million_additions_per_second": python_speed(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def python_speed(additions: int = 300_000, repeats: int = 3) -> float:
    """Million additions a second in a plain loop on this processor now, the best of `repeats`."""
    best = float("inf")
    for _ in range(repeats):
        begun, total = time.perf_counter(), 0
        for i in range(additions):
            total += i
        best = min(best, time.perf_counter() - begun)
    return round(additions / best / 1e6, 1)


def peak_memory_mb(device: torch.device | str = "cpu") -> int | None:
    """Largest memory that this process has used so far, 10^6 bytes: the GPU's on a GPU, else resident; None on Windows."""
    device = torch.device(device)
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource  # Unix only
    except ImportError:
        return None
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kilobytes * 1024 / 1e6)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _commit() -> str:
    """The commit of the repository whose root is just above the package; "unknown" where there is none, as once installed."""
    root = Path(__file__).resolve().parents[1]
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        return _git(root, "describe", "--always", "--dirty") if Path(top).resolve() == root else "unknown"
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
