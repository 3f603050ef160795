"""A repository's lessons: where each of them and its products lie, what it reads, and the sums that tell whether it is fresh.

Choices made here
- A notebook carries two sums: one over what it was made from (the lesson, the cards and checkpoints it reads), one over its
  outputs. `build.py` writes them after an execution that succeeded and nowhere else; `rules.py` compares them.
"""

import glob
import hashlib
import json
from functools import cached_property
from pathlib import Path

from ladi_mini.course.lesson import Lesson, LessonError, source_lines
from ladi_mini.course.text import Place, cited, equations_in, labels_in, relative
from ladi_mini.errors import InputError

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
        """All lessons; a `LessonError` if one cannot be read, or has the number or the topic of another."""
        lessons = [Lesson(path) for path in self.paths]
        for at, lesson in enumerate(lessons):
            for other in lessons[:at]:
                if lesson.topic == other.topic or (lesson.number and lesson.number == other.number):
                    fault = f"its number or topic is also that of {other.path.name}, so their products would be one; rename it."
                    raise LessonError(lesson.path, fault)
        return lessons

    def find(self, name: str) -> Lesson:
        """The lesson of a number, a name with or without the number, or a file's name."""
        wanted = Path(name).name.removesuffix(".md").removesuffix(".ipynb")
        for at, path in enumerate(self.paths):
            number, _, topic = path.stem.partition("_")
            if wanted in {path.stem, *((number, number.lstrip("0") or "0", topic) if number.isdigit() else ())}:
                return self.lessons[at]
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
            label: ("" if other.slug == lesson.slug else f"{other.slug}.ipynb", heading)
            for label, (other, heading) in self.labels.items()
        }
        return Place(
            link=lambda target: self.link(target, folder),
            labels=labels,
            equations=equations_in(texts(lesson)),
            cite=lambda key: cited(self.papers, key),
        )


def is_lesson(path: Path) -> bool:
    """Whether a Markdown file is a lesson: its front matter has a kernel or objectives."""
    lines = source_lines(path)
    if not lines or lines[0].strip() != "---" or "---" not in (rest := [line.strip() for line in lines[1:]]):
        return False
    return any(line.startswith(("kernelspec:", "objectives:")) for line in rest[: rest.index("---")])


def texts(lesson: Lesson) -> list[str]:
    """The texts of a lesson: its text cells, and those of its front matter."""
    front = lesson.front
    cells = [cell.source for cell in lesson.cells if cell.kind == "markdown"]
    return [*cells, front["paper"] or "", *front["objectives"], *front["prerequisites"]]


def declared_files(course: Course, lesson: Lesson) -> list[Path]:
    """The files that the front matter's `reads` names; `LessonError` for a name outside data/ or one that finds none."""
    found: dict[Path, None] = {}
    for pattern in lesson.front["reads"]:
        if not pattern.startswith("data/") or ".." in pattern.split("/"):
            raise LessonError(lesson.path, f"'reads' names {pattern}, expected files under data/; correct it.", line=1)
        matches = (course.root / name for name in glob.glob(pattern, root_dir=course.root))
        paths = sorted(path for path in matches if path.is_file())
        if not paths:
            fix = f"write {pattern.rstrip('/')}/*" if (course.root / pattern).is_dir() else "correct it"
            raise LessonError(lesson.path, f"'reads' names {pattern}, but there is no such file; {fix}.", line=1)
        found |= dict.fromkeys(paths)
    return list(found)


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
