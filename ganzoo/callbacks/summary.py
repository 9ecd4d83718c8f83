"""Prints the table of a model's networks and their numbers of parameters."""

from typing import Any

from lightning.pytorch.callbacks import RichModelSummary


class Summary(RichModelSummary):
    """Lightning's table of modules and parameters, without the column of FLOPs if none were counted.

    FLOPs are counted only for a module with an ``example_input_array``; otherwise the column would show 0.

    Args:
        max_depth: depth to which nested modules are listed.
    """

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        """Prints the table."""
        if total_flops:
            counts: tuple[Any, ...] = (total_parameters, trainable_parameters, model_size, total_training_modes, total_flops)
            RichModelSummary.summarize(summary_data, *counts, **summarize_kwargs)
            return
        from rich import get_console
        from rich.table import Table

        columns = [(name, values) for name, values in summary_data if name != "FLOPs"]
        table = Table(header_style=summarize_kwargs.get("header_style", "bold magenta"))
        for name, _ in columns:
            table.add_column(name, justify="right" if name.startswith("Params") else "left")
        for row in zip(*(values for _, values in columns), strict=True):
            table.add_row(*row)
        get_console().print(table)
        fixed = total_parameters - trainable_parameters
        print(f"{total_parameters:,} parameters ({model_size:,.1f} MB)" + (f", {fixed:,} of them fixed" if fixed else ""))
