"""What was measured: one JSON file a run, validated, append-only. No torch here."""
