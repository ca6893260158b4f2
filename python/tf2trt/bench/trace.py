"""When what happened: host calls, copies, kernels or layers, in a file for Perfetto (ui.perfetto.dev) and Chrome.

A recorder gives events. Their times are microseconds of ``time.perf_counter``, one clock for all processes of a
machine; a :class:`TraceWriter` puts those of any number of processes into one file. What is recorded runs slower than
what is not: record apart from measuring, and after it.
"""

from tf2trt.bench.trace_engine import record_engine
from tf2trt.bench.trace_tensorflow import record_tensorflow
from tf2trt.bench.trace_writer import Event, TraceWriter

__all__ = ["Event", "TraceWriter", "record_engine", "record_tensorflow"]
