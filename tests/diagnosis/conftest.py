"""Records that pass the gates, as in tests/claims."""

from __future__ import annotations

from tests.claims.conftest import make_record as make_record  # records that pass the gates
