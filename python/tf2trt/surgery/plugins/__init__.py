"""What becomes a plugin of ours: nodes of domain ``tf2trt``, each with its meaning in the file as an ONNX function."""
