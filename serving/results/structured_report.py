"""The structured report of a measurement: TID 1500 in a Comprehensive 3D SR.

Contract: one measurement group a measured parameter, with its lines on the radiograph that shows them, its finding
sites, its 90 % interval and the model. Every absent parameter stands among the qualitative evaluations with the code
and the sentence of its reason. The report is complete, preliminary and not verified.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from serving.results.codes import (
    ABSENCE_CODES,
    CLASS_CODES,
    COMMENT,
    IMAGING_PROCEDURE,
    INTERVAL_HIGH,
    INTERVAL_LOW,
    LEVEL_CODES,
    LOWER_UNCERTAINTY,
    MEASUREMENT_REPORT,
    QUALITATIVE_EVALUATIONS,
    UNIT_CODES,
    UPPER_UNCERTAINTY,
    Code,
    code_of,
)
from serving.results.concepts import concept
from serving.results.derived_classes import class_texts
from serving.results.identity import device_uid, result_uids, series_uid, tracking_uid
from serving.results.lines import StoredRegion, stored_regions
from serving.results.sites import finding_levels
from serving.results.sources import CHARACTER_SET, Source
from serving.results.statements import MANUFACTURER, MODEL_NAME, series_description, statements
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS, Measured

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

SERIES_NUMBER = 9101


def structured_report(study: "MeasuredStudy", source: Source) -> Any:
    """The pydicom data set of the report."""
    from highdicom.sr import Comprehensive3DSR, MeasurementReport

    digest = study.model.digest
    report = MeasurementReport(
        observation_context=_observer(digest),
        procedure_reported=concept(IMAGING_PROCEDURE),
        imaging_measurements=list(_groups(study, source)),
        title=concept(MEASUREMENT_REPORT),
    )
    report[0].ContentSequence.append(_evaluations(study))
    return Comprehensive3DSR(
        evidence=list(source.images.values()),
        content=report[0],
        series_instance_uid=series_uid("sr", source.sop_uids, study.model.result_digest),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uids(source.sop_uids, study.model.result_digest)["sr"],
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=version("plumbline"),
        device_serial_number=digest,
        series_description=series_description(study, "measurements"),
        is_complete=True,
        is_final=False,
        is_verified=False,
        specific_character_set=CHARACTER_SET,
    )


def _observer(digest: str) -> Any:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        device_uid(digest), f"{MODEL_NAME} AI", MANUFACTURER, MODEL_NAME, serial_number=digest
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _groups(study: "MeasuredStudy", source: Source) -> Iterator[Any]:
    """The groups, those of the coronal plane first: a viewer opens at the first, which then is the major curve."""
    regions, parameters = stored_regions(study), study.prediction.parameters
    for name in sorted(parameters, key=lambda name: PARAMETERS[name].plane != "coronal"):
        if parameters[name].value is not None:
            yield _group(study, source, name, parameters[name], regions.get(name))


def _group(study: "MeasuredStudy", source: Source, name: str, measured: Measured, region: StoredRegion | None) -> Any:
    """One parameter with its region, or without one with the radiographs that show its plane."""
    from highdicom import sr

    uid = tracking_uid(name, source.sop_uids, study.model.result_digest)
    given: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid, PARAMETERS[name].label),
        "measurements": [_measurement(study, name, measured)],
    }
    if region is not None:
        image = sr.SourceImageForRegion.from_source_image(source.images[region.view])
        polyline = sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, region.points, image)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=polyline, **given)
    shown = [image for view, image in source.images.items() if PLANE_OF_VIEW[view] == PARAMETERS[name].plane]
    images = [sr.SourceImageForMeasurementGroup.from_source_image(image) for image in shown]
    return sr.MeasurementsAndQualitativeEvaluations(source_images=images, **given)


def _measurement(study: "MeasuredStudy", name: str, measured: Measured) -> Any:
    from highdicom import sr

    assert measured.value is not None
    unit = UNIT_CODES[measured.unit]
    algorithm = sr.AlgorithmIdentification(
        MODEL_NAME, version("plumbline"), [f"model sha256:{study.model.digest}"], manufacturer=MANUFACTURER
    )
    sites = [sr.FindingSite(concept(LEVEL_CODES[level])) for level in finding_levels(name, measured)]
    return sr.Measurement(
        concept(code_of(name)),
        round(measured.value, 1),
        concept(unit),
        finding_sites=sites,
        properties=_interval(round(measured.value, 1), measured.interval, unit),
        algorithm_id=algorithm,
    )


def _interval(value: float, interval: tuple[float, float] | None, unit: Code) -> Any:
    """The distances to the ends of the interval (CID 225), and the ends themselves; None without an interval.

    highdicom's own arguments for the distances would write them without a unit.
    """
    from highdicom.sr import MeasurementProperties, NumContentItem, RelationshipTypeValues

    if interval is None:
        return None
    low, high = (round(end, 1) for end in interval)
    distances = ((UPPER_UNCERTAINTY, round(high - value, 1)), (LOWER_UNCERTAINTY, round(value - low, 1)))
    properties = MeasurementProperties()
    for code, number in (*distances, (INTERVAL_LOW, low), (INTERVAL_HIGH, high)):
        relation = RelationshipTypeValues.HAS_PROPERTIES
        properties.append(NumContentItem(concept(code), number, concept(unit), relationship_type=relation))
    return properties


def _evaluations(study: "MeasuredStudy") -> Any:
    """Absent parameters with their reasons, classes, then what a reader must know."""
    from highdicom import sr

    relation = sr.RelationshipTypeValues.CONTAINS
    container = sr.ContainerContentItem(concept(QUALITATIVE_EVALUATIONS), relationship_type=relation)
    container.ContentSequence = sr.ContentSequence()
    for name, measured in study.prediction.parameters.items():
        if measured.absent_code is not None:
            reason = concept(ABSENCE_CODES[measured.absent_code])
            item = sr.CodeContentItem(concept(code_of(name)), reason, relation)
            container.ContentSequence.append(item)
            text = f"{PARAMETERS[name].label}: {measured.absent_reason}"
            container.ContentSequence.append(sr.TextContentItem(concept(code_of(name)), text, relation))
    for each in class_texts(study):
        name = concept(CLASS_CODES[each.name])
        container.ContentSequence.append(sr.TextContentItem(name, each.text, relation))
    for text in statements(study):
        container.ContentSequence.append(sr.TextContentItem(concept(COMMENT), text, relation))
    return container
