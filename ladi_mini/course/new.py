"""Beginning a lesson: the three files that one needs, from a template that shows everything a lesson can have.

Choices made here
- The template is a lesson in how to write one: it builds and passes every check as it is.
- Nothing is overwritten; names that would clash are refused before anything is written.
"""

from pathlib import Path

from ladi_mini.cards import write_text
from ladi_mini.course.lesson import NAME
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError

TEMPLATE = Path(__file__).parent / "template"


def new(course: Course, slug: str) -> list[Path]:
    """Writes lesson, checkers and wrong answers of `slug` (such as "08_garments"); returns the three files."""
    match = NAME.fullmatch(slug)
    if match is None:
        raise InputError(
            f"{slug!r} is no name for a lesson, expected NN_slug such as 08_garments; use small letters, digits and _."
        )
    topic = match["topic"]
    files = {
        course.folder / f"{slug}.md": "lesson.md",
        course.root / "ladi_mini" / "course" / "exercises" / f"{topic}.py": "exercises.py",
        course.root / "tests" / "course" / "wrong_answers" / f"{topic}.py": "wrong_answers.py",
    }
    for path in files:
        if path.exists():
            raise InputError(f"{path} is there already; choose another name or edit that file.")
    if match["number"]:
        for path in course.paths:
            if path.stem.startswith(f"{match['number']}_"):
                raise InputError(f"lesson {match['number']} is lessons/{path.name}; choose another number.")
    for path, name in files.items():
        text = (TEMPLATE / name).read_text(encoding="utf-8")
        write_text(path, text.replace("SLUG", slug).replace("TOPIC", topic))
    return list(files)
