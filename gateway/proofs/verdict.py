"""What a proof has to say: its claim, what was done, the figures, and whether the claim held."""

import textwrap

import msgspec

FAULTS_SHOWN = 10
WIDTH = 96


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`faults` say in words what contradicts the claim; without any, it holds."""

    name: str
    claim: str
    done: str
    figures: dict[str, int | float | str]
    faults: list[str]
    closing: str  # one plain sentence for the case that it holds

    @property
    def holds(self) -> bool:
        return not self.faults

    def text(self) -> str:
        """For a person at a terminal."""
        width = max(map(len, self.figures))
        lines = [_paragraph(f"Claim ({self.name}): {self.claim}"), "", _paragraph(self.done), ""]
        lines += [f"  {name:<{width}}  {value}" for name, value in self.figures.items()]
        lines.append("")
        if self.faults:
            lines += [f"  - {fault}" for fault in self.faults[:FAULTS_SHOWN]]
            more = len(self.faults) - FAULTS_SHOWN
            lines += [f"  - and {more} more"] if more > 0 else []
            lines += ["", f"BROKEN: {len(self.faults)} observations contradict the claim."]
        else:
            lines.append(_paragraph(f"HELD: {self.closing}"))
        return "\n".join(lines) + "\n"

    def json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "claim": self.claim,
            "done": self.done,
            "figures": self.figures,
            "holds": self.holds,
            "faults": self.faults,
            "closing": self.closing if self.holds else "",
        }


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
