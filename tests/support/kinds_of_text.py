"""Made texts of many kinds in several alphabets: prose, verse, tables, code, chats, lists."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable

#: Consonants and vowels of which words are made; of alphabets without them, all in both.
ALPHABETS = {
    "latin": ("b c d f g h k l m n p r s t v w z", "a e i o u"),
    "accented": ("b č d f g ł m ñ p ř s ş t z", "á ä e ę í ö ő u ü ã"),
    "cyrillic": ("б в г д ж з к л м н п р с т ч ш", "а е и о у ы ю я"),
    "greek": ("β γ δ ζ θ κ λ μ ν π ρ σ τ φ χ", "α ε η ι ο υ ω"),
    "armenian": ("բ գ դ զ կ լ մ ն պ ռ ս տ", "ա ե ի ո ու"),
    "hebrew": ("ב ג ד ה ו ז ח ט כ ל מ נ ס פ ק ר ש ת", "א י ו"),
    "arabic": ("ب ت ج ح د ر ز س ش ع ف ق ك ل م ن ه", "ا و ي"),
    "devanagari": ("क ख ग च ज ट ड त द न प ब म य र ल स", "ा ि ी ु े ो"),
    "hangul": ("가 나 다 라 마 바 사 아 자 차 카", "이 오 우 영 민 진 희 수"),
    "han": ("王 李 张 刘 陈 杨 赵 黄 周 吴 山 水 大 小", "明 华 丽 伟 芳 天 地 人 风 月"),
}
#: Written without spaces between words.
UNSPACED = frozenset({"han"})
STOPS = {"han": "。", "devanagari": " ।", "armenian": "։"}
COMMAS = {"han": "，", "arabic": "،"}


class Writer:
    """Writes texts in an alphabet; equal arguments give equal texts."""

    def __init__(self, alphabet: str, number: int = 0) -> None:
        self.random = random.Random(f"{alphabet} {number}")
        self.stop, self.comma = STOPS.get(alphabet, "."), COMMAS.get(alphabet, ",")
        self.space = "" if alphabet in UNSPACED else " "
        consonants, vowels = (letters.split() for letters in ALPHABETS[alphabet])
        self._consonants, self._vowels = consonants, vowels
        self._common = [self.word(1) for _ in range(12)]

    def word(self, syllables: int = 0) -> str:
        count = syllables or self.random.choice([1, 2, 2, 3])
        choose = self.random.choice
        return "".join(choose(self._consonants) + choose(self._vowels) for _ in range(count))

    def words(self, least: int, most: int) -> list[str]:
        """Words of a text, of which every third is one of a few."""
        return [
            self.random.choice(self._common) if self.random.random() < 0.35 else self.word()
            for _ in range(self.random.randint(least, most))
        ]

    def sentence(self) -> str:
        first, second = self.words(3, 8), self.words(3, 8)
        text = f"{self.space.join(first)}{self.comma}{self.space}{self.space.join(second)}"
        return text.capitalize() + self.random.choice([self.stop] * 4 + ["?", "!"])

    def paragraph(self) -> str:
        return self.space.join(self.sentence() for _ in range(self.random.randint(2, 7)))

    def name(self) -> str:
        return self.word(self.random.choice([2, 2, 3, 4])).capitalize()


def _lines(count: int, line: Callable[[], str]) -> str:
    return "".join(f"{line()}\n" for _ in range(count))


def _blocks(count: int, block: Callable[[], str]) -> str:
    return "\n".join(f"{block()}\n" for _ in range(count))


def _wrapped(w: Writer, width: int) -> str:
    parts = [w.paragraph() for _ in range(60)]
    if w.space:
        return "\n".join("\n".join(textwrap.wrap(part, width)) for part in parts)
    return "\n".join(part[i : i + width] for part in parts for i in range(0, len(part), width))


def _verse(w: Writer, mark: bool) -> str:
    """A line of nearly as many syllables as all."""
    words: list[str] = []
    while sum(map(len, words)) < 18:
        words.append(w.random.choice(w._common) if w.random.random() < 0.35 else w.word())
    end = w.random.choice([w.comma, w.stop, ";", ""]) if mark else ""
    return w.space.join(words).capitalize() + end


def _stanzas(w: Writer, mark: bool) -> str:
    return _blocks(40, lambda: "\n".join(_verse(w, mark) for _ in range(w.random.choice([4, 8]))))


def _code(w: Writer) -> str:
    def function() -> str:
        name, own = w.word(), w.word()
        body = [f"def {name}({own}):", f"    {own} = {own} + {w.random.randint(0, 99)}"]
        body += [f"    if {own} > {w.random.randint(0, 9)}:", f"        return {name}({own} - 1)"]
        return "\n".join([*body, f"    return {own}"])

    return _blocks(40, function)


def _flat_code(w: Writer) -> str:
    def line() -> str:
        return w.random.choice(
            [f"{w.word()} = {w.word()}()", f"print({w.word()})", f"# {w.word()}"]
        )

    return _lines(300, line)


def _json(w: Writer) -> str:
    return "[\n" + _lines(200, lambda: f'  {{"{w.word()}": {w.random.randint(0, 99)}}},') + "]\n"


def _subtitles(w: Writer) -> str:
    numbers = iter(range(1, 1000))

    def block() -> str:
        number = next(numbers)
        time = f"00:{number // 60:02}:{number % 60:02},000 --> 00:{number // 60:02}:59,500"
        return f"{number}\n{time}\n{w.sentence()[:40]}"

    return _blocks(80, block)


def _log(w: Writer) -> str:
    levels, parts = ["INFO", "WARN", "ERROR"], [w.word() for _ in range(5)]

    def line() -> str:
        clock = f"2026-11-{w.random.randint(10, 28)} {w.random.randint(10, 23)}:15:07"
        return f"{clock} {w.random.choice(levels)} {w.random.choice(parts)} {w.word()}"

    return _lines(300, line)


def _short_log(w: Writer) -> str:
    levels, parts = ["INFO", "WARN", "ERROR"], [w.word() for _ in range(9)]
    return _lines(300, lambda: f"{w.random.choice(levels)} {w.random.choice(parts)}")


def _chat(w: Writer, form: str) -> str:
    people = [w.name() for _ in range(4)]

    def line() -> str:
        said = w.space.join(w.words(1, 5))
        return form.format(w.random.choice(people), said, w.random.randint(10, 59))

    return _lines(300, line)


def _screenplay(w: Writer) -> str:
    people = [w.name().upper() for _ in range(4)]
    return _blocks(80, lambda: f"{w.random.choice(people)}\n{w.sentence()}")


def _recipes(w: Writer) -> str:
    def block() -> str:
        parts = "\n".join(f"{w.random.randint(1, 9)} g {w.word()}" for _ in range(5))
        return f"{w.name()}\n{parts}\n{w.sentence()}"

    return _blocks(40, block)


#: Texts that are no lists.
OTHERS: dict[str, Callable[[Writer], str]] = {
    "prose, a paragraph a line": lambda w: _lines(200, w.paragraph),
    "prose, a sentence a line": lambda w: _lines(300, w.sentence),
    "prose in 30 columns": lambda w: _wrapped(w, 30),
    "prose in 40 columns": lambda w: _wrapped(w, 40),
    "prose in 72 columns": lambda w: _wrapped(w, 72),
    "verse in stanzas": lambda w: _stanzas(w, True),
    "verse in stanzas, without marks": lambda w: _stanzas(w, False),
    "verse without stanzas": lambda w: _lines(300, lambda: _verse(w, True)),
    "verse without stanzas or marks": lambda w: _lines(300, lambda: _verse(w, False)),
    "code": _code,
    "code without indents": _flat_code,
    "json": _json,
    "settings": lambda w: _lines(200, lambda: f"{w.word()}={w.word()}"),
    "html": lambda w: _lines(200, lambda: f"<li>{w.name()}</li>"),
    "csv": lambda w: _lines(300, lambda: f"{w.name()},{w.word()},{w.word()}"),
    "csv with semicolons": lambda w: _lines(300, lambda: f"{w.name()};{w.word()}"),
    "tsv": lambda w: _lines(300, lambda: f"{w.name()}\t{w.word()}"),
    "numbers": lambda w: _lines(300, lambda: f"{w.random.random():.3f}"),
    "names with numbers": lambda w: _lines(300, lambda: f"{w.name()} {w.random.randint(9, 9999)}"),
    "subtitles": _subtitles,
    "log": _log,
    "log without times": _short_log,
    "chat": lambda w: _chat(w, "{0}: {1}"),
    "chat in brackets": lambda w: _chat(w, "<{0}> {1}"),
    "chat with times": lambda w: _chat(w, "[12:{2}] {0} {1}"),
    "chat without colons": lambda w: _chat(w, "{0} {1}"),
    "dialogue": lambda w: _lines(300, lambda: f"— {w.sentence()}"),
    "screenplay": _screenplay,
    "recipes": _recipes,
    "few names": lambda w: _lines(40, w.name),
    "a few lines again and again": lambda w: _lines(300, iter([w.name()] * 300).__next__),
}


def _sections(w: Writer) -> str:
    return _blocks(10, lambda: "\n".join(w.name() for _ in range(40)))


def _title(w: Writer) -> str:
    words = [w.word() for _ in range(w.random.choice([1, 2, 2, 3, 3, 4, 5]))]
    return (w.space or "").join(words).capitalize()


#: Texts that are lists.
LISTS: dict[str, Callable[[Writer], str]] = {
    "names": lambda w: _lines(300, w.name),
    "names in lower case": lambda w: _lines(300, lambda: w.name().lower()),
    "sorted names": lambda w: "".join(sorted(f"{w.name()}\n" for _ in range(500))),
    "full names": lambda w: _lines(300, lambda: f"{w.name()} {w.name()}"),
    "names with initials": lambda w: _lines(300, lambda: f"{w.name()[:1]}. {w.name()}"),
    "joined names": lambda w: _lines(300, lambda: f"{w.name()}-{w.name()}"),
    "names in sections": _sections,
    "names with Windows line ends": lambda w: _lines(300, w.name).replace("\n", "\r\n"),
    "names with old line ends": lambda w: _lines(300, w.name).replace("\n", "\r"),
    "names, some often": lambda w: _lines(400, iter([w.name() for _ in range(250)] * 2).__next__),
    "titles": lambda w: _lines(300, lambda: _title(w)),
    "names, blank lines after": lambda w: _lines(60, w.name) + "\n" * 40,
}
