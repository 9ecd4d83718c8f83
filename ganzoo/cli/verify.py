"""``ganzoo verify``: computes the output of a saved folder's test input and compares it with the saved one."""

from collections.abc import Sequence

from ganzoo.cli.function import call


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["my_gan"])``. Returns 0; errors as in :func:`ganzoo.hub.verify`."""
    call("verify", verify, args)
    return 0


def verify(source: str, model: str | None = None, config: str | None = None) -> None:
    """Computes the output of a saved model's test input and compares it with the saved one.

    Args:
        source: A saved folder, or the name of weights that come with ganzoo.
        model: The model's class, where it is one of yours: my_module.MyGAN.
        config: The run's config, which says which classes of yours may be imported.
    """
    from ganzoo.hub import verify
    from ganzoo.utils.trust import look_here_last

    if model or config:
        look_here_last()
    found = verify(source, model=model, config=config)
    print(f"{source} computes what it did when it was saved: off by {found.difference:.2g}, {found.tolerance:.2g} allowed")
