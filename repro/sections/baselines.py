"""Baselines that the seminar lacks: words and pairs of words, and mean-pooled frozen states, each classified linearly.

What a fine-tuned encoder should be compared with beside the dummy and the [CLS] states: either takes seconds. Their
settings are chosen by cross-validation on the training split, so that validation and test are each scored once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from repro.assets.corpus import SPLITS
from repro.display import Table
from repro.errors import UsageError
from repro.records.schema import LABELS, Measurements, RowResults, RunRecord
from repro.sections.context import Context, Section
from repro.training.progress import waiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS, SEED = 5, 0  # of the cross-validation
WORDS: Mapping[str, Sequence[Any]] = {"words__ngram_range": [(1, 1), (1, 2)], "classifier__C": [0.1, 0.3, 1.0]}
STATES: Mapping[str, Sequence[Any]] = {"classifier__C": [0.01, 0.1, 1.0]}


def run(context: Context, _seed: int) -> Measurements:
    """Choose each baseline's settings on the training split, fit it there, and score both other splits."""
    from repro.training.metrics import score

    texts = {split: context.corpus.texts(split) for split in SPLITS}
    labels = {split: context.corpus.labels(split) for split in SPLITS}
    folds_of(labels["train"])
    with context.timed("mean states"):
        states = mean_states(context)
    facts: dict[str, Any] = {}
    rows: dict[str, RowResults] = {}
    for name, model, grid, inputs in _baselines(texts, states):
        with context.timed(f"{name} search"), waiting(f"{name}: {FOLDS}-fold cross-validation"):
            chosen, f1 = choose(model, grid, inputs["train"], labels["train"])
        with context.timed(name):
            model.set_params(**chosen).fit(inputs["train"], labels["train"])
        facts[name] = {"settings": {key: str(value) for key, value in chosen.items()}, "cross_validated_f1": f1}
        for split in SPLITS[1:]:
            predictions = model.predict(inputs[split]).tolist()
            rows[f"{name}/{split}"] = RowResults(labels=labels[split], predictions=predictions)
    scores = {name: score(row.labels, row.predictions, classes=len(LABELS)) for name, row in rows.items()}
    return Measurements(facts=facts, scores=scores, rows=rows)


def _baselines(texts: Any, states: Any) -> Iterator[tuple[str, Any, Mapping[str, Sequence[Any]], Any]]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    words = [("words", CountVectorizer(binary=True)), ("classifier", LinearSVC(random_state=SEED))]
    yield "bag-of-words", Pipeline(words), WORDS, texts
    pooled = [("scale", StandardScaler()), ("classifier", LogisticRegression(max_iter=1000))]
    yield "mean-states", Pipeline(pooled), STATES, states


def folds_of(labels: Sequence[int]) -> list[Any]:
    """Return the folds of the cross-validation as pairs of row numbers; UsageError where one could not be fitted."""
    from sklearn.model_selection import KFold

    folds = list(KFold(FOLDS, shuffle=True, random_state=SEED).split(labels)) if len(labels) >= FOLDS else []
    if not folds or any(len({labels[i] for i in rows}) == 1 for rows, _ in folds):
        what = f"{len(labels)} training rows are too few for {FOLDS} folds: they have {len(set(labels))} label(s)"
        raise UsageError(f"baselines: {what}", "Use more rows with --limit, or leave it out.")
    return folds


def choose(model: Any, grid: Mapping[str, Sequence[Any]], inputs: Any, labels: Sequence[int]) -> tuple[Any, float]:
    """Return the grid's settings with the highest weighted F1 in cross-validation, and that F1."""
    from sklearn.model_selection import GridSearchCV

    folds = folds_of(labels)
    search = GridSearchCV(model, dict(grid), scoring="f1_weighted", cv=folds, refit=False, error_score="raise")
    search.fit(inputs, labels)
    return search.best_params_, float(search.best_score_)


def mean_states(context: Context) -> dict[str, NDArray[np.float32]]:
    """Return the frozen encoder's last states, averaged over each text's pieces: (n, H) a split, in fp32."""
    import torch

    from repro.assets.loading import load_encoder
    from repro.training.predict import over_rows

    def mean(outputs: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        mask = batch["attention_mask"].unsqueeze(-1)  # (B, T, 1)
        states: torch.Tensor = (outputs.last_hidden_state * mask).sum(1) / mask.sum(1)
        return states

    encoder = load_encoder(context.checkpoint.folder).to(context.accelerator.device)
    options = {**context.running, "batching": "dynamic", "batch_size": context.recipe.batch_size}
    return {
        split: over_rows(encoder, examples.tokens, torch.arange(len(examples)), mean, **options).numpy()
        for split, examples in context.examples.items()
    }


def tables(runs: Sequence[RunRecord]) -> dict[str, Table]:
    """Return one row a baseline of each setup: its settings, its scores and the seconds of one fit."""
    rows = []
    for record in runs:
        for name in ("bag-of-words", "mean-states"):
            scores = [f"{record.scores[f'{name}/{split}'].weighted_f1:.4f}" for split in SPLITS[1:]]
            settings: dict[str, str] = record.at(f"facts.{name}.settings")
            chosen = ", ".join(f"{key.partition('__')[2]} {value}" for key, value in settings.items())
            f1 = f"{record.at(f'facts.{name}.cross_validated_f1'):.4f}"
            rows.append((record.spec.label, name, chosen, f1, *scores, f"{record.seconds[name]:.1f}"))
    head = "on", "baseline", "settings", "F1 in cross-validation", "F1 on validation", "F1 on test", "seconds of a fit"
    return {"baselines": Table(head, tuple(rows))}


SECTION = Section.of(globals(), heading="Simple classifier", what="words, and mean-pooled states, classified linearly")
