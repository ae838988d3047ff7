"""Whose turn it is: clients take turns, then the requests of a client, then the texts of a request.

Each is charged the tokens that it had, and the one that had the fewest is next. Who comes anew
begins where the one stands that had the fewest: nobody saves up turns by being away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from textgen.serving.served_text import Order, ServedText


class _Client:
    def __init__(self, served: int) -> None:
        self.served = served
        self.orders: dict[Order, deque[ServedText]] = {}

    @property
    def least(self) -> int:
        return min((order.served for order in self.orders), default=0)


class FairQueue:
    """Texts that wait for their turn."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}

    def __iter__(self) -> Iterator[ServedText]:
        for client in self._clients.values():
            for texts in client.orders.values():
                yield from texts

    def __bool__(self) -> bool:
        return bool(self._clients)

    def add(self, texts: Sequence[ServedText]) -> None:
        """Add texts, of a new request or after their turn."""
        for text in texts:
            order = text.order
            client = self._clients.get(order.client)
            if client is None:
                served = min((each.served for each in self._clients.values()), default=0)
                client = self._clients[order.client] = _Client(served)
            if order not in client.orders:
                order.served = max(order.served, client.least)
                client.orders[order] = deque()
            client.orders[order].append(text)

    def charge(self, text: ServedText, tokens: int) -> None:
        """Note what a text had; before it is added again."""
        text.order.served += tokens
        if (client := self._clients.get(text.order.client)) is not None:
            client.served += tokens

    def take(self) -> ServedText:
        """Take out the text whose turn it is; there is one."""
        name, client = min(self._clients.items(), key=lambda item: item[1].served)
        order = min(client.orders, key=lambda order: order.served)
        return self._taken(name, order)

    def take_like(self, first: ServedText, count: int) -> list[ServedText]:
        """Take out texts of the kind of another one, at most so many, in the order of their turns.

        Each client gives one, then each client another, until there are no more.
        """
        taken: list[ServedText] = []
        before = -1
        while before < len(taken) < count:
            before = len(taken)
            for name, client in sorted(self._clients.items(), key=lambda item: item[1].served):
                order = next((o for o, t in client.orders.items() if t[0].kind == first.kind), None)
                if order is not None and len(taken) < count:
                    taken.append(self._taken(name, order))
        return taken

    def _taken(self, name: str, order: Order) -> ServedText:
        client = self._clients[name]
        text = client.orders[order].popleft()
        if not client.orders[order]:
            del client.orders[order]
        if not client.orders:
            del self._clients[name]
        return text
