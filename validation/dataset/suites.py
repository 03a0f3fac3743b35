"""The expectations: what values are plausible, one function per table and profile.

Contract: a suite is data, built anew by a function and kept in no store; every rule names the rows it must have looked
at, because an expectation that saw nothing is no evidence.

Ranges in mm and degrees hold for adolescents and adults with normal, scoliotic and degenerated spines; they are
the means of docs/sources.md (population and anatomy) widened by four or more
standard deviations and by 15 % for size: they find wrong units, frames, levels and points, not rare patients.
The relative ranges of the ``frontal_radiographs`` profile were set on the 481 AASCE radiographs by looking at what lies
beyond them.
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
"""The columns that name a row of each table."""


EVERY_ROW = "*"
"""For ``Rule.where``: no row may lack a value."""


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes:
        name: stable name, as findings and reports quote it.
        column: column of the table.
        says: what must hold, for people.
        minimum, maximum: inclusive range, None for open.
        allowed: for a column of names: the names there may be.
        unique: whether the values of a column must differ.
        where: flag column of the rows where a value must be there, or ``EVERY_ROW``; None: nowhere in particular.
        at_least: fewer evaluated rows than this are no evidence; 0 only where a source may lack the column's subject.
        unit: of the values.
        severity: whether a study that breaks it is unusable, or worth a look.
    """

    name: str
    column: str
    says: str
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
    """How many studies each split must hold."""

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
    """What holds for every study of any source."""
    return (
        Rule("study_once", "study_id", "no study occurs twice", unique=True, where=EVERY_ROW),
        Rule("images_intact", "damaged_images", "every image is there and is what its digest says",
             0, 0, where=EVERY_ROW),
        Rule("no_radiograph_in_two_splits", "same_radiograph_in_other_split",
             "no radiograph occurs again, under another patient, in another split", 0, 0, where=EVERY_ROW),
        Rule("no_radiograph_twice", "same_radiograph_in_split",
             "no radiograph occurs again under another patient in the same split",
             0, 0, where=EVERY_ROW, severity="warning"),
        Rule("enough_landmarks", "landmarks_seen", "at least ten landmarks are in the images", 10, None,
             where=EVERY_ROW),
        Rule("cobb_plausible", "cobb", "the Cobb angle is one a standing patient has", 0, 140, unit="deg"),
        Rule("cobb_midline_plausible", "cobb_midline", "the mid-line Cobb angle is one a standing patient has",
             0, 140, unit="deg"),
        Rule("levels_in_frontal", "levels_seen", "at least six vertebrae are in the frontal image", 6, 17,
             where="has_frontal"),
        Rule("levels_in_a_row", "levels_without_gap", "at least six neighbouring vertebrae are in the frontal image",
             6, 17, where="has_frontal"),
        Rule("side_of_the_curve", "sibling_agreement",
             "the spine sways to the same side as in the patient's other radiographs", -0.8, None, at_least=0,
             severity="warning"),
    )  # fmt: skip


def biplanar_studies() -> tuple[Rule, ...]:
    """Sizes in mm and parameters in degrees of a study with a 3D reconstruction and both views."""
    return (
        Rule("both_views_reconstructed", "projection_error_px",
             "every landmark lies where its 3D point projects to", 0, 0.01, where="is_projected", unit="px"),
        Rule("spine_length", "spine_length_mm", "T1 to S1 has the length of a spine (metres or cm would not)",
             200, 700, unit="mm"),
        Rule("hip_distance", "hip_distance_mm", "the hip centres are as far apart as in a pelvis", 110, 260, unit="mm"),
        Rule("s1_depth", "s1_depth_mm", "the S1 end plate has its depth", 18, 60, unit="mm"),
        Rule("s1_to_hips", "s1_to_hips_mm", "S1 is as far from the hip axis as in a pelvis", 50, 170, unit="mm"),
        Rule("pelvic_sum", "pelvic_sum_residual_deg",
             "pelvic incidence equals tilt plus slope, each measured on its own", -1e-6, 1e-6,
             where="pelvic_sum_known", unit="deg"),
        Rule("incidence_plausible", "pelvic_incidence", "the pelvic incidence is one a pelvis has", 10, 110,
             unit="deg"),
        Rule("slope_plausible", "sacral_slope", "the sacral slope is one a standing patient has", -20, 85, unit="deg"),
        Rule("tilt_plausible", "pelvic_tilt", "the pelvic tilt is one a standing patient has", -35, 65, unit="deg"),
        Rule("kyphosis_plausible", "thoracic_kyphosis_t4_t12", "the thoracic kyphosis is plausible", -45, 120,
             unit="deg"),
        Rule("lordosis_plausible", "lumbar_lordosis_l1_l5", "the lumbar lordosis L1-L5 is plausible", -50, 105,
             unit="deg"),
        Rule("lordosis_s1_plausible", "lumbar_lordosis_l1_s1", "the lumbar lordosis L1-S1 is plausible", -50, 115,
             unit="deg"),
        Rule("balance_plausible", "coronal_balance_t1", "T1 stands over the pelvis", -200, 200, unit="mm"),
    )  # fmt: skip


def radiograph_studies() -> tuple[Rule, ...]:
    """What a whole radiograph with corner labels tells without a spacing."""
    return (
        Rule("vertebrae_not_discs", "typical_gap",
             "labels are higher than the spaces between them (else discs or narrow bands were labelled)",
             0.05, 0.9, where="has_frontal", unit="heights"),
    )  # fmt: skip


def landmark_rules(profile: Profile, landmark_set: LandmarkSet, corners: bool) -> tuple[Rule, ...]:
    """What holds for every single landmark."""
    paired = profile == "biplanar" or corners
    return (
        Rule("known_landmark", "landmark", "every landmark belongs to the landmark set", allowed=landmark_set.names,
             where=EVERY_ROW),
        Rule("inside_the_image", "inside_px", "every landmark lies in its image", 0, None, where=EVERY_ROW,
             unit="px"),
        Rule("left_on_the_left", "beyond_partner_px",
             "the patient's left lies on the frontal image's right, the back on the lateral image's right",
             0, None, where="has_partner", at_least=1 if paired else 0, unit="px"),
    )  # fmt: skip


def common_levels() -> tuple[Rule, ...]:
    """Order of plates and levels down the image."""
    return (
        Rule("plate_above_plate", "plate_order", "the upper plate lies above the lower one", 0.05, None,
             where="has_plates", unit="heights"),
        Rule("levels_in_order", "level_order", "each vertebra lies below the one above it", 0.15, None,
             where="has_step", unit="median steps"),
    )  # fmt: skip


def biplanar_levels() -> tuple[Rule, ...]:
    """Vertebrae in mm."""
    return (
        Rule("vertebral_height", "height_mm", "the vertebra has a vertebra's height", 6, 45, where="has_mm", unit="mm"),
        Rule("vertebral_spacing", "step_mm", "neighbouring vertebrae are as far apart as vertebrae are", 9, 65,
             where="has_step_mm", unit="mm"),
        Rule("plate_above_plate_3d", "plate_above_plate_mm", "the upper plate lies above the lower one in 3D",
             0, None, where="has_mm", unit="mm"),
        Rule("levels_in_order_3d", "below_previous_mm", "each vertebra lies below the one above it in 3D",
             0, None, where="has_step_mm", unit="mm"),
    )  # fmt: skip


def radiograph_levels(corners: bool) -> tuple[Rule, ...]:
    """Vertebrae against their neighbours on the same radiograph."""
    centres = (
        Rule("height_among_levels", "height_residual", "the vertebra is about as high as the radiograph's trend has it",
             -0.7, 0.7, where="is_inner", unit="log ratio"),
        Rule("height_suspect", "height_residual",
             "the vertebra's height is within a factor of 1.7 of the radiograph's trend",
             -0.53, 0.53, where="is_inner", unit="log ratio", severity="warning"),
        Rule("height_of_end", "end_height_residual", "T1 and L5 are about as high as the radiograph's trend has them",
             -1.0, 0.6, where="is_end", unit="log ratio", at_least=0),
        Rule("spacing_among_levels", "step_residual", "the vertebra is as far from the one above as the trend has it",
             -0.6, 0.55, where="is_chained_step", unit="log ratio"),
        Rule("gap_to_level_above", "gap", "between two vertebrae lies a disc, and nothing else", -0.1, 1.45,
             where="has_step", unit="median heights"),
        Rule("in_line", "sidestep", "the vertebra lies between its neighbours", None, 0.45, where="is_between",
             unit="median steps"),
    )  # fmt: skip
    return (*centres, *_corner_rules()) if corners else centres


def _corner_rules() -> tuple[Rule, ...]:
    return (
        Rule("corner_order", "corner_sine", "the four corners go round a convex vertebra", 0.3, None,
             where="has_corners", unit="sine"),
        Rule("corner_side", "left_on_left", "the left corners lie on the image's right", 0.2, None,
             where="has_corners", unit="widths"),
        Rule("width_among_levels", "width_ratio", "the vertebra is about as wide as its neighbours", -0.44, 0.44,
             where="is_chained_corner", unit="log ratio"),
        Rule("wedge", "wedge_deg", "both plates of a vertebra are about parallel", 0, 25, where="has_corners",
             unit="deg"),
        Rule("disc_angle", "disc_deg", "the plates on both sides of a disc are about parallel", 0, 28,
             where="has_corner_step", unit="deg"),
        Rule("even_sides", "side_heights", "left and right side of a vertebra differ by less than a factor of 3.3",
             0, 1.2, where="has_corners", unit="log ratio"),
        Rule("square_to_the_spine", "skew_deg", "the vertebra stands square to the line of vertebrae", 0, 24,
             where="is_chained_corner", unit="deg"),
        Rule("no_overlap", "overlap", "neighbouring vertebrae do not overlap", 0, 0.08, where="has_corner_step",
             unit="share"),
    )  # fmt: skip


def split_rules(minimums: Minimums) -> tuple[Rule, ...]:
    """What holds for the splits as a whole."""
    return (
        Rule("three_splits", "split", "train, validation and test, each once", unique=True, where=EVERY_ROW,
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
