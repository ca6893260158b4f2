"""TensorFlow's log: caught below Python, and read. The lines are as TensorFlow 2.13 to 2.17 write them."""

import logging
import os
import subprocess
import sys

import pytest

from tf2trt.hybrid.tftrt_log import (
    Failure,
    captured_log,
    engine_failures,
    import_with_warnings,
    remarks,
    shows_warnings,
    tensorrt_errors,
)

STAMP = "2024-04-01 20:36:48.182719: "
LINES = [
    STAMP + "W tensorflow/compiler/tf2tensorrt/segment/segment.cc:970] ",
    "#" * 80,
    "TensorRT unsupported/non-converted OP Report:",
    "\t- NoOp -> 2x",
    "#" * 80,
    STAMP + "I tensorflow/compiler/tf2tensorrt/convert/convert_graph.cc:799] Number of TensorRT candidate segments: 3",
    STAMP
    + "I tensorflow/compiler/tf2tensorrt/convert/convert_graph.cc:913] Replaced segment 0 consisting of 6 nodes by "
    "TRTEngineOp_000_000.",
    STAMP + "W tensorflow/compiler/tf2tensorrt/convert/convert_graph.cc:916] TF-TRT Warning: Cannot replace segment 2 "
    "consisting of 6 nodes by TRTEngineOp_000_002 reason: Segment has no inputs (possible constfold failure) "
    "(keeping original segment).",
    STAMP + "W tensorflow/compiler/tf2tensorrt/segment/segment.cc:1271] A total of 31 segments with at least "
    "minimum_segment_size=3 nodes have been found. TF-TRT will only convert the 20 largest segments. You can change "
    "this behavior by modifying the environment variable TF_TRT_MAX_ALLOWED_ENGINES=20",
    STAMP + "E tensorflow/compiler/tf2tensorrt/utils/trt_logger.cc:87] DefaultLogger 10: Could not find any "
    "implementation for node conv1.",
    STAMP + "W tensorflow/compiler/tf2tensorrt/utils/trt_logger.cc:83] DefaultLogger TensorRT was linked against "
    "cuDNN 8.9.0 but loaded cuDNN 8.6.0",
    "W0000 00:00:1732207408.182719   12345 trt_engine_op.cc:83] TF-TRT Warning: Engine creation for "
    "PartitionedCall/TRTEngineOp_000_000 failed. The native segment will be used instead. Reason: INTERNAL: Failed to "
    "build TensorRT engine",
    STAMP + "W tensorflow/compiler/tf2tensorrt/kernels/trt_engine_op.cc:83] TF-TRT Warning: Engine retrieval for input "
    "shapes: [[1,224,224,3]] failed. Running native segment for PartitionedCall/TRTEngineOp_000_000",
    STAMP + "W tensorflow/compiler/tf2tensorrt/kernels/trt_engine_op.cc:83] TF-TRT Warning: Failed to execute engine: "
    "INTERNAL: Failed to enqueue batch for TRT engine Retrying with native segment for TRTEngineOp_000_001",
    STAMP + "W tensorflow/compiler/tf2tensorrt/kernels/trt_engine_op.cc:83] TF-TRT Warning: Running native segment "
    "forTRTEngineOp_000_001 due to failure in verifying input shapes: Input shapes are inconsistent",
]


def test_what_failed_is_read_with_its_reason():
    assert engine_failures(LINES) == [
        Failure("TRTEngineOp_000_000", "INTERNAL: Failed to build TensorRT engine"),
        Failure("TRTEngineOp_000_000", "no engine for input shapes [[1,224,224,3]]"),
        Failure("TRTEngineOp_000_001", "the engine failed to run: INTERNAL: Failed to enqueue batch for TRT engine"),
        Failure("TRTEngineOp_000_001", "Input shapes are inconsistent"),
    ]
    assert tensorrt_errors(LINES) == ["10: Could not find any implementation for node conv1."]
    refused, limited = remarks(LINES)
    assert "6 nodes back: Segment has no inputs (possible constfold failure)" in refused
    assert "31 groups" in limited
    assert "20 largest" in limited
    assert shows_warnings(LINES)
    assert not shows_warnings(LINES[5:])


def test_lines_from_below_python_and_records_from_python_are_kept_and_the_rest_passed_on(capfd):
    logger = logging.getLogger("tensorflow")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with captured_log() as log:
        for line in LINES:
            os.write(2, (line + "\n").encode())
        print("the user's own", file=sys.stderr)
        logger.info("Linked TensorRT version: %s", (8, 6, 1))
        seen = log.lines
    assert all(line in seen for line in LINES)
    assert "INFO: Linked TensorRT version: (8, 6, 1)" in seen
    assert capfd.readouterr().err == "the user's own\n"
    assert (logger.level, logger.propagate, logger.handlers) == before
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_an_error_in_the_block_leaves_standard_error_as_it_was(capfd):
    def fail():
        with captured_log():
            os.write(2, b"before the error\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.write(2, b"after the error\n")
    assert capfd.readouterr().err == "before the error\nafter the error\n"


def test_without_a_standard_error_python_s_records_are_kept():
    code = (
        "import os, sys, logging\n"
        "os.close(2)\n"
        "from tf2trt.hybrid.tftrt_log import captured_log\n"
        "with captured_log() as log:\n"
        "    logging.getLogger('tensorflow').warning('kept')\n"
        "print(log.lines)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert result.stdout.strip() == "['WARNING: kept']"


def test_a_first_import_keeps_the_log_s_setting():
    code = (
        "import os, sys\n"
        "from tf2trt.hybrid.tftrt_log import import_with_warnings\n"
        "assert 'tensorflow' not in sys.modules\n"
        "tensorflow = import_with_warnings()\n"
        "print(tensorflow.__version__, os.environ.get('TF_CPP_MIN_LOG_LEVEL'))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split()[1] == "None"
    assert result.stderr == ""
    tensorflow = pytest.importorskip("tensorflow")
    assert import_with_warnings() is tensorflow
