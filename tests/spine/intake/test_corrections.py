"""The source of corrections: cases become labelled studies through the door of every other study."""

import io

import numpy as np
import pytest
from PIL import Image

from spine.intake.correction import Correction, corrected_view
from spine.intake.correction_record import write_correction
from spine.intake.corrections import cases
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.radiograph.orientation import GivenOrientation
from spine.radiograph.picture import read_picture
from spine.storage import sha256_of_bytes, sha256_of_image
from spine.study import iterate_study_folders, read_study

KEY = b"k" * 32
POINTS = {
    f"L{i}_{side}": np.array([20.0, 10.0 * i + (3 if side == "inf" else 0)])
    for i in range(1, 6)
    for side in ("sup", "inf")
}


def picture(seed=0):
    grey = np.random.default_rng(seed).integers(0, 256, (100, 60), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return stream.getvalue()


def write_picture_case(
    folder, case="case-1", payload=None, decision="annotated", patient="P-1", facing="left", **changes
):
    payload = payload or picture()
    image = read_picture(payload, GivenOrientation("lateral", facing), 4.0).image
    digests = (sha256_of_bytes(payload), changes.pop("pixels", sha256_of_image(image)))
    proposed = POINTS if decision in ("accepted", "rejected") else {}
    view = corrected_view("lateral.png", *digests, image.shape, proposed, POINTS, facing=facing, spacing_mm=4.0)
    fields = {"who": "B", "when": "2026-12-01T10:00:00Z", "patient": patient}
    fields |= {"model_digest": "a" * 64} if proposed else {}
    return write_correction(
        folder / case, Correction(case, {"lateral": view}, decision, **(fields | changes)), {"lateral": payload}
    )


class Place:
    def __init__(self, root):
        self.cases, self.store, self.quarantine = (
            root / "cases",
            root / "work" / "studies",
            root / "work" / "quarantine",
        )
        self.cases.mkdir()

    def ingest(self, kind="corrections", **options):
        options = {"pseudonym_key": KEY} | options
        return ingest(open_source(kind, self.cases), self.store, self.quarantine, **options)

    def studies(self):
        return [read_study(folder) for folder in iterate_study_folders(self.store)]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_picture_becomes_a_labelled_study_of_a_hashed_patient(place):
    write_picture_case(place.cases)
    assert place.ingest().used == 1 and place.ingest().already_present == 1
    (study,) = place.studies()
    lateral = study.views["lateral"]
    assert study.source == "corrections" and "P-1" not in repr(study)
    assert (lateral.spacing_mm, lateral.calibration) == ((4.0, 4.0), "STATED")
    assert {name: xy.tolist() for name, xy in lateral.labels.items()} == {n: xy.tolist() for n, xy in POINTS.items()}
    assert study.facts["label_weight"] == 1.0 and "proposed_by" not in study.facts


def test_a_mirrored_lateral_is_read_as_it_was_corrected(place):
    write_picture_case(place.cases, facing="right")
    assert place.ingest().used == 1
    image = np.load(next(place.store.glob("*/lateral.npy")))
    stored = np.asarray(Image.open(io.BytesIO(picture())))
    assert np.corrcoef(image.ravel(), stored[:, ::-1].ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("changes", "code"), [({"patient": ""}, "PATIENT_ID_MISSING"), ({"pixels": "b" * 64}, "PIXELS_DIFFER")]
)
def test_a_case_that_fails_a_check_is_quarantined_with_its_reason(place, changes, code):
    write_picture_case(place.cases, **changes)
    report = place.ingest()
    assert [q.code for q in report.quarantined] == [code] and not place.studies()


def test_text_in_the_pixels_is_looked_for(place):
    from spine.intake.burned_in_text import TextCheck

    write_picture_case(place.cases)
    report = place.ingest(text_check=TextCheck(lambda image: ["MILLER ANNA"]))
    assert [q.code for q in report.quarantined] == ["BURNED_IN_TEXT"]
    simulated = place.ingest(text_check=TextCheck(lambda image: ["MILLER ANNA"]), simulated_key=b"s" * 32)
    assert [q.code for q in simulated.quarantined] == ["BURNED_IN_TEXT"]  # the picture is not simulated


def test_every_file_is_counted(place, tmp_path):
    write_picture_case(place.cases)
    write_picture_case(place.cases, reason="seen twice")
    write_picture_case(place.cases, "case-2", picture(2), "rejected", reason="no spine")
    (place.cases / "empty").mkdir()
    (place.cases / "note.txt").write_text("x")
    (place.cases / "outside").symlink_to(tmp_path)
    report = place.ingest()
    assert (report.received, report.used, [w.code for w in report.waiting]) == (2, 1, ["CORRECTION_MISSING"])
    assert report.files.passed_over == {
        "file of a rejected measurement": 2, "file of an earlier record": 1, "hidden file": 2, "other file": 2,
    }  # fmt: skip
    assert report.files.used == 2


def test_a_corrected_correction_replaces_the_first(place):
    write_picture_case(place.cases, decision="accepted")
    place.ingest()
    (first,) = place.studies()
    assert place.ingest().already_present == 1
    write_picture_case(place.cases, decision="accepted", reason="again")  # the same points
    assert place.ingest().revised == 1, "a record is a study of its own: a person may return to earlier points"
    second = next(s for s in place.studies() if s.revises)
    assert second.revises == (first.study_id,)
    moved = {**POINTS, "L1_sup": np.array([25.0, 9.0])}
    payload = picture()
    image = read_picture(payload, GivenOrientation("lateral", "left"), 4.0).image
    digests = sha256_of_bytes(payload), sha256_of_image(image)
    view = corrected_view("lateral.png", *digests, image.shape, POINTS, moved, facing="left", spacing_mm=4.0)
    fields = {"who": "B", "when": "2026-12-01T11:00:00Z", "patient": "P-1", "model_digest": "a" * 64}
    record = Correction("case-1", {"lateral": view}, "corrected", **fields)
    write_correction(place.cases / "case-1", record, {"lateral": payload})
    assert place.ingest().revised == 1
    newest = next(s for s in place.studies() if s.facts["label_weight"] == 1.0)
    assert second.study_id in newest.revises


def test_annotations_alone_are_a_source_of_their_own(place):
    write_picture_case(place.cases)
    write_picture_case(place.cases, "case-2", picture(2), "accepted", patient="P-2")
    report = place.ingest("annotations")
    assert report.used == report.received == 1 and report.files.passed_over["file of a case that is no annotation"] == 2
    assert place.studies()[0].source == "annotations"
    assert [case.decision for case in cases(place.cases)] == ["annotated", "accepted"]
