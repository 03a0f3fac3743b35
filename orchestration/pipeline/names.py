"""Names under which models and runs are registered in MLflow."""

PRODUCTION_MODEL = "plumbline"
"""Registered model whose alias ``champion`` serves; only promotion writes to it."""

CANDIDATES_MODEL = "plumbline-candidates"
"""Registered model into which training puts candidates; nothing serves from it."""

EXPERIMENT = "plumbline"
"""The experiment of the candidates' runs."""
