"""How a network leaves: ONNX with integer codes, and the proof that they are computed on."""
