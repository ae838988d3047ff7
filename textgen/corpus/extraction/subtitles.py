"""Subtitles, SubRip (.srt) and WebVTT (.vtt): what is said, without numbers, times and layout.

Libraries for subtitles edit their times; those that give the text lose some of it (braces in it,
the speaker of a voice tag, entities), so the few rules of both formats stand here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from textgen.corpus.extraction.piece import FilePiece, lines_of
from textgen.errors import CorpusError, named

_TIME = r"(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}"
TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_NUMBER = re.compile(r"\s*\d+\s*$")
#: Tags of layout, cue times among them; and those of other formats that SubRip files have.
_TAG = re.compile(
    r"</?(?:[biucv]|font|ruby|rt|lang|s)(?:[ .][^<>]*)?/?>|<\d[\d:.]*>", re.IGNORECASE
)
_VOICE = re.compile(r"<v(?:\.[^ >]*)? ([^<>]+)>", re.IGNORECASE)
#: Lines of a cue that are kept together.
_LONGEST_CUE = 1000
#: How the parts of WebVTT begin that are none of what is said.
_SETTING = re.compile(r"\ufeff?(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|$)")
_BRACES = re.compile(r"\{\\[^{}]*\}")
_CREDITS = re.compile(
    r"(?:https?://|www\.)\S|\b(?:opensubtitles|subscene|addic7ed|yify|subtitle ?seeker)\b|"
    r"\b(?:subtitles?|captions?|captioned|sync(?:ed|hroni[sz]ed)?|translat(?:ed|ion)|ripped|"
    r"correct(?:ed|ions?)|encoded|downloaded|timed)(?: (?:and|&) \w+)? (?:by|from)\b|"
    r"\b(?:субтитры|перевод(?:чик)?|редактор субтитров|титлови|превод)(?: \w+)?\s*:|"
    r"(?:субтитры|титлови) (?:сделал|создавал|подготов|на )",
    re.IGNORECASE,
)


def is_subtitles(head: str) -> bool:
    """Whether a text, of which this is the beginning, holds subtitles."""
    lines = [line for line in head.lstrip("\ufeff \n").split("\n")[:60] if line.strip()]
    if lines and lines[0].startswith("WEBVTT"):
        return True
    return any(
        _NUMBER.match(number) and TIMING.match(timing) for number, timing in pairwise(lines[:4])
    )


def read_subtitles(name: str, chunks: Iterable[str]) -> Iterator[FilePiece]:
    """What is said, a line for each line; a cue that names who made it is set apart.

    Args:
        name: Of the file, in messages.
        chunks: Its text.
    Raises:
        CorpusError: There is text, and no time before any of it.
    """
    lines: list[str] = []
    begins, is_vtt, is_timed, has_text = 1, False, False, False
    for number, line in enumerate(lines_of(chunks), 1):
        if number == 1:
            is_vtt = line.lstrip("\ufeff").startswith("WEBVTT")
        if TIMING.match(line):
            if lines and (_NUMBER.match(lines[-1]) or (is_vtt and _is_alone(lines))):
                lines.pop()  # The number or the name of the cue that begins.
            yield from _cue(lines, begins, is_vtt)
            lines, begins, is_timed = [], number + 1, True
        elif len(lines) < _LONGEST_CUE:
            lines.append(line)
        else:
            told = list(_cue(lines, begins, is_vtt))
            has_text = has_text or bool(told)
            yield from told
            lines, begins = [line], number
    if not is_timed and (has_text or any(_cue(lines, begins, is_vtt))):
        raise CorpusError(
            f"{name} has no times, which subtitles have; read it as it is: "
            f"{named('format', 'text')}"
        )
    yield from _cue(lines, begins, is_vtt)


def _is_alone(lines: list[str]) -> bool:
    """Whether a blank line stands before the last one."""
    return bool(lines[-1].strip()) and (len(lines) == 1 or not lines[-2].strip())


def _cue(lines: list[str], begins: int, is_vtt: bool) -> Iterator[FilePiece]:
    if is_vtt:
        lines = _without_settings(lines, is_top=begins == 1)
    said = [_plain(line, is_vtt) for line in lines]
    text = "".join(f"{line}\n" for line in said if line)
    if text:
        yield FilePiece(text, "credits" if _CREDITS.search(text) else "", begins)


def _without_settings(lines: list[str], *, is_top: bool) -> list[str]:
    """The lines with those of the header, notes, styles and regions emptied: blank lines end them.

    What else stands between two cues, players do not show; somebody wrote it, so it is read.
    """
    kept, is_setting, before = [], False, "" if is_top else "a time"
    for line in lines:
        is_setting = bool(line.strip()) and (
            is_setting or (not before.strip() and _SETTING.match(line) is not None)
        )
        kept.append("" if is_setting else line)
        before = line
    return kept


def _plain(line: str, is_vtt: bool) -> str:
    if is_vtt:
        line = _VOICE.sub(r"\1: ", line)
    line = _TAG.sub("", _BRACES.sub("", line))
    return (html.unescape(line) if is_vtt else line).replace("\0", "").strip()
