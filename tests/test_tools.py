"""The recipes of docs/how_to/tools.rst, run with the real packages."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import python_blocks
from sklearn.metrics import roc_auc_score
from skorch.callbacks import EpochScoring
from test_privacy import FREQUENT, RARE, TEXT_IDS, holds_any, planted

from sklearn_ehr import LSTMVisitClassifier, PatientKFold

pytestmark = pytest.mark.tools
PAGE = "how_to/tools"
BLOCKS = python_blocks(PAGE)


def run(marker, names=()):
    """The names that the one block with this text defines, beside those it is given."""
    (block,) = [block for block in BLOCKS if marker in block]
    names = dict(names)
    exec(compile(block, PAGE, "exec"), names)
    return names


@pytest.fixture(scope="module")
def data():
    return run("make_visits")


@pytest.fixture(scope="module")
def tuned(data):
    return run("import optuna", data)


def test_study_tunes_a_pipeline(tuned):
    study, model = tuned["study"], tuned["model"]
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    assert study.best_params.items() <= model[-1].get_params().items()
    assert model.predict_proba(tuned["X_test"]).shape == (200, 2)


def test_validation_set_of_a_study_shares_no_patient(tuned):
    assert not {*tuned["sequences"].groups} & {*tuned["X_val"].groups}
    assert not {*tuned["X_test"].groups} & {*tuned["X_train"].groups}


@pytest.mark.filterwarnings("ignore:Fixed parameter .* is out of range")
def test_bad_trial_is_pruned_and_good_ones_complete(tuned):
    optuna = tuned["optuna"]
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1)
    study = optuna.create_study(pruner=pruner)
    for lr in (3e-3, 1e-9, 1e9, 3e-3):
        study.enqueue_trial({"lr": lr, "hidden_dim": 32})
    study.optimize(tuned["objective"], n_trials=4, catch=ValueError)
    good, bad, diverging, again = study.trials
    assert good.state.name == "COMPLETE"
    assert good.value == min(good.intermediate_values.values())
    assert bad.state.name == "PRUNED"
    assert len(bad.intermediate_values) == 2 < len(good.intermediate_values)
    assert diverging.state.name == "FAIL"
    assert again.state.name == "COMPLETE"
    assert again.intermediate_values == good.intermediate_values


def test_roc_auc_of_an_epoch_is_reported(tuned):
    trial = tuned["optuna"].create_study(direction="maximize").ask()
    scoring = EpochScoring("roc_auc", lower_is_better=False)
    model = LSTMVisitClassifier(
        embedding_dim=8,
        hidden_dim=8,
        max_epochs=1,
        callbacks=[scoring, tuned["PruningCallback"](trial, "roc_auc")],
        random_state=0,
    )
    X_val, y_val = tuned["X_val"], tuned["y_val"]
    model.fit(tuned["sequences"], tuned["y_fit"], X_val=X_val, y_val=y_val)
    expected = roc_auc_score(y_val, model.predict_proba(X_val)[:, 1])
    assert trial.study.trials[0].intermediate_values == {0: pytest.approx(expected)}


def test_pruned_fit_leaves_nothing_behind(tuned, tmp_path):
    optuna = tuned["optuna"]
    sequences, y = tuned["sequences"][:200], tuned["y_fit"].iloc[:200]

    class PruneSecond(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 1

    def model(**params):
        return LSTMVisitClassifier(
            embedding_dim=8, hidden_dim=8, max_epochs=4, refit=False, random_state=0, **params
        )

    trial = optuna.create_study(pruner=PruneSecond()).ask()
    callbacks = [tuned["PruningCallback"](trial, "valid_loss")]
    pruned = model(callbacks=callbacks, checkpoint=tmp_path, average=True)
    before = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    with pytest.raises(optuna.TrialPruned):
        pruned.fit(sequences, y)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), signal.getsignal(signal.SIGINT)) == before[1:]
    assert not hasattr(pruned, "net_")
    assert pruned.callbacks is callbacks
    # The folder of its checkpoints is not locked, either.
    again = pruned.set_params(callbacks=None).fit(sequences, y).predict_proba(sequences)
    never = model(average=True).fit(sequences, y).predict_proba(sequences)
    np.testing.assert_array_equal(again, never)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Working directory of all of these tests, as MLflow opens its database once."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def logged(data, folder):
    return run("import mlflow", data)


def test_logged_pipeline_predicts_the_same_bits(logged):
    mlflow, X, uri = logged["mlflow"], logged["X_test"], logged["logged"].model_uri
    expected = logged["model"].predict_proba(X)
    assert logged["loaded"] is not logged["model"]
    np.testing.assert_array_equal(logged["loaded"].predict_proba(X), expected)
    labels = mlflow.pyfunc.load_model(uri).predict(X)
    np.testing.assert_array_equal(labels, logged["model"].predict(X))


def test_downloaded_model_opens_with_a_list_of_types_of_our_own(logged):
    skops_io = pytest.importorskip("skops.io")
    path = logged["mlflow"].artifacts.download_artifacts(logged["logged"].model_uri)
    trusted = logged["logged"].flavors["sklearn"]["skops_trusted_types"]
    assert sorted(skops_io.get_untrusted_types(file=f"{path}/model.skops")) == sorted(trusted)
    model = skops_io.load(f"{path}/model.skops", trusted=trusted)
    expected = logged["model"].predict_proba(logged["X_test"])
    np.testing.assert_array_equal(model.predict_proba(logged["X_test"]), expected)


def test_run_keeps_metrics_versions_and_the_model_card(logged):
    mlflow, info = logged["mlflow"], logged["logged"]
    metrics = mlflow.get_run(info.run_id).data.metrics
    assert metrics.keys() == {"train_loss", "roc_auc"}
    assert metrics["train_loss"] == logged["model"][-1].history_["train_loss"].iloc[-1]
    requirements = Path(mlflow.artifacts.download_artifacts(info.model_uri)) / "requirements.txt"
    assert f"torch=={torch.__version__}" in requirements.read_text(encoding="utf-8")
    card = mlflow.artifacts.load_text(f"runs:/{info.run_id}/model_card.md")
    assert "LSTMVisitClassifier" in card


def test_cohort_is_refused_as_an_example_of_input(logged):
    mlflow, info = logged["mlflow"], logged["logged"]
    with pytest.raises(mlflow.MlflowException, match=r"but got .*Cohort"):
        mlflow.sklearn.log_model(
            logged["model"],
            name="with_example",
            input_example=logged["X_test"],
            skops_trusted_types=info.flavors["sklearn"]["skops_trusted_types"],
        )


def test_nothing_of_a_patient_is_logged(folder):
    events, X, y = planted(TEXT_IDS)
    run("import mlflow", {"X_train": X, "y_train": y, "X_test": X, "y_test": y})
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"mlflow.db", "MLmodel", "model.skops", "model_card.md"} <= {path.name for path in files}
    secrets = [
        events["patient_id"].to_numpy(),
        events["time"].to_numpy(),
        X.samples["prediction_time"].to_numpy(),
        X.samples["age"].dropna().to_numpy(),
        events["visit_id"].to_numpy(),
        events["value"].to_numpy(),
        RARE,
        ["SECRET"],
    ]
    content = b"".join(path.read_bytes() for path in files)
    assert [holds_any(content, values) for values in secrets] == [False] * len(secrets)
    # The scan finds what is there: the codes of the vocabulary.
    assert all(holds_any(content, [code]) for code in FREQUENT)


@pytest.fixture(scope="module")
def explained(data):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    yield run("import shap", data)
    plt.close("all")


def test_shap_values_add_up_to_the_decision_function(explained):
    explanation = explained["explanation"]
    log_odds = explanation.values.sum(axis=1) + explanation.base_values
    expected = explained["regression"].decision_function(explained["X_test"])
    np.testing.assert_allclose(log_odds, expected, rtol=1e-12, atol=1e-12)


def test_shap_values_are_coefficients_times_distances_from_the_mean(explained):
    vectorizer, logistic = explained["regression"]
    mean = vectorizer.transform(explained["X_train"]).toarray().mean(axis=0)
    counts = vectorizer.transform(explained["X_test"]).toarray()
    wanted = logistic.coef_ * (counts - mean)
    np.testing.assert_allclose(explained["explanation"].values, wanted, atol=1e-12)


def test_shap_names_the_codes_that_raise_the_risk_and_those_that_lower_it(explained):
    """Of the simulated codes, C015, C017, ... do the one, and C016, C018, ... the other."""
    explanation = explained["explanation"]
    names = np.array(explanation.feature_names)
    strongest = np.abs(explanation.values).mean(axis=0).argsort()[-8:]
    assert sorted(names[strongest]) == [f"C{i:03}" for i in range(15, 23)]
    counts = explained["vectorizer"].transform(explained["X_test"]).toarray()
    for i in strongest:
        slope = np.polyfit(counts[:, i], explanation.values[:, i], 1)[0]
        assert (slope > 0) == (int(names[i][1:]) % 2 == 1)


def test_explainer_holds_no_patient(explained):
    assert explained["explainer"].masker.data.shape == (1, len(explained["mean"][0]))


@pytest.fixture(scope="module")
def survived(data):
    return run("from sksurv", data)


def test_scorers_give_the_figures_of_their_metrics_in_each_fold(survived):
    from sksurv.metrics import concordance_index_ipcw, integrated_brier_score

    X, y, search = survived["X_train"], survived["outcome"], survived["search"]
    times = np.arange(30, 361, 30)
    concordance, brier = [], []
    for train, test in PatientKFold(3).split(X):
        model = survived["uno"].estimator.fit(X[train], y[train])
        risk = model.predict(X[test])
        concordance.append(concordance_index_ipcw(y[train], y[test], risk, tau=365)[0])
        curves = model[-1].predict_survival_function(model[0].transform(X[test]))
        at_times = [curve(times) for curve in curves]
        brier.append(integrated_brier_score(y[train], y[test], at_times, times))
    np.testing.assert_allclose(survived["scores"], concordance)
    # The second of the grid has as many intervals as by default.
    of_folds = [search.cv_results_[f"split{i}_test_score"][1] for i in range(3)]
    np.testing.assert_allclose(of_folds, -np.array(brier))


def test_search_by_a_scorer_gives_a_pipeline_that_predicts_curves(survived):
    model = survived["survival"]
    n_intervals = survived["search"].best_params_["estimator__lstmvisitsurvival__n_intervals"]
    sequences = model[0].transform(survived["X_test"])
    curves = model[-1].predict_survival_function(sequences, return_array=True)
    assert curves.shape == (200, n_intervals)
