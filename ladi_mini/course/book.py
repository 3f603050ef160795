"""The book: pages made of the lessons' sources and of the outputs that lie in the notebooks.

Choices made here
- Nothing is executed. A page has the text of the lesson (MyST, so with boxes, folded hints and references that work) and the
  outputs of the notebook, which come from one execution.
- The pages are staged in `build/book/source` and read by Sphinx from there; warnings are errors, told by the lesson's lines.
- A page loads nothing from elsewhere: MathJax, one file, is copied from an installed package, and widgets are not in the pages.
- The book has a page for instructors for each lesson that has notes: the notes, links to where they belong, measured times.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ladi_mini.cards import read_card
from ladi_mini.course.blank import KERNEL
from ladi_mini.course.lesson import NAME, Cell, Lesson, solution_of
from ladi_mini.course.plan import fill
from ladi_mini.course.repository import Course
from ladi_mini.course.rules import check
from ladi_mini.course.text import HEADING, TextError, blocks, instructor_notes, relative, to_page, turn_links
from ladi_mini.errors import InputError

NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_design", "sphinx_copybutton", "sphinxcontrib.bibtex")
MATHJAX_PACKAGE, MATHJAX = "sphinx-mathjax-offline", "static/mathjax/tex-svg.js"
LESSONS, NOTES = "<!-- lessons -->", "<!-- notes -->"  # what the two index pages hold in place of the lists
CELL_LINES = 10_000  # how myst-nb numbers lines: 10,000 x cell + line


def book(course: Course, out: Path | None = None) -> Path:
    """Makes the book; returns its first page. `InputError` with every warning of Sphinx, told by lesson and line."""
    missing = [name for name in NEEDED if not _installed(name)]
    if missing or not _installed(MATHJAX_PACKAGE):
        raise InputError("the book needs packages that are not installed; install them: `pip install -e '.[book]'`.")
    if faults := check(course):
        raise InputError("\n".join(["the lessons are not as they should be:", *map(str, faults)]))
    folder = course.root / "build" / "book"
    source, out = folder / "source", Path(out) if out else folder / "html"
    shutil.rmtree(source, ignore_errors=True)
    stage(course, source)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html", "-d", str(folder / "doctrees")]
    ran = subprocess.run([*command, str(source), str(out)], capture_output=True, text=True, encoding="utf-8")
    if ran.returncode:
        raise InputError("the book was not made:\n" + _told(course, source, ran.stderr.strip()))
    return out / "index.html"


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it
        return False


# ---------------------------------------------------------------- staging


def stage(course: Course, source: Path) -> None:
    """Writes everything that Sphinx reads into the empty folder `source`."""
    for path in sorted(course.folder.rglob("*")):
        inside = path.relative_to(course.folder)
        if path.is_dir() or path in course.paths or "__pycache__" in inside.parts or inside.parts[0].startswith("."):
            continue
        (source / inside).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            (source / inside).write_text(_page(course, path, source), encoding="utf-8")
        else:
            shutil.copyfile(path, source / inside)
    alts: dict[str, str] = {}
    for lesson in course.lessons:
        page = lesson_page(course, lesson, source, alts)
        (source / f"{lesson.slug}.ipynb").write_text(nbformat.writes(page), encoding="utf-8")
        if notes := notes_page(course, lesson, source):
            (source / "instructor").mkdir(exist_ok=True)
            (source / "instructor" / f"{lesson.slug}.md").write_text(notes, encoding="utf-8")
    (source / "alts.json").write_text(json.dumps(alts), encoding="utf-8")
    spec = importlib.util.find_spec(MATHJAX_PACKAGE)
    (source / "_static").mkdir(exist_ok=True)
    shutil.copyfile(Path(spec.origin).parent / MATHJAX, source / "_static" / "mathjax.js")


def _page(course: Course, path: Path, source: Path) -> str:
    """A page that is written by hand, with its lists filled in and its links turned."""
    text = path.read_text(encoding="utf-8").replace(LESSONS, _list_of_lessons(course)).replace(NOTES, _list_of_notes(course))
    text = fill(text, course, path)
    here = source / path.parent.relative_to(course.folder)
    lines: list[str] = []
    for part in re.split(r"(^```.*?^```\s*$)", text, flags=re.MULTILINE | re.DOTALL):  # what is fenced stays as it is
        lines.append(part if part.startswith("```") else turn_links(part, linker(course, source, here, path.parent)))
    return "".join(lines)


def linker(course: Course, source: Path, here: Path, base: Path) -> Callable[[str], str]:
    """What turns a link as seen from `base` to one of a page staged in `here`; "" for what a book cannot link to."""

    def link(target: str) -> str:
        name, hash_, heading = target.partition("#")
        path = (base / name).resolve()
        if path in course.paths:
            return relative(source / f"{path.stem}.ipynb", here) + hash_ + heading
        if path.parent == course.folder and _unwritten(course, path.stem):
            return ""
        if path.is_relative_to(course.folder):
            return relative(source / path.relative_to(course.folder), here) + hash_ + heading
        if path.is_dir() or not path.suffix:
            return ""
        outside = relative(path, here)
        return outside if path.suffix in (".png", ".jpg", ".webp", ".svg", ".gif") else f"path:{outside}"

    return link


def _unwritten(course: Course, name: str) -> bool:
    """Whether `name` is that of a lesson whose number no lesson has yet; a slip in the name of one that is there is a fault."""
    match = NAME.fullmatch(name)
    return bool(match and match["number"]) and all(lesson.number != match["number"] for lesson in course.lessons)


def _list_of_lessons(course: Course) -> str:
    rows = ["| | minutes to read and run | for exercises | computing | largest memory |", "|---|---|---|---|---|"]
    for lesson in course.lessons:
        card, front = read_card(course.card(lesson)), lesson.front
        computing = f"{card['seconds']:.0f} s | {card['peak_memory_mb'] / 1000:.1f} GB"
        minutes = f"{front['teaching_minutes']} | {front['exercise_minutes'] or '-'}"
        rows.append(f"| [{lesson.heading}]({lesson.path.name}) | {minutes} | {computing} |")
    names = "\n".join(lesson.slug for lesson in course.lessons)
    return "\n".join(rows) + f"\n\n```{{toctree}}\n:hidden:\n:caption: Lessons\n\n{names}\n```"


def _list_of_notes(course: Course) -> str:
    lessons = [lesson for lesson in course.lessons if any(_notes(cell) for cell in lesson.cells)]
    links = "\n".join(f"- [{lesson.heading}]({lesson.slug}.md)" for lesson in lessons)
    names = "\n".join(lesson.slug for lesson in lessons)
    return f"{links}\n\n```{{toctree}}\n:hidden:\n\n{names}\n```" if lessons else "No lesson has notes yet."


# ---------------------------------------------------------------- pages


def lesson_page(course: Course, lesson: Lesson, source: Path, alts: dict[str, str]):
    """A lesson as a notebook for the book; `alts` gains the alt text of each picture by the name that myst-nb will give it."""
    held = nbformat.read(course.notebook(lesson), as_version=4)
    outputs = iter([cell for cell in held.cells if cell.cell_type == "code"])
    link = linker(course, source, source, course.folder)
    cells = [new_markdown_cell(_header(course, lesson, link), metadata={"line": 1})]
    for cell, full in zip(lesson.blank, lesson.cells, strict=True):
        if cell.kind == "code":
            ran = next(outputs)
            _collect_alts(ran, alts)
            tags = {"tags": cell.options["tags"]} if "tags" in cell.options else {}
            cells.append(new_code_cell(cell.source, outputs=ran.outputs, execution_count=ran.execution_count, metadata=tags))
            if cell.exercise:
                solution = f"`````{{dropdown}} Solution\n\n```python\n{solution_of(full).strip()}\n```\n`````"
                cells.append(new_markdown_cell(solution))
        elif text := to_page(cell.source, link):
            text = f"({_place(lesson, cell)})=\n{text}" if _anchored(lesson, cell) else text
            cells.append(new_markdown_cell(text, metadata={"line": cell.line}))
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


def _header(course: Course, lesson: Lesson, link: Callable[[str], str]) -> str:
    front, card = lesson.front, read_card(course.card(lesson))
    minutes = f"{front['teaching_minutes']} minutes to read and run"
    if front["exercise_minutes"]:
        minutes += f", {front['exercise_minutes']} for the exercises"
    cost = f"{card['seconds']:.0f} seconds and {card['peak_memory_mb'] / 1000:.1f} GB of memory"
    parts = [f"# {lesson.heading}", f"*{minutes}. Running it took {cost} on {card['hardware']}.*"]
    for key, words in (("objectives", "You will be able to"), ("prerequisites", "You should know")):
        if front[key]:
            parts.append(f"**{words}**\n\n" + "\n".join(f"- {to_page(sentence, link)}" for sentence in front[key]))
    if front["paper"]:
        parts.append(f"**In the paper:** {to_page(front['paper'], link)}")
    return "\n\n".join(parts)


def _collect_alts(cell, alts: dict[str, str]) -> None:
    for output in cell.outputs:
        for kind, values in output.get("metadata", {}).items():
            if kind.startswith("image/") and "alt" in values:
                alts[hashlib.sha256(b64decode(output.data[kind])).hexdigest()] = values["alt"]


def notes_page(course: Course, lesson: Lesson, source: Path) -> str:
    """The instructor's page of a lesson, `""` if it has no notes."""
    here = source / "instructor"
    link = linker(course, source, here, course.folder)
    parts = []
    for cell in lesson.cells:
        for note in _notes(cell):
            place = _nearest(lesson, cell)
            heading, line = _heading(lesson, cell, note.start), note.start + cell.line - 1
            where = f"[{heading}](#{_place(lesson, place)})" if place else heading
            parts.append(f"## {heading}\n\nBeside {where}, line {line} of the source.\n")
            try:
                parts.append(to_page("\n".join(note.lines), link) + "\n")
            except TextError as error:
                raise lesson.error(error.fault, cell, note.line + error.line - 1) from None
    if not parts:
        return ""
    card = read_card(course.card(lesson))
    slowest = sorted(card["cells"], key=lambda each: -each["cpu_seconds"])[:5]
    rows = "\n".join(f"| {each['cell']} | {each['line']} | {each['cpu_seconds']:.1f} |" for each in slowest)
    table = f"| cell | line of the source | CPU seconds |\n|---|---|---|\n{rows}"
    measured = f"## Where the time goes\n\nMeasured on {card['hardware']}; the five cells that compute longest.\n\n{table}\n"
    return "\n".join([f"# {lesson.heading}: notes\n", *_merged(parts), measured])


def _merged(parts: list[str]) -> list[str]:
    """Without a heading that is the same as the one before."""
    kept, last = [], None
    for part in parts:
        heading = part.split("\n", 1)[0] if part.startswith("## ") else None
        kept.append(part if heading is None or heading != last else part.split("\n", 1)[1].lstrip("\n"))
        last = heading or last
    return kept


def _notes(cell: Cell) -> list:
    return instructor_notes(cell.source) if cell.kind == "markdown" else []


def _heading(lesson: Lesson, cell: Cell, line: int) -> str:
    """The last heading before line `line` of a cell."""
    texts = [other.source for other in lesson.cells[: cell.number - 1] if other.kind == "markdown"]
    texts.append("\n".join(cell.source.splitlines()[: line - 1]))
    found = [lesson.front["title"]]
    for text in texts:
        for block in blocks(text.splitlines()):
            lines = block.lines if block.kind == "text" else []
            found += [heading["text"] for each in lines if (heading := HEADING.match(each))]
    return found[-1]


def _nearest(lesson: Lesson, cell: Cell) -> Cell | None:
    """The text cell at or before `cell` that is on the lesson's page."""
    texts = [other for other in lesson.cells[: cell.number] if other.kind == "markdown" and to_page(other.source, lambda t: t)]
    return texts[-1] if texts else None


def _anchored(lesson: Lesson, cell: Cell) -> bool:
    """Whether a note refers to this cell."""
    noted = [_nearest(lesson, other) for other in lesson.cells if _notes(other)]
    return cell.number in [other.number for other in noted if other]


def _place(lesson: Lesson, cell: Cell) -> str:
    return f"{lesson.slug.replace('_', '-')}-cell-{cell.number}"


def _told(course: Course, source: Path, said: str) -> str:
    """Sphinx's warnings with the places in the lessons instead of those in the staged pages."""

    def place(match: re.Match) -> str:
        page, number = source / match["page"], int(match["line"] or 0)
        if page.suffix != ".ipynb":
            return f"lessons/{match['page']}{':' + match['line'] if match['line'] else ''}"
        cells = nbformat.read(page, as_version=4).cells
        at = min(max(number // CELL_LINES - 1, 0), len(cells) - 1)
        line = cells[at].metadata.get("line")
        return f"lessons/{page.stem}.md{f', line {line + number % CELL_LINES - 1}' if line else ''}"

    names = re.compile(rf"{re.escape(str(source))}/(?P<page>[\w./-]+?\.(?:ipynb|md))(?::(?P<line>\d+))?")
    return names.sub(place, re.sub(r"\x1b\[[0-9;]*m", "", said))


# ---------------------------------------------------------------- a Sphinx extension


def setup(app) -> dict:
    """Gives the pictures of the notebooks their alt texts, and keeps a formula on the line of its comma and its bracket."""
    from docutils import nodes

    alts = json.loads((Path(app.srcdir) / "alts.json").read_text(encoding="utf-8"))

    def describe(app, doctree):
        for image in doctree.findall(nodes.image):
            image.setdefault("alt", alts.get(Path(image["uri"]).stem, image.get("alt", "")))

    def keep_together(app, doctree):  # browsers break lines before and after a formula, whatever stands there
        for formula in list(doctree.findall(nodes.math)):
            parent, place = formula.parent, formula.parent.index(formula)
            around = [parent[i] if 0 <= i < len(parent) else None for i in (place - 1, place + 1)]
            before, after = (str(node) if isinstance(node, nodes.Text) else "" for node in around)
            opening, closing = re.search(r"[(\[“]*$", before)[0], re.match(r"[)\],.;:!?”]*", after)[0]
            if opening:
                parent.replace(around[0], nodes.Text(before.removesuffix(opening)))
            if closing:
                parent.replace(around[1], nodes.Text(after.removeprefix(closing)))
            if opening or closing:
                held = [nodes.Text(opening), formula.deepcopy(), nodes.Text(closing)]
                parent.replace(formula, nodes.inline("", "", *held, classes=["together"]))

    app.connect("doctree-read", describe)
    app.connect("doctree-read", keep_together)
    return {"version": "1", "parallel_read_safe": True}
