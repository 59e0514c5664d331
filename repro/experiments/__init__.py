"""One file a section of the seminar; each has `run(context, seed) -> Measurements`."""
