"""Evaluation, trace and steering over HTTP are the reports of the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.every_kind import OLD_FILES
from support.serving import Served, serving

import textgen

TEXT = "Кот спит. Дом молчит."


def test_eval(served: Served, models: dict[str, textgen.Model]) -> None:
    found = served.ask("/v1/textgen/eval", {"text": TEXT, "window": 8}).record
    report = models["lstm"].evaluate(text=TEXT, window=8).report(8)
    assert found == {"model": "lstm", **json.loads(json.dumps(report))}
    assert found["cold"]["cold_window"] == 8
    refused = served.ask("/v1/textgen/eval", {"text": ""})
    assert refused.status == 400 and "text is missing" in refused.message


def test_trace(served: Served, models: dict[str, textgen.Model]) -> None:
    found = served.ask("/v1/textgen/trace", {"text": TEXT, "neurons": ["0:1"], "show": "hidden"})
    view = models["lstm"].view(TEXT, neurons=["0:1"], show="hidden")
    assert found.record == {"model": "lstm", "text": TEXT, **view.to_json()}
    refused = served.ask("/v1/textgen/trace", {"text": TEXT, "top": 10**6})
    assert refused.status == 400 and "fewer neurons" in refused.message
    refused = served.ask("/v1/textgen/trace", {"text": "К" * 3000, "show": "influence"})
    assert refused.status == 400 and "2,000 characters" in refused.message


def test_steering(served: Served, models: dict[str, textgen.Model]) -> None:
    found = served.ask("/v1/textgen/steering", {"steer": ["0:1=+2", "0:2=off"]}).record
    assert found["steering"] == models["lstm"].steering("0:1=+2", "0:2=off").to_json()
    assert len(found["described"]) == 2
    assert served.ask("/v1/textgen/steering", {}).status == 400


def test_the_page_is_the_one_that_export_writes(
    served: Served, models: dict[str, textgen.Model], tmp_path: Path
) -> None:
    models["lstm"].export_html(tmp_path / "page.html")
    found = served.ask("/")
    assert found.body == (tmp_path / "page.html").read_bytes()
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    assert served.ask("/?model=byte").body != found.body
    assert served.ask("/?model=none").status == 404


def test_health_and_metrics(served: Served) -> None:
    assert served.ask("/health").record == {"status": "ok"}
    served.complete(prompt="Кот", max_tokens=5)
    answer = served.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    assert all(line.startswith("# ") or len(line.split()) == 2 for line in lines)
    assert served.metric('textgen_first_character_seconds_bucket{le="+Inf"}') >= 1


@pytest.mark.parametrize("most_sent", [10, 10**9])
def test_a_model_that_no_page_can_show_says_why(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch, most_sent: int
) -> None:
    """Where the page computes, and where it asks for the steps."""
    monkeypatch.setattr("textgen.serving.offered_model.MOST_SENT", most_sent)
    vectors = textgen.load(OLD_FILES / "cosine.safetensors")
    with serving([models["lstm"], vectors]) as served:
        answer = served.ask("/?model=cosine")
        assert answer.status == 400
        assert "the output of this model is a vector" in answer.message
        assert served.ask("/").status == 200
