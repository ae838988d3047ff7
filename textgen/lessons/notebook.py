"""A page of text and examples as a Jupyter notebook: plain data of nbformat 4.5."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Callable, Iterable, Sequence
from doctest import Example
from pathlib import Path
from typing import Any

from textgen.lessons.lesson_run import plain_code, plain_want

#: In a notebook beside nothing else, a link to another page leads nowhere.
_PAGE_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)[^)\s]+\)")
#: A picture of a page: what it shows, and its name.
PICTURE = re.compile(r"!\[([^\]]*)\]\((?:\.\./)?pictures/(\w+)\.svg\)")
#: Before the first example of a page that reads a text: what `textgen lessons` does by itself.
_CORPORA = """\
# A temporary folder with the texts that the lessons read; it goes when Python ends.
import os
from textgen.lessons.lesson_page import make_folder
lesson_folder = make_folder()
os.chdir(lesson_folder.name)"""


def without_page_links(text: str) -> str:
    """Markdown in which links to other pages are their words alone."""
    return _PAGE_LINK.sub(r"\1", text)


def notebook(
    page: str,
    steps: Iterable[tuple[str, Sequence[Example]]],
    picture_file: Callable[[str, str], Path],
) -> dict[str, Any]:
    """A notebook of a page.

    Args:
        page: All of it.
        steps: Its texts, each with the examples that follow it. Each result ends a cell, and is
            its output.
        picture_file: The file of a picture, by its name and its kind, such as `svg`.
    """
    cells: list[dict[str, Any]] = []
    code = "\n".join(plain_code(example) for _, examples in steps for example in examples)
    if '"corpora/' in code:
        cells.append(_code_cell(_CORPORA, None))
    for text, examples in steps:
        if text.strip():
            cells.append(_text_cell(without_page_links(text).strip(), picture_file))
        lines: list[str] = []
        for example in examples:
            lines.append(plain_code(example))
            if example.want:
                cells.append(_code_cell("\n".join(lines), example))
                lines = []
        if lines:
            cells.append(_code_cell("\n".join(lines), None))
    for number, cell in enumerate(cells, start=1):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _text_cell(text: str, picture_file: Callable[[str, str], Path]) -> dict[str, Any]:
    """A cell of Markdown, with its pictures inside it."""
    cell: dict[str, Any] = {"cell_type": "markdown"}
    for _, name in PICTURE.findall(text):
        svg = base64.b64encode(picture_file(name, "svg").read_bytes()).decode("ascii")
        cell.setdefault("attachments", {})[f"{name}.svg"] = {"image/svg+xml": svg}
    return cell | {"source": PICTURE.sub(r"![\1](attachment:\2.svg)", text)}


def _code_cell(source: str, last: Example | None) -> dict[str, Any]:
    """A cell whose output is the result of its last example; None: it has no output."""
    outputs = [] if last is None else [_output(last)]
    return {
        "cell_type": "code",
        "execution_count": None,
        "outputs": outputs,
        "source": source,
    }


def _output(example: Example) -> dict[str, Any]:
    text = plain_want(example)
    if _is_printed(example.source):
        return {"output_type": "stream", "name": "stdout", "text": text}
    value = {"text/plain": text.rstrip("\n")}
    return {"output_type": "execute_result", "execution_count": None, "data": value, "metadata": {}}


def _is_printed(source: str) -> bool:
    """Whether a result was printed, as far as the code shows; else it is the value of the code."""
    (*_, last) = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        return True
    return isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == "print"
