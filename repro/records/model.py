"""What a saved model was trained from, on and how, and what its files must be: the file beside its weights."""

from __future__ import annotations

from pydantic import Field

from repro.records.schema import LABELS, CorpusStamp, RecipeStamp, Scores, Settings, Strict


class ModelStamp(Strict):
    """Identity of a fine-tuned model: the SHA-256 of each of its files, and the run, settings and scores behind it.

    `behaviour` is what the saved tokenizer and configuration do; models of earlier versions have no `files`.
    """

    weights_sha256: str
    files: dict[str, str] = Field(default_factory=dict)
    behaviour: dict[str, str] = Field(default_factory=dict)
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
            split = name.rpartition("/")[2]
            label, rows = max(zip(LABELS, self.corpus.splits[split].labels, strict=True), key=lambda pair: pair[1])
            share = rows / self.corpus.splits[split].rows
            if scores.accuracy <= share:
                always = f"always answering {label} ({share:.3f})"
                return f"its accuracy on {split}, {scores.accuracy:.3f}, is no better than {always}"
        return ""
