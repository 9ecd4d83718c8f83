"""``ganzoo push``: uploads a saved folder to the hub."""

from collections.abc import Sequence

from ganzoo.cli.function import call


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["my_gan", "owner/name"])``. Returns 0; errors as in :func:`ganzoo.hub.push`."""
    call("push", push, args)
    return 0


def push(
    folder: str, repository: str, revision: str | None = None, private: bool | None = None, message: str | None = None
) -> None:
    """Uploads a saved folder to the Hugging Face hub, with the login of `hf auth login`.

    Args:
        folder: A saved folder; it is verified first.
        repository: owner/name; made if it is not there.
        revision: The branch. Default: the main one.
        private: Whether a new repository is private. Default: the owner's.
        message: Of the commit.
    """
    from ganzoo.hub import push

    print(f"pushed: {push(folder, repository, revision=revision, private=private, message=message)}")
