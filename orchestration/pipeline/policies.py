"""The gate policy of a workspace: one of the shipped policy files, or a file of the user."""

from pathlib import Path

from orchestration.pipeline.params import Params
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from validation.gates.policy import DEFAULT_POLICY, Policy, read_policy

SHIPPED = DEFAULT_POLICY.parent


def policy_path(params: Params, workspace: Workspace) -> Path:
    """The policy's file. ``gate.policy`` is the name of a shipped policy, or a path relative to the workspace."""
    named = SHIPPED / f"{params.gate.policy}.yaml"
    if named.exists():
        return named
    return workspace.root / Path(params.gate.policy).expanduser()


def workspace_policy(params: Params, workspace: Workspace) -> Policy:
    """The policy that judges candidates of the workspace.

    Raises:
        ParametersRejected: POLICY_MISSING, or what ``read_policy`` raises.
    """
    path = policy_path(params, workspace)
    if not path.exists():
        names = sorted(p.stem for p in SHIPPED.glob("*.yaml"))
        raise ParametersRejected(
            "POLICY_MISSING",
            found=f"no policy {params.gate.policy!r} (gate.policy)",
            expected=f"one of {', '.join(names)}, or the path of a policy file",
            remedy="correct gate.policy in params.yaml",
        )
    return read_policy(path)
