"""Energy counters that overflow, fail, run backwards or are missing, and the energy in the record of a fit."""

import ctypes
import signal
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from training.config import TrainingConfig
from training.export.candidate import FitSummary, read_summary, write_summary
from training.fitting import energy, fit_callback
from training.fitting.energy import EnergyMeter, Nvml, gpus_of, powercap_of
from training.fitting.fit import fit
from training.fitting.fit_callback import TrainingInterrupted
from training.journal import read_journal
from training.tracking import _log_figures


class Fake:
    """A counter with these readings, one after another; an exception is raised."""

    source = "fake"

    def __init__(self, readings: Iterable[float | Exception]) -> None:
        self.readings = iter(readings)

    def joules(self) -> float:
        value = next(self.readings)
        if isinstance(value, Exception):
            raise value
        return value


def growing_meter() -> EnergyMeter:
    """A meter of a processor that uses ten joules between two readings."""
    growing: Any = Fake(count(1e6, 10.0))
    return EnergyMeter({"cpu": growing, "gpu": None})


@pytest.fixture(autouse=True)
def _no_background(monkeypatch) -> None:
    monkeypatch.setattr(energy, "EVERY_SECONDS", 3600.0)


def zone(folder: Path, name: str, kind: str, microjoules: int) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "name").write_text(f"{kind}\n")
    (path / "max_energy_range_uj").write_text("1000000000\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path


def test_packages_add_up_across_overflows_and_their_parts_do_not_count(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 900_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 5)
    platform = zone(tmp_path, "intel-rapl:2", "psys", 5)
    counter = powercap_of(tmp_path)
    assert counter is not None
    assert counter.joules() == 0.0
    (first / "energy_uj").write_text("100000000")
    (second / "energy_uj").write_text("50000000")
    for path in (core, platform):
        (path / "energy_uj").write_text("700000000")
    assert counter.joules() == pytest.approx(200.0 + 50.0)
    (first / "energy_uj").write_text("90000000")
    assert counter.joules() == pytest.approx(250.0 + 990.0), "a second overflow"


def test_without_a_readable_counter_nothing_is_measured(tmp_path, monkeypatch):
    assert powercap_of(tmp_path / "nowhere") is None
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    monkeypatch.setattr(energy.Powercap, "_read", staticmethod(_denied))
    assert powercap_of(tmp_path) is None
    monkeypatch.setattr(energy, "_NVML", "libthere-is-none.so")
    assert gpus_of(["GPU-1"]) is None
    assert gpus_of([]) is None


def _denied(zone: Path) -> float:
    raise PermissionError(13, "Permission denied")


class FakeLibrary:
    """Stands in for NVML: two GPUs with 1000 and 2000 joules, 50 more at each reading."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.readings = code, 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's name
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, device: Any) -> int:  # noqa: N802 - the library's name
        device._obj.value = {b"GPU-a": 1, b"GPU-b": 2}[uuid]
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: ctypes.c_void_p, found: Any) -> int:  # noqa: N802 - the library's name
        found._obj.value = 1_000_000 * (device.value or 0) + 50_000 * self.readings
        self.readings += 1
        return self.code


def test_nvml_counts_millijoules_of_all_gpus():
    counter = Nvml(FakeLibrary(), ["GPU-a", "GPU-b"])
    assert counter.joules() == pytest.approx(3000.0 + 50 * (2 + 3))
    with pytest.raises(OSError, match="NVML returned error 3"):
        Nvml(FakeLibrary(code=3), ["GPU-a"])


def test_a_meter_counts_from_its_start_and_loses_what_fails():
    meter = EnergyMeter({"gpu": Fake([500.0, 620.0, 700.0]), "cpu": None})
    meter.start()
    meter.sample()
    assert (meter.used("gpu"), meter.used("cpu"), meter.source) == (120.0, None, "gpu: fake")
    meter.sample()
    meter.stop()
    assert meter.used("gpu") == 200.0
    for readings in ([500.0, OSError("gone"), 700.0], [500.0, 600.0, 20.0, 700.0], [RuntimeError("never")]):
        lost = EnergyMeter({"gpu": Fake(readings)})
        lost.start()
        for _ in range(3):
            lost.sample()
        lost.stop()
        assert lost.used("gpu") is None, "a lost counter gives no number"


def test_the_record_states_the_energy_or_that_it_was_not_measured(tmp_path):
    config = TrainingConfig(minutes=1)
    plain = FitSummary(config, "galbusera39", "d", "t", 400, 1.0, "mm", 0, 2, 8.0, 12.0, "cpu", "32", {})
    assert (plain.energy, dict(plain.joules)) == ("not measured", {})
    measured = replace(plain, gpu_joules=41_250.0, energy_source="gpu: NVML")
    assert measured.energy == "GPU 41.2 kJ (gpu: NVML)"
    for summary in (plain, measured):
        write_summary(summary, tmp_path / "candidate.json")
        assert read_summary(tmp_path) == summary


@pytest.mark.usefixtures("without_export")
def test_a_fit_writes_its_energy_into_record_journal_and_mlflow(drawn, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_callback, "meter_of", lambda kind, devices: growing_meter())
    done = fit(drawn[0], tmp_path / "fit", tiny_config)
    assert done.cpu_joules is not None and done.cpu_joules >= 10 and done.cpu_joules % 10 == 0
    assert (done.gpu_joules, done.energy_source) == (None, "cpu: fake")
    facts = read_journal(tmp_path / "fit").facts
    assert (facts["cpu_joules"], facts["gpu_joules"]) == (done.cpu_joules, None)
    logged: dict[str, float] = {}

    class Client:
        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            logged.update({m.key: m.value for m in metrics})

        def log_artifact(self, *where: str) -> None: ...

    _log_figures(Client(), "run", read_journal(tmp_path / "fit"), done)
    assert logged["cost/cpu_joules"] == done.cpu_joules
    assert "cost/gpu_joules" not in logged


@pytest.mark.slow
@pytest.mark.usefixtures("without_export")
def test_a_resumed_fit_adds_the_energy_up_or_has_none(drawn, tiny_config, tmp_path, monkeypatch):
    def interrupted(out: Path, first: EnergyMeter, second: EnergyMeter) -> FitSummary:
        meters = iter([first, second])
        monkeypatch.setattr(fit_callback, "meter_of", lambda kind, devices: next(meters))
        stop = fit_callback.FitCallback._synchronise

        def stopping(self: Any, trainer: Any, module: Any) -> None:
            self._stopped_by = signal.SIGTERM if self.stage.position.step == 2 else None
            stop(self, trainer, module)

        with monkeypatch.context() as patch:
            patch.setattr(fit_callback.FitCallback, "_synchronise", stopping)
            with pytest.raises(TrainingInterrupted):
                fit(drawn[0], out, tiny_config)
        return fit(drawn[0], out, tiny_config)

    both = interrupted(tmp_path / "both", growing_meter(), growing_meter())
    alone = interrupted(tmp_path / "alone", EnergyMeter({}), growing_meter())
    assert both.cpu_joules is not None and both.cpu_joules >= 20
    assert alone.cpu_joules is None, "the first part was not measured"
