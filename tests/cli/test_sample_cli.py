"""`textgen sample`: what is on stdout and nothing else, and the same again."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import command, environment, process, textgen_cli
from support.trained import Trained

import textgen
from textgen.native.library import supported_isas


def notices(stderr: str) -> list[str]:
    """The lines on stderr, but for those that say what computed, and that counts were mixed in."""
    first, *rest = [line for line in stderr.splitlines() if not line.startswith("seed: ")]
    assert first.startswith("sampling: ")
    if rest and rest[0].startswith("mixing: counts of 7,200 tokens"):
        del rest[0]
    return [line for line in stderr.splitlines() if line.startswith("seed: ")] + rest


def sample(*words: str | Path, **more: object) -> str:
    result = textgen_cli("sample", *words, **more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.usefixtures("home")
def test_defaults() -> None:
    """The newest run, 500 characters."""
    result = textgen_cli("sample", "--seed", "Однажды")
    assert result.exit_code == 0
    assert notices(result.stderr) == []
    assert result.stdout.startswith("Однажды")
    assert len(result.stdout) == len("Однажды") + 500


@pytest.mark.usefixtures("home")
def test_library_writes_the_same(trained: object) -> None:
    text = trained.load().generate("дом", length=80, temperature=0.5, rng=4, mix=True)
    assert sample("-s", "дом", "-n", "80", "-t", "0.5", "--rng", "4") == text


@pytest.mark.usefixtures("home")
def test_repeats_and_differs() -> None:
    words = ("--seed", "дом", "--length", "60")
    first = sample(*words)
    assert sample(*words) == first
    assert sample(*words, "--rng", "1") != first
    assert sample(*words, "--temperature", "2") != first


@pytest.mark.usefixtures("home")
def test_greedy_does_not_depend_on_rng() -> None:
    words = ("--seed", "дом", "--length", "60", "--temperature", "0")
    assert sample(*words) == sample(*words, "--rng", "5")
    # The likeliest of one is what is greedy too.
    assert sample(*words[:4], "--top-k", "1", "--rng", "8") == sample(*words)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "option", [("--top-k", "2"), ("--top-p", "0.3"), ("--min-p", "0.5"), ("--rng", "3")]
)
def test_filters_change_the_text(option: tuple[str, str]) -> None:
    words = ("--seed", "дом", "--length", "60", "--temperature", "1.5")
    assert sample(*words, *option) != sample(*words)


@pytest.mark.usefixtures("home")
def test_repetition_penalty() -> None:
    words = ("--seed", "дом", "--length", "200", "--temperature", "0")
    plain, penalised = sample(*words), sample(*words, "--repetition-penalty", "3")
    assert len(set(penalised)) > len(set(plain))


@pytest.mark.usefixtures("home")
def test_without_a_seed() -> None:
    """As texts of the corpus start: here, after a line end, which is not printed."""
    assert sample("--seed", "\n", "-n", "40") == "\n" + sample("-n", "40")
    assert sample("-n", "40") != sample("-n", "40", "--rng", "1")


@pytest.mark.usefixtures("home")
def test_seed_from_stdin_and_file() -> None:
    Path("seed.txt").write_bytes("Утром\r\nмёд".encode())
    plain = sample("--seed", "Утром\nмёд", "-n", "20")
    assert sample("--seed-file", "seed.txt", "-n", "20") == plain
    assert sample("--seed", "-", "-n", "20", input="Утром\nмёд".encode()) == plain
    assert sample("--seed", "", "-n", "20") == sample("-n", "20")


@pytest.mark.usefixtures("home")
def test_unknown_characters_give_one_line() -> None:
    result = textgen_cli("sample", "--seed", "ДОМ 漢字 Ё", "-n", "10")
    assert result.exit_code == 0
    (notice,) = notices(result.stderr)
    assert notice.startswith("seed: ") and "漢" in notice
    assert textgen_cli("sample", "--seed", "漢", "-n", "5", "--quiet").stderr == ""
    nothing = textgen_cli("sample", "--seed", "漢字", "-n", "10")
    assert len(nothing.stdout) == 10
    assert "without a seed" in nothing.stderr


@pytest.mark.usefixtures("home")
def test_random_seeds_never_fail(trained: Trained) -> None:
    """A model writes after each of them; each twentieth is also given to the command."""
    rng = random.Random(1)
    ranges = [(0, 0x20), (0x20, 0x7F), (0x400, 0x460), (0x300, 0x370), (0xD800, 0xDFFF)]
    ranges += [(0x2000, 0x2070), (0x4E00, 0x4F00), (0x1F300, 0x1F700), (0, 0x10FFFF)]
    seeds = [
        "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(0, 12)))
        for _ in range(200)
    ]
    written = trained.load().generate_many(seeds, length=3)
    assert [len(text.text) for text in written] == [3] * len(seeds)
    for number, seed in enumerate(seeds[::20]):
        words = ["sample", f"--seed={seed}", "-n", "3"] + ["--json"] * (number % 2)
        if seed == "-":
            continue
        result = textgen_cli(*words)
        assert result.exit_code == 0, (seed, result.stderr)
        assert len(notices(result.stderr)) <= 1, seed
        if number % 2:
            assert len(json.loads(result.stdout)["samples"][0]["generated"]) == 3


@pytest.mark.usefixtures("home")
def test_count() -> None:
    result = textgen_cli("sample", "--seed", "дом", "-n", "30", "--count", "3")
    assert result.exit_code == 0
    assert "---" not in result.stderr  # Headers are for a person who reads both streams.
    again = textgen_cli("sample", "--seed", "дом", "-n", "30", "--count", "3")
    assert again.stdout == result.stdout
    record = json.loads(sample("--seed", "дом", "-n", "30", "--count", "3", "--json"))
    texts = [text["text"] for text in record["samples"]]
    assert result.stdout == "\n\n".join(texts) + "\n"
    assert len(set(texts)) == 3
    # The first of several has the random choices of the only one.
    assert texts[0] == sample("--seed", "дом", "-n", "30")


@pytest.mark.usefixtures("home")
def test_many_texts_together_and_each_by_itself(trained: object) -> None:
    words = ("--seed", "дом", "-n", "60", "--no-mix")
    result = textgen_cli("sample", *words, "--count", "6")
    assert "6 texts together" in result.stderr
    exact = textgen_cli("sample", *words, "--count", "6", "--exact")
    assert "one text at a time" in exact.stderr
    model = trained.load()
    alone = [
        "дом" + "".join(symbol.text for symbol in model.stream("дом", length=60, index=k))
        for k in range(6)
    ]
    assert exact.stdout == "\n\n".join(alone) + "\n"
    assert alone[0] == sample(*words)
    texts = model.generate_many(6, "дом", length=60, exact=True)
    assert ["дом" + text.text for text in texts] == alone
    few = textgen_cli("sample", *words, "--count", "3")
    assert exact.stdout.startswith(few.stdout.removesuffix("\n") + "\n\n")


@pytest.mark.usefixtures("home")
def test_the_path_is_reported_and_can_be_forced() -> None:
    words = ("sample", "--seed", "дом", "-n", "30")
    for name in supported_isas():
        result = textgen_cli(*words, "--json", TEXTGEN_PATH=name)
        path = json.loads(result.stdout)["path"]
        assert (path["name"], path["isa"], path["together"]) == ("native", name, False)
        assert result.stderr.startswith(f"sampling: native {name}, {path['precision']} weights, ")
    result = textgen_cli(*words, TEXTGEN_PATH="reference")
    assert result.stderr == (
        "sampling: numpy, fp32, one text at a time: TEXTGEN_PATH asks for it; "
        "--rng 1 writes another\n"
        "mixing: no counts, for the native engine counts, and does not compute this model here\n"
    )
    assert len(result.stdout) == 33
    unknown = textgen_cli(*words, TEXTGEN_PATH="warp")
    assert unknown.exit_code == 2 and "warp" in unknown.stderr


def test_exact_reaches_what_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    write = textgen.Model.generate_many

    def generate_many(model: textgen.Model, *words: Any, **settings: Any) -> Any:
        asked.append(settings["exact"])
        return write(model, *words, **settings)

    monkeypatch.setattr(textgen.Model, "generate_many", generate_many)
    words = ("sample", "--seed", "дом", "-n", "5", "--count", "2", "-q")
    assert textgen_cli(*words).exit_code == textgen_cli(*words, "--exact").exit_code == 0
    assert asked == [False, True]


def test_no_torch_is_loaded(home: Path) -> None:
    code = (
        "import sys; from textgen.cli import main; sys.argv = ['textgen', 'sample', '-n', '9']\n"
        "try: main()\n"
        "finally: assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.decode()) == 9


@pytest.mark.usefixtures("home")
def test_json() -> None:
    record = json.loads(sample("--seed", "дом漢", "-n", "20", "--rng", "2", "--json"))
    keys = {"checkpoint", "seed", "notice", "settings", "steering", "path", "samples", "adapted"}
    assert set(record) == {*keys, "mix"}
    assert set(record["path"]) == {"name", "isa", "precision", "threads", "together", "reason"}
    assert record["seed"] == "дом"
    assert "漢" in record["notice"]
    assert record["settings"]["rng"] == 2 and record["settings"]["temperature"] == 0.8
    (text,) = record["samples"]
    assert set(text) == {"text", "generated", "finish_reason", "bits_per_char"}
    assert text["text"] == "дом" + text["generated"]
    assert len(text["generated"]) == 20
    assert text["finish_reason"] == "length"
    assert 0 < text["bits_per_char"] < 20
    empty = json.loads(sample("-n", "0", "--json"))
    assert empty["samples"][0]["bits_per_char"] is None


@pytest.mark.usefixtures("home")
def test_stop_and_sentence() -> None:
    whole = sample("--seed", "Утром", "-n", "300")
    written = whole.removeprefix("Утром")
    stop = written[40:42]
    short = sample("--seed", "Утром", "-n", "300", "--stop", stop, "--stop", "ЪЪЪ")
    assert short == "Утром" + written[: written.index(stop)]
    sentence = sample("--seed", "Утром", "-n", "300", "--until-sentence")
    assert whole.startswith(sentence)
    assert sentence.rstrip("»”\")'")[-1] in ".!?…"
    assert len(sentence) < len(whole)


@pytest.mark.usefixtures("home")
def test_novelty(trained: object) -> None:
    copied = trained.text.read_text(encoding="utf-8")[100:150]
    record = json.loads(sample("--seed", copied, "-n", "200", "-t", "0.3", "--novelty", "--json"))
    found = record["samples"][0]["novelty"]
    assert 0 <= found["copied_share"] <= 1
    assert found["longest"] >= 1
    for run in found["runs"]:
        assert run["length"] >= found["min_run"]
        assert run["text"] in trained.text.read_text(encoding="utf-8")
        assert record["samples"][0]["generated"][run["start"] :].startswith(run["text"])
    result = textgen_cli("sample", "-n", "50", "--novelty")
    assert result.exit_code == 0
    assert "copied: " in result.stderr
    assert result.stdout.removesuffix("\n") == sample("-n", "50")


def test_novelty_without_the_cache(trained: object, home: Path, tmp_path: Path) -> None:
    empty = {"TEXTGEN_CACHE": str(tmp_path / "empty")}
    result = textgen_cli("sample", "-n", "20", "--novelty", **empty)
    assert result.exit_code == 2
    assert "--novelty-corpus" in result.stderr
    words = ("sample", "-n", "20", "--novelty-corpus", trained.text)
    assert textgen_cli(*words, **empty).exit_code == 0


@pytest.mark.usefixtures("home")
def test_conversation() -> None:
    typed = ["Утром доктор", "?", "2", "/undo", "/show", "", "/nonsense", " /slash", "/new", "漢"]
    result = textgen_cli("sample", "-i", "-n", "15", input="\n".join([*typed, "/quit", "more"]))
    assert result.exit_code == 0
    assert "  1  " in result.stderr and "%" in result.stderr
    assert "no such command" in result.stderr
    assert "漢" in result.stderr
    written = result.stdout.split("\n")
    # One text for each turn of the model, and the whole at /show.
    assert "Утром доктор" in result.stdout
    assert len(written) >= 5
    assert "more" not in result.stderr


@pytest.mark.usefixtures("home")
def test_conversation_takes_the_offered_symbol_and_takes_it_back() -> None:
    result = textgen_cli(
        "sample", "-i", "-n", "5", "-s", "Утро", input="?\n1\n/show\n/undo\n/show\n"
    )
    assert result.exit_code == 0
    # Words are offered at once, five of them; then the symbols that were asked for.
    offered = re.findall(r"  ([1-9])  +[0-9.]+%  '(.+)'", result.stderr)
    assert [number for number, _ in offered[:6]] == ["1", "2", "3", "4", "5", "1"]
    symbol = offered[5][1]
    assert len(symbol) == 1
    assert result.stdout.splitlines() == ["Утро" + symbol, "Утро"]


@pytest.mark.usefixtures("home")
def test_conversation_takes_a_word_by_its_number_and_takes_it_back() -> None:
    asked = "2\n1\n/show\n/undo\n/show\n 2\n/show\n"
    result = textgen_cli("sample", "-i", "-n", "0", "-s", "Утром", input=asked, COLUMNS="40")
    offered = re.findall(r"  ([1-5])  +([0-9.]+)%  '(.+)'", result.stderr)
    words = [word.replace("\\n", "\n") for _, _, word in offered]
    shares = [float(share) for _, share, _ in offered]
    assert shares[:5] == sorted(shares[:5], reverse=True)
    # What goes on after a word that was taken is no part of it, and stands again after /undo.
    assert not words[5][0].isalpha()
    assert words[5:10] == words[15:20]
    shown = result.stdout
    first = "Утром" + words[1]
    # A space keeps a number from taking anything: it is text, which this model cannot read.
    assert shown == f"{first}{words[5]}\n{first}\n\n{first}\n"
    assert "'2' dropped" in result.stderr
    for line in result.stderr.splitlines():
        if re.match(r"\.\.\. |  [1-5/?E]", line):
            assert len(line) <= 40


@pytest.mark.usefixtures("home")
def test_quiet_conversation() -> None:
    words = ("--interactive", "--quiet", "-n", "5", "--seed", "дом漢")
    result = textgen_cli("sample", *words, input="漢\n/nothing\n/quit\n")
    assert result.exit_code == 0
    assert result.stderr == "> > no such command: /nothing\n> "


@pytest.mark.usefixtures("home")
def test_symbols_are_offered_in_quotes() -> None:
    result = textgen_cli("sample", "-i", "-q", "--seed", "дом", input="?\n")
    offered = re.findall(r"  [1-9]  +[0-9.]+%  (.+)", result.stderr)
    assert len(offered) == 9
    assert all(re.fullmatch(r"'(.|\\n)'", symbol) for symbol in offered)
    assert "' '" in offered


@pytest.mark.usefixtures("home")
def test_a_turn_of_which_nothing_is_left() -> None:
    result = textgen_cli("sample", "-i", "-n", "5", "--seed", "дом", input="漢\n漢а\n")
    assert "'漢' dropped (not in the model's vocabulary" in result.stderr
    assert result.stderr.count("; nothing of this turn is added") == 1
    assert "without a seed" not in result.stderr
    assert "seed:" not in result.stderr


@pytest.mark.usefixtures("home")
def test_conversation_without_input() -> None:
    result = textgen_cli("sample", "--interactive", input="")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.usefixtures("home")
def test_a_search_writes_one_text() -> None:
    words = ("--seed", "дом", "--length", "12", "--no-mix")
    assert sample(*words, "--beam", "1") == sample(*words, "--temperature", "0")
    for other in (["--count", "2"], ["--steer", "0:1=off"], ["--interactive"], ["--rng", "3"]):
        result = textgen_cli("sample", *words, "--beam", "2", *other)
        assert result.exit_code == 2 and "--beam" in result.stderr and other[0] in result.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "options",
    [
        ["--length", "-1"],
        ["--temperature", "-0.1"],
        ["--temperature", "nan"],
        ["--temperature", "inf"],
        ["--top-k", "-1"],
        ["--top-p", "0"],
        ["--top-p", "1.1"],
        ["--min-p", "2"],
        ["--repetition-penalty", "0"],
        ["--repetition-window", "0"],
        ["--count", "0"],
        ["--rng", "-1"],
        ["--rng", str(2**64)],
        ["--stop", ""],
        ["--seed", "a", "--seed-file", "b"],
        ["--interactive", "--count", "2"],
        ["--length", "long"],
        ["--color", "mauve"],
    ],
    ids=" ".join,
)
def test_invalid_values(options: list[str]) -> None:
    result = textgen_cli("sample", *options)
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert options[0] in result.stderr
    assert "path:" not in result.stderr  # Nothing is announced that will not be.


def test_missing_and_foreign_checkpoints(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = textgen_cli("sample", "--checkpoint", "smal")
    assert missing.exit_code == 6
    assert "did you mean 'small'" in missing.stderr
    (tmp_path / "foreign.bin").write_bytes(b"PK\x03\x04" + bytes(300))
    assert textgen_cli("sample", "-c", tmp_path / "foreign.bin").exit_code == 4
    whole = (home / "checkpoints/small/model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-9])
    cut = textgen_cli("sample", "-c", tmp_path / "cut.safetensors", "--json")
    assert cut.exit_code == 4
    assert json.loads(cut.stdout)["exit_code"] == 4
    assert textgen_cli("sample", "--seed-file", "nowhere.txt").exit_code == 6
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("textgen.checkpoint.shipped.project_folder", lambda *_: None)
    nothing = textgen_cli("sample")
    assert nothing.exit_code == 6
    assert "textgen train" in nothing.stderr


def test_in_a_pipe_of_its_own(home: Path) -> None:
    result = process("sample", "--seed", "Утром", "-n", "40", cwd=home)
    assert result.returncode == 0
    assert notices(result.stderr.decode()) == []
    assert len(result.stdout.decode()) == 45
    quiet = process("sample", "--seed", "Утром", "-n", "40", "--quiet", cwd=home)
    assert (quiet.stdout, quiet.stderr) == (result.stdout, b"")


def test_closed_pipe_ends_quietly(home: Path) -> None:
    line = " ".join([*command("sample", "-q", "-n", "200000", "--seed", "дом"), "| head -c 10"])
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        cwd=home,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert len(result.stdout) == 10
    assert result.stderr == b""
    assert result.returncode == 0


def _in_terminal(words: list[str], cwd: Path) -> str:
    """What a command writes to a terminal."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")
    main, child = pty.openpty()
    running = subprocess.Popen(
        words, stdin=child, stdout=child, stderr=child, cwd=cwd, env=environment(TERM="xterm")
    )
    os.close(child)
    written = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # Linux says so where others say end of file
            break
        if not part:
            break
        written += part
    os.close(main)
    assert running.wait(timeout=30) == 0, written
    return written.decode().replace("\r\n", "\n")


def test_terminal_gets_the_same_text_and_a_line_end(home: Path) -> None:
    words = ("--quiet", "--seed", "Утром", "-n", "120", "--rng", "6")
    assert _in_terminal(command("sample", *words), home) == sample(*words) + "\n"


def test_escapes_of_a_corpus_are_shown_on_a_terminal_only(
    trained_on_lines: object, tmp_path: Path
) -> None:
    seed = ("--seed", "\x1b[31mкрасный")
    words = ("-q", "-c", trained_on_lines.folder, *seed, "-n", "30", "-t", "0")
    raw = sample(*words)
    assert raw.startswith("\x1b[31mкрасный")
    shown = _in_terminal(command("sample", *words), tmp_path)
    assert "\x1b" not in shown
    assert shown == raw.replace("\x1b", "\\x1b") + "\n"
