"""The splitter that follows a table of patients."""

import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from sklearn_ehr import CodeCountVectorizer, Cohort
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.model_selection import PredefinedPatientSplit

SPLITS = pd.DataFrame(
    {
        "patient_id": [4, 3, 2, 1],
        "split": ["held_out", "tuning", "train", "train"],
    }
)


def cohort(ids=(1, 2, 2, 3, 4)):
    events = pd.DataFrame({"patient_id": ids, "time": pd.Timestamp("2020"), "code": "a"})
    samples = pd.DataFrame({"patient_id": ids, "prediction_time": pd.Timestamp("2021")})
    return Cohort(events, samples)


def positions(splits=SPLITS, X=None, groups=None, **options):
    ((train, test),) = PredefinedPatientSplit(splits, **options).split(X or cohort(), groups=groups)
    return train.tolist(), test.tolist()


def test_samples_go_where_the_table_has_their_patients():
    assert positions() == ([0, 1, 2], [3])
    assert positions(train=("train", "tuning"), test="held_out") == ([0, 1, 2, 3], [4])
    assert PredefinedPatientSplit(SPLITS).get_n_splits() == 1


def test_table_may_be_one_of_meds_in_any_library():
    table = SPLITS.rename(columns={"patient_id": "subject_id"})
    assert positions(table) == positions()
    assert positions(pytest.importorskip("polars").from_pandas(table)) == positions()


def test_groups_that_are_passed_take_the_place_of_patients():
    assert positions(groups=[3, 3, 3, 1, 2]) == ([3, 4], [0, 1, 2])


def test_search_follows_the_table_and_prints_no_patient():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    ids = 987654000 + pd.RangeIndex(8)
    table = pd.DataFrame({"patient_id": ids, "split": ["train", "tuning"] * 4})
    cv = PredefinedPatientSplit(table)
    model = make_pipeline(CodeCountVectorizer(min_frequency=1), LogisticRegression())
    search = GridSearchCV(model, {"logisticregression__C": [1.0, 2.0]}, cv=cv, scoring="accuracy")
    search.fit(cohort(ids), [0, 0, 1, 1, 0, 0, 1, 1])
    assert search.n_splits_ == 1
    assert "PredefinedPatientSplit(train='train', test='tuning')" in repr(search)
    assert "987654" not in repr(search) + repr(cv) + str(cv)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": ("train", "tuning")}, ValueError, r"share 1 split\(s\)"),
        ({"test": "test"}, ValueError, "None of the 5 samples is in the split test='test'"),
        ({"train": ()}, ValueError, r"in the split train=\(\)"),
        ({"splits": SPLITS.iloc[1:]}, ValueError, "1 of 5 samples have a patient that splits does"),
        ({"splits": SPLITS.astype({"patient_id": str})}, ValueError, "5 of 5 samples.*dtype int64"),
        (
            {"splits": pd.concat([SPLITS, SPLITS[:1]])},
            ValueError,
            r"repeats patients in 1 row\(s\)",
        ),
        ({"splits": SPLITS.assign(split=None)}, ValueError, r"'split' has 4 null"),
        ({"splits": SPLITS.drop(columns="split")}, ValueError, "no column 'split'"),
        ({"splits": {4: "train"}}, TypeError, "splits must be a pandas DataFrame"),
        ({"X": [[0], [1]]}, ValueError, "no groups"),
    ],
)
def test_table_that_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        positions(**options)


def test_sides_are_names_and_no_cell_of_another_input_is_shown():
    X, _ = make_visits(20, random_state=0)
    splits = pd.DataFrame({"patient_id": X.groups, "split": "train"})
    with pytest.raises(TypeError, match="train=<DataFrame> is not accepted") as info:
        next(PredefinedPatientSplit(splits, train=pd.DataFrame({"id": ["SECRET"]})).split(X))
    assert "SECRET" not in str(info.value)
