"""What tasks display comes back with their outcome, as representations by mime type, beside their output."""

from __future__ import annotations

import base64
import textwrap

import pytest

from burst_magic.protocol.wire.displays import MOST

PNG = b"\x89PNG\r\n\x1a\n"
RICH = """
class Rich:
    def __repr__(self): return "rich"
    def _repr_html_(self): return f"<b>{item}</b>"
    def _repr_png_(self): return (b"\\x89PNG\\r\\n\\x1a\\n", {"width": 3})
    def _repr_svg_(self): raise ValueError("not today")
    def _repr_javascript_(self): return "alert(1)"
"""


@pytest.fixture
def perform(bench):
    """What a cell displays, by task, and the outcomes."""

    def performed(source, items=(0,), **job):
        outcomes = bench.perform(textwrap.dedent(source).strip(), items, **job)
        assert not [o for o in outcomes if o.failed], [(o.error, o.message, o.traceback) for o in outcomes if o.failed]
        return outcomes

    return performed


def shown(outcome):
    return [dict(display.data) for display in outcome.displays]


def test_each_task_has_what_it_displayed_and_its_words_are_in_the_output(perform):
    outcomes = perform(RICH + "if item: display(Rich(), 7)\nitem", range(3))
    assert [len(outcome.displays) for outcome in outcomes] == [0, 2, 2]
    rich = {"text/plain": "rich", "text/html": "<b>1</b>", "image/png": base64.b64encode(PNG).decode()}
    assert shown(outcomes[1]) == [rich, {"text/plain": "7"}]
    assert outcomes[1].displays[0].metadata == {"image/png": {"width": 3}}
    assert [outcome.output for outcome in outcomes] == ["", "rich\n7\n", "rich\n7\n"]


def test_a_failed_task_keeps_what_it_displayed_and_a_retried_one_its_last_attempt(bench):
    (failed,) = bench.perform("display('before')\n1 / 0")
    assert shown(failed) == [{"text/plain": "'before'"}]
    (retried,) = bench.perform("display('once')\n1 / 0", retries=2)
    assert (len(retried.displays), retried.attempts) == (1, 3)


def test_ipythons_own_functions_show_the_same_without_a_kernel(perform):
    source = """
        from IPython.display import HTML, Image, JSON, Markdown, clear_output, display, update_display
        display("gone")
        clear_output()
        handle = display(HTML("<i>0</i>"), display_id=True)
        display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n", format="png"), Markdown("*m*"), JSON({"a": [1]}))
        handle.update(HTML("<i>1</i>"))
        update_display("nobody", display_id="nothing")
        display({"text/plain": "raw", "text/html": "<p>"}, raw=True, exclude=["text/html"])
    """
    (outcome,) = perform(source)
    html, image, markdown, data, raw = shown(outcome)
    assert html["text/html"] == "<i>1</i>"
    assert base64.b64decode(image["image/png"]) == PNG
    assert markdown["text/markdown"] == "*m*"
    assert data["application/json"] == {"a": [1]}
    assert raw == {"text/plain": "raw"}


def test_figures_are_shown_by_show_and_by_display_and_closed_as_in_a_notebook(perform):
    source = """
        import matplotlib.pyplot as plt
        for number in range(2):
            plt.figure()
            plt.plot([number, 1])
        plt.show()
        figure, axes = plt.subplots()
        display(figure)
        figure.show()
        plt.get_fignums()
    """
    first, second = perform(source, range(2))
    for outcome in (first, second):
        assert [one["text/plain"] for one in shown(outcome)] == ["<Figure size 640x480 with 1 Axes>"] * 4
        assert all(base64.b64decode(one["image/png"]).startswith(PNG) for one in shown(outcome))
        assert "non-interactive" not in outcome.output


def test_a_table_of_pandas_is_html(perform):
    (outcome,) = perform("import pandas as pd\ndisplay(pd.DataFrame({'a': [item]}))", [12345])
    (table,) = shown(outcome)
    assert "<td>12345</td>" in table["text/html"]
    assert "12345" in outcome.output


def test_too_much_is_left_out_and_said(perform):
    source = """
        for number in range(30): display(number)
        clear_output(wait=True)
        for number in range(30): display(number)
        """
    (outcome,) = perform("from IPython.display import clear_output\n" + textwrap.dedent(source))
    assert len(outcome.displays) == MOST + 1
    assert "10 more" in outcome.displays[-1].text


def test_a_task_that_displays_nothing_loads_nothing_for_it(perform):
    source = "import sys\nsorted({'IPython', 'matplotlib', 'tqdm', 'base64'} & set(sys.modules))"
    (outcome,) = perform(source)
    assert (outcome.displays, outcome.output) == ((), "")
    assert b"IPython" not in outcome.value
    assert b"matplotlib" not in outcome.value


@pytest.mark.parametrize("module", ["tqdm", "tqdm.auto", "tqdm.notebook"])
def test_a_progress_bar_is_one_line_of_the_output(perform, module):
    source = f"""
        from {module} import tqdm, trange
        for _ in tqdm(range(500), desc="outer", mininterval=0):
            for _ in trange(2, desc="inner", mininterval=0, leave=False): pass
        print("done")
        """
    (outcome,) = perform(source)
    lines = [line for line in outcome.output.splitlines() if line.strip()]
    assert [line.split(":")[0] for line in lines] == ["outer", "done"]
    assert "500/500" in lines[0]
