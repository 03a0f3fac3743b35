"""A dataset as tables of rows, which the suites check.

Contract: in each table the columns that identify a row come first. A null means that the value does not apply to the
row. For every column that can be null, a flag column marks the rows that must have a value. Flag columns are computed
only from the landmarks.

    studies    one row for each study: its parameters, its images, and distances in mm
    landmarks  one row for each study, view and landmark in the image
    levels     one row for each study, view and vertebra: its shape and a comparison with its neighbours
    readings   one row for each image that a second reader has read
    splits     one row for each split

A row of ``landmarks``, ``levels`` or ``readings`` follows from one study, and so do most columns of ``studies``
(``tables_of_part``). The columns that compare a study with the others are in a table of their own
(``tables_of_whole``), which is built from one small ``Member`` for each study.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from spine.dataset import SPLITS, Example, Split
from spine.types import Floats
from validation.dataset.leakage import Duplicate, patients_in_several_splits
from validation.dataset.second_reading import Reading
from validation.dataset.spine_shape import side_profile
from validation.dataset.study_rows import Row, landmark_rows, level_rows, study_row
from validation.dataset.suites import KEYS, TableName

if TYPE_CHECKING:
    import pandas as pd

MIN_SIDE_DEVIATION = 0.03
"""A spine that deviates sideways by less than this share of its length is too straight to have a side."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the comparison of a study with the others needs.

    Attributes:
        study_id, patient, split: as in ``Example``.
        profile: (50,) the ``side_profile`` of the frontal image; None where it has none, or is too straight for a side.
    """

    study_id: str
    patient: str
    split: Split
    profile: Floats | None = None


def member_of(example: Example) -> Member:
    """The member of an example."""
    frontal = example.views.get("frontal")
    profile = side_profile(frontal.points) if frontal is not None else None
    if profile is not None and np.ptp(profile) < MIN_SIDE_DEVIATION:
        profile = None
    return Member(example.study_id, example.patient, example.split, profile)


def tables_of_part(
    examples: Iterable[Example], damaged: Mapping[str, int] = MappingProxyType({})
) -> Mapping[TableName, "pd.DataFrame"]:
    """The tables of some examples, with the columns that follow from one study.

    Args:
        damaged: study id -> number of damaged images; a study without a key has none.
    """
    studies: list[Row] = []
    landmarks: list[Row] = []
    levels: list[Row] = []
    for example in examples:
        studies.append(study_row(example, damaged.get(example.study_id, 0)))
        for view in example.views.values():
            landmarks += landmark_rows(example, view)
            levels += level_rows(example, view)
    return {"studies": _table(studies), "landmarks": _table(landmarks), "levels": _table(levels)}


def joined(parts: Sequence[Mapping[TableName, "pd.DataFrame"]]) -> Mapping[TableName, "pd.DataFrame"]:
    """The tables of several parts as one part.

    The columns that identify a row become categories: Great Expectations copies and hashes every table, which takes
    20 MB more for the text of 256 studies.
    """
    import pandas as pd

    tables: dict[TableName, pd.DataFrame] = {}
    for name in parts[0]:
        frames = [part[name] for part in parts]
        columns = dict.fromkeys(column for frame in frames for column in frame.columns)
        known = [frame.dropna(axis=1, how="all") for frame in frames]  # or pandas warns of columns without a type
        table = pd.concat(known, ignore_index=True).reindex(columns=list(columns))
        tables[name] = table.astype({key: "category" for key in KEYS[name] if key in table})
    return tables


def tables_of_whole(
    members: Sequence[Member], duplicates: Iterable[Duplicate] = ()
) -> Mapping[TableName, "pd.DataFrame"]:
    """The table of the splits, and the columns of the studies that compare a study with all others."""
    repeated = {(duplicate.study_id, duplicate.across) for duplicate in duplicates}
    agreement = sibling_agreement(members)
    rows = [
        {
            "study_id": member.study_id,
            "same_radiograph_in_other_split": int((member.study_id, True) in repeated),
            "same_radiograph_in_split": int((member.study_id, False) in repeated),
            "sibling_agreement": agreement.get(member.study_id),
        }
        for member in members
    ]
    return {"studies": _table(rows), "splits": _table(split_rows(members))}


def table_of_readings(readings: Iterable[Reading]) -> "pd.DataFrame":
    """The table ``readings``."""
    return _table([reading_row(reading) for reading in readings])


def reading_row(reading: Reading) -> Row:
    """The row of one image that a second reader has read."""
    return {
        "study_id": reading.study_id,
        "view": reading.view,
        "refused": int(bool(reading.refusal)),
        "is_compared": reading.off_line is not None,
        "off_line": reading.off_line,
        "level_shift": abs(reading.shift) if reading.shift is not None else None,
    }


def split_rows(members: Sequence[Member]) -> list[Row]:
    """One row for each split."""
    shared = patients_in_several_splits((m.patient, m.split) for m in members)
    patients_of = {split: [m.patient for m in members if m.split == split] for split in SPLITS}
    return [
        {
            "split": split,
            "studies": len(patients),
            "patients": len(set(patients)),
            "patients_shared": sum(split in splits for splits in shared.values()),
            **{f"{name}_studies": len(patients) if name == split else None for name in SPLITS},
            **{f"is_{name}": name == split for name in SPLITS},
        }
        for split, patients in patients_of.items()
    ]


def sibling_agreement(members: Iterable[Member]) -> dict[str, float]:
    """Study id -> lowest correlation of its side profile with the profiles of the patient's other radiographs.

    A spine curves to the same side on all radiographs of a patient. A correlation of about -1 means that one
    radiograph, or its labels, is mirrored. Radiographs with less deviation than ``MIN_SIDE_DEVIATION`` are left out.
    """
    profiles: dict[str, list[tuple[str, Floats]]] = defaultdict(list)
    for member in members:
        if member.profile is not None:
            profiles[member.patient].append((member.study_id, member.profile))
    lowest: dict[str, float] = {}
    for radiographs in profiles.values():
        for (first, one), (second, other) in combinations(radiographs, 2):
            correlation = float(np.corrcoef(one, other)[0, 1])
            for study in (first, second):
                lowest[study] = min(correlation, lowest.get(study, correlation))
    return lowest


def _table(rows: Sequence[Row]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows)
