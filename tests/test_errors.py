"""Messages of errors are one line, and name what was probably meant."""

from ganzoo.errors import did_you_mean, one_line, printable


def test_one_line():
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(KeyError()) == "KeyError"
    assert printable("a\nb\udcff") == "a\\nb\\udcff"


def test_the_nearest_name_is_meant():
    assert did_you_mean("gan_digitz", ["cgan_maps", "gan_digits"]) == ": did you mean 'gan_digits'?"
    assert did_you_mean("GAN", ["gan"]) == ": did you mean 'gan'?"
    assert did_you_mean("qqq", ["gan"], "see the list") == ": see the list"
    assert did_you_mean("qqq", ["gan"]) == ""
