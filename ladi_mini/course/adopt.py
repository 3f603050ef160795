"""Carrying an edit made in a notebook back into its lesson.

Choices made here
- Cells are found by their ids, which say their place in the lesson. Cells that were added, removed or moved are refused: that is
  work on the lesson.
- A line is carried back only if it stands in the lesson as it stood in the notebook (a quotation's `> ` apart). What the machine
  wrote, such as a citation, a link, a stub or the header, is refused with the place in the lesson where it can be changed.
- All or nothing: a refused edit leaves the lesson as it was.
"""

import difflib
from pathlib import Path

import nbformat

from ladi_mini.cards import write_text
from ladi_mini.course.blank import cell_id, student_notebook
from ladi_mini.course.lesson import Cell, Lesson, LessonError
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError


def adopt(course: Course, path: Path) -> list[int]:
    """Writes the edits of the notebook at `path` into its lesson; returns the lines (from 1) of the old lesson that changed."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; name a notebook of the folder notebooks.")
    try:
        edited = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise InputError(f"{path} is no notebook ({' '.join(str(error).split())[:80]}); restore it.") from None
    lesson = course.find(path.name)
    solved = path.resolve().parent == course.solutions(lesson).parent
    expected = student_notebook(course, lesson, folder=path.resolve().parent, solved=solved)
    if [cell.get("id") for cell in edited.cells] != [cell.id for cell in expected.cells]:
        raise LessonError(
            lesson.path, f"{path.name} has cells that were added, removed or moved; do that in the lesson and build it."
        )
    places = {cell_id(lesson, cell.number): cell for cell in lesson.cells}
    changes: list[tuple[int, int, list[str]]] = []
    for old, new in zip(expected.cells, edited.cells, strict=True):
        if old.source.rstrip() == new.source.rstrip():
            continue
        if old.id not in places:
            raise LessonError(
                lesson.path, "the heading or the references changed in the notebook; they come from the front matter.", line=1
            )
        changes += _carry(lesson, places[old.id], old.source, new.source)
    lines = list(lesson.lines)
    for begin, end, text in sorted(changes, reverse=True):
        lines[begin:end] = text
    if changes:
        write_text(lesson.path, "\n".join(lines) + "\n")
    return sorted(begin + 1 for begin, _, _ in changes)


def _carry(lesson: Lesson, cell: Cell, before: str, after: str) -> list[tuple[int, int, list[str]]]:
    """(first line, end, new lines), from 0 in the lesson's file, for each stretch that differs."""
    source, old, new = cell.source.splitlines(), before.splitlines(), after.rstrip().splitlines()
    bare_old, bare_source = [_bare(line) for line in old], [_bare(line) for line in source]
    match = difflib.SequenceMatcher(lambda line: not line.strip(), bare_old, bare_source, autojunk=False)
    home = {block.a + k: block.b + k for block in match.get_matching_blocks() for k in range(block.size)}
    changes = []
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        lines = [home.get(i) for i in range(i1, i2)]
        if kind == "insert":
            begin = home[i1 - 1] + 1 if i1 - 1 in home else home.get(i1)
            end = begin
        else:
            begin, end = lines[0], None if lines[-1] is None else lines[-1] + 1
        if begin is None or None in lines or (lines and lines != list(range(begin, end))):
            at = next((home[i] for i in range(i1, -1, -1) if i in home), 0) + 1
            raise lesson.error(
                f"{old[min(i1, len(old) - 1)].strip()!r} is written by the machine; edit the lesson here.", cell, at
            )
        quoted = i1 < len(old) and old[i1].startswith(">") and not source[min(begin, len(source) - 1)].startswith(">")
        text = [_bare(line) if quoted else line for line in new[j1:j2]]
        changes.append((cell.line - 1 + begin, cell.line - 1 + end, text))
    return changes


def _bare(line: str) -> str:
    """A line without the mark of a quotation."""
    return line.removeprefix("> ").removeprefix(">")
