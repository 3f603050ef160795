"""The ways to install agree with each other: pyproject.toml, the lock, conda's file, the Makefile, the wheel, CI."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import ladi_mini

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))

pytest_plugins = ["pytester"]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def requirements() -> list[Requirement]:
    """Every dependency of the project, extras included."""
    listed = PROJECT["dependencies"] + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in listed]


def locked() -> dict[str, list[Requirement]]:
    """The pins of requirements.lock by package."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        pin = Requirement(line)
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess:
    """Runs make at the root; `path` replaces the PATH."""
    env = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def fake_python(folder: Path, version: str) -> Path:
    """A program that answers like a Python of that version."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program


def test_dependencies_have_lower_bounds_only():
    for requirement in requirements():
        assert [clause.operator for clause in requirement.specifier] == [">="], str(requirement)


def test_lock_pins_every_dependency_within_its_bound():
    pins = locked()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is missing in requirements.lock"
        for pin in pins[name]:
            (clause,) = pin.specifier
            assert clause.operator == "==" and requirement.specifier.contains(clause.version), f"{pin} against {requirement}"


def test_lock_is_pins_alone_without_any_address():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|@|^\s*-|\.whl", text, re.MULTILINE)


def test_lock_accepts_torch_built_without_cuda():
    (pin,) = locked()["torch"][0].specifier
    assert locked()["torch"][0].specifier.contains(f"{pin.version}+cpu")


def test_version_of_the_citation_is_the_packages():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ladi_mini.__version__
    assert citation["license"] == PROJECT["license"]


def test_conda_environment_follows_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert f"python{PROJECT['requires-python']}" in plain
    assert "-c requirements.lock" in pip
    (extras,) = [re.fullmatch(r"-e \.\[(.*)\]", line).group(1).split(",") for line in pip if line.startswith("-e")]
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_makefile_asks_for_the_projects_python():
    assert f">={re.search(r'MIN_PYTHON := (.*)', MAKEFILE).group(1)}" == PROJECT["requires-python"]


@needs_make
@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9", "3.10"])
def test_makefile_refuses_an_old_python_in_one_sentence(tmp_path, version):
    result = make("check-python", f"PYTHON={fake_python(tmp_path, version)}")
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode != 0
    assert len(said) == 1
    assert f"Python {version}" in said[0] and "3.11 or newer" in said[0] and "PYTHON=" in said[0]


@needs_make
@pytest.mark.parametrize("version", ["3.11", "3.14", "3.100", "4.0"])
def test_makefile_accepts_a_new_python(tmp_path, version):
    assert make("check-python", f"PYTHON={fake_python(tmp_path, version)}").returncode == 0


@needs_make
def test_makefile_says_when_no_python_is_found(tmp_path):
    result = make("check-python", f"PYTHON={tmp_path / 'nothing'}")
    assert result.returncode != 0
    assert "was not found" in result.stderr and "Traceback" not in result.stderr


@needs_make
def test_failed_installation_leaves_no_stamp(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text('#!/bin/sh\n[ "$1" = venv ] && mkdir .venv && exit 0\necho "no network" >&2\nexit 2\n')
    uv.chmod(0o755)
    command = ["make", "-C", str(tmp_path), "env", f"PYTHON={sys.executable}"]
    env = {**os.environ, "PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "no network" in result.stderr
    assert (tmp_path / ".venv").is_dir() and not (tmp_path / ".venv" / ".installed").exists()


@needs_make
def test_torch_without_cuda_needs_uv_and_says_so(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("sh", "make"):
        (tmp_path / name).symlink_to(shutil.which(name))
    command = ["make", "-C", str(tmp_path), "env", "TORCH=cpu"]
    result = subprocess.run(command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "needs uv" in result.stderr


@needs_make
def test_make_alone_lists_every_public_target():
    listed = set(re.findall(r"^make ([a-z-]+)", make().stdout, re.MULTILINE))
    public = {"demo", "test", "test-fast", "lab", "course", "book", "slides", "wheels", "env", "lock", "clean", "help"}
    assert public == listed <= TARGETS


def test_readme_names_only_targets_that_exist():
    readme = ROOT / "README.md"
    named = (
        set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", "\n".join(code_in(readme.read_text())))) if readme.exists() else set()
    )
    assert named <= TARGETS


def code_in(markdown: str) -> list[str]:
    """The code spans and fenced blocks of a Markdown text."""
    return re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL)


def test_ci_runs_the_tests_with_a_browser_required():
    script = ROOT / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test$", text, re.MULTILINE)
    assert "LADI_REQUIRE_BROWSER=1" in text and "set -euo pipefail" in text


def test_wheel_holds_every_file_of_the_package(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "ladi_mini").rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert Version(ladi_mini.__version__) == Version(Path(wheel).name.split("-")[1])


@pytest.mark.parametrize("required", [False, True])
def test_skipped_browser_test_fails_only_where_a_browser_is_required(pytester, monkeypatch, required):
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = browser: x\n")
    pytester.makepyfile(
        test_a="""
        import pytest

        @pytest.mark.browser
        def test_page(): pytest.skip("no Chromium")

        def test_other(): pytest.skip("unrelated")
        """
    )
    (pytester.mkdir("browser") / "test_b.py").write_text("import pytest\npytest.skip('gone', allow_module_level=True)\n")
    monkeypatch.delenv("LADI_REQUIRE_BROWSER", raising=False)
    if required:
        monkeypatch.setenv("LADI_REQUIRE_BROWSER", "1")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--continue-on-collection-errors")
    result.assert_outcomes(**({"failed": 1, "skipped": 1, "errors": 1} if required else {"skipped": 3}))
    if required:
        result.stdout.fnmatch_lines(["*did not run*no Chromium*"])
