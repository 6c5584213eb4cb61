"""Tools of a vendor that an agent offers with every request, and other vendors do not have."""

from msgspec.structs import replace

from gateway.ir.request import OtherTool, Request


def without_offers(request: Request, protocol: str) -> tuple[Request, tuple[str, ...]]:
    """The request for an upstream of this protocol, and what it leaves out."""
    left = [
        tool
        for tool in request.tools
        if isinstance(tool, OtherTool) and tool.optional and tool.protocol != protocol
    ]
    if not left:
        return request, ()
    kept = tuple(tool for tool in request.tools if tool not in left)
    return replace(request, tools=kept), tuple(f"tools.{tool.kind}" for tool in left)
