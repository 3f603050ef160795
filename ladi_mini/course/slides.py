"""Slides of a lesson: one HTML file that needs nothing else, made of the lesson's headings, formulas and questions and of the
figures that lie in its notebook.

Choices made here
- Nothing is written for the slides alone, so they cannot fall behind the lesson: its objectives, every figure under its heading,
  the labelled equations, tables, exercises, check-yourself questions and the five lines, in the lesson's order.
- Pictures and MathJax are inside the file. It is shown from a stick, in a room without a network, by any browser.
- Each slide carries notes: what is seen in its figure, and the instructor's notes beside it. The key N shows them.
- Without JavaScript, and on paper, the slides stand one below the other.
"""

import html
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ladi_mini.cards import write_text
from ladi_mini.course.lesson import Cell, Lesson
from ladi_mini.course.repository import Course
from ladi_mini.course.rules import check_products
from ladi_mini.course.text import EQUATION, HEADING, LABEL, Block, Place, blocks, to_commonmark
from ladi_mini.errors import InputError

PARTS = Path(__file__).parent / "template"
MATHJAX_PACKAGE, MATHJAX = "sphinx-mathjax-offline", "static/mathjax/tex-svg.js"
FORMULAS = 2  # on one slide
QUESTION = "Check yourself"
EXERCISE = re.compile(r"exercise\b", re.IGNORECASE)
TABLE = re.compile(r"\s*\|")


@dataclass
class Slide:
    """One slide: what kind it is (its CSS class), its title, the section that it is in, its content and its notes, as HTML."""

    kind: str
    title: str
    section: str
    body: str
    notes: list[str] = field(default_factory=list)


def slides(course: Course, lesson: Lesson, out: Path | None = None) -> Path:
    """Writes the slides of a lesson into the folder `out` (`build/slides`); returns the file.

    Raises the first fault of the lesson's notebook if it is not fresh.
    """
    if faults := check_products(course, lesson):
        raise faults[0]
    path = (Path(out) if out else course.root / "build" / "slides") / f"{lesson.slug}.html"
    write_text(path, page(lesson, deck(course, lesson)))
    return path


# ---------------------------------------------------------------- from a lesson to slides


def deck(course: Course, lesson: Lesson) -> list[Slide]:
    """The slides of a lesson, in its order."""
    held = nbformat.read(course.notebook(lesson), as_version=4)
    ran = iter([cell for cell in held.cells if cell.cell_type == "code"])
    writer = _Writer(lesson, course.place(lesson, course.folder))
    for cell in lesson.cells:
        if cell.kind == "code":
            for output in next(ran).get("outputs", []):
                writer.output(output)
        else:
            writer.text(cell)
    writer.close()
    return writer.slides


class _Writer:
    """Reads a lesson from top to bottom and writes slides."""

    def __init__(self, lesson: Lesson, place: Place):
        self.place, self.section, self.heading = place, "", ""
        self.formulas: list[str] = []
        self.waiting: list[str] = []  # notes that have no slide yet
        front = lesson.front
        minutes = f"{front['teaching_minutes']} minutes"
        if front["exercise_minutes"]:
            minutes += f", and {front['exercise_minutes']} for the exercises"
        paper = f"<p>{_inline(front['paper'], place)}</p>" if front["paper"] else ""
        self.slides = [Slide("title", html.escape(lesson.heading), "", f"{paper}<p>{minutes}</p>")]
        lists = [("You will be able to", front["objectives"]), ("You should know", front["prerequisites"])]
        for title, sentences in lists:
            if sentences:
                self.slides.append(Slide("points", title, "", self._points(sentences)))

    # -------------------------------------------------------- what comes, in its order

    def text(self, cell: Cell) -> None:
        """The slides that a text cell makes."""
        for block in blocks(cell.source.splitlines()):
            if block.kind == "text":
                self._plain(block.lines)
            elif block.kind == "math" and "label" in block.options:
                self.formulas.append(self._html([f"```{{math}}\n:label: {block.options['label']}\n", *block.lines, "```"]))
            elif block.kind == "instructor":
                self._note(self._html(block.lines))
            elif block.kind == "dropdown" and QUESTION in (block.argument[: len(QUESTION)], self.heading[: len(QUESTION)]):
                self._question(block)

    def output(self, output) -> None:
        """The slide of an output, if it is a picture."""
        for kind in (kind for kind in output.get("data", {}) if kind.startswith("image/")):
            alt = str(output.metadata.get(kind, {}).get("alt", ""))
            source = f"data:{kind};base64,{''.join(output.data[kind].split())}"
            self._add("figure", f'<img src="{source}" alt="{html.escape(alt)}">', f"<p><i>Seen here:</i> {html.escape(alt)}</p>")

    def close(self) -> None:
        """What was still waiting."""
        self._flush()
        if self.waiting:
            self.slides[-1].notes += self.waiting

    # -------------------------------------------------------- how

    def _plain(self, lines: list[str]) -> None:
        for heading, body in _sections(lines):
            if heading:
                self._flush()
                self.heading = heading["text"]
                self.section = heading["text"] if len(heading["level"]) == 2 else self.section
            if EXERCISE.match(self.heading) and heading:
                self._add("exercise", self._html(body))
            elif self.heading == "In five lines":
                if points := [point for point in _items(body) if point]:
                    self._add("points", self._points(points))
            else:
                self.formulas += [self._html(formula) for formula in _labelled(body)]
                for table in _tables(body):
                    self._add("table", self._html(table))

    def _question(self, block: Block) -> None:
        asked = re.sub(rf"^{QUESTION}:?\s*", "", block.argument) or block.argument
        asked = asked[:1].upper() + asked[1:]
        answer = f"<details><summary>Answer</summary>{self._html(block.lines)}</details>"
        self._add("question", f"<p class=asked>{_inline(asked, self.place)}</p>{answer}", title=QUESTION)

    def _add(self, kind: str, body: str, *notes: str, title: str | None = None) -> None:
        self._flush()
        heading = _inline(self.heading or self.section, self.place) if title is None else title
        section = _inline(self.section, self.place) if title is not None or self.section != self.heading else ""
        self.slides.append(Slide(kind, heading, section, body, [*notes, *self.waiting]))
        self.waiting = []

    def _flush(self) -> None:
        """Writes the formulas that have gathered under a heading."""
        formulas, self.formulas = self.formulas, []
        for at in range(0, len(formulas), FORMULAS):
            self._add("formulas", "".join(formulas[at : at + FORMULAS]))

    def _note(self, note: str) -> None:
        here = self.slides[-1].kind not in ("title", "points") and self.slides[-1].title == _inline(self.heading, self.place)
        (self.slides[-1].notes if here and not self.formulas else self.waiting).append(note)

    def _points(self, sentences: list[str]) -> str:
        return "<ul>" + "".join(f"<li>{_inline(sentence, self.place)}</li>" for sentence in sentences) + "</ul>"

    def _html(self, lines: list[str]) -> str:
        return _no_links(_markdown().render(to_commonmark("\n".join(lines), self.place)))


def _sections(lines: list[str]) -> Iterator[tuple[re.Match | None, list[str]]]:
    """A text parted at its headings: (heading or None, the lines below it)."""
    heading, body = None, []
    for line in lines:
        if found := HEADING.match(line):
            yield heading, body
            heading, body = found, []
        elif not LABEL.match(line):
            body.append(line)
    yield heading, body


def _labelled(lines: list[str]) -> Iterator[list[str]]:
    """The displayed equations that have a label."""
    begun = None
    for at, line in enumerate(lines):
        marks = line.count("$$")
        if begun is None and marks:
            begun = at
        elif not marks:
            continue
        if marks == 2 or begun != at:
            if EQUATION.search(line):
                yield lines[begun : at + 1]
            begun = None


def _tables(lines: list[str]) -> Iterator[list[str]]:
    found: list[str] = []
    for line in [*lines, ""]:
        if TABLE.match(line):
            found.append(line)
        elif found:
            yield found
            found = []


def _items(lines: list[str]) -> list[str]:
    """The points of a list, each as one line."""
    points: list[str] = []
    for line in lines:
        if re.match(r"[-*] |\d+\. ", line):
            points.append(line.split(" ", 1)[1])
        elif points and line.startswith(" "):
            points[-1] += " " + line.strip()
    return points


# ---------------------------------------------------------------- Markdown


@cache
def _markdown() -> MarkdownIt:
    def formula(content: str, options: dict) -> str:
        marks = r"\[{}\]" if options["display_mode"] else r"\({}\)"
        return marks.format(html.escape(content))

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=formula, allow_space=False)


def _inline(text: str, place: Place) -> str:
    return _no_links(_markdown().renderInline(to_commonmark(text, place)))


def _no_links(text: str) -> str:
    """HTML whose links are text, except those that lead into the network: a file that is carried around has no neighbours."""
    return re.sub(r'<a href="(?!https?:)[^"]*">(.*?)</a>', r"\1", text, flags=re.DOTALL)


# ---------------------------------------------------------------- the file


def page(lesson: Lesson, deck: list[Slide]) -> str:
    """The slides as one HTML file."""
    parts = "\n".join(_section(slide, number, len(deck)) for number, slide in enumerate(deck, start=1))
    math = _mathjax() if re.search(r"\\[(\[]", parts) else ""
    fill = {"TITLE": html.escape(lesson.heading), "STYLE": _part("slides.css"), "SCRIPT": _part("slides.js")}
    fill |= {"MATHJAX": math, "SLIDES": parts}
    return re.sub(r"<!--([A-Z]+)-->", lambda found: fill[found[1]], _part("slides.html"))


def _section(slide: Slide, number: int, count: int) -> str:
    tag = "h1" if slide.kind == "title" else "h2"
    section = f"<p class=section>{slide.section}</p>" if slide.section else ""
    notes = f'<aside class=notes aria-label="Notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
    return (
        f'<section class="slide {slide.kind}" id="s{number}" aria-label="Slide {number} of {count}">\n'
        f"<header>{section}<{tag}>{slide.title}</{tag}></header>\n<div class=body>{slide.body}</div>\n"
        f"<footer>{number} / {count}</footer>\n{notes}</section>"
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8").strip()


def _mathjax() -> str:
    spec = importlib.util.find_spec(MATHJAX_PACKAGE)
    if spec is None:
        raise InputError("slides with formulas need MathJax, which is not installed; install it: `pip install -e '.[book]'`.")
    script = (Path(spec.origin).parent / MATHJAX).read_text(encoding="utf-8").replace("</script", r"<\/script")
    settings = "{options: {enableMenu: false}, svg: {fontCache: 'local'}}"
    return f"<script>window.MathJax = {settings};</script>\n<script>{script}</script>"
