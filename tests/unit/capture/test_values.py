"""Arrays, frames and plain data arrive as they were, without needless copies (point 4)."""

import gc
import tracemalloc

import numpy as np
import pandas as pd

from burst_magic.payload import OUT_OF_BAND, pack, unpack

MB = 1 << 20


def test_a_big_array_is_not_copied_and_arrives_writable(notebook):
    notebook.run("import numpy as np\nbig = np.arange(300_000.)")
    packed = notebook.capture("big.sum()").packed
    (view,) = packed.buffers
    assert np.shares_memory(np.frombuffer(view), notebook["big"])
    assert len(packed.stream) < 1000
    assert notebook.burst("big[0] = 5.0\nfloat(big.sum()), big.flags.writeable") == (5.0 + 299_999 * 150_000, True)
    assert notebook["big"][0] == 0.0


def test_two_hundred_megabytes_are_packed_without_memory():
    big = np.zeros(200 * MB // 8)
    gc.collect()
    tracemalloc.start()
    packed = pack({"big": big}, home={"big": big})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert packed.buffers[0].nbytes == 200 * MB
    assert peak < MB


def test_small_arrays_travel_in_band_and_arrive_writable(notebook):
    notebook.run("import numpy as np\nsmall = np.arange(4)\nfortran = np.asfortranarray(np.arange(6).reshape(2, 3))")
    packed = notebook.capture("small, fortran").packed
    assert packed.buffers == ()
    cell = "small[0] = 9\nsmall.tolist(), fortran.tolist(), fortran.flags.f_contiguous"
    assert notebook.burst(cell) == ([9, 1, 2, 3], [[0, 1, 2], [3, 4, 5]], True)


def test_a_read_only_array_stays_read_only(notebook):
    notebook.run("import numpy as np\nfixed = np.arange(200_000.)\nfixed.setflags(write=False)")
    assert notebook.burst("fixed.flags.writeable, float(fixed[7])") == (False, 7.0)


def test_two_names_for_one_array_are_one_buffer_and_one_array(notebook):
    notebook.run("import numpy as np\na = np.zeros(200_000)\nb = a\nc = {'a': a}")
    assert len(notebook.capture("a, b, c").packed.buffers) == 1
    assert notebook.burst("a[0] = 1\na is b is c['a']") is True


def test_object_arrays_and_structured_arrays_travel(notebook):
    notebook.run(
        "import numpy as np\nclass A: pass\no = np.array([A(), {'k': 1}], dtype=object)\ns = np.array([(1, 2.)], dtype='i4,f8')"
    )
    assert notebook.burst("type(o[0]) is A, o[1], s['f1'].tolist()") == (True, {"k": 1}, [2.0])


def test_pandas_frames_series_and_groups_travel(notebook):
    notebook.run(
        "import pandas as pd, numpy as np\n"
        "df = pd.DataFrame({'a': np.arange(200_000.), 'b': ['x', 'y'] * 100_000})\n"
        "s = df['a'].head(3)\n"
        "c = pd.Series(['u', 'v'], dtype='category')\n"
        "t = pd.date_range('2024-01-01', periods=2)"
    )
    assert any(view.nbytes >= OUT_OF_BAND for view in notebook.capture("df").packed.buffers)
    assert notebook.burst("df.loc[0, 'a'] = 7\nfloat(df['a'].head(2).sum()), df.shape, s.tolist()") == (
        8.0,
        (200_000, 2),
        [0, 1, 2],
    )
    assert notebook.burst("list(c.cat.categories), str(t[1].date())") == (["u", "v"], "2024-01-02")
    pd.testing.assert_frame_equal(notebook.burst("df.head(2)"), notebook["df"].head(2))


def test_rows_of_a_frame_are_items(notebook):
    notebook.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})")
    assert notebook.burst("(i, int(row.a + row['b']))", "i, row in df.iterrows()") == [(0, 4), (1, 6)]


def test_polars_frames_travel_out_of_band(notebook):
    notebook.run("import polars as pl\nframe = pl.DataFrame({'a': list(range(200_000)), 'b': ['z'] * 200_000})")
    packed = notebook.capture("frame").packed
    assert len(packed.stream) < 10_000
    assert notebook.burst("frame['a'].sum(), frame.shape") == (199_999 * 100_000, (200_000, 2))
    assert notebook.burst("frame.head(2)").equals(notebook["frame"].head(2))


def test_big_bytes_travel_out_of_band(notebook):
    notebook.run("blob = b'x' * 3_000_000")
    packed = notebook.capture("blob").packed
    assert len(packed.stream) < 1000
    assert packed.sizes["blob"] > 3_000_000
    assert notebook.burst("type(blob).__name__, len(blob)") == ("bytes", 3_000_000)


def test_a_random_generator_travels_with_its_state(notebook):
    notebook.run("import random, numpy as np\nr = random.Random(3)\ng = np.random.default_rng(3)")
    here = (notebook.burst("r.random(), float(g.random())"), notebook.burst("r.random(), float(g.random())"))
    assert here[0] == here[1]


def test_plain_data_is_packed_by_the_c_pickler_alone(notebook):
    calls = []
    from burst_magic.payload.pack import Packing

    class Counting(type(Packing({}).packer)):
        def reducer_override(self, obj):
            calls.append(obj)
            return NotImplemented

    import io

    from burst_magic.payload.notes import Mode

    data = [(i, {"k": [float(i), str(i), None, b"x", {1, 2}]}) for i in range(100)]
    Counting(io.BytesIO(), home={}, mode=Mode.NAMESPACE).dump(data)
    assert calls == []


def test_unpacking_a_small_namespace_takes_microseconds(notebook):
    from burst_magic.capture.trial import load

    notebook.run("import math\nscale = 2\ndef helper(x): return math.sqrt(x) * scale")
    packed = notebook.capture("helper(scale)").packed
    assert 0 < min(load(packed).seconds for _ in range(20)) < 0.001


def test_measuring_the_load_leaves_the_notebook_s_classes_alone(notebook):
    from burst_magic.capture.trial import load

    notebook.run("def make():\n    class L: pass\n    return L\nk = make()\nx = k()")
    load(notebook.capture("x").packed)
    assert type(notebook.burst("x")) is notebook["k"]


def test_the_same_namespace_gives_the_same_bytes(notebook):
    notebook.run("import math\nclass A:\n    def f(self): return g()\ndef g(): return math.pi\na = A()\nd = {'x': a}")
    assert notebook.capture("a, d, g").packed.stream == notebook.capture("a, d, g").packed.stream


def test_unpack_returns_what_it_sets(notebook):
    notebook.run("x = [1]\ndef f(): return x")
    packed = notebook.capture("f").packed
    home = {"__name__": "__main__"}
    found = unpack(packed.stream, packed.buffers, home=home)
    assert set(found) == {"x", "f"} == set(packed.names)
    assert found["f"].__globals__ is home
    assert found["f"]() is home["x"]
