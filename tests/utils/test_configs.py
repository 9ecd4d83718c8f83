"""Configs are found by name, and what is mistyped is named."""

import pytest

from ganzoo.errors import InputError
from ganzoo.utils.configs import config_entries, config_names, find_config


def test_a_config_is_found_by_its_name_and_other_texts_are_left_alone(tmp_path):
    for name in config_names():
        assert find_config(name).endswith(f"{name}.yaml")
    own = tmp_path / "own.yaml"
    own.touch()
    assert find_config(str(own)) == str(own)
    assert find_config("{trainer: {max_epochs: 2}}") == "{trainer: {max_epochs: 2}}"
    assert [entry.name for entry in config_entries()] == config_names()


def test_a_mistyped_name_is_said_with_the_nearest():
    with pytest.raises(InputError, match="there is no config 'gan_digitz': did you mean 'gan_digits'"):
        find_config("gan_digitz")
    with pytest.raises(InputError, match="see `ganzoo list`"):
        find_config("qqqqqqqq")
