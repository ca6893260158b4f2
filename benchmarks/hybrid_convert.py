"""Conversions of hybrid.py, of one backend and one precision, in one process: TensorFlow takes ten seconds to begin.

    python benchmarks/hybrid_convert.py FOLDER BACKEND PRECISION SECONDS NAME...

Each leaves its outcome beside it, also where it fails. None is begun that may not end within SECONDS. A name is printed
before its conversion, so that the caller knows where the process ended, should it.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from hybrid_networks import read_samples
from hybrid_plan import NETWORKS, Job, Places

from tf2trt.errors import MissingExtraError, Tf2TrtError, UnsupportedVersionError
from tf2trt.files import atomic_write


def options_for(job: Job, folder: Path) -> Dict[str, Any]:
    """What :func:`tf2trt.hybrid.convert` gets, the same for both backends: one engine with a profile for a range of
    shapes or for each shape. TF-TRT's other mode, an engine for each shape, takes less of the loop and of the detector.
    """
    network = NETWORKS[job.network]
    batches = [read_samples(folder, job.network, batch)[0] for batch in network.shapes(job.precision)]
    return {
        "precision_mode": job.precision,
        "backend": job.backend,
        "input_fn": lambda: iter(batches),
        "use_dynamic_shape": True,
        "dynamic_shape_profile_strategy": "Range" if network.in_range else "Optimal",
    }


def convert_one(job: Job, folder: Path) -> Dict[str, Any]:
    """Converts, writes the outcome, and returns it: ``skipped`` where this TensorFlow has no such backend, ``failed``
    where it should have worked."""
    from tf2trt.hybrid import convert

    places = Places(folder)
    outcome: Dict[str, Any] = {"subject": job.subject, "backend": job.backend, "precision": job.precision}
    started = time.monotonic()
    try:
        report = convert(places.model(job.network), places.converted(job), **options_for(job, folder))
    except (UnsupportedVersionError, MissingExtraError) as error:
        outcome["skipped"] = " ".join(str(error).split())
    except Tf2TrtError as error:
        outcome["failed"] = " ".join(str(error).split())[:2000]
    else:
        outcome.update(
            versions=dict(report.versions),
            coverage=report.coverage.node_share,
            time_share=report.coverage.time_share,
            segments=[[segment.name, len(segment.nodes), segment.why_not] for segment in report.segments],
            native=dict(list(report.native_reasons.items())[:12]),
            notes=list(report.notes),
            engines=[engine.file for segment in report.segments for engine in segment.engines if engine.file],
        )
    outcome["seconds"] = time.monotonic() - started
    atomic_write(places.outcome(job), json.dumps(outcome, indent=1).encode())
    return outcome


def main(arguments: List[str]) -> None:
    """Entry point."""
    folder, backend, precision, seconds = Path(arguments[0]), arguments[1], arguments[2], float(arguments[3])
    ends = time.monotonic() + seconds
    from tf2trt.hybrid.memory import prepare_memory
    from tf2trt.hybrid.tftrt_log import import_with_warnings

    tf = import_with_warnings()
    prepare_memory()
    # FP32 is to be FP32 in both backends; TF-TRT follows TensorFlow's switch.
    tf.config.experimental.enable_tensor_float_32_execution(precision != "FP32")
    for name in arguments[4:]:
        job = Job(name, backend, precision)
        if time.monotonic() + 60 * job.minutes > ends:
            return
        print(name, flush=True)
        shutil.rmtree(Places(folder).converted(job), ignore_errors=True)
        convert_one(job, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
