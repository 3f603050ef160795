"""What every lesson and notebook must be, checked in seconds and without executing anything.

Choices made here
- Freshness is one sum over the lesson and what it reads, never a comparison of outputs: those differ between machines.
- Every fault of every lesson is listed, not only the first.
- A text output may hold no time and no address in memory: it would change with each build.
"""

import ast
import base64
import html.parser
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from ladi_mini.course.answers import all_exercises
from ladi_mini.course.blank import student_notebook
from ladi_mini.course.lesson import BEGIN, END, Lesson, LessonError, solution_of
from ladi_mini.course.notebook import as_jpeg
from ladi_mini.course.readme import check as check_readme
from ladi_mini.course.repository import OWN, WIDGET, Course, declared_files, outputs_sum, source_sum
from ladi_mini.course.text import TextError, leftovers, links_in
from ladi_mini.errors import InputError

LONGEST_CELL = 25  # lines
LARGEST = 1_000_000  # bytes of a notebook
RULES = ("E", "F", "I", "B")  # ruff's, where there is no pyproject.toml
MACHINE = re.compile(r"/home/|/Users/|/root/|/tmp/|site-packages|[A-Z]:\\+Users")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
TIME = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:ns|µs|us|ms|s|secs?|seconds?|mins?|minutes?|it/s|s/it)\b")


def check(course: Course) -> list[InputError]:
    """Every fault of every lesson and notebook; an empty list if there is none."""
    faults: list[InputError] = []
    lessons = []
    for path in course.paths:
        try:
            lessons.append(Lesson(path))
        except InputError as fault:
            faults.append(fault)
    if faults:
        return faults  # labels and links of the others cannot be followed
    for lesson in lessons:
        found: list[InputError] = list(check_source(course, lesson))
        faults += found or check_products(course, lesson)
    slugs = {lesson.slug for lesson in lessons}
    for path in sorted((course.root / "notebooks").glob("**/*.ipynb")):
        if path.stem not in slugs and ".ipynb_checkpoints" not in path.parts:
            where = path.relative_to(course.root).as_posix()
            faults.append(InputError(f"{where}: there is no lesson lessons/{path.stem}.md; write it or remove the notebook."))
    return faults + check_readme(course)


# ---------------------------------------------------------------- the source


def check_source(course: Course, lesson: Lesson) -> list[LessonError]:
    """The faults of a lesson's source."""
    try:
        student_notebook(course, lesson)
        student_notebook(course, lesson, solved=True)
        declared_files(course, lesson)
    except LessonError as fault:
        return [fault]
    return [*_exercises(course, lesson), *_lengths(lesson), *_headings(lesson), *_links(course, lesson), *_lint(course, lesson)]


def _exercises(course: Course, lesson: Lesson) -> Iterator[LessonError]:
    file = f"ladi_mini/course/exercises/{lesson.topic}.py"
    known = all_exercises(course.root / "ladi_mini" / "course" / "exercises")
    for name, cell in lesson.exercises.items():
        if name not in known or known[name].lesson != lesson.topic:
            yield lesson.error(f"the exercise {name!r} has no checker; write one in {file}.", cell)
    for name, each in known.items():
        if each.lesson == lesson.topic and name not in lesson.exercises:
            fault = f"{file} checks {name!r}, but no cell asks for it; add `:exercise: {name}` to one."
            yield LessonError(lesson.path, fault)
    for cell in lesson.cells:
        if cell.kind != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check" and node.args:
                name = getattr(node.args[0], "value", None)
                if name not in lesson.exercises:
                    yield lesson.error(f"check() is asked for {name!r}, which is no exercise of this lesson.", cell, node.lineno)


def _lengths(lesson: Lesson) -> Iterator[LessonError]:
    for cell in lesson.cells:
        lines = [line for line in cell.source.splitlines() if line.strip() not in (BEGIN, END)]
        if cell.kind == "code" and len(lines) > LONGEST_CELL:
            yield lesson.error(f"the code has {len(lines)} lines, expected {LONGEST_CELL} at most; split it.", cell)


def _headings(lesson: Lesson) -> Iterator[LessonError]:
    for cell in lesson.cells:
        fenced = False
        for at, line in enumerate(cell.source.splitlines() if cell.kind == "markdown" else (), start=1):
            fenced ^= line.startswith("```")
            if not fenced and re.match(r"#\s", line):
                yield lesson.error("a heading of the first level; the title does that, so begin with `##`.", cell, at)


def _links(course: Course, lesson: Lesson) -> Iterator[LessonError]:
    for cell in lesson.cells:
        if cell.kind != "markdown":
            continue
        try:
            targets = links_in(cell.source)
        except TextError as error:
            yield lesson.error(error.fault, cell, error.line)
            continue
        for target, line in targets:
            if not (course.folder / target.partition("#")[0]).exists():
                yield lesson.error(f"the link to {target} leads nowhere; links are written as seen from lessons/.", cell, line)


def _lint(course: Course, lesson: Lesson) -> Iterator[LessonError]:
    """What ruff finds, told by cell and line of the lesson."""
    cells = [cell for cell in lesson.cells if cell.kind == "code"]
    notebook = new_notebook(cells=[new_code_cell(solution_of(cell)) for cell in cells])
    notebook.metadata["language_info"] = {"name": "python"}
    project = course.root / "pyproject.toml"
    own = 'lint.isort.known-first-party=["ladi_mini"]'
    alone = ["--isolated", "--line-length=130", f"--select={','.join(RULES)}", "--config", own]
    rules = ["--config", str(project)] if project.is_file() else alone
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"lesson_{lesson.topic}.ipynb"
        nbformat.write(notebook, file)
        command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=json", *rules, str(file)]
        # in the root, where ruff can see which modules are the project's own
        ran = subprocess.run(command, cwd=course.root, capture_output=True, text=True, encoding="utf-8")
    if ran.returncode not in (0, 1):
        raise InputError(f"ruff did not run ({' '.join(ran.stderr.split())}); install it with `pip install -e '.[test]'`.")
    for fault in json.loads(ran.stdout or "[]"):
        cell = cells[fault["cell"] - 1]
        line = _line_with_markers(cell.source, fault["location"]["row"])
        yield lesson.error(f"ruff {fault['code']}: {fault['message']}.", cell, line)


def _line_with_markers(source: str, row: int) -> int:
    """The line (from 1) in a cell's source of line `row` of the same without its markers."""
    kept = [at for at, line in enumerate(source.splitlines(), start=1) if line.strip() not in (BEGIN, END)]
    return kept[min(row, len(kept)) - 1] if kept else 1


# ---------------------------------------------------------------- what was built


def check_products(course: Course, lesson: Lesson) -> list[LessonError]:
    """The faults of a lesson's notebooks and card."""
    again = f"run `ladi-mini course build {lesson.number or lesson.slug}`"
    path = course.notebook(lesson)
    solutions = [course.solutions(lesson)] if lesson.exercises else []
    for file in (path, course.card(lesson), *solutions):
        if not file.is_file():
            return [LessonError(lesson.path, f"{file.relative_to(course.root).as_posix()} is missing; {again}.")]
    notebook = nbformat.read(path, as_version=4)
    faults = check_outputs(course, lesson, notebook)
    if path.stat().st_size > LARGEST:
        size = f"{path.stat().st_size / 1e6:.2f} MB, expected {LARGEST / 1e6:g} MB at most"
        faults.append(LessonError(lesson.path, f"the notebook has {size}; show fewer or smaller figures."))
    sums = notebook.metadata.get(OWN, {})
    if sums.get("source") != source_sum(course, lesson):
        fault = f"the lesson or a file that it reads changed since the notebook was made; {again}."
        return [*faults, LessonError(lesson.path, fault)]
    if sums.get("outputs") != outputs_sum(notebook):
        faults.append(LessonError(lesson.path, f"the outputs in the notebook are not those of its build; {again}."))
    for file in (path, *solutions):
        held, expected = nbformat.read(file, as_version=4), student_notebook(course, lesson, solved=file != path)
        if [(c.cell_type, c.source, c.id) for c in held.cells] != [(c.cell_type, c.source, c.id) for c in expected.cells]:
            name = file.relative_to(course.root).as_posix()
            fix = f"`ladi-mini course adopt {name}` if it was edited there, else {again}" if file == path else again
            faults.append(LessonError(lesson.path, f"{name} is not what the lesson says; {fix}."))
        if file != path and any(cell.get("outputs") for cell in held.cells):
            faults.append(LessonError(lesson.path, f"the notebook with the solutions has outputs; {again}."))
    return faults


def check_outputs(course: Course, lesson: Lesson, notebook) -> list[LessonError]:
    """The faults of an executed notebook: order, errors, widgets, paths, leftovers, scripts, figures."""
    faults = []
    code = iter([cell for cell in lesson.cells if cell.kind == "code"])
    ran = 0
    for held in notebook.cells:
        if held.cell_type == "markdown":
            faults += [LessonError(lesson.path, f"{what} of MyST is left in the notebook.") for what in leftovers(held.source)]
            faults += [LessonError(lesson.path, fault) for fault in _html_faults(held.source)]
            continue
        ran += 1
        if (cell := next(code, None)) is None:
            break
        if held.execution_count != ran:
            faults.append(lesson.error(f"the cell ran as number {held.execution_count}, expected {ran}.", cell))
        for output in held.outputs:
            faults += [lesson.error(fault, cell) for fault in _output_faults(output)]
    if "widgets" in notebook.metadata:
        faults.append(LessonError(lesson.path, "the notebook holds the state of widgets."))
    for path in (course.root, Path.home()):
        if len(str(path)) > 1 and json.dumps(str(path))[1:-1] in nbformat.writes(notebook):
            faults.append(LessonError(lesson.path, "the notebook holds a path of the machine that built it; print names only."))
    return faults


def _output_faults(output) -> Iterator[str]:
    if output.output_type == "error":
        yield f"the notebook shows an error ({output.ename})."
        return
    if output.output_type == "stream":
        if output.name == "stderr":
            yield f"the cell wrote to the standard error ({output.text.strip()[:60]!r}); catch the warning or hide the bar."
        yield from _text_faults(output.text)
        return
    if WIDGET in output.data:
        yield "the output holds a widget; only its static sheet is kept."
    images = [kind for kind in output.data if kind.startswith("image/")]
    for kind in images:
        if not str(output.metadata.get(kind, {}).get("alt", "")).strip():
            yield "a figure has no alt text; show it with ladi_mini.course.show(figure, alt=...)."
        elif kind == "image/png" and _much_lighter(output.data[kind]):
            yield "a figure is PNG, though JPEG is much lighter; show it with ladi_mini.course.show."
    if "text/plain" in output.data and not images and "text/html" not in output.data:
        yield from _text_faults(output.data["text/plain"])
    if "text/html" in output.data:
        yield from _html_faults(output.data["text/html"])
        yield from _text_faults(re.sub(r"<[^>]*>", " ", output.data["text/html"]))


def _text_faults(text: str) -> Iterator[str]:
    for what, pattern in (("a path of a machine", MACHINE), ("an address in memory", ADDRESS), ("a time", TIME)):
        if found := pattern.search(text):
            yield f"the output has {what} ({found[0]!r}), which is not the same elsewhere; leave it out."


def _much_lighter(content: str) -> bool:
    file = base64.b64decode(content)
    with Image.open(io.BytesIO(file)) as picture:
        return len(as_jpeg(picture)) < 0.5 * len(file)


class _Tags(html.parser.HTMLParser):
    """The faults of HTML in `faults`."""

    def __init__(self):
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        source = values.get("src") or (values.get("href") if tag == "link" else None) or ""
        if tag in ("script", "iframe", "object", "embed"):
            self.faults.append(f"there is a <{tag}>, which GitHub does not run and which may load something.")
        elif re.match(r"(https?:)?//", source):
            self.faults.append(f"<{tag}> loads {source} from outside; keep it in the repository.")
        elif tag == "img" and not (values.get("alt") or "").strip():
            self.faults.append("an <img> has no alt text; say what is seen in it.")


def _html_faults(text: str) -> list[str]:
    parser = _Tags()
    parser.feed(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL))
    outside = re.findall(r"!\[[^\]]*\]\((?:https?:)?//[^)]*\)", text)
    return parser.faults + [f"the picture {found} lies outside the repository." for found in outside]
