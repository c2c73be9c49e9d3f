"""The routes below ``burst/api``, on Jupyter's own port, for its own users; docs/panel.md lists them.

The event loop never waits for a store: frames are drawn from what followers know, and the rest runs in threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http.client import responses
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from burst_magic.errors import BurstError
from burst_magic.protocol.wire.keys import is_session_id
from burst_magic.server import actions
from burst_magic.server.faults import WrongRequest, as_json, status_of
from burst_magic.server.follower import Follower, Followers
from burst_magic.server.listed import SessionList
from burst_magic.server.listing import NAMED, Listing
from burst_magic.server.opening import open_session
from burst_magic.server.pages import ended_task, failed_tasks, timeline
from burst_magic.session.onlooker import Onlooker
from burst_magic.ui.details import states_page, workers_page
from burst_magic.ui.frame import to_json
from burst_magic.ui.saved import bundle

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
FIRST = 15.0  # seconds that a first answer may take
LISTED = 4.0  # seconds that a newer list may take
_BODY = 10_000  # bytes of a request
_SID = r"(\d{8}-\d{6}-[a-z2-7]{8})"
_JOB = r"([A-Za-z0-9][A-Za-z0-9_~-]{0,199})"
_NUMBER = r"(\d{1,12})"


class BurstDesk:
    """What the routes of one server share.

    Attributes:
        followers, listing: what is being looked at.
        asking: threads that may wait for a store; drawing: threads that never do.
    """

    def __init__(self) -> None:
        self.followers, self.listing = Followers(open_session), Listing()
        self.asking = ThreadPoolExecutor(8, thread_name_prefix="burst server asks")
        self.drawing = ThreadPoolExecutor(2, thread_name_prefix="burst server draws")

    async def ask(self, call: Callable[[], T]) -> T:
        """Run what may wait for a store."""
        return await asyncio.get_running_loop().run_in_executor(self.asking, call)

    async def draw(self, call: Callable[[], T]) -> T:
        """Run what takes some milliseconds, and asks nobody."""
        return await asyncio.get_running_loop().run_in_executor(self.drawing, call)

    async def followed(self, sid: str, jid: str) -> tuple[Follower, Onlooker]:
        """The follower of a session, once there are facts about this job."""
        follower = self.followers.of(sid)
        return follower, await _soon(follower.job(jid), what=f"session {sid}")

    async def listed(self, named: list[str]) -> SessionList:
        """The list of sessions: a new one where that is due and does not take long, else the last one."""
        waiting, last = self.listing.ask(named), self.listing.last()
        if last is None:
            return await _soon(waiting, what="the list of sessions")
        await asyncio.wait([asyncio.wrap_future(waiting)], timeout=LISTED)
        return waiting.result(0) if waiting.done() else self.listing.last() or last


async def _soon(future: Future[T], *, what: str) -> T:
    """A first answer. Whoever stops waiting does not end it for the others."""
    waited = asyncio.wrap_future(future)
    waited.add_done_callback(lambda answer: answer.cancelled() or answer.exception())  # though it comes too late
    done, _ = await asyncio.wait([waited], timeout=FIRST)
    if not done:
        raise BurstError(f"{what}: the store has not answered yet", way_out="ask again; burst doctor checks the store")
    return next(iter(done)).result()


class BurstHandler(APIHandler):
    """Answers in JSON, faults too. Polls are no activity that keeps an idle server alive."""

    auth_resource = "burst"
    _track_activity = False

    def initialize(self, desk: BurstDesk) -> None:
        """Take what the routes share."""
        self.desk = desk

    def compute_etag(self) -> None:
        """No tag of the bytes: the frame has its own."""

    def answer(self, value: object) -> None:
        """Send a value of the views' classes."""
        self.set_header("Cache-Control", "no-store")
        self.finish(to_json(value))

    def same(self, etag: str, *, parts: bool = True) -> bool:
        """Tag the answer; whether it has been given: the reader has this, and the parts that come with it."""
        self.set_header("ETag", f'"{etag}"')
        if not parts or f'"{etag}"' not in self.request.headers.get("If-None-Match", ""):
            return False
        self.set_status(304)
        self.finish()
        return True

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send what is wrong, where, and a way out."""
        fault = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(fault, BurstError):
            said = fault.log_message if isinstance(fault, web.HTTPError) else "the server failed; its log says why"
            fault = BurstError(said or responses[status_code], context=self.request.path[:200])
        self.set_header("Cache-Control", "no-store")
        self.finish(as_json(fault))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Give our faults their status."""
        fault = kwargs.get("exc_info", (None, None, None))[1]
        super().send_error(status_of(fault) if isinstance(fault, BurstError) else status_code, **kwargs)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what is no answer of ours."""
        if not isinstance(value, BurstError):
            super().log_exception(typ, value, tb)

    def number(self, name: str, default: int) -> int:
        """A number in the query."""
        said = self.get_query_argument(name, None)
        if said is None:
            return default
        if not said.isascii() or not said.isdigit() or len(said) > 12:
            raise WrongRequest(f"{name}: not a number", context=said[:100])
        return int(said)


class ListHandler(BurstHandler):
    """The sessions of the configured store."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with a ``SessionList``; 304 if the reader has it. ``ids``: sessions to list, however old they are."""
        named = [ident for ident in self.get_query_argument("ids", "").split(",") if ident]
        if len(named) > NAMED or not all(map(is_session_id, named)):
            raise WrongRequest(f"ids: not a list of at most {NAMED} session ids")
        found = await self.desk.listed(named)
        if not self.same(found.etag):
            self.answer(found)


class FrameHandler(BurstHandler):
    """One job as a frame."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with a ``Frame``, without the parts that the reader has; 304 if it has everything."""
        follower, _ = await self.desk.followed(sid, jid)
        drawn = await self.desk.draw(partial(follower.draw, jid))
        said = {part: self.get_query_argument(part, "") for part in ("failures", "output")}
        known = drawn.frame.revisions
        if not self.same(drawn.etag, parts=(said["failures"], said["output"]) == (known.failures, known.output)):
            self.answer(drawn.frame.without(**said))


class OutputHandler(BurstHandler):
    """One job as a notebook file holds it."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with the frame, its HTML and its words, by mime type."""
        follower, _ = await self.desk.followed(sid, jid)
        found = await self.desk.draw(lambda: bundle(follower.draw(jid).frame))
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(found))


class TasksHandler(BurstHandler):
    """The tasks of a group of failures."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with a ``TasksPage``."""
        group, after = self.get_query_argument("group", ""), self.number("after", -1)
        _, onlooker = await self.desk.followed(sid, jid)
        self.answer(await self.desk.ask(partial(failed_tasks, onlooker, jid, group, after=after)))


class TaskHandler(BurstHandler):
    """One task that has ended."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str, task: str) -> None:
        """Answer with a ``TaskDetail``."""
        _, onlooker = await self.desk.followed(sid, jid)
        self.answer(await self.desk.ask(partial(ended_task, onlooker, jid, int(task))))


class StatesHandler(BurstHandler):
    """The states of some tasks, exactly."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with a ``StatesPage``."""
        start = self.number("start", 0)
        follower, _ = await self.desk.followed(sid, jid)
        self.answer(await self.desk.draw(lambda: states_page(follower.facts(jid), start)))


class WorkersHandler(BurstHandler):
    """The workers of a session."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with a ``WorkersPage``."""
        follower, _ = await self.desk.followed(sid, jid)
        self.answer(await self.desk.draw(lambda: workers_page(follower.facts(jid))))


class TimelineHandler(BurstHandler):
    """What ran when, on which worker."""

    @web.authenticated
    @authorized
    async def get(self, sid: str, jid: str) -> None:
        """Answer with a ``TimelinePage``."""
        follower, onlooker = await self.desk.followed(sid, jid)
        self.answer(await self.desk.ask(lambda: timeline(onlooker, jid, follower.facts(jid))))


class ActionHandler(BurstHandler):
    """What is asked of a job or a session."""

    @web.authenticated
    @authorized
    async def post(self, sid: str, first: str, second: str = "") -> None:
        """Answer with ``{"notice": …}``."""
        jid, name = (first, second) if second else ("", first)
        act = (actions.OF_A_JOB if jid else actions.OF_A_SESSION)[name]
        body = self._body()
        notice = await self.desk.ask(lambda: act(open_session(sid), jid, body))
        self.desk.listing.look_soon(sid)
        follower = self.desk.followers.known(sid)
        if follower is not None:
            follower.look_soon()
        self.answer({"notice": notice})

    def _body(self) -> dict[str, object]:
        try:
            said = json.loads(self.request.body[: _BODY + 1] or b"{}") if len(self.request.body) <= _BODY else None
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise WrongRequest(f"the request's body is no JSON object of at most {_BODY} bytes")
        return said


class NoRouteHandler(BurstHandler):
    """Whatever else lies below ``burst/api``."""

    @web.authenticated
    @authorized
    async def get(self, *_: str) -> None:
        """Refuse."""
        self.set_status(404)
        self.finish(as_json(BurstError("no such route", context=self.request.path[:200])))

    post = get


def add_routes(app: web.Application) -> None:
    """Add the routes to a Jupyter server."""
    root = url_path_join(app.settings["base_url"], "burst", "api")
    shared = {"desk": BurstDesk()}
    session, job = f"{root}/sessions/{_SID}", f"{root}/sessions/{_SID}/{_JOB}"
    routes: list[tuple[str, type[BurstHandler]]] = [
        (f"{root}/sessions", ListHandler),
        (f"{job}/frame", FrameHandler),
        (f"{job}/output", OutputHandler),
        (f"{job}/tasks", TasksHandler),
        (f"{job}/tasks/{_NUMBER}", TaskHandler),
        (f"{job}/states", StatesHandler),
        (f"{job}/workers", WorkersHandler),
        (f"{job}/timeline", TimelineHandler),
        (f"{job}/({'|'.join(actions.OF_A_JOB)})", ActionHandler),
        (f"{session}/({'|'.join(actions.OF_A_SESSION)})", ActionHandler),
        (f"{root}/.*", NoRouteHandler),
    ]
    app.add_handlers(".*$", [(pattern, handler, shared) for pattern, handler in routes])
    _LOG.debug("burst_magic's routes are below %s", root)
