"""What comes with the suite: the rehearsal corpus, its letter, tiny models."""
