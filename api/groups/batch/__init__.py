"""The group batch."""

from podium.api.groups.batch import cronjobs, jobs
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CRON_JOBS: cronjobs.CronJobs,
    resources.JOBS: jobs.Jobs,
}
