"""Triplets from a language model behind an OpenAI-compatible server (vLLM, Ollama, llama.cpp), through the `openai` client.

The client itself tries again, waiting longer each time, where the server is busy or fails (408, 409, 429, 5xx, a broken connection), and
heeds what the server says of waiting. A key comes from the environment, which the client reads, or from a file.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import prompts
from .asking import Asking, proposal, reply_seed, worth_another
from .keys import ADDRESS, client_settings
from .source import Answer, Refused
from .triplet import Triplet

log = logging.getLogger(__name__)

LOCAL = "http://localhost:8000/v1"
"""Where vLLM listens; Ollama's is http://localhost:11434/v1, llama.cpp's http://localhost:8080/v1."""
TOLERATED = 4
"""Captions in a row that may fail though the server is there."""
POLL = 0.1
"""Seconds between two looks at whether to stop."""
SEEDS = 1 << 31
"""Seeds below this are taken by every server."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before asking again after garbage, doubled each time: the client's own."""
NO_ANSWER, REFUSED = "no answer", "refused by the server"


@dataclass(frozen=True)
class Server:
    """Where to ask. ``url`` "": the client's own, from the environment. ``model`` "": the only one that is there.

    ``key_file``: a file with a key, or with the address that it is for and the key. ``strict``: keys go only to the addresses that they
    are for, for when others choose the url. ``timeout``: seconds for one reply; ``retries``: further requests after one that failed.
    Raises ValueError for values that can't be right.
    """

    url: str = LOCAL
    model: str = ""
    key_file: Path | None = None
    strict: bool = False
    timeout: float = 120.0
    retries: int = 5

    def __post_init__(self) -> None:
        if self.url and not ADDRESS.fullmatch(self.url):
            shown = self.url.rpartition("@")[2].partition("?")[0]  # without what may be a password or a key
            raise ValueError(f"The address {shown!r} is not that of a server: write it as http://localhost:8000/v1.")
        if not 0 < self.timeout <= 86400 or not 0 <= self.retries <= 100:
            raise ValueError("The timeout takes 0 to 86,400 seconds, and 0 to 100 retries are possible.")

    def client(self) -> Any:
        """The `openai` client; use it as an async context manager. Raises ValueError where that is not installed."""
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise ValueError("Asking a server needs openai: run `pip install openai`.") from error
        told = client_settings(_base(self.url), self.key_file, self.strict)
        return AsyncOpenAI(**told, timeout=self.timeout, max_retries=self.retries)


class ServerSource:
    """Triplets from a server. `batch` captions are asked about together, ``concurrency`` replies under way at a time."""

    def __init__(self, server: Server, asking: Asking, concurrency: int = 8, on_wait: Callable[[], None] | None = None) -> None:
        """Asks the server for its models. ``concurrency``: 1 to 1024; ``on_wait`` is called often meanwhile, and may raise to stop.

        Raises ValueError where there is no such server or model.
        """
        if not 1 <= concurrency <= 1024:
            raise ValueError(f"The concurrency {concurrency} is out of range: use 1 to 1024.")
        self.server, self.asking, self.concurrency, self.on_wait = server, asking, concurrency, on_wait
        self.batch = 2 * concurrency
        with _loop() as run:
            self.name = self._wait(run(_model(server)))
        self.settings: dict[str, Any] = {"model": self.name, **asking.settings()}
        self._answered = self._failed = 0

    def ask(self, captions: Sequence[str], count: int, seed: int) -> Iterator[Answer]:
        """As `source.Source`. Seeds are passed on; whether the same seed gives the same reply again is the server's matter."""
        with _loop() as run:
            slots, client = run(self._opened()).result()
            wishes = [(caption, number) for caption in captions for number in range(count)]
            under_way = [run(self._proposal(client, slots, caption, seed, number)) for caption, number in wishes]
            try:
                for start in range(0, len(wishes), max(1, count)):
                    yield [self._wait(future) for future in under_way[start : start + count]]
            finally:
                run(_cancelled()).result()
                run(client.close()).result()

    async def _opened(self) -> tuple[asyncio.Semaphore, Any]:
        return asyncio.Semaphore(self.concurrency), self.server.client()

    def _wait(self, future: "Future[Any]") -> Any:
        while not wait([future], POLL).done:
            if self.on_wait:
                self.on_wait()
        return future.result()

    async def _proposal(self, client: Any, slots: asyncio.Semaphore, caption: str, seed: int, number: int) -> Triplet | Refused:
        """What is no edit is asked for again, up to `Asking.tries` times."""
        made: Triplet | Refused = Refused(caption, NO_ANSWER)
        for attempt in range(self.asking.tries):
            async with slots:
                made = await self._attempt(client, caption, seed, number, attempt)
            if not worth_another(made) or (isinstance(made, Refused) and made.reason in (NO_ANSWER, REFUSED)):
                break
        return made

    async def _attempt(self, client: Any, caption: str, seed: int, number: int, attempt: int) -> Triplet | Refused:
        import openai

        try:
            text, ended = await self._persistent(client, caption, seed, number, reply_seed(caption, seed, number, attempt))
        except openai.OpenAIError as error:
            sentence = told(error, self.server, self.name)
            if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
                return self._refused(Refused(caption, REFUSED, str(error)), sentence)
            if isinstance(error, openai.InternalServerError | openai.APITimeoutError):
                return self._refused(Refused(caption, NO_ANSWER, str(error)), sentence)
            raise ValueError(sentence) from error
        except GarbageError as error:
            return self._refused(Refused(caption, NO_ANSWER, str(error)), told(error, self.server, self.name))
        self._answered, self._failed = self._answered + 1, 0
        return proposal(caption, text, ended, self.name)

    async def _persistent(self, client: Any, *wish: Any) -> tuple[str, bool]:
        """Asks again after what is no completion, as the client itself does after errors that the server tells."""
        for again in range(self.server.retries):
            try:
                return await self._reply(client, *wish)
            except GarbageError as error:
                log.debug("%s", error)
                await asyncio.sleep(min(FIRST_PAUSE * 2**again, LONGEST_PAUSE))
        return await self._reply(client, *wish)

    def _refused(self, refused: Refused, sentence: str) -> Refused:
        """A caption without an answer is passed over; a server that never answered, or no more, ends the run."""
        self._failed += 1
        if not self._answered or self._failed > TOLERATED:
            raise ValueError(sentence)
        log.warning("%s That caption is passed over.", sentence)
        return refused

    async def _reply(self, client: Any, caption: str, seed: int, number: int, chance: int) -> tuple[str, bool]:
        """(text, whether it came to its end) of one request. Raises the client's errors, and GarbageError."""
        asking = self.asking
        shared = {
            "model": self.name,
            "temperature": asking.temperature,
            "frequency_penalty": asking.frequency_penalty,
            "max_tokens": asking.max_tokens,
            "seed": chance % SEEDS,
            "stop": [prompts.END],
        }
        from openai import APIResponseValidationError, OpenAIError

        try:
            if asking.format == "chat":
                answer = await client.chat.completions.create(messages=asking.messages(caption, seed, number), **shared)
            else:
                answer = await client.completions.create(prompt=asking.text(caption, seed, number), **shared)
        except APIResponseValidationError as error:
            raise GarbageError(str(error)) from error
        except OpenAIError:
            raise
        except (ValueError, TypeError, AttributeError) as error:  # what the client makes of broken JSON
            raise GarbageError(f"{error!r:.200}") from error
        return _said(answer)


class GarbageError(Exception):
    """What came back is no completion."""


def _said(answer: Any) -> tuple[str, bool]:
    """(text, ended) of a completion of either kind. Raises GarbageError for anything else."""
    try:
        choice = answer.choices[0]
        text = choice.message.content if hasattr(choice, "message") else choice.text
        ended = choice.finish_reason != "length"
    except (AttributeError, TypeError, IndexError) as error:
        raise GarbageError(f"{answer!r:.200}") from error
    if text is not None and not isinstance(text, str):
        raise GarbageError(f"{answer!r:.200}")
    return text or "", ended


async def _model(server: Server) -> str:
    """The name of the model that will answer. Raises ValueError where it isn't there or has to be named."""
    async with server.client() as client:
        import openai

        try:
            names = sorted({entry.id async for entry in client.models.list()})
        except (openai.NotFoundError, openai.InternalServerError) as error:
            if server.model:
                return server.model  # a server need not have a list
            raise ValueError(f"{_where(server)} has no list of its models: name the one to ask.") from error
        except Exception as error:
            raise ValueError(told(error, server, server.model)) from error
    if server.model in names or (server.model and f"{server.model}:latest" in names):
        return server.model
    known = ", ".join(names[:20]) or "none"
    if server.model:
        raise ValueError(f"{_where(server)} has no model {server.model!r}: it has {known}.")
    if len(names) != 1:
        raise ValueError(f"{_where(server)} has not exactly one model: name one of {known}.")
    return names[0]


def told(error: BaseException, server: Server, model: str) -> str:
    """An error of the client as one sentence that names the cause and the cure."""
    import openai

    where, said = _where(server), " ".join(str(error).split())[:200]
    sentences: list[tuple[Any, str]] = [
        (openai.APITimeoutError, f"{where} gave no answer within {server.timeout:g} s: allow more time, or ask fewer at a time."),
        (openai.APIConnectionError, f"{where} can't be reached: start the server, or correct the address."),
        (
            (openai.AuthenticationError, openai.PermissionDeniedError),
            f"{where} doesn't accept the key: put the right one into the environment (OPENAI_API_KEY) or into a key file.",
        ),
        (openai.NotFoundError, f"{where} has no model {model!r}, or can't be asked in that format: correct the name, address or format."),
        (openai.RateLimitError, f"{where} allows no more requests now: ask fewer at a time, or go on later with the same command."),
        (
            (openai.BadRequestError, openai.UnprocessableEntityError),
            f"{where} refuses the request ({said}): choose another model or other settings.",
        ),
        (openai.APIStatusError, f"{where} fails ({said}): look into its log, and go on with the same command."),
    ]
    found = next((sentence for kind, sentence in sentences if isinstance(error, kind)), "")
    return found or f"{where} answers with something that is no completion ({said}): correct the address; it usually ends in /v1."


def _where(server: Server) -> str:
    return f"The server at {server.url or 'the address of the environment'}"


def _base(url: str) -> str:
    """The address below which the client asks: /v1 where only a machine is named, and no path of a single request."""
    plain = url.strip().rstrip("/")
    for request in ("/chat/completions", "/completions", "/models"):
        plain = plain.removesuffix(request)
    address = ADDRESS.fullmatch(plain)
    return f"{plain}/v1" if address and not address["path"] else plain


Run = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]


@contextmanager
def _loop() -> Iterator[Run]:
    """A function that starts coroutines on a thread of their own. At the end those still under way are cancelled at once."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_cancelled(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancelled() -> None:
    """Cancel all that is under way in this loop."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
