"""A folder of wheels, from which the course installs in a room without a network. `make wheels` runs this file.

Choices made here
- It is a script of the standard library alone: the room's machines run it before anything is installed, with whatever Python they
  have; `--fits` must be able to say that it is the wrong one.
- The wheels are those of `requirements.lock`, for the kind of machine that it runs on: its Python, its system, its processor.
- The folder counts as made only when pip has resolved the whole installation from it alone; then a note of what it is for is
  written into it, and an installation compares itself with that note first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("test", "book")  # what `make` installs
EDITABLE = "editables"  # what hatchling asks for when it installs a folder with -e
TORCH_INDEX = "https://download.pytorch.org/whl/"
NOTE = "made_for.json"


class WheelsError(ValueError):
    """One sentence with the fault and the fix."""


def requirements(root: Path = ROOT) -> list[str]:
    """Everything that `make` installs and what building this package itself needs."""
    import tomllib  # Python 3.11; not needed to say that an older one is the wrong one

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    listed = [*project["project"]["dependencies"], *(line for name in EXTRAS for line in extras[name])]
    return list(dict.fromkeys([*listed, *project["build-system"]["requires"], EDITABLE]))


def this_machine(root: Path = ROOT) -> dict[str, str]:
    """What wheels depend on: Python, system, processor, and the versions that are asked for."""
    lock = (root / "requirements.lock").read_bytes().replace(b"\r\n", b"\n")
    return {
        "python": "{}.{}".format(*sys.version_info),
        "system": platform.system(),
        "machine": platform.machine(),
        "lock": hashlib.sha256(lock).hexdigest(),
    }


def check(folder: Path, root: Path = ROOT) -> dict:
    """The note in `folder` if its wheels fit this machine; `WheelsError` if not."""
    note = folder / NOTE
    if not note.is_file():
        raise WheelsError(f"{folder} holds no finished wheels; make them with `make wheels` where there is a network.")
    made, here = _read(note), this_machine(root)
    if made is None:
        raise WheelsError(f"{note} is damaged; run `make wheels` on the folder again where there is a network.")
    if _kind(made) != _kind(here):
        fix = "name that Python with PYTHON=..., or make wheels on a machine of this kind"
        raise WheelsError(f"the wheels in {folder} are for {_kind(made)}, but this is {_kind(here)}; {fix}.")
    if made["lock"] != here["lock"]:
        fix = "remove the folder and make it again, or check out the version that it was made from"
        raise WheelsError(f"the wheels in {folder} are those of another requirements.lock; {fix}.")
    return made


def _read(note: Path) -> dict | None:
    """What stands in a note; None if it is missing or damaged."""
    try:
        made = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return made if isinstance(made, dict) and {"python", "system", "machine", "lock"} <= set(made) else None


def _kind(note: dict) -> str:
    return f"Python {note['python']} on {note['system']} {note['machine']}"


def make(folder: Path, torch: str | None = None, root: Path = ROOT) -> dict:
    """Writes the wheels and the note; returns the note.

    What an earlier run for the same machine has fetched is kept; its note is not, until the folder has been tried again.
    """
    if folder.exists() and not folder.is_dir():
        raise WheelsError(f"{folder} is a file, expected a folder for the wheels; name another one.")
    note_file = folder / NOTE
    if _read(note_file) is not None:
        check(folder, root)
    lock = str(root / "requirements.lock")
    index = ["--extra-index-url", TORCH_INDEX + torch] if torch else []
    wheels = ["--wheel-dir", str(folder), "--find-links", str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    note_file.unlink(missing_ok=True)
    _pip("wheel", *wheels, "-c", lock, *index, *requirements(root))
    alone = ["--no-index", "--find-links", str(folder), "-c", lock, "-e", f"{root}[{','.join(EXTRAS)}]"]
    # a room has neither this machine's folders of wheels nor its pip's settings
    _pip("install", "--dry-run", "--ignore-installed", "--quiet", *alone, PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    files = sorted(folder.glob("*.whl"))
    note = {**this_machine(root), "wheels": len(files), "bytes": sum(file.stat().st_size for file in files)}
    beside = note_file.with_suffix(".part")
    beside.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    beside.replace(note_file)
    return note


def _pip(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, env=os.environ | environment).returncode:
        raise WheelsError(f"`pip {arguments[0]}` failed, its reason stands above; nothing was marked as made, run it again.")


def main(arguments: list[str] | None = None) -> int:
    """Makes a folder, or with `--fits` says whether one fits this machine; 0, or 2 and one sentence."""
    parser = argparse.ArgumentParser(prog="wheels.py", description="A folder of wheels for a room without a network.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch", help="cpu: torch without CUDA (Linux)")
    parser.add_argument("--fits", action="store_true", help="only say whether the folder fits this machine")
    given = parser.parse_args(arguments)
    try:
        note = check(given.folder) if given.fits else make(given.folder.resolve(), given.torch)
    except WheelsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if not given.fits:
        print(f"Written: {note['wheels']} wheels in {given.folder}, {note['bytes'] / 1e9:.1f} GB, for {_kind(note)}.")
        print(f"In the room: `make demo WHEELS={given.folder}`, once; the other commands then as always.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
