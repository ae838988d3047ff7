"""A request that is not answered as asked: a status, and a sentence that says what to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What OpenAI calls each kind of error.
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request is refused.

    Args:
        message: What was found, what was expected and what to send.
        status: Of HTTP.
        param: The field that is wrong.
        code: A word for programs.
        retry_after: Seconds after which it is worth trying again.
        headers: More of the answer's headers.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's servers send it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {
            "message": self.message,
            "type": _KINDS.get(self.status, kind),
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


class ClientGone(Exception):
    """Nobody reads the answer any more."""
