"""What a fit consumed, in joules, where the machine tells it: the GPUs' counters, and the processors' package counters.

Contract: a fit never fails because of a counter: one that is missing, unreadable, or goes wrong on the way gives None,
which is told as *not measured* and never as zero. Sources, the first that answers: NVML's total energy counter (since
the driver was loaded, millijoules; Volta and newer), else the power that ``nvidia-smi`` tells, sampled and added up;
and for the processors Linux's powercap zones (microjoules, which wrap around). Both are of whole devices: whatever
else ran on them is in it. The processors' files can often be read by root alone.
"""

import ctypes
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

POWERCAP = Path("/sys/class/powercap")
EVERY_SECONDS = 1.0
"""A zone of 262 kJ wraps after 17 minutes at 250 W; power is told as a mean over about as long as this."""
_NVML = "libnvidia-ml.so.1"


class Counter(Protocol):
    """Energy that never decreases, from any beginning."""

    source: str

    def joules(self) -> float:
        """Now. Anything raised means: not known from here on."""


class Powercap:
    """The packages below ``/sys/class/powercap``; ``intel-rapl`` is the name on AMD's processors too."""

    source = "powercap"

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = list(zones)
        self._ranges = [float((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        self._last = [self._read(zone) for zone in self._zones]
        self._total = 0.0

    def joules(self) -> float:
        """Added up over the zones, each past its wraps."""
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
    """The counter of all packages, or None where there is none or it may not be read."""
    try:
        zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        return Powercap(packages) if packages else None
    except (OSError, ValueError):
        return None


class Nvml:
    """Total energy counters of the GPUs with these UUIDs, through the driver's own library."""

    source = "NVML"

    def __init__(self, library: ctypes.CDLL, uuids: Sequence[str]) -> None:
        self._library = library
        self._demand(library.nvmlInit_v2())
        self._devices = [ctypes.c_void_p() for _ in uuids]
        for device, uuid in zip(self._devices, uuids, strict=True):
            self._demand(library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(device)))
        self.joules()

    def joules(self) -> float:
        """Since the driver was loaded."""
        total, told = 0, ctypes.c_ulonglong()
        for device in self._devices:
            self._demand(self._library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(told)))
            total += told.value
        return total / 1e3

    @staticmethod
    def _demand(code: int) -> None:
        if code != 0:
            raise OSError(f"NVML says {code}")


class SampledPower:
    """The power of the GPUs, asked again and again and added up over time."""

    source = "nvidia-smi, sampled"

    def __init__(self, watts: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._watts, self._clock = watts, clock
        self._at, self._last, self._total = clock(), watts(), 0.0

    def joules(self) -> float:
        """By the mean of two readings, times the seconds between them."""
        now, watts = self._clock(), self._watts()
        self._total += (now - self._at) * (watts + self._last) / 2
        self._at, self._last = now, watts
        return self._total


def gpus_of(uuids: Sequence[str]) -> Counter | None:
    """The counter of these GPUs, or None where the machine tells neither energy nor power."""
    if not uuids:
        return None
    try:
        return Nvml(ctypes.CDLL(_NVML), uuids)
    except (OSError, AttributeError):
        pass
    try:
        return SampledPower(lambda: smi_watts(uuids))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def smi_watts(uuids: Sequence[str]) -> float:
    """Power of these GPUs by ``nvidia-smi``, in watts."""
    asked = ["nvidia-smi", f"--id={','.join(uuids)}", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10)
    return sum(float(line) for line in told.stdout.splitlines() if line.strip())


class EnergyMeter:
    """Reads its counters in the background from ``start`` to ``stop``.

    Args:
        counters: ``gpu`` and ``cpu``, where there are any.
    """

    def __init__(self, counters: Mapping[str, Counter | None]) -> None:
        self._counters = {name: counter for name, counter in counters.items() if counter is not None}
        self.source = ", ".join(f"{name}: {counter.source}" for name, counter in self._counters.items())
        self._begun: dict[str, float] = {}
        self._used: dict[str, float | None] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Count from here."""
        for name, counter in self._counters.items():
            try:
                self._begun[name], self._used[name] = counter.joules(), 0.0
            except Exception:  # a counter that fails is not measured; it must not cost a fit
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
                except Exception:  # see above
                    self._used[name] = None
                    continue
                # A counter that runs backwards was reset: what was used before is lost.
                self._used[name] = used if used >= (self._used[name] or 0.0) else None

    def used(self, name: str) -> float | None:
        """Joules since ``start`` by the last sample; None where it is not measured."""
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
    """The meter of a fit on this machine: its GPUs, where it uses any, and its processors."""
    return EnergyMeter({"gpu": gpus_of(_uuids(devices)) if accelerator == "cuda" else None, "cpu": powercap_of()})


def _uuids(devices: int) -> list[str]:
    import torch

    try:
        return [f"GPU-{torch.cuda.get_device_properties(k).uuid}" for k in range(devices)]
    except (AttributeError, RuntimeError):
        return []
