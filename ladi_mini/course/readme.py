"""The README's table of lessons: minutes from the front matter, seconds from the cards, and how a lesson looks.

Choices made here
- The table stands between `<!-- lessons -->` and `<!-- end lessons -->`; `ladi-mini course build` writes it and `check` compares.
- What a lesson looks like is its first figure, small, in `data/results/lessons`; `<!-- lessons 03:4 -->` asks for the fourth of
  lesson 3. A lesson that is not built yet has no row.
"""

import io
import re
import textwrap
from base64 import b64decode
from pathlib import Path

import nbformat
from PIL import Image

from ladi_mini.cards import read_card, write_text
from ladi_mini.course.lesson import Lesson
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError

TABLE = re.compile(r"(<!-- lessons((?: \w+:\d+)*) -->\n).*?(<!-- end lessons -->)", re.DOTALL)
SIZE = 360, 200  # largest width and height of the small picture
WORDS = 160  # letters of its alt text


def table(course: Course, chosen: dict[str, int]) -> str:
    """The table; `chosen` has the number of a lesson's figure (from 1) by the lesson's number or name."""
    rows = ["| lesson | reading and running | exercises | computing, 2 cores | looks like |", "|---|---|---|---|---|"]
    for lesson in built(course):
        front, card = lesson.front, read_card(course.card(lesson))
        name = f"{int(lesson.number)}. {front['title']}" if lesson.number else front["title"]
        exercises = f"{front['exercise_minutes']} min" if front["exercise_minutes"] else "-"
        figures = pictures(course, lesson)
        looks = ""
        if figures:
            alt = textwrap.shorten(_figure(lesson, figures, chosen)[0], WORDS, placeholder=" ...")
            alt = re.sub(r"([\[\]|])", r"\\\1", alt)
            looks = f"![{alt}]({_name(course, lesson)})"
        cells = [f"[{name}](notebooks/{lesson.slug}.ipynb)", f"{front['teaching_minutes']} min", exercises]
        cells += [f"{card['seconds']:.0f} s", looks]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def built(course: Course) -> list[Lesson]:
    """The lessons that have a notebook and a card."""
    return [lesson for lesson in course.lessons if course.notebook(lesson).is_file() and course.card(lesson).is_file()]


def pictures(course: Course, lesson: Lesson) -> list[tuple[str, bytes]]:
    """(alt text, file) of each picture of a lesson's notebook."""
    found = []
    for cell in nbformat.read(course.notebook(lesson), as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in (kind for kind in output.get("data", {}) if kind.startswith("image/")):
                found.append((output.metadata.get(kind, {}).get("alt", ""), b64decode(output.data[kind])))
    return found


def write(course: Course) -> Path | None:
    """Writes table and small pictures; the README, or None if it has no place for them."""
    readme = course.root / "README.md"
    found = TABLE.search(readme.read_text(encoding="utf-8")) if readme.is_file() else None
    if found is None:
        return None
    for lesson in built(course):
        if figures := pictures(course, lesson):
            with Image.open(io.BytesIO(_figure(lesson, figures, _chosen(found[2]))[1])) as picture:
                small = picture.convert("RGB")
            small.thumbnail(SIZE, Image.Resampling.LANCZOS)
            small.save(course.card(lesson).with_suffix(".webp"), quality=85, method=6)
    write_text(readme, filled(course, readme.read_text(encoding="utf-8")))
    return readme


def check(course: Course) -> list[InputError]:
    """A fault if the table is not that of lessons and cards, or a small picture is missing."""
    readme = course.root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    small = [course.card(lesson).with_suffix(".webp") for lesson in built(course) if pictures(course, lesson)]
    if TABLE.search(text) and (filled(course, text) != text or not all(path.is_file() for path in small)):
        return [InputError("README.md: its table is not that of lessons and cards; run `ladi-mini course build`.")]
    return []


def filled(course: Course, text: str) -> str:
    """`text` with the table made anew."""
    return TABLE.sub(lambda found: found[1] + table(course, _chosen(found[2])) + found[3], text)


def _chosen(words: str) -> dict[str, int]:
    return {name: int(number) for name, number in (word.split(":") for word in words.split())}


def _figure(lesson: Lesson, figures: list[tuple[str, bytes]], chosen: dict[str, int]) -> tuple[str, bytes]:
    number = chosen.get(lesson.number or lesson.slug, 1)
    if not 1 <= number <= len(figures):
        fault = f"figure {number} of lesson {lesson.slug} is asked for, but it has {len(figures)}"
        raise InputError(f"README.md: {fault}; choose one of them in `<!-- lessons ... -->`.")
    return figures[number - 1]


def _name(course: Course, lesson: Lesson) -> str:
    return course.card(lesson).with_suffix(".webp").relative_to(course.root).as_posix()
