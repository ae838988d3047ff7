"""The lessons in Russian and Macedonian say what the English ones say: code, numbers, headings."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from textgen.lessons.lesson_page import Lesson

FOLDER = Path(__file__).resolve().parents[2] / "docs/lessons"
LANGUAGES = ("ru", "mk")
PAGES = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
PAIRS = [
    pytest.param(language, page, id=f"{language}-{page}")
    for language in LANGUAGES
    for page in PAGES
]
#: Code of a page: fenced, or a formula with four spaces before it.
BLOCK = re.compile(r"^```\w*\n.*?^```$|^ {4}\S.*?$(?=\n\n|\Z|\n```)", re.S | re.M)
PICTURE = re.compile(r"^!\[(.+)\]\((?:\.\./)?(pictures/\w+\.svg)\)$", re.M)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def read(page: str, language: str = "") -> str:
    return (FOLDER / language / page).read_text("utf-8")


def sections(text: str) -> list[tuple[str, str]]:
    """The level and the prose of each section, without code, pictures and addresses of links."""
    prose = BLOCK.sub("", text)
    prose = LINK.sub(lambda found: found[0].partition("](")[0], PICTURE.sub("", prose))
    parts = re.split(r"^(#+) (?=.*\n)", prose, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def numbers(prose: str) -> Counter[str]:
    """The numbers of a text; code within it is counted by itself."""
    without_code = re.sub(r"`[^`]+`", "", prose)
    return Counter(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3}\b)", "", without_code)))


def code(prose: str) -> Counter[str]:
    return Counter(" ".join(own.split()) for own in re.findall(r"`([^`]+)`", prose))


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", own.lower()).replace(" ", "-") for own in headings}


@pytest.mark.parametrize(("language", "page"), PAIRS)
def test_code_and_formulas_are_the_same(language: str, page: str) -> None:
    assert BLOCK.findall(read(page, language)) == BLOCK.findall(read(page))


@pytest.mark.parametrize(("language", "page"), PAIRS)
def test_pictures_are_the_same_and_described_anew(language: str, page: str) -> None:
    own, english = PICTURE.findall(read(page, language)), PICTURE.findall(read(page))
    assert [name for _, name in own] == [name for _, name in english]
    assert all(re.search("[а-яёѓѕјљњќџ]", says) for says, _ in own)


@pytest.mark.parametrize(("language", "page"), PAIRS)
def test_each_section_has_the_same_numbers_and_commands(language: str, page: str) -> None:
    own, english = sections(read(page, language)), sections(read(page))
    assert [level for level, _ in own] == [level for level, _ in english]
    for (_, here), (_, there) in zip(own, english, strict=True):
        place = there.partition("\n")[0]
        assert numbers(here) == numbers(there), place
        assert code(here) == code(there), place


@pytest.mark.parametrize(("language", "page"), PAIRS)
def test_links_lead_to_pages_of_the_same_language(language: str, page: str) -> None:
    own, english = (LINK.findall(BLOCK.sub("", read(page, to))) for to in (language, ""))
    assert sorted(to.removeprefix("../../").removeprefix("../") for to, _ in own) == sorted(
        to.removeprefix("../") for to, _ in english
    )
    for to, anchor in own:
        if "://" in to:
            continue
        there = (FOLDER / language / (to or page)).resolve()
        assert there.is_file(), to
        assert not anchor or anchor in anchors(there.read_text("utf-8")), f"{to}#{anchor}"


@pytest.mark.parametrize(("language", "page"), PAIRS)
def test_it_needs_the_same(language: str, page: str) -> None:
    own, english = Lesson.read(read(page, language)), Lesson.read(read(page))
    assert own.number == english.number
    assert (own.needs, own.commands_need) == (english.needs, english.commands_need)
    assert re.search("[а-я]", own.title) and re.search("[а-я]", own.takes)
