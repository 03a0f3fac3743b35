"""Every test checks the shapes that the annotations of these packages state."""

import jaxtyping

import spine.types
import tests.shape_check  # noqa: F401 - the hook finds the checker by its name

# Before any module imports them: from then on annotations hold the checked types.
spine.types.Bool, spine.types.Float, spine.types.Int = jaxtyping.Bool, jaxtyping.Float, jaxtyping.Int

jaxtyping.install_import_hook(["inference", "simulation", "training"], "tests.shape_check.check_shapes")
