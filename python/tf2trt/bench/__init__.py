"""How long an engine takes: host to host, and on the GPU alone."""

from tf2trt.bench.latency import Latency, measure, measure_gpu, time_calls

__all__ = ["Latency", "measure", "measure_gpu", "time_calls"]
