"""course.text: MyST becomes CommonMark that says the same, nothing of MyST leaks, and what is not understood is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladi_mini.course.text import (
    Place,
    TextError,
    anchor,
    citations_in,
    equations_in,
    instructor_notes,
    labels_in,
    leftovers,
    links_in,
    to_commonmark,
    to_page,
)

PLACE = Place(
    link=lambda target: f"turned/{target}",
    labels={"here": ("", "A `small` heading"), "there": ("02_other.ipynb", "There")},
    equations={"sum": 1, "product": 2},
    cite=lambda key: {"one": ("Ann", "2001"), "two": ("Bo and Cy", "2002")}.get(key),
)


def flat(text: str) -> str:
    return to_commonmark(text, PLACE)


@pytest.mark.parametrize(
    ("myst", "commonmark"),
    [
        ("```{note}\nText.\n```", "> **Note**\n>\n> Text."),
        (":::{tip}\nText.\n:::", "> **Tip**\n>\n> Text."),
        ("```{admonition} My *own*\nText.\n```", "> **My *own***\n>\n> Text."),
        ("```{seealso}\nText.\n```", "> **See also**\n>\n> Text."),
        ("```{dropdown} Hint\nText.\n```", "<details>\n<summary><b>Hint</b></summary>\n\nText.\n\n</details>"),
        ("```{figure} a.png\n:alt: A dot.\n\nThe\ncaption.\n```", "![A dot.](turned/a.png)\n\n*The caption.*"),
        ("$$\nx\n$$ (sum)", "$$\nx\n\\tag{1}$$"),
        ("```{math}\n:label: product\nx\n```", "$$\nx\n\\tag{2}\n$$"),
        ("See {eq}`product`.", "See (2)."),
        ("{cite:p}`one,two`", "(Ann, 2001; Bo and Cy, 2002)"),
        ("{cite:t}`two`", "Bo and Cy (2002)"),
        ("[a](#here) and {ref}`b <there>`", "[a](#A-small-heading) and [b](02_other.ipynb#There)"),
        ("[a](b.md), ![c](d.png), <https://e.f>", "[a](turned/b.md), ![c](turned/d.png), <https://e.f>"),
        ("[a](https://b.c) [d](mailto:e)", "[a](https://b.c) [d](mailto:e)"),
        ("(here)=\n## Title\n% gone\nText", "## Title\nText"),
        ("$f[i](x)$ and `[a](b)` and `{eq}`", "$f[i](x)$ and `[a](b)` and `{eq}`"),
        ("```python\n{eq}`sum` % kept\n```", "```python\n{eq}`sum` % kept\n```"),
        ("```{instructor}\nSecret.\n```", ""),
        ("Before.\n\n```{instructor}\nSecret.\n```\n\nAfter.", "Before.\n\nAfter."),
    ],
)
def test_myst_becomes_commonmark(myst, commonmark):
    assert flat(myst) == commonmark
    assert leftovers(flat(myst)) == []


COMMONMARK = ["A line.", "", "- a *b* `c`", "> quoted", "## Head", "| a | b |", "$x_i$ and $$y$$", "<b>bold</b>", "1. `{x}`"]


@given(st.lists(st.sampled_from(COMMONMARK)))
def test_what_is_commonmark_already_stays_as_it_is(lines):
    text = "\n".join(lines).strip("\n")
    assert flat(text) == text == to_page(text, lambda target: target) and leftovers(text) == []


def test_nested_boxes_are_flattened_inside_out():
    text = "````{dropdown} Q\nA\n```{note}\nN\n```\nB\n````"
    inside = ["A", "", "> **Note**", ">", "> N", "", "B"]
    assert flat(text).splitlines() == ["<details>", "<summary><b>Q</b></summary>", "", *inside, "", "</details>"]


@pytest.mark.parametrize(
    ("text", "fault", "line"),
    [
        ("a\n```{video} x\n```", "{video} is not known", 2),
        ("a\nb {abbr}`x`", "{abbr} is not known", 2),
        ("a\n```{note}\nb", "never closed", 2),
        ("a\n\nb {eq}`nothing`", "the equation 'nothing'", 3),
        ("a {cite:p}`three`", "the paper 'three'", 1),
        ("a\n[b](#nowhere)", "the label 'nowhere'", 2),
        ("{ref}`here`", "has no text", 1),
        ("a\n```{figure} b.png\n```", "no alt text", 2),
        ("a\n![](b.png)", "no alt text", 2),
        ("````{note}\na\n```{dropdown} t\n{eq}`no`\n```\n````", "the equation 'no'", 4),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text, fault, line):
    with pytest.raises(TextError) as caught:
        flat(text)
    assert fault in caught.value.fault and caught.value.line == line


@pytest.mark.parametrize(
    "text",
    ["```{note}\nx\n```", ":::{note}\nx\n:::", "> ```{note}", "a {eq}`b`", "(label)=", "% comment", "+++", "$$\nx\n$$ (sum)"],
)
def test_leftovers_of_myst_are_found(text):
    assert leftovers(text)


@pytest.mark.parametrize("text", ["```markdown\n```{note}\n% a\n```", "`{eq}` and `b`", "100 % sure", "{a}, (b)= c", "$$ (x) $$"])
def test_what_only_looks_like_myst_is_no_leftover(text):
    assert leftovers(text) == []


def test_page_keeps_directives_and_turns_links_but_has_no_notes():
    text = "````{dropdown} T\n:open:\n\n[a](b.md) {eq}`sum`\n\n```{instructor}\nSecret.\n```\n````\n![x](y.png) [l](#here)"
    page = to_page(text, lambda target: f"turned/{target}")
    assert "{dropdown} T\n:open:" in page and "[a](turned/b.md) {eq}`sum`" in page
    assert "![x](turned/y.png) [l](#here)" in page and "Secret" not in page


def test_a_link_that_leads_nowhere_in_the_book_becomes_text():
    assert to_page("see [the `folder`](../data)", lambda target: "") == "see the `folder`"


def test_labels_equations_citations_links_and_notes_are_collected_in_order():
    texts = [
        "(b)=\n(a)=\n## One `two`\n\n$$ x $$ (second)\n\n```{instructor}\nN1\n```",
        "$$\ny\n$$ (first) {cite:p}`k, l` {cite:t}`k`",
    ]
    assert labels_in(texts) == {"a": "One `two`", "b": "One `two`"}
    assert equations_in([texts[0], "$$\ny\n$$ (first)"]) == {"second": 1, "first": 2}
    assert citations_in(texts) == ["k", "l"]
    assert [(note.lines, note.start) for note in instructor_notes(texts[0])] == [(["N1"], 7)]
    assert links_in("a\n[b](c.md) [d](#e) [f](http://g)\n```{figure} h.png\n```") == [("c.md", 2), ("h.png", 3)]


def test_papers_cited_in_a_box_count_and_those_in_comments_code_and_instructors_notes_do_not():
    boxed = "````{dropdown} see {cite:t}`title`\n{cite:p}`inner`\n```{note}\n{cite:p}`deep`\n```\n````"
    hidden = "% {cite:p}`comment`\n```{instructor}\n{cite:p}`note`\n```\n```\n{cite:p}`code`\n```"
    assert citations_in([boxed, hidden]) == ["title", "inner", "deep"]


def test_anchor_is_the_heading_with_dashes():
    assert anchor("What `grid_sample` does") == "What-grid_sample-does"
