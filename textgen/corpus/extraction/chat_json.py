"""Chats that Telegram or DiscordChatExporter wrote as JSON, read message by message by ijson."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from textgen.corpus.extraction.piece import FilePiece, whole_characters
from textgen.errors import CorpusError
from textgen.extras import install_hint

#: What Discord calls messages that people wrote.
_WRITTEN = {None, "Default", "Reply", "ThreadStarterMessage", "ChatInputCommand", "message"}
#: Characters of the keys that lead to a value: ijson joins them anew for each, and tells of none
#: before it has read a block.
_LONGEST_PREFIX, _BLOCK = 2000, 4096
#: Characters and values of one message, and bytes of one value: those of programs have thousands.
_LONGEST_MESSAGE = 1 << 20


class _Blocks:
    """The bytes of a file; what has no end within a value is no chat.

    Args:
        name: Of the file, in messages.
        stream: Its bytes.
    """

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name, self._stream = name, stream
        if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            stream.seek(0)
        self.silent = 0  # bytes read since something was found in them

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if size and self.silent > _LONGEST_MESSAGE:
            raise _too_long(self._name)
        block = self._stream.read(size)
        self.silent += len(block)
        return block


def read_messages(name: str, stream: BinaryIO) -> Iterator[FilePiece]:
    """The messages, each as `Name: text`; every chat of an export is a document.

    Args:
        name: Of the file, in messages.
        stream: Its bytes, in UTF-8.
    Raises:
        CorpusError: It is damaged, holds no messages, or ijson is not installed.
    """
    try:
        import ijson
    except ImportError:
        raise CorpusError(
            f"{name} is JSON, and chats in JSON are read by ijson, which is not installed; "
            f"{install_hint('ijson')}"
        ) from None
    found = False
    builder, size = None, 0
    blocks = _Blocks(name, stream)
    try:
        for prefix, event, value in ijson.parse(blocks, buf_size=_BLOCK, use_float=True):
            blocks.silent = 0
            if len(prefix) > _LONGEST_PREFIX:
                raise _damaged(name, "its parts lie too deep within each other")
            if builder is None and event == "start_array" and _ends(prefix, "messages"):
                found = True
                yield FilePiece("", begins=True)
            if builder is None and event == "start_map" and _ends(prefix, "messages.item"):
                builder, inside, size = ijson.ObjectBuilder(), prefix, 0
            if builder is not None:
                size += len(value) + 1 if isinstance(value, str) else 1
                if size > _LONGEST_MESSAGE:
                    raise _too_long(name)
                builder.event(event, value)
                if event == "end_map" and prefix == inside:
                    if piece := _message(builder.value):
                        yield piece
                    builder = None
    except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(name, " ".join(str(error).split())[:80]) from None
    if not found:
        raise CorpusError(
            f"{name} is JSON without messages; expected is the result.json of Telegram or a file "
            "of DiscordChatExporter. Tables are read as .csv or .tsv"
        )


def _damaged(name: str, reason: str) -> CorpusError:
    return CorpusError(f"{name} is no JSON that can be read: {reason}; export the chat again")


def _too_long(name: str) -> CorpusError:
    return _damaged(name, f"a message has more than {_LONGEST_MESSAGE:,} characters")


def _ends(prefix: str, keys: str) -> bool:
    return prefix == keys or prefix.endswith(f".{keys}")


def _message(message: Mapping[str, Any]) -> FilePiece | None:
    author = message.get("from") or message.get("author") or message.get("actor") or ""
    if isinstance(author, Mapping):
        author = author.get("nickname") or author.get("name") or ""
    text = _text(message.get("text", message.get("content")))
    sort = message.get("type")
    if sort is None or (isinstance(sort, str) and sort in _WRITTEN):
        kind = ""
    else:
        kind, text = "system", text or _text(message.get("action")) or _text(sort)
    text = whole_characters(text.replace("\0", "").strip("\n"))
    author = " ".join(whole_characters(_text(author)).replace("\0", "").split())
    if not text:
        return None  # A picture, a call.
    return FilePiece(f"{author}: {text}\n" if author else f"{text}\n", kind)


def _text(value: Any) -> str:
    """The text of a message; Telegram cuts it where a link or a bold word stands."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _text(value.get("text"))
    if isinstance(value, list):
        return "".join(map(_text, value))
    return ""
