"""A measurement as a FHIR transaction of R4B or R5: study, model, one observation a parameter and class, and a report.

Contract: every entry is a PUT with an id that follows from radiographs and model, so a repeated transaction changes
nothing. Every observation is preliminary. The bundle is checked against the structure of its release before it is
returned, and its codes are those of ``codes`` and ``fhir_codes``. The patient is referred to by the identifier of the
radiographs, and named nowhere.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from serving.results.codes import DIGEST, MEASUREMENT_REPORT, SYSTEMS
from serving.results.derived_classes import class_texts
from serving.results.fhir_codes import (
    AI_ASSERTED,
    RADIOLOGY_SECTION,
    SECTION_SYSTEM,
    SECURITY_SYSTEM,
    SOP_CLASS_SYSTEM,
    UID_SYSTEM,
    BundleType,
    DeviceNameType,
    DeviceStatus,
    HttpVerb,
    Modality,
    Release,
    ReportStatus,
    StudyStatus,
)
from serving.results.fhir_observations import Links, class_observation, concept, parameter_observation
from serving.results.identity import derived_uuid
from serving.results.objects import require_installed
from serving.results.sources import NO_DATE, Source, source_of
from serving.results.statements import MANUFACTURER, MODEL_NAME, statements

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

Resource = dict[str, Any]
"""A resource as JSON values."""


def fhir_text(study: "MeasuredStudy", release: Release = Release.R4B) -> str:
    """The transaction as JSON.

    Raises:
        InputRejected: ``RESULTS_NEED_DICOM``, ``FILE_CHANGED``.
        ParametersRejected: ``SERVING_NOT_INSTALLED``.
    """
    require_installed()
    bundle = _bundle(_Writer(study, source_of(study), release))
    _bundle_class(release).model_validate(bundle)
    return json.dumps(bundle, indent=1, allow_nan=False)


def _bundle_class(release: Release) -> Any:
    if release is Release.R5:
        from fhir.resources.bundle import Bundle

        return Bundle
    from fhir.resources.R4B.bundle import Bundle as EarlierBundle

    return EarlierBundle


@dataclass(frozen=True)
class _Writer:
    study: "MeasuredStudy"
    source: Source
    release: Release

    def id_of(self, purpose: str) -> str:
        """The id of a resource. All measurements of one model share its device."""
        radiographs = () if purpose == "device" else self.source.sop_uids
        return str(derived_uuid(f"fhir {purpose}", radiographs, self.study.model.result_digest))

    def reference(self, purpose: str) -> dict[str, str]:
        return {"reference": f"urn:uuid:{self.id_of(purpose)}"}

    @property
    def subject(self) -> Resource:
        """The patient by the identifier of the radiographs."""
        identifier = str(self.source.patient.PatientID)
        if not identifier:
            return {"type": "Patient", "display": "patient without an identifier"}
        issuer = str(self.source.patient.get("IssuerOfPatientID", ""))
        assigner = {"assigner": {"display": issuer}} if issuer else {}
        return {"type": "Patient", "identifier": {"value": identifier, **assigner}}

    @property
    def moment(self) -> str | None:
        """The date of the radiographs; FHIR wants a zone with a time, and DICOM rarely has it."""
        date = self.source.date
        return None if date == NO_DATE else f"{date[:4]}-{date[4:6]}-{date[6:]}"


def _bundle(writer: _Writer) -> Resource:
    resources = {"study": _imaging_study(writer), "device": _device(writer)}
    links = Links(writer.subject, writer.reference("study"), writer.reference("device"), writer.moment)
    study, uids = writer.study, writer.source.sop_uids
    for name, measured in study.prediction.parameters.items():
        resources[f"parameter {name}"] = parameter_observation(name, measured, links, uids, study.model.result_digest)
    for each in class_texts(study):
        resources[f"class {each.name}"] = class_observation(each, links)
    resources["report"] = _report(writer, [purpose for purpose in resources if " " in purpose])
    return {
        "resourceType": "Bundle",
        "type": BundleType.TRANSACTION.value,
        "entry": [_entry(writer, purpose, resource) for purpose, resource in resources.items()],
    }


def _entry(writer: _Writer, purpose: str, resource: Resource) -> Resource:
    kind, uuid = resource["resourceType"], writer.id_of(purpose)
    labelled = {"security": [{"system": SECURITY_SYSTEM, "code": AI_ASSERTED[0], "display": AI_ASSERTED[1]}]}
    marked = {} if kind in ("ImagingStudy", "Device") else {"meta": labelled}
    return {
        "fullUrl": f"urn:uuid:{uuid}",
        "resource": {"resourceType": kind, "id": uuid, **marked, **resource},
        "request": {"method": HttpVerb.PUT.value, "url": f"{kind}/{uuid}"},
    }


def _imaging_study(writer: _Writer) -> Resource:
    """The study, with the radiographs that were measured."""
    first = next(iter(writer.source.images.values()))
    series: dict[str, Resource] = {}
    for image in writer.source.images.values():
        modality = {"system": SYSTEMS["DCM"], "code": Modality.of(str(image.get("Modality"))).value}
        item = series.setdefault(
            str(image.SeriesInstanceUID),
            {"uid": str(image.SeriesInstanceUID), "modality": _either(writer, modality), "instance": []},
        )
        sop_class = {"system": SOP_CLASS_SYSTEM, "code": f"urn:oid:{image.SOPClassUID}"}
        item["instance"].append({"uid": str(image.SOPInstanceUID), "sopClass": sop_class})
    uid = {"system": UID_SYSTEM, "value": f"urn:oid:{first.StudyInstanceUID}"}
    started = {"started": writer.moment} if writer.moment else {}
    return {
        "resourceType": "ImagingStudy",
        "identifier": [uid],
        "status": StudyStatus.AVAILABLE.value,
        "subject": writer.subject,
        **started,
        "numberOfSeries": len(series),
        "numberOfInstances": len(writer.source.images),
        "series": list(series.values()),
    }


def _either(writer: _Writer, coding: Resource) -> Resource:
    """A coding in R4B, a concept in R5."""
    return {"coding": [coding]} if writer.release is Release.R5 else coding


def _device(writer: _Writer) -> Resource:
    model = writer.study.model
    named = {"type": DeviceNameType.USER_FRIENDLY.value}
    name = {"name": f"{MODEL_NAME} AI", **named} if writer.release is Release.R4B else None
    naming = {"deviceName": [name]} if name else {"name": [{"value": f"{MODEL_NAME} AI", **named}]}
    simulated = "trained on simulated data only; " if model.contract.simulated_training_data else ""
    return {
        "resourceType": "Device",
        "identifier": [{"type": concept(DIGEST), "value": f"sha256:{model.digest}"}],
        "status": DeviceStatus.ACTIVE.value,
        "manufacturer": MANUFACTURER,
        "serialNumber": model.digest,
        **naming,
        "version": [{"value": version("plumbline")}],
        "note": [{"text": f"AI model, {simulated}{model.contract.training_note or 'no training note'}"}],
    }


def _report(writer: _Writer, results: list[str]) -> Resource:
    of_study = "study" if writer.release is Release.R5 else "imagingStudy"
    section = {"system": SECTION_SYSTEM, "code": RADIOLOGY_SECTION[0], "display": RADIOLOGY_SECTION[1]}
    effective = {"effectiveDateTime": writer.moment} if writer.moment else {}
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": UID_SYSTEM, "value": f"urn:uuid:{writer.id_of('report')}"}],
        "status": ReportStatus.PRELIMINARY.value,
        "category": [{"coding": [section]}],
        "code": concept(MEASUREMENT_REPORT),
        "subject": writer.subject,
        **effective,
        of_study: [writer.reference("study")],
        "result": [writer.reference(purpose) for purpose in results],
        "conclusion": "\n".join(statements(writer.study)),
    }
