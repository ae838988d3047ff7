"""Every setting of `textgen sample` is a field of a completion, or is refused with a sentence.

The tests walk the options classes: a setting that is added there is tried here by itself. One whose
other value changes no text needs a better value in `VALUES`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.other_values import BESIDE, other_value
from support.serving import Served, serving

import textgen
from textgen.errors import TextgenError
from textgen.options import FORMS, ItemOptions, SampleOptions
from textgen.serving.completion import NO_FIELDS, read_completion
from textgen.serving.json_fields import in_fields
from textgen.serving.offered_model import OfferedModel
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions
from textgen.serving.served_text import Order, ServedText
from textgen.settings import Option, settings_of

SEED = "Кот"
OPTIONS = [*settings_of(SampleOptions), *settings_of(ItemOptions)]
FIELDS = [item for item in OPTIONS if not (item.is_path or item.name in NO_FIELDS)]
OTHERS = [item for item in OPTIONS if item not in FIELDS]
#: Values that a small model of Russian can keep to.
VALUES: dict[str, Any] = {
    "match": "[а-яА-Я ]{9,12}",
    "match_line": "[а-яА-Я. ]{5,9}",
    "chars": "8..12",
    "line_chars": "4..9",
    "acrostic": "Кот",
    "rhyme": "AA",
    "syllables": "2,1",
    "without": "а",
    "include": ["кот"],
    "stop": ["о", "е"],
    "mirostat": 1.0,
    "mirostat_rate": 1.0,
    "no_repeat": 2,
    "bias": "о=-9",
}
#: What a setting goes with.
WITH: dict[str, dict[str, Any]] = {
    **BESIDE,
    "repetition_window": {"repetition_penalty": 2.0},
    "separator": {"keep_going": True},
    "line_chars": {"lines": 2},
    "rhyme": {"line_chars": "4..12"},
    "items": {"new": False},
    "unique": {"items": 5, "new": False},
    "rank": {"items": 5, "new": False},
}
#: Settings that change no text of these models.
QUIET = {"until_end", "eight_bit", "mix", "new", "unique", "items"}


def named(items: list[Option]) -> list[Any]:
    return [pytest.param(item, id=item.name) for item in items]


def library(model: textgen.Model, asked: dict[str, Any]) -> list[str]:
    """The texts of the library with the seed 3."""
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in asked.items()}
    listed = {name: given.pop(name) for name in ("items", "new", "unique", "rank") if name in given}
    options = ItemOptions(**listed)
    if options.items is not None:
        return model.items(options.items, "К", rng=3, **options.how, **given).texts
    return [model.generate(SEED, rng=3, **given)]


@pytest.mark.parametrize("item", named([item for item in FIELDS if item.name != "label"]))
def test_a_field_does_what_the_setting_does(
    item: Option, served: Served, models: dict[str, textgen.Model]
) -> None:
    value = VALUES.get(item.name, 5 if item.name == "items" else other_value(item))
    beside = WITH.get(item.name, {})
    asked = {**beside, item.name: value}
    is_listed = "items" in asked
    name = "documents" if is_listed or "keep_going" in asked else "lstm"
    with served.client() as client:

        def texts(fields: dict[str, Any]) -> list[str]:
            answer = client.completions.create(
                model=name, prompt="К" if is_listed else SEED, seed=3, echo=True, extra_body=fields
            )
            return [choice.text for choice in answer.choices]

        try:
            expected = library(models[name], asked)
        except TextgenError:
            expected = []
        if not expected:
            answer = served.complete(model=name, seed=3, **asked)
            assert answer.status == 400 and item.name in answer.message
            assert item.name in {"mix", "new"}  # No training text is at hand here.
            return
        assert texts(asked) == expected
        assert item.name in QUIET or texts(beside) != expected


LABELS = ("low", "high:0.7,low:0.3", "low@0..40,high@40..")


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> textgen.Model:
    """A model of two voices that share no letter."""
    folder: Path = tmp_path_factory.mktemp("voices")
    for name, words in (("low", "abc cab bca"), ("high", "XYZ ZYX YXZ")):
        (folder / "texts" / name).mkdir(parents=True)
        lines = [" ".join(words.split()[k % 3 :]) for k in range(200)]
        (folder / "texts" / name / "text.txt").write_text("\n".join(lines), "utf-8")
    small: dict[str, Any] = {"steps": 30, "hidden_size": 16, "batch_size": 8, "seq_len": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        return textgen.train(
            folder / "texts", out=folder / "run", label_from="folder", documents="line", **small
        ).load()


def test_a_label_does_what_the_setting_does(voices: textgen.Model) -> None:
    with serving([voices]) as served:
        found = []
        for label in LABELS:
            for more in ({}, {"steer": ["0:1=+2"]}):
                asked = {"label": label, "keep_going": True, **more}
                answer = served.complete(seed=2, max_tokens=80, **asked).record
                found.append(answer["choices"][0]["text"])
                assert found[-1] == voices.generate(rng=2, length=80, **asked)
        assert len(set(found)) == 6
        crowd = served.complete(label="low", n=6, max_tokens=30).record["choices"]
        assert len(crowd) == 6
        for number in range(10):  # The weights of few mixtures are kept.
            served.complete(label=f"high:0.{number + 1},low:0.5", max_tokens=2)
        assert len(voices._labelled) <= 8
        answer = served.complete(label="nobody")
        assert answer.status == 400 and "nobody" in answer.message
        answer = served.complete(label="low", mix=True)
        assert answer.status == 400 and "mix does not go with label" in answer.message


def texts_under(model: OfferedModel, label: str, tokens: int = 20) -> list[ServedText]:
    """The text of a request for a label; what it needs is in use as long as it is there."""
    body = json.dumps({"label": label, "max_tokens": tokens, "seed": 1, "keep_going": True})
    asked = read_completion(body.encode(), ServeOptions())
    order = Order("somebody", lambda number, what: None, math.inf, streams=False)
    return model.texts(asked, model.fit(asked), order)[0]


def test_few_mixtures_are_in_use_at_a_time(voices: textgen.Model) -> None:
    model = OfferedModel(voices, ServeOptions())
    waiting = [texts_under(model, f"high:0.1{number}") for number in range(8)]
    waiting.append(texts_under(model, "high:0.10,high:0"))
    with pytest.raises(
        Refusal, match="under 8 mixtures of labels, and this server keeps 8"
    ) as told:
        texts_under(model, "high:0.18")
    assert told.value.status == 429 and told.value.headers["Retry-After"]
    del told, waiting[3]
    waiting.append(texts_under(model, "high:0.18"))
    assert len(voices._labelled) <= 8
    networks = {id(text._network) for (text,) in waiting}
    assert len(networks) == 8, "one network for each mixture"


def test_a_schedule_has_few_mixtures_which_are_open_before_it_is_written(
    voices: textgen.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OfferedModel(voices, ServeOptions())
    many = ",".join(f"low:.{number}@{number}..{number + 1}" for number in range(100))
    for label in (many, "low:.1@0..1,low:.2@1..2,low:.3@2..3,low:.4@3..4"):  # And none after it.
        with pytest.raises(Refusal, match="at most 4 different mixtures, in 32 parts"):
            texts_under(model, label)
    turns = ",".join(f"{'low' if k % 2 else 'high'}@{k}..{k + 1}" for k in range(20))
    (text,) = texts_under(model, turns)

    def fail(*_: object) -> None:
        raise AssertionError("weights are made while texts are written")

    monkeypatch.setattr(type(voices.saved), "labelled", fail)
    monkeypatch.setattr("textgen.sampling.networks.NativeStep", fail)
    done = None
    while done is None:
        _, done = text.advance()
    assert len(done.text) == 20


def test_labels_are_asked_for_from_many_threads(voices: textgen.Model) -> None:
    labels = [f"low:0.{10 + number % 12}" for number in range(96)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(voices.labelled, labels))
    assert len({id(model) for model in found}) == 12, "one model for each mixture in use"
    assert len(voices._labelled) <= 8


@pytest.mark.parametrize("item", named(OTHERS))
def test_what_is_no_field_says_what_to_send(item: Option, served: Served) -> None:
    answer = served.complete(**{item.name: other_value(item)})
    assert answer.status == 400 and "must be left out" in answer.message
    assert NO_FIELDS.get(item.name, "names a file") in answer.message


def test_settings_that_are_no_fields_exist() -> None:
    assert set(NO_FIELDS) < {item.name for item in OPTIONS}
    assert {item.name for item in OTHERS if item.is_path} == {"stress", "only_words"}
    assert set(FORMS) - {"only_words"} < {item.name for item in FIELDS}


@pytest.mark.parametrize("item", named(FIELDS))
def test_a_value_of_another_type_is_told(item: Option, served: Served) -> None:
    wrong = [{}, [{}], [[SEED]], "x" * 5000, ["x" * 5000], ["x"] * 500]
    wrong += ["x"] if "str" not in item.annotation else [-5]
    for value in wrong:
        answer = served.complete(**{item.name: value})
        assert answer.status == 400 and answer.message.startswith(f"{item.name} is ")


_OPENED: list[str] = []
_WATCHED: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _WATCHED and event == "open" and str(arguments[0]) in _WATCHED:
        _OPENED.append(str(arguments[0]))


def test_no_field_reads_a_file_of_the_server(served: Served, tmp_path: Path) -> None:
    """A setting that names files needs FILE, DIR or PATH in what help shows of its value."""
    secret = tmp_path / "secret.txt"
    secret.write_text("кот\nкот\n", "utf-8")
    sys.addaudithook(_watch)  # It stays, and does nothing after this test.
    _WATCHED.append(str(secret))
    try:
        secret.read_bytes()
        assert _OPENED.pop() == str(secret)
        for item in FIELDS:
            if "str" in item.annotation:
                served.complete(**{item.name: str(secret)})
        for path in ("eval", "trace"):
            for name in ("show", "by", "target", "neurons", "documents", "mix", "adapt", "text"):
                served.ask(f"/v1/textgen/{path}", {"text": SEED, name: str(secret)})
        assert _OPENED == []
    finally:
        _WATCHED.clear()


def test_a_crowd_of_texts_keeps_to_its_form(served: Served) -> None:
    pattern = "[а-я]{3,5} [а-я]{3,5}"
    answer = served.complete(n=8, match=pattern).record
    texts = [choice["text"] for choice in answer["choices"]]
    assert all(re.fullmatch(pattern, text) for text in texts) and len(set(texts)) > 4
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
    assert all(choice["form_bits"] > 0 for choice in answer["choices"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_form_costs_what_the_library_says(
    stream: bool, served: Served, models: dict[str, textgen.Model]
) -> None:
    asked: dict[str, Any] = {"match": "[а-яА-Я ]{30,40}"}
    (expected,) = models["lstm"].generate_many(1, SEED, rng=2, **asked)
    with served.client() as client:
        found = client.completions.create(
            model="lstm", prompt=SEED, seed=2, stream=stream, extra_body=asked
        )
        chunks: Any = list(found) if stream else [found]
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected.text
    assert chunks[-1].choices[0].form_bits == pytest.approx(expected.form_bits, abs=1e-9)
    assert chunks[-1].choices[0].finish_reason == "stop" and len(chunks) > stream


def test_a_prompt_that_fills_its_form_gets_nothing_more(served: Served) -> None:
    for count in (1, 6):
        answer = served.complete(prompt=SEED, n=count, match=SEED, echo=True).record
        assert {choice["text"] for choice in answer["choices"]} == {SEED}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"match": "("}, '"match": "("'),
        ({"chars": "9..3"}, '"chars": "9..3": 9 is more than 3'),
        ({"lines": 3, "max_tokens": 2}, 'give "max_tokens": 5, or more'),
        ({"rhyme": "ABAB", "match": "а"}, 'keeps to "match": "а" and "rhyme": "ABAB" at once'),
        ({"match": "x", "stop": "а"}, "match does not go with stop"),
        ({"match": "[xyz]"}, "no text"),
        ({"prompt": "Кот", "match": "а+"}, "no text that begins 'К' keeps to the form"),
        ({"unique": True}, '"unique": true goes with "items"'),
        ({"items": 5}, "needs a model of a list"),
        ({"items": 0}, "items is 0"),
        ({"items": 1000}, "at most 128 texts"),
        ({"items": 5, "n": 2}, "items does not go with n"),
        ({"items": 5, "prompt": ["а", "б"]}, "send one prompt"),
        ({"items": 5, "logprobs": 0}, "leave logprobs out"),
        ({"items": 5, "model": "documents"}, 'send "new": false'),
        (
            {"items": 5, "model": "documents", "new": False, "stop": "а"},
            "items does not go with stop",
        ),
        ({"model": "pairs", "prompt": "ab", "match": "a"}, "leave match out"),
    ],
    ids=str,
)
def test_what_does_not_go_together(fields: dict[str, Any], sentence: str, served: Served) -> None:
    answer = served.complete(**fields)
    assert answer.status == 400, answer.body
    assert sentence in answer.message


def test_messages_name_fields() -> None:
    from textgen.messages import call, named, told

    text = told(f"{named('length', 5)}, {named('rng')}, {named('new', False)}", in_fields)
    assert text == '"max_tokens": 5, seed, "new": false'
    assert told(call("train", "a.txt"), in_fields) == "textgen.train('a.txt')"
