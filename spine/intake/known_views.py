"""Completes a correction with what the study of its images in the store knows: its facts, and a view nobody corrected.

Contract: the other view keeps its image, its place and its points: its labels, or the projections of the 3D points. A
correction of one view would otherwise take the other one out of the dataset.

    STUDY_UNKNOWN    new labels are for a study that the store has not, or has with other images
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import PairingRejected
from spine.intake.correction import CORRECTION_FACTS
from spine.intake.intake_ledger import Entry, Ledger, content_address, entry_of_study
from spine.intake.study_store import read_images, stored_study
from spine.landmarks import MARGINS175, ViewName
from spine.projection import locate_landmarks
from spine.study import Study, read_study

Images = Mapping[ViewName, NDArray[np.uint16]]


def labels_of_stored(study: Study, study_id: str, store: Path) -> Study:
    """New labels of a stored study: its patient, places and facts, and the labels and facts of ``study``.

    Raises:
        PairingRejected: ``STUDY_UNKNOWN``.
    """
    folder = stored_study(store, study_id)
    known = read_study(folder) if folder else None
    views = known.views if known else {}
    if known is None or any(n not in views or views[n].sha256 != v.sha256 for n, v in study.views.items()):
        found = "labels for a study that the store has not, or has with other images"
        remedy = "open the study on the page again"
        raise PairingRejected("STUDY_UNKNOWN", found, "the study that was corrected", remedy)
    labelled = {name: replace(views[name], labels=view.labels) for name, view in study.views.items()}
    points = replace(study.reconstruction, subject_id=known.patient) if study.reconstruction else None
    facts = {**known.facts, **study.facts}
    whole = replace(study, patient=known.patient, views=labelled, reconstruction=points, facts=facts)
    return replace(whole, study_id=content_address(whole))


def with_known_views(study: Study, store: Path, ledger: Ledger) -> tuple[Study, Images]:
    """The study with the facts and further views of the one stored study of its images, and the further images.

    Without exactly one such study of the same patient, the study is returned as it is.
    """
    owner = _owner(entry_of_study(study), ledger)
    if owner is None:
        return study, {}
    stored = read_study(store / str(owner.study_id))
    located = locate_landmarks(stored, MARGINS175)
    further = {name: view for name, view in stored.views.items() if name not in study.views}
    views = {name: replace(view, labels=view.labels or located[name].points) for name, view in further.items()}
    known = {key: value for key, value in stored.facts.items() if key not in CORRECTION_FACTS}
    whole = replace(study, views={**study.views, **views}, facts={**known, **study.facts})
    return replace(whole, study_id=content_address(whole)), read_images(store / stored.study_id, further)


def _owner(entry: Entry, ledger: Ledger) -> Entry | None:
    owners = {study for sha256 in entry.images.values() for study in ledger.studies_of_image.get(sha256, ())}
    latest = ledger.latest(owners)
    if len(latest) != 1 or latest[0].patient != entry.patient:
        return None
    return latest[0] if entry.images.items() <= latest[0].images.items() else None
