"""Whose turn it is: clients take turns, then the requests of a client, then the texts of a request.

Each is charged the tokens that it had, and the one that had the fewest is next. Who comes anew has
the next turn, in the order of coming, and begins there as one that had the fewest: first characters
come soon, and nobody saves up turns by being away.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from textgen.serving.served_text import Order


class Turning(Protocol):
    """A text that is written in turns; `textgen.serving.served_text` has the usual kind."""

    order: Order
    number: int
    model: str

    @property
    def kind(self) -> Hashable:
        """Texts of one kind can be written together; None: it is written alone."""

    @property
    def room(self) -> int:
        """Tokens that it may still have."""

    def advance(self) -> tuple[int, Any]:
        """Have a turn: how many tokens it had, and the part that is to be sent, if there is one."""

    def end(self, notice: str) -> Any:
        """What is to be sent where its time is up."""


class _Client:
    def __init__(self) -> None:
        #: Tokens that it had; None: it had no turn yet.
        self.served: int | None = None
        self.orders: dict[Order, deque[Turning]] = {}
        #: Texts that have their turn just now, and what the request of the last one had before.
        self.out, self.level = 0, 0


def _before(each: _Client | Order) -> float:
    """What it had before its turn; the least of all where it had none."""
    return -math.inf if each.served is None else each.served


def _fewest(several: Iterable[_Client | Order], default: int) -> int:
    """The fewest tokens that one of those had who had a turn."""
    return min((each.served for each in several if each.served is not None), default=default)


class FairQueue:
    """Texts that wait for their turn."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._level = 0

    def __iter__(self) -> Iterator[Turning]:
        for client in self._clients.values():
            for texts in client.orders.values():
                yield from texts

    def __bool__(self) -> bool:
        return any(client.orders for client in self._clients.values())

    def add(self, texts: Sequence[Turning]) -> None:
        """Add the texts of a new request."""
        order = texts[0].order
        client = self._clients.setdefault(order.client, _Client())
        client.orders[order] = deque(texts)

    def take(self) -> Turning:
        """Take out the text whose turn it is; there is one."""
        client = self._in_turn()[0]
        return self._taken(client, min(client.orders, key=_before))

    def take_like(self, first: Turning, count: int) -> list[Turning]:
        """Take out texts of the kind of another one, at most so many, in the order of their turns.

        Each client gives one, then each client another, until there are no more.
        """
        taken: list[Turning] = []
        before = -1
        while before < len(taken) < count:
            before = len(taken)
            for client in self._in_turn():
                order = next((o for o, t in client.orders.items() if t[0].kind == first.kind), None)
                if order is not None and len(taken) < count:
                    taken.append(self._taken(client, order))
        return taken

    def put_back(self, text: Turning, tokens: int) -> None:
        """Add a text again after its turn, in which it had so many tokens."""
        client = self._clients[text.order.client]
        client.out -= 1
        client.served = (client.served or 0) + tokens
        text.order.served = (text.order.served or 0) + tokens
        client.orders.setdefault(text.order, deque()).append(text)

    def drop(self, text: Turning) -> None:
        """Forget a text that was taken out: it is done."""
        client = self._clients[text.order.client]
        client.out -= 1
        if not (client.orders or client.out):
            del self._clients[text.order.client]

    def _in_turn(self) -> list[_Client]:
        """The clients that wait, the one whose turn it is first."""
        waiting = (client for client in self._clients.values() if client.orders)
        return sorted(waiting, key=_before)

    def _taken(self, client: _Client, order: Order) -> Turning:
        if client.served is None:
            client.served = _fewest(self._clients.values(), self._level)
        if order.served is None:
            order.served = _fewest(client.orders, client.level)
        self._level, client.level = client.served, order.served
        client.out += 1
        text = client.orders[order].popleft()
        if not client.orders[order]:
            del client.orders[order]
        return text
