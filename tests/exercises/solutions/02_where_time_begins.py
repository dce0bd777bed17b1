"""2. The first and the last time of the grid.

Catches  step_count, time_runs_backwards
"""

from janus_minimal import time_grid


def test_the_grid_runs_from_noise_to_data():
    times = time_grid(7)
    assert len(times) == 8
    assert times[0] == 0
    assert times[-1] == 1
