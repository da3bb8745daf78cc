import threading

import pytest
from threadpoolctl import threadpool_limits

from sklearn_ehr.utils._threads import map_in_threads


@pytest.mark.parametrize("n_threads", [1, 2])
def test_results_come_in_the_order_of_the_arguments(n_threads):
    with threadpool_limits(n_threads):
        got = map_in_threads(divmod, range(7, 27), range(2, 22))
    assert got == [divmod(i, i - 5) for i in range(7, 27)]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_error_in_a_thread_is_raised(n_threads):
    with threadpool_limits(n_threads), pytest.raises(ZeroDivisionError):
        map_in_threads(lambda x: 1 / x, [1, 0])


def test_a_limit_of_one_thread_is_kept():
    with threadpool_limits(1):
        assert set(map_in_threads(lambda _: threading.get_ident(), range(4))) == {
            threading.get_ident()
        }
