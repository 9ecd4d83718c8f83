"""The documents keep their word: links lead somewhere, commands can be read, the citation says the package's version."""

import re
from pathlib import Path

import pytest
import yaml

import ganzoo

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
