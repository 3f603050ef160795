"""Routes and timetables on the pages of the book, filled with the minutes that the lessons state in their front matter.

Choices made here
- A page says which lessons, in which order and with what between them; the minutes and the clock are counted, never typed.
- A route is a line, `<!-- route 00 03 04 -->`. A timetable begins with its time and has a line a block:

      <!-- schedule 09:00
      Welcome | 15
      03 + 20
      Break | 15
      -->

  where `03` is lesson 3, `03 + 20` the lesson with 20 minutes for its exercises and `03 +` with all of theirs.
- A lesson that is not written yet is named as such and counts as an hour.
"""

import re
from collections.abc import Callable
from pathlib import Path

from ladi_mini.course.lesson import Lesson
from ladi_mini.course.repository import Course
from ladi_mini.course.text import relative
from ladi_mini.errors import InputError

ROUTE = re.compile(r"^<!-- route((?: \d\d)+) -->$", re.MULTILINE)
SCHEDULE = re.compile(r"^<!-- schedule (\d\d):(\d\d)\n(.*?)\n-->$", re.MULTILINE | re.DOTALL)
LESSON = re.compile(r"(?P<number>\d\d)(?P<exercises>\s*\+\s*(?P<minutes>\d+)?)?$")
BLOCK = re.compile(r"(?P<what>\S.*?)\s*\|\s*(?P<minutes>\d+)$")
UNWRITTEN = 60  # minutes


def fill(text: str, course: Course, page: Path) -> str:
    """The text of the hand-written page `page` with its routes and timetables in place."""
    link = lambda lesson: f"[{lesson.heading}]({relative(lesson.path, page.parent)})"  # noqa: E731
    text = ROUTE.sub(lambda found: route(course, found[1].split(), link), text)
    return SCHEDULE.sub(lambda found: _table(timetable(course, found, page, link)), text)


def route(course: Course, numbers: list[str], link: Callable[[Lesson], str]) -> str:
    """Lessons in their order, and their minutes in all."""
    lessons = {number: numbered(course, number) for number in numbers}
    reading = sum(lesson.front["teaching_minutes"] if lesson else UNWRITTEN for lesson in lessons.values())
    exercises = sum(lesson.front["exercise_minutes"] for lesson in lessons.values() if lesson)
    names = [link(lesson) if lesson else _unwritten(number) for number, lesson in lessons.items()]
    return f"{' → '.join(names)}\n\n*{_hours(reading)} to read and run, {_hours(exercises)} for all exercises.*"


def timetable(course: Course, found: re.Match, page: Path, link: Callable[[Lesson], str]) -> list[tuple[str, int, str]]:
    """(clock, minutes, what) of each block, and at last the end with 0 minutes."""
    clock, rows = int(found[1]) * 60 + int(found[2]), []
    for line in found[3].splitlines():
        if lesson := LESSON.match(line.strip()):
            what, minutes = _lesson_block(course, lesson, link)
        elif block := BLOCK.match(line.strip()):
            what, minutes = block["what"], int(block["minutes"])
        else:
            raise InputError(f"{page.name}: the line {line!r} of a timetable is neither `03 + 20` nor `Break | 15`; mend it.")
        rows.append((_clock(clock), minutes, what))
        clock += minutes
    return [*rows, (_clock(clock), 0, "End")]


def _lesson_block(course: Course, asked: re.Match, link: Callable[[Lesson], str]) -> tuple[str, int]:
    lesson = numbered(course, asked["number"])
    if lesson is None:
        return _unwritten(asked["number"]), UNWRITTEN
    teach, practise = lesson.front["teaching_minutes"], lesson.front["exercise_minutes"]
    extra = 0 if not asked["exercises"] else practise if asked["minutes"] is None else min(int(asked["minutes"]), practise)
    return f"{link(lesson)}{f', {extra} of them for exercises' if extra else ''}", teach + extra


def numbered(course: Course, number: str) -> Lesson | None:
    """The lesson of a number of two digits, if there is one."""
    return next((lesson for lesson in course.lessons if lesson.number == number), None)


def _unwritten(number: str) -> str:
    return f"Lesson {int(number)} (not written yet)"


def _table(rows: list[tuple[str, int, str]]) -> str:
    lines = ["| from | minutes | |", "|---|---|---|"]
    return "\n".join(lines + [f"| {clock} | {minutes or ''} | {what} |" for clock, minutes, what in rows])


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _hours(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
