"""Who may call, how much a server takes on, and whose turn it is."""

from __future__ import annotations

import base64
import socket
import threading
import time
from typing import Any

import pytest
from support.serving import Served, serving

import textgen
from textgen.errors import ConfigError
from textgen.serving import ServeOptions
from textgen.serving.fair_queue import FairQueue
from textgen.serving.served_text import Order


def test_a_name_that_is_not_this_machine_is_refused(served: Served) -> None:
    for name in ("evil.example", "evil.example:8000", "localhost.evil.example", "[::2]:80", ""):
        answer = served.ask("/health", Host=name)
        assert answer.status == 403 and "this machine alone" in answer.message
    port = served.host.partition(":")[2]
    for name in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert served.ask("/health", Host=name).status == 200


def test_a_page_whose_name_leads_here_is_refused_on_every_address(
    models: dict[str, textgen.Model],
) -> None:
    """DNS rebinding: to the browser the page and the server are of one origin."""
    evil = {"Host": "evil.example:80", "Origin": "http://evil.example:80"}
    with serving([models["lstm"]], host="0.0.0.0") as served:
        port = served.host.partition(":")[2]
        for path in ("/", "/v1/models", "/health"):
            answer = served.ask(path, **evil)
            assert answer.status == 403 and "by its address" in answer.message
        for name in ("192.168.1.7", "[fe80::1]", "localhost", socket.gethostname()):
            assert served.ask("/health", Host=f"{name}:{port}").status == 200
    # Whoever has to bring a token, or is allowed, may come by any name.
    with serving([models["lstm"]], host="0.0.0.0", token="s") as served:
        assert served.ask("/v1/models", **evil).status == 401
        assert served.ask("/v1/models", **evil, Authorization="Bearer s").status == 200
    allowed = ("https://own.example",)
    with serving([models["lstm"]], host="0.0.0.0", allow_origin=allowed) as served:
        assert served.ask("/health", Host="own.example").status == 200
        assert served.ask("/health", Host="other.example").status == 403


def test_a_page_of_another_origin_is_refused(served: Served) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        answer = served.ask("/v1/completions", {"max_tokens": 5}, Origin=origin)
        assert answer.status == 403 and "not allowed" in answer.message
        assert "access-control-allow-origin" not in answer.headers
        assert served.ask("/v1/completions", method="OPTIONS", Origin=origin).status == 403
    assert served.ask("/health", Origin=served.address).status == 200


def test_an_origin_that_is_allowed(models: dict[str, textgen.Model]) -> None:
    with serving([models["lstm"]], allow_origin=("https://own.example",), token="s") as served:
        origin = "https://own.example"
        asked = served.ask("/v1/completions", method="OPTIONS", Origin=origin)
        assert asked.status == 204 and "POST" in asked.headers["access-control-allow-methods"]
        assert asked.headers["access-control-allow-origin"] == origin
        answer = served.ask(
            "/v1/completions", {"max_tokens": 5}, Origin=origin, Authorization="Bearer s"
        )
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == origin
        assert served.ask("/v1/models", Origin="https://other.example").status == 403


def test_a_token(models: dict[str, textgen.Model]) -> None:
    import openai

    with serving([models["lstm"]], token="sesam öffne") as served:
        for headers in ({}, {"Authorization": "Bearer sesam"}, {"Authorization": "sesam öffne"}):
            encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
            answer = served.ask("/v1/models", **encoded)
            assert answer.status == 401 and "Authorization: Bearer" in answer.message
            assert "sesam" not in answer.message
        given = "Bearer sesam öffne".encode().decode("latin-1")
        assert served.ask("/v1/models", Authorization=given).status == 200
        # A browser asks for it as a password, for the page alone.
        assert served.ask("/").headers["www-authenticate"].startswith("Basic")
        assert "www-authenticate" not in served.ask("/v1/models").headers
        basic = base64.b64encode("anyone:sesam öffne".encode()).decode()
        assert served.ask("/v1/models", Authorization=f"Basic {basic}").status == 200
        for wrong in ("Basic x", f"Basic {basic[:-8]}", "Basic", "Bearer", ""):
            assert served.ask("/v1/models", Authorization=wrong).status == 401
        assert served.ask("/metrics").status == 401
        assert served.ask("/health").status == 200
    with serving([models["lstm"]], token="sesam") as served:
        with served.client("sesam") as client:
            assert client.completions.create(model="lstm", prompt="К", max_tokens=3).choices
        with served.client("other") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_limits(models: dict[str, textgen.Model]) -> None:
    limits: dict[str, Any] = {"max_bytes": 1000, "max_waiting": 4, "max_texts": 4}
    with serving([models["lstm"]], max_tokens=2**24, max_seconds=2.0, **limits) as served:
        answer = served.ask("/v1/completions", b" " * 2000)
        assert answer.status == 413 and "1,000 bytes" in answer.message
        long: list[Any] = []
        thread = threading.Thread(
            target=lambda: long.append(served.complete(n=4, max_tokens=2**24, prompt="Кот"))
        )
        thread.start()
        try:
            wait_for(lambda: served.metric("textgen_texts") == 4)
            answer = served.complete(max_tokens=5)
            assert answer.status == 429 and "4 at a time" in answer.message
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.record["error"]["type"] == "rate_limit_error"
        finally:
            thread.join()
        # Its time was up: what was written of it came all the same.
        record = long[0].record
        assert [choice["finish_reason"] for choice in record["choices"]] == ["length"] * 4
        assert all(len(choice["text"]) > 100 for choice in record["choices"])
        assert "time" in record["notices"][0]
        assert served.complete(max_tokens=5).status == 200


@pytest.mark.slow
def test_a_crowd_of_one_client_keeps_nobody_waiting(models: dict[str, textgen.Model]) -> None:
    limits: dict[str, Any] = {"max_tokens": 2**24, "max_seconds": 20.0}
    with serving([models["lstm"]], **limits) as served:
        crowd: list[Any] = []
        asked = {"user": "crowd", "n": 100, "max_tokens": 2**24}
        thread = threading.Thread(target=lambda: crowd.append(served.complete(**asked)))
        thread.start()
        try:
            wait_for(lambda: served.metric("textgen_texts") == 100)
            began = time.monotonic()
            for seed in (1, None):
                answer = served.complete(user="one", seed=seed, max_tokens=500)
                assert answer.status == 200
            assert time.monotonic() - began < 10
            wait_for(lambda: served.metric("textgen_texts") == 100)
        finally:
            thread.join()
        assert crowd[0].status == 200


def test_a_hundred_clients_at_once(served: Served, models: dict[str, textgen.Model]) -> None:
    found: dict[int, str] = {}

    def client(seed: int) -> None:
        record = served.complete(prompt="Кот", seed=seed, max_tokens=60, echo=True).record
        found[seed] = record["choices"][0]["text"]

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model = models["lstm"]
    assert found == {seed: model.generate("Кот", rng=seed, length=60) for seed in range(100)}


def wait_for(what: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_request_must_have_room() -> None:
    with pytest.raises(ConfigError, match="max_texts is 8 and max_waiting 4"):
        ServeOptions(max_texts=8, max_waiting=4)


class _Waiting:
    """Stands for a text in the queue."""

    def __init__(self, order: Order, kind: object = None) -> None:
        self.order, self.kind = order, kind


def _order(client: str) -> Order:
    return Order(client, lambda number, what: None, 0.0, False)


def turns(queue: FairQueue, count: int) -> str:
    """The clients that have the next turns, of 32 tokens each."""
    names = []
    for _ in range(count):
        text = queue.take()
        names.append(text.order.client)
        queue.put_back(text, 32)
    return "".join(names)


def test_a_client_with_many_texts_starves_nobody() -> None:
    queue: Any = FairQueue()
    many = _order("a")
    queue.add([_Waiting(many) for _ in range(100)])
    assert turns(queue, 3) == "aaa"
    queue.add([_Waiting(_order("b"))])
    found = turns(queue, 20)
    assert found[0] == "b"  # Who comes anew is next.
    assert 9 <= found.count("b") <= 11 and "bb" not in found
    # Two requests of one client share its turns.
    queue.add([_Waiting(_order("b"))])
    found = turns(queue, 40)
    assert 18 <= found.count("b") <= 22


def test_whoever_comes_anew_is_next_in_the_order_of_coming() -> None:
    queue: Any = FairQueue()
    queue.add([_Waiting(_order("a"))])
    assert turns(queue, 5) == "aaaaa"
    for name in "bcd":
        queue.add([_Waiting(_order(name))])
    assert turns(queue, 3) == "bcd"
    assert set(turns(queue, 5)) == set("abcd")
    requests = [_Waiting(_order("b")) for _ in range(3)]
    for each in requests:
        queue.add([each])
    taken = []
    while len(taken) < 3:
        text = queue.take()
        queue.put_back(text, 8)
        taken += [text] if text in requests else []
    assert taken == requests


def test_a_request_does_not_wait_for_all_of_a_later_one() -> None:
    queue: Any = FairQueue()
    first, later = _Waiting(_order("a")), _Waiting(_order("a"))
    queue.add([first])
    for _ in range(100):
        queue.put_back(queue.take(), 32)
    taken = queue.take()  # It has its turn when the other one comes.
    queue.add([later])
    queue.put_back(taken, 32)
    found = []
    for _ in range(10):
        found.append(queue.take())
        queue.put_back(found[-1], 32)
    assert found[0] is later and 4 <= found.count(first) <= 6


def test_texts_of_a_kind_come_from_all_clients() -> None:
    queue: Any = FairQueue()
    queue.add([_Waiting(_order("a"), "kind") for _ in range(50)])
    for name in "bcd":
        order = _order(name)
        queue.add([_Waiting(order, "kind"), _Waiting(order, "other")])
    first = queue.take()
    taken = queue.take_like(first, 7)
    assert first.kind == "kind" and {text.kind for text in taken} == {"kind"}
    assert {text.order.client for text in (first, *taken)} == set("abcd")
    assert len(taken) == 7 and len(list(queue)) == 48
