"""Makes a workspace on W&B with the panels of ganzoo: python examples/wandb_workspace.py ENTITY [PROJECT]

The panels are those of ``ganzoo.callbacks.loggers.panels``: the losses of the players in one chart, D(x) and D(G(z)), the
terms of each player, health and metrics; and the image grids. It needs ``pip install wandb-workspaces`` and a login.
"""

import argparse

import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from ganzoo.callbacks.loggers import panels


def workspace(entity: str, project: str, players: list[str]) -> workspaces.Workspace:
    """Describes the workspace. Nothing is sent.

    Args:
        entity: user or team.
        project: the project of the runs.
        players: names of the players, as in the names of the losses.
    """
    sections = [
        workspaces.Section(
            name=name,
            panels=[reports.LinePlot(title=title, metric_regex="|".join(names)) for title, names in charts.items()],
            is_open=True,
        )
        for name, charts in panels(players).items()
    ]
    images = workspaces.Section(name="images", panels=[reports.MediaBrowser(media_keys=["images"])], is_open=True)
    return workspaces.Workspace(entity=entity, project=project, name="ganzoo", sections=[*sections, images])


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a workspace on W&B with the panels of ganzoo.")
    parser.add_argument("entity", help="user or team")
    parser.add_argument("project", nargs="?", default="ganzoo", help="project of the runs (ganzoo)")
    parser.add_argument("--players", nargs="+", default=["discriminator", "generator"], help="names of the players")
    given = parser.parse_args()
    print(workspace(given.entity, given.project, given.players).save().url)


if __name__ == "__main__":
    main()
