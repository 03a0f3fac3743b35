"""The radiographs among the instances of a study, and their views.

Contract: results are told from radiographs by SOP class, and secondary captures by their maker, so the loop never
measures its own results. Every refusal has a code and a sentence without identifiers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference.radiograph_files import OpenedRadiograph, RadiographFile, open_radiographs
from serving.service.pacs import is_uid, value_of
from serving.watch.archive import BODY_PART, INSTANCE, SERIES, SOP_CLASS, is_own_result
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import ViewName
from spine.radiograph.sop_classes import READABLE, SECONDARY_CAPTURES
from spine.radiograph.technique import BODY_PARTS
from spine.storage import sha256_of_bytes, sha256_of_image

_AGAIN = "correct the study in the PACS; it is looked at again when it changes"


def radiographs_of(instances: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The instances to measure.

    Secondary captures, and radiographs whose tag names a part of the arm, are measured only where a study has no other
    radiograph.

    Raises:
        InputRejected: ``NO_RADIOGRAPH``, ``TOO_MANY_RADIOGRAPHS``, ``UID_INVALID``.
    """
    found = {uid_of(each): each for each in instances if value_of(each, SOP_CLASS) in READABLE}
    acquired = {uid: each for uid, each in found.items() if value_of(each, SOP_CLASS) not in SECONDARY_CAPTURES}
    candidates = acquired or {uid: each for uid, each in found.items() if not is_own_result(each)}
    # A hand for the bone age is common beside the spine of a child. Other tags are often wrong on whole spines.
    candidates = {uid: each for uid, each in candidates.items() if not _shows_arm(each)} or candidates
    if not candidates:
        expected = "a radiograph (CR, DX, or a secondary capture of a radiograph)"
        raise InputRejected("NO_RADIOGRAPH", "no radiograph in the study", expected, _AGAIN)
    if len(candidates) > 2:
        found_text, expected = f"{len(candidates)} radiographs in the study", "one frontal and one lateral radiograph"
        raise InputRejected("TOO_MANY_RADIOGRAPHS", found_text, expected, f"measure the pair by hand, or {_AGAIN}")
    if not all(is_uid(uid) and is_uid(str(value_of(each, SERIES))) for uid, each in candidates.items()):
        raise InputRejected("UID_INVALID", "an identifier that is no UID", "at most 64 digits and dots", _AGAIN)
    return [candidates[uid] for uid in sorted(candidates)]


def _shows_arm(instance: Mapping[str, Any]) -> bool:
    return BODY_PARTS.get(str(value_of(instance, BODY_PART) or "").strip().upper()) == "arm"


def uid_of(instance: Mapping[str, Any]) -> str:
    """The SOP Instance UID."""
    return str(value_of(instance, INSTANCE))


def set_digest(instances: Iterable[Mapping[str, Any]]) -> str:
    """Digest of the SOP Instance UIDs of a set of radiographs."""
    readable = (uid_of(each) for each in instances if value_of(each, SOP_CLASS) in READABLE and not is_own_result(each))
    return sha256_of_bytes("|".join(sorted(set(readable))).encode())


def opened(contents: Sequence[bytes]) -> dict[ViewName, OpenedRadiograph]:
    """View -> its radiograph, from the files of one or two radiographs.

    Raises:
        InputRejected: a file that cannot be read, ``VIEW_UNKNOWN``, ``VIEW_DUPLICATE``, or two radiographs that do not
            belong to one examination.
    """
    from spine.intake.pairing import require_one_examination

    views: dict[ViewName, OpenedRadiograph] = {}
    for number, content in enumerate(contents, start=1):
        for view, each in _one(RadiographFile(content, f"radiograph {number}")).items():
            if view in views:
                expected = "one frontal and one lateral radiograph"
                raise InputRejected("VIEW_DUPLICATE", f"two {view} radiographs in the study", expected, _AGAIN)
            views[view] = each
    require_one_examination({view: each.radiograph for view, each in views.items()})
    return views


def _one(file: RadiographFile) -> Mapping[ViewName, OpenedRadiograph]:
    try:
        return open_radiographs([file])
    except ParametersRejected as error:
        if error.code != "VIEW_UNCLEAR":
            raise
        found, expected = f"{file.name}: its tags do not name the view", "PatientOrientation or ViewPosition"
        raise InputRejected("VIEW_UNKNOWN", found, expected, _AGAIN) from None


def pixels_digest(radiographs: Mapping[ViewName, OpenedRadiograph]) -> str:
    """Digest of the pixels as they are measured; tags and compression do not change it."""
    images = sorted(f"{view} {sha256_of_image(each.radiograph.image)}" for view, each in radiographs.items())
    return sha256_of_bytes("|".join(images).encode())


def files_digest(contents: Sequence[bytes]) -> str:
    """Digest of the whole files, tags included."""
    return sha256_of_bytes("|".join(sorted(map(sha256_of_bytes, contents))).encode())
