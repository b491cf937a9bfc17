"""Jobs: pods that run until enough of them have succeeded, each of them counted exactly once."""
