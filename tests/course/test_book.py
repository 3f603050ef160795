"""course.book: pages from sources and notebooks, all of it folded, linked and described, and nothing loaded from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_course

from ladi_mini.course.book import book, setup
from ladi_mini.course.lesson import LessonError
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError

pytest.importorskip("sphinx", reason="the book needs `pip install -e '.[book]'`")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
INDEX = """# Tiny

<!-- lessons -->

{cite:p}`tiny2020` [notes](instructor/index.md) [the folder](../data)

```{toctree}
bibliography
instructor/index
```
"""


def with_pages(course: Course) -> Course:
    """The course with the pages that a book has beside its lessons."""
    for path in [ROOT / "lessons" / "conf.py", *(ROOT / "lessons" / "_static").iterdir()]:
        file = course.folder / path.relative_to(ROOT / "lessons")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(path.read_bytes())
    (course.folder / "index.md").write_text(INDEX)
    (course.folder / "bibliography.md").write_text("# References\n\n```{bibliography}\n```\n")
    (course.folder / "instructor").mkdir()
    (course.folder / "instructor" / "index.md").write_text("# For instructors\n\n<!-- notes -->\n")
    return Course(course.root)


@pytest.fixture(scope="session")
def pages(built_once, tmp_path_factory) -> Path:
    """The folder of the tiny course's book."""
    course = with_pages(tiny_course.copy(built_once, tmp_path_factory.mktemp("book")))
    return book(course).parent


class Elements(HTMLParser):
    """Every element of a page, as (tag, attributes)."""

    def __init__(self, page: Path):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def lesson(pages: Path) -> str:
    return (pages / "01_tiny.html").read_text(encoding="utf-8")


def loaded(page: Path) -> list[str]:
    """What a page loads: scripts, styles, pictures, fonts."""
    found = Elements(page).found
    sources = [attrs["src"] for _, attrs in found if "src" in attrs]
    return sources + [attrs["href"] for tag, attrs in found if tag == "link" and "href" in attrs]


def test_pages_load_nothing_from_outside_and_all_that_they_load_is_there(pages):
    every = [page for page in pages.rglob("*.html") if "_static" not in page.parts]
    assert len(every) > 5
    for page in every:
        for source in loaded(page):
            assert not re.match(r"([a-z]+:)?//", source), f"{page.name} loads {source}"
            file = page.parent / re.sub(r"[?#].*", "", source)
            assert source.startswith(("data:", "#")) or file.exists(), f"{page.name} lacks {source}"
    for style in pages.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_outputs_are_those_of_the_notebook_and_pictures_have_their_alt_text(pages):
    assert "tiny_add: not attempted yet" in lesson(pages) and "0 of 2 right" in lesson(pages)
    pictures = [attrs for tag, attrs in Elements(pages / "01_tiny.html").found if tag == "img"]
    assert [picture["alt"] for picture in pictures] == ["An orange field."]


def test_solutions_and_questions_are_folded(pages):
    found = Elements(pages / "01_tiny.html").found
    folded = [attrs for tag, attrs in found if tag == "details" and "sd-dropdown" in attrs.get("class", "")]
    assert len(folded) == 3 and not any("open" in attrs for attrs in folded)
    words = re.sub(r"<[^>]*>", "", lesson(pages))
    assert "total = a + b" in words and "SOLUTION" not in words and "your code here" in words


def test_references_citations_and_equations_lead_somewhere(pages):
    text = lesson(pages)
    assert 'href="#the-end"' in text and 'id="the-end"' in text
    assert re.search(r'href="bibliography.html#id\d+"', text) and "(1)" in text and 'id="equation-sum"' in text
    assert "_downloads/" in text and "card.json" in text


def test_front_page_lists_lessons_with_what_they_cost(pages):
    text = (pages / "index.html").read_text(encoding="utf-8")
    assert "Lesson 1: Two numbers" in text and re.search(r">\d+ s<", text) and re.search(r"\d\.\d GB", text)
    assert "the folder" in text and 'href="../data"' not in text


def test_notes_are_on_the_instructors_page_only_and_lead_back(pages):
    assert "Say that" not in lesson(pages)
    notes = (pages / "instructor" / "01_tiny.html").read_text(encoding="utf-8")
    assert "Say that" in notes and "CPU seconds" in notes
    place = re.search(r'Beside <a [^>]*href="../01_tiny.html#([\w-]+)"', notes)[1]
    assert f'id="{place}"' in lesson(pages)
    for page in pages.glob("*.html"):
        assert "Say that" not in page.read_text(encoding="utf-8")
    assert "Say that" not in (pages / "searchindex.js").read_text(encoding="utf-8")


def test_mathjax_lies_beside_the_pages(pages):
    assert "_static/mathjax.js" in lesson(pages) and (pages / "_static" / "mathjax.js").stat().st_size > 1_000_000


def test_a_formula_stays_on_the_line_of_its_bracket_and_its_comma(tmp_path):
    from docutils import nodes

    (tmp_path / "alts.json").write_text("{}")
    handlers = []
    app = SimpleNamespace(srcdir=tmp_path, connect=lambda event, handler: handlers.append(handler))
    setup(app)
    first, second = nodes.math("", "x"), nodes.math("", "y")
    paragraph = nodes.paragraph("", "", nodes.Text("take ("), first, nodes.Text("), and "), second, nodes.Text(" too"))
    for handler in handlers:
        handler(app, paragraph)
    assert paragraph.astext() == "take (x), and y too"
    assert [node.astext() for node in paragraph.findall(nodes.inline)] == ["(x),"]


def test_course_with_a_fault_makes_no_book(built):
    course = tiny_course.edit(with_pages(built), "Text in two cells.", "Text.")
    with pytest.raises(InputError, match="changed since the notebook was made"):
        book(course)


def test_warning_of_sphinx_is_an_error_told_by_the_page(built):
    course = with_pages(built)
    (course.folder / "bibliography.md").write_text("# References\n\n[nothing](nowhere.md)\n\n```{bibliography}\n```\n")
    with pytest.raises(InputError, match=r"lessons/bibliography\.md:3: WARNING.*nowhere"):
        book(course)


def test_fault_in_a_note_is_told_by_cell_and_line(built):
    with pytest.raises(LessonError, match="cell 1"):
        tiny_course.edit(built, "Say that {eq}`sum`", "```{nothing}\n```\nSay that {eq}`sum`").find("1")


def test_the_book_of_the_course_is_made_without_a_warning(tmp_path):
    page = book(Course(ROOT), tmp_path / "html")
    names = {path.stem for path in page.parent.glob("*.html")}
    assert {"index", "bibliography", "deviations", "00_fitting_room"} <= names


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_in_a_browser(pages, chromium_path, width, theme):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium_path, args=options)
        page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((pages / "01_tiny.html").as_uri())
        page.wait_for_selector("mjx-container svg")
        assert not [url for url in asked if not url.startswith(("file:", "data:"))]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        solution = page.locator("details", has_text="total").first
        assert not solution.locator("pre").is_visible()
        solution.locator("summary").click()
        assert solution.locator("pre").is_visible()
        assert page.locator(".cell_input button.copybtn").count() == 5
        browser.close()
