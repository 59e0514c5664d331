"""Where corpora and checkpoints come from, and the gates they pass before anything is measured."""
