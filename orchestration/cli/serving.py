"""The subcommands about serving: ``serve`` answers measurements over HTTP, ``shadow`` shows a challenger beside it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inference.model import Model
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import errors, output, print_table
from orchestration.lifecycle.correcting import radiographs_of_study
from orchestration.lifecycle.served_model import ChampionOfWorkspace
from orchestration.lifecycle.shadow import challenger_model
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.params import existing_workspace, read_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.measurement.registry import PARAMETERS
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.smoke_test import require_smoke_test

if TYPE_CHECKING:
    from fastapi import APIRouter

    from serving.service.champion import ModelFiles, ServedChampion
    from serving.service.settings import ServiceSettings
    from serving.service.shadow import ShadowRuns
    from validation.gates.shadow_record import ShadowParameter

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@workspace_option
def shadow(workspace: Path) -> None:
    """Print what the shadow runs of challengers found, and write it to the challengers' runs in MLflow.

    \b
    Example:  plumbline shadow -w ws
    """
    require_serving()
    from orchestration.tracking.shadow_cases import log_shadow_record, shadow_records

    place = existing_workspace(workspace)
    records = shadow_records(place)
    if not records:
        output.print("no study was measured in the shadow yet: plumbline serve --shadow newest")
    for record in records:
        title = f"Challenger {record.challenger[:12]} beside champion {record.champion[:12]}: {record.cases} studies"
        columns = ("parameter", "both", "median difference", "largest", "champion only", "challenger only")
        rows = [_shadow_row(name, found) for name, found in record.parameters.items()]
        print_table(title, columns, rows, note=f"the challenger refused {record.refused} of them")
        run = log_shadow_record(place, record)
        output.print(f"MLflow: run {run}" if run else "MLflow: the challenger is not registered here")


def _shadow_row(name: str, found: "ShadowParameter") -> tuple[str, ...]:
    unit = PARAMETERS[name].unit
    sizes = ["-" if size is None else f"{size:.1f} {unit}" for size in (found.median, found.largest)]
    return PARAMETERS[name].label, str(found.count), *sizes, str(found.only_champion), str(found.only_challenger)


@click.command()
@workspace_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8410, show_default=True, help="0: any free port.")
@click.option("--keys", "keys_file", type=_FILE, help="File with NAME KEY on each line: who may use the service.")
@click.option("--without-keys", is_flag=True, help="Everybody on this machine may use the service.")
@click.option("--settings", "settings_file", type=_FILE, help="TOML file with limits, proxies and PACS addresses.")
@click.option("--model", type=click.Choice(["bundled"]), help="Serve the bundled model instead of the champion.")
@click.option(
    "--shadow", "challenger", metavar="VERSION", help="Run this candidate in the shadow: its version, or newest."
)
@click.option("--shadow-share", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of studies.")
def serve(
    workspace: Path,
    host: str,
    port: int,
    keys_file: Path | None,
    without_keys: bool,
    settings_file: Path | None,
    model: str | None,
    challenger: str | None,
    shadow_share: float,
) -> None:
    """Serve measurements over HTTP with the champion of the workspace (docs/service.md).

    A promotion or a rollback is followed within seconds, after the new model passed its smoke test. Every answer names
    the digest of its model. The log has one JSON object on a line and identifies no patient. SIGTERM ends the service
    when running requests have their answers.

    \b
    Example:  plumbline serve -w ws --keys keys.txt
              plumbline serve -w ws --without-keys --model bundled
              plumbline serve -w ws --keys keys.txt --shadow newest --shadow-share 0.2
    """
    require_serving()
    from serving.service.app import make_app
    from serving.service.server import listen, serve_until_stopped
    from serving.service.settings_file import read_settings

    settings = read_settings(settings_file, keys_file=keys_file, without_keys=without_keys)
    if without_keys and host not in _LOOPBACK:
        raise click.UsageError(f"--without-keys serves this machine only, but --host is {host}")
    place = Workspace(workspace) if model else existing_workspace(workspace)
    champion = served_champion(place, bundled=model is not None)
    runs = _shadow_runs(place, challenger, shadow_share) if challenger else None
    listening = listen(host, port)
    champion.look()
    _say(champion, listening.getsockname()[1], host, settings)
    app = make_app(settings, champion, shadow=runs, routers=_correction_page(place, champion))
    serve_until_stopped(app, listening, settings.limits)


def require_serving() -> None:
    """Refuse to go on without the libraries of the service.

    Raises:
        ParametersRejected: ``SERVING_NOT_INSTALLED``.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        found, expected = f"no {error.name}", "the libraries of the service"
        remedy = "pip install 'plumbline[serving]'"
        raise ParametersRejected("SERVING_NOT_INSTALLED", found, expected, remedy) from error


def served_champion(workspace: Workspace, *, bundled: bool) -> "ServedChampion":
    """The model that the service answers with: the bundled model, or the champion, which is followed."""
    from serving.service.champion import ServedChampion

    current = _bundled_files if bundled else _champion_files(workspace)
    return ServedChampion(current, partial(_smoke_test, workspace), partial(_with_intervals_of_the_site, workspace))


def _bundled_files() -> "ModelFiles":
    from inference.bundled import BUNDLED, RELEASE_FILE
    from inference.model_folder import recorded_digests
    from serving.service.champion import ModelFiles

    return ModelFiles(recorded_digests(BUNDLED)[RELEASE_FILE], BUNDLED, "bundled model")


def _champion_files(workspace: Workspace) -> Callable[[], "ModelFiles | None"]:
    from serving.service.champion import ModelFiles

    source = ChampionOfWorkspace(workspace)

    def current() -> ModelFiles | None:
        found = source()
        if found is None:
            return None
        record, folder = found
        return ModelFiles(record.digest, folder, f"champion version {record.version}")

    return current


def _smoke_test(workspace: Workspace, folder: Path, digest: str) -> None:
    """The smoke test of promotions, without a comparison of times: other requests keep the machine busy."""
    limits = VirtualStudyLimits()
    if workspace.params_file.is_file():
        limits = workspace_policy(read_params(workspace.params_file), workspace).virtual_study
    require_smoke_test(measure_virtual_study, folder, digest, limits)


def _with_intervals_of_the_site(workspace: Workspace, model: Model) -> Model:
    """The model with the workspace's own calibration, if that is of this model, as `plumbline measure` does."""
    from inference.site_calibration import read_site_calibration

    if not workspace.site_calibration.is_file():
        return model
    site = read_site_calibration(workspace.site_calibration)
    return site.applied_to(model) if site.model_digest == model.digest else model


def _correction_page(workspace: Workspace, champion: "ServedChampion") -> "list[APIRouter]":
    """The routes of the correction page, in a workspace only: its records go into the workspace's next data set."""
    from serving.correction.cases import CaseStore
    from serving.correction.recording import Recorder
    from serving.correction.routes import CorrectionContext, correction_router

    if not workspace.params_file.is_file():
        return []
    cases = CaseStore(workspace.correction_cases, lambda: champion.required().model)
    studies = partial(radiographs_of_study, workspace)
    return [correction_router(CorrectionContext(cases, Recorder(workspace.corrections), studies))]


def _shadow_runs(workspace: Workspace, version: str, share: float) -> "ShadowRuns":
    from serving.service.shadow import ShadowRuns, append_to

    return ShadowRuns(challenger_model(workspace, version), share, append_to(workspace.shadow_cases))


def _say(champion: "ServedChampion", port: int, host: str, settings: "ServiceSettings") -> None:
    """Say on the terminal where the service is, and with which model it answers."""
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    errors.print(f"serving on {where}", highlight=False)
    if champion.serving is not None:
        errors.print(f"model: {champion.serving.name} ({champion.serving.digest[:12]})", highlight=False)
    elif champion.fault is not None:
        errors.print(f"not ready: {champion.fault}", style="yellow", markup=False)
    else:
        errors.print("not ready: no model was promoted in this workspace yet; it is served when it is", style="yellow")
    if settings.access.without_keys:
        errors.print("everybody on this machine may use the service", style="yellow")
