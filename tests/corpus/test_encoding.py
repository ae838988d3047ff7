"""Which encoding is found, how sure that is said to be, and what is refused."""

from __future__ import annotations

import gzip
import importlib.util
import io
import random
import re
import sys
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus import encoding as encoding_module
from textgen.corpus.corpus_options import FileOptions
from textgen.corpus.damage import SEQUENCES
from textgen.corpus.encoding import ASKED, SURE, Detection, detect
from textgen.corpus.encoding_names import is_byte_table
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import Findings, SourceText, read_text
from textgen.corpus.source import Source, open_sources
from textgen.errors import BinaryFileError, ConfigError, EmptyCorpusError, EncodingError

AS_IS = Normalization(newlines=False, nfc=False)

RUSSIAN = (
    "Вчера вечером мы долго гуляли по набережной, и ветер гнал по воде мелкую рябь. Никто не "
    "хотел возвращаться домой, потому что разговор был интересный, а чай в термосе ещё не остыл. "
    "Инструкция: откройте крышку, вставьте батарейки, нажмите кнопку и подождите три минуты. "
    "ГЛАВА ПЕРВАЯ. УТРО В ГОРОДЕ. Продаётся холодильник, почти новый. Звонить Юле после шести."
)
UKRAINIAN = (
    "Учора ввечері ми довго гуляли набережною, і вітер гнав по воді дрібні хвилі. Їжак знайшов "
    "під яблунею великий гриб і поніс його до своєї хати, щоб пригостити друзів."
)
BULGARIAN = (
    "Къщата на баба ми се намира в малко село в планината, където въздухът е чист, а хората са "
    "сърдечни и гостоприемни. Никой не искаше да се прибира, защото разговорът беше интересен."
)
SERBIAN = (
    "Синоћ смо дуго шетали поред реке, а ветар је терао ситне таласе по води. Љубав према "
    "књигама наследила је од оца, који је сваке вечери читао наглас поред пећи."
)
MACEDONIAN = (
    "Куќата на баба ми се наоѓа во мало село во планината, каде што воздухот е чист, а луѓето се "
    "срдечни. Никој не сакаше да се врати дома, бидејќи разговорот беше интересен."
)
WITH_ENGLISH = (
    "Запустите программу setup.exe и выберите Program Files, затем нажмите Next. Файл readme.txt "
    "содержит описание параметров configuration manager."
)
FRENCH = (
    "Hier soir, nous nous sommes promenés longtemps le long de la rivière, où le vent chassait de "
    "petites vagues. Personne ne voulait rentrer à la maison, car le thé était encore chaud."
)
GERMAN = "Gestern Abend gingen wir lange am Fluss spazieren; niemand wollte zurück, es war schön."
POLISH = "Wczoraj wieczorem długo spacerowaliśmy wzdłuż rzeki, a wiatr pędził drobne fale. Źle."
GREEK = "Χθες το βράδυ περπατήσαμε πολλή ώρα δίπλα στο ποτάμι και ο άνεμος έσπρωχνε μικρά κύματα."
JAPANESE = "昨日の夕方、私たちは川に沿って長い間散歩しました。誰も家に帰りたくありませんでした。"
CHINESE = "昨天晚上，我们沿着河边散步了很久，风吹起水面上的小波浪。没有人想回家。"
TAIWANESE = "昨天晚上，我們沿著河邊散步了很久，風吹起水面上的小波浪。沒有人想回家。"
KOREAN = "어제 저녁에 우리는 강을 따라 오랫동안 산책했고 아무도 집에 가고 싶어하지 않았습니다."

CYRILLIC = [
    (RUSSIAN, ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"]),
    (WITH_ENGLISH, ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"]),
    (UKRAINIAN, ["cp1251", "koi8_u", "mac_cyrillic", "iso8859_5", "cp1125"]),
    (BULGARIAN, ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"]),
    (SERBIAN, ["cp1251", "mac_cyrillic", "iso8859_5"]),
    (MACEDONIAN, ["cp1251", "mac_cyrillic", "iso8859_5"]),
]
WHOLE = [
    *((text, name) for text, names in CYRILLIC for name in names),
    (FRENCH, "cp1252"),
    (GERMAN, "cp1252"),
    ("“It’s late,” she said — and “we” agreed…", "cp1252"),
    (POLISH, "cp1250"),
    (POLISH, "iso8859_2"),
    (GREEK, "cp1253"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc_jp"),
    (CHINESE, "gb18030"),
    (TAIWANESE, "big5"),
    (KOREAN, "euc_kr"),
]


def source_of(data: bytes) -> Source:
    (source,) = open_sources(["-"], stdin=io.BytesIO(data))
    return source


def decode(data: bytes, override: str | None = None) -> tuple[Detection, str]:
    source = source_of(data)
    detection = detect(source, FileOptions(encoding=override))
    return detection, "".join(SourceText(source, detection).chunks(AS_IS))


@pytest.mark.parametrize(("text", "name"), WHOLE)
def test_legacy_encodings_of_whole_texts(text: str, name: str) -> None:
    detection, decoded = decode(text.encode(name))
    assert decoded == text
    assert detection.confidence > 0.7
    assert detection.reason


@pytest.mark.parametrize(
    ("length", "least"),
    # cp1251 and MacCyrillic share all small letters but one: 20 characters without a capital
    # leave them to a guess, 50 seldom do.
    [(20, 0.95), (50, 0.97)],
)
def test_slices_of_cyrillic_texts(length: int, least: float) -> None:
    generator = random.Random(length)
    right = total = 0
    for text, names in CYRILLIC:
        for name in names:
            for _ in range(6):
                start = generator.randrange(len(text) - length)
                data = text[start : start + length].encode(name)
                if data.isascii():
                    continue
                total += 1
                right += decode(data)[1] == data.decode(name)
    assert total > 100
    assert right >= least * total


def test_confidence_tells_the_doubtful_from_the_certain() -> None:
    generator = random.Random(1)
    sure: list[bool] = []
    for _ in range(150):
        start = generator.randrange(len(RUSSIAN) - 20)
        name = generator.choice(["cp1251", "mac_cyrillic", "koi8_r"])
        data = RUSSIAN[start : start + 20].encode(name)
        detection, decoded = decode(data)
        if detection.confidence >= 0.95:
            sure.append(decoded == data.decode(name))
    assert len(sure) > 50
    assert sum(sure) >= 0.97 * len(sure)
    # Small letters alone read the same in both: one of the two is right, and it says so.
    doubtful = detect(source_of("я бы на твоем месте".encode("mac_cyrillic")))
    assert doubtful.confidence <= 0.6
    (note,) = doubtful.notes
    assert "a guess (confidence" in note
    assert note.endswith(("encoding='mac_cyrillic'", "encoding='cp1251'"))


@pytest.mark.parametrize("text", ["я", "старуха", "plain ASCII", RUSSIAN, JAPANESE, "👍🏽"])
def test_strict_utf8(text: str) -> None:
    detection, decoded = decode(text.encode())
    assert detection == Detection("utf-8", 1.0, "its bytes are valid UTF-8")
    assert decoded == text


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_byte_order_marks(name: str) -> None:
    data = ("\ufeff" + RUSSIAN).encode(name)
    detection, decoded = decode(data)
    assert decoded == RUSSIAN
    assert (detection.encoding, detection.confidence) == (name, 1.0)
    assert detection.bom_length == len("\ufeff".encode(name))


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", ["старуха", "Plain text, no mark.", RUSSIAN, GREEK, JAPANESE + "\n"]
)
def test_wide_encodings_without_a_mark(name: str, text: str) -> None:
    detection, decoded = decode(text.encode(name))
    assert decoded == text
    assert detection.encoding == name
    assert "without a byte order mark" in detection.reason


@given(st.text(st.sampled_from("абвгд еёжз АБВ.,\n"), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_utf8_is_never_taken_for_anything_else(text: str) -> None:
    assert decode(text.encode())[1] == text


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_nothing_in_it(data: bytes) -> None:
    with pytest.raises(EmptyCorpusError, match="a text is expected"):
        detect(source_of(data))


def test_an_empty_gzip_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"", mtime=0))
    with pytest.raises(EmptyCorpusError):
        detect(open_sources([path])[0])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "ELF"),
        (gzip.compress(b"text", mtime=0), "must be called .gz"),
        (b"PK\x03\x04\x14\0", "zip"),
        (b"%PDF-1.4\n%\xe2\xe3", "PDF"),
        (b"ID3\x03\0\0\0", "MP3"),
        (b"one line\nanother\0one", r"byte 16, line 2"),
        ("раз\nдва\0три".encode(), "NUL character at byte 13, line 2"),
        ("\ufeffа\0б".encode("utf-16"), "NUL"),
        (random.Random(3).randbytes(5000).replace(b"\0", b""), "control characters"),
        (b"\x01\x02\x03\x04\x05\x06" * 10, "control characters"),
    ],
)
def test_what_is_no_text(data: bytes, said: str) -> None:
    with pytest.raises(BinaryFileError, match=said):
        detect(source_of(data))


def test_a_text_may_begin_like_another_format() -> None:
    assert decode(b"ID3 tags are explained here.")[0].encoding == "utf-8"


@pytest.mark.parametrize("text", ["Вот так", RUSSIAN])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_cut_last_character_is_left_out_and_said(text: str, cut: int) -> None:
    data = (text + "€").encode()[:-cut]
    detection, decoded = decode(data)
    assert decoded == text
    assert detection.encoding == "utf-8"
    assert detection.confidence < 1.0
    assert detection.dropped == 3 - cut
    assert f"at byte {len(text.encode()):,}" in detection.reason


def test_ascii_before_a_last_lead_byte_is_a_legacy_encoding() -> None:
    assert decode("un café".encode("cp1252"))[1] == "un café"


@pytest.mark.parametrize(
    "data",
    [
        RUSSIAN.encode() + b"\n" + RUSSIAN.encode("cp1251"),
        "привет ".encode() * 2 + b"\xe8\xf1 ",
    ],
)
def test_two_encodings_in_one_file_are_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as wrong:
        data.decode()
    with pytest.raises(EncodingError) as caught:
        detect(source_of(data))
    message = str(caught.value)
    assert f"byte {wrong.value.start:,} (line" in message
    assert "mixes encodings" in message
    assert "encoding=" in message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (RUSSIAN.encode() + b"\n\xff" + RUSSIAN.encode(), "1 bad byte (ff)"),
        (FRENCH.encode() + b"\xe9" + FRENCH.encode(), "1 bad byte (e9)"),
        ((JAPANESE + "\n").encode() + b"\xff" + JAPANESE.encode(), "1 bad byte (ff)"),
        ((FRENCH + "\n").encode() * 20 + b"\xc9o" + FRENCH.encode() * 9, "1 bad byte (c9)"),
        ((RUSSIAN.encode() + b"\n\xff") * 3 + RUSSIAN.encode(), "3 bad bytes, the first (ff)"),
    ],
)
def test_utf8_with_bad_bytes_is_said_to_be_that(data: bytes, said: str) -> None:
    with pytest.raises(UnicodeDecodeError) as wrong:
        data.decode()
    with pytest.raises(EncodingError) as caught:
        detect(source_of(data))
    message = str(caught.value)
    line = data.count(b"\n", 0, wrong.value.start) + 1
    assert f"is UTF-8 with {said} at byte {wrong.value.start:,} (line {line:,})" in message
    assert "encoding_errors='replace'" in message
    # What the message says to type works, whether or not the encoding is typed too.
    for asked in (None, "utf-8"):
        source = source_of(data)
        findings = Findings()
        detection = detect(source, FileOptions(encoding=asked, encoding_errors="replace"))
        text = "".join(SourceText(source, detection).chunks(AS_IS, findings=findings))
        assert text == data.decode("utf-8", "replace")
        assert findings.replaced == text.count("\ufffd")
        assert findings.first == wrong.value.start


@pytest.mark.parametrize(("text", "name"), WHOLE)
@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 9])
def test_another_encoding_before_utf8(text: str, name: str, times: int, tmp_path: Path) -> None:
    one = (text + "\n").encode(name) * times
    two = (text + "\n").encode() * max(1, times // 3)
    if len(SEQUENCES.findall(two)) < 9:
        return  # a few accents are damage as well as a part
    with pytest.raises(EncodingError) as caught:
        detect(source_of(one + two))
    message = str(caught.value)
    found = re.search(r"(?:like|are) (\w+) up to byte ([\d,]+) .*and UTF-8", message)
    assert found is not None, message
    assert int(found[2].replace(",", "")) == len(one)
    assert one.decode(found[1]) == (text + "\n") * times
    path = tmp_path / "two parts.txt"
    path.write_bytes(one + two)
    with pytest.raises(EncodingError, match=rf"head -c {len(one)} .* -t UTF-8; tail"):
        read_text(path)


@pytest.mark.parametrize("name", ["cp1251", "koi8_r", "cp866"])
@pytest.mark.parametrize("utf8_first", [True, False])
def test_lines_that_alternate_are_not_to_be_cut(name: str, utf8_first: bool) -> None:
    lines = RUSSIAN.replace(". ", ".\n").splitlines(keepends=True) * 2
    data = b"".join(
        line.encode("utf-8" if (place % 2 == 0) == utf8_first else name)
        for place, line in enumerate(lines)
    )
    first = len(lines[0].encode()) if utf8_first else 0
    with pytest.raises(EncodingError) as caught:
        detect(source_of(data))
    message = str(caught.value)
    assert f"some of its lines are UTF-8 and others look like {name}" in message
    assert f"the first of these at byte {first:,}" in message
    assert "head" not in message and "tail" not in message and "iconv" not in message


def test_what_follows_the_break_is_named() -> None:
    data = RUSSIAN.encode() + b"\n" + RUSSIAN.encode("koi8_r")
    with pytest.raises(EncodingError, match=r"line 2\).*looks like koi8_r"):
        detect(source_of(data))


@pytest.mark.parametrize("name", ["cp1252", "cp1251", "latin-1"])
def test_a_double_encoded_text_is_taken_with_a_warning(name: str) -> None:
    spoiled = RUSSIAN.encode().decode(name, "replace")
    detection, decoded = decode(spoiled.encode())
    assert decoded == spoiled
    assert detection.encoding == "utf-8"
    assert detection.confidence == 0.5
    assert "double-encoded" in detection.reason


@pytest.mark.parametrize("text", [RUSSIAN, FRENCH, POLISH, GREEK, JAPANESE, KOREAN, "Ã© Ñ"])
def test_no_such_warning_for_good_texts(text: str) -> None:
    assert "double" not in decode(text.encode())[0].reason


def test_lost_characters_are_mentioned() -> None:
    assert "U+FFFD" in decode((RUSSIAN + "\ufffd").encode())[0].reason


@pytest.mark.parametrize(
    ("asked", "data", "text"),
    [
        ("cp1251", "Ещё".encode("cp1251"), "Ещё"),
        ("WINDOWS-1251", "Ещё".encode("cp1251"), "Ещё"),
        ("utf-8", b"\xef\xbb\xbfabc", "abc"),
        ("utf-8-sig", b"abc", "abc"),
        ("utf-16", "\ufeffабв".encode("utf-16-be"), "абв"),
        ("utf-16", "абв".encode("utf-16-be"), "абв"),
        ("utf-16", "абв".encode("utf-16-le"), "абв"),
        ("cp1251", "ё".encode(), "С‘"),
        ("cp037", "Hello".encode("cp037"), "Hello"),
        ("iso2022_jp", JAPANESE.encode("iso2022_jp"), JAPANESE),
    ],
)
def test_an_encoding_that_was_asked_for(asked: str, data: bytes, text: str) -> None:
    detection, decoded = decode(data, asked)
    assert decoded == text
    assert (detection.confidence, detection.reason) == (1.0, ASKED)


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [("cp1252x", "cp1252"), ("koi88", "koi8_r"), ("latn1", "latin1")],
)
def test_an_unknown_encoding_suggests_names(asked: str, suggested: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{asked}' is not known.*{suggested}"):
        detect(source_of(b"x"), FileOptions(encoding=asked))


@pytest.mark.parametrize("asked", ["", "rot13", "hex", "punycode", "no such thing", "a\0b"])
def test_what_is_no_encoding_of_texts(asked: str) -> None:
    with pytest.raises(ConfigError, match=r"give one such as|not known"):
        detect(source_of(b"x"), FileOptions(encoding=asked))


def test_an_encoding_asked_for_that_does_not_fit() -> None:
    data = "раз\nдва ".encode() + b"\xff"
    with pytest.raises(EncodingError, match=r"ff at byte 14, line 2.*leave encoding out"):
        detect(source_of(data), FileOptions(encoding="utf-8"))
    with pytest.raises(EncodingError, match=r"CP1251.*98 e0 at byte 0, line 1.*_errors='replace'"):
        detect(source_of(b"\x98\xe0"), FileOptions(encoding="cp1251"))
    with pytest.raises(EncodingError, match=r"2 of its first 2 characters would be U.FFFD"):
        detect(source_of(b"\xe9\xe8"), FileOptions(encoding="ascii", encoding_errors="replace"))


@pytest.mark.parametrize("name", ["utf-8", "utf-16-be"])
def test_a_mark_that_the_bytes_contradict(name: str) -> None:
    wrong = {"utf-8": b"\xff", "utf-16-be": b"\xdc\x00\x04\x30"}[name]
    with pytest.raises(EncodingError, match="byte order mark"):
        detect(source_of(("\ufeff" + "слово\n").encode(name) + wrong))


def test_one_wrong_byte_in_a_legacy_text_is_named_when_it_is_read() -> None:
    data = RUSSIAN.encode("cp1251") + b"\n\x98"
    with pytest.raises(EncodingError, match=rf"98 at byte {len(data) - 1}, line 2"):
        decode(data)


def test_byte_tables() -> None:
    assert all(map(is_byte_table, ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "latin-1"]))
    assert not any(map(is_byte_table, ["utf-8", "utf-16-le", "shift_jis", "cp037", "utf-7"]))


ENGLISH = (
    "We left the harbour before it was light and sailed round the point. The cook had saved some "
    "bread from the day before, and there was tea in the large can. My sister wrote down the names "
    "of the birds that she knew; the others she drew. When the wind turned, nobody said a word."
)
#: What stands in English texts of Windows editors, now and then.
SYMBOLS = [
    *("½ cup of sugar", "1½ miles", "2¼", "¾ tsp", "350°F", "20 °C", "£5", "£1.50 each", "€20"),
    *("30 €", "¥500", "50¢", "© 2011", "Widget™", "Gadget®", "§ 12", "±3", "3 × 4", "20 m²"),
    *("café", "naïve", "Zoë", "Noël", "jalapeño", "El Niño", "façade", "crème brûlée", "Müller"),
    *("résumé", "Søren", "Ångström", "São Paulo", "¿Qué?", "«oui»", "5 µm", "à la carte"),
    *("“Yes”", "‘no’", "don’t", "and – well –", "so…", "word—word", "\n• one\n• two"),
]


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("times", [1, 5])
def test_english_with_one_kind_of_symbol_is_cp1252(symbol: str, times: int) -> None:
    sentences = ENGLISH.split(". ")
    text = ". ".join(f"{sentence} {symbol}" for sentence in sentences * times)
    data = text.encode("cp1252")
    detection, decoded = decode(data)
    assert decoded == text, detection


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850", "cp437"])
def test_where_the_bytes_say_so_such_a_text_is_of_a_mac_or_of_dos(encoding: str) -> None:
    # The same bytes are nothing in cp1252 that could stand there.
    for words in (
        "caf\xe9 and cr\xe8me for \xa35",
        "na\xefve 350\xb0F \xbd cup",
        "Z\xfcrich, se\xf1or",
    ):
        if encoding == "mac_roman" and "\xbd" in words:
            continue
        text = f"{ENGLISH} {words}. {ENGLISH} Again, {words}."
        assert decode(text.encode(encoding))[1] == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("/* © 2014 The authors */\nint main(void) {\n    return 0;\n}\n" * 9, "cp1252"),
        ("x = 5  # ширина окна\ny = 6  # высота окна\nif x > y: draw(x, y)\n" * 9, "cp1251"),
        ("1\n00:00:01,000 --> 00:00:02,500\nShe said… it’s late.\n\n" * 5, "cp1252"),
        ("Tea £1.20\nScone £2\nJam £0.80\nLarge pot of coffee £3.50\n", "cp1252"),
        ("Ia pergi ke kafé itu setiap pagi dan membaca surat kabar.\n" * 3, "cp1252"),
        ("Il gatto dorme perché è notte, e la casa sul colle tace.\n", "cp1252"),
        ("De kat slaapt één uur op de mat en gaat dan naar buiten.\n" * 2, "cp1252"),
        ("Kot nie jest tu, ale pies jest. To jest dom, a to jest źle.\n" * 3, "cp1250"),
        ("Pes je doma a kocka je na strome. Jan to nevidí, ale Eva ano. Pak šel ven.\n", "cp1250"),
    ],
)
def test_mostly_ascii_texts_of_other_kinds(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding))[1] == text


def test_the_reason_names_letters_and_no_language() -> None:
    detection, _ = decode(f"{ENGLISH} It cost £5. {ENGLISH} And £7.".encode("cp1252"))
    assert detection.reason.startswith("not UTF-8; reads as Latin letters with £;")
    for language in ("English", "Danish", "Norwegian", "Dutch"):
        assert language not in detection.reason


def test_a_guess_names_the_second_candidate_and_shows_both() -> None:
    detection, _ = decode("Pan Zoë to wie. To jest tak, a nie tak.".encode("cp1252"))
    assert detection.confidence < SURE
    (note,) = detection.notes
    assert f"is read as {detection.encoding}, which is a guess" in note
    assert "the second candidate" in note and "give encoding=" in note


class TestPromise:
    """What a confidence of `SURE` says, measured on texts of many languages and code pages."""

    @pytest.fixture
    def benchmark(self) -> ModuleType:
        path = Path(__file__).resolve().parents[2] / "benchmarks/encodings.py"
        spec = importlib.util.spec_from_file_location("encodings_benchmark", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    @pytest.mark.slow
    def test_it_is_kept(self, benchmark: ModuleType) -> None:
        cases = list(benchmark.cases("report", 1, seed=5, lengths=(100, 300, 1_000)))[::2]
        tried = [(case, *benchmark.tried(case)) for case in cases]
        assert len({case.language for case, *_ in tried}) >= 40
        assert len({case.encoding for case, *_ in tried}) >= 15
        sure = [right for _, _, confidence, right in tried if confidence >= SURE]
        assert len(sure) > 0.75 * len(tried)
        assert sum(sure) >= 0.97 * len(sure)
        western = [right for case, *_, right in tried if case.encoding == "cp1252"]
        assert sum(western) >= 0.95 * len(western)


def test_cesu8_is_read_as_it_was_meant() -> None:
    text = "Кошка 🐈 и 𝓐, ещё 🐈\n" * 9
    data = text.encode("cesu-8")
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    detection, decoded = decode(data)
    assert decoded == text
    assert detection.encoding == "cesu-8" and "CESU-8" in detection.reason
    assert decode(data, "cesu-8")[1] == text


@pytest.mark.parametrize("utf8_first", [True, False])
def test_lines_of_two_encodings(utf8_first: bool) -> None:
    one = "".join(f"{i}\r\n{TAIWANESE}\r\n\r\n" for i in range(20)).encode("big5")
    two = "21\r\n我們散步。\r\n".encode()
    data = two + one if utf8_first else one + two
    turn = data.index(one if utf8_first else "我們".encode())
    with pytest.raises(EncodingError, match="mixes encodings") as caught:
        detect(source_of(data))
    place = int(re.search(r"up to byte ([\d,]+)", str(caught.value))[1].replace(",", ""))  # type: ignore[index]
    assert abs(place - turn) <= len("0\r\n")
    assert "UTF-8" in str(caught.value) and "big5" in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two"),
    [("cp1251", "koi8_r"), ("cp1251", "cp866"), ("koi8_r", "cp1251"), ("cp866", "iso8859_5")],
)
@pytest.mark.parametrize("times", [(5, 5), (3, 9), (9, 3)])
def test_two_code_pages_in_one_file_are_refused(one: str, two: str, times: tuple[int, int]) -> None:
    text = RUSSIAN + "\n"
    first = text.encode(one) * times[0]
    with pytest.raises(EncodingError, match="mixes encodings") as caught:
        detect(source_of(first + text.encode(two) * times[1]))
    message = str(caught.value)
    place = int(re.search(r"about byte ([\d,]+)", message)[1].replace(",", ""))  # type: ignore[index]
    assert place == len(first), message
    assert re.search(rf"looks like {one[:5]}\w* up to .* like {two[:5]}\w* after it", message)


def test_one_code_page_of_two_languages_is_read() -> None:
    text = (RUSSIAN + "\n") * 5 + (SERBIAN + "\n") * 9 + RUSSIAN.upper() * 5
    assert decode(text.encode("cp1251"))[1] == text


@pytest.mark.parametrize("text", ["the CAFÉ—bar was shut", "“MENÚ” it said", "LE CAFÉ… and on"])
def test_two_signs_that_happen_to_be_utf8(text: str) -> None:
    assert decode(text.encode("cp1252"))[1] == text
    assert decode(text.encode())[1] == text


@pytest.mark.parametrize("text", ["the IDƗ of it", "ABƗ", "RÉSUMÉ", "a dʒ or ɗ sound"])
def test_letters_that_are_seldom_stay_utf8(text: str) -> None:
    detection, decoded = decode(text.encode())
    assert (detection.encoding, decoded) == ("utf-8", text)


HEBREW = (
    "אתמול בערב טיילנו זמן רב לאורך הנהר, והרוח דחפה גלים קטנים על פני המים. איש לא רצה לחזור "
    "הביתה, כי השיחה הייתה מעניינת והתה עדיין לא התקרר."
)
ARABIC = (
    "مساء أمس تمشينا طويلا على ضفة النهر وكانت الريح تدفع أمواجا صغيرة على سطح الماء. لم يرد "
    "أحد أن يعود إلى البيت لأن الحديث كان شيقا والشاي لم يبرد بعد."
)
KAZAKH = (
    "Кеше кешке біз өзен жағасында ұзақ серуендедік, жел су бетінде ұсақ толқындарды қуып жүрді. "
    "Ешкімнің үйге қайтқысы келмеді, өйткені әңгіме қызық еді."
)
TURKISH = "Dün akşam ırmağın kıyısında uzun uzun yürüdük; rüzgâr küçük dalgaları sürüklüyordu."
ICELANDIC = "Í gærkvöldi gengum við lengi með ánni, og vindurinn ýtti smáum öldum. Það var hlýtt."
PORTUGUESE = (
    "Ontem à noite passeámos junto ao rio; ninguém queria voltar, não é? O coração não tem razão, "
    "disse a mãe; os aviões são de cartão, então não voam. Há três meses que lá vivo também. À "
    "tarde vêm cá às vezes os avós, e o José lê-lhes histórias até à hora de jantar."
)
LITHUANIAN = (
    "Vakar vakare ilgai vaikščiojome palei upę, vėjas ginė mažas bangas, o arbata dar šilta."
)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (BULGARIAN, "cp855"),
        (SERBIAN, "cp855"),
        (GREEK, "mac_greek"),
        (GREEK, "cp869"),
        (HEBREW, "cp862"),
        (HEBREW, "iso8859_8"),
        (ARABIC, "iso8859_6"),
        (ARABIC, "cp720"),
        (KAZAKH, "kz1048"),
        (KAZAKH, "ptcp154"),
        (TURKISH, "mac_turkish"),
        (ICELANDIC, "mac_iceland"),
        (ICELANDIC, "cp861"),
        (PORTUGUESE, "cp860"),
        (LITHUANIAN, "iso8859_4"),
    ],
)
def test_pages_that_are_seldom(text: str, encoding: str) -> None:
    assert decode((text + "\n").encode(encoding) * 5)[1] == (text + "\n") * 5


PLAIN = (
    "The ferry came in at noon, and nobody was on the quay but a dog.\r\n"
    "It barked twice at the captain, who counted his boxes and went below.\r\n"
)


def _framed(text: str, pieces: str) -> str:
    across, down, *corners = pieces
    rows = "".join(f"{down} {line:<72} {down}\r\n" for line in text.splitlines())
    top, bottom = across * 74, across * 74
    return f"{corners[0]}{top}{corners[1]}\r\n{rows}{corners[2]}{bottom}{corners[3]}\r\n"


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp866"])
@pytest.mark.parametrize(
    "text",
    [
        _framed(PLAIN * 9, "═║╔╗╚╝"),
        _framed(PLAIN, "─│┌┐└┘"),
        _framed("NOTES", "═║╔╗╚╝") + PLAIN * 20,
        PLAIN * 9 + "─" * 60 + "\r\n" + PLAIN * 9,
        "░▒▓ NOTES ▓▒░\r\n" + PLAIN * 9,
        "┌────┬──────┐\r\n│Tea │ 2.50 │\r\n├────┼──────┤\r\n│Milk│ 1.20 │\r\n└────┴──────┘\r\n"
        + PLAIN,
        "├───OLD\r\n│   ├───A\r\n│   └───B\r\n└───NEW\r\n" + PLAIN,
    ],
)
def test_frames_are_of_dos(text: str, encoding: str) -> None:
    detection, decoded = decode(text.encode(encoding))
    assert decoded == text
    assert detection.confidence >= SURE


def test_a_frame_leaves_the_letters_what_they_are() -> None:
    russian = RUSSIAN.replace(". ", ".\r\n")
    for encoding in ("cp866", "koi8_r"):
        assert decode(_framed(russian, "═║╔╗╚╝").encode(encoding))[1] == _framed(russian, "═║╔╗╚╝")
    assert (
        decode("Temperature: 5 ± 2, »yes«, “no”, 20 m².".encode("cp1252"))[0].encoding == "cp1252"
    )


class TestReplacements:
    """`encoding_errors="replace"`."""

    def test_a_table_with_a_hole(self) -> None:
        data = RUSSIAN.encode("cp1251") + b"\n\x98" + RUSSIAN.encode("cp1251")
        source = source_of(data)
        detection = detect(source, FileOptions(encoding_errors="replace"))
        assert (detection.encoding, detection.errors) == ("cp1251", "replace")
        text = "".join(SourceText(source, detection).chunks(AS_IS))
        assert text == RUSSIAN + "\n\ufffd" + RUSSIAN

    def test_good_texts_are_read_as_always(self) -> None:
        for text, name in WHOLE:
            data = text.encode(name)
            replacing = FileOptions(encoding_errors="replace")
            assert detect(source_of(data), replacing) == detect(source_of(data))

    @pytest.mark.parametrize("data", [b"a\0b", b"\x01\x02\x03\x04\x05\x06" * 10, b"%PDF-1.4\n"])
    def test_what_is_no_text_is_refused_all_the_same(self, data: bytes) -> None:
        with pytest.raises(BinaryFileError):
            detect(source_of(data), FileOptions(encoding_errors="replace"))

    def test_a_file_of_which_little_would_be_left_is_refused(self) -> None:
        options = FileOptions(encoding="utf-8", encoding_errors="replace")
        with pytest.raises(EncodingError, match=r"would be U.FFFD; leave encoding out"):
            detect(source_of(RUSSIAN.encode("cp1251")), options)

    def test_any_other_word_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="strict, replace"):
            detect(source_of(b"x"), FileOptions(encoding_errors="ignore"))


class TestLongSources:
    """Sources of which only the start and the end are looked at."""

    @pytest.fixture(autouse=True)
    def small_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(encoding_module, "WHOLE_LIMIT", 4000)
        monkeypatch.setattr(encoding_module, "_HEAD", 1001)
        monkeypatch.setattr(encoding_module, "_TAIL", 101)

    def test_utf8_is_believed_by_its_ends(self) -> None:
        detection, decoded = decode((RUSSIAN * 10).encode())
        assert decoded == RUSSIAN * 10
        assert (detection.encoding, detection.confidence) == ("utf-8", 0.99)
        assert "as it is read" in detection.reason

    def test_an_error_between_them_is_found_when_it_is_read(self) -> None:
        data = (RUSSIAN * 5).encode() + b"\xff" + (RUSSIAN * 5).encode()
        source = source_of(data)
        detection = detect(source)
        with pytest.raises(EncodingError, match=f"byte {len((RUSSIAN * 5).encode()):,}"):
            list(SourceText(source, detection).chunks(AS_IS))

    def test_a_cut_end(self) -> None:
        detection, decoded = decode((RUSSIAN * 10 + "€").encode()[:-1])
        assert decoded == RUSSIAN * 10
        assert detection.dropped == 2

    def test_ascii_that_turns_into_a_legacy_encoding(self) -> None:
        text = "A long preface in English. " * 100 + RUSSIAN * 5
        detection, decoded = decode(text.encode("cp1251"))
        assert decoded == text
        assert detection.encoding == "cp1251"

    def test_utf8_that_turns_into_another_encoding(self) -> None:
        start = (RUSSIAN * 3).encode()
        with pytest.raises(
            EncodingError, match=f"mixes encodings: UTF-8 up to byte {len(start):,}"
        ):
            detect(source_of(start + (RUSSIAN * 10).encode("cp1251")))

    def test_a_legacy_encoding(self) -> None:
        detection, decoded = decode((RUSSIAN * 20).encode("koi8_r"))
        assert decoded == RUSSIAN * 20
        assert detection.encoding == "koi8_r"

    def test_compressed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt.gz"
        path.write_bytes(gzip.compress((RUSSIAN * 20).encode()))
        (source,) = open_sources([path])
        detection = detect(source)
        assert detection.encoding == "utf-8"
        assert "".join(SourceText(source, detection).chunks(AS_IS)) == RUSSIAN * 20


class TestSharedTexts:
    """The real texts, re-encoded and damaged."""

    @pytest.fixture
    def folder(self, shared: Path) -> Path:
        return shared / "corpora" / "encodings"

    @pytest.fixture
    def original(self, folder: Path) -> str:
        """The text that the others were made from, by the standard library alone."""
        return (folder / "prestuplenie_utf16_bom.txt").read_bytes().decode("utf-16")

    @pytest.mark.parametrize(
        ("name", "encoding", "lost"),
        [
            ("prestuplenie_utf16_bom.txt", "utf-16-le", {}),
            ("prestuplenie_utf8_bom_crlf.txt", "utf-8", {}),
            ("prestuplenie_cr_only.txt", "utf-8", {}),
            ("prestuplenie_nfd.txt", "utf-8", {}),
            ("prestuplenie_truncated_multibyte.txt", "utf-8", {}),
            ("prestuplenie_cp1251.txt", "cp1251", {}),
            # KOI8-R has no dashes and quotes of this kind; they were replaced when it was made.
            (
                "prestuplenie_koi8r.txt",
                "koi8_r",
                {**dict.fromkeys("„“¬", "?"), "—": "-", "«": '"', "»": '"'},
            ),
        ],
    )
    def test_re_encoded(
        self, folder: Path, original: str, name: str, encoding: str, lost: dict[str, str]
    ) -> None:
        (source,) = open_sources([folder / name])
        detection = detect(source)
        assert detection.encoding == encoding
        assert detection.confidence >= 0.95
        text = "".join(SourceText(source, detection).chunks(Normalization(), chunk_bytes=50_000))
        whole = "truncated" not in name
        assert len(text) == len(original) if whole else len(text) > 50_000
        assert text == original[: len(text)].translate(str.maketrans(lost))

    def test_found_in_cp1251(self, folder: Path) -> None:
        for path in sorted((folder / "cp1251_native").iterdir()):
            (source,) = open_sources([path])
            detection = detect(source)
            assert (detection.encoding, detection.confidence) == ("cp1251", 0.99)
            assert read_text(path).startswith("Интерстеллар\n")

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("empty.txt", EmptyCorpusError),
            ("prestuplenie_with_nul.txt", BinaryFileError),
            ("prestuplenie_mixed_utf8_then_cp1251.txt", EncodingError),
        ],
    )
    def test_refused(self, folder: Path, name: str, error: type[Exception]) -> None:
        with pytest.raises(error, match=name):
            detect(open_sources([folder / name])[0])

    def test_double_encoded(self, folder: Path) -> None:
        (source,) = open_sources([folder / "prestuplenie_double_encoded_mojibake.txt"])
        assert "double-encoded" in detect(source).reason

    @pytest.mark.parametrize("name", ["cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"])
    def test_slices_of_a_novel(self, shared: Path, name: str) -> None:
        novel = (shared / "corpora/dostoevsky/zapiski_iz_podpolya.txt").read_text("utf-8")
        novel = unicodedata.normalize("NFC", novel)
        generator = random.Random(7)
        right = 0
        for _ in range(40):
            start = generator.randrange(len(novel) - 100)
            data = novel[start : start + 100].encode(name, "ignore")
            right += decode(data)[1] == data.decode(name)
        # One in forty may hold neither a capital nor the letter that tells MacCyrillic apart.
        assert right >= 39


@pytest.mark.parametrize("bullet", "·»•–")
@pytest.mark.parametrize("times", [1, 8])
def test_a_bullet_at_the_beginning_of_lines_is_no_frame(
    bullet: str, times: int, tmp_path: Path
) -> None:
    lines = ("Open the lid.", "Take out the old filter.", "Put the new one in, then close it.")
    text = "".join(f"{bullet} {line}\n" for line in lines) * times + "That is all there is to it.\n"
    path = tmp_path / "steps.txt"
    path.write_bytes(text.encode("cp1252"))
    (source,) = open_sources([path])
    assert path.read_bytes().decode(detect(source).encoding) == text
