"""Serves the demo page with Starlette: the page, what it offers, and its answers; nothing else of this computer."""

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ganzoo.demo import answers
from ganzoo.demo.answers import MOST_BYTES, Answer, Model, Upload, whole_number
from ganzoo.errors import InputError, one_line
from ganzoo.utils.log import log_info

LOOPBACK = ("127.0.0.1", "localhost")
# the browser asks nobody but this server, whatever the page contains
POLICY = "default-src 'none'; img-src 'self' data: blob:; script-src 'self'; style-src 'self'; connect-src 'self'"
HEADERS = {
    "content-security-policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
FILES = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
OWN_HEADER = "x-ganzoo"  # which pages of other sites cannot send without being refused first


def make_app(models: Mapping[str, Model], any_host: bool = False) -> Starlette:
    """Builds the web application.

    Args:
        models: the models, by name.
        any_host: answer requests to any host name; else to this computer's own only, so that no other site's name can be
            made to lead here.
    """
    one_at_a_time = threading.Lock()  # torch's random numbers are shared

    async def answer(request: Request) -> Response:
        if OWN_HEADER not in request.headers:
            return _error("this address is for the page alone", 403)
        try:
            work = _actions()[request.path_params["action"]]
            body = await _body(request)
            values = dict(request.query_params)

            def compute() -> Any:
                with one_at_a_time:
                    return work(_chosen(models, values), values, body).as_json()

            return JSONResponse(await run_in_threadpool(compute), headers=HEADERS)
        except ClientDisconnect:
            return _error("the page has gone", 400)
        except KeyError:
            return _error("there is no such address", 404)
        except InputError as error:
            return _error(one_line(error), 400)
        except Exception as error:  # whatever a model raises is a line on the page, and the server lives
            log_info(f"demo: {type(error).__name__}: {one_line(error)}")
            return _error(f"{type(error).__name__}: {one_line(error)[:300]}", 500)

    async def offered(request: Request) -> Response:
        return JSONResponse({name: answers.describe(model) for name, model in models.items()}, headers=HEADERS)

    routes = [Route(path, _file(*file)) for path, file in FILES.items()]
    routes += [Route("/api/models", offered), Route("/api/{action}", answer, methods=["POST"])]
    hosts = ["*"] if any_host else list(LOOPBACK)
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def _file(name: str, kind: str) -> Callable[[Request], Any]:
    content = files("ganzoo.demo").joinpath(name).read_bytes()

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return send


def _error(line: str, status: int) -> Response:
    return Response(json.dumps({"error": line}), status, HEADERS, "application/json")


async def _body(request: Request) -> bytes:
    """The bytes of an upload; reading stops where they become too many.

    Raises:
        InputError: there are too many.
    """
    too_many = InputError(f"the file has more than {MOST_BYTES >> 20} MB: give a smaller one")
    with suppress(ValueError):
        if int(request.headers.get("content-length", "0")) > MOST_BYTES:
            raise too_many from None
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BYTES:
            raise too_many
        parts.append(part)
    return b"".join(parts)


def _chosen(models: Mapping[str, Model], values: Mapping[str, str]) -> Model:
    name = values.get("model", "")
    if name not in models:
        raise InputError(f"this page has no model {name!r:.80}")
    return models[name]


def _actions() -> dict[str, Callable[[Model, Mapping[str, str], bytes], Answer]]:
    return {"walk": _walk, "sheet": _sheet, "translate": _translate, "classify": _classify}


def _walk(model: Model, values: Mapping[str, str], body: bytes) -> Answer:
    try:
        share = float(values.get("share", "0"))
    except ValueError as error:
        raise InputError("the share of the way is a number from 0 to 1") from error
    seeds = whole_number(values, "seed_a"), whole_number(values, "seed_b")
    return answers.walk(model, *seeds, share, _label(values), values.get("interpolation", "slerp"))


def _sheet(model: Model, values: Mapping[str, str], body: bytes) -> Answer:
    return answers.sheet(model, whole_number(values, "seed_a"), _label(values))


def _translate(model: Model, values: Mapping[str, str], body: bytes) -> Answer:
    size = whole_number(values, "size") if values.get("size") else None
    if size is not None and not 8 <= size <= 1024:
        raise InputError(f"the size is from 8 to 1024 pixels, not {size}")
    upload = Upload(body, values.get("name", ""))
    return answers.translate(model, upload, values.get("direction") or None, size)


def _classify(model: Model, values: Mapping[str, str], body: bytes) -> Answer:
    return answers.classify(model, Upload(body, values.get("name", "")))


def _label(values: Mapping[str, str]) -> int | None:
    return whole_number(values, "label") if values.get("label") else None


def listen(host: str, port: int) -> socket.socket:
    """Opens the address of the page.

    Args:
        host: a name or number of this computer.
        port: 0 for a free one.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.create_server(address[:2], family=family)
    except OSError as error:
        number = error.errno or 0  # negative for a name that cannot be resolved
        reason = os.strerror(number) if number > 0 else error.strerror or one_line(error)
        raise InputError(f"cannot serve at {host}, port {port}: {reason}; give another --port or --host") from error
    return made


def serve(app: Starlette, opened: socket.socket) -> None:
    """Serves the page until Ctrl-C or SIGTERM, which is raised again."""
    import uvicorn

    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    server.run(sockets=[opened])
    if server.started:  # only a signal ends it, and asyncio forgets a Ctrl-C after which nothing is awaited
        raise KeyboardInterrupt
