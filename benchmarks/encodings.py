"""How often the encoding of a text is found, and what the confidence is worth.

    python benchmarks/encodings.py [--repeats N] [--part tune|report] [--wrong N] [--json]

Texts in the languages of `languages.txt` (beside this file, written for it) are varied by
shuffling words and sentences, written in every code page that has their characters, and detected
by `textgen.corpus.encoding.detect`. Three kinds:

- natural: the language as it is, at 100 to 100,000 characters;
- diluted: words with characters beyond ASCII are taken out until one character in 30, in 100 or
  in 1,000 is left of them (languages that are not written in Latin letters stand in English);
- symbols: ASCII of a language written in Latin letters, now and then with a symbol or a
  loanword: one kind of them, or a mixture, once in about 60, 200 or 1,000 characters.

A detection is right when the text it gives equals the text that was written, so two code pages
that read the same are equally right. A refusal counts as wrong, and as not sure. The first half of
each language's sentences and of the symbols is for tuning, the second for reporting.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textgen.corpus.encoding import detect
from textgen.corpus.source import open_sources
from textgen.errors import TextgenError

SURE = 0.9
LENGTHS = (100, 300, 1_000, 10_000, 100_000)

WESTERN = ("cp1252", "iso8859_15", "mac_roman", "cp850", "cp437")
CENTRAL = ("cp1250", "iso8859_2", "cp852", "mac_latin2")
BALTIC = ("cp1257", "iso8859_13", "cp775")
CYRILLIC = ("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic")
#: The code pages of languages that are not of the west.
CODE_PAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovene"), CENTRAL
    ),
    **dict.fromkeys(("Lithuanian", "Latvian"), BALTIC),
    "Estonian": ("cp1257", "cp1252"),
    "Turkish": ("cp1254", "cp857"),
    **dict.fromkeys(("Russian", "Bulgarian"), CYRILLIC),
    "Ukrainian": ("cp1251", "koi8_u", "iso8859_5", "mac_cyrillic", "cp1125"),
    "Belarusian": ("cp1251", "iso8859_5", "mac_cyrillic"),
    "Serbian": ("cp1251", "iso8859_5", "mac_cyrillic"),
    "Macedonian": ("cp1251", "iso8859_5", "mac_cyrillic"),
    "Greek": ("cp1253", "iso8859_7", "cp737"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256",),
    "Thai": ("cp874",),
    "Japanese": ("cp932", "euc_jp"),
    "Chinese simplified": ("gb18030",),
    "Chinese traditional": ("big5",),
    "Korean": ("cp949",),
}
#: Languages without spaces: only their sentences are shuffled.
UNSPACED = ("Japanese", "Chinese simplified", "Chinese traditional", "Thai")
LATIN_ONLY = tuple(WESTERN + CENTRAL + BALTIC)

#: Symbols and loanwords as they stand in texts; `^` is the start of a line.
SYMBOLS: dict[str, tuple[str, ...]] = {
    "half": ("½ cup", "1½ hours", "2½"),
    "pound": ("£5", "£1.50", "£20,000"),
    "quotes": ("“Yes”", "“No,” she said,", "“Well”"),
    "apostrophe": ("don’t", "isn’t", "John’s"),
    "bullet": ("^• one more", "^• two"),
    "café": ("café", "cafés"),
    "naïve": ("naïve", "naïvely"),
    "dash": ("– and –", "1914–1918"),
    "copyright": ("© 2003", "Copyright © 1999"),
    "señor": ("señor", "jalapeño", "El Niño"),
    "single quotes": ("‘yes’", "the ‘thing’"),
    "square": ("20 m²", "5 km²"),
    "guillemets": ("«oui»", "«non»"),
    "Müller": ("Müller", "über"),
    "quarters": ("¼ tsp", "¾ cup", "3¼"),
    "euro": ("€5", "10 €", "€1.2m"),
    "degrees": ("350°F", "20°C", "45° north"),
    "ellipsis": ("so…", "well… then"),
    "em dash": ("word—word", "— and"),
    "résumé": ("résumé", "fiancée", "protégé"),
    "Zoë": ("Zoë", "Noël", "Brontë"),
    "trademark": ("Widget™", "Gadget®"),
    "façade": ("façade", "soupçon"),
    "section": ("§ 4", "§12"),
    "plus minus": ("±5", "3 × 4"),
    "Ångström": ("Ångström", "smörgåsbord"),
    "crème": ("crème brûlée", "à la carte", "déjà vu"),
    "São": ("São Paulo", "Curaçao"),
    "micro": ("5 µm", "10 µg"),
    "øre": ("Søren", "Tromsø"),
    "cents": ("50¢", "99¢"),
    "middle dot": ("a · b", "one · two"),
    "inverted": ("¿Qué?", "¡Hola!"),
}


@dataclass(frozen=True)
class Case:
    """One text in one code page."""

    kind: str
    language: str
    encoding: str
    length: int
    share: str
    text: str


def read_languages() -> dict[str, list[str]]:
    """The sentences of each language."""
    languages: dict[str, list[str]] = {}
    path = Path(__file__).with_name("languages.txt")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            languages[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            languages[list(languages)[-1]].append(line)
    return languages


def half(items: list[str], part: str) -> list[str]:
    """Those to tune on, or those to report."""
    middle = len(items) // 2
    return items[:middle] if part == "tune" else items[middle:]


def varied(
    sentences: list[str], length: int, rng: random.Random, *, shuffled: bool, thin: float = 1.0
) -> str:
    """About `length` characters: sentences in any order, their inner words exchanged.

    Args:
        sentences: Of one language.
        length: At least so many, cut to it.
        rng: The source of chance.
        shuffled: Whether words are exchanged.
        thin: The share of words with characters beyond ASCII that stay.
    """
    words = [word for sentence in sentences for word in sentence.split()[1:-1]]
    parts: list[str] = []
    size = 0
    while size < length:
        sentence = rng.choice(sentences)
        if shuffled:
            first, *inner, last = sentence.split()
            inner = [rng.choice(words) if rng.random() < 0.5 else word for word in inner]
            line = [first, *inner, last]
        else:
            line = sentence.split()
        if thin < 1.0:
            line = [word for word in line if word.isascii() or rng.random() < thin]
        if line:
            parts.append(" ".join(line))
            size += len(parts[-1]) + 1
    text = ""
    for part in parts:
        text += part + ("\n" if rng.random() < 0.2 else " ")
    return text[:length].strip()


def diluted(text: str, english: list[str], share: float, rng: random.Random) -> str:
    """A text with English between its lines, so that `share` of it is not ASCII."""
    high = sum(char > "\x7f" for char in text)
    missing = int(high / share) - len(text)
    parts = re.split(r"(?<=[.\n。] )", text)
    while missing > 0:
        line = rng.choice(english) + "\n"
        parts.insert(rng.randrange(len(parts) + 1), line)
        missing -= len(line)
    return "".join(parts)


def with_symbols(text: str, kinds: list[str], every: int, rng: random.Random) -> str:
    """An ASCII text with symbols of `kinds` between its words, at least one."""
    words = text.split(" ")
    count = max(1, round(len(text) / every))
    for place in sorted(rng.choices(range(1, len(words)), k=count), reverse=True):
        symbol = rng.choice(SYMBOLS[rng.choice(kinds)])
        words.insert(place, "\n" + symbol[1:] if symbol[0] == "^" else symbol)
    return " ".join(words)


def fits(text: str, encoding: str) -> bool:
    """Whether the code page has all of the text's characters."""
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


def cases(
    part: str, repeats: int, seed: int = 1, lengths: tuple[int, ...] = LENGTHS
) -> Iterator[Case]:
    """Every text to be tried."""
    rng = random.Random(f"{part} {seed}")
    languages = read_languages()
    english = half(languages["English"], part)
    for language, sentences in languages.items():
        sentences = half(sentences, part)
        latin = language not in CODE_PAGES or set(CODE_PAGES[language]) & set(LATIN_ONLY)
        for encoding in CODE_PAGES.get(language, WESTERN):
            for length in lengths:
                for _ in range(1 if length >= 100_000 else repeats):
                    text = varied(sentences, length, rng, shuffled=language not in UNSPACED)
                    text = kept(text, encoding)
                    if fits(text, encoding) and not text.isascii():
                        yield Case("natural", language, encoding, length, "natural", text)
                if length < 1_000:
                    continue
                for share in (30, 100, 1_000):
                    if length < 5 * share or (length >= 100_000 and share != 100):
                        continue
                    if latin or language == "Turkish":
                        thin = thinning(sentences, 1 / share)
                        if thin is None:
                            continue
                        text = varied(sentences, length, rng, shuffled=True, thin=thin)
                    else:
                        text = varied(
                            sentences,
                            max(20, int(length / share * 1.3)),
                            rng,
                            shuffled=language not in UNSPACED,
                        )
                        text = diluted(text, english, 1 / share, rng)
                    text = kept(text, encoding)
                    if fits(text, encoding) and not text.isascii():
                        yield Case("diluted", language, encoding, length, f"1 in {share}", text)
    yield from symbol_cases(part, repeats, rng, languages, lengths)


def symbol_cases(
    part: str,
    repeats: int,
    rng: random.Random,
    languages: dict[str, list[str]],
    lengths: tuple[int, ...],
) -> Iterator[Case]:
    """ASCII texts with one kind of symbol, or several."""
    kinds = half(list(SYMBOLS), part)
    western = [name for name in languages if name not in CODE_PAGES]
    for kind in [*kinds, *(["mixture"] * 6)]:
        for encoding in WESTERN:
            for length in lengths:
                for every in (60, 200, 1_000):
                    if length < every or (length >= 100_000 and every != 1_000):
                        continue
                    for repeat in range(repeats):
                        language = "English" if repeat % 2 == 0 else rng.choice(western)
                        sentences = half(languages[language], part)
                        plain = varied(sentences, length, rng, shuffled=True, thin=0.0)
                        some = [kind] if kind != "mixture" else rng.sample(kinds, 4)
                        text = with_symbols(plain, some, every, rng)
                        if fits(text, encoding):
                            label = "symbols" if kind != "mixture" else "mixtures"
                            yield Case(label, language, encoding, length, f"1 in {every}", text)


def kept(text: str, encoding: str) -> str:
    """The text with the typographic marks that the code page lacks replaced."""
    for char, plain in (("’", "'"), ("—", "-"), ("“", '"'), ("”", '"')):
        if not fits(char, encoding):
            text = text.replace(char, plain)
    return text


def thinning(sentences: list[str], share: float) -> float | None:
    """The share of words beyond ASCII to keep so that `share` of the characters is; None: all."""
    text = " ".join(sentences)
    now = sum(char > "\x7f" for char in text) / len(text)
    return None if now <= share else share / now


def tried(case: Case) -> tuple[str, float, bool]:
    """The encoding found, how sure that is, and whether it is right."""
    data = case.text.encode(case.encoding)
    (source,) = open_sources(["-"], stdin=io.BytesIO(data))
    try:
        found = detect(source)
    except TextgenError as error:
        return f"refused: {str(error)[:100]}", 0.0, False
    try:
        right = data.decode(found.encoding) == case.text
    except UnicodeError:
        right = False
    return found.encoding, found.confidence, right


@dataclass
class Row:
    """What is counted of a group of texts."""

    texts: int = 0
    right: int = 0
    sure: int = 0
    sure_right: int = 0

    def add(self, confidence: float, right: bool) -> None:
        """One more text."""
        self.texts += 1
        self.right += right
        if confidence >= SURE:
            self.sure += 1
            self.sure_right += right

    def __str__(self) -> str:
        sure = f"{self.sure_right / self.sure:7.1%}" if self.sure else "      -"
        return (
            f"{self.texts:6,d} {self.right / self.texts:7.1%} {self.sure / self.texts:7.1%} {sure}"
        )


def main() -> None:
    """Try them all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=2, help="texts of each kind")
    parser.add_argument("--part", choices=("tune", "report"), default="report")
    parser.add_argument("--wrong", type=int, default=0, metavar="N", help="show N wrong ones")
    parser.add_argument("--longest", type=int, default=LENGTHS[-1], help="leave longer ones out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    tables: dict[str, dict[str, Row]] = {
        name: defaultdict(Row)
        for name in ("all", "kind", "length", "share", "code page", "language", "confidence")
    }
    wrong: list[str] = []
    lengths = tuple(length for length in LENGTHS if length <= options.longest)
    for case in cases(options.part, options.repeats, options.seed, lengths):
        found, confidence, right = tried(case)
        bins = next(
            name
            for least, name in ((0.95, "0.95-1"), (0.9, "0.9-0.95"), (0.7, "0.7-0.9"), (0, "0-0.7"))
            if confidence >= least
        )
        keys = {
            "all": "all",
            "kind": case.kind,
            "length": f"{case.length:,}",
            "share": f"{case.kind} {case.share}",
            "code page": case.encoding,
            "language": case.language,
            "confidence": bins,
        }
        for name, key in keys.items():
            tables[name][key].add(confidence, right)
        if not right:
            mark = "SURE " if confidence >= SURE else "     "
            high = [m.group() for m in re.finditer(r"\S*[^\x00-\x7f]\S*", case.text)][:4]
            wrong.append(
                f"{mark}{case.kind} {case.language} {case.encoding} {case.length} {case.share}: "
                f"{found} {confidence} {high}"
            )
    if options.json:
        plain = {name: {k: vars(row) for k, row in rows.items()} for name, rows in tables.items()}
        json.dump(plain, sys.stdout, indent=1)
        return
    for name, rows in tables.items():
        print(f"\n{name:26s}  texts   right    sure   right where sure")
        for key, row in rows.items():
            print(f"  {key:24s} {row}")
    random.Random(0).shuffle(wrong)
    print("\n".join(wrong[: options.wrong]))


if __name__ == "__main__":
    main()
