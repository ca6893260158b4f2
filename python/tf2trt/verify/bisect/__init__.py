"""Which layers cause an error, and which ``--layer-precision`` list mends it."""

from __future__ import annotations

from tf2trt.verify.bisect.report import BisectReport, LayerError, Step
from tf2trt.verify.bisect.search import bisect
from tf2trt.verify.bisect.setup import open_trial
from tf2trt.verify.bisect.trials import EngineTrial, OnnxTrial, Trial

__all__ = ["BisectReport", "EngineTrial", "LayerError", "OnnxTrial", "Step", "Trial", "bisect", "open_trial"]
