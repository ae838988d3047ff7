"""Work in another thread that ends once nobody waits for it: at the next part that it counts."""

from __future__ import annotations

import math
import time

from textgen.progress import Task
from textgen.serving.refusal import ClientGone, Refusal


class Patience:
    """Somebody who waits for work: a listener of its tasks that ends it.

    The core tells its listener of each part that is done (`textgen.progress`), in the thread that
    does the work. An exception there ends it, as Ctrl-C would.

    Args:
        seconds: How long it is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = math.inf
        self._is_gone = False

    def begin(self) -> None:
        """The work begins: from now on its time is counted.

        Raises:
            ClientGone: Nobody waits any more.
        """
        self._ends = time.monotonic() + self._seconds
        self.look()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._is_gone = True

    def look(self) -> None:
        """Go on only if somebody waits.

        Raises:
            ClientGone: Nobody does.
            Refusal: The time is up.
        """
        if self._is_gone:
            raise ClientGone
        if time.monotonic() > self._ends:
            raise Refusal(
                f"this was not done within {self._seconds:g} s, the most that this server works "
                "for a request; ask for less"
            )

    def began(self, task: Task) -> None:
        """A task was opened."""
        self.look()

    def moved(self, task: Task) -> None:
        """A part of it is done."""
        self.look()

    def ended(self, task: Task) -> None:
        """It is over, whatever ended it."""
