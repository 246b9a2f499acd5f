"""Training: batches that hold every group, alternating critic and model updates, what is shown and kept."""
