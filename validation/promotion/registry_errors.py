"""Errors of the registry and of unreadable evidence, as refusals of the gate with stable codes."""

from collections.abc import Iterator
from contextlib import contextmanager

from spine.errors import EvidenceRejected, GateRefused, ParametersRejected
from validation.promotion.database import registry_unavailable


@contextmanager
def errors_as_refusals() -> Iterator[None]:
    """Raise evidence that cannot be read, and a registry that fails, as GateRefused.

    Raises:
        GateRefused: the code of the evidence's or parameters' error, NOT_PERMITTED, REGISTRY_UNAVAILABLE.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (EvidenceRejected, ParametersRejected) as error:
        raise GateRefused(error.code, found=error.found, expected=error.expected, remedy=error.remedy) from error
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        # MLflow's artefact store raises bare HTTP errors.
        status = getattr(getattr(error, "response", None), "status_code", None)
        if getattr(error, "error_code", "") == "PERMISSION_DENIED" or status == 403:
            raise GateRefused(
                "NOT_PERMITTED",
                found=f"an account that MLflow does not permit to do this: {' '.join(str(error).split())[:200]}",
                expected="an account that may write the served model and its experiment",
                remedy="use the promoter's account (docs/promotion.md, accounts)",
            ) from error
        raise registry_unavailable(str(error)) from error
