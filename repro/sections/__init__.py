"""One file a section of the seminar."""
