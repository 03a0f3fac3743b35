"""A full disk or a kill while DVC records a stage (T3): the stage is recorded later, and the others are kept."""

import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline.versioning import is_up_to_date, record_stage
from orchestration.pipeline.workspace import Workspace
from tests.full_disk import no_file_above

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Two recorded stages, of which ``landmarks`` has a new file since then."""
    made = Workspace(tmp_path / "ws")
    prepare_workspace(made, "virtual", None, ())
    for name in ("drop", "studies", "landmarks"):
        (made.root / "data" / name).mkdir(parents=True, exist_ok=True)
        (made.root / "data" / name / "a.json").write_text("{}" + " " * 30_000)
    record_stage(made, "studies")
    record_stage(made, "landmarks")
    assert is_up_to_date(made, "studies") and is_up_to_date(made, "landmarks")
    (made.root / "data" / "landmarks" / "new.json").write_text("[]" + " " * 90_000)
    assert not is_up_to_date(made, "landmarks")
    return made


def require_recorded_later(workspace: Workspace) -> None:
    assert not is_up_to_date(workspace, "landmarks")
    assert is_up_to_date(workspace, "studies")
    record_stage(workspace, "landmarks")
    assert is_up_to_date(workspace, "landmarks") and is_up_to_date(workspace, "studies")


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 20_000])
def test_a_stage_is_recorded_when_there_is_space_again(workspace, size):
    with no_file_above(size), pytest.raises(Exception, match=r"File too large|disk"):
        record_stage(workspace, "landmarks")
    require_recorded_later(workspace)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.995])
def test_a_record_that_was_cut_off_loses_no_stage(workspace, share):
    file = workspace.root / "dvc.lock"
    text = file.read_text()
    file.write_text(text[: int(share * len(text))])
    require_recorded_later(workspace)


def test_without_an_earlier_record_a_damaged_one_is_made_anew(workspace):
    (workspace.root / "dvc.lock").write_text("schema: '2.0\nsta")
    (workspace.state / "last_dvc_lock.yaml").unlink()
    assert not is_up_to_date(workspace, "studies")
    record_stage(workspace, "studies")
    assert is_up_to_date(workspace, "studies")
