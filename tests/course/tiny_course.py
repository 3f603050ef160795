"""A course of one small lesson that uses everything a lesson can have and executes in a second, made in a folder."""

import json
import shutil
from pathlib import Path

from ladi_mini.course.repository import Course

LESSON = '''---
title: Two numbers
objectives: [add two numbers]
prerequisites: []
teaching_minutes: 5
exercise_minutes: 2
paper: "nothing, but see {cite:t}`tiny2020`"
reads: [data/results/card.json]
kernelspec: {display_name: Python 3, language: python, name: python3}
---

Read {cite:p}`tiny2020` first. [The end](#the-end), [a file](../data/results/card.json), [more](https://example.org/a).

% a comment that nobody sees
(the-start)=
## The start

$$
a + b = c
$$ (sum)

```{note}
A box with {eq}`sum`.
```

````{dropdown} A question
Folded, with a box in it:

```{warning}
Watch *out*.
```
````

```{instructor}
Say that {eq}`sum` is [easy](../data/results/card.json).
```

```{code-cell} ipython3
import json
from pathlib import Path

from PIL import Image

from ladi_mini.course import check, show

card = json.loads(Path("../data/results/card.json").read_text())
print(card["value"])
```

```{code-cell} ipython3
for colour in ("red", "orange"):
    show(Image.new("RGB", (40, 20), colour), alt=f"An {colour} field.", display_id="field")
```

```{code-cell} ipython3
:exercise: tiny_add

def add(a: int, b: int) -> int:
    """a + b."""
    ### BEGIN SOLUTION
    total = a + b
    return total
    ### END SOLUTION
```

```{code-cell} ipython3
check("tiny_add", add)
```

+++

(the-end)=
## The end

Text in two cells.

```{code-cell} ipython3
:exercise: tiny_value

### BEGIN SOLUTION
answer = 3
### END SOLUTION
check("tiny_value", answer)
check.progress()
```
'''

EXERCISES = """
from ladi_mini.course.answers import exercise, expect


@exercise("tiny_add", "Adding")
def add(answer):
    got = answer(1, 2)
    expect(isinstance(got, int), f"The sum is of type {type(got).__name__}, expected int.")
    expect(got == 3, f"The sum is off by {abs(got - 3)}.", "Count on your fingers.")


@exercise("tiny_value", "A value")
def value(answer):
    expect(answer == 3, "That is another number.")
"""

PAPERS = """@article{tiny2020,
  title = {Small {Things}}, author = {Small, Ann and Little, Bo and Tiny, Cy}, journal = {Journal}, year = {2020},
  url = {https://example.org/tiny},
}
"""


def make(root: Path, lesson: str = LESSON) -> Course:
    """The course with its one lesson `lessons/01_tiny.md`, nothing built."""
    files = {
        "lessons/01_tiny.md": lesson,
        "lessons/references.bib": PAPERS,
        "ladi_mini/course/exercises/tiny.py": EXERCISES,
        "data/results/card.json": json.dumps({"value": 7}),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Course(root)


def copy(course: Course, root: Path) -> Course:
    """A copy of a course, built or not."""
    shutil.copytree(course.root, root, dirs_exist_ok=True)
    return Course(root)


def edit(course: Course, old: str, new: str, file: str = "lessons/01_tiny.md") -> Course:
    """Replaces the one place of a file where `old` stands; returns the course read again."""
    path = course.root / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return Course(course.root)


def line_of(course: Course, text: str) -> int:
    """The first line (from 1) of the lesson that holds `text`."""
    lines = (course.folder / "01_tiny.md").read_text(encoding="utf-8").splitlines()
    return next(at for at, line in enumerate(lines, start=1) if text in line)
