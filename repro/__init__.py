"""Re-runs a Transformers seminar's experiments with today's libraries and judges every number it reports."""


def __getattr__(name: str) -> str:
    """Answer `__version__`, which takes a tenth of a start to look up, only where it is asked for."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("seminar-repro")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"
