"""Payload: values come back equal, envelopes are read or refused, references resolve in the right namespace."""

import json
import math
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import BudgetExceeded, CaptureError, RecordError
from burst_magic.payload import Envelope, pack, pack_value, unpack, unpack_value
from burst_magic.payload.notes import Needs

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(
    atoms,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.frozensets(keys),
    max_leaves=20,
)


@given(values)
def test_a_plain_value_comes_back_equal_as_an_item_and_as_a_result(value):
    assert unpack_value(pack_value(value, home={}), home={}) == value
    needs = Needs()
    assert unpack_value(pack_value(value, home={}, needs=needs), home={}) == value
    assert needs == Needs()


EDGE = 1 << 31


@pytest.mark.parametrize(
    "number", [0, -1, EDGE - 1, EDGE, -EDGE, -EDGE - 1, 1 << 64, True, 0.1, -0.0, math.inf, 5e-324]
)
def test_a_number_comes_back_as_it_was_in_few_bytes(number):
    packed = pack_value(number, home={})
    found = unpack_value(packed, home={})
    assert (type(found), repr(found)) == (type(number), repr(number))
    assert len(packed) <= 24
    assert packed[:2] == pickle.dumps(number, 5)[:2]


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1), values))
def test_a_plain_namespace_comes_back_equal(namespace):
    packed = pack(namespace, home=namespace)
    home = {}
    assert unpack(packed.stream, packed.buffers, home=home) == namespace == home
    assert set(packed.names) == set(namespace)


@given(
    st.builds(
        Envelope,
        source=st.text(),
        stream=st.binary(),
        filename=st.text(),
        target=st.text(),
        has_value=st.booleans(),
        names=st.lists(st.text()).map(tuple),
        modules=st.lists(st.tuples(st.text(), st.text())).map(tuple),
        bundle=st.text(),
        blobs=st.lists(st.tuples(st.text(), st.integers(0, 2**40))).map(tuple),
        python=st.just("3.11"),
    )
)
def test_an_envelope_comes_back_equal(envelope):
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


@given(st.binary(max_size=200))
def test_bytes_that_are_no_envelope_are_refused(data):
    with pytest.raises(RecordError):
        Envelope.from_bytes(data)


def test_a_cut_or_foreign_header_is_refused():
    whole = Envelope(source="1", stream=b"abc").to_bytes()
    for end in range(whole.index(b"abc")):
        with pytest.raises(RecordError):
            Envelope.from_bytes(whole[:end])
    with pytest.raises(RecordError):
        Envelope.from_bytes(whole.replace(b'"source"', b'"sauces"'))


def test_a_payload_of_another_format_is_refused_however_alike_it_looks():
    whole = Envelope(source="1", stream=b"abc").to_bytes()
    with pytest.raises(RecordError, match="this version"):
        Envelope.from_bytes(b"BURST-P2" + whole[8:])


def test_an_envelope_says_which_python_made_its_code_objects():
    import sys

    made = Envelope.from_bytes(Envelope(source="", stream=b"").to_bytes())
    assert made.python == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_an_envelope_s_header_is_json_that_anybody_can_read():
    data = Envelope(source="x = 1", stream=b"\x80").to_bytes()
    header = json.loads(data[12 : 12 + int.from_bytes(data[8:12], "big")])
    assert header["source"] == "x = 1"


def test_nan_and_infinity_survive():
    found = unpack_value(pack_value([math.nan, math.inf], home={}), home={})
    assert math.isnan(found[0])
    assert found[1] == math.inf


def test_errors_of_the_package_travel_whole():
    error = BudgetExceeded("too much", context="x", way_out="y")
    back = unpack_value(pack_value(error, home={}), home={})
    assert (type(back), str(back)) == (BudgetExceeded, str(error))


def test_what_cannot_be_packed_is_named():
    with pytest.raises(CaptureError, match=r"^gen: cannot pickle 'generator' object"):
        pack({"a": 1, "gen": (i for i in [1])}, home={})


def notebook_with(text):
    home = {"__name__": "__main__"}
    exec(text, home)
    return home


def test_an_item_names_what_the_notebook_must_bring():
    home = notebook_with(
        "import math\nk = 2\ndef f(x): return x * k\nclass A: pass\nitem = [f, A(), lambda x: k + math.pi]"
    )
    needs = Needs()
    data = pack_value(home["item"], home=home, needs=needs)
    assert needs.names == {"f", "A", "k", "math"}
    packed = pack({name: home[name] for name in needs.names}, home=home)
    there = {"__name__": "__main__"}
    unpack(packed.stream, packed.buffers, home=there)
    f, a, g = unpack_value(data, home=there)
    assert f is there["f"]
    assert type(a) is there["A"]
    assert g(1) == 2 + math.pi


def test_a_name_that_is_gone_is_said_to_be_gone():
    home = notebook_with("class A: pass\na = A()")
    data = pack_value(home["a"], home=home, needs=Needs())
    with pytest.raises(NameError, match="'A' is not defined in the notebook"):
        unpack_value(data, home={})


def test_a_result_refers_only_to_what_the_client_brought():
    home = notebook_with("class A: pass")
    packed = pack({"A": home["A"]}, home=home)
    there = {"__name__": "__main__"}
    unpack(packed.stream, home=there)
    exec("class B(A): pass\nresult = [A(), B()]", there)
    a, b = unpack_value(pack_value(there["result"], home=there), home=home)
    assert type(a) is home["A"]
    assert type(b).__name__ == "B"
    assert "B" not in home


def test_a_load_inside_a_load_has_its_own_home():
    outer, inner = notebook_with("def f(): return 'outer'"), notebook_with("def f(): return 'inner'")
    data = pack_value(inner["f"], home=inner, needs=Needs())

    class Nested:
        def __reduce__(self):
            return unpack_nested, (data,)

    def unpack_nested(data):
        return unpack_value(data, home=inner)

    both = pack_value([Nested(), outer["f"]], home={**outer, "unpack_nested": unpack_nested}, needs=Needs())
    outer["unpack_nested"] = unpack_nested
    assert [f() for f in unpack_value(both, home=outer)] == ["inner", "outer"]


def test_importing_the_payload_imports_neither_dill_nor_numpy():
    import subprocess
    import sys
    from pathlib import Path

    import burst_magic

    code = "import sys; sys.path.insert(0, sys.argv[1]); import burst_magic.payload; print({'dill', 'numpy', 'IPython'} & set(sys.modules))"
    root = str(Path(burst_magic.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-I", "-c", code, root], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
