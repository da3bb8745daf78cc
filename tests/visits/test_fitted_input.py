"""What transformers ask of the input after they were fitted, and of a frame with a target."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequenceTransformer

both_transformers = pytest.mark.parametrize(
    "Transformer", [VisitSequenceTransformer, CodeCountVectorizer]
)

NUMBERS = pd.DataFrame(
    {
        "patient_id": ["SECRET1", "SECRET1", "SECRET2"],
        "time": [1, 2, 4],
        "visit_id": [7, 8, 9],
        "code": ["CODE1", "CODE2", "CODE1"],
        "value": [1.0, 2.0, np.nan],
    }
)
DATES = NUMBERS.assign(time=pd.Timestamp("2020-01-01") + pd.to_timedelta(NUMBERS["time"], "D"))


NOW = pd.DataFrame(
    {"patient_id": ["SECRET1", "SECRET2"], "prediction_time": pd.to_datetime(["2020-02-01"] * 2)}
)
COHORTS = {
    "day": lambda events: Cohort(events, NOW, resolution="day"),
    "instant": lambda events: Cohort(events, NOW, resolution="instant"),
    None: Cohort,
}


def fitted(Transformer, X, **params):
    return Transformer(**{"min_frequency": 1, **params}).fit(X)


def bits(output):
    if hasattr(output, "visit_offsets"):
        offsets = output.visit_offsets.tolist(), output.sample_offsets.tolist()
        return output.tokens.tolist(), *offsets, output.groups.tolist()
    return output.toarray().tolist()


@both_transformers
@pytest.mark.parametrize(("first", "then"), [("day", "instant"), ("instant", "day")])
def test_cohort_of_the_other_resolution_is_refused(Transformer, first, then):
    transformer = fitted(Transformer, COHORTS[first](DATES))
    assert transformer.resolution_ == first
    with pytest.raises(ValueError, match=rf"{then}.*fitted on .*{first}.*resolution='{first}'"):
        transformer.transform(COHORTS[then](DATES))
    again = pickle.loads(pickle.dumps(transformer))
    with pytest.raises(ValueError, match="resolution"):
        again.transform(COHORTS[then](DATES))


@both_transformers
@pytest.mark.parametrize(
    ("first", "then"),
    [("day", "day"), ("instant", "instant"), (None, "day"), ("day", None), (None, None)],
)
def test_same_or_no_resolution_is_taken(Transformer, first, then):
    transformer = fitted(Transformer, COHORTS[first](DATES))
    assert transformer.resolution_ == first
    expected = fitted(Transformer, Cohort(DATES)).transform(Cohort(DATES))
    assert bits(transformer.transform(COHORTS[then](DATES))) == bits(expected)


@both_transformers
def test_times_of_another_kind_are_refused(Transformer):
    on_dates = fitted(Transformer, DATES)
    with pytest.raises(ValueError, match=r"X have numeric times.*had datetimes"):
        on_dates.transform(NUMBERS)
    with pytest.raises(ValueError, match=r"X have no times.*had datetimes.*time="):
        on_dates.transform(DATES.drop(columns="time"))
    on_numbers = fitted(Transformer, NUMBERS)
    with pytest.raises(ValueError, match=r"X have datetimes.*had numeric times"):
        on_numbers.transform(DATES)
    with pytest.raises(ValueError, match=r"X have no times.*had numeric times"):
        on_numbers.transform(NUMBERS.drop(columns="time"))


@both_transformers
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_unit_and_zone_of_datetimes_do_not_matter(Transformer, unit):
    transformer = fitted(Transformer, DATES)
    other = DATES.assign(time=DATES["time"].dt.as_unit(unit).dt.tz_localize("Asia/Tokyo"))
    expected = transformer.transform(DATES)
    if Transformer is CodeCountVectorizer:
        assert bits(transformer.transform(other)) == bits(expected)
    else:
        assert transformer.transform(other).tokens.tolist() == expected.tokens.tolist()
    floats = fitted(Transformer, NUMBERS).transform(NUMBERS.assign(time=NUMBERS["time"] + 0.5))
    assert len(floats) == 2 if Transformer is VisitSequenceTransformer else floats.shape[0] == 2


@both_transformers
def test_times_that_fit_did_not_have_are_refused(Transformer):
    transformer = fitted(Transformer, NUMBERS.drop(columns="time"))
    with pytest.raises(ValueError, match=r"X have numeric times.*had no times"):
        transformer.transform(NUMBERS)


@both_transformers
def test_known_times_that_are_missing_are_told(Transformer):
    known = DATES.assign(known_time=DATES["time"])
    transformer = fitted(Transformer, Cohort(known, NOW))
    with pytest.warns(UserWarning, match="X have no known times.*known_time="):
        transformer.transform(Cohort(DATES, NOW))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformer.transform(Cohort(known, NOW))
        transformer.transform(DATES)


@both_transformers
def test_visit_ids_that_are_missing_or_new_are_told(Transformer):
    without = NUMBERS.drop(columns="visit_id")
    with pytest.warns(UserWarning, match=r"X have no visit ids.*Cohort\(..., visit_id=...\)"):
        fitted(Transformer, NUMBERS).transform(without)
    with pytest.warns(UserWarning, match=r"X have visit ids.*visit_id=None"):
        fitted(Transformer, without).transform(NUMBERS)
    with pytest.raises(ValueError, match="visits='id' needs the visit id of every event"):
        fitted(Transformer, NUMBERS, visits="id").transform(without)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left_out = fitted(Transformer, without).transform(Cohort(NUMBERS, visit_id=None))
    assert bits(left_out) == bits(fitted(Transformer, without).transform(without))


@both_transformers
@pytest.mark.parametrize("visits", ["time", 2])
def test_visit_ids_do_not_matter_where_they_make_no_visits(Transformer, visits):
    without = NUMBERS.drop(columns="visit_id")
    expected = bits(fitted(Transformer, NUMBERS, visits=visits).transform(NUMBERS))
    for first, then in [(NUMBERS, without), (without, NUMBERS)]:
        assert bits(fitted(Transformer, first, visits=visits).transform(then)) == expected


@both_transformers
def test_column_of_visit_ids_may_be_null_for_some_patients(Transformer):
    transformer = fitted(Transformer, NUMBERS)
    transformer.transform(NUMBERS.assign(visit_id=[None, None, 9]))
    transformer.transform(NUMBERS.assign(visit_id=np.nan))


@both_transformers
def test_values_that_bins_need_are_asked_for_in_the_words_of_fit(Transformer):
    without = NUMBERS.rename(columns={"value": "valuenum"})
    messages = []
    for transform in [
        lambda: fitted(Transformer, without, value_bins=2),
        lambda: fitted(Transformer, NUMBERS, value_bins=2).transform(without),
    ]:
        with pytest.raises(ValueError, match=r"needs the values of events.*value=") as error:
            transform()
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    named = Cohort(without, value="valuenum")
    assert fitted(Transformer, NUMBERS, value_bins=2).transform(named).shape[0] == 2
    assert fitted(Transformer, NUMBERS).transform(without).shape[0] == 2


@both_transformers
def test_refusals_show_no_cell_of_the_data(Transformer):
    changes = [
        NUMBERS.drop(columns="time"),
        DATES,
        NUMBERS.drop(columns="value"),
    ]
    transformer = fitted(Transformer, NUMBERS, value_bins=2)
    for other in changes:
        with pytest.raises(ValueError, match="events") as error:
            transformer.transform(other)
        assert "SECRET" not in str(error.value)
        assert "CODE" not in str(error.value)


@both_transformers
@pytest.mark.parametrize("handle_unknown", ["token", "ignore"])
def test_warns_where_no_visible_code_is_known(Transformer, handle_unknown):
    transformer = fitted(Transformer, NUMBERS, handle_unknown=handle_unknown, max_visits=1)
    lower = NUMBERS.assign(code=NUMBERS["code"].str.lower())
    with pytest.warns(UserWarning, match="None of the 3 visible events") as caught:
        transformer.transform(lower)
    assert len(caught) == 1
    assert "code" not in str(caught[0].message).replace("code of the", "").replace(
        "coded", ""
    ).replace("coding", "")
    assert caught[0].filename == __file__


@both_transformers
def test_does_not_warn_where_one_visible_code_is_known_or_none_is_visible(Transformer):
    transformer = fitted(Transformer, NUMBERS, max_visits=1)
    one_known = NUMBERS.assign(code=["CODE1", "X", "X"])
    with pytest.warns(UserWarning, match="no visible event"):
        samples = pd.DataFrame({"patient_id": ["SECRET1", "SECRET3"]})
        nobody = Cohort(NUMBERS, samples, prediction_time=None)[[1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The known code is in a visit that max_visits leaves out.
        transformer.transform(one_known)
        transformer.transform(nobody)
        transformer.transform(Cohort(NUMBERS)[[]])


@both_transformers
def test_only_visible_codes_count_for_the_warning(Transformer):
    transformer = fitted(Transformer, NUMBERS)
    events = NUMBERS.assign(code=["X", "CODE1", "X"])
    samples = pd.DataFrame({"patient_id": ["SECRET1"], "prediction_time": [1]})
    with pytest.warns(UserWarning, match="None of the 1 visible events"):
        transformer.transform(Cohort(events, samples))


def patients_and_target(ids=("p10", "p9", "p8", "p1", "p2", "p3")):
    sick = [1, 1, 1, 0, 0, 0]
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(ids, 2),
            "time": [1, 2] * 6,
            "code": np.where(np.repeat(sick, 2), "DEADLY", "BENIGN"),
        }
    )
    return events, pd.Series(sick, index=list(ids), name="died")


@both_transformers
@pytest.mark.parametrize("as_frame", [False, True])
def test_target_with_the_patient_ids_in_order_is_taken_with_a_frame(Transformer, as_frame):
    events, died = patients_and_target()
    y = died.sort_index()
    if as_frame:
        y = y.to_frame()
    for fit in ("fit", "fit_transform"):
        getattr(Transformer(min_frequency=1), fit)(events, y)
    expected = Transformer(min_frequency=1).fit_transform(events)
    assert bits(Transformer(min_frequency=1).fit_transform(events, y)) == bits(expected)


@both_transformers
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y, "has the patient ids in another order"),
        (lambda y: y.to_frame(), "has the patient ids in another order"),
        (lambda y: y.sort_index()[:-1], "5 entries of the index of y are not the 6 patient ids"),
        (lambda y: y.rename({"p1": "p7"}).sort_index(), "are not the 6 patient ids"),
        (lambda y: y.sort_index().reset_index(drop=True), "are not the 6 patient ids"),
        (lambda y: y.iloc[[0, 0, 1, 2, 3, 4]], "are not the 6 patient ids"),
        (lambda y: y.sort_index().to_numpy(), "y is a ndarray without patient ids"),
        (lambda y: y.sort_index().tolist(), "y is a list without patient ids"),
        (lambda y: np.rec.fromarrays([y == 1, y]), "y is a recarray without patient ids"),
        (
            lambda y: y.set_axis(pd.MultiIndex.from_product([["p1", "p2"], [1, 2, 3]])),
            "are not the 6 patient ids",
        ),
    ],
)
def test_target_of_unknown_order_is_refused_with_a_frame(Transformer, change, message):
    events, died = patients_and_target()
    for fit in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=rf"{message}.*Cohort\(events\).*y\.loc\[X\.groups\]"):
            getattr(Transformer(min_frequency=1), fit)(events, change(died))
    # The way out that the message shows.
    X = Cohort(events)
    model = make_pipeline(CodeCountVectorizer(min_frequency=1), LogisticRegression(C=100))
    assert model.fit(X, died.loc[X.groups]).score(X, died.loc[X.groups]) == 1


@both_transformers
@pytest.mark.parametrize(
    "as_index",
    [
        pd.RangeIndex,
        lambda n: pd.Index(np.arange(n)),
        lambda n: pd.Index(np.arange(n, dtype=float)),
    ],
)
def test_numbers_that_are_the_patient_ids_are_patient_ids(Transformer, as_index):
    events, died = patients_and_target(ids=range(6))
    died.index = as_index(6)
    Transformer(min_frequency=1).fit(events, died)
    with pytest.raises(ValueError, match="are not the 6 patient ids"):
        Transformer(min_frequency=1).fit(events.assign(patient_id=events["patient_id"] + 1), died)


@both_transformers
def test_storage_of_patient_ids_does_not_matter(Transformer):
    events, died = patients_and_target()
    for dtype in (object, "str", "category"):
        for index_dtype in (object, "str", "category"):
            y = died.sort_index()
            y.index = y.index.astype(index_dtype)
            Transformer(min_frequency=1).fit(events.astype({"patient_id": dtype}), y)


@both_transformers
def test_target_of_any_form_is_taken_with_a_cohort(Transformer):
    events, died = patients_and_target()
    for y in (died, died.to_numpy(), died.tolist(), None):
        Transformer(min_frequency=1).fit(Cohort(events), y)


def test_pipeline_passes_the_refusal_on():
    events, died = patients_and_target()
    model = make_pipeline(CodeCountVectorizer(min_frequency=1), LogisticRegression(C=100))
    with pytest.raises(ValueError, match="another order"):
        model.fit(events, died)
    assert model.fit(events, died.sort_index()).score(events, died.sort_index()) == 1


def test_pandas_output_of_a_frame_says_which_patient_a_row_is():
    events, died = patients_and_target()
    vectorizer = CodeCountVectorizer(min_frequency=1, sparse_output=False)
    output = vectorizer.set_output(transform="pandas").fit_transform(events)
    assert output.index.tolist() == sorted(died.index)
    assert output.loc["p10"].to_dict() == {"BENIGN": 0, "DEADLY": 2}


@both_transformers
def test_times_in_another_unit_are_told(Transformer):
    days = NUMBERS.assign(time=[10, 20, 400])
    transformer = fitted(Transformer, days)
    for factor in (1000, 86_400):
        with pytest.warns(UserWarning, match=r"times of X are numbers of about 1e\d.*same unit"):
            transformer.transform(days.assign(time=days["time"] * factor))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformer.transform(days)
        transformer.transform(days.assign(time=days["time"] * 24))
        transformer.transform(days.assign(time=[0, 0, 0]))
        transformer.transform(days.assign(time=days["time"] + 0.5))
