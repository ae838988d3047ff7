"""The short guides in Russian and Macedonian say the same, in commands that English pages have."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from test_docs import shell_commands

DOCS = Path(__file__).resolve().parents[1] / "docs"
GUIDES = ("docs/guide_ru.md", "docs/guide_mk.md")
#: `test_docs.py` runs the commands of these pages, in this order.
ENGLISH = ("README.md", "docs/guide.md", "docs/neurons.md")
LINES = 120


def text_of(page: str) -> str:
    return (DOCS.parent / page).read_text("utf-8")


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


@pytest.mark.parametrize("page", [*GUIDES, "docs/glossary.md"])
def test_its_links_lead_somewhere(page: str) -> None:
    """To pages that are there, and to headings of theirs."""
    for to, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", text_of(page)):
        there = (DOCS / to).resolve()
        assert there.is_file(), to
        assert not anchor or anchor in anchors(there), f"{to}#{anchor}"


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
