"""What the codecs of vectors have in common: errors are their protocol's, and nothing streams."""

from gateway.protocols.shared.one_sided import OneSided


class Vectors(OneSided):
    """Each serves one side, client or upstream, but OpenAI's, which serves both.

    There alone an answer passes as it came.
    """
