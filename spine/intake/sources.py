"""The kinds of source of studies, by name.

Contract: ``open_source`` returns a ``StudySource`` for a known kind and an existing folder. To add a source, write a
class with ``name`` and ``candidates`` (see ``records``) and add a line to ``READERS``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from spine.errors import ParametersRejected
from spine.intake.aasce import AasceSource
from spine.intake.correction import ANNOTATIONS, CORRECTIONS
from spine.intake.corrections import CorrectionSource
from spine.intake.ct_scans import CtKeypointSource
from spine.intake.folder import FolderSource
from spine.intake.records import StudySource

READERS: Mapping[str, Callable[[Path], StudySource]] = {
    "folder": FolderSource,
    "virtual": lambda location: FolderSource(location, name="virtual", simulated=True),
    "aasce": AasceSource,
    "ct-keypoints": CtKeypointSource,
    CORRECTIONS: CorrectionSource,
    ANNOTATIONS: lambda location: CorrectionSource(location, ANNOTATIONS, frozenset({"annotated"})),
}


def open_source(kind: str, location: Path) -> StudySource:
    """Open a folder as a source of this kind. An unknown kind or a missing folder raises ``ParametersRejected``."""
    if kind not in READERS:
        found = f"source kind {kind!r}"
        raise ParametersRejected("SOURCE_UNKNOWN", found, f"one of {sorted(READERS)}", "correct the kind of the source")
    if not location.is_dir():
        found = f"no folder at {location}"
        remedy = "set the location to the folder that contains the studies"
        raise ParametersRejected("SOURCE_MISSING", found, f"a folder for source kind {kind!r}", remedy)
    return READERS[kind](location)
