"""The PACS as the loop uses it: QIDO-RS for studies and instances, WADO-RS for radiographs, STOW-RS for results.

Contract: an error says whether the PACS as a whole cannot be used (``PacsUnavailable``) or one study (``StudyFault``).
No message has an address, a UID or a text of the PACS. A result counts as stored only if the answer of the PACS says so
for this instance.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from serving.results.statements import MANUFACTURER
from serving.service.pacs import instance_bytes, pacs_client, value_of
from serving.service.settings import PacsAddress
from spine.errors import GateRefused, InputRejected
from spine.radiograph.sop_classes import SECONDARY_CAPTURES

if TYPE_CHECKING:
    from pydicom import Dataset

STUDY, MODALITIES, INSTANCES = "0020000D", "00080061", "00201208"
SERIES, INSTANCE, SOP_CLASS, ROWS, COLUMNS = "0020000E", "00080018", "00080016", "00280010", "00280011"
MAKER, DESCRIPTION, BODY_PART = "00080070", "0008103E", "00180015"

_ANSWER, _GOES_ON = "an answer of the PACS", "nothing is lost, the loop goes on by itself"
_DENIED, _BUSY = (401, 403), (408, 429, 502, 503, 504)
_ALREADY_THERE = 0x0111
"""Failure reason "duplicate SOP instance": the same results were stored before."""


class PacsUnavailable(GateRefused):
    """The PACS does not answer, or denies access. The loop waits and goes on."""


class NoAnswer(PacsUnavailable):
    """One request got no answer: the PACS is down, or this request is too much for it."""


class StudyFault(InputRejected):
    """The PACS answers, but not completely for one study."""


class Archive:
    """The PACS of the loop."""

    def __init__(self, address: PacsAddress) -> None:
        self._client = pacs_client(address)
        self._client.set_http_retry_params(retry=False)  # the loop has its own pauses

    def studies(self, filters: Mapping[str, str], offset: int, limit: int) -> list[Mapping[str, Any]]:
        """One page of the studies that match, as DICOM JSON.

        Raises:
            PacsUnavailable: ``PACS_UNAVAILABLE``, ``PACS_DENIED``.
        """
        with _asked(whole=True):
            return list(
                self._client.search_for_studies(
                    fields=[MODALITIES, INSTANCES], offset=offset, limit=limit, search_filters=dict(filters)
                )
            )

    def unanswered(self, error: NoAnswer) -> StudyFault:
        """The fault of one study, for whose request the PACS had no answer although it answers others.

        Raises:
            PacsUnavailable: it does not answer a search for studies either.
        """
        self.studies({}, 0, 1)
        return _fault(error.found)

    def instances(self, study_uid: str) -> list[Mapping[str, Any]]:
        """The instances of a study, as DICOM JSON. A secondary capture has its maker.

        Raises:
            PacsUnavailable: ``PACS_UNAVAILABLE``, ``PACS_DENIED``.
            StudyFault: ``PACS_ANSWER``.
        """
        fields = [SERIES, INSTANCE, SOP_CLASS, ROWS, COLUMNS, MAKER, DESCRIPTION, BODY_PART]
        with _asked():
            found: dict[str, Mapping[str, Any]] = {}
            while page := self._client.search_for_instances(study_uid, fields=fields, offset=len(found)):
                new = {str(value_of(each, INSTANCE)): each for each in page} | found
                if len(new) == len(found):  # the PACS does not know offsets
                    break
                found = new
            return [self._with_maker(study_uid, each) for each in found.values()]

    def content(self, study_uid: str, instance: Mapping[str, Any]) -> bytes:
        """The bytes of an instance.

        Raises:
            PacsUnavailable, StudyFault: as ``instances``.
        """
        with _asked(), _quiet():
            return instance_bytes(self._client, study_uid, instance)

    def store(self, study_uid: str, datasets: Sequence["Dataset"]) -> Mapping[str, str]:
        """Store results: UID of each that was not stored -> why.

        Raises:
            PacsUnavailable: ``PACS_UNAVAILABLE``, ``PACS_DENIED``.
        """
        from requests import HTTPError

        sent = [str(each.SOPInstanceUID) for each in datasets]
        for each in datasets:
            each.preamble = bytes(128)
        try:
            with _asked(keep_http=True), _quiet():
                answer = self._client.store_instances(datasets, study_uid)
        except HTTPError as error:
            answer = _answer_of(error)
            reason = f"HTTP status {_status(error)}"
        except StudyFault:
            answer, reason = None, "an answer that cannot be read"
        else:
            reason = "the answer does not name it"
        return _not_stored(sent, answer, reason)

    def _with_maker(self, study_uid: str, instance: Mapping[str, Any]) -> Mapping[str, Any]:
        """Some PACS leave the maker out of their answers to searches; results of the loop must be known by it."""
        if value_of(instance, SOP_CLASS) not in SECONDARY_CAPTURES or {MAKER, DESCRIPTION} & set(instance):
            return instance
        series, uid = str(value_of(instance, SERIES)), str(value_of(instance, INSTANCE))
        metadata = self._client.retrieve_instance_metadata(study_uid, series, uid)
        return {**instance, **{tag: metadata[tag] for tag in (MAKER, DESCRIPTION) if tag in metadata}}


def is_own_result(instance: Mapping[str, Any]) -> bool:
    """Whether an instance is a secondary capture that this software made."""
    described = str(value_of(instance, DESCRIPTION) or "").startswith("AI overlay, UNVERIFIED")
    own = described or value_of(instance, MAKER) == MANUFACTURER
    return own and value_of(instance, SOP_CLASS) in SECONDARY_CAPTURES


@contextmanager
def _asked(*, whole: bool = False, keep_http: bool = False) -> Iterator[None]:
    """Turn errors of a request into ``PacsUnavailable``, or into ``StudyFault`` if only one study is concerned.

    Args:
        whole: whether the request concerns the whole PACS.
        keep_http: whether an answer with an error status is raised as ``requests.HTTPError``, unless the PACS is busy.
    """
    from requests import ConnectionError, HTTPError, Timeout

    try:
        yield
    except HTTPError as error:
        status = _status(error)
        if status in _DENIED:
            raise _unavailable("PACS_DENIED", f"HTTP status {status}", "correct the credentials") from None
        if status in _BUSY or whole:
            raise _unavailable("PACS_UNAVAILABLE", f"HTTP status {status}", "see the log of the PACS") from None
        if keep_http:
            raise
        raise _fault(f"HTTP status {status}") from None
    except (ConnectionError, Timeout) as error:
        remedy = f"start the PACS, or correct its URL; {_GOES_ON}"
        raise NoAnswer("PACS_UNAVAILABLE", type(error).__name__, _ANSWER, remedy) from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        if whole:
            remedy = "check that the URL is the root of the DICOMweb services"
            raise _unavailable(
                "PACS_UNAVAILABLE", f"no answer in DICOM JSON ({type(error).__name__})", remedy
            ) from None
        raise _fault(type(error).__name__) from None


def _unavailable(code: str, found: str, remedy: str) -> PacsUnavailable:
    return PacsUnavailable(code, found, _ANSWER, f"{remedy}; {_GOES_ON}")


def _fault(found: str) -> StudyFault:
    expected, remedy = "the instances of the study", "check the study in the PACS"
    return StudyFault("PACS_ANSWER", f"no complete answer of the PACS ({found})", expected, remedy)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of pydicom, which quote values."""
    from spine.radiograph.read import pydicom_silent

    with pydicom_silent():
        yield


def _status(error: Any) -> int:
    return 0 if error.response is None else error.response.status_code


def _answer_of(error: Any) -> Any:
    """The data set in an answer with an error status; None if there is none."""
    from pydicom import Dataset

    try:
        return Dataset.from_json(error.response.json())
    except Exception:  # the body of an error can be anything
        return None


def _not_stored(sent: Sequence[str], answer: Any, reason: str) -> dict[str, str]:
    failed, stored = {}, set()
    for item in answer.get("FailedSOPSequence") or () if answer is not None else ():
        code = int(item.get("FailureReason", 0) or 0)
        if code == _ALREADY_THERE:
            stored.add(str(item.get("ReferencedSOPInstanceUID")))
        else:
            failed[str(item.get("ReferencedSOPInstanceUID"))] = f"failure reason 0x{code:04X}"
    for item in answer.get("ReferencedSOPSequence") or () if answer is not None else ():
        stored.add(str(item.get("ReferencedSOPInstanceUID")))
    return {uid: failed.get(uid, reason) for uid in sent if uid not in stored or uid in failed}
