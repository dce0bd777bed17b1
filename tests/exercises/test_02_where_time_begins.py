"""2. The first and the last time of the grid.

Law      time_grid(S) has S + 1 times; the first is 0 and the last is 1.
Hint     Use len, times[0] and times[-1]. Try several values of S.
Catches  step_count, time_runs_backwards
"""

from exercises.start import not_attempted

from janus_minimal import time_grid


def test_the_grid_runs_from_noise_to_data():
    times = time_grid(7)
    not_attempted()  # replace this line by the law
