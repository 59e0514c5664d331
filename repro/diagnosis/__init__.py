"""A stranger's run: where it sits among the reruns, and which known mistake it resembles. No torch here."""
