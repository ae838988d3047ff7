"""`textgen lessons`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.moving import moving_line
from textgen.cli.parameters import OutputOptions, with_options
from textgen.cli.records import check_outputs, print_json
from textgen.errors import ConfigError, named
from textgen.lessons import LANGUAGES
from textgen.progress import task
from textgen.settings import setting
from textgen.terminal.console import ColorMode
from textgen.terminal.text import quote_path

if TYPE_CHECKING:
    from textgen.lessons.lesson_page import Lesson, LessonStep
    from textgen.lessons.lesson_run import LessonRun

#: Ends a lesson at a prompt.
_QUIT = ("q", "quit", "exit")


@dataclass(frozen=True, kw_only=True)
class LessonOptions:
    """What is done with a lesson."""

    language: str = setting(
        "en",
        help="The language of the pages: English, Russian or Macedonian.",
        choices=LANGUAGES,
    )
    all_steps: bool = setting(
        False, help="Run all steps without waiting for Enter between them.", flag="all"
    )
    notebook: Path | None = setting(
        None,
        help="Write the lesson into this file as a Jupyter notebook, with the results of the page. "
        "Nothing is run.",
        metavar="FILE",
    )


@guarded
@with_options
def lessons_command(
    options: LessonOptions,
    output: OutputOptions,
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="[NUMBER]",
            help="The lesson that is run. Default: list all lessons.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the lectures' worked examples, and run one of them step by step.

    A lesson is a page of text with examples of Python. Each example is run when it is shown, and
    its result is compared with the page: where they differ, both are printed, and the exit code
    is 1. On a terminal, Enter goes on to the next step. The examples work in a temporary folder,
    which is removed at the end. Commands of textgen on a page are printed and not run.

    textgen lessons

    textgen lessons 4

    textgen lessons 4 --language ru

    textgen lessons 4 --all

    textgen lessons 4 --notebook lesson4.ipynb
    """
    from textgen.lessons.lesson_page import load_lesson

    if number is None:
        if options.notebook is not None:
            raise ConfigError(
                f"{named('notebook')} needs the number of a lesson; type: "
                f"textgen lessons 4 --notebook {quote_path(options.notebook)}"
            )
        _list(options.language, output)
        return
    lesson = load_lesson(number, options.language)
    if options.notebook is not None:
        _write_notebook(lesson, options.notebook, output)
    elif output.json_output:
        _run_as_json(lesson)
    else:
        _run(lesson, options, output)


def _list(language: str, output: OutputOptions) -> None:
    from textgen.lessons.lesson_page import list_lessons
    from textgen.table import Column, Table
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import NARROW, draw_table

    lessons = list_lessons(language)
    if output.json_output:
        print_json([_described(lesson) for lesson in lessons])
        return
    out = make_consoles(output.color).out
    number, title = Column("number", "#"), Column("title", "lesson")
    if out.width < NARROW:
        short = [(own.number, f"{own.title} ({_in_short(own)})") for own in lessons]
        out.print(draw_table(Table((number, title), short)))
    else:
        rows = [(own.number, own.title, _needs(own), own.takes) for own in lessons]
        out.print(draw_table(Table((number, title, "needs", "takes"), rows)))
    if not output.quiet:
        typed = "textgen lessons 4" + ("" if language == "en" else f" --language {language}")
        print(f"to run one step by step, type: {typed}", file=sys.stderr)


def _needs(lesson: Lesson) -> str:
    """What a lesson needs, for the list; what is not installed is marked."""
    own = [f"{name}, missing" if name in lesson.missing else name for name in lesson.needs]
    return ", ".join([*own, *(f"{name} (commands)" for name in lesson.commands_need)])


def _in_short(lesson: Lesson) -> str:
    """What a lesson needs and how long it takes, for a terminal without room for columns."""
    needs = _needs(lesson)
    return f"{lesson.takes}; needs {needs}" if needs else lesson.takes


def _described(lesson: Lesson) -> dict[str, object]:
    return {
        "number": lesson.number,
        "title": lesson.title,
        "needs": list(lesson.needs),
        "commands_need": list(lesson.commands_need),
        "missing": list(lesson.missing),
        "takes": lesson.takes,
    }


def _write_notebook(lesson: Lesson, path: Path, output: OutputOptions) -> None:
    from textgen.files import atomic_write_text

    check_outputs(path, json_output=output.json_output)
    written = lesson.to_notebook()
    text = json.dumps(written, ensure_ascii=False, indent=1) + "\n"
    atomic_write_text(path, text, follow=True)
    if output.json_output:
        print_json({"notebook": str(path), "cells": len(written["cells"])})
    elif not output.quiet:
        print(f"lesson {lesson.number} is in {quote_path(path)}", file=sys.stderr)


def _run_as_json(lesson: Lesson) -> None:
    steps, ran, differ = [], 0, 0
    with lesson.running() as run:
        for step in lesson.steps:
            results = [run.try_example(example) for example in step.examples]
            ran += len(results)
            differ += sum(not result.agrees for result in results)
            shown = [result.to_dict() for result in results]
            steps.append({"text": step.text.strip(), "examples": shown})
    print_json({**_described(lesson), "steps": steps, "ran": ran, "differ": differ})
    if differ:
        raise typer.Exit(1)


def _run(lesson: Lesson, options: LessonOptions, output: OutputOptions) -> None:
    """Print the steps of a lesson, with what its examples give now."""
    is_watched = all(own.isatty() for own in (sys.stdin, sys.stdout, sys.stderr))
    waits = is_watched and not (options.all_steps or output.quiet)
    agree = differ = 0
    with lesson.running() as run:
        for number, step in enumerate(lesson.steps, start=1):
            place = f"step {number} of {len(lesson.steps)}"
            if number > 1 and waits and not _goes_on(f"Enter: {place}; q: end"):
                break
            if not _print_text(step, output.color, waits=waits):
                break
            results = _run_examples(step, run, output.color, place)
            agree += sum(results)
            differ += len(results) - sum(results)
            if waits and step.has_commands:
                run.bring_corpora()
                print(f"The commands work in a second terminal, after: cd {run.folder}")
                if number == len(lesson.steps):
                    _goes_on("Enter: end, and remove that folder")
    if not output.quiet:
        said = f"{differ} of them differ from the page" if differ else "all as on the page"
        print(f"lesson {lesson.number}: {agree + differ} examples ran, {said}", file=sys.stderr)
    if differ:
        raise typer.Exit(1)


def _print_text(step: LessonStep, color: ColorMode, *, waits: bool) -> bool:
    """Print the text of a step; whether the person goes on to the code.

    They are asked where the code would push the beginning of the text off the screen.
    """
    from textgen.lessons.lesson_page import with_drawn_pictures
    from textgen.lessons.notebook import without_page_links
    from textgen.terminal.console import make_consoles
    from textgen.terminal.markdown import print_page

    out = make_consoles(color).out
    used = print_page(out, with_drawn_pictures(without_page_links(step.text)).strip())
    out.print()
    lines = [line for own in step.examples for line in (own.source + own.want).splitlines()]
    used += sum(1 + (len(line) + 3) // out.width for line in lines) + 3
    if waits and step.examples and used > out.height:
        return _goes_on("Enter: run the code; q: end")
    return True


def _run_examples(step: LessonStep, run: LessonRun, color: ColorMode, name: str) -> list[bool]:
    """Print the examples of a step and what they give now; whether each agrees with the page."""
    from textgen.lessons.lesson_run import plain_code, plain_want
    from textgen.terminal.console import make_consoles
    from textgen.terminal.markdown import print_code, print_result

    out, line = make_consoles(color).out, moving_line()
    agree = []
    with task(name):
        for example in step.examples:
            with line.hidden():
                print_code(out, plain_code(example))
            result = run.try_example(example)
            with line.hidden():
                print_result(out, result.got, page=plain_want(example), agrees=result.agrees)
            agree.append(result.agrees)
    if step.examples:
        out.print()
    return agree


def _goes_on(prompt: str) -> bool:
    """Wait for Enter; whether the person goes on. The prompt then leaves no trace."""
    from textgen.terminal.console import obeys_escapes
    from textgen.terminal.keys import forget_typed

    forget_typed(sys.stdin.fileno())
    try:
        print(prompt, end=" ", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    except BaseException:
        print(file=sys.stderr)  # The message about an interruption has a line of its own.
        raise
    if not line:
        print(file=sys.stderr)
    elif obeys_escapes(sys.stderr):
        print("\x1b[1A\r\x1b[K", end="", file=sys.stderr, flush=True)
    return bool(line) and line.strip().lower() not in _QUIT
