"""What people hand to the library: it works, or one clear error says what to write instead."""

from __future__ import annotations

import copy
import datetime
import inspect
import io
import math
import multiprocessing
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import SMALL, environment, russian_text

import textgen
from textgen.comparison import Compared
from textgen.errors import BackendError, ConfigError, InspectionError, SamplingError, StorageError
from textgen.options import TrainOptions

TEXT = russian_text(2000)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> textgen.TrainResult:
    folder = tmp_path_factory.mktemp("edges")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setenv("TEXTGEN_CACHE", str(folder / "cache"))
    try:
        return textgen.train(folder / "text.txt", out=folder / "run", steps=20, **SMALL)
    finally:
        patch.undo()


@pytest.fixture
def model(trained: textgen.TrainResult) -> textgen.Model:
    return trained.load()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two texts in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "two.txt").write_text(russian_text(600, seed=1), encoding="utf-8")
    return tmp_path


def train(*paths: Any, **settings: Any) -> textgen.TrainResult:
    """A run of two steps, always anew."""
    return textgen.train(*paths, **{**SMALL, "out": "run", "steps": 2, "force": True, **settings})


def train_on_open_file() -> textgen.TrainResult:
    with open("one.txt", encoding="utf-8") as file:
        return train(file)


def request_of(result: textgen.TrainResult) -> dict[str, Any]:
    """The options that a run keeps."""
    from textgen.checkpoint.format import read_file

    header, _ = read_file(result.folder / "resume.safetensors", kind="resume")
    record = header["record"]
    return {**record["request"], **record["request"]["corpus"], "paths": record["paths"]}


@pytest.mark.parametrize(
    ("settings", "name", "kept"),
    [
        ({"steps": np.int64(2)}, "steps", 2),
        ({"batch_size": np.array(4)}, "batch_size", 4),
        ({"dropout": np.float32(0.25)}, "dropout", 0.25),
        ({"tie": np.bool_(False)}, "tie", False),
        ({"cell": "LSTM"}, "cell", "lstm"),
        ({"cell": "Depth_Gated"}, "cell", "depth-gated"),
        ({"level": "Byte"}, "level", "byte"),
        ({"val": 0.2}, "val", "0.2"),
        ({"val": np.float64(0.2)}, "val", "0.2"),
    ],
)
def test_values_that_mean_a_plain_one(
    place: Path, settings: dict[str, Any], name: str, kept: Any
) -> None:
    value = request_of(train("one.txt", **settings))[name]
    assert (value, type(value)) == (kept, type(kept))


def test_a_path_validates(place: Path) -> None:
    assert Path(request_of(train("one.txt", val=Path("two.txt")))["val"]).name == "two.txt"


def test_a_budget_may_be_a_timedelta(place: Path) -> None:
    result = train("one.txt", steps=None, budget=datetime.timedelta(milliseconds=200))
    assert request_of(result)["budget"] == 0.2
    assert result.ended.reason == "finished"


@pytest.mark.parametrize(
    "paths",
    [
        [["one.txt", "two.txt"]],
        ["one.txt", ["two.txt"]],
        ["*.txt"],
        [(Path(name) for name in ("one.txt", "two.txt"))],
        [np.array(["one.txt", "two.txt"])],
        [b"one.txt", Path("two.txt")],
    ],
    ids=["list", "mixed", "pattern", "generator", "array", "bytes"],
)
def test_several_texts(place: Path, paths: list[Any]) -> None:
    kept = request_of(train(*paths))["paths"]
    assert [Path(path).name for path in kept] == ["one.txt", "two.txt"]


def test_a_file_whose_name_is_a_pattern(place: Path) -> None:
    (place / "[a].txt").write_text(TEXT, encoding="utf-8")
    assert Path(request_of(train("[a].txt"))["paths"][0]).name == "[a].txt"


def test_a_text_itself(place: Path) -> None:
    result = textgen.train(text=TEXT, steps=2, **SMALL)
    assert result.folder == Path("checkpoints/text")
    model = result.load()
    assert "trained on <text>" in repr(model)
    # The same text from a file gives the same weights.
    from_file = train("one.txt").load()
    for name, weight in model.saved.weights.items():
        np.testing.assert_array_equal(weight, from_file.saved.weights[name])


#: What is wrong with the settings of `train`, and what the message must say.
WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"epochs": "3"}, "epochs is '3'; it must be a number, or None: epochs=3"),
    ({"steps": "500"}, "steps is '500'; it must be a whole number, or None: steps=500"),
    ({"steps": 2.5}, "steps is 2.5; it must be a whole number, or None, such as steps=2"),
    ({"steps": 1e3}, "steps is 1000.0; it must be a whole number, or None: steps=1000"),
    ({"steps": 10**400}, "steps is 1000"),
    ({"steps": np.array([2, 3])}, "steps is array"),
    ({"hidden_size": True}, "hidden_size is True; it must be a whole number"),
    ({"dropout": "0.1"}, "dropout is '0.1'; it must be a number, or None: dropout=0.1"),
    ({"dropout": "0,1"}, "dropout=0.1"),
    ({"dropout": math.nan}, "dropout is nan"),
    ({"learning_rate": math.inf}, "learning_rate is inf"),
    ({"budget": math.nan}, "'nan' is not a duration"),
    ({"budget": math.inf}, "'inf' is not a duration"),
    ({"epochs": math.nan}, "epochs is nan"),
    ({"tie": 1}, "tie is 1; it must be True or False"),
    ({"force": "yes"}, "force is 'yes'; it must be True or False"),
    ({"cell": 3}, "cell is 3; it must be a text"),
    ({"val": True}, "val is True; it must be a share such as 0.1, or the path of a file"),
    ({"encoding": b"utf-8"}, "encoding is b'utf-8'; it must be a text, or None"),
    ({"stop": True}, "stop is True; it must be a function"),
    ({"on_event": "print"}, "on_event is 'print'; it must be a function"),
    ({"out": 5}, "out is 5; it must be a path or a name"),
    ({"hidden": 64}, "did you mean 'hidden_size'?"),
    ({"lr": 0.1}, "did you mean 'learning_rate'?"),
    ({"seed": 1}, "did you mean 'rng'?"),
    ({"layers": 2}, "did you mean 'num_layers'?"),
    ({"batchsize": 2}, "did you mean 'batch_size'?"),
    ({"hiden": 2}, "did you mean 'hidden_size'?"),
    ({"resume_from": "x"}, "did you mean 'resume'?"),
    ({"zzz": 2}, "train has no setting 'zzz'; help(textgen.train) lists all"),
]


@pytest.mark.parametrize(
    ("settings", "message"), WRONG_SETTINGS, ids=[str(s)[:40] for s, _ in WRONG_SETTINGS]
)
def test_wrong_settings(place: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train("one.txt", **{"steps": None, **settings})
    assert message in str(caught.value)
    assert not Path("run").exists()


WRONG_TEXTS: list[tuple[str, Callable[[], Any], str]] = [
    ("text", lambda: train("Once upon a time\nthere was"), "train(text=...)"),
    ("sentence", lambda: train("Once upon a time there was a king."), "train(text=...)"),
    ("long", lambda: train("word" * 100), "looks like the text itself"),
    ("file", lambda: train_on_open_file(), "it takes a path: train('one.txt')"),
    ("stream", lambda: train(io.StringIO(TEXT)), "train(text=...)"),
    ("none", lambda: train(None), "it takes the paths of texts"),
    ("number", lambda: train(5), "it takes the paths of texts"),
    ("mapping", lambda: train({"one.txt": 1}), "it takes the paths of texts"),
    ("empty", lambda: train(""), "empty path"),
    ("nothing", lambda: train(), "no text was named"),
    ("empty list", lambda: train([]), "no text was named"),
    ("pattern", lambda: train("*.md"), "no file matches *.md"),
    ("missing", lambda: train("my file of the year.txt"), "does not exist"),
    ("both", lambda: train("one.txt", text=TEXT), "not both"),
    ("bytes", lambda: train(text=TEXT.encode()), "text is b'"),
    ("surrogate", lambda: train(text="ab\ud83d" * 9), "character 2 of the text is U+D83D"),
    ("encoding", lambda: train(text=TEXT, encoding="cp1251"), "leave it out with text"),
    ("from", lambda: train(text=TEXT, from_="x"), "write it to a file first"),
]


@pytest.mark.parametrize(
    ("call", "message"), [row[1:] for row in WRONG_TEXTS], ids=[row[0] for row in WRONG_TEXTS]
)
def test_what_is_no_text(place: Path, call: Callable[[], Any], message: str) -> None:
    with pytest.raises(textgen.TextgenError) as caught:
        call()
    assert message in str(caught.value)


WRONG_CALLS: list[tuple[Callable[[textgen.Model], Any], str]] = [
    (lambda m: m.generate(temp=1), "did you mean 'temperature'?"),
    (lambda m: m.generate(temprature=1), "did you mean 'temperature'?"),
    (lambda m: m.generate(max_tokens=5), "did you mean 'length'?"),
    (lambda m: m.generate(prompt="x"), "did you mean 'seed'?"),
    (lambda m: m.generate(n=3), "'n' (generate_many writes several texts)"),
    (lambda m: m.generate(temperature="hot"), "temperature is 'hot'; it must be a number"),
    (lambda m: m.generate(length=2.0), "length=2"),
    (lambda m: m.generate(length=math.inf), "length is inf"),
    (lambda m: m.generate(temperature=math.nan), "temperature is nan"),
    (lambda m: m.generate(123), "the seed is 123; it must be a str: '123'"),
    (lambda m: m.generate(b"ab"), "seed.decode()"),
    (lambda m: m.generate(["a", "b"]), "generate_many(seeds)"),
    (lambda m: m.generate("a", "b"), "too many positional arguments"),
    (lambda m: m.generate(steer=5), "steer is 5; it must be like '0:137=+2'"),
    (lambda m: m.generate(steer=[5]), "5 steers nothing"),
    (lambda m: m.stream("a", temp=1), "did you mean 'temperature'?"),
    (lambda m: m.live_stream("a", steer=5), "it must be a LiveSteering"),
    (lambda m: m.writer(temp=1), "did you mean 'temperature'?"),
    (lambda m: m.generate_many("a"), "generate_many(4, seed)"),
    (lambda m: m.generate_many(2.5), "count is 2.5; it must be a whole number"),
    (lambda m: m.generate_many(True), "count is True"),
    (lambda m: m.generate_many(None), "count is None"),
    (lambda m: m.generate_many([]), "give at least one"),
    (lambda m: m.generate_many(["a", 3]), "the seed is 3"),
    (lambda m: m.generate_many(["a"], "b"), "leave one out"),
    (lambda m: m.trace(5), "text is 5; it must be a text"),
    (lambda m: m.trace("a", quantities=5), "quantities is 5"),
    (lambda m: m.trace("a", layers=["0"]), "layers is '0'"),
    (lambda m: m.trace("a", top="3"), "top is '3'; it must be a whole number: top=3"),
    (lambda m: m.trace("a", units=[3]), "3 is not a neuron"),
    (lambda m: m.trace("a", units="0:999"), "there is no neuron 0:999"),
    (lambda m: m.trace("a", quantity="cell"), "did you mean 'quantities'?"),
    (lambda m: m.evaluate(), "no text was named; give a file, a folder, or text=..."),
    (lambda m: m.evaluate(text=""), "<text> is empty"),
    (lambda m: m.evaluate("Once upon a time\nthere"), "evaluate(text=...)"),
    (lambda m: m.evaluate(text="ab", window="5"), "window is '5'"),
    (lambda m: m.evaluate(text="ab", windows=5), "did you mean 'window'?"),
    (lambda m: m.evaluate(text="ab", streams=True), "streams is True"),
    (lambda m: m.evaluate(text="ab", window=0), "window is 0; it must be at least 1"),
    (lambda m: m.evaluate(text="ab", history=2, streams=2), "streams carries its state on"),
    (lambda m: m.evaluate(text="ab", limit=9), "limit goes with history, or with pairs; history=N"),
    (lambda m: m.evaluate_pairs("a.tsv"), "evaluate_pairs needs a model of pairs"),
    (lambda m: m.evaluate_pairs("a.tsv", window=9), "evaluate_pairs has no setting 'window'"),
    (lambda m: m.encode(5), "text is 5; it must be a text"),
    (lambda m: m.fit_seed(5), "seed is 5; it must be a text"),
    (lambda m: m.target(5), "name is 5; it must be a text"),
    (lambda m: m.memory(5), "5 is not a text"),
    (lambda m: m.memory("a", maxlag=5), "did you mean 'max_lag'?"),
    (lambda m: m.bits_per_char([10**6]), "the tokens lie in"),
    (lambda m: m.bits_per_char([1.5]), "is not a text"),
    (lambda m: m.steering(5), "5 steers nothing"),
    (lambda m: m.steered(5).__enter__(), "5 steers nothing"),
    (lambda m: textgen.load(5), "the model is 5; it must be a path or a name"),
    (lambda m: textgen.load(path="x"), "load has no setting 'path'"),
]


@pytest.mark.parametrize(
    ("call", "message"), WRONG_CALLS, ids=[f"{n}: {m[:30]}" for n, (_, m) in enumerate(WRONG_CALLS)]
)
def test_wrong_calls(
    model: textgen.Model, call: Callable[[textgen.Model], Any], message: str
) -> None:
    with pytest.raises(textgen.TextgenError) as caught:
        call(model)
    assert message in str(caught.value)


def test_a_seed_may_be_left_out_in_words(model: textgen.Model) -> None:
    assert model.generate(None, length=9) == model.generate("", length=9)
    assert model.generate(np.str_("дом"), length=3) == model.generate("дом", length=3)
    fitted = model.fit_seed("дом")
    assert model.generate(fitted, length=9) == model.generate("дом", length=9)


def test_a_text_after_each_seed(model: textgen.Model) -> None:
    seeds = ["дом", "", "утром", "сад", "Иван"]
    texts = model.generate_many(seeds, length=12, rng=3)
    for index, (seed, text) in enumerate(zip(seeds, texts, strict=True)):
        alone = model.stream(seed, length=12, rng=3, index=index)
        assert text.text == "".join(symbol.text for symbol in alone)
    many = model.generate_many(np.array(seeds), length=12, rng=3)
    assert [text.text for text in many] == [text.text for text in texts]
    assert len(model.generate_many(np.int64(2), length=3)) == 2
    steered = model.generate_many(["дом", "сад"], length=12, steer="0:3=+9")
    assert steered[1].text == "".join(
        symbol.text for symbol in model.stream("сад", length=12, index=1, steer="0:3=+9")
    )


def test_load_takes_what_names_a_model(
    trained: textgen.TrainResult, model: textgen.Model, place: Path
) -> None:
    assert textgen.load(model) is model
    for spec in (trained, trained.folder, str(trained.model), bytes(trained.folder)):
        assert textgen.load(spec).digest == model.digest
    further = train("one.txt", from_=model, hidden_size=None)
    assert further.load().config == model.config


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_writes_the_same(model: textgen.Model, again: Callable[[Any], Any]) -> None:
    with model.steered("0:3=+9"):
        steered, other = model.generate("дом", length=20), again(model)
    assert other.generate("дом", length=20) == steered
    plain = again(model)
    assert plain.generate("дом", length=20) == model.generate("дом", length=20)
    assert plain.vocabulary.symbols == model.vocabulary.symbols
    assert repr(plain) == repr(model)


def _write(task: tuple[textgen.Model, int]) -> str:
    return task[0].generate("дом", length=20, rng=task[1])


def test_another_process_writes_the_same(model: textgen.Model) -> None:
    """One that was started anew, as on Windows and macOS."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        written = pool.map(_write, [(model, 1), (model, 2)])
    assert written == [_write((model, 1)), _write((model, 2))]


def test_threads_share_a_model(trained: textgen.TrainResult) -> None:
    alone = [trained.load().generate("дом", length=60, rng=rng) for rng in range(6)]
    shared, found = trained.load(), [""] * 6

    def write(rng: int) -> None:
        found[rng] = shared.generate("дом", length=60, rng=rng)

    threads = [threading.Thread(target=write, args=(rng,)) for rng in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_the_cost_of_a_string(model: textgen.Model, place: Path) -> None:
    text = (place / "two.txt").read_text(encoding="utf-8")
    whole = model.evaluate(text=text, threads=1)
    assert whole == model.evaluate("two.txt", threads=1)
    assert model.evaluate(["one.txt", Path("two.txt")], threads=1).chars == len(TEXT + text)
    assert whole.cold is None
    cut = model.evaluate(text=text, window=50, threads=1)
    assert cut.cold is not None
    assert cut.cold.nats > whole.nats and cut.cold.chars == whole.chars - 1
    assert set(cut.to_dict()) == set(whole.to_dict())
    assert model.bits_per_char("дом") == model.bits_per_char(model.encode("дом").tolist())


def test_representations(trained: textgen.TrainResult, model: textgen.Model) -> None:
    info = repr(model)
    for part in (
        str(trained.model),
        "lstm, 1 layer of 24 neurons",
        f"{len(model.vocabulary)} symbols at level char",
        "trained on text.txt",
        f"{trained.bits_per_char:.3f} bits/char",
    ):
        assert part in info
    assert "\n" not in info and len(info) < 400
    assert f"{trained.bits_per_char:.3f} bits/char, finished after 20 of 20 steps" in repr(trained)
    evaluation = model.evaluate(text=TEXT, window=9, threads=1)
    assert repr(evaluation).startswith(f"<Evaluation: {evaluation.bits_per_char:.4f} bits/char, in")


def test_a_model_that_says_nothing_of_its_making_has_a_representation(model: textgen.Model) -> None:
    from dataclasses import replace

    for info in ({}, {"metrics": {}, "of a newer version": [3, {}]}):
        bare = textgen.Model(replace(model.saved, info=info), Path("some.safetensors"))
        assert repr(bare).startswith("<Model: some.safetensors: lstm, 1 layer of 24 neurons")


def test_a_trace_is_read_by_quantity(model: textgen.Model) -> None:
    trace = model.trace("Утром дом и сад, а потом ещё дом и сад")
    assert len(repr(trace)) < 160 and repr(trace).startswith("<Trace: 'Утром дом")
    assert trace["cell"].shape == (len(trace), 24) == (38, 24)
    assert trace.neurons == tuple((0, unit) for unit in range(24))
    np.testing.assert_array_equal(trace["cell"][:, 3], trace.values(0, 3, "cell"))
    np.testing.assert_array_equal(trace["cell", 0], trace["cell"])
    assert "cell" in trace and "reset-gate" not in trace
    some = model.trace("дом", units=["0:5", (0, 2)], quantities="hidden")
    assert some.neurons == ((0, 5), (0, 2)) and some.quantities == ("hidden",)
    np.testing.assert_array_equal(some["hidden"], model.trace("дом")["hidden"][:, [5, 2]])
    assert model.trace("")["cell"].shape == (0, 24)
    for key in ("cel", 0, ("cell", 3), ("cell", "0"), None):
        with pytest.raises(InspectionError):
            trace[key]


def test_layers_of_a_trace_stand_side_by_side(place: Path) -> None:
    model = train("one.txt", num_layers=2).load()
    trace = model.trace("дом")
    assert trace["cell"].shape == (3, 48)
    np.testing.assert_array_equal(trace["cell"][:, 24:], trace["cell", 1])
    assert trace.neurons[24] == (1, 0)
    assert model.trace("дом", layers=1).neurons == trace.neurons[24:]


def test_a_trace_as_a_table(model: textgen.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = model.trace("дом", quantities=["cell", "hidden"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BackendError, match="pip install pandas"):
        trace.to_pandas()
    # What the library is asked for: a table of these columns.
    stand_in = types.ModuleType("pandas")
    stand_in.DataFrame = lambda columns, index: (columns, index)  # type: ignore[attr-defined]
    stand_in.Index = lambda places, name: (name, list(places))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    columns, index = trace.to_pandas()
    assert index == ("token", [0, 1, 2])
    assert columns["text"] == ["д", "о", "м"]
    assert columns["bits"] == pytest.approx(trace.nats / math.log(2))
    assert len(columns) == 2 + 2 * 24
    np.testing.assert_array_equal(columns["0:5 hidden"], trace.values(0, 5, "hidden"))


#: What all runs of a comparison are asked for.
BASE = TrainOptions(steps=2, batch_size=4, seq_len=16, threads=1)


def test_a_comparison_takes_a_path_and_names(place: Path) -> None:
    (result,) = [
        record.result
        for record in textgen.compare_cells("one.txt", ["rnn:relu", "LSTM"], BASE, params=2000)
        if isinstance(record, Compared)
    ]
    assert result.paths == ("one.txt",)
    assert [row["cell"] for row in result.to_json()["cells"]] == ["rnn", "lstm"]


WRONG_COMPARISONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: textgen.compare_cells("one.txt", ["lsmt"], BASE), "cell 'lsmt' is not known"),
    (lambda: textgen.compare_cells("one.txt", ["gru", "GRU"], BASE), "cells names gru twice"),
    (lambda: textgen.compare_cells("one.txt", [5], BASE), "5 is not a cell; name one"),
    (lambda: textgen.compare_cells("one.txt", 5, BASE), "5 is not a cell; name one"),
    (lambda: textgen.compare_cells("one.txt", "gru", {"steps": 2}), "TrainOptions(steps=500)"),
    (lambda: textgen.compare_cells("one.txt", "gru", BASE, parms=2000), "did you mean 'params'?"),
    (lambda: textgen.compare_cells("one.txt", "gru", BASE, params=2e3), "params=2000"),
    (lambda: textgen.compare_history(5, [1], BASE), "it takes the paths of texts"),
    (lambda: textgen.compare_history("one.txt", [1], None), "TrainOptions(steps=500)"),
    (lambda: textgen.compare_task("recall", [1], [5], BASE), "5 is not a cell; name one"),
]


@pytest.mark.parametrize(
    ("call", "message"), WRONG_COMPARISONS, ids=[message for _, message in WRONG_COMPARISONS]
)
def test_wrong_comparisons(place: Path, call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(call())
    assert message in str(caught.value)


def test_progress_shows_the_bar_and_nothing_else(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train("one.txt", steps=30, progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "100%" in printed.err and "bits/char" in printed.err and "left" in printed.err
    train("one.txt")
    assert capfd.readouterr().err == ""


def test_the_bar_is_taken_away_after_an_error(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(event: Any) -> None:
        if event.name == "report":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train("one.txt", progress=True, on_event=fail)
    assert capfd.readouterr().err.endswith("\n")


def test_a_path_that_is_missing_is_no_text(place: Path) -> None:
    with pytest.raises(StorageError, match=r"corpora/notes.txt does not exist"):
        train("corpora/notes.txt")


def test_errors_of_sampling_are_errors_of_sampling(model: textgen.Model) -> None:
    with pytest.raises(SamplingError):
        model.generate(length="5")


def test_help_says_names_defaults_and_meaning() -> None:
    signature = inspect.signature(textgen.train)
    assert signature.parameters["hidden_size"].default is None
    assert signature.parameters["val"].default == "0.1"
    assert signature.parameters["level"].default == "char"
    assert "settings" not in signature.parameters and "corpus" not in signature.parameters
    assert inspect.signature(textgen.Model.generate).parameters["temperature"].default == 0.8
    text = inspect.getdoc(textgen.train) or ""
    assert (
        "\n    hidden_size = None: The number of neurons (units) in each layer. Default: chosen"
        in text
    )
    assert "budget = " not in text  # It is explained among the arguments.
    assert all(len(line) <= 100 for line in text.splitlines())
    shown = inspect.getdoc(textgen.Model.generate) or ""
    assert "\n    top_k = 0: Choose only among the N most likely tokens; 0 allows all.\n" in shown


def test_parts_are_loaded_when_they_are_named() -> None:
    code = "import textgen; print(textgen.cells.register_cell.__name__, textgen.errors.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout.split() == ["register_cell", "textgen.errors"]
