"""How far what was known beforehand agrees with trainings."""

import numpy as np
import pytest

from autoscale.jobs.search.agreement import kendall


def test_tau_is_the_share_of_pairs_in_order_less_that_of_others() -> None:
    one, other = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 3])
    assert kendall(one, other) == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert kendall(one, -one) == -1
    assert kendall(one, np.array([1.0, 1, 2, 3])) == pytest.approx(5 / 6)  # a tie counts as nothing
