"""A lesson's text: from MyST Markdown to the CommonMark of a notebook, to a page of the book, to the instructor's page.

Choices made here
- A small part of MyST is understood and everything else refused, with its line: what is not understood cannot leak.
- Notebooks get CommonMark that GitHub and JupyterLab show alike: an admonition becomes a quotation with a bold title, a dropdown
  `<details>`, a citation its author and year, an equation's label its number.
- The book keeps MyST, because it can do more with it; only links are turned towards the place where the page will lie.
- An instructor's note is in neither; it comes out on the instructor's page, under the heading that it was written beside.
- Links are written as seen from `lessons/`; here they are turned to where the text goes.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FENCE = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}|~{3,}|:{3,})\s*(?:\{(?P<name>[^}]*)\})?\s*(?P<rest>.*?)\s*$")
LABEL = re.compile(r"\((?P<label>[A-Za-z][\w:.-]*)\)=\s*$")
HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<text>.*?)\s*#*\s*$")
EQUATION = re.compile(r"\$\$\s*\((?P<label>[A-Za-z][\w:.-]*)\)\s*$")
INLINE = re.compile(
    r"\{(?P<role>[A-Za-z][\w:-]*)\}(?P<mark>`+)(?P<content>.+?)(?P=mark)(?!`)"
    r"|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<math>\$\$.+?\$\$|(?<!\\)\$[^$\n]+\$)"  # where f[x](y) is no link
    r"|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)",
    re.DOTALL,
)
NAMED = re.compile(r"(?P<text>.+?)\s*<(?P<label>[^<>]+)>", re.DOTALL)
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

ADMONITIONS = ("note", "tip", "hint", "important", "warning", "caution", "attention", "seealso", "admonition")
TITLES = {"seealso": "See also"}
DIRECTIVES = (*ADMONITIONS, "dropdown", "figure", "math", "instructor")
ROLES = ("ref", "eq", "cite:p", "cite:t")


class TextError(ValueError):
    """A fault in a text, with its line (from 1)."""

    def __init__(self, fault: str, line: int):
        super().__init__(fault)
        self.fault, self.line = fault, line


@dataclass
class Block:
    """Lines of one kind: `"text"`, `"code"` (a plain fence with its marks), or a directive by its name."""

    kind: str
    lines: list[str]
    line: int  # of the first of `lines`, from 1
    argument: str = ""
    options: dict[str, str] = field(default_factory=dict)
    start: int = 0  # of the directive's own fence


@dataclass(frozen=True)
class Place:
    """Where a lesson's text goes, and what it can refer to.

    link: from a target as seen from `lessons/` to one as seen from the new place; labels: (file of the new place or "", heading)
    by label; equations: number by label; cite: from the key of a paper to (authors, year), or None if it is unknown.
    """

    link: Callable[[str], str]
    labels: dict[str, tuple[str, str]]
    equations: dict[str, int]
    cite: Callable[[str], tuple[str, str] | None]


# ---------------------------------------------------------------- reading


def blocks(lines: list[str], line: int = 1) -> Iterator[Block]:
    """The blocks of a text that begins on line `line`, in order."""
    held: list[str] = []
    begun, at = line, 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        # a line of colons with nothing in braces is text; so is code in one line between backticks
        if fence is None or (fence["name"] is None and (fence["fence"][0] == ":" or "`" in fence["rest"])):
            held.append(lines[at])
            at += 1
            continue
        if held:
            yield Block("text", held, begun)
        end = _closing(lines, at, fence["fence"], line)
        if fence["name"] is None:
            yield Block("code", lines[at : end + 1], line + at)
        else:
            yield _directive(fence, lines[at + 1 : end], line + at)
        held, at, begun = [], end + 1, line + end + 1
    if held:
        yield Block("text", held, begun)


def _closing(lines: list[str], at: int, fence: str, line: int) -> int:
    for end in range(at + 1, len(lines)):
        mark = lines[end].strip()
        if len(mark) >= len(fence) and set(mark) == {fence[0]}:
            return end
    raise TextError(f"the fence {lines[at].strip()!r} is never closed; close it with {fence!r}.", line + at)


def _directive(fence: re.Match, body: list[str], line: int) -> Block:
    name = fence["name"]
    if name not in DIRECTIVES:
        raise TextError(f"the directive {{{name}}} is not known, expected one of {', '.join(DIRECTIVES)}.", line)
    options, at = {}, 0
    while at < len(body) and (option := re.match(r":(?P<key>[\w-]+):\s*(?P<value>.*)$", body[at])):
        options[option["key"]] = option["value"].strip()
        at += 1
    return Block(name, body[at:], line + 1 + at, fence["rest"], options, line)


def every_block(lines: list[str], line: int = 1) -> Iterator[Block]:
    """The blocks of a text and those inside them; a `TextError` if one is not understood."""
    for block in blocks(lines, line):
        yield block
        if block.kind not in ("text", "code", "math"):
            yield from every_block(block.lines, block.line)


def labels_in(cells: list[str]) -> dict[str, str]:
    """The heading below each `(label)=` of a lesson's texts."""
    found = {}
    for text in cells:
        for block in blocks(text.splitlines()):
            if block.kind == "text":
                waiting: list[str] = []
                for line in block.lines:
                    if label := LABEL.match(line):
                        waiting.append(label["label"])
                    elif (heading := HEADING.match(line)) and waiting:
                        found |= dict.fromkeys(waiting, heading["text"])
                        waiting = []
    return found


def equations_in(cells: list[str]) -> dict[str, int]:
    """The number of each labelled equation of a lesson's texts, from 1 in their order."""
    found: dict[str, int] = {}
    for block in (block for text in cells for block in every_block(text.splitlines())):
        labels = [block.options["label"]] if block.kind == "math" and "label" in block.options else []
        if block.kind == "text":
            labels = [label["label"] for line in block.lines if (label := EQUATION.search(line))]
        for label in labels:
            found.setdefault(label, len(found) + 1)
    return found


def citations_in(cells: list[str]) -> list[str]:
    """The keys of the papers that a lesson's texts cite, each once, in their order."""
    keys: dict[str, None] = {}
    for prose in (prose for text in cells for prose in _seen(text.splitlines())):
        for match in INLINE.finditer(prose):
            if (match["role"] or "").startswith("cite:"):
                keys |= dict.fromkeys(key.strip() for key in match["content"].split(","))
    return list(keys)


def _seen(lines: list[str]) -> Iterator[str]:
    """The prose of a text that students see, a piece a block: no comments, code or formulas, no instructor's notes."""
    for block in blocks(lines):
        if block.kind == "text":
            yield "\n".join(line for line in block.lines if not line.startswith("%"))
        elif block.kind not in ("code", "math", "instructor"):
            yield block.argument
            yield from _seen(block.lines)


def links_in(text: str, line: int = 1) -> list[tuple[str, int]]:
    """(target, line) of each link, image and figure of a text that begins on line `line`; labels and addresses left out."""
    found = []
    for block in blocks(text.splitlines(), line):
        if block.kind == "figure":
            found.append((block.argument, block.start))
        if block.kind == "text":
            joined = "\n".join(block.lines)
            found += [
                (target, block.line + joined[: match.start()].count("\n"))
                for match in INLINE.finditer(joined)
                if (target := match["target"]) and not target.startswith("#")
            ]
        elif block.kind not in ("code", "math"):
            found += links_in("\n".join(block.lines), block.line)
    return [(target, at) for target, at in found if not EXTERNAL.match(target)]


def instructor_notes(text: str) -> list[Block]:
    """The instructor's notes in a text, wherever they are nested."""
    return [block for block in every_block(text.splitlines()) if block.kind == "instructor"]


# ---------------------------------------------------------------- to a notebook


def to_commonmark(text: str, place: Place, line: int = 1) -> str:
    """A text of a lesson as CommonMark; `""` if nothing of it is for a student."""
    return "\n".join(_commonmark(text.splitlines(), line, place)).strip("\n")


def _commonmark(lines: list[str], line: int, place: Place) -> list[str]:
    out: list[str] = []
    for block in blocks(lines, line):
        if block.kind == "text":
            plain = _plain(block, place)
            while plain and not plain[0].strip() and not _gap(out):
                plain = plain[1:]
            out += plain
        elif block.kind == "code":
            out += block.lines
        elif block.kind != "instructor":
            inner = _math(block, place) if block.kind == "math" else _commonmark(block.lines, block.line, place)
            inner = "\n".join(inner).strip("\n").splitlines()
            out += [*_gap(out), *_as_commonmark(block, inner, place), ""]
    return out


def _gap(out: list[str]) -> list[str]:
    """The blank line that is missing between `out` and what comes next."""
    return [""] if out and out[-1].strip() else []


def _as_commonmark(block: Block, inner: list[str], place: Place) -> list[str]:
    argument = _inline(block.argument, block.start, place)
    if block.kind == "dropdown":
        return ["<details>", f"<summary><b>{argument or 'More'}</b></summary>", "", *inner, "", "</details>"]
    if block.kind == "figure":
        alt = block.options.get("alt", "").strip()
        if not alt:
            raise TextError("this figure has no alt text; add `:alt:` with what is seen in it.", block.start)
        caption = ["", f"*{' '.join(inner).strip()}*"] if inner else []
        return [f"![{alt}]({place.link(block.argument)})", *caption]
    if block.kind == "math":
        return inner
    title = argument or TITLES.get(block.kind, block.kind.capitalize())
    return [f"> **{title}**", ">", *(f"> {line}".rstrip() for line in inner)]


def _math(block: Block, place: Place) -> list[str]:
    label = block.options.get("label")
    tag = [rf"\tag{{{place.equations[label]}}}"] if label else []
    return ["$$", *block.lines, *tag, "$$"]


def _plain(block: Block, place: Place) -> list[str]:
    kept = []
    for line in block.lines:
        if not (line.startswith("%") or LABEL.match(line)):
            kept.append(EQUATION.sub(lambda found: rf"\tag{{{place.equations[found['label']]}}}$$", line))
    return _inline("\n".join(kept), block.line, place).split("\n")


def _inline(text: str, line: int, place: Place) -> str:
    """Roles and links of a text in CommonMark."""

    def replace(match: re.Match) -> str:
        at = line + text[: match.start()].count("\n")
        if match["role"]:
            return _role(match["role"], match["content"], place, at)
        if match["ticks"] or match["math"]:
            return match[0]
        if match["image"] and not match["text"].strip():
            raise TextError("this image has no alt text; write between [ and ] what is seen in it.", at)
        words = _inline(match["text"], at, place)
        return f"{match['image']}[{words}]({_target(match['target'], place, at)})"

    return INLINE.sub(replace, text)


def _target(target: str, place: Place, line: int) -> str:
    if target.startswith("#"):
        if target[1:] not in place.labels:
            raise TextError(f"the label {target[1:]!r} is not known; write `({target[1:]})=` above a heading.", line)
        file, heading = place.labels[target[1:]]
        return f"{file}#{anchor(heading)}"
    return target if EXTERNAL.match(target) else place.link(target)


def _role(role: str, content: str, place: Place, line: int) -> str:
    if role not in ROLES:
        raise TextError(f"the role {{{role}}} is not known, expected one of {', '.join(ROLES)}.", line)
    if role == "ref":
        named = NAMED.fullmatch(content)
        if not named:
            raise TextError(f"{{ref}}`{content}` has no text; write {{ref}}`text <{content}>`.", line)
        return f"[{named['text']}]({_target('#' + named['label'], place, line)})"
    if role == "eq":
        if content not in place.equations:
            raise TextError(f"the equation {content!r} is not in this lesson; label one with `$$ ({content})`.", line)
        return f"({place.equations[content]})"
    papers = []
    for key in (key.strip() for key in content.split(",")):
        if (paper := place.cite(key)) is None:
            raise TextError(f"the paper {key!r} is not in references.bib; add it there.", line)
        papers.append(paper)
    if role == "cite:t":
        return ", ".join(f"{authors} ({year})" for authors, year in papers)
    return f"({'; '.join(f'{authors}, {year}' for authors, year in papers)})"


def anchor(heading: str) -> str:
    """The anchor that JupyterLab and GitHub give to a heading in a notebook."""
    return re.sub(r"[`*$\\]", "", heading).strip().replace(" ", "-")


# ---------------------------------------------------------------- to the book


def to_page(text: str, link: Callable[[str], str]) -> str:
    """A text of a lesson as MyST for the book: without instructor's notes, its links turned; one turned to "" is text."""
    return "\n".join(_page(text.splitlines(), link)).strip("\n")


def _page(lines: list[str], link: Callable[[str], str]) -> list[str]:
    out: list[str] = []
    for block in blocks(lines):
        if block.kind == "text":
            out += turn_links("\n".join(block.lines), link).split("\n")
        elif block.kind == "code":
            out += block.lines
        elif block.kind != "instructor":
            inner = block.lines if block.kind == "math" else _page(block.lines, link)
            argument = link(block.argument) if block.kind == "figure" else turn_links(block.argument, link)
            marks = [len(found[0]) for line in inner if (found := re.match(r"\s*(`{3,}|:{3,})", line))]
            fence = "`" * max([3, *(mark + 1 for mark in marks)])
            options = [f":{key}: {value}".rstrip() for key, value in block.options.items()]
            out += [f"{fence}{{{block.kind}}} {argument}".rstrip(), *options, *inner, fence]
    return out


def turn_links(text: str, link: Callable[[str], str]) -> str:
    """A text without fences, its links to files turned by `link`; one turned to "" becomes text."""

    def replace(match: re.Match) -> str:
        if match["target"] is None or match["target"].startswith("#") or EXTERNAL.match(match["target"]):
            return match[0]
        words, target = turn_links(match["text"], link), link(match["target"])
        return f"{match['image']}[{words}]({target})" if target else words

    return INLINE.sub(replace, text)


# ---------------------------------------------------------------- what may not be left in a notebook

LEFTOVERS = {
    "a directive": re.compile(r"^\s*(`{3,}|:{3,})\s*\{", re.MULTILINE),
    "a role": re.compile(r"\{[A-Za-z][\w:-]*\}`"),
    "a label": re.compile(r"^\([A-Za-z][\w:.-]*\)=\s*$", re.MULTILINE),
    "a block break": re.compile(r"^\+\+\+", re.MULTILINE),
    "a comment": re.compile(r"^%", re.MULTILINE),
    "an equation's label": re.compile(r"\$\$\s*\([A-Za-z][\w:.-]*\)\s*$", re.MULTILINE),
}


def leftovers(markdown: str) -> list[str]:
    """What of MyST is left in a text that should be CommonMark; code is not looked at."""
    outside, fence = [], None
    for line in markdown.splitlines():
        mark = re.match(r"\s*(?:>\s*)*(`{3,}|~{3,})(.*)$", line)
        if fence is None and mark and not mark[2].lstrip().startswith("{") and "`" not in mark[2]:
            fence = mark[1]
        elif fence is not None:
            closes = mark and not mark[2].strip() and len(mark[1]) >= len(fence) and mark[1][0] == fence[0]
            fence = None if closes else fence
        else:
            outside.append(re.sub(r"^\s*(?:>\s?)+", "", line))
    text = re.sub(r"(?<![`}])(`+)(?!`)[^`\n]+\1(?!`)", "", "\n".join(outside))
    return [name for name, pattern in LEFTOVERS.items() if pattern.search(text)]


# ---------------------------------------------------------------- papers


@cache
def _bibliography(path: Path, stamp: int):
    from pybtex.database import parse_file

    return parse_file(str(path)).entries


def bibliography(path: Path):
    """The entries of a BibTeX file by key; none if there is no such file."""
    return _bibliography(path, path.stat().st_mtime_ns) if path.is_file() else {}


def cited(path: Path, key: str) -> tuple[str, str] | None:
    """(authors, year) of a paper as a text cites it, such as ("Morelli et al.", "2023"); None if the key is unknown."""
    entry = bibliography(path).get(key)
    if entry is None:
        return None
    names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons["author"]]
    authors = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return _clean(authors), entry.fields["year"]


def reference(path: Path, key: str) -> str:
    """A paper in full, as one line of CommonMark."""
    entry = bibliography(path)[key]
    names = [" ".join(p.first_names + p.middle_names + p.prelast_names + p.last_names) for p in entry.persons["author"]]
    authors = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    fields = entry.fields
    venue = next((fields[name] for name in ("booktitle", "journal", "publisher", "howpublished") if name in fields), "")
    link = f" [{fields['url'].split('//')[-1]}]({fields['url']})" if "url" in fields else ""
    return f"{_clean(authors)}. *{_clean(fields['title'])}*. {_clean(venue)}{', ' if venue else ''}{fields['year']}.{link}"


def _clean(text: str) -> str:
    """Without BibTeX's braces; LaTeX accents are not used in references.bib, which is UTF-8."""
    return re.sub(r"[{}]", "", text)


def relative(target: Path, folder: Path) -> str:
    """`target` as seen from `folder`, with slashes."""
    return Path(os.path.relpath(target, folder)).as_posix()
