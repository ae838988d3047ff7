"""What `import textgen` offers, and what it does not load."""

from __future__ import annotations

import ast
import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_runs import ROOT, environment

import textgen
from textgen.other_names import _CALLED, OTHER_NAMES, closest_name

NAMES = {
    "CorpusReport",
    "describe_corpus",
    *("Model", "TextgenError", "TrainResult", "__version__", "load", "train"),
    *("compare_cells", "compare_history", "compare_task"),
    *("search_settings", "submit_workers", "sweep_status"),
    *("Evaluation", "Generation", "PairsEvaluation", "Trace"),
    *("NumbersModel", "NumbersResult", "load_numbers", "train_numbers", "occurrences"),
    *("Lesson", "list_lessons", "load_lesson", "describe_cell"),
    *("compress", "decompress", "blend", "BlendedModel"),
}


def test_all_is_what_is_exported() -> None:
    assert set(textgen.__all__) == NAMES
    assert len(textgen.__all__) == len(NAMES)
    for name in textgen.__all__:
        assert getattr(textgen, name) is not None
    assert set(textgen.__all__) <= set(dir(textgen))


def test_type_checkers_see_the_same_names() -> None:
    """The names imported for them are those that are loaded when used."""
    tree = ast.parse(Path(str(textgen.__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname  # what is made public, and not only named in an annotation
    }
    assert declared == textgen._HOMES
    assert set(declared) == NAMES


def test_everything_public_has_a_docstring() -> None:
    for name in NAMES - {"__version__"}:
        value = getattr(textgen, name)
        assert inspect.getdoc(value), name
        if not inspect.isclass(value) or issubclass(value, Exception):
            continue
        for member, function in vars(value).items():
            if not member.startswith("_") and callable(function):
                assert inspect.getdoc(function), f"{name}.{member}"


def test_every_public_signature_is_typed() -> None:
    for function in (
        *(textgen.train, textgen.load, textgen.blend, textgen.cells.register_cell),
        *(textgen.describe_cell, textgen.train_numbers, textgen.load_numbers, textgen.occurrences),
        textgen.describe_corpus,
        *(textgen.list_lessons, textgen.load_lesson),
        *(
            m
            for n, m in vars(textgen.NumbersModel).items()
            if inspect.isfunction(m) and n[0] != "_"
        ),
        *(m for n, m in inspect.getmembers(textgen.Model, inspect.isfunction) if n[0] != "_"),
        *(textgen.compare_cells, textgen.compare_history, textgen.compare_task),
        *(textgen.search_settings, textgen.submit_workers, textgen.sweep_status),
    ):
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            if parameter.name != "self":
                assert parameter.annotation is not inspect.Parameter.empty, parameter


def test_keywords_are_those_that_are_declared() -> None:
    """`make keywords` has been called after an option was added."""
    script = runpy.run_path(str(ROOT / "scripts/write_keywords.py"))
    assert script["FILE"].read_text("utf-8") == script["text"]()


#: Functions that take settings, and the class of them.
TAKING = {
    textgen.train: "TrainSettings",
    textgen.train_numbers: "NumberSettings",
    textgen.Model.generate: "SampleSettings",
    textgen.Model.generate_many: "SampleSettings",
    textgen.Model.items: "SampleSettings",
    textgen.Model.generate_targets: "SampleSettings",
    textgen.Model.stream: "SampleSettings",
    textgen.Model.live_stream: "SampleSettings",
    textgen.Model.sample_options: "SampleSettings",
    textgen.Model.writer: "SampleSettings",
    textgen.Model.bits_per_char: "SampleSettings",
    textgen.Model.evaluate: "EvalSettings",
    textgen.Model.evaluate_pairs: "EvalPairsSettings",
    textgen.Model.adapt: "AdaptSettings",
    textgen.Model.trace: "TraceSettings",
    textgen.Model.memory: "MemorySettings",
    textgen.Model.read: "ReadSettings",
    textgen.Model.view: "ViewSettings",
    textgen.Model.neurons: "NeuronSettings",
    textgen.Model.features: "DictionarySettings",
    textgen.Model.similar: "SimilarSettings",
    textgen.Model.find: "FindSettings",
    textgen.occurrences: "OccurrenceSettings",
    textgen.describe_corpus: "CleanSettings",
}


def test_every_function_that_takes_settings_types_them() -> None:
    taking = {}
    for function in (
        *(textgen.train, textgen.train_numbers),
        *(
            textgen.load,
            textgen.describe_corpus,
            textgen.load_numbers,
            textgen.occurrences,
            textgen.blend,
        ),
        *(member for _, member in inspect.getmembers(textgen.Model, inspect.isfunction)),
        *(member for _, member in inspect.getmembers(textgen.BlendedModel, inspect.isfunction)),
    ):
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.kind is not parameter.VAR_KEYWORD, function
        for parameter in inspect.signature(inspect.unwrap(function)).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                taking[function] = parameter.annotation
    assert taking == {function: f"Unpack[{name}]" for function, name in TAKING.items()}


def test_other_names_of_settings_lead_to_settings() -> None:
    known = {
        name
        for function in (*TAKING, textgen.load)
        for name in inspect.signature(function).parameters
    }
    for other, names in OTHER_NAMES.items():
        assert names[0] in known, other
        assert closest_name(other, [names[0]]) == names[0]
    # No name stands in two places.
    assert len(OTHER_NAMES) == sum(len(names.split()) for names in _CALLED.values())


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = textgen.trian


_HEAVY = ("torch", "typer", "rich", "tqdm", "matplotlib", "plotext", "numpy")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import textgen", _HEAVY),
        ("import textgen; textgen.load", ("torch", "typer", "rich", "tqdm")),
        # torch itself loads tqdm.
        ("import textgen.training.run", ("typer", "rich", "matplotlib", "plotext")),
    ],
)
def test_import_is_light(code: str, absent: tuple[str, ...]) -> None:
    script = f"{code}\nimport sys\nprint([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""
