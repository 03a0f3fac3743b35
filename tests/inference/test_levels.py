"""A column one level off is renamed as a whole; an ambiguous one is reported as uncertain."""

from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import Calibration
from inference.levels import SHIFTS, LevelEvidence, decide_levels, level_votes
from inference.measure import measure_views
from inference.model import Model
from spine.landmarks import GALBUSERA39, PLATES, VIEWS, shifted_name
from tests.inference.fake_model import CONTRACT, KnowingSession
from tests.inference.test_measure_views import POINTS, SHAPE, _inputs

NAMES = GALBUSERA39.names
CELLS = {plate: np.array([30.0, 4.0 + 3.0 * j]) for j, plate in enumerate(PLATES)}


def _maps(share: dict[int, float]) -> np.ndarray:
    """Map of each end plate, with this share of its mass where the plate ``shift`` levels above was found."""
    maps = np.full((len(NAMES), 128, 64), 1e-9, dtype=np.float32)
    for k, name in enumerate(NAMES):
        for shift, weight in share.items():
            there = shifted_name(name, -shift)
            if there in CELLS:
                column, row = CELLS[there].astype(int)
                maps[k, row, column] += weight
    return maps


def test_right_names_stay_and_the_margin_is_that_to_the_next_best():
    certain = decide_levels([level_votes(_maps({0: 0.99, 1: 0.01}), NAMES, CELLS)])
    uncertain = decide_levels([level_votes(_maps({0: 0.6, 1: 0.4}), NAMES, CELLS)])
    assert certain.shift == uncertain.shift == 0
    assert certain.margin == pytest.approx(np.log(99), abs=0.05)
    assert uncertain.margin == pytest.approx(np.log(1.5), abs=0.05)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_shift_that_scores_clearly_better_is_chosen(shift):
    assert decide_levels([level_votes(_maps({0: 0.2, shift: 0.8}), NAMES, CELLS)]).shift == shift


def test_both_views_decide_together_and_too_few_votes_decide_nothing():
    shifted, clear = (level_votes(_maps(s), NAMES, CELLS) for s in ({0: 0.3, 1: 0.7}, {0: 0.99, 1: 0.01}))
    assert decide_levels([shifted]).shift == 1
    assert decide_levels([shifted, clear]).shift == 0
    hardly = decide_levels([level_votes(_maps({0: 0.45, 1: 0.55}), NAMES, CELLS)])
    assert hardly.shift == 0 and hardly.margin < 0
    assert decide_levels([]) is None
    assert decide_levels([level_votes(_maps({0: 1.0}), NAMES, dict(list(CELLS.items())[:5]))]) is None
    assert decide_levels([np.zeros((len(SHIFTS), 0))]) is None


class _Doubtful(KnowingSession):
    """A part of the mass of each map lies at the next vertebra below."""

    def run(self, outputs, inputs):
        maps, logits = super().run(outputs, inputs)
        moved = maps.copy()
        for k, name in enumerate(CONTRACT.names):
            below = shifted_name(name, 1)
            if below in CONTRACT.names and below != name:
                moved[:, k] = 0.97 * maps[:, k] + 0.03 * maps[:, CONTRACT.names.index(below)]
        return [moved, logits]


def _model(session, margin: float | None) -> Model:
    calibration = Calibration(1, "none", level_margin=margin)
    return Model(replace(CONTRACT, calibration=calibration), "0" * 64, session)


def test_levels_are_uncertain_below_the_calibrated_margin():
    session = KnowingSession(POINTS, SHAPE)
    assert not measure_views(_model(session, 4.0), _inputs(*VIEWS)).levels_uncertain
    doubtful = _Doubtful(POINTS, SHAPE)
    found = measure_views(_model(doubtful, 4.0), _inputs(*VIEWS))
    assert found.levels_uncertain
    assert found.parameters["cobb"].detail["levels"] == "levels uncertain by one"
    assert found.parameters["sacral_slope"].detail is None
    assert not measure_views(_model(doubtful, None), _inputs(*VIEWS)).levels_uncertain


def test_a_shifted_column_keeps_its_points_and_loses_the_end_without_a_name(monkeypatch):
    monkeypatch.setattr("inference.detection.decide_levels", lambda votes: LevelEvidence(1, 2.0))
    plain = dict(POINTS["frontal"])
    found = measure_views(_model(KnowingSession(POINTS, SHAPE), None), _inputs("frontal"))
    np.testing.assert_allclose(found.points["frontal"]["T2_sup"], plain["T1_sup"], atol=0.1)
    np.testing.assert_allclose(found.points["frontal"]["S1_sup"], plain["S1_sup"], atol=0.1)
    assert "T1_sup" not in found.points["frontal"]
