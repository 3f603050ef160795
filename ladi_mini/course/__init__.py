"""The course: lessons become notebooks and a book, and a student's answers are checked.

For a notebook: `start`, `show`, `data`, `check`. For those who write lessons, in the order of the work: `lesson` reads a source,
`text` turns its MyST into CommonMark or into a page, `execute` runs it, `build` writes the notebooks, `rules` checks them,
`readme` writes the README's table, `adopt` carries an edit back, `new` begins a lesson, `book` makes the book and `plan` its
timetables, `slides` the slides, `colab` notebooks for Colab, `wheels` a folder for a room without a network; `answers` holds what
checkers are written with, and `exercises/` the checkers.
"""

from ladi_mini.course.answers import check
from ladi_mini.course.notebook import data, show, start

__all__ = ["check", "data", "show", "start"]
