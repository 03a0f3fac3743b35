"""The conversion of errors of the registry and of the evidence into refusals of the gate with stable codes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from spine.errors import EvidenceRejected, GateRefused, ParametersRejected
from validation.registry.database import registry_unavailable

_FILES = "/mlflow-artifacts/"
"""The part of an address with which MLflow's server reads and writes files."""


@contextmanager
def errors_as_refusals() -> Iterator[None]:
    """Convert the errors of the block into GateRefused.

    Raises:
        GateRefused: an EvidenceRejected or ParametersRejected keeps its code. An error of the registry gets the code
            NOT_PERMITTED, ARTIFACTS_UNAVAILABLE or REGISTRY_UNAVAILABLE.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (EvidenceRejected, ParametersRejected) as error:
        raise GateRefused(error.code, found=error.found, expected=error.expected, remedy=error.remedy) from error
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        # MLflow's artefact store raises HTTP errors without an error code.
        status = getattr(getattr(error, "response", None), "status_code", None)
        if getattr(error, "error_code", "") == "PERMISSION_DENIED" or status == 403:
            raise GateRefused(
                "NOT_PERMITTED",
                found=f"MLflow does not allow the account this operation: {' '.join(str(error).split())[:200]}",
                expected="an account that may write the registered model and the experiment of promotions",
                remedy="use the promoter's account (docs/promotion.md, accounts)",
            ) from error
        if _FILES in str(error):
            raise artifacts_unavailable(str(error)) from error
        raise registry_unavailable(str(error)) from error


def artifacts_unavailable(why: str) -> GateRefused:
    """The error for an MLflow server that cannot read or write files in its object store."""
    said = re.search(r'"message": "([^"]*)"', why)
    return GateRefused(
        "ARTIFACTS_UNAVAILABLE",
        found=f"the MLflow server cannot read or write its files: {' '.join((said[1] if said else why).split())[:300]}",
        expected="an object store that accepts the server's key, and a bucket that exists",
        remedy="correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, MLFLOW_S3_ENDPOINT_URL and --artifacts-destination "
        "of the MLflow server (its log has the reason), then run the command again: nothing is stored twice",
    )
