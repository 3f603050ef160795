"""Checking an answer: one sentence that says right, wrong and where to look, or not attempted yet.

Choices made here
- A checker is a function of one answer in `exercises/<lesson>.py`. It looks at the shape first, then at the value, then at
  properties, and stops at the first fault: a student mends one thing at a time.
- A typical mistake is recognised by what it computes (`rule_out`), so that it can be named instead of "wrong value".
- Messages say how far off an answer is and where, not what would be right there.
- A stub says so itself: it raises `NotImplementedError` with the text `STUB`, or the answer is None. PyTorch raises the same
  class of error with a text of its own, which is a mistake and no stub.
- State lives in the notebook's kernel and ends with it.
"""

import difflib
import html
import importlib.util
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ladi_mini.errors import InputError

STUB = "your code here"
RIGHT, WRONG, BLANK = "right", "wrong", "not attempted yet"
LEFT = "text-align:left"  # a notebook's table would stand at the right
MARKS = {RIGHT: "✓", WRONG: "✗", BLANK: "○"}
COLOURS = {RIGHT: "#009e73", WRONG: "#d55e00", BLANK: "#5c6670"}  # as in ladi_mini.show.style


class Wrong(Exception):
    """What is wrong with an answer, in one sentence, and a hint in another."""

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name, its title in the table, its lesson (without the number), the function that checks it."""

    name: str
    title: str
    lesson: str
    checker: Callable[[object], None]


@dataclass(frozen=True)
class Result:
    """What came of one check: `state` is RIGHT, WRONG or BLANK."""

    name: str
    state: str
    message: str = ""
    hint: str = ""

    def __str__(self) -> str:
        said = {RIGHT: "right.", BLANK: "not attempted yet."}.get(self.state, self.message)
        return f"{MARKS[self.state]} {self.name}: {said}{f' Hint: {self.hint}' if self.hint else ''}"


# ---------------------------------------------------------------- for those who write checkers


def exercise(name: str, title: str) -> Callable[[Callable[[object], None]], Exercise]:
    """Makes a function of one answer the checker of `name`; it returns if the answer is right and raises `Wrong` if not."""
    return lambda checker: Exercise(name, title, "", checker)


def expect_shape(value: object, shape: tuple[int, ...], what: str, hint: str = ""):
    """`value` as a tensor if it is an array or tensor of that shape and holds no NaN; raises `Wrong` if not."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray | int | float) and not isinstance(value, bool):
        value = torch.as_tensor(value)
    if not isinstance(value, torch.Tensor):
        raise Wrong(f"{what} is of type {type(value).__name__}, expected a tensor of shape {tuple(shape)}.", hint)
    if tuple(value.shape) != tuple(shape):
        raise Wrong(f"{what} has shape {tuple(value.shape)}, expected {tuple(shape)}.", hint)
    if value.is_floating_point() and bool(value.isnan().any()):
        raise Wrong(f"{what} is not a number (nan) at {_place(value.isnan())}.", hint)
    return value.detach()


def rule_out(value, mistake, message: str, hint: str = "", atol: float = 1e-5) -> None:
    """Raises `Wrong(message)` if `value` is what a typical `mistake` computes (both tensors)."""
    if tuple(value.shape) == tuple(mistake.shape) and float((value.double() - mistake.double()).abs().max()) <= atol:
        raise Wrong(message, hint)


def expect_close(value, expected, what: str, hint: str = "", atol: float = 1e-5) -> None:
    """Raises `Wrong` with the largest difference and its place, unless `value` is `expected` (tensors of one shape)."""
    off = (value.double() - expected.double()).abs()
    if not bool((off <= atol).all()):
        at = f" at {_place(off == off.max())}" if off.ndim else ""
        raise Wrong(f"{what} is off by {'up to ' if off.numel() > 1 else ''}{float(off.max()):.3g}{at}.", hint)


def expect(condition: bool, message: str, hint: str = "") -> None:
    """Raises `Wrong(message)` unless the condition holds."""
    if not condition:
        raise Wrong(message, hint)


def _place(where) -> str:
    place = tuple(int(i) for i in where.nonzero()[0]) if where.ndim else ()
    return f"{place[0]}" if len(place) == 1 else f"{place}"


# ---------------------------------------------------------------- for those who answer


class Check:
    """`check("name", answer)` prints one sentence; `check.progress()` is the table of this notebook's exercises."""

    def __init__(self):
        self._results: dict[str, Result] = {}
        self._lesson: str | None = None

    def __call__(self, name: str, answer: object) -> None:
        print(self.result(name, answer))

    def result(self, name: str, answer: object) -> Result:
        """The same as a value; it is remembered for the table."""
        chosen = find_exercise(name)
        self._results[name] = result = _judge(chosen, answer)
        return result

    def start(self, lesson: str) -> None:
        """Begins a lesson (with or without its number): its exercises are the table, and none is attempted yet."""
        self._results, self._lesson = {}, lesson.lstrip("0123456789_")

    def progress(self) -> "Progress":
        """The table of all exercises of the lesson, as HTML where that can be shown, else as text."""
        known = all_exercises()
        lessons = {known[name].lesson for name in self._results} | ({self._lesson} if self._lesson else set())
        rows = [
            (each.title, self._results.get(each.name, Result(each.name, BLANK)))
            for each in known.values()
            if each.lesson in lessons
        ]
        return Progress(rows)


@dataclass(frozen=True)
class Progress:
    """(title, result) of every exercise of a notebook; shows itself as a table."""

    rows: list[tuple[str, Result]]

    def __repr__(self) -> str:
        if not self.rows:
            return "No exercise has been checked in this notebook yet."
        wide = max(len(title) for title, _ in self.rows)
        lines = [f"{MARKS[result.state]} {title:<{wide}}  {result.state}" for title, result in self.rows]
        return "\n".join([*lines, self._summary()])

    def _repr_html_(self) -> str:
        if not self.rows:
            return html.escape(repr(self))
        rows = "".join(
            f'<tr><td style="{LEFT}">{html.escape(title)}</td><td style="{LEFT}">{html.escape(result.name)}</td>'
            f'<td style="{LEFT};color:{COLOURS[result.state]}">{MARKS[result.state]} {result.state}</td></tr>'
            for title, result in self.rows
        )
        head = "".join(f'<th style="{LEFT}">{name}</th>' for name in ("Exercise", "Name", "State"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{html.escape(self._summary())}</p>"

    def _summary(self) -> str:
        right = sum(result.state == RIGHT for _, result in self.rows)
        return f"{right} of {len(self.rows)} right."


def _judge(chosen: Exercise, answer: object) -> Result:
    if answer is None or answer is ...:
        return Result(chosen.name, BLANK)
    try:
        chosen.checker(answer)
    except Wrong as wrong:
        return Result(chosen.name, WRONG, wrong.message, wrong.hint)
    except NotImplementedError as error:
        if str(error) in ("", STUB):
            return Result(chosen.name, BLANK)
        return Result(chosen.name, WRONG, _raised(error, chosen))
    except Exception as error:
        return Result(chosen.name, WRONG, _raised(error, chosen))
    return Result(chosen.name, RIGHT)


def _raised(error: Exception, chosen: Exercise) -> str:
    """What an answer raised, and in which of its lines; an error of the checker itself is raised again."""
    frames = traceback.extract_tb(error.__traceback__)
    checker = chosen.checker.__code__.co_filename
    called_wrongly = isinstance(error, TypeError) and ("argument" in str(error) or "not callable" in str(error))
    if frames[-1].filename == checker and not called_wrongly:
        raise error
    own = [frame for frame in frames if frame.filename.startswith("<") or "ipykernel" in frame.filename]
    where = f" in line {own[-1].lineno} of its cell" if own else ""
    text = " ".join(str(error).split())
    return f"your code raised {type(error).__name__}{where}{f': {text}' if text else ''}".rstrip(".") + "."


# ---------------------------------------------------------------- the registry


def exercises_folder() -> Path:
    """Where the checkers lie; LADI_MINI_COURSE names the root of another course with the same folders."""
    root = os.environ.get("LADI_MINI_COURSE")
    return Path(root) / "ladi_mini" / "course" / "exercises" if root else Path(__file__).parent / "exercises"


_LOADED: dict[Path, tuple[int, list[Exercise]]] = {}


def all_exercises(folder: Path | None = None) -> dict[str, Exercise]:
    """Every exercise by name, lesson by lesson in the order of its file."""
    found: dict[str, Exercise] = {}
    for path in sorted((folder or exercises_folder()).glob("[a-z]*.py")):
        for each in _load(path):
            if each.name in found:
                raise InputError(f"{path}: the exercise {each.name!r} is also in {found[each.name].lesson}.py; rename one.")
            found[each.name] = each
    return found


def find_exercise(name: str) -> Exercise:
    """The exercise of that name; `InputError` with the nearest names if there is none."""
    known = all_exercises()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3) or list(known)[:5]
        fix = f"did you mean {' or '.join(map(repr, near))}?" if near else "no exercise is known."
        raise InputError(f"there is no exercise {name!r}; {fix}")
    return known[name]


def _load(path: Path) -> list[Exercise]:
    stamp = path.stat().st_mtime_ns
    if path not in _LOADED or _LOADED[path][0] != stamp:
        spec = importlib.util.spec_from_file_location(f"ladi_mini.course.exercises.{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [value for value in vars(module).values() if isinstance(value, Exercise)]
        _LOADED[path] = stamp, [Exercise(each.name, each.title, path.stem, each.checker) for each in found]
    return _LOADED[path][1]


check = Check()
