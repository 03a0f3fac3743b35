import pytest

from tests.spine.radiograph.constructed_radiographs import sample_radiograph


@pytest.fixture
def original(tmp_path):
    """A frontal radiograph as the virtual cohort writes it."""
    return sample_radiograph(tmp_path / "a.dcm")
