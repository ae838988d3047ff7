"""Notebooks of the lessons: valid, complete, and their cells give what stands below them."""

from __future__ import annotations

import ast
import io
import json
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import textgen_cli

import textgen
from textgen.lessons.lesson_page import Lesson
from textgen.lessons.lesson_run import plain_code

LESSONS = textgen.list_lessons()
#: Quick ones: one that reads a text, and one whose results are values and prints.
RUN = (4, 14, 19)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cells: list[dict[str, Any]]) -> str:
    return "\n".join(cell["source"] for cell in cells)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: str(lesson.number))
def test_a_notebook_has_the_whole_page(lesson: Lesson) -> None:
    """All code, with each result of the page as the output of a cell, and all text."""
    cells = code_cells(lesson.to_notebook())
    examples = [example for step in lesson.steps for example in step.examples]
    whole = "\n".join(plain_code(example) for example in examples)
    assert source(cells).endswith(whole)
    before = source(cells).removesuffix(whole)
    assert before == "" or ("make_folder" in before and '"corpora/' in whole)
    outputs = [output for cell in cells for output in cell["outputs"]]
    shown = [own.get("text") or own["data"]["text/plain"] + "\n" for own in outputs]
    assert shown == [example.want for example in examples if example.want]
    texts = [own["source"] for own in lesson.to_notebook()["cells"] if own not in cells]
    assert len(texts) == len(lesson.steps)
    assert texts[0].startswith(f"# {lesson.number}. ")
    assert not re.search(r"\]\(\d\d_|\]\(\.\./", "".join(texts))  # Those pages are not beside it.


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: str(lesson.number))
def test_a_notebook_is_valid(lesson: Lesson) -> None:
    """By the schema of nbformat 4.5: its required keys, pictures inside text, and no others."""
    written = json.loads(json.dumps(lesson.to_notebook()))
    assert set(written) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (written["nbformat"], written["nbformat_minor"]) == (4, 5)
    common = {"cell_type", "id", "metadata", "source"}
    for cell in written["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        pictures = {"attachments"} & set(cell) if cell["cell_type"] == "markdown" else set()
        assert set(cell) == common | code | pictures
        assert isinstance(cell["source"], str) and re.fullmatch(r"[\w-]{1,64}", cell["id"])
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream":
                assert set(output) == {"output_type", "name", "text"}
            else:
                assert output["output_type"] == "execute_result"
                assert set(output) == {"output_type", "execution_count", "data", "metadata"}
    ids = [cell["id"] for cell in written["cells"]]
    assert len(set(ids)) == len(ids)


def run_cell(code: str, names: dict[str, Any]) -> str:
    """What a notebook shows below a cell: what it prints, and the value of its last line."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            if value is not None:
                print(repr(value))
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("number", RUN)
def test_the_cells_give_their_outputs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook shows the value of the last line of a cell only: no result is lost by that."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for cell in code_cells(textgen.load_lesson(number).to_notebook()):
            shown = run_cell(cell["source"], names)
            outputs = cell["outputs"]
            wanted = [own.get("text") or own["data"]["text/plain"] + "\n" for own in outputs]
            assert shown == "".join(wanted), cell["source"]
    finally:
        os.chdir(tmp_path)
        for name in ("lesson_folder", "place"):
            if hasattr(names.get(name), "cleanup"):
                names[name].cleanup()


def test_the_command_writes_it(tmp_path: Path) -> None:
    """As a file of JSON; it is replaced, and nothing is run."""
    path = tmp_path / "lesson.ipynb"
    path.write_text("old")
    result = textgen_cli("lessons", "7", "--notebook", path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(path.read_text("utf-8")) == textgen.load_lesson(7).to_notebook()
    shown = json.loads(textgen_cli("lessons", "7", "--notebook", path, "--json").stdout)
    assert shown == {
        "notebook": str(path),
        "cells": len(textgen.load_lesson(7).to_notebook()["cells"]),
    }
