"""Studies on disk whose images agree with their reconstruction."""

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.radiograph.write import write_radiograph
from spine.reconstruction.plumbline_json import write_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry

KEY = bytes(range(32))


def places(rows=300, z0=0.0):
    """Frontal and lateral place in the scanner: 2.4 mm pixels, different widths."""
    return {
        "frontal": ViewGeometry("frontal", (rows, 110), (2.4, 2.3), 987.0, 0.5, z0),
        "lateral": ViewGeometry("lateral", (rows, 120), (2.4, 2.3), 918.0, -0.5, z0),
    }


def points(seed=0):
    """Plates, S1 and hips of one spine: straight from the front, curved from the side."""
    random = np.random.default_rng(seed)
    lean, bend = random.uniform(-5, 5), random.uniform(50, 60)
    found = {}
    for i, level in enumerate(VERTEBRAE):
        x, y, z = lean * i / 16, 20 + bend * np.cos(i / 16 * 2 * np.pi), 260.0 - 26 * i
        found[f"{level}_sup"], found[f"{level}_inf"] = np.array([x, y, z + 10]), np.array([x, y, z - 10])
    found |= {"S1_sup": np.array([lean, 70.0, -190.0]), "S1_ant": np.array([lean, 55.0, -196.0])}
    found |= {"S1_post": np.array([lean, 85.0, -184.0])}
    found |= {"HIP_L": np.array([90.0, 30.0, -270.0]), "HIP_R": np.array([-90.0, 30.0, -270.0])}
    return found


def image(place, points_3d, seed=0):
    """(H, W) uint16: a bright band along the projected spine, on noise."""
    random = np.random.default_rng([seed, place.view == "frontal"])
    rows, columns = np.mgrid[0 : place.shape[0], 0 : place.shape[1]]
    plates = np.array([p for n, p in points_3d.items() if n.endswith(("_sup", "_inf"))])
    column, row = place.project(plates[np.argsort(-plates[:, 2])]).T
    centre = np.interp(rows[:, 0], row, column)[:, None]
    band = 2000 * np.exp(-(((columns - centre) / 6) ** 2))
    return np.clip(band + random.normal(800, 60, place.shape), 0, 4095).astype(np.uint16)


def write_study(
    folder, seed=0, views=("frontal", "lateral"), geometry=None, reconstruction=True, complete=True, **tags
):
    """A study folder as the virtual cohort writes it."""
    geometry, truth = geometry or places(), points(seed)
    folder.mkdir(parents=True, exist_ok=True)
    given = {"patient_id": f"vp-{seed}", "study_uid": f"2.25.{seed}1", "series_uid": f"2.25.{seed}2"}
    given |= {"simulated": True, "kvp": 90.0} | tags
    for number, view in enumerate(views):
        uid = f"2.25.{seed}00{number + 3}"
        write_radiograph(
            folder / f"{view}.dcm", image(geometry[view], truth, seed), geometry[view], **({"sop_uid": uid} | given)
        )
    if reconstruction:
        record = Reconstruction(f"vp-{seed}", truth, "plumbline-json", geometry, facts={"condition": "normal"})
        write_reconstruction(record, folder / "reconstruction.json")
    if complete:
        (folder / "COMPLETE").write_text("")
    return folder


def cohort(folder, count):
    for seed in range(1, count + 1):
        write_study(folder / f"case-{seed:03d}", seed)
    return folder


def snapshot(folder):
    """Relative name -> bytes of everything below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
