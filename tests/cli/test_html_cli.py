"""`textgen inspect --html`: what is written, and what is said of it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import textgen_cli

from textgen.terminal.humanize import size

TEXT = "Утром доктор нашёл мёд"


def data_of(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """The JSON of a page and its values, `(rows, T)`."""
    html = path.read_text(encoding="utf-8")
    parts = dict(re.findall(r'<script type="[^"]*" id="([^"]*)">(.*?)</script>', html, re.DOTALL))
    data = json.loads(parts["data"])
    rows = data["rows"]
    numbers = np.frombuffer(base64.b64decode(parts["values"]), np.uint8).reshape(len(rows), -1)
    low = np.array([[row["minimum"]] for row in rows])
    high = np.array([[row["maximum"]] for row in rows])
    return data, low + numbers * ((high - low) / 255)


@pytest.mark.usefixtures("home")
def test_the_page_has_what_the_json_has() -> None:
    words = ["inspect", "--text", TEXT, "--show", "forget-gate", "--neuron", "1:5"]
    result = textgen_cli(*words, "--html", "page.html", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    data, values = data_of(Path("page.html"))
    assert data["pieces"] == record["tokens"]
    assert [row["name"] for row in data["rows"]] == ["surprise", "1:5"]
    row = record["rows"][0]
    assert np.abs(values[1] - row["values"]).max() <= (row["max"] - row["min"]) / 509


@pytest.mark.usefixtures("home")
def test_as_many_neurons_as_fit_unless_top_says_fewer() -> None:
    result = textgen_cli("inspect", "--text", TEXT, "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    written = size(Path("page.html").stat().st_size)
    assert re.fullmatch(
        rf"written: page\.html \({written}, 64 of 64 neurons\); open it in a browser\n",
        result.stderr,
    )
    result = textgen_cli("inspect", "--text", TEXT, "--top", "3", "--html", "page.html")
    assert "3 of 64 neurons" in result.stderr
    assert [row["layer"] is None for row in data_of(Path("page.html"))[0]["rows"]] == [
        True, False, False, False,
    ]  # fmt: skip
    quiet = textgen_cli("inspect", "--text", TEXT, "--quiet", "--html", "page.html")
    assert (quiet.stdout, quiet.stderr) == ("", "")


@pytest.mark.usefixtures("home")
def test_a_link_of_the_user_stays_and_one_in_a_run_is_refused() -> None:
    for folder in ("www", "run"):
        Path(folder).mkdir()
    Path("www/real.html").write_text("old")
    Path("page.html").symlink_to("www/real.html")
    result = textgen_cli("inspect", "--text", TEXT, "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    assert Path("page.html").is_symlink() and "<html" in Path("www/real.html").read_text()
    # The folder of a run may come from somebody else, with its links.
    Path("www/real.html").write_text("old")
    Path("run/model.safetensors").touch()
    Path("run/page.html").symlink_to("../www/real.html")
    result = textgen_cli("inspect", "--text", TEXT, "--html", "run/page.html")
    assert result.exit_code == 6 and "it is a symbolic link" in result.stderr
    assert Path("www/real.html").read_text() == "old"


@pytest.mark.usefixtures("home")
def test_a_page_is_a_file() -> None:
    result = textgen_cli("inspect", "--text", TEXT, "--html", "-")
    assert result.exit_code == 2
    assert "--html page.html" in result.stderr
    assert not Path("-").exists()


@pytest.mark.usefixtures("home")
def test_a_page_names_the_run_and_the_file_but_not_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "письмо.txt").write_text(TEXT, encoding="utf-8")
    result = textgen_cli("inspect", "--file", tmp_path / "письмо.txt", "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    html = Path("page.html").read_text(encoding="utf-8")
    assert "<title>письмо.txt</title>" in html
    assert "<li>small</li><li>LSTM 2 × 32</li>" in html
    assert str(tmp_path) not in html
    # The file itself had only a name in the command; a generated text has its seed.
    result = textgen_cli("inspect", "--generate", "дом", "--html", "page.html")
    assert "<title>written after “дом”</title>" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--text", TEXT, "--html", "nowhere/page.html"], 6, "there is no such file or folder"),
        (["--text", TEXT, "--html", "."], 6, "it is a folder"),
        (["--text", TEXT, "--show", "reset-gate", "--html", "p.html"], 2, "choose one of"),
        (
            ["--text", TEXT, "--show", "influence", "--html", "p.html"],
            2,
            "not influence; leave",
        ),
        (["--text", "", "--html", "p.html"], 2, "the text is empty"),
    ],
)
def test_errors_teach_and_leave_no_file(words: list[str], code: int, message: str) -> None:
    result = textgen_cli("inspect", *words)
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert not Path("p.html").exists()
