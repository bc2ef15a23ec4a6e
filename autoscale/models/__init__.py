"""One network in, one answer out: count, time, predict, export."""
