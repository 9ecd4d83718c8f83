"""The command: ``ganzoo fit --config pix2pix_maps``.

What needs no torch (``--help``, ``--version``, ``list``) is answered here, at once; the rest is ``ganzoo.command``.
"""

import os
import sys
from collections.abc import Sequence

from ganzoo import __version__, catalogue
from ganzoo.errors import InputError

COMMANDS = {
    "fit": "train a model",
    "validate": "evaluate a checkpoint on the validation set",
    "test": "evaluate a checkpoint on the test set",
    "predict": "run a checkpoint's predictions",
    "list": "show the configs that come with ganzoo",
}
HELP = """\
usage: ganzoo <command> [options]

{commands}

  ganzoo fit --config pix2pix_maps                       a config by its name, or a file
  ganzoo fit --config pix2pix_maps --trainer.max_epochs 3 --model.lambda_L1 10
  ganzoo fit --model my_module.MyGAN --data Digits       a class of your own, from the current folder
  ganzoo fit --config pix2pix_maps --ckpt_path last      go on with the newest run of this config
  ganzoo fit --help, ganzoo fit --model.help Pix2Pix     every option

options: --help, --version; GANZOO_TRACEBACK=1 shows where an error comes from
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        argv: the arguments after the command's name; the process's own if left out.

    Returns:
        0; 2 when something given to the command cannot be used, which one line on stderr says; 130 when Ctrl-C, 143 when
        SIGTERM ended it.
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # Lightning has shut down in good order, and left with 1
            return 130
        raise
    except Exception as error:
        from ganzoo.explain import one_line

        line = one_line(error)
        if line is None or os.environ.get("GANZOO_TRACEBACK"):
            raise
        print(f"ganzoo: error: {line}", file=sys.stderr)
        return 2


def _run(args: list[str]) -> int:
    command, *rest = args or ["--help"]
    if command in ("--help", "-h", "help"):
        print(HELP.format(commands="\n".join(f"  {name:10}{what}" for name, what in COMMANDS.items())), end="")
    elif command == "--version":
        print(f"ganzoo {__version__}")
    elif command == "list":
        if rest:
            raise InputError(f"`ganzoo list` takes no arguments, not {' '.join(rest)}")
        _list()
    elif command in COMMANDS:
        from ganzoo.command import run

        return run(args)
    else:
        raise InputError(
            f"there is no command '{command}'" + catalogue.did_you_mean(command, list(COMMANDS), "see `ganzoo --help`")
        )
    return 0


def _list() -> None:
    rows = [("config", "model", "data", "paper", "what it is"), *catalogue.entries()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
