"""``ganzoo pull``: downloads a saved folder from the hub."""

from collections.abc import Sequence

from ganzoo.cli.function import call


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["owner/name", "my_gan"])``. Returns 0; errors as in :func:`ganzoo.hub.pull`."""
    call("pull", pull, args)
    return 0


def pull(repository: str, folder: str, revision: str | None = None) -> None:
    """Downloads a model from the Hugging Face hub into a folder. Only the files of a saved folder are taken.

    Args:
        repository: owner/name.
        folder: The folder to write; new or empty.
        revision: A branch, a tag or a commit. Default: the main branch.
    """
    from ganzoo.hub import pull

    print(f"written to {pull(repository, folder, revision=revision)}; ganzoo verify {folder} checks it")
