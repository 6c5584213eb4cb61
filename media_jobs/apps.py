from django.apps import AppConfig


class MediaJobsConfig(AppConfig):
    name = "media_jobs"
    verbose_name = "Image jobs"

    def ready(self) -> None:
        """Let the processes that sample look at the queue as well, and speech leave its links."""
        from ccapi.core.metrics import sampler
        from gateway.speech import keeping
        from media_jobs import gauges
        from media_jobs.artefacts import api as artefacts

        sampler.register(gauges.sample)
        keeping.register(artefacts.keep)
