"""The command: ``ganzoo fit --config pix2pix_maps``.

What needs no torch (``--help``, ``--version``, ``list``, ``compare``) is answered at once; what trains or runs a model by
Lightning is ``ganzoo.cli.lightning``.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from ganzoo import __version__
from ganzoo.cli import early
from ganzoo.cli.tables import aligned
from ganzoo.errors import InputError, did_you_mean
from ganzoo.utils.configs import config_entries
from ganzoo.utils.processes import wait_for_the_first
from ganzoo.utils.threads import wait_briefly

COMMANDS = {
    "fit": "train a model",
    "validate": "evaluate a checkpoint on the validation set",
    "test": "evaluate a checkpoint on the test set",
    "predict": "run a checkpoint's predictions",
    "evaluate": "measure a checkpoint's images, or a folder's, against real ones",
    "translate": "translate images with a trained model",
    "generate": "generate images with a trained GAN, or walk between them",
    "explore": "look into the latent space of a trained GAN",
    "classify": "classify images with a trained classifier",
    "demo": "show trained models on a page in the browser",
    "compare": "show results of evaluate side by side",
    "classifier": "train a small classifier of images, which evaluate can look with",
    "describe": "say what a trained model is, and what it can be asked",
    "save": "write a trained model as a folder that can be shared",
    "verify": "check that a saved model computes what it did",
    "export": "write a trained model to a file for onnxruntime or torch.export.load",
    "push": "upload a saved model to the hub",
    "pull": "download a model from the hub",
    "list": "show the configs, or the trained weights, that come with ganzoo",
    "bench": "time training steps beside plain PyTorch and published code",
    "schema": "print the JSON schema of a config, for editors",
}
HELP = """\
usage: ganzoo <command> [options]

{commands}

  ganzoo fit --config pix2pix_maps                       a config by its name, or a file
  ganzoo fit --config pix2pix_maps --trainer.max_epochs 3 --model.lambda_L1 10
  ganzoo fit --model my_module.MyGAN --data Digits       a class of your own, from the current folder
  ganzoo fit --config pix2pix_maps --ckpt_path last      resume the newest run of this config
  ganzoo fit --help, ganzoo fit --model.help Pix2Pix     every option

  ganzoo translate runs/pix2pix_maps/version_0/checkpoints/last.ckpt photos --out translated
  ganzoo generate runs/gan_digits/version_0 -n 64        images, with seeds 0 to 63
  ganzoo generate runs/gan_digits/version_0 --walk 3,14,15 --out walk.gif
  ganzoo explore manifold runs/gan_digits/version_0      a plane through its latent space; see ganzoo explore --help
  ganzoo demo runs/gan_digits/version_0                  a page in the browser to play with it

  ganzoo evaluate runs/gan_digits/version_0/checkpoints/last.ckpt --extractor efflite0
  ganzoo evaluate my_images real_images              two folders of PNG or JPEG
  ganzoo compare a.json b.json                           if they were measured in one way
  ganzoo classifier --data MNIST --out mnist.pt          then: ganzoo evaluate ... --extractor mnist.pt

  ganzoo bench dcgan-64 --csv steps.csv                  what a training step takes, beside plain PyTorch

  ganzoo list --weights                                  the trained models that come with ganzoo
  ganzoo describe runs/gan_digits/version_0              a run, a checkpoint, a saved folder or a name
  ganzoo save runs/gan_digits/version_0 my_gan           then: ganzoo verify my_gan
  ganzoo export runs/gan_digits/version_0 --out gan.onnx a file that runs without ganzoo

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
    wait_briefly()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's flush at the end would fail too
        return 128 + signal.SIGPIPE
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # Lightning has shut down in good order, and left with 1
            return 130
        if isinstance(leaving.code, int) and leaving.code > 128:  # a signal, before anything had begun
            return leaving.code
        raise
    except Exception as error:
        from ganzoo.cli.error_messages import one_line

        wait_for_the_first()
        line = one_line(error)
        if line is None or os.environ.get("GANZOO_TRACEBACK"):
            raise
        print(f"ganzoo: error: {line}", file=sys.stderr)
        return 2


def _run(args: list[str]) -> int:
    command, *rest = args or ["--help"]
    if command in ("--help", "-h", "help"):
        print(HELP.format(commands="\n".join(f"  {name:12}{what}" for name, what in COMMANDS.items())), end="")
    elif command == "--version":
        print(f"ganzoo {__version__}")
    elif command == "list":
        if rest not in ([], ["--weights"]):
            raise InputError(f"`ganzoo list` takes no arguments but --weights, not {' '.join(rest)}")
        _list_weights() if rest else _list()
    elif command in COMMANDS and early.answer(command, rest):
        pass
    elif command in early.TRAINING:
        from ganzoo.cli.lightning import run

        return run(args)
    elif command in COMMANDS:
        return import_module(f"ganzoo.cli.{command}").run(rest)
    else:
        raise InputError(f"there is no command '{command}'" + did_you_mean(command, list(COMMANDS), "see `ganzoo --help`"))
    return 0


def _list() -> None:
    rows = [("config", "model", "data", "paper", "what it is"), *config_entries()]
    for line in aligned(rows):
        print(line)


def _list_weights() -> None:
    from ganzoo.hub.describing import weights_entries

    for line in aligned([("name", "class", "data", "size", "metric", "licence"), *weights_entries()]):
        print(line)
