"""The rules of the validation: plausible values, one function for each table and profile.

Contract: a suite is data that a function builds for each run; it is not stored. Every rule names the rows that it must
check, because a rule that checked no row proves nothing.

Ranges in mm and degrees apply to adolescents and adults with normal, scoliotic and degenerated spines. They are the
means of docs/sources.md (population and anatomy), widened by four or more standard deviations and by 15 % for size.
They detect wrong units, frames, levels and points. Patients with rare anatomy pass. The relative ranges of the profile
``frontal_radiographs`` were set on the 481 AASCE radiographs, after a person looked at each study outside them.
"""

from dataclasses import dataclass
from typing import Literal

from spine.landmarks import VERTEBRAE, LandmarkSet

Profile = Literal["biplanar", "frontal_radiographs"]
Severity = Literal["error", "warning"]
TableName = Literal["studies", "landmarks", "levels", "splits"]

KEYS: dict[TableName, tuple[str, ...]] = {
    "studies": ("study_id",),
    "landmarks": ("study_id", "view", "landmark"),
    "levels": ("study_id", "view", "level"),
    "splits": ("split",),
}
"""The columns that identify a row of each table."""

EVERY_ROW = "*"
"""For ``Rule.where``: every row must have a value."""


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes:
        name: stable name, used in findings and reports.
        column: column of the table.
        statement: the rule in one sentence, for the reports.
        minimum, maximum: inclusive range; None where it is open.
        allowed: the permitted values of a column of names.
        unique: whether all values of the column must differ.
        where: flag column that marks the rows that must have a value, or ``EVERY_ROW``; None where no row needs one.
        at_least: number of evaluated rows that the rule requires; 0 only where a source may have no such values.
        unit: unit of the values.
        severity: ``error`` where a study that breaks the rule is unusable, ``warning`` where a person should check it.
    """

    name: str
    column: str
    statement: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    unique: bool = False
    where: str | None = None
    at_least: int = 1
    unit: str = ""
    severity: Severity = "error"


@dataclass(frozen=True)
class Suite:
    """The rules for one table."""

    table: TableName
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Minimums:
    """The smallest permitted number of studies in each split."""

    train: int
    validation: int
    test: int


def suites(profile: Profile, landmark_set: LandmarkSet, minimums: Minimums) -> tuple[Suite, ...]:
    """All suites of a profile."""
    corners = all(f"{level}_sup_left" in landmark_set.names for level in VERTEBRAE)
    if profile == "biplanar":
        studies, levels = biplanar_studies(), biplanar_levels()
    else:
        studies, levels = radiograph_studies(), radiograph_levels(corners)
    return (
        Suite("studies", (*common_studies(), *studies)),
        Suite("landmarks", landmark_rules(profile, landmark_set, corners)),
        Suite("levels", (*common_levels(), *levels)),
        Suite("splits", split_rules(minimums)),
    )


def common_studies() -> tuple[Rule, ...]:
    """Rules for every study, whatever its source."""
    return (
        Rule("study_once", "study_id", "no study occurs twice", unique=True, where=EVERY_ROW),
        Rule("images_intact", "damaged_images", "every image exists and matches its digest", 0, 0, where=EVERY_ROW),
        Rule("no_radiograph_in_two_splits", "same_radiograph_in_other_split",
             "no radiograph occurs again for another patient in another split", 0, 0, where=EVERY_ROW),
        Rule("no_radiograph_twice", "same_radiograph_in_split",
             "no radiograph occurs again for another patient in the same split",
             0, 0, where=EVERY_ROW, severity="warning"),
        Rule("enough_landmarks", "landmarks_seen", "the images show at least ten landmarks", 10, None,
             where=EVERY_ROW),
        Rule("cobb_plausible", "cobb", "the Cobb angle is plausible for a standing patient", 0, 140, unit="deg"),
        Rule("cobb_midline_plausible", "cobb_midline", "the mid-line Cobb angle is plausible for a standing patient",
             0, 140, unit="deg"),
        Rule("levels_in_frontal", "levels_seen", "the frontal image shows at least six vertebrae", 6, 17,
             where="has_frontal"),
        Rule("levels_in_a_row", "levels_without_gap", "the frontal image shows at least six vertebrae without a gap",
             6, 17, where="has_frontal"),
        Rule("side_of_the_curve", "sibling_agreement",
             "the spine curves to the same side as in the patient's other radiographs", -0.8, None, at_least=0,
             severity="warning"),
    )  # fmt: skip


def biplanar_studies() -> tuple[Rule, ...]:
    """Sizes in mm and parameters in degrees of a study with a 3D reconstruction and both views."""
    return (
        Rule("both_views_reconstructed", "projection_error_px",
             "every landmark lies at the projection of its 3D point", 0, 0.01, where="is_projected", unit="px"),
        Rule("spine_length", "spine_length_mm", "the distance from T1 to S1 is plausible (finds metres and cm)",
             200, 700, unit="mm"),
        Rule("hip_distance", "hip_distance_mm", "the distance of the hip centres is plausible", 110, 260, unit="mm"),
        Rule("s1_depth", "s1_depth_mm", "the depth of the S1 end plate is plausible", 18, 60, unit="mm"),
        Rule("s1_to_hips", "s1_to_hips_mm", "the distance from S1 to the hip axis is plausible", 50, 170, unit="mm"),
        Rule("pelvic_sum", "pelvic_sum_residual_deg",
             "pelvic incidence equals pelvic tilt plus sacral slope, each measured independently", -1e-6, 1e-6,
             where="pelvic_sum_known", unit="deg"),
        Rule("incidence_plausible", "pelvic_incidence", "the pelvic incidence is plausible", 10, 110, unit="deg"),
        Rule("slope_plausible", "sacral_slope", "the sacral slope is plausible for a standing patient", -20, 85,
             unit="deg"),
        Rule("tilt_plausible", "pelvic_tilt", "the pelvic tilt is plausible for a standing patient", -35, 65,
             unit="deg"),
        Rule("kyphosis_plausible", "thoracic_kyphosis_t4_t12", "the thoracic kyphosis is plausible", -45, 120,
             unit="deg"),
        Rule("lordosis_plausible", "lumbar_lordosis_l1_l5", "the lumbar lordosis L1-L5 is plausible", -50, 105,
             unit="deg"),
        Rule("lordosis_s1_plausible", "lumbar_lordosis_l1_s1", "the lumbar lordosis L1-S1 is plausible", -50, 115,
             unit="deg"),
        Rule("balance_plausible", "coronal_balance_t1", "the coronal balance of T1 is plausible", -200, 200, unit="mm"),
    )  # fmt: skip


def radiograph_studies() -> tuple[Rule, ...]:
    """Rules for a study of one radiograph with corner labels and no pixel spacing."""
    return (
        Rule("vertebrae_not_discs", "typical_gap",
             "labels are higher than the spaces between them (finds labels on discs and narrow bands)",
             0.05, 0.9, where="has_frontal", unit="heights"),
    )  # fmt: skip


def landmark_rules(profile: Profile, landmark_set: LandmarkSet, corners: bool) -> tuple[Rule, ...]:
    """Rules for every landmark."""
    paired = profile == "biplanar" or corners
    return (
        Rule("known_landmark", "landmark", "every landmark belongs to the landmark set", allowed=landmark_set.names,
             where=EVERY_ROW),
        Rule("inside_the_image", "inside_px", "every landmark lies in its image", 0, None, where=EVERY_ROW,
             unit="px"),
        Rule("left_on_the_left", "beyond_partner_px",
             "the patient's left is on the right of the frontal image, the back on the right of the lateral image",
             0, None, where="has_partner", at_least=1 if paired else 0, unit="px"),
    )  # fmt: skip


def common_levels() -> tuple[Rule, ...]:
    """Order of plates and levels from top to bottom of the image."""
    return (
        Rule("plate_above_plate", "plate_order", "the upper plate lies above the lower one", 0.05, None,
             where="has_plates", unit="heights"),
        Rule("levels_in_order", "level_order", "each vertebra lies below the one above it", 0.15, None,
             where="has_step", unit="median steps"),
    )  # fmt: skip


def biplanar_levels() -> tuple[Rule, ...]:
    """Vertebrae in mm."""
    return (
        Rule("vertebral_height", "height_mm", "the height of the vertebra is plausible", 6, 45, where="has_mm",
             unit="mm"),
        Rule("vertebral_spacing", "step_mm", "the distance to the vertebra above is plausible", 9, 65,
             where="has_step_mm", unit="mm"),
        Rule("plate_above_plate_3d", "plate_above_plate_mm", "the upper plate lies above the lower one in 3D",
             0, None, where="has_mm", unit="mm"),
        Rule("levels_in_order_3d", "below_previous_mm", "each vertebra lies below the one above it in 3D",
             0, None, where="has_step_mm", unit="mm"),
    )  # fmt: skip


def radiograph_levels(corners: bool) -> tuple[Rule, ...]:
    """Vertebrae compared with their neighbours on the same radiograph."""
    centres = (
        Rule("height_among_levels", "height_residual",
             "the height of the vertebra is within a factor of about 2 of the trend over the levels",
             -0.7, 0.7, where="is_inner", unit="log ratio"),
        Rule("height_suspect", "height_residual",
             "the height of the vertebra is within a factor of 1.7 of the trend over the levels",
             -0.53, 0.53, where="is_inner", unit="log ratio", severity="warning"),
        Rule("height_of_end", "end_height_residual", "the heights of T1 and L5 follow the trend over the levels",
             -1.0, 0.6, where="is_end", unit="log ratio", at_least=0),
        Rule("spacing_among_levels", "step_residual",
             "the distance to the vertebra above is within a factor of about 1.8 of the trend over the levels",
             -0.6, 0.55, where="is_contiguous_step", unit="log ratio"),
        Rule("gap_to_level_above", "gap", "the space between two vertebrae is that of one disc", -0.1, 1.45,
             where="has_step", unit="median heights"),
        Rule("in_line", "sidestep", "the vertebra lies between its neighbours", None, 0.45, where="is_between",
             unit="median steps"),
    )  # fmt: skip
    return (*centres, *_corner_rules()) if corners else centres


def _corner_rules() -> tuple[Rule, ...]:
    return (
        Rule("corner_order", "corner_sine", "the four corners form a convex outline in the right order", 0.3, None,
             where="has_corners", unit="sine"),
        Rule("corner_side", "left_on_left", "the left corners are on the right of the image", 0.2, None,
             where="has_corners", unit="widths"),
        Rule("width_among_levels", "width_ratio", "the vertebra is about as wide as its neighbours", -0.44, 0.44,
             where="is_contiguous_corner", unit="log ratio"),
        Rule("wedge", "wedge_deg", "both plates of a vertebra are about parallel", 0, 25, where="has_corners",
             unit="deg"),
        Rule("disc_angle", "disc_deg", "the plates on both sides of a disc are about parallel", 0, 28,
             where="has_corner_step", unit="deg"),
        Rule("even_sides", "side_heights", "left and right side of a vertebra differ by less than a factor of 3.3",
             0, 1.2, where="has_corners", unit="log ratio"),
        Rule("square_to_the_spine", "skew_deg", "the vertebra is perpendicular to the vertebral column", 0, 24,
             where="is_contiguous_corner", unit="deg"),
        Rule("no_overlap", "overlap", "neighbouring vertebrae do not overlap", 0, 0.08, where="has_corner_step",
             unit="share"),
    )  # fmt: skip


def split_rules(minimums: Minimums) -> tuple[Rule, ...]:
    """Rules for the splits."""
    return (
        Rule("three_splits", "split", "train, validation and test occur once each", unique=True, where=EVERY_ROW,
             at_least=3),
        Rule("no_patient_in_two_splits", "patients_shared", "no patient is in two splits", 0, 0, where=EVERY_ROW,
             at_least=3),
        *(
            Rule(f"enough_{split}", f"{split}_studies", f"at least {count} studies in {split}", count, None,
                 where=f"is_{split}")
            for split, count in (
                ("train", minimums.train), ("validation", minimums.validation), ("test", minimums.test)
            )
        ),
    )  # fmt: skip
