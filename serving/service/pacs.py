"""The radiographs of a request that names a study in a PACS, over DICOMweb.

Contract: a request names a PACS of the settings and a study by its UID, never an address, so the service sends requests
to no other host. Only instances that can be radiographs are fetched, and no more bytes than one body may have.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from inference.radiograph_files import RadiographFile
from serving.service.settings import PacsAddress
from spine.errors import GateRefused, InputRejected, ParametersRejected
from spine.landmarks import ViewName
from spine.radiograph.sop_classes import READABLE, SECONDARY_CAPTURES

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_FIELDS = ("pacs", "study_uid", "frontal", "lateral", "facing")
_SERIES, _INSTANCE, _CLASS, _ROWS, _COLUMNS = "0020000E", "00080018", "00080016", "00280010", "00280011"


@dataclass(frozen=True)
class StudyReference:
    """A study in a PACS.

    Attributes:
        pacs: the name of the PACS in the settings.
        study_uid: the Study Instance UID.
        views: view -> the SOP Instance UID of its radiograph, where the client names it.
        facing: the side of the stored lateral image to which the patient faces, if the client states it.
    """

    pacs: str
    study_uid: str
    views: Mapping[ViewName, str]
    facing: Literal["left", "right"] | None = None

    @classmethod
    def of_json(cls, value: Any) -> "StudyReference":
        """The reference in a JSON body.

        Raises:
            ParametersRejected: ``REFERENCE_INVALID``.
        """
        known = isinstance(value, dict) and set(value) <= set(_FIELDS) and {"pacs", "study_uid"} <= set(value)
        if not known or not all(isinstance(each, str) for each in value.values()):
            raise _invalid("another JSON value")
        uids = [value[name] for name in ("study_uid", "frontal", "lateral") if name in value]
        if not all(map(is_uid, uids)):
            raise _invalid("a text that is no DICOM UID")
        if value.get("facing", "left") not in ("left", "right"):
            raise _invalid("another value of facing")
        views: dict[ViewName, str] = {}
        for view in ("frontal", "lateral"):
            if view in value:
                views[view] = value[view]
        return cls(value["pacs"], value["study_uid"], views, value.get("facing"))


def is_uid(text: str) -> bool:
    """Whether a text can be a DICOM UID."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _invalid(found: str) -> ParametersRejected:
    expected = "pacs (a name), study_uid and, if wanted, frontal, lateral (SOP Instance UIDs) and facing (left, right)"
    return ParametersRejected("REFERENCE_INVALID", found, expected, "see /openapi.json for an example")


def fetch_study(reference: StudyReference, known: Mapping[str, PacsAddress], most_bytes: int) -> list[RadiographFile]:
    """The radiographs of a study, with their bytes.

    Raises:
        ParametersRejected: ``PACS_UNKNOWN``.
        InputRejected: ``STUDY_NOT_FOUND``, ``STUDY_FILES_UNCLEAR``, ``FILE_TOO_LARGE``.
        GateRefused: ``PACS_UNAVAILABLE``.
    """
    if reference.pacs not in known:
        expected = f"one of {', '.join(sorted(known))}" if known else "a request with files; no PACS is set up"
        raise ParametersRejected("PACS_UNKNOWN", "a PACS that the settings do not name", expected, "name another PACS")
    address = known[reference.pacs]
    client = pacs_client(address)
    try:
        chosen = _chosen(client.search_for_instances(reference.study_uid, fields=_fields()), reference)
        require_small((each for _, _, each in chosen), most_bytes)
        return [
            RadiographFile(instance_bytes(client, reference.study_uid, each), name, view, _facing(reference, view))
            for name, view, each in chosen
        ]
    except (OSError, ValueError, KeyError) as error:  # requests' errors are OSErrors; KeyError: an incomplete answer
        raise GateRefused(
            "PACS_UNAVAILABLE",
            found=f"no complete answer of the PACS ({type(error).__name__})",
            expected="the instances of the study",
            remedy="send the request again later, or send the files",
        ) from None


def pacs_client(address: PacsAddress) -> "DICOMwebClient":
    """A client of the DICOMweb services of a PACS."""
    from dicomweb_client.web import DICOMwebClient

    return DICOMwebClient(address.url, headers=dict(address.headers) or None, timeout=address.timeout_s)


def _fields() -> list[str]:
    return [_SERIES, _INSTANCE, _CLASS, _ROWS, _COLUMNS]


def value_of(instance: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute in an answer in DICOM JSON; None if there is none."""
    values = instance.get(tag, {}).get("Value") or [None]
    return values[0]


Chosen = tuple[str, ViewName | None, Mapping[str, Any]]
"""Name of the file, its view if the client names it, and what the PACS says about the instance."""


def _chosen(instances: Sequence[Mapping[str, Any]], reference: StudyReference) -> list[Chosen]:
    """The instances to measure: those that the request names, or else the study's radiographs."""
    found = {str(value_of(each, _INSTANCE)): each for each in instances if value_of(each, _CLASS) in READABLE}
    if reference.views:
        named: list[Chosen] = [(view, view, found[uid]) for view, uid in reference.views.items() if uid in found]
        if len(named) == len(reference.views):
            return named
    # An overlay of this software is a secondary capture beside the radiographs from which it is made.
    acquired = [each for each in found.values() if value_of(each, _CLASS) not in SECONDARY_CAPTURES]
    candidates = acquired or list(found.values())
    if reference.views or not candidates:
        remedy = "check the UIDs, and whether the study has arrived in the PACS"
        raise InputRejected("STUDY_NOT_FOUND", "no such radiograph in the study", "the named radiographs", remedy)
    if len(candidates) > 2:
        found_text, expected = f"{len(candidates)} radiographs in the study", "one frontal and one lateral radiograph"
        remedy = "name their SOP Instance UIDs as frontal and lateral"
        raise InputRejected("STUDY_FILES_UNCLEAR", found_text, expected, remedy)
    return [(f"file {number}", None, each) for number, each in enumerate(candidates, start=1)]


def require_small(instances: Iterable[Mapping[str, Any]], most_bytes: int) -> None:
    """Refuse radiographs whose pixels have more than ``most_bytes`` bytes, before they are fetched.

    Raises:
        InputRejected: ``FILE_TOO_LARGE``.
    """
    sizes = [2 * int(value_of(each, _ROWS) or 0) * int(value_of(each, _COLUMNS) or 0) for each in instances]
    if sum(sizes) > most_bytes:
        remedy = "send a radiograph; no pair of radiographs is this large"
        raise InputRejected("FILE_TOO_LARGE", f"{sum(sizes)} bytes of pixels", f"at most {most_bytes} bytes", remedy)


def instance_bytes(client: "DICOMwebClient", study_uid: str, instance: Mapping[str, Any]) -> bytes:
    """The bytes of an instance, as a DICOM file in the transfer syntax in which the PACS has it."""
    series, uid = str(value_of(instance, _SERIES)), str(value_of(instance, _INSTANCE))
    dataset = client.retrieve_instance(study_uid, series, uid)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _facing(reference: StudyReference, view: ViewName | None) -> Literal["left", "right"] | None:
    return reference.facing if view != "frontal" else None
