"""What is claimed, and whether it holds. No torch here: it opens fast and runs where torch is not installed."""
