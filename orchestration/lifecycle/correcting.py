"""The correction page's access to a workspace: the radiographs of a study in the store.

Contract: a radiograph of the store is given as a DICOM file with the pixels, spacing and position of the store. Its
only identifier is the patient's pseudonym.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from inference.radiograph_files import RadiographFile
from orchestration.pipeline.workspace import Workspace
from spine.errors import InputRejected
from spine.radiograph.write import write_radiograph
from spine.study import Study, StudyView, read_study


def radiographs_of_study(workspace: Workspace, study_id: str) -> list[RadiographFile]:
    """The radiographs of a study in the store, as files.

    Raises:
        InputRejected: ``STUDY_UNKNOWN``: the store has no such study; ``STUDY_WITHOUT_GEOMETRY``: the position of an
            image in the scanner is unknown, so the store cannot give it as a DICOM file.
    """
    folder = next((each for each in workspace.studies.glob("*/study.json") if each.parent.name == study_id), None)
    if folder is None:
        expected, remedy = "the id of a study in the workspace", "see the data set, or upload the radiographs"
        raise InputRejected("STUDY_UNKNOWN", "a study that is not in the store", expected, remedy)
    study = read_study(folder.parent)
    return [RadiographFile(_dicom(study, view, folder.parent), name, name) for name, view in study.views.items()]


def _dicom(study: Study, view: StudyView, folder: Path) -> bytes:
    if view.geometry is None:
        found = f"a {view.view} image whose position in the scanner is unknown"
        remedy = "upload the radiograph on the page"
        raise InputRejected("STUDY_WITHOUT_GEOMETRY", found, "an image with a known position", remedy)
    image = np.load(folder / view.image, allow_pickle=False)
    uids = [f"2.25.{int(hashlib.sha256(f'{study.study_id} {part}'.encode()).hexdigest()[:32], 16)}" for part in "ab"]
    sop_uid = f"2.25.{int(view.sha256[:32], 16)}"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "image.dcm"
        write_radiograph(
            path,
            image,
            view.geometry,
            patient_id=study.patient,
            study_uid=uids[0],
            series_uid=uids[1],
            sop_uid=sop_uid,
            simulated=bool(study.facts.get("simulated")),
            kvp=view.facts.get("kvp"),
        )
        return path.read_bytes()
