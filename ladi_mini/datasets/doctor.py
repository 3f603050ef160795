"""The doctor: a whole data set checked in one pass, before any model is loaded or an hour of training is lost.

Every pair is read as the loaders read it, so whatever would stop or warn there is found here: all of it at once, by kind, each
kind with how often it was found and its first example.

Choices made here
- Every person is read with their own garment; garments that only an unpaired pair names are opened alone.
- Of a pair that cannot be used, every file is then opened alone, so that one fault does not hide another.
- missing and unusable are what loaders refuse; odd is what they warn of, and files that no pairs file names.
- Kinds are told by the sentences of the loaders, numbers left out; nothing is checked here in a second way.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from tqdm import tqdm

from ladi_mini.agnostic import one_of
from ladi_mini.datasets import files
from ladi_mini.datasets.dresscode import KEYPOINT_SIZE
from ladi_mini.datasets.photo import read_sample
from ladi_mini.presets import CATEGORIES
from ladi_mini.sample import InputError, InputWarning

Severity = Literal["missing", "unusable", "odd"]
SEVERITIES: tuple[Severity, ...] = ("missing", "unusable", "odd")
SIZE = (256, 192)  # (height, width) at which pairs are read: enough for every check, and quick
ANY_SIZE = (10**9, 10**9)
ROLES = {
    "person": "photograph",
    "garment": "picture of a garment",
    "mask": "garment mask",
    "parse": "parse map",
    "keypoints": "keypoint file",
}


class Pair(NamedTuple):
    """The files of a person in their own garment, or of a garment alone, by role; `options` are `read_sample`'s."""

    paths: dict[str, Path]
    category: str
    caption_names: tuple[str, ...]
    options: dict


@dataclass
class Kind:
    """One kind of fault: how often it was found, and the first file and sentence."""

    severity: Severity
    fault: str
    first: Path
    count: int = 1


@dataclass
class Report:
    """What was found in a data set of `pairs` pairs; `usable` unless a loader would refuse any of it."""

    root: Path
    pairs: int = 0
    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.pairs > 0 and all(kind.severity == "odd" for kind in self.kinds.values())

    def count(self, severity: Severity) -> int:
        """How often faults of a severity were found."""
        return sum(kind.count for kind in self.kinds.values() if kind.severity == severity)

    def add(self, severity: Severity, where: Path, fault: str):
        """Counts a fault of the file `where`."""
        key = severity, re.sub(r"\([^)]*\)|\[[^]]*\]|'[^']*'|\d+(\.\d+)?%?", "", fault)
        if key in self.kinds:
            self.kinds[key].count += 1
        else:
            self.kinds[key] = Kind(severity, fault, where)

    def table(self) -> str:
        """The kinds, worst and most frequent first, with a line that sums them up."""
        found = ", ".join(f"{self.count(severity)} {severity}" for severity in SEVERITIES)
        verdict = "nothing to complain of" if not self.kinds else found
        lines = [f"{self.root}: {self.pairs} pairs, {verdict}."]
        for kind in sorted(self.kinds.values(), key=lambda k: (SEVERITIES.index(k.severity), -k.count)):
            lines += [f"{kind.severity:>9} {kind.count:>6}  {kind.fault}", f"{'':>16}  first: {kind.first}"]
        return "\n".join(lines)


def examine(root: str | Path, layout: Literal["vitonhd", "dresscode"], progress: bool = True) -> Report:
    """Checks every file of the data set in the folder `root`; raises `InputError` only for an unknown layout or no folder."""
    one_of("layout", layout, ("vitonhd", "dresscode"))
    root = Path(root)
    if not root.is_dir():
        raise files.refuse(root, "is no folder", "the data set's folder", "check the path")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for pictures this small, more threads wait for each other longer than they work
    try:
        return _examine(root, layout, progress)
    finally:
        torch.set_num_threads(threads)


def _examine(root: Path, layout: str, progress: bool) -> Report:
    report, listings = Report(root), _Listings()
    captions = _captions(root / "captions.json", report)
    pairs = [*(_vitonhd if layout == "vitonhd" else _dresscode)(root, report)]
    for pair in tqdm(pairs, desc="examining", unit="pair", disable=not progress):
        whole = "person" in pair.paths
        report.pairs += whole
        missing = [role for role, path in pair.paths.items() if not listings.has(path)]
        for role in missing:
            report.add("missing", pair.paths[role], f"a {ROLES[role]} that a pairs file names does not exist")
        if captions is not None and not any(name in captions for name in pair.caption_names):
            report.add("odd", pair.paths["garment"], "a garment has no caption in captions.json")
        if missing or not whole or not _read(pair, report):
            for role in pair.paths.keys() - set(missing):
                _guard(lambda pair=pair, role=role: _open(pair, role), pair, report)
    for path in listings.unnamed():
        report.add("odd", path, f"a file of {path.parent.name} is named by no pairs file")
    return report


class _Listings:
    """The names in each folder, listed once, and which of them were asked for."""

    def __init__(self):
        self.present: dict[Path, set[str]] = {}
        self.asked: dict[Path, set[str]] = {}

    def has(self, path: Path) -> bool:
        folder = path.parent
        if folder not in self.present:
            self.present[folder] = set(os.listdir(folder)) if folder.is_dir() else set()
        self.asked.setdefault(folder, set()).add(path.name)
        return path.name in self.present[folder]

    def unnamed(self) -> list[Path]:
        return [
            folder / name
            for folder, names in sorted(self.present.items())
            for name in sorted(names - self.asked[folder])
            if not name.startswith(".")
        ]


def _read(pair: Pair, report: Report) -> bool:
    """Reads a pair as the loaders do; whether it can be used."""
    paths = pair.paths
    return _guard(
        lambda: read_sample(
            paths["person"], paths["garment"], paths["parse"], paths["keypoints"], *SIZE, pair.category,
            garment_mask=paths.get("mask"), paired=True, **pair.options,
        ),
        pair, report, tell=False,
    )  # fmt: skip


def _open(pair: Pair, role: str):
    """Reads one file of a pair alone."""
    path, what = pair.paths[role], ROLES[role]
    if role == "keypoints":
        files.read_keypoints(path, pair.options["keypoint_size"] or ANY_SIZE)
    elif role == "parse":
        files.open_parse(path, what).decode()
    else:
        (files.open_picture if role == "mask" else files.open_photo)(path, what).decode(SIZE[::-1])


def _guard(read: Callable[[], object], pair: Pair, report: Report, tell: bool = True) -> bool:
    """Whether `read` raises no `InputError`. What it says is reported, its warnings too.

    With `tell=False` an error is left to the reading of the single files, unless none of them alone shows it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = None
        try:
            read()
        except InputError as refused:
            error = refused
    if error is None or tell:
        for warning in caught:
            if issubclass(warning.category, InputWarning):
                report.add("odd", *_split(str(warning.message), pair))
    if error is None:
        return True
    where, fault = _split(str(error), pair)
    if tell or not _shows(pair, where):
        report.add("unusable", where, fault)
    return False


def _shows(pair: Pair, where: Path) -> bool:
    """Whether the file `where`, opened alone, is refused too."""
    role = next((role for role, path in pair.paths.items() if path == where), None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _open(pair, role or "person")
    except InputError:
        return True
    return False


def _split(sentence: str, pair: Pair) -> tuple[Path, str]:
    """The file that a sentence of the loaders is about, and the rest of it."""
    for path in pair.paths.values():
        if sentence.startswith(f"{path} "):
            return path, sentence.removeprefix(f"{path} ").rstrip(".")
    return next(iter(pair.paths.values())), sentence.partition(": ")[2].rstrip(".") or sentence


def _captions(path: Path, report: Report) -> dict[str, str] | None:
    try:
        return files.read_captions(path) if path.exists() else None
    except InputError as error:
        report.add("unusable", path, str(error).removeprefix(f"{path} ").rstrip("."))
        return None


def _pairs(path: Path, report: Report) -> list[tuple[str, str]]:
    """The pairs of a file; none, and a fault in the report, if it cannot be read."""
    try:
        return files.read_pairs(path)
    except InputError as error:
        where = next((word for word in (f"{path} ", f"{path}, ") if str(error).startswith(word)), "")
        report.add("unusable", path, str(error).removeprefix(where).rstrip("."))
        return []


def _lists(candidates: list[Path], report: Report) -> list[Path]:
    """Those of the pairs files that are there; a fault in the report if none is."""
    present = [path for path in candidates if path.exists()]
    if not present:
        report.add("missing", candidates[0], f"no pairs file: neither {' nor '.join(path.name for path in candidates)} exists")
    return present


def _vitonhd(root: Path, report: Report) -> Iterator[Pair]:
    options = {"labels": "vitonhd", "keypoint_size": None}
    for listing in _lists([root / "test_pairs.txt", root / "train_pairs.txt"], report):
        folder, listed = root / listing.name.removesuffix("_pairs.txt"), _pairs(listing, report)

        def garment(name: str, folder=folder) -> dict[str, Path]:
            return {"garment": folder / "cloth" / name, "mask": folder / "cloth-mask" / name}

        people = dict.fromkeys(person for person, _ in listed)
        for person in people:
            stem = Path(person).stem
            own = {
                "person": folder / "image" / person,
                "parse": folder / "image-parse-v3" / f"{stem}.png",
                "keypoints": folder / "openpose_json" / f"{stem}_keypoints.json",
            }
            yield Pair(own | garment(person), "upper_body", (stem,), options)
        for name in dict.fromkeys(garment for _, garment in listed if garment not in people):
            yield Pair(garment(name), "upper_body", (Path(name).stem,), options)


def _dresscode(root: Path, report: Report) -> Iterator[Pair]:
    options = {"labels": "dresscode", "keypoint_size": KEYPOINT_SIZE, "whiten": True}
    for category in CATEGORIES:
        folder = root / category
        masked = (folder / "masks").is_dir()
        if folder.is_dir() and not masked:
            report.add("odd", folder / "masks", "a folder of masks does not exist, so garments are told from their white "
                       "background; unpack the masks published with LaDI-VTON there")  # fmt: skip
        names = ["train_pairs.txt", "test_pairs_paired.txt", "test_pairs_unpaired.txt"]
        listed = {path.name: _pairs(path, report) for path in _lists([folder / name for name in names], report)}

        def garment(name: str, folder=folder, masked=masked) -> dict[str, Path]:
            mask = {"mask": folder / "masks" / f"{Path(name).stem}.png"} if masked else {}
            return {"garment": folder / "images" / name} | mask

        own = dict.fromkeys(pair for name in names[:2] for pair in listed.get(name, ()))
        own = own or dict.fromkeys(listed.get(names[2], ()))
        seen = {name for _, name in own}
        for person, worn in own:
            number = Path(person).stem.rsplit("_", 1)[0]
            body = {
                "person": folder / "images" / person,
                "parse": folder / "label_maps" / f"{number}_4.png",
                "keypoints": folder / "keypoints" / f"{number}_2.json",
            }
            yield Pair(body | garment(worn), category, (f"{category}/{Path(worn).stem}", Path(worn).stem), options)
        for name in dict.fromkeys(name for _, name in listed.get(names[2], ()) if name not in seen):
            yield Pair(garment(name), category, (f"{category}/{Path(name).stem}", Path(name).stem), options)
