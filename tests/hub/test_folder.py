"""The form of a saved folder's config.json is checked before anything uses it."""

import json

import pytest

from ganzoo.errors import InputError
from ganzoo.hub.folder import FORMAT, read_folder

GOOD = {
    "format": FORMAT,
    "saved_by": "ganzoo 0.1.0",
    "model": {"class_path": "ganzoo.models.gan.GAN", "init_args": {}},
    "weights": {},
    "training": {},
    "metrics": [{"name": "fd", "value": 1.5}],
    "tasks": ["generate"],
    "test": {},
}


def test_a_good_one_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(GOOD))
    assert read_folder(tmp_path) == GOOD


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": FORMAT + 1}, "written by a newer ganzoo, ganzoo 0.1.0"),
        ({"format": "1"}, "its format is no whole number"),
        ({"format": True}, "its format is no whole number"),
        ({"model": "GAN"}, "it has no model, or of another kind"),
        ({"model": {"class_path": 5, "init_args": {}}}, "no class_path or no init_args"),
        ({"model": {"class_path": "GAN", "init_args": [1]}}, "no class_path or no init_args"),
        ({"metrics": [{"value": 1}]}, "a metric has no name or no value"),
        ({"tasks": None}, "it has no tasks"),
        (None, "no config.json of a model that `ganzoo save` wrote"),
        ("[" * 100_000, "it is not JSON"),
        ("{", "it is not JSON"),
        ("", "it is not JSON"),
        ('"' + "x" * 1_000_000 + '"', "larger than any config.json"),
    ],
)
def test_another_form_is_refused_in_one_line(changes, said, tmp_path):
    text = changes if isinstance(changes, str) else json.dumps({} if changes is None else {**GOOD, **changes})
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError) as refused:
        read_folder(tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_file_is_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*config.json: No such file"):
        read_folder(tmp_path)
