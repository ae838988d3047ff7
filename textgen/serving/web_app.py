"""The addresses of a server, and what is answered at each."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from textgen.errors import ConfigError, CorpusError, StorageError, TextgenError
from textgen.progress import listening
from textgen.serving.access import Access, JsonResponse, defect, json_bytes
from textgen.serving.completion import Completion, read_completion
from textgen.serving.json_fields import in_fields
from textgen.serving.measures import Measures
from textgen.serving.offered_model import OfferedModel
from textgen.serving.openai_answers import CompletionAnswer, ItemsAnswer
from textgen.serving.patience import Patience
from textgen.serving.refusal import ClientGone, Refusal
from textgen.serving.reports import REPORTS, Report
from textgen.serving.scribe import Scribe
from textgen.serving.serve_options import ServeOptions
from textgen.serving.served_text import Order, Progress, ServedText
from textgen.serving.stepped_text import Steps
from textgen.serving.steps_request import read_steps

T = TypeVar("T")

#: Seconds in which the body of a request must have come.
BODY_SECONDS = 30.0
#: Seconds in which a form must have been made: others wait for it.
FORM_SECONDS = 10.0
_HOME = "a page at /, GET /v1/models and POST /v1/completions, as OpenAI's servers have them"


class TextServer:
    """Answers requests with the texts that models write.

    Args:
        models: What is offered; the first is taken where a request names none.
        options: Limits, and who may call.
        say: Is given a line for each request; None: nobody wants it.
    """

    def __init__(
        self,
        models: Sequence[OfferedModel],
        options: ServeOptions,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._models = {model.name: model for model in models}
        self._options = options
        self._measures = Measures()
        self.scribe = Scribe(options.max_waiting, self._measures)
        # Prompts are made ready one after the other, beside the loop. So is what may take long, and
        # of which one at a time is enough: forms, and reports and items.
        self._desk = ThreadPoolExecutor(1, "desk")
        self._forms = ThreadPoolExecutor(1, "forms")
        self._reports = ThreadPoolExecutor(1, "reports")
        self._waiting_reports = 0
        routes = [
            Route("/", self._page),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/v1/models", self._list_models),
            Route("/v1/models/{name:path}", self._show_model),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/textgen/steps", self._step, methods=["POST"]),
            *(
                Route(f"/v1/textgen/{name}", partial(self._report, report), methods=["POST"])
                for name, report in REPORTS.items()
            ),
        ]
        handlers: Any = {
            HTTPException: _no_such_address,
            Refusal: _refused,
            ClientGone: _left_alone,
            Exception: _failed,
        }
        app = Starlette(routes=routes, exception_handlers=handlers)
        paths = frozenset(route.path for route in routes)
        self.app = Access(app, options, self._measures, paths, say)

    def close(self) -> None:
        """Stop writing, and let go of what is not begun."""
        self.scribe.close()
        for executor in (self._desk, self._forms, self._reports):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _page(self, request: Request) -> Response:
        model = self._model(request.query_params.get("model"))
        page = await self._in(self._reports, model.page, request)
        # What the page may load it says itself: nothing, or steps of the model from this server.
        # Nor may another page show it as its own.
        headers = {"content-security-policy": "frame-ancestors 'none'"}
        return Response(page, headers=headers, media_type="text/html")

    async def _health(self, _: Request) -> Response:
        return JsonResponse({"status": "ok"})

    async def _metrics(self, _: Request) -> Response:
        text = self._measures.text(self.scribe.count)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def _list_models(self, _: Request) -> Response:
        models = [_model_record(model) for model in self._models.values()]
        return JsonResponse({"object": "list", "data": models})

    async def _show_model(self, request: Request) -> Response:
        return JsonResponse(_model_record(self._model(request.path_params["name"])))

    def _model(self, name: str | None) -> OfferedModel:
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise Refusal(
                f"there is no model {name[:60]!r} here; there are: {', '.join(self._models)}",
                status=404,
                param="model",
                code="model_not_found",
            )
        return self._models[name]

    async def _body(self, request: Request) -> bytes:
        """The body of a request.

        Raises:
            Refusal: It is too long, or does not come.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > self._options.max_bytes:
                        raise Refusal(
                            f"the request has more than {self._options.max_bytes:,} bytes, which "
                            "this server does not read; send less at a time",
                            status=413,
                        )
        except TimeoutError:
            raise Refusal(
                f"the body did not come within {BODY_SECONDS:g} s; send it at once", status=408
            ) from None
        return bytes(body)

    async def _complete(self, request: Request) -> Response:
        began = time.perf_counter()
        body = await self._body(request)
        read = partial(read_completion, body, self._options)
        asked = await self._in(self._desk, read, request)
        model = self._model(asked.model)
        if asked.listed.items is not None:
            return await self._list_items(model, asked, request)
        parts: asyncio.Queue[tuple[int, Progress | Exception]] = asyncio.Queue()
        order = self._order(asked.user or _address(request), parts, streams=asked.streams)
        desk = self._forms if asked.form else self._desk
        seconds = min(FORM_SECONDS, self._options.max_seconds) if asked.form else math.inf
        prepare = partial(_prepare, model, asked, order)
        answer, texts = await self._in(desk, prepare, request, seconds)
        self.scribe.submit(texts)
        written = self._written(answer, parts, began)
        if asked.streams:
            events = _events(written, answer, tells_usage=asked.tells_usage)
            return EventStream(events, lambda: self.scribe.cancel(order))
        async with _until_gone(request.receive, lambda: self.scribe.cancel(order)):
            async for _ in written:
                pass
        return JsonResponse(answer.whole())

    def _order(self, client: str, parts: asyncio.Queue[tuple[int, T]], *, streams: bool) -> Order:
        """An order whose parts come into a queue, each with the number of its text."""
        loop = asyncio.get_running_loop()

        def send(number: int, what: T) -> None:
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(parts.put_nowait, (number, what))

        deadline = time.monotonic() + self._options.max_seconds
        return Order(client=client, send=send, deadline=deadline, streams=streams)

    async def _step(self, request: Request) -> Response:
        asked = read_steps(await self._body(request), self._options)
        model = self._model(asked.model)
        parts: asyncio.Queue[tuple[int, Steps | Exception]] = asyncio.Queue()
        order = self._order(_address(request), parts, streams=True)
        begin = partial(model.steps, asked, order)
        if asked.holds_direction:  # Its spread may be measured first, on a long text.
            text = await self._in_turn(begin, request)
        else:
            text = await self._in(self._desk, begin, request)
        self.scribe.submit([text])
        return EventStream(
            _lines(parts), lambda: self.scribe.cancel(order), media_type="application/x-ndjson"
        )

    async def _list_items(
        self, model: OfferedModel, asked: Completion, request: Request
    ) -> Response:
        """Items of a list: they are chosen from many texts, and told when all are found."""

        def work() -> ItemsAnswer:
            (seed,) = model.fit(asked)
            found, options = model.items(asked, seed)
            return ItemsAnswer(asked, model.name, seed, found, model.notices([seed], options))

        answer = await self._in_turn(work, request)
        if not asked.streams:
            return JsonResponse(answer.whole())

        async def chunks() -> AsyncIterator[dict[str, Any]]:
            for chunk in answer.chunks():
                yield chunk

        events = _events(chunks(), answer, tells_usage=asked.tells_usage)
        return EventStream(events, lambda: None)

    async def _written(
        self,
        answer: CompletionAnswer,
        parts: asyncio.Queue[tuple[int, Progress | Exception]],
        began: float,
    ) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as they are written."""
        is_first = True
        while not answer.is_whole:
            number, part = await parts.get()
            if isinstance(part, Exception):
                raise _told(part)
            chunk = answer.add(number, part)
            if is_first and (part.text or part.finish is not None):
                self._measures.first.add(time.perf_counter() - began)
                is_first = False
            yield chunk

    async def _report(self, report: Report, request: Request) -> Response:
        body = await self._body(request)
        work = partial(report, body, self._model, self._options)
        return JsonResponse(await self._in_turn(work, request))

    async def _in_turn(self, work: Callable[[], T], request: Request) -> T:
        """What work gives of which one at a time is done.

        Raises:
            Refusal: The request is wrong, or too many wait.
        """
        if self._waiting_reports >= self._options.max_waiting:
            raise Refusal("too many reports wait; ask again later", status=429, retry_after=5)
        self._waiting_reports += 1
        try:
            return await self._in(self._reports, work, request, self._options.max_seconds)
        finally:
            self._waiting_reports -= 1

    async def _in(
        self,
        executor: ThreadPoolExecutor,
        work: Callable[[], T],
        request: Request,
        seconds: float = math.inf,
    ) -> T:
        """What some work gives that is done beside the loop, as long as the client waits.

        Args:
            executor: What does it.
            work: The work.
            request: Whose work it is.
            seconds: How long it may take.
        Raises:
            Refusal: The request is wrong, or its time is up.
            ClientGone: The client has gone.
        """
        patience = Patience(seconds)

        def listened() -> T:
            patience.begin()
            with listening(patience):
                return work()

        try:
            async with _until_gone(request.receive, patience.leave):
                return await asyncio.get_running_loop().run_in_executor(executor, listened)
        except TextgenError as error:
            raise _told(error) from error


def _prepare(
    model: OfferedModel, asked: Completion, order: Order
) -> tuple[CompletionAnswer, list[ServedText]]:
    """The answer to be, and the texts that are to be written for it."""
    seeds = model.fit(asked)
    texts, options = model.texts(asked, seeds, order)
    answer = CompletionAnswer(
        asked,
        model.name,
        model.model.vocabulary,
        seeds,
        [text.prompt for text in texts[:: asked.count]],
        model.notices(seeds, options),
    )
    return answer, texts


def _told(error: Exception) -> Refusal:
    """An error as the one who asked is told of it."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, StorageError):
        # Its message names files of this machine.
        return Refusal("this needs the model's training text, which is not at hand here")
    if isinstance(error, ConfigError | CorpusError):
        return Refusal(error.told(in_fields))
    return Refusal(str(error), status=500) if isinstance(error, TextgenError) else defect(error)


def _model_record(model: OfferedModel) -> dict[str, Any]:
    record = {"id": model.name, "object": "model", "created": model.created}
    return {**record, "owned_by": "textgen"}


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JsonResponse(error.body, error.status, error.headers)


async def _left_alone(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # Nobody reads it; the status is for those who count.


async def _failed(request: Request, error: Exception) -> Response:
    return await _refused(request, defect(error))


async def _no_such_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return await _refused(
            request,
            Refusal(
                f"{request.method} is not answered at this address; send {allowed}", status=405
            ),
        )
    message = f"there is nothing at {request.url.path[:60]!r}; there is {_HOME}"
    return await _refused(request, Refusal(message, status=404, code="no_such_address"))


async def _events(
    chunks: AsyncIterator[dict[str, Any]],
    answer: CompletionAnswer | ItemsAnswer,
    *,
    tells_usage: bool,
) -> AsyncIterator[bytes]:
    """Chunks as events of a stream; an error on the way is the last of them."""
    try:
        async for chunk in chunks:
            choices = chunk["choices"]
            if not choices or any(each["text"] or each["finish_reason"] for each in choices):
                yield _event(chunk)
        if tells_usage:
            yield _event(answer.last_chunk())
    except Refusal as refusal:
        yield _event(refusal.body)
        return
    yield b"data: [DONE]\n\n"


def _event(record: dict[str, Any]) -> bytes:
    return b"data: " + json_bytes(record) + b"\n\n"


async def _lines(parts: asyncio.Queue[tuple[int, Steps | Exception]]) -> AsyncIterator[bytes]:
    """Steps as lines of JSON; an error on the way is the last of them."""
    finish = None
    while finish is None:
        _, part = await parts.get()
        if isinstance(part, Exception):
            yield json_bytes(_told(part).body) + b"\n"
            return
        finish = part.finish
        yield json_bytes(part.line) + b"\n"


class EventStream(Response):
    """A response whose events are sent as they come, until the client goes away.

    Args:
        events: The events.
        gone: Called once nobody reads them any more.
        media_type: What they are.
    """

    def __init__(
        self,
        events: AsyncIterator[bytes],
        gone: Callable[[], object],
        media_type: str = "text/event-stream",
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"}, media_type=media_type)
        del self.headers["content-length"]
        self._events = events
        self._gone = gone

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the events, as ASGI has it."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with suppress(ClientGone):
            await self._send(start, receive, send)

    async def _send(self, start: Any, receive: Any, send: Any) -> None:
        async with _until_gone(receive, self._gone):
            await send(start)
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def _until_gone(receive: Any, gone: Callable[[], object]) -> AsyncIterator[None]:
    """Do something until it is done or the client has gone; `gone` is called if it is not done."""
    working = asyncio.current_task()
    assert working is not None
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        gone()
        if not is_gone:
            raise
        working.uncancel()
        raise ClientGone from None
    except BaseException:
        gone()
        raise
    finally:
        watching.cancel()
