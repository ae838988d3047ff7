"""A server in a thread of the test, and how it is asked."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

import textgen
from support.small_runs import command, environment
from textgen.serving import ServeOptions, serve


@dataclass
class Answer:
    """What came back: the status, the headers by their names in small letters, the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def record(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The sentence of an error in OpenAI's form."""
        error = self.record["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["message"])


@dataclass
class Served:
    """A server that runs.

    Args:
        address: Such as `http://127.0.0.1:4711`.
        lines: What it said.
    """

    address: str
    lines: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, timeout=30)

    def ask(self, path: str, body: Any = None, *, method: str = "", **headers: str) -> Answer:
        """Send a request; `body` as JSON unless it is bytes; `_` in a header's name is a dash."""
        connection = self.connect()
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if data is None else "POST"), path, data, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def complete(self, **fields: Any) -> Answer:
        return self.ask("/v1/completions", fields)

    def metric(self, line: str) -> float:
        """The value of a line of the metrics."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return float(next(each for each in lines if each.startswith(f"{line} ")).split()[-1])

    @contextmanager
    def client(self, token: str = "none") -> Iterator[openai.OpenAI]:
        """OpenAI's own client."""
        made = openai.OpenAI(base_url=f"{self.address}/v1", api_key=token, max_retries=0)
        with made as client:
            yield client


def all_stacks() -> str:
    """Where each thread of this process is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )


@contextmanager
def serving(models: Sequence[textgen.Model], **settings: Any) -> Iterator[Served]:
    """Serve models at a free port, until the block ends."""
    stop, listens = threading.Event(), threading.Event()
    served = Served("")

    def ready(address: str, lines: Sequence[str]) -> None:
        served.address = address
        served.lines += lines
        listens.set()

    def work() -> None:
        options = ServeOptions(**{"port": 0, "grace": 0.5, **settings})
        serve(models, options, stop.is_set, ready=ready, say=served.lines.append)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert listens.wait(60)
        assert served.ask("/health").status == 200  # All is imported, in one thread.
        yield served
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), all_stacks()


@contextmanager
def serve_running(
    *words: str | Path, cwd: Path | None = None, **env: str
) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    """The command at a free port, ended by SIGTERM if the block has not ended it."""
    process = subprocess.Popen(
        command("serve", "--port", "0", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**env),
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate(timeout=30)[1]
        yield process, Served(address)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
