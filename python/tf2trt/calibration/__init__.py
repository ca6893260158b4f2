"""INT8 by calibration: scales from a user's data, as a Q/DQ ONNX file or through TensorRT's own calibrators.

    data      what the user gives (arrays, files, datasets, generators), as checked batches
    qdq       ONNX with QuantizeLinear and DequantizeLinear, which every TensorRT takes
    native    the object that TensorRT 8 and 10 calibrate with
    cache     TensorRT's calibration cache, bound to its model

It sits above ``surgery`` and ``build``, beside ``verify``.
"""

from tf2trt.calibration.cache import CalibrationCache, import_cache, read_cache, write_cache
from tf2trt.calibration.data import CalibrationData
from tf2trt.calibration.native import TensorRTCalibrator
from tf2trt.calibration.qdq import QuantizationReport, quantize
from tf2trt.calibration.thresholds import METHODS

__all__ = [
    "METHODS",
    "CalibrationCache",
    "CalibrationData",
    "QuantizationReport",
    "TensorRTCalibrator",
    "import_cache",
    "quantize",
    "read_cache",
    "write_cache",
]
