"""The text in chats, subtitles, screenplays, web pages and tables; nothing of it is lost."""

from __future__ import annotations

import csv
import io
import json

import pytest
from support.made_files import zip_of
from support.small_runs import names as names_of_a_list

from textgen.corpus.extraction import FilePiece, chat_json, table_column
from textgen.corpus.extraction.file_format import FORMATS, format_of, text_format
from textgen.corpus.list_text import judge_list
from textgen.errors import ConfigError, CorpusError


def pieces(name: str, text: str, column: str | None = None) -> list[FilePiece]:
    """What a format reads, whatever the pieces are in which the text comes."""
    read = FORMATS[name].read_text
    assert read is not None
    whole = list(read("x", [text], column))
    bits = list(read("x", [text[i : i + 7] for i in range(0, len(text), 7)], column))
    assert joined(bits) == joined(whole)
    return whole


def joined(found: list[FilePiece], *, without: str = "-") -> str:
    return "".join(piece.text for piece in found if piece.kind != without)


def of_kind(found: list[FilePiece], kind: str) -> str:
    return "".join(piece.text for piece in found if piece.kind == kind)


@pytest.mark.parametrize(
    "stamp",
    [
        "[05.03.21, 14:05:11] ",  # an iPhone, German
        "\u200e[3/5/21, 2:05:11\u202fPM] ",  # American
        "[31/12/2022 11:40:26] ",
        "[2021/3/5 下午3:05:11] ",
        "05.03.21, 14:05 - ",  # Android, German, Russian, Macedonian
        "3/5/21, 2:05\u202fPM - ",
        "05/03/2021 14:05 - ",  # Portuguese
        "05/03/2021 à 14:05 - ",
        "05-03-2021 14:05 - ",  # Dutch
        "2021-03-05 2:05 p.m. - ",  # Canadian
        "5/3/21, 2:05 p. m. - ",  # Spanish
        "5.3.2021 klo 14.05 - ",  # Finnish
        "5.03.21 г., 14:05 ч. - ",  # Bulgarian
        "30/08/25 18.00 - ",  # Indonesian
        "2021년 3월 5일 오후 3:05, ",
        "٥/٣/٢٠٢١, ٢:٠٥ م - ",
    ],
)
def test_a_chat_of_any_language_is_one(stamp: str) -> None:
    chat = (
        f"{stamp}Anna: Hello: you\nhow are 3 you?\n{stamp}Anna added Boris\n"
        f"{stamp}+49 151 23: Fine\n{stamp}Boris: <Media omitted>\n{stamp}Bo: \u200eimage omitted\n"
    )
    assert text_format(chat).name == "chat"
    found = pieces("chat", chat)
    assert joined(found) == chat
    assert of_kind(found, "") == "Anna: Hello: you\nhow are 3 you?\n+49 151 23: Fine\n"
    assert of_kind(found, "timestamps") == stamp * 2
    assert of_kind(found, "system").count("\n") == 3


@pytest.mark.parametrize(
    "text",
    [
        "In 1812 he came.\n12.03.1812 was a Thursday, and 14:05 - the hour.\n" * 9,
        "Anna: Hello\nBoris: Fine\n" * 9,
        "",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    assert text_format(text).name == "text"


def test_only_what_the_chat_program_wrote_is_system() -> None:
    """A text in brackets with a file in it is the author's, and so is a line below a picture."""
    stamp = "05.03.21, 14:05 - "
    said = [
        "Anna: I read it (see notes.txt)\n",
        "Anna: IMG-1.jpg (file attached)\n",
        "Look at the sea\nand the (sky.jpg)\n",
        "Anna: a <b> c\n",
        "Boris joined\n",
        f"Anna: {'(a.txt) ' * 20_000}x\n",
    ]
    chat = stamp + said[0] + stamp + said[1] + said[2] + "".join(stamp + own for own in said[3:])
    found = pieces("chat", chat)
    assert of_kind(found, "system") == stamp + said[1] + stamp + said[4]
    assert of_kind(found, "") == said[0] + said[2] + said[3] + said[5]


def test_subtitles_are_what_is_said() -> None:
    srt = (
        "1\n00:00:01,000 --> 00:00:02,500\n<i>Hi</i> {they} said\n{\\an8}twice\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\n1984\n\nand more\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\nSubtitles by Nobody\n"
    )
    assert text_format(srt).name == "subtitles"
    found = pieces("subtitles", srt)
    assert [piece[:3] for piece in found] == [
        ("Hi {they} said\ntwice\n", "", 3),
        ("1984\nand more\n", "", 8),
        ("Subtitles by Nobody\n", "credits", 14),
    ]
    vtt = (
        "WEBVTT - a film\n\nNOTE not said\nnor this\n\nSTYLE\n::cue {}\n\nfirst\n"
        "00:01.000 --> 00:02.000 align:start\n<v Anna>R&amp;D <00:01.500><c.red>now</c>\n\n"
        "00:03.000 --> 00:04.000\nBye\n\nNOTE the end\n"
    )
    assert joined(pieces("subtitles", vtt)) == "Anna: R&D now\nBye\n"


def test_nothing_said_in_subtitles_is_lost() -> None:
    times = "00:00:01,000 --> 00:00:02,500\n"
    assert joined(pieces("subtitles", f"By Anna\n\n1\n{times}Hi\n")) == "By Anna\nHi\n"
    vtt = "WEBVTT\nKind: x\n\nNOTE a\nb\n\n00:01.000 --> 00:02.000\nNOTE it\n\nwell\n\nSTYLE\nc\n"
    assert joined(pieces("subtitles", vtt)) == "NOTE it\nwell\n"
    for lines in (1, 2500):
        with pytest.raises(CorpusError, match=r"x has no times.*format='text'"):
            pieces("subtitles", "It was night\n" * lines)
    assert pieces("subtitles", "WEBVTT\n\nNOTE\nnone\n") == []


@pytest.mark.parametrize("line", ["FADE IN:", "CUT TO:", "ANNA: Go."])
def test_a_film_without_a_title_page_is_whole(line: str) -> None:
    found = pieces("screenplay", f"{line}\nINT. HOUSE\n\nGo.\n")
    assert joined(found, without="notes") == f"{line}\nINT. HOUSE\n\nGo.\n"


def test_a_screenplay_is_as_it_is() -> None:
    film = (
        "Title: X\nAuthor: Y\n\nINT. HOUSE - DAY\n\nANNA\n(low)\nGo. [[or stay?]] Now.\n\n"
        "/* never\nfilmed */\n\n# Act two\n\n= They part.\n\nCUT TO:\n"
    )
    found = pieces("screenplay", film)
    assert joined(found) == film
    assert joined(found, without="notes") == (
        "INT. HOUSE - DAY\n\nANNA\n(low)\nGo.  Now.\n\n\n\n\nCUT TO:\n"
    )


def test_a_web_page_is_its_words() -> None:
    page = (
        "<!DOCTYPE html><html><head><meta charset='windows-1251'><title>No</title></head><body>"
        "<nav><a>Home</a></nav><header>Site</header><main><header><h1>Тит<b>ул</b></h1></header>"
        "<!-- no --><script>if (a<b) no()</script>"
        "<p>a&nbsp;b &mdash;\n c<br>d<p>e <i>f</i>g<ul><li>x<li>y</ul><pre> q\n  w</pre>"
        "<table><tr><td>1<td>2</table></main><footer>2021</footer></body></html>"
    )
    found = pieces("html", page)
    assert (
        of_kind(found, "").strip() == "Титул\n\na\u00a0b — c\nd\n\ne fg\n\nx\ny\n\n q\n  w\n\n1 2"
    )
    assert of_kind(found, "menus").split() == ["Home", "Site", "2021"]


@pytest.mark.parametrize("text", ["", " ", "<!-- x", "<!DOCTYPE html>"])
def test_an_empty_page_has_no_words(text: str) -> None:
    assert pieces("html", text) == []
    read = FORMATS["html"].read_text
    assert read is not None and list(read("x", [], None)) == []


@pytest.mark.parametrize(
    ("form", "menus"),
    [
        ("<form><b>Search </b><input><button>Go</button></form>", "Search Go"),
        ("<form id=aspnetForm><nav>Home</nav><div>A<b>b</b></div><p>Text</p></form>", "Home"),
        ("<form><b>Log in</b></form><form>A<article>b</article></form>", "Log in"),
        ("<form><i>A</i><form>B</form>", "A B"),
        (f"<form>{'Long text ' * 8000}</form>", ""),
        ("<nav><form><p>Find</p></form></nav>", "Find"),
        ("<form><b>Not closed", "Not closed"),
    ],
)
def test_a_form_with_paragraphs_is_no_menu(form: str, menus: str) -> None:
    """ASP.NET puts a form around each page."""
    found = pieces("html", f"<body><p>One</p>{form}</body>")
    assert " ".join(of_kind(found, "menus").split()) == menus
    assert not {own.kind for own in found} - {"", "menus"}


def test_a_licence_is_set_apart_and_the_book_is_whole() -> None:
    head = "The Project Gutenberg eBook of X\n\nTitle: X\n\n"
    start = "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nProduced by A\nand B\n\n\n"
    book = "CHAPTER I\n\n" + "It was night.\n" * 20_000  # longer than what is looked at
    end = "End of Project Gutenberg's X\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nTerms\n"
    found = pieces("text", head + start + book + end)
    assert joined(found) == head + start + book + end
    assert of_kind(found, "") == book
    twice = pieces("text", (head + start + "One\n" + end) * 2)
    assert of_kind(twice, "") == "One\n" * 2
    russian = "Федор Достоевский\nOCR: Кто-то\nSpellcheck: Он же\n\nБесы. OCR в тексте\n"
    assert of_kind(pieces("text", russian), "licence") == "OCR: Кто-то\nSpellcheck: Он же\n"
    assert of_kind(pieces("text", "He spoke of Project Gutenberg.\n" * 9), "licence") == ""


def test_a_line_is_about_who_made_a_file_where_it_names_somebody() -> None:
    own = "Email from my mother\nOrigin of the world\nScan the sea: it is there\n"
    for line in ("OCR: A", "OCR & spellcheck by: B", "OCR и вычитка: В", "Файл из библиотеки Г: д"):
        assert of_kind(pieces("text", f"{own}{line}\n{own}"), "licence") == f"{line}\n"
    names = "OCR: Anna\n" + "".join(f"{name}\n" for name in names_of_a_list(200))
    assert judge_list(names).is_list
    assert of_kind(pieces("text", names), "licence") == ""


def test_cells_are_documents_with_their_lines() -> None:
    table = 'id;text\n1;"two, \nlines"\n2;\n3;"a ""word"""\n'
    for column in ("text", "2"):
        found = pieces("csv", table, column)
        cells = [(piece.text, piece.line) for piece in found if not piece.kind]
        assert cells == [("two, \nlines", 2), ('a "word"', 5)]
        assert all(piece.begins for piece in found)
    assert [piece.text for piece in pieces("tsv", "0\ta, b\n1\tc\n", "2")] == ["a, b", "c"]
    assert [own.text for own in pieces("csv", "id, text\n1,a\n", "text")] == ["a"]
    assert [own.text for own in pieces("csv", '"a;b;c",text\n1,x\n', "text")] == ["x"]
    assert [own.text for own in pieces("csv", '"a\n;b",text\n1,x\n', "text")] == ["x"]
    discord = 'AuthorID,Author,Date,Content\n1,Anna,x,"Hi, you"\n2,Boris,x,\n'
    assert joined(pieces("csv", discord)) == "Anna: Hi, you\n"
    with pytest.raises(ConfigError, match="is a table of 2 columns"):
        pieces("csv", "Author,Content\nGogol,The Nose\n")


def test_quotation_marks_in_tables_of_tabs_are_of_the_text() -> None:
    rows = '1\t"Hello, she said\n2\tIt was night\n3\t6" nails\n'
    assert [own.text for own in pieces("tsv", rows, "2")] == [
        '"Hello, she said',
        "It was night",
        '6" nails',
    ]
    with pytest.raises(CorpusError, match=r"x, line 2: .* not closed"):
        pieces("csv", 'id,text\n1,"Hello\n2,It was "night"\n', "text")


def test_what_no_column_has_is_set_apart() -> None:
    table = "id,text\n1,night\nshort\n2,cold, dark\n3,\n"
    found = pieces("csv", table, "2")
    assert [own[:3] for own in found] == [
        ("text", "table", 1),
        ("night", "", 2),
        ("short", "table", 3),
        ("cold", "", 4),
        (", dark", "table", 4),
    ]
    assert [own.begins for own in found] == [True, True, True, True, False]
    assert of_kind(pieces("csv", table, "text"), "table") == "short, dark"


def test_a_row_that_would_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_column, "LONGEST_LINE", 1000)
    with pytest.raises(CorpusError, match="x, line 2 has more than 1,000 characters"):
        pieces("tsv", f"1\ta\n2\t{'b' * 2000}\n", "2")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (None, r"table of 2 columns \(id, text\); say which one .* column='text'"),
        ("words", "has no column 'words'"),
        ("3", "a number from 1 to 2"),
    ],
)
def test_a_column_that_is_not_there_is_named(column: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        pieces("csv", "id,text\n1,a\n", column)


def test_an_endless_cell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_column, "_LONGEST_CELL", 200_000)
    before = csv.field_size_limit()
    assert joined(pieces("csv", f"id,text\n1,{'a' * 150_000}\n", "2")).count("a") == 150_000
    with pytest.raises(CorpusError, match=r"x, line 2: .* not closed"):
        pieces("csv", 'id,text\n1,"' + "a\n" * 150_000, "2")
    assert csv.field_size_limit() == before


def messages(value: object) -> list[FilePiece]:
    read = FORMATS["json"].read_bytes
    assert read is not None
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return list(read("x.json", io.BytesIO(data)))


def test_messages_of_telegram_and_discord() -> None:
    chat = [
        {"type": "service", "actor": "Anna", "action": "create_group"},
        {
            "type": "message",
            "from": "Анна",
            "text": ["see ", {"type": "link", "text": "t.me"}, "!"],
        },
        {"type": "message", "from": "Boris", "text": "", "photo": "x.jpg"},
    ]
    found = messages({"name": "A", "type": "personal_chat", "messages": chat})
    assert [piece[:2] for piece in found] == [
        ("", ""),
        ("Anna: create_group\n", "system"),
        ("Анна: see t.me!\n", ""),
    ]
    both = messages({"chats": {"list": [{"messages": chat}, {"messages": chat}]}})
    assert [piece.begins for piece in both] == [True, False, False] * 2
    discord = {
        "guild": {"name": "G"},
        "messages": [
            {"type": "Default", "content": "Hi", "author": {"name": "anna", "nickname": "Anna"}},
            {"type": "GuildMemberJoin", "content": "Joined.", "author": {"name": "bo"}},
        ],
    }
    assert [piece[:2] for piece in messages(discord)[1:]] == [
        ("Anna: Hi\n", ""),
        ("bo: Joined.\n", "system"),
    ]


def test_messages_are_where_a_chat_has_them() -> None:
    """Lists of that name within a message, and of names that end so, are other things."""
    inner = {"from": "Anna", "text": "Hi", "messages": [{"text": "not said"}], "seen_messages": [1]}
    found = messages({"old_messages": [{"text": "no"}], "messages": [inner, {"text": "Bye"}]})
    assert [piece[:2] for piece in found] == [("", ""), ("Anna: Hi\n", ""), ("Bye\n", "")]
    assert [piece.begins for piece in found] == [True, False, False]
    marked = b"\xef\xbb\xbf" + json.dumps({"messages": [{"text": "Ж"}]}).encode()
    assert joined(messages(marked)) == "Ж\n"


@pytest.mark.parametrize("odd", [[], {}, ["message"], {"a": 1}, 5, True])
def test_a_message_may_have_anything_anywhere(odd: object) -> None:
    strange: dict[str, object] = {"type": odd, "from": odd, "text": "x", "action": odd}
    (_, piece) = messages({"messages": [strange]})
    assert piece.kind == "system" and piece.text.endswith("x\n")
    assert [own.text for own in messages({"messages": [{"text": odd, "from": "Bo"}]})] in (
        [""],
        ["", "Bo: message\n"],
    )


def test_an_endless_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_json, "_LONGEST_MESSAGE", 20_000)
    assert len(joined(messages({"messages": [{"text": "a" * 15_000}] * 9}))) == 9 * 15_001

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert self.tell() < 100_000, "it is read to the end"
            return super().read(size)

    for data in (b'"' + b"a" * 200_000, b'["a' + b'","a' * 60_000, b" " * 200_000):
        with pytest.raises(CorpusError, match="more than 20,000"):
            list(chat_json.read_messages("x", Endless(b'{"messages": [{"text": ' + data)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"messages": [{"type": "message", "text": "a"', "no JSON that can be read"),
        (b'{"a": [1, 2]}', "JSON without messages"),
        (b'{"messages": [' + b"[" * 100_000, "no JSON that can be read"),
        (b"\xff\xfe{", "no JSON that can be read"),
    ],
)
def test_other_json_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        messages(data)


@pytest.mark.parametrize(
    ("name", "head", "format"),
    [
        ("a.srt", b"x", "subtitles"),
        ("a.SRT.gz", b"x", "subtitles"),
        ("a.txt", b"\xef\xbb\xbf<!DOCTYPE html><html>", "html"),
        ("a.html", b"x", "html"),
        ("a.fountain", b"x", "screenplay"),
        ("<stdin>", b'{"name": "A", "messages": [', "json"),
        ("a.epub", b"PK\x03\x04....", "epub"),
        ("a.zip", b"PK\x03\x04..mimetypeapplication/epub+zip", "epub"),
        ("a.txt", b"Once upon a time", "text"),
        ("a.zip", zip_of({"[Content_Types].xml": "", "word/document.xml": ""}), "docx"),
        ("a.zip", zip_of({"password/a.xml": "", "word/a.txt": ""}), "text"),
    ],
)
def test_formats_are_known_by_name_and_beginning(name: str, head: bytes, format: str) -> None:
    assert format_of(name, head).name == format
