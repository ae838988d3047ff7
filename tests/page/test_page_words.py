"""The words of the page: each in every language, none unknown and none without use."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from textgen.cells.registry import CELLS
from textgen.inspection.features import FEATURES
from textgen.inspection.trace import quantities
from textgen.page.render import LIVE, RECORDED, SERVED

FOLDER = files("textgen.page")
SOURCE = FOLDER.joinpath("words.js").read_text(encoding="utf-8")
WORDS: dict[str, list[str]] = json.loads(
    re.findall(r"const WORDS = (\{.*?^\});", SOURCE, re.DOTALL | re.MULTILINE)[0]
)


TEXT = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted(FOLDER.iterdir(), key=str)
    if path.name.endswith((".html", ".js")) and path.name != "words.js"
)
#: Keys that the scripts put together: of each quantity, of each kind of piece, of each row.
MADE = {
    *(f"quantity {name}" for cell in CELLS.values() for name in quantities(cell)),
    *(f"{noun} of" for noun in ("character", "token")),
    *(f"say {noun}" for noun in ("character", "token")),
    *(f"unknown {noun}" for noun in ("character", "token")),
    *(
        f"about {'gate' if name.endswith('-gate') else name}"
        for cell in CELLS.values()
        for name in quantities(cell)
    ),
    *("surprise", "about surprise", "influence", "about influence"),
    *(f"feature {name}" for name in FEATURES),
}


def test_each_key_that_is_asked_for_has_words_and_each_is_asked_for() -> None:
    asked = set(re.findall(r'data-(?:word|label|hint|about)="([^"]+)"|\bword\("([^"]+)"', TEXT))
    assert {first or second for first, second in asked} | MADE <= set(WORDS)
    assert {key for key in set(WORDS) - MADE if f'"{key}"' not in TEXT} == set()
    assert len(re.findall(r'^  "', SOURCE, re.MULTILINE)) == len(WORDS)  # no key stands twice


def test_each_key_has_words_in_all_languages() -> None:
    codes = re.findall(r'\["(\w\w)", "\w+"\]', SOURCE)
    assert codes == ["en", "ru", "mk"]
    for key, words in WORDS.items():
        assert len(words) == len(codes), key
        assert all(words), key


def test_the_same_values_stand_in_each_language() -> None:
    for key, words in WORDS.items():
        places = {tuple(sorted(re.findall(r"\{\d\}", each))) for each in words}
        assert len(places) == 1, key


def test_macedonian_and_russian_have_their_own_letters() -> None:
    for key, (_, russian, macedonian) in WORDS.items():
        assert not re.search("[ѓќѕџљњј]", russian.lower()), key
        assert not re.search("[ыэъьщёюяй]", macedonian.lower()), key


def test_the_scripts_of_a_page_are_all_there_is() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.name.endswith(".js")} == {
        *RECORDED,
        *LIVE,
        *SERVED,
    }
