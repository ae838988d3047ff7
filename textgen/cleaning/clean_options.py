"""How files are read for a report on their text, and what of it is left out: the options."""

from __future__ import annotations

from dataclasses import dataclass

from textgen.cleaning.corpus_report import BOILERPLATE
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.corpus.extraction import KINDS
from textgen.corpus.extraction.file_format import ENDINGS, FORMATS
from textgen.errors import ConfigError, named
from textgen.settings import TEXT, setting, setting_like

#: What may be left out beside the kinds of pieces: what stands there twice.
DUPLICATES, NEAR = "duplicates", "near-duplicates"
DROPPED = (BOILERPLATE, DUPLICATES, NEAR, *KINDS)


@dataclass(frozen=True, kw_only=True)
class CleanOptions(FileOptions):
    """How files are read, and what of their text is left out.

    Raises:
        ConfigError: A value is not one of those that there are.
    """

    drop: str = setting(
        "",
        help="What to leave out of the text, several separated by commas. boilerplate: all that "
        f"looks like none of the author's text, or single kinds of it ({', '.join(KINDS)}); "
        "duplicates: documents and paragraphs that stood there before; near-duplicates: those "
        "that differ in little from one before.",
        panel=TEXT,
        metavar="KINDS",
        by_default="nothing",
    )
    column: str | None = setting(
        None,
        help="The column of a table (CSV, TSV) that has the texts, by its name in the first row or "
        "its number from 1. Each cell is a document.",
        panel=TEXT,
        metavar="NAME",
    )
    format: str | None = setting(
        None,
        help="How to read all files, whatever they are called; text reads them as they are.",
        panel=TEXT,
        choices=tuple(FORMATS),
        by_default="seen by each file's name and beginning",
    )
    documents: str | None = setting_like(
        CorpusOptions,
        "documents",
        by_default="file, or line for a list such as names; cells and chats are documents",
    )
    ending: str = setting_like(
        FileOptions,
        "ending",
        default=",".join(ENDINGS),
        by_default="those of the formats that are known",
    )

    def __post_init__(self) -> None:
        from textgen.corpus.documents import settle_documents

        super().__post_init__()
        object.__setattr__(self, "documents", settle_documents(self.documents))
        self.dropped  # noqa: B018 - it is checked

    @property
    def dropped(self) -> frozenset[str]:
        """The kinds that are left out, with `boilerplate` spelled out.

        Raises:
            ConfigError: There is no such kind.
        """
        words = [word.strip().lower().replace("_", "-") for word in self.drop.split(",")]
        kinds: set[str] = set()
        for word in filter(None, words):
            if word not in DROPPED:
                raise ConfigError(
                    f"{named('drop')} is {self.drop!r}; there are {', '.join(DROPPED)}, "
                    f"separated by commas: {named('drop', f'{BOILERPLATE},{DUPLICATES}')}"
                )
            kinds |= set(KINDS) if word == BOILERPLATE else {word}
        return frozenset(kinds)
