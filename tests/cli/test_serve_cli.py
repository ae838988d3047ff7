"""`textgen serve` as a program: what it prints, what it answers, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from support.serving import serve_running
from support.small_runs import textgen_cli
from support.trained import Trained

TERMINATED = 143


def ended(process: subprocess.Popen[str], signum: int) -> tuple[str, str]:
    """What it prints after a signal."""
    process.send_signal(signum)
    return process.communicate(timeout=30)


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM of others")


@posix
def test_a_whole_session(trained: Trained) -> None:
    """The same text as `sample` writes, mixed with counts as there; one line at the end."""
    env = {"TEXTGEN_CACHE": str(trained.cache)}
    words = ("--checkpoint", trained.folder)
    with serve_running(*words, "--log-requests", **env) as (process, served):
        assert served.address.startswith("http://127.0.0.1:")
        asked = {"prompt": "Утром", "seed": 6, "max_tokens": 120, "echo": True}
        text = served.complete(**asked).record["choices"][0]["text"]
        alone = served.complete(**asked, mix=False).record["choices"][0]["text"]
        assert served.complete(n=0).status == 400
        out, err = ended(process, signal.SIGTERM)
    sample = ("sample", "-q", *words, "--seed", "Утром", "-n", "120", "--rng", "6")
    assert textgen_cli(*sample, **env).stdout == text
    assert textgen_cli(*sample, "--no-mix", **env).stdout == alone != text
    assert process.returncode == TERMINATED and out == ""
    model, *requests, last = err.splitlines()
    assert model.startswith(f"model: {trained.folder.name} (")
    assert "sampling: native" in model and "mixed with counts" in model
    assert requests == [
        *["127.0.0.1 POST /v1/completions 200"] * 2,
        "127.0.0.1 POST /v1/completions 400",
    ]
    assert last == "textgen: interrupted"


@posix
def test_ctrl_c_lets_texts_end(trained: Trained) -> None:
    with serve_running(*("-q", "-c", trained.folder, "--max-tokens", 2**24, "--grace", "0.7")) as (
        process,
        served,
    ):
        host, port = served.host.split(":")
        body = json.dumps({"prompt": "Утром", "max_tokens": 2**24, "stream": True}).encode()
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: {served.host}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert connection.recv(10) == b"HTTP/1.1 2"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            answer = bytearray()
            while part := connection.recv(65536):
                answer += part
        _, err = process.communicate(timeout=30)
    assert b"data: [DONE]" in answer and b"the server is ending" in answer
    assert 0.6 < time.monotonic() - began < 15
    assert process.returncode == 130
    assert err.splitlines() == ["ending; 1 text may go on for 0.7 s", "textgen: interrupted"]


@posix
def test_curl(trained: Trained) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    with serve_running("-q", "-c", trained.folder, TEXTGEN_TOKEN="sesame") as (_, served):
        words = [curl, "--silent", "--no-buffer", f"{served.address}/v1/completions"]
        body = '{"prompt": "Утром", "max_tokens": 20, "stream": true}'
        asked = [*words, "--header", "Authorization: Bearer sesame", "--data", body]
        lines = subprocess.run(asked, capture_output=True, check=True, timeout=30).stdout
        first, *_, last = [line for line in lines.decode().splitlines() if line]
        assert first.startswith('data: {"id": "cmpl-') and last == "data: [DONE]"
        refused = subprocess.run(
            [*words, "--data", body], capture_output=True, check=True, timeout=30
        )
        assert json.loads(refused.stdout)["error"]["code"] == "invalid_api_key"


def test_a_port_that_is_taken(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = textgen_cli("serve", "--checkpoint", trained.folder, "--port", str(port))
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "--port 0 takes a free port" in result.stderr


def test_two_models_of_one_name(trained: Trained) -> None:
    words = ("--checkpoint", trained.folder, "--checkpoint", trained.folder / "model.safetensors")
    result = textgen_cli("serve", "--port", "0", *words)
    assert result.exit_code == 2 and "two models are called small" in result.stderr


def test_a_missing_library_is_named(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = textgen_cli("serve", "--checkpoint", trained.folder, "--port", "0")
    assert "serve needs uvicorn" in result.stderr and '".[serve]"' in result.stderr
    assert result.exit_code != 0
