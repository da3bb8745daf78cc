"""Calendar days and their midnights, in zones whose clocks change at bad times."""

import zoneinfo

import numpy as np
import pandas as pd
import pytest
from clocks import MINUTE, ZONES, Clock

from sklearn_ehr.cohort import Times, known_from
from sklearn_ehr.cohort._days import end_of_day, is_midnight, midnights, to_local


def utc(*texts):
    return np.array(texts, dtype="M8[s]")


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_midnights_of_even_zones(zone):
    moments = pd.DatetimeIndex(["2020-01-01", "1960-05-05", "2020-01-01 00:00:01"])
    if zone is not None:
        moments = moments.tz_localize(zone).tz_convert("UTC").tz_localize(None)
    assert is_midnight(moments.to_numpy(), zone).tolist() == [True, True, False]
    assert not is_midnight(utc("2020-01-01T23:00"), None).any()


def test_midnights_of_another_zone_are_none():
    assert is_midnight(utc("2020-01-01"), "Asia/Kolkata").tolist() == [False]


def test_null_is_no_midnight():
    assert is_midnight(utc("2020-01-01", "NaT"), "Europe/Berlin").tolist() == [False, False]


def test_days_end_at_the_next_midnight():
    ends = end_of_day(utc("2020-02-28", "2020-02-29", "1969-12-31", "NaT"), None)
    np.testing.assert_array_equal(ends, utc("2020-02-29", "2020-03-01", "1970-01-01", "NaT"))


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        # Clocks are set back at 01:00, so that midnight comes twice.
        ("America/Havana", "2020-11-01", "2020-11-01T04:00", "2020-11-01T05:00"),
        # Clocks are set forward at midnight: the day begins at 01:00.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", "2018-11-04T03:00"),
        # Clocks are set back at 00:01, into the day before.
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30", "2010-11-07T03:30"),
        # 30 December was left out: what follows the 29th is the 31st.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", "2011-12-30T10:00"),
    ],
)
def test_midnights_where_clocks_change(zone, day, first, last):
    found = midnights(np.array([day], dtype="M8[D]"), zone)
    np.testing.assert_array_equal(found, [utc(first), utc(last)])
    assert is_midnight(utc(first, last), zone).all()


def test_local_times_keep_their_unit():
    assert to_local(utc("2020-06-01T12"), "Europe/Berlin").tolist() == utc("2020-06-01T14").tolist()
    assert to_local(utc("2020-06-01T12"), None).dtype == "M8[s]"


def test_times_without_a_local_time_say_so():
    with pytest.raises(ValueError, match=r"no local time in the zone Asia/Tokyo.*as_unit\('us'\)"):
        to_local(np.array(["2262-04-11T22:47"], dtype="M8[ns]"), "Asia/Tokyo")
    with pytest.raises(ValueError, match="no next midnight in the zone Europe/Berlin"):
        end_of_day(utc("9999-12-31"), zoneinfo.ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone is not None])
def test_days_of_times_are_those_that_predictions_compare_with(zone):
    clock = Clock(zone, ZONES[zone])
    midnights = sorted({m for pair in clock.midnights.values() for m in pair})
    moments = [m + i * MINUTE for m in midnights for i in (-61, -31, -1, 0, 1, 31, 61)]
    # The first and the last date of the clock are there in part.
    moments = [m for m in moments if midnights[2] <= m < midnights[-2]]
    times = Times(np.array(moments, dtype="M8[us]"), "time", zoneinfo.ZoneInfo(zone))
    expected = [clock.midnights[clock.day(m)][0] for m in moments]
    assert known_from(times, "day").values.tolist() == expected
