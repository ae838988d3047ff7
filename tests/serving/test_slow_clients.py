"""Clients that send half a request, or read nothing: they take nobody's place for long."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.every_kind import OLD_FILES
from support.serving import Served, serving
from support.small_runs import environment
from test_access import wait_for

import textgen
from textgen.serving import connection, web_app


@contextmanager
def connected(served: Served, sent: bytes = b"") -> Iterator[socket.socket]:
    host, port = served.host.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as made:
        made.sendall(sent)
        yield made


def test_a_head_that_does_not_come_is_not_waited_for(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    with serving([models["lstm"]]) as served:
        whole = f"GET /health HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode()
        for sent in (b"", whole[:20], whole + b"GET /health"):
            with connected(served, sent) as made:
                answer = bytearray()
                try:
                    while part := made.recv(4096):
                        answer += part
                except ConnectionError:
                    pass
                assert (b"200 OK" in answer) == (len(sent) > len(whole))
        # A head that comes bit by bit, and in time.
        with connected(served) as made:
            for place in range(0, len(whole), 20):
                made.sendall(whole[place : place + 20])
                time.sleep(0.01)
            assert made.recv(20).startswith(b"HTTP/1.1 200 OK")


def test_more_idle_connections_than_there_is_room_for(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    limits = {"max_waiting": 2, "max_texts": 2}
    with serving([models["lstm"]], **limits) as served:
        host, port = served.host.split(":")
        idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(80)]
        wait_for(lambda: served.ask("/health").status == 200)
        for made in idle:
            made.close()


def test_a_body_that_does_not_come(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "BODY_SECONDS", 0.3)
    with serving([models["lstm"]]) as served:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {served.host}\r\nContent-Length: 99\r\n\r\n"
        with connected(served, head.encode() + b'{"prom') as made:
            assert b" 408 " in made.recv(4096)


@pytest.mark.slow
def test_nobody_writes_for_a_client_that_reads_nothing(
    models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 0.5)
    with serving([models["lstm"]], max_tokens=2**24) as served:
        body = json.dumps({"max_tokens": 2**24, "n": 2, "stream": True}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {served.host}\r\n"
        sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        with connected(served, sent):
            wait_for(lambda: served.metric("textgen_texts") == 2)
            wait_for(lambda: served.metric("textgen_texts") == 0, 60)
        assert served.metric("textgen_cancelled_texts_total") == 2


LIMITED = """
import resource, sys
import textgen.cli
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
sys.argv = ["textgen", *sys.argv[3:]]
textgen.cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("hard", [4096, 64])
def test_more_connections_than_files_may_be_open(hard: int) -> None:
    """The limit is raised where it may be; else those who come wait, and one line says so."""
    model = OLD_FILES / "lstm.safetensors"
    words = [sys.executable, "-c", LIMITED, "64", str(hard), "serve", "--port", "0", "-c", model]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    served = Served(process.stdout.readline().strip())
    host, port = served.host.split(":")
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(90)]
    if hard == 64:
        time.sleep(1.5)
        for made in idle:
            made.close()
    assert served.ask("/health").status == 200
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert told.count("more connections than can be opened") == (hard == 64)
    assert "Traceback" not in told
    for made in idle:
        made.close()
