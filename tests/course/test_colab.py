"""course.colab: the cell does nothing outside Colab, gets the course once inside, and may be run in any state."""

import subprocess
import sys
import types

import nbformat
import pytest

from ladi_mini.course import colab
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError


class Machine:
    """A stand-in for Colab: its folder /content, the programs that were started, the widgets' switch."""

    def __init__(self, folder, monkeypatch, inside: bool = True):
        self.folder, self.ran, self.widgets, self.fails = folder, [], 0, None
        monkeypatch.setattr(subprocess, "run", self.run)
        monkeypatch.setattr(sys, "path", list(sys.path))
        for name in [name for name in sys.modules if name.startswith("google.colab")]:
            monkeypatch.delitem(sys.modules, name)
        if inside:
            module = types.ModuleType("google.colab")
            module.output = types.SimpleNamespace(enable_custom_widget_manager=self.enable)
            monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
            monkeypatch.setitem(sys.modules, "google.colab", module)

    def enable(self):
        self.widgets += 1

    def run(self, command, check):
        assert check
        self.ran.append(command)
        program = "pip" if "pip" in command else command[0]
        if program == "git":
            target = self.folder / command[-1].rsplit("/", 1)[1]
            target.mkdir()  # as git does: fails if it is there
            (target / "pyproject.toml").write_text("")
        if self.fails == program:
            raise subprocess.CalledProcessError(1, command)

    def cell(self, address="https://example.org/course"):
        source = colab.cell(address)
        assert source.count('"/content"') == 1
        exec(compile(source.replace('"/content"', repr(str(self.folder))), "cell", "exec"), {})


@pytest.fixture()
def machine(tmp_path, monkeypatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_outside_colab_nothing_happens(tmp_path, monkeypatch):
    machine, before = Machine(tmp_path, monkeypatch, inside=False), list(sys.path)
    machine.cell()
    assert machine.ran == [] and list(tmp_path.iterdir()) == [] and sys.path == before


def test_inside_the_course_is_cloned_installed_and_importable(machine):
    machine.cell()
    clone, install = machine.ran
    assert clone[:2] == ["git", "clone"] and "https://example.org/course" in clone
    assert install[:3] == [sys.executable, "-m", "pip"] and "-c" not in install  # what Colab has stays as it is
    assert sys.path[0] == str(machine.folder / "ladi_mini") and machine.widgets == 1


def test_run_twice_it_does_nothing_more(machine):
    machine.cell()
    state = sorted(path.name for path in machine.folder.iterdir()), list(sys.path), len(machine.ran)
    machine.cell()
    assert (sorted(path.name for path in machine.folder.iterdir()), list(sys.path), len(machine.ran)) == state


@pytest.mark.parametrize("program", ["git", "pip"])
def test_after_a_step_that_broke_off_it_goes_on(machine, program):
    machine.fails = program
    with pytest.raises(subprocess.CalledProcessError):
        machine.cell()
    machine.fails = None
    machine.cell()
    started = ["pip" if "pip" in command else "git" for command in machine.ran]
    assert started == {"git": ["git", "git", "pip"], "pip": ["git", "pip", "pip"]}[program]
    assert (machine.folder / "ladi_mini" / "pyproject.toml").is_file()


def test_notebooks_get_the_cell_first_and_keep_everything_else(built, tmp_path):
    (path,) = colab.write(built, "https://example.org/course", tmp_path)
    copy, own = (nbformat.read(each, as_version=4) for each in (path, built.root / "notebooks" / "01_tiny.ipynb"))
    assert copy.cells[0].source == colab.cell("https://example.org/course") and copy.cells[1:] == own.cells
    assert colab.PLACEHOLDER not in copy.cells[0].source


def test_the_address_is_taken_from_the_project_or_asked_for(built):
    with pytest.raises(InputError, match=r"give --repository https://..., or write it as Repository under \[project.urls\]"):
        colab.address(built)
    (built.root / "pyproject.toml").write_text('[project]\nname = "x"\n[project.urls]\nRepository = "https://example.org/r"\n')
    assert colab.address(built) == "https://example.org/r" and colab.address(built, "https://a.org/b") == "https://a.org/b"
    for wrong in ("git@example.org:r", 'https://x"; import os #'):
        with pytest.raises(InputError, match="expected one that begins with https://"):
            colab.address(built, wrong)


def test_the_page_about_colab_shows_this_cell():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "lessons" / "colab.md").read_text(encoding="utf-8")
    assert f"```python\n{colab.cell(colab.PLACEHOLDER)}\n```" in page


def test_a_course_without_notebooks_has_none_for_colab(course, tmp_path):
    assert colab.write(Course(course.root), "https://example.org/course", tmp_path) == []
