"""The jobs that can be launched by name.

Contract: every job that writes has ``WRITER_TAG``, and the queue runs one such job at a time. The job ``promotion``
materialises the asset ``champion`` alone, under the same checks.
"""

from functools import partial

import dagster as dg

from orchestration.dagster.assets.data import batch, drift
from orchestration.dagster.assets.promotion import champion
from orchestration.dagster.instance import WRITER_TAG

RETRAIN, INGEST_BATCH, PROMOTION = "retrain", "ingest_batch", "promotion"
# The queue runs one job with this tag at a time.
_job = partial(dg.define_asset_job, tags={WRITER_TAG: "workspace"})

retrain = _job(
    RETRAIN,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(batch),
    description="The whole pipeline, from studies to a new champion or a refusal. Unchanged steps are skipped. "
    "Values given in the launchpad are written into params.yaml, so the weekly schedule uses them too.",
)
ingest_batch = _job(
    INGEST_BATCH,
    selection=dg.AssetSelection.assets(batch, drift),
    description="Take one batch of the inbox into the study store, and compare new studies with the training "
    "population.",
)
promotion = _job(
    PROMOTION,
    selection=dg.AssetSelection.assets(champion),
    description="Promotion alone. It verifies policy, evidence and verdict again, and is refused if one is invalid.",
)

JOBS = (retrain, ingest_batch, promotion)
