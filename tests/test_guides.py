"""The pages in Russian and Macedonian say what the English ones say; no link of a page is dead."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from test_docs import shell_commands

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ("docs/guide_ru.md", "docs/guide_mk.md")
#: `test_docs.py` runs the commands of these pages, in this order.
ENGLISH = ("README.md", "docs/guide.md", "docs/neurons.md")
LINES = 120


#: The README in each language; the table of promises is in English alone.
READMES = ("README.md", "README.ru.md", "README.mk.md")
PROMISES = re.compile(r"<!-- promises.*<!-- end of promises -->\n", re.S)
#: All pages for readers.
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "c*/**/README.md", "textgen/*/README.md")
    for path in sorted(ROOT.glob(pattern))
]


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def sections(page: str) -> list[tuple[str, str]]:
    """The level and the text of each section, without blocks of commands and addresses of links."""
    prose = re.sub(r"^```sh\n.*?^```$", "", text_of(page), flags=re.S | re.M)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    parts = re.split(r"^(#+) ", prose, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def code(prose: str) -> Counter[str]:
    return Counter(" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose))


def numbers(prose: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:\.\d+)?", re.sub(r"`[^`]+`", "", prose)))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_both_have_the_same_commands() -> None:
    """Each stands in the English pages, where it is run, and in the same order."""
    russian, macedonian = map(shell_commands, GUIDES)
    assert russian == macedonian
    assert len(russian) == len(set(russian)) >= 15
    for page in GUIDES:
        lines = re.findall(r"^```sh\n(.*?)^```$", text_of(page), re.S | re.M)
        assert "".join(lines).splitlines() == russian
        assert text_of(page).count("```") == 2 * len(lines)
    tested = [command for page in ENGLISH for command in shell_commands(page)]
    places = [tested.index(command) for command in russian]
    assert places == sorted(places)


def test_both_have_the_same_headings_numbers_and_code() -> None:
    russian, macedonian = map(sections, GUIDES)
    assert [level for level, _ in russian] == [level for level, _ in macedonian]
    for (_, here), (_, there) in zip(russian, macedonian, strict=True):
        place = here.partition("\n")[0]
        assert code(here) == code(there), place
        assert numbers(here) == numbers(there), place


@pytest.mark.parametrize("page", GUIDES)
def test_it_is_short(page: str) -> None:
    assert len(text_of(page).splitlines()) <= LINES


def links(page: str) -> list[str]:
    """The addresses within the project that a page names, its own headings among them."""
    prose = re.sub(r"^```.*?^```$|^ {4}.*?$", "", text_of(page), flags=re.S | re.M)
    prose = re.sub(r"`[^`\n]+`", "code", prose)
    named = re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", prose)
    return [one or other for one, other in named if "://" not in one + other]


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    """To files that are there, and to headings of theirs."""
    for link in links(page):
        to, _, anchor = link.partition("#")
        there = (ROOT / page).parent / to if to else ROOT / page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_the_readmes_say_the_same() -> None:
    """The same headings, commands, pictures, numbers and links, in three languages."""
    english, *others = (PROMISES.sub("", text_of(page)) for page in READMES)
    fenced = re.compile(r"^```\w*\n.*?^```$", re.S | re.M)
    picture = re.compile(r'<img src="(\S+)" width="(\d+)" alt=".{40,}">')
    assert len(fenced.findall(english)) == 2 and len(picture.findall(english)) == 1
    for page, text in zip(READMES[1:], others, strict=True):
        assert fenced.findall(text) == fenced.findall(english)
        assert picture.findall(text) == picture.findall(english)
        here, there = sections(page), sections("README.md")
        assert [level for level, _ in here] == [level for level, _ in there]
        there = [(level, PROMISES.sub("", prose)) for level, prose in there]
        for (_, own), (_, other) in zip(here, there, strict=True):
            assert numbers(own) == numbers(other), own.partition("\n")[0]
        common = {re.sub(r"lessons/(ru|mk)/", "lessons/", link) for link in links(page)}
        assert {*links("README.md")} - {*READMES} <= common, page
        assert {*READMES} - {page} <= {link.partition("#")[0] for link in links(page)}


def test_the_readme_begins_on_one_screen() -> None:
    """What it is, a picture, two commands, three commands: before one scrolls."""
    for page in READMES:
        before, _, after = text_of(page).partition("| install it, " if page == READMES[0] else "|")
        assert after and len(before.splitlines()) <= 42, page


def test_the_glossary_has_every_word_in_three_languages() -> None:
    """One row a word, none twice, no cell empty."""
    rows = re.findall(r"^\| (?!English|---)(.+) \|$", text_of("docs/glossary.md"), re.M)
    cells = [row.split(" | ") for row in rows]
    assert len(cells) >= 70
    for row in cells:
        assert len(row) == 5 and all(row), row
    words = [row[0] for row in cells]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("language", ["ru", "mk"])
def test_the_index_of_the_lessons_lists_the_pages_of_its_language(language: str) -> None:
    """In the order of the English index, with the same commands."""
    rows = re.compile(r"^\| .+ \| \[\d+ .+\]\((.+\.md)\) \| .*?(`.*`)?.* \|$", re.M)
    own, english = (
        rows.findall(text_of(f"docs/lessons/{folder}README.md")) for folder in (f"{language}/", "")
    )
    assert own == english
    assert own
