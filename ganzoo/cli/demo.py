"""``ganzoo demo``: trained models on a page in the browser."""

from collections.abc import Sequence
from typing import Literal

from jsonargparse import ArgumentParser

from ganzoo.cli.function import parse
from ganzoo.errors import InputError
from ganzoo.utils.ranges import NonNegativeInt

LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSTALL = 'pip install "lightning-ganzoo[demo]"'


def options(host: str = "127.0.0.1", port: NonNegativeInt = 7860, device: Literal["auto", "cpu", "cuda"] = "auto") -> None:
    """The options of the command.

    Args:
        host: Address at which the page is served. Only this computer reaches the default; 0.0.0.0 is for everybody who
            reaches this computer.
        port: Port of the page; 0 for a free one.
        device: Where the networks work; auto is a GPU if there is one.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    made = ArgumentParser(
        prog="ganzoo demo",
        description="Serves a page on which trained models generate, translate and classify images.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    text = "Checkpoints, runs' folders, saved models; those that come with ganzoo if left out."
    made.add_argument("models", nargs="*", type=str, default=[], help=text)
    made.add_function_arguments(options, as_group=False)
    made.add_argument("--raw", action="store_true", help="The trained weights, also where a model has averaged ones.")
    return made


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "--port", "0"])``. It ends by Ctrl-C, a KeyboardInterrupt.

    Raises:
        InputError: a model that cannot be shown, or an address that cannot be opened, in one line.
    """
    given = parse(parser(), args)
    if given.port > 65535:
        raise InputError(f"--port {given.port}: ports go up to 65535; 0 is a free one")

    from ganzoo.hub.sources import weights_names

    sources = list(dict.fromkeys(given.models)) or weights_names()
    if not sources:
        raise InputError("no trained weights come with this ganzoo: give a checkpoint or a run's folder")
    try:
        import uvicorn  # noqa: F401

        from ganzoo.demo.server import listen, make_app, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InputError(f"ganzoo demo needs {error.name}: {INSTALL}") from error
    from ganzoo.cli.options import device
    from ganzoo.demo.answers import load_models
    from ganzoo.utils.log import log_info

    own = given.host in LOOPBACK
    with listen(given.host, int(given.port)) as opened:
        if not given.models:
            log_info(f"shows the models that come with ganzoo: {', '.join(sources)}")
        models = load_models(sources, device(given.device), given.raw)
        if not own:
            log_info(f"warning: with --host {given.host} everybody who reaches this computer can use the page")
        host = f"[{given.host}]" if ":" in given.host else given.host
        log_info(f"the page is at http://{host}:{opened.getsockname()[1]} (Ctrl-C ends it)")
        serve(make_app(models, any_host=not own or given.host == "::1"), opened)
    return 0
