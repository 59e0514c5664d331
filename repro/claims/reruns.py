"""The public reruns of the seminar's fine-tuning, as the seminar's catalogue holds them."""

from __future__ import annotations

from repro.claims.catalogue import load_catalogue
from repro.claims.references import Figure, Joint, Population, Run

__all__ = ["FIGURES", "JOINT", "Figure", "Joint", "joint_distance", "population", "reference", "reruns"]
FIGURES = (
    "train_loss_1", "valid_loss_1", "accuracy_1", "f1_1", "train_loss_2", "valid_loss_2", "accuracy_2", "f1_2",
)  # fmt: skip
JOINT = tuple(name for name in FIGURES if not name.startswith("accuracy"))


def population() -> Population:
    """Return the distinct runs of the first table."""
    return load_catalogue().populations["reruns"]


def reruns() -> tuple[Run, ...]:
    """Return one mapping a distinct rerun, of the figures that its card states."""
    return population().runs


def reference(name: str) -> Figure:
    """Return one figure over the reruns; KeyError where there is none of that name."""
    return population().figure(name)


def joint_distance(given: Run, *, without: int | None = None) -> Joint | None:
    """Return how far several figures together lie from the reruns."""
    return population().joint_distance(given, without=without)
