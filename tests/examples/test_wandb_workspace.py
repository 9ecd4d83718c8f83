"""The workspace for W&B describes the panels of a run. Nothing is sent: there is no server."""

import re

import pytest

from ganzoo.callbacks.loggers import panels

pytest.importorskip("wandb_workspaces")


def test_every_panel_is_in_the_workspace(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.syspath_prepend("examples")
    from wandb_workspace import workspace

    made = workspace("me", "ganzoo", ["discriminator", "generator"])
    sent = made._to_model().spec.section.panel_bank_config.sections
    assert [section.name for section in sent] == ["players", "health", "metrics", "images"]
    charts = {
        section.name: {panel.config.chart_title: panel.config.metric_regex for panel in section.panels}
        for section in sent[:-1]
    }
    wanted = panels(["discriminator", "generator"])
    assert charts == {name: {title: "|".join(names) for title, names in its.items()} for name, its in wanted.items()}
    assert re.match(charts["players"]["discriminator outputs"], "D(G(z))")
    assert sent[-1].panels[0].config.media_keys == ["images"]
