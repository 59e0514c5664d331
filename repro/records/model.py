"""What a saved model was trained from, on and how, and what its files must be: the file beside its weights."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from repro.records.schema import LABELS, CorpusStamp, RecipeStamp, Scores, Settings


class ModelStamp(BaseModel):
    """Identity of a fine-tuned model: the SHA-256 of each of its files, and the run, settings and scores behind it.

    `run_key` is that of the record, `behaviour` what the saved tokenizer and configuration do. Models of earlier
    versions have no `files`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights_sha256: str
    files: dict[str, str] = {}
    behaviour: dict[str, str] = {}
    run_key: str | None = None
    recipe: RecipeStamp
    corpus: CorpusStamp
    settings: Settings
    scores: dict[str, Scores]

    def final_scores(self) -> dict[str, Scores]:
        """Return the scores after the last epoch: validation, then test."""
        names = (f"epoch-{self.recipe.epochs}/validation", "test")
        return {name: self.scores[name] for name in names if name in self.scores}

    def warning(self) -> str:
        """Return where the model is no better than always giving the commonest label; empty where it is."""
        for name, scores in self.final_scores().items():
            split = self.corpus.splits[name.rpartition("/")[2]]
            share = max(split.labels) / split.rows
            if scores.accuracy <= share:
                label = LABELS[split.labels.index(max(split.labels))]
                return (
                    f"its accuracy on {name.rpartition('/')[2]}, {scores.accuracy:.3f}, is no better than always "
                    f"answering {label} ({share:.3f})"
                )
        return ""
