"""Puts the product's own catalog into a test's database, with the sandbox at an address.

Run as a process of its own (`python -m tests.openapi.prepare_sandbox URL MEDIA`), since it needs
`DATABASE_URL` of that database. MEDIA is that of the local voice and pictures.
"""

import os
import sys


def main(url: str, media_url: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

    import django

    django.setup()
    from catalog import api as catalog

    catalog.seed(os.environ)
    catalog.set_endpoint("sandbox", f"{url}/v1")
    for name in ("local", "local-media"):
        catalog.set_endpoint(name, f"{media_url}/v1")


if __name__ == "__main__":
    main(*sys.argv[1:3])
