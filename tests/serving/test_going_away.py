"""Clients that go away, and servers that end while they write."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest
from support.serving import Served, serving
from test_access import wait_for

import textgen
from textgen.progress import listening, track
from textgen.serving.patience import Patience
from textgen.serving.refusal import ClientGone, Refusal
from textgen.serving.reports import REPORTS

LONG = 2**24


def open_request(served: Served, path: str = "/v1/completions", **fields: Any) -> socket.socket:
    """Send a request and read nothing."""
    host, port = served.host.split(":")
    body = json.dumps({"max_tokens": LONG, **fields}).encode()
    made = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: {served.host}\r\nContent-Length: {len(body)}"
    made.sendall(f"{head}\r\n\r\n".encode() + body)
    return made


def test_nobody_writes_for_a_client_that_has_gone(models: dict[str, textgen.Model]) -> None:
    with serving([models["lstm"]], max_tokens=LONG) as served:
        for stream in (False, True):
            for count in (1, 6):
                gone = served.metric("textgen_cancelled_texts_total")
                connection = open_request(served, stream=stream, n=count)
                wait_for(lambda count=count: served.metric("textgen_texts") == count)
                if stream:
                    assert b"200 OK" in connection.recv(100)
                connection.close()
                wait_for(lambda: served.metric("textgen_texts") == 0)
                assert served.metric("textgen_cancelled_texts_total") == gone + count
        connection = open_request(
            served, "/v1/textgen/steps", quantity="cell", max_tokens=LONG // 64
        )
        assert b"200 OK" in connection.recv(100)
        connection.close()
        wait_for(lambda: served.metric("textgen_cancelled_texts_total") == gone + count + 1)
        assert served.complete(max_tokens=5).status == 200
        requests = served.ask("/metrics").body.decode()
        assert 'status="500"' not in requests


def test_texts_on_their_way_have_a_time_of_grace(models: dict[str, textgen.Model]) -> None:
    found: list[Any] = []
    with serving([models["lstm"]], max_tokens=LONG, grace=1.0) as served:
        asked = {"prompt": "Кот", "max_tokens": LONG, "n": 5}
        threads = [
            threading.Thread(target=lambda: found.append(served.complete(**asked))),
            threading.Thread(target=lambda: found.append(served.complete(**asked, stream=True))),
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: served.metric("textgen_texts") == 10)
        began = time.monotonic()
    for thread in threads:
        thread.join()
    assert 0.9 < time.monotonic() - began < 10
    assert any("10 texts may go on for 1 s" in line for line in served.lines)
    plain, streamed = sorted(found, key=lambda answer: b"data: " in answer.body[:10])
    assert {choice["finish_reason"] for choice in plain.record["choices"]} == {"length"}
    assert plain.record["notices"] == ["a text was cut off: the server is ending"]
    assert streamed.body.endswith(b"data: [DONE]\n\n")


class _Slow:
    """A report that takes an hour, part by part."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> dict[str, Any]:
        self.begun.set()
        try:
            for _part in track(range(360_000), "waiting", 360_000):
                time.sleep(0.01)
        finally:
            self.ended.set()
        return {}


def test_a_report_ends_when_its_client_goes_away(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, waiting = _Slow(), _Slow()
    monkeypatch.setitem(REPORTS, "slow", slow)
    monkeypatch.setitem(REPORTS, "waiting", waiting)
    with serving([models["lstm"]]) as served:
        first = open_request(served, "/v1/textgen/slow")
        assert slow.begun.wait(20)
        open_request(served, "/v1/textgen/waiting").close()  # It is never begun.
        first.close()
        assert slow.ended.wait(20)
        assert served.ask("/v1/textgen/eval", {"text": "Кот спит."}).status == 200
        assert not waiting.begun.is_set()


def test_a_report_ends_with_the_server(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _Slow()
    monkeypatch.setitem(REPORTS, "slow", slow)
    with serving([models["lstm"]]) as served:
        connection = open_request(served, "/v1/textgen/slow")
        assert slow.begun.wait(20)
    assert slow.ended.wait(20)
    connection.close()


def test_a_report_has_its_time(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REPORTS, "slow", _Slow())
    with serving([models["lstm"]], max_seconds=0.5) as served:
        answer = served.ask("/v1/textgen/slow", {})
        assert answer.status == 400 and "not done within 0.5 s" in answer.message


@pytest.mark.parametrize("what", ["eval", "history", "influence", "items", "match", "trace"])
def test_what_takes_long_can_be_ended(what: str, models: dict[str, textgen.Model]) -> None:
    """It counts its parts, so that whoever listens can end it."""
    text = "Кот спит. Дом молчит. " * 40
    model = models["lstm"]
    work: dict[str, Any] = {
        "eval": lambda: model.evaluate(text=text),
        "history": lambda: model.evaluate(text=text, history=5),
        "influence": lambda: model.view(text, show="influence"),
        "items": lambda: models["documents"].items(5, new=False),
        "match": lambda: model.generate(match="(а|б){2,9}"),
        "trace": lambda: model.view(text, neurons=["0:1"]),
    }
    patience = Patience(60)
    patience.leave()
    with listening(patience), pytest.raises(ClientGone):
        work[what]()
    late = Patience(-1)
    with pytest.raises(Refusal, match="ask for less"):
        late.begin()
    with listening(late), pytest.raises(Refusal, match="ask for less"):
        work[what]()


def test_a_form_that_takes_too_long_is_refused(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for it; meanwhile texts without a form are written."""
    monkeypatch.setattr("textgen.serving.web_app.FORM_SECONDS", 1.0)
    with serving([models["lstm"]]) as served:
        found: list[Any] = []
        asked = {"match": "(а|б)*а(а|б){24}"}
        thread = threading.Thread(target=lambda: found.append(served.complete(**asked)))
        thread.start()
        assert served.complete(max_tokens=5).status == 200
        thread.join()
        assert found[0].status == 400 and "not done within 1 s" in found[0].message
        monkeypatch.undo()
        assert served.complete(match="[а-я]{3}", seed=1).status == 200
