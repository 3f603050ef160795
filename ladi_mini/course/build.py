"""From one execution of a lesson: the notebook, its solutions, and the card of what it cost.

Choices made here
- Times and memory change from run to run and go to `data/results/lessons/`.
- Everything is written beside its place and renamed, when all of it is there.
"""

from collections.abc import Callable
from pathlib import Path

from ladi_mini.cards import circumstances, write_card
from ladi_mini.course.blank import KERNEL, student_notebook, write_notebook
from ladi_mini.course.execute import Run, execute
from ladi_mini.course.lesson import Lesson, LessonError
from ladi_mini.course.repository import OWN, WIDGET, Course, declared_files, outputs_sum, source_sum
from ladi_mini.course.rules import check_outputs, check_source
from ladi_mini.course.text import relative

FREE = ("data/cache/", "data/outputs/")  # what a lesson may open without saying so: it can be made again


def build(course: Course, lesson: Lesson, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Executes a lesson and writes its notebook, its solutions and its card; returns the notebook.

    A `LessonError` says what is wrong with the source or which cell failed; nothing is written then.
    """
    if faults := check_source(course, lesson):
        raise faults[0]
    blank, solved = student_notebook(course, lesson), student_notebook(course, lesson, solved=True)
    run = execute(lesson, blank, course.root, progress)
    _check_reads(course, lesson, run)
    tidy(run.notebook)
    run.notebook.metadata = blank.metadata | {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        OWN: {"lesson": lesson.slug, "source": source_sum(course, lesson), "outputs": outputs_sum(run.notebook)},
    }
    if faults := check_outputs(course, lesson, run.notebook):
        raise faults[0]
    code = [cell for cell in lesson.cells if cell.kind == "code"]
    card = {
        "what": f"one execution of lesson {lesson.slug}, as a student runs it",
        "seconds": round(run.seconds, 1),
        "cpu_seconds": round(sum(run.cpu_seconds), 1),
        "peak_memory_mb": run.peak_memory_mb,
        "cells": [
            {"cell": cell.number, "line": cell.line, "cpu_seconds": seconds}
            for cell, seconds in zip(code, run.cpu_seconds, strict=True)
        ],
        "protocol": "seconds on the clock and of CPU, kernel and imports included, on two threads; largest resident memory",
        **circumstances(),
    }
    if lesson.exercises:
        write_notebook(course.solutions(lesson), solved)
    write_card(course.card(lesson), card)
    write_notebook(course.notebook(lesson), run.notebook)
    return course.notebook(lesson)


def tidy(notebook) -> None:
    """Takes out of a notebook, in place, what changes from run to run or would not be shown: widgets, timings, split streams."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if WIDGET in output.get("data", {}) or "application/javascript" in output.get("data", {}):
                continue
            if kept and output.output_type == kept[-1].output_type == "stream" and output.name == kept[-1].name:
                kept[-1].text += output.text
                continue
            output.pop("transient", None)
            kept.append(output)
        cell.outputs = kept
    notebook.metadata.pop("widgets", None)


def _check_reads(course: Course, lesson: Lesson, run: Run) -> None:
    declared = {path.resolve() for path in declared_files(course, lesson)}
    for path in sorted(run.opened - declared):
        name = relative(path, course.root)
        sums = path.name == "SHA256SUMS" and any(other.parent == path.parent for other in declared)
        if path.is_file() and not sums and not name.startswith(FREE):
            fix = "add it to 'reads' in the front matter"
            raise LessonError(lesson.path, f"it opens {name}, which it does not declare; {fix}.", line=1)
