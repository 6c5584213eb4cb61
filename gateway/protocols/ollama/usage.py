"""Usage: two counts, told on the last line. Cached tokens are not told apart by Ollama."""

from ccapi.core.usage import Usage, count
from gateway.ir.response import Costs
from gateway.protocols.ollama import wire


def decode_usage(answer: wire.Answer) -> Usage | None:
    """None where there is none, or where it holds what is no count (then output is counted)."""
    if answer.prompt_eval_count is None and answer.eval_count is None:
        return None
    try:
        # Ollama leaves `prompt_eval_count` out where the whole prompt was cached.
        return Usage(
            input=count(answer.prompt_eval_count),
            output=count(answer.eval_count),
            raw=wire.raw(
                {
                    "prompt_eval_count": answer.prompt_eval_count,
                    "eval_count": answer.eval_count,
                }
            ),
        )
    except ValueError:
        return None


def encode_usage(usage: Usage, costs: Costs) -> dict[str, object]:
    """The fields of the last line: counts, and what it cost in US dollars."""
    return {
        "prompt_eval_count": usage.input_total,
        "eval_count": usage.output_total,
        **cost_fields(costs),
    }


def cost_fields(costs: Costs) -> dict[str, wire.Raw]:
    """What we add, as JSON number literals."""
    return {
        "input_cost": wire.Raw(costs.input.encode()),
        "output_cost": wire.Raw(costs.output.encode()),
        "cost": wire.Raw(costs.total.encode()),
    }
