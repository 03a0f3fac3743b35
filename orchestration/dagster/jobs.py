"""The jobs that can be launched by name.

Contract: every job that writes has ``WRITER_TAG``, and the queue runs one of them at a time. The job ``promotion``
materialises the asset ``champion`` alone, under the same checks.
"""

import dagster as dg

from orchestration.dagster.assets.data import batch
from orchestration.dagster.assets.promotion import champion
from orchestration.dagster.instance import WRITER_TAG

RETRAIN, INGEST_BATCH, PROMOTION = "retrain", "ingest_batch", "promotion"
_WRITES = {WRITER_TAG: "workspace"}

retrain = dg.define_asset_job(
    RETRAIN,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(batch),
    tags=_WRITES,
    description="The whole pipeline, from studies to a new champion or a refusal. Unchanged steps are skipped.",
)

ingest_batch = dg.define_asset_job(
    INGEST_BATCH,
    selection=dg.AssetSelection.assets(batch),
    tags=_WRITES,
    description="Take one batch of the inbox into the study store.",
)

promotion = dg.define_asset_job(
    PROMOTION,
    selection=dg.AssetSelection.assets(champion),
    tags=_WRITES,
    description="Promotion alone. It is refused unless policy, evidence and verdict verify at this moment.",
)

JOBS = (retrain, ingest_batch, promotion)
