"""DVC's cache keeps no second copy of the data, and no step writes into it."""

import hashlib
import shutil
from pathlib import Path

import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline.cache import CACHE, fill_cache, separate_from_cache
from orchestration.pipeline.stages import STAGES, WRITTEN_IN_PLACE
from orchestration.pipeline.versioning import dvc_repository, is_up_to_date, record_stage
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A workspace with recorded landmarks and a recorded candidate, of two files each."""
    workspace = Workspace(tmp_path / "ws")
    prepare_workspace(workspace, "virtual", None, ())
    for stage in STAGES:
        for path in (*stage.deps, *stage.outs):
            (workspace.root / path).mkdir(parents=True, exist_ok=True)
    for name, folder in (("landmarks", workspace.landmarks), ("candidate", workspace.candidate)):
        (folder / "below").mkdir()
        (folder / "below" / "file.bin").write_bytes(name.encode())
        (folder / "lines.jsonl").write_text(f"{name} 1\n")
        record_stage(workspace, name)
    return workspace


def cached(workspace: Workspace) -> dict[str, Path]:
    return {p.parent.name + p.name: p for p in (workspace.root / CACHE).rglob("*") if p.is_file()}


def altered(workspace: Workspace) -> list[str]:
    """The cached files whose content is not the one that their names say."""
    md5 = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in cached(workspace).items()}
    return [name for name, digest in md5.items() if digest != name.removesuffix(".dir")]


def is_linked(workspace: Workspace, path: Path) -> bool:
    return any(path.samefile(other) for other in cached(workspace).values())


def hard_links(workspace: Workspace) -> bool:
    return "hardlink" in (workspace.root / ".dvc" / "config.local").read_text()


def test_the_cache_has_no_second_copy(workspace):
    lines = workspace.landmarks / "lines.jsonl"
    with dvc_repository(workspace) as repository:
        assert repository.cache.local.cache_types[-1] == "copy"
    if not hard_links(workspace):
        pytest.skip("this file system has no hard links, or has better ones")
    assert is_linked(workspace, lines)
    write_text_atomically(lines, "others\n")
    assert not is_linked(workspace, lines) and altered(workspace) == []
    record_stage(workspace, "landmarks")
    assert is_linked(workspace, lines) and is_up_to_date(workspace, "landmarks")


def test_a_step_that_adds_to_a_file_does_not_add_to_the_cache(workspace):
    assert "candidate" in WRITTEN_IN_PLACE
    with (workspace.candidate / "lines.jsonl").open("a") as lines:
        lines.write("2\n")
    assert altered(workspace) == [] and not is_up_to_date(workspace, "candidate")
    record_stage(workspace, "candidate")
    assert is_up_to_date(workspace, "candidate")
    assert all(path.stat().st_mode & 0o200 for path in workspace.candidate.rglob("*"))


def test_links_and_copies_of_links_become_writable_files(workspace, tmp_path):
    folder = shutil.copytree(workspace.landmarks, tmp_path / "copy")
    (folder / "link").hardlink_to(folder / "lines.jsonl")
    for path in folder.rglob("*.*"):
        path.chmod(0o444)
    separate_from_cache(folder)
    assert {(p.stat().st_nlink, p.stat().st_mode & 0o200) for p in folder.rglob("*") if p.is_file()} == {(1, 0o200)}
    assert (folder / "link").read_text() == (folder / "lines.jsonl").read_text() == "landmarks 1\n"


def test_a_restored_workspace_has_no_second_copy_either(workspace):
    lists = [path for name, path in cached(workspace).items() if name.endswith(".dir")]
    before = {name: path.read_bytes() for name, path in cached(workspace).items()}
    for path in set(cached(workspace).values()).difference(lists):
        path.unlink()
    fill_cache(workspace)
    assert {name: path.read_bytes() for name, path in cached(workspace).items()} == before
    assert is_up_to_date(workspace, "landmarks") and altered(workspace) == []
    assert is_linked(workspace, workspace.landmarks / "lines.jsonl") or not hard_links(workspace)


def test_a_moved_workspace_looks_again_what_the_file_system_can(workspace, tmp_path):
    chosen = (workspace.root / ".dvc" / "config.local").read_text()
    (workspace.root / ".dvc" / "config.local").write_text(chosen.replace("hardlink", "symlink"))
    with dvc_repository(workspace):
        assert "symlink" in (workspace.root / ".dvc" / "config.local").read_text(), "what a person chose stays"
    moved = Workspace(workspace.root.rename(tmp_path / "moved"))
    with dvc_repository(moved):
        pass
    assert (moved.root / ".dvc" / "config.local").read_text() == chosen.replace(str(workspace.root), str(moved.root))
