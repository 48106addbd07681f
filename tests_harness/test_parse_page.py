"""What a page says of itself: the application's own pages, pages of others, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.page import LONGEST, Said, read

LOGIN = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="application-name" content="BlitzCalc">
<meta name="build" content="1139dee0f4e4">
<title>Sign in | BlitzCalc</title>
</head>
<body>
<main>
<h1>Sign in</h1>
<p class="problem">Wrong login or
 password.</p>
<form method="post" action="login.php">
<input type="hidden" name="form" value="d70daacae0a005dcff067d74b3d73273"><label>Login <input name="login"></label>
<label>Password <input name="password" type="password"></label>
</form>
</main>
<footer>build 1139dee0f4e4 on p1</footer>
"""
START = """<meta name="application-name" content="BlitzCalc"><meta name="build" content="1139dee0f4e4">
<form method="post" action="logout.php"><input type="hidden" name="form" value="d7">Signed in as <b id="login">user</b>
<footer>build 1139dee0f4e4 on an unnamed node</footer>"""


def test_the_login_page_names_itself_its_task_its_fields_and_the_problem() -> None:
    assert read(LOGIN) == Said(
        "BlitzCalc", "1139dee0f4e4", "Sign in | BlitzCalc", "p1", ("form", "login", "password"),
        "d70daacae0a005dcff067d74b3d73273", "", "Wrong login or password.",
    )  # fmt: skip


def test_the_start_page_names_who_is_signed_in_and_no_task_that_has_no_name() -> None:
    said = read(START)
    assert (said.login, said.task) == ("user", "")


@pytest.mark.parametrize(
    "text",
    ["", "It works!", "<title>Apache2 Debian Default Page</title>", '<meta name="build" content="1139DEE0F4E4">',
     '<meta name="build" content="short">', "<![garbage[", "\0\x1b[31m", '<meta name="generator" content="x">'],
)  # fmt: skip
def test_a_page_of_somebody_else_has_neither_name_nor_build(text: str) -> None:
    said = read(text)
    assert (said.application, said.build, said.task, said.login) == ("", "", "", "")


@given(st.text())
def test_whatever_came_is_read(text: str) -> None:
    assert isinstance(read(text), Said)


@given(st.text(), st.sampled_from(["title", "footer", "b id=login", "p class=problem"]))
def test_nothing_that_a_terminal_would_obey_gets_through(text: str, place: str) -> None:
    said = read(f"<{place}>{text}")
    shown = said.title + said.login + said.problem + said.task
    assert shown.isprintable()
    assert len(shown) <= LONGEST


@given(st.text(st.sampled_from("<>![]-/= \"'abfmetianp")))
def test_whatever_looks_like_html_is_read(text: str) -> None:
    assert isinstance(read(text), Said)
