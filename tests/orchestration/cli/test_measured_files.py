"""JSON and overlay of a measurement: both or none, and no file of an earlier call after a refusal."""

from pathlib import Path

import click
import pytest
from PIL import Image

from orchestration.cli.measured_files import MeasuredFiles
from spine.errors import InputRejected

IMAGE = Image.new("RGB", (8, 8))
REFUSAL = InputRejected("NO_SPINE_FOUND", found="a chest", expected="a spine", remedy="choose another file")


@pytest.fixture
def files(tmp_path: Path) -> MeasuredFiles:
    return MeasuredFiles(tmp_path / "new" / "o.png", tmp_path / "m.json")


def written(files: MeasuredFiles) -> list[bool]:
    return [path is not None and path.exists() for path in (files.overlay, files.out)]


def test_both_are_written_and_replace_those_of_an_earlier_call(files: MeasuredFiles) -> None:
    for report in ("{}", '{"a": 1}'):
        with files.replaced():
            assert written(files) == [False, False]
            files.write(report, IMAGE)
    assert files.out is not None and files.out.read_text() == '{"a": 1}\n'
    assert files.overlay is not None
    with Image.open(files.overlay) as image:
        assert image.size == (8, 8)
    assert [path.name for path in files.overlay.parent.iterdir()] == ["o.png"], "no temporary file is left"


def test_a_refusal_leaves_no_earlier_result(files: MeasuredFiles) -> None:
    with files.replaced():
        files.write("{}", IMAGE)
    with pytest.raises(InputRejected), files.replaced():
        raise REFUSAL
    assert written(files) == [False, False]


@pytest.mark.parametrize("blocked", ["overlay", "out"])
def test_if_one_cannot_be_written_neither_is(tmp_path: Path, blocked: str) -> None:
    (tmp_path / "file").write_text("no folder")
    paths = {"overlay": tmp_path / "o.png", "out": tmp_path / "m.json"}
    paths[blocked] = tmp_path / "file" / paths[blocked].name
    files = MeasuredFiles(paths["overlay"], paths["out"])
    with pytest.raises(OSError, match="file"), files.replaced():
        files.write("{}", IMAGE)
    assert written(files) == [False, False]


def test_only_named_files_are_written(tmp_path: Path) -> None:
    with MeasuredFiles(None, tmp_path / "m.json").replaced():
        MeasuredFiles(None, tmp_path / "m.json").write("{}", None)
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_links_and_devices_are_neither_removed_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("kept")
    (tmp_path / "link.json").symlink_to(tmp_path / "kept.json")
    for path in (tmp_path / "link.json", Path("/dev/null")):
        with pytest.raises(click.UsageError, match="link or a device"):
            MeasuredFiles(None, path).require_safe(())
    assert (tmp_path / "link.json").read_text() == "kept"
