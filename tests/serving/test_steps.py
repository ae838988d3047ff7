"""Steps of a model, told by a server: what `textgen inspect` traces, symbol by symbol."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from support.serving import Served, serving

import textgen
from textgen.inspection.trace import trace
from textgen.model.numpy_network import NumpyNetwork

TEXT = "Рыжий кот молчит."


def steps(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """The lines of an answer."""
    answer = served.ask("/v1/textgen/steps", fields)
    assert answer.status == 200, answer.message
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.decode().splitlines()]


def joined(lines: list[dict[str, Any]], name: str) -> list[Any]:
    return [each for line in lines for each in line.get(name, [])]


def values(lines: list[dict[str, Any]]) -> np.ndarray:
    parts = [base64.b64decode(line["values"]) for line in lines if "values" in line]
    return np.frombuffer(b"".join(parts), "<f4")


def test_the_steps_are_those_of_a_trace(served: Served, models: dict[str, textgen.Model]) -> None:
    model = models["lstm"]
    ids = model.vocabulary.encode(TEXT).tolist()
    expected = trace(
        NumpyNetwork(model.config, model.saved.weights),
        np.array(ids),
        quantities=["forget-gate"],
        top=5,
    )
    # In one request, and in two, of which the second begins where the first ended.
    whole = steps(served, ids=ids, quantity="forget-gate")
    first = steps(served, ids=ids[:5], quantity="forget-gate")
    second = steps(served, ids=ids[5:], quantity="forget-gate", after=first[-1]["after"])
    for lines in (whole, [*first, *second]):
        assert joined(lines, "ids") == ids
        found = values(lines).reshape(len(ids), -1)
        assert np.abs(found - expected["forget-gate"]).max() < 1e-6
        assert joined(lines, "bits") == pytest.approx(expected.nats / np.log(2), abs=1e-5)
        likeliest = [[each for each, _ in place] for place in joined(lines, "next")]
        assert likeliest == expected.next_ids.tolist()
        assert lines[-1]["finish"] == "length"


def test_what_is_written_follows_from_seed_and_place(served: Served) -> None:
    settings = {"max_tokens": 60, "seed": 3, "temperature": 0.8, "top_p": 0.9}
    whole = steps(served, **settings)
    ids = joined(whole, "ids")
    assert ids == joined(steps(served, **settings), "ids")
    assert ids != joined(steps(served, **{**settings, "seed": 4}), "ids")
    # From its middle on the rest is the same.
    before = steps(served, ids=ids[:20])[-1]["after"]
    rest = steps(served, **{**settings, "max_tokens": 40}, after=before, draw=20, previous=ids[19])
    assert joined(rest, "ids") == ids[20:]
    assert 0 not in ids and 1 not in ids


def test_holds_act_inside_the_step(served: Served, models: dict[str, textgen.Model]) -> None:
    ids = models["lstm"].vocabulary.encode(TEXT).tolist()
    hold = {"quantity": "forget-gate", "layer": 0, "unit": None, "value": 0}
    (*_, line) = steps(served, ids=ids, holds=[hold], inside=[0, 2])
    told = line["inside"]
    assert told["values"]["forget-gate"] == 0
    # With nothing kept, the memory is what is taken in.
    taken = told["values"]["input-gate"] * told["values"]["candidate"]
    assert told["values"]["cell"] == pytest.approx(taken, rel=1e-5)
    one = {**hold, "unit": 2, "value": 0.5}
    (*_, line) = steps(served, ids=ids, holds=[one], quantity="forget-gate")
    last = values([line]).reshape(-1, models["lstm"].config.hidden_size)[-1]
    assert last[2] == 0.5 and 0.5 not in last[:2]


def test_a_document_ends_where_the_model_ends_it(served: Served) -> None:
    lines = steps(served, model="documents", max_tokens=5000, temperature=0.7, seed=1)
    assert lines[-1]["finish"] == "end" and 0 not in joined(lines, "ids")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ids": "abc"}, "ids is"),
        ({"ids": [9999]}, "the symbols of lstm are"),
        ({"ids": [True]}, "ids is"),
        ({"after": "AAAAAA=="}, "after is a place in a text of another model"),
        ({"after": "AADAfw=="}, "after is"),  # not a number
        ({"after": "?"}, "after is"),
        ({"quantity": "mood"}, "has no 'mood'"),
        ({"inside": [0, 0]}, "inside is"),
        ({"ids": [3], "inside": [9, 0]}, "there is no neuron 9:0"),
        ({"holds": [{"direction": 9, "amount": 1}]}, "there is no direction 9"),
        ({"holds": [{"quantity": "cell", "layer": 0, "unit": 99, "value": 1}]}, "no neuron 0:99"),
        ({"holds": [{"quantity": "cell", "layer": 0, "unit": 1, "value": 1e30}]}, "holds is"),
        ({"holds": [{"quantity": "cell"}]}, "holds is"),
        ({"holds": {}}, "holds is"),
        ({"label": 1}, "there is no label 1; lstm has 0"),
        ({"label": "A"}, "label is"),
        ({"max_tokens": 10**9}, "max_tokens is"),
        ({"temperature": -1}, "temperature is"),
        ({"stop": "x"}, "unknown"),
    ],
)
def test_what_is_wrong_is_told(served: Served, fields: dict[str, Any], told: str) -> None:
    answer = served.ask("/v1/textgen/steps", fields)
    if answer.status == 200:  # It was seen in the first turn.
        message = json.loads(answer.body)["error"]["message"]
    else:
        assert answer.status == 400
        message = answer.message
    assert told in message


def test_limits_hold_for_steps_too(models: dict[str, textgen.Model]) -> None:
    with serving([models["lstm"]], max_prompt=4, max_seconds=1e-6) as served:
        answer = served.ask("/v1/textgen/steps", {"ids": [3] * 5})
        assert answer.status == 400 and "at most 4" in answer.message
        (line,) = steps(served, ids=[3] * 4)
        assert line["finish"] == "length" and "time" in line["notice"] and line["ids"] == []


def test_a_turn_ends_after_its_time(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.serving.stepped_text.BLOCK_SECONDS", -1.0)
    with serving([models["lstm"]]) as served:
        lines = steps(served, ids=[3] * 5)
    assert [line["ids"] for line in lines] == [[3]] * 5


def test_no_text_is_read_for_steps_without_a_direction(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the training text is read")

    for name in ("_noted", "target"):
        monkeypatch.setattr(textgen.Model, name, fail)
    hold = {"quantity": "cell", "layer": 0, "unit": 1, "value": 1}
    with serving([models["lstm"]]) as served:
        assert joined(steps(served, ids=[3] * 5, holds=[hold]), "ids") == [3] * 5
    monkeypatch.undo()
    monkeypatch.setattr(textgen.Model, "_noted", fail)
    with serving([models["lstm"]]) as served:  # What neurons follow is not asked for, either.
        answer = served.ask("/v1/textgen/steps", {"holds": [{"direction": 99, "amount": 1}]})
        assert "there is no direction 99" in answer.message


def test_numbers_that_are_told_have_a_bound(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = models["lstm"].config
    most = 10 * config.num_layers * config.hidden_size
    monkeypatch.setattr("textgen.serving.offered_model.MOST_NUMBERS", most)
    with serving([models["lstm"]]) as served:
        assert joined(steps(served, ids=[3] * 10, quantity="cell"), "ids") == [3] * 10
        answer = served.ask(
            "/v1/textgen/steps", {"ids": [3] * 6, "max_tokens": 5, "quantity": "cell"}
        )
        assert answer.status == 400 and f"{most:,} are the most" in answer.message
        assert steps(served, ids=[3] * 11)
