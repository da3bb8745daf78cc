"""A card says of a model what is known, leaves the rest to its authors, and shows no patient."""

import pickle
import re
import sys
import warnings

import numpy as np
import pytest
import saved_models
from saved_models import BOTH, FOLDS, KINDS, NEW, TRAIN, X, Y, counts, network, of_classes
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from skorch.callbacks import GradientNormClipping

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    __version__,
    make_model_card,
)

UNKNOWN = "[More Information Needed]"
DESCRIPTION = "Model description"
START = "How to Get Started with the Model"
NEEDS = f"{DESCRIPTION}/What new data must bring"
TRAINING = f"{DESCRIPTION}/Training Procedure"
SEQUENCES, LSTM = "visitsequencetransformer", "lstmvisitclassifier"


@pytest.fixture(scope="module")
def models():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {kind: fit() for kind, (fit, _, _) in KINDS.items()}


def description(model):
    return make_model_card(model).select(DESCRIPTION).content


def steps_in(model):
    return re.findall(r"^\* `(\w+)`", description(model), re.MULTILINE)


def rows_of(section):
    """Cells of a table, one list a row, the column names first."""
    lines = [line for line in section.format().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def test_description_of_a_network(models):
    loss = models["classifier"][-1].history_["valid_loss"].min()
    # 32 embeddings of 8, 4 gates of 8 units with 8 inputs, 8 states and 2 biases, and 8 + 1.
    assert description(models["classifier"]) == (
        f"This `Pipeline` was fitted with sklearn_ehr {__version__}. Its steps from this package:"
        "\n\n"
        "* `visitsequencetransformer` (`VisitSequenceTransformer`) reads the events that are known "
        "at the prediction time. It groups them into visits of token ids, with a vocabulary of 30 "
        "codes.\n"
        "* `lstmvisitclassifier` (`LSTMVisitClassifier`) is an LSTM over visits, with 841 weights. "
        "It predicts the probability of each of 2 classes (`0`, `1`). It was trained for 2 epochs, "
        f"of at most 2. The best was epoch 2, with a validation loss of {loss:.4g}. It was then "
        "trained anew on all samples, for 2 epochs."
    )


def test_description_of_counts_tells_the_classes_of_the_whole_model(models):
    text = description(models["counts"])
    assert f"{__version__} and predicts one of 2 classes (`0`, `1`). Its steps" in text
    assert "It counts the visits with each of 30 codes." in text


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("regressor", "It predicts a number."),
        ("survival", r"It predicts the time to an event, by its hazards in \d intervals."),
        (
            "competing events",
            r"It predicts the time to the first of 2 competing events \(`1`, `2`\), by",
        ),
        ("tagger", "It predicts the probability of each of 2 labels, for each visit."),
        ("features", "30 codes, and standardises these features: `age`."),
    ],
)
def test_outcomes_and_features_are_told(models, kind, outcome):
    assert re.search(outcome, description(models[kind]))


def test_labels_of_a_sample_are_told_from_classes():
    y = np.stack([Y, 1 - Y, Y], axis=1)
    model = network(max_epochs=1).fit(X, y)
    assert "It predicts the probability of each of 3 labels. It was" in description(model)
    model = network(max_epochs=1).fit(X, np.arange(len(X)) % 3)
    assert "It predicts the probability of each of 3 classes (`0`, `1`, `2`)." in description(model)


@pytest.mark.parametrize("kind", ["tagger", "regressor", "survival", "features"])
def test_card_of_a_loaded_model_is_the_same(models, kind):
    again = pickle.loads(pickle.dumps(models[kind]))
    assert make_model_card(again).render() == make_model_card(models[kind]).render()


def test_several_numbers_are_counted():
    y = np.stack([Y, 1 - Y], axis=1)
    model = network(LSTMVisitRegressor, max_epochs=1).fit(X, y)
    assert "It predicts 2 numbers. It was trained for 1 epoch, of at most 1." in description(model)


def test_first_of_many_classes_are_named(models):
    y = np.arange(len(X)) % 24
    model = network(max_epochs=1, early_stopping=False).fit(X, y)
    assert "each of 24 classes (`0`, `1`," in description(model)
    assert "`19` and 4 more)." in description(model)


def test_training_without_validation_has_no_best_epoch():
    text = description(of_classes(network(early_stopping=False)))
    assert text.endswith("It was trained for 2 epochs, of at most 2.")


def test_scores_and_further_training_are_told():
    model = of_classes(network(scoring="roc_auc", refit=False))
    sequences = model[0].transform(X)
    history = model[-1].partial_fit(sequences, Y).history_
    number = history["valid_score"].argmax()
    loss, score = history.loc[number, ["valid_loss", "valid_score"]]
    assert description(model[-1]) == (
        "This `LSTMVisitClassifier` is an LSTM over visits, with 841 weights. It predicts the "
        "probability of each of 2 classes (`0`, `1`). It was trained for 2 epochs, of at most 2. "
        f"The best was epoch {number + 1}, with a validation loss of {loss:.4g} and a validation "
        f"score of {score:.4g}. `partial_fit` trained it for 1 epoch."
    )


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("calibrated", [SEQUENCES, LSTM]),
        *(
            (kind, [f"lstm__{SEQUENCES}", f"lstm__{LSTM}", "counts__codecountvectorizer"])
            for kind in ("stacked", "voting")
        ),
    ],
)
def test_steps_inside_other_models_are_found(models, kind, steps):
    assert steps_in(models[kind]) == steps


def test_copies_of_a_step_are_described_together(models):
    card = make_model_card(models["calibrated"])
    assert "(`LSTMVisitClassifier`, 2 fitted copies)" in card.select(DESCRIPTION).content
    assert re.search(r"a validation loss of 0\.\d+ to 0\.\d+\.", card.select(DESCRIPTION).content)
    history = rows_of(card.select(f"{TRAINING}/Training history"))
    assert [row[:3] for row in history] == [
        ["copy", "stage", "epoch"],
        *([copy, stage, epoch] for copy in "12" for stage in ("fit", "refit") for epoch in "12"),
    ]


def test_steps_are_those_that_predict(models):
    fitted = models["classifier"]
    # The vote fits a clone, so what it was given is not its model.
    other = network(max_epochs=1, early_stopping=False).fit(X, Y)
    vote = of_classes(VotingClassifier([("one", other), ("two", counts())], voting="soft"))
    other[-1].set_params(max_epochs=7).partial_fit(other[0].transform(X), Y)
    assert "of at most 1" in description(vote)
    assert "partial_fit" not in description(vote)
    for Meta in (CalibratedClassifierCV, FixedThresholdClassifier):
        meta = Meta(FrozenEstimator(fitted)).fit(X[NEW], Y[NEW])
        assert steps_in(meta) == [SEQUENCES, LSTM]
    nested = CalibratedClassifierCV(VotingClassifier([BOTH[1]], voting="soft"), cv=FOLDS)
    assert steps_in(of_classes(nested)) == ["counts__codecountvectorizer"]


def test_card_of_a_search_is_that_of_its_best_estimator():
    search = of_classes(GridSearchCV(counts(), {"logisticregression__C": [0.1, 1]}, cv=FOLDS))
    card = make_model_card(search)
    assert card.get_model() is search.best_estimator_
    assert steps_in(search) == ["codecountvectorizer"]


def test_search_without_a_best_estimator_is_refused():
    search = GridSearchCV(counts(), {"logisticregression__C": [1]}, cv=FOLDS, refit=False)
    with pytest.raises(ValueError, match=r"a GridSearchCV without a fitted step.*refit=True"):
        make_model_card(of_classes(search))


def test_needs_are_a_table(models):
    model = models["features"]
    versions = [
        ", ".join(f"{name} {number}" for name, number in step.needs["versions"].items())
        for step in model
    ]
    assert rows_of(make_model_card(model).select(NEEDS)) == [
        ["", f"`{SEQUENCES}`", f"`{LSTM}`"],
        ["columns", "patient_id, time, code, visit_id", ""],
        ["features", "age", "age, missingindicator_age"],
        ["resolution", "instant", ""],
        ["times", "datetime", ""],
        ["unit", "not checked", ""],
        ["time gaps", "", "no"],
        ["vocabulary size", "30", "30"],
        ["versions", *versions],
    ]


def test_history_is_a_table(models):
    model = models["classifier"]
    rows = rows_of(make_model_card(model).select(f"{TRAINING}/Training history"))
    history = model[-1].history_
    assert rows[0] == list(history)
    assert [row[-1] for row in rows[1:]] == [
        *(f"{loss:.4g}" for loss in history["valid_loss"][:2]),
        "",
        "",
    ]


def test_each_network_has_its_history():
    models = [("a/b", network(max_epochs=1)), ("c", network(max_epochs=1))]
    card = make_model_card(of_classes(VotingClassifier(models, voting="soft")))
    assert card.select(f"{TRAINING}/Training history of a b__{LSTM}").table["epoch"] == [1, 1]
    assert f"### Training history of c__{LSTM}\n" in card.render()


def test_metrics_are_a_table(models):
    card = make_model_card(models["counts"], metrics={"ROC AUC": 0.67, "samples": 40})
    rows = rows_of(card.select(f"{DESCRIPTION}/Evaluation Results"))
    assert rows == [["Metric", "Value"], ["ROC AUC", "0.67"], ["samples", "40"]]


def test_what_is_unknown_is_left_to_the_authors(models):
    card = make_model_card(models["counts"])
    for section in (f"{DESCRIPTION}/Evaluation Results", "Model Card Authors", "Citation"):
        assert UNKNOWN in card.select(section).format()
    limitations = card.select(f"{DESCRIPTION}/Intended uses & limitations").content
    assert "What it cannot know must be filled in by hand" in limitations
    assert limitations.endswith(UNKNOWN)


@pytest.mark.parametrize("kind", ["features", "stacked", "calibrated"])
def test_code_of_the_card_saves_loads_and_predicts(models, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, method, data = KINDS[kind]
    save, load = re.findall(
        r"```python\n(.*?)```", make_model_card(models[kind]).select(START).content, re.DOTALL
    )
    exec(save, {"model": models[kind]})
    # The last line is what predicts.
    names = {"events": data.event_table, "samples": data.samples}
    *lines, last = load.strip().splitlines()
    exec("\n".join(lines), names)
    np.testing.assert_array_equal(eval(last, names)[NEW], getattr(models[kind], method)(data)[NEW])


def test_code_for_a_single_step_asks_for_what_it_takes(models):
    transformer, estimator = models["classifier"]
    assert 'X = Cohort(events, samples, resolution="instant")\nmodel.transform(X)' in (
        make_model_card(transformer).select(START).content
    )
    start = make_model_card(estimator).select(START).content
    assert "# X: VisitSequences of the transformer" in start
    assert "import Cohort" not in start


@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_vectors_of_codes_are_not_printed(models, as_dict, is_frozen):
    vectors = saved_models.vectors() + 12345
    init = {code: row.to_numpy() for code, row in vectors.iterrows()} if as_dict else vectors
    model = of_classes(network(embedding_init=init, max_epochs=1))
    if is_frozen:
        model = FixedThresholdClassifier(FrozenEstimator(model)).fit(X, Y)
    card = make_model_card(model)
    assert "12345" not in card.render()
    assert "C01" not in card.render()
    if not is_frozen:
        assert "vectors of 30 codes" in card.render()
        assert model[-1].embedding_init is init


def test_parameters_of_estimators_are_told_once():
    callbacks = [GradientNormClipping(1.0), ("clip", GradientNormClipping(2.0))]
    model = of_classes(network(callbacks=callbacks, max_epochs=1))
    rows = dict(rows_of(make_model_card(model).select(f"{TRAINING}/Hyperparameters"))[1:])
    assert rows["steps"] == f"[{SEQUENCES}, {LSTM}]"
    assert rows[LSTM] == "LSTMVisitClassifier"
    assert rows[f"{LSTM}__callbacks"] == "[GradientNormClipping, clip]"
    assert rows[f"{LSTM}__max_epochs"] == "1"


def test_card_shows_no_code_and_no_time_of_an_event(models):
    model = models["survival"]
    text = make_model_card(model).render()
    assert not any(code in text for code in model[0].vocabulary_.codes)
    assert not any(f"{time:.4g}" in text for time in model[-1].unique_times_[:-1])
    assert "sk-container" not in text


def test_card_is_saved_as_markdown(models, tmp_path):
    card = make_model_card(models["classifier"])
    card.save(tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text == card.render()
    assert re.findall("^#+ .*", text, re.MULTILINE) == [
        "# Model description",
        "## Intended uses & limitations",
        "## Training Procedure",
        "### Hyperparameters",
        "### Training history",
        "## Evaluation Results",
        "## What new data must bring",
        "# How to Get Started with the Model",
        "# Model Card Authors",
        "# Model Card Contact",
        "# Citation",
    ]


@pytest.mark.parametrize("model", [network(), LSTMVisitClassifier(), VotingClassifier(BOTH)])
def test_models_that_are_not_fitted_are_refused(model):
    with pytest.raises(NotFittedError):
        make_model_card(model)


@pytest.mark.parametrize("model", ["model.skops", LSTMVisitClassifier, X[TRAIN]])
def test_what_is_no_estimator_is_refused(model):
    name = type(model).__name__
    with pytest.raises(TypeError, match=f"model must be a fitted estimator, got {name}"):
        make_model_card(model)


def test_models_without_a_step_of_this_package_are_refused():
    with pytest.raises(ValueError, match="a LogisticRegression without a fitted step"):
        make_model_card(LogisticRegression().fit([[0], [1]], [0, 1]))


def test_metrics_must_be_a_dict(models):
    with pytest.raises(TypeError, match=r"metrics must be a dict.*got list"):
        make_model_card(models["counts"], metrics=[0.67])


def test_error_without_skops_names_the_extra(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.card", None)
    with pytest.raises(ImportError, match=r"pip install sklearn_ehr\[skops\]"):
        make_model_card(models["counts"])


def test_features_with_bars_stay_in_their_cell():
    samples = X.samples.assign(**{"a|b": np.arange(len(X)) % 7})
    cohort = Cohort(X.event_table, samples, features=["a|b"])
    text = make_model_card(counts().fit(cohort, Y)).select(NEEDS).format()
    assert "a\\|b" in text
