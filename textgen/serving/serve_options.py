"""Where a server listens, who may use it, and how much it takes on."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from textgen.errors import ConfigError, named
from textgen.settings import ADVANCED, check, setting

#: What a request may ask for.
LIMITS = "Limits"


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where a server listens, who may use it, and how much it takes on.

    Raises:
        ConfigError: A value is out of range, or two do not go together.
    """

    host: str = setting(
        "127.0.0.1",
        help="Listen on this address. The usual one is reached from this machine only; 0.0.0.0 is "
        "every address of the machine.",
        metavar="ADDRESS",
    )
    port: int = setting(
        8000,
        help="Listen on this port; 0 takes a free one, which is printed.",
        at_least=0,
        at_most=65535,
        short="p",
    )
    token: str | None = setting(
        None,
        help="Answer only those who send this token (Authorization: Bearer TOKEN; api_key of "
        "OpenAI's client). The environment variable TEXTGEN_TOKEN says it out of sight of other "
        "users of this machine.",
        metavar="TOKEN",
        by_default="TEXTGEN_TOKEN, or no token",
    )
    allow_origin: tuple[str, ...] = setting(
        (),
        help="Let pages of this origin call the server, such as https://example.org; * is every "
        "page. Without this option only pages of the server itself may. May be repeated.",
        metavar="ORIGIN",
    )
    max_tokens: int = setting(
        4096, help="Write at most N tokens a text.", panel=LIMITS, at_least=1, at_most=2**24
    )
    max_prompt: int = setting(
        100_000,
        help="Read at most N characters of a prompt or a text.",
        panel=LIMITS,
        at_least=1,
        at_most=2**26,
    )
    max_texts: int = setting(
        128, help="Write at most N texts a request.", panel=LIMITS, at_least=1, at_most=2**16
    )
    max_waiting: int = setting(
        1024,
        help="Take on at most N texts at a time; whoever asks for more is told to come again "
        "(429).",
        panel=LIMITS,
        at_least=1,
        at_most=2**20,
    )
    max_bytes: int = setting(
        2_000_000,
        help="Read at most N bytes a request.",
        panel=LIMITS,
        at_least=1,
        at_most=2**30,
    )
    max_seconds: float = setting(
        300.0,
        help="Write at most X seconds at a request; a text that is not done then is sent as it is.",
        panel=LIMITS,
        above=0,
    )
    grace: float = setting(
        5.0,
        help="After Ctrl-C or SIGTERM, let texts that are being written go on for X seconds.",
        panel=ADVANCED,
        at_least=0,
    )
    log_requests: bool = setting(
        False, help="Print a line on stderr for each request.", panel=ADVANCED
    )

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.max_texts > self.max_waiting:
            raise ConfigError(
                f"{named('max_texts')} is {self.max_texts} and {named('max_waiting')} "
                f"{self.max_waiting}; one request must have room: raise the latter"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
