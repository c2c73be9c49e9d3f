"""The contract of stores, as checks that third parties can run on their own stores.

from burst_magic.testing import check_store
check_store(lambda: open_mine("https://my.store/an-empty-place"))

Each check writes below its own folder and deletes its objects again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from burst_magic.errors import Exists, Missing
from burst_magic.stores.base import Store
from burst_magic.testing.rehearsal import ContractBroken, must

StoreCheck = Callable[[Callable[[], Store], str], None]
_RACERS, _RACES = 4, 10


def check_store(open_one: Callable[[], Store], *, only: tuple[StoreCheck, ...] | None = None) -> None:
    """Run all checks.

    Args:
        open_one: opens the store; called once for each simulated client.
        only: these instead of ``STORE_CHECKS``.

    Raises:
        ContractBroken: lists every failed check with its reason.
    """
    failed = []
    for check in STORE_CHECKS if only is None else only:
        folder = f"check-{secrets.token_hex(8)}"
        try:
            check(open_one, folder)
        except ContractBroken as broken:
            failed.append(f"{check.__name__}: {broken}")
        finally:
            store = open_one()
            store.delete([entry.key for entry in store.list(folder)])
    must(not failed, "\n".join(failed))


def _refuses(store: Store, key: str, data: bytes) -> bool:
    try:
        store.create(key, data)
    except Exists:
        return True
    return False


def _missing(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except Missing:
        return True
    return False


def what_is_created_is_read_back_by_every_client(open_one: Callable[[], Store], folder: str) -> None:
    """Empty objects too, and at once."""
    store, other = open_one(), open_one()
    for name, data in (("a", b"12345"), ("deep/er", bytes(range(256))), ("empty", b"")):
        store.create(f"{folder}/{name}", data)
        must(other.get(f"{folder}/{name}") == data, f"{name} is read as something else")


def a_second_create_is_refused_and_changes_nothing(open_one: Callable[[], Store], folder: str) -> None:
    """This is what a claim is."""
    store = open_one()
    store.create(f"{folder}/a", b"first")
    must(_refuses(open_one(), f"{folder}/a", b"second"), "a second create of one key went through")
    must(store.get(f"{folder}/a") == b"first", "a refused create changed the object")


def of_racers_one_wins(open_one: Callable[[], Store], folder: str) -> None:
    """The racer whose bytes are stored has won, and no other was told so."""
    stores = [open_one() for _ in range(_RACERS)]
    for race in range(_RACES):
        key = f"{folder}/{race}"
        with ThreadPoolExecutor(_RACERS) as pool:
            lost = list(pool.map(lambda number, key=key: _refuses(stores[number], key, b"%d" % number), range(_RACERS)))
        won = [number for number, refused in enumerate(lost) if not refused]
        must(len(won) <= 1, f"{len(won)} racers were told that they won one key")
        if won:
            must(stores[0].get(key) == b"%d" % won[0], "the winner's bytes are not those in the store")


def a_put_replaces(open_one: Callable[[], Store], folder: str) -> None:
    """By something shorter too."""
    store = open_one()
    store.put(f"{folder}/a", b"first, and longer")
    store.put(f"{folder}/a", b"second")
    must(store.get(f"{folder}/a") == b"second", "a put leaves something of what was there")


def a_stream_is_put_whole_or_not_at_all(open_one: Callable[[], Store], folder: str) -> None:
    """What ends it comes through."""
    store = open_one()
    store.put(f"{folder}/whole", iter([b"12", b"345"]))
    must(store.get(f"{folder}/whole") == b"12345", "a stream is put in another shape")

    def broken() -> Iterator[bytes]:
        yield b"12"
        raise KeyError("the source")

    try:
        store.put(f"{folder}/broken", broken())
    except KeyError:
        pass
    else:
        raise ContractBroken("a stream that raised was put all the same")
    must(_missing(store, f"{folder}/broken"), "a stream that raised left an object behind")


def a_range_is_a_slice(open_one: Callable[[], Store], folder: str) -> None:
    """As Python cuts, also past the end."""
    store, data = open_one(), b"0123456789"
    store.put(f"{folder}/a", data)
    for start, end in ((0, None), (0, 4), (3, 7), (5, None), (5, 99), (10, None), (40, 50), (4, 4), (7, 3)):
        must(store.get(f"{folder}/a", start=start, end=end) == data[start:end], f"{start}:{end} is no slice")


def what_is_missing_is_said_to_be(open_one: Callable[[], Store], folder: str) -> None:
    """A folder is no object, and neither is what was deleted."""
    store = open_one()
    store.put(f"{folder}/a/b", b"")
    must(_missing(store, f"{folder}/nothing"), "nothing is there and can be read")
    must(_missing(store, f"{folder}/a"), "a folder can be read")
    store.delete([f"{folder}/a/b", f"{folder}/never was"])
    must(_missing(store, f"{folder}/a/b"), "what was deleted can be read")


def a_listing_is_sorted_exact_and_recent(open_one: Callable[[], Store], folder: str) -> None:
    """By key, down into folders, with sizes and times; what was written before is in it."""
    store = open_one()
    names = ["2", "10", "1/x", "~watch", "A", "a/deep/er", "host~1.1795252170536.0", "ü/ß"]
    keys = sorted(f"{folder}/in/{name}" for name in names)
    for key in [*keys, f"{folder}/input", f"{folder}/z"]:
        store.put(key, key.encode())
    found = open_one().list(f"{folder}/in")
    must([entry.key for entry in found] == keys, f"listed {[entry.key for entry in found]}, there are {keys}")
    must(all(entry.size == len(entry.key.encode()) for entry in found), "sizes are wrong")
    must(max(entry.modified for entry in found) - min(entry.modified for entry in found) < 600, "times are wrong")
    must(store.list(f"{folder}/nothing") == [], "an empty folder has objects")


def a_listing_goes_on_after_a_key(open_one: Callable[[], Store], folder: str) -> None:
    """So a reader pays only for what is new."""
    store = open_one()
    keys = [f"{folder}/{number:04d}" for number in range(12)]
    for key in keys:
        store.put(key, b"")
    for after, limit in ((keys[3], None), (keys[3], 2), (f"{folder}/0003x", 1), ("", 3), (keys[-1], None)):
        expected = [key for key in keys if key > after][:limit]
        found = [entry.key for entry in store.list(folder, after=after, limit=limit)]
        must(found == expected, f"after {after}, {limit} at most: listed {found}")


def folders_are_told_without_what_is_in_them(open_one: Callable[[], Store], folder: str) -> None:
    """So the sessions of a store are found without a look into each."""
    store = open_one()
    for name in ("10/a/b", "2/a", "2/b", "a.b/c", "a/c", "file"):
        store.put(f"{folder}/in/{name}", b"")
    found = [*open_one().folders(f"{folder}/in")]
    must(found == ["10", "2", "a", "a.b"], f"the folders are {found}")
    must([*store.folders(f"{folder}/nothing")] == [], "an empty folder has folders")


def it_is_opened_again_by_its_url(open_one: Callable[[], Store], folder: str) -> None:
    """Workers know it by that."""
    store = open_one()
    must(store.url == open_one().url, f"it is called {store.url}, and then {open_one().url}")
    path = store.path(f"{folder}/a")
    store.put(f"{folder}/a", b"12345")
    must(path is None or path.read_bytes() == b"12345", "the file that it names holds something else")


STORE_CHECKS: tuple[StoreCheck, ...] = (
    what_is_created_is_read_back_by_every_client,
    a_second_create_is_refused_and_changes_nothing,
    of_racers_one_wins,
    a_put_replaces,
    a_stream_is_put_whole_or_not_at_all,
    a_range_is_a_slice,
    what_is_missing_is_said_to_be,
    a_listing_is_sorted_exact_and_recent,
    a_listing_goes_on_after_a_key,
    folders_are_told_without_what_is_in_them,
    it_is_opened_again_by_its_url,
)
