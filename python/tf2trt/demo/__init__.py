"""``tf2trt demo``: the whole way on a small real model, scikit-learn's handwritten digits.

Train a Keras CNN, save it, export it, compare with ONNX Runtime, build FP32 and FP16 engines; where there is a GPU, run
every held-out image through both in a process without TensorFlow.
"""

from tf2trt.demo.steps import PRECISIONS, run_demo

__all__ = ["PRECISIONS", "run_demo"]
