"""One message, in the words of Python and of the prompt."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from textgen.cli.parameters import at_prompt
from textgen.errors import ConfigError
from textgen.messages import Message, call, marks_of, named, told


@pytest.mark.parametrize(
    ("part", "python", "prompt"),
    [
        (named("top_p"), "top_p", "--top-p"),
        (named("hidden_size", 256), "hidden_size=256", "--hidden 256"),
        (named("encoding", "cp1251"), "encoding='cp1251'", "--encoding cp1251"),
        (named("encoding", "NAME"), "encoding=NAME", "--encoding NAME"),
        (named("val", "FILE.tsv"), "val=FILE.tsv", "--val FILE.tsv"),
        (named("documents", "start:[A B]"), "documents='start:[A B]'", "--documents 'start:[A B]'"),
        (named("freeze_embedding", False), "freeze_embedding=False", "--train-embedding"),
        (
            call("train", "my text.txt", resume=True, budget="2m"),
            "textgen.train('my text.txt', resume=True, budget='2m')",
            "textgen train 'my text.txt' --resume --budget 2m",
        ),
        (
            call("inspect find", labels="FILE", save="NAME"),
            "textgen inspect find",
            "textgen inspect find --labels FILE --save NAME",
        ),
    ],
)
def test_a_part_in_both_words(part: str, python: str, prompt: str) -> None:
    error = ConfigError(f"do this: {part}, then go on")
    message = Message(f"do this: {part}, then go on")
    assert str(error) == str(message) == f"do this: {python}, then go on"
    assert repr(error) == f"ConfigError({str(error)!r})"
    assert error.told(at_prompt) == f"do this: {prompt}, then go on"
    assert told(message.marked, at_prompt) == f"do this: {prompt}, then go on"


def test_a_message_is_a_plain_string_that_keeps_its_marks() -> None:
    message = Message(f"see {named('clip_norm')}")
    for other in (copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert other == "see clip_norm"
        assert told(marks_of(other), at_prompt) == "see --clip"
    assert json.dumps(message) == '"see clip_norm"'
    assert marks_of("no marks") == "no marks"
