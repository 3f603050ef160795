"""From one execution of a lesson: the notebook, its solutions, and the card of what it cost.

Choices made here
- A notebook's cells have the ids of their places in the lesson, so building twice gives the same bytes, and an edit in a notebook
  finds its way back (`adopt.py`).
- The notebook carries two sums: one over what it was made from (the lesson, the cards and checkpoints it reads), one over its
  outputs. They are written after an execution that succeeded and nowhere else; `rules.py` compares them.
- Times and memory change from run to run and go to `data/results/lessons/`.
- Everything is written beside its place and renamed, when all of it is there.
"""

import glob
import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ladi_mini.course.execute import Run, execute
from ladi_mini.course.lesson import Cell, Lesson, LessonError
from ladi_mini.course.text import (
    Place,
    TextError,
    citations_in,
    cited,
    equations_in,
    labels_in,
    reference,
    relative,
    to_commonmark,
)
from ladi_mini.errors import InputError

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
FREE = ("data/cache", "data/outputs")  # what a lesson may open without saying so: it can be made again
WIDGET = "application/vnd.jupyter.widget-view+json"
OWN = "ladi_mini"  # the key of the notebook's metadata that holds its lesson and its sums


class Course:
    """A repository's lessons and what becomes of them: `root` holds the folders lessons, notebooks and data."""

    def __init__(self, root: Path):
        self.root = Path(root).resolve()
        self.folder = self.root / "lessons"
        self.papers = self.folder / "references.bib"

    @cached_property
    def paths(self) -> list[Path]:
        """The lessons' files in their order, those without a number first; other pages of the book are left out."""
        lessons = (path for path in self.folder.glob("*.md") if is_lesson(path))
        return sorted(lessons, key=lambda path: (path.stem[0].isdigit(), path.stem))

    @cached_property
    def lessons(self) -> list[Lesson]:
        """All lessons; a `LessonError` if one cannot be read."""
        return [Lesson(path) for path in self.paths]

    def find(self, name: str) -> Lesson:
        """The lesson of a number, a name with or without the number, or a file's name."""
        wanted = Path(name).name.removesuffix(".md").removesuffix(".ipynb")
        for path in self.paths:
            number, _, topic = path.stem.partition("_")
            if wanted in {path.stem, *((number, number.lstrip("0") or "0", topic) if number.isdigit() else ())}:
                return next((lesson for lesson in self.lessons if lesson.path == path), None) or Lesson(path)
        known = ", ".join(path.stem for path in self.paths) or "none yet"
        raise InputError(f"there is no lesson {name!r}; the lessons are: {known}.")

    def notebook(self, lesson: Lesson) -> Path:
        """Where the lesson's notebook lies."""
        return self.root / "notebooks" / f"{lesson.slug}.ipynb"

    def solutions(self, lesson: Lesson) -> Path:
        """Where the notebook with the solutions lies, if there are exercises."""
        return self.root / "notebooks" / "solutions" / f"{lesson.slug}.ipynb"

    def card(self, lesson: Lesson) -> Path:
        """Where what the lesson costs is written."""
        return self.root / "data" / "results" / "lessons" / f"{lesson.number or lesson.slug}.json"

    @cached_property
    def labels(self) -> dict[str, tuple[Lesson, str]]:
        """(lesson, heading) of every label of the course."""
        found: dict[str, tuple[Lesson, str]] = {}
        for lesson in self.lessons:
            for label, heading in labels_in(texts(lesson)).items():
                if label in found:
                    raise LessonError(lesson.path, f"the label {label!r} is also in {found[label][0].slug}; rename one.")
                found[label] = lesson, heading
        return found

    def link(self, target: str, folder: Path, ending: str = ".ipynb") -> str:
        """A link as seen from `lessons/`, turned to a text in `folder`; a lesson's becomes its notebook's."""
        path, hash_, heading = target.partition("#")
        absolute = self.folder / path
        if absolute.parent.resolve() == self.folder and absolute.suffix == ".md" and absolute in self.paths:
            return absolute.with_suffix(ending).name + hash_ + heading
        return relative(absolute, folder) + hash_ + heading

    def place(self, lesson: Lesson, folder: Path) -> Place:
        """What a text of `lesson` can refer to when it lies in `folder`."""
        labels = {
            label: ("" if other is lesson or other.slug == lesson.slug else f"{other.slug}.ipynb", heading)
            for label, (other, heading) in self.labels.items()
        }
        return Place(
            link=lambda target: self.link(target, folder),
            labels=labels,
            equations=equations_in(texts(lesson)),
            cite=lambda key: cited(self.papers, key),
        )


def is_lesson(path: Path) -> bool:
    """Whether a Markdown file is a lesson: its front matter has a kernel."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in (rest := [line.strip() for line in lines[1:]]):
        return False
    return any(line.startswith(("kernelspec:", "objectives:")) for line in rest[: rest.index("---")])


def texts(lesson: Lesson) -> list[str]:
    """The texts of a lesson: its text cells, and those of its front matter."""
    front = lesson.front
    cells = [cell.source for cell in lesson.cells if cell.kind == "markdown"]
    return [*cells, front["paper"] or "", *front["objectives"], *front["prerequisites"]]


# ---------------------------------------------------------------- what a notebook says


def student_notebook(course: Course, lesson: Lesson, folder: Path | None = None, solved: bool = False):
    """The notebook without outputs, as it lies in `folder`; `solved`: with the solutions in it."""
    folder = folder or (course.solutions(lesson) if solved else course.notebook(lesson)).parent
    place = course.place(lesson, folder)
    cells = [new_markdown_cell(header(lesson, place), id=cell_id(lesson, "header"))]
    for cell in lesson.cells if solved else lesson.blank:
        if cell.kind == "code":
            cells.append(new_code_cell(cell.source, id=cell_id(lesson, cell.number), metadata=_tags(cell)))
        elif source := commonmark(lesson, cell, place):
            cells.append(new_markdown_cell(source, id=cell_id(lesson, cell.number)))
    if keys := citations_in(texts(lesson)):
        papers = "\n".join(f"- {reference(course.papers, key)}" for key in keys)
        cells.append(new_markdown_cell(f"## References\n\n{papers}", id=cell_id(lesson, "references")))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, OWN: {"lesson": lesson.slug}}
    return new_notebook(cells=cells, metadata=metadata)


def commonmark(lesson: Lesson, cell: Cell, place: Place) -> str:
    """A text cell as it stands in a notebook, `""` if nothing of it does; a fault is said with its cell and line."""
    try:
        return to_commonmark(cell.source, place, 1)
    except TextError as error:
        raise lesson.error(error.fault, cell, error.line) from None


def header(lesson: Lesson, place: Place) -> str:
    """The first cell: heading, what one will be able to do and should know, how long it takes."""
    front = lesson.front
    minutes = f"{front['teaching_minutes']} minutes to read and run"
    if front["exercise_minutes"]:
        minutes += f", {front['exercise_minutes']} for the exercises"
    parts = [f"# {lesson.heading}", f"*{minutes}.*"]
    for key, words in (("objectives", "You will be able to"), ("prerequisites", "You should know")):
        if front[key]:
            points = (f"- {_front(lesson, key, sentence, place)}" for sentence in front[key])
            parts.append(f"**{words}**\n\n" + "\n".join(points))
    if front["paper"]:
        parts.append(f"**In the paper:** {_front(lesson, 'paper', front['paper'], place)}")
    return "\n\n".join(parts)


def _front(lesson: Lesson, key: str, text: str, place: Place) -> str:
    """A text of the front matter in CommonMark."""
    try:
        return to_commonmark(text, place)
    except TextError as error:
        raise LessonError(lesson.path, f"{key!r} in the front matter: {error.fault}", line=1) from None


def cell_id(lesson: Lesson, place: int | str) -> str:
    """The id of the cell at a place of the lesson."""
    return hashlib.sha256(f"{lesson.slug}:{place}".encode()).hexdigest()[:8]


def _tags(cell: Cell) -> dict:
    return {key: cell.options[key] for key in ("exercise", "tags") if key in cell.options}


# ---------------------------------------------------------------- building


def build(course: Course, lesson: Lesson, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Executes a lesson and writes its notebook, its solutions and its card; returns the notebook.

    A `LessonError` says what is wrong with the source or which cell failed; nothing is written then.
    """
    from ladi_mini.cards import circumstances, write_card
    from ladi_mini.course.rules import check_outputs, check_source

    if faults := check_source(course, lesson):
        raise faults[0]
    blank, solved = student_notebook(course, lesson), student_notebook(course, lesson, solved=True)
    run = execute(lesson, blank, course.root, progress)
    _check_reads(course, lesson, run)
    tidy(run.notebook)
    run.notebook.metadata = blank.metadata | {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        OWN: {"lesson": lesson.slug, "source": source_sum(course, lesson), "outputs": outputs_sum(run.notebook)},
    }
    if faults := check_outputs(course, lesson, run.notebook):
        raise faults[0]
    code = [cell for cell in lesson.cells if cell.kind == "code"]
    card = {
        "what": f"one execution of lesson {lesson.slug}, as a student runs it",
        "seconds": round(run.seconds, 1),
        "cpu_seconds": round(sum(run.cpu_seconds), 1),
        "peak_memory_mb": run.peak_memory_mb,
        "cells": [
            {"cell": cell.number, "line": cell.line, "cpu_seconds": seconds}
            for cell, seconds in zip(code, run.cpu_seconds, strict=True)
        ],
        "protocol": "seconds on the clock and of CPU, kernel and imports included, on two threads; largest resident memory",
        **circumstances(),
    }
    if lesson.exercises:
        write_notebook(course.solutions(lesson), solved)
    write_card(course.card(lesson), card)
    write_notebook(course.notebook(lesson), run.notebook)
    return course.notebook(lesson)


def write_notebook(path: Path, notebook) -> None:
    """Writes a notebook beside its place and renames it; the same notebook gives the same bytes."""
    from ladi_mini.cards import write_text

    nbformat.validate(notebook)
    write_text(path, json.dumps(json.loads(nbformat.writes(notebook)), indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def tidy(notebook) -> None:
    """Takes out of a notebook, in place, what changes from run to run or would not be shown: widgets, timings, split streams."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if WIDGET in output.get("data", {}) or "application/javascript" in output.get("data", {}):
                continue
            if kept and output.output_type == kept[-1].output_type == "stream" and output.name == kept[-1].name:
                kept[-1].text += output.text
                continue
            output.pop("transient", None)
            kept.append(output)
        cell.outputs = kept
    notebook.metadata.pop("widgets", None)


def _check_reads(course: Course, lesson: Lesson, run: Run) -> None:
    declared = {path.resolve() for path in declared_files(course, lesson)}
    for path in sorted(run.opened - declared):
        name = relative(path, course.root)
        sums = path.name == "SHA256SUMS" and any(other.parent == path.parent for other in declared)
        if path.is_file() and not sums and not name.startswith(FREE):
            fix = "add it to 'reads' in the front matter"
            raise LessonError(lesson.path, f"it opens {name}, which it does not declare; {fix}.", line=1)


def declared_files(course: Course, lesson: Lesson) -> list[Path]:
    """The files that the front matter's `reads` names; `LessonError` for a name that finds none."""
    found = []
    for pattern in lesson.front["reads"]:
        paths = sorted(Path(name) for name in glob.glob(str(course.root / pattern)) if Path(name).is_file())
        if not paths:
            raise LessonError(lesson.path, f"'reads' names {pattern}, but there is no such file; correct it.", line=1)
        found += paths
    return found


def source_sum(course: Course, lesson: Lesson) -> str:
    """The sha256 over the lesson and the files that it reads."""
    total = hashlib.sha256()
    for path in [lesson.path, *declared_files(course, lesson)]:
        content = path.read_bytes()
        if path.suffix in (".md", ".json"):
            content = content.replace(b"\r\n", b"\n")  # as a checkout on Windows may have it
        total.update(f"{relative(path, course.root)}\n{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def outputs_sum(notebook) -> str:
    """The sha256 over the outputs of a notebook."""
    outputs = [cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()
