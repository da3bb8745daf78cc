import pytest

from sklearn_ehr._threads import map_in_threads


def test_results_come_in_the_order_of_the_arguments():
    assert map_in_threads(divmod, range(7, 27), range(2, 22)) == [
        divmod(i, i - 5) for i in range(7, 27)
    ]


def test_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda x: 1 / x, [1, 0])
