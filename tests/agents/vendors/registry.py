"""The vendors, by the names of their protocols."""

from tests.agents.vendors.vendor import Vendor
from tests.agents.vendors.vendor_anthropic import Anthropic
from tests.agents.vendors.vendor_gemini import Gemini
from tests.agents.vendors.vendor_ollama import Ollama
from tests.agents.vendors.vendor_openai import OpenAI
from tests.agents.vendors.vendor_responses import Responses

VENDORS: dict[str, Vendor] = {
    vendor.name: vendor for vendor in (OpenAI(), Responses(), Anthropic(), Gemini(), Ollama())
}
