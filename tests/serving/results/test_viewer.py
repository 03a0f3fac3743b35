"""OHIF in a browser shows the values of our report on the right radiographs."""

from pathlib import Path
from typing import Any

import pytest

from inference.measured_study import MeasuredStudy
from serving.results.objects import ResultObject, result_objects
from spine.landmarks import VIEWS, ViewName
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS
from tests.browser.chromium import browser, needs_chromium
from tests.serving.results.measured import measured, read
from tests.serving.results.viewer import served, viewer_folder

pytestmark = [pytest.mark.slow, needs_chromium]

_REPORT = "document.querySelector('[data-cy=study-browser-thumbnail-no-image]')"
_TEXTS = "[...document.querySelectorAll('svg.svg-layer text')].map(text => text.textContent)"
_IMAGE = "window.cornerstone.getRenderingEngines().flatMap(e => e.getViewports()).map(v => v.getCurrentImageId())[0]"


def opened_in_viewer(report: ResultObject, case: Path) -> tuple[str, set[str]]:
    """The address of the radiograph at which the viewer opens the report, and the texts that it draws there."""
    viewer = viewer_folder()
    if isinstance(viewer, str):
        pytest.skip(viewer)
    radiographs = [read(case, view) for view in VIEWS]
    with served([*radiographs, report.dataset], viewer) as address, browser(webgl=True) as page:
        page.open(f"{address}/viewer?StudyInstanceUIDs={radiographs[0].StudyInstanceUID}")
        page.wait_for(f"!!{_REPORT} && !!window.cornerstone && !!({_IMAGE})")
        page.evaluate(f"{_REPORT}.dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
        page.wait_for(f"({_TEXTS}).length > 0")
        return page.evaluate(_IMAGE), set(page.evaluate(_TEXTS))


def values_of(study: MeasuredStudy, view: ViewName) -> set[str]:
    """The values of the plane of a view as the viewer writes them."""
    return {
        f"{found.value:.1f}0 {found.unit}"
        for name, found in study.prediction.parameters.items()
        if PARAMETERS[name].plane == PLANE_OF_VIEW[view] and found.value is not None
    }


def test_the_cobb_angle_is_shown_on_the_frontal_radiograph(
    objects: tuple[ResultObject, ...], pair: MeasuredStudy, case: Path
) -> None:
    image, texts = opened_in_viewer(objects[0], case)
    assert f"/instances/{_uid(case, 'frontal')}/" in image
    assert f"Cobb angle: {pair.prediction.parameters['cobb'].value:.1f}0 deg" in texts
    assert {text.rsplit(": ", 1)[-1] for text in texts} == values_of(pair, "frontal")


def test_values_of_the_lateral_radiograph_are_shown_there(case: Path) -> None:
    study = measured({"lateral": case / "lateral.dcm"})
    image, texts = opened_in_viewer(result_objects(study)[0], case)
    assert f"/instances/{_uid(case, 'lateral')}/" in image
    assert {text.rsplit(": ", 1)[-1] for text in texts} == values_of(study, "lateral")


def _uid(case: Path, view: ViewName) -> Any:
    return read(case, view).SOPInstanceUID
