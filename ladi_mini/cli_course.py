"""The commands `ladi-mini course ...`: for those who write lessons."""

import time
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
app = typer.Typer(no_args_is_help=True, help="Lessons: build them into notebooks and the book, check them, begin one.")
RootOption = Annotated[Path, typer.Option("--root", hidden=True, help="Another course's folder.")]


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NN ...]", help="Lessons; those not fresh if not given.")] = None,
    root: RootOption = ROOT,
):
    """Executes lessons once each and writes their notebooks, solutions and cards, and the README's table."""
    from tqdm import tqdm

    from ladi_mini.course.build import build as run
    from ladi_mini.course.readme import write
    from ladi_mini.course.repository import Course
    from ladi_mini.course.rules import check_products

    course = Course(root)
    lessons = (
        [course.find(name) for name in names] if names else [each for each in course.lessons if check_products(course, each)]
    )
    if not lessons:
        typer.echo("Every notebook is fresh. Name a lesson to build it all the same.")
    for lesson in lessons:
        cells = sum(cell.kind == "code" for cell in lesson.cells)
        with tqdm(total=cells, desc=lesson.slug, unit="cell") as bar:
            path = run(course, lesson, lambda done, total, bar=bar: bar.update(done - bar.n))
        size = path.stat().st_size / 1e6
        typer.echo(f"Written: {path} ({size:.2f} MB) with its solutions and {course.card(lesson)}.")
        write(course)
        if faults := check_products(course, lesson):  # such as a notebook that has become too large
            raise faults[0]
    if readme := write(course):
        typer.echo(f"Written: the table of lessons in {readme}.")


@app.command()
def check(root: RootOption = ROOT):
    """Checks every lesson and notebook without executing anything. Exit code 2 if there is a fault."""
    from ladi_mini.course.repository import Course
    from ladi_mini.course.rules import check as run

    begun = time.perf_counter()
    course = Course(root)
    faults = run(course)
    for fault in faults:
        typer.echo(f"Error: {fault}", err=True)
    if faults:
        raise typer.Exit(2)
    typer.echo(f"{len(course.paths)} lessons are as they should be ({time.perf_counter() - begun:.1f} s).")


@app.command()
def adopt(
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK.ipynb", help="A notebook of the folder notebooks.")],
    root: RootOption = ROOT,
):
    """Carries edits of text and code made in a notebook back into its lesson."""
    from ladi_mini.course.adopt import adopt as run
    from ladi_mini.course.repository import Course

    course = Course(root)
    lines = run(course, notebook)
    if not lines:
        typer.echo("The notebook says what the lesson says; nothing to adopt.")
        return
    lesson = course.find(notebook.stem)
    for line in lines:
        typer.echo(f"lessons/{lesson.path.name}, line {line}: changed")
    typer.echo(f"Next: `ladi-mini course build {lesson.number or lesson.slug}`.")


@app.command()
def new(
    slug: Annotated[str, typer.Argument(metavar="NN_slug", help="Such as 08_garments: a number and a word.")],
    root: RootOption = ROOT,
):
    """Begins a lesson from a template that shows everything a lesson can have."""
    from ladi_mini.course.new import new as run
    from ladi_mini.course.repository import Course

    for path in run(Course(root), slug):
        typer.echo(f"Written: {path}")
    typer.echo(f"Next: read lessons/{slug}.md, then `ladi-mini course build {slug}`.")


@app.command()
def book(
    out: Annotated[Path | None, typer.Option("--out", help="Where the pages go; build/book/html if not given.")] = None,
    root: RootOption = ROOT,
):
    """Makes the book from lessons and notebooks; executes nothing, needs no network. Needs the extra `book`."""
    from ladi_mini.course.book import book as run
    from ladi_mini.course.repository import Course

    typer.echo(f"Written: {run(Course(root), out)}. Open it in a browser.")


@app.command()
def slides(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NN ...]", help="Lessons; all if not given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder; build/slides if not given.")] = None,
    root: RootOption = ROOT,
):
    """Writes slides for lessons, one file each that needs nothing else: its figures, formulas, questions, five lines."""
    from ladi_mini.course.repository import Course
    from ladi_mini.course.slides import slides as run

    course = Course(root)
    for lesson in [course.find(name) for name in names] if names else course.lessons:
        path = run(course, lesson, out)
        typer.echo(f"Written: {path} ({path.stat().st_size / 1e6:.1f} MB).")


@app.command()
def colab(
    repository: Annotated[str | None, typer.Option(help="Where Colab clones from; that of pyproject.toml if not given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder; build/colab if not given.")] = None,
    root: RootOption = ROOT,
):
    """Writes copies of the notebooks whose first cell installs the course in Google Colab."""
    from ladi_mini.course.colab import write
    from ladi_mini.course.repository import Course

    for path in write(Course(root), repository, out):
        typer.echo(f"Written: {path}")
