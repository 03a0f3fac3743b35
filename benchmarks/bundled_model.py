"""The bundled model: time and memory of a prediction, and the share of wrong images that it refuses.

The images come from the workspace of the demo. Images without a spine are cut from them or generated (``not_spines``).
Wrong images of a spine are made from them (``wrong_images``). Real radiographs are included if they were packed
(``python -m benchmarks.sim_to_real pack``).
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks import not_spines, wrong_images
from benchmarks.demo import demo_workspace
from benchmarks.figures import Figure, python, run_command, timed
from benchmarks.real_radiographs.folds import radiograph_of
from benchmarks.sim_to_real.pack import read_pack
from benchmarks.wrong_images import CountingSession
from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model
from inference.preprocessing import prepare
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, load_example_image, read_manifest
from spine.landmarks import VIEWS, ViewName
from spine.study import Points2D

PAIRS = 30
OF_EACH_KIND = 100
BLUR_PX = 6.0
"""Blurring by this standard deviation makes the heat maps about as wide as those of real radiographs."""

PACKED = Path(".carry/aasce.npz")
_CHILD = """
import sys
from benchmarks.bundled_model import first_pairs, open_bundled, measure_views
for views in first_pairs(sys.argv[1], 3):
    measure_views(open_bundled(), views)
"""


def figures() -> list[Figure]:
    """Time and memory, refusals of images without a spine, and reactions to wrong images of a spine."""
    workspace, model = demo_workspace(), open_bundled()
    return [
        *_cost(model, workspace),
        *cost_of_unclear(model, workspace),
        *refusals(model, workspace),
        *_wrong_images(model, workspace),
    ]


def first_pairs(workspace: Path | str, count: int) -> list[dict[ViewName, ImageInput]]:
    """The first ``count`` pairs of images of the validation and training splits of a workspace."""
    folder = Workspace(Path(workspace)).dataset
    return [{v: _given(folder, e, v) for v in VIEWS} for e in _paired(folder)[:count]]


def _paired(folder: Path) -> list[Example]:
    return [e for e in _examples(folder) if set(e.views) == set(VIEWS)]


def _cost(model: Model, workspace: Workspace) -> list[Figure]:
    """Time and memory. Whole predictions and bare network calls alternate, so that other load affects both alike."""
    whole: list[float] = []
    bare: list[float] = []
    for views in first_pairs(workspace.root, PAIRS):
        shape = model.contract.input_shape
        pixels = np.stack([prepare(views[v].image, shape, spacing_mm=views[v].spacing_mm).pixels for v in VIEWS])
        if not whole:
            measure_views(model, views)  # warm-up
        whole.append(timed(partial(measure_views, model, views))[1])
        bare.append(timed(partial(model.run, pixels, list(VIEWS)))[1])
    ratio = statistics.median(w / b for w, b in zip(whole, bare, strict=True))
    _, peak = run_command(python("-c", _CHILD, str(workspace.root)))
    how = f"median of {len(whole)} pairs of the demo"
    return [
        Figure("measuring a pair of images", statistics.median(whole), "s", "<= 1.0", how),
        Figure("the onnxruntime session alone on the same pair", statistics.median(bare), "s", "", how),
        Figure("ratio of these two times", ratio, "", "<= 1.3", "median of the ratios of all pairs"),
        Figure("peak memory of a process that measures three pairs", peak / 1024, "GiB", "< 1.5"),
    ]


def cost_of_unclear(model: Model, workspace: Workspace) -> list[Figure]:
    """What a pair of blurred images costs, which the network is run on again, beside the pair itself."""
    ratios: list[float] = []
    counts: list[int] = []
    for views in first_pairs(workspace.root, PAIRS):
        session = CountingSession(model.session)
        counted, blurred = replace(model, session=session), {v: _blurred(given) for v, given in views.items()}
        clear_s = timed(partial(measure_views, model, views))[1]
        ratios.append(timed(partial(measure_views, counted, blurred))[1] / clear_s)
        counts.append(session.images)
    how = f"of {len(counts)} pairs of the demo"
    return [
        Figure("images that the network is run on, blurred pair, median", statistics.median(counts), "", "<= 6", how),
        Figure("images that the network is run on, blurred pair, largest", max(counts), "", "", how),
        Figure("time of a blurred pair, times that of the pair, median", statistics.median(ratios), "", "<= 3", how),
    ]


def _blurred(given: ImageInput) -> ImageInput:
    image = ndimage.gaussian_filter(given.image.astype(np.float32), BLUR_PX)
    return replace(given, image=image.astype(given.image.dtype))


def refusals(model: Model, workspace: Workspace) -> list[Figure]:
    """The share of each kind of image that the model refuses, percent."""
    folder = workspace.dataset
    examples = _examples(folder)
    rows = []
    for view in VIEWS:
        given = [_given(folder, e, view) for e in examples if view in e.views]
        rows.append(_refused_share(model, f"whole spines, {view}", view, given, "<= 2"))
        for kind, cut in (("chests", not_spines.chest), ("pelves", not_spines.pelvis)):
            random = np.random.default_rng(5)
            parts = (
                cut(np.asarray(load_example_image(folder, e.views[view])), e.views[view], random)
                for e in examples[: 2 * OF_EACH_KIND]
                if view in e.views
            )
            images = [ImageInput(p) for p in parts if p is not None][:OF_EACH_KIND]
            rows.append(_refused_share(model, f"{kind}, {view}", view, images, ">= 95"))
    for kind, generated in not_spines.generate(OF_EACH_KIND, seed=2026).items():
        for view in VIEWS:
            images = [ImageInput(p) for p in generated]
            rows.append(_refused_share(model, f"{kind}, as {view}", view, images, ">= 95"))
    return [*rows, *_real_radiographs(model)]


def _wrong_images(model: Model, workspace: Workspace) -> list[Figure]:
    """Reactions to wrong images of a spine, and false alarms on correct images."""
    pairs = first_pairs(workspace.root, 2 * OF_EACH_KIND)
    landmarks = [e.views["frontal"].points for e in _paired(workspace.dataset)[: 2 * OF_EACH_KIND]]
    return [
        *wrong_images.exchanged(model, pairs),
        *wrong_images.covered(model, pairs, landmarks),
        *wrong_images.wrong_way_round(model, pairs),
        *wrong_images.cut_through(model, _laterals(workspace, OF_EACH_KIND)),
        *wrong_images.rotated(model, [pair["frontal"] for pair in pairs[:OF_EACH_KIND]]),
        *wrong_images.real_radiographs(model, _packed_radiographs()),
    ]


def _laterals(workspace: Workspace, count: int) -> list[tuple[ImageInput, Points2D, float]]:
    """Lateral radiographs outside the test split that show L5, with their landmarks and true lordosis L1-L5."""
    chosen = []
    for example in _examples(workspace.dataset):
        truth, view = example.truth.get("lumbar_lordosis_l1_l5"), example.views.get("lateral")
        if truth is None or truth.value is None or view is None or not {"L5_sup", "L5_inf"} <= set(view.points):
            continue
        radiograph = ImageInput(np.asarray(load_example_image(workspace.dataset, view)), view.spacing_mm)
        chosen.append((radiograph, view.points, truth.value))
        if len(chosen) == count:
            break
    return chosen


def _real_radiographs(model: Model) -> list[Figure]:
    radiographs = _packed_radiographs()
    return [_refused_share(model, "real frontal radiographs", "frontal", radiographs, "<= 2")] if radiographs else []


def _packed_radiographs() -> list[ImageInput]:
    if not PACKED.is_file():
        return []
    return [ImageInput(radiograph_of(image)[0]) for image in read_pack(PACKED).images]


def _refused_share(model: Model, name: str, view: ViewName, images: Iterable[ImageInput], target: str) -> Figure:
    found = [measure_views(model, {view: image}) for image in images]
    refused = [bool(p.refused) or all(m.is_absent for m in p.parameters.values()) for p in found]
    share = 100 * float(np.mean(refused)) if refused else float("nan")
    return Figure(f"refused or nothing measured: {name}", share, "%", target, f"of {len(refused)}")


def _examples(folder: Path) -> Sequence[Example]:
    manifest = read_manifest(folder)
    return (*manifest.in_split("validation"), *manifest.in_split("train"))


def _given(folder: Path, example: Example, view: ViewName) -> ImageInput:
    record = example.views[view]
    return ImageInput(load_example_image(folder, record), record.spacing_mm, record.calibration, record.geometry)
