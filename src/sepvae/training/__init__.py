"""Training: batches with every group, alternating critic and model updates, callbacks and checkpoints."""
