"""A lesson's source: front matter, cells with their lines, exercises, and the blank that a student gets.

Choices made here
- `lessons/NN_slug.md` is MyST Markdown as jupytext reads it; nothing else describes a lesson.
- Everything that is refused is refused with the lesson and, in a cell, with the cell's number and the line of the file.
- Between `### BEGIN SOLUTION` and `### END SOLUTION` stands what a student writes. Indented, it becomes a line that raises
  `NotImplementedError`; at the margin, `name = None` for every name that it sets. `answers.py` knows both as "not attempted yet".
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from nbformat import ValidationError

from ladi_mini.course.answers import STUB
from ladi_mini.course.text import TextError, every_block
from ladi_mini.errors import InputError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
WHOLE = "set the marks round whole statements, indented as these are"
NAME = re.compile(r"(?:(?P<number>\d\d)_)?(?P<topic>[a-z][a-z0-9_]*)")
OPTIONS = {  # of a cell: (type, what it is)
    "exercise": (str, "the exercise's name"),
    "setup": (bool, "true"),
    "tags": (list, "a list of tags such as [hide-input]"),
}
MACHINE_KEYS = {"jupytext", "kernelspec", "jupyter"}
FRONT_MATTER = {  # key: (types that it may have, what it is)
    "title": ((str,), "a string, the lesson's heading"),
    "objectives": ((list,), "a list of sentences that go on from 'You will be able to'"),
    "prerequisites": ((list,), "a list of sentences, or [] if there are none"),
    "teaching_minutes": ((int,), "the minutes of reading and running, a whole number"),
    "exercise_minutes": ((int,), "the minutes of the exercises, a whole number, 0 if there are none"),
    "paper": ((str, type(None)), "the section of the paper, or null"),
    "reads": ((list,), "a list of the files under data/ that the lesson opens (globs), or []"),
}


class LessonError(InputError):
    """A lesson that cannot be used, said with the lesson, the cell (from 1) and the line of its file (from 1)."""

    def __init__(self, path: Path, fault: str, cell: int | None = None, line: int | None = None):
        self.path, self.fault, self.cell, self.line = Path(path), fault, cell, line
        places = [f"{path.parent.name}/{path.name}"]
        places += [f"cell {cell}"] if cell is not None else []
        places += [f"line {line}"] if line is not None else []
        super().__init__(f"{', '.join(places)}: {fault}")


@dataclass(frozen=True)
class Cell:
    """One cell: its number from 1, `"code"` or `"markdown"`, its text, the line on which the text begins, its options."""

    number: int
    kind: str
    source: str
    line: int
    options: dict = field(default_factory=dict)

    @property
    def exercise(self) -> str | None:
        """The name of the exercise that this cell asks for."""
        return self.options.get("exercise")


class Lesson:
    """A lesson, read and checked: `front` (its front matter), `cells`, `exercises` (cells by name), `blank` (cells
    with every solution taken out).
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path} does not exist; name a lesson of the folder lessons, or begin one: `ladi-mini course new`.")
        match = NAME.fullmatch(self.path.stem)
        if match is None:
            raise LessonError(self.path, "the name is not NN_slug.md, in small letters, digits and underscores; rename it.")
        self.slug, self.number, self.topic = self.path.stem, match["number"], match["topic"]
        self.lines = source_lines(self.path)
        self.front, self.cells = self._read()
        self.exercises = self._find_exercises()
        self._rows: dict[int, list[int]] = {}  # for each line of a code cell's blank that of its source
        self.blank = [cell if cell.kind == "markdown" else self._blank(cell) for cell in self.cells]

    # -------------------------------------------------------- what the machine writes from it

    @property
    def heading(self) -> str:
        """The title with the lesson's number."""
        return f"Lesson {int(self.number)}: {self.front['title']}" if self.number else self.front["title"]

    def error(self, fault: str, cell: Cell | None = None, line: int = 1) -> LessonError:
        """A fault in line `line` (from 1) of `cell`'s text."""
        return LessonError(self.path, fault, cell and cell.number, cell and cell.line + line - 1)

    # -------------------------------------------------------- how it is read

    def _read(self) -> tuple[dict, list[Cell]]:
        try:
            notebook = myst_to_notebook("\n".join(self.lines), add_source_map=True)
        except (MystMetadataParsingError, ValidationError, yaml.YAMLError, ValueError) as error:
            said = " ".join(str(getattr(error, "message", error)).split())
            raise LessonError(self.path, f"a block of YAML cannot be read ({said}); correct it.") from None
        starts = notebook.metadata.pop("source_map")
        cells = []
        for number, (cell, start) in enumerate(zip(notebook.cells, starts, strict=True), start=1):
            line = self._begins(cell.source, start)
            cells.append(Cell(number, cell.cell_type, cell.source, line, dict(cell.metadata)))
        for cell in cells:
            self._check_cell(cell)
        return self._front_matter(notebook.metadata), cells

    def _begins(self, source: str, start: int) -> int:
        """The line (from 1) on which a cell's text begins, at `start` (from 0) or after its options."""
        text = [line.rstrip() for line in source.splitlines()] or [""]  # a text's last line comes without its spaces
        lines = [line.rstrip() for line in self.lines]
        at = next((at for at in range(max(start - 1, 0), len(lines)) if lines[at : at + len(text)] == text), None)
        if at is None and source.strip():
            raise LessonError(
                self.path, "the cell from here on is read otherwise than it stands; write it plainly.", line=start + 1
            )
        return (start if at is None else at) + 1

    def _front_matter(self, metadata: dict) -> dict:
        front = {key: value for key, value in metadata.items() if key not in MACHINE_KEYS}
        for key in front:
            if key not in FRONT_MATTER:
                expected = ", ".join(FRONT_MATTER)
                raise LessonError(self.path, f"the front matter has {key!r}, expected only {expected}; take it out.", line=1)
        for key, (types, what) in FRONT_MATTER.items():
            if key not in front:
                raise LessonError(self.path, f"the front matter has no {key!r}; add {what}.", line=1)
            value = front[key]
            if not isinstance(value, types) or isinstance(value, bool):
                raise LessonError(self.path, f"{key!r} in the front matter is {value!r}, expected {what}.", line=1)
            if isinstance(value, list) and not all(isinstance(entry, str) and entry.strip() for entry in value):
                raise LessonError(self.path, f"{key!r} in the front matter is {value!r}, expected {what}.", line=1)
        for key in ("title", "objectives"):
            if not front[key]:
                raise LessonError(self.path, f"{key!r} in the front matter is empty; write {FRONT_MATTER[key][1]}.", line=1)
        if min(front["teaching_minutes"], front["exercise_minutes"]) < 0:
            raise LessonError(self.path, "the minutes in the front matter are negative; write whole numbers from 0.", line=1)
        return front

    def _check_cell(self, cell: Cell) -> None:
        if cell.kind == "raw":
            raise self.error("raw cells are not used; make it text or code.", cell)
        unknown = sorted(set(cell.options) - set(OPTIONS))
        if unknown:
            raise self.error(f"the option {unknown[0]!r} is not known, expected one of {', '.join(sorted(OPTIONS))}.", cell)
        for option, value in cell.options.items():
            kind, what = OPTIONS[option]
            if not isinstance(value, kind):
                raise self.error(f"the option {option!r} is {value!r}, expected {what}; correct it.", cell)
        if cell.kind == "markdown":
            try:
                list(every_block(cell.source.splitlines()))
            except TextError as fault:
                raise self.error(fault.fault, cell, fault.line) from None
        if cell.kind == "code":
            if not cell.source.strip():
                raise self.error("this cell is empty; take it out.", cell)
            try:
                ast.parse(cell.source)
            except SyntaxError as fault:
                raise self.error(f"this is no Python ({fault.msg}); correct it.", cell, fault.lineno or 1) from None
            has_solution = bool(_regions(self, cell))
            if has_solution != (cell.exercise is not None):
                fault = (
                    "there is a solution, but the cell has no name of an exercise; add the option `:exercise: name`."
                    if has_solution
                    else f"exercise {cell.exercise!r} has no solution; write it between {BEGIN!r} and {END!r}."
                )
                raise self.error(fault, cell)

    def _find_exercises(self) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for cell in self.cells:
            if cell.exercise is None:
                continue
            if cell.exercise in found:
                raise self.error(f"the exercise {cell.exercise!r} is here twice; give each its own name.", cell)
            found[cell.exercise] = cell
            if self.answer_to(cell.exercise, found) is None:
                fix = f'check("{cell.exercise}", ...) must stand in this code cell or the next'
                raise self.error(f"the answer to {cell.exercise!r} is never checked; {fix}.", cell)
        if found and not self.front["exercise_minutes"]:
            raise LessonError(self.path, "there are exercises, but 'exercise_minutes' is 0; estimate them.", line=1)
        return found

    def answer_to(self, name: str, exercises: dict[str, Cell] | None = None) -> ast.expr | None:
        """The expression that `check("name", expression)` is given in the exercise's cell or the next code cell."""
        cell = (self.exercises if exercises is None else exercises)[name]
        code = [later for later in self.cells[cell.number - 1 :] if later.kind == "code"][:2]
        for node in (node for later in code for node in ast.walk(ast.parse(later.source))):
            is_check = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check"
            if is_check and len(node.args) == 2 and isinstance(node.args[0], ast.Constant) and node.args[0].value == name:
                return node.args[1]
        return None

    def _blank(self, cell: Cell) -> Cell:
        lines, kept, rows, at = cell.source.splitlines(), [], [], 0
        for begin, end in _regions(self, cell):
            indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
            stubs = [f'{indent}raise NotImplementedError("{STUB}")'] if indent else self._unset(cell, begin, end)
            kept += lines[at:begin] + stubs
            rows += [*range(at + 1, begin + 1), *[begin + 1] * len(stubs)]
            at = end + 1
            try:
                ast.parse("\n".join(kept + lines[at:]))
            except SyntaxError:
                raise self.error(f"without its solution this cell is no Python; {WHOLE}.", cell, begin + 1) from None
        self._rows[cell.number] = [*rows, *range(at + 1, len(lines) + 1)]
        return Cell(cell.number, cell.kind, "\n".join(kept + lines[at:]), cell.line, cell.options)

    def source_line(self, cell: Cell, line: int) -> int:
        """The line (from 1) in a cell's source of line `line` of its blank; a stub is where its solution begins."""
        return self._rows[cell.number][line - 1]

    def _unset(self, cell: Cell, begin: int, end: int) -> list[str]:
        """`name = None` for each name that a solution at the margin sets."""
        try:
            body = ast.parse("\n".join(cell.source.splitlines()[begin + 1 : end])).body
        except SyntaxError:
            raise self.error(f"what stands between the marks is no Python of its own; {WHOLE}.", cell, begin + 1) from None
        names = [name for node in body for name in _names_set(node)]
        if not names:
            fix = "set a variable there, or put the region into a function"
            raise self.error(f"the solution stands at the margin and sets no name; {fix}.", cell, begin + 1)
        return [f"{name} = None  # {STUB}" for name in dict.fromkeys(names)]


def _names_set(node: ast.stmt) -> Iterator[str]:
    """The names that a statement defines, imports or assigns to, also below an `if`, `for` or `with`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from _names_set(child)


def source_lines(path: Path) -> list[str]:
    """The lines of a lesson's file, with or without a byte order mark; `LessonError` if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LessonError(path, f"this is no UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from None


def solution_of(cell: Cell) -> str:
    """An exercise's cell as it stands in the source, without the markers."""
    return "\n".join(line for line in cell.source.splitlines() if line.strip() not in (BEGIN, END))


def _regions(lesson: Lesson, cell: Cell) -> list[tuple[int, int]]:
    """(line of BEGIN, line of END), from 0, of each solution in a cell."""
    regions, begin = [], None
    for at, line in enumerate(cell.source.splitlines()):
        mark = line.strip()
        if mark not in (BEGIN, END):
            continue
        if (mark == BEGIN) != (begin is None):
            raise lesson.error(f"{mark!r} without its partner; markers come in pairs {BEGIN!r}, {END!r}.", cell, at + 1)
        if mark == END:
            regions.append((begin, at))
        begin = at if mark == BEGIN else None
    if begin is not None:
        raise lesson.error(f"{BEGIN!r} is never ended; write {END!r} below the solution.", cell, begin + 1)
    return regions
