"""What is wrong with a request is told in a sentence with 400; nothing makes the server fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving import Served

from textgen.options import ItemOptions, SampleOptions
from textgen.serving.completion import read_completion
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions
from textgen.settings import settings_of

#: Fields that are wrong, and what the sentence says.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": 5}, "prompt is 5; it must be a string or a list of strings"),
    ({"prompt": []}, "at least one string"),
    ({"prompt": ["a", 5]}, "the numbers of tokens are another model's"),
    ({"prompt": {"a": 1}}, "a string or a list"),
    ({"model": "gpt-4"}, "there are: lstm, byte"),
    ({"model": 5}, "model is 5; it must be a string"),
    ({"max_tokens": -1}, "max_tokens is -1; it must be in 0..100000 (a limit of this server)"),
    ({"max_tokens": 10**6}, "max_tokens is 1000000"),
    ({"max_tokens": 2.5}, "max_tokens is 2.5; it must be a whole number"),
    ({"max_tokens": "10"}, 'max_tokens is "10"; it must be a number'),
    ({"max_tokens": True}, "max_tokens is true; it must be a number"),
    ({"temperature": -1}, "temperature is -1"),
    ({"temperature": 1e300}, "temperature is"),
    ({"top_p": 0}, "top_p is 0"),
    ({"top_p": 1.5}, "top_p is 1.5"),
    ({"top_k": -1}, "top_k is -1"),
    ({"min_p": 2}, "min_p is 2"),
    ({"repetition_penalty": 0}, "repetition_penalty is 0"),
    ({"n": 0}, "n is 0; it must be in 1..128"),
    ({"n": 1000}, "at most 128 texts a request"),
    ({"prompt": ["a"] * 129}, "129 prompts are too many"),
    ({"prompt": ["a"] * 100, "n": 2}, "n is 2"),
    ({"best_of": 3}, "best_of is 3 and n is 1"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**64}, "seed is"),
    ({"stop": ""}, "stop"),
    ({"stop": ["a"] * 17}, "a list of at most 16"),
    ({"stop": "a" * 300}, "of 256 characters at most"),
    ({"stop": 5}, "a string or a list of strings"),
    ({"logprobs": 6}, "logprobs is 6; it must be in 0..5"),
    ({"logprobs": True}, "logprobs is true"),
    ({"logprobs": 5, "n": 100, "max_tokens": 2000}, "logprobs of 200,000 tokens"),
    ({"logprobs": 5, "n": 100, "chars": "4000"}, "logprobs of 400,000 tokens"),
    ({"logprobs": 5, "n": 100, "max_tokens": 0, "echo": True, "prompt": "a" * 2000}, "200,000"),
    ({"steer": ["0:1=+2"] * 300}, "at most 256 texts"),
    ({"echo": "yes"}, 'echo is "yes"; it must be true or false'),
    ({"stream": 1}, "stream is 1"),
    ({"stream_options": []}, "include_usage"),
    ({"suffix": "end"}, "textgen does not have it"),
    ({"presence_penalty": 1}, "repetition_penalty is what textgen has"),
    ({"logit_bias": {"5": 1}}, "textgen does not have it"),
    ({"max_token": 5}, "did you mean max_tokens?"),
    ({"keep_on": True}, "is unknown"),
    ({"steer": "0:1"}, "0:1"),
    ({"steer": "9:1=+2"}, "9"),
    ({"steer": 5}, "steer is 5"),
    ({"mix": True}, "training text"),
    ({"prompt": "a" * 100_001}, "100,001 characters"),
]


@pytest.mark.parametrize(("fields", "sentence"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_field(fields: dict[str, Any], sentence: str, served: Served) -> None:
    answer = served.complete(**fields)
    assert answer.status == (404 if "gpt-4" in str(fields) else 400), answer.body
    assert sentence in answer.message
    assert answer.record["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"a"', b"null", b"\xff", b'{"prompt": NaN}', b"5", b"true"),
        *(b"[" * 100_000, b'{"n": ' + b"9" * 10_000 + b"}", b'{"temperature": 1e999}'),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_object(body: bytes, served: Served) -> None:
    answer = served.ask("/v1/completions", body)
    assert answer.status == 400 and len(answer.message) > 20


def test_an_address_that_is_none(served: Served) -> None:
    answer = served.ask("/v1/chat/completions", {})
    assert answer.status == 404 and "POST /v1/completions" in answer.message
    answer = served.ask("/v1/completions")
    assert answer.status == 405 and "send POST" in answer.message


def test_the_official_client_raises_its_own_error(served: Served) -> None:
    import openai

    with served.client() as client:
        with pytest.raises(openai.BadRequestError, match="top_p is 2") as caught:
            client.completions.create(model="lstm", prompt="a", top_p=2)
        assert caught.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError, match="there are: lstm"):
            client.completions.create(model="none", prompt="a")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("model", "prompt", "max_tokens", "n", "seed", "stream", "logprobs", "echo", "steer"),
    *("best_of", "suffix", "stream_options", "logit_bias", "user"),
    *(item.name for cls in (SampleOptions, ItemOptions) for item in settings_of(cls)),
)
LIKELY = st.sampled_from(
    [0, 1, 2, 5, -1, 0.5, 1e-300, 1e300, 2**63, "", "a", "lstm", "\ud800", "\0", ["a", "б"], {}]
)
REQUESTS = st.dictionaries(st.sampled_from(FIELDS), LIKELY | ANYTHING, max_size=5)


@given(REQUESTS)
@settings(max_examples=100, deadline=None)
def test_any_fields_are_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        read_completion(json.dumps(fields).encode(), ServeOptions())
    except Refusal as refusal:
        assert refusal.status == 400 and len(refusal.message) > 20


@given(REQUESTS)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_request_makes_the_server_fail(served: Served, fields: dict[str, Any]) -> None:
    answer = served.complete(**{"max_tokens": 5, **fields})
    assert answer.status in (200, 400, 404), answer.body
    if answer.status != 200:
        assert len(answer.message) > 20


REPORT_FIELDS = (
    *("text", "model", "show", "neurons", "top", "by", "window", "streams", "history", "limit"),
    *("documents", "mix", "steer"),
)


@given(
    st.sampled_from(["eval", "trace", "steering"]),
    st.dictionaries(st.sampled_from(REPORT_FIELDS), LIKELY | ANYTHING, max_size=4),
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_report_makes_the_server_fail(served: Served, name: str, fields: dict[str, Any]) -> None:
    answer = served.ask(f"/v1/textgen/{name}", {"text": "Кот", **fields})
    assert answer.status in (200, 400, 404), answer.body
