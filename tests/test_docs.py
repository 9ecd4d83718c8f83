"""The documents keep their word: links lead somewhere, commands can be read, the citation says the package's version."""

import re
import shlex
from pathlib import Path

import jsonargparse
import pytest
import yaml

import ganzoo
from ganzoo.cli import main
from ganzoo.cli.lightning import ZooCLI

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "tests/**/*.md")
    for path in CHECKOUT.glob(pattern)
    if "_build" not in path.parts
)

# -- links ------------------------------------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """The targets of all links and images in a page, without those in code."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.S | re.M)
    text = re.sub(r"^    .*$", "", text, flags=re.M)
    text = re.sub(r"`[^`\n]*`", "", text)
    inline = re.findall(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)", text)
    return [*inline, *re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M), *re.findall(r"""(?:href|src)=["']([^"']+)""", text)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and myst spell them, and those that it sets itself."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.S | re.M)
    found: set[str] = set()
    for title in re.findall(r"^#{1,3} +(.+?)\s*$", text, re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.add(next(name for n in range(99) if (name := f"{slug}-{n}" if n else slug) not in found))
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def dead(page: Path) -> list[str]:
    """The links of a page to a file or a heading that is not there."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):  # the network is not asked
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or not target.is_relative_to(CHECKOUT):
            found.append(f"{link}: there is no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            found.append(f"{link}: {target.name} has no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_every_link_leads_somewhere(page):
    assert not dead(page)


def test_a_dead_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("test_docs.CHECKOUT", tmp_path)
    (tmp_path / "other.md").write_text("# One, two\n\n```\n# Not a heading\n```\n\n## One, two\n")
    page = tmp_path / "page.md"
    live = "[a](other.md) ![b](other.md) [c](other.md#one-two-1) [d](#here-it-is) [e](https://nowhere.example) [f]"
    page.write_text(f"## Here *it* is\n\n{live}\n\n[f]: other.md\n\n`[g](gone.md)`\n\n```\n[h](gone.md)\n```\n")
    assert dead(page) == []
    page.write_text("[a](gone.md) ![b](gone.png) [c](other.md#not-a-heading) [d](#one-two) [e]\n\n[e]: gone.md\n")
    assert [each.split(":")[0] for each in dead(page)] == [
        "gone.md",
        "gone.png",
        "other.md#not-a-heading",
        "#one-two",
        "gone.md",
    ]


# -- commands -----------------------------------------------------------------------------------------------------------

# the pages that a person copies from before anything runs; a model's page and the others are about commands that were run
COPIED = ("README.md", "docs/index.md", "docs/faq.md", "docs/migrating.md", "docs/gallery.md")
RUN = ("fit", "validate", "test", "predict")


def commands(text: str) -> list[str]:
    """The calls of ganzoo in blocks of code and in the line, each once."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M) + re.findall(r"(?:^    .*\n)+", text, re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    calls = [line[found.start() :] for line in lines if (found := re.search(r"(?<![\w/.-])((\.venv/bin/)?ganzoo) ", line))]
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return list(dict.fromkeys([*calls, *re.findall(r"`(ganzoo [a-z_]+ [^`\n]*)`", text)]))


def pages() -> list[Path]:
    return [path for name in COPIED if (path := CHECKOUT / name).exists()]


class Parsed(BaseException):
    """The arguments of a command could be parsed, and it goes no further."""


@pytest.fixture
def parses(monkeypatch, tmp_path, capsys):
    """Parses a command and runs nothing; says what is wrong with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("my_gan.py").write_text("from ganzoo import GAN\nclass MyGAN(GAN):\n    pass\n")
    Path("configs").symlink_to(CHECKOUT / "configs")
    for name, config in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", "".join(map(Path.read_text, pages())), re.S):
        Path(name).write_text(config)
    Path("my_module.py").write_text("from ganzoo.data import Digits\nclass MyData(Digits):\n    pass\n")
    whole, depth = jsonargparse.ArgumentParser.parse_args, 0
    subcommands = ZooCLI.subcommands()

    def parse_args(self, *args, **options):
        nonlocal depth
        depth += 1  # a class within a class has a parser of its own
        try:
            parsed = whole(self, *args, **options)
        finally:
            depth -= 1
        if depth == 0 and self.prog.startswith("ganzoo"):
            raise Parsed
        return parsed

    def why_not(command: str) -> str | None:
        _, name, *args = shlex.split(command, comments=True)
        # the parsers of the other three take three quarters of the time
        only = {name: subcommands[name]} if name in RUN else subcommands
        monkeypatch.setattr(ZooCLI, "subcommands", staticmethod(lambda: only))
        monkeypatch.setattr(jsonargparse.ArgumentParser, "parse_args", parse_args)
        try:
            code = main([name, *args])
        except Parsed:
            return None
        said = capsys.readouterr()
        return None if code == 0 and not args else said.err or f"it was run: {said.out}"

    return why_not


@pytest.mark.parametrize("command", list(dict.fromkeys(each for page in pages() for each in commands(page.read_text()))))
def test_a_command_of_the_first_pages_parses(command, parses):
    assert parses(command) is None


def test_a_command_that_does_not_parse_is_found(parses):
    text = "`ganzoo fit`, `ganzoo compare c d`\n\n```sh\n. x && .venv/bin/ganzoo list  # y\n```\n\n    ganzoo compare a b\n"
    assert commands(text) == [".venv/bin/ganzoo list  # y", "ganzoo compare a b", "ganzoo compare c d"]
    assert [parses(each) for each in commands(text)] == [None] * 3
    assert "did you mean 'k'" in parses("ganzoo fit --config gan_digits --model.kk 2")
    assert "no command" in parses("ganzoo fti --config gan_digits")
    assert "no_such" in parses("ganzoo predict --config no_such")
    assert parses("ganzoo compare --wrong a.json")


def migrations() -> dict[str, list[str]]:
    """The options in the second column of each table of docs/migrating.md, by the command that they follow."""
    text = (CHECKOUT / "docs/migrating.md").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for command, table in re.findall(r"after\s+`(ganzoo fit [^`]*)`:\n\n((?:\|.*\n)+)", text):
        ours = " ".join(row.split("|")[2] for row in table.splitlines()[2:])
        found.setdefault(command, []).extend(re.findall(r"`(--[^`]+)`", ours))
    return found


@pytest.mark.parametrize("command", migrations())
def test_an_option_to_migrate_to_exists(command, parses):
    options = migrations()[command]
    assert len(options) > 5
    alone = [each for each in options if each.startswith("--data ")]  # a class, which has not the options of another
    together = [each for each in options if each not in alone]
    for line in [" ".join([command, *together]), *(f"{command} {each}" for each in alone)]:
        assert parses(line) is None


# -- the citation -----------------------------------------------------------------------------------------------------


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == ganzoo.__version__
    # what the Citation File Format 1.2 requires, and the licence of the package
    assert cited["cff-version"] == "1.2.0"
    assert all(cited[key] for key in ("message", "title", "authors"))
    assert all("name" in author or "family-names" in author for author in cited["authors"])
    assert cited["type"] == "software"
    assert f"license = {cited['license']}\n" in (CHECKOUT / "setup.cfg").read_text(encoding="utf-8")
