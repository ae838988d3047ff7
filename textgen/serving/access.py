"""Who may call a server: by the name it is called by, the page that calls, and the token."""

from __future__ import annotations

import hmac
import json
import socket
from base64 import b64decode
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from textgen.serving.measures import Measures
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions

#: Names of this machine, by which alone a server is called that listens to nobody else.
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: What needs no token.
_OPEN = frozenset({"/health"})
_ALLOWED = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}


class JsonResponse(Response):
    """Plain data as JSON, with its letters as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes."""
        return json_bytes(content)


def json_bytes(content: Any) -> bytes:
    """Plain data as JSON in UTF-8; escaped where a letter is none (a lone surrogate)."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, allow_nan=False).encode("ascii")


class Access:
    """Lets requests through to an application, counts them, and answers what goes wrong.

    Args:
        app: The application.
        options: Who may call.
        measures: What is counted.
        paths: What there is, for counting.
        say: Is given a line for each request; None: nobody wants it.
    """

    def __init__(
        self,
        app: Any,
        options: ServeOptions,
        measures: Measures,
        paths: frozenset[str],
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._app = app
        self._options = options
        self._measures = measures
        self._paths = paths
        self._say = say
        own = socket.gethostname().lower()
        beyond = set() if options.is_local else {own, f"{own}.local"}
        self._names = _LOCAL_NAMES | {options.host.lower()} | beyond

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI has it."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = origin if origin is not None and self._allows(origin) else None
        status = 0

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                own["x-content-type-options"] = "nosniff"
                if allowed is not None:
                    own["access-control-allow-origin"] = allowed
                    own["vary"] = "Origin"
            await send(message)

        response: Any = self._app
        try:
            self._check(scope, headers, allowed)
            if scope["method"] == "OPTIONS" and allowed is not None:
                response = Response(status_code=204, headers=_ALLOWED)
            await response(scope, receive, answer)
        except Refusal as refusal:
            response = JsonResponse(refusal.body, refusal.status, refusal.headers)
            await response(scope, receive, answer)
        except Exception:
            # It is told to whoever asked already; the server goes on.
            if not status:
                raise
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._measures.requests[path, status] += 1
            if self._say is not None:
                host = (scope.get("client") or ("?",))[0]
                self._say(f"{host} {scope['method']} {scope['path']} {status or 'gone'}")

    def _check(self, scope: Any, headers: Headers, allowed: str | None) -> None:
        """Refuse who may not call.

        Raises:
            Refusal: The name, the origin or the token is wrong.
        """
        host = headers.get("host", "")
        if not self._is_known(_name_in(host)):
            instead = (
                "it answers to this machine alone: call it as localhost or 127.0.0.1, or start it "
                "on another address"
                if self._options.is_local
                else "it knows no such name: call it by its address; who runs the server can start "
                "it with a token, or allow pages of that name"
            )
            raise Refusal(
                f"the server was called as {host[:60]!r}, and {instead}",
                status=403,
                code="wrong_host",
            )
        origin = headers.get("origin")
        is_own = origin is not None and origin.partition("://")[2] == host
        if origin is not None and allowed is None and not is_own:
            raise Refusal(
                f"a page of {origin[:60]!r} calls, which is not allowed; who runs the server can "
                "allow it when it is started",
                status=403,
                code="wrong_origin",
            )
        token = self._options.token
        is_asking = scope["method"] == "OPTIONS" and allowed is not None
        if token is None or is_asking or scope["path"] in _OPEN:
            return
        # Bytes of a header are read as Latin-1, whatever they are.
        given = headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(_token_of(given), token.encode()):
            asks = {"WWW-Authenticate": 'Basic realm="textgen"'} if scope["path"] == "/" else {}
            raise Refusal(
                "the token is wrong or missing; send the header Authorization: Bearer TOKEN "
                "(api_key of OpenAI's client) with the one that the server was started with",
                status=401,
                code="invalid_api_key",
                headers=asks,
            )

    def _is_known(self, name: str) -> bool:
        """Whether the server may be called by that name.

        A page can let a name of its own lead here (DNS rebinding); its calls then look like those
        of the server's own page, but for the name. An address leads nowhere else, and such a page
        knows no token.
        """
        allowed = self._options.allow_origin
        if name in self._names or name in {_name_in(one.partition("://")[2]) for one in allowed}:
            return True
        if self._options.is_local:
            return False
        return self._options.token is not None or "*" in allowed or _is_address(name)

    def _allows(self, origin: str) -> bool:
        allowed = self._options.allow_origin
        return "*" in allowed or origin in allowed


def _name_in(host: str) -> str:
    """The name or the address in a `Host`, without the port, in small letters."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    return name.strip("[]").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _token_of(given: bytes) -> bytes:
    """The token in a header: as programs send it, or as a browser sends a password."""
    kind, _, value = given.partition(b" ")
    if kind.lower() != b"basic":
        return value if kind.lower() == b"bearer" else b""
    try:
        return b64decode(value).partition(b":")[2]
    except ValueError:
        return b""


def defect(error: Exception) -> Refusal:
    """What is told of an error that should not have come."""
    return Refusal(
        f"this is a defect of textgen, not yours: {type(error).__name__}: {error}", status=500
    )
