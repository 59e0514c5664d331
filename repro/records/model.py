"""What a saved model was trained from, on and how: the file beside its weights."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from repro.records.schema import CorpusStamp, RecipeStamp, Scores, Settings


class ModelStamp(BaseModel):
    """Identity of a fine-tuned model: SHA-256 of its weights, and the recipe, corpus, settings and scores behind it.

    `run_key` is that of the record; models from before there was one have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights_sha256: str
    run_key: str | None = None
    recipe: RecipeStamp
    corpus: CorpusStamp
    settings: Settings
    scores: dict[str, Scores]

    def final_scores(self) -> dict[str, Scores]:
        """Return the scores after the last epoch: validation, then test."""
        kept = (f"epoch-{self.recipe.epochs}/validation", "test")
        return {name: self.scores[name] for name in kept if name in self.scores}
