"""The public face: what users may import, and no more. Removing a name here is a breaking change."""

from __future__ import annotations

import inspect

import pytest

import burst_magic

NAMES = {"PENDING", "Results", "Session", "attach", "load_ipython_extension", "map", "sessions"}
SESSION = {
    "as_completed", "cancel", "cleanup", "extend", "id", "job", "logs", "results", "scale", "status", "subscribe",
    "wait",
}  # fmt: skip
EXAMPLE = """
import burst_magic as burst
for name in burst.__all__:
    getattr(burst, name)
"""


def public(thing) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_the_package_offers_these_names():
    assert set(burst_magic.__all__) == NAMES
    assert burst_magic.__version__


def test_its_listing_shows_the_public_names_whether_they_are_loaded_or_not():
    assert set(dir(burst_magic)) == {*NAMES, "__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_there_and_says_what_it_is(name):
    thing = getattr(burst_magic, name)

    assert name == "PENDING" or inspect.getdoc(thing)


def test_a_name_that_is_not_there_is_an_attribute_error_like_any_other():
    with pytest.raises(AttributeError, match="Executor"):
        burst_magic.Executor  # noqa: B018 - in a later version


def test_a_session_can_do_what_the_interface_says():
    assert public(burst_magic.Session) >= SESSION


def test_results_are_a_sequence_with_three_questions_more():
    assert public(burst_magic.Results) >= {"as_completed", "count", "errors", "index", "ready"}


def test_map_takes_a_function_and_items_first_and_the_rest_by_name():
    kinds = [parameter.kind for parameter in inspect.signature(burst_magic.map).parameters.values()]

    assert kinds[:2] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2
    assert set(kinds[2:]) <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_all_of_the_face_comes_without_boto3_ipython_or_widgets(modules_after):
    tops = {name.partition(".")[0] for name in modules_after(EXAMPLE)}

    assert tops & {"IPython", "anywidget", "boto3", "botocore", "ipywidgets", "nbformat", "numpy", "tqdm"} == set()
