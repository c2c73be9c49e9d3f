"""What was captured is loaded once before it is sent, in an order in which it can be; what cannot be loaded is named."""

import re

import numpy as np
import pytest

from burst_magic.capture import capture_cell
from burst_magic.capture.trial import settle
from burst_magic.errors import CaptureError

READS_A_VALUE = {
    "__setstate__": """
class A:
    def __init__(self): self.x = 1
    def __getstate__(self): return {'x': self.x}
    def __setstate__(self, state): self.x = state['x'] * scale['k']
""",
    "__setstate__ by way of a helper": """
def factor(): return scale['k']
class A:
    def __init__(self): self.x = 1
    def __getstate__(self): return {'x': self.x}
    def __setstate__(self, state): self.x = state['x'] * factor()
""",
    "__reduce__": """
def make(x):
    a = A()
    a.x = x * scale['k']
    return a
class A:
    x = 1
    def __reduce__(self): return make, (self.x,)
""",
    "__hash__": """
class Key:
    def __hash__(self): return scale['k']
class A:
    x = 10
    def __init__(self): self.keys = {Key(): 10}
""",
    "__new__": """
class A:
    def __new__(cls, x=0):
        self = super().__new__(cls)
        self.first = scale['k']
        return self
    def __getnewargs__(self): return (1,)
    x = 10
""",
    "__setattr__ and slots": """
class A:
    __slots__ = ('x',)
    def __init__(self): object.__setattr__(self, 'x', 10)
    def __setattr__(self, name, value): raise TypeError(scale['k'])
""",
}


@pytest.mark.parametrize("place", ["a", "[a]", "{'deep': [(a,)]}"])
@pytest.mark.parametrize("text", READS_A_VALUE.values(), ids=READS_A_VALUE)
def test_a_value_that_needs_another_one_when_it_is_loaded_travels(notebook, text, place):
    notebook.run(f"{text}\nscale = {{'k': 10}}\na = A()\nbox = {place}")
    one = place.replace("a", "box", 1) if place == "a" else {"[a]": "box[0]"}.get(place, "box['deep'][0][0]")
    assert notebook.burst(f"assert box\n{one}.x, scale['k']") == (10, 10)


def test_values_that_need_each_other_travel(notebook):
    notebook.run("""
class Side:
    def __init__(self, name, other): self.name, self.other, self.found = name, other, None
    def __getstate__(self): return vars(self)
    def __setstate__(self, state):
        found = globals()[state['other']].__class__.__name__
        vars(self).update(state, found=found)
left, right = Side('left', 'right'), Side('right', 'left')
""")
    assert notebook.burst("left.found, right.found, left.name, right.name") == ("Side", "Side", "left", "right")


def test_a_chain_of_values_that_need_the_next_one_is_put_in_order(notebook):
    notebook.run("""
def after(name): return [globals()[name][0] + 1] if name else [0]
class Link(list):
    def __init__(self, name): self.append(-1); self.name = name
    def __reduce__(self): return after, (self.name,)
a, b, c, d, e = Link('b'), Link('c'), Link('d'), Link('e'), Link('')
""")
    assert notebook.burst("a, b, c, d, e") == ([4], [3], [2], [1], [0])


@pytest.mark.parametrize("hook", ["__getattr__", "__getattribute__"])
def test_a_wrapper_that_asks_what_it_wraps_for_every_attribute_travels(notebook, hook):
    own = "object.__getattribute__(self, 'inner')" if hook == "__getattribute__" else "self.inner"
    notebook.run(f"""
class Wrapper:
    def __init__(self, inner): self.inner = inner
    def {hook}(self, name): return getattr({own}, name)
w = Wrapper(Wrapper('text'))
""")
    assert notebook.burst("w.upper()") == "TEXT"
    assert notebook.burst("item.upper()", "[w]") == ["TEXT"]
    assert notebook.burst("Wrapper('other')").upper() == "OTHER"


REFUSED = {
    "its own code raises": (
        "class A:\n    def __getstate__(self): return {'x': 1}\n    def __setstate__(self, state): raise KeyError('lost')\np = A()",
        "p", "p: cannot be loaded on a worker: KeyError: 'lost' (used in line 2)",
    ),
    "a part of a part": (
        "class A:\n    def __getstate__(self): return {'x': 1}\n    def __setstate__(self, state): raise KeyError('lost')\np = {'k': [0, A()]}",
        "p", "p['k'][1]: cannot be loaded on a worker: KeyError: 'lost' (used in line 2)",
    ),
    "what a helper needs": (
        "class A:\n    def __reduce__(self): return int, ('x',)\np = A()\ndef f(): return p",
        "f()", "p: cannot be loaded on a worker: ValueError: invalid literal for int() with base 10: 'x' (used by f, which line 2 needs)",
    ),
    "a recursion without end": (
        "class A:\n    def __getstate__(self): return {'x': 1}\n    def __setstate__(self, state): self.__setstate__(state)\np = [A()]",
        "p", r"p[0]: cannot be loaded on a worker: RecursionError: maximum recursion depth exceeded",
    ),
    "a name that is nowhere": (
        "class A:\n    def __getstate__(self): return {'x': 1}\n    def __setstate__(self, state): nowhere\np = A()",
        "p", "p: cannot be loaded on a worker: NameError: name 'nowhere' is not defined (used in line 2)",
    ),
    "two that cannot be made without each other": (
        ("def make_a(): return [b]\ndef make_b(): return [a]\n"
        "class A:\n    def __reduce__(self): return make_a, ()\nclass B:\n    def __reduce__(self): return make_b, ()\na, b = A(), B()"),
        "a, b", "cannot be loaded on a worker: NameError: name",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "use", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_loaded_is_refused_with_its_path_and_line(notebook, text, use, said):
    notebook.run(text)
    with pytest.raises(CaptureError, match=re.escape(said)) as caught:
        settle(capture_cell(f"0\n{use}", notebook.home))
    assert caught.value.way_out.startswith("create it inside the cell")


def test_a_user_s_value_is_loaded_once_before_it_is_sent(notebook):
    notebook.run("""
import sys
count = []
class A:
    def __getstate__(self): return {'x': 1}
    def __setstate__(self, state): sys.modules['__main__'].count.append(1)
a = [A(), 1]
""")
    settle(notebook.capture("a"))
    assert notebook["count"] == [1]


def test_loading_on_trial_leaves_the_notebook_s_arrays_alone(notebook):
    notebook.run("""
import numpy as np
class Scaled:
    def __init__(self): self.x = np.ones(400_000)
    def __setstate__(self, state):
        vars(self).update(state)
        self.x *= 2
s = Scaled()
""")
    settle(notebook.capture("s"))
    assert np.all(notebook["s"].x == 1)
