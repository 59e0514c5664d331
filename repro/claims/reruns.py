"""The public reruns of the seminar's fine-tuning, as the seminar's catalogue holds them."""

from __future__ import annotations

from repro.claims.catalogue import load_catalogue
from repro.claims.references import Figure, Joint, Run

FIGURES = (
    "train_loss_1", "valid_loss_1", "accuracy_1", "f1_1", "train_loss_2", "valid_loss_2", "accuracy_2", "f1_2",
)  # fmt: skip


def reruns() -> tuple[Run, ...]:
    """Return one mapping a distinct rerun, of the figures that its card states."""
    return load_catalogue().populations["reruns"].runs


def reference(name: str) -> Figure:
    """Return one figure over the reruns; KeyError where there is none of that name."""
    return load_catalogue().figure(f"reruns:{name}")


def joint_distance(given: Run, *, without: int | None = None) -> Joint | None:
    """Return how far several figures together lie from the reruns."""
    return load_catalogue().populations["reruns"].joint_distance(given, without=without)
