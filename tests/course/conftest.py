"""The tiny course, made for each test, and built once for all."""

import pytest
import tiny_course

from ladi_mini.course.build import build
from ladi_mini.course.repository import Course


@pytest.fixture()
def course(tmp_path) -> Course:
    """The tiny course, nothing built."""
    return tiny_course.make(tmp_path)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory) -> Course:
    """The tiny course, built; not to be changed."""
    course = tiny_course.make(tmp_path_factory.mktemp("built"))
    build(course, course.find("1"))
    return Course(course.root)


@pytest.fixture()
def built(built_once, tmp_path) -> Course:
    """A copy of the built course that a test may change."""
    return tiny_course.copy(built_once, tmp_path / "copy")
