"""The SOP classes of DICOM, each with a plain kind: ``radiograph`` if this package reads it, else what it is.

Contract: a class is looked up by its whole UID, never by a prefix. A UID below that of secondary captures, for example,
may be that of a photograph (1.2.840.10008.5.1.4.1.1.77.1.4). A class that the table does not contain is unknown. The
table has the classes of PS3.4 B.5 and PS3.6 A, with those that are retired.
"""

from collections.abc import Mapping

RADIOGRAPH = "radiograph"

CR = "1.2.840.10008.5.1.4.1.1.1"
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURES = frozenset(f"1.2.840.10008.5.1.4.1.1.7{tail}" for tail in ("", ".2", ".3", ".4"))
"""Secondary Capture, and its multi-frame classes of grey bytes, grey words and colour, of which one frame is read."""
READABLE = frozenset({CR, DX_FOR_PRESENTATION, DX_FOR_PROCESSING}) | SECONDARY_CAPTURES

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS: Mapping[str, str] = {
    "mammogram": "1.2 1.2.1 13.1.3 13.1.4 13.1.5",
    "dental radiograph": "1.3 1.3.1",
    "CT image": "2 2.1 2.2",
    "MR image": "4 4.1 4.2 4.3 4.4",
    "ultrasound image": "3 3.1 6 6.1 6.2 6.3",
    "nuclear medicine image": "5 20",
    "PET image": "128 128.1 130",
    "single-bit capture": "7.1",
    "overlay or curve": "8 9 129",
    "waveform": "9.1 9.1.1 9.1.2 9.1.3 9.1.4 9.2.1 9.3.1 9.4.1 9.4.2 9.5.1 9.6.1 9.6.2 9.7.1 9.7.2 9.7.3 9.7.4 9.8.1",
    "lookup table": "10 11",
    "presentation state": "11.1 11.2 11.3 11.4 11.5 11.6 11.7 11.8 11.9 11.10 11.11 11.12",
    "fluoroscopy or angiography image": "12.1 12.1.1 12.2 12.2.1 12.3",
    "3D X-ray image": "13.1.1 13.1.2",
    "optical coherence tomography": "14.1 14.2",
    "parametric map": "30 67",
    "raw data": "66",
    "registration": "66.1 66.2 66.3",
    "segmentation": "66.4 66.5",
    "tractography": "66.6",
    "surface scan": "68.1 68.2",
    "photograph": "77.1 77.2 77.1.1 77.1.1.1 77.1.4 77.1.4.1 77.1.5.1 77.1.5.2 77.1.5.5 77.1.5.6 77.1.7",
    "microscopy image": "77.1.2 77.1.2.1 77.1.3 77.1.6 77.1.8 77.1.9 91.1",
    "eye examination": "77.1.5.3 77.1.5.4 77.1.5.7 77.1.5.8 "
    "78.1 78.2 78.3 78.4 78.5 78.6 78.7 78.8 79.1 80.1 81.1 82.1",
    "report": "88.1 88.2 88.3 88.4 88.11 88.22 88.33 88.34 88.35 88.40 88.50 88.65 88.69 88.70 88.71 88.72 88.74 88.75 "
    "88.77 90.1",
    "key object": "88.59",
    "dose report": "88.67 88.68 88.73 88.76",
    "encapsulated document": "104.1 104.2",
    "encapsulated mesh": "104.3 104.4 104.5",
    "display layout": "131",
    "protocol": "200.1 200.2 200.3 200.7 200.8",
    "inventory": "201.1",
    "radiotherapy image": "481.1 481.23 481.24",
    "radiotherapy object": "481.2 481.3 481.4 481.5 481.6 481.7 481.8 481.9 481.10 481.11 481.12 481.13 481.14 481.15 "
    "481.16 481.17 481.18 481.19 481.20 481.21 481.22 481.25",
    "security scan": "501.1 501.2.1 501.2.2 501.3 501.4 501.5 501.6",
    "material test": "601.1 601.2",
}
"""Kind -> the last parts of its UIDs below the root of the storage classes."""
_ELSEWHERE: Mapping[str, str] = {
    "1.2.840.10008.1.3.10": "DICOMDIR",
    "1.2.840.10008.5.1.1.27": "print object",
    "1.2.840.10008.5.1.1.29": "print object",
    "1.2.840.10008.5.1.1.30": "print object",
    "1.2.840.10008.5.1.4.34.1": "radiotherapy object",
    "1.2.840.10008.5.1.4.34.7": "radiotherapy object",
    "1.2.840.10008.5.1.4.34.10": "radiotherapy object",
    "1.2.840.10008.5.1.4.38.1": "display layout",
    "1.2.840.10008.5.1.4.39.1": "colour palette",
    "1.2.840.10008.5.1.4.43.1": "implant template",
    "1.2.840.10008.5.1.4.44.1": "implant template",
    "1.2.840.10008.5.1.4.45.1": "implant template",
}

KIND_OF_CLASS: Mapping[str, str] = (
    {_STORAGE + tail: kind for kind, tails in _KINDS.items() for tail in tails.split()}
    | dict(_ELSEWHERE)
    | dict.fromkeys(READABLE, RADIOGRAPH)
)
"""SOP class UID -> kind."""
