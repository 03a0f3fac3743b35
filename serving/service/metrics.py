"""The figures of the service for Prometheus.

Contract: no label names a patient, a file or a client. The figures of the queue and of the model are read when
Prometheus asks.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serving.service.champion import ServedChampion
from serving.service.pool import MeasuringPool

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80)


class ServiceMetrics:
    """All figures, in a registry of their own."""

    def __init__(self, pool: MeasuringPool, champion: ServedChampion) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_State(pool, champion))
        self.requests = self._counter("requests", "Requests by route and status.", "route", "status")
        self.refusals = self._counter("refusals", "Refused requests by code.", "code")
        self.measured = self._counter("measurements", "Measured studies by model.", "model")
        self.shadow = self._counter("shadow_runs", "Studies that a challenger measured, too.", "outcome")
        self.request_seconds = Histogram(
            "plumbline_request_seconds", "Time of a request.", ["route"], registry=self.registry, buckets=_SECONDS
        )
        self.measure_seconds = Histogram(
            "plumbline_measure_seconds", "Time of reading and measuring.", registry=self.registry, buckets=_SECONDS
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"plumbline_{name}", text, labels, registry=self.registry)

    def text(self) -> bytes:
        """The figures in Prometheus's format."""
        return generate_latest(self.registry)


class _State(Collector):
    def __init__(self, pool: MeasuringPool, champion: ServedChampion) -> None:
        self._pool, self._champion = pool, champion

    def collect(self) -> Iterator[Metric]:
        champion, serving = self._champion, self._champion.serving
        yield GaugeMetricFamily("plumbline_running", "Studies that are measured now.", value=self._pool.running)
        yield GaugeMetricFamily("plumbline_places_taken", "Requests measured or waiting.", value=self._pool.taken)
        fault = GaugeMetricFamily("plumbline_model_fault", "1 if the champion does not answer.", labels=["code"])
        if champion.fault is not None:
            fault.add_metric([champion.fault.code], 1)
        yield fault
        yield CounterMetricFamily("plumbline_model_changes", "Models put in place.", value=champion.changes)
        yield CounterMetricFamily("plumbline_model_failures", "Models refused.", value=champion.failures)
        model = GaugeMetricFamily("plumbline_model_info", "The model that answers.", labels=["digest", "name"])
        if serving is not None:
            model.add_metric([serving.digest, serving.name], 1)
        yield model
