"""``ganzoo save``: writes a trained model as a folder that can be loaded, verified and shared."""

from collections.abc import Sequence

from ganzoo.cli.function import call


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "my_gan"])``. Returns 0; errors as in :func:`ganzoo.hub.save`."""
    call("save", save, args)
    return 0


def save(
    source: str,
    folder: str,
    metrics: str | None = None,
    license: str | None = None,
    raw: bool = False,
    generators_only: bool = False,
    half: bool = False,
    image: str | None = None,
    model: str | None = None,
    config: str | None = None,
) -> None:
    """Saves a trained model as a folder: weights, config, model card, and a test input with its output.

    Args:
        source: A checkpoint, a run's folder or a saved folder.
        folder: The folder to write; new or empty.
        metrics: Results of `ganzoo evaluate` of this checkpoint, with commas between them. Default: those beside it.
        license: The licence of the weights: apache-2.0, cc-by-4.0.
        raw: Keep the weights of the last step only, without averaged ones.
        generators_only: Keep the networks that are used after training only, with their averaged weights.
        half: Keep the weights in half precision; they are loaded as float32.
        image: An image for the model card. Default: samples, or the run's newest image.
        model: The model's class, where the checkpoint does not say it or names one of yours: my_module.MyGAN.
        config: The run's config, which says which classes of yours may be imported.
    """
    from ganzoo.hub import save
    from ganzoo.utils.trust import look_here_last

    if model or config:
        look_here_last()
    results = [each.strip() for each in (metrics or "").split(",") if each.strip()]
    written = save(
        source,
        folder,
        metrics=results,
        license=license,
        raw=raw,
        generators_only=generators_only,
        half=half,
        image=image,
        model=model,
        config=config,
    )
    size = sum(path.stat().st_size for path in written.iterdir())
    print(f"written to {folder} ({size / 1e6:.2f} MB); ganzoo verify {folder} checks it")
