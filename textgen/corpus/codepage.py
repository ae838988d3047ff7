"""How plausible bytes are as a text in each legacy encoding.

Every reading (an encoding together with a language) costs the nats of a rough model of text: pairs
of Cyrillic letters, shares of accented Latin, Greek and other letters, a price for capitals within
words, for mixed scripts, for symbols, box drawing and control characters. ASCII costs nothing, as
it reads the same everywhere. The cheapest reading is the likeliest; the distance to the next one
that gives another text says how sure that is. Knows neither files nor Unicode encodings.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Bytes looked at; a text this long leaves no doubt that more could clear up.
_SAMPLE = 128 << 10

_LETTERS = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"

#: Cost of each pair of letters in half nats, as a base-36 digit: rows are the first letter, columns
#: the second, the first of both is a word's border. Counted in two novels of Dostoevsky (Бесы,
#: Подросток; the CC0 edition of Digital Dostoevsky), smoothed by the shares of single letters; as
#: that edition prints few "ё", each "е" counts as 0.06 of one besides.
_PAIRS = (
    "0864868975i6865658567cad7bgiii8e7d",
    "3ia697876d85466g9765ed9e98ciiii87e",
    "77gbhd4gi6i96b84i59g5ibidg893big69",
    "44gdh84i95ic8c64985a9iefb8hi5biiaa",
    "56hfi58ii6ib5d81i6cf7iiidiiiiiiiie",
    "73f7fd4eg5i97d54b59a6ic9ccif87ih99",
    "3f8867798d78565c8565dhab899iiiibbd",
    "64cge52gi4i9cf5bhedb7iiidiiihbiih7",
    "5295768ae7ia8846h8cd7iiichic88id7e",
    "2d97977b7987566ca975hg7979ciiiia8d",
    "1fhfh7eihfia9a6chf66giib88hihhiihi",
    "33i9ie8hf5if8h72i6a86iidihiiiiiiie",
    "34efbf5ai4iabga4ei7d7iiibiii85i77a",
    "35aici4ii5icbe54cdbe5iifedii7cii99",
    "53ihda3hg4ibii63idaa6ficbici68ib79",
    "3i7566889a78666c9666ebce8adiiigaad",
    "b6ihii4ii6ic8ib2d2fc7iiefihi9cii8a",
    "73b8a94ac4iada83cg985ibfcaei77ib79",
    "57d7fb5fg7i558867b838ibeabifa5ib57",
    "55h6hc4ii5iabf83d68e7igebghh84ifaa",
    "2e7765a59fa766ag7865ie9f779iiie7df",
    "84dcdc4ee2ec8ab4d5a669fgdceha7geca",
    "25g7efahh8hg8972g9bd8iiiggiihggigf",
    "43f9fe2ff5g9ddc5eddc5eghfghi6ehge8",
    "64igih3ii5i8dg6bi9g36iiiiaiii9iii8",
    "84hbhg3ih3i66d67bffb6iiihiiih5iig8",
    "94fdfe1gf3gede8aecdc6ighfghif9hge7",
    "68b9ba4cb9ca9a87a999aecdbcdebbdb19",
    "2g96a96dbd59459fa866gi6f87fiiiiigc",
    "1gbcac8habi5h85cig69idibb8fiiii87d",
    "8cfdbecfdde8aaacb9a0ebahfghiffhhfh",
    "1e5ee6ddedgc89adea66ghfd8c7iggiagi",
    "1gd8c7ab8cc9687fcc75ii9cafaiiiiabg",
    "2d9877898c79665b8566cgab999iggibbi",
)

#: Letters of each Cyrillic alphabet beyond the common ones, and which letter of `_PAIRS` each
#: behaves like ("ъ" is a vowel in Bulgarian, "ј" stands where Russian has "й").
_COMMON = "абвгдежзиклмнопрстуфхцчш"
_CYRILLIC: dict[str, dict[str, str]] = {
    "Russian": dict(zip("йщъыьэюяё", "йщъыьэюяё", strict=True)),
    "Ukrainian": dict(zip("йщьюяіїєґи", "йщьюяиеегы", strict=True)),
    "Belarusian": dict(zip("йыьэюяёіў", "йыьэюяёив", strict=True)),
    "Bulgarian": dict(zip("йщъьюяѝ", "йщоьюяи", strict=True)),
    "Serbian": dict(zip("јљњћђџ", "йлнчжж", strict=True)),
    "Macedonian": dict(zip("јљњџѓќѕѐѝ", "йлнжгкзеи", strict=True)),
}

#: Pairs that are usual there though the letters they are compared with rarely meet. `_` is a
#: border.
_USUAL_PAIRS: dict[str, str] = {
    "Ukrainian": "_і і_ _ї _є ії ій ть ьс їх ої її ає ує ює єм ів іл ід ьк",
    "Belarusian": "_і і_ ў_ ць сь дз ўс аў оў еў ія ым іх ый ьц эн рэ дэ",
    "Bulgarian": "_щ ще ът ъл ър ъв",
    "Serbian": "_ј ј_ је ја ју ји иј јо ао ље ља њу ња ње њи ће ћи ћу ђе ђу рд рв рт вр ср тр цр",
    "Macedonian": "_ј ј_ _ќ ја је ји иј ќе ќа ќи ѓе ѓу њу љу ѕв ѕи ао",
}
_USUAL_COST = 2.0
#: Letters much rarer than those they are compared with, and by how many nats.
_SELDOM_LETTERS = "ќѓѕђћљњџѝѐґ"
_SELDOM = 1.5

#: Accented letters of Latin alphabets, each with its share of a text's letters in thousandths.
_LATIN: dict[str, str] = {
    "French": "é19 à5 è3 ê2.2 ç.9 ù.6 î.5 ô.5 û.4 â.4 œ.3 ë.1 ï.1 ü.05",
    "German": "ü10 ä5.6 ö4.4 ß3 é.1",
    "Spanish": "ó8.3 í7.2 á5 é4.3 ñ3 ú1.7 ü.1 º.1 ª.1",
    "Portuguese": "ã7.3 ç5.3 ê4.5 é3.4 ó3 ú2 í1.3 á5 à.7 â.6 ô.6 õ.4 º.1 ª.1",
    "Italian": "à6.4 è5 ù1.7 ò3 é2 ì2",
    "Swedish or Finnish": "ä25 å13 ö13 é.2",
    "Danish or Norwegian": "å12 ø9 æ9 é.2",
    "Icelandic": "ð44 á18 í16 þ14 ó10 æ9 ö8 é6.5 ú6 ý2",
    "Dutch or English": "ë1 é.8 ï.5 ö.2 ü.1 è.2 ê.1 ç.1 ñ.1",
    "Polish": "ł21 ę11 ó11 ą9 ż9 ś8 ć6 ń4 ź1",
    "Czech": "í31 á21 ě15 é13 ý10 š9 ž10 č10 ř11 ů6 ú2 ň.2 ó.2 ť.4 ď.2",
    "Slovak": "á17 í10 ý11 é9 č10 š9 ž9 ť6 ú8 ľ4 ô2 ň1.5 ď1.5 ä1 ó.5 ĺ.1 ŕ.1",
    "Hungarian": "á39 é45 ö11 ó12 ő9 ü7 í6 ú3 ű2",
    "Romanian": "ă40 î12 â6 ş12 ţ12 ș12 ț12",
    "Croatian or Slovene": "č12 š9 ž7 ć7 đ3",
    "Turkish": "ı51 ü19 ş18 ğ13 ç12 ö8 â.2 î.1",
    "Lithuanian": "ė17 š12 ž9 į6 ų12 ū5 č5 ą8 ę3",
    "Latvian": "ā38 ē17 ī17 ū6 š11 ļ5 ņ7 ž3 č2 ģ1 ķ1",
    "Estonian": "ä9 õ10 ü7 ö2 š.2 ž.2",
}

#: Short words without accents, by which a language shows where its accents are few.
_WORDS: dict[str, str] = {
    "French": "le la les de des du et un une est que qui dans pour pas sur au il ne ce elle en",
    "German": "der die das und ist nicht ein eine zu den mit von sich auf dem ich sie es",
    "Spanish": "el la los las de que y en un una es por con no se su para del lo",
    "Portuguese": "o os as de que e do da em um uma com no se na por para mais",
    "Italian": "il la di che e un una per non in con del della si le lo sono da",
    "Swedish or Finnish": "och att det som en av den med ett han ja on ei se oli hän",
    "Danish or Norwegian": "og det at en er som til den af ikke han jeg med et av",
    "Icelandic": "og er ekki um sem var hann hun til",
    "Dutch or English": "de het een en van is niet dat met op te voor the of and to was",
    "Polish": "w i na nie z do jest to o jak po co ale tym od za",
    "Czech": "a se na je to v do pro za jako ale po byl jsem by",
    "Slovak": "a sa na je to v do pre za ako ale po bol som by",
    "Hungarian": "a az egy nem is hogy van volt meg de ez csak mint el",
    "Romanian": "de la cu nu pe care din un o mai ca este ce",
    "Croatian or Slovene": "i je u se na da za od su nije in v sem pa kako",
    "Turkish": "bir ve bu da de ne ben o gibi daha ama",
    "Lithuanian": "ir kad su bet tai kaip jis yra",
    "Latvian": "un ir ar no kas par bet tas uz",
    "Estonian": "ja on ei et see oli ta ka kui",
}

#: Letters of other alphabets with their shares in hundredths; capitals follow their small letters.
_GREEK = (
    "α10 ο9 ι8 ε8 τ8 ν7 σ5 ς4 η5 υ4 ρ4 π4 κ4 λ3 μ3 ί3 ά3 ό3 έ2 ή2 γ2 δ2 θ1.2 χ1.2 ω2 ώ1 ύ1.5 φ.9 "
    "β.8 ξ.4 ζ.4 ψ.2 ϊ.1 ϋ.05 ΐ.05 ΰ.02"
)
_HEBREW = (
    "י11 ו10 ה10 ל7 א6 ר6 ת6 ש5 מ5 ב5 נ4 ם3 ח3 ד3 ע3 ק2 כ2 פ2 ט1.3 ג1.3 צ1.2 ן1.2 ס1.5 ז1 ך.8 "
    "ף.3 ץ.2"
)
_ARABIC = (
    "ا13 ل11 ي7 م6 و6 ن6 ر5 ت5 ب4 ة4 ع4 د3 س3 ف3 ه3 ك2.5 ق2.5 أ2.5 ح2 ج1.5 ش1.2 ص1 ى1 خ1 إ1 ط1 "
    "ذ.7 ز.7 ض.7 ث.6 غ.5 ئ.5 ء.4 ظ.3 ؤ.2 آ.2 ، 1"
).replace(" 1", "1")
_THAI = (
    "า8 น7 ร7 อ5 ก5 เ5 ง5 ม4 ย4 ว4 ล4 ท3 ่5 ้4 ั4 ี3 ด3 ส3 ต3 ิ2.5 ค2.5 ์2 ห3 ะ2 ป2 บ2 จ2 แ2 ไ1.7 "
    "พ1.8 ข1.5 ใ1.2 ใ1 โ1 ช1.5 ุ1.2 ู1 ำ1 ื1.2 ถ1 ผ.7 ซ.6 ณ.5 ็.6 ธ.5 ศ.5 ญ.4 ภ.4 ษ.3 ึ.4 ฐ.2 ฟ.3 ฝ.1 "
    "ฒ.05 ฏ.05 ฎ.03 ฉ.1 ฮ.1 ฬ.05 ๆ.2 ฯ.05"
)
#: Forms that letters have at a word's end only.
_FINAL_FORMS = "ςםןףץך"
_OTHER: dict[str, str] = {"Greek": _GREEK, "Hebrew": _HEBREW, "Arabic": _ARABIC, "Thai": _THAI}

_WEST = (
    "French",
    "German",
    "Spanish",
    "Portuguese",
    "Italian",
    "Swedish or Finnish",
    "Danish or Norwegian",
    "Icelandic",
    "Dutch or English",
)
_CENTRAL = ("Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian or Slovene", "German")
_BALTIC = ("Lithuanian", "Latvian", "Estonian", "German", "Polish")
_ALL_CYRILLIC = tuple(_CYRILLIC)

#: Encodings of one byte per character: what speaks against each before anything is seen (nats), and
#: the languages it is read as.
_TABLES: dict[str, tuple[float, tuple[str, ...]]] = {
    "cp1251": (0.0, _ALL_CYRILLIC),
    "koi8_r": (0.7, ("Russian", "Bulgarian")),
    "koi8_u": (1.2, ("Ukrainian", "Belarusian", "Russian")),
    "cp866": (1.0, ("Russian", "Bulgarian")),
    "cp1125": (2.5, ("Ukrainian",)),
    "mac_cyrillic": (2.0, _ALL_CYRILLIC),
    "iso8859_5": (2.0, _ALL_CYRILLIC),
    "cp1252": (0.2, _WEST),
    "cp1250": (1.2, _CENTRAL),
    "iso8859_2": (1.7, _CENTRAL),
    "cp1254": (1.7, ("Turkish",)),
    "cp1257": (2.0, _BALTIC),
    "iso8859_15": (3.5, _WEST),
    "mac_roman": (3.0, _WEST),
    "cp850": (3.0, _WEST),
    "cp852": (3.0, _CENTRAL),
    "cp1253": (7.0, ("Greek",)),
    "iso8859_7": (7.5, ("Greek",)),
    "cp737": (9.0, ("Greek",)),
    "cp1255": (8.0, ("Hebrew",)),
    "cp1256": (8.0, ("Arabic",)),
    "cp874": (8.0, ("Thai",)),
}

#: East Asian encodings: prior cost, language, the character set that tells its common characters,
#: and that set's lead bytes of them (levels 1 of JIS X 0208, GB 2312, Big5; all of KS X 1001).
_EAST_ASIAN: dict[str, tuple[float, str, str, range]] = {
    "gb18030": (3.5, "Chinese (simplified)", "gb2312", range(0xB0, 0xD8)),
    "big5": (4.0, "Chinese (traditional)", "big5", range(0xA4, 0xC7)),
    "cp932": (3.5, "Japanese", "shift_jis", range(0x88, 0x98)),
    "euc_jp": (4.0, "Japanese", "euc_jp", range(0xB0, 0xD0)),
    "cp949": (3.5, "Korean", "euc_kr", range(0xB0, 0xC9)),
}

# What a byte is in an encoding.
_BORDER, _DIGIT, _ASCII, _LETTER, _MARK, _STRANGE = range(6)

# Nats. A text has a typographic mark every few dozen characters, a symbol in thousands; the rest
# stands for what texts do not hold at all.
_TYPOGRAPHIC = 5.0
_SYMBOL = 8.0
_FOREIGN_LETTER = 10.0
_BOX = 11.0
_CONTROL = 14.0
_RARE_LETTER = 9.5  # of the script, not of the language
_CAPITAL = 2.0
_CAPITAL_INSIDE = 7.5
_CAPITALS_GO_ON = 0.3
_MIXED_SCRIPT = 5.0
_ACCENTS_MEET = 1.5
_BROKEN_WORD = 2.0
_WORD_BONUS = 0.8
_MOST_BONUS = 6.0
_MORE_BONUS = 0.7  # for each high byte: less than a misread Cyrillic letter costs

_OUT_OF_PLACE = 2.0
_NO_LETTERS = 1.0  # quotes and dashes only: a Latin text rather than a Cyrillic one

#: Nats by which a reading is out of the question.
_FAR = 25.0

#: Cost of one high byte above which bytes are no text in that reading.
_IMPLAUSIBLE = 7.5


@dataclass(frozen=True)
class Reading:
    """Bytes read in one encoding.

    Args:
        encoding: Python's name of it.
        language: The alphabet that fits best.
        cost: Nats, the prior included.
        high: How many bytes are not ASCII.
        text_of_high: What each high byte (or sample) stands for: readings with the same one give
            the same text.
    """

    encoding: str
    language: str
    cost: float
    high: int
    text_of_high: str

    @property
    def cost_per_byte(self) -> float:
        """Nats for each byte that is not ASCII; about 3 for a text, 5 and more for garbage."""
        return self.cost / max(1, self.high)

    @property
    def plausible(self) -> bool:
        """Whether it looks like a text at all."""
        return self.cost <= _IMPLAUSIBLE * max(1, self.high) + _CAPITAL


def rank(data: bytes) -> list[Reading]:
    """Every reading of bytes that are not UTF-8, the likeliest first; one for each encoding."""
    sample = _pick(data)
    count = int(np.count_nonzero(np.frombuffer(sample, np.uint8) >= 0x80))
    used = bytes(sorted({byte for byte in sample if byte >= 0x80}))
    pairs, counts = _count_pairs(sample)
    bonus = _word_bonus(sample, count)
    readings = []
    for encoding, (prior, languages) in _TABLES.items():
        costs = {
            language: float(_table_cost(encoding, language)[pairs] @ counts)
            - bonus.get(language, 0.0)
            for language in languages
        }
        language = min(costs, key=costs.__getitem__)
        if language in _CYRILLIC and not _holds_letters(used, encoding):
            prior += _NO_LETTERS
        same = used.decode(encoding, "replace")
        readings.append(Reading(encoding, language, prior + costs[language], count, same))
    nearest = min(reading.cost for reading in readings)
    readings = [
        reading
        if reading.cost > nearest + _FAR
        else replace(reading, cost=reading.cost + _sentence_cost(sample, reading.encoding))
        for reading in readings
    ]
    part = sample[: _SAMPLE // 4]
    share = len(sample) / max(1, len(part))
    for encoding, (prior, language, charset, common) in _EAST_ASIAN.items():
        cost = _east_asian_cost(part, encoding, charset, common) * share
        same = part.decode(encoding, "replace")
        readings.append(Reading(encoding, language, prior + cost, count, same))
    return sorted(readings, key=lambda reading: reading.cost)


def rival(readings: list[Reading]) -> Reading | None:
    """The likeliest reading that gives another text than the first; None when far behind."""
    best = readings[0]
    for reading in readings[1:]:
        if reading.text_of_high != best.text_of_high:
            return reading if reading.cost < best.cost + _FAR else None
    return None


def confidence(readings: list[Reading]) -> float:
    """How likely the first reading gives the right text, from 0 to 0.99.

    Bayes' rule over the readings, the costs damped because neighbouring letters are not
    independent; less where even the first reading is not much of a text.
    """
    best = readings[0]
    odds = sum(
        math.exp(-0.5 * min(reading.cost - best.cost, 100.0))
        for reading in readings
        if reading.text_of_high != best.text_of_high
    )
    quality = (_IMPLAUSIBLE + 2.0 - best.cost / max(1, best.high)) / 3.0
    return round(min(0.99, min(1.0, max(0.1, quality)) / (1.0 + odds)), 3)


def first_high_byte(data: bytes) -> int:
    """Where the first byte beyond ASCII is; the length where there is none."""
    found = _HIGH.search(data)
    return found.start() if found else len(data)


_HIGH = re.compile(rb"[\x80-\xff]")


def _pick(data: bytes) -> bytes:
    """A sample: all of short data, else half from the first high byte on and half from later."""
    if len(data) <= _SAMPLE:
        return data
    start = max(0, min(first_high_byte(data) - 64, len(data) - _SAMPLE))
    later = max(start + _SAMPLE // 2, (start + len(data)) // 2)
    return data[start : start + _SAMPLE // 2] + b"\n" + data[later : later + _SAMPLE // 2]


def _count_pairs(sample: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pairs of bytes in a sample that stands between two line ends, and how often each comes.

    A pair is numbered first byte times 256 plus second.
    """
    codes = np.frombuffer(b"\n" + sample + b"\n", np.uint8).astype(np.int64)
    counts = np.bincount(codes[:-1] * 256 + codes[1:], minlength=1 << 16)
    pairs = np.flatnonzero(counts)
    return pairs, counts[pairs].astype(np.float64)


def _word_bonus(sample: bytes, high: int) -> dict[str, float]:
    """Nats in favour of each Latin language, by the short words without accents."""
    text = sample.decode("latin-1")
    found = Counter(re.findall(r"(?<![\w\x80-\xff])[a-z]+(?![\w\x80-\xff])", text.lower()))
    most = _MOST_BONUS + _MORE_BONUS * high
    bonus = {}
    for language, words in _WORDS.items():
        hits = sum(found[word] for word in words.split())
        bonus[language] = min(most, _WORD_BONUS * hits)
    return bonus


def _holds_letters(used: bytes, encoding: str) -> bool:
    return any(char.isalpha() for char in used.decode(encoding, "replace"))


def _sentence_cost(sample: bytes, encoding: str) -> float:
    """Nats for capitals within sentences, small letters at their start, and lone quotes.

    Pairs of bytes cannot see these, and they are all that tells apart encodings that share their
    small letters (cp1251 and MacCyrillic).
    """
    text = sample[: _SAMPLE // 16].decode(encoding, "replace")
    misplaced = 0
    for before, letter in _WORD_STARTS.findall(text):
        if letter > "\x7f":
            misplaced += letter.islower() if before in ".!?" else letter.isupper()
    misplaced += sum(letter.islower() for letter in _SYMBOL_STARTS.findall(text))
    misplaced += sum(letter.islower() for letter in _QUOTE_STARTS.findall(text))
    misplaced += "“" in text and "”" not in text and "„" not in text
    return _OUT_OF_PLACE * float(misplaced)


_WORD_STARTS = re.compile(r"([^\W\d_]|[,;.!?])(?= +([^\W\d_]))")
#: The letter after a symbol that stands where a word's first letter should.
_SYMBOL_STARTS = re.compile(r"(?:^|\s)[^\x00-\x7f\w\s«“„‘‚‹¿¡]([^\W\d_])")
#: The letter after a quote that stands at a sentence's start.
_QUOTE_STARTS = re.compile(r"[.!?]\s+[«“„‘]([^\W\d_])")


@cache
def _table_cost(encoding: str, language: str) -> NDArray[np.float64]:
    """Nats of the second byte of each pair after the first, numbered as in `_count_pairs`."""
    chars = [bytes([byte]).decode(encoding, "replace") for byte in range(256)]
    letters = _letter_costs(language)
    similar = _similar_letters(language)
    script = _script(next(iter(letters)))
    kinds = np.empty(256, np.int64)
    unary = np.zeros(256)
    upper = np.zeros(256, bool)
    lower = np.zeros(256, bool)
    index = np.zeros(256, np.int64)  # into _PAIRS, for Cyrillic letters
    for byte, char in enumerate(chars):
        small = char.lower()[0]  # the Turkish İ becomes two characters
        upper[byte] = char.isupper()
        lower[byte] = char.islower()
        if byte < 0x80:
            kinds[byte] = _ASCII if char.isalpha() else _DIGIT if char.isdigit() else _BORDER
        elif small in letters:
            kinds[byte] = _LETTER
            unary[byte] = letters[small]
            index[byte] = similar.get(small, 0)
        elif char.isalpha() and _script(small) == script:
            kinds[byte] = _LETTER
            unary[byte] = _RARE_LETTER
            index[byte] = similar.get(small, 0)
        else:
            kinds[byte], unary[byte] = _kind_of_rest(char)

    first, second = kinds[:, None], kinds[None, :]
    high = np.arange(256) >= 0x80
    cost = np.broadcast_to(unary[None, :], (256, 256)).copy()
    letter_second = second == _LETTER
    word_first = (first == _LETTER) | (first == _ASCII)
    word_second = letter_second | (second == _ASCII)
    if script == "CYRILLIC":
        pair_costs = _pair_costs()[index[:, None], index[None, :]]
        smalls = [char.lower() for char in chars]
        for pair in _USUAL_PAIRS.get(language, "").split():
            one, two = (
                kinds <= _DIGIT if char == "_" else np.array([small == char for small in smalls])
                for char in pair
            )
            both = one[:, None] & two[None, :]
            pair_costs = np.where(both, np.minimum(pair_costs, _USUAL_COST), pair_costs)
        cost += np.where(letter_second | ((first == _LETTER) & ~letter_second), pair_costs, 0.0)
    if script == "LATIN":
        both = (first == _LETTER) & letter_second
        cost += np.where(both, _ACCENTS_MEET, 0.0)
    else:
        mixed = ((first == _LETTER) & (second == _ASCII)) | ((first == _ASCII) & letter_second)
        cost += np.where(mixed, _MIXED_SCRIPT, 0.0)
    cost += np.where((first == _DIGIT) & letter_second, _BROKEN_WORD, 0.0)
    cost += np.where((first == _STRANGE) & word_second, _BROKEN_WORD * 2, 0.0)
    opening = np.array([char in "„‚¿¡" for char in chars])
    cost += np.where(word_first & opening[None, :], _BROKEN_WORD * 2, 0.0)
    closing = np.array([char in "…”" for char in chars])
    cost += np.where(closing[:, None] & letter_second, _BROKEN_WORD * 1.5, 0.0)
    final = np.array([char in _FINAL_FORMS for char in chars])
    cost += np.where(final[:, None] & letter_second, _BROKEN_WORD * 2, 0.0)
    # Capitals: dear after a small letter, usual at a word's start and after another capital. Only
    # where a high byte takes part; pairs of ASCII cost the same in every encoding.
    involved = high[:, None] | high[None, :]
    after_word = word_first & word_second & involved
    cost += np.where(after_word & lower[:, None] & upper[None, :], _CAPITAL_INSIDE, 0.0)
    cost += np.where(after_word & upper[:, None] & upper[None, :], _CAPITALS_GO_ON, 0.0)
    starts = ~word_first & letter_second & upper[None, :]
    cost += np.where(starts, _CAPITAL, 0.0)
    cost[:0x80, :0x80] = 0.0
    return cost.ravel()


def _kind_of_rest(char: str) -> tuple[int, float]:
    """Kind and cost of a high byte's character that is no letter of the script."""
    if char in "«»“”„‚‘’‹›–—…№\xa0\xad¿¡":
        return _MARK, _TYPOGRAPHIC
    category = unicodedata.category(char)
    if char == "\ufffd" or category.startswith("C"):
        return _STRANGE, _CONTROL
    if "\u2500" <= char <= "\u25ff" or "\u2200" <= char <= "\u22ff" or "\u2320" <= char <= "\u2321":
        return _STRANGE, _BOX
    if char.isalpha() or category.startswith("M"):
        return _STRANGE, _FOREIGN_LETTER
    return _STRANGE, _SYMBOL


def _letter_costs(language: str) -> dict[str, float]:
    """Each letter beyond ASCII and its nats; 0 where the pairs price it."""
    if language in _CYRILLIC:
        letters = (*_COMMON, *_CYRILLIC[language])
        return {letter: _SELDOM if letter in _SELDOM_LETTERS else 0.0 for letter in letters}
    shares = _LATIN[language] if language in _LATIN else _OTHER[language]
    scale = 1000.0 if language in _LATIN else 100.0
    return {part[0]: math.log(scale / float(part[1:])) for part in shares.split()}


def _similar_letters(language: str) -> dict[str, int]:
    """Where in `_PAIRS` a Cyrillic letter's pairs are found, by the language's habits."""
    if language not in _CYRILLIC:
        return {}
    similar = {letter: letter for letter in _LETTERS}
    for others in _CYRILLIC.values():
        for letter, like in others.items():
            similar.setdefault(letter, like)
    similar.update(_CYRILLIC[language])
    return {letter: _LETTERS.index(like) + 1 for letter, like in similar.items()}


@cache
def _pair_costs() -> NDArray[np.float64]:
    return np.array([[int(digit, 36) / 2 for digit in row] for row in _PAIRS])


def _script(char: str) -> str:
    return unicodedata.name(char, "NONE").split()[0]


def _east_asian_cost(sample: bytes, encoding: str, charset: str, common: Iterable[int]) -> float:
    """Nats of a sample in an encoding of one or two (or four) bytes per character."""
    counts = Counter(sample.decode(encoding, "replace"))
    total = 0.0
    korean = charset == "euc_kr"
    for char, count in counts.items():
        if char < "\x80":
            continue
        if char == "\ufffd":
            price = 2 * _CONTROL
        elif "\u3040" <= char <= "\u30ff":
            price = 4.5 if charset in ("shift_jis", "euc_jp") else 10.0
        elif "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e" or char in "“”‘’…—·":
            price = 4.5
        elif "\uff61" <= char <= "\uff9f":
            price = 7.0
        else:
            code = char.encode(charset, "replace")
            usual = len(code) == 2 and code[0] in common
            if korean:
                price = 5.5 if "\uac00" <= char <= "\ud7a3" and usual else 11.0
            else:
                price = 6.5 if usual and "\u4e00" <= char <= "\u9fff" else 11.0
        total += price * count
    return total
