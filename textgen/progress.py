"""What is being done at the moment: the core names its work here, and whoever wants to listens.

The core prints nothing. Where it begins something that may take long it opens a task, and counts
its parts where they are known:

    with task("reading the text", total=len(ids)) as reading:
        for part in parts:
            ...
            reading.advance(len(part))

Without a listener that costs next to nothing. The command line listens and draws the task that was
opened last; a program may listen too, with `listening`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Listener(Protocol):
    """Is told of tasks, in the thread that does the work."""

    def began(self, task: Task) -> object:
        """A task was opened; tasks that are open already go on after it."""

    def moved(self, task: Task) -> object:
        """Its count has changed."""

    def ended(self, task: Task) -> object:
        """It is over, whether it was finished or failed."""


@dataclass(eq=False)
class Task:
    """Something that is being done.

    Args:
        what: In a few words, such as "reading novel.txt".
        total: How many parts it has; 0 where that is not known.
        done: How many of them are done.
        first: How many were done when it began, by an earlier run.
    """

    what: str
    total: float = 0
    done: float = 0
    first: float = 0
    _listener: Listener | None = field(default=None, repr=False)

    def advance(self, parts: float = 1) -> None:
        """So many parts more are done."""
        self.reach(self.done + parts)

    def reach(self, done: float) -> None:
        """So many parts are done in all."""
        self.done = done
        if self._listener is not None:
            self._listener.moved(self)


_LISTENER: ContextVar[Listener | None] = ContextVar("textgen progress listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Tell a listener of all tasks that are opened inside the block; None: tell nobody."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def task(what: str, total: float = 0, *, done: float = 0) -> Iterator[Task]:
    """Open a task; it ends with the block.

    Args:
        what: In a few words.
        total: How many parts it has; 0 where that is not known.
        done: How many of them are done already.
    """
    listener = _LISTENER.get()
    opened = Task(what, total, done, done, listener)
    if listener is not None:
        listener.began(opened)
    try:
        yield opened
    finally:
        if listener is not None:
            listener.ended(opened)


def track(
    items: Iterable[Item],
    what: str,
    total: float,
    size: Callable[[Item], float] = lambda item: 1,
) -> Iterator[Item]:
    """The items one by one, as a task of which each is done when the next is asked for.

    Args:
        items: What is gone through.
        what: In a few words.
        total: How many parts there are in all of them.
        size: How many parts an item has.
    """
    with task(what, total) as opened:
        for item in items:
            yield item
            opened.advance(size(item))
