"""A lesson: a page of text with examples of Python, and what each of them gives."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from doctest import DocTestParser, Example
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textgen.errors import BackendError, ConfigError, StorageError
from textgen.extras import install_hint
from textgen.files import project_folder
from textgen.lessons import LANGUAGES
from textgen.lessons.lesson_run import LessonRun
from textgen.lessons.notebook import PICTURE, notebook
from textgen.notebook import Part, Shown
from textgen.table import Column, Table

_HERE = Path(__file__).resolve().parent
#: What a page may need beside textgen: its name -> what is imported.
_LIBRARIES = {"scikit-learn": "sklearn", "gensim": "gensim"}

_FENCE = re.compile(r"^```python\n(.*?)^```\n", re.S | re.M)
_TITLE = re.compile(r"# (\d+)\. (.+)")
#: How the two sentences of a page's second paragraph begin, in each language.
_NEEDS = (("Needs ", "Takes "), ("Нужно: ", "Время: "), ("Потребно: ", "Време: "))


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


@dataclass(frozen=True, repr=False)
class Lesson(Shown):
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

    @property
    def headline(self) -> str:
        """Its number and its title."""
        return f"{self.number}. {self.title}"

    def parts(self) -> Iterable[Part]:
        """What it needs and takes, and what its steps are about."""
        yield f"needs {', '.join(('textgen', *self.needs))}; takes {self.takes}"
        rows = [(heading,) for heading in re.findall(r"^## (.+)$", self.text, re.M)]
        if rows:
            yield Table((Column("part", "its parts"),), rows)

    @classmethod
    def read(cls, text: str) -> Lesson:
        """The lesson of a page."""
        head, needs, _ = text.split("\n\n", 2)
        title = _TITLE.fullmatch(head)
        ways = (rf"{first}(.*)\. {second}(.*)\." for first, second in _NEEDS)
        said = next(filter(None, (re.fullmatch(way, needs, re.S) for way in ways)), None)
        if title is None or said is None:
            raise ConfigError(f"this is no page of a lesson: {head[:60]!r}")
        own, _, later = said[1].partition(";")
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
        return tuple(name for name in self.needs if find_spec(_LIBRARIES[name]) is None)

    @contextmanager
    def running(self) -> Iterator[LessonRun]:
        """The lesson while it runs, in this process and in a temporary folder of its own.

        The folder holds a copy of `corpora`, and goes with all that is in it when the block ends.

        Raises:
            BackendError: A library that the lesson needs is not installed.
            StorageError: The texts that it reads are not there.
        Example:
            >>> lesson = textgen.load_lesson(4)
            >>> with lesson.running() as run:
            ...     for step in lesson.steps:
            ...         results = [run.try_example(example) for example in step.examples]
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

    @property
    def outputs(self) -> str:
        """What all its examples give, as the page says it, one after the other."""
        return "".join(example.want for step in self.steps for example in step.examples)

    def to_notebook(self) -> dict[str, Any]:
        """The page as a Jupyter notebook (nbformat 4.5), with the results of the page as outputs.

        `json.dump` writes it into a file.
        """
        steps = [(step.text, step.examples) for step in self.steps]
        return notebook(self.text, steps, picture_file)


def make_folder() -> TemporaryDirectory[str]:
    """A temporary folder that holds a copy of `corpora`, the texts that lessons read.

    Raises:
        StorageError: The texts are not there.
    """
    corpora = _folder("lessons/corpora", "corpora")
    folder = TemporaryDirectory(prefix="textgen-lesson-", ignore_cleanup_errors=True)
    shutil.copytree(corpora, Path(folder.name, "corpora"))
    return folder


def picture_file(name: str, kind: str) -> Path:
    """The file of a picture of the pages: `svg`, or `txt`, which is drawn in letters.

    Raises:
        StorageError: The pages are not there.
    """
    return _folder("lessons/pages", "docs/lessons") / "pictures" / f"{name}.{kind}"


def with_drawn_pictures(text: str) -> str:
    """Markdown in which each picture is drawn in letters, below what it shows."""

    def drawn(found: re.Match[str]) -> str:
        lines = picture_file(found[2], "txt").read_text("utf-8").splitlines()
        return "\n".join([f"{found[1].rstrip('.')}:\n", *(f"    {line}" for line in lines), ""])

    return PICTURE.sub(drawn, text)


def list_lessons(language: str = "en") -> tuple[Lesson, ...]:
    """All lessons, in their order.

    Args:
        language: Of the pages: `en`, `ru` or `mk`.
    Raises:
        ConfigError: There are no pages in that language.
        StorageError: The pages are not there.
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"there are no lessons in {language!r}; there are some in {', '.join(LANGUAGES)}"
        )
    folder = _folder("lessons/pages", "docs/lessons")
    pages = sorted((folder if language == "en" else folder / language).glob("[0-9]*.md"))
    lessons = (Lesson.read(page.read_text("utf-8")) for page in pages)
    return tuple(sorted(lessons, key=lambda lesson: lesson.number))


def load_lesson(number: int, language: str = "en") -> Lesson:
    """A lesson by its number.

    Args:
        number: As in the list.
        language: Of the page: `en`, `ru` or `mk`.
    Raises:
        ConfigError: There is none of that number, or in that language.
        StorageError: The pages are not there.
    """
    lessons = {lesson.number: lesson for lesson in list_lessons(language)}
    if number not in lessons:
        raise ConfigError(
            f"there is no lesson {number}; there are {min(lessons)} to {max(lessons)}"
        )
    return lessons[number]


def _folder(installed: str, in_clone: str) -> Path:
    """A folder of the lessons."""
    folder = project_folder(installed, in_clone)
    if folder is None:
        raise StorageError(f"{in_clone} is missing: the lessons' files are not installed")
    return folder
