"""Every path that is not a chat route: REST at the root and again under `/v1`, and the admin."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts.urls import urlpatterns as accounts_urls
from billing.urls import urlpatterns as billing_urls
from catalog.urls import urlpatterns as catalog_urls
from ccapi.openapi.urls import urlpatterns as openapi_urls
from media_jobs.artefacts.urls import urlpatterns as artefacts_urls
from media_jobs.urls import notify_urls
from media_jobs.urls import urlpatterns as jobs_urls
from media_jobs.webhooks.urls import urlpatterns as webhooks_urls

rest: list[URLPattern | URLResolver] = [
    *catalog_urls,
    *billing_urls,
    *accounts_urls,
    *jobs_urls,
    *webhooks_urls,
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    *openapi_urls,
    *artefacts_urls,
    *notify_urls,
    path("v1/", include(rest)),
    path("", include(rest)),
]

handler400 = "ccapi.core.rest.bad_request"
handler403 = "ccapi.core.rest.permission_denied"
handler404 = "ccapi.core.rest.not_found"
handler500 = "ccapi.core.rest.server_error"
