"""The decision which text in the pixels of a radiograph may identify the patient.

Contract: a text is allowed if it consists of side markers, words of the technique, numbers of at most four digits and
runs of at most two letters. Everything else may be a name, a date or a record number (DICOM PS3.15, E.3.1, Clean Pixel
Data), and its study is refused for redaction. The refusal does not quote the text.

    BURNED_IN_TEXT    a text reader found text that may identify the patient
    READER_FAULT      the text reader failed
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.errors import InputRejected, PairingRejected
from spine.landmarks import ViewName

TextReader = Callable[[NDArray[np.uint16]], Sequence[str]]
"""Returns the lines of text in an (H, W) image, whose values are 0..4095."""


@dataclass(frozen=True)
class TextCheck:
    """The check of pixels for text.

    Attributes:
        read: the text reader.
        accepted: names of the quarantine folders of the candidates whose text a person has accepted.
    """

    read: TextReader
    accepted: frozenset[str] = frozenset()


ALLOWED_WORDS = frozenset(
    {
        *("LEFT", "RIGHT", "LINKS", "RECHTS", "GAUCHE", "DROITE", "ANT", "POST", "SUP", "INF", "HEAD", "FEET", "FOOT"),
        *("LAT", "LATERAL", "FRONTAL", "CORONAL", "SAGITTAL", "PROFIL", "FACE", "OBL", "OBLIQUE", "SIDE", "VIEW"),
        *("STANDING", "STAND", "ERECT", "UPRIGHT", "SUPINE", "PRONE", "SITTING", "SEATED", "BENDING", "BEND", "WEIGHT"),
        *("BEARING", "TRACTION", "FLEXION", "EXTENSION", "NEUTRAL", "DEBOUT", "STEHEND", "BRACE", "WITH", "WITHOUT"),
        *("SPINE", "WHOLE", "FULL", "TOTAL", "ENTIRE", "LENGTH", "LONG", "THORACIC", "LUMBAR", "CERVICAL", "SACRAL"),
        *("THORAX", "CHEST", "PELVIS", "HIP", "SCOLIOSIS", "SCOLI", "SKULL", "KNEE", "DORSAL", "TSPINE", "LSPINE"),
        *("KVP", "MAS", "SEC", "MSEC", "DAP", "SID", "SOD", "FFD", "MGY", "UGY", "DGY", "GYM", "CGY", "INCH", "EXI"),
        *("GRID", "DIGITAL", "PORTABLE", "STITCHED", "COMPOSITE", "IMAGE", "SCALE", "ZOOM", "MAG", "RAW", "FILTER"),
        *("CASSETTE", "PLATE", "TUBE", "DETECTOR", "EXPOSURE", "EOS"),
        *("ERE", "EREC", "RECT", "ECT"),  # ERECT, cut off by the edge of the image
    }
)
"""Words that identify nobody. They may be written together."""

_ALLOWED = re.compile(f"(?:{'|'.join(sorted(ALLOWED_WORDS | {'AP', 'PA', 'LL', 'CM', 'MM', 'KV', 'MA'}))})+")
_LONGEST_RUN = 2
_DATE = re.compile(r"\d{1,4}[./\-年\\]\s?\d{1,2}[./\-月\\]\s?\d{1,4}")
_RECORD_NUMBER = re.compile(r"\d{5,}")


def require_no_text(images: Mapping[ViewName, NDArray[np.uint16]], read: TextReader) -> None:
    """Refuse (H, W) images in which ``read`` finds text that may identify the patient.

    Raises:
        PairingRejected: ``BURNED_IN_TEXT``.
        InputRejected: ``READER_FAULT``.
    """
    try:
        views = [view for view, image in images.items() if any(may_identify(text) for text in read(image))]
    except Exception as error:  # a defect of the reader must not stop the batch
        found = f"an unexpected fault of the text reader ({type(error).__name__})"
        raise InputRejected("READER_FAULT", found, "an image that it can read", "report this as a defect") from None
    if views:
        found = f"text in the pixels of the {' and the '.join(views)} radiograph that may identify the patient"
        expected = "side markers, words of the technique and short numbers"
        remedy = (
            "redact the text in the pixels; if it identifies nobody, accept it: plumbline accept (name of this folder)"
        )
        raise PairingRejected("BURNED_IN_TEXT", found, expected, remedy)


def may_identify(text: str) -> bool:
    """Whether a line of text has a word that is not allowed, a date, or a number of five or more digits."""
    plain = unicodedata.normalize("NFKC", text).upper()
    if _DATE.search(plain) or _RECORD_NUMBER.search(plain):
        return True
    return not all(_is_allowed(run) for run in re.findall(r"[^\W\d_]+", plain))


def _is_allowed(letters: str) -> bool:
    if any(_is_ideograph(letter) for letter in letters):
        return len(letters) == 1  # a name may have two characters
    return len(letters) <= _LONGEST_RUN or _ALLOWED.fullmatch(letters) is not None


def _is_ideograph(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("CJK ", "HANGUL ", "HIRAGANA ", "KATAKANA "))
