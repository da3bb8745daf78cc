"""Fitted models of every kind that is saved, and what they answer."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
    make_code_vectors,
    make_next_visit_labels,
)
from sklearn_ehr.datasets import make_visits

X, Y = make_visits(160, n_codes=30, random_state=0)
TRAIN, NEW = slice(0, 120), slice(120, 160)


def with_features():
    samples = X.samples.assign(age=np.arange(len(X)) % 50 + 30.0)
    samples.loc[::5, "age"] = np.nan
    return Cohort(X.event_table, samples, features=["age"])


def network(Estimator=LSTMVisitClassifier, **params):
    params = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "batch_size": 32} | params
    estimator = Estimator(device="cpu", random_state=0, **params)
    return make_pipeline(VisitSequenceTransformer(min_frequency=3), estimator)


def counts():
    return make_pipeline(CodeCountVectorizer(min_frequency=3), LogisticRegression(max_iter=500))


def survival(event):
    days = np.random.default_rng(0).exponential(30 / X.samples["risk"])
    outcome = np.rec.fromarrays([event, np.minimum(days, 90)], names=["event", "time"])
    return network(LSTMVisitSurvival, n_intervals=5).fit(X[TRAIN], outcome[TRAIN])


def tagger():
    labels, _ = make_next_visit_labels(X, groups={"C01": "first", "C02": "second"})
    return network(LSTMVisitTagger).fit(X[TRAIN], labels[TRAIN])


def of_classes(model, data=X):
    return model.fit(data[TRAIN], Y[TRAIN])


def vectors():
    sequences = VisitSequenceTransformer(min_frequency=3).fit_transform(X)
    return make_code_vectors(sequences, embedding_dim=8, random_state=0)


BOTH = [("lstm", network()), ("counts", counts())]
FOLDS = StratifiedPatientKFold(2)

# Each kind: how it is fitted, what it is asked, and what it is asked about.
KINDS = {
    "classifier": (lambda: of_classes(network()), "predict_proba", X),
    "regressor": (
        lambda: network(LSTMVisitRegressor).fit(X[TRAIN], X.samples["risk"].to_numpy()[TRAIN]),
        "predict",
        X,
    ),
    "survival": (lambda: survival(np.arange(len(X)) % 3 > 0), "predict", X),
    "tagger": (tagger, "predict_proba", X),
    "counts": (lambda: of_classes(counts()), "predict_proba", X),
    "calibrated": (
        lambda: of_classes(CalibratedClassifierCV(network(), cv=FOLDS)),
        "predict_proba",
        X,
    ),
    "stacked": (lambda: of_classes(StackingClassifier(BOTH, cv=FOLDS)), "predict_proba", X),
    "voting": (lambda: of_classes(VotingClassifier(BOTH, voting="soft")), "predict_proba", X),
    "search": (
        lambda: (
            of_classes(
                GridSearchCV(network(), {"lstmvisitclassifier__hidden_dim": [4, 8]}, cv=FOLDS)
            ).best_estimator_
        ),
        "predict_proba",
        X,
    ),
    "competing events": (lambda: survival(np.arange(len(X)) % 3), "predict", X),
    "features": (
        lambda: of_classes(network(average=True), with_features()),
        "predict_proba",
        with_features(),
    ),
    "code vectors": (
        lambda: of_classes(network(embedding_init=vectors())),
        "predict_proba",
        X,
    ),
}


def answers(model, kind):
    """What a model of a kind says of new patients, one array."""
    _, method, data = KINDS[kind]
    answer = getattr(model, method)(data[NEW])
    return np.concatenate([*answer]) if answer.dtype == object else np.asarray(answer)
