"""A lesson's notebook before it is executed: the student's, and the one with the solutions.

Choices made here
- Cells have the ids of their places in the lesson, so building twice gives the same bytes, and an edit in a notebook finds its
  way back (`adopt.py`).
"""

import hashlib
import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ladi_mini.cards import write_text
from ladi_mini.course.lesson import Cell, Lesson, LessonError
from ladi_mini.course.repository import OWN, Course, texts
from ladi_mini.course.text import Place, TextError, citations_in, reference, to_commonmark

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


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


def write_notebook(path: Path, notebook) -> None:
    """Writes a notebook beside its place and renames it; the same notebook gives the same bytes."""
    nbformat.validate(notebook)
    write_text(path, json.dumps(json.loads(nbformat.writes(notebook)), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
