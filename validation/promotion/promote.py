"""The promotion: a judged candidate becomes the champion, or is refused.

Contract: ``promote`` does not rely on earlier checks by its caller or on tags in MLflow. The function

1. reads verdict, policy and evidence from their files, and verifies every digest;
2. judges again, and requires the same verdict;
3. copies the candidate's files to the promoter's registered model, and requires the judged digest;
4. runs the smoke test on the copy;
5. adds the event ``promoted`` to the history, if champion, approval and rejections still permit it.
"""

import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from spine.errors import GateRefused
from spine.model_digest import find_model_folder
from validation.gates.policy import Policy
from validation.gates.reproduction import policy_of, reproduce
from validation.gates.verdict import read_verdict
from validation.promotion.decisions import promoted
from validation.promotion.events import Event
from validation.promotion.promotion_request import PromotionRequest
from validation.promotion.served_copy import copy_judged_bytes
from validation.promotion.smoke_test import require_smoke_test
from validation.promotion.sync import Change, clean_up, sync
from validation.registry.client import author_of, download, run_of, version_gone


def promote(change: Change, request: PromotionRequest) -> Event:
    """Make the judged candidate the champion, or refuse. Return the event.

    Raises:
        GateRefused: these codes mean that nothing has changed: the codes of ``decisions.promoted``, POLICY_* (missing,
            changed ...), EVIDENCE_MISSING, VERDICT_NOT_REPRODUCED, VERSION_GONE, CANDIDATE_* (address, missing, run
            dead), UNSAFE_FILES, MODEL_ALTERED, SMOKE_TEST_*, CLOCK_WENT_BACK, REGISTRY_UNAVAILABLE.
        EvidenceRejected: EVIDENCE_* (altered ...), STATISTICS_INCONSISTENT, MODEL_* (incomplete ...).
    """
    verdict = read_verdict(request.verdict_path)
    candidate = run_of(change.client, request.candidate_uri)
    policy = policy_of(verdict, request.policy_path)
    decide = partial(
        promoted,
        verdict=verdict,
        policy=policy,
        author=author_of(candidate),
        approval=request.approval,
        actor=request.promoter,
        at=request.at,
    )
    decide(change.state, version="")  # what is refused now needs no copy
    _require_finished(candidate)
    if change.state.champion is not None and not change.champion_is_intact:
        raise version_gone(change.history.model, change.state.champion.version)
    files = [request.verdict_path, request.policy_path, *reproduce(verdict, policy, request.evidence_folder)]
    try:
        version = copy_judged_bytes(change, request, verdict, files, partial(_smoke_test, change, request, policy))
        return change.history.append(partial(decide, version=version))
    except Exception:
        with suppress(Exception):  # An error here must not hide the first error; the next command cleans up, too.
            clean_up(sync(change.client, change.history))
        raise


def _smoke_test(change: Change, request: PromotionRequest, policy: Policy, copy: Path) -> None:
    """Run the smoke test on the copy. If the champion's files can be downloaded, run it on the champion, too."""
    measure, serving = request.measure_virtual_study, change.state.champion
    with tempfile.TemporaryDirectory() as scratch:
        champion: Path | None = None
        if serving is not None and measure is not None:
            address = f"models:/{change.history.model}/{serving.version}"
            # Without the champion's files there is no comparison of times. The limit in seconds still applies.
            with suppress(Exception):
                champion = find_model_folder(download(change.history.tracking_uri, address, Path(scratch)))
        judged = read_verdict(request.verdict_path).challenger_model
        require_smoke_test(measure, find_model_folder(copy), judged, policy.virtual_study, champion)


def _require_finished(run: Any | None) -> None:
    """Refuse a candidate whose run failed or was killed. Such a run can register a model before its process ends."""
    if run is not None and run.info.status in ("FAILED", "KILLED"):
        raise GateRefused(
            "CANDIDATE_RUN_DEAD",
            found=f"run {run.info.run_id} did not finish; its status is {run.info.status}",
            expected="a run that finished",
            remedy="train again",
        )
