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


def read_subtitles(chunks: Iterable[str]) -> Iterator[FilePiece]:
    """What is said, a line for each line; a cue that names who made it is set apart."""
    lines: list[str] = []
    begins, is_vtt, inside = 1, False, False
    for number, line in enumerate(lines_of(chunks), 1):
        if number == 1:
            is_vtt = line.lstrip("\ufeff").startswith("WEBVTT")
        if TIMING.match(line):
            if lines and (_NUMBER.match(lines[-1]) or (is_vtt and _is_alone(lines))):
                lines.pop()  # The number or the name of the cue that begins.
            if inside:
                yield from _cue(lines, begins, is_vtt)
            lines, begins, inside = [], number + 1, True
        elif len(lines) < _LONGEST_CUE:
            lines.append(line)
        else:
            yield from _cue(lines, begins, is_vtt)
            lines, begins = [line], number
    if inside:
        yield from _cue(lines, begins, is_vtt)


def _is_alone(lines: list[str]) -> bool:
    """Whether a blank line stands before the last one."""
    return bool(lines[-1].strip()) and (len(lines) == 1 or not lines[-2].strip())


def _cue(lines: list[str], begins: int, is_vtt: bool) -> Iterator[FilePiece]:
    if is_vtt:  # A blank line ends a cue; notes and styles may follow.
        end = next((n for n, line in enumerate(lines) if n and not line.strip()), len(lines))
        lines = lines[:end]
    said = [_plain(line, is_vtt) for line in lines]
    text = "".join(f"{line}\n" for line in said if line)
    if text:
        yield FilePiece(text, "credits" if _CREDITS.search(text) else "", begins)


def _plain(line: str, is_vtt: bool) -> str:
    if is_vtt:
        line = _VOICE.sub(r"\1: ", line)
    line = _TAG.sub("", _BRACES.sub("", line))
    return (html.unescape(line) if is_vtt else line).replace("\0", "").strip()
