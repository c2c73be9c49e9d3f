"""The store in this process's memory, where one lock of obstore's and the interpreter's own may wait for each other."""

import subprocess
import sys

REPLACE_AND_LIST = """
import threading
from burst_magic.stores import open_store

store = open_store("memory://")

def replace_often():
    for count in range(60_000):
        store.put(f"a/beat{count % 3}", str(count).encode())

def list_often():
    while any(thread.is_alive() for thread in replacing):
        assert len(store.list("a")) <= 3

replacing = [threading.Thread(target=replace_often) for _ in range(2)]
listing = [threading.Thread(target=list_often) for _ in range(2)]
for thread in [*replacing, *listing]:
    thread.start()
"""


def test_threads_that_replace_and_list_do_not_wait_for_each_other_for_ever():
    """What is replaced is freed, which on Python 3.10 takes the interpreter, while a listing holds it."""
    subprocess.run([sys.executable, "-c", REPLACE_AND_LIST], check=True, timeout=60)
