"""Where records were before: to be imported from schema and store."""

from repro.records.schema import *  # noqa: F403
from repro.records.store import *  # noqa: F403
