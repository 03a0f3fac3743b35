"""Pages that people write: the front page is short, and the links and paths of all pages exist."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TOP_LEVEL = sorted(ROOT.glob("*.md"))
WRITTEN = [*TOP_LEVEL, *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "spine|simulation|validation|inference|training|orchestration|infra|benchmarks|tests"


def links_of(page: Path) -> list[str]:
    """Relative links of a page, without their anchors."""
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text())
    return [link for link in links if not re.match(r"\w+:", link)]


def test_the_front_page_stays_short():
    text = README.read_text()
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 800


@pytest.mark.parametrize("page", TOP_LEVEL, ids=lambda page: page.name)
def test_every_link_of_a_top_level_page_exists(page):
    """The build of the site checks the links inside docs/."""
    assert [link for link in links_of(page) if not (page.parent / link).exists()] == []


def test_the_front_page_links_to_pages_and_pictures():
    assert len(links_of(README)) > 15


def test_every_path_that_a_page_names_exists():
    named = {(p.name, path) for p in WRITTEN for path in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", p.read_text())}
    assert len(named) > 30
    assert sorted((page, path) for page, path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_the_issue_forms_have_a_text_area(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "body"} <= form.keys()
    assert any(part["type"] == "textarea" for part in form["body"])


def test_the_thumbnails_are_small():
    thumbnails = sorted((ROOT / "docs" / "thumbnails").glob("*.png"))
    assert len(thumbnails) == 5
    assert all(path.stat().st_size < 25_000 for path in thumbnails)
    for path in thumbnails:
        with Image.open(path) as picture:
            assert picture.size == (240, 160)


def test_the_commit_hooks_are_the_commands_of_make_check():
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert recipe is not None
    commands = recipe[1].replace("$(BIN)", ".venv/bin").replace("$(MAKE) --no-print-directory", "make")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == [line.strip() for line in commands.splitlines()]
