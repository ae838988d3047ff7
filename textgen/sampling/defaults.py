"""What a trained model says about its texts: their seeds, stops and settings not given.

A model goes on with the seed as it reads texts, and ends a text where its documents end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from textgen.checkpoint import SavedModel
from textgen.corpus.documents import DOCUMENT_MARK, mark_documents
from textgen.corpus.pairs import SEPARATOR, separator_id
from textgen.errors import SamplingError, named
from textgen.options import SampleOptions
from textgen.sampling.seed import FittedSeed, as_source, fit_seed
from textgen.sampling.stop import FittedStop, fit_stop


def options_of(saved: SavedModel, settings: Mapping[str, Any]) -> SampleOptions:
    """Return the settings of a text; those not given are as in training.

    Raises:
        SamplingError: A setting lies outside its range, or a model of pairs is to keep going.
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
    options = SampleOptions(**{**usual, **settings})
    return replace(options, stop=tuple(stop_of(saved, text).text for text in options.stop))


def stop_of(saved: SavedModel, stop: str, *, keep_going: bool = False) -> FittedStop:
    """Return a stop text as the model can write it, with a notice where it never can."""
    end = saved.document_separator if keep_going else ""
    return fit_stop(stop, saved.vocabulary, saved.normalization, end)


def seed_of(saved: SavedModel, seed: object) -> FittedSeed:
    """Return a seed in the symbols of the model, with a notice of what had to be changed.

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
        notice = f"seed: it holds {before + 1:,} documents; the text goes on from the last"
        fitted = replace(fitted, notice=f"{notice}; {more}" if more else notice)
    return as_source(fitted, separator_id(saved.vocabulary)) if saved.reads_pairs else fitted


def _instead(seed: object) -> str:
    if isinstance(seed, bytes):
        return "seed.decode()"
    if isinstance(seed, int | float):
        return f"'{seed}'; to write another text, give rng={seed}"
    return "generate_many(seeds) writes a text after each of several"


def _last_document(saved: SavedModel, seed: str) -> tuple[str, int]:
    """Return the last document in a seed, and how many stand before it."""
    mode = saved.documents
    if mode is None or not saved.writes_documents:
        return seed, 0
    clean = seed.replace(DOCUMENT_MARK, "")
    *before, last = "".join(mark_documents([clean], mode)).split(DOCUMENT_MARK)
    if not before and mode != "line":
        return clean, 0  # What stands at its two ends may be of use.
    return last, len(before)
