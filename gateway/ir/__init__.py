"""Our own types between protocols; they depend on nothing but msgspec and `ccapi.core.usage`.

A request (`request`), a whole answer (`response`), a streamed one (`events`), and what can go wrong
(`failure`). They are nobody's dialect: every codec (`gateway.protocols`) decodes
its wire format into them and encodes them into its wire format.
"""
