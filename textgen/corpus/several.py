"""Several files as one text: which of them cannot be read, and what is said of those not read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from textgen.corpus.encoding import Detection, detect
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import SourceText
from textgen.corpus.source import (
    BadFile,
    Found,
    Source,
    count_endings,
    ending_to_type,
    text_files,
)
from textgen.errors import BadFilesError, CorpusError, StorageError

#: Bad files named in an error, and names in a note.
_LISTED, _NAMED = 10, 3
#: Where the advice of a message begins: after a semicolon, or a full sentence.
_ADVICE = re.compile(r"; |\. (?=[A-Z])")
#: Characters of a bad file's reason.
_REASON_CHARS = 200
#: What a note begins with that should not be missed.
WARNING = "warning: "


@dataclass(frozen=True)
class Checked:
    """A source that was read to its end and is a text.

    Args:
        source: The source.
        detection: Its encoding.
        digest: SHA-256 of its bytes.
    """

    source: Source
    detection: Detection
    digest: bytes


def check_sources(
    sources: Sequence[Source], encoding: str | None, errors: str = "strict"
) -> tuple[list[Checked], list[BadFile]]:
    """Read every source to its end, to know all that are no text at once.

    Args:
        sources: Where the bytes are.
        encoding: As `detect` takes it.
        errors: Likewise.
    Raises:
        ConfigError: The encoding is not known.
    """
    good, bad = [], []
    as_it_is = Normalization(newlines=False, nfc=False)
    for source in sources:
        hasher = hashlib.sha256()
        try:
            detection = detect(source, encoding, errors)
            for _ in SourceText(source, detection).chunks(as_it_is, hasher=hasher):
                pass
        except (CorpusError, StorageError) as error:
            bad.append(BadFile(source.name, error))
        else:
            good.append(Checked(source, detection, hasher.digest()))
    return good, bad


def bad_files_error(bad: Sequence[BadFile], good: int) -> BadFilesError:
    """One error for all the files that cannot be read.

    Args:
        bad: They.
        good: How many others can be read.
    """
    total = len(bad) + good
    lines = [f"{len(bad):,} of {total:,} files cannot be read as text:"]
    lines += [f"  {_short_reason(file)}" for file in bad[:_LISTED]]
    if len(bad) > _LISTED:
        lines.append(f"  and {len(bad) - _LISTED:,} more")
    if good:
        rest = "the other file" if good == 1 else f"the other {good:,}"
        lines.append(f"repair them or take them away; or add --skip-bad to read {rest} only")
    else:
        lines.append("name text files")
    return BadFilesError("\n".join(lines))


def reading_notes(
    found: Found, skipped: Sequence[BadFile], digests: Sequence[tuple[str, bytes]]
) -> tuple[str, ...]:
    """What a person should know of the files that were not read, or twice.

    Args:
        found: What the paths led to.
        skipped: The bad files that were left out.
        digests: Name and digest of each file read.
    """
    notes = []
    if found.repeated:
        names = _names(
            [name if name == first else f"{name} is {first}" for name, first in found.repeated]
        )
        notes.append(f"{_files(len(found.repeated))} named twice and read once: {names}")
    if found.empty:
        which = _files(len(found.empty))
        notes.append(f"{which} left out, for nothing is in them: {_names(found.empty)}")
    if skipped:
        reasons = "; ".join(_short_reason(file) for file in skipped[:_LISTED])
        more = f"; and {len(skipped) - _LISTED:,} more" if len(skipped) > _LISTED else ""
        notes.append(f"{_files(len(skipped))} left out (--skip-bad): {reasons}{more}")
    if found.linked:
        notes.append(
            f"folders that are links are not entered: {_names(found.linked)}; name one to read it"
        )
    notes += _same_content(digests)
    notes += _unread(found)
    return tuple(notes)


def _unread(found: Found) -> list[str]:
    """How many files of a folder have other endings; a warning where most of its text is there."""
    if not found.unread:
        return []
    wanted = " or ".join(found.endings)
    count = len(found.unread)
    which = "1 other file is" if count == 1 else f"{count:,} other files are"
    note = (
        f"of a folder only files that end in {wanted} are read; {which} not: "
        f"{count_endings(found.unread)}"
    )
    texts = text_files(found.unread)
    read = sum(os.path.getsize(source.path) for source in found.sources if source.path is not None)
    if len(texts) <= len(found.sources) and sum(file.size for file in texts) <= read:
        return [note]
    others = list(dict.fromkeys(file.ending for file in texts))
    if "" in others:  # Names without an ending are asked for with all the others.
        return [f"{WARNING}most of the text is left out: {note}. {ending_to_type([''])} reads all"]
    return [
        f"{WARNING}most of the text is left out: {note}. To read them too add "
        f"{ending_to_type([*found.endings, *others[:3]])}; to read nothing else add "
        f"{ending_to_type(others[:3])}"
    ]


def _same_content(digests: Sequence[tuple[str, bytes]]) -> list[str]:
    first: dict[bytes, str] = {}
    same = []
    for name, digest in digests:
        if digest in first:
            same.append(f"{name} is the same as {first[digest]}")
        else:
            first[digest] = name
    if not same:
        return []
    return [f"{_files(len(same))} read again under another name: {_names(same)}"]


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _short_reason(file: BadFile) -> str:
    """What is wrong with a file, without the advice, on one line."""
    reason = str(file.error)
    reason = reason[len(file.name) :] if reason.startswith(file.name) else f": {reason}"
    reason = _ADVICE.split(reason)[0]
    if len(reason) > _REASON_CHARS:
        reason = reason[: _REASON_CHARS - 3] + "..."
    return f"{file.name}{reason}".replace("\n", "\\n")
