"""CronJobs: a Job whenever the clock says so, one per scheduled time."""
