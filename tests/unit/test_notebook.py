"""Which sessions a saved notebook started, and which notebook this is."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from burst_magic.errors import AttachError
from burst_magic.notebook import META, NO_CELL, Started, marks_of, this_notebook


def output(session, job="j1", out="", created=0.0):
    mark = {"session": session, "job": job, "out": out, "created": created}
    return {"output_type": "display_data", "data": {"text/html": "x"}, "metadata": {META: mark}}


def saved(path, *cells):
    """Writes a notebook whose code cells have these lists of outputs."""
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "source": "%%burst"}
    text = {"cell_type": "markdown", "id": "0", "metadata": {}, "source": "text"}
    all_cells = [text, *({**code, "id": str(n), "outputs": list(outputs)} for n, outputs in enumerate(cells, 1))]
    path.write_text(json.dumps({"cells": all_cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def sessions_of(path):
    return marks_of(path)[0]


def test_sessions_are_found_newest_last_wherever_their_cells_stand(tmp_path):
    path = saved(
        tmp_path / "a.ipynb",
        [output("s3", out="late", created=30.0)],
        [],
        [{"output_type": "stream", "name": "stdout", "text": "hello"}, output("s1", out="early", created=10.0)],
        [output("s2", job="j7", created=20.0)],
    )

    assert sessions_of(path) == [
        Started("s1", "j1", "early", 3),
        Started("s2", "j7", "", 4),
        Started("s3", "j1", "late", 1),
    ]


def test_a_job_that_is_shown_twice_counts_once_at_its_last_place(tmp_path):
    first, again = output("s1", out="x", created=1.0), output("s1", out="x", created=3.0)
    path = saved(tmp_path / "a.ipynb", [first], [output("s2", created=2.0)], [again])

    assert sessions_of(path) == [Started("s2", "j1", "", 2), Started("s1", "j1", "x", 3)]


def test_sessions_are_found_though_all_outputs_were_cleared(tmp_path):
    path = saved(tmp_path / "a.ipynb", [output("s2", out="y", created=20.0)], [])
    notebook = json.loads(path.read_text())
    gathered = [{"session": f"s{n}", "job": "j1", "out": "xyz"[n - 1], "created": 10.0 * n} for n in (1, 2, 3)]
    notebook["metadata"][META] = {"sessions": gathered}
    path.write_text(json.dumps(notebook))

    assert sessions_of(path) == [
        Started("s1", "j1", "x", NO_CELL),
        Started("s2", "j1", "y", 1),  # its output is there
        Started("s3", "j1", "z", NO_CELL),
    ]


def test_a_job_whose_offer_was_refused_is_attached_to_by_its_id_only(tmp_path):
    path = saved(tmp_path / "a.ipynb", [output("own")])
    notebook = json.loads(path.read_text())
    marks = [{"session": "own", "job": "j1"}, {"session": "another", "job": "j1", "out": "", "refused": True}]
    notebook["metadata"][META] = {"sessions": marks}
    path.write_text(json.dumps(notebook))

    assert [started.session for started in sessions_of(path)] == ["own"]


@pytest.mark.parametrize(("said", "since"), [({"since": 12.5}, 12.5), ({"since": "x"}, 0.0), ({}, 0.0), (3, 0.0)])
def test_a_notebook_says_since_when_sessions_may_be_its_own(tmp_path, said, since):
    path = saved(tmp_path / "a.ipynb", [])
    notebook = json.loads(path.read_text())
    notebook["metadata"][META] = said
    path.write_text(json.dumps(notebook))

    assert marks_of(path) == ([], since)


@pytest.mark.parametrize("odd", [3, [], {"sessions": {}}, {"sessions": [3, {}, {"session": 4}, {"session": ""}, None]}])
def test_a_notebooks_metadata_of_another_shape_is_somebody_elses(tmp_path, odd):
    path = saved(tmp_path / "a.ipynb", [output("good")])
    notebook = json.loads(path.read_text())
    notebook["metadata"][META] = odd
    path.write_text(json.dumps(notebook))

    assert [started.session for started in sessions_of(path)] == ["good"]


def test_a_notebook_without_bursts_has_no_sessions(tmp_path):
    assert sessions_of(saved(tmp_path / "a.ipynb", [])) == []


def test_metadata_of_another_shape_is_somebody_elses(tmp_path):
    path = saved(tmp_path / "a.ipynb", [output("good")])
    notebook = json.loads(path.read_text())
    odd = [{META: 3}, {META: {}}, {META: {"session": 4}}, {META: {"session": ""}}, {META: []}, {"other": {}}]
    cells = notebook["cells"]
    cells[1]["outputs"] += [{"output_type": "display_data", "data": {}, "metadata": one} for one in odd]
    cells[1]["outputs"].append({"output_type": "display_data", "data": {}})
    cells[1]["outputs"].append(
        {
            "output_type": "display_data",
            "data": {},
            "metadata": {META: {"session": "half", "job": 1, "out": None, "created": "x"}},
        }
    )
    cells += [{"cell_type": "code", "metadata": {}}, {"cell_type": "raw", "metadata": {}}]
    path.write_text(json.dumps(notebook))

    assert sessions_of(path) == [Started("good", "j1", "", 1), Started("half", "", "", 1)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "not json", "[]", "3", "null", "{}", "[" * 100_000),
        '{"nbformat": "four", "cells": []}',
        '{"cells": []}',
        '{"nbformat": 99, "nbformat_minor": 0, "cells": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {"0": {}}}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "worksheets": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "outputs": {}}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "outputs": [null]}]}',
    ],
)
def test_what_is_no_notebook_is_refused_in_one_clear_error(tmp_path, text):
    path = tmp_path / "a.ipynb"
    path.write_text(text)

    with pytest.raises(AttachError) as refused:
        sessions_of(path)

    assert str(path) in refused.value.context
    assert refused.value.way_out


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(AttachError):
        sessions_of(path)


def test_a_notebook_of_a_later_format_is_refused_with_its_number(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text('{"nbformat": 99, "nbformat_minor": 0, "cells": []}')

    with pytest.raises(AttachError, match="its nbformat is 99; 2, 3 and 4 can be read"):
        sessions_of(path)


def test_a_missing_notebook_is_refused(tmp_path):
    with pytest.raises(AttachError, match="No such notebook"):
        sessions_of(tmp_path / "none.ipynb")


@pytest.mark.parametrize("major", [2, 3])
def test_a_notebook_of_an_older_format_has_no_sessions_and_no_warning(tmp_path, major):
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"nbformat": major, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": []}]}))

    assert sessions_of(path) == []


@pytest.mark.parametrize("minor", [0, 2, 4, 5])
def test_every_minor_version_is_read_without_a_warning(tmp_path, minor):
    path = saved(tmp_path / "a.ipynb", [output("s1")])
    notebook = json.loads(path.read_text()) | {"nbformat_minor": minor}
    for cell in notebook["cells"]:
        del cell["id"]  # also wrong in 4.5, and found in the wild
    path.write_text(json.dumps(notebook))

    assert sessions_of(path) == [Started("s1", "j1", "", 1)]


def test_vs_code_names_the_notebook_in_the_users_namespace(tmp_path):
    code, server = saved(tmp_path / "code.ipynb"), saved(tmp_path / "server.ipynb")
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": str(code)})

    assert this_notebook(shell, {"JPY_SESSION_NAME": str(server)}) == code


def test_a_jupyter_server_names_it_in_the_environment(tmp_path):
    path = saved(tmp_path / "a.ipynb")

    assert this_notebook(None, {"JPY_SESSION_NAME": str(path)}) == path
    assert this_notebook(SimpleNamespace(user_ns={"__session__": str(path)}), {}) == path


@pytest.mark.parametrize("said", ["console", "", "gone.ipynb", "/nowhere/gone.ipynb"])
def test_a_name_that_is_no_notebook_here_is_not_believed(said):
    assert this_notebook(SimpleNamespace(user_ns={"__session__": 3}), {"JPY_SESSION_NAME": said}) is None
