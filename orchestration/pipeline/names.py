"""The names under which models and runs are registered in MLflow."""

PRODUCTION_MODEL = "plumbline"
"""The registered model with the alias ``champion``. Only promotion writes to it."""

CANDIDATES_MODEL = "plumbline-candidates"
"""The registered model of the candidates, which are never in service."""

EXPERIMENT = "plumbline"
"""The experiment of the candidates' runs."""
