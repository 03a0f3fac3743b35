"""Images of the other view and turned images are detected by a second run; other images are run once."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from inference.calibration import Calibration
from inference.input_check import InputLimits
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import INPUTS, Model
from inference.preprocessing import prepare
from spine.landmarks import VIEWS, ViewName
from tests.inference.fake_model import CONTRACT, KnowingSession
from tests.inference.test_measure_views import POINTS, SHAPE, _inputs

IMAGES = {v: np.random.default_rng(i).integers(0, 4096, SHAPE).astype(np.uint16) for i, v in enumerate(VIEWS)}
"""Images of noise, one for each view, so that a fake session can recognise them."""


class _Seeing(KnowingSession):
    """Maps ``right`` cells wide for an image run as its own view, else ``wrong`` cells wide.

    With ``unseen`` no landmark is visible in an image run as its own view.
    """

    def __init__(self, right: float, wrong: float, unseen: bool = False) -> None:
        super().__init__(POINTS, SHAPE)
        self.widths, self.unseen = (wrong, right), unseen

    def run(self, outputs, inputs):
        maps, logits = super().run(outputs, inputs)
        own = [int(view) == _view_of(image[0]) for image, view in zip(inputs[INPUTS[0]], inputs["view"], strict=True)]
        if self.unseen:
            logits[own] = -9.0
        return [np.stack([_widened(m, self.widths[o]) for m, o in zip(maps, own, strict=True)]), logits]


class _Counting(_Seeing):
    """Counts the images that it is run on."""

    images = 0

    def run(self, outputs, inputs):
        self.images += len(inputs["view"])
        return super().run(outputs, inputs)


def _view_of(pixels) -> int:
    """0 for the frontal image, 1 for the lateral, -1 for neither: a turned one."""
    known = [prepare(IMAGES[v], CONTRACT.input_shape).pixels[0] for v in VIEWS]
    apart = [float(np.abs(pixels - k).mean()) for k in known]
    return int(np.argmin(apart)) if min(apart) < 0.1 else -1


def _widened(maps, cells: float):
    """The same means, with Gaussians of this width."""
    wide = gaussian_filter1d(gaussian_filter1d(maps, cells, axis=1, mode="reflect"), cells, axis=2, mode="reflect")
    return wide / wide.sum(axis=(1, 2), keepdims=True)


def _model(session, limits: InputLimits | None = InputLimits(), views=VIEWS) -> Model:  # noqa: B008
    calibration = Calibration(1, "none", limits=limits)
    return Model(replace(CONTRACT, calibration=calibration, views=tuple(views)), "0" * 64, session)


def _given(**as_view: ViewName) -> dict[ViewName, ImageInput]:
    """View -> the image of another view, given as this one."""
    return {v: replace(_inputs(v)[v], image=IMAGES[as_view[v]]) for v in VIEWS if v in as_view}


def test_two_exchanged_images_are_both_refused():
    session = _Seeing(0.85, 1.6)
    found = measure_views(_model(session), _given(frontal="lateral", lateral="frontal"))
    assert session.calls == 2
    assert dict(found.refused) == dict.fromkeys(VIEWS, "the images look exchanged")
    assert not any(found.points.values()) and all(m.is_absent for m in found.parameters.values())
    assert "the images look exchanged" in found.parameters["cobb"].absent_reason


@pytest.mark.parametrize(("given", "of"), [VIEWS, VIEWS[::-1]])
def test_a_single_radiograph_of_the_other_view_is_refused(given, of):
    found = measure_views(_model(_Seeing(0.85, 1.6)), _given(**{given: of}))
    assert dict(found.refused) == {given: f"looks like a {of}, given as {given}"}


def test_of_two_radiographs_of_one_view_only_the_wrong_one_is_refused():
    found = measure_views(_model(_Seeing(0.85, 1.6)), _given(frontal="lateral", lateral="lateral"))
    assert dict(found.refused) == {"frontal": "looks like a lateral, given as frontal"}
    assert found.parameters["pelvic_tilt"].value is not None


def test_narrow_maps_are_run_once_and_wide_ones_pass_where_the_other_view_gains_nothing():
    usual, wide = _Seeing(0.85, 1.6), _Seeing(1.3, 1.6)
    for session, calls in ((usual, 1), (wide, 2)):
        found = measure_views(_model(session), _given(frontal="frontal", lateral="lateral"))
        assert session.calls == calls and not found.refused and found.parameters["cobb"].value is not None


def test_a_single_radiograph_is_always_run_twice_and_passes():
    for view in VIEWS:
        session = _Seeing(0.85, 1.6)
        assert not measure_views(_model(session), _given(**{view: view})).refused
        assert session.calls == 2


TURNS = {
    "head down": lambda a: a[::-1, ::-1],
    "upside down and mirrored": lambda a: a[::-1],
    "mirrored, front for back": lambda a: a[:, ::-1],
}


@pytest.mark.parametrize(
    ("view", "how"), [("lateral", how) for how in TURNS] + [("frontal", "head down"), ("frontal", "upside down")]
)
def test_a_turned_image_is_refused_and_the_other_is_measured(view, how):
    turn = next(t for name, t in TURNS.items() if name.startswith(how))
    given = _given(frontal="frontal", lateral="lateral")
    given[view] = replace(given[view], image=np.ascontiguousarray(turn(IMAGES[view])))
    session = _Seeing(0.85, 2.0)
    found = measure_views(_model(session), given)
    assert session.calls == 2
    assert list(found.refused) == [view] and how in found.refused[view]
    assert found.points["lateral" if view == "frontal" else "frontal"]


@pytest.mark.parametrize(("cells", "images"), [(1.3, 2), (2.0, 6)])
def test_a_whole_spine_is_run_neither_smaller_nor_head_down_unless_its_maps_are_very_wide(cells, images):
    session = _Counting(cells, 2.5)
    model = _model(session)
    model = replace(model, contract=replace(model.contract, scales=(1.0, 0.7, 0.5)))
    found = measure_views(model, _given(frontal="frontal"))
    assert not found.refused and session.images == images


def test_an_image_without_a_spine_as_the_other_view_is_not_called_that_view():
    session = _Seeing(0.85, 1.6, unseen=True)
    assert not measure_views(_model(session), _given(frontal="lateral")).refused
    assert session.calls == 2


def test_a_model_without_limits_or_of_one_view_runs_once():
    for model in (_model(_Seeing(0.85, 1.6), limits=None), _model(_Seeing(0.85, 1.6), views=("frontal",))):
        assert not measure_views(model, _given(frontal="lateral")).refused
        assert model.session.calls == 1
