"""Text for a terminal, rendered here and printed by the command line as it comes.

Each line of the body begins with one letter: `1` for standard output, `2` for standard error, `p` for progress (shown
on a terminal only, and overwritten), and at last `x` with the exit code. A body without `x` means: the node went away.
"""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from minipod.errors import MinipodError
from minipod.node import status

CONTENT_TYPE = "application/vnd.minipod.console"
_log = logging.getLogger("minipod")


class Console:
    """The client's terminal. Lines wait for `flush`, so that an answer known at once is one packet."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        self._lines: list[str] = []
        self._began = False

    def out(self, text: str) -> None:
        self._add("1", text)

    def err(self, text: str) -> None:
        self._add("2", text)

    def progress(self, text: str) -> None:
        self._add("p ", text)

    def raw(self, data: bytes) -> None:
        """What a container wrote, whatever bytes it is."""
        self.out(data.decode("utf-8", "surrogateescape"))

    def _add(self, letter: str, text: str) -> None:
        self._lines += [f"{letter}{line}\n" for line in text.removesuffix("\n").split("\n")]

    async def flush(self) -> None:
        if not self._began:
            self._began = True
            await self._response.prepare(self._request)
        if self._lines:
            data, self._lines = "".join(self._lines), []
            await self._response.write(data.encode("utf-8", "surrogateescape"))

    async def end(self, code: int) -> web.StreamResponse:
        self._lines.append(f"x{code}\n")
        await self.flush()
        await self._response.write_eof()
        return self._response


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Verb = Callable[[web.Request, Console], Awaitable[int]]


def on_console(verb: Verb) -> Handler:
    """A request handler from a verb that prints and returns its exit code; a MinipodError is printed, exit code 1."""

    async def handler(request: web.Request) -> web.StreamResponse:
        console = Console(request)
        try:
            code = await verb(request, console)
        except MinipodError as error:
            console.err(status.as_text(error))
            code = 1
        except web.HTTPRequestEntityTooLarge as error:
            console.err(f"error: the request is too large: {error.text}")
            code = 1
        except ConnectionError:  # the client has gone: nobody is there to be told
            raise
        except Exception:  # noqa: BLE001  # whatever it is, the client must hear of it
            _log.exception("%s %s", request.method, request.path_qs)
            console.err("error: internal error of the node; its log has the details")
            code = 1
        return await console.end(code)

    return handler
