"""The energy that a fit uses, in joules, from the counters of the GPUs and of the processors.

For GPUs, the source is the total energy counter of NVML (millijoules since the driver was loaded; Volta and newer). For
processors, the sources are the powercap zones of Linux (microjoules, with overflow). Both kinds of counters count the
whole device, including other programs that run on it. Often only root may read the files of the processors.

Contract: a fit never fails because of a counter. A counter that is missing, is unreadable or fails later gives None.
None is reported as *not measured* and never as zero.
"""

import ctypes
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
EVERY_SECONDS = 1.0
"""Interval between two readings. A zone of 262 kJ overflows after 17 minutes at 250 W."""

# The driver's own library is loaded with ctypes, because a training machine can lack the package nvidia-ml-py.
_NVML = "libnvidia-ml.so.1"


class Powercap:
    """Counter of the processor packages below ``/sys/class/powercap`` (``intel-rapl``, also for AMD processors)."""

    source = "powercap"

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = list(zones)
        self._ranges = [float((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        self._last = [self._read(zone) for zone in self._zones]
        self._total = 0.0

    def joules(self) -> float:
        """The energy of all zones since the start; overflows are taken into account."""
        for k, zone in enumerate(self._zones):
            now = self._read(zone)
            step = now - self._last[k]
            self._total += step if step >= 0 else step + self._ranges[k]
            self._last[k] = now
        return self._total / 1e6

    @staticmethod
    def _read(zone: Path) -> float:
        return float((zone / "energy_uj").read_text())


def powercap_of(folder: Path = POWERCAP) -> Powercap | None:
    """The counter of all processor packages, or None if there is no readable counter."""
    try:
        zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        return Powercap(packages) if packages else None
    except (OSError, ValueError):
        return None


class Nvml:
    """Counter of the GPUs with these UUIDs, which is read through the library of the driver."""

    source = "NVML"

    def __init__(self, library: ctypes.CDLL, uuids: Sequence[str]) -> None:
        self._library = library
        self._check(library.nvmlInit_v2())
        self._devices = [ctypes.c_void_p() for _ in uuids]
        for device, uuid in zip(self._devices, uuids, strict=True):
            self._check(library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(device)))
        self.joules()

    def joules(self) -> float:
        """The energy of all GPUs since the driver was loaded."""
        total, millijoules = 0, ctypes.c_ulonglong()
        for device in self._devices:
            self._check(self._library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(millijoules)))
            total += millijoules.value
        return total / 1e3

    @staticmethod
    def _check(code: int) -> None:
        if code != 0:
            raise OSError(f"NVML returned error {code}")


def gpus_of(uuids: Sequence[str]) -> Nvml | None:
    """The counter of the GPUs with these UUIDs, or None if there is no counter."""
    if not uuids:
        return None
    try:
        return Nvml(ctypes.CDLL(_NVML), uuids)
    except (OSError, AttributeError):
        return None


class EnergyMeter:
    """Reads the counters ``gpu`` and ``cpu`` in the background from ``start`` to ``stop``; a missing counter is None.

    If a counter raises an exception or decreases, its energy is None for the rest of the fit.
    """

    def __init__(self, counters: Mapping[str, Powercap | Nvml | None]) -> None:
        self._counters = {name: counter for name, counter in counters.items() if counter is not None}
        self.source = ", ".join(f"{name}: {counter.source}" for name, counter in self._counters.items())
        self._begun: dict[str, float] = {}
        self._used: dict[str, float | None] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the background reading."""
        for name, counter in self._counters.items():
            try:
                self._begun[name], self._used[name] = counter.joules(), 0.0
            except Exception:  # a failing counter must not stop a fit
                self._used[name] = None
        if self._counters:
            self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
            self._thread.start()

    def sample(self) -> None:
        """Read every counter now."""
        with self._lock:
            for name, counter in self._counters.items():
                if self._used.get(name) is None:
                    continue
                try:
                    used = counter.joules() - self._begun[name]
                except Exception:  # a failing counter must not stop a fit
                    self._used[name] = None
                    continue
                # A counter that decreased was reset. The energy before the reset is lost.
                self._used[name] = used if used >= (self._used[name] or 0.0) else None

    def used(self, name: str) -> float | None:
        """Joules from ``start`` to the last sample; None if they were not measured."""
        return self._used.get(name)

    def stop(self) -> None:
        """End the background reading."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=15)
            self._thread = None

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.sample()


def meter_of(accelerator: str, devices: int) -> EnergyMeter:
    """The meter for a fit on this machine. It reads the processors and, if the fit uses them, the GPUs."""
    return EnergyMeter({"gpu": gpus_of(_uuids(devices)) if accelerator == "cuda" else None, "cpu": powercap_of()})


def _uuids(devices: int) -> list[str]:
    try:
        return [f"GPU-{torch.cuda.get_device_properties(k).uuid}" for k in range(devices)]
    except (AttributeError, RuntimeError):
        return []
