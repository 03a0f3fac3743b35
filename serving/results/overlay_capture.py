"""The overlay of a measurement as a colour Secondary Capture.

Contract: the pixels are those of ``MeasuredStudy.overlay`` without identification, so they name no patient. They are
not compressed: RLE saves a seventh only, because radiographs are noisy. If a radiograph has burned-in text, the overlay
shows it too and is marked as such.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.results.identity import result_uids, series_uid
from serving.results.sources import CHARACTER_SET, Source
from serving.results.statements import MANUFACTURER, MODEL_NAME, series_description, statements

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

SERIES_NUMBER = 9102


def overlay_capture(study: "MeasuredStudy", source: Source) -> Any:
    """The pydicom data set of the overlay."""
    from highdicom.sc import SCImage
    from pydicom.uid import ExplicitVRLittleEndian

    digest = study.model.digest
    capture: Any = SCImage.from_ref_dataset(
        next(iter(source.images.values())),
        np.asarray(study.overlay()),
        "RGB",
        8,
        "PATIENT",
        series_instance_uid=series_uid("overlay", source.sop_uids, study.model.result_digest),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uids(source.sop_uids, study.model.result_digest)["overlay"],
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        manufacturer_model_name=MODEL_NAME,
        software_versions=version("plumbline"),
        device_serial_number=digest,
        series_description=series_description(study, "overlay"),
        specific_character_set=CHARACTER_SET,
    )
    capture.PatientOrientation = None  # two views side by side have no orientation in common
    del capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture  # the moment, which highdicom writes
    capture.BodyPartExamined = "SPINE"  # not paired, so that no laterality is needed
    capture.BurnedInAnnotation = "YES" if source.burned_in else "NO"
    capture.DerivationDescription = "Radiographs with landmarks, construction lines and values drawn on them"
    capture.ImageComments = " ".join(statements(study)[:2])
    capture.SourceImageSequence = source.references()
    return capture
