"""Pages of docs/: settings as the models say, links that lead somewhere, one page per stage."""

import re
from pathlib import Path

import pytest

from argyro.config.load import ROOT
from argyro.config.pages import BEGIN, END, sections, settings_table, with_settings

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "config").glob("**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Names of headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("stage", sections())
def test_settings_of_every_page_are_those_of_the_models(stage: str) -> None:
    page = (ROOT / f"docs/{stage}.md").read_text()
    assert with_settings(page, stage) == page, "run .venv/bin/python -m argyro.config"


def test_every_stage_has_a_page_that_the_others_lead_to() -> None:
    stages = {"structures", "labels", "learning", "dynamics", "transport", "continuum", "figures"}
    assert set(sections()) == stages
    assert stages | {"README"} <= {path.stem for path in (ROOT / "docs").glob("*.md")}
    contents = (ROOT / "docs/README.md").read_text()
    assert all(f"({stage}.md)" in contents for stage in stages)
    assert "docs/README.md" in (ROOT / "README.md").read_text()


def test_settings_that_are_mappings_and_lists_are_taken_apart() -> None:
    table = settings_table("continuum")
    assert "| `continuum.gb_width_nm` | `2.5` | Width of grain boundaries. |" in table
    assert "Each of `continuum.fields`:" in table
    assert "| `grain_size_nm` | needed |" in table
    assert "| `dynamics.relaxation.keep` | `1` |" in settings_table("dynamics")


def test_page_without_a_place_for_settings_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        with_settings("# Structures\n", "structures")
    assert with_settings(f"a\n{BEGIN}\nold\n{END}\nb", "figures").startswith(f"a\n{BEGIN}\n\n| setting |")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"
