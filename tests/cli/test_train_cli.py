"""`textgen train`: folders, files, events, options and refusals."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.small_runs import (
    SMALL_OPTIONS,
    digest,
    events,
    files,
    outcome,
    russian_text,
    textgen_cli,
)

import textgen
from textgen.checkpoint.format import read_file
from textgen.cli.train_view import summary
from textgen.training.events import Ended

QUICK = ["--steps", "6", *SMALL_OPTIONS]


ENDED = Ended(
    reason="finished",
    step=3000,
    steps=3000,
    seconds=181.2,
    best_bits_per_char=2.2413,
    best_step=2850,
    uniform_bits_per_char=7.0,
    val_tokens=1000,
    chars_seen=12_345_678,
    chars_per_second=68_432.0,
    skipped=0,
    folder="checkpoints/crime",
    model="checkpoints/crime/model.safetensors",
    encoding="utf-8",
    confidence=1.0,
)


def shown(event: Ended, curve: Path | None = None, *, width: int = 72) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(summary(event, curve))
    return file.getvalue().splitlines()


def test_the_summary_of_a_run() -> None:
    assert shown(ENDED) == [
        "╭─ Training finished ────────────────────────────────────╮",
        "│ best validation  2.241 bits/char (step 2,850 of 3,000) │",
        "│ characters seen  12,345,678                            │",
        "│ speed            68.4 k chars/s, 3 m 01 s in all       │",
        "│ checkpoint       checkpoints/crime                     │",
        "╰────────────────────────────────────────────────────────╯",
    ]


def test_the_summary_of_an_unusual_run() -> None:
    unusual = replace(ENDED, reason="patience", skipped=2, best_bits_per_word=12.5)
    unusual = replace(unusual, exact_match=0.25, written_pairs=1000)
    unusual = replace(unusual, best_bits_per_word_with_unk=9.25, unknown_share=0.096)
    text = "\n".join(shown(unusual, Path("checkpoints/crime/loss.svg"), width=100))
    for expected in (
        "Training ended",
        "best validation   12.500 bits/word, 2.241 bits/char (step 2,850 of 3,000)",
        "with <unk>        9.250 bits/word, where the letters of unknown words cost nothing; ",
        "written exactly   25.0% of 1,000 held-out targets",
        "stopped           no new best for a while (--patience)",
        "updates left out  2",
        "loss curve        checkpoints/crime/loss.svg",
    ):
        assert expected in text


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "novel.txt"
    path.write_text(russian_text(2500), encoding="utf-8")
    return path


@pytest.fixture
def no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a picture takes longer than such a run."""
    monkeypatch.setattr("textgen.cli.train_view.save_curve", lambda folder, _: folder / "loss.svg")


def test_default_folder_and_what_is_left(text: Path) -> None:
    result = textgen_cli("train", "novel.txt", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    folder = Path("checkpoints/novel")
    assert set(files(folder)) == {
        "model.safetensors",
        "resume.safetensors",
        "metrics.jsonl",
        "loss.svg",
    }
    assert (folder / "loss.svg").read_text().lstrip().startswith("<?xml")
    assert "textgen sample --checkpoint checkpoints/novel" in result.stderr.splitlines()
    assert "bits/char" in result.stderr
    assert "--steps 6" in result.stderr
    assert "utf-8" in result.stderr
    again = textgen_cli("train", "novel.txt", *QUICK)
    assert again.exit_code == 7
    assert "--resume" in again.stderr and "--force" in again.stderr


@pytest.mark.usefixtures("no_curve")
def test_folder_as_typed(text: Path) -> None:
    result = textgen_cli("train", text, *QUICK, "--out", "my runs/the first", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert Path("my runs/the first/model.safetensors").exists()
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("no_curve")
def test_json_lines(text: Path) -> None:
    result = textgen_cli("train", text, *QUICK, "--eval-every", "3", "--save-every", "2", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    seen = events(result)
    start, end = seen[0], seen[-1]
    assert start["event"] == "start" and end["event"] == "end"
    for record in (start, end):
        assert record["encoding"] == "utf-8"
        assert record["confidence"] == 1.0
    assert start["files"][0]["path"] == str(text)
    assert {"name", "value", "reason", "changed"} == set(start["choices"][0])
    reports = [record for record in seen if record["event"] == "report"]
    assert [r["step"] for r in reports if r["evaluated"]] == [3, 6]
    assert {"train_bits_per_char", "val_bits_per_char", "chars_per_second"} <= set(reports[0])
    assert {record["event"] for record in seen} == {"start", "report", "sample", "save", "end"}
    lines = Path("checkpoints/novel/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == reports
    assert end["reason"] == "finished"
    assert end["model"] == "checkpoints/novel/model.safetensors"


@pytest.mark.usefixtures("no_curve")
def test_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes(russian_text(2500).encode("cp1251"))
    start = events(textgen_cli("train", path, *QUICK, "--out", tmp_path / "a", "--json"))[0]
    assert start["encoding"] == "cp1251"
    assert 0 < start["confidence"] <= 1
    words = ("train", path, *QUICK, "--out", tmp_path / "b", "--json", "--encoding", "cp866")
    assert events(textgen_cli(*words))[0]["encoding"] == "cp866"
    model = textgen.load(tmp_path / "a")
    assert "Однажды" in model.vocabulary.decode(model.encode("Однажды"))


@pytest.mark.usefixtures("no_curve")
def test_force_replaces(text: Path) -> None:
    textgen_cli("train", text, *QUICK, "--out", "run", "-q")
    before = outcome(Path("run"))
    refused = textgen_cli("train", text, *QUICK, "--out", "run", "-q", "--rng", "9")
    assert refused.exit_code == 7 and "run already contains a run" in refused.stderr
    assert outcome(Path("run")) == before
    result = textgen_cli("train", text, *QUICK, "--out", "run", "-q", "--rng", "9", "--force")
    assert result.exit_code == 0
    assert outcome(Path("run"))["model"] != before["model"]


@pytest.mark.usefixtures("no_curve")
def test_repeated_command_is_bit_identical(text: Path) -> None:
    for out in ("a", "b"):
        textgen_cli("train", text, *QUICK, "--dropout", "0.2", "--out", out, "-q")
    assert outcome(Path("a")) == outcome(Path("b"))


@pytest.mark.slow
@pytest.mark.usefixtures("no_curve")
def test_printed_command_repeats_a_budget_exactly(text: Path) -> None:
    options = ["--hidden", "16", "--batch-size", "4", "--seq-len", "16", "--threads", "1"]
    options += ["--fold", "--keep-newlines", "--min-count", "2", "--documents", "line", "--tie"]
    options += ["--lr", "0.004", "--clip", "0.5", "--val", "0.2"]
    first = textgen_cli("train", text, "--budget", "1s", *options, "--out", "a", "--json")
    assert first.exit_code == 0, first.stderr
    words = shlex.split(events(first)[0]["command"])
    assert words[0] == "textgen" and "--steps" in words and "--budget" not in words
    second = textgen_cli(*words[1:], "--out", "b", "--json")
    assert second.exit_code == 0, second.stderr
    assert outcome(Path("a"))["model"] == outcome(Path("b"))["model"]
    assert outcome(Path("a"))["state"] == outcome(Path("b"))["state"]
    # But for the folder of a third run.
    assert (
        events(second)[0]["command"].split(" --out")[0]
        == events(first)[0]["command"].split(" --out")[0]
    )


@pytest.mark.usefixtures("no_curve")
def test_cells(text: Path) -> None:
    words = ["--cell", "rnn", "--nonlinearity", "relu"]
    result = textgen_cli("train", text, *QUICK, *words, "--out", "checkpoints/relu", "--json")
    assert result.exit_code == 0, result.stderr
    assert "--cell rnn --nonlinearity relu" in events(result)[0]["command"]
    described = json.loads(textgen_cli("inspect", "checkpoint", "relu", "--json").stdout)
    assert (described["config"]["cell"], described["config"]["nonlinearity"]) == ("rnn", "relu")
    assert "rnn (relu), 1 x 24" in textgen_cli("inspect", "checkpoint", "relu").stdout
    assert "rnn (relu) 1 x 24" in textgen_cli("inspect", "checkpoint", COLUMNS="200").stdout
    assert textgen_cli("eval", text, "-c", "relu").exit_code == 0
    gru = textgen_cli("train", text, *QUICK, "--cell", "gru", "--out", "gru", "-q")
    assert gru.exit_code == 0, gru.stderr
    refused = textgen_cli(
        "train", text, *QUICK, "--cell", "gru", "--out", "checkpoints/relu", "--resume"
    )
    assert refused.exit_code == 7 and "cell = rnn, not gru" in refused.stderr


@pytest.mark.usefixtures("no_curve")
def test_printed_command_of_fine_tuning(text: Path) -> None:
    textgen_cli("train", text, *QUICK, "--out", "the parent", "-q")
    new = Path("a new text.txt")
    new.write_text(russian_text(1500, seed=2) + "§", encoding="utf-8")
    first = textgen_cli(
        *("train", new, "--from", "the parent", "--steps", "4", "--threads", "1"),
        *("--out", "a", "--json"),
    )
    assert first.exit_code == 0, first.stderr
    words = shlex.split(events(first)[0]["command"])
    second = textgen_cli(*words[1:], "--out", "b", "-q")
    assert second.exit_code == 0, second.stderr
    assert outcome(Path("a")) == outcome(Path("b"))


@pytest.mark.usefixtures("no_curve")
def test_every_way_to_name_texts(text: Path, tmp_path: Path) -> None:
    content = text.read_text(encoding="utf-8")
    Path("letters/deep").mkdir(parents=True)
    Path("letters/b.txt").write_text(content, encoding="utf-8")
    Path("letters/deep/a.txt").write_text("Ещё одно письмо.\n", encoding="utf-8")
    Path("letters/readme.md").write_text("not a text to train on", encoding="utf-8")
    with gzip.open("packed.txt.gz", "wb") as file:
        file.write(content.encode())

    def start(*paths: str, **stdin: bytes) -> dict[str, object]:
        result = textgen_cli("train", *paths, *QUICK, "--force", "--json", "--out", "r", **stdin)
        assert result.exit_code == 0, result.stderr
        return events(result)[0]

    folder = start("letters")
    assert [Path(f["path"]).name for f in folder["files"]] == ["b.txt", "a.txt"]
    whole = start("novel.txt")
    packed = start("packed.txt.gz")
    piped = start("-", input=content.encode())
    assert whole["train_tokens"] == packed["train_tokens"] == piped["train_tokens"]
    both = start("novel.txt", "packed.txt.gz")
    assert len(both["files"]) == 2
    # Of two files each gives its end: a mark stands before the first part, and after all four.
    total = both["train_tokens"] + both["val_tokens"]
    assert total == 2 * (whole["train_tokens"] + whole["val_tokens"]) + 5


@pytest.mark.usefixtures("no_curve")
def test_validation_share_and_file(text: Path) -> None:
    chars = len(text.read_text(encoding="utf-8"))
    start = events(textgen_cli("train", text, *QUICK, "--json", "--out", "a"))[0]
    assert start["train_tokens"] == int(0.9 * chars)
    words = ("train", text, *QUICK, "--json", "--val", "0.25", "--out", "b")
    assert events(textgen_cli(*words))[0]["train_tokens"] == int(0.75 * chars)
    other = Path("val.txt")
    other.write_text(russian_text(600, seed=7), encoding="utf-8")
    start = events(textgen_cli("train", text, *QUICK, "--json", "--val", other, "--out", "c"))[0]
    assert (start["train_tokens"], start["val_tokens"]) == (chars, 600)


@pytest.mark.usefixtures("no_curve")
def test_resume_in_each_form(text: Path) -> None:
    words = ["train", text, *QUICK, "--out", "run"]
    textgen_cli(*words, "-q")
    before = files(Path("run"))
    for form in (
        [*words, "--resume"],
        ["train", "run", "--resume"],
        ["train", "--out", "run", "--resume"],
    ):
        result = textgen_cli(*form)
        assert result.exit_code == 0, result.stderr
        assert "Already finished" in result.stderr
        assert files(Path("run")) == before
    result = textgen_cli(*words, "--resume", "--layers", "3")
    assert result.exit_code == 7
    assert "was started without --layers, which is now 3" in result.stderr
    result = textgen_cli("train", "run", "--resume", "--json")
    assert [event["event"] for event in events(result)] == ["start", "end"]
    assert events(result)[-1]["reason"] == "already finished"
    assert files(Path("run")) == before


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("missing.txt", None, 6, ["does not exist", "missing.txt"]),
        ("empty.txt", b"", 3, ["empty.txt"]),
        ("binary.txt", b"\x7fELF\x00\x00\x01" + bytes(range(256)) * 9, 3, ["binary.txt"]),
        ("single.txt", b"aaaaaaaaaaaaaaaaaaaaaaaaaaa", 3, ["single.txt"]),
        ("wrong.gz", b"plain text", 6, [".gz", "rename"]),
    ],
)
def test_unusable_texts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    code: int,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    result = textgen_cli("train", name, "--steps", "2")
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("textgen: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
    assert not Path("checkpoints").exists()
    told = textgen_cli("train", name, "--steps", "2", "--json")
    record = json.loads(told.stdout)
    assert (record["event"], record["exit_code"]) == ("error", code)


def test_undecodable_text(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes("это не ".encode() + b"\xff\xfe" + b"utf-8")
    result = textgen_cli("train", path, "--encoding", "utf-8", "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert "--encoding" in result.stderr
    assert not (tmp_path / "run").exists()


def test_unreadable_folder_without_texts(tmp_path: Path) -> None:
    result = textgen_cli("train", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert ".txt" in result.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--steps", "0"], "steps"),
        (["--hidden", "-3"], "--hidden is -3"),
        (["--layers", "0"], "--layers is 0"),
        (["--clip", "0"], "--clip is 0.0"),
        (["--min-count", "0"], "--min-count is 0"),
        (["--budget", "1", "m"], "--budget 1m, without a blank"),
        (["--more", "2", "m"], "--more 2m, without a blank"),
        (["--more", "500"], "500steps"),
        (["--val", "10"], "0.1 or 10%"),
        (["--budget", "soon"], "3m"),
        (["--budget", "0s"], "duration"),
        (["--budget", "1m", "--steps", "3"], "--steps"),
        (["--epochs", "nan"], "epochs"),
        (["--learning-rate", "0"], "--learning-rate is 0.0"),
        (["--learning-rate", "inf"], "--learning-rate is inf"),
        (["--dropout", "1"], "dropout"),
        (["--dropout", "nan"], "dropout"),
        (["--val", "1.5"], "--val"),
        (["--val", "nan"], "--val"),
        (["--level", "syllable"], "char"),
        (["--documents", "page"], "separator:page"),
        (["--documents", "separator:"], "separator:***"),
        (["--documents", "start:.*"], "every line begins so"),
        (["--encoding", "klingon"], "klingon"),
        (["--device", "abacus"], "cpu"),
        (["--precision", "fp7"], "fp32"),
        (["--cell", "brain"], "lstm"),
        (["--cell", "rnn", "--nonlinearity", "cube"], "relu"),
        (["--nonlinearity", "relu"], "rnn"),
        (["--threads", "0"], "--threads"),
        (["--rng", "-1"], "rng"),
        (["--history", "3", "--seq-len", "4"], "--history"),
        (["--tie", "--embedding", "5", "--hidden", "7"], "embedding"),
        (["--resume", "--force"], "--force"),
        (["--no-such-option"], "--no-such-option"),
        (["--steps", "many"], "--steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(text: Path, options: list[str], word: str) -> None:
    result = textgen_cli("train", text, "--out", "run", *options)
    assert result.exit_code == 2, result.stderr
    assert word in result.stderr
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("start:[Event ", "novel.txt: no line begins with '[Event '"),
        ("***", "--documents 'separator:***' cuts nothing"),
        ("[Event", "give --documents 'start:[Event'"),
    ],
)
def test_documents_that_are_not_there(text: Path, mode: str, message: str) -> None:
    result = textgen_cli("train", text, "--out", "run", "--documents", mode)
    assert result.exit_code == 3 and message in result.stderr
    assert not Path("run").exists()


@pytest.mark.usefixtures("no_curve")
def test_documents_with_blank_lines_inside(tmp_path: Path) -> None:
    games = "".join(f'[Event "{n}"]\n[White "A"]\n\n{n}. e4 e5 1-0\n\n' for n in range(60))
    path = tmp_path / "games.pgn"
    path.write_text(games)
    mode = ["--documents", "start:[Event "]
    start = events(textgen_cli("train", path, *QUICK, *mode, "--json", "--out", tmp_path / "g"))[0]
    assert start["documents"]["count"] == 60 and start["documents"]["shortest"] == 37
    assert "--documents 'start:[Event '" in start["command"]
    shown = textgen_cli("train", path, *QUICK, *mode, "--out", tmp_path / "h").stderr
    assert "documents" in shown and "drawn by their content" in " ".join(shown.split())


def test_no_text_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = textgen_cli("train")
    assert result.exit_code == 2
    assert "textgen train corpus.txt" in result.stderr
    result = textgen_cli("train", "--resume")
    assert result.exit_code == 2


def test_resume_of_nothing(text: Path) -> None:
    result = textgen_cli("train", text, "--resume")
    assert result.exit_code == 6
    assert "no run to resume" in result.stderr
    assert not Path("checkpoints").exists()


def test_from_nothing_and_from_a_foreign_file(text: Path) -> None:
    assert textgen_cli("train", text, "--from", "nobody").exit_code == 6
    assert textgen_cli("train", text, "--from", text).exit_code == 4
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("no_curve")
def test_strange_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces, a control character, and bytes that are no text."""
    monkeypatch.chdir(tmp_path)
    for name in ("два слова.txt", "esc\x1b[31m.txt", "\udcff.txt"):
        Path(name).write_text(russian_text(500), encoding="utf-8")
        result = textgen_cli("train", name, "--steps", "2", "--threads", "1")
        assert result.exit_code == 0, result.stderr
        assert "\x1b" not in result.stderr
        assert Path("checkpoints", name.removesuffix(".txt"), "model.safetensors").exists()
        told = textgen_cli(
            "train", name, "--steps", "2", "--threads", "1", "--json", "--out", "r", "--force"
        )
        assert told.exit_code == 0, told.stderr
        assert events(told)[-1]["reason"] == "finished"


@pytest.mark.usefixtures("no_curve")
def test_divergence_has_its_own_exit_code(text: Path) -> None:
    result = textgen_cli(
        *("train", text, "--out", "run", *SMALL_OPTIONS, "--steps", "400"),
        *("--learning-rate", "1e38", "--eval-every", "50"),
    )
    assert result.exit_code == 5, result.stderr
    assert "--learning-rate" in result.stderr
    _, weights = read_file(Path("run/model.safetensors"), kind="model")
    assert digest(weights)


def test_weak_writes_end_in_a_clear_error(text: Path) -> None:
    Path("taken").write_text("a file", encoding="utf-8")
    result = textgen_cli("train", text, *QUICK, "--out", "taken")
    assert result.exit_code == 6
    assert "taken" in result.stderr


@pytest.mark.usefixtures("no_curve")
def test_signal_handlers_are_put_back(text: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    textgen_cli("train", text, *QUICK, "-q")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_resume_refuses_even_a_default_that_is_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--rng 1` is the default, and not what a run with `--rng 5` was asked for."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(2000), encoding="utf-8")
    words = ["train", "text.txt", *SMALL_OPTIONS, "--steps", "6"]
    assert textgen_cli(*words, "--rng", "5").exit_code == 0
    again = textgen_cli(*words, "--rng", "1", "--resume")
    assert again.exit_code == 7 and "rng = 5, not 1" in again.stderr
    assert textgen_cli(*words, "--rng", "5", "--resume").exit_code == 0
    assert textgen_cli(*words, "--resume").exit_code == 0


def test_folders_whose_name_begins_with_a_dot_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".venv").mkdir()
    Path(".venv/licence.txt").write_text("not mine", encoding="utf-8")
    Path("mine.txt").write_text(russian_text(2000), encoding="utf-8")
    result = textgen_cli("train", ".", *SMALL_OPTIONS, "--steps", "2", "--out", "run", "--json")
    assert [Path(file["path"]).name for file in events(result)[0]["files"]] == ["mine.txt"]


@pytest.mark.usefixtures("no_curve")
def test_the_command_is_wrong_before_the_folder_is_taken(text: Path) -> None:
    """What is to be mended in the command is said, not that a run is there already."""
    words = ["train", text, *QUICK, "--out", "run"]
    assert textgen_cli(*words, "-q").exit_code == 0
    before = files(Path("run"))
    for wrong, code, said in (
        (["--cell", "brain"], 2, "choose one of: lstm"),
        (["--device", "abacus"], 2, "--device is 'abacus'"),
        (["--precision", "fp7"], 2, "--precision is 'fp7'"),
        (["--threads", "0"], 2, "--threads is 0"),
        (["--val", "none.txt"], 6, "none.txt does not exist"),
        (["--embedding", "none.vec"], 6, "none.vec does not exist"),
        (["--from", "nobody"], 6, "nobody"),
        (["missing/words.txt"], 6, "missing/words.txt does not exist"),
        (["--budget", "1", "m"], 2, "--budget 1m"),
    ):
        result = textgen_cli(*words, *wrong)
        assert (result.exit_code, "holds a run" in result.stderr) == (code, False), result.stderr
        assert said in result.stderr
    assert textgen_cli(*words, TEXTGEN_PATH="road").exit_code == 2
    result = textgen_cli(*words)
    assert result.exit_code == 7
    assert "textgen train run --resume, train it for longer: textgen train run --more 2m" in (
        result.stderr
    )
    assert files(Path("run")) == before


def test_nothing_slow_is_done_before_a_refusal(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run").mkdir()
    Path("run/resume.safetensors").write_text("")

    def read(*args: object, **kwargs: object) -> None:
        raise AssertionError("the text is read before a cheap refusal")

    monkeypatch.setattr("textgen.training.start.open_data", read)
    monkeypatch.setattr("textgen.comparison.runs.open_data", read)
    assert textgen_cli("train", text, "--out", "run").exit_code == 7
    assert textgen_cli("train", text, "--cell", "brain").exit_code == 2
    Path("all/lstm-1").mkdir(parents=True)
    Path("all/lstm-1/resume.safetensors").write_text("")
    words = ["compare", text, "--cells", "lstm,gru", "--steps", "2"]
    result = textgen_cli(*words, "--out", "all")
    assert result.exit_code == 7, result.stderr
    assert textgen_cli(*words, "--out", "all", "--device", "abacus").exit_code == 2
    assert textgen_cli("compare", "none.txt", *words[2:], "--out", "all").exit_code == 6


@pytest.mark.usefixtures("no_curve")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--hidden-size", "16"], ["--hidden", "16"]),
        (["--hidden_size", "16"], ["--hidden", "16"]),
        (["--num-layers=2"], ["--layers", "2"]),
        (["--embedding-size", "12"], ["--embedding", "12"]),
        (["--Learning_Rate", "0.01"], ["--lr", "0.01"]),
        (["--clip-norm", "0.5"], ["--clip", "0.5"]),
        (["--seed", "42"], ["--rng", "42"]),
        (["--cell", "LSTM"], []),
        (["--val", "20%"], ["--val", "0.2"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_other_spellings_are_understood(text: Path, typed: list[str], meant: list[str]) -> None:
    words = ["train", text, "--steps", "3", "--threads", "1", "--batch-size", "4", "-q"]
    for out, extra in (("a", typed), ("b", meant)):
        result = textgen_cli(*words, "--out", out, *extra)
        assert result.exit_code == 0, result.stderr
    assert outcome(Path("a")) == outcome(Path("b"))
    # It is shown nowhere, and counts as spelled out.
    assert "--hidden-size" not in textgen_cli("train", "--help").stdout
    if typed[0] == "--seed":
        refused = textgen_cli(*words, "--out", "a", "--resume", "--seed", "1")
        assert refused.exit_code == 7 and "--rng = 42, not 1" in refused.stderr


@pytest.mark.usefixtures("no_curve")
def test_one_name_for_one_setting(text: Path) -> None:
    """The table, the errors and the printed command call a setting by its flag."""
    result = textgen_cli("train", text, *QUICK, "--out", "run", "--explain", COLUMNS="200")
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    rows = {line.split()[0] for line in lines if line.strip()}
    flags = {"--hidden", "--layers", "--embedding", "--seq-len", "--batch-size", "--learning-rate"}
    assert flags <= rows
    assert not {"hidden_size", "num_layers", "seq_len", "batch_size"} & rows
    # Copied from however narrow a terminal, the command is one line and all of it.
    narrow = textgen_cli("train", text, *QUICK, "--out", "other", COLUMNS="40")
    (line,) = [line for line in narrow.stderr.splitlines() if line.startswith("textgen train ")]
    assert flags <= set(shlex.split(line)) and line.endswith("--out other-2")
    described = textgen_cli("inspect", "checkpoint", "other", COLUMNS="40").stdout
    assert line in described.splitlines()
    assert "--hidden" in described and "hidden_size" not in described


@pytest.mark.usefixtures("no_curve")
def test_a_run_named_by_its_folder_alone(text: Path) -> None:
    assert textgen_cli("train", text, *QUICK, "-q").exit_code == 0
    result = textgen_cli("train", "checkpoints/novel")
    assert result.exit_code == 2
    assert "textgen train checkpoints/novel --more 2m" in result.stderr
    # Its name is enough, as for `sample`.
    assert textgen_cli("train", "novel", "--resume", "-q").exit_code == 0
    assert textgen_cli("train", "novel", "--more", "2steps", "-q").exit_code == 0


@pytest.mark.usefixtures("no_curve")
def test_from_says_what_it_took_over(text: Path) -> None:
    assert textgen_cli("train", text, *QUICK, "--fold", "--out", "parent", "-q").exit_code == 0
    known = len(textgen.load("parent").vocabulary) - 2
    new = Path("new.txt")
    new.write_text(russian_text(1500, seed=2) + " zebra", encoding="utf-8")
    result = textgen_cli(
        *("train", new, "--from", "parent", "--steps", "4", "--threads", "1", "--out", "child"),
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    choices = {choice["name"]: choice for choice in events(result)[0]["choices"]}
    assert choices["from"]["value"] == f"{known} symbols kept, 5 new"
    reason = choices["from"]["reason"]
    assert reason.startswith("weights of parent: lstm 1 x 24, at step 6")
    assert "lower case, letters only" in reason


@pytest.mark.usefixtures("no_curve")
def test_a_validation_file_with_unknown_characters_is_told(text: Path) -> None:
    val = Path("val.txt")
    val.write_text(russian_text(591, seed=7) + "zzzzzzzzz", encoding="utf-8")
    result = textgen_cli("train", text, *QUICK, "--val", val, "--json")
    (note,) = [note for note in events(result)[0]["notes"] if "unknown" in note]
    assert note.startswith("9 of the 600 characters of val.txt (1.50%) are unknown to the model")


@pytest.mark.usefixtures("no_curve")
def test_a_damaged_text_is_read_on_request(text: Path) -> None:
    whole = text.read_bytes()
    place = whole.index(b"\n") + 1
    text.write_bytes(whole[:place] + b"\xff" + whole[place:])
    refused = textgen_cli("train", text, *QUICK)
    assert refused.exit_code != 0
    assert f"is UTF-8 with 1 bad byte (ff) at byte {place:,} (line 2)" in refused.stderr
    result = textgen_cli("train", text, *QUICK, "--encoding-errors", "replace")
    assert result.exit_code == 0, result.stderr
    assert f"has bytes that stand for no character in 1 place at byte {place:,}" in result.stderr
    assert " --encoding-errors replace" in result.stderr.split("to repeat this run:")[1]
    wrong = textgen_cli("train", text, *QUICK, "--encoding-errors", "ignore")
    assert wrong.exit_code != 0 and "strict, replace" in wrong.stderr


@pytest.mark.usefixtures("no_curve")
def test_a_guessed_encoding_is_told(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.corpus.codepage.confidence", lambda candidates: 0.61)
    text.write_bytes(("Zoë came home. It was late, and she was tired.\n" * 40).encode("cp1252"))
    result = textgen_cli("train", text, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "is read as cp1252, which is a guess (confidence 0.61): it gives 'Zoë" in result.stderr
    assert "give --encoding " in result.stderr


@pytest.mark.usefixtures("no_curve")
def test_a_percent_sign_and_a_decimal_comma(text: Path) -> None:
    result = textgen_cli("train", text, *QUICK, "--dropout", "12,5%", "--val", "0,2", "--json")
    assert result.exit_code == 0, result.stderr
    (start, *_) = events(result)
    assert next(c["value"] for c in start["choices"] if c["name"] == "dropout") == 0.125
    assert " --val 0.2 " in start["command"]


def test_a_text_after_an_option_of_another_program() -> None:
    result = textgen_cli("train", "--data", "my text.txt", "--steps", "5")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("textgen train 'my text.txt' --steps 5")
