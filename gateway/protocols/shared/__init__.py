"""What several codecs do alike and no protocol owns.

Reading one field of a client's JSON with a good error (`fields`), changing single fields of a JSON
object by their place in the bytes (`splice`), and `Retry-After` (`retry`). No vendor's JSON here.
"""
