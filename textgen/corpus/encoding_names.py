"""Names of encodings as people type them, and CESU-8, which Python does not have.

CESU-8 is UTF-8 in which a character beyond U+FFFF is written as its two UTF-16 halves of three
bytes each. Some databases and Java programs write it.
"""

from __future__ import annotations

import codecs
import difflib
import re
from encodings.aliases import aliases
from functools import cache
from typing import TYPE_CHECKING

from textgen.errors import ConfigError, named

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

CESU8 = "cesu-8"

#: Encodings of Python that no text file is written in.
_NO_TEXT_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}

#: Python's name of an encoding, and what programs call it, as letters and digits only.
_OTHER_NAMES = {
    other: name
    for name, others in {
        "utf-8": "utf8bom utf8withbom utf8withoutbom utf8nobom utf8withsignature utf8n utf8mb3 "
        "utf8mb4 utf8mac 65001 cp65001",
        "utf-16": "unicode utf16bom utf16lebom utf16bebom ucs2",
        "utf-16-le": "1200 cp1200 ucs2le",
        "utf-16-be": "1201 cp1201 ucs2be unicodefffe unicodebigendian bigendianunicode",
        "utf-32": "ucs4",
        "latin-1": "latin isolatin isolatin1",
        "cp1252": "western",
        "cp1251": "cyrillic",
        "koi8_r": "koi8",
        "koi8_u": "koi8ru",
        "mac_roman": "mac macroman xmacroman",
        "mac_latin2": "xmaccentraleuroperoman xmaccentraleurope xmacce",
        "mac_greek": "xmacgreek",
        "mac_turkish": "xmacturkish",
        "mac_cyrillic": "maccyrillic xmaccyrillic",
        "cp932": "xsjis windows31j",
    }.items()
    for other in others.split()
}

#: Names that mean another code page in each country, and which ones.
_OF_A_COUNTRY = {
    **dict.fromkeys(
        ("ansi", "acp", "mbcs", "windows"),
        "cp1252 (western), cp1250 (central Europe) or cp1251 (Cyrillic)",
    ),
    **dict.fromkeys(
        ("oem", "dos"),
        "cp437 or cp850 (western), cp852 (central Europe) or cp866 (Cyrillic)",
    ),
}


def encoding_name(name: str) -> str:
    """Return Python's name of an encoding; people type many variants of it.

    Raises:
        ConfigError: It is not known, or no text file is written in it.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain in _OF_A_COUNTRY:
        raise ConfigError(
            f"'{name}' means another code page in each country; give the one you mean, such as "
            f"{_OF_A_COUNTRY[plain]}, or leave {named('encoding')} out to have it detected"
        )
    if plain in ("auto", "detect", "automatic"):
        raise ConfigError(f"'{name}' is what happens without {named('encoding')}: leave it out")
    info = _look_up(name, plain)
    if info is None:
        raise ConfigError(f"the encoding '{name}' is not known{_close_names(name)}")
    known = info.name
    # Public in effect: codecs.open and bytes.decode use it to refuse what is not a text encoding.
    if not info._is_text_encoding or known.replace("-", "_") in _NO_TEXT_FILES:
        raise ConfigError(
            f"'{name}' is not an encoding of text files; give one such as utf-8, cp1251 or koi8_r"
        )
    if known == "utf-8-sig":
        return "utf-8"
    return known if known.startswith("utf") or known == CESU8 else known.replace("-", "_")


def _look_up(name: str, plain: str) -> codecs.CodecInfo | None:
    part = re.fullmatch(r"(?:iso)?8859(\d{1,2})", plain)
    pages = re.fullmatch(r"(?:win|windows|cp|ms|ibm|dos|oem|codepage|x|xcp)*(\d{3,4})", plain)
    for candidate in (
        _OTHER_NAMES.get(plain, name),
        f"iso8859_{part[1]}" if part else None,
        f"cp{pages[1]}" if pages else None,
        re.sub(r"\W+", "-", name.strip()),
        _squeezed_names().get(plain),
    ):
        try:
            if candidate:
                return codecs.lookup(candidate)
        except (LookupError, ValueError):
            pass
    return None


@cache
def _squeezed_names() -> dict[str, str]:
    """Python's names and aliases as letters and digits only."""
    return {re.sub(r"[^a-z0-9]", "", known): known for known in {*aliases.values(), *aliases}}


def _close_names(name: str) -> str:
    lower = name.lower().replace("-", "_").replace(" ", "_")
    close = difflib.get_close_matches(lower, sorted({*aliases, *aliases.values()}), n=3, cutoff=0.6)
    if not close:
        return "; give one such as utf-8, cp1251, koi8_r, cp866, mac_cyrillic or utf-16"
    return f"; did you mean {' or '.join(close)}?"


@cache
def is_byte_table(encoding: str) -> bool:
    """Return whether every character is one byte and the first 128 are ASCII."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    chars = []
    for byte in range(256):
        decoder.reset()
        chars.append(decoder.decode(bytes([byte])))  # empty where more bytes are waited for
    ascii_part = "".join(chars[:128]) == bytes(range(128)).decode("ascii")
    return ascii_part and all(len(char) == 1 for char in chars)


#: The two halves of a character beyond U+FFFF, as CESU-8 writes them.
SURROGATE_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
#: The start of such a pair at the end of what has been read so far.
_STARTED_PAIR = re.compile(rb"\xed(?:[\xa0-\xaf](?:[\x80-\xbf](?:\xed[\xb0-\xbf]?)?)?)?\Z")


def _decode_cesu8(data: bytes, errors: str, final: bool) -> tuple[str, int]:
    """The text and the number of bytes used, as `codecs.utf_8_decode` returns them."""
    end = len(data)
    if not final and (started := _STARTED_PAIR.search(data)):
        end = started.start()
    parts = []
    done = 0
    for pair in [*SURROGATE_PAIR.finditer(data, 0, end), None]:
        stop = end if pair is None else pair.start()
        try:
            text, used = codecs.utf_8_decode(data[done:stop], errors, final or pair is not None)
        except UnicodeDecodeError as error:
            raise UnicodeDecodeError(
                CESU8, data, done + error.start, done + error.end, error.reason
            ) from None
        parts.append(text)
        done += used
        if pair is not None:
            halves = pair.group().decode("utf-8", "surrogatepass")
            parts.append(halves.encode("utf-16", "surrogatepass").decode("utf-16"))
            done = pair.end()
    return "".join(parts), done


class _Cesu8Decoder(codecs.BufferedIncrementalDecoder):
    def _buffer_decode(self, input: Buffer, errors: str, final: bool) -> tuple[str, int]:
        return _decode_cesu8(bytes(input), errors, final)


def _encode_cesu8(text: str, errors: str = "strict") -> tuple[bytes, int]:
    units = text.encode("utf-16-be", "surrogatepass")
    halves = "".join(
        chr(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True)
    )
    return halves.encode("utf-8", "surrogatepass"), len(text)


def _find_cesu8(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") not in (CESU8, "cesu8"):
        return None
    return codecs.CodecInfo(
        _encode_cesu8,
        lambda data, errors="strict": _decode_cesu8(bytes(data), errors, True),
        incrementaldecoder=_Cesu8Decoder,
        name=CESU8,
    )


codecs.register(_find_cesu8)
