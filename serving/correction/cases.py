"""Cases: the radiographs of one study that a person looks at, with the landmarks that a model proposes.

Contract: a case is a folder with its radiographs and ``case.json``, which is written last. Its name follows from the
radiographs and from what was stated about them, so that the same radiographs give the same case. What the model
proposes is measured again where it is needed, with the model that answers then.
"""

import hashlib
import json
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.inputs import ImageInput
from inference.measured_study import measure_radiographs
from inference.model import Model
from inference.radiograph_files import OpenedRadiograph, RadiographFile, input_of, open_radiographs
from spine.errors import InputRejected, PlumblineError
from spine.landmarks import VIEWS, ViewName
from spine.prediction import Prediction
from spine.storage import write_bytes_atomically, write_text_atomically

if TYPE_CHECKING:
    from spine.radiograph.orientation import Facing

KEPT_IN_MEMORY = 8
"""Cases whose images stay in memory; another one is read again."""

_NAME = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        case_id: its name, 24 hex digits.
        files: view -> its file; the name of the file is the view.
        inputs: view -> the image in canonical orientation.
        facing: view -> the side of the stored image to which the patient faces, where no tag says it.
        proposal: what the model measured; None if a person places the landmarks from nothing.
        model: the model of the proposal; None without one.
        patient: what a person stated about the patient of pictures, which have no tags; intake hashes it.
        study: id of the study of the workspace whose radiographs these are; empty for uploaded radiographs.
    """

    case_id: str
    files: Mapping[ViewName, RadiographFile]
    opened: Mapping[ViewName, OpenedRadiograph]
    inputs: Mapping[ViewName, ImageInput]
    facing: "Mapping[ViewName, Facing]"
    proposal: Prediction | None
    model: Model | None
    study: str = ""
    patient: str = ""


class CaseStore:
    """The cases in a folder.

    Args:
        folder: where the radiographs of cases lie.
        model: returns the model that proposes landmarks.
    """

    def __init__(self, folder: Path, model: Callable[[], Model]) -> None:
        self._folder, self._model = folder, model
        self._open: OrderedDict[tuple[str, str], Case] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, files: Sequence[RadiographFile], *, proposed: bool, study: str = "", patient: str = "") -> Case:
        """Store the radiographs of a case and open it.

        Raises:
            InputRejected, ParametersRejected: the radiographs cannot be opened, or the model finds nothing in them.
        """
        opened = open_radiographs(files)
        contents = {view: _bytes(each.file) for view, each in opened.items()}
        stated = {
            view: {"view": each.file.view, "facing": each.file.facing, "spacing_mm": each.file.spacing_mm}
            for view, each in opened.items()
        }
        about: dict[str, Any] = {"proposed": proposed, "views": stated, "study": study, "patient": patient}
        case_id = _case_id(contents, about)
        folder = self._folder / case_id
        is_new = not (folder / "case.json").is_file()
        if is_new:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            for view, content in contents.items():
                write_bytes_atomically(folder / view, content)
            write_text_atomically(folder / "case.json", json.dumps(about, indent=1))
        try:
            return self.open(case_id)
        except PlumblineError:
            if is_new:  # radiographs that cannot be shown are not kept; somebody may work on an older case
                shutil.rmtree(folder)
            raise

    def require(self, case_id: str) -> Path:
        """The folder of the case with this name.

        Raises:
            InputRejected: ``CASE_UNKNOWN``.
        """
        folder = self._folder / case_id
        if not _NAME.fullmatch(case_id) or not (folder / "case.json").is_file():
            expected, remedy = "a case that was opened here", "open its radiographs again"
            raise InputRejected("CASE_UNKNOWN", "a case that is not here", expected, remedy)
        return folder

    def open(self, case_id: str) -> Case:
        """The case with this name.

        Raises:
            InputRejected: ``CASE_UNKNOWN``, and the errors of ``add``.
        """
        folder = self.require(case_id)
        model = self._model()
        with self._lock:
            known = self._open.get((case_id, model.digest))
        return known or self._kept(_read(case_id, folder, model), model.digest)

    def _kept(self, case: Case, digest: str) -> Case:
        with self._lock:
            self._open[case.case_id, digest] = case
            while len(self._open) > KEPT_IN_MEMORY:
                self._open.popitem(last=False)
        return case


def _bytes(file: RadiographFile) -> bytes:
    return file.content if isinstance(file.content, bytes) else file.content.read_bytes()


def _case_id(contents: Mapping[ViewName, bytes], about: Mapping[str, Any]) -> str:
    digests = {view: hashlib.sha256(content).hexdigest() for view, content in sorted(contents.items())}
    return hashlib.sha256(json.dumps([digests, about], sort_keys=True).encode()).hexdigest()[:24]


def _read(case_id: str, folder: Path, model: Model) -> Case:
    about = json.loads((folder / "case.json").read_text())
    origin = about["study"], about["patient"]
    files = [
        RadiographFile((folder / view).read_bytes(), view, given["view"], given["facing"], given["spacing_mm"])
        for view in VIEWS
        if (given := about["views"].get(view))
    ]
    opened = open_radiographs(files)
    by_view = {view: each.file for view, each in opened.items()}
    if about["proposed"]:
        study = measure_radiographs(model, opened)
        facing = {view: _facing(each, mirrored=study.grids[view].mirrored) for view, each in opened.items()}
        known = {view: side for view, side in facing.items() if side is not None}
        return Case(case_id, by_view, opened, study.inputs, known, study.prediction, model, *origin)
    for each in opened.values():
        if each.needs_facing:
            found, expected = "a lateral image that does not say where the patient faces", "its direction"
            raise InputRejected("FACING_UNCLEAR", found, expected, "state it when you open the radiographs")
    inputs = {view: input_of(view, each) for view, each in opened.items()}
    stated = {view: each.facing for view, each in by_view.items() if each.facing is not None}
    return Case(case_id, by_view, opened, inputs, stated, None, None, *origin)


def _facing(opened: OpenedRadiograph, *, mirrored: bool) -> "Facing | None":
    """The direction that somebody stated, or that the model read; None if a tag says it."""
    if not opened.needs_facing:
        return opened.file.facing
    return "right" if mirrored else "left"
