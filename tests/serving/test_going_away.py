"""Clients that go away, and servers that end while they write."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

from support.serving import Served, serving
from test_access import wait_for

import textgen

LONG = 2**24


def open_request(served: Served, path: str = "/v1/completions", **fields: Any) -> socket.socket:
    """Send a request for many symbols and read nothing."""
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
        connection = open_request(served, "/v1/textgen/steps", quantity="cell")
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
