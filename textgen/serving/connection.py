"""A connection that is not kept for whoever sends no whole request, or reads no answer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds in which the head of a request must have come, from the connection or the last answer on.
HEAD_SECONDS = 10.0
#: Seconds after which a client that takes nothing of its answer counts as gone.
STALL_SECONDS = 30.0


class Connection(H11Protocol):
    """uvicorn's connection, with an end to each waiting.

    uvicorn waits without end for the first request and for the rest of a head, and for a client
    that reads nothing: so a few idle connections could take the place of all others, and texts
    would be kept that nobody takes.
    """

    _asking: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is whole is waited for no longer."""
        super().data_received(data)
        if self._is_answering:
            _cancel(self._asking)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not (self.transport.is_closing() or self._is_answering):
            self._await_head()

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        _cancel(self._asking)
        _cancel(self._stalled)
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        _cancel(self._asking)
        self._asking = self.loop.call_later(HEAD_SECONDS, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Stop a timer, if there is one."""
    if timer is not None:
        timer.cancel()
