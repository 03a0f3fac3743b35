"""Every test checks the shapes that the annotations of these packages state."""

from jaxtyping import install_import_hook

import tests.shape_check  # noqa: F401 - the hook finds the checker by its name

install_import_hook(["inference", "simulation", "training"], "tests.shape_check.check_shapes")
