"""Plain data are what their type says, or one error names the key that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from textgen.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError, named
from textgen.plain_data import Count, Figure, Share, fields_from_plain, from_plain
from textgen.settings import Setting


@dataclass(frozen=True)
class Inner:
    width: Annotated[int, Setting(at_least=1, at_most=8)]
    share: Share = 0.5

    def __post_init__(self) -> None:
        if self.width == 7:
            raise ConfigError(f"{named('width')} is 7, which brings no luck")


@dataclass(frozen=True)
class Own:
    value: str

    @classmethod
    def from_dict(cls, data: Any) -> Own:
        if data.get("newer"):
            raise CheckpointFormatError("needs a newer version")
        return fields_from_plain(cls, {"value": data["text"]})


class Record(TypedDict):
    count: Count
    inner: NotRequired[Annotated[dict[str, Any], Inner]]
    way: NotRequired[Literal["whole", "ends"]]
    pair: NotRequired[tuple[str, int | None]]
    either: NotRequired[tuple[int, int] | tuple[int, int, str]]


class Loose(TypedDict, total=False):
    figure: Figure | None


@dataclass(frozen=True, kw_only=True)
class Whole:
    inner: Inner
    record: Record
    own: Own
    loose: Loose = field(default_factory=Loose)
    numbers: tuple[float, ...] = ()
    names: dict[str, str] = field(default_factory=dict)


SOUND: dict[str, Any] = {
    "inner": {"width": 3},
    "record": {"count": 2, "newer key": [1], "pair": ["a", None], "either": [1, 2, "c"]},
    "own": {"text": "a text"},
    "loose": {"figure": float("inf")},
    "numbers": [1, 2.5],
    "names": {"a": "b"},
}


def test_sound_data_are_read() -> None:
    whole = from_plain(Whole, SOUND)
    assert whole.inner == Inner(3) and whole.own == Own("a text")
    assert whole.record is SOUND["record"], "a TypedDict's data stay as they are"
    assert whole.numbers == (1, 2.5) and type(whole.numbers[0]) is int
    assert from_plain(Whole, {**SOUND, "loose": {}}).loose == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("inner", None, "inner is None; it must be an object of names and values"),
        ("inner", {}, "inner.width is missing"),
        ("inner", {"width": 0}, "inner.width is 0; it must be at least 1 and at most 8"),
        ("inner", {"width": 2**32}, "inner.width is 4294967296; it must be at least 1"),
        ("inner", {"width": 10**5000}, "inner.width is a number too long to be shown; it must be"),
        ("inner", {"width": True}, "inner.width is True; it must be a whole number"),
        ("inner", {"width": 3.0}, "inner.width is 3.0; it must be a whole number"),
        ("inner", {"width": 3, "depth": 1}, "inner.depth is not known to this version"),
        ("inner", {"width": 3, "share": 1}, "inner.share is 1; it must be at least 0 and below 1"),
        ("inner", {"width": 3, "share": float("nan")}, "inner.share is nan; it must be a finite"),
        ("inner", {"width": 7}, "inner: width is 7, which brings no luck"),
        ("record", {}, "record.count is missing"),
        ("record", {"count": -1}, "record.count is -1; it must be at least 0"),
        ("record", {"count": 1, "inner": {"width": 9}}, "record.inner.width is 9"),
        ("record", {"count": 1, "way": "back"}, "record.way is 'back'; it must be one of whole"),
        ("record", {"count": 1, "way": []}, "record.way is []; it must be one of whole"),
        ("record", {"count": 1, "pair": ["a"]}, "record.pair is ['a']; it must be a list of 2"),
        ("record", {"count": 1, "pair": ["a", "b"]}, "record.pair.1 is 'b'; it must be a whole"),
        ("record", {"count": 1, "either": [1]}, "record.either is [1]; it must be"),
        ("own", {"text": 3}, "own.value is 3; it must be a text"),
        ("own", {}, "own: 'text'"),
        ("loose", {"figure": "2"}, "loose.figure is '2'; it must be a finite number"),
        ("numbers", [1, None], "numbers.1 is None; it must be a finite number"),
        ("numbers", [float("inf")], "numbers.0 is inf; it must be a finite number"),
        ("numbers", [10**400], "numbers.0 is 1000"),
        ("numbers", {"0": 1}, "numbers is {'0': 1}; it must be a list"),
        ("names", {"a\x1d": 1}, "names.'a\\x1d' is 1; it must be a text"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(CheckpointCorruptError) as caught:
        from_plain(Whole, {**SOUND, key: value}, "")
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 400
    with pytest.raises(CheckpointCorruptError) as caught:
        from_plain(Whole, {**SOUND, key: value}, "file.header")
    assert str(caught.value).startswith(f"file.header.{message}")


def test_what_a_newer_version_wrote_is_told_as_such() -> None:
    with pytest.raises(CheckpointFormatError, match=r"^needs a newer version$"):
        from_plain(Whole, {**SOUND, "own": {"newer": 1}})
