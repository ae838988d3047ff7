"""How texts are read, and how they become tokens: the options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textgen.errors import ConfigError, named
from textgen.settings import ADVANCED, TEXT, check, setting

if TYPE_CHECKING:
    from textgen.corpus.normalization import Normalization

LABEL_WAYS = ("folder", "file", "column", "tag")
#: Those by which a label stands in the text itself, which they also cut into documents.
IN_TEXT = ("column", "tag")
LEVELS = ("char", "byte", "word")
ENCODING_ERRORS = ("strict", "replace")
#: A text with at most so many different words keeps all of them.
FEW_WORDS = 1000
#: How often a word must occur in a longer text, to be no unknown one.
USUAL_WORD_COUNT = 2
#: The default ending of texts in a folder, and the word for every ending.
DEFAULT_ENDING, ALL_ENDINGS = ".txt", "all"


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How files are read as text.

    Raises:
        ConfigError: A value is out of range.
    """

    encoding: str | None = setting(
        None,
        help="The encoding of the text, such as cp1251.",
        panel=TEXT,
        metavar="NAME",
        by_default="detected from its bytes",
    )
    encoding_errors: str = setting(
        "strict",
        help="What to do if some bytes are not valid in the encoding. strict: refuse the file; "
        "replace: read each as the character U+FFFD and say how many there are.",
        panel=ADVANCED,
        choices=ENCODING_ERRORS,
    )
    ending: str = setting(
        DEFAULT_ENDING,
        help="Which files of a folder to read: those whose names have this ending, such as .srt. "
        "Several: .txt,.srt; every file: all. Compressed files (.txt.gz) are read too.",
        panel=ADVANCED,
        metavar="ENDING",
    )
    skip_bad: bool = setting(
        False,
        help="Skip files that cannot be read as text, and list them.",
        panel=ADVANCED,
    )

    def __post_init__(self) -> None:
        check(self)
        parse_endings(self.ending)


@dataclass(frozen=True, kw_only=True)
class CorpusOptions(FileOptions):
    """How texts become tokens.

    Raises:
        ConfigError: A value is out of range.
    """

    level: str = setting(
        "char",
        help="What a token is, the piece of text that the model reads and writes in one step: a "
        "character (a Unicode code point), a byte of UTF-8, or a word.",
        panel=TEXT,
        choices=LEVELS,
    )
    fold: bool = setting(
        False,
        help="Make the text lower case, and replace everything except letters with a space.",
        panel=TEXT,
    )
    documents: str | None = setting(
        None,
        help="How to split a file into documents. blank: at blank lines (blank:2: at two or more "
        "in a row); line: each line is a document; file: each file is one; separator: at "
        "lines that consist of TEXT; start: before each line that begins with PATTERN, a "
        "regular expression or plain text.",
        panel=TEXT,
        metavar="blank|line|file|separator:TEXT|start:PATTERN",
        by_default="file; line when a model is trained on a list (many short lines), such as names",
    )
    label_from: str | None = setting(
        None,
        help="Train one model of several voices: each document has a label, such as its author, "
        "under which the model then writes. folder: the name of the folder of a file; file: the "
        "name of the file; column: the first column of a table (CSV, or separated by TABs), whose "
        "rows are the documents; tag: a line [NAME] before a document.",
        panel=TEXT,
        by_default="no labels",
        choices=LABEL_WAYS,
    )
    min_count: int = setting(
        1,
        help="Read characters that occur fewer than N times as unknown.",
        panel=ADVANCED,
        at_least=1,
    )
    min_word_count: int | None = setting(
        None,
        help=f"With {named('level', 'word')}: read words that occur fewer than N times as unknown.",
        panel=ADVANCED,
        at_least=1,
        by_default=f"2, or 1 where the text has at most {FEW_WORDS:,} different words",
    )
    max_words: int = setting(
        30_000,
        help=f"With {named('level', 'word')}: the model knows the N most frequent words; the "
        "others are unknown.",
        panel=ADVANCED,
        at_least=0,
    )
    spell_rare: bool = setting(
        False,
        help=f"With {named('level', 'word')}: spell unknown words in characters. Otherwise each is "
        "read as one unknown token, which is never written.",
        panel=ADVANCED,
    )
    newlines: bool = setting(
        True,
        help="Whether the line ends \\r\\n and \\r become \\n.",
        typed_help="Keep the line ends \\r\\n and \\r as they are. Default: they become \\n.",
        panel=ADVANCED,
        flag="keep-newlines",
        inverted=True,
    )
    nfc: bool = setting(
        True,
        help="Whether a letter and its accent become one character (Unicode NFC).",
        typed_help="Keep a letter and its accent as two characters if the text has two. Default: "
        "they become one (Unicode NFC).",
        panel=ADVANCED,
        flag="no-nfc",
        inverted=True,
    )

    def __post_init__(self) -> None:
        from textgen.corpus.documents import settle_documents

        super().__post_init__()
        # One way to say each: it is part of the cache's keys and of a run's record.
        object.__setattr__(self, "documents", settle_documents(self.documents))
        if self.label_from in IN_TEXT and self.documents is not None:
            raise ConfigError(
                f"{named('label_from', self.label_from)} says where documents begin; leave "
                f"{named('documents')} out"
            )

    @property
    def normalization(self) -> Normalization:
        """The part of the options that seeds and evaluated texts go through as well."""
        from textgen.corpus.normalization import Normalization

        return Normalization(newlines=self.newlines, nfc=self.nfc, fold=self.fold)


def parse_endings(text: str) -> tuple[str, ...]:
    """Return the endings that `ending` names: `.srt`, `srt`, `.txt,.srt` or `all`.

    Returns:
        Endings in lower case, with their dot; for `all` it is `("",)`, which every name has.
    Raises:
        ConfigError: The text names no endings.
    """
    if text.strip().lower() == ALL_ENDINGS:
        return ("",)
    endings = []
    for part in text.split(","):
        word = part.strip().removeprefix("*").removeprefix(".").lower()
        if not word or any(char in word for char in "/\\*? "):
            raise ConfigError(
                f"{named('ending')} is {text!r}; give the ending of the texts in a folder, such "
                "as .srt, several like .txt,.srt, or all for every file"
            )
        endings.append(f".{word}")
    return tuple(dict.fromkeys(endings))
