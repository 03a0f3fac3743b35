"""A smoke test for each incompatibility of the tools that was found when their versions were pinned.

``pip check`` finds none of them. These tests run when a pin changes.
"""

import importlib.metadata as metadata
import importlib.util
import subprocess
import sys

import pytest


def version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in metadata.version(name).split("rc")[0].split(".")[:3] if part.isdigit())


def test_dagster_parses_selections():
    """dvc -> hydra-core 1.3 requires antlr 4.9; with it every string selection of Dagster raises a TypeError."""
    import dagster as dg

    @dg.asset
    def studies() -> None: ...

    @dg.asset(deps=[studies])
    def dataset() -> None: ...

    chosen = dg.AssetSelection.from_string("+dataset").resolve([studies, dataset])
    assert {key.to_user_string() for key in chosen} == {"studies", "dataset"}


def test_hydra_composes_and_omegaconf_interpolates(tmp_path):
    """A newer antlr breaks hydra 1.3, which ``dvc exp run -S`` uses."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    assert OmegaConf.create({"a": 2, "b": "${a}"}).b == 2
    (tmp_path / "config.yaml").write_text("training: {minutes: 5}\n")
    with initialize_config_dir(str(tmp_path)):
        composed = compose("config", overrides=["training.minutes=3", "+training.seed=[1,2]"])
    assert composed.training.minutes == 3
    assert list(composed.training.seed) == [1, 2]


@pytest.mark.slow
def test_dvc_reads_a_pipeline_and_parameters(tmp_path):
    (tmp_path / "params.yaml").write_text("cohort: {count: 3}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: echo 1 > one.txt\n    params: [cohort]\n    outs: [one.txt]\n"
    )
    environment = {"DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for arguments in (["init", "--no-scm", "-q"], ["repro", "-q"], ["status"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout


def test_typer_uses_the_installed_click(tmp_path):
    """typer 0.26 vendors click; the help of other tools (such as dg) then has no options and no commands."""
    assert version("typer") < (0, 26)
    script = tmp_path / "tool.py"
    script.write_text(
        "import typer\n"
        "def run(minutes: float = typer.Option(5.5, help='Training budget.')) -> None: ...\n"
        "if __name__ == '__main__': typer.run(run)\n"
    )
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert "--minutes" in done.stdout


@pytest.mark.parametrize(
    ("leader", "family"),
    [
        ("dagster", ("dagster-webserver", "dagster-graphql", "dagster-pipes", "dagster-shared")),
        ("mlflow", ("mlflow-skinny", "mlflow-tracing")),
        ("lightning", ("pytorch-lightning",)),
    ],
)
def test_packages_of_one_project_have_one_version(leader, family):
    """After an incomplete release pip can install one package in another version than the packages it belongs to."""
    for member in family:
        assert metadata.version(member) == metadata.version(leader), member


def test_sqlalchemy_takes_a_plain_postgres_address_for_psycopg_3():
    """The reason why every Postgres address names ``+psycopg2`` (``test_infra_files`` checks the files)."""
    from sqlalchemy.engine import make_url

    assert version("sqlalchemy") >= (2, 1)
    assert make_url("postgresql+psycopg2://u@h/d").get_driver_name() == "psycopg2"
    assert make_url("postgresql://u@h/d").get_dialect().driver == "psycopg"


def test_onnx_export_has_its_script_library():
    """torch.onnx.export(dynamo=True) needs onnxscript, which no package requires."""
    assert importlib.util.find_spec("onnxscript") is not None


def test_great_expectations_brings_no_telemetry():
    """Versions before 1.20 sent usage data to posthog."""
    assert importlib.util.find_spec("posthog") is None
    assert version("great_expectations") >= (1, 24)


@pytest.mark.slow
def test_mlflow_refuses_a_file_store_and_knows_pt2(monkeypatch, tmp_path):
    """MLflow refuses the file store since 3.13; this test would find a default that falls back to it."""
    assert version("mlflow") >= (3, 17)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    code = (
        "import sys\nfrom mlflow import MlflowClient\n"
        f"client = MlflowClient({tmp_path.as_uri()!r})\n"
        "try: client.create_experiment('x')\nexcept Exception as error: print(type(error).__name__)\n"
        "else: print('allowed')"
    )
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120
    )
    assert "allowed" not in done.stdout, done.stdout + done.stderr


def test_lightning_is_not_a_compromised_release():
    assert metadata.version("lightning") not in {"2.6.2", "2.6.3"}
    assert version("pydicom") >= (3, 0, 2)
