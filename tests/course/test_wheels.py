"""course.wheels: a folder of wheels is finished only when everything installs from it alone, and says what it is for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from ladi_mini.course import wheels

ROOT = Path(__file__).parents[2]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def wheel(folder: Path, name: str, files: dict[str, str] | None = None) -> Path:
    """A wheel of one module, written by hand."""
    info = f"{name}-1.0.dist-info"
    content = {f"{name}.py": "value = 1\n", **(files or {})}
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for inside, text in content.items():
            file.writestr(inside, text)
    return path


BACKEND = """
import os, zipfile

def _wheel(folder):
    name, info = "project-1.0-py3-none-any.whl", "project-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        file.writestr("project.py", "")
        file.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1.0\\nRequires-Dist: needed>=1\\n"
                      "Provides-Extra: test\\nProvides-Extra: book\\nRequires-Dist: tested>=1; extra == 'test'\\n")
        file.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(info + "/RECORD", "")
    return name

def build_wheel(folder, settings=None, metadata=None): return _wheel(folder)
def build_editable(folder, settings=None, metadata=None): return _wheel(folder)
def get_requires_for_build_editable(settings=None): return ["editables"]
"""


@pytest.fixture()
def project(tmp_path, monkeypatch) -> Path:
    """A project of two dependencies, and an index that is a folder."""
    index, root = tmp_path / "index", tmp_path / "project"
    for name in ("needed", "tested", "editables"):
        wheel(index, name)
    wheel(index, "backend", {"backend.py": BACKEND})
    root.mkdir()
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["backend>=1"]\nbuild-backend = "backend"\n[project]\nname = "project"\nversion = "1.0"\n'
        'dependencies = ["needed>=1"]\n[project.optional-dependencies]\ntest = ["tested>=1"]\nbook = []\n'
    )
    (root / "requirements.lock").write_text("needed==1.0\ntested==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return root


@pytest.mark.slow
def test_folder_holds_everything_and_says_what_it_is_for(project, tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    note = wheels.make(folder, root=project)
    assert {path.name.split("-")[0] for path in folder.glob("*.whl")} == {"needed", "tested", "editables", "backend"}
    assert note["wheels"] == 4 and note["bytes"] == sum(path.stat().st_size for path in folder.glob("*.whl"))
    assert wheels.check(folder, project) == json.loads((folder / wheels.NOTE).read_text()) == note
    shutil.rmtree(tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert wheels.make(folder, root=project) == note  # again, from itself
    (folder / "needed-1.0-py3-none-any.whl").unlink()
    with pytest.raises(wheels.WheelsError, match="nothing was marked as made"):
        wheels.make(folder, root=project)
    with pytest.raises(wheels.WheelsError, match="holds no finished wheels"):  # nor is what was marked before
        wheels.check(folder, project)


@pytest.mark.slow
def test_what_only_this_machines_pip_knows_of_is_not_in_the_folder(project, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(wheels, "EDITABLE", "needed>=1")  # the index has `editables`, the folder will not
    with pytest.raises(wheels.WheelsError, match="`pip install` failed"):
        wheels.make(tmp_path / "wheels", root=project)
    assert "editables" in capfd.readouterr().err and not (tmp_path / "wheels" / wheels.NOTE).exists()


@pytest.mark.slow
def test_folder_that_lacks_something_is_not_marked_as_made(project, tmp_path, capfd):
    (tmp_path / "index" / "tested-1.0-py3-none-any.whl").unlink()
    with pytest.raises(wheels.WheelsError, match="nothing was marked as made"):
        wheels.make(tmp_path / "wheels", root=project)
    assert "tested" in capfd.readouterr().err
    with pytest.raises(wheels.WheelsError, match="holds no finished wheels"):
        wheels.check(tmp_path / "wheels", project)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "2.7"}, "are for Python 2.7 on"),
        ({"system": "Plan9"}, "on Plan9 "),
        ({"machine": "abacus"}, "abacus, but this is Python"),
        ({"lock": "0"}, "another requirements.lock"),
    ],
)
def test_folder_of_another_machine_is_refused_in_one_sentence(tmp_path, capsys, change, said):
    (tmp_path / wheels.NOTE).write_text(json.dumps({**wheels.this_machine(), "wheels": 1, "bytes": 1, **change}))
    assert wheels.main(["--fits", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("Error: ") and said in err and err.count("\n") == 1


@pytest.mark.parametrize("text", ['{"python": "3.1', "[]", '{"python": "3.11", "system": "Linux", "machine": "x86_64"}'])
def test_a_damaged_note_is_said_in_one_sentence(tmp_path, capsys, text):
    (tmp_path / wheels.NOTE).write_text(text)
    assert wheels.main(["--fits", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert f"{wheels.NOTE} is damaged" in err and "make wheels" in err and err.count("\n") == 1


def test_a_file_in_the_folders_place_is_left_alone(tmp_path, capsys):
    file = tmp_path / "stick"
    file.write_text("mine")
    assert wheels.main([str(file)]) == 2 and "is a file, expected a folder" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_folder_of_this_machine_fits_and_says_nothing(tmp_path, capsys):
    (tmp_path / wheels.NOTE).write_text(json.dumps({**wheels.this_machine(), "wheels": 1, "bytes": 1}))
    assert wheels.main(["--fits", str(tmp_path)]) == 0 and capsys.readouterr() == ("", "")


def test_script_needs_the_standard_library_alone(tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "ladi_mini" / "course" / "wheels.py"), "--fits", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2 and "holds no finished wheels" in ran.stderr


def test_asked_for_is_what_make_installs_and_what_builds_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = wheels.requirements()
    assert set(project["project"]["dependencies"]) <= set(asked) and set(project["build-system"]["requires"]) <= set(asked)
    makefile = (ROOT / "Makefile").read_text()
    assert {tuple(extras.split(",")) for extras in re.findall(r"-e '\.\[(.*?)\]'", makefile)} == {wheels.EXTRAS}


def copied(tmp_path: Path) -> Path:
    """The Makefile with what it needs, and an environment in which pip only says what it is asked for."""
    root = tmp_path / "clone"
    (root / "ladi_mini" / "course").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "ladi_mini/course/wheels.py"):
        shutil.copy(ROOT / name, root / name)
    venv.create(root / ".venv", with_pip=False)
    site = next((root / ".venv").glob("lib/python*/site-packages"))
    (site / "pip.py").write_text("import sys\nprint('pip', *sys.argv[1:])\n")
    return root


def run_make(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "-C", str(root), *arguments], capture_output=True, text=True, timeout=60)


@needs_make
def test_make_with_wheels_installs_from_the_folder_and_nothing_else(tmp_path):
    root, folder = copied(tmp_path), tmp_path / "wheels"
    folder.mkdir()
    (folder / wheels.NOTE).write_text(json.dumps({**wheels.this_machine(), "wheels": 1, "bytes": 1}))
    ran = run_make(root, "env", f"WHEELS={folder}", f"PYTHON={sys.executable}")
    assert ran.returncode == 0, ran.stderr
    (said,) = [line for line in ran.stdout.splitlines() if line.startswith("pip ")]
    assert f"--no-index --find-links {folder} -c requirements.lock -e .[test,book]" in said
    assert (root / ".venv" / ".installed").is_file()


@needs_make
def test_make_with_a_folder_that_does_not_fit_installs_nothing(tmp_path):
    root = copied(tmp_path)
    ran = run_make(root, "env", f"WHEELS={tmp_path / 'nothing'}", f"PYTHON={sys.executable}")
    assert ran.returncode != 0 and "holds no finished wheels" in ran.stderr and "pip" not in ran.stdout
    assert not (root / ".venv" / ".installed").exists()


@needs_make
def test_make_wheels_writes_into_the_folder_that_it_is_given(tmp_path):
    root = copied(tmp_path)
    (root / ".venv" / ".installed").touch()
    ran = run_make(root, "wheels", f"WHEELS={tmp_path / 'stick'}", "TORCH=cpu")
    lines = [line for line in ran.stdout.splitlines() if line.startswith("pip ")]
    assert ran.returncode == 0 and len(lines) == 2, ran.stderr
    assert "wheel --wheel-dir" in lines[0] and str(tmp_path / "stick") in lines[0] and "whl/cpu" in lines[0]
    assert "--dry-run" in lines[1] and "--no-index" in lines[1]
    assert wheels.check(tmp_path / "stick")["wheels"] == 0


def test_the_page_tells_what_was_measured():
    card = json.loads((ROOT / "data" / "results" / "wheels.json").read_text())
    page = (ROOT / "lessons" / "instructor" / "offline.md").read_text(encoding="utf-8")
    assert f"{card['wheels']} wheels and {card['bytes'] / 1e9:.1f} GB" in page
    assert 110 < card["fetch_seconds"] < 130 and 195 < card["install_and_demo_seconds"] < 225  # as its words round them
