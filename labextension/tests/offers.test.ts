import { describe, expect, it } from "vitest";

import { MIME, type ListedJobState, type SessionList } from "../src/frame.js";
import { bursts, forgotten, gather, jobsOf, Keeper, META, sinceOf, withMark, type Mark } from "../src/marks.js";
import { isAt, lostOf, offersOf, sessionsOf, startedBy } from "../src/offers.js";
import { frameOf, NOW } from "./frames.js";

const SID = "20261121-101828-5cj77ijt";

function mark(changes: Partial<Mark> = {}): Mark {
  return { session: SID, job: "0", out: "points", created: 10, ...changes };
}

function output(made: unknown, frame: unknown = frameOf()): object {
  return { output_type: "display_data", data: { [MIME]: frame }, metadata: { [META]: made } };
}

function notebook(outputs: object[][], gathered?: unknown): object {
  const metadata = gathered === undefined ? {} : { [META]: { sessions: gathered } };
  return { metadata, cells: outputs.map((some) => ({ cell_type: "code", outputs: some })) };
}

function listed(changes: Partial<ListedJobState> = {}, id = SID): SessionList {
  const job = {
    job: "0",
    title: "settle",
    out: "points",
    state: "finished",
    phase: "finished",
    total: 100,
    done: 100,
    failed: 0,
    created: 10,
    ended: NOW,
    attach: `%burst_attach ${id}`,
    ...changes,
  };
  const session = { id } as SessionList["sessions"][number]["session"];
  const sessions = [{ session, jobs: [job], money: null, workers: 0, mine: true, as_of: NOW }];
  return { store: "", more: 0, unread: 0, problem: "", context: "", way_out: "", account: null, sessions };
}

describe("the jobs of a notebook", () => {
  it("are found in outputs, and where outputs were cleared, oldest first", () => {
    const found = jobsOf(notebook([[output(mark({ job: "1", created: 20 }))], []], [mark({ job: "2", created: 5 })]));
    expect(found.map(({ mark: { job }, cell }) => [job, cell])).toEqual([["2", null], ["1", 0]]);
  });

  it("are each there once, at their cell, with their kernel and their frame", () => {
    const [only, ...rest] = jobsOf(notebook([[], [output(mark())]], [mark({ kernel: "k" })]));
    expect(rest).toEqual([]);
    expect([only?.cell, only?.mark.kernel, only?.saved?.title]).toEqual([1, "k", "settle"]);
  });

  it.each(["/../../../logout", `${SID},`, `${SID}#`, `${SID}/0`, "x"])("are not those of session %j, which is no address", (session) => {
    expect(sessionsOf(jobsOf(notebook([[output(mark({ session }))]], [mark({ session, job: "1" }), mark()])))).toEqual([SID]);
  });

  it("are no kernel's any more when theirs restarts, saved or not", () => {
    const marks = forgotten(notebook([[output(mark({ job: "1", created: 20 }))]], [mark({ kernel: "k" })]));
    expect(marks).toEqual([mark(), mark({ job: "1", created: 20 })]);
    expect(gather(notebook([], marks), "k")).toBeNull();
    expect(forgotten(notebook([]))).toBeNull();
  });

  it.each([[null], [3], [{}], [{ cells: 3 }], [notebook([[output(3)], [output({ session: "" })], [{}]], [3, {}, null])]])(
    "are none where %o is somebody else's",
    (odd) => {
      expect(jobsOf(odd)).toEqual([]);
    },
  );

  it("are gathered with the kernel that started them, once", () => {
    const fresh = notebook([[output(mark())]]);
    expect(gather(fresh, "k")).toEqual([mark({ kernel: "k" })]);
    expect(gather(notebook([[output(mark())]], [mark({ kernel: "k" })]), "another")).toBeNull();
    expect(gather(notebook([]), "k")).toBeNull();
    const more = notebook([[output(mark())], [output(mark({ job: "1", created: 20 }))]], [mark({ kernel: "k" })]);
    expect(gather(more, "l")?.map(({ kernel }) => kernel)).toEqual(["k", "l"]);
  });

  it("stay when outputs are cleared and others come", () => {
    const later = notebook([[output(mark({ job: "1", created: 20 }))]], [mark({ kernel: "k" })]);
    expect(gather(later, "k")?.map(({ job }) => job)).toEqual(["0", "1"]);
  });
});

it.each([
  [{ metadata: { [META]: { since: 12.5 } } }, 12.5],
  [{ metadata: { [META]: { since: "x" } } }, 0],
  [{ metadata: {} }, 0],
  [null, 0],
])("since when jobs may be a notebook's own is read of %o", (notebook, since) => {
  expect(sinceOf(notebook)).toBe(since);
});

describe("since when jobs may be a notebook's own", () => {
  const opened = (outputs: object[][], metadata: object = {}): { keeper: Keeper; ran: (...made: Mark[]) => void; kept: () => unknown } => {
    const file = { ...notebook(outputs), metadata: { ...metadata } as Record<string, unknown> };
    const keeper = new Keeper(
      () => file,
      (kept) => {
        file.metadata[META] = kept;
      },
    );
    keeper.opened(100);
    const ran = (...made: Mark[]): void => {
      Object.assign(file, { cells: [{ cell_type: "code", outputs: made.map((each) => output(each)) }] });
    };
    return { keeper, ran, kept: () => file.metadata[META] };
  };
  const first = {
    save: (keeper: Keeper) => {
      keeper.saved("k");
    },
    restart: (keeper: Keeper) => {
      keeper.restarted();
    },
    refusal: (keeper: Keeper) => {
      keeper.refused(mark({ job: "9", refused: true }));
    },
  };

  it.each(Object.entries(first))("is kept with its first marks, whatever writes them: a %s", (_, write) => {
    const { keeper, ran, kept } = opened([[]]);
    ran(mark({ created: 110 }));
    write(keeper);
    expect(kept()).toMatchObject({ since: 100 });
    for (const each of Object.values(first)) each(keeper);
    expect(kept()).toMatchObject({ since: 100 });
  });

  it.each(Object.entries(first))("stays as it was kept, and is none of a notebook that had bursts: a %s", (_, write) => {
    const before = opened([], { [META]: { sessions: [], since: 50 } });
    before.ran(mark());
    write(before.keeper);
    expect([before.keeper.since, before.kept()]).toMatchObject([50, { since: 50 }]);
    const other = opened([[output(mark())]]);
    write(other.keeper);
    expect([other.keeper.since, other.kept()]).toEqual([0, { sessions: expect.anything() as unknown }]);
  });

  it("is not written before there are marks", () => {
    const { keeper, kept } = opened([[]]);
    first.save(keeper);
    first.restart(keeper);
    expect([keeper.since, kept()]).toEqual([100, undefined]);
  });
});

describe("the notebook that started a session", () => {
  const answered = (session: object, changes: object = {}): unknown => ({ sessions: [{ session: { id: SID, ...session } }], ...changes });

  it.each(["/notebooks/a.ipynb", ""])("is in the list: %j", (notebook) => {
    expect(startedBy(answered({ notebook, problem: "" }), SID)).toBe(notebook);
  });

  it.each([
    [answered({ problem: "its manifest is damaged", notebook: "" }), "its manifest is damaged"],
    [{ sessions: [], problem: "the store is away", context: "s3", way_out: "wait" }, "the store is away"],
    [{ sessions: [] }, "the server's list does not have it"],
    [null, "the server's list does not have it"],
  ])("is said to be unknown where %o does not tell it", (list, why) => {
    expect(startedBy(list, SID)).toMatchObject({ problem: `it is not known which notebook started ${SID}: ${why}` });
  });
});

describe("what a reopened notebook offers", () => {
  const found = jobsOf(notebook([[output(mark({ kernel: "old" }))]]));

  it("is to collect what finished meanwhile", () => {
    expect(offersOf(found, listed(), "new")).toEqual([
      { words: "settle finished while you were away", label: "Collect into points", code: `%load_ext burst_magic\n%burst_attach ${SID}/0`, cell: 0, refusal: null },
    ]);
    expect(offersOf(found, listed(), null)).toHaveLength(1);
  });

  it.each([
    [{ ended: null, phase: "running" }, "settle was running when this page was loaded", "Attach as points"],
    [{ phase: "failed", failed: 3 }, "settle finished while you were away, 3 of 100 failed", "Collect into points"],
    [{ phase: "ended", state: "cancelled", done: 7 }, "settle ended while you were away: cancelled, 7 of 100 done", "Collect into points"],
  ])("says what became of it: %o", (job, words, label) => {
    expect(offersOf(found, listed(job), "new")[0]).toMatchObject({ words, label });
  });

  it("does not say that somebody was away who saw the end", () => {
    const seen = jobsOf(notebook([[output(mark(), frameOf({ ended: NOW }))]]));
    expect(offersOf(seen, listed(), "new")[0]?.words).toBe("settle finished");
  });

  it("is nothing to the kernel that started it, of no name, of an unknown session or job", () => {
    expect(offersOf(found, listed(), "old")).toEqual([]);
    expect(offersOf(jobsOf(notebook([[output(mark({ out: "" }))]])), listed(), null)).toEqual([]);
    expect(offersOf(found, listed({}, "20200101-000000-aaaaaaaa"), null)).toEqual([]);
    expect(offersOf(found, listed({ job: "9" }), null)).toEqual([]);
  });

  it("is the last job of each name, newest first, three at most", () => {
    const marks = ["a", "b", "c", "d", "a"].map((out, place) => output(mark({ out, session: `${SID.slice(0, -1)}${place + 2}`, created: place })));
    const many = jobsOf(notebook([marks]));
    expect(sessionsOf(many)).toEqual([2, 3, 4, 5, 6].map((last) => `${SID.slice(0, -1)}${last}`));
    const all = { ...listed(), sessions: many.flatMap(({ mark: { session } }) => listed({}, session).sessions) };
    expect(offersOf(many, all, null).map(({ label }) => label)).toEqual(["Collect into a", "Collect into d", "Collect into c"]);
  });
});

describe("a page that was reloaded before its notebook was saved", () => {
  const path = "work/study.ipynb";
  const place = { path, since: 0 };
  const started = (created: number, notebook = "/notebooks/work/study.ipynb"): SessionList => {
    const list = listed({ created, ended: null, phase: "running" });
    return { ...list, sessions: list.sessions.map((each) => ({ ...each, session: { ...each.session, notebook } })) };
  };

  it("is offered what the notebook started since then, also where nothing is bound to a name", () => {
    expect(lostOf([], started(101), place)).toEqual([
      {
        words: "settle was running when this page was loaded",
        label: "Show it here",
        code: `%load_ext burst_magic\n%burst_attach ${SID}/0`,
        cell: null,
        refusal: mark({ out: "", created: 101, refused: true }),
      },
    ]);
  });

  it("is offered it after later saves, too, until the notebook holds it or the offer was refused for good", () => {
    const [offer] = lostOf([], started(101), place);
    const later = [output(mark({ job: "7", out: "other", created: 500 }))];
    expect(lostOf(jobsOf(notebook([later])), started(101), place)).toHaveLength(1);
    const refused = notebook([later], withMark(notebook([]), offer?.refusal ?? mark()));
    expect(lostOf(jobsOf(refused), started(101), place)).toEqual([]);
    expect(offersOf(jobsOf(refused), started(101), null)).toEqual([]);
    expect(withMark(refused, mark({ job: "8" })).map(({ job }) => job)).toEqual(["0", "8"]);
    expect(forgotten(refused)?.map((each) => each.refused)).toEqual([true, undefined]); // a restart forgets no refusal
  });

  it("is not offered an earlier run of what the notebook holds or has lost, by name or by title", () => {
    const again = (changes: object): SessionList => {
      const list = started(101);
      const jobs = list.sessions[0]?.jobs.flatMap((job) => [{ ...job, ...changes }, { ...job, ...changes, job: "1", created: 105 }]) ?? [];
      return { ...list, sessions: list.sessions.map((each) => ({ ...each, jobs })) };
    };
    for (const changes of [{}, { out: "" }]) expect(lostOf([], again(changes), place).map(({ refusal }) => refusal?.job)).toEqual(["1"]);
    expect(lostOf([], again({ out: "", title: "x" }), place)).toHaveLength(1);
    const held = jobsOf(notebook([[output(mark({ job: "9", created: 200 }))]]));
    expect(lostOf(held, started(101), place)).toEqual([]);
    const nameless = jobsOf(notebook([[output(mark({ job: "9", out: "", created: 200 }))]]));
    expect(lostOf(nameless, again({ out: "" }), place)).toEqual([]);
    expect(lostOf(nameless, again({}), place)).toHaveLength(1);
  });

  it("is not offered the jobs of an earlier notebook of its name while it has no bursts itself", () => {
    const cells = (...sources: unknown[]): object => ({ cells: sources.map((source) => ({ cell_type: "code", source, outputs: [] })) });
    expect([cells(""), cells("x = 1"), cells(), cells("x = 1", "%%burst --map r"), cells(["import burst_magic\n"])].map(bursts)).toEqual([false, false, false, true, true]);
    expect([notebook([[output(mark())]]), notebook([], [mark()])].map(bursts)).toEqual([true, true]);
    expect([99, 100, NaN].map((since) => lostOf([], started(100), { path, since }).length)).toEqual([1, 0, 0]);
  });

  it("is not offered what is not this user's: its key is not here", () => {
    const list = started(101);
    expect(lostOf([], { ...list, sessions: list.sessions.map((each) => ({ ...each, mine: false })) }, place)).toEqual([]);
  });

  it("is not offered another notebook's jobs, or those that it shows", () => {
    expect(["/notebooks/work/study.ipynb", "/notebooks/work/old/study.ipynb"].map((file) => isAt(file, path))).toEqual([true, false]);
    expect(lostOf([], started(101, "/notebooks/work/casestudy.ipynb"), { ...place, path: "study.ipynb" })).toEqual([]);
    expect(lostOf(jobsOf(notebook([[output(mark())]])), started(101), place)).toEqual([]);
  });
});
