"""The pages around the lessons: what they name is there, and what they quote is said."""

import re
from pathlib import Path

import pytest

from ladi_mini.course.repository import Course
from ladi_mini.course.text import EXTERNAL, INLINE

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "lessons"
PAGES = sorted(path for path in LESSONS.rglob("*.md") if path not in Course(ROOT).paths)
SOURCES = [*(ROOT / "ladi_mini").rglob("*.py"), ROOT / "Makefile", *(ROOT / "tests").glob("conftest.py")]
OTHERS = {  # what others say: Python, pip, Windows, JupyterLab, CUDA
    "ensurepip is not available", "No matching distribution found", "No space left on device", "No module named 'ladi_mini'",
    "is already in use, trying another port", "Kernel died", "running scripts is disabled on this system", "DLL load failed",
    "CUDA out of memory",
}  # fmt: skip
OURS_TO_COME = {f"{number:02}" for number in range(9)}


def prose(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(LESSONS).as_posix())
def test_links_lead_to_files_or_to_lessons_of_the_plan(page):
    numbers = {lesson.name[:2] for lesson in Course(ROOT).paths}
    for found in INLINE.finditer(prose(page)):
        target = found["target"]
        if not target or target.startswith("#") or EXTERNAL.match(target):
            continue
        path = (page.parent / target.partition("#")[0]).resolve()
        to_come = path.parent == LESSONS and path.name[:2] in OURS_TO_COME - numbers
        assert path.exists() or to_come, f"{page.name} links to {target}"


def test_names_in_the_glossary_are_in_the_code():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "ladi_mini").rglob("*.py"))
    names = set(re.findall(r"`([A-Za-z_]+)`", (LESSONS / "glossary.md").read_text(encoding="utf-8")))
    assert len(names) > 40
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code) and name != "grid_sample"] == []


def test_glossary_is_in_order_and_says_where_each_word_comes_from():
    words = (LESSONS / "glossary.md").read_text(encoding="utf-8").split("## Words", 1)[1]
    entries = re.findall(r"^- (.*?)(?=^- |\Z)", words, re.MULTILINE | re.DOTALL)
    names = [re.match(r"(?:\*\*|`)(.*?)(?:\*\*|`):", entry)[1].lower() for entry in entries]
    assert len(names) > 60 and names == sorted(names) and len(set(names)) == len(names)
    assert all(re.search(r"\[lesson \d\]\(\d\d_\w+\.md\)$", " ".join(entry.split())) for entry in entries)


def test_messages_of_ours_in_troubleshooting_are_those_of_the_code():
    text = (LESSONS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### .*?`([^`]+)`", text, re.MULTILINE) + re.findall(r"^- `([^`]+)`:", text, re.MULTILINE)
    code = " ".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in SOURCES)
    code = code.replace("$(MIN_PYTHON)", "3.11")
    assert len(quoted) > 15
    assert [message for message in quoted if message not in OTHERS and message not in code] == []


def test_commands_in_the_pages_exist():
    from typer.main import get_command

    from ladi_mini.cli import app

    known = get_command(app).commands
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        for command in re.findall(r"\bladi-mini (course [a-z]+|[a-z]+)", text):
            first, _, second = command.partition(" ")
            assert first in known and (not second or second in known[first].commands), f"{page.name}: ladi-mini {command}"
        for span in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL):
            for target in re.findall(r"\bmake\s+([a-z]+(?:-[a-z]+)*)\b", span):
                assert target in targets or "```text" in span, f"{page.name}: make {target}"


def test_every_page_is_in_the_contents():
    index, instructor = ((path / "index.md").read_text(encoding="utf-8") for path in (LESSONS, LESSONS / "instructor"))
    for page in PAGES:
        if page.name != "index.md":
            contents = instructor if page.parent.name == "instructor" else index
            assert re.search(rf"^{page.stem}$", contents, re.MULTILINE), f"{page.name} is in no table of contents"


def test_map_is_drawn_with_what_the_page_says():
    drawn, page = ((LESSONS / name).read_text(encoding="utf-8") for name in ("_static/map.svg", "index.md"))
    for number, name in re.findall(r"^\| \[(\d) ([A-Za-z ]+)\]", page, re.MULTILINE):
        assert f">{number} {name}</text>" in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
