"""Models behind an address: OpenAI's completions and the reports of textgen, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textgen.errors import BackendError, ConfigError
from textgen.extras import install_hint
from textgen.serving.serve_options import ServeOptions as ServeOptions

if TYPE_CHECKING:
    from textgen.api import Model


def serve(
    models: Sequence[Model],
    options: ServeOptions,
    stop: Callable[[], bool],
    *,
    ready: Callable[[str, Sequence[str]], object],
    say: Callable[[str], object],
) -> None:
    """Offer models at an address until it is time to stop.

    Args:
        models: The models, of different names.
        options: The address, the limits, and who may call.
        stop: Asked about twenty times a second.
        ready: Called once, when the server listens, with its address and a line on each model.
        say: Is given the other lines for a person.
    Raises:
        ConfigError: The address is taken, or two models have one name.
        BackendError: starlette or uvicorn is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise BackendError(f"serve needs {error.name}; {install_hint(error.name or '')}") from error
    from textgen.serving.offered_model import OfferedModel
    from textgen.serving.run_server import listen, run

    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name}; requests could not tell them apart")
    with listen(options) as listening:
        offered = [OfferedModel(model, options) for model in models]
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{port}", [model.describe() for model in offered])
        run(offered, options, listening, stop, say=say)
