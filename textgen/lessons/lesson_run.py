"""The examples of a lesson, run one after the other, and how each result compares with its page."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_DIRECTIVE = re.compile(r"[ \t]*# doctest:.*$", re.M)


@dataclass(frozen=True)
class ExampleResult:
    """What became of an example.

    Args:
        example: The code, and what the page says that it gives.
        got: What it gave, now: what it printed, and its value; of an error, the error.
        report: How that differs from the page; "" where it agrees.
    """

    example: doctest.Example
    got: str
    report: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the page is right."""
        return not self.report

    def to_dict(self) -> dict[str, Any]:
        """As plain data: `code`, `page` (what stands there), `got` and `agrees`."""
        return {
            "code": plain_code(self.example),
            "page": plain_want(self.example),
            "got": self.got,
            "agrees": self.agrees,
        }


def plain_code(example: doctest.Example) -> str:
    """The code of an example as a reader types it: without what is said to doctest alone."""
    return _DIRECTIVE.sub("", example.source).rstrip("\n")


def plain_want(example: doctest.Example) -> str:
    """What the page says that an example gives, with empty lines as they are printed."""
    return example.want.replace(doctest.BLANKLINE_MARKER, "")


class _Runner(doctest.DocTestRunner):
    """As `python -m doctest`, but keeps what came out, and lets Ctrl-C through."""

    result: ExampleResult

    def __init__(self) -> None:
        # Without flags, so that `python -m doctest` on a page says the same.
        self.checker = doctest.OutputChecker()
        super().__init__(self.checker, verbose=False)

    def report_success(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        self.result = ExampleResult(example, got)

    def report_failure(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        difference = self.checker.output_difference(example, got, self.optionflags)
        self.result = ExampleResult(example, got, difference)

    def report_unexpected_exception(
        self, out: Any, test: Any, example: doctest.Example, exc_info: Any
    ) -> None:
        kind, error, trace = exc_info
        if not isinstance(error, Exception | SystemExit):
            raise error  # A signal: doctest takes it for a mistake of the example.
        got = "".join(traceback.format_exception_only(kind, error))
        whole = "".join(traceback.format_exception(kind, error, trace))
        report = f"Exception raised:\n{textwrap.indent(whole, '    ')}"
        self.result = ExampleResult(example, got, report)


class LessonRun:
    """A lesson that is running: its names, and the folder where it works.

    The working directory of the process is changed while an example runs, and only then.

    Args:
        folder: Where its first example works; it holds `corpora`, the texts that examples read.
    """

    def __init__(self, folder: Path) -> None:
        self.start = folder
        #: Where the next example works: an example may go to another folder.
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def try_example(self, example: doctest.Example) -> ExampleResult:
        """Run an example, which has the names that those before it have defined.

        Its output is caught. An error in it becomes a result that does not agree; Ctrl-C ends it.
        """
        test = doctest.DocTest([example], {}, "lesson", None, 0, None)
        test.globs = self._names
        runner = _Runner()
        with self._inside():
            runner.run(test, out=lambda _: None, clear_globs=False)
        return runner.result

    def bring_corpora(self) -> None:
        """Copy the texts into the folder where the examples work, for commands that are typed."""
        there = self.folder / "corpora"
        if not there.exists():
            shutil.copytree(self.start / "corpora", there)

    def close(self) -> None:
        """Let go of all names, and remove the temporary folders among them."""
        folders = [own for own in self._names.values() if isinstance(own, TemporaryDirectory)]
        self._names.clear()
        for own in folders:
            own.cleanup()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            self.folder = Path.cwd()
            os.chdir(before)
