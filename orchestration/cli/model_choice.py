"""The model that measures: the champion, the bundled model or a folder, with the intervals of the site."""

from dataclasses import dataclass, replace
from pathlib import Path

import click

from inference.bundled import open_bundled
from inference.model import Model
from inference.model_folder import RECORDS, open_model_folder, recorded_digests
from inference.site_calibration import read_site_calibration
from orchestration.cli.terminal import errors
from orchestration.lifecycle.local_champion import local_champion, open_champion
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace


@dataclass(frozen=True)
class ChosenModel:
    """A model with its name, such as ``champion version 3``, and the folder or workspace that it is from, or ""."""

    model: Model
    name: str
    origin: str = ""

    @property
    def short(self) -> str:
        """The name and the beginning of the digest, without the names of folders."""
        return f"{self.name} ({self.model.digest[:12]})"

    @property
    def text(self) -> str:
        """The name, the origin and the beginning of the digest."""
        return f"{self.name}{self.origin and f' {self.origin}'} ({self.model.digest[:12]})"


def open_chosen_model(folder: Path | None, workspace: Workspace) -> ChosenModel:
    """The model in ``folder``, or else the workspace's champion, or else the bundled model."""
    if folder is not None and str(folder) == "bundled" and not folder.is_dir():
        return ChosenModel(open_bundled(), "bundled model")
    if folder is not None:
        if not folder.is_dir():
            raise click.UsageError(f"--model {folder}: no such folder; name a model folder, or bundled")
        errors.print("measuring with the model that --model names, not with the champion", style="yellow")
        model = open_model_folder(folder)
        if not recorded_digests(folder):
            errors.print(f"this model is not verified: no {' or '.join(RECORDS)} has its digest", style="yellow")
        return ChosenModel(model, "model", f"in the folder {folder}")
    if workspace.params_file.is_file():
        existing_workspace(workspace.root)  # a workspace of another format may have a champion that is not found
    champion = local_champion(workspace)
    if champion is None:
        where = f"no model was promoted in {workspace.root.name}/"
        if not workspace.root.exists():
            where = f"there is no workspace {workspace.root}/"
        errors.print(f"{where}: using the bundled model, trained on virtual patients only", style="yellow")
        return ChosenModel(open_bundled(), "bundled model")
    name = f"champion version {champion.version}"
    return ChosenModel(open_champion(workspace), name, f"of the workspace {workspace.root.name}/")


def with_site_calibration(chosen: ChosenModel, file: Path | None, workspace: Workspace) -> ChosenModel:
    """The model with the intervals of ``file``, or else with those of the workspace's calibration of this model."""
    if file is not None:
        return replace(chosen, model=read_site_calibration(file).applied_to(chosen.model))
    if not workspace.site_calibration.is_file():
        return chosen
    site = read_site_calibration(workspace.site_calibration)
    if site.model_digest == chosen.model.digest:
        return replace(chosen, model=site.applied_to(chosen.model))
    errors.print(
        f"the calibration of {site.name} is of model {site.model_digest[:12]}, so it is not used: run "
        f"`plumbline calibrate` for model {chosen.model.digest[:12]}",
        style="yellow",
    )
    return chosen
