"""What a person asks of a text, as a model can read and write it: seeds, sources, stops, settings.

What the vocabulary lacks of a seed is folded or dropped. What is not asked for is as in training: a
model continues a seed as it reads texts, and ends a text where its documents end.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from textgen.apart import refuse_apart
from textgen.checkpoint import ModelHeader
from textgen.corpus.documents import DOCUMENT_MARK, mark_documents
from textgen.corpus.nearest_forms import nearest_form
from textgen.corpus.normalization import Normalization
from textgen.corpus.pairs import SEPARATOR, separator_id
from textgen.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from textgen.corpus.words import split_words
from textgen.errors import SamplingError, named
from textgen.messages import Message
from textgen.options import SampleOptions, asked_of, form_settings
from textgen.sampling.forms.rules import longest_text
from textgen.sampling.networks import no_steering

#: What a notice lists of each kind before it only counts.
_LISTED = 8


@dataclass(frozen=True)
class FittedSeed:
    """A seed as the model reads it.

    Args:
        ids: Token ids, none of them a mark; empty where nothing is left of the seed.
        text: The text of `ids`.
        folded: Characters the vocabulary lacks and what they became, each pair once.
        dropped: Characters it lacks and has no form of, each once.
        notice: One line for the user that says so; `None` where the seed was taken as it was.
    """

    ids: tuple[int, ...]
    text: str
    folded: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    notice: str | None = None


def fit_seed(
    text: str, vocabulary: Vocabulary, normalization: Normalization, reserved: str = ""
) -> FittedSeed:
    """Turn any text into ids that the model knows.

    The text is normalised as the model's own texts were. A character that the vocabulary lacks
    becomes the nearest form it has (`textgen.corpus.nearest_forms.nearest_form`); without any it is
    dropped. A word that a word vocabulary lacks is spelled; where words are not spelled, it is
    taken in the other case, with or without the space before it, or dropped.

    Args:
        text: Any string, lone surrogates and the empty one included.
        vocabulary: The model's symbols.
        normalization: What the model's texts went through.
        reserved: Symbols with a meaning of their own: nothing else is folded into one of them.
    Returns:
        The seed and what happened to it; no text makes it fail.
    """
    # Bytes of the command line that are not text arrive as lone surrogates.
    surrogates = [char for char in text if is_surrogate(char)]
    clean = "".join(char for char in text if not is_surrogate(char)) if surrogates else text
    clean = normalization.apply(clean)
    ids = vocabulary.encode(clean)
    folded: dict[str, str] = {}
    dropped = dict.fromkeys(surrogates)
    if not vocabulary.spelled and (ids == UNKNOWN_ID).any():
        lead = " " if vocabulary.folded else ""
        usable = vocabulary.symbol_index().keys() - set(reserved)
        fitted = []
        for word in split_words(lead + clean):
            form = _word_form(word, usable)
            bare = word.strip(" ") or word
            if form is None:
                dropped[bare] = None
            else:
                fitted.append(form)
                if form.strip(" ") != bare.strip(" "):
                    folded[bare] = form.strip(" ")
        ids = vocabulary.encode_words(fitted)
    elif (ids == UNKNOWN_ID).any():
        known = vocabulary.symbol_index()
        usable = known.keys() - set(reserved)
        if "..." in clean and "." not in known and "…" in known:
            clean = clean.replace("...", "…")
            folded["..."] = "…"
        # A long seed has few different characters.
        nearest = {
            char: nearest_form(char, usable.__contains__) for char in set(clean) - known.keys()
        }
        fitted = []
        for char in clean:
            form = char if char in known else nearest[char]
            if form is None:
                dropped[char] = None
            else:
                fitted.append(form)
                if form != char:
                    folded[char] = form
        ids = vocabulary.encode("".join(fitted))
        # A folded word begins with a space, which a vocabulary of one word may lack.
        ids = ids[ids != UNKNOWN_ID]
    kept = tuple(np.asarray(ids).tolist())
    parts = [
        *first_few([f"{shown(old)} became {shown(new)}" for old, new in folded.items()], "folded"),
        *first_few([f"{shown(char)} dropped" for char in dropped], "dropped"),
    ]
    notice = None
    if parts:
        notice = f"seed: {', '.join(parts)} (not in the model's vocabulary of {len(vocabulary)})"
    if text and not kept:
        notice = f"{notice or 'seed: nothing that the model reads'}; continuing without a seed"
    return FittedSeed(
        ids=kept,
        text=vocabulary.decode(kept),
        folded=tuple(folded.items()),
        dropped=tuple(dropped),
        notice=notice,
    )


def as_source(fitted: FittedSeed, separator: int) -> FittedSeed:
    """Turn a seed into the source of a pair: the separator follows it.

    Args:
        fitted: From `fit_seed`.
        separator: What stands between source and target (`textgen.corpus.pairs`).
    Raises:
        SamplingError: It is empty, or holds a separator.
    """
    if separator in fitted.ids:
        raise SamplingError(
            f"the source {fitted.text!r:.60} has a TAB, which ends a source; give only the text "
            "before it"
        )
    if not fitted.ids:
        raise SamplingError(
            "this model was trained on pairs and writes the target of a source, and there is none"
            f"{': ' + fitted.notice.split(';')[0] if fitted.notice else ''}; give one: "
            f"{named('seed', 'SOURCE')}"
        )
    return replace(fitted, ids=(*fitted.ids, separator))


@dataclass(frozen=True)
class FittedStop:
    """A stop text as a model can write it.

    Args:
        text: Normalised as the model's texts were.
        notice: One line for the user where no text of the model can contain it; None where one
            can.
    """

    text: str
    notice: str | None = None


def fit_stop(
    text: str, vocabulary: Vocabulary, normalization: Normalization, end: str = ""
) -> FittedStop:
    """Normalise a stop text as a model's texts were, and see whether the model can write it.

    Args:
        text: The stop text.
        vocabulary: The model's symbols.
        normalization: What the model's texts went through.
        end: What is written between two documents, which the vocabulary need not have.
    """
    fitted = _normalized(text, normalization)
    if not fitted:
        # Nothing of it is left in any text; as it is, it is never found there.
        return FittedStop(text, _never(text, "the model's texts were folded to words"))
    lacking = dict.fromkeys(char for char in fitted if not _can_write(char, vocabulary, end))
    if not lacking:
        return FittedStop(fitted)
    chars = " or ".join(_quoted(char) for char in lacking)
    return FittedStop(fitted, _never(fitted, f"the model's vocabulary has no {chars}"))


def options_of(saved: ModelHeader, settings: Mapping[str, Any]) -> SampleOptions:
    """The settings of a text; those not given are as in training.

    Raises:
        SamplingError: A setting lies outside its range, or a model of pairs is to keep going or to
            see a history only.
    """
    keeps_going = bool(settings.get("keep_going"))
    if keeps_going and saved.reads_pairs:
        raise SamplingError(
            f"{named('keep_going')} writes one document after another, and this model writes the "
            "target of each source: give several sources, one a line"
        )
    usual: dict[str, Any] = {
        "until_end": (saved.reads_pairs or saved.writes_documents) and not keeps_going,
        "separator": saved.document_separator,
        "history": saved.history or 0,
    }
    given = {
        name: value for name, value in settings.items() if name != "history" or value is not None
    }
    options = SampleOptions(**{**usual, **given})
    if "length" not in settings and form_settings(options):
        # The form says how long a text is.
        options = replace(options, length=max(options.length, longest_text(options)))
    if options.history and saved.reads_pairs:
        raise SamplingError(
            "this model reads a whole source before it writes, and "
            f"{named('history', options.history)} would make it forget the source; leave it out"
        )
    return replace(options, stop=tuple(stop_of(saved, text).text for text in options.stop))


def refuse_steering(saved: ModelHeader, options: SampleOptions) -> None:
    """Refuse a text whose model cannot be steered.

    Raises:
        SamplingError: The text has a history, so no state is carried on that could be steered; or
            the model writes the targets of pairs.
    """
    if saved.reads_pairs:
        raise SamplingError(
            "this model writes the targets of pairs; only a model of text can be steered"
        )
    if options.history:
        raise no_steering(options.history)


def refuse_beside(what: str, options: SampleOptions) -> None:
    """Refuse settings that do not go with something that is no setting of a text.

    Args:
        what: Its name in `textgen.apart`, such as `count` or `live`.
        options: The settings.
    Raises:
        SamplingError: One of them is asked for.
    """
    refuse_apart([what, *asked_of(options)])


def stop_of(saved: ModelHeader, stop: str, *, keep_going: bool = False) -> FittedStop:
    """A stop text as the model can write it, with a notice where it never can."""
    end = saved.document_separator if keep_going else ""
    return fit_stop(stop, saved.vocabulary, saved.normalization, end)


def seed_of(saved: ModelHeader, seed: object) -> FittedSeed:
    """A seed in the symbols of the model, with a notice of what had to be changed.

    For a model of pairs it is a source, and its ids end with the separator. Of several documents,
    cut as the training text was, the text goes on from the last one.

    Raises:
        SamplingError: It is not a text, or no source, and the model one of pairs.
    """
    if isinstance(seed, FittedSeed):
        return seed
    if not (seed is None or isinstance(seed, str)):
        raise SamplingError(f"the seed is {seed!r:.60}; it must be a str: {_instead(seed)}")
    last, before = _last_document(saved, seed or "")
    reserved = SEPARATOR if saved.reads_pairs else ""
    fitted = fit_seed(last, saved.vocabulary, saved.normalization, reserved)
    if before:
        more = fitted.notice.removeprefix("seed: ") if fitted.notice else None
        notice = f"seed: it holds {before + 1:,} documents; the text continues the last one"
        fitted = replace(fitted, notice=f"{notice}; {more}" if more else notice)
    return as_source(fitted, separator_id(saved.vocabulary)) if saved.reads_pairs else fitted


def _word_form(word: str, known: Collection[str]) -> str | None:
    """The first form of a word that is known, the nearest first, or `None`."""
    bare = word.removeprefix(" ") or word
    spaces = (" ", "") if word[:1] == " " else ("", " ")
    cases = dict.fromkeys((bare, bare.lower(), bare.capitalize(), bare.upper()))
    without_yo = str.maketrans("ёЁ", "еЕ")
    letters = {form: None for case in cases for form in (case, case.translate(without_yo))}
    forms = (space + form for form in letters for space in spaces)
    return next((form for form in forms if form in known), None)


def is_surrogate(char: str) -> bool:
    """Whether a character is a lone surrogate, which stands for a byte that is not text."""
    return "\ud800" <= char <= "\udfff"


def shown(text: str) -> str:
    """In quotes, or as code points where it could not be seen."""
    if text == " " or (text.isprintable() and not text.isspace() and not _has_mark(text)):
        return f"'{text}'"
    return " ".join(f"U+{ord(char):04X}" for char in text)


def first_few(items: list[str], verb: str = "") -> list[str]:
    """What a notice lists of some things: the first ones, and how many more there are."""
    if len(items) <= _LISTED:
        return items
    return [*items[:_LISTED], f"{len(items) - _LISTED} more {verb}".rstrip()]


def _has_mark(text: str) -> bool:
    return any(unicodedata.category(char).startswith("M") for char in text)


def _never(text: str, reason: str) -> Message:
    return Message(f"{named('stop')} {_quoted(text)} can never occur: {reason}")


def _normalized(text: str, normalization: Normalization) -> str:
    """`text` as it stands in the middle of a normalised text."""
    fitted = normalization.apply(text)
    if not (normalization.fold and fitted):
        return fitted
    # Folding joins words by single spaces and has none at the ends of a text.
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() else ""
    return f"{before}{fitted}{after}"


def _quoted(text: str) -> str:
    """In quotes, line ends and tabs as they are typed; or as code points."""
    typed = text.replace("\n", "\\n").replace("\t", "\\t")
    return f"'{typed}'" if typed != text and typed.isprintable() else shown(text)


def _can_write(char: str, vocabulary: Vocabulary, end: str) -> bool:
    if char in end:
        return True
    if vocabulary.level == "byte":
        return not is_surrogate(char)
    if vocabulary.level == "char":
        return char in vocabulary.symbol_index()
    return any(char in symbol for symbol in vocabulary.symbols)


def _instead(seed: object) -> str:
    if isinstance(seed, bytes):
        return "seed.decode()"
    if isinstance(seed, int | float):
        return f"'{seed}'; to write another text, give rng={seed}"
    return "generate_many(seeds) writes a text after each of several"


def _last_document(saved: ModelHeader, seed: str) -> tuple[str, int]:
    """The last document in a seed, and how many stand before it."""
    mode = saved.documents
    if mode is None or not saved.writes_documents:
        return seed, 0
    clean = seed.replace(DOCUMENT_MARK, "")
    *before, last = "".join(mark_documents([clean], mode)).split(DOCUMENT_MARK)
    if not before and mode != "line":
        return clean, 0  # What stands at its two ends may be of use.
    return last, len(before)
