"""Stub until the table of SOP classes is merged."""

from pathlib import Path

from spine.radiograph.structure import is_dicom

_IGNORED = {
    b"1.2.840.10008.1.3.10": "DICOMDIR",
    b"1.2.840.10008.5.1.4.1.1.11.": "presentation state",
    b"1.2.840.10008.5.1.4.1.1.88.": "report",
    b"1.2.840.10008.5.1.4.1.1.104.": "document",
}


def dicom_kind(path: Path) -> str | None:
    """``radiograph``, another kind, or None if the file is not DICOM."""
    if not is_dicom(path):
        return None
    with path.open("rb") as stream:
        meta = stream.read(1024)
    at = meta.find(b"\x02\x00\x02\x00UI")
    return next((k for uid, k in _IGNORED.items() if at >= 0 and meta[at + 8 :].startswith(uid)), "radiograph")
