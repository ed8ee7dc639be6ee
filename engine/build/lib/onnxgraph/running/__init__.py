"""Run models: onnxruntime in a process of its own, other referees."""
