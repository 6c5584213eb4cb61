"""The admin as a person gets it: its page, and the style sheets and scripts that it names."""

import re

from tests.e2e.stack import Stack


def test_the_admin_login_comes_with_its_style_sheets_and_scripts(stack: Stack) -> None:
    with stack.http(None) as client:
        page = client.get("/admin/login/")
        files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        answers = {path: client.get(path) for path in files}

    assert page.status_code == 200
    assert any(path.endswith(".css") for path in files)
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(
        files, 200
    )
