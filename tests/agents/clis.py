"""How each agent is started: its command, environment and settings, and what its tools are called.

Homes are new and empty, telemetry and update checks are off, every permission is given: the folder
is a temporary one and there is no network. `docs/agents.md` shows people the same settings.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.agents.plans import Hands, Use

PROMPT = "Read first.txt and second.txt, make made.txt of both, and tell me its sha256."


class Started(NamedTuple):
    command: list[str]
    environment: dict[str, str]


def _codex_hands(tools: set[str]) -> Hands:
    if "exec_command" not in tools:
        return _codex_scripts()

    def shell(command: str) -> Use:
        return Use("exec_command", {"cmd": command})

    def write(path: str, text: str) -> Use:
        if "apply_patch" in tools:
            return Use("apply_patch", _patch(path, text))
        return shell(f"cat > {path} <<'THE END'\n{text}THE END")

    return Hands(lambda path: shell(f"cat {path}"), write, shell)


def _codex_scripts() -> Hands:
    """Newer models write JavaScript that calls the tools."""

    def shell(command: str) -> Use:
        given = json.dumps({"cmd": command})
        return Use("exec", f"const told = await tools.exec_command({given});\ntext(told.output);")

    def write(path: str, text: str) -> Use:
        return Use("exec", f"text(await tools.apply_patch({json.dumps(_patch(path, text))}));")

    return Hands(lambda path: shell(f"cat {path}"), write, shell)


def _patch(path: str, text: str) -> str:
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n"


def _codex(home: Path, folder: Path, *, url: str, key: str, model: str) -> Started:
    settings = home / ".codex"
    settings.mkdir()
    (settings / "config.toml").write_text(
        f'model = "{model}"\n'
        'model_provider = "ccapi"\n'
        "check_for_update_on_startup = false\n"
        "[model_providers.ccapi]\n"
        'name = "CCAPI"\n'
        f'base_url = "{url}/v1"\n'
        'wire_api = "responses"\n'
        'env_key = "CCAPI_KEY"\n'
        "[analytics]\n"
        "enabled = false\n"
    )
    options = ["--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", "--json"]
    return Started(["codex", "exec", *options, PROMPT], {"CCAPI_KEY": key})


def _gemini_hands(folder: Path) -> Hands:
    return Hands(
        lambda path: Use("read_file", {"file_path": str(folder / path)}),
        lambda path, text: Use("write_file", {"file_path": str(folder / path), "content": text}),
        lambda command: Use("run_shell_command", {"command": command}),
    )


def _gemini(home: Path, folder: Path, *, url: str, key: str, model: str) -> Started:
    settings = home / ".gemini"
    settings.mkdir()
    told = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
    }
    (settings / "settings.json").write_text(json.dumps(told))
    environment = {
        "GEMINI_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    return Started(["gemini", "-m", model, "--yolo", "-o", "json", "-p", PROMPT], environment)


def _claude_hands(folder: Path) -> Hands:
    return Hands(
        lambda path: Use("Read", {"file_path": str(folder / path)}),
        lambda path, text: Use("Write", {"file_path": str(folder / path), "content": text}),
        lambda command: Use("Bash", {"command": command, "description": "Run it"}),
    )


def _claude(home: Path, folder: Path, *, url: str, key: str, model: str) -> Started:
    environment = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",  # root may skip permissions
    }
    options = ["--dangerously-skip-permissions", "--output-format", "json"]
    return Started(["claude", "-p", *options, PROMPT], environment)


class CLI(NamedTuple):
    """`hands` take the names of the tools on offer and the folder of the session."""

    start: Callable[..., Started]
    hands: Callable[[set[str], Path], Hands]
    compat_tools: set[str]  # what it is known to have where a request no longer says so


CLIS: dict[str, CLI] = {
    "codex": CLI(_codex, lambda tools, folder: _codex_hands(tools), {"exec_command"}),
    "gemini": CLI(_gemini, lambda tools, folder: _gemini_hands(folder), {"read_file"}),
    "claude": CLI(_claude, lambda tools, folder: _claude_hands(folder), {"Read"}),
}


def environment(home: Path, programs: Path) -> dict[str, str]:
    """Nothing of ours but where programs are."""
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
