"""`textgen sample` with models of documents: where texts end, and what stands between them."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.small_runs import names, process, textgen_cli

import textgen
from textgen.checkpoint import MODEL_NAME
from textgen.cli.train_view import sample_command
from textgen.corpus.vocabulary import END_ID
from textgen.inspection import steerable


def sample(trained: Any, *words: str | Path, **more: object) -> str:
    env = {"TEXTGEN_CACHE": str(trained.cache)}
    result = textgen_cli("sample", "-c", trained.folder, *words, **env, **more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def said(trained: Any, *words: str | Path) -> str:
    """What is on stderr but for the lines that say what computes, and that counts do not."""
    result = textgen_cli("sample", "-c", trained.folder, *words, TEXTGEN_CACHE=str(trained.cache))
    assert result.exit_code == 0, result.stderr
    return "\n".join(
        line
        for line in result.stderr.splitlines()
        if not line.startswith(("sampling: ", "mixing: no counts"))
    )


def test_a_text_ends_where_a_document_ends(named: Any) -> None:
    (text,) = json.loads(sample(named, "--json"))["samples"]
    assert text["finish_reason"] == "end"
    assert 2 < len(text["generated"]) < 20
    assert "\n" not in text["generated"]
    assert sample(named) == text["text"] == sample(named, "--until-end")
    assert said(named, "--until-end") == ""
    # The length is a limit.
    assert sample(named, "-n", "2") == text["text"][:2]


@pytest.mark.parametrize("path", ["native", "reference"])
def test_names_are_names(named: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is as long as what a forbidden end mark drives a network to."""
    monkeypatch.setenv("TEXTGEN_PATH", path)
    written = sample(named, "--count", "40").splitlines()
    assert len(written) == 40
    longest = max(map(len, names()))
    assert sum(len(name) <= longest + 3 for name in written) >= 38
    assert sample(named, "--count", "40", "--exact").splitlines()[0] == sample(named)


def test_every_way_of_writing_agrees(named: Any) -> None:
    model = named.load()
    for settings in ({}, {"keep_going": True, "length": 70}):
        words = ["--keep-going", "-n", "70"] if settings else []
        text = sample(named, *words, "--rng", "3")
        assert model.generate(rng=3, **settings) == text
        assert "".join(s.text for s in model.stream(rng=3, **settings)) == text
        assert model.generate_many(2, rng=3, **settings)[0].text == text
        assert model.generate_many(5, rng=3, exact=True, **settings)[0].text == text
        written = "".join(s.text for s in model.writer(rng=3, **settings).write())
        assert written == text
        record = json.loads(sample(named, *words, "--rng", "3", "--json"))
        (one,) = record["samples"]
        assert one["text"] == text
        assert one["finish_reason"] == ("length" if settings else "end")
        assert record["settings"]["keep_going"] is bool(settings)


def test_keep_going_writes_a_list_of_names(named: Any) -> None:
    text = sample(named, "--keep-going", "-n", "200")
    assert len(text) == 200
    lines = text.split("\n")
    assert len(lines) > 15 and all(line[:1].isupper() for line in lines if line)
    assert text.startswith(sample(named) + "\n")
    seeded = sample(named, "--seed", "Bel", "--keep-going", "-n", "60")
    assert seeded.startswith("Bel") and len(seeded) == 63
    stopped = sample(named, "--keep-going", "--stop", r"\n", "-n", "200")
    assert stopped == sample(named)
    assert (
        "contradict"
        in textgen_cli("sample", "-c", named.folder, "--keep-going", "--until-end").stderr
    )


def test_poems_stand_apart(of_poems: Any) -> None:
    many = sample(of_poems, "--count", "6")
    record = json.loads(sample(of_poems, "--count", "6", "--json"))
    texts = [text["text"] for text in record["samples"]]
    assert many == "\n\n".join(texts) + "\n"
    going = sample(of_poems, "--keep-going", "-n", "150")
    whole = [poem for poem in going.split("\n\n")[:-1] if poem]
    assert len(whole) >= 2
    assert sum(poem.count("\n") == 1 for poem in whole) >= len(whole) - 1


def test_a_file_holds_the_texts_alone(named: Any, tmp_path: Path) -> None:
    done = process("sample", "-c", named.folder, "--count", "5", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == sample(named, "--count", "5")
    assert len(done.stdout.decode().splitlines()) == 5


def test_known_documents_are_told(named: Any) -> None:
    known = set(names())
    words = ("--count", "30", "--novelty")
    record = json.loads(sample(named, *words, "--json"))
    texts = [text["text"] for text in record["samples"]]
    expected = [text in known for text in texts]
    assert 0 < sum(expected) < 30
    assert [text["novelty"]["in_training_text"] for text in record["samples"]] == expected
    assert [text["novelty"]["matching_documents"] for text in record["samples"]] == expected
    assert record["novelty"]["in_training_text"] == sum(expected)
    assert record["novelty"]["documents"] == 30
    assert {text["novelty"]["min_run"] for text in record["samples"]} == {
        sorted(map(len, names()))[len(names()) // 2]
    }
    told = said(named, *words)
    assert f"known: {sum(expected)} of 30 texts stand in the training text" in told
    listed = {line.strip().split(" (")[0] for line in told.splitlines() if line.startswith("  ")}
    assert {text for text in texts if text in known} == {
        line for line in listed if not line.startswith("and ")
    }
    assert sample(named, *words) == "\n".join(texts) + "\n"
    assert said(named, *words, "-q") == ""


@pytest.mark.parametrize("settings", [{"level": "byte"}, {"level": "word", "fold": True}], ids=str)
def test_known_documents_at_other_levels(settings: dict[str, Any], tmp_path: Path) -> None:
    pairs = [f"{one} É{other.lower()}" for one, other in itertools.product(names(5), names(4))]
    text = tmp_path / "pairs.txt"
    text.write_text("\n".join(pairs * 3) + "\n", encoding="utf-8")
    more = {"hidden_size": 48, "batch_size": 8, "seq_len": 32, "learning_rate": 0.02, "threads": 1}
    result = textgen.train(
        text, out=tmp_path / "run", documents="line", steps=300, **more, **settings
    )
    known = {pair.lower() for pair in pairs} if "fold" in settings else set(pairs)
    words = ("sample", "-c", result.folder, "--count", "60", "--novelty", "--json")
    record = json.loads(textgen_cli(*words, "-t", "0.5").stdout)
    expected = [text["text"] in known for text in record["samples"]]
    assert sum(expected) > 2
    found = [text["novelty"]["matching_documents"] for text in record["samples"]]
    assert found == [3 * is_known for is_known in expected]


def test_a_seed_is_part_of_a_known_document(named: Any) -> None:
    """And each of several documents in one text is looked for by itself."""
    name = names()[0]
    seed = ("--seed", name[:-1], "-n", "1", "--novelty", "--json", "-t", "0")
    for stop in ((), ("--stop", "zz")):
        (text,) = json.loads(sample(named, *seed, *stop))["samples"]
        assert text["novelty"]["in_training_text"] is (text["text"] in names())
    going = json.loads(sample(named, "--keep-going", "-n", "150", "--novelty", "--json"))
    (text,) = going["samples"]
    documents = text["novelty"]["documents"]
    assert [part["text"] for part in documents] == [p for p in text["text"].split("\n") if p]
    assert [part["in_training_text"] for part in documents] == [
        part["text"] in names() for part in documents
    ]


def test_novelty_from_the_text_itself(named: Any, tmp_path: Path) -> None:
    """It is cut into documents as in training."""
    words = ("--count", "20", "--json", "--novelty-corpus", named.text)
    cold = textgen_cli("sample", "-c", named.folder, *words, TEXTGEN_CACHE=str(tmp_path))
    warm = sample(named, "--count", "20", "--json", "--novelty")
    assert json.loads(cold.stdout)["novelty"] == json.loads(warm)["novelty"]
    missing = textgen_cli(
        "sample", "-c", named.folder, "--novelty", TEXTGEN_CACHE=str(tmp_path / "no")
    )
    assert missing.exit_code == 2
    assert f"--novelty-corpus {named.text}" in missing.stderr


def test_a_conversation_begins_another_document_after_the_end(named: Any) -> None:
    result = textgen_cli("sample", "-c", named.folder, "-i", input="Be\n\n/show\n")
    first, second, *shown = result.stdout.splitlines()
    assert shown == ["Be" + first, second]
    assert result.stderr.count("the document ends here; the next turn begins another") == 2


def test_poems_of_a_conversation_stand_apart(of_poems: Any) -> None:
    result = textgen_cli("sample", "-c", of_poems.folder, "-i", "-q", input="\n\n/show\n")
    first, second, whole = result.stdout.split("\n\n", 2)
    assert whole.rstrip("\n") == f"{first}\n\n{second}"


def test_the_model_of_one_text_knows_no_end(home: Path) -> None:
    for option in ("--until-end", "--keep-going"):
        result = textgen_cli("sample", option, "-n", "30")
        (note,) = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
        assert note.startswith(f"note: {option} has no effect: this model was trained on one text")
        assert len(result.stdout) == 30
        assert textgen_cli("sample", option, "-n", "30", "-q").stderr == ""


def test_what_training_shows(named: Any, tmp_path: Path) -> None:
    """Its samples are whole documents, and the command that it prints writes some."""
    words = ("--documents", "line", "--steps", "150", "--hidden", "24", "--threads", "1")
    words = (*words, "--learning-rate", "0.02", "--batch-size", "16", "--seq-len", "24")
    run = textgen_cli("train", named.text, *words, "--out", tmp_path / "run")
    assert run.exit_code == 0, run.stderr
    shown = [line for line in run.stderr.splitlines() if "sample at step 150: " in line]
    assert len(shown) == 1 and shown[0].count("\\n") >= 6
    command = sample_command(
        SimpleNamespace(folder=str(tmp_path / "run"), model=str(tmp_path / "run" / MODEL_NAME))  # type: ignore[arg-type]
    )
    assert command == f"textgen sample --checkpoint {tmp_path / 'run'} --items 10"
    written = textgen_cli(*shlex.split(command)[1:]).stdout.splitlines()
    assert len(set(written) - set(Path(named.text).read_text("utf-8").splitlines())) == 10


@pytest.mark.slow
def test_calibration_on_what_the_model_writes(
    named: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTGEN_CACHE", str(tmp_path / "empty"))
    model = named.load()
    ids, source = steerable._text(model.saved, model.networks)
    assert source == "text that the model wrote"
    lengths = [len(part) for part in "".join("|" if i == END_ID else "x" for i in ids).split("|")]
    assert sum(lengths) / len(lengths) < 15


def test_a_seed_of_several_documents_goes_on_from_the_last(named: Any) -> None:
    one, other = names()[:2]
    assert sample(named, "--seed", f"{one}\n{other[:2]}") == sample(named, "--seed", other[:2])
    assert "it holds 2 documents" in said(named, "--seed", f"{one}\n{other[:2]}")
    # A line end after the only name, as pipes have it, is no document's beginning.
    assert sample(named, "--seed", f"{other[:2]}\n") == sample(named, "--seed", other[:2])
    assert said(named, "--seed", f"{other[:2]}\n") == ""
    assert named.load().generate(f"{one}\n{other[:2]}") == sample(named, "--seed", other[:2])


def test_a_seed_within_a_document_stays_as_it_is(of_poems: Any) -> None:
    fitted = of_poems.load().fit_seed("a\n")
    assert fitted.text == "a\n" and fitted.notice is None
    assert of_poems.load().fit_seed("b\n\na").text == "a"
