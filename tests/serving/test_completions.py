"""Completions as OpenAI's client asks for them: the texts are those of `Model.generate`."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from support.serving import Served

import textgen
from textgen.model.head import log_softmax

#: The texts that the models were trained on are Russian.
SEED = "Кот"


def test_models_are_listed(served: Served, models: dict[str, textgen.Model]) -> None:
    with served.client() as client:
        assert [model.id for model in client.models.list()] == list(models)
        assert client.models.retrieve("byte").owned_by == "textgen"
    assert served.ask("/v1/models/none").status == 404


@pytest.mark.parametrize("name", ["lstm", "byte", "documents", "word", "history"])
def test_a_seed_gives_the_text_of_generate(
    name: str, served: Served, models: dict[str, textgen.Model]
) -> None:
    with served.client() as client:
        for settings in ({}, {"temperature": 1.3, "top_p": 0.9}, {"temperature": 0}):
            asked = client.completions.create(
                model=name, prompt=SEED, seed=7, echo=True, **settings
            )
            assert asked.choices[0].text == models[name].generate(SEED, rng=7, **settings)


def test_pairs_get_their_targets(served: Served, models: dict[str, textgen.Model]) -> None:
    source = next(iter(models["pairs"].vocabulary.symbols[-3]))
    with served.client() as client:
        asked = client.completions.create(model="pairs", prompt=source, seed=3)
    assert asked.choices[0].text == models["pairs"].generate(source, rng=3)
    refused = served.complete(model="pairs", prompt="")
    assert refused.status == 400 and "source" in refused.message


def test_prompts_and_n_are_numbered_as_samples_are(
    served: Served, models: dict[str, textgen.Model]
) -> None:
    with served.client() as client:
        asked = client.completions.create(
            model="lstm", prompt=[SEED, "Дом"], n=3, seed=5, max_tokens=40
        )
    expected = models["lstm"].generate_many([SEED] * 3 + ["Дом"] * 3, rng=5, length=40, exact=True)
    assert [choice.text for choice in asked.choices] == [text.text for text in expected]
    assert [choice.index for choice in asked.choices] == list(range(6))
    assert asked.usage is not None
    assert (asked.usage.prompt_tokens, asked.usage.completion_tokens) == (6, 240)


def test_the_same_text_whoever_else_asks(served: Served, models: dict[str, textgen.Model]) -> None:
    expected = list(models["lstm"].stream(SEED, rng=11, length=500))
    others: list[int] = []

    def crowd() -> None:
        asked = served.complete(prompt=[SEED, "Дом", ""], n=8, max_tokens=900)
        others.append(asked.status)

    threads = [threading.Thread(target=crowd) for _ in range(3)]
    for thread in threads:
        thread.start()
    asked = {"prompt": SEED, "seed": 11, "n": 6, "max_tokens": 500, "logprobs": 0}
    found = served.complete(**asked).record["choices"][0]
    for thread in threads:
        thread.join()
    assert others == [200] * 3
    assert found["text"] == "".join(symbol.text for symbol in expected)
    # To the last bit: sums over many rows round differently, which a small model's text hides.
    assert found["logprobs"]["token_logprobs"] == [symbol.logprob for symbol in expected]
    assert served.metric('textgen_tokens_total{way="together"}') > 0


def test_without_a_seed_each_text_is_another(served: Served) -> None:
    texts = [
        choice["text"]
        for _ in range(2)
        for choice in served.complete(prompt=SEED, n=6, max_tokens=60).record["choices"]
    ]
    assert len(set(texts)) == 12 and {len(text) for text in texts} == {60}


@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.parametrize("name", ["lstm", "byte", "word"])
def test_pieces_of_a_stream_join_to_the_text(name: str, seed: int | None, served: Served) -> None:
    with served.client() as client:
        stream = client.completions.create(
            model=name,
            prompt=SEED,
            n=5,
            seed=seed,
            max_tokens=300,
            stream=True,
            stream_options={"include_usage": True},
        )
        *chunks, last = list(stream)
    parts = [chunk.choices[0] for chunk in chunks]
    texts = ["".join(part.text for part in parts if part.index == k) for k in range(5)]
    reasons = [part.finish_reason for part in parts if part.finish_reason]
    assert reasons == ["length"] * 5
    assert last.usage is not None and last.usage.completion_tokens == 1500
    if seed is not None:
        whole = served.complete(model=name, prompt=SEED, n=5, seed=seed, max_tokens=300).record
        assert texts == [choice["text"] for choice in whole["choices"]]
    assert len(chunks) > 10


@pytest.mark.parametrize("seed", [1, None])
def test_a_stop_text_is_found_across_pieces(seed: int | None, served: Served) -> None:
    free = served.complete(prompt=SEED, seed=1, max_tokens=400).record["choices"][0]["text"]
    stop = free[30:34]
    with served.client() as client:
        stream = client.completions.create(
            model="lstm",
            prompt=SEED,
            n=1 if seed else 6,
            seed=seed,
            stop=[stop, "\0"],
            max_tokens=4000,
            stream=True,
        )
        chunks = list(stream)
    texts: dict[int, str] = {}
    for chunk in chunks:
        choice = chunk.choices[0]
        texts[choice.index] = texts.get(choice.index, "") + choice.text
        assert "notices" not in chunk.to_dict() or "\\0" in str(chunk) or "U+0000" in str(chunk)
    assert all(stop not in text for text in texts.values())
    if seed:
        assert texts == {0: free[: free.index(stop)]}
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_log_probabilities_are_those_of_the_model(
    served: Served, models: dict[str, textgen.Model]
) -> None:
    model = models["lstm"]
    with served.client() as client:
        asked = client.completions.create(
            model="lstm", prompt=SEED, seed=2, max_tokens=30, logprobs=3, echo=True
        )
    (choice,) = asked.choices
    told: Any = choice.logprobs
    ids = model.encode(choice.text)
    nats = model.trace(choice.text).nats
    assert told.tokens == list(choice.text)
    assert told.token_logprobs[0] is None
    np.testing.assert_allclose(told.token_logprobs[1:], -nats[1:], rtol=0, atol=1e-4)
    assert told.text_offset == list(range(33))
    # The alternatives, read token by token.
    state = model.networks.one.zero_state(1)
    logits, state = model.networks.one.step(0, state)
    for place, token in enumerate(ids.tolist()):
        expected = log_softmax(logits[0])
        best = [model.vocabulary.symbols[k] for k in np.argsort(-expected)[:3]]
        if place:
            assert list(told.top_logprobs[place])[:3] == best
        logits, state = model.networks.one.step(token, state)


def test_a_prompt_is_scored_without_writing(served: Served) -> None:
    asked = served.complete(prompt=SEED, echo=True, max_tokens=0, logprobs=0).record
    (choice,) = asked["choices"]
    assert choice["text"] == SEED and len(choice["logprobs"]["tokens"]) == 3
    assert choice["logprobs"]["top_logprobs"] is None
    assert asked["usage"]["completion_tokens"] == 0


def test_bytes_are_told_as_openai_does(served: Served) -> None:
    asked = served.complete(model="byte", prompt="К", echo=True, max_tokens=0, logprobs=0).record
    told = asked["choices"][0]["logprobs"]
    assert told["tokens"] == ["bytes:\\xd0", "bytes:\\x9a"] and told["text_offset"] == [0, 0]


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 3},
        {"min_p": 0.2},
        {"repetition_penalty": 1.5, "repetition_window": 8},
        {"steer": "0:1=+3"},
        {"steer": ["0:1=+3@s2..", "0:2=off@10..50"]},
    ],
    ids=str,
)
def test_settings_of_textgen(
    settings: dict[str, Any], served: Served, models: dict[str, textgen.Model]
) -> None:
    expected = models["lstm"].generate(SEED, rng=4, length=300, **settings)
    with served.client() as client:
        asked = client.completions.create(
            model="lstm", prompt=SEED, seed=4, max_tokens=300, echo=True, extra_body=settings
        )
    assert asked.choices[0].text == expected
    assert expected != models["lstm"].generate(SEED, rng=4, length=300)


@pytest.mark.parametrize("settings", [{"repetition_penalty": 2.0}, {"stop": ["."]}, {}], ids=str)
def test_a_crowd_without_seeds_keeps_the_settings(
    settings: dict[str, Any], served: Served, models: dict[str, textgen.Model]
) -> None:
    """Texts change between being written alone and together as others come and go."""
    found: list[dict[str, Any]] = []

    def ask(length: int) -> None:
        asked = served.complete(prompt=SEED, n=2, max_tokens=length, logprobs=0, **settings)
        found.extend(asked.record["choices"])

    threads = [threading.Thread(target=ask, args=(500 + 300 * k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    for choice in found:
        told = choice["logprobs"]
        assert "".join(told["tokens"]) == choice["text"]
        nats = models["lstm"].trace(SEED + choice["text"]).nats[3:]
        np.testing.assert_allclose(told["token_logprobs"], -nats, rtol=0, atol=2e-3)


def test_what_of_a_prompt_cannot_be_read_is_told(served: Served) -> None:
    asked = served.complete(prompt="Кот ☃", max_tokens=5, seed=1).record
    assert "☃" in asked["notices"][0] and "dropped" in asked["notices"][0]


def test_null_is_what_is_not_given(served: Served) -> None:
    names = ("temperature", "top_p", "n", "stop", "logprobs", "echo", "stream", "best_of", "user")
    plain = served.complete(prompt=SEED, seed=1, max_tokens=20).record
    nulls = served.complete(prompt=SEED, seed=1, max_tokens=20, **dict.fromkeys(names)).record
    assert nulls["choices"] == plain["choices"]
