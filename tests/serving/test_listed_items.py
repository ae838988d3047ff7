"""Items of a list over HTTP are those of `textgen sample --items`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Served, serving
from support.small_runs import names

import textgen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("list")


@pytest.fixture(scope="module")
def model(folder: Path) -> textgen.Model:
    """A model of a list whose training text is in the cache."""
    (folder / "names.txt").write_text("\n".join(names()) + "\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
        small = {"steps": 60, "hidden_size": 24, "batch_size": 8}
        run = textgen.train(folder / "names.txt", out=folder / "run", documents="line", **small)
        return run.load()


@pytest.fixture(autouse=True)
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(folder / "cache"))


@pytest.fixture
def listing(model: textgen.Model) -> Iterator[Served]:
    with serving([model]) as served:
        yield served


def test_items_are_those_of_the_library(listing: Served, model: textgen.Model) -> None:
    mix = bool(model.choose_mix().value)
    found = model.items(10, rng=4, rank=True, chars="3..9", mix=mix)
    with listing.client() as client:
        answer = client.completions.create(
            model=model.name,
            prompt="",
            seed=4,
            extra_body={"items": 10, "rank": True, "chars": "3..9"},
        )
    record = answer.to_dict()
    choices = record["choices"]
    assert [choice["text"] for choice in choices] == found.texts
    assert [choice["bits_per_char"] for choice in choices] == [i.bits_per_char for i in found]
    assert {choice["finish_reason"] for choice in choices} == {"stop"}
    assert record["items"] == found.to_json()
    assert not set(found.texts) & set(names())
    tokens = sum(len(item.generation.ids) for item in found)
    assert record["usage"]["completion_tokens"] == tokens


def test_items_of_a_stream_are_chunks(listing: Served) -> None:
    asked = {"items": 6, "seed": 1, "prompt": "B", "new": False, "echo": True}
    whole = listing.complete(**asked).record
    with listing.client() as client:
        stream = client.completions.create(
            model=whole["model"], prompt="B", seed=1, echo=True, stream=True,
            stream_options={"include_usage": True}, extra_body={"items": 6, "new": False},
        )  # fmt: skip
        *chunks, last = [chunk.to_dict() for chunk in stream]
    assert [chunk["choices"][0]["text"] for chunk in chunks] == [
        c["text"] for c in whole["choices"]
    ]
    assert chunks[-1]["items"] == whole["items"] and last["usage"] == whole["usage"]
    assert all(choice["text"].startswith("B") for choice in whole["choices"])


def test_without_a_seed_other_items_come(listing: Served) -> None:
    found = [
        tuple(choice["text"] for choice in listing.complete(items=5).record["choices"])
        for _ in range(2)
    ]
    assert found[0] != found[1]


def test_fewer_are_explained_in_the_words_of_a_request(listing: Served) -> None:
    answer = listing.complete(items=50, match="B[ae]", new=False).record
    assert 0 < len(answer["choices"]) <= 2 and "2 items, not 50" in answer["items"]["why_fewer"]
    assert "keeps to match" in answer["items"]["why_fewer"]


def test_an_item_has_at_most_max_tokens_characters(listing: Served) -> None:
    answer = listing.complete(items=8, max_tokens=4, new=False).record
    assert all(1 <= len(choice["text"]) <= 4 for choice in answer["choices"])
