"""One identity of a run: compared, hashed, rendered and repeated from one place."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UsageError
from repro.spec import Batching, Device, Precision, Protocol, RunSpec, parse_seeds, run_key, seed_ranges

specs = st.builds(
    RunSpec,
    section=st.sampled_from(["", "finetune", "linear"]),
    recipe=st.sampled_from(["distilbert", "minilm", "tiny"]),
    corpus=st.sampled_from(["emotion", "rehearsal"]),
    seed=st.integers(0, 9),
    protocol=st.sampled_from(Protocol),
    precision=st.sampled_from(Precision),
    batching=st.sampled_from(Batching),
    device=st.sampled_from(Device),
    micro_batches=st.sampled_from([1, 8]),
    epochs=st.sampled_from([None, 6]),
    limit=st.sampled_from([None, 320]),
)


def parsed(command: str) -> RunSpec:
    """Read a rendered command as typer would."""
    words = shlex.split(command)[4:]
    section = words.pop(0) if not words[0].startswith("--") else ""
    options: dict[str, Any] = dict(zip((w[2:].replace("-", "_") for w in words[::2]), words[1::2], strict=True))
    options["seed"] = options.pop("seeds")
    options |= {name: int(options[name]) for name in ("seed", "micro_batches", "epochs", "limit") if name in options}
    options["corpus"] = {"hub": "emotion"}.get(options["corpus"], options["corpus"])
    return RunSpec(section=section, **options)


@given(specs)
def test_the_rendered_command_runs_the_same_again(spec: RunSpec) -> None:
    assert parsed(spec.command()) == spec


@given(specs, specs)
def test_two_specs_share_a_slug_and_a_label_only_if_their_setups_are_equal(one: RunSpec, other: RunSpec) -> None:
    assert (one.slug == other.slug) == (one.setup == other.setup)
    assert (one.label == other.label) == (one.setup == other.setup)
    assert (run_key(one.as_json()) == run_key(other.as_json())) == (one == other)
    assert (one.differing(other) == []) == (one == other)


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "3-1", "1,,2", "1-", "0,0", "0-3,2", "²", "99999999999", "4294967296", "0-4294967295"]
)
def test_seeds_that_are_none_or_repeat_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_seeds(text)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_seed_ranges_read_back_as_the_same_seeds(seeds: set[int]) -> None:
    assert parse_seeds(seed_ranges(seeds)) == sorted(seeds)
