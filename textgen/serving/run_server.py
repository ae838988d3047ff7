"""A server on its way: its address, its loop, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from textgen.errors import ConfigError, named
from textgen.files import os_reason
from textgen.serving.connection import Connection
from textgen.serving.offered_model import OfferedModel
from textgen.serving.serve_options import ServeOptions
from textgen.serving.web_app import TextServer
from textgen.terminal.humanize import plural

#: Seconds after which it is seen whether the server is to end.
_LOOK_SECONDS = 0.05
#: Seconds that an answer has to be sent once its texts are done.
_SENDING_SECONDS = 1
#: What the system says when no more files can be opened.
_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Connections beyond those whose texts are taken on: for whoever asks how the server is.
_MORE_CONNECTIONS = 64


class _Server(uvicorn.Server):
    """One that leaves the signals to the program."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: who runs the server answers them."""
        yield


def listen(options: ServeOptions) -> socket.socket:
    """A socket at the address.

    Raises:
        ConfigError: There is no such address, or it is taken.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"the server cannot listen on {options.host}:{options.port}: {reason}; "
            f"{named('port', 0)} takes a free port, {named('host', '127.0.0.1')} this machine"
        ) from error


def run(
    models: Sequence[OfferedModel],
    options: ServeOptions,
    listening: socket.socket,
    stop: Callable[[], bool],
    *,
    say: Callable[[str], object],
) -> None:
    """Answer requests until it is time to stop; what is being written then has `grace` seconds.

    Args:
        models: What is offered.
        options: Limits, and who may call.
        listening: From `listen`.
        stop: Asked about twenty times a second.
        say: Is given the lines on requests, and one at the end where texts are being written.
    """
    server = TextServer(models, options, say if options.log_requests else None)
    config = uvicorn.Config(
        server.app,
        http=Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=options.max_waiting + _MORE_CONNECTIONS,
        timeout_graceful_shutdown=_SENDING_SECONDS,
    )
    _allow_open_files(options.max_waiting + 2 * _MORE_CONNECTIONS)
    server.scribe.start()
    try:
        asyncio.run(_serve(_Server(config), server, options, listening, stop, say))
    finally:
        server.close()


def _allow_open_files(count: int) -> None:
    """Let the process open so many files, if it may: each connection is one."""
    if sys.platform != "win32":  # which has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Complaints:
    """Says once that no more connections can be opened, which asyncio would say thousands of times.

    Args:
        say: Is given the line.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._is_said = False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Called by asyncio with what nobody has caught."""
        error = context.get("exception")
        # asyncio tries again a second later, when the server may have ended.
        is_late = self._is_said and isinstance(error, ValueError)
        if not (isinstance(error, OSError) and error.errno in _NO_MORE):
            if not is_late:
                loop.default_exception_handler(context)
        elif not self._is_said:
            self._is_said = True
            self._say(f"more connections than can be opened: {os_reason(error)}; others wait")


async def _serve(
    web: uvicorn.Server,
    server: TextServer,
    options: ServeOptions,
    listening: socket.socket,
    stop: Callable[[], bool],
    say: Callable[[str], object],
) -> None:
    asyncio.get_running_loop().set_exception_handler(_Complaints(say))
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not (stop() or serving.done()):
        await asyncio.sleep(_LOOK_SECONDS)
    if server.scribe.count:
        say(f"ending; {plural(server.scribe.count, 'text')} may go on for {options.grace:g} s")
    server.scribe.end(options.grace)
    while server.scribe.count and not serving.done():
        await asyncio.sleep(_LOOK_SECONDS)
    web.should_exit = True
    await serving
