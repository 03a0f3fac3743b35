"""Studies for tests of the loop: radiographs of few virtual patients, stamped as those of other patients."""

import hashlib
import uuid
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID

from spine.landmarks import ViewName


def uid_of(*words: object) -> str:
    """A UID that follows from words."""
    digest = hashlib.sha256("|".join(map(str, words)).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


@cache
def _original(path: Path) -> bytes:
    return path.read_bytes()


def radiograph(case: Path, view: ViewName, study: object, *, shade: int = 0, **tags: Any) -> bytes:
    """The radiograph of a virtual patient as that of ``study``.

    Args:
        shade: added to each pixel, so that the image has other pixels.
        tags: other values of tags; None deletes one.
    """
    ds = pydicom.dcmread(BytesIO(_original(case / f"{view}.dcm")))
    ds.PatientID, ds.PatientName = f"P-{study}", f"SECRET^{study}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of("study", study), uid_of("series", study, view)
    ds.SOPInstanceUID = UID(uid_of("image", study, view))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyDate = ds.SeriesDate = f"{date.today():%Y%m%d}"
    if shade:
        ds.PixelData = (ds.pixel_array // 2 + shade).astype(np.uint16).tobytes()
    for keyword, value in tags.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    if "SOPInstanceUID" in tags:
        ds.file_meta.MediaStorageSOPInstanceUID = tags["SOPInstanceUID"]
    stream = BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


def pair(case: Path, study: object) -> list[bytes]:
    """Both radiographs of ``study``."""
    return [radiograph(case, "frontal", study), radiograph(case, "lateral", study)]
