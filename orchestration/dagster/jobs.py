"""Jobs: what can be launched by name.

Contract: every job that writes carries ``WRITER_TAG``, of which the queue runs one at a time; ``promotion`` is only a
way to launch ``champion`` alone, and is refused exactly as that is.
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
    description="The whole chain, from studies to the champion or the refusal. What has not changed is not repeated.",
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
    description="Promotion alone. Refuses unless policy, evidence and verdict verify at this moment.",
)

JOBS = (retrain, ingest_batch, promotion)
