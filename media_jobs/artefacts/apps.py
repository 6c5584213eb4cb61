from django.apps import AppConfig
from django.core import checks


class ArtefactsConfig(AppConfig):
    name = "media_jobs.artefacts"
    label = "artefacts"
    verbose_name = "Artefacts"

    def ready(self) -> None:
        from media_jobs.artefacts.storages import check_storage

        checks.register(check_storage)
