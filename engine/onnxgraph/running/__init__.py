"""Run models: onnxruntime in its own process, and other referees."""
