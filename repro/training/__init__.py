"""The training core: texts to batches, the Accelerate loop, and the metrics."""
