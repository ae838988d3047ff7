"""A lesson: a page of text with examples of Python, and what each of them gives."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from doctest import DocTestParser, Example
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textgen.errors import BackendError, ConfigError, StorageError
from textgen.lessons.lesson_run import LessonRun
from textgen.lessons.notebook import notebook

_HERE = Path(__file__).resolve().parent
_CLONE = _HERE.parents[1]
#: What a page may need beside textgen: its name -> what is imported, and the extra that has it.
_LIBRARIES = {"scikit-learn": ("sklearn", "probe"), "gensim": ("gensim", "vectors")}

_FENCE = re.compile(r"^```python\n(.*?)^```\n", re.S | re.M)
_TITLE = re.compile(r"# (\d+)\. (.+)")
_NEEDS = re.compile(r"Needs (.*)\. Takes (.*)\.", re.S)


@dataclass(frozen=True)
class LessonStep:
    """A part of a page: some text, and the examples of the block that follows it.

    Args:
        text: Markdown.
        examples: What stands behind `>>>`, with the result below it; none after the last text.
    """

    text: str
    examples: tuple[Example, ...]

    @property
    def has_commands(self) -> bool:
        """Whether the text has commands to type at a prompt."""
        return "```sh\n" in self.text


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Args:
        number: As in the list.
        title: Of the page.
        needs: Libraries beside textgen without which its examples do not run.
        commands_need: Those that only the commands at the end of the page need.
        takes: About how long its examples run, in words.
        text: The page as it stands: Markdown.
    """

    number: int
    title: str
    needs: tuple[str, ...]
    commands_need: tuple[str, ...]
    takes: str
    text: str

    @classmethod
    def read(cls, text: str) -> Lesson:
        """The lesson of a page."""
        head, needs, _ = text.split("\n\n", 2)
        title, said = _TITLE.fullmatch(head), _NEEDS.fullmatch(needs)
        if title is None or said is None:
            raise ConfigError(f"this is no page of a lesson: {head[:60]!r}")
        own, _, later = said[1].partition(";")
        if "nothing beside textgen" not in own:
            own, later = said[1], ""
        return cls(
            number=int(title[1]),
            title=title[2],
            needs=tuple(name for name in _LIBRARIES if name in own),
            commands_need=tuple(name for name in _LIBRARIES if name in later),
            takes=" ".join(said[2].split()),
            text=text,
        )

    @property
    def steps(self) -> tuple[LessonStep, ...]:
        """The page cut behind each block of examples; together the steps have all of it."""
        parts = _FENCE.split(self.text)
        blocks = [*map(DocTestParser().get_examples, parts[1::2]), []]
        steps = [LessonStep(*step) for step in zip(parts[::2], map(tuple, blocks), strict=True)]
        return tuple(step for step in steps if step.text.strip() or step.examples)

    @property
    def missing(self) -> tuple[str, ...]:
        """The libraries that it needs and that are not installed."""
        return tuple(name for name in self.needs if find_spec(_LIBRARIES[name][0]) is None)

    @contextmanager
    def running(self) -> Iterator[LessonRun]:
        """The lesson while it runs, in this process and in a temporary folder of its own.

            lesson = textgen.load_lesson(4)
            with lesson.running() as run:
                for step in lesson.steps:
                    results = [run.try_example(example) for example in step.examples]

        The folder holds a copy of `corpora`, and goes with all that is in it when the block ends.

        Raises:
            BackendError: A library that the lesson needs is not installed.
            StorageError: The texts that it reads are not there.
        """
        for name in self.missing:
            raise BackendError(
                f"lesson {self.number} needs {name}, which is not installed; {install_hint(name)}"
            )
        with make_folder() as folder:
            run = LessonRun(Path(folder).resolve())
            try:
                yield run
            finally:
                run.close()

    def to_notebook(self) -> dict[str, Any]:
        """The page as a Jupyter notebook (nbformat 4.5), with the results of the page as outputs.

        `json.dump` writes it into a file.
        """
        return notebook(self.text, [(step.text, step.examples) for step in self.steps])


def make_folder() -> TemporaryDirectory[str]:
    """A temporary folder that holds a copy of `corpora`, the texts that lessons read.

    Raises:
        StorageError: The texts are not there.
    """
    corpora = _shipped("corpora", "corpora")
    folder = TemporaryDirectory(prefix="textgen-lesson-", ignore_cleanup_errors=True)
    shutil.copytree(corpora, Path(folder.name, "corpora"))
    return folder


def install_hint(name: str) -> str:
    """What to type for a library that lessons need.

    In a clone it is the extra of this tree. On the index the name of this package is that of
    another project, so that elsewhere the library alone is named.
    """
    if (_CLONE / "pyproject.toml").is_file():
        return f"in the root of the clone, type: pip install '.[{_LIBRARIES[name][1]}]'"
    return f"type: pip install {name}"


def list_lessons() -> tuple[Lesson, ...]:
    """All lessons, in their order.

    Raises:
        StorageError: The pages are not there.
    """
    pages = sorted(_shipped("pages", "docs/lessons").glob("[0-9]*.md"))
    lessons = (Lesson.read(page.read_text("utf-8")) for page in pages)
    return tuple(sorted(lessons, key=lambda lesson: lesson.number))


def load_lesson(number: int) -> Lesson:
    """A lesson by its number.

    Raises:
        ConfigError: There is none of that number.
        StorageError: The pages are not there.
    """
    lessons = {lesson.number: lesson for lesson in list_lessons()}
    if number not in lessons:
        raise ConfigError(
            f"there is no lesson {number}; there are {min(lessons)} to {max(lessons)}"
        )
    return lessons[number]


def _shipped(inside: str, in_clone: str) -> Path:
    """A folder of the project: beside this file in an installed package, else in the clone."""
    for folder in (_HERE / inside, _CLONE / in_clone):
        if folder.is_dir():
            return folder
    raise StorageError(f"{_HERE / inside} is missing: the lessons' files are not installed")
