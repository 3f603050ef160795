"""course.slides: every figure, labelled equation, question and the five lines of a lesson, in one file that needs no other."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import tiny_course

from ladi_mini.course.lesson import LessonError
from ladi_mini.course.repository import Course
from ladi_mini.course.slides import deck, slides

ROOT = Path(__file__).parents[2]
MORE = """
```{dropdown} Check yourself: is it *three*?
Yes, see {eq}`sum`.
```

### Exercise 7: a sum
*Easy, 2 minutes.* Add $a$ and $b$.

| a | b |
|---|---|
| 1 | 2 |

```{instructor}
Ask before you show.
```

## In five lines

- One
  and a half.
- Two with `code`.
"""


@pytest.fixture(scope="session")
def shown(built_once, tmp_path_factory) -> Course:
    """The tiny course with more to show, built again."""
    from ladi_mini.course.build import build

    course = tiny_course.copy(built_once, tmp_path_factory.mktemp("slides"))
    course = tiny_course.edit(course, "Text in two cells.\n", "Text in two cells.\n" + MORE)
    build(course, course.find("1"))
    return Course(course.root)


@pytest.fixture(scope="session")
def file(shown, tmp_path_factory) -> Path:
    return slides(shown, shown.find("1"), tmp_path_factory.mktemp("out"))


def test_slides_come_in_the_lessons_order_with_its_headings(shown):
    found = [(slide.kind, slide.title) for slide in deck(shown, shown.find("1"))]
    assert found == [
        ("title", "Lesson 1: Two numbers"),
        ("points", "You will be able to"),
        ("formulas", "The start"),
        ("figure", "The start"),
        ("question", "Check yourself"),
        ("exercise", "Exercise 7: a sum"),
        ("points", "In five lines"),
    ]


def test_a_slide_holds_what_the_lesson_says(shown):
    slide = {each.kind + str(at): each for at, each in enumerate(deck(shown, shown.find("1")))}
    assert r"\[" in slide["formulas2"].body and r"\tag{1}" in slide["formulas2"].body
    assert 'alt="An orange field."' in slide["figure3"].body
    assert "Is it <em>three</em>?" in slide["question4"].body and "<details>" in slide["question4"].body
    assert r"\(a\)" in slide["exercise5"].body and "<table>" in slide["exercise5"].body
    assert slide["points6"].body == "<ul><li>One and a half.</li><li>Two with <code>code</code>.</li></ul>"


def test_notes_are_the_instructors_and_what_is_seen(shown):
    notes = {each.kind: " ".join(each.notes) for each in deck(shown, shown.find("1"))}
    assert "An orange field." in notes["figure"] and "Say that (1) is easy" in notes["formulas"]
    assert "Ask before you show." in notes["exercise"]


class Loaded(HTMLParser):
    """What a page would load, and the ids in it."""

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.sources += [values[key] for key in ("src", "data", "poster") if values.get(key)]
        self.links += [values["href"]] if values.get("href") else []
        assert tag not in ("link", "iframe", "object", "base")


def test_one_file_loads_nothing_and_links_only_into_the_network(file):
    text = file.read_text(encoding="utf-8")
    page = Loaded(text)
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert all(link.startswith("https:") for link in page.links)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    assert list(file.parent.iterdir()) == [file]
    assert text.count("</script>") == 3 and "<!--" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_without_formulas_mathjax_is_left_out(built, tmp_path):
    course = tiny_course.edit(built, "$$\na + b = c\n$$ (sum)", "(a sum)")
    course = tiny_course.edit(course, "A box with {eq}`sum`.", "A box.")
    course = tiny_course.edit(course, "{eq}`sum` is [easy]", "this is [easy]")
    from ladi_mini.course.build import build

    build(course, course.find("1"))
    assert slides(course, course.find("1"), tmp_path).stat().st_size < 50_000


def test_slides_of_a_lesson_that_changed_are_refused(built):
    course = tiny_course.edit(built, "Text in two cells.", "Text.")
    with pytest.raises(LessonError, match="changed since the notebook was made"):
        slides(course, course.find("1"))
    assert not (course.root / "build").exists()


def test_every_figure_of_the_course_is_on_a_slide():
    course = Course(ROOT)
    for lesson in course.lessons:
        if not course.notebook(lesson).is_file():
            continue
        cells = nbformat.read(course.notebook(lesson), as_version=4).cells
        kinds = [kind for cell in cells for output in cell.get("outputs", []) for kind in output.get("data", {})]
        try:
            made = deck(course, lesson)
        except (StopIteration, RuntimeError):
            pytest.skip(f"{lesson.slug} is being written")
        assert sum(slide.kind == "figure" for slide in made) == sum(kind.startswith("image/") for kind in kinds)
        assert all(slide.title for slide in made), lesson.slug


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 800)])
def test_slides_in_a_browser(file, chromium_path, width, height):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium_path, args=options)
        page = browser.new_context(viewport={"width": width, "height": height}, offline=True).new_page()
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("mjx-container svg", state="attached")

        def here() -> str:
            return page.locator(".slide.here").get_attribute("id")

        assert here() == "s1"
        for key, expected in [("ArrowRight", "s2"), (" ", "s3"), ("PageDown", "s4"), ("ArrowLeft", "s3"), ("End", "s7")]:
            page.keyboard.press(key)
            assert here() == expected
        page.keyboard.press("ArrowRight")
        assert here() == "s7" and page.url.endswith("#s7")
        page.keyboard.press("Home")
        assert here() == "s1" and page.locator(".slide >> visible=true").count() == 1
        page.goto("about:blank")
        page.goto(file.as_uri() + "#s4")
        assert here() == "s4" and page.evaluate("document.querySelector('.here img').naturalWidth") > 0
        notes = page.locator(".here .notes")
        assert not notes.is_visible()
        page.keyboard.press("n")
        assert notes.is_visible()
        page.keyboard.press("ArrowRight")
        answer = page.locator(".here details p")
        assert not answer.is_visible()
        page.locator(".here summary").focus()
        page.keyboard.press(" ")
        assert answer.is_visible() and here() == "s5"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 7
        assert not faults and not [url for url in asked if not url.startswith(("file:", "data:", "about:"))]
        browser.close()
