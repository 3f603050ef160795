"""course.new: a new lesson builds and passes every check as it is; a name that would clash is refused."""

import shutil
from pathlib import Path

import pytest
import tiny_course

from ladi_mini.course.build import build
from ladi_mini.course.new import new
from ladi_mini.course.repository import Course
from ladi_mini.course.rules import check
from ladi_mini.errors import InputError

ROOT = Path(__file__).parents[2]


def test_new_lesson_has_no_fault_but_that_it_is_not_built(course):
    shutil.copy(ROOT / "lessons" / "references.bib", course.folder)
    files = new(course, "08_garments")
    assert [path.name for path in files] == ["08_garments.md", "garments.py", "garments.py"]
    tiny = course.folder / "01_tiny.md"
    tiny.unlink()
    (course.folder / "index.md").write_text("# A page\n")  # linked to, and no lesson here
    (course.root / "ladi_mini" / "__init__.py").touch()
    (fault,) = check(Course(course.root))
    assert "notebooks/08_garments.ipynb is missing" in str(fault)


@pytest.mark.slow
def test_new_lesson_builds_and_passes_every_check(tmp_path):
    course = Course(tmp_path)
    course.folder.mkdir()
    shutil.copy(ROOT / "lessons" / "references.bib", course.folder)
    (course.folder / "index.md").write_text("# A page\n")
    (tmp_path / "ladi_mini").mkdir()
    (tmp_path / "ladi_mini" / "__init__.py").touch()
    new(course, "08_garments")
    course = Course(tmp_path)
    build(course, course.find("garments"))
    assert check(course) == []


@pytest.mark.parametrize("slug", ["Garments", "8_garments", "08-garments", "08_", "../08_garments", "08_gar ments", "SLUG"])
def test_name_that_is_none_is_refused(course, slug):
    with pytest.raises(InputError, match="is no name for a lesson"):
        new(course, slug)


@pytest.mark.parametrize(("slug", "fault"), [("01_other", "lesson 01 is"), ("02_tiny", "is there already")])
def test_name_that_clashes_is_refused_before_anything_is_written(course, slug, fault):
    before = sorted(course.root.rglob("*"))
    with pytest.raises(InputError, match=fault):
        new(course, slug)
    assert sorted(course.root.rglob("*")) == before
    assert (course.folder / "01_tiny.md").read_text() == tiny_course.LESSON
