"""A NaN of a module is the same object in a process that has not imported this module yet."""

import subprocess
import sys

import numpy as np
import pytest

from burst_magic.payload.pack import Packing

LOADING = """
import io, sys
from burst_magic.payload.nans import NanUnpickler
assert "numpy" not in sys.modules
{before}
name, values = NanUnpickler(io.BytesIO(bytes.fromhex(sys.argv[1]))).load()
{after}
"""
FOUND = {
    "imported later": ("", "import numpy as np\nassert np.nan in values and values[0] is np.nan is values[1]"),
    "not there": ("sys.modules['numpy'] = None", "assert values[0] != values[0] and values[0] is values[1]"),
}


@pytest.mark.parametrize(("before", "after"), FOUND.values(), ids=FOUND)
def test_a_nan_of_a_module_is_found_in_another_process(before, after):
    packing = Packing({}, apart=True)
    packing.add("values", [np.nan, np.nan, 1.0])
    stream = packing.finish().stream.hex()
    code = LOADING.format(before=before, after=after)
    run = subprocess.run([sys.executable, "-c", code, stream], capture_output=True, text=True, check=False)
    assert not run.stderr
