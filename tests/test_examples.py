"""Every example runs, here on few patients and in few epochs, and draws its picture."""

import runpy
from pathlib import Path

import pytest
from joblib import parallel_config
from sklearn.utils import Bunch

from sklearn_ehr import Cohort, datasets

SCRIPTS = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))


N_PATIENTS = 500
load_all, make_many = datasets.load_diabetes_readmission, datasets.make_visits


def few_readmissions(*, return_X_y=False):
    data = load_all()
    events, samples = (
        frame[frame["patient_id"] < N_PATIENTS].reset_index(drop=True)
        for frame in (data.events, data.samples)
    )
    X = Cohort(events, samples)
    y = X.samples["readmitted"]
    return (X, y) if return_X_y else Bunch(events=events, samples=samples, data=X, target=y)


@pytest.mark.filterwarnings("ignore:No positive class found in y_true")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example_runs_and_draws_its_picture(script, few_epochs, monkeypatch, tmp_path, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    if script.stem == "plot_survival":
        pytest.importorskip("sksurv", reason="scikit-survival comes with the extra survival")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_diabetes_readmission", few_readmissions)
    monkeypatch.setattr(datasets, "make_visits", lambda _, **kw: make_many(N_PATIENTS, **kw))
    # In one process, which has what this test has replaced.
    with parallel_config("threading"):
        runpy.run_path(str(script), run_name="__main__")
    matplotlib.pyplot.close("all")
    (picture,) = tmp_path.glob("*.png")
    assert picture.stat().st_size > 5000
    assert capsys.readouterr().out


def test_readme_lists_every_example():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert SCRIPTS
    assert not [script.name for script in SCRIPTS if script.name not in readme]
