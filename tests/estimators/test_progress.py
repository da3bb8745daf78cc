"""Progress of a fit: printed lines, and the callbacks of scikit-learn 1.9."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators import _progress
from sklearn_ehr.estimators._progress import closing_line, epoch_line

pytestmark = pytest.mark.filterwarnings("ignore:.*samples to learn from")

TINY = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "batch_size": 16,
    "max_epochs": 3,
    "refit": False,
    "device": "cpu",
    "random_state": 0,
}
CODES = np.random.default_rng(0).integers(2, 6, (60, 3, 2))
X, Y = CODES, CODES[:, 2, 0] % 2
EVENTS = np.zeros(60, dtype=[("event", bool), ("time", float)])
EVENTS["event"], EVENTS["time"] = Y, 1 + np.arange(60) % 7
OUTCOMES = {
    LSTMVisitClassifier: Y,
    LSTMVisitRegressor: Y + 0.5,
    LSTMVisitSurvival: EVENTS,
    LSTMVisitTagger: list(CODES[:, :, 0] % 2),
}
each_estimator = pytest.mark.parametrize("Estimator", OUTCOMES)


def tiny(Estimator=LSTMVisitClassifier, **params):
    return Estimator(**(TINY | params))


class StopAfter(Callback):
    """Stops training as skorch's callbacks do."""

    def __init__(self, epoch, at="epoch"):
        self.epoch = epoch
        self.at = at

    def on_batch_begin(self, net, **kwargs):
        if self.at == "batch" and len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_end(self, net, **kwargs):
        if self.at == "epoch" and len(net.history) == self.epoch:
            raise KeyboardInterrupt


def printed_by(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("verbose", [0, False])
def test_nothing_is_printed_when_not_verbose(verbose, capfd):
    y = np.random.default_rng(0).permutation(Y)
    model = tiny(max_epochs=20, lr=0.3, n_iter_no_change=1, refit=True, verbose=verbose).fit(X, y)
    model.partial_fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True])
@each_estimator
def test_verbose_prints_a_line_an_epoch_and_one_at_the_end(Estimator, verbose, capsys):
    tiny(Estimator, verbose=verbose).fit(X, OUTCOMES[Estimator])
    *epochs, last = printed_by(capsys)
    assert len(epochs) == 3
    for i, line in enumerate(epochs, start=1):
        assert re.fullmatch(
            rf"Epoch {i}/3: train_loss \d\S+, valid_loss \d\S+, best epoch \d(, \d+\.\d s left)?",
            line,
        )
    assert re.fullmatch(r"Trained in \d+\.\d s; kept the weights of epoch \d/3\.", last)


def test_lines_have_the_figures_of_history(capsys):
    y = np.random.default_rng(1).permutation(Y)  # nothing to learn, so the loss rises again
    model = tiny(max_epochs=8, lr=0.3, scoring="roc_auc", verbose=1).fit(X, y)
    *epochs, last = printed_by(capsys)
    history = model.history_
    for name in ("train_loss", "valid_loss", "valid_score"):
        told = [float(re.search(rf"{name} (\S+?),", line)[1]) for line in epochs]
        np.testing.assert_allclose(told, history[name], rtol=1e-3)
    best = [history["valid_score"][: n + 1].argmax() + 1 for n in range(len(history))]
    assert [int(re.search(r"best epoch (\d+)", line)[1]) for line in epochs] == best
    assert f"kept the weights of epoch {best[-1]}/{len(history)}." in last


def test_without_validation_no_epoch_is_best(capsys):
    tiny(early_stopping=False, max_epochs=2, verbose=1).fit(X, Y)
    first, second, last = printed_by(capsys)
    assert re.fullmatch(r"Epoch 1/2: train_loss \d\S+, \d+\.\d s left", first)
    assert re.fullmatch(r"Epoch 2/2: train_loss \d\S+", second)
    assert "kept the weights of epoch 2/2." in last


def test_refit_is_told_from_the_first_training(capsys):
    model = tiny(refit=True, lr=0.1, verbose=1).fit(X, Y)
    lines = printed_by(capsys)
    stages = [line.split("/")[0] for line in lines[:-1]]
    n_epochs = (model.history_["stage"] == "refit").sum()
    assert stages == [
        "Epoch 1",
        "Epoch 2",
        "Epoch 3",
        *(f"Refit epoch {i + 1}" for i in range(n_epochs)),
    ]
    assert f"kept the weights of epoch {n_epochs}/{n_epochs} of the refit." in lines[-1]


def test_partial_fit_prints_its_epoch(capsys):
    model = tiny(verbose=1)
    for i in (1, 2):
        model.partial_fit(X, Y, classes=[0, 1])
        (line,) = printed_by(capsys)
        assert re.fullmatch(rf"partial_fit, epoch {i}: train_loss \d\S+", line)


def test_figures_recorded_by_callbacks_are_printed(capsys):
    class Record(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("norm", 12.34567)

    tiny(verbose=1, callbacks=[Record()]).fit(X, Y)
    assert all(", norm 12.35, " in line for line in printed_by(capsys)[:-1])


def test_epoch_after_which_a_callback_stops_is_printed(capsys):
    tiny(max_epochs=9, verbose=1, callbacks=[StopAfter(2)]).fit(X, Y)
    *epochs, last = printed_by(capsys)
    assert [line[:9] for line in epochs] == ["Epoch 1/9", "Epoch 2/9"]
    assert "kept the weights of epoch 2/2." in last


@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_epoch_after_which_a_callback_stops_can_be_the_best(scoring):
    model = tiny(
        max_epochs=9, lr=0.03, random_state=1, scoring=scoring, callbacks=[StopAfter(2)]
    ).fit(X, Y)
    assert model.history_["valid_loss"].argmin() == 1
    expected = tiny(max_epochs=2, lr=0.03, random_state=1, scoring=scoring).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    pd.testing.assert_frame_equal(
        model.history_.drop(columns="dur"), expected.history_.drop(columns="dur")
    )


@pytest.mark.filterwarnings("ignore:Training interrupted")
def test_epoch_that_was_interrupted_is_not_printed(capsys):
    tiny(max_epochs=9, lr=0.03, random_state=1, verbose=1, callbacks=[StopAfter(3, "batch")]).fit(
        X, Y
    )
    *epochs, last = printed_by(capsys)
    assert [line[:9] for line in epochs] == ["Epoch 1/9", "Epoch 2/9"]
    assert "kept the weights of epoch 2/2." in last


def history_of(stage="fit", **columns):
    n_epochs = len(next(iter(columns.values())))
    return pd.DataFrame(
        {"stage": stage, "epoch": np.arange(n_epochs) + 1, "lr": 1e-3, "dur": 1.0} | columns
    )


@pytest.mark.parametrize(
    ("losses", "pace", "patience", "told"),
    [
        # 4 s an epoch: 5 epochs of patience, 47 to the last.
        ([0.5, 0.4, 0.3], 4, 5, "best epoch 3, 20 s to 3:08 min left"),
        ([0.5, 0.3, 0.4], 4, 5, "best epoch 2, 16 s to 3:08 min left"),
        ([0.5, 0.3, 0.3], 20, 5, "best epoch 2, 1:20 to 15:40 min left"),
        ([0.5, 0.3, 0.3], 120, 5, "best epoch 2, 8:00 min to 1:34:00 h left"),
        ([0.5, 0.3, 0.4, 0.5], 1, 2, "best epoch 2"),
        ([0.5] + [0.4] * 48, 0.1, 50, "best epoch 2, 0.1 s left"),
        ([0.5] * 50, 1, 60, "best epoch 1"),
    ],
)
def test_time_left_is_until_patience_or_epochs_run_out(losses, pace, patience, told):
    line = epoch_line(history_of(valid_loss=losses), pace, 50, patience)
    assert line.startswith(f"Epoch {len(losses):2}/50: valid_loss 0.")
    assert line.endswith(f", {told}")


def test_time_left_includes_a_refit():
    """At least of as many epochs as are best so far, at most of all."""
    history = history_of(valid_loss=[0.5, 0.3, 0.4])
    line = epoch_line(history, 1, 50, patience=5, refit_follows=True)
    assert line.endswith("best epoch 2, 6.0 s to 1:37 min left")
    at_the_end = epoch_line(history, 1, 3, patience=1, refit_follows=True)
    assert at_the_end.endswith("best epoch 2, 2.0 to 3.0 s left")


def test_line_without_patience():
    history = history_of("refit", train_loss=[0.3, 0.000123456])
    assert epoch_line(history, 2, 12) == "Refit epoch  2/12: train_loss 0.0001235, 20 s left"


def test_closing_line_says_which_weights_are_kept():
    fit = history_of(valid_loss=[0.5, 0.3, 0.4])
    both = pd.concat([fit, history_of("refit", train_loss=[0.5, 0.3])])
    assert closing_line(fit, 75) == "Trained in 1:15 min; kept the weights of epoch 2/3."
    assert closing_line(both, 5) == "Trained in 5.0 s; kept the weights of epoch 2/2 of the refit."
    scored = fit.assign(valid_score=[0.6, 0.6, 0.7])
    assert closing_line(scored, 5) == "Trained in 5.0 s; kept the weights of epoch 3/3."


@pytest.mark.slow
def test_lines_of_parallel_fits_come_whole_and_while_they_train():
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from joblib import Parallel, delayed\n"
        "from sklearn_ehr import LSTMVisitClassifier\n"
        "import numpy as np\n"
        "X = np.random.default_rng(0).integers(2, 6, (60, 3, 2))\n"
        "model = LSTMVisitClassifier(max_epochs=5, embedding_dim=4, hidden_dim=4, device='cpu',\n"
        "                            early_stopping=False, verbose=1)\n"
        "Parallel(2)(delayed(model.fit)(X, X[:, 2, 0] % 2) for _ in range(2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert sum(line.startswith("Trained in ") for line in lines) == 2
    for i in range(1, 6):
        assert sum(line.startswith(f"Epoch {i}/5: train_loss ") for line in lines) == 2
    assert len(lines) == 12


class Record:
    """Records the tasks that it is called for, and does something where they end."""

    def __init__(self, act):
        self.act = act
        self.seen = []

    def setup(self, estimator, context):
        self.seen.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.seen.append(("begin", context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.seen.append(("end", context.task_name, context.task_id))
        return self.act(
            estimator=estimator,
            context=context,
            X=X,
            y=y,
            metadata=metadata,
            fitted=fitted_estimator,
        )

    def teardown(self, estimator, context):
        self.seen.append("teardown")


class RecordEverywhere(Record):
    """Records the tasks of an estimator and of all those inside it, and looks at no model."""

    max_propagation_depth = None

    def __init__(self):
        self.seen = []

    def on_fit_task_begin(self, estimator, context):
        self.seen.append((type(estimator).__name__, context.task_name))

    def on_fit_task_end(self, estimator, context):
        pass


@pytest.fixture
def skl_callback():
    return pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")


@pytest.mark.usefixtures("skl_callback")
def test_each_epoch_is_a_task_of_the_fit():
    record = Record(lambda **facts: None)
    tiny(max_epochs=2).set_callbacks(record).fit(X, Y)
    assert record.seen == [
        "setup",
        ("begin", "fit", 0, 2),
        ("begin", "epoch", 0, 0),
        ("end", "epoch", 0),
        ("begin", "epoch", 1, 0),
        ("end", "epoch", 1),
        ("end", "fit", 0),
        "teardown",
    ]


@pytest.mark.usefixtures("skl_callback")
def test_refit_is_a_task_with_as_many_epochs_as_were_best():
    record = Record(lambda **facts: None)
    model = tiny(max_epochs=4, lr=0.03, refit=True).set_callbacks(record).fit(X, Y)
    n_best = int(model.history_["valid_loss"].argmin()) + 1
    begun = [seen[1:] for seen in record.seen if seen[0] == "begin"]
    assert begun == [
        ("fit", 0, 2),
        ("fit", 0, 4),
        *(("epoch", i, 0) for i in range(4)),
        ("refit", 1, n_best),
        *(("epoch", i, 0) for i in range(n_best)),
    ]
    ended = [seen[1:] for seen in record.seen if seen[0] == "end"]
    assert sorted(ended) == sorted(seen[:2] for seen in begun)


@pytest.mark.usefixtures("skl_callback")
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.usefixtures("without_bias_fit")
def test_callback_sees_a_model_as_if_training_had_ended_there(average):
    proba, models = [], []

    def look(context, fitted, **facts):
        if context.task_name == "epoch":
            proba.append(fitted.predict_proba(X))
            models.append(fitted)

    params = {"early_stopping": False, "average": average, "lr": 0.03}
    tiny(**params).set_callbacks(Record(look)).fit(X, Y)
    for i in range(3):
        expected = tiny(**params, max_epochs=i + 1).fit(X, Y)
        np.testing.assert_array_equal(proba[i], expected.predict_proba(X))
        # They stay as they were seen, though training went on.
        np.testing.assert_array_equal(models[i].predict_proba(X), proba[i])
        assert models[i].history_["train_loss"].equals(expected.history_["train_loss"])


@pytest.mark.usefixtures("skl_callback")
@each_estimator
def test_watching_changes_nothing(Estimator):
    seen = []

    def look(X, fitted, **facts):
        seen.append(fitted.predict(X))

    watched = tiny(Estimator, lr=0.03).set_callbacks(Record(look)).fit(X, OUTCOMES[Estimator])
    assert len(seen) == 4
    other = tiny(Estimator, lr=0.03).fit(X, OUTCOMES[Estimator])
    for one, another in zip(watched.predict(X), other.predict(X), strict=True):
        np.testing.assert_array_equal(one, another)


@pytest.mark.usefixtures("skl_callback")
def test_callback_gets_the_samples_and_weights_of_its_task():
    seen = []

    def look(X, y, metadata, **facts):
        seen.append((len(X), len(y), metadata))

    weight = np.arange(60) % 3
    tiny(max_epochs=1).set_callbacks(Record(look)).fit(X, Y, sample_weight=weight)
    # An epoch is trained on 36 of the 40 samples whose weight is not 0; 4 are for validation.
    assert sorted({(n_samples, n_labels) for n_samples, n_labels, _ in seen}) == [
        (36, 36),
        (40, 40),
    ]
    for n_samples, _, metadata in seen:
        assert len(metadata["sample_weight"]) == n_samples
        assert set(metadata["sample_weight"]) == {1, 2}
    seen.clear()
    tiny(max_epochs=1).set_callbacks(Record(look)).fit(X, Y)
    assert sorted(seen, key=lambda told: told[0]) == [(54, 54, None), (60, 60, None)]


@pytest.mark.usefixtures("skl_callback")
def test_callback_can_stop_training():
    def stop(context, **facts):
        return context.task_name == "epoch" and context.task_id == 1

    model = tiny(max_epochs=9, lr=0.03).set_callbacks(Record(stop)).fit(X, Y)
    assert len(model.history_) == 2
    expected = tiny(max_epochs=2, lr=0.03).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@pytest.mark.usefixtures("skl_callback")
@pytest.mark.filterwarnings("ignore:Training interrupted")
@pytest.mark.parametrize("at", ["batch", "epoch"])
def test_task_ends_where_training_is_stopped(at):
    record = Record(lambda **facts: None)
    tiny(callbacks=[StopAfter(2, at)]).set_callbacks(record).fit(X, Y)
    assert record.seen[-3:] == [("end", "epoch", 1), ("end", "fit", 0), "teardown"]


@pytest.mark.usefixtures("skl_callback")
def test_callback_that_fails_leaves_nothing_fitted():
    def fail(fitted, **facts):
        fitted.predict(X)
        raise RuntimeError("no")

    record = Record(fail)
    model = tiny().set_callbacks(record)
    with pytest.raises(RuntimeError, match="no"):
        model.fit(X, Y)
    assert set(vars(model)) - set(model.get_params()) == {"_skl_callbacks"}
    assert record.seen[-1] == "teardown"


@pytest.mark.usefixtures("skl_callback")
def test_weights_are_not_copied_for_callbacks_that_do_not_look(monkeypatch):
    monkeypatch.setattr(_progress, "frozen_copy", None)
    tiny().fit(X, Y)
    tiny().set_callbacks(RecordEverywhere()).fit(X, Y)


@pytest.mark.usefixtures("without_bias_fit")
def test_scoring_monitor_scores_each_epoch(skl_callback):
    monitor = skl_callback.ScoringMonitor(scoring=["roc_auc", "neg_log_loss"])
    model = tiny(early_stopping=False, lr=0.03).set_callbacks(monitor).fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    assert log["task_name"].tolist() == ["fit", "epoch", "epoch", "epoch"]
    assert log["neg_log_loss"].iloc[1:].is_monotonic_increasing
    proba = model.predict_proba(X)[np.arange(60), Y]
    for row in (0, 3):
        assert log["neg_log_loss"][row] == pytest.approx(np.log(proba).mean())


def fit_search_and_pipeline(callback):
    cohort, y = make_visits(200, random_state=0)
    lstm = make_pipeline(VisitSequenceTransformer(), tiny())
    grid = {"lstmvisitclassifier__lr": [0.01, 0.1]}
    search = GridSearchCV(lstm, grid, cv=StratifiedPatientKFold(2))
    search.set_callbacks(callback).fit(cohort, y)
    counts = make_pipeline(CodeCountVectorizer(), LogisticRegression())
    counts.set_callbacks(callback).fit(cohort, y)


@pytest.mark.usefixtures("skl_callback")
@pytest.mark.filterwarnings("error:.*does not support callbacks")
def test_searches_and_pipelines_pass_callbacks_on():
    record = RecordEverywhere()
    fit_search_and_pipeline(record)
    seen = pd.Series(record.seen).value_counts()
    # Four fits of the search and one on all samples, then a pipeline of its own.
    assert seen["VisitSequenceTransformer", "fit"] == 5
    assert seen["LSTMVisitClassifier", "fit"] == 5
    assert seen["LSTMVisitClassifier", "epoch"] == 15
    assert seen["CodeCountVectorizer", "fit"] == 1


@pytest.mark.filterwarnings("error:.*does not support callbacks")
def test_progress_bar_runs_through_search_pipeline_and_epochs(skl_callback, monkeypatch, capsys):
    pytest.importorskip("rich", reason="ProgressBar needs rich")
    monkeypatch.setenv("COLUMNS", "200")
    fit_search_and_pipeline(skl_callback.ProgressBar(max_propagation_depth=None))
    out = capsys.readouterr().out
    bars = [line for line in out.splitlines() if "LSTMVisitClassifier - fit" in line]
    assert len(bars) == 5
    assert all("100%" in line for line in out.splitlines())
    assert "VisitSequenceTransformer - fit" in out
    assert "CodeCountVectorizer - fit" in out


def test_older_scikit_learn_has_no_callbacks(skl_callback, monkeypatch):
    monkeypatch.delattr(skl_callback, "CallbackSupportMixin")
    package = Path(_progress.__file__).parents[1]
    compat = runpy.run_path(str(package / "utils" / "_sklearn_compat.py"))
    estimator = compat["CallbackSupportMixin"]()
    assert not hasattr(estimator, "set_callbacks")
    task = compat["start_callbacks"](estimator, 3)
    for context in (task, task.subcontext(task_name="epoch", max_subtasks=2)):
        assert context.call_on_fit_task_begin(estimator=estimator) is context
        assert context.call_on_fit_task_end(estimator=estimator) is False
