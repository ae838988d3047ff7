"""`textgen sample --prompt-loop`: each line of JSON is answered by one, whatever stands in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_runs import SMALL, environment, names, textgen_cli

import textgen
from textgen.options import SampleOptions
from textgen.settings import settings_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> textgen.Model:
    folder = tmp_path_factory.mktemp("loop")
    how = {"documents": "line", "steps": 60, "rng": 1}
    return textgen.train(text="\n".join(names()), out=folder / "names", **SMALL, **how).load()


def answers(model, *lines, words=()):
    asked = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    result = textgen_cli(
        "sample", "--prompt-loop", "--checkpoint", model.path, *words, input=asked, NO_COLOR="1"
    )
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_line_is_written_as_it_is_by_itself(model) -> None:
    asked = [
        {"prompt": "No", "length": 9, "temperature": 0.5, "rng": 4},
        {"prompt": "No", "top-p": 0.5, "stop": "a", "rng": None},
        {"stop": ["a", "e"], "until_end": False, "length": 30},
        {"prompt": "Ж", "chars": "5..6"},
    ]
    own = [
        {"length": 9, "temperature": 0.5, "rng": 4},
        {"top_p": 0.5, "stop": ("a",), "rng": 7},
        {"stop": ("a", "e"), "until_end": False, "length": 30, "rng": 7},
        {"chars": "5..6", "rng": 7},
    ]
    found = answers(model, *asked, words=("--rng", "7"))
    for answer, one, settings in zip(found, asked, own, strict=True):
        (text,) = model.generate_many([one.get("prompt", "")], **settings)
        assert answer["generated"] == text.text
        assert answer["text"] == model.fit_seed(one.get("prompt", "")).text + text.text
        assert answer["finish_reason"] == text.finish_reason
        assert answer["bits_per_char"] == pytest.approx(text.bits_per_char)
    assert "dropped" in found[3]["notice"]
    assert found[3]["form_bits"] > 0
    assert "form_bits" not in found[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x", "the line is no JSON: 'x'"),
        ("", "the line is no JSON: ''"),
        ("[1]", "the line is no object"),
        ({"promt": "x"}, "'promt' is no setting of a text; did you mean 'prompt'?"),
        ({"prompt": 3}, "prompt is 3; it must be a text"),
        ({"top_p": 7}, "--top-p is 7; it must be above 0"),
        ({"length": "long"}, "--length is 'long'"),
        ({"match": "a("}, "--match"),
    ],
)
def test_a_wrong_line_is_answered_and_the_next_one_is_written(model, line, message) -> None:
    wrong, right = answers(model, line, {"prompt": "No"})
    assert (wrong["event"], wrong["exit_code"]) == ("error", 2)
    assert message in wrong["message"]
    assert right["text"] == model.generate("No")


def test_every_setting_has_the_name_of_its_option(model) -> None:
    """None changes nothing, so every name can be tried at once; `words` is `only_words`."""
    fields = {item.flag.removeprefix("--"): None for item in settings_of(SampleOptions)}
    fields |= {item.name: None for item in settings_of(SampleOptions)}
    assert {"top-p", "words", "only_words"} <= set(fields)
    (answer,) = answers(model, fields)
    assert answer["text"] == model.generate()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--seed", "No"), "--prompt-loop does not go with --seed: each line has its prompt"),
        (("No",), "'No' is written without an option"),
    ],
)
def test_what_has_no_place_in_it_is_refused(model, words, error) -> None:
    result = textgen_cli("sample", "--prompt-loop", "--checkpoint", model.path, *words, input="")
    assert result.exit_code == 2
    assert error in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_an_answer_comes_at_once_and_sigterm_ends_it(model, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "textgen", "sample", "--prompt-loop", "-c", str(model.path)]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for prompt in ("No", "x", "An"):
            process.stdin.write(json.dumps({"prompt": prompt}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["generated"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert process.stdout.read() == ""
        assert process.stderr.read().splitlines()[-1] == "textgen: interrupted"
