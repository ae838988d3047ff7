"""How `textgen serve` does when many clients ask at once, beside one `textgen sample`.

    python benchmarks/serving.py [--clients 100] [--requests 3] [--length 200] [--model shakespeare]
        [--json]

A server in a process of its own; every client opens a connection a request, all of them at once,
asks for a stream, and asks again when it has its text. Once with seeds, whose texts are written
alone and are compared with those of `Model.generate_many`, and once without, whose texts are
written together where that is faster. Printed are what was lost, the time from a request to its
first character (median, 99th percentile, longest), the characters a second of all clients together,
and the memory of the server before, at its highest and after. In the same run `textgen sample`
writes one text, a long one less a short one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CHECKOUT, environment, sample_command, seconds_of

import textgen

PROMPT = "The "
#: A request that has not got its text by then is lost.
PATIENCE = 300.0


@dataclass(frozen=True)
class Asked:
    """One request: when its first and last characters came, and its text."""

    seed: int | None
    first: float
    whole: float
    text: str


@contextmanager
def server(model: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A server of a model at a free port: its process, and its host and port."""
    words = [sys.executable, "-m", "textgen", "serve", "--port", "0", "-q", "-c", model]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        host, port = process.stdout.readline().strip().removeprefix("http://").split(":")
        yield process, host, int(port)
    finally:
        process.terminate()
        process.wait(30)


async def ask(host: str, port: int, length: int, seed: int | None) -> Asked:
    """Ask for one text as a stream."""
    fields: dict[str, Any] = {"prompt": PROMPT, "max_tokens": length, "stream": True}
    body = json.dumps(fields if seed is None else fields | {"seed": seed}).encode()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    first, parts = 0.0, []
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            (choice,) = json.loads(line[6:])["choices"]
            first = first or time.perf_counter() - began
            parts.append(choice["text"])
    writer.close()
    return Asked(seed, first, time.perf_counter() - began, "".join(parts))


async def crowd(
    host: str, port: int, clients: int, requests: int, length: int, *, seeded: bool
) -> list[Asked]:
    """All clients at once, each with its requests one after the other."""

    async def client(number: int) -> list[Asked]:
        seeds = [number * requests + k if seeded else None for k in range(requests)]
        return [await asyncio.wait_for(ask(host, port, length, seed), PATIENCE) for seed in seeds]

    found = await asyncio.gather(*map(client, range(clients)), return_exceptions=True)
    for error in (one for one in found if isinstance(one, BaseException)):
        print(f"lost: {error!r}", file=sys.stderr)
    return [one for several in found if not isinstance(several, BaseException) for one in several]


def memory(process: subprocess.Popen[str], field: str) -> float:
    """A figure of a process's memory in MB; not a number where the system does not tell."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float("nan")
    lines = status.read_text().splitlines()
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith(f"{field}:"))


def one_sample(model: str, long: int = 20_000) -> float:
    """Characters a second of `textgen sample` alone: a long text less a short one."""

    def seconds(length: int) -> float:
        words = [*sample_command(Path(model), length), "--seed", PROMPT]
        return seconds_of(
            lambda: subprocess.run(words, check=True, capture_output=True, env=environment())
        )

    short = seconds(1)
    return long / (seconds(long + 1) - short)


def measure(
    model: str, clients: int, requests: int, length: int, *, seeded: bool
) -> dict[str, Any]:
    """The figures of one crowd."""
    with server(model) as (process, host, port):
        asyncio.run(ask(host, port, 20, None))
        before = memory(process, "VmRSS")
        began = time.perf_counter()
        found = asyncio.run(crowd(host, port, clients, requests, length, seeded=seeded))
        seconds = time.perf_counter() - began
        highest, after = memory(process, "VmHWM"), memory(process, "VmRSS")
    firsts = [asked.first for asked in found]
    loaded = textgen.load(model)
    wrong = 0
    for asked in found[:: max(1, len(found) // 20)] if seeded else []:
        assert asked.seed is not None
        whole = loaded.generate(PROMPT, rng=asked.seed, length=length)
        wrong += whole != loaded.fit_seed(PROMPT).text + asked.text
    return {
        "requests": "with a seed" if seeded else "without",
        "lost": clients * requests - sum(len(asked.text) == length for asked in found),
        "other_texts": wrong,
        "first_median": float(np.median(firsts)),
        "first_99": float(np.quantile(firsts, 0.99)),
        "first_longest": max(firsts),
        "chars_a_second": sum(len(asked.text) for asked in found) / seconds,
        "seconds": seconds,
        "mb_before": before,
        "mb_highest": highest,
        "mb_after": after,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--requests", type=int, default=3)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--model", default=str(CHECKOUT / "checkpoints/shakespeare"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    before = one_sample(asked.model)
    rows = [
        measure(asked.model, asked.clients, asked.requests, asked.length, seeded=seeded)
        for seeded in (True, False)
    ]
    alone = (before + one_sample(asked.model)) / 2
    for row in rows:
        row["of_one_sample"] = row["chars_a_second"] / alone
    if asked.json:
        print(json.dumps({"sample_chars_a_second": alone, "rows": rows}))
        return
    print(f"{asked.clients} clients, {asked.requests} texts of {asked.length} characters each")
    print(f"one `textgen sample`, mean of before and after: {alone:,.0f} characters/s")
    for row in rows:
        print(*(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}"
                for name, value in row.items()), sep="; ")  # fmt: skip


if __name__ == "__main__":
    main()
