"""Baselines: pooled states against one text at a time, settings from the training split alone, words that learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from repro.assets.loading import load_encoder
from repro.sections.baselines import choose, mean_states, tables
from repro.sections.context import Context
from tests.sections.conftest import Measured


def test_a_pooled_state_is_the_mean_over_its_own_text(tiny_context: Context) -> None:
    encoder, texts = load_encoder(tiny_context.checkpoint.folder).eval(), tiny_context.corpus.texts("test")
    pooled = mean_states(tiny_context)["test"]
    for i in (0, 1, len(texts) - 1):
        with torch.inference_mode():
            hidden = encoder(**tiny_context.tokenizer(texts[i], return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(pooled[i], hidden.mean(0).numpy(), atol=1e-5)


def test_settings_are_the_best_of_scikit_learns_own_cross_validation(tiny_context: Context) -> None:
    texts, labels = tiny_context.corpus.texts("train"), tiny_context.corpus.labels("train")
    model = make_pipeline(CountVectorizer(binary=True), LinearSVC(random_state=0))
    chosen, f1 = choose(model, {"linearsvc__C": [1e-6, 0.3]}, texts, labels)
    folds = KFold(5, shuffle=True, random_state=0)
    assert chosen == {"linearsvc__C": 0.3}
    assert f1 == cross_val_score(model.set_params(**chosen), texts, labels, cv=folds, scoring="f1_weighted").mean()


def test_words_are_learned_and_stand_in_the_table(measured: Measured) -> None:
    record = measured.records["baselines", 0]
    majority = max(map(record.rows["bag-of-words/validation"].labels.count, range(6)))
    assert record.scores["bag-of-words/validation"].accuracy > majority / record.scores["bag-of-words/validation"].n
    (words, states) = tables([record])["baselines"].rows
    assert words[1] == "bag-of-words" and "ngram_range" in words[2]
    assert states[4] == f"{record.scores['mean-states/validation'].weighted_f1:.4f}"
