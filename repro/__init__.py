"""Re-runs a Transformers seminar's experiments with today's libraries and judges every number it reports."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("seminar-repro")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
