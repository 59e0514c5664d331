"""Records that pass the gates, as in tests/claims."""

from __future__ import annotations

from tests.claims.conftest import make_record

__all__ = ["make_record"]
